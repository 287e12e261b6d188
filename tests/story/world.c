#include "tests/story/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/store/carry_out.h"
#include "broker/store/memory.h"
#include "common/limits.h"
#include "common/mem.h"

enum { DEAD_PAGE = 4, MAINTAIN_BUDGET = 3 }; /* small, so that there are several pages */

/* ---- the core's effects --------------------------------------------------------------------- */

static void take_effect(world_t *self, effect_t *effect)
{
    story_tell(self, effect);
    switch (effect->kind) {
    case EFFECT_CHANGE:
        audit_change(self, &effect->change);
        break;
    case EFFECT_FIND:
    case EFFECT_LOAD:
    case EFFECT_DUE:
    case EFFECT_DEAD:
    case EFFECT_SWEEP:
        break;
    default:
        audit_message(self, effect);
        effect_fini(effect);
        return;
    }
    if (self->pending_count == self->pending_capacity) {
        self->pending_capacity = self->pending_capacity ? self->pending_capacity * 2 : 64;
        self->pending = mem_realloc(self->pending, self->pending_capacity * sizeof *self->pending);
    }
    self->pending[self->pending_count++] = *effect;
}

static void step(world_t *self, event_t *event)
{
    event->now_ms = self->now_ms;
    event->wall_ms = self->wall_ms;
    core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++)
        take_effect(self, &self->effects.items[i]);
    self->effects.count = 0; /* moved or finished one by one */
}

void world_step(world_t *self, event_t *event)
{
    step(self, event);
    if (!self->held)
        world_rest(self);
}

/* ---- the store ------------------------------------------------------------------------------ */

static void carry_out(world_t *self, const effect_t *effect, page_t *page)
{
    bool more = effect->kind == EFFECT_SWEEP;
    assert_int_equal(store_carry_out(self->store, effect, DEAD_PAGE, page), STORE_OK);
    while (more)
        assert_int_equal(
            self->store->ops->maintain(self->store, effect->sweep.now_ms, MAINTAIN_BUDGET, &more),
            STORE_OK);
}

static void answer(world_t *self, const effect_t *effect, const page_t *page)
{
    event_t event;
    if (store_answer(effect, page, &event))
        step(self, &event);
}

/*  Takes the first `count` effects out of what is pending. */
static effect_t *take_batch(world_t *self, size_t count)
{
    effect_t *batch = mem_alloc(count * sizeof *batch);
    memcpy(batch, self->pending, count * sizeof *batch);
    self->pending_count -= count;
    memmove(self->pending, self->pending + count, self->pending_count * sizeof *batch);
    return batch;
}

/*  The answers come before the news that the batch is durable, in the order of the questions:
    a page may only be read against a live map that still has every task changed since. */
void world_commit_some(world_t *self, size_t count)
{
    if (count > self->pending_count)
        count = self->pending_count;
    if (count == 0)
        return;
    effect_t *batch = take_batch(self, count);
    page_t *pages = mem_zalloc(count * sizeof *pages);
    uint64_t changes = 0;
    self->store->ops->begin(self->store);
    for (size_t i = 0; i < count; i++) {
        carry_out(self, &batch[i], &pages[i]);
        changes += batch[i].kind == EFFECT_CHANGE;
    }
    self->store->ops->commit(self->store);
    for (size_t i = 0; i < count; i++) {
        answer(self, &batch[i], &pages[i]);
        page_fini(&pages[i]);
        effect_fini(&batch[i]);
    }
    free(pages);
    free(batch);
    self->durable += changes;
    if (changes)
        step(self,
             &(event_t){.kind = EVENT_COMMITTED, .committed = {self->durable, self->commit_us}});
}

void world_commit(world_t *self)
{
    world_commit_some(self, self->pending_count);
}

void world_rest(world_t *self)
{
    while (self->pending_count)
        world_commit(self);
}

/* ---- time ----------------------------------------------------------------------------------- */

static void send_heartbeats(world_t *self)
{
    for (size_t i = 0; i < self->connection_count; i++) {
        connection_t *connection = &self->connections[i];
        bool beats = connection->beat && !connection->gone && !connection->mute;
        connection->beat = false;
        if (!beats)
            continue;
        held_t held[LIMIT_WINDOW_TASKS];
        size_t count = 0;
        for (size_t k = 0; k < self->delivery_count; k++) {
            const delivery_t *delivery = &self->deliveries[k];
            if (delivery->peer == i + 1 && count < LIMIT_WINDOW_TASKS)
                held[count++] = (held_t){.seq = delivery->seq,
                                         .attempt = delivery->attempt,
                                         .running_ms = self->now_ms - delivery->since_ms};
        }
        world_step(self,
                   &(event_t){.kind = EVENT_HEARTBEAT,
                              .peer = i + 1,
                              .heartbeat = {connection->kind == PEER_REEVE ? held : NULL, count}});
    }
}

void world_be_deaf(world_t *self, int64_t ms)
{
    self->now_ms += ms;
    self->wall_ms += ms;
    world_step(self, &(event_t){.kind = EVENT_DEAF, .deaf = {ms}});
}

void world_advance(world_t *self, int64_t ms)
{
    int64_t until_ms = self->now_ms + ms;
    while (self->now_ms < until_ms) {
        int64_t next_ms = core_next_deadline(self->core);
        if (next_ms <= self->now_ms)
            fail_msg("the core wants a tick in the past: %lld ms ago",
                     (long long)(self->now_ms - next_ms));
        if (next_ms > until_ms)
            next_ms = until_ms;
        self->wall_ms += next_ms - self->now_ms;
        self->now_ms = next_ms;
        world_step(self, &(event_t){.kind = EVENT_TICK});
        send_heartbeats(self);
    }
}

/* ---- starting and stopping ------------------------------------------------------------------ */

static void restore_queue(const stored_queue_t *queue, void *arg)
{
    core_restore_queue(((world_t *)arg)->core, queue);
}

static void restore_lease(loaded_t *loaded, void *arg)
{
    world_t *self = arg;
    core_restore_lease(self->core, loaded, self->now_ms);
}

static void start(world_t *self)
{
    const store_identity_t *identity = self->store->ops->identity(self->store);
    self->config.next_seq = identity->next_seq;
    self->config.next_queue_id = identity->next_queue_id;
    self->core = core_new(&self->config);
    self->changes = self->durable = 0;
    self->store->ops->recover(
        self->store,
        &(store_recovery_t){.arg = self, .queue = restore_queue, .lease = restore_lease});
    world_step(self, &(event_t){.kind = EVENT_TICK});
}

static void drop_pending(world_t *self)
{
    for (size_t i = 0; i < self->pending_count; i++)
        effect_fini(&self->pending[i]);
    self->pending_count = 0;
}

void world_crash(world_t *self, size_t carried)
{
    self->store->ops->begin(self->store);
    for (size_t i = 0; i < carried && i < self->pending_count; i++) {
        page_t page = {0};
        carry_out(self, &self->pending[i], &page);
        page_fini(&page);
    }
    memory_store_crash(self->store);
    audit_crash(self);
    drop_pending(self);
    core_destroy(&self->core);
    for (size_t i = 0; i < self->connection_count; i++)
        self->connections[i].gone = true;
    self->held = false;
    start(self);
}

void world_restart(world_t *self)
{
    world_crash(self, 0);
}

void world_drain(world_t *self)
{
    world_step(self, &(event_t){.kind = EVENT_DRAIN});
}

void world_disk_low(world_t *self, bool low)
{
    world_step(self, &(event_t){.kind = EVENT_DISK_LOW, .disk = {low}});
}

core_config_t world_config(const policy_t *policy)
{
    return (core_config_t){.policy = *policy,
                           .heartbeat_ms = 1000,
                           .liveness_ms = 10000,
                           .mdp_liveness_ms = 10000,
                           .mdp_timeout_ms = 60000,
                           .grace_ms = 5000,
                           .max_queues = 100,
                           .seed = 1};
}

world_t *world_new_from(const core_config_t *config)
{
    world_t *self = mem_zalloc(sizeof *self);
    self->config = *config;
    self->store = memory_store_new();
    self->now_ms = 1000000;
    self->wall_ms = 1780000000000;
    self->digest = 0xcbf29ce484222325u;
    start(self);
    return self;
}

world_t *world_new_with(const policy_t *policy)
{
    core_config_t config = world_config(policy);
    return world_new_from(&config);
}

world_t *world_new(void)
{
    return world_new_with(&POLICY_DEFAULT);
}

void world_destroy(world_t **self_p)
{
    world_t *self = *self_p;
    if (self->pending_count == 0)
        audit_rest(self);
    drop_pending(self);
    free(self->pending);
    core_destroy(&self->core);
    self->store->ops->close(&self->store);
    effects_fini(&self->effects);
    world_skip(self);
    free(self->lines);
    for (uint64_t i = 0; i < self->label_count; i++)
        free(self->labels[i]);
    free(self->labels);
    free(self->connections);
    free(self->deliveries);
    audit_free(self);
    free(self);
    *self_p = NULL;
}
