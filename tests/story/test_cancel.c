/*  Cancelling: in every state, who hears of it, and when. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

static void a_waiting_task_is_cancelled_and_never_runs(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true});
    world_cancel(w, "admin", "a");
    EXPECT(w, "client confirm a", "client outcome a cancelled", "admin done a count=1 was=queued");
    world_ready(w, "worker", "q", 1);
    EXPECT_SILENCE(w);
    assert_string_equal(world_history(w, "a"), "cancelled cancelled a=0 f=0 d=0");
    world_destroy(&w);
}

static void a_scheduled_task_is_cancelled_and_never_runs(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .delay_ms = 1000});
    world_cancel(w, "client", "a");
    EXPECT(w, "client confirm a", "client done a count=1 was=scheduled");
    world_advance(w, 5000);
    EXPECT_SILENCE(w);
    world_destroy(&w);
}

static void a_task_between_its_tries_is_cancelled(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_fail(w, "worker", "a", 1, "boom");
    world_skip(w);
    world_cancel(w, "client", "a");
    world_advance(w, 5000);
    EXPECT(w, "client done a count=1 was=scheduled");
    assert_string_equal(world_history(w, "a"),
                        "cancelled cancelled a=1 f=1 d=0 | 1 failure boom worker");
    world_destroy(&w);
}

static void a_worker_is_told_to_stop_and_has_room_again(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_skip(w);
    world_cancel(w, "client", "a");
    EXPECT(w, "worker revoke a #1 cancelled", "client done a count=1 was=processing",
           "worker deliver b #1");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker refuse a#1 stale_attempt");
    assert_string_equal(world_history(w, "a"),
                        "cancelled cancelled a=1 f=0 d=0 | 1 cancelled cancelled worker");
    world_destroy(&w);
}

static void a_revoke_is_said_after_the_commit(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true});
    world_skip(w);
    w->held = true;
    world_cancel(w, "admin", "a");
    world_commit(w); /* which task it is */
    EXPECT_SILENCE(w);
    world_crash(w, 1); /* and it was not cancelled after all */
    assert_string_equal(world_state(w, "a"), "processing");
    world_destroy(&w);
}

static void a_task_whose_worker_is_gone_is_cancelled(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_gone(w, "worker");
    world_skip(w);
    world_cancel(w, "client", "a");
    EXPECT(w, "client done a count=1 was=processing");
    world_ready_as(
        w, "worker",
        (world_worker_t){
            .queues = "q", .prefetch = 1, .held = &(world_held_t){"a", 1, 0}, .held_count = 1});
    EXPECT(w, "worker revoke a #1 stale");
    world_destroy(&w);
}

static void a_delivery_that_a_silent_worker_will_still_get_is_revoked_behind_it(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    w->held = true;
    world_cancel(w, "client", "a"); /* asks which task it is */
    world_ready(w, "worker", "q", 1);
    world_mute(w, "worker");
    world_advance(w, 30000); /* past its liveness; the delivery waits for the disk */
    world_commit_some(w, 1);
    world_rest(w);
    EXPECT(w, "worker deliver a #1", "worker revoke a #1 cancelled",
           "client done a count=1 was=processing");
    world_destroy(&w);
}

static void what_has_ended_cannot_be_cancelled(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 2);
    world_submit(w, "client", (world_task_t){.id = "done"});
    world_submit(w, "client", (world_task_t){.id = "dead"});
    world_submit(w, "client", (world_task_t){.id = "twice", .delay_ms = 1000});
    world_submit(w, "client", (world_task_t){.id = "late", .expires_ms = w->wall_ms - 1});
    world_ack(w, "worker", "done", 1);
    world_reject(w, "worker", "dead", 1, "no");
    world_cancel(w, "client", "twice");
    world_skip(w);
    const char *ids[] = {"done", "dead", "twice", "late", "unheard-of"};
    for (size_t i = 0; i < 5; i++)
        world_cancel(w, "client", ids[i]);
    EXPECT(w, "client refuse done wrong_state", "client refuse dead wrong_state",
           "client refuse twice wrong_state", "client refuse late wrong_state",
           "client refuse unheard-of unknown_task");
    assert_string_equal(world_state(w, "done"), "success");
    world_destroy(&w);
}

static void a_cancel_that_meets_the_end_of_the_task_is_told_so(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    w->held = true;
    world_cancel(w, "client", "a"); /* asks which task it is */
    world_ack(w, "worker", "a", 1);
    world_rest(w);
    EXPECT(w, "worker settled a#1", "client refuse a wrong_state");
    assert_string_equal(world_state(w, "a"), "success");
    world_destroy(&w);
}

static void only_one_of_two_cancels_does_it(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    w->held = true;
    world_cancel(w, "one", "a");
    world_cancel(w, "two", "a");
    world_rest(w);
    EXPECT(w, "one done a count=1 was=queued", "two refuse a wrong_state");
    world_destroy(&w);
}

static void a_majordomo_worker_whose_task_is_cancelled_is_expelled(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready_as(w, "mdp", (world_worker_t){.queues = "q", .kind = PEER_MDP01, .prefetch = 1});
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_skip(w);
    world_cancel(w, "client", "a");
    EXPECT(w, "mdp revoke a #1 cancelled", "mdp disconnect",
           "client done a count=1 was=processing");
    assert_int_equal(core_totals(w->core).workers, 0);
    world_ready_as(w, "mdp", (world_worker_t){.queues = "q", .kind = PEER_MDP01, .prefetch = 1});
    EXPECT(w, "mdp deliver b #1");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiting_task_is_cancelled_and_never_runs),
        cmocka_unit_test(a_scheduled_task_is_cancelled_and_never_runs),
        cmocka_unit_test(a_task_between_its_tries_is_cancelled),
        cmocka_unit_test(a_worker_is_told_to_stop_and_has_room_again),
        cmocka_unit_test(a_revoke_is_said_after_the_commit),
        cmocka_unit_test(a_task_whose_worker_is_gone_is_cancelled),
        cmocka_unit_test(a_delivery_that_a_silent_worker_will_still_get_is_revoked_behind_it),
        cmocka_unit_test(what_has_ended_cannot_be_cancelled),
        cmocka_unit_test(a_cancel_that_meets_the_end_of_the_task_is_told_so),
        cmocka_unit_test(only_one_of_two_cancels_does_it),
        cmocka_unit_test(a_majordomo_worker_whose_task_is_cancelled_is_expelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
