/*  Leases: who holds a task, for how long, and who may still speak about it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

/*  One worker that holds task a, attempt 1. */
static world_t *world_with_a_lease(void)
{
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    EXPECT(w, "client confirm a", "worker deliver a #1");
    return w;
}

static void heartbeats_keep_a_lease_for_hours(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_advance(w, 4 * 3600 * 1000);
    EXPECT_SILENCE(w);
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker settled a#1");
    world_destroy(&w);
}

static void a_silent_worker_loses_its_task(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_ready(w, "other", "q", 1);
    world_mute(w, "worker");
    world_advance(w, 9000);
    assert_int_equal(w->notes[NOTE_WORKER_LOST], 0);
    world_advance(w, 7000);
    assert_int_equal(w->notes[NOTE_WORKER_LOST], 1);
    EXPECT(w, "other deliver a #2");
    assert_string_equal(world_history(w, "a"),
                        "processing a=2 f=0 d=1 | 1 lost worker_lost worker");
    world_destroy(&w);
}

static void a_dead_worker_s_task_goes_to_another(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_ready(w, "other", "q", 1);
    world_gone(w, "worker");
    world_advance(w, 4000);
    EXPECT_SILENCE(w); /* it may come back */
    world_advance(w, 2000);
    EXPECT(w, "other deliver a #2");
    assert_int_equal(core_totals(w->core).lost, 1);
    world_destroy(&w);
}

static void a_worker_that_comes_back_with_its_task_keeps_it(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_ready(w, "other", "q", 1);
    world_gone(w, "worker");
    world_advance(w, 3000);
    world_ready_as(
        w, "worker",
        (world_worker_t){
            .queues = "q", .prefetch = 1, .held = &(world_held_t){"a", 1, 3000}, .held_count = 1});
    world_advance(w, 60000);
    EXPECT_SILENCE(w);
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker settled a#1");
    assert_string_equal(world_history(w, "a"), "success a=1 f=0 d=0");
    world_destroy(&w);
}

static void a_worker_that_comes_back_without_its_task_gives_it_up_at_once(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_gone(w, "worker");
    world_ready(w, "worker", "q", 1);
    EXPECT(w, "worker deliver a #2");
    assert_string_equal(world_history(w, "a"),
                        "processing a=2 f=0 d=0 | 1 released released worker");
    world_destroy(&w);
}

static void a_worker_that_comes_back_too_late_is_told_to_stop(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_ready(w, "other", "q", 1);
    world_gone(w, "worker");
    world_advance(w, 6000);
    EXPECT(w, "other deliver a #2");
    world_ready_as(
        w, "worker",
        (world_worker_t){
            .queues = "q", .prefetch = 1, .held = &(world_held_t){"a", 1, 6000}, .held_count = 1});
    EXPECT(w, "worker revoke a #1 stale");
    world_destroy(&w);
}

/*  Told to stop while another connection had the task; before it hears of that, it has it. */
static void a_worker_that_gets_its_task_back_is_not_told_to_stop(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_ready(w, "second", "q", 1);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "b", .queue = "p"});
    world_heartbeat(w, "second", &(world_held_t){"a", 1, 0}, 1);
    world_gone(w, "worker");
    world_heartbeat(w, "second", &(world_held_t){"a", 1, 0}, 1);
    world_rest(w);
    EXPECT(w, "client confirm b");
    world_ack(w, "second", "a", 1);
    world_rest(w);
    EXPECT(w, "second settled a#1");
    world_destroy(&w);
}

static void the_same_name_on_a_new_connection_ends_the_old_one(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    w->connections[world_peer(w, "worker") - 1].gone = true; /* the broker has not noticed */
    world_ready_as(
        w, "worker",
        (world_worker_t){
            .queues = "q", .prefetch = 2, .held = &(world_held_t){"a", 1, 0}, .held_count = 1});
    assert_int_equal(core_totals(w->core).workers, 1);
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker settled a#1");
    world_destroy(&w);
}

static void a_task_that_its_living_worker_no_longer_names_is_taken_back(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_ready(w, "other", "q", 1);
    world_prefetch(w, "worker", 0);
    world_mute(w, "worker");
    for (int i = 0; i < 10; i++) {
        EXPECT_SILENCE(w);
        world_heartbeat(w, "worker", NULL, 0);
        world_advance(w, 1000);
    }
    EXPECT(w, "worker revoke a #1 stale", "other deliver a #2");
    world_destroy(&w);
}

static void a_heartbeat_cannot_claim_another_worker_s_task(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_ready(w, "other", "q", 1);
    world_heartbeat(w, "other", &(world_held_t){"a", 1, 0}, 1);
    EXPECT(w, "other revoke a #1 stale");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker settled a#1");
    world_destroy(&w);
}

static void a_heartbeat_of_a_stranger_is_refused(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_heartbeat(w, "stranger", NULL, 0);
    world_prefetch(w, "stranger", 3);
    EXPECT(w, "stranger refuse - not_ready", "stranger refuse - not_ready");
    world_destroy(&w);
}

static void the_last_word_of_a_connection_that_is_gone_still_counts(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_gone(w, "worker");
    world_ack(w, "worker", "a", 1); /* on a new connection, before any ready */
    EXPECT(w, "worker settled a#1");
    assert_string_equal(world_state(w, "a"), "success");
    world_destroy(&w);
}

/*  Task a was lost by "zombie", which does not know, and is held by "worker" as attempt 2. */
static world_t *world_with_a_zombie(void)
{
    world_t *w = world_new();
    world_ready(w, "zombie", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_mute(w, "zombie");
    world_advance(w, 16000);
    world_ready(w, "worker", "q", 1);
    EXPECT(w, "client confirm a", "zombie deliver a #1", "worker deliver a #2");
    return w;
}

static void a_zombie_cannot_finish_a_task_that_was_given_to_another(void **state)
{
    (void)state;
    world_t *w = world_with_a_zombie();
    world_ack(w, "zombie", "a", 1);
    world_ack(w, "zombie", "a", 2); /* a number it never had */
    EXPECT(w, "zombie refuse a#1 stale_attempt", "zombie refuse a#2 stale_attempt");
    assert_int_equal(core_totals(w->core).stale, 2);
    assert_int_equal(w->notes[NOTE_STALE], 2);
    assert_string_equal(world_state(w, "a"), "processing");
    world_ack(w, "worker", "a", 2);
    EXPECT(w, "worker settled a#2");
    world_destroy(&w);
}

static void a_zombie_s_progress_and_extension_are_refused_and_counted(void **state)
{
    (void)state;
    world_t *w = world_with_a_zombie();
    world_wait(w, "client", "a");
    world_progress(w, "zombie", "a", 1, "half");
    world_extend(w, "zombie", "a", 1, 1000);
    EXPECT(w, "zombie refuse - stale_attempt", "zombie refuse - stale_attempt");
    assert_int_equal(core_totals(w->core).stale, 2);
    world_destroy(&w);
}

static void the_old_attempt_s_number_is_stale_for_its_own_worker_too(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_release(w, "worker", "a", 1);
    EXPECT(w, "worker settled a#1", "worker deliver a #2");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker refuse a#1 stale_attempt");
    world_ack(w, "worker", "a", 2);
    world_ack(w, "worker", "a", 2);
    EXPECT(w, "worker settled a#2", "worker refuse a#2 stale_attempt");
    world_destroy(&w);
}

static void a_settlement_of_a_task_that_never_was_is_refused(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_settle(w, "worker", 77, 1, VERDICT_SUCCESS, NULL);
    EXPECT(w, "worker refuse ?#1 stale_attempt");
    world_destroy(&w);
}

static void attempt_numbers_go_on_after_a_crash(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    for (uint32_t attempt = 2; attempt <= 3; attempt++) {
        world_crash(w, 0);
        world_advance(w, 6000);
        world_ready(w, "worker", "q", 1);
        EXPECT(w, attempt == 2 ? "worker deliver a #2" : "worker deliver a #3");
    }
    world_ack(w, "worker", "a", 2);
    EXPECT(w, "worker refuse a#2 stale_attempt");
    world_destroy(&w);
}

static void a_worker_keeps_its_task_across_a_crash_of_the_broker(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_crash(w, 0);
    world_advance(w, 4000);
    world_ready_as(
        w, "worker",
        (world_worker_t){
            .queues = "q", .prefetch = 1, .held = &(world_held_t){"a", 1, 4000}, .held_count = 1});
    world_advance(w, 60000);
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker settled a#1");
    world_destroy(&w);
}

static void a_released_task_goes_back_to_its_place_and_is_not_counted(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_prefetch(w, "worker", 0);
    world_release(w, "worker", "a", 1);
    world_ready(w, "other", "q", 2);
    EXPECT(w, "client confirm b", "worker settled a#1", "other deliver a #2", "other deliver b #1");
    assert_string_equal(world_history(w, "a"), "processing a=2 f=0 d=0 | 1 released  worker");
    world_destroy(&w);
}

static void a_worker_that_says_goodbye_releases_what_it_holds(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_ready(w, "other", "q", 1);
    world_goodbye(w, "worker");
    EXPECT(w, "other deliver a #2");
    assert_int_equal(w->notes[NOTE_WORKER_LEFT], 1);
    assert_int_equal(core_totals(w->core).lost, 0);
    world_destroy(&w);
}

/*  It comes back on the same connection, where the delivery would reach it as if it were the new one. */
static void a_delivery_that_waits_does_not_reach_a_worker_that_said_goodbye(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_goodbye(w, "worker");
    world_ready(w, "worker", "q", 1);
    w->held = false;
    world_rest(w);
    EXPECT(w, "client confirm a", "worker deliver a #2");
    assert_string_equal(world_history(w, "a"),
                        "processing a=2 f=0 d=0 | 1 released released worker");
    world_destroy(&w);
}

static void nobody_is_judged_by_a_silence_that_was_not_listened_to(void **state)
{
    (void)state;
    world_t *w = world_with_a_lease();
    world_ready_as(w, "mdp", (world_worker_t){.queues = "m", .kind = PEER_MDP02, .prefetch = 1});
    world_submit(w, "client", (world_task_t){.id = "b", .queue = "m", .timeout_ms = 5000});
    world_gone(w, "worker");
    world_skip(w);
    world_be_deaf(w, 60000);
    world_advance(w, 2000); /* what had waited is read by then */
    assert_string_equal(world_state(w, "a"), "processing");
    world_ready_as(
        w, "worker",
        (world_worker_t){
            .queues = "q", .prefetch = 1, .held = &(world_held_t){"a", 1, 0}, .held_count = 1});
    world_ack(w, "worker", "a", 1);
    world_ack(w, "mdp", "b", 1);
    EXPECT(w, "worker settled a#1", "mdp settled b#1");
    world_mute(w, "worker");
    world_advance(w, 11000);
    assert_int_equal(w->notes[NOTE_WORKER_LOST], 2); /* as it was gone, and now */
    world_destroy(&w);
}

static void a_slow_disk_is_no_dead_worker(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_advance(w, 30000); /* three times the liveness, and the delivery has not left */
    world_commit(w);
    EXPECT(w, "client confirm a", "worker deliver a #1");
    w->held = false;
    world_advance(w, 9000);
    EXPECT_SILENCE(w);
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker settled a#1");
    assert_string_equal(world_history(w, "a"), "success a=1 f=0 d=0");
    world_destroy(&w);
}

static void
a_worker_that_was_silent_while_its_delivery_waited_for_the_disk_gets_it_once(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "w", "q", 1);
    w->held = true;
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_mute(w, "w");
    world_advance(w, 30000); /* past its liveness and grace */
    world_ready(w, "w", "q", 1);
    world_commit(w);
    EXPECT(w, "client confirm a", "w deliver a #1");
    world_ack(w, "w", "a", 1);
    world_commit(w);
    EXPECT(w, "w settled a#1");
    assert_string_equal(world_history(w, "a"), "success a=1 f=0 d=0");
    world_destroy(&w);
}

static void a_lease_that_a_heartbeat_brings_back_takes_up_room(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "w", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_gone(w, "w");
    world_ready(w, "w2", "q", 1);
    world_heartbeat(w, "w2", &(world_held_t){"a", 1, 5}, 1);
    world_skip(w);
    world_submit(w, "client", (world_task_t){.id = "b"});
    EXPECT(w, "client confirm b");
    world_destroy(&w);
}

static void an_extension_and_a_change_of_credit_are_signs_of_life(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "w", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .timeout_ms = 3600000});
    world_mute(w, "w");
    world_advance(w, 8000);
    world_extend(w, "w", "a", 1, 7200000);
    world_advance(w, 8000);
    world_prefetch(w, "w", 1);
    world_advance(w, 8000);
    assert_int_equal(w->notes[NOTE_WORKER_LOST], 0);
    world_destroy(&w);
}

static void a_timeout_that_was_extended_outlives_a_restart_of_the_broker(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "w", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .timeout_ms = 60000});
    world_extend(w, "w", "a", 1, 3600000);
    world_advance(w, 100000);
    world_restart(w);
    world_ready_as(w, "w",
                   (world_worker_t){.queues = "q",
                                    .prefetch = 1,
                                    .held = &(world_held_t){"a", 1, 100000},
                                    .held_timeout_ms = 3600000,
                                    .held_count = 1});
    world_advance(w, 1000000);
    assert_string_equal(world_state(w, "a"), "processing");
    world_ack(w, "w", "a", 1);
    assert_string_equal(world_state(w, "a"), "success");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_that_a_heartbeat_brings_back_takes_up_room),
        cmocka_unit_test(an_extension_and_a_change_of_credit_are_signs_of_life),
        cmocka_unit_test(a_timeout_that_was_extended_outlives_a_restart_of_the_broker),
        cmocka_unit_test(heartbeats_keep_a_lease_for_hours),
        cmocka_unit_test(a_silent_worker_loses_its_task),
        cmocka_unit_test(a_dead_worker_s_task_goes_to_another),
        cmocka_unit_test(a_worker_that_comes_back_with_its_task_keeps_it),
        cmocka_unit_test(a_worker_that_comes_back_without_its_task_gives_it_up_at_once),
        cmocka_unit_test(a_worker_that_comes_back_too_late_is_told_to_stop),
        cmocka_unit_test(a_worker_that_gets_its_task_back_is_not_told_to_stop),
        cmocka_unit_test(the_same_name_on_a_new_connection_ends_the_old_one),
        cmocka_unit_test(a_task_that_its_living_worker_no_longer_names_is_taken_back),
        cmocka_unit_test(a_heartbeat_cannot_claim_another_worker_s_task),
        cmocka_unit_test(a_heartbeat_of_a_stranger_is_refused),
        cmocka_unit_test(the_last_word_of_a_connection_that_is_gone_still_counts),
        cmocka_unit_test(a_zombie_cannot_finish_a_task_that_was_given_to_another),
        cmocka_unit_test(a_zombie_s_progress_and_extension_are_refused_and_counted),
        cmocka_unit_test(the_old_attempt_s_number_is_stale_for_its_own_worker_too),
        cmocka_unit_test(a_settlement_of_a_task_that_never_was_is_refused),
        cmocka_unit_test(attempt_numbers_go_on_after_a_crash),
        cmocka_unit_test(a_worker_keeps_its_task_across_a_crash_of_the_broker),
        cmocka_unit_test(a_released_task_goes_back_to_its_place_and_is_not_counted),
        cmocka_unit_test(a_worker_that_says_goodbye_releases_what_it_holds),
        cmocka_unit_test(a_delivery_that_waits_does_not_reach_a_worker_that_said_goodbye),
        cmocka_unit_test(nobody_is_judged_by_a_silence_that_was_not_listened_to),
        cmocka_unit_test(a_slow_disk_is_no_dead_worker),
        cmocka_unit_test(
            a_worker_that_was_silent_while_its_delivery_waited_for_the_disk_gets_it_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
