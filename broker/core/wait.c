/*  Who waits for the end of which task, and who has asked for what: by task and by peer, so that an end
    and a departure cost what hangs on them. */

#include <stdlib.h>

#include "broker/core/inside.h"
#include "common/mem.h"

/* ---- by peer -------------------------------------------------------------------------------- */

static asker_t *asker_find(const core_t *core, peer_t peer)
{
    asker_t *asker;
    HASH_FIND(hh, core->askers, &peer, sizeof peer, asker);
    return asker;
}

static asker_t *asker_get(core_t *core, peer_t peer)
{
    asker_t *asker = asker_find(core, peer);
    if (asker)
        return asker;
    asker = mem_zalloc(sizeof *asker);
    asker->peer = peer;
    HASH_ADD(hh, core->askers, peer, sizeof asker->peer, asker);
    return asker;
}

static void asker_tidy(core_t *core, asker_t *asker)
{
    if (asker->waiters || asker->tickets)
        return;
    HASH_DEL(core->askers, asker);
    free(asker);
}

void asker_note(core_t *core, peer_t peer, ticket_t *ticket)
{
    ticket->peer = peer;
    asker_t *asker = asker_get(core, peer);
    DL_APPEND2(asker->tickets, ticket, asked_prev, asked_next);
}

void asker_drop(core_t *core, ticket_t *ticket)
{
    asker_t *asker = ticket->peer ? asker_find(core, ticket->peer) : NULL;
    if (asker == NULL)
        return;
    DL_DELETE2(asker->tickets, ticket, asked_prev, asked_next);
    asker_tidy(core, asker);
}

/* ---- by task -------------------------------------------------------------------------------- */

static wait_list_t *list_find(const core_t *core, uint64_t seq)
{
    wait_list_t *list;
    HASH_FIND(hh, core->waits, &seq, sizeof seq, list);
    return list;
}

static wait_list_t *list_get(core_t *core, uint64_t seq)
{
    wait_list_t *list = list_find(core, seq);
    if (list)
        return list;
    list = mem_zalloc(sizeof *list);
    list->seq = seq;
    HASH_ADD(hh, core->waits, seq, sizeof list->seq, list);
    return list;
}

static void list_tidy(core_t *core, wait_list_t *list)
{
    if (list->waiters)
        return;
    HASH_DEL(core->waits, list);
    free(list);
}

static void waiter_free(core_t *core, waiter_t *waiter, wait_list_t *list, asker_t *asker)
{
    DL_DELETE(list->waiters, waiter);
    DL_DELETE2(asker->waiters, waiter, asked_prev, asked_next);
    HASH_DEL(core->waiters, waiter);
    free(waiter);
}

static void drop_list(core_t *core, wait_list_t *list)
{
    while (list->waiters) {
        asker_t *asker = asker_find(core, list->waiters->key.peer);
        waiter_free(core, list->waiters, list, asker);
        asker_tidy(core, asker);
    }
    list_tidy(core, list);
}

bool waiter_add(core_t *core, uint64_t seq, peer_t peer, uint64_t corr)
{
    wait_key_t key = {seq, peer, corr};
    waiter_t *waiter;
    if (peer == 0) /* it left while the store was asked */
        return true;
    HASH_FIND(hh, core->waiters, &key, sizeof key, waiter);
    if (waiter) /* a resent WAIT is the same wait */
        return true;
    if (HASH_COUNT(core->waiters) >= LIMIT_WAITERS)
        return false;
    waiter = mem_zalloc(sizeof *waiter);
    waiter->key = key;
    HASH_ADD(hh, core->waiters, key, sizeof waiter->key, waiter);
    wait_list_t *list = list_get(core, seq);
    DL_PREPEND(list->waiters, waiter);
    asker_t *asker = asker_get(core, peer);
    DL_APPEND2(asker->waiters, waiter, asked_prev, asked_next);
    return true;
}

void asker_forget(core_t *core, peer_t peer)
{
    asker_t *asker = asker_find(core, peer);
    if (asker == NULL)
        return;
    for (ticket_t *ticket = asker->tickets; ticket; ticket = ticket->asked_next)
        ticket->peer = 0;
    asker->tickets = NULL;
    while (asker->waiters) {
        wait_list_t *list = list_find(core, asker->waiters->key.seq);
        waiter_free(core, asker->waiters, list, asker);
        list_tidy(core, list);
    }
    asker_tidy(core, asker);
}

void waiters_free_all(core_t *core)
{
    wait_list_t *list, *next;
    HASH_ITER (hh, core->waits, list, next)
        drop_list(core, list);
}

/* ---- telling -------------------------------------------------------------------------------- */

static void tell(effect_t *effect, peer_t peer, uint64_t corr, const loaded_t *loaded, bool partial)
{
    effect->peer = peer;
    effect->corr = corr;
    effect->outcome.record = record_ref(loaded->record);
    effect->outcome.state = loaded->state;
    effect->outcome.attempts = loaded->tries.attempts;
    effect->outcome.outcome = outcome_ref(loaded->outcome);
    effect->outcome.partial = partial;
}

void waiters_tell(core_t *core, task_t *task, outcome_t *outcome, bool partial)
{
    wait_list_t *list = list_find(core, task->seq);
    if (list == NULL)
        return;
    loaded_t now = {
        .record = task->record, .state = task->state, .tries = task->tries, .outcome = outcome};
    for (waiter_t *waiter = list->waiters; waiter; waiter = waiter->next)
        tell(announce(core, task, EFFECT_OUTCOME), waiter->key.peer, waiter->key.corr, &now,
             partial);
    if (!partial)
        drop_list(core, list);
}

void wait_for(core_t *core, const loaded_t *loaded, peer_t peer, uint64_t corr)
{
    if (reeve_state_is_final(loaded->state))
        tell(say(core, EFFECT_OUTCOME), peer, corr, loaded, false);
    else if (!waiter_add(core, loaded->record->seq, peer, corr))
        refuse(core, peer, corr, REEVE_ERR_TOO_MANY, "too many waiters", 1000);
}
