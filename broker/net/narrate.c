/*  The log of what became durable: written when a batch comes back, so that no line tells of
    something that a crash undid. */

#include "broker/net/inside.h"

static void failure(const record_t *record, const outcome_spec_t *outcome, log_level_t level,
                    const char *event)
{
    log_event(level, event, F_SLICE("task_id", record->spec.id),
              F_SLICE("task_name", record->spec.task_name), F_SLICE("queue", record->spec.queue),
              F_SLICE("worker_id", outcome->worker), F_INT("attempt", outcome->attempt),
              F_STR("outcome", ending_name(outcome->ending)), F_SLICE("reason", outcome->reason),
              F_NUM("duration_s", (double)outcome->duration_ms / 1000),
              F_SLICE("error", outcome->error), F_SLICE("traceback", outcome->traceback));
}

static void narrate_change(const change_t *change)
{
    static const outcome_spec_t none;
    const task_spec_t *spec = &change->record->spec;
    const outcome_spec_t *outcome = change->outcome ? &change->outcome->spec : &none;
    if (change->from == REEVE_STATE_UNKNOWN)
        log_event(LOG_DEBUG, "task_enqueued", F_SLICE("task_id", spec->id),
                  F_SLICE("task_name", spec->task_name), F_SLICE("queue", spec->queue),
                  F_SLICE("origin", spec->origin));
    else if (change->to == REEVE_STATE_PROCESSING)
        log_event(LOG_DEBUG, "task_started", F_SLICE("task_id", spec->id),
                  F_STR("worker_id", change->worker), F_INT("attempt", change->tries.attempts));
    else if (change->to == REEVE_STATE_SUCCESS)
        log_event(LOG_DEBUG, "task_finished", F_SLICE("task_id", spec->id),
                  F_STR("state", "success"), F_SLICE("worker_id", outcome->worker),
                  F_NUM("duration_s", (double)outcome->duration_ms / 1000));
    else if (change->to == REEVE_STATE_FAILED)
        failure(change->record, outcome, LOG_WARN, "task_dead_lettered");
    else if (change->to == REEVE_STATE_CANCELLED || change->to == REEVE_STATE_EXPIRED)
        failure(change->record, outcome, LOG_INFO, "task_ended");
    else if (change->from == REEVE_STATE_PROCESSING)
        failure(change->record, outcome, outcome->ending == ENDING_RELEASED ? LOG_INFO : LOG_WARN,
                change->to == REEVE_STATE_SCHEDULED ? "task_retry" : "task_requeued");
}

void narrate_batch(const batch_t *batch)
{
    if (!log_enabled(LOG_WARN))
        return;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i].kind == REQUEST_EFFECT && batch->items[i].effect.kind == EFFECT_CHANGE)
            narrate_change(&batch->items[i].effect.change);
}

void narrate_note(const effect_t *effect)
{
    switch (effect->note.kind) {
    case NOTE_WORKER_JOINED:
        log_event(LOG_INFO, "worker_joined", F_STR("worker_id", effect->note.worker));
        break;
    case NOTE_WORKER_LEFT:
        log_event(LOG_INFO, "worker_left", F_STR("worker_id", effect->note.worker));
        break;
    case NOTE_WORKER_LOST:
        log_event(LOG_WARN, "worker_lost", F_STR("worker_id", effect->note.worker));
        break;
    case NOTE_STALE:
        log_event(LOG_INFO, "stale_attempt", F_INT("seq", (int64_t)effect->note.seq),
                  F_INT("attempt", effect->note.attempt));
        break;
    }
}
