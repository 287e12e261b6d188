/*  What a transaction makes visible, and what becomes of one that was not committed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/store/world.h"

static void reads_see_what_the_same_transaction_wrote(void **state)
{
    world_t *world = *state;
    record_t *record = world_record(1, "a", 0);
    page_t found = {0}, loaded = {0};
    biography_t life = {0};
    world_begin(world);
    world_apply(world, record, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    assert_int_equal(world->store->ops->find(world->store, slice_str("a"), &found), STORE_OK);
    assert_int_equal(world->store->ops->load(world->store, 1, 0, &loaded), STORE_OK);
    assert_int_equal(world->store->ops->biography(world->store, slice_str("a"), &life), STORE_OK);
    world_commit(world);
    assert_int_equal(found.count, 1);
    assert_int_equal(loaded.count, 1);
    assert_true(life.found);
    page_fini(&found);
    page_fini(&loaded);
    biography_fini(&life);
    record_unref(&record);
}

static void what_was_not_committed_never_happened(void **state)
{
    world_t *world = *state;
    record_t *kept = world_record(1, "kept", 0), *ended = world_record(2, "ended", 0),
             *lost = world_record(3, "lost", 0);
    outcome_spec_t failed = {.ending = ENDING_FAILURE, .attempt = 1, .reason = slice_str("x")};
    world_submit(world, kept);
    world_submit(world, ended);
    world_move(world, ended, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 9, (tries_t){1, 0, 0},
               NULL);
    world_begin(world);
    world_apply(world, kept, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 0, none, NULL);
    world_apply(world, kept, REEVE_STATE_CANCELLED, REEVE_STATE_UNKNOWN, 0, none, NULL);
    world_apply(world, ended, REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){1, 1, 0},
                &failed);
    world_apply(world, lost, REEVE_STATE_UNKNOWN, REEVE_STATE_SCHEDULED, 99, none, NULL);
    recovered_t recovered = world_crash(world);
    assert_int_equal(recovered.queue.waiting, 1);
    assert_int_equal(recovered.queue.scheduled, 0);
    assert_int_equal(recovered.queue.dead, 0);
    assert_int_equal(recovered.queue.bytes, 2 * kept->spec.body.size);
    assert_int_equal(recovered.leases, 1);
    assert_int_equal(recovered.lease_seq, 2);
    assert_int_equal(world_state(world, "kept"), REEVE_STATE_QUEUED);
    assert_int_equal(world_state(world, "lost"), REEVE_STATE_UNKNOWN);
    biography_t life = world_biography(world, "ended");
    assert_int_equal(life.task.state, REEVE_STATE_PROCESSING);
    assert_int_equal(life.attempt_count, 0);
    biography_fini(&life);
    record_unref(&kept);
    record_unref(&ended);
    record_unref(&lost);
}

static void one_transaction_may_hold_a_whole_life(void **state)
{
    world_t *world = *state;
    const outcome_spec_t failed = {.ending = ENDING_FAILURE, .attempt = 1, .started_ms = 1};
    record_t *a = world_record(1, "a", 0), *b = world_record(2, "b", 0),
             *c = world_record(3, "c", 0);
    world_begin(world);
    world_apply(world, a, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    world_apply(world, b, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    world_apply(world, c, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    world_apply(world, a, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0}, NULL);
    world_apply(world, a, REEVE_STATE_PROCESSING, REEVE_STATE_SCHEDULED, 2, (tries_t){1, 1, 0},
                &failed);
    world_apply(world, a, REEVE_STATE_SCHEDULED, REEVE_STATE_QUEUED, 0, (tries_t){1, 1, 0}, NULL);
    world_apply(world, b, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 9000, none, NULL);
    world_apply(world, c, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0}, NULL);
    world_apply(world, c, REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS, 9000, (tries_t){1, 0, 0},
                NULL);
    world_commit(world);
    recovered_t recovered = world_reopen(world);
    assert_int_equal(recovered.leases, 0);
    assert_int_equal(recovered.queue.waiting, 1);
    assert_int_equal(world_state(world, "a"), REEVE_STATE_QUEUED);
    assert_int_equal(world_state(world, "b"), REEVE_STATE_CANCELLED);
    assert_int_equal(world_state(world, "c"), REEVE_STATE_SUCCESS);
    record_unref(&a);
    record_unref(&b);
    record_unref(&c);
}

/*  What waits at last is neither what was leased nor what ended, in whatever order they go. */
static void what_ends_out_of_order_goes_from_the_order_of_running(void **state)
{
    enum { TASKS = 60 };
    world_t *world = *state;
    record_t *records[TASKS];
    char id[8];
    world_begin(world);
    for (uint64_t i = 0; i < TASKS; i++) {
        snprintf(id, sizeof id, "t%d", (int)i);
        records[i] = world_record(i + 1, id, (int)i % 3);
        world_apply(world, records[i], REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    }
    world_commit(world);
    world_begin(world);
    for (size_t i = 0; i < TASKS; i++) {
        size_t at =
            i * 7 % TASKS; /* every one of them once, as 7 and TASKS have no common factor */
        if (at % 4 == 0)
            world_apply(world, records[at], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1,
                        (tries_t){1, 0, 0}, NULL);
        else if (at % 4 != 1)
            world_apply(world, records[at], REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 9000, none,
                        NULL);
    }
    page_t page = {0};
    assert_int_equal(world->store->ops->load(world->store, 1, 0, &page), STORE_OK);
    world_commit(world);
    assert_int_equal(page.count, TASKS / 4);
    for (size_t i = 0; i < page.count; i++)
        assert_int_equal((page.items[i].record->seq - 1) % 4, 1);
    page_fini(&page);
    assert_int_equal(world_reopen(world).leases, TASKS / 4);
    for (size_t i = 0; i < TASKS; i++)
        record_unref(&records[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(reads_see_what_the_same_transaction_wrote),
        BOTH(what_was_not_committed_never_happened),
        BOTH(one_transaction_may_hold_a_whole_life),
        BOTH(what_ends_out_of_order_goes_from_the_order_of_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
