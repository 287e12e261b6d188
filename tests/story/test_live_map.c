/*  What is read from the store enters the live map only to be changed: a task left there without a
    change would hide its row from every later page. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/limits.h"
#include "tests/story/world.h"

enum { HOUR_MS = 3600 * 1000 };

/*  A backlog in the store only, as after a restart. */
static world_t *world_with_backlog(size_t count)
{
    world_t *w = world_new();
    for (size_t i = 0; i < count; i++) {
        char id[24];
        snprintf(id, sizeof id, "t%zu", i);
        world_submit(w, "client", (world_task_t){.id = id});
    }
    world_restart(w);
    world_skip(w);
    return w;
}

static void a_refused_retry_of_a_waiting_task_does_not_stop_it(void **state)
{
    (void)state;
    world_t *w = world_with_backlog(2);
    world_redrive(w, "client", "t1", NULL);
    EXPECT(w, "client refuse t1 wrong_state");
    world_ready(w, "worker", "q", 2);
    EXPECT(w, "worker deliver t0 #1", "worker deliver t1 #1");
    world_destroy(&w);
}

static void a_refused_cancel_leaves_nothing_in_memory(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    world_ack(w, "worker", "a", 1);
    world_cancel(w, "client", "a");
    assert_true(world_said(w, "client refuse a wrong_state"));
    assert_int_equal(core_totals(w->core).in_memory, 0);
    world_destroy(&w);
}

static void a_clock_set_back_while_due_tasks_are_read_wakes_none_early(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 2);
    world_submit(w, "client", (world_task_t){.id = "a", .delay_ms = HOUR_MS});
    world_submit(w, "client", (world_task_t){.id = "b", .expires_ms = w->wall_ms + HOUR_MS});
    world_ack(w, "worker", "b", 1);
    world_skip(w);
    w->held = true;
    world_advance(w, HOUR_MS);
    w->wall_ms -= HOUR_MS;
    w->held = false;
    world_rest(w);
    EXPECT_SILENCE(w);
    assert_string_equal(world_state(w, "a"), "scheduled");
    world_advance(w, HOUR_MS);
    EXPECT(w, "worker deliver a #1");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_retry_of_a_waiting_task_does_not_stop_it),
        cmocka_unit_test(a_refused_cancel_leaves_nothing_in_memory),
        cmocka_unit_test(a_clock_set_back_while_due_tasks_are_read_wakes_none_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
