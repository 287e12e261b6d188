/*  Commit, then speak: whatever is said survives a crash at any moment. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

static void a_settlement_waits_for_its_commit(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 4);
    const char *ids[] = {"ok", "fail", "reject", "release"};
    for (size_t i = 0; i < 4; i++)
        world_submit(w, "client", (world_task_t){.id = ids[i]});
    world_prefetch(w, "worker", 0);
    world_skip(w);
    w->held = true;
    world_ack(w, "worker", "ok", 1);
    world_fail(w, "worker", "fail", 1, "boom");
    world_reject(w, "worker", "reject", 1, "no");
    world_release(w, "worker", "release", 1);
    EXPECT_SILENCE(w);
    world_commit_some(w, 1);
    EXPECT(w, "worker settled ok#1");
    world_commit(w);
    EXPECT(w, "worker settled fail#1", "worker settled reject#1", "worker settled release#1");
    world_destroy(&w);
}

static void a_settlement_that_was_not_committed_may_be_sent_again(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    w->held = true;
    world_ack(w, "worker", "a", 1);
    world_crash(w, 1);
    EXPECT_SILENCE(w);
    assert_string_equal(world_state(w, "a"), "processing");
    world_ready_as(
        w, "worker",
        (world_worker_t){
            .queues = "q", .prefetch = 1, .held = &(world_held_t){"a", 1, 0}, .held_count = 1});
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker settled a#1");
    world_destroy(&w);
}

static void a_delivery_that_was_not_committed_was_not_made(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    w->held = true;
    world_ready(w, "worker", "q", 1);
    world_crash(w, 0);
    EXPECT_SILENCE(w);
    world_ready(w, "worker", "q", 1);
    EXPECT(w, "worker deliver a #1"); /* the number was never heard */
    world_destroy(&w);
}

static void a_stale_refusal_waits_for_what_made_it_stale(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    w->held = true;
    world_ack(w, "worker", "a", 1);
    world_ack(w, "worker", "a", 1);
    EXPECT_SILENCE(w);
    world_rest(w);
    EXPECT(w, "worker settled a#1", "worker refuse a#1 stale_attempt");
    world_destroy(&w);
}

static void a_redrive_and_a_purge_are_told_when_they_are_done(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    const char *ids[] = {"a", "b"};
    for (size_t i = 0; i < 2; i++) {
        world_submit(w, "client", (world_task_t){.id = ids[i]});
        world_reject(w, "worker", ids[i], 1, "no");
    }
    world_skip(w);
    w->held = true;
    world_redrive(w, "admin", "a", NULL);
    world_purge(w, "admin", "b", NULL);
    world_commit(w); /* which tasks they are */
    EXPECT_SILENCE(w);
    world_commit(w);
    EXPECT(w, "admin done a count=1 was=failed", "worker deliver a #2",
           "admin done b count=1 was=failed");
    world_destroy(&w);
}

/*  Many things at once, none of it committed. */
static world_t *world_in_flight(void)
{
    world_t *w = world_new();
    world_ready(w, "worker", "q", 5);
    const char *ids[] = {"ok", "fail", "reject", "cancel", "run"};
    for (size_t i = 0; i < 5; i++)
        world_submit(w, "client", (world_task_t){.id = ids[i], .wait = true});
    world_submit(w, "client", (world_task_t){.id = "later", .delay_ms = 5000});
    world_skip(w);
    w->held = true;
    world_cancel(w, "client", "cancel");
    world_commit(w); /* which task it is */
    world_ack(w, "worker", "ok", 1);
    world_fail(w, "worker", "fail", 1, "boom");
    world_reject(w, "worker", "reject", 1, "no");
    world_submit(w, "client", (world_task_t){.id = "new"});
    world_submit(w, "client", (world_task_t){.id = "new2", .delay_ms = 1000});
    return w;
}

/*  Whatever part of the work was committed, and whatever more had begun: the rest never happened, and
    everything runs to its end after the restart. The audit compares core and store on the way. */
static void a_crash_at_any_moment_loses_nothing_that_was_said(void **state)
{
    (void)state;
    size_t moments = 1;
    for (size_t committed = 0; committed < moments; committed++) {
        for (size_t carried = 0; carried <= moments - committed; carried++) {
            world_t *w = world_in_flight();
            moments = w->pending_count + 1;
            world_commit_some(w, committed);
            bool acked = world_said(w, "worker settled ok#1");
            bool confirmed = world_said(w, "client confirm new");
            bool cancelled = world_said(w, "client done cancel count=1 was=processing");
            world_crash(w, carried);
            if (acked)
                assert_string_equal(world_state(w, "ok"), "success");
            if (confirmed)
                assert_string_not_equal(world_state(w, "new"), "unknown");
            if (cancelled)
                assert_string_equal(world_state(w, "cancel"), "cancelled");
            assert_string_not_equal(world_state(w, "run"), "unknown");
            world_advance(w, 10000);
            world_ready(w, "worker", "q", 10);
            world_advance(w, 10000);
            while (w->delivery_count) {
                delivery_t delivery = w->deliveries[0];
                world_settle(w, "worker", delivery.seq, delivery.attempt, VERDICT_SUCCESS, NULL);
            }
            core_totals_t totals = core_totals(w->core);
            assert_int_equal(totals.waiting + totals.scheduled + totals.processing, 0);
            world_destroy(&w);
        }
    }
    assert_in_range(moments, 7, 100);
}

/*  The store may stop between any two effects; that changes when things are said, never what. */
static void batches_of_any_size_tell_the_same_story(void **state)
{
    (void)state;
    for (size_t batch = 1; batch < 8; batch++) {
        world_t *w = world_in_flight();
        while (w->pending_count)
            world_commit_some(w, batch);
        EXPECT(w, "client outcome cancel cancelled", "worker revoke cancel #1 cancelled",
               "client done cancel count=1 was=processing", "client outcome ok success",
               "worker settled ok#1", "worker settled fail#1", "client outcome reject failed",
               "worker settled reject#1", "client confirm new", "worker deliver new #1",
               "client confirm new2");
        world_destroy(&w);
    }
}

static void the_same_events_give_the_same_effects(void **state)
{
    (void)state;
    uint64_t digests[2];
    for (int i = 0; i < 2; i++) {
        world_t *w = world_in_flight();
        w->held = false;
        world_rest(w);
        world_advance(w, 60000);
        digests[i] = w->digest;
        world_destroy(&w);
    }
    assert_int_equal(digests[0], digests[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_settlement_waits_for_its_commit),
        cmocka_unit_test(a_settlement_that_was_not_committed_may_be_sent_again),
        cmocka_unit_test(a_delivery_that_was_not_committed_was_not_made),
        cmocka_unit_test(a_stale_refusal_waits_for_what_made_it_stale),
        cmocka_unit_test(a_redrive_and_a_purge_are_told_when_they_are_done),
        cmocka_unit_test(a_crash_at_any_moment_loses_nothing_that_was_said),
        cmocka_unit_test(batches_of_any_size_tell_the_same_story),
        cmocka_unit_test(the_same_events_give_the_same_effects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
