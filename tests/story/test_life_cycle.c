/*  From submit to outcome, and nothing is said before the commit. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

static void a_task_is_confirmed_delivered_and_its_outcome_told(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true});
    EXPECT(w, "client confirm a", "worker deliver a #1");
    assert_string_equal(world_state(w, "a"), "processing");
    world_settle(w, "worker", world_seq(w, "a"), 1, VERDICT_SUCCESS, "forty-two");
    EXPECT(w, "client outcome a success forty-two", "worker settled a#1");
    assert_string_equal(world_state(w, "a"), "success");
    world_destroy(&w);
}

static void a_task_waits_for_its_first_worker(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_advance(w, 3600000);
    EXPECT(w, "client confirm a");
    world_ready(w, "worker", "q", 1);
    EXPECT(w, "worker deliver a #1");
    world_destroy(&w);
}

static void a_task_goes_only_to_workers_of_its_queue(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "other", "p", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    EXPECT(w, "client confirm a");
    world_ready(w, "worker", "p q", 1);
    EXPECT(w, "worker deliver a #1");
    world_destroy(&w);
}

static void a_confirm_waits_for_the_commit(void **state)
{
    (void)state;
    world_t *w = world_new();
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    EXPECT_SILENCE(w);
    world_commit_some(w, 1);
    EXPECT(w, "client confirm a");
    world_commit(w);
    EXPECT(w, "client confirm b");
    world_destroy(&w);
}

static void a_delivery_waits_for_the_commit_of_the_lease(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_commit_some(w, 1);
    EXPECT(w, "client confirm a");
    world_commit(w);
    EXPECT(w, "worker deliver a #1");
    world_destroy(&w);
}

static void an_outcome_waits_for_the_commit_of_the_end(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true, .reply_to = "me"});
    world_skip(w);
    w->held = true;
    world_ack(w, "worker", "a", 1);
    EXPECT_SILENCE(w);
    world_commit(w);
    EXPECT(w, "client outcome a success", "reply to me: a success", "worker settled a#1");
    world_destroy(&w);
}

static void a_refusal_waits_its_turn_behind_earlier_confirms(void **state)
{
    (void)state;
    world_t *w = world_new();
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_disk_low(w, true);
    world_submit(w, "client", (world_task_t){.id = "b"});
    EXPECT_SILENCE(w);
    world_commit(w);
    EXPECT(w, "client confirm a", "client refuse b disk_low retry-after=5000");
    world_destroy(&w);
}

static void a_worker_hears_of_a_cancellation_when_it_is_durable(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    w->held = true;
    world_cancel(w, "client", "a");
    world_commit(w); /* the question which task it is */
    EXPECT_SILENCE(w);
    world_commit(w);
    EXPECT(w, "worker revoke a #1 cancelled", "client done a count=1 was=processing");
    world_destroy(&w);
}

static void what_was_not_committed_never_happened(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_crash(w, 2);
    EXPECT_SILENCE(w);
    assert_string_equal(world_state(w, "a"), "unknown");
    world_submit(w, "client", (world_task_t){.id = "a"});
    EXPECT(w, "client confirm a");
    world_destroy(&w);
}

static void a_reply_address_gets_progress_and_the_end(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .reply_to = "me", .wait = true});
    world_skip(w);
    world_progress(w, "worker", "a", 1, "half");
    EXPECT(w, "client partial a half", "partial to me: a half");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "client outcome a success", "reply to me: a success", "worker settled a#1");
    world_destroy(&w);
}

static void an_id_submitted_twice_while_it_is_looked_up_is_one_task(void **state)
{
    (void)state;
    world_t *w = world_new();
    w->all_maybe = true;
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "a", .body = "{\"other\":1}"});
    w->all_maybe = false;
    world_submit(w, "client", (world_task_t){.id = "a"});
    w->held = false;
    world_rest(w);
    EXPECT(w, "client confirm a", "client confirm a again", "client refuse a conflict",
           "client confirm a again");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_confirmed_delivered_and_its_outcome_told),
        cmocka_unit_test(a_task_waits_for_its_first_worker),
        cmocka_unit_test(a_task_goes_only_to_workers_of_its_queue),
        cmocka_unit_test(a_confirm_waits_for_the_commit),
        cmocka_unit_test(a_delivery_waits_for_the_commit_of_the_lease),
        cmocka_unit_test(an_outcome_waits_for_the_commit_of_the_end),
        cmocka_unit_test(a_refusal_waits_its_turn_behind_earlier_confirms),
        cmocka_unit_test(a_worker_hears_of_a_cancellation_when_it_is_durable),
        cmocka_unit_test(what_was_not_committed_never_happened),
        cmocka_unit_test(an_id_submitted_twice_while_it_is_looked_up_is_one_task),
        cmocka_unit_test(a_reply_address_gets_progress_and_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
