/*  What the tests of store.h share: each promise is a test of every implementation of it. */

#ifndef REEVE_TESTS_STORE_WORLD_H
#define REEVE_TESTS_STORE_WORLD_H

#include "broker/store/store.h"

/*  A store that can be closed and opened again: SQLite in a directory of its own, or in memory. */
typedef struct world {
    bool in_memory;
    char dir[64], path[96];
    store_t *store;
    change_t *changes[6000]; /* of this transaction: the store borrows them until its commit */
    size_t change_count;
} world_t;

/*  What recovery told: how many, and the last. */
typedef struct recovered {
    size_t queues, leases;
    stored_queue_t queue;
    char queue_name[64];
    uint64_t lease_seq;
    uint32_t lease_attempts;
    int64_t lease_at_ms;
    char lease_worker[64], lease_id[64];
} recovered_t;

static const tries_t none;
extern const char *const world_queue_names[3]; /* by number; 0 is none */

/*  A test of both stores, named after the store that is tried. */
#define BOTH(f)                                                                                    \
    {"sqlite: " #f, f, world_set_up_sqlite, world_tear_down, NULL},                                \
    {                                                                                              \
        "memory: " #f, f, world_set_up_memory, world_tear_down, NULL                               \
    }

int world_set_up_sqlite(void **state);
int world_set_up_memory(void **state);
int world_tear_down(void **state);

/*  Opens a store that was closed, without recovery. */
void world_open(world_t *world);
/*  The broker ends and the next one starts. */
recovered_t world_reopen(world_t *world);
/*  The broker dies inside a transaction and the next one starts. */
recovered_t world_crash(world_t *world);

/*  A record of the queue "mail", or of a queue by its number. The caller owns it. */
record_t *world_record(uint64_t seq, const char *id, int priority);
record_t *world_record_in(uint32_t queue_id, uint64_t seq, const char *id, int priority);

void world_begin(world_t *world);
void world_commit(world_t *world);
/*  Within a transaction; what is being processed is held by the worker "w1". */
void world_apply(world_t *world, record_t *record, reeve_state_t from, reeve_state_t to,
                 int64_t at_ms, tries_t tries, const outcome_spec_t *outcome);
/*  The same in a transaction of its own. */
void world_move(world_t *world, record_t *record, reeve_state_t from, reeve_state_t to,
                int64_t at_ms, tries_t tries, const outcome_spec_t *outcome);
void world_submit(world_t *world, record_t *record);

/*  What the store answers, each in a transaction of its own. The caller finishes pages and lives. */
page_t world_find(world_t *world, const char *id);
reeve_state_t world_state(world_t *world, const char *id);
biography_t world_biography(world_t *world, const char *id);
/*  The waiting tasks of "mail" after this key. */
page_t world_load(world_t *world, uint64_t after);

#endif
