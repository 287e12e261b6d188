/*  Submitting again is safe: the same content is confirmed, other content is a conflict. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

static void again(world_t *w, const char *expected)
{
    world_submit(w, "client", (world_task_t){.id = "a"});
    EXPECT(w, expected);
    world_submit(w, "client", (world_task_t){.id = "a", .body = "{\"args\":[1]}"});
    EXPECT(w, "client refuse a conflict");
}

static void the_same_task_again_in_each_state_runs_nothing_twice(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    EXPECT(w, "client confirm a");
    again(w, "client confirm a again");
    world_ready(w, "worker", "q", 2);
    EXPECT(w, "worker deliver a #1");
    again(w, "client confirm a again");
    world_fail(w, "worker", "a", 1, "boom");
    EXPECT(w, "worker settled a#1");
    again(w, "client confirm a again");
    world_advance(w, 2000);
    EXPECT(w, "worker deliver a #2");
    world_reject(w, "worker", "a", 2, "no");
    EXPECT(w, "worker settled a#2");
    again(w, "client confirm a again");
    world_redrive(w, "admin", "a", NULL);
    EXPECT(w, "admin done a count=1 was=failed", "worker deliver a #3");
    world_ack(w, "worker", "a", 3);
    EXPECT(w, "worker settled a#3");
    again(w, "client confirm a again");
    assert_int_equal(core_totals(w->core).duplicates, 5);
    assert_int_equal(core_totals(w->core).conflicts, 5);
    world_destroy(&w);
}

static void a_cancelled_or_expired_task_submitted_again_stays_what_it_is(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_cancel(w, "client", "a");
    world_skip(w);
    again(w, "client confirm a again");
    assert_string_equal(world_state(w, "a"), "cancelled");
    world_submit(w, "client", (world_task_t){.id = "b", .expires_ms = w->wall_ms + 1000});
    world_advance(w, 2000);
    world_submit(w, "client", (world_task_t){.id = "b"});
    EXPECT(w, "client confirm b", "client confirm b again");
    assert_string_equal(world_state(w, "b"), "expired");
    world_destroy(&w);
}

static void again_before_the_first_is_committed_waits_for_that_commit(void **state)
{
    (void)state;
    world_t *w = world_new();
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "other", (world_task_t){.id = "a", .name = "something else"});
    EXPECT_SILENCE(w);
    world_rest(w);
    EXPECT(w, "client confirm a", "client confirm a again", "other refuse a conflict");
    assert_int_equal(core_totals(w->core).waiting, 1);
    world_destroy(&w);
}

static void again_while_the_first_is_looked_up_is_one_task(void **state)
{
    (void)state;
    world_t *w = world_new();
    w->held = w->all_maybe = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "other", (world_task_t){.id = "a", .queue = "p"});
    world_rest(w);
    EXPECT(w, "client confirm a", "client confirm a again", "other refuse a conflict");
    assert_int_equal(core_totals(w->core).waiting, 1);
    world_destroy(&w);
}

static void one_answer_serves_all_that_wait_for_it(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.max_bytes = 20;
    core_config_t config = world_config(&policy);
    world_t *w = world_new_from(&config);
    w->held = w->all_maybe = true;
    world_submit(w, "first", (world_task_t){.id = "a", .body = "{\"args\":[\"too much for it\"]}"});
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true});
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "other", (world_task_t){.id = "a", .queue = "p"});
    world_commit(w); /* whether there is such an id */
    world_commit(w); /* the task */
    EXPECT(w, "first refuse a too_large", "client confirm a", "client confirm a again",
           "other refuse a conflict");
    assert_int_equal(w->pending_count, 0);
    world_destroy(&w);
}

static void again_after_a_crash_before_the_commit_is_a_new_task(void **state)
{
    (void)state;
    world_t *w = world_new();
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_crash(w, 1);
    world_submit(w, "client", (world_task_t){.id = "a", .name = "something else"});
    EXPECT(w, "client confirm a");
    world_destroy(&w);
}

static void what_an_honest_repetition_changes_is_not_compared(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a", .delay_ms = 1000, .origin = "web-1"});
    world_advance(w, 10);
    world_submit(w, "client", (world_task_t){.id = "a", .delay_ms = 1500, .origin = "web-2"});
    EXPECT(w, "client confirm a", "client confirm a again");
    world_destroy(&w);
}

static void every_part_of_the_content_is_compared(void **state)
{
    (void)state;
    const world_task_t others[] = {
        {.id = "a", .queue = "p"},      {.id = "a", .name = "other"},
        {.id = "a", .body = "[]"},      {.id = "a", .priority = 1},
        {.id = "a", .max_retries = 3},  {.id = "a", .max_retries = NO_RETRIES},
        {.id = "a", .timeout_ms = 1000}};
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    EXPECT(w, "client confirm a");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        world_submit(w, "client", others[i]);
        EXPECT(w, "client refuse a conflict");
    }
    world_destroy(&w);
}

static void a_finished_task_is_remembered_for_its_retention(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.retention_ms = 60000;
    world_t *w = world_new_with(&policy);
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_ack(w, "worker", "a", 1);
    world_skip(w);
    world_advance(w, 59000);
    world_submit(w, "client", (world_task_t){.id = "a"});
    EXPECT(w, "client confirm a again");
    world_advance(w, 3000);
    assert_string_equal(world_state(w, "a"), "unknown");
    world_submit(w, "client", (world_task_t){.id = "a", .body = "[]"});
    EXPECT(w, "client confirm a", "worker deliver a #1");
    world_destroy(&w);
}

static void two_at_once_after_the_retention_are_one_new_task(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.retention_ms = 1000;
    world_t *w = world_new_with(&policy);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_cancel(w, "client", "a");
    world_advance(w, 5000);
    world_skip(w);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_rest(w);
    EXPECT(w, "client confirm a", "client confirm a again");
    world_destroy(&w);
}

static void a_duplicate_may_wait_for_the_outcome(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true});
    EXPECT(w, "client confirm a again");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "client outcome a success", "worker settled a#1");
    world_submit(w, "late", (world_task_t){.id = "a", .wait = true});
    EXPECT(w, "late confirm a again", "late outcome a success");
    world_destroy(&w);
}

static void purging_frees_the_id(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_reject(w, "worker", "a", 1, "no");
    world_skip(w);
    w->held = true;
    world_purge(w, "admin", "a", NULL);
    world_commit(w); /* which task it is */
    world_submit(w, "client", (world_task_t){.id = "a", .body = "[]"});
    w->held = false;
    world_rest(w);
    EXPECT(w, "admin done a count=1 was=failed", "client confirm a", "worker deliver a #1");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_task_again_in_each_state_runs_nothing_twice),
        cmocka_unit_test(a_cancelled_or_expired_task_submitted_again_stays_what_it_is),
        cmocka_unit_test(again_before_the_first_is_committed_waits_for_that_commit),
        cmocka_unit_test(again_while_the_first_is_looked_up_is_one_task),
        cmocka_unit_test(one_answer_serves_all_that_wait_for_it),
        cmocka_unit_test(again_after_a_crash_before_the_commit_is_a_new_task),
        cmocka_unit_test(what_an_honest_repetition_changes_is_not_compared),
        cmocka_unit_test(every_part_of_the_content_is_compared),
        cmocka_unit_test(a_finished_task_is_remembered_for_its_retention),
        cmocka_unit_test(two_at_once_after_the_retention_are_one_new_task),
        cmocka_unit_test(a_duplicate_may_wait_for_the_outcome),
        cmocka_unit_test(purging_frees_the_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
