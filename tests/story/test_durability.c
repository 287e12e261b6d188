/*  Queues whose durability is memory: everything is told at once, and written behind. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

/*  Every queue is in memory but "kept". */
static world_t *world_in_memory(void)
{
    static named_policy_t kept;
    kept = (named_policy_t){"kept", POLICY_DEFAULT};
    policy_t memory = POLICY_DEFAULT;
    memory.durability = DURABILITY_MEMORY;
    core_config_t config = world_config(&memory);
    config.named = &kept;
    config.named_count = 1;
    return world_new_from(&config);
}

static void a_whole_life_passes_without_a_commit(void **state)
{
    (void)state;
    world_t *w = world_in_memory();
    world_ready(w, "worker", "q", 1);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true, .reply_to = "caller"});
    EXPECT(w, "client confirm a memory", "worker deliver a #1 ephemeral");
    world_progress(w, "worker", "a", 1, "half");
    EXPECT(w, "client partial a half", "partial to caller: a half");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "client outcome a success", "reply to caller: a success", "worker settled a#1");
    world_rest(w);
    EXPECT_SILENCE(w);
    assert_string_equal(world_state(w, "a"), "success");
    world_destroy(&w);
}

static void another_queue_waits_for_its_commits_as_ever(void **state)
{
    (void)state;
    world_t *w = world_in_memory();
    world_ready(w, "worker", "q kept", 4);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a", .queue = "kept"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    EXPECT(w, "client confirm b memory", "worker deliver b #1 ephemeral");
    world_commit_some(w, 2);
    EXPECT(w, "client confirm a", "worker deliver a #1");
    world_ack(w, "worker", "a", 1);
    world_ack(w, "worker", "b", 1);
    EXPECT(w, "worker settled b#1");
    world_rest(w);
    EXPECT(w, "worker settled a#1");
    world_destroy(&w);
}

static void failures_and_cancellations_are_told_at_once(void **state)
{
    (void)state;
    world_t *w = world_in_memory();
    world_ready(w, "worker", "q", 2);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_skip(w);
    w->held = true;
    world_reject(w, "worker", "a", 1, "no");
    EXPECT(w, "worker settled a#1");
    world_cancel(w, "client", "b");
    world_commit_some(w, 2); /* the question which task b is, and what came before it */
    EXPECT(w, "worker revoke b #1 cancelled ephemeral");
    world_rest(w);
    EXPECT(w, "client done b count=1 was=processing");
    world_destroy(&w);
}

static void a_worker_gets_its_next_task_without_a_commit(void **state)
{
    (void)state;
    world_t *w = world_in_memory();
    world_ready(w, "worker", "q", 1);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    EXPECT(w, "client confirm a memory", "worker deliver a #1 ephemeral",
           "client confirm b memory");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker settled a#1", "worker deliver b #1 ephemeral");
    world_destroy(&w);
}

static void what_was_not_written_is_gone_after_a_crash(void **state)
{
    (void)state;
    world_t *w = world_in_memory();
    world_ready(w, "worker", "q", 2);
    world_submit(w, "client", (world_task_t){.id = "written"});
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "lost"});
    world_ack(w, "worker", "written", 1);
    EXPECT(w, "client confirm written memory", "worker deliver written #1 ephemeral",
           "client confirm lost memory", "worker deliver lost #1 ephemeral",
           "worker settled written#1");
    world_crash(w, 1);
    assert_string_equal(world_state(w, "written"), "processing");
    assert_string_equal(world_state(w, "lost"), "unknown");
    world_submit(w, "client", (world_task_t){.id = "lost"});
    EXPECT(w, "client confirm lost memory");
    world_destroy(&w);
}

/*  A slot that a revocation makes free is known to the worker when that is told: so the delivery waits
    for it, and what is told of the task later waits for the delivery. */
static void nothing_is_overtaken(void **state)
{
    (void)state;
    world_t *w = world_in_memory();
    world_ready(w, "first", "q kept", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .queue = "kept"});
    world_skip(w);
    w->held = true;
    world_cancel(w, "client", "a");
    world_commit(w); /* which task a is */
    world_submit(w, "client", (world_task_t){.id = "b", .wait = true});
    EXPECT(w, "client confirm b memory");
    size_t until_first_lease = w->pending_count;
    world_cancel(w, "client", "b");
    world_goodbye(w, "first");
    world_ready(w, "second", "q", 1);
    world_commit_some(w, until_first_lease);
    world_commit_some(w, w->pending_count - 1); /* all but the second lease */
    EXPECT(w, "first revoke a #1 cancelled", "client done a count=1 was=processing");
    world_rest(w);
    EXPECT(w, "second deliver b #2 ephemeral", "client outcome b cancelled",
           "second revoke b #2 cancelled ephemeral", "client done b count=1 was=processing");
    world_destroy(&w);
}

/*  Its token ended with the broker, so the worker cannot name the lease; it is back, and has not died. */
static void a_lease_that_was_written_is_given_back_when_its_worker_returns(void **state)
{
    (void)state;
    world_t *w = world_in_memory();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_restart(w);
    world_skip(w);
    world_ready(w, "worker", "q", 1);
    EXPECT(w, "worker deliver a #2 ephemeral");
    assert_string_equal(world_history(w, "a"),
                        "processing a=2 f=0 d=0 | 1 released released worker");
    world_destroy(&w);
}

static void an_ephemeral_lease_is_called_so_to_its_end(void **state)
{
    (void)state;
    world_t *w = world_in_memory();
    world_ready(w, "worker", "q kept", 2);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b", .queue = "kept"});
    EXPECT(w, "client confirm a memory", "worker deliver a #1 ephemeral", "client confirm b",
           "worker deliver b #1");
    core_set_policies(w->core, &POLICY_DEFAULT, NULL, 0);
    world_cancel(w, "client", "a");
    EXPECT(w, "worker revoke a #1 cancelled ephemeral", "client done a count=1 was=processing");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_life_passes_without_a_commit),
        cmocka_unit_test(another_queue_waits_for_its_commits_as_ever),
        cmocka_unit_test(failures_and_cancellations_are_told_at_once),
        cmocka_unit_test(a_worker_gets_its_next_task_without_a_commit),
        cmocka_unit_test(nothing_is_overtaken),
        cmocka_unit_test(what_was_not_written_is_gone_after_a_crash),
        cmocka_unit_test(a_lease_that_was_written_is_given_back_when_its_worker_returns),
        cmocka_unit_test(an_ephemeral_lease_is_called_so_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
