/*  Order: priority first, then submission; queues and workers take turns. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

static void tasks_run_by_priority_and_then_in_the_order_of_submission(void **state)
{
    (void)state;
    world_t *w = world_new();
    const world_task_t tasks[] = {{.id = "a"},
                                  {.id = "b", .priority = 5},
                                  {.id = "c"},
                                  {.id = "d", .priority = 9},
                                  {.id = "e", .priority = 5}};
    for (size_t i = 0; i < 5; i++)
        world_submit(w, "client", tasks[i]);
    world_skip(w);
    world_ready(w, "worker", "q", 5);
    EXPECT(w, "worker deliver d #1", "worker deliver b #1", "worker deliver e #1",
           "worker deliver a #1", "worker deliver c #1");
    world_destroy(&w);
}

static void a_retried_task_runs_before_younger_ones(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    const char *ids[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++)
        world_submit(w, "client", (world_task_t){.id = ids[i]});
    world_fail(w, "worker", "a", 1, "boom");
    world_skip(w);
    world_advance(w, 1100);
    world_ack(w, "worker", "b", 1);
    EXPECT(w, "worker settled b#1", "worker deliver a #2");
    world_destroy(&w);
}

static void scheduled_tasks_run_when_they_are_due_and_not_before(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 5);
    world_submit(w, "client", (world_task_t){.id = "late", .delay_ms = 3000});
    world_submit(w, "client", (world_task_t){.id = "early", .run_at_ms = w->wall_ms + 1000});
    world_submit(w, "client", (world_task_t){.id = "past", .run_at_ms = w->wall_ms - 1000});
    EXPECT(w, "client confirm late", "client confirm early", "client confirm past",
           "worker deliver past #1");
    world_advance(w, 999);
    EXPECT_SILENCE(w);
    world_advance(w, 1);
    EXPECT(w, "worker deliver early #1");
    world_advance(w, 1999);
    EXPECT_SILENCE(w);
    world_advance(w, 1);
    EXPECT(w, "worker deliver late #1");
    world_destroy(&w);
}

static void scheduled_tasks_run_across_a_restart(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a", .delay_ms = 3000});
    world_submit(w, "client", (world_task_t){.id = "b", .delay_ms = 9000});
    world_advance(w, 2000);
    world_restart(w);
    world_ready(w, "worker", "q", 5);
    world_skip(w);
    world_advance(w, 1000);
    EXPECT(w, "worker deliver a #1");
    world_advance(w, 6000);
    EXPECT(w, "worker deliver b #1");
    world_destroy(&w);
}

static void a_worker_s_queues_take_turns_also_with_a_single_slot(void **state)
{
    (void)state;
    world_t *w = world_new();
    const char *ids[] = {"p1", "p2", "q1", "q2", "r1", "r2"};
    for (size_t i = 0; i < 6; i++)
        world_submit(w, "client",
                     (world_task_t){.id = ids[i], .queue = (char[2]){ids[i][0], '\0'}});
    world_skip(w);
    world_ready(w, "worker", "p q r", 1);
    const char *order[] = {"p1", "q1", "r1", "p2", "q2"};
    for (size_t i = 0; i < 5; i++)
        world_ack(w, "worker", order[i], 1);
    EXPECT(w, "worker deliver p1 #1", "worker settled p1#1", "worker deliver q1 #1",
           "worker settled q1#1", "worker deliver r1 #1", "worker settled r1#1",
           "worker deliver p2 #1", "worker settled p2#1", "worker deliver q2 #1",
           "worker settled q2#1", "worker deliver r2 #1");
    world_destroy(&w);
}

static void a_long_queue_does_not_starve_a_short_one(void **state)
{
    (void)state;
    world_t *w = world_new();
    for (int i = 0; i < 100; i++) {
        char id[8] = {'p', (char)('0' + i / 10), (char)('0' + i % 10)};
        world_submit(w, "client", (world_task_t){.id = id, .queue = "p"});
    }
    world_submit(w, "client", (world_task_t){.id = "short", .queue = "q"});
    world_skip(w);
    world_ready(w, "worker", "p q", 20); /* a turn is shorter than that */
    assert_true(world_said(w, "worker deliver short #1"));
    world_destroy(&w);
}

static void the_workers_of_a_queue_take_turns(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "w1", "q", 9);
    world_ready(w, "w2", "q", 9);
    world_ready(w, "w3", "q", 9);
    const char *ids[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < 5; i++)
        world_submit(w, "client", (world_task_t){.id = ids[i]});
    EXPECT(w, "client confirm a", "w1 deliver a #1", "client confirm b", "w2 deliver b #1",
           "client confirm c", "w3 deliver c #1", "client confirm d", "w1 deliver d #1",
           "client confirm e", "w2 deliver e #1");
    world_destroy(&w);
}

static void a_worker_never_holds_more_than_its_prefetch(void **state)
{
    (void)state;
    world_t *w = world_new();
    const char *ids[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++)
        world_submit(w, "client", (world_task_t){.id = ids[i]});
    world_skip(w);
    world_ready(w, "worker", "q", 2);
    EXPECT(w, "worker deliver a #1", "worker deliver b #1");
    world_ack(w, "worker", "b", 1);
    EXPECT(w, "worker settled b#1", "worker deliver c #1");
    world_destroy(&w);
}

static void more_prefetch_brings_more_and_less_takes_nothing_back(void **state)
{
    (void)state;
    world_t *w = world_new();
    const char *ids[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++)
        world_submit(w, "client", (world_task_t){.id = ids[i]});
    world_skip(w);
    world_ready(w, "worker", "q", 0);
    EXPECT_SILENCE(w);
    world_prefetch(w, "worker", 3);
    EXPECT(w, "worker deliver a #1", "worker deliver b #1", "worker deliver c #1");
    world_prefetch(w, "worker", 1);
    world_ack(w, "worker", "a", 1);
    world_ack(w, "worker", "b", 1);
    EXPECT(w, "worker settled a#1", "worker settled b#1");
    world_ack(w, "worker", "c", 1);
    EXPECT(w, "worker settled c#1", "worker deliver d #1");
    world_destroy(&w);
}

static void a_second_ready_changes_queues_and_prefetch_and_keeps_the_tasks(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_submit(w, "client", (world_task_t){.id = "b", .queue = "p"});
    world_ready(w, "worker", "q q", 1);
    EXPECT(w, "client confirm a", "client confirm b", "worker deliver a #1");
    world_ready_as(
        w, "worker",
        (world_worker_t){
            .queues = "p", .prefetch = 2, .held = &(world_held_t){"a", 1, 0}, .held_count = 1});
    EXPECT(w, "worker deliver b #1");
    world_submit(w, "client", (world_task_t){.id = "c"});
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "client confirm c", "worker settled a#1");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_by_priority_and_then_in_the_order_of_submission),
        cmocka_unit_test(a_retried_task_runs_before_younger_ones),
        cmocka_unit_test(scheduled_tasks_run_when_they_are_due_and_not_before),
        cmocka_unit_test(scheduled_tasks_run_across_a_restart),
        cmocka_unit_test(a_worker_s_queues_take_turns_also_with_a_single_slot),
        cmocka_unit_test(a_long_queue_does_not_starve_a_short_one),
        cmocka_unit_test(the_workers_of_a_queue_take_turns),
        cmocka_unit_test(a_worker_never_holds_more_than_its_prefetch),
        cmocka_unit_test(more_prefetch_brings_more_and_less_takes_nothing_back),
        cmocka_unit_test(a_second_ready_changes_queues_and_prefetch_and_keeps_the_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
