#include "tests/sim/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "broker/core/core.h"
#include "broker/store/carry_out.h"
#include "broker/store/memory.h"
#include "common/mem.h"
#include "tests/sim/disk.h"
#include "tests/sim/host_inside.h"
#include "tests/sim/network.h"

enum { TURN_MESSAGES = 256, POLL_MAX_MS = 1000, STOP_MS = 10000, STRAYS_MAX = 8 };

static void look_at_clocks(const host_t *self)
{
    oracle_time(self->sim->oracle, self->sim->now_ms, sim_wall_ms(self->sim));
}

/* ---- ids and peers -------------------------------------------------------------------------- */

/*  The id filter: yes is a maybe, and never no for an id that was admitted. Ids stay after their tasks
    are gone, and the plan adds yeses that are simply wrong. */
bool host_maybe_known(host_t *self, slice_t id)
{
    known_id_t *known;
    HASH_FIND(hh, self->ids, id.data, id.size, known);
    return sim_fault(self->sim, self->sim->plan.false_maybes) || known;
}

static void learn_id(host_t *self, slice_t id)
{
    known_id_t *known;
    HASH_FIND(hh, self->ids, id.data, id.size, known);
    if (known)
        return;
    known = mem_zalloc(sizeof *known);
    memcpy(known->id, id.data, id.size);
    HASH_ADD(hh, self->ids, id, id.size, known);
}

host_peer_t *host_peer(host_t *self, uint64_t handle)
{
    host_peer_t *peer;
    HASH_FIND(hh, self->peers, &handle, sizeof handle, peer);
    return peer;
}

static host_peer_t *peer_get(host_t *self, uint64_t handle)
{
    host_peer_t *peer = host_peer(self, handle);
    if (peer == NULL) {
        peer = mem_zalloc(sizeof *peer);
        peer->handle = handle;
        HASH_ADD(hh, self->peers, handle, sizeof peer->handle, peer);
    }
    return peer;
}

static void forget_peer(host_t *self, host_peer_t *peer)
{
    HASH_DEL(self->peers, peer);
    free(peer);
}

/* ---- effects -------------------------------------------------------------------------------- */

void host_part(host_t *self, uint64_t handle, event_kind_t kind)
{
    self->partings =
        mem_realloc(self->partings, (self->parting_count + 1) * sizeof *self->partings);
    self->partings[self->parting_count++] = (parting_t){handle, kind};
}

void host_say(host_t *self, uint64_t handle, const message_t *message)
{
    sim_tell_message(self->sim, network_name(self->sim->network, handle), "<-", message);
    oracle_says(self->sim->oracle, handle, message);
    if (!network_answer(self->sim->network, handle, message))
        host_part(self, handle, EVENT_PEER_GONE);
}

static void to_disk(host_t *self, effect_t *effect)
{
    if (self->batch == NULL)
        self->batch = batch_new();
    batch_add(self->batch)->effect = *effect;
    if (effect->kind == EFFECT_CHANGE) {
        self->batch->changes++;
        if (effect->change.from == REEVE_STATE_UNKNOWN)
            learn_id(self, effect->change.record->spec.id);
    }
    effect->kind = EFFECT_NONE;
}

static void carry_out(host_t *self, effect_t *effect)
{
    host_peer_t *peer;
    if (effect->kind <= EFFECT_SWEEP) {
        to_disk(self, effect);
    } else if (effect->kind == EFFECT_NOTE) {
        self->sim->counts.stale += effect->note.kind == NOTE_STALE;
    } else if (effect->kind == EFFECT_REPLY) {
        host_reply(self, effect);
    } else if ((peer = host_peer(self, effect->peer)) != NULL) {
        host_tell(self, peer, effect);
    }
}

void host_step(host_t *self, event_t *event)
{
    sim_t *sim = self->sim;
    event->now_ms = sim->now_ms;
    event->wall_ms = sim_wall_ms(sim);
    sim->counts.steps++;
    core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.items[i]);
    effects_clear(&self->effects);
    if (sim->stepped)
        sim->stepped(sim->digest, sim->stepped_arg);
}

/* ---- finished batches ----------------------------------------------------------------------- */

static void answer(host_t *self, const job_t *job)
{
    event_t event;
    if (store_answer(&job->effect, &job->page, &event))
        host_step(self, &event);
}

/*  In the order of reactor.c: the answers were read before the batch was durable, so the core hears
    them first. */
static void take_batch(host_t *self, batch_t *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        answer(self, &batch->jobs[i]);
    self->committed += batch->changes;
    if (batch->changes)
        host_step(self, &(event_t){.kind = EVENT_COMMITTED,
                                   .committed = {self->committed, batch->took_us}});
}

/* ---- turns ---------------------------------------------------------------------------------- */

static void collect(host_t *self)
{
    batch_t *batch;
    while ((batch = disk_collect(self->disk)) != NULL) {
        take_batch(self, batch);
        batch_destroy(&batch);
    }
}

static void drain_inbox(host_t *self)
{
    size_t count = self->inbox_count < TURN_MESSAGES ? self->inbox_count : TURN_MESSAGES;
    for (size_t i = 0; i < count; i++) {
        received_t *received = &self->inbox[i];
        sim_tell_message(self->sim, network_name(self->sim->network, received->handle), "->",
                         &received->message);
        host_peer_t *peer = peer_get(self, received->handle);
        peer->protocol = received->message.protocol;
        host_take(self, peer, &received->message);
    }
    self->inbox_count -= count;
    if (self->inbox_count)
        memmove(self->inbox, self->inbox + count, self->inbox_count * sizeof *self->inbox);
}

/*  Tells the core who turned out to be gone while it was spoken to. */
static void part_with_the_gone(host_t *self)
{
    while (self->parting_count > 0) {
        parting_t parting = self->partings[--self->parting_count];
        host_peer_t *peer = host_peer(self, parting.handle);
        oracle_loses(self->sim->oracle, parting.handle);
        host_step(self, &(event_t){.kind = parting.kind, .peer = parting.handle});
        peer = host_peer(self, parting.handle);
        if (peer && parting.kind == EVENT_PEER_GONE)
            forget_peer(self, peer);
        else if (peer)
            peer->mdp_worker = false;
    }
}

static void turn(void *who, uint64_t epoch);

static void wake_at(host_t *self, int64_t at_ms)
{
    if (at_ms >= self->wake_ms)
        return;
    self->wake_ms = at_ms;
    timeline_at(&self->sim->timeline, at_ms, turn, self, self->epoch);
}

static void say_bye(const worker_stats_t *worker, void *arg)
{
    host_t *self = arg;
    host_peer_t *peer = host_peer(self, worker->peer);
    if (peer)
        host_say(self, worker->peer, &(message_t){.kind = MSG_BYE, .protocol = peer->protocol});
}

/*  A drained broker stops when all is written and said. */
static bool may_stop(const host_t *self)
{
    return self->draining && (self->sim->now_ms >= self->stop_ms ||
                              (core_quiet(self->core) && disk_idle(self->disk)));
}

static void turn(void *who, uint64_t epoch)
{
    host_t *self = who;
    sim_t *sim = self->sim;
    if (!self->up || epoch != self->epoch)
        return;
    if (sim->now_ms >= self->wake_ms)
        self->wake_ms = INT64_MAX;
    look_at_clocks(self);
    collect(self);
    drain_inbox(self);
    if (sim->now_ms >= core_next_deadline(self->core))
        host_step(self, &(event_t){.kind = EVENT_TICK});
    part_with_the_gone(self);
    if (self->batch)
        disk_submit(self->disk, &self->batch);
    if (may_stop(self)) {
        host_stop(self);
        return;
    }
    int64_t deadline_ms = core_next_deadline(self->core);
    if (deadline_ms <= sim->now_ms)
        deadline_ms = sim->now_ms + 1;
    if (deadline_ms > sim->now_ms + POLL_MAX_MS)
        deadline_ms = sim->now_ms + POLL_MAX_MS;
    wake_at(self, self->inbox_count ? sim->now_ms : deadline_ms);
}

void host_receive(host_t *self, uint64_t handle, const message_t *message)
{
    if (self->inbox_count == self->inbox_capacity) {
        self->inbox_capacity = self->inbox_capacity ? self->inbox_capacity * 2 : 16;
        self->inbox = mem_realloc(self->inbox, self->inbox_capacity * sizeof *self->inbox);
    }
    received_t *received = &self->inbox[self->inbox_count++];
    received->handle = handle;
    message_copy(&received->message, message);
    /* Now and then the reactor is busy, and finds several when it comes to look. */
    wake_at(self, self->sim->now_ms + dice_between(&self->sim->dice, 0, 2));
}

void host_wake(host_t *self)
{
    wake_at(self, self->sim->now_ms);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void restore_queue(const stored_queue_t *queue, void *arg)
{
    core_restore_queue(((host_t *)arg)->core, queue);
}

static void restore_lease(loaded_t *loaded, void *arg)
{
    host_t *self = arg;
    core_restore_lease(self->core, loaded, self->sim->now_ms);
}

static policy_t policy_of(const queue_plan_t *plan)
{
    return (policy_t){.max_retries = plan->max_retries,
                      .max_deaths = plan->max_deaths,
                      .backoff_ms = plan->backoff_ms,
                      .backoff_max_ms = plan->backoff_max_ms,
                      .timeout_ms = plan->timeout_ms,
                      .retention_ms = plan->retention_ms,
                      .max_length = plan->max_length,
                      .max_bytes = plan->max_bytes,
                      .durability = plan->in_memory ? DURABILITY_MEMORY : DURABILITY_FSYNC};
}

static core_t *make_core(const host_t *self)
{
    const plan_t *plan = &self->sim->plan;
    const store_identity_t *identity = self->store->ops->identity(self->store);
    named_policy_t named[QUEUES_MAX];
    for (unsigned i = 0; i < plan->queue_count; i++)
        named[i] = (named_policy_t){plan->queues[i].name, policy_of(&plan->queues[i])};
    return core_new(&(core_config_t){.policy = named[0].policy,
                                     .named = named,
                                     .named_count = plan->queue_count,
                                     .heartbeat_ms = plan->heartbeat_ms,
                                     .liveness_ms = plan->liveness_ms,
                                     .mdp_liveness_ms = plan->liveness_ms,
                                     .mdp_timeout_ms = plan->mdp_timeout_ms,
                                     .grace_ms = plan->grace_ms,
                                     .max_queues = QUEUES_MAX,
                                     .seed = plan->seed ^ self->epoch,
                                     .next_seq = identity->next_seq,
                                     .next_queue_id = identity->next_queue_id});
}

host_t *host_new(sim_t *sim)
{
    host_t *self = mem_zalloc(sizeof *self);
    self->sim = sim;
    self->store = memory_store_new();
    return self;
}

void host_start(host_t *self)
{
    sim_t *sim = self->sim;
    if (self->up)
        return;
    self->epoch++;
    self->committed = 0;
    self->wake_ms = INT64_MAX;
    self->draining = false;
    self->core = make_core(self);
    memcpy(self->token_keys.lasting, self->store->ops->identity(self->store)->token_key,
           TOKEN_KEY_BYTES);
    memset(self->token_keys.ephemeral, (int)self->epoch, TOKEN_KEY_BYTES);
    self->store->ops->recover(self->store, &(store_recovery_t){self, restore_queue, restore_lease});
    self->disk = disk_new(sim, self->store);
    self->up = true;
    look_at_clocks(self);
    oracle_sees_start(sim->oracle);
    sim_tell(sim, "the broker starts, epoch %llu", (unsigned long long)self->epoch);
    if (self->disk_low)
        host_step(self, &(event_t){.kind = EVENT_DISK_LOW, .disk = {true}});
    host_wake(self);
}

static void restart(void *who, uint64_t epoch)
{
    host_t *self = who;
    if (!self->up && epoch == self->epoch && !self->sim->over)
        host_start(self);
}

/*  The process is no more; what is left is the store. */
static void leave(host_t *self, bool all_written)
{
    sim_t *sim = self->sim;
    batch_destroy(&self->batch);
    core_destroy(&self->core);
    host_peer_t *peer, *next;
    HASH_ITER (hh, self->peers, peer, next)
        forget_peer(self, peer);
    self->inbox_count = self->parting_count = 0;
    self->up = false;
    network_cut_all(sim->network);
    look_at_clocks(self);
    oracle_sees_stop(sim->oracle, all_written);
    host_audit(self);
    if (!sim->over)
        sim_after(sim, dice_between(&sim->dice, 0, sim->plan.down_max_ms), restart, self,
                  self->epoch);
}

void host_kill(host_t *self)
{
    if (!self->up)
        return;
    sim_tell(self->sim, "the broker is killed");
    self->sim->counts.crashes++;
    disk_kill(&self->disk);
    leave(self, false);
}

void host_store_failed(host_t *self, bool written)
{
    sim_tell(self->sim, "a commit fails%s, the broker stops",
             written ? " after it was written" : "");
    self->sim->counts.crashes++;
    disk_kill(&self->disk);
    leave(self, false);
}

void host_stop(host_t *self)
{
    if (!self->up)
        return;
    sim_tell(self->sim, "the broker stops");
    self->sim->counts.restarts++;
    bool all_written = core_quiet(self->core) && disk_idle(self->disk);
    core_each_worker(self->core, say_bye, self);
    disk_stop(&self->disk);
    leave(self, all_written);
}

void host_drain(host_t *self)
{
    if (!self->up || self->draining)
        return;
    sim_tell(self->sim, "the broker drains");
    self->draining = true;
    self->stop_ms = self->sim->now_ms + STOP_MS;
    look_at_clocks(self);
    oracle_sees_drain(self->sim->oracle);
    host_step(self, &(event_t){.kind = EVENT_DRAIN});
    host_wake(self);
}

void host_set_disk_low(host_t *self, bool low)
{
    self->disk_low = low;
    look_at_clocks(self);
    oracle_sees_disk(self->sim->oracle, low);
    if (!self->up)
        return;
    host_step(self, &(event_t){.kind = EVENT_DISK_LOW, .disk = {low}});
    host_wake(self);
}

bool host_is_up(const host_t *self)
{
    return self->up;
}

void host_destroy(host_t **self_p)
{
    host_t *self = *self_p;
    self->store->ops->close(&self->store);
    effects_fini(&self->effects);
    known_id_t *known, *next;
    HASH_ITER (hh, self->ids, known, next) {
        HASH_DEL(self->ids, known);
        free(known);
    }
    free(self->inbox);
    free(self->partings);
    free(self);
    *self_p = NULL;
}
