/*  What must hold at every change and message, whatever the test is about. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <uthash.h>

#include "broker/core/state.h"
#include "common/mem.h"
#include "tests/story/world.h"

/*  A task as told by the changes that were issued. Change numbers count from the core's start, 0 is
    "before it". */
struct fact {
    uint64_t seq, key;
    uint32_t queue_id;
    size_t body_size;
    char *id;
    bool in_memory;      /* its changes may be told at once */
    bool told_ephemeral; /* an attempt that a crash may take back */
    reeve_state_t state;
    uint32_t attempts, left_attempt, told_attempt; /* told: the last that was delivered */
    uint64_t admitted, delivered, left, ended;
    fact_t *forgotten; /* the next one */
    UT_hash_handle by_seq, by_id;
};

static fact_t *fact_of(const world_t *self, uint64_t seq)
{
    fact_t *fact;
    HASH_FIND(by_seq, self->by_seq, &seq, sizeof seq, fact);
    return fact;
}

static fact_t *fact_by_id(const world_t *self, slice_t id)
{
    fact_t *fact;
    HASH_FIND(by_id, self->by_id, id.data, id.size, fact);
    return fact;
}

bool audit_knows(const world_t *self, slice_t id)
{
    return fact_by_id(self, id) != NULL;
}

uint64_t world_seq(const world_t *self, const char *id)
{
    const fact_t *fact = fact_by_id(self, slice_str(id));
    return fact ? fact->seq : 0;
}

const char *world_id(const world_t *self, uint64_t seq)
{
    const fact_t *fact = fact_of(self, seq);
    return fact ? fact->id : NULL;
}

size_t world_holding(const world_t *self, peer_t peer)
{
    size_t count = 0;
    for (size_t i = 0; i < self->delivery_count; i++)
        count += self->deliveries[i].peer == peer;
    return count;
}

void world_let_go(world_t *self, peer_t peer, uint64_t seq, uint32_t attempt)
{
    for (size_t i = 0; i < self->delivery_count; i++) {
        const delivery_t *delivery = &self->deliveries[i];
        if (delivery->peer == peer && delivery->seq == seq && delivery->attempt == attempt) {
            self->delivery_count--;
            memmove(&self->deliveries[i], &self->deliveries[i + 1],
                    (self->delivery_count - i) * sizeof *self->deliveries);
            return;
        }
    }
}

/*  Of all deliveries those stay that are not the peer's (0: nobody's), and whose tokens live if they must. */
static void keep_deliveries(world_t *self, peer_t but, bool ephemeral)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->delivery_count; i++)
        if (self->deliveries[i].peer != but && (ephemeral || !self->deliveries[i].ephemeral))
            self->deliveries[kept++] = self->deliveries[i];
    self->delivery_count = kept;
}

void audit_begins_anew(world_t *self, peer_t peer)
{
    keep_deliveries(self, peer, true);
}

/*  An id is admitted once as long as its task is known. */
static fact_t *admit(world_t *self, const record_t *record)
{
    fact_t *before = fact_by_id(self, record->spec.id);
    assert_null(fact_of(self, record->seq));
    if (before) {
        bool removed = before->state == REEVE_STATE_UNKNOWN || reeve_state_is_final(before->state);
        if (!removed)
            fail_msg("the id %s was admitted a second time", before->id);
        HASH_DELETE(by_id, self->by_id, before);
    }
    fact_t *fact = mem_zalloc(sizeof *fact);
    fact->seq = record->seq;
    fact->key = record_key(record);
    fact->queue_id = record->queue_id;
    fact->body_size = record->spec.body.size;
    fact->id = mem_strndup(record->spec.id.data, record->spec.id.size);
    fact->admitted = self->changes;
    HASH_ADD(by_seq, self->by_seq, seq, sizeof fact->seq, fact);
    HASH_ADD_KEYPTR(by_id, self->by_id, fact->id, strlen(fact->id), fact);
    return fact;
}

/*  A queue's tasks run in the order of their keys, whether they are in memory or not. */
static void check_order(const world_t *self, const fact_t *next)
{
    for (const fact_t *fact = self->by_seq; fact; fact = fact->by_seq.next)
        if (fact->state == REEVE_STATE_QUEUED && fact->queue_id == next->queue_id &&
            fact->key < next->key)
            fail_msg("%s ran before %s", next->id, fact->id);
}

/*  A lease without an outcome: nobody may have heard of it. */
static void take_back(const fact_t *fact, const change_t *change)
{
    assert_int_equal(change->to, REEVE_STATE_QUEUED);
    assert_int_equal(change->tries.attempts, fact->attempts - 1);
    if (fact->told_attempt >= fact->attempts)
        fail_msg("%s was taken back after its delivery", fact->id);
}

void audit_change(world_t *self, const change_t *change)
{
    self->changes++;
    fact_t *fact = change->from == REEVE_STATE_UNKNOWN ? admit(self, change->record)
                                                       : fact_of(self, change->record->seq);
    assert_non_null(fact);
    assert_int_equal(fact->state, change->from);
    assert_true(state_may_move(change->from, change->to));
    if (change->to == REEVE_STATE_PROCESSING) {
        check_order(self, fact);
        assert_non_null(change->worker);
        assert_int_equal(change->tries.attempts, fact->attempts + 1);
        fact->delivered = self->changes;
    } else if (change->from == REEVE_STATE_PROCESSING && change->outcome == NULL) {
        take_back(fact, change);
    } else {
        assert_int_equal(change->tries.attempts, fact->attempts);
    }
    if (change->from == REEVE_STATE_PROCESSING && change->outcome) {
        assert_int_equal(change->outcome->spec.attempt, fact->attempts);
        fact->left_attempt = fact->attempts;
        fact->left = self->changes;
    }
    if (reeve_state_is_final(change->to) && fact->ended == 0)
        fact->ended = self->changes;
    fact->in_memory = change->may_wait;
    fact->state = change->to;
    fact->attempts = change->tries.attempts;
}

static void check_durable(const world_t *self, const fact_t *fact, uint64_t change,
                          const char *what)
{
    if (change > self->durable && !fact->in_memory)
        fail_msg("%s of %s was told before it was durable (change %llu, durable %llu)", what,
                 fact->id, (unsigned long long)change, (unsigned long long)self->durable);
}

static void check_delivery(world_t *self, const effect_t *effect)
{
    fact_t *fact = fact_of(self, effect->deliver.record->seq);
    if (effect->deliver.attempt <= fact->told_attempt)
        fail_msg("attempt %u of %s was delivered before", effect->deliver.attempt, fact->id);
    fact->told_attempt = effect->deliver.attempt;
    fact->told_ephemeral |= effect->deliver.ephemeral;
    if (fact->attempts == effect->deliver.attempt)
        check_durable(self, fact, fact->delivered, "a delivery");
    connection_t *connection = &self->connections[effect->peer - 1];
    self->deliveries =
        mem_realloc(self->deliveries, (self->delivery_count + 1) * sizeof *self->deliveries);
    self->deliveries[self->delivery_count++] =
        (delivery_t){effect->peer, effect->deliver.record->seq, effect->deliver.attempt,
                     self->now_ms, effect->deliver.ephemeral};
    if (!connection->gone && world_holding(self, effect->peer) > connection->credit)
        fail_msg("%s holds %zu tasks with a credit of %u", connection->name,
                 world_holding(self, effect->peer), connection->credit);
}

/*  An id that was removed may have been admitted anew before the first confirm is out, so any task
    of this id will do. */
static void check_confirm(const world_t *self, const char *id)
{
    const fact_t *newest = fact_by_id(self, slice_str(id));
    assert_non_null(newest);
    if (newest->admitted <= self->durable)
        return;
    for (const fact_t *fact = self->by_seq; fact; fact = fact->by_seq.next)
        if (fact->admitted <= self->durable && strcmp(fact->id, id) == 0)
            return;
    check_durable(self, newest, newest->admitted, "a confirm");
}

void audit_message(world_t *self, const effect_t *effect)
{
    const fact_t *fact;
    switch (effect->kind) {
    case EFFECT_CONFIRM:
        check_confirm(self, self->labels[effect->corr - 1]);
        break;
    case EFFECT_DELIVER:
        check_delivery(self, effect);
        break;
    case EFFECT_OUTCOME:
    case EFFECT_REPLY:
        fact = fact_of(self, effect->outcome.record->seq);
        if (!effect->outcome.partial)
            check_durable(self, fact, fact->ended, "the end");
        break;
    case EFFECT_REVOKE:
        fact = fact_of(self, effect->revoke.seq);
        if (fact && fact->left_attempt == effect->revoke.attempt)
            check_durable(self, fact, fact->left, "the end of an attempt");
        world_let_go(self, effect->peer, effect->revoke.seq, effect->revoke.attempt);
        break;
    case EFFECT_HEARTBEAT:
        self->connections[effect->peer - 1].beat = true;
        break;
    case EFFECT_DISCONNECT:
        self->connections[effect->peer - 1].gone = true;
        break;
    default:
        break;
    }
}

/* ---- agreement ------------------------------------------------------------------------------ */

static reeve_state_t stored_state(world_t *self, const fact_t *fact)
{
    page_t page = {0};
    self->store->ops->begin(self->store);
    self->store->ops->find(self->store, slice_str(fact->id), &page);
    self->store->ops->commit(self->store);
    reeve_state_t state = REEVE_STATE_UNKNOWN;
    if (page.count && page.items[0].record->seq == fact->seq) {
        state = page.items[0].state;
        assert_int_equal(page.items[0].tries.attempts, fact->attempts);
    }
    page_fini(&page);
    return state;
}

/*  What the core says of one queue against the facts. */
static void check_queue(const queue_stats_t *queue, void *arg)
{
    const world_t *self = arg;
    uint64_t waiting = 0, scheduled = 0, processing = 0, dead = 0, bytes = 0;
    for (const fact_t *fact = self->by_seq; fact; fact = fact->by_seq.next) {
        if (fact->queue_id != queue->id)
            continue;
        waiting += fact->state == REEVE_STATE_QUEUED;
        scheduled += fact->state == REEVE_STATE_SCHEDULED;
        processing += fact->state == REEVE_STATE_PROCESSING;
        dead += fact->state == REEVE_STATE_FAILED;
        if (fact->state != REEVE_STATE_UNKNOWN && !reeve_state_is_final(fact->state))
            bytes += fact->body_size;
    }
    assert_int_equal(queue->waiting, waiting);
    assert_int_equal(queue->scheduled, scheduled);
    assert_int_equal(queue->processing, processing);
    assert_int_equal(queue->dead, dead);
    assert_int_equal(queue->bytes, bytes);
}

void audit_rest(world_t *self)
{
    core_totals_t totals = core_totals(self->core);
    assert_true(core_quiet(self->core));
    core_each_queue(self->core, check_queue, self);
    for (const fact_t *fact = self->by_seq; fact; fact = fact->by_seq.next) {
        reeve_state_t stored = stored_state(self, fact);
        bool swept = stored == REEVE_STATE_UNKNOWN && reeve_state_is_final(fact->state) &&
                     fact->state != REEVE_STATE_FAILED;
        if (stored != fact->state && !swept)
            fail_msg("%s is %s in the store, not %s", fact->id, reeve_state_name(stored),
                     reeve_state_name(fact->state));
    }
    /* Memory is bounded by what waits and what is held, never by what has ended. */
    assert_in_range(totals.in_memory, 0, totals.waiting + totals.processing);
}

/*  The task never was, and its number may be used again; an earlier task of its id is back. */
static void forget(world_t *self, fact_t *fact)
{
    fact_t *before = NULL;
    for (fact_t *other = self->by_seq; other; other = other->by_seq.next)
        if (other != fact && strcmp(other->id, fact->id) == 0)
            before = other;
    if (fact_by_id(self, slice_str(fact->id)) == fact) {
        HASH_DELETE(by_id, self->by_id, fact);
        if (before)
            HASH_ADD_KEYPTR(by_id, self->by_id, before->id, strlen(before->id), before);
    }
    HASH_DELETE(by_seq, self->by_seq, fact);
    fact->forgotten = self->forgotten; /* a test may hold its id */
    self->forgotten = fact;
}

/*  The facts go back to what the store has. */
void audit_crash(world_t *self)
{
    keep_deliveries(self, 0, false); /* tokens of the others end with the broker */
    fact_t *fact, *next;
    HASH_ITER (by_seq, self->by_seq, fact, next) {
        page_t page = {0};
        self->store->ops->begin(self->store);
        self->store->ops->find(self->store, slice_str(fact->id), &page);
        self->store->ops->commit(self->store);
        bool stored = page.count && page.items[0].record->seq == fact->seq;
        if (stored) {
            fact->state = page.items[0].state;
            fact->attempts = page.items[0].tries.attempts;
            if (fact->told_ephemeral)
                fact->told_attempt = fact->attempts;
        }
        page_fini(&page);
        if (!stored && fact->admitted > self->durable) {
            forget(self, fact);
            continue;
        }
        fact->admitted = fact->delivered = fact->left = fact->ended = 0;
        fact->left_attempt = 0;
    }
    self->delivery_count = 0;
}

void audit_free(world_t *self)
{
    HASH_CLEAR(by_id, self->by_id);
    fact_t *fact, *next;
    HASH_ITER (by_seq, self->by_seq, fact, next) {
        HASH_DELETE(by_seq, self->by_seq, fact);
        free(fact->id);
        free(fact);
    }
    while ((fact = self->forgotten) != NULL) {
        self->forgotten = fact->forgotten;
        free(fact->id);
        free(fact);
    }
}
