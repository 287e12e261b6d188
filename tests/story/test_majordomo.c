/*  Majordomo: workers that hold one task, cannot say which, and are often silent while busy. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

static void mdp_ready(world_t *w, const char *peer, peer_kind_t kind)
{
    world_ready_as(w, peer, (world_worker_t){.queues = "q", .kind = kind, .prefetch = 1});
}

static void an_idle_worker_that_falls_silent_is_gone(void **state)
{
    (void)state;
    world_t *w = world_new();
    mdp_ready(w, "mdp", PEER_MDP01);
    world_mute(w, "mdp");
    world_advance(w, 9000);
    assert_int_equal(core_totals(w->core).workers, 1);
    world_advance(w, 2000);
    assert_int_equal(core_totals(w->core).workers, 0);
    world_submit(w, "client", (world_task_t){.id = "a"});
    EXPECT(w, "client confirm a");
    world_destroy(&w);
}

static void an_idle_worker_that_heartbeats_stays(void **state)
{
    (void)state;
    world_t *w = world_new();
    mdp_ready(w, "mdp", PEER_MDP02);
    world_advance(w, 3600000);
    world_submit(w, "client", (world_task_t){.id = "a"});
    EXPECT(w, "client confirm a", "mdp deliver a #1");
    world_destroy(&w);
}

static void a_busy_worker_may_be_silent(void **state)
{
    (void)state;
    world_t *w = world_new();
    mdp_ready(w, "mdp", PEER_MDP01);
    world_mute(w, "mdp");
    world_submit(w, "client", (world_task_t){.id = "a", .reply_to = "me"});
    world_advance(w, 55000); /* five times the liveness, less than the timeout */
    world_settle(w, "mdp", world_seq(w, "a"), 1, VERDICT_SUCCESS, "done");
    EXPECT(w, "client confirm a", "mdp deliver a #1", "reply to me: a success done",
           "mdp settled a#1");
    assert_int_equal(core_totals(w->core).workers, 1);
    world_destroy(&w);
}

static void the_silence_of_a_worker_counts_from_its_last_reply(void **state)
{
    (void)state;
    world_t *w = world_new();
    mdp_ready(w, "mdp", PEER_MDP01);
    world_mute(w, "mdp");
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_advance(w, 30000);
    world_ack(w, "mdp", "a", 1);
    world_advance(w, 9000);
    assert_int_equal(core_totals(w->core).workers, 1);
    world_advance(w, 2000);
    assert_int_equal(core_totals(w->core).workers, 0);
    world_destroy(&w);
}

static void a_task_without_a_timeout_gets_the_majordomo_timeout(void **state)
{
    (void)state;
    world_t *w = world_new();
    mdp_ready(w, "mdp", PEER_MDP01);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_advance(w, 59500);
    EXPECT(w, "client confirm a", "mdp deliver a #1");
    world_advance(w, 750);
    EXPECT(w, "mdp revoke a #1 timeout", "mdp disconnect");
    assert_string_equal(world_history(w, "a"), "scheduled a=1 f=1 d=0 | 1 timeout timeout mdp");
    world_destroy(&w);
}

static void the_timeout_runs_from_the_delivery(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a", .timeout_ms = 3000});
    world_advance(w, 60000);
    mdp_ready(w, "mdp", PEER_MDP02);
    world_advance(w, 2500);
    EXPECT(w, "client confirm a", "mdp deliver a #1");
    world_advance(w, 750);
    EXPECT(w, "mdp revoke a #1 timeout", "mdp disconnect");
    world_destroy(&w);
}

static void the_timeout_does_not_run_while_the_disk_is_waited_for(void **state)
{
    (void)state;
    world_t *w = world_new();
    mdp_ready(w, "mdp", PEER_MDP01);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a", .timeout_ms = 3000});
    world_advance(w, 8000);
    world_commit(w);
    w->held = false;
    world_advance(w, 2500);
    world_ack(w, "mdp", "a", 1);
    EXPECT(w, "client confirm a", "mdp deliver a #1", "mdp settled a#1");
    world_destroy(&w);
}

static void a_worker_gets_one_task_at_a_time(void **state)
{
    (void)state;
    world_t *w = world_new();
    mdp_ready(w, "mdp", PEER_MDP01);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    EXPECT(w, "client confirm a", "mdp deliver a #1", "client confirm b");
    world_ack(w, "mdp", "a", 1);
    EXPECT(w, "mdp settled a#1", "mdp deliver b #1");
    world_destroy(&w);
}

static void a_worker_that_disconnects_releases_its_task(void **state)
{
    (void)state;
    world_t *w = world_new();
    mdp_ready(w, "mdp", PEER_MDP01);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_goodbye(w, "mdp");
    assert_string_equal(world_history(w, "a"), "queued a=1 f=0 d=0 | 1 released released mdp");
    assert_false(core_has_workers(w->core, slice_str("q")));
    world_destroy(&w);
}

static void a_worker_whose_connection_breaks_is_a_death_after_the_grace(void **state)
{
    (void)state;
    world_t *w = world_new();
    mdp_ready(w, "mdp", PEER_MDP01);
    mdp_ready(w, "other", PEER_MDP02);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_gone(w, "mdp");
    world_advance(w, 6000);
    EXPECT(w, "client confirm a", "mdp deliver a #1", "other deliver a #2");
    assert_string_equal(world_history(w, "a"), "processing a=2 f=0 d=1 | 1 lost worker_lost mdp");
    world_destroy(&w);
}

static void a_reply_outlives_the_broker(void **state)
{
    (void)state;
    world_t *w = world_new();
    mdp_ready(w, "mdp", PEER_MDP01);
    world_submit(w, "client", (world_task_t){.id = "a", .reply_to = "me"});
    world_crash(w, 0);
    world_skip(w);
    world_settle(w, "mdp", world_seq(w, "a"), 1, VERDICT_SUCCESS, "done");
    EXPECT(w, "reply to me: a success done", "mdp settled a#1");
    world_destroy(&w);
}

static void every_end_is_a_reply(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "dead", .reply_to = "r1"});
    world_reject(w, "worker", "dead", 1, "no");
    world_prefetch(w, "worker", 0);
    world_submit(w, "client", (world_task_t){.id = "off", .reply_to = "r2"});
    world_submit(w, "client",
                 (world_task_t){.id = "late", .reply_to = "r3", .expires_ms = w->wall_ms + 1});
    world_skip(w);
    world_cancel(w, "client", "off");
    world_advance(w, 10);
    EXPECT(w, "reply to r2: off cancelled", "client done off count=1 was=queued",
           "reply to r3: late expired");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_worker_that_falls_silent_is_gone),
        cmocka_unit_test(an_idle_worker_that_heartbeats_stays),
        cmocka_unit_test(a_busy_worker_may_be_silent),
        cmocka_unit_test(the_silence_of_a_worker_counts_from_its_last_reply),
        cmocka_unit_test(a_task_without_a_timeout_gets_the_majordomo_timeout),
        cmocka_unit_test(the_timeout_runs_from_the_delivery),
        cmocka_unit_test(the_timeout_does_not_run_while_the_disk_is_waited_for),
        cmocka_unit_test(a_worker_gets_one_task_at_a_time),
        cmocka_unit_test(a_worker_that_disconnects_releases_its_task),
        cmocka_unit_test(a_worker_whose_connection_breaks_is_a_death_after_the_grace),
        cmocka_unit_test(a_reply_outlives_the_broker),
        cmocka_unit_test(every_end_is_a_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
