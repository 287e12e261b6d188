/*  Waiting for outcomes: before and after the end, by several, with partial results. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

static void a_waiter_that_comes_before_the_end_hears_of_it(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    world_wait(w, "other", "a");
    EXPECT_SILENCE(w);
    world_settle(w, "worker", world_seq(w, "a"), 1, VERDICT_SUCCESS, "forty-two");
    EXPECT(w, "other outcome a success forty-two", "worker settled a#1");
    world_destroy(&w);
}

static void a_waiter_that_comes_after_the_end_hears_of_it_at_once(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_settle(w, "worker", world_seq(w, "a"), 1, VERDICT_SUCCESS, "forty-two");
    world_skip(w);
    world_wait(w, "client", "a");
    world_wait(w, "client", "a");
    EXPECT(w, "client outcome a success forty-two", "client outcome a success forty-two");
    world_destroy(&w);
}

static void the_outcome_is_kept_across_a_restart(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_settle(w, "worker", world_seq(w, "a"), 1, VERDICT_SUCCESS, "forty-two");
    world_restart(w);
    world_skip(w);
    world_wait(w, "client", "a");
    EXPECT(w, "client outcome a success forty-two");
    world_destroy(&w);
}

static void several_waiters_all_hear_of_it_once(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "one", (world_task_t){.id = "a", .wait = true});
    world_wait(w, "two", "a");
    world_wait(w, "three", "a");
    world_skip(w);
    world_ack(w, "worker", "a", 1);
    assert_true(world_said(w, "one outcome a success"));
    assert_true(world_said(w, "two outcome a success"));
    assert_true(world_said(w, "three outcome a success"));
    assert_int_equal(w->line_count, 4);
    world_destroy(&w);
}

static void a_wait_that_is_sent_again_is_the_same_wait(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    event_t wait = {.kind = EVENT_WAIT,
                    .peer = world_peer(w, "client"),
                    .corr = world_label(w, "a"),
                    .by_id = {slice_str("a")}};
    world_step(w, &wait);
    world_step(w, &wait);
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "client outcome a success", "worker settled a#1");
    world_destroy(&w);
}

static void partial_results_come_in_order_and_before_the_end(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    world_progress(w, "worker", "a", 1, "unheard");
    EXPECT_SILENCE(w);
    world_wait(w, "client", "a");
    world_progress(w, "worker", "a", 1, "one");
    world_progress(w, "worker", "a", 1, "two");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "client partial a one", "client partial a two", "client outcome a success",
           "worker settled a#1");
    world_destroy(&w);
}

static void a_waiter_waits_through_retries_and_lost_workers(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "w1", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true});
    world_fail(w, "w1", "a", 1, "boom");
    world_advance(w, 2000);
    world_gone(w, "w1");
    world_advance(w, 6000);
    world_ready(w, "w2", "q", 1);
    world_ack(w, "w2", "a", 3);
    EXPECT(w, "client confirm a", "w1 deliver a #1", "w1 settled a#1", "w1 deliver a #2",
           "w2 deliver a #3", "client outcome a success", "w2 settled a#3");
    world_destroy(&w);
}

static void a_task_that_was_never_submitted_is_unknown(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_wait(w, "client", "a");
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_wait(w, "client", "b");
    EXPECT(w, "client refuse a unknown_task", "client confirm a", "client refuse b unknown_task");
    world_destroy(&w);
}

static void a_wait_behind_an_uncommitted_submit_finds_its_task(void **state)
{
    (void)state;
    world_t *w = world_new();
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_wait(w, "client", "a");
    world_rest(w);
    EXPECT(w, "client confirm a");
    world_cancel(w, "client", "a");
    world_rest(w);
    EXPECT(w, "client outcome a cancelled", "client done a count=1 was=queued");
    world_destroy(&w);
}

static void a_wait_that_crosses_the_end_hears_of_it(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    w->held = true;
    world_wait(w, "client", "a"); /* the store says "processing" … */
    world_settle(w, "worker", world_seq(w, "a"), 1, VERDICT_SUCCESS, "forty-two");
    world_rest(w); /* … but it has ended meanwhile */
    EXPECT(w, "worker settled a#1", "client outcome a success forty-two");
    world_destroy(&w);
}

static void waiting_for_a_dead_letter_tells_that_it_failed(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_reject(w, "worker", "a", 1, "no");
    world_skip(w);
    world_wait(w, "client", "a");
    EXPECT(w, "client outcome a failed");
    world_redrive(w, "admin", "a", NULL);
    world_skip(w);
    world_wait(w, "client", "a");
    EXPECT_SILENCE(w);
    world_ack(w, "worker", "a", 2);
    EXPECT(w, "client outcome a success", "worker settled a#2");
    world_destroy(&w);
}

static void a_peer_that_is_gone_is_told_nothing(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true});
    world_wait(w, "other", "a");
    world_skip(w);
    world_gone(w, "client");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "other outcome a success", "worker settled a#1");
    world_destroy(&w);
}

static void a_peer_that_is_gone_before_its_task_is_found_does_not_wait(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_skip(w);
    w->held = true;
    world_wait(w, "one", "a");
    world_submit(w, "two", (world_task_t){.id = "a", .wait = true});
    world_gone(w, "one");
    world_gone(w, "two");
    w->held = false;
    world_rest(w);
    world_skip(w); /* the confirm, which net drops */
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker settled a#1", "worker deliver b #1");
    world_destroy(&w);
}

static void forgetting_cancels_and_removes_whatever_the_state(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 2);
    world_submit(w, "client", (world_task_t){.id = "done"});
    world_submit(w, "client", (world_task_t){.id = "running"});
    world_ack(w, "worker", "done", 1);
    world_prefetch(w, "worker", 1);
    world_submit(w, "client", (world_task_t){.id = "waiting", .wait = true});
    world_submit(w, "client", (world_task_t){.id = "scheduled", .delay_ms = 60000});
    world_skip(w);
    const char *ids[] = {"done", "waiting", "scheduled", "never"};
    for (size_t i = 0; i < 4; i++) {
        world_forget(w, "titanic", ids[i]);
        assert_string_equal(world_state(w, ids[i]), "unknown");
    }
    EXPECT(w, "titanic done done count=1 was=success", "client outcome waiting cancelled",
           "titanic done waiting count=1 was=queued",
           "titanic done scheduled count=1 was=scheduled",
           "titanic done never count=0 was=unknown");
    world_forget(w, "titanic", "running");
    EXPECT(w, "worker revoke running #1 cancelled", "titanic done running count=1 was=processing");
    world_ack(w, "worker", "running", 1);
    EXPECT(w, "worker refuse running#1 stale_attempt");
    world_destroy(&w);
}

static void forgetting_what_retention_removes_at_the_same_moment_is_harmless(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.retention_ms = 5000;
    world_t *w = world_new_with(&policy);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_cancel(w, "client", "a");
    world_skip(w);
    world_advance(w, 4500);
    w->held = true;
    world_forget(w, "titanic", "a"); /* found, */
    world_advance(w, 2000);          /* swept in the same transaction, */
    world_commit(w);                 /* and then to be removed */
    w->held = false;
    world_rest(w);
    EXPECT(w, "titanic done a count=1 was=cancelled");
    assert_string_equal(world_state(w, "a"), "unknown");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiter_that_comes_before_the_end_hears_of_it),
        cmocka_unit_test(a_waiter_that_comes_after_the_end_hears_of_it_at_once),
        cmocka_unit_test(the_outcome_is_kept_across_a_restart),
        cmocka_unit_test(several_waiters_all_hear_of_it_once),
        cmocka_unit_test(a_wait_that_is_sent_again_is_the_same_wait),
        cmocka_unit_test(partial_results_come_in_order_and_before_the_end),
        cmocka_unit_test(a_waiter_waits_through_retries_and_lost_workers),
        cmocka_unit_test(a_task_that_was_never_submitted_is_unknown),
        cmocka_unit_test(a_wait_behind_an_uncommitted_submit_finds_its_task),
        cmocka_unit_test(a_wait_that_crosses_the_end_hears_of_it),
        cmocka_unit_test(waiting_for_a_dead_letter_tells_that_it_failed),
        cmocka_unit_test(a_peer_that_is_gone_is_told_nothing),
        cmocka_unit_test(a_peer_that_is_gone_before_its_task_is_found_does_not_wait),
        cmocka_unit_test(forgetting_cancels_and_removes_whatever_the_state),
        cmocka_unit_test(forgetting_what_retention_removes_at_the_same_moment_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
