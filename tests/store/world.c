#include "tests/store/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/store/memory.h"
#include "broker/store/sqlite.h"

static void on_queue(const stored_queue_t *queue, void *arg)
{
    recovered_t *recovered = arg;
    recovered->queues++;
    recovered->queue = *queue;
    snprintf(recovered->queue_name, sizeof recovered->queue_name, "%s", queue->name);
}

static void on_lease(loaded_t *loaded, void *arg)
{
    recovered_t *recovered = arg;
    recovered->leases++;
    recovered->lease_seq = loaded->record->seq;
    recovered->lease_attempts = loaded->tries.attempts;
    recovered->lease_at_ms = loaded->at_ms;
    snprintf(recovered->lease_worker, sizeof recovered->lease_worker, "%s", loaded->worker);
    snprintf(recovered->lease_id, sizeof recovered->lease_id, "%.*s",
             SLICE_ARG(loaded->record->spec.id));
    loaded_fini(loaded);
}

static recovered_t recover(world_t *world)
{
    recovered_t recovered = {0};
    store_recovery_t callbacks = {&recovered, on_queue, on_lease};
    assert_int_equal(world->store->ops->recover(world->store, &callbacks), STORE_OK);
    return recovered;
}

void world_open(world_t *world)
{
    char problem[600] = "";
    if (world->in_memory)
        world->store = memory_store_new();
    else if (sqlite_store_open(world->path, &world->store, problem, sizeof problem) !=
             SQLITE_OPENED)
        fail_msg("%s", problem);
}

/*  The broker ends and the next one starts. */
recovered_t world_reopen(world_t *world)
{
    if (!world->in_memory) {
        world->store->ops->close(&world->store);
        world_open(world);
    }
    return recover(world);
}

static void free_changes(world_t *world)
{
    while (world->change_count) {
        change_t *change = world->changes[--world->change_count];
        change_fini(change);
        free(change);
    }
}

/*  The broker dies inside a transaction and the next one starts. */
recovered_t world_crash(world_t *world)
{
    free_changes(world);
    if (world->in_memory)
        memory_store_crash(world->store);
    return world_reopen(world);
}

static int set_up(void **state, bool in_memory)
{
    world_t *world = calloc(1, sizeof *world);
    world->in_memory = in_memory;
    strcpy(world->dir, "/tmp/reeve-store-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    snprintf(world->path, sizeof world->path, "%s/r.db", world->dir);
    world_open(world);
    recover(world);
    *state = world;
    return 0;
}

int world_set_up_sqlite(void **state)
{
    return set_up(state, false);
}

int world_set_up_memory(void **state)
{
    return set_up(state, true);
}

int world_tear_down(void **state)
{
    world_t *world = *state;
    if (world->store)
        world->store->ops->close(&world->store);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", world->dir);
    assert_int_equal(system(command), 0);
    free(world);
    return 0;
}

const char *const world_queue_names[] = {"", "mail", "sms"};

record_t *world_record_in(uint32_t queue_id, uint64_t seq, const char *id, int priority)
{
    return record_new(&(task_spec_t){.id = slice_str(id),
                                     .queue = slice_str(world_queue_names[queue_id]),
                                     .task_name = slice_str("send"),
                                     .origin = slice_str("test"),
                                     .body = slice_str("{\"args\":[1]}"),
                                     .priority = (uint8_t)priority,
                                     .created_ms = 1000,
                                     .max_retries = -1},
                      seq, queue_id);
}

record_t *world_record(uint64_t seq, const char *id, int priority)
{
    return world_record_in(1, seq, id, priority);
}

void world_begin(world_t *world)
{
    assert_int_equal(world->store->ops->begin(world->store), STORE_OK);
}

void world_commit(world_t *world)
{
    assert_int_equal(world->store->ops->commit(world->store), STORE_OK);
    free_changes(world);
}

void world_apply(world_t *world, record_t *record, reeve_state_t from, reeve_state_t to,
                 int64_t at_ms, tries_t tries, const outcome_spec_t *outcome)
{
    change_t *change = calloc(1, sizeof *change);
    *change = (change_t){.record = record_ref(record),
                         .from = from,
                         .to = to,
                         .at_ms = at_ms,
                         .tries = tries,
                         .outcome = outcome ? outcome_new(outcome) : NULL,
                         .worker = to == REEVE_STATE_PROCESSING ? strdup("w1") : NULL};
    world->changes[world->change_count++] = change;
    assert_int_equal(world->store->ops->apply(world->store, change), STORE_OK);
}

/*  Moves a record and commits. */
void world_move(world_t *world, record_t *record, reeve_state_t from, reeve_state_t to,
                int64_t at_ms, tries_t tries, const outcome_spec_t *outcome)
{
    world_begin(world);
    world_apply(world, record, from, to, at_ms, tries, outcome);
    world_commit(world);
}

void world_submit(world_t *world, record_t *record)
{
    world_move(world, record, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
}

page_t world_find(world_t *world, const char *id)
{
    page_t page = {0};
    world_begin(world);
    assert_int_equal(world->store->ops->find(world->store, slice_str(id), &page), STORE_OK);
    world_commit(world);
    return page;
}

reeve_state_t world_state(world_t *world, const char *id)
{
    page_t page = world_find(world, id);
    reeve_state_t state = page.count ? page.items[0].state : REEVE_STATE_UNKNOWN;
    page_fini(&page);
    return state;
}

biography_t world_biography(world_t *world, const char *id)
{
    biography_t life = {0};
    world_begin(world);
    assert_int_equal(world->store->ops->biography(world->store, slice_str(id), &life), STORE_OK);
    world_commit(world);
    return life;
}

page_t world_load(world_t *world, uint64_t after)
{
    page_t page = {0};
    world_begin(world);
    assert_int_equal(world->store->ops->load(world->store, 1, after, &page), STORE_OK);
    world_commit(world);
    return page;
}
