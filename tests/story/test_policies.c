/*  Policies: by queue name, and replaced while the broker runs. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

static policy_t with_retries(uint32_t max_retries, uint64_t max_length)
{
    policy_t policy = POLICY_DEFAULT;
    policy.max_retries = max_retries;
    policy.max_length = max_length;
    return policy;
}

static void a_named_queue_has_its_own_policy(void **state)
{
    (void)state;
    named_policy_t named = {"strict", with_retries(0, 0)};
    core_config_t config = world_config(&POLICY_DEFAULT);
    config.named = &named;
    config.named_count = 1;
    world_t *w = world_new_from(&config);
    world_ready(w, "worker", "strict q", 2);
    world_submit(w, "client", (world_task_t){.id = "a", .queue = "strict"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_fail(w, "worker", "a", 1, "boom");
    world_fail(w, "worker", "b", 1, "boom");
    assert_string_equal(world_state(w, "a"), "failed");
    assert_string_equal(world_state(w, "b"), "scheduled");
    assert_int_equal(core_policy(w->core, core_queue_id(w->core, slice_str("strict")))->max_retries,
                     0);
    assert_int_equal(core_policy(w->core, 12345)->max_retries, POLICY_DEFAULT.max_retries);
    world_destroy(&w);
}

static void a_named_policy_holds_after_a_restart(void **state)
{
    (void)state;
    named_policy_t named = {"strict", with_retries(0, 0)};
    core_config_t config = world_config(&POLICY_DEFAULT);
    config.named = &named;
    config.named_count = 1;
    world_t *w = world_new_from(&config);
    world_submit(w, "client", (world_task_t){.id = "a", .queue = "strict"});
    world_restart(w);
    world_ready(w, "worker", "strict", 1);
    world_fail(w, "worker", "a", 1, "boom");
    assert_string_equal(world_state(w, "a"), "failed");
    world_destroy(&w);
}

static void new_policies_hold_for_the_tasks_that_are_there(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_skip(w);
    policy_t none = with_retries(0, 0);
    named_policy_t named = {"q", with_retries(5, 1)};
    core_set_policies(w->core, &none, &named, 1);
    world_submit(w, "client", (world_task_t){.id = "c"});
    EXPECT(w, "client refuse c queue_full retry-after=1000");
    world_fail(w, "worker", "a", 1, "boom");
    assert_string_equal(world_state(w, "a"), "scheduled");
    world_ack(w, "worker", "b", 1);
    world_advance(w, 2000);
    core_set_policies(w->core, &none, NULL, 0); /* the name is gone: the default holds */
    world_fail(w, "worker", "a", 2, "boom");
    assert_string_equal(world_state(w, "a"), "failed");
    world_destroy(&w);
}

static void a_new_policy_holds_for_queues_made_later(void **state)
{
    (void)state;
    world_t *w = world_new();
    policy_t policy = with_retries(0, 0);
    named_policy_t named = {"later", with_retries(3, 1)};
    core_set_policies(w->core, &policy, &named, 1);
    world_submit(w, "client", (world_task_t){.id = "a", .queue = "later"});
    world_submit(w, "client", (world_task_t){.id = "b", .queue = "later"});
    world_submit(w, "client", (world_task_t){.id = "c", .queue = "other"});
    world_submit(w, "client", (world_task_t){.id = "d", .queue = "other"});
    EXPECT(w, "client confirm a", "client refuse b queue_full retry-after=1000", "client confirm c",
           "client confirm d");
    world_destroy(&w);
}

static void the_task_s_own_word_goes_before_any_policy(void **state)
{
    (void)state;
    policy_t policy = with_retries(0, 0);
    policy.timeout_ms = 1000;
    world_t *w = world_new_with(&policy);
    world_ready(w, "worker", "q", 2);
    world_submit(w, "client", (world_task_t){.id = "a", .max_retries = 1, .timeout_ms = 3600000});
    world_advance(w, 600000);
    world_fail(w, "worker", "a", 1, "boom");
    assert_string_equal(world_state(w, "a"), "scheduled");
    world_destroy(&w);
}

static void retention_is_that_of_the_queue_at_the_end_of_the_task(void **state)
{
    (void)state;
    policy_t shorter = POLICY_DEFAULT;
    shorter.retention_ms = 1000;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "before"});
    world_submit(w, "client", (world_task_t){.id = "after"});
    world_cancel(w, "client", "before");
    core_set_policies(w->core, &shorter, NULL, 0);
    world_cancel(w, "client", "after");
    world_advance(w, 5000);
    assert_string_equal(world_state(w, "before"), "cancelled");
    assert_string_equal(world_state(w, "after"), "unknown");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_named_queue_has_its_own_policy),
        cmocka_unit_test(a_named_policy_holds_after_a_restart),
        cmocka_unit_test(new_policies_hold_for_the_tasks_that_are_there),
        cmocka_unit_test(a_new_policy_holds_for_queues_made_later),
        cmocka_unit_test(the_task_s_own_word_goes_before_any_policy),
        cmocka_unit_test(retention_is_that_of_the_queue_at_the_end_of_the_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
