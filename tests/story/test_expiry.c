/*  Expiry: a task that waited too long ends; one that is being processed does not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/story/world.h"

static void a_waiting_task_expires_without_any_worker(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client",
                 (world_task_t){.id = "a", .expires_ms = w->wall_ms + 5000, .wait = true});
    world_advance(w, 4999);
    EXPECT(w, "client confirm a");
    world_advance(w, 1);
    EXPECT(w, "client outcome a expired");
    assert_string_equal(world_history(w, "a"), "expired expired a=0 f=0 d=0");
    world_destroy(&w);
}

static void a_scheduled_task_expires_before_it_is_due(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client",
                 (world_task_t){.id = "a", .delay_ms = 60000, .expires_ms = w->wall_ms + 5000});
    world_advance(w, 90000);
    EXPECT(w, "client confirm a");
    assert_string_equal(world_state(w, "a"), "expired");
    world_destroy(&w);
}

static void a_task_that_is_due_and_expired_at_once_does_not_run(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client",
                 (world_task_t){.id = "a", .delay_ms = 5000, .expires_ms = w->wall_ms + 5000});
    world_advance(w, 5000);
    EXPECT(w, "client confirm a");
    assert_string_equal(world_state(w, "a"), "expired");
    world_destroy(&w);
}

static void a_task_submitted_too_late_is_confirmed_and_expires_at_once(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client",
                 (world_task_t){.id = "a", .expires_ms = w->wall_ms - 1, .wait = true});
    EXPECT(w, "client confirm a", "client outcome a expired");
    world_destroy(&w);
}

static void a_task_that_is_being_processed_runs_on(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client",
                 (world_task_t){.id = "a", .expires_ms = w->wall_ms + 5000, .wait = true});
    world_advance(w, 60000);
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "client confirm a", "worker deliver a #1", "client outcome a success",
           "worker settled a#1");
    world_destroy(&w);
}

static void a_task_that_comes_back_too_late_expires(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 3);
    const char *ids[] = {"failed", "released", "lost"};
    for (size_t i = 0; i < 3; i++)
        world_submit(w, "client", (world_task_t){.id = ids[i], .expires_ms = w->wall_ms + 5000});
    world_advance(w, 6000);
    world_fail(w, "worker", "failed", 1, "boom");
    world_release(w, "worker", "released", 1);
    world_gone(w, "worker");
    world_advance(w, 6000);
    assert_string_equal(world_history(w, "failed"),
                        "expired expired a=1 f=1 d=0 | 1 failure boom worker");
    assert_string_equal(world_history(w, "released"),
                        "expired expired a=1 f=0 d=0 | 1 released  worker");
    assert_string_equal(world_history(w, "lost"),
                        "expired expired a=1 f=0 d=1 | 1 lost worker_lost worker");
    world_destroy(&w);
}

static void expiry_is_remembered_across_a_restart(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_submit(w, "client", (world_task_t){.id = "a", .expires_ms = w->wall_ms + 5000});
    world_submit(w, "client", (world_task_t){.id = "b", .expires_ms = w->wall_ms + 9000});
    world_restart(w);
    world_advance(w, 6000);
    assert_string_equal(world_state(w, "a"), "expired");
    assert_string_equal(world_state(w, "b"), "queued");
    world_advance(w, 3000);
    assert_string_equal(world_state(w, "b"), "expired");
    world_destroy(&w);
}

static void a_dead_letter_does_not_expire_and_its_redrive_does(void **state)
{
    (void)state;
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .expires_ms = w->wall_ms + 5000});
    world_reject(w, "worker", "a", 1, "no");
    world_advance(w, 60000);
    assert_string_equal(world_state(w, "a"), "failed");
    world_skip(w);
    world_redrive(w, "admin", "a", NULL);
    EXPECT(w, "admin done a count=1 was=failed");
    assert_string_equal(world_state(w, "a"), "expired");
    world_destroy(&w);
}

static void thousands_expire_together(void **state)
{
    (void)state;
    enum { TASKS = 2000 }; /* beyond the window and several pages */
    world_t *w = world_new();
    w->quiet = true;
    for (int i = 0; i < TASKS; i++) {
        char id[16];
        snprintf(id, sizeof id, "t%d", i);
        world_submit(w, "client", (world_task_t){.id = id, .expires_ms = w->wall_ms + 5000});
    }
    world_advance(w, 5000);
    core_totals_t totals = core_totals(w->core);
    assert_int_equal(totals.waiting, 0);
    assert_int_equal(totals.in_memory, 0);
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiting_task_expires_without_any_worker),
        cmocka_unit_test(a_scheduled_task_expires_before_it_is_due),
        cmocka_unit_test(a_task_that_is_due_and_expired_at_once_does_not_run),
        cmocka_unit_test(a_task_submitted_too_late_is_confirmed_and_expires_at_once),
        cmocka_unit_test(a_task_that_is_being_processed_runs_on),
        cmocka_unit_test(a_task_that_comes_back_too_late_expires),
        cmocka_unit_test(expiry_is_remembered_across_a_restart),
        cmocka_unit_test(a_dead_letter_does_not_expire_and_its_redrive_does),
        cmocka_unit_test(thousands_expire_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
