/*  The heart: one event in, timed work, dispatch, and what may be said out. */

#include "broker/core/core.h"

#include <stdlib.h>

#include "broker/core/inside.h"
#include "common/mem.h"

enum { CHECK_MS = 250, SWEEP_MS = 1000 };

static void set_policies(core_t *self, const policy_t *policy, const named_policy_t *named,
                         size_t count)
{
    self->config.policy = *policy;
    self->named = mem_alloc(count * sizeof *named);
    for (size_t i = 0; i < count; i++)
        self->named[i] = (named_policy_t){mem_strdup(named[i].queue), named[i].policy};
    self->config.named_count = count;
}

static void free_policies(core_t *self)
{
    for (size_t i = 0; i < self->config.named_count; i++)
        free((char *)self->named[i].queue);
    free(self->named);
}

core_t *core_new(const core_config_t *config)
{
    core_t *self = mem_zalloc(sizeof *self);
    self->config = *config;
    self->random = config->seed;
    self->next_seq = config->next_seq;
    self->next_queue_id = config->next_queue_id;
    self->due_wall_ms = 0; /* the first step asks what is due */
    set_policies(self, &config->policy, config->named, config->named_count);
    return self;
}

void core_destroy(core_t **self_p)
{
    core_t *self = *self_p;
    if (self == NULL)
        return;
    outbox_fini(&self->outbox);
    waiters_free_all(self);
    HASH_CLEAR(hh_id, self->submits);
    ticket_t *ticket, *next_ticket;
    HASH_ITER (hh, self->tickets, ticket, next_ticket)
        ticket_free(self, ticket);
    worker_t *worker, *next_worker;
    HASH_ITER (hh, self->workers, worker, next_worker) {
        HASH_DEL(self->workers, worker);
        free(worker->subscriptions);
        free(worker->name);
        free(worker);
    }
    task_t *task, *next_task;
    HASH_ITER (hh, self->tasks, task, next_task)
        task_free(self, task);
    queue_free_all(self);
    free_policies(self);
    free(self);
    *self_p = NULL;
}

void core_set_policies(core_t *self, const policy_t *policy, const named_policy_t *named,
                       size_t named_count)
{
    free_policies(self);
    set_policies(self, policy, named, named_count);
    for (queue_t *queue = self->queues_by_name; queue; queue = queue->hh.next)
        queue_set_policy(self, queue);
}

void core_restore_queue(core_t *self, const stored_queue_t *restored)
{
    queue_t *queue = queue_restore(self, restored->id, slice_str(restored->name));
    queue->waiting = restored->waiting;
    queue->scheduled = restored->scheduled;
    queue->dead = restored->dead;
    queue->bytes = restored->bytes;
    queue->oldest_ms = restored->oldest_ms;
    if (queue->waiting)
        queue->window.horizon = key_of(queue->id, LIMIT_PRIORITY, 0);
}

void core_restore_lease(core_t *self, loaded_t *loaded, int64_t now_ms)
{
    task_t *task = task_from_loaded(self, loaded);
    if (task == NULL) {
        loaded_fini(loaded);
        return;
    }
    lease_restore(self, task, loaded, now_ms);
    loaded_fini(loaded);
}

effect_t *say(core_t *core, effect_kind_t kind)
{
    bool waits = core->outbox.count > 0 || core->changes > core->durable;
    return waits ? outbox_add(&core->outbox, core->changes, kind) : effects_add(core->out, kind);
}

bool is_told_at_once(const core_t *core, const task_t *task)
{
    return queue_is_in_memory(task->queue) && task->told_after <= core->durable;
}

effect_t *announce(core_t *core, task_t *task, effect_kind_t kind)
{
    if (is_told_at_once(core, task))
        return effects_add(core->out, kind);
    if (queue_is_in_memory(task->queue))
        task->told_after = core->changes; /* what comes later does not overtake it */
    return say(core, kind);
}

void refuse(core_t *core, peer_t peer, uint64_t corr, reeve_error_t error, const char *text,
            int64_t retry_after_ms)
{
    core->refused++;
    effect_t *effect = say(core, EFFECT_REFUSE);
    effect->peer = peer;
    effect->corr = corr;
    effect->refuse.error = error;
    effect->refuse.text = text;
    effect->refuse.retry_after_ms = retry_after_ms;
}

static void take_due_task(core_t *core, loaded_t *loaded)
{
    bool expired = record_has_expired(loaded->record, core->wall_ms);
    bool scheduled = loaded->state == REEVE_STATE_SCHEDULED;
    if (!expired && !(scheduled && loaded->at_ms <= core->wall_ms)) {
        /* The clock was set back since the question. */
        task_ask_due(core, scheduled ? loaded->at_ms : 0);
        task_ask_due(core, loaded->record->spec.expires_ms);
        return;
    }
    task_t *task = task_materialise(core, loaded);
    if (task == NULL || task->state != loaded->state)
        return;
    if (expired)
        task_expire(core, task);
    else
        task_move(core, task, REEVE_STATE_QUEUED, 0, NULL);
}

/*  Scheduled tasks that are due and waiting ones that expired. */
static void take_due(core_t *core, const event_t *event)
{
    core->due_asked = false;
    task_ask_due(core, event->due.next_ms);
    for (size_t i = 0; i < event->due.count; i++)
        take_due_task(core, &event->due.loaded[i]);
}

static void timed_work(core_t *core)
{
    if (core->now_ms >= core->next_check_ms) {
        worker_check(core, core->now_ms - core->next_check_ms + CHECK_MS);
        core->next_check_ms = core->now_ms + CHECK_MS;
        lease_check(core);
    }
    if (core->now_ms >= core->next_sweep_ms && !core->draining) {
        core->next_sweep_ms = core->now_ms + SWEEP_MS;
        effects_add(core->out, EFFECT_SWEEP)->sweep.now_ms = core->wall_ms;
    }
    if (core->wall_ms >= core->due_wall_ms && !core->due_asked && !core->draining) {
        core->due_asked = true;
        core->due_wall_ms = INT64_MAX;
        effects_add(core->out, EFFECT_DUE)->due.until_ms = core->wall_ms;
    }
}

static void peer_leaves(core_t *core, peer_t peer, departure_t why)
{
    worker_t *worker = worker_find(core, peer);
    if (worker)
        worker_remove(core, worker, why);
    asker_forget(core, peer);
}

static void set_prefetch(core_t *core, const event_t *event)
{
    worker_t *worker = worker_find(core, event->peer);
    if (worker == NULL) {
        refuse(core, event->peer, 0, REEVE_ERR_NOT_READY, NULL, 0);
        return;
    }
    worker->last_heard_ms = listened_ms(core);
    worker_set_prefetch(core, worker, event->prefetch.prefetch);
}

static void commit(core_t *core, const event_t *event)
{
    core->durable = event->committed.changes;
    if (event->committed.took_us > 0)
        core->commit_us = (3 * core->commit_us + event->committed.took_us) / 4;
    task_forget_durable(core);
}

static void drain(core_t *core)
{
    core->draining = true;
    for (worker_t *worker = core->workers; worker; worker = worker->hh.next)
        ahead_take_back_all(core, worker);
}

static void take(core_t *core, const event_t *event)
{
    switch (event->kind) {
    case EVENT_SUBMIT:
        submit(core, event);
        break;
    case EVENT_WAIT:
        ask(core, event, INTENT_WAIT);
        break;
    case EVENT_CANCEL:
        ask(core, event, INTENT_CANCEL);
        break;
    case EVENT_FORGET:
        ask(core, event, INTENT_FORGET);
        break;
    case EVENT_REDRIVE:
        ask_dead(core, event, INTENT_REDRIVE);
        break;
    case EVENT_PURGE:
        ask_dead(core, event, INTENT_PURGE);
        break;
    case EVENT_READY:
        worker_ready(core, event);
        break;
    case EVENT_SETTLE:
        lease_settle(core, event);
        break;
    case EVENT_HEARTBEAT:
        worker_heartbeat(core, event);
        break;
    case EVENT_PREFETCH:
        set_prefetch(core, event);
        break;
    case EVENT_EXTEND:
        lease_extend(core, event);
        break;
    case EVENT_PROGRESS:
        lease_progress(core, event);
        break;
    case EVENT_GOODBYE:
        peer_leaves(core, event->peer, DEPARTURE_GOODBYE);
        break;
    case EVENT_PEER_GONE:
        peer_leaves(core, event->peer, DEPARTURE_GONE);
        break;
    case EVENT_COMMITTED:
        commit(core, event);
        break;
    case EVENT_FOUND:
        ask_found(core, event);
        break;
    case EVENT_LOADED:
        queue_loaded(core, event);
        break;
    case EVENT_DUE:
        take_due(core, event);
        break;
    case EVENT_DEAD:
        ask_dead_page(core, event);
        break;
    case EVENT_TICK:
        break;
    case EVENT_DEAF:
        core->deaf_ms += event->deaf.ms;
        break;
    case EVENT_DRAIN:
        drain(core);
        break;
    case EVENT_DISK_LOW:
        core->disk_low = event->disk.low;
        break;
    }
}

void core_step(core_t *self, const event_t *event, effects_t *out)
{
    self->now_ms = event->now_ms;
    self->wall_ms = event->wall_ms;
    self->out = out;
    take(self, event);
    timed_work(self);
    dispatch_run(self);
    outbox_release(&self->outbox, self->durable, out);
    if (event->kind == EVENT_COMMITTED) {
        ahead_feed(self);
        dispatch_run(self);
    }
    self->out = NULL;
}

int64_t core_next_deadline(const core_t *self)
{
    if (self->draining)
        return self->next_check_ms; /* no task is woken or swept any more */
    int64_t deadline =
        self->next_check_ms < self->next_sweep_ms ? self->next_check_ms : self->next_sweep_ms;
    if (!self->due_asked && self->due_wall_ms != INT64_MAX) {
        int64_t due_ms = self->due_wall_ms - self->wall_ms + self->now_ms;
        if (due_ms < deadline)
            deadline = due_ms;
    }
    return deadline;
}

bool core_awaits_commit(const core_t *self)
{
    return self->outbox.count > 0 || self->hungry;
}

bool core_quiet(const core_t *self)
{
    return self->durable == self->changes && self->outbox.count == 0 && self->tickets == NULL;
}

size_t core_held_bytes(const core_t *self)
{
    return self->ticket_bytes;
}

core_totals_t core_totals(const core_t *self)
{
    core_totals_t totals = {
        .queues = self->queue_count,
        .workers = HASH_COUNT(self->workers),
        .in_memory = HASH_COUNT(self->tasks),
        .stale = self->stale,
        .duplicates = self->duplicates,
        .refused = self->refused,
        .lost = self->lost,
        .conflicts = self->conflicts,
    };
    for (const queue_t *queue = self->queues_by_name; queue; queue = queue->hh.next) {
        totals.waiting += queue->waiting;
        totals.scheduled += queue->scheduled;
        totals.processing += queue->processing;
        totals.dead += queue->dead;
    }
    return totals;
}

void core_each_queue(const core_t *self, void (*each)(const queue_stats_t *, void *), void *arg)
{
    for (const queue_t *queue = self->queues_by_name; queue; queue = queue->hh.next)
        each(&(queue_stats_t){.name = queue->name,
                              .id = queue->id,
                              .waiting = queue->waiting,
                              .scheduled = queue->scheduled,
                              .processing = queue->processing,
                              .dead = queue->dead,
                              .bytes = queue->bytes,
                              .workers = queue->workers,
                              .oldest_ms = queue_oldest_ms(queue)},
             arg);
}

void core_each_worker(const core_t *self, void (*each)(const worker_stats_t *, void *), void *arg)
{
    const char *names[LIMIT_WORKER_QUEUES];
    for (const worker_t *worker = self->workers; worker; worker = worker->hh.next) {
        for (size_t i = 0; i < worker->subscription_count; i++)
            names[i] = worker->subscriptions[i].queue->name;
        each(&(worker_stats_t){.name = worker->name,
                               .peer = worker->peer,
                               .kind = worker->kind,
                               .prefetch = worker->prefetch,
                               .processing = worker->leased,
                               .last_heard_ms = worker->last_heard_ms + self->deaf_ms,
                               .queues = names,
                               .queue_count = worker->subscription_count},
             arg);
    }
}

bool core_is_worker(const core_t *self, peer_t peer)
{
    return worker_find(self, peer) != NULL;
}

const char *core_worker_name(const core_t *self, peer_t peer)
{
    const worker_t *worker = worker_find(self, peer);
    return worker ? worker->name : NULL;
}

bool core_has_workers(const core_t *self, slice_t queue_name)
{
    const queue_t *queue = queue_find(self, queue_name);
    return queue && queue->workers > 0;
}

const policy_t *core_policy(const core_t *self, uint32_t queue_id)
{
    const queue_t *queue = queue_by_id(self, queue_id);
    return queue ? &queue->policy : &self->config.policy;
}

uint32_t core_queue_id(const core_t *self, slice_t name)
{
    const queue_t *queue = queue_find(self, name);
    return queue ? queue->id : 0;
}
