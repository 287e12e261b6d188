/*  The workers: what they take, how much room they have, and whether they live. */

#include <stdlib.h>

#include "broker/core/inside.h"
#include "common/mem.h"

worker_t *worker_find(const core_t *core, peer_t peer)
{
    worker_t *worker;
    HASH_FIND(hh, core->workers, &peer, sizeof peer, worker);
    return worker;
}

/*  Whether two tell of one process: a name may be given to another one, after the first has died or
    by mistake; who does not tell an instance has to have a name of its own. */
static bool is_same(const char *name, uint64_t instance, slice_t other_name,
                    uint64_t other_instance)
{
    return slice_eq(slice_str(name), other_name) &&
           (instance == other_instance || instance == 0 || other_instance == 0);
}

/*  The registration that a READY over a new connection takes the place of. */
static worker_t *find_earlier(const core_t *core, const event_t *event)
{
    for (worker_t *worker = core->workers; worker; worker = worker->hh.next)
        if (worker->kind == PEER_REEVE &&
            is_same(worker->name, worker->instance, event->ready.name, event->ready.instance))
            return worker;
    return NULL;
}

static void note(core_t *core, note_kind_t kind, const worker_t *worker)
{
    effect_t *effect = say(core, EFFECT_NOTE);
    effect->peer = worker->peer;
    effect->note.kind = kind;
    effect->note.worker = mem_strdup(worker->name);
}

static void leave_list(subscription_t *subscription)
{
    if (subscription->list)
        DL_DELETE(*subscription->list, subscription);
    subscription->list = NULL;
}

/*  The queues take turns at each worker: or the first that it named would always be the first to be
    marked, and one with a backlog would starve the others of a worker with a single slot. */
void worker_update(core_t *core, worker_t *worker)
{
    bool open = worker->leased < worker->prefetch;
    bool spare = !open && worker->ahead_count < ahead_limit(worker);
    for (size_t i = 0; i < worker->subscription_count; i++) {
        size_t at = (worker->turn + i) % worker->subscription_count;
        subscription_t *subscription = &worker->subscriptions[at];
        queue_t *queue = subscription->queue;
        subscription_t **list = open ? &queue->open : spare ? &queue->spare : NULL;
        if (list != subscription->list) {
            leave_list(subscription);
            if (list)
                DL_APPEND(*list, subscription);
            subscription->list = list;
        }
        if (list) {
            dispatch_mark(core, queue);
            queue_ask(core, queue);
        }
    }
}

static void unsubscribe(worker_t *worker)
{
    for (size_t i = 0; i < worker->subscription_count; i++) {
        subscription_t *subscription = &worker->subscriptions[i];
        leave_list(subscription);
        subscription->queue->workers--;
    }
    free(worker->subscriptions);
    worker->subscriptions = NULL;
    worker->subscription_count = 0;
    worker->turn = 0;
}

static bool subscribed(const worker_t *worker, const queue_t *queue)
{
    for (size_t i = 0; i < worker->subscription_count; i++)
        if (worker->subscriptions[i].queue == queue)
            return true;
    return false;
}

/*  False when the broker has no room for one of the queues. */
static bool subscribe(core_t *core, worker_t *worker, const slice_t *queues, size_t count)
{
    worker->subscriptions = mem_zalloc(count * sizeof *worker->subscriptions);
    for (size_t i = 0; i < count; i++) {
        queue_t *queue = queue_get(core, queues[i]);
        if (queue == NULL)
            return false;
        if (subscribed(worker, queue))
            continue;
        worker->subscriptions[worker->subscription_count++] =
            (subscription_t){.worker = worker, .queue = queue};
        queue->workers++;
    }
    return true;
}

void worker_remove(core_t *core, worker_t *worker, departure_t why)
{
    bool lost = why != DEPARTURE_GOODBYE;
    bool may_hear = why == DEPARTURE_LOST;
    size_t unsent = 0;
    unsubscribe(worker);
    ahead_take_back_all(core, worker);
    task_t *task, *next;
    DL_FOREACH_SAFE2(worker->held, task, next, held_next)
    {
        bool never_sent = !may_hear && lease_is_unsent(core, task);
        unsent += never_sent;
        if (lost && !never_sent)
            lease_orphan(core, task);
        else
            lease_release(core, task);
    }
    if (unsent > 0)
        outbox_drop_deliveries(&core->outbox, worker->peer);
    note(core, lost ? NOTE_WORKER_LOST : NOTE_WORKER_LEFT, worker);
    HASH_DEL(core->workers, worker);
    free(worker->name);
    free(worker);
}

void worker_expel_mdp(core_t *core, worker_t *worker, task_t *task)
{
    if (worker == NULL || worker->kind == PEER_REEVE)
        return;
    announce(core, task, EFFECT_DISCONNECT)->peer = worker->peer;
    worker_remove(core, worker, DEPARTURE_GOODBYE);
}

/*  Takes what the worker says it holds: keeps and extends what is its own, gives it back what was
    waiting for its return, and revokes the rest. */
static void reconcile(core_t *core, worker_t *worker, const held_t *held, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        task_t *task = task_find(core, held[i].seq);
        bool current = task && task->state == REEVE_STATE_PROCESSING &&
                       task->tries.attempts == held[i].attempt &&
                       (task->holder == NULL || task->holder == worker);
        if (!current) {
            lease_revoke_held(core, worker, &held[i]);
            continue;
        }
        if (task->holder == NULL) {
            outbox_drop_revoke(&core->outbox, worker->peer, &held[i]);
            lease_adopt(core, task, worker);
        }
        if (held[i].timeout_ms > 0)
            task->timeout_ms = held[i].timeout_ms;
        task->lease_until_ms = listened_ms(core) + core->config.liveness_ms;
        if (held[i].running_ms >= 0 && task->timeout_ms > 0)
            task->deadline_ms = listened_ms(core) - held[i].running_ms + task->timeout_ms +
                                core->config.liveness_ms;
    }
}

/*  Leases of this worker's earlier connection that it does not name any more: it has come back, so
    it did not die, and what it does not hold may go to others at once. Another process of the name is
    not it: that one may have died of the task. Nor is a Majordomo worker, whose name is its routing id. */
static void release_forgotten(core_t *core, worker_t *worker)
{
    task_t *task, *next;
    if (worker->kind != PEER_REEVE)
        return;
    DL_FOREACH_SAFE (core->leases, task, next) {
        if (task->holder || !is_same(task->holder_name, task->holder_instance,
                                     slice_str(worker->name), worker->instance))
            continue;
        if (lease_expecting(core, task) == worker->peer)
            lease_adopt(core, task, worker);
        else
            lease_release(core, task);
    }
}

static worker_t *worker_new(core_t *core, const event_t *event)
{
    worker_t *worker = mem_zalloc(sizeof *worker);
    worker->peer = event->peer;
    worker->kind = event->ready.kind;
    worker->name = mem_strndup(event->ready.name.data, event->ready.name.size);
    worker->instance = event->ready.instance;
    worker->last_heartbeat_ms = core->now_ms;
    HASH_ADD(hh, core->workers, peer, sizeof worker->peer, worker);
    note(core, NOTE_WORKER_JOINED, worker);
    return worker;
}

void worker_ready(core_t *core, const event_t *event)
{
    worker_t *worker = worker_find(core, event->peer);
    if (worker &&
        !is_same(worker->name, worker->instance, event->ready.name, event->ready.instance)) {
        worker_remove(core, worker, DEPARTURE_GONE); /* another process has its routing id */
        worker = NULL;
    }
    if (worker == NULL) {
        /* The same worker on a new connection: the old one is over, its leases may move. */
        worker_t *earlier = event->ready.kind == PEER_REEVE ? find_earlier(core, event) : NULL;
        if (earlier)
            worker_remove(core, earlier, DEPARTURE_LOST);
        worker = worker_new(core, event);
    } else {
        unsubscribe(worker);
        ahead_take_back_all(core, worker);
    }
    worker->last_heard_ms = listened_ms(core);
    if (!subscribe(core, worker, event->ready.queues, event->ready.queue_count)) {
        refuse(core, event->peer, event->corr, REEVE_ERR_TOO_MANY, "too many queues", 0);
        worker_remove(core, worker, DEPARTURE_GOODBYE);
        say(core, EFFECT_DISCONNECT)->peer = event->peer;
        return;
    }
    worker->prefetch = event->ready.prefetch;
    reconcile(core, worker, event->ready.held, event->ready.held_count);
    release_forgotten(core, worker);
    worker_update(core, worker);
}

void worker_heartbeat(core_t *core, const event_t *event)
{
    worker_t *worker = worker_find(core, event->peer);
    if (worker == NULL) {
        refuse(core, event->peer, 0, REEVE_ERR_NOT_READY, NULL, 0);
        return;
    }
    worker->last_heard_ms = listened_ms(core);
    if (event->heartbeat.held == NULL)
        return;
    reconcile(core, worker, event->heartbeat.held, event->heartbeat.held_count);
    worker_update(core, worker); /* what it has been given back takes up room */
}

void worker_set_prefetch(core_t *core, worker_t *worker, uint32_t prefetch)
{
    worker->prefetch = prefetch;
    ahead_promote(core, worker);
    ahead_trim(core, worker);
    worker_update(core, worker);
}

/*  Half of the field's Majordomo workers cannot heartbeat while busy: only an idle one is judged by
    its silence; a busy one by its connection and its lease. A silent worker is found not later than
    the end of the leases it named last, or it would be given the next task as it loses one. */
static bool is_silent(const core_t *core, const worker_t *worker)
{
    int64_t silence_ms = listened_ms(core) - worker->last_heard_ms;
    if (worker->kind == PEER_REEVE)
        return silence_ms >= core->config.liveness_ms;
    return worker->leased == 0 && silence_ms >= core->config.mdp_liveness_ms;
}

void worker_check(core_t *core, int64_t elapsed_ms)
{
    worker_t *worker, *next;
    HASH_ITER (hh, core->workers, worker, next) {
        if (is_silent(core, worker)) {
            worker_remove(core, worker, DEPARTURE_LOST);
            continue;
        }
        ahead_measure(core, worker, elapsed_ms);
        if (core->now_ms - worker->last_heartbeat_ms >= core->config.heartbeat_ms) {
            worker->last_heartbeat_ms = core->now_ms;
            effects_add(core->out, EFFECT_HEARTBEAT)->peer = worker->peer;
        }
    }
}
