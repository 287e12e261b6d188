/*  The log of what became durable: written when a batch has come back, so that no line tells of
    something that a crash undid; of a delivery, when it has left. The events are listed in
    docs/operations.md. */

#include "broker/net/inside.h"
#include "common/mem.h"
#include "common/trace.h"

enum { SECOND_MS = 1000 };

/*  A line about one task, under way. */
typedef struct line {
    log_line_t log;
    char trace_id[TRACE_ID_SIZE];
} line_t;

static void add(line_t *line, log_field_t field)
{
    log_line_add(&line->log, field);
}

static void add_text(line_t *line, const char *name, slice_t text)
{
    if (text.size)
        add(line, F_SLICE(name, text));
}

/*  A task has several lines, and its body may have left the caches between them. */
static bool find_trace(record_t *record, char trace_id[TRACE_ID_SIZE])
{
    if (record->untraced)
        return false;
    record->untraced =
        record->spec.body_kind != WIRE_BODY_JSON || !trace_id_of(record->spec.body, trace_id);
    return !record->untraced;
}

static void begin(line_t *line, record_t *record)
{
    const task_spec_t *spec = &record->spec;
    line->log.count = 0;
    add(line, F_SLICE("task_id", spec->id));
    add(line, F_SLICE("task_name", spec->task_name));
    add(line, F_SLICE("queue", spec->queue));
    if (find_trace(record, line->trace_id))
        add(line, F_STR("trace_id", line->trace_id));
}

static void end(const line_t *line, log_level_t level, const char *event)
{
    log_write(level, event, line->log.fields, line->log.count);
}

/* ---- ordinary life, which may be left out --------------------------------------------------- */

/*  Whether the log tells of this task: each of its queue's so-manieth, all lines or none of them, and
    no more lines in a second than the log is meant to bear. */
static bool may_tell(reactor_t *self, const record_t *record)
{
    uint32_t every = core_policy(self->core, record->queue_id)->log_every;
    if (!log_enabled(LOG_INFO) || every == 0 || record->seq % every != 0)
        return false;
    narrator_t *narrator = &self->narrator;
    if (self->now_ms - narrator->second_ms >= SECOND_MS) {
        if (narrator->left_out)
            log_event(LOG_INFO, "task_lines_left_out", F_INT("lines", (int64_t)narrator->left_out));
        *narrator = (narrator_t){.second_ms = self->now_ms};
    }
    if (narrator->written >= self->config.log_task_rate) {
        narrator->left_out++;
        return false;
    }
    narrator->written++;
    return true;
}

static void tell_enqueued(const change_t *change)
{
    line_t line;
    begin(&line, change->record);
    add_text(&line, "origin", change->record->spec.origin);
    if (change->to == REEVE_STATE_SCHEDULED)
        add(&line, F_INT("run_at_ms", change->at_ms));
    end(&line, LOG_INFO, "task_enqueued");
}

static void tell_started(record_t *record, const char *worker, uint32_t attempt)
{
    line_t line;
    begin(&line, record);
    add(&line, F_STR("worker_id", worker));
    add(&line, F_INT("attempt", attempt));
    end(&line, LOG_INFO, "task_started");
}

static void add_attempt(line_t *line, const outcome_spec_t *outcome)
{
    add_text(line, "worker_id", outcome->worker);
    add(line, F_INT("attempt", outcome->attempt));
    add(line, F_NUM("duration_s", (double)outcome->duration_ms / 1000));
}

static void tell_finished(const change_t *change)
{
    line_t line;
    begin(&line, change->record);
    add(&line, F_STR("state", reeve_state_name(change->to)));
    if (change->outcome)
        add_attempt(&line, &change->outcome->spec);
    end(&line, LOG_INFO, "task_finished");
}

static void tell_life(reactor_t *self, const change_t *change)
{
    bool enqueued = change->from == REEVE_STATE_UNKNOWN;
    bool started = change_tells_start(change);
    bool finished = change->to == REEVE_STATE_SUCCESS || change->to == REEVE_STATE_CANCELLED ||
                    change->to == REEVE_STATE_EXPIRED;
    if (!(enqueued || started || finished) || !may_tell(self, change->record))
        return;
    if (enqueued)
        tell_enqueued(change);
    else if (started)
        tell_started(change->record, change->worker, change->tries.attempts);
    else
        tell_finished(change);
}

char *narrate_starter(reactor_t *self, const record_t *record, peer_t peer)
{
    const char *worker = may_tell(self, record) ? core_worker_name(self->core, peer) : NULL;
    return worker ? mem_strdup(worker) : NULL;
}

void narrate_sent(const sent_t *sent)
{
    if (sent->worker)
        tell_started(sent->record, sent->worker, sent->attempt);
}

/* ---- what goes wrong, which is always told -------------------------------------------------- */

static void tell_attempt(const change_t *change, log_level_t level, const char *event)
{
    const outcome_spec_t *outcome = &change->outcome->spec;
    line_t line;
    begin(&line, change->record);
    add_attempt(&line, outcome);
    add_text(&line, "reason", outcome->reason);
    add_text(&line, "error", outcome->error);
    add_text(&line, "traceback", outcome->traceback);
    end(&line, level, event);
}

static void tell_retry(const change_t *change)
{
    line_t line;
    begin(&line, change->record);
    add(&line, F_INT("failures", change->tries.failures));
    add(&line, F_INT("run_at_ms", change->at_ms));
    end(&line, LOG_WARN, "task_retry");
}

static void tell_dead_letter(const change_t *change)
{
    line_t line;
    begin(&line, change->record);
    add_text(&line, "reason", change->outcome ? change->outcome->spec.reason : (slice_t){0});
    add(&line, F_INT("attempts", change->tries.attempts));
    add(&line, F_INT("failures", change->tries.failures));
    add(&line, F_INT("deaths", change->tries.deaths));
    end(&line, LOG_WARN, "task_dead_lettered");
}

static void tell_ending(const change_t *change)
{
    switch (change->outcome->spec.ending) {
    case ENDING_FAILURE:
    case ENDING_TIMEOUT:
    case ENDING_REJECTED:
        tell_attempt(change, LOG_WARN, "task_failed");
        break;
    case ENDING_LOST:
        tell_attempt(change, LOG_WARN, "lease_lost");
        break;
    case ENDING_RELEASED:
        tell_attempt(change, LOG_INFO, "task_released");
        break;
    default:
        break;
    }
}

static void tell_trouble(const change_t *change)
{
    if (change->from == REEVE_STATE_PROCESSING && change->outcome)
        tell_ending(change);
    if (change->from == REEVE_STATE_PROCESSING && change->to == REEVE_STATE_SCHEDULED)
        tell_retry(change);
    if (change->to == REEVE_STATE_FAILED)
        tell_dead_letter(change);
}

void narrate_batch(reactor_t *self, const batch_t *batch)
{
    if (!log_enabled(LOG_WARN))
        return;
    for (size_t i = 0; i < batch->count; i++) {
        const request_t *request = &batch->items[i];
        if (request->kind != REQUEST_EFFECT || request->effect.kind != EFFECT_CHANGE)
            continue;
        tell_trouble(&request->effect.change);
        tell_life(self, &request->effect.change);
    }
}

/* ---- workers -------------------------------------------------------------------------------- */

/*  A task that is no longer in memory has its number in the store instead of its id. */
static void tell_stale(const effect_t *effect)
{
    line_t line = {0};
    if (effect->note.record)
        begin(&line, effect->note.record);
    else
        add(&line, F_INT("seq", (int64_t)effect->note.seq));
    add(&line, F_INT("attempt", effect->note.attempt));
    end(&line, LOG_WARN, "stale_attempt");
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
        tell_stale(effect);
        break;
    }
}
