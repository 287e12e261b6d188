/*  Tasks live in two hash tables; what reads need in order (ready, due, dead …) is kept in sorted
    arrays. An apply takes effect at once, so reads see it, and an undo log takes it back should
    there be a crash before the commit. Records are copied on the way in and out: those of the core
    are counted by the reactor's thread only. */

#include "broker/store/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "common/limits.h"
#include "common/mem.h"

/* ---- sorted arrays -------------------------------------------------------------------------- */

typedef struct entry {
    uint64_t rank, seq;
} entry_t;

/*  Ascending by rank, then seq. Room is kept in front too: most removals are at the head. */
typedef struct order {
    entry_t *items;
    size_t first, count, capacity;
} order_t;

static entry_t *order_at(const order_t *self, size_t at)
{
    return &self->items[self->first + at];
}

/*  The place of the first entry that is not before this one. */
static size_t order_find(const order_t *self, entry_t entry)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const entry_t *item = order_at(self, middle);
        if (item->rank < entry.rank || (item->rank == entry.rank && item->seq < entry.seq))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void order_make_room(order_t *self)
{
    if (self->first + self->count < self->capacity)
        return;
    if (self->count * 2 > self->capacity || self->capacity == 0) {
        self->capacity = self->capacity ? self->capacity * 2 : 64;
        self->items = mem_realloc(self->items, self->capacity * sizeof *self->items);
    }
    memmove(self->items, order_at(self, 0), self->count * sizeof *self->items);
    self->first = 0;
}

static void order_put(order_t *self, entry_t entry)
{
    order_make_room(self);
    size_t at = order_find(self, entry);
    memmove(order_at(self, at + 1), order_at(self, at), (self->count - at) * sizeof entry);
    *order_at(self, at) = entry;
    self->count++;
}

static void order_cut(order_t *self, entry_t entry)
{
    size_t at = order_find(self, entry);
    assert(at < self->count && order_at(self, at)->seq == entry.seq);
    if (at < self->count / 2) {
        memmove(order_at(self, 1), order_at(self, 0), at * sizeof entry);
        self->first++;
    } else {
        memmove(order_at(self, at), order_at(self, at + 1), (self->count - at - 1) * sizeof entry);
    }
    self->count--;
}

/* ---- what is stored ------------------------------------------------------------------------- */

typedef struct node {
    uint64_t seq;
    record_t *record;
    reeve_state_t state;
    tries_t tries;
    int64_t at_ms;
    outcome_t *outcome; /* ends only */
    char *worker;       /* PROCESSING only */
    outcome_t **attempts;
    size_t attempt_count;
    struct node *prev, *next; /* removed */
    UT_hash_handle by_seq, by_id;
} node_t;

/*  A node as it was before a move. Owns outcome and worker. State UNKNOWN: it was not there. */
typedef struct undo {
    node_t *node;
    reeve_state_t state;
    tries_t tries;
    int64_t at_ms;
    outcome_t *outcome;
    char *worker;
    size_t attempt_count;
} undo_t;

typedef struct memory_store {
    store_t base;
    store_identity_t identity;
    bool in_transaction;
    node_t *by_seq, *by_id;
    node_t *removed; /* in this transaction */
    order_t ready, scheduled, expiry, dead, sweep;
    stored_queue_t *queues; /* by id; those without a name do not exist */
    size_t queue_count;
    undo_t *undo;
    size_t undo_count, undo_capacity;
} memory_store_t;

static memory_store_t *self_of(store_t *store)
{
    return (memory_store_t *)store;
}

static record_t *record_copy(const record_t *record)
{
    return record_new(&record->spec, record->seq, record->queue_id);
}

static outcome_t *outcome_copy(const outcome_t *outcome)
{
    static const outcome_spec_t none;
    return outcome_new(outcome ? &outcome->spec : &none);
}

static node_t *node_by_seq(const memory_store_t *self, uint64_t seq)
{
    node_t *node;
    HASH_FIND(by_seq, self->by_seq, &seq, sizeof seq, node);
    return node;
}

static node_t *node_by_id(const memory_store_t *self, slice_t id)
{
    node_t *node;
    HASH_FIND(by_id, self->by_id, id.data, id.size, node);
    return node;
}

static void attach(memory_store_t *self, node_t *node)
{
    assert(node_by_id(self, node->record->spec.id) == NULL);
    HASH_ADD(by_seq, self->by_seq, seq, sizeof node->seq, node);
    HASH_ADD_KEYPTR(by_id, self->by_id, node->record->spec.id.data, node->record->spec.id.size,
                    node);
}

static void detach(memory_store_t *self, node_t *node)
{
    HASH_DELETE(by_seq, self->by_seq, node);
    HASH_DELETE(by_id, self->by_id, node);
    DL_APPEND(self->removed, node);
}

static void node_free(node_t *node)
{
    record_unref(&node->record);
    outcome_unref(&node->outcome);
    free(node->worker);
    for (size_t i = 0; i < node->attempt_count; i++)
        outcome_unref(&node->attempts[i]);
    free(node->attempts);
    free(node);
}

static stored_queue_t *queue_of(memory_store_t *self, const record_t *record)
{
    uint32_t id = record->queue_id;
    if (id >= self->queue_count) {
        self->queues = mem_realloc(self->queues, (id + 1) * sizeof *self->queues);
        memset(self->queues + self->queue_count, 0,
               (id + 1 - self->queue_count) * sizeof *self->queues);
        self->queue_count = id + 1;
    }
    stored_queue_t *queue = &self->queues[id];
    if (queue->name == NULL) {
        queue->id = id;
        queue->name = mem_strndup(record->spec.queue.data, record->spec.queue.size);
    }
    return queue;
}

static void order_set(order_t *order, uint64_t rank, uint64_t seq, bool in)
{
    if (in)
        order_put(order, (entry_t){rank, seq});
    else
        order_cut(order, (entry_t){rank, seq});
}

/*  Puts everything that follows from a node's state in place, or takes it away. */
static void index_node(memory_store_t *self, const node_t *node, bool in)
{
    const record_t *record = node->record;
    stored_queue_t *queue = queue_of(self, record);
    uint64_t one = in ? 1 : UINT64_MAX; /* added modulo 2^64 */
    bool waiting = node->state == REEVE_STATE_QUEUED || node->state == REEVE_STATE_SCHEDULED;

    if (node->state == REEVE_STATE_UNKNOWN)
        return;
    if (!reeve_state_is_final(node->state))
        queue->bytes += one * record->spec.body.size;
    else if (node->at_ms)
        order_set(&self->sweep, (uint64_t)node->at_ms, node->seq, in);
    if (waiting && record->spec.expires_ms)
        order_set(&self->expiry, (uint64_t)record->spec.expires_ms, node->seq, in);
    if (node->state == REEVE_STATE_QUEUED) {
        queue->waiting += one;
        order_set(&self->ready, record_key(record), node->seq, in);
    } else if (node->state == REEVE_STATE_SCHEDULED) {
        queue->scheduled += one;
        order_set(&self->scheduled, (uint64_t)node->at_ms, node->seq, in);
    } else if (node->state == REEVE_STATE_FAILED) {
        queue->dead += one;
        order_set(&self->dead, dead_key(record), node->seq, in);
    }
}

/* ---- transactions --------------------------------------------------------------------------- */

/*  Notes how the node is now; its outcome and worker move into the note. */
static void remember(memory_store_t *self, node_t *node)
{
    self->undo = mem_room(self->undo, &self->undo_capacity, self->undo_count, sizeof *self->undo);
    self->undo[self->undo_count++] = (undo_t){.node = node,
                                              .state = node->state,
                                              .tries = node->tries,
                                              .at_ms = node->at_ms,
                                              .outcome = node->outcome,
                                              .worker = node->worker,
                                              .attempt_count = node->attempt_count};
    node->outcome = NULL;
    node->worker = NULL;
}

static void take_back(memory_store_t *self, const undo_t *undo)
{
    node_t *node = undo->node;
    index_node(self, node, false);
    outcome_unref(&node->outcome);
    free(node->worker);
    while (node->attempt_count > undo->attempt_count)
        outcome_unref(&node->attempts[--node->attempt_count]);
    if (node->state == REEVE_STATE_UNKNOWN) {
        DL_DELETE(self->removed, node);
        attach(self, node);
    }
    node->state = undo->state;
    node->tries = undo->tries;
    node->at_ms = undo->at_ms;
    node->outcome = undo->outcome;
    node->worker = undo->worker;
    index_node(self, node, true);
    if (node->state == REEVE_STATE_UNKNOWN)
        detach(self, node);
}

static void end_transaction(memory_store_t *self)
{
    node_t *node, *next;
    DL_FOREACH_SAFE (self->removed, node, next)
        node_free(node);
    self->removed = NULL;
    self->undo_count = 0;
    self->in_transaction = false;
}

void memory_store_crash(store_t *store)
{
    memory_store_t *self = self_of(store);
    while (self->undo_count)
        take_back(self, &self->undo[--self->undo_count]);
    end_transaction(self);
}

static int begin(store_t *store)
{
    assert(!self_of(store)->in_transaction);
    self_of(store)->in_transaction = true;
    return STORE_OK;
}

static int sync_nothing(store_t *store)
{
    (void)store;
    return STORE_OK;
}

static int commit(store_t *store)
{
    memory_store_t *self = self_of(store);
    assert(self->in_transaction);
    for (size_t i = 0; i < self->undo_count; i++) {
        outcome_unref(&self->undo[i].outcome);
        free(self->undo[i].worker);
    }
    end_transaction(self);
    return STORE_OK;
}

/*  An attempt that did not end in success, for the task's history. Results are not kept. */
static void add_attempt(node_t *node, const outcome_t *outcome)
{
    outcome_spec_t spec = outcome->spec;
    spec.result = (slice_t){0};
    spec.result_kind = 0;
    node->attempts =
        mem_realloc(node->attempts, (node->attempt_count + 1) * sizeof *node->attempts);
    node->attempts[node->attempt_count++] = outcome_new(&spec);
}

static node_t *insert(memory_store_t *self, const record_t *record)
{
    node_t *node = mem_zalloc(sizeof *node);
    node->seq = record->seq;
    node->record = record_copy(record);
    attach(self, node);
    if (record->seq >= self->identity.next_seq)
        self->identity.next_seq = record->seq + 1;
    if (record->queue_id >= self->identity.next_queue_id)
        self->identity.next_queue_id = record->queue_id + 1;
    return node;
}

static int apply(store_t *store, const change_t *change)
{
    memory_store_t *self = self_of(store);
    assert(self->in_transaction);
    node_t *node = change->from == REEVE_STATE_UNKNOWN ? insert(self, change->record)
                                                       : node_by_seq(self, change->record->seq);
    if (node == NULL && change->to == REEVE_STATE_UNKNOWN)
        return STORE_OK; /* retention was first */
    assert(node && node->state == change->from);
    index_node(self, node, false);
    remember(self, node);
    if (change->from == REEVE_STATE_PROCESSING && change->outcome &&
        change->to != REEVE_STATE_SUCCESS)
        add_attempt(node, change->outcome);
    node->state = change->to;
    node->tries = change->tries;
    node->at_ms = change->at_ms;
    if (reeve_state_is_final(change->to))
        node->outcome = outcome_copy(change->outcome);
    if (change->to == REEVE_STATE_PROCESSING)
        node->worker = mem_strdup(change->worker);
    index_node(self, node, true);
    if (change->to == REEVE_STATE_UNKNOWN)
        detach(self, node);
    return STORE_OK;
}

/* ---- reads ---------------------------------------------------------------------------------- */

static loaded_t loaded_of(const node_t *node)
{
    return (loaded_t){.record = record_copy(node->record),
                      .state = node->state,
                      .tries = node->tries,
                      .at_ms = node->at_ms,
                      .outcome = node->outcome ? outcome_copy(node->outcome) : NULL,
                      .worker = node->worker ? mem_strdup(node->worker) : NULL};
}

static int find(store_t *store, slice_t id, page_t *out)
{
    assert(self_of(store)->in_transaction);
    const node_t *node = node_by_id(self_of(store), id);
    if (node)
        *page_add(out) = loaded_of(node);
    return STORE_OK;
}

/*  Adds the entries with after < rank < before, `limit` of them and a window's bytes at most. */
static void read_page(const memory_store_t *self, const order_t *order, uint64_t after,
                      uint64_t before, size_t limit, page_t *out)
{
    size_t bytes = 0;
    size_t at = order_find(order, (entry_t){after, UINT64_MAX});
    for (; at < order->count && order_at(order, at)->rank < before; at++) {
        if (out->count == limit || bytes > LIMIT_WINDOW_BYTES) {
            out->more = true;
            return;
        }
        const node_t *node = node_by_seq(self, order_at(order, at)->seq);
        *page_add(out) = loaded_of(node);
        bytes += node->record->spec.body.size;
        out->next = order_at(order, at)->rank;
    }
}

static int load(store_t *store, uint32_t queue_id, uint64_t after, page_t *out)
{
    const memory_store_t *self = self_of(store);
    assert(self->in_transaction);
    read_page(self, &self->ready, after, key_of(queue_id + 1, 15, 0), LIMIT_PAGE_TASKS, out);
    out->next = 0;
    return STORE_OK;
}

static int dead(store_t *store, uint32_t queue_id, uint64_t after, size_t limit, page_t *out)
{
    const memory_store_t *self = self_of(store);
    assert(self->in_transaction);
    uint64_t low = queue_id ? key_of(queue_id, 15, 0) : 0;
    uint64_t high = queue_id ? key_of(queue_id + 1, 15, 0) : UINT64_MAX;
    read_page(self, &self->dead, after > low ? after : low, high, limit, out);
    if (!out->more)
        out->next = 0;
    return STORE_OK;
}

/*  Adds up to a page of those whose time has come; says when the next one's will, or has. */
static void read_due(const memory_store_t *self, const order_t *order, int64_t until_ms,
                     page_t *out)
{
    size_t at = 0, bytes = 0;
    for (; at < order->count && at < LIMIT_PAGE_TASKS && bytes <= LIMIT_WINDOW_BYTES; at++) {
        if (order_at(order, at)->rank > (uint64_t)until_ms)
            break;
        const node_t *node = node_by_seq(self, order_at(order, at)->seq);
        *page_add(out) = loaded_of(node);
        bytes += node->record->spec.body.size;
    }
    if (at < order->count && (int64_t)order_at(order, at)->rank < out->next_ms)
        out->next_ms = (int64_t)order_at(order, at)->rank;
}

static int due(store_t *store, int64_t until_ms, page_t *out)
{
    const memory_store_t *self = self_of(store);
    assert(self->in_transaction);
    out->next_ms = INT64_MAX;
    read_due(self, &self->scheduled, until_ms, out);
    read_due(self, &self->expiry, until_ms, out);
    return STORE_OK;
}

static int biography(store_t *store, slice_t id, biography_t *out)
{
    assert(self_of(store)->in_transaction);
    const node_t *node = node_by_id(self_of(store), id);
    if (node == NULL)
        return STORE_OK;
    out->found = true;
    out->task = loaded_of(node);
    out->attempt_count = node->attempt_count;
    out->attempts = mem_alloc(node->attempt_count * sizeof *out->attempts);
    for (size_t i = 0; i < node->attempt_count; i++)
        out->attempts[i] = outcome_copy(node->attempts[i]);
    return STORE_OK;
}

static int count_ahead(store_t *store, const record_t *record, size_t limit, size_t *count)
{
    const memory_store_t *self = self_of(store);
    assert(self->in_transaction);
    size_t first = order_find(&self->ready, (entry_t){key_of(record->queue_id, 15, 0), 0});
    size_t before = order_find(&self->ready, (entry_t){record_key(record), 0}) - first;
    *count = before < limit ? before : limit;
    return STORE_OK;
}

/* ---- the rest ------------------------------------------------------------------------------- */

static int maintain(store_t *store, int64_t now_ms, int budget, bool *more)
{
    memory_store_t *self = self_of(store);
    assert(self->in_transaction);
    const order_t *sweep = &self->sweep;
    while (budget-- > 0 && sweep->count && order_at(sweep, 0)->rank <= (uint64_t)now_ms) {
        node_t *node = node_by_seq(self, order_at(sweep, 0)->seq);
        index_node(self, node, false);
        remember(self, node);
        node->state = REEVE_STATE_UNKNOWN;
        detach(self, node);
    }
    *more = sweep->count && order_at(sweep, 0)->rank <= (uint64_t)now_ms;
    return STORE_OK;
}

static int recover(store_t *store, const store_recovery_t *recovery)
{
    memory_store_t *self = self_of(store);
    self->identity.epoch++;
    for (size_t i = 0; i < self->queue_count; i++) {
        if (self->queues[i].name == NULL)
            continue;
        page_t first = {0};
        read_page(self, &self->ready, key_of(self->queues[i].id, 15, 0),
                  key_of(self->queues[i].id + 1, 15, 0), 1, &first);
        self->queues[i].oldest_ms = first.count ? record_waits_since_ms(first.items[0].record) : 0;
        page_fini(&first);
        recovery->queue(&self->queues[i], recovery->arg);
    }
    for (node_t *node = self->by_seq; node; node = node->by_seq.next) {
        if (node->state != REEVE_STATE_PROCESSING)
            continue;
        loaded_t loaded = loaded_of(node);
        recovery->lease(&loaded, recovery->arg);
    }
    return STORE_OK;
}

static const store_identity_t *identity(const store_t *store)
{
    return &((const memory_store_t *)store)->identity;
}

/*  It has no id filter's worth of ids: every submit may as well ask. */
static struct id_update *id_update(store_t *store)
{
    (void)store;
    return NULL;
}

static const char *error_text(const store_t *store)
{
    (void)store;
    return "";
}

static void close_store(store_t **store)
{
    memory_store_t *self = self_of(*store);
    memory_store_crash(*store);
    node_t *node, *next;
    HASH_ITER (by_seq, self->by_seq, node, next)
        detach(self, node);
    end_transaction(self);
    for (size_t i = 0; i < self->queue_count; i++)
        free((char *)self->queues[i].name);
    free(self->queues);
    free(self->undo);
    order_t *orders[] = {&self->ready, &self->scheduled, &self->expiry, &self->dead, &self->sweep};
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        free(orders[i]->items);
    free(self);
    *store = NULL;
}

store_t *memory_store_new(void)
{
    static const store_ops_t ops = {
        .identity = identity,
        .recover = recover,
        .begin = begin,
        .apply = apply,
        .commit = commit,
        .sync = sync_nothing,
        .find = find,
        .load = load,
        .due = due,
        .dead = dead,
        .biography = biography,
        .count_ahead = count_ahead,
        .maintain = maintain,
        .id_update = id_update,
        .error = error_text,
        .close = close_store,
    };
    memory_store_t *self = mem_zalloc(sizeof *self);
    self->base.ops = &ops;
    self->identity = (store_identity_t){.token_key = "memory store key",
                                        .next_seq = 1,
                                        .next_queue_id = 1,
                                        .broker_id = "00000000-0000-7000-8000-000000000000"};
    return &self->base;
}
