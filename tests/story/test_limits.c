/*  Limits: new tasks are refused with a reason and a time to try again; finishing never is. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

static world_t *world_with_limits(uint64_t max_length, uint64_t max_bytes)
{
    policy_t policy = POLICY_DEFAULT;
    policy.max_length = max_length;
    policy.max_bytes = max_bytes;
    return world_new_with(&policy);
}

static void a_queue_holds_so_many_tasks_and_no_more(void **state)
{
    (void)state;
    world_t *w = world_with_limits(2, 0);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b", .delay_ms = 60000}); /* counts as well */
    world_submit(w, "client", (world_task_t){.id = "c"});
    world_submit(w, "client", (world_task_t){.id = "d", .queue = "p"});
    EXPECT(w, "client confirm a", "client confirm b", "client refuse c queue_full retry-after=1000",
           "client confirm d");
    assert_string_equal(world_state(w, "c"), "unknown");
    assert_int_equal(core_totals(w->core).refused, 1);
    world_ready(w, "worker", "q", 1); /* a task that is being processed does not wait */
    world_submit(w, "client", (world_task_t){.id = "c"});
    EXPECT(w, "worker deliver a #1", "client confirm c");
    world_destroy(&w);
}

static void a_queue_holds_so_many_bytes_and_no_more(void **state)
{
    (void)state;
    world_t *w = world_with_limits(0, 10);
    world_submit(w, "client", (world_task_t){.id = "a", .body = "123456"});
    world_submit(w, "client", (world_task_t){.id = "b", .body = "12345"});
    world_submit(w, "client", (world_task_t){.id = "c", .body = "1234"});
    EXPECT(w, "client confirm a", "client refuse b queue_full retry-after=1000",
           "client confirm c");
    world_cancel(w, "client", "a");
    world_submit(w, "client", (world_task_t){.id = "b", .body = "12345"});
    EXPECT(w, "client done a count=1 was=queued", "client confirm b");
    world_destroy(&w);
}

static void bytes_and_lengths_are_right_after_a_restart(void **state)
{
    (void)state;
    world_t *w = world_with_limits(2, 10);
    world_submit(w, "client", (world_task_t){.id = "a", .body = "123456"});
    world_restart(w);
    world_submit(w, "client", (world_task_t){.id = "b", .body = "12345"});
    world_submit(w, "client", (world_task_t){.id = "c", .body = "1"});
    world_submit(w, "client", (world_task_t){.id = "d", .body = "1"});
    EXPECT(w, "client confirm a", "client refuse b queue_full retry-after=1000", "client confirm c",
           "client refuse d queue_full retry-after=1000");
    world_destroy(&w);
}

static void a_stored_task_is_confirmed_again_whatever_is_full(void **state)
{
    (void)state;
    world_t *w = world_with_limits(1, 2);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_disk_low(w, true);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_drain(w);
    world_submit(w, "client", (world_task_t){.id = "a"});
    EXPECT(w, "client confirm a", "client confirm a again", "client confirm a again",
           "client confirm a again");
    world_destroy(&w);
}

static void retries_released_and_lost_tasks_come_back_to_a_full_queue(void **state)
{
    (void)state;
    world_t *w = world_with_limits(1, 0);
    world_ready(w, "worker", "q", 3);
    const char *ids[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++)
        world_submit(w, "client", (world_task_t){.id = ids[i]});
    world_prefetch(w, "worker", 0);
    world_submit(w, "client", (world_task_t){.id = "d"});
    world_fail(w, "worker", "a", 1, "boom");
    world_release(w, "worker", "b", 1);
    world_gone(w, "worker");
    world_advance(w, 6000);
    assert_int_equal(core_totals(w->core).waiting, 4);
    world_skip(w);
    world_submit(w, "client", (world_task_t){.id = "e"});
    EXPECT(w, "client refuse e queue_full retry-after=1000");
    world_destroy(&w);
}

static void a_dead_letter_is_redriven_into_a_full_queue(void **state)
{
    (void)state;
    world_t *w = world_with_limits(1, 0);
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_reject(w, "worker", "a", 1, "no");
    world_prefetch(w, "worker", 0);
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_skip(w);
    world_redrive(w, "admin", "a", NULL);
    EXPECT(w, "admin done a count=1 was=failed");
    assert_string_equal(world_state(w, "a"), "queued");
    world_destroy(&w);
}

static void a_low_disk_refuses_new_tasks_and_finishes_the_old(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    const char *ids[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < 5; i++)
        world_submit(w, "client", (world_task_t){.id = ids[i]});
    world_skip(w);
    world_disk_low(w, true);
    world_submit(w, "client", (world_task_t){.id = "f"});
    EXPECT(w, "client refuse f disk_low retry-after=5000");
    world_ack(w, "worker", "a", 1);
    world_reject(w, "worker", "b", 1, "no");
    world_fail(w, "worker", "c", 1, "boom");
    EXPECT(w, "worker settled a#1", "worker deliver b #1", "worker settled b#1",
           "worker deliver c #1", "worker settled c#1", "worker deliver d #1");
    world_cancel(w, "client", "e");
    world_redrive(w, "client", "b", NULL);
    EXPECT(w, "client done e count=1 was=queued", "client done b count=1 was=failed");
    world_disk_low(w, false);
    world_submit(w, "client", (world_task_t){.id = "f"});
    EXPECT(w, "client confirm f");
    world_destroy(&w);
}

static void a_draining_broker_takes_and_gives_nothing_and_finishes_what_runs(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_skip(w);
    world_drain(w);
    world_submit(w, "client", (world_task_t){.id = "c"});
    EXPECT(w, "client refuse c draining retry-after=1000");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "client outcome a success", "worker settled a#1");
    world_ready(w, "other", "q", 1);
    world_advance(w, 10000); /* and wants no ticks for work it does not do */
    EXPECT_SILENCE(w);
    assert_int_equal(core_totals(w->core).waiting, 1);
    world_restart(w);
    world_ready(w, "worker", "q", 1);
    EXPECT(w, "worker deliver b #1");
    world_destroy(&w);
}

static void a_draining_broker_starts_no_scheduled_task(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .delay_ms = 2000});
    world_skip(w);
    world_drain(w);
    world_advance(w, 10000);
    assert_string_equal(world_state(w, "a"), "scheduled");
    world_restart(w);
    world_ready(w, "worker", "q", 1);
    EXPECT(w, "worker deliver a #1");
    world_destroy(&w);
}

static void too_many_queues_are_refused_and_the_others_work_on(void **state)
{
    (void)state;
    core_config_t config = world_config(&POLICY_DEFAULT);
    config.max_queues = 2;
    world_t *w = world_new_from(&config);
    world_submit(w, "client", (world_task_t){.id = "a", .queue = "one"});
    world_submit(w, "client", (world_task_t){.id = "b", .queue = "two"});
    world_submit(w, "client", (world_task_t){.id = "c", .queue = "three"});
    world_submit(w, "client", (world_task_t){.id = "d", .queue = "one"});
    EXPECT(w, "client confirm a", "client confirm b", "client refuse c too_many",
           "client confirm d");
    world_ready(w, "worker", "one three", 5);
    EXPECT(w, "worker refuse - too_many", "worker disconnect");
    assert_int_equal(core_totals(w->core).workers, 0);
    world_ready(w, "worker", "one two", 5);
    EXPECT(w, "worker deliver a #1", "worker deliver d #1", "worker deliver b #1");
    world_destroy(&w);
}

static void a_body_that_can_never_fit_is_too_large_and_not_for_later(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.max_bytes = 8;
    world_t *w = world_new_with(&policy);
    world_submit(w, "client", (world_task_t){.id = "a", .body = "{\"args\":[]}"});
    EXPECT(w, "client refuse a too_large");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_can_never_fit_is_too_large_and_not_for_later),
        cmocka_unit_test(a_queue_holds_so_many_tasks_and_no_more),
        cmocka_unit_test(a_queue_holds_so_many_bytes_and_no_more),
        cmocka_unit_test(bytes_and_lengths_are_right_after_a_restart),
        cmocka_unit_test(a_stored_task_is_confirmed_again_whatever_is_full),
        cmocka_unit_test(retries_released_and_lost_tasks_come_back_to_a_full_queue),
        cmocka_unit_test(a_dead_letter_is_redriven_into_a_full_queue),
        cmocka_unit_test(a_low_disk_refuses_new_tasks_and_finishes_the_old),
        cmocka_unit_test(a_draining_broker_takes_and_gives_nothing_and_finishes_what_runs),
        cmocka_unit_test(a_draining_broker_starts_no_scheduled_task),
        cmocka_unit_test(too_many_queues_are_refused_and_the_others_work_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
