#include "broker/core/record.h"

#include <stdlib.h>

#include "common/mem.h"

/*  Copies a slice to *at, points the slice there and moves *at behind it. */
static void take(slice_t *part, uint8_t **at)
{
    if (part->size)
        memcpy(*at, part->data, part->size);
    part->data = *at;
    *at += part->size;
}

static size_t memory_for(const task_spec_t *spec)
{
    return sizeof(record_t) + spec->id.size + spec->queue.size + spec->task_name.size +
           spec->origin.size + spec->reply_to.size + spec->body.size;
}

record_t *record_new(const task_spec_t *spec, uint64_t seq, uint32_t queue_id)
{
    record_t *record = mem_alloc(memory_for(spec));
    record->refs = 1;
    record->queue_id = queue_id;
    record->seq = seq;
    record->spec = *spec;
    record->untraced = false;
    record->request = 0;
    record->batch = 0;
    uint8_t *at = record->bytes;
    take(&record->spec.id, &at);
    take(&record->spec.queue, &at);
    take(&record->spec.task_name, &at);
    take(&record->spec.origin, &at);
    take(&record->spec.reply_to, &at);
    take(&record->spec.body, &at);
    return record;
}

record_t *record_ref(record_t *record)
{
    record->refs++;
    return record;
}

void record_unref(record_t **record)
{
    if (*record && --(*record)->refs == 0)
        free(*record);
    *record = NULL;
}

size_t record_memory(const record_t *record)
{
    return memory_for(&record->spec);
}

int64_t record_waits_since_ms(const record_t *record)
{
    const task_spec_t *spec = &record->spec;
    return spec->run_at_ms > spec->created_ms ? spec->run_at_ms : spec->created_ms;
}

bool record_has_expired(const record_t *record, int64_t wall_ms)
{
    return record->spec.expires_ms && record->spec.expires_ms <= wall_ms;
}

bool record_same_content(const task_spec_t *a, const task_spec_t *b)
{
    return slice_eq(a->queue, b->queue) && slice_eq(a->task_name, b->task_name) &&
           a->body_kind == b->body_kind && slice_eq(a->body, b->body) &&
           a->priority == b->priority && a->max_retries == b->max_retries &&
           a->timeout_ms == b->timeout_ms;
}

const char *ending_name(ending_t ending)
{
    static const char *const names[] = {
        [ENDING_NONE] = "none",         [ENDING_SUCCESS] = "success",
        [ENDING_FAILURE] = "failure",   [ENDING_TIMEOUT] = "timeout",
        [ENDING_REJECTED] = "rejected", [ENDING_RELEASED] = "released",
        [ENDING_LOST] = "lost",         [ENDING_CANCELLED] = "cancelled",
        [ENDING_EXPIRED] = "expired",
    };
    return (size_t)ending < sizeof names / sizeof names[0] ? names[ending] : "none";
}

outcome_t *outcome_new(const outcome_spec_t *spec)
{
    size_t size = spec->worker.size + spec->result.size + spec->reason.size + spec->error.size +
                  spec->traceback.size;
    outcome_t *outcome = mem_alloc(sizeof *outcome + size);
    outcome->refs = 1;
    outcome->spec = *spec;
    uint8_t *at = outcome->bytes;
    take(&outcome->spec.worker, &at);
    take(&outcome->spec.result, &at);
    take(&outcome->spec.reason, &at);
    take(&outcome->spec.error, &at);
    take(&outcome->spec.traceback, &at);
    return outcome;
}

outcome_t *outcome_ref(outcome_t *outcome)
{
    if (outcome)
        outcome->refs++;
    return outcome;
}

void outcome_unref(outcome_t **outcome)
{
    if (*outcome && --(*outcome)->refs == 0)
        free(*outcome);
    *outcome = NULL;
}

void change_fini(change_t *change)
{
    record_unref(&change->record);
    outcome_unref(&change->outcome);
    free(change->worker);
    change->worker = NULL;
}

void loaded_fini(loaded_t *loaded)
{
    record_unref(&loaded->record);
    outcome_unref(&loaded->outcome);
    free(loaded->worker);
    loaded->worker = NULL;
}
