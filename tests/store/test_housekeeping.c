/*  What a store removes by itself, and in which steps. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/store/world.h"

static void retention_removes_ended_tasks_and_nothing_else(void **state)
{
    world_t *world = *state;
    record_t *ended = world_record(1, "ended", 0), *waiting = world_record(2, "waiting", 0);
    outcome_spec_t end = {.ending = ENDING_SUCCESS, .attempt = 1};
    world_submit(world, ended);
    world_submit(world, waiting);
    world_move(world, ended, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0},
               NULL);
    world_move(world, ended, REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS, 5000, (tries_t){1, 0, 0},
               &end);
    const store_ops_t *ops = world->store->ops;
    for (int64_t now_ms = 4000; now_ms <= 6000; now_ms += 2000) {
        bool more = true;
        while (more) {
            assert_int_equal(ops->begin(world->store), STORE_OK);
            assert_int_equal(ops->maintain(world->store, now_ms, 100, &more), STORE_OK);
            assert_int_equal(ops->commit(world->store), STORE_OK);
        }
        assert_int_equal(world_state(world, "ended"),
                         now_ms < 5000 ? REEVE_STATE_SUCCESS : REEVE_STATE_UNKNOWN);
    }
    assert_int_equal(world_state(world, "waiting"), REEVE_STATE_QUEUED);
    record_unref(&ended);
    record_unref(&waiting);
}

static bool maintain(world_t *world, int64_t now_ms, int budget)
{
    bool more = false;
    world_begin(world);
    assert_int_equal(world->store->ops->maintain(world->store, now_ms, budget, &more), STORE_OK);
    world_commit(world);
    return more;
}

static void housekeeping_goes_in_small_steps(void **state)
{
    world_t *world = *state;
    enum { TASKS = 20, BUDGET = 3 };
    for (uint64_t seq = 1; seq <= TASKS; seq++) {
        char id[8];
        snprintf(id, sizeof id, "t%d", (int)seq);
        record_t *record = world_record(seq, id, 0);
        world_submit(world, record);
        world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 2000, none, NULL);
        record_unref(&record);
    }
    size_t left = TASKS;
    bool more = true;
    while (more) {
        size_t before = left;
        more = maintain(world, 10000, BUDGET);
        left = 0;
        for (int i = 1; i <= TASKS; i++) {
            char id[8];
            snprintf(id, sizeof id, "t%d", i);
            left += world_state(world, id) != REEVE_STATE_UNKNOWN;
        }
        assert_in_range(before - left, 0, BUDGET);
    }
    assert_int_equal(left, 0);
}

static void retention_leaves_dead_letters_and_redriven_tasks_alone(void **state)
{
    world_t *world = *state;
    record_t *dead = world_record(1, "dead", 0), *again = world_record(2, "again", 0);
    outcome_spec_t end = {.ending = ENDING_REJECTED, .attempt = 1};
    record_t *both[] = {dead, again};
    for (size_t i = 0; i < 2; i++) {
        world_submit(world, both[i]);
        world_move(world, both[i], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1,
                   (tries_t){1, 0, 0}, NULL);
        world_move(world, both[i], REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0,
                   (tries_t){1, 1, 0}, &end);
    }
    world_move(world, again, REEVE_STATE_FAILED, REEVE_STATE_QUEUED, 0, (tries_t){1, 0, 0}, NULL);
    while (maintain(world, INT64_C(1) << 50, 100))
        continue;
    assert_int_equal(world_state(world, "dead"), REEVE_STATE_FAILED);
    assert_int_equal(world_state(world, "again"), REEVE_STATE_QUEUED);
    record_unref(&dead);
    record_unref(&again);
}

static void to_remove_what_retention_has_removed_is_no_error(void **state)
{
    world_t *world = *state;
    record_t *record = world_record(1, "a", 0), *again = world_record(2, "a", 0);
    world_submit(world, record);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 1000, none, NULL);
    while (maintain(world, 5000, 100))
        continue;
    world_move(world, record, REEVE_STATE_CANCELLED, REEVE_STATE_UNKNOWN, 0, none, NULL);
    world_submit(world, again);
    assert_int_equal(world_state(world, "a"), REEVE_STATE_QUEUED);
    record_unref(&record);
    record_unref(&again);
}

/*  So many that some of their ids are sealed, in a store that had no task before. */
static void tasks_that_housekeeping_meets_in_their_own_transaction_stay(void **state)
{
    world_t *world = *state;
    enum { TASKS = 6000 };
    record_t *records[TASKS];
    bool more;
    world_begin(world);
    for (size_t i = 0; i < TASKS; i++) {
        char id[8];
        snprintf(id, sizeof id, "t%d", (int)i);
        records[i] = world_record(i + 1, id, 0);
        world_apply(world, records[i], REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    }
    assert_int_equal(world->store->ops->maintain(world->store, 1000, 256, &more), STORE_OK);
    world_commit(world);
    size_t found = 0;
    world_begin(world);
    for (size_t i = 0; i < TASKS; i++) {
        page_t page = {0};
        assert_int_equal(world->store->ops->find(world->store, records[i]->spec.id, &page),
                         STORE_OK);
        found += page.count;
        page_fini(&page);
        record_unref(&records[i]);
    }
    world_commit(world);
    assert_int_equal(found, TASKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(retention_removes_ended_tasks_and_nothing_else),
        BOTH(housekeeping_goes_in_small_steps),
        BOTH(retention_leaves_dead_letters_and_redriven_tasks_alone),
        BOTH(to_remove_what_retention_has_removed_is_no_error),
        BOTH(tasks_that_housekeeping_meets_in_their_own_transaction_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
