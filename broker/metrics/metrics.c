#include "broker/metrics/metrics.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/mem.h"

#define OTHER "other"

static const double bounds[][HISTOGRAM_BOUNDS] = {
    [HISTOGRAM_DURATION] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
                            900, 3600},
    [HISTOGRAM_AGE] = {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400,
                       86400},
    [HISTOGRAM_COMMIT] = {0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                          0.1, 0.2, 0.5, 1, 2, 5},
    [HISTOGRAM_BATCH] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
                         32768},
};

const double *histogram_bounds(histogram_kind_t kind)
{
    return bounds[kind];
}

void histogram_add(histogram_t *self, histogram_kind_t kind, double value)
{
    size_t i = 0;
    while (i < HISTOGRAM_BOUNDS && value > bounds[kind][i])
        i++;
    self->counts[i]++;
    self->sum += value;
}

uint64_t histogram_count(const histogram_t *self)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        count += self->counts[i];
    return count;
}

/* ---- reasons -------------------------------------------------------------------------------- */

static struct reason *find_reason(reasons_t *self, slice_t name)
{
    for (size_t i = 0; i < self->count; i++)
        if (slice_eq(slice_str(self->items[i].name), name))
            return &self->items[i];
    return NULL;
}

static struct reason *new_reason(reasons_t *self, slice_t name)
{
    self->items = mem_realloc(self->items, (self->count + 1) * sizeof *self->items);
    struct reason *reason = &self->items[self->count++];
    *reason = (struct reason){mem_strndup(name.data, name.size), 0};
    return reason;
}

/*  A peer's reason may have a zero byte in it, where a label's value ends; so does its name. */
static void add_reason(metrics_t *metrics, reasons_t *self, slice_t name)
{
    if (name.size)
        name.size = strnlen((const char *)name.data, name.size);
    if (name.size == 0)
        name = slice_str("unknown");
    struct reason *reason = find_reason(self, name);
    if (reason == NULL && self->count >= LIMIT_METRIC_REASONS) {
        metrics->into_other[LABEL_REASON]++;
        name = slice_str(OTHER);
        reason = find_reason(self, name);
    }
    if (reason == NULL)
        reason = new_reason(self, name);
    reason->count++;
}

reasons_t reasons_copy(const reasons_t *self)
{
    reasons_t copy = {mem_alloc(self->count * sizeof *self->items), self->count};
    for (size_t i = 0; i < self->count; i++)
        copy.items[i] = (struct reason){mem_strdup(self->items[i].name), self->items[i].count};
    return copy;
}

void reasons_fini(reasons_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->items[i].name);
    free(self->items);
    *self = (reasons_t){0};
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
    if (id >= self->queue_capacity) {
        uint32_t capacity = self->queue_capacity ? self->queue_capacity : 64;
        while (capacity <= id)
            capacity *= 2;
        self->queues = mem_realloc(self->queues, capacity * sizeof *self->queues);
        memset(self->queues + self->queue_capacity, 0,
               (capacity - self->queue_capacity) * sizeof *self->queues);
        self->queue_capacity = capacity;
    }
    return &self->queues[id];
}

/* ---- what happened -------------------------------------------------------------------------- */

static double age_s(int64_t from_ms, int64_t to_ms)
{
    return to_ms > from_ms ? (double)(to_ms - from_ms) / 1000 : 0;
}

static void count_start(queue_metrics_t *queue, const change_t *change)
{
    queue->started++;
    if (change->tries.attempts == 1)
        histogram_add(&queue->wait, HISTOGRAM_AGE,
                      age_s(record_waits_since_ms(change->record), change->at_ms));
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
    add_reason(self, &task_of(self, change->record->spec.task_name)->failures, outcome->reason);
    if (!reeve_state_is_final(change->to))
        add_reason(self, &queue->retries, outcome->reason);
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

void metrics_change(metrics_t *self, const change_t *change)
{
    queue_metrics_t *queue = queue_of(self, change->record->queue_id);
    if (change->from == REEVE_STATE_UNKNOWN)
        queue->submitted++;
    if (change->to == REEVE_STATE_PROCESSING)
        count_start(queue, change);
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
    for (uint32_t i = 0; i < self->queue_capacity; i++)
        reasons_fini(&self->queues[i].retries);
    free(self->queues);
}
