/*  Questions and commands about tasks by id, and dead letters in bulk.

    The core keeps no map from ids to tasks: the store answers EFFECT_FIND in the order of its work,
    and what is in the live map is newer than the answer. */

#include <stdlib.h>

#include "broker/core/inside.h"
#include "common/mem.h"

ticket_t *ticket_new(core_t *core, intent_t intent, peer_t peer, uint64_t corr)
{
    ticket_t *ticket = mem_zalloc(sizeof *ticket);
    ticket->number = ++core->next_ticket;
    ticket->intent = intent;
    ticket->corr = corr;
    HASH_ADD(hh, core->tickets, number, sizeof ticket->number, ticket);
    asker_note(core, peer, ticket);
    return ticket;
}

void ticket_free(core_t *core, ticket_t *ticket)
{
    HASH_DEL(core->tickets, ticket);
    asker_drop(core, ticket);
    record_unref(&ticket->record);
    free(ticket);
}

void ticket_find(core_t *core, const ticket_t *ticket, slice_t id)
{
    effect_t *effect = effects_add(core->out, EFFECT_FIND);
    effect->find.ticket = ticket->number;
    effect->find.id = mem_strndup(id.data, id.size);
}

static ticket_t *ticket_by_number(core_t *core, uint64_t number)
{
    ticket_t *ticket;
    HASH_FIND(hh, core->tickets, &number, sizeof number, ticket);
    return ticket;
}

static void done(core_t *core, const ticket_t *ticket, uint64_t count, reeve_state_t state)
{
    effect_t *effect = say(core, EFFECT_DONE);
    effect->peer = ticket->peer;
    effect->corr = ticket->corr;
    effect->done.count = count;
    effect->done.state = state;
}

/* ---- commands on one task ------------------------------------------------------------------- */

static void cancel(core_t *core, task_t *task)
{
    worker_t *worker = lease_holder(task);
    peer_t expecting = lease_expecting(core, task);
    outcome_t *outcome = lease_outcome(core, task, ENDING_CANCELLED, "cancelled", NULL);
    task_end(core, task, REEVE_STATE_CANCELLED, outcome);
    outcome_unref(&outcome);
    lease_revoke(core, task, worker, REVOKE_CANCELLED);
    if (expecting)
        lease_revoke_over(core, task, expecting, REVOKE_CANCELLED);
    worker_expel_mdp(core, worker, task);
}

static void redrive(core_t *core, task_t *task)
{
    task->tries.failures = 0;
    task->tries.deaths = 0;
    task_move(core, task, REEVE_STATE_QUEUED, 0, NULL);
}

/*  Whether the life-cycle lets the intent act on a task in this state. */
static bool applies(intent_t intent, reeve_state_t state)
{
    switch (intent) {
    case INTENT_CANCEL:
        return !reeve_state_is_final(state);
    case INTENT_REDRIVE:
    case INTENT_PURGE:
        return state == REEVE_STATE_FAILED;
    default:
        return true;
    }
}

static void act(core_t *core, intent_t intent, task_t *task)
{
    switch (intent) {
    case INTENT_CANCEL:
        cancel(core, task);
        break;
    case INTENT_REDRIVE:
        redrive(core, task);
        break;
    case INTENT_FORGET:
        if (!reeve_state_is_final(task->state))
            cancel(core, task);
        /* fall through */
    case INTENT_PURGE:
        task_move(core, task, REEVE_STATE_UNKNOWN, 0, NULL);
        break;
    default:
        break;
    }
}

static void command_found(core_t *core, const ticket_t *ticket, loaded_t *loaded)
{
    task_t *task = applies(ticket->intent, loaded->state) ? task_materialise(core, loaded) : NULL;
    if (task == NULL) {
        refuse(core, ticket->peer, ticket->corr, REEVE_ERR_WRONG_STATE,
               reeve_state_name(loaded->state), 0);
        return;
    }
    act(core, ticket->intent, task);
    done(core, ticket, 1, loaded->state);
}

void ask(core_t *core, const event_t *event, intent_t intent)
{
    ticket_t *ticket = ticket_new(core, intent, event->peer, event->corr);
    ticket_find(core, ticket, event->by_id.id);
}

/*  Brings an answer up to date with the live map. False when the task is gone meanwhile; *again
   when it ended meanwhile and only the store has how. */
static bool refresh(core_t *core, loaded_t *loaded, bool *again)
{
    const task_t *task = task_find(core, loaded->record->seq);
    if (task == NULL)
        return true;
    if (task->state == REEVE_STATE_UNKNOWN)
        return false;
    *again = reeve_state_is_final(task->state) && loaded->state != task->state;
    loaded->state = task->state;
    loaded->tries = task->tries;
    return true;
}

void ask_found(core_t *core, const event_t *event)
{
    ticket_t *ticket = ticket_by_number(core, event->found.ticket);
    if (ticket == NULL)
        return;
    loaded_t *loaded = event->found.loaded;
    bool again = false;
    if (loaded && !refresh(core, loaded, &again))
        loaded = NULL;
    if (again) {
        ticket_find(core, ticket, loaded->record->spec.id);
        return;
    }
    if (ticket->intent == INTENT_SUBMIT)
        submit_found(core, ticket, loaded);
    else if (loaded == NULL && ticket->intent == INTENT_FORGET)
        done(core, ticket, 0, REEVE_STATE_UNKNOWN);
    else if (loaded == NULL)
        refuse(core, ticket->peer, ticket->corr, REEVE_ERR_UNKNOWN_TASK, NULL, 0);
    else if (ticket->intent == INTENT_WAIT)
        wait_for(core, loaded, ticket->peer, ticket->corr);
    else
        command_found(core, ticket, loaded);
    ticket_free(core, ticket);
}

/* ---- dead letters in bulk ------------------------------------------------------------------- */

static void ask_page(core_t *core, const ticket_t *ticket, uint64_t after)
{
    effect_t *effect = effects_add(core->out, EFFECT_DEAD);
    effect->dead.ticket = ticket->number;
    effect->dead.queue_id = ticket->queue_id;
    effect->dead.after = after;
}

void ask_dead(core_t *core, const event_t *event, intent_t intent)
{
    if (event->dead.id.size) {
        ticket_t *one = ticket_new(core, intent, event->peer, event->corr);
        ticket_find(core, one, event->dead.id);
        return;
    }
    uint32_t queue_id = 0;
    if (event->dead.queue.size) {
        const queue_t *queue = queue_find(core, event->dead.queue);
        if (queue == NULL) {
            refuse(core, event->peer, event->corr, REEVE_ERR_BAD_QUEUE, "no such queue", 0);
            return;
        }
        queue_id = queue->id;
    }
    ticket_t *ticket = ticket_new(core, intent, event->peer, event->corr);
    ticket->queue_id = queue_id;
    ask_page(core, ticket, 0);
}

void ask_dead_page(core_t *core, const event_t *event)
{
    ticket_t *ticket = ticket_by_number(core, event->dead_page.ticket);
    if (ticket == NULL)
        return;
    for (size_t i = 0; i < event->dead_page.count; i++) {
        task_t *task = task_materialise(core, &event->dead_page.loaded[i]);
        if (task && task->state == REEVE_STATE_FAILED) {
            act(core, ticket->intent, task);
            ticket->count++;
        }
    }
    if (event->dead_page.next) {
        ask_page(core, ticket, event->dead_page.next);
        return;
    }
    done(core, ticket, ticket->count, REEVE_STATE_FAILED);
    ticket_free(core, ticket);
}
