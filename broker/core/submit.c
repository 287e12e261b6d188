/*  Admission: limits, deduplication by id, and the confirm. */

#include "broker/core/inside.h"

enum { RETRY_FULL_MS = 1000, RETRY_DRAINING_MS = 1000, RETRY_DISK_MS = 5000 };

static void confirm(effect_t *effect, peer_t peer, uint64_t corr, durability_t durability,
                    bool duplicate)
{
    effect->peer = peer;
    effect->corr = corr;
    effect->confirm.durability = durability;
    effect->confirm.duplicate = duplicate;
}

static bool is_full(const queue_t *queue, const task_spec_t *spec)
{
    const policy_t *policy = &queue->policy;
    return (policy->max_length &&
            queue->waiting + queue->ahead + queue->scheduled >= policy->max_length) ||
           (policy->max_bytes && queue->bytes + spec->body.size > policy->max_bytes);
}

typedef struct objection {
    reeve_error_t error; /* REEVE_ERR_OK: none */
    const char *text;
    int64_t retry_after_ms;
} objection_t;

/*  Whether a new task may enter; its queue is found or made. */
static objection_t object(core_t *core, const task_spec_t *spec, queue_t **queue)
{
    if (core->draining)
        return (objection_t){REEVE_ERR_DRAINING, NULL, RETRY_DRAINING_MS};
    if (core->disk_low)
        return (objection_t){REEVE_ERR_DISK_LOW, NULL, RETRY_DISK_MS};
    if (core->next_seq > KEY_SEQ_MAX)
        return (objection_t){REEVE_ERR_TOO_MANY, "the database has used up its numbers", 0};
    *queue = queue_get(core, spec->queue);
    if (*queue == NULL)
        return (objection_t){REEVE_ERR_TOO_MANY, "too many queues", 0};
    const policy_t *policy = &(*queue)->policy;
    if (policy->max_bytes && spec->body.size > policy->max_bytes)
        return (objection_t){REEVE_ERR_TOO_LARGE, "body: more than the queue's max-bytes", 0};
    if (is_full(*queue, spec))
        return (objection_t){REEVE_ERR_QUEUE_FULL, NULL, RETRY_FULL_MS};
    return (objection_t){REEVE_ERR_OK, NULL, 0};
}

/*  Takes over `record`, which has no sequence number yet. Limits are for new tasks only: one that is
    stored already was confirmed before this is reached. NULL when it is refused. */
static task_t *admit(core_t *core, record_t *record, peer_t peer, uint64_t corr, bool wait)
{
    queue_t *queue = NULL;
    objection_t objection = object(core, &record->spec, &queue);
    if (objection.error == REEVE_ERR_OK && wait && !waiter_add(core, core->next_seq, peer, corr))
        objection = (objection_t){REEVE_ERR_TOO_MANY, "too many waiters", RETRY_FULL_MS};
    if (objection.error != REEVE_ERR_OK) {
        refuse(core, peer, corr, objection.error, objection.text, objection.retry_after_ms);
        record_unref(&record);
        return NULL;
    }
    record->seq = core->next_seq++;
    record->queue_id = queue->id;
    task_t *task = task_admit(core, record, queue);
    int64_t run_at_ms = record->spec.run_at_ms;
    if (run_at_ms > core->wall_ms)
        task_move(core, task, REEVE_STATE_SCHEDULED, run_at_ms, NULL);
    else
        task_move(core, task, REEVE_STATE_QUEUED, 0, NULL);
    confirm(announce(core, task, EFFECT_CONFIRM), peer, corr, queue->policy.durability, false);
    return task;
}

static size_t weight(const ticket_t *ticket)
{
    return sizeof *ticket + record_memory(ticket->record);
}

/*  One submission of an id at a time: while the store is asked whether it exists, later ones of the
    same id wait, or both would hear that it does not. */
void submit(core_t *core, const event_t *event)
{
    record_t *record = record_new(event->submit.task, 0, 0);
    if (event->submit.delay_ms > 0)
        record->spec.run_at_ms = core->wall_ms + event->submit.delay_ms;
    ticket_t *first;
    HASH_FIND(hh_id, core->submits, record->spec.id.data, record->spec.id.size, first);
    if (first == NULL && !event->submit.maybe_known) {
        admit(core, record, event->peer, event->corr, event->submit.wait);
        return;
    }
    ticket_t *ticket = ticket_new(core, INTENT_SUBMIT, event->peer, event->corr);
    ticket->record = record;
    ticket->wait = event->submit.wait;
    core->ticket_bytes += weight(ticket);
    if (first) {
        DL_APPEND(first->behind, ticket);
        return;
    }
    HASH_ADD_KEYPTR(hh_id, core->submits, record->spec.id.data, record->spec.id.size, ticket);
    ticket_find(core, ticket, record->spec.id);
}

static void settle_duplicate(core_t *core, const ticket_t *ticket, const loaded_t *loaded)
{
    if (!record_same_content(&ticket->record->spec, &loaded->record->spec)) {
        core->conflicts++;
        refuse(core, ticket->peer, ticket->corr, REEVE_ERR_CONFLICT, NULL, 0);
        return;
    }
    core->duplicates++;
    confirm(say(core, EFFECT_CONFIRM), ticket->peer, ticket->corr, DURABILITY_FSYNC, true);
    if (ticket->wait)
        wait_for(core, loaded, ticket->peer, ticket->corr);
}

/*  A task that was admitted becomes what is known of the id. */
static void answer(core_t *core, const ticket_t *ticket, loaded_t *known)
{
    if (known->record) {
        settle_duplicate(core, ticket, known);
        return;
    }
    const task_t *task =
        admit(core, record_ref(ticket->record), ticket->peer, ticket->corr, ticket->wait);
    if (task)
        *known = (loaded_t){.record = task->record, .state = task->state, .tries = task->tries};
}

void submit_found(core_t *core, ticket_t *ticket, const loaded_t *loaded)
{
    loaded_t known = loaded ? *loaded : (loaded_t){0};
    HASH_DELETE(hh_id, core->submits, ticket);
    core->ticket_bytes -= weight(ticket);
    answer(core, ticket, &known);
    ticket_t *later, *next;
    DL_FOREACH_SAFE (ticket->behind, later, next) {
        core->ticket_bytes -= weight(later);
        answer(core, later, &known);
        ticket_free(core, later);
    }
}
