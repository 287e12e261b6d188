/*  Tasks that a fast worker is leased before it has room for them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/story/world.h"

enum { CHECK_MS = 250 };

static void settle_eight(world_t *w, char name)
{
    char id[8];
    for (int i = 1; i <= 8; i++) {
        snprintf(id, sizeof id, "%c%d", name, i);
        world_submit(w, "client", (world_task_t){.id = id});
        world_ack(w, "fast", id, 1);
    }
}

/*  With the worker named "fast". Commits take long, and it has settled w1 … w8 while they were measured: so
    it is leased tasks ahead, eight in a quarter of a second by six commits. */
static world_t *world_with_a_fast(world_worker_t worker, int64_t commit_us)
{
    world_t *w = world_new();
    w->commit_us = commit_us;
    worker.queues = "q";
    worker.prefetch = 1;
    world_ready_as(w, "fast", worker);
    settle_eight(w, 'w');
    world_advance(w, CHECK_MS);
    world_skip(w);
    return w;
}

static world_t *world_with_a_fast_worker(void)
{
    return world_with_a_fast((world_worker_t){0}, 10000);
}

/*  It holds a, and is leased b. */
static world_t *world_with_a_task_ahead(void)
{
    world_t *w = world_with_a_fast_worker();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    EXPECT(w, "client confirm a", "fast deliver a #1", "client confirm b");
    assert_string_equal(world_state(w, "b"), "processing");
    return w;
}

static void the_next_task_is_sent_without_a_commit_between(void **state)
{
    (void)state;
    world_t *w = world_with_a_task_ahead();
    w->held = true;
    world_ack(w, "fast", "a", 1);
    EXPECT(w, "fast deliver b #1");
    world_ack(w, "fast", "b", 1);
    EXPECT_SILENCE(w);
    w->held = false;
    world_commit(w);
    EXPECT(w, "fast settled a#1", "fast settled b#1");
    world_destroy(&w);
}

static void what_was_ahead_is_replaced_as_it_leaves(void **state)
{
    (void)state;
    world_t *w = world_with_a_fast((world_worker_t){0}, 5000); /* one ahead */
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_submit(w, "client", (world_task_t){.id = "c"});
    assert_string_equal(world_state(w, "c"), "queued");
    world_ack(w, "fast", "a", 1);
    assert_string_equal(world_state(w, "c"), "processing");
    world_destroy(&w);
}

static void a_task_ahead_is_not_sent_before_its_lease_is_durable(void **state)
{
    (void)state;
    world_t *w = world_with_a_fast_worker();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_skip(w);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_ack(w, "fast", "a", 1);
    EXPECT_SILENCE(w);
    w->held = false;
    world_commit(w);
    EXPECT(w, "client confirm b", "fast settled a#1", "fast deliver b #1");
    world_destroy(&w);
}

static void a_slow_worker_is_leased_no_more_than_it_has_room_for(void **state)
{
    (void)state;
    world_t *w = world_new();
    w->commit_us = 1000;
    world_ready(w, "slow", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_ack(w, "slow", "a", 1);
    world_advance(w, CHECK_MS);
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_submit(w, "client", (world_task_t){.id = "c"});
    assert_string_equal(world_state(w, "c"), "queued");
    world_destroy(&w);
}

static void what_is_ahead_is_taken_back_when_the_worker_slows_down(void **state)
{
    (void)state;
    world_t *w = world_with_a_task_ahead();
    world_advance(w, CHECK_MS);
    assert_string_equal(world_state(w, "b"), "queued");
    world_ready(w, "other", "q", 1);
    EXPECT(w, "other deliver b #1");
    assert_string_equal(world_history(w, "b"), "processing a=1 f=0 d=0");
    world_destroy(&w);
}

static void what_expires_while_it_is_ahead_is_not_run(void **state)
{
    (void)state;
    world_t *w = world_with_a_fast_worker();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b", .expires_ms = w->wall_ms + 100});
    EXPECT(w, "client confirm a", "fast deliver a #1", "client confirm b");
    assert_string_equal(world_state(w, "b"), "processing");
    world_advance(w, 150);
    world_ack(w, "fast", "a", 1);
    EXPECT(w, "fast settled a#1");
    assert_string_equal(world_state(w, "b"), "expired");
    world_destroy(&w);
}

static void what_is_ahead_of_a_lost_worker_is_not_held_against_it(void **state)
{
    (void)state;
    world_t *w = world_with_a_task_ahead();
    world_gone(w, "fast");
    assert_string_equal(world_state(w, "a"), "processing"); /* until its grace is over */
    world_ready(w, "other", "q", 1);
    EXPECT(w, "other deliver b #1");
    assert_string_equal(world_history(w, "b"), "processing a=1 f=0 d=0");
    world_destroy(&w);
}

static void a_worker_with_room_comes_before_one_without(void **state)
{
    (void)state;
    world_t *w = world_with_a_fast_worker();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_ready(w, "idle", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "b"});
    EXPECT(w, "client confirm a", "fast deliver a #1", "client confirm b", "idle deliver b #1");
    world_destroy(&w);
}

static void a_task_ahead_is_cancelled_without_a_word_to_the_worker(void **state)
{
    (void)state;
    world_t *w = world_with_a_task_ahead();
    world_cancel(w, "client", "b");
    EXPECT(w, "client done b count=1 was=processing");
    world_ack(w, "fast", "a", 1);
    EXPECT(w, "fast settled a#1");
    world_destroy(&w);
}

static void a_majordomo_worker_stays_when_a_task_ahead_is_cancelled(void **state)
{
    (void)state;
    world_t *w = world_with_a_fast_worker();
    char id[8];
    world_goodbye(w, "fast");
    world_ready_as(w, "mdp", (world_worker_t){.queues = "q", .kind = PEER_MDP02, .prefetch = 1});
    for (int i = 1; i <= 8; i++) {
        snprintf(id, sizeof id, "m%d", i);
        world_submit(w, "client", (world_task_t){.id = id});
        world_ack(w, "mdp", id, 1);
    }
    world_advance(w, CHECK_MS);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    assert_string_equal(world_state(w, "b"), "processing");
    world_skip(w);
    world_cancel(w, "client", "b");
    EXPECT(w, "client done b count=1 was=processing");
    world_destroy(&w);
}

static void a_majordomo_worker_that_times_out_loses_what_is_ahead_as_well(void **state)
{
    (void)state;
    world_t *w = world_with_a_fast((world_worker_t){.kind = PEER_MDP02}, 10000);
    settle_eight(w, 'v'); /* it is still fast when it is found to be late */
    world_submit(w, "client", (world_task_t){.id = "a", .timeout_ms = 100});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_submit(w, "client", (world_task_t){.id = "c"});
    world_submit(w, "client", (world_task_t){.id = "d"});
    assert_string_equal(world_state(w, "c"), "processing");
    assert_string_equal(world_state(w, "d"), "queued");
    world_advance(w, CHECK_MS);
    assert_string_equal(world_history(w, "a"), "scheduled a=1 f=1 d=0 | 1 timeout timeout fast");
    assert_string_equal(world_history(w, "b"), "queued a=0 f=0 d=0");
    assert_string_equal(world_history(w, "c"), "queued a=0 f=0 d=0");
    assert_string_equal(world_history(w, "d"), "queued a=0 f=0 d=0");
    world_destroy(&w);
}

static void less_room_takes_back_and_more_room_sends_what_is_ahead(void **state)
{
    (void)state;
    world_t *w = world_with_a_task_ahead();
    world_prefetch(w, "fast", 2);
    EXPECT(w, "fast deliver b #1");
    world_submit(w, "client", (world_task_t){.id = "c"});
    assert_string_equal(world_state(w, "c"), "processing");
    world_prefetch(w, "fast", 0);
    assert_string_equal(world_state(w, "c"), "queued");
    world_destroy(&w);
}

static void a_worker_that_registers_anew_is_leased_nothing_ahead(void **state)
{
    (void)state;
    world_t *w = world_with_a_task_ahead();
    world_ready_as(w, "fast",
                   (world_worker_t){.queues = "elsewhere",
                                    .prefetch = 1,
                                    .held = &(world_held_t){"a", 1, 0},
                                    .held_count = 1});
    assert_string_equal(world_state(w, "a"), "processing");
    assert_string_equal(world_state(w, "b"), "queued");
    world_destroy(&w);
}

static void a_draining_broker_takes_back_what_is_ahead(void **state)
{
    (void)state;
    world_t *w = world_with_a_task_ahead();
    world_drain(w);
    world_rest(w);
    assert_string_equal(world_state(w, "b"), "queued");
    world_ack(w, "fast", "a", 1);
    world_advance(w, CHECK_MS);
    assert_string_equal(world_state(w, "b"), "queued");
    world_destroy(&w);
}

static void a_draining_broker_gives_nothing_out_that_a_commit_made_room_for(void **state)
{
    (void)state;
    world_t *w = world_with_a_fast((world_worker_t){0}, 5000); /* one ahead */
    world_submit(w, "client", (world_task_t){.id = "a"});
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_submit(w, "client", (world_task_t){.id = "c"});
    world_ack(w, "fast", "a", 1);
    world_commit(w);
    world_drain(w);
    world_rest(w);
    assert_string_equal(world_state(w, "b"), "processing");
    assert_string_equal(world_state(w, "c"), "queued");
    world_destroy(&w);
}

/*  What was ahead when the broker was killed is on record as leased; its worker comes back without it. */
static void a_killed_broker_gives_out_again_what_was_ahead(void **state)
{
    (void)state;
    world_t *w = world_with_a_task_ahead();
    world_crash(w, 0);
    world_ready_as(
        w, "fast",
        (world_worker_t){
            .queues = "q", .prefetch = 2, .held = &(world_held_t){"a", 1, 0}, .held_count = 1});
    EXPECT(w, "fast deliver b #2");
    assert_string_equal(world_history(w, "b"), "processing a=2 f=0 d=0 | 1 released released fast");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_task_is_sent_without_a_commit_between),
        cmocka_unit_test(what_was_ahead_is_replaced_as_it_leaves),
        cmocka_unit_test(a_task_ahead_is_not_sent_before_its_lease_is_durable),
        cmocka_unit_test(a_slow_worker_is_leased_no_more_than_it_has_room_for),
        cmocka_unit_test(what_is_ahead_is_taken_back_when_the_worker_slows_down),
        cmocka_unit_test(what_expires_while_it_is_ahead_is_not_run),
        cmocka_unit_test(what_is_ahead_of_a_lost_worker_is_not_held_against_it),
        cmocka_unit_test(a_worker_with_room_comes_before_one_without),
        cmocka_unit_test(a_task_ahead_is_cancelled_without_a_word_to_the_worker),
        cmocka_unit_test(a_majordomo_worker_stays_when_a_task_ahead_is_cancelled),
        cmocka_unit_test(a_majordomo_worker_that_times_out_loses_what_is_ahead_as_well),
        cmocka_unit_test(less_room_takes_back_and_more_room_sends_what_is_ahead),
        cmocka_unit_test(a_worker_that_registers_anew_is_leased_nothing_ahead),
        cmocka_unit_test(a_draining_broker_takes_back_what_is_ahead),
        cmocka_unit_test(a_draining_broker_gives_nothing_out_that_a_commit_made_room_for),
        cmocka_unit_test(a_killed_broker_gives_out_again_what_was_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
