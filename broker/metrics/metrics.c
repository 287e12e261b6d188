#include "broker/metrics/metrics.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/mem.h"

#define OTHER "other"

static void count_reason(metrics_t *self, reasons_t *reasons, slice_t name)
{
    if (!reasons_add(reasons, name))
        self->into_other[LABEL_REASON]++;
}

/* ---- by task and by queue ------------------------------------------------------------------- */

static task_metrics_t *task_of(metrics_t *self, slice_t name)
{
    task_metrics_t *task;
    HASH_FIND(hh, self->tasks, name.data, name.size, task);
    if (task)
        return task;
    if (HASH_COUNT(self->tasks) >= LIMIT_METRIC_TASKS && !slice_eq(name, slice_str(OTHER))) {
        self->into_other[LABEL_TASK]++;
        return task_of(self, slice_str(OTHER));
    }
    task = mem_zalloc(sizeof *task);
    task->name = mem_strndup(name.data, name.size);
    HASH_ADD_KEYPTR(hh, self->tasks, task->name, name.size, task);
    return task;
}

static queue_metrics_t *queue_of(metrics_t *self, uint32_t id)
{
    self->queues = mem_room(self->queues, &self->queue_capacity, id, sizeof *self->queues);
    return &self->queues[id];
}

/* ---- what happened -------------------------------------------------------------------------- */

static double age_s(int64_t from_ms, int64_t to_ms)
{
    return to_ms > from_ms ? (double)(to_ms - from_ms) / 1000 : 0;
}

/*  The end of an attempt. Its time is known where a worker told it, or saw it begin and end. */
static void count_attempt(metrics_t *self, queue_metrics_t *queue, const change_t *change)
{
    const outcome_spec_t *outcome = &change->outcome->spec;
    switch (outcome->ending) {
    case ENDING_SUCCESS:
    case ENDING_FAILURE:
    case ENDING_TIMEOUT:
    case ENDING_REJECTED:
        histogram_add(&task_of(self, change->record->spec.task_name)->duration, HISTOGRAM_DURATION,
                      (double)outcome->duration_ms / 1000);
        break;
    case ENDING_LOST:
        break;
    default:
        return; /* released and cancelled attempts are no failures */
    }
    if (outcome->ending == ENDING_SUCCESS)
        return;
    count_reason(self, &task_of(self, change->record->spec.task_name)->failures, outcome->reason);
    if (!reeve_state_is_final(change->to))
        count_reason(self, &queue->retries, outcome->reason);
}

static void count_end(queue_metrics_t *queue, const change_t *change)
{
    switch (change->to) {
    case REEVE_STATE_SUCCESS:
        queue->succeeded++;
        break;
    case REEVE_STATE_FAILED:
        queue->failed++;
        break;
    case REEVE_STATE_CANCELLED:
        queue->cancelled++;
        break;
    default:
        queue->expired++;
        break;
    }
    if (change->outcome)
        histogram_add(&queue->life, HISTOGRAM_AGE,
                      age_s(change->record->spec.created_ms, change->outcome->spec.ended_ms));
}

void metrics_start(metrics_t *self, const record_t *record, uint32_t attempt, int64_t wall_ms)
{
    queue_metrics_t *queue = queue_of(self, record->queue_id);
    queue->started++;
    if (attempt == 1)
        histogram_add(&queue->wait, HISTOGRAM_AGE, age_s(record_waits_since_ms(record), wall_ms));
}

void metrics_change(metrics_t *self, const change_t *change)
{
    queue_metrics_t *queue = queue_of(self, change->record->queue_id);
    if (change->from == REEVE_STATE_UNKNOWN)
        queue->submitted++;
    if (change_tells_start(change))
        metrics_start(self, change->record, change->tries.attempts, change->at_ms);
    if (change->from == REEVE_STATE_PROCESSING && change->outcome)
        count_attempt(self, queue, change);
    if (reeve_state_is_final(change->to))
        count_end(queue, change);
}

void metrics_commit(metrics_t *self, int64_t commit_us, uint64_t changes)
{
    histogram_add(&self->commit_s, HISTOGRAM_COMMIT, (double)commit_us / 1e6);
    histogram_add(&self->commit_changes, HISTOGRAM_BATCH, (double)changes);
}

/* ---- life ----------------------------------------------------------------------------------- */

void metrics_init(metrics_t *self)
{
    *self = (metrics_t){0};
}

void metrics_fini(metrics_t *self)
{
    task_metrics_t *task, *next;
    HASH_ITER (hh, self->tasks, task, next) {
        HASH_DEL(self->tasks, task);
        free(task->name);
        reasons_fini(&task->failures);
        free(task);
    }
    for (size_t i = 0; i < self->queue_capacity; i++)
        reasons_fini(&self->queues[i].retries);
    free(self->queues);
}
