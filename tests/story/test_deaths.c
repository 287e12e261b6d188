/*  Deaths: a task whose workers keep dying is quarantined, and failures are counted apart. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

/*  A worker takes task a and dies; the grace passes. */
static void kill_a_worker(world_t *w, const char *name)
{
    world_ready(w, name, "q", 1);
    world_gone(w, name);
    world_advance(w, 6000);
}

static void a_death_is_not_a_failure(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a", .max_retries = NO_RETRIES});
    kill_a_worker(w, "w1");
    assert_string_equal(world_history(w, "a"), "queued a=1 f=0 d=1 | 1 lost worker_lost w1");
    kill_a_worker(w, "w2");
    world_ready(w, "w3", "q", 1);
    world_ack(w, "w3", "a", 3);
    assert_string_equal(world_history(w, "a"),
                        "success a=3 f=0 d=2 | 1 lost worker_lost w1 | 2 lost worker_lost w2");
    world_destroy(&w);
}

static void a_failure_is_not_a_death(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.max_deaths = 2;
    policy.max_retries = 5;
    world_t *w = world_new_with(&policy);
    world_submit(w, "client", (world_task_t){.id = "a"});
    kill_a_worker(w, "w1");
    world_ready(w, "w2", "q", 1);
    for (uint32_t attempt = 2; attempt <= 5; attempt++) {
        world_fail(w, "w2", "a", attempt, "boom");
        world_advance(w, 20000);
    }
    world_ack(w, "w2", "a", 6);
    assert_string_equal(world_state(w, "a"), "success");
    world_destroy(&w);
}

static void a_task_that_kills_its_workers_is_quarantined(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a", .wait = true});
    kill_a_worker(w, "w1");
    kill_a_worker(w, "w2");
    EXPECT(w, "client confirm a", "w1 deliver a #1", "w2 deliver a #2");
    kill_a_worker(w, "w3");
    EXPECT(w, "w3 deliver a #3", "client outcome a failed");
    world_ready(w, "w4", "q", 1);
    EXPECT_SILENCE(w);
    assert_int_equal(core_totals(w->core).dead, 1);
    assert_string_equal(world_history(w, "a"),
                        "failed quarantined a=3 f=0 d=3 | 1 lost worker_lost w1"
                        " | 2 lost worker_lost w2 | 3 lost quarantined w3");
    world_destroy(&w);
}

static void deaths_are_remembered_across_crashes_of_the_broker(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    kill_a_worker(w, "w1");
    kill_a_worker(w, "w2");
    world_crash(w, 0);
    kill_a_worker(w, "w3");
    assert_string_equal(world_state(w, "a"), "failed");
    world_destroy(&w);
}

static void a_worker_that_never_returns_to_a_restarted_broker_is_a_death(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_ready(w, "w1", "q", 1);
    world_restart(w);
    assert_string_equal(world_state(w, "a"), "processing");
    world_advance(w, 6000);
    assert_string_equal(world_history(w, "a"), "queued a=1 f=0 d=1 | 1 lost worker_lost w1");
    world_destroy(&w);
}

static void a_release_is_neither_failure_nor_death(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.max_deaths = 1;
    world_t *w = world_new_with(&policy);
    world_submit(w, "client", (world_task_t){.id = "a", .max_retries = NO_RETRIES});
    for (int i = 0; i < 5; i++) {
        world_ready(w, "w1", "q", 1);
        world_goodbye(w, "w1");
    }
    assert_string_equal(world_state(w, "a"), "queued");
    world_destroy(&w);
}

static void one_silent_worker_is_one_death(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "w1", "q", 3);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_mute(w, "w1");
    world_advance(w, 60000);
    EXPECT(w, "client confirm a", "w1 deliver a #1");
    assert_string_equal(world_history(w, "a"), "queued a=1 f=0 d=1 | 1 lost worker_lost w1");
    world_destroy(&w);
}

static void a_redriven_task_has_all_its_deaths_again(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.max_deaths = 2;
    world_t *w = world_new_with(&policy);
    world_submit(w, "client", (world_task_t){.id = "a"});
    kill_a_worker(w, "w1");
    kill_a_worker(w, "w2");
    assert_string_equal(world_state(w, "a"), "failed");
    world_redrive(w, "admin", NULL, "q");
    assert_true(world_said(w, "admin done q count=1 was=failed"));
    kill_a_worker(w, "w3");
    assert_string_equal(world_state(w, "a"), "queued");
    kill_a_worker(w, "w4");
    assert_string_equal(world_history(w, "a"),
                        "failed quarantined a=4 f=0 d=2 | 1 lost worker_lost w1"
                        " | 2 lost quarantined w2 | 3 lost worker_lost w3 | 4 lost quarantined w4");
    world_destroy(&w);
}

static void dead_letters_are_redriven_and_purged_in_bulk(void **state)
{
    (void)state;
    enum { TASKS = 11 }; /* several pages */
    world_t *w = world_new();
    world_ready(w, "worker", "p q", 1);
    for (int i = 0; i < TASKS; i++) {
        char id[3] = {'t', (char)('a' + i)};
        world_submit(w, "client", (world_task_t){.id = id, .queue = i % 2 ? "p" : "q"});
        world_reject(w, "worker", id, 1, "no");
    }
    world_prefetch(w, "worker", 0);
    world_skip(w);
    world_redrive(w, "admin", NULL, "p");
    EXPECT(w, "admin done p count=5 was=failed");
    world_purge(w, "admin", NULL, NULL);
    EXPECT(w, "admin done all count=6 was=failed");
    world_purge(w, "admin", NULL, NULL);
    EXPECT(w, "admin done all count=0 was=failed");
    assert_int_equal(core_totals(w->core).waiting, 5);
    assert_int_equal(core_totals(w->core).dead, 0);
    assert_string_equal(world_state(w, "ta"), "unknown");
    world_redrive(w, "admin", NULL, "nowhere");
    EXPECT(w, "admin refuse nowhere bad_queue");
    world_destroy(&w);
}

static void a_dead_letter_stays_until_it_is_purged(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_reject(w, "worker", "a", 1, "no");
    world_advance(w, 7LL * 86400 * 1000);
    assert_string_equal(world_state(w, "a"), "failed");
    world_skip(w);
    world_purge(w, "admin", "a", NULL);
    world_purge(w, "admin", "a", NULL);
    EXPECT(w, "admin done a count=1 was=failed", "admin refuse a unknown_task");
    assert_string_equal(world_state(w, "a"), "unknown");
    world_destroy(&w);
}

/*  A supervisor starts a worker of the same name again, within the grace of the one that died. */
static void a_restarted_worker_of_the_same_name_does_not_hide_the_death(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    for (uint64_t instance = 1; instance <= 3; instance++) {
        world_ready_as(w, "w",
                       (world_worker_t){.instance = instance, .queues = "q", .prefetch = 1});
        world_gone(w, "w");
        world_advance(w, 1000);
        world_ready_as(
            w, "w", (world_worker_t){.instance = instance + 10, .queues = "other", .prefetch = 1});
        world_advance(w, 6000);
        world_goodbye(w, "w");
    }
    assert_string_equal(world_history(w, "a"),
                        "failed quarantined a=3 f=0 d=3 | 1 lost worker_lost w | "
                        "2 lost worker_lost w | 3 lost quarantined w");
    world_destroy(&w);
}

static void two_processes_of_one_name_work_side_by_side(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready_as(w, "w1",
                   (world_worker_t){.name = "w", .instance = 1, .queues = "q", .prefetch = 1});
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_ready_as(w, "w2",
                   (world_worker_t){.name = "w", .instance = 2, .queues = "q", .prefetch = 1});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_ack(w, "w1", "a", 1);
    world_ack(w, "w2", "b", 1);
    assert_string_equal(world_state(w, "a"), "success");
    assert_string_equal(world_state(w, "b"), "success");
    world_destroy(&w);
}

static void a_process_that_takes_over_a_routing_id_is_not_the_one_before(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready_as(w, "w1",
                   (world_worker_t){.name = "w", .instance = 1, .queues = "q", .prefetch = 1});
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b"});
    world_skip(w);
    audit_begins_anew(w, world_peer(w, "w1"));
    world_ready_as(w, "w1",
                   (world_worker_t){.name = "w", .instance = 2, .queues = "q", .prefetch = 1});
    EXPECT(w, "w1 deliver b #1");
    world_advance(w, 6000); /* the grace of the one that has died */
    assert_string_equal(world_history(w, "a"), "queued a=1 f=0 d=1 | 1 lost worker_lost w");
    world_destroy(&w);
}

static void a_delivery_that_was_never_sent_is_no_death(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    w->held = true;
    world_ready(w, "w", "q", 1);
    world_gone(w, "w");
    w->held = false;
    world_rest(w);
    world_advance(w, 6000);
    assert_string_equal(world_history(w, "a"), "queued a=1 f=0 d=0 | 1 released released w");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_death_is_not_a_failure),
        cmocka_unit_test(a_failure_is_not_a_death),
        cmocka_unit_test(a_task_that_kills_its_workers_is_quarantined),
        cmocka_unit_test(deaths_are_remembered_across_crashes_of_the_broker),
        cmocka_unit_test(a_worker_that_never_returns_to_a_restarted_broker_is_a_death),
        cmocka_unit_test(a_release_is_neither_failure_nor_death),
        cmocka_unit_test(one_silent_worker_is_one_death),
        cmocka_unit_test(a_redriven_task_has_all_its_deaths_again),
        cmocka_unit_test(a_restarted_worker_of_the_same_name_does_not_hide_the_death),
        cmocka_unit_test(two_processes_of_one_name_work_side_by_side),
        cmocka_unit_test(a_process_that_takes_over_a_routing_id_is_not_the_one_before),
        cmocka_unit_test(a_delivery_that_was_never_sent_is_no_death),
        cmocka_unit_test(dead_letters_are_redriven_and_purged_in_bulk),
        cmocka_unit_test(a_dead_letter_stays_until_it_is_purged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
