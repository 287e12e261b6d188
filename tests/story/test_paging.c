/*  Paging: backlogs far beyond what is kept in memory, and changes while a page is read. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/mem.h"
#include "tests/story/world.h"

enum { BACKLOG = 2 * LIMIT_WINDOW_TASKS };

static void submit_many(world_t *w, const char *prefix, int count, world_task_t task)
{
    for (int i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s%d", prefix, i);
        task.id = id;
        world_submit(w, "client", task);
    }
}

static world_t *world_with_backlog(int count)
{
    world_t *w = world_new();
    w->quiet = true;
    submit_many(w, "t", count, (world_task_t){0});
    return w;
}

/*  The worker acknowledges what it holds until it is given no more; how many that were. Order and
    completeness are the audit's to judge. */
static size_t work_off(world_t *w)
{
    size_t count = 0;
    for (; w->delivery_count; count++) {
        delivery_t delivery = w->deliveries[0];
        world_settle(w, "worker", delivery.seq, delivery.attempt, VERDICT_SUCCESS, NULL);
        if (w->held)
            world_commit(w);
    }
    return count;
}

static uint64_t in_memory(const world_t *w)
{
    return core_totals(w->core).in_memory;
}

static void a_backlog_runs_in_order_and_memory_is_bounded(void **state)
{
    (void)state;
    world_t *w = world_new();
    w->quiet = true;
    for (int i = 0; i < BACKLOG; i++) {
        char id[16];
        snprintf(id, sizeof id, "t%d", i);
        world_submit(w, "client", (world_task_t){.id = id, .priority = i * 7 % 10});
        assert_in_range(in_memory(w), 0, LIMIT_WINDOW_TASKS);
    }
    world_ready(w, "worker", "q", 10);
    size_t count = 0;
    while (w->delivery_count) {
        delivery_t delivery = w->deliveries[0];
        world_settle(w, "worker", delivery.seq, delivery.attempt, VERDICT_SUCCESS, NULL);
        assert_in_range(in_memory(w), 0, LIMIT_WINDOW_TASKS + 10);
        count++;
    }
    assert_int_equal(count, BACKLOG);
    world_destroy(&w);
}

static void a_restarted_broker_loads_nothing_before_a_worker_comes(void **state)
{
    (void)state;
    world_t *w = world_with_backlog(BACKLOG);
    world_restart(w);
    submit_many(w, "new", 20, (world_task_t){0});
    assert_int_equal(in_memory(w), 0);
    world_ready(w, "worker", "q", 10);
    assert_in_range(in_memory(w), 10, LIMIT_WINDOW_TASKS);
    assert_int_equal(work_off(w), BACKLOG + 20);
    world_destroy(&w);
}

static void an_urgent_task_overtakes_the_whole_backlog(void **state)
{
    (void)state;
    world_t *w = world_with_backlog(BACKLOG);
    w->quiet = false;
    world_submit(w, "client", (world_task_t){.id = "urgent", .priority = 9});
    assert_in_range(in_memory(w), 0, LIMIT_WINDOW_TASKS);
    world_ready(w, "worker", "q", 1);
    EXPECT(w, "client confirm urgent", "worker deliver urgent #1");
    w->quiet = true;
    assert_int_equal(work_off(w), BACKLOG + 1);
    world_destroy(&w);
}

static void a_retry_comes_back_before_the_tasks_that_are_still_on_disk(void **state)
{
    (void)state;
    world_t *w = world_with_backlog(BACKLOG);
    world_ready(w, "worker", "q", 1);
    world_fail(w, "worker", "t0", 1, "boom");
    for (int i = 0; i < 2000; i++)
        world_settle(w, "worker", w->deliveries[0].seq, 1, VERDICT_SUCCESS, NULL);
    w->quiet = false;
    world_advance(w, 1100);
    world_ack(w, "worker", "t2001", 1);
    EXPECT(w, "worker settled t2001#1", "worker deliver t0 #2");
    w->quiet = true;
    assert_int_equal(work_off(w), BACKLOG - 2001);
    world_destroy(&w);
}

static void a_release_behind_a_lowered_horizon_is_not_lost(void **state)
{
    (void)state;
    world_t *w = world_with_backlog(0);
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "held"});
    submit_many(w, "t", LIMIT_WINDOW_TASKS, (world_task_t){.priority = 1});
    submit_many(w, "u", 50, (world_task_t){.priority = 2});
    world_release(w, "worker", "held", 1);
    assert_int_equal(work_off(w), LIMIT_WINDOW_TASKS + 51);
    world_destroy(&w);
}

static bool is_loading(const world_t *w)
{
    for (size_t i = 0; i < w->pending_count; i++)
        if (w->pending[i].kind == EFFECT_LOAD)
            return true;
    return false;
}

/*  A world whose next page is being read: the question is pending, the answer not given. */
static world_t *world_that_loads(void)
{
    world_t *w = world_with_backlog(BACKLOG);
    world_restart(w);
    w->held = true;
    world_ready(w, "worker", "q", 1);
    assert_true(is_loading(w));
    return w;
}

static void new_tasks_while_a_page_is_read_keep_their_place(void **state)
{
    (void)state;
    world_t *w = world_that_loads();
    submit_many(w, "u", 10, (world_task_t){0});
    world_commit_some(w, 3);
    submit_many(w, "v", 10, (world_task_t){0});
    world_rest(w);
    assert_int_equal(work_off(w), BACKLOG + 20);
    world_destroy(&w);
}

static void new_tasks_at_the_very_end_of_the_last_page_are_not_lost(void **state)
{
    (void)state;
    world_t *w = world_with_backlog(5);
    world_restart(w);
    w->held = true;
    world_ready(w, "worker", "q", 1);
    submit_many(w, "u", 5, (world_task_t){0});
    world_commit_some(w, 1); /* the page says there is no more; five are on their way */
    w->held = false;
    world_rest(w);
    assert_int_equal(work_off(w), 10);
    world_destroy(&w);
}

static void a_page_that_was_read_before_the_horizon_came_down_is_read_again(void **state)
{
    (void)state;
    world_t *w = world_with_backlog(BACKLOG);
    world_ready(w, "worker", "q", 1);
    w->held = true;
    while (!is_loading(w)) {
        world_rest(w);
        world_settle(w, "worker", w->deliveries[0].seq, 1, VERDICT_SUCCESS, NULL);
    }
    submit_many(w, "u", LIMIT_WINDOW_TASKS,
                (world_task_t){.priority = 9}); /* push all the rest out */
    world_rest(w);
    w->held = false;
    assert_in_range(in_memory(w), 0, LIMIT_WINDOW_TASKS + LIMIT_PAGE_TASKS);
    work_off(w);
    core_totals_t totals = core_totals(w->core);
    assert_int_equal(totals.waiting + totals.processing, 0);
    world_destroy(&w);
}

static void a_paged_out_task_is_cancelled(void **state)
{
    (void)state;
    world_t *w = world_with_backlog(BACKLOG);
    world_cancel(w, "client", "t3000");
    assert_string_equal(world_state(w, "t3000"), "cancelled");
    world_ready(w, "worker", "q", 1);
    assert_int_equal(work_off(w), BACKLOG - 1);
    world_destroy(&w);
}

static void a_cancel_before_the_page_that_still_has_the_task(void **state)
{
    (void)state;
    world_t *w = world_with_backlog(BACKLOG);
    world_restart(w);
    w->held = true;
    world_cancel(w, "client", "t3");
    world_ready(w, "worker", "q", 1);
    world_rest(w);
    assert_string_equal(world_state(w, "t3"), "cancelled");
    assert_int_equal(work_off(w), BACKLOG - 1);
    world_rest(w);
    world_destroy(&w);
}

static void a_cancel_behind_the_page_that_has_the_task(void **state)
{
    (void)state;
    world_t *w = world_that_loads();
    world_cancel(w, "client", "t3");
    world_rest(w);
    assert_string_equal(world_state(w, "t3"), "cancelled");
    assert_int_equal(work_off(w), BACKLOG - 1);
    world_rest(w);
    world_destroy(&w);
}

static void expiry_of_tasks_in_a_page_that_is_being_read(void **state)
{
    (void)state;
    world_t *w = world_new();
    w->quiet = true;
    submit_many(w, "t", BACKLOG, (world_task_t){.expires_ms = w->wall_ms + 60000});
    submit_many(w, "u", 100, (world_task_t){0});
    world_restart(w);
    world_ready(w, "worker", "q", 1);
    world_advance(w, 59000);
    w->held = true;
    world_advance(w, 2000);
    world_rest(w);
    w->held = false;
    world_rest(w);
    assert_int_equal(core_totals(w->core).waiting, 100);
    assert_int_equal(work_off(w), 101); /* one was being processed */
    world_destroy(&w);
}

static void large_bodies_fill_the_window_before_many_tasks_do(void **state)
{
    (void)state;
    enum { BODY = 64 << 10, TASKS = 100 };
    char *body = mem_zalloc(BODY + 1);
    memset(body, 'x', BODY);
    world_t *w = world_new();
    w->quiet = true;
    world_ready(w, "worker", "q", 1);
    submit_many(w, "t", TASKS, (world_task_t){.body = body});
    assert_in_range(in_memory(w), 16, LIMIT_WINDOW_BYTES / BODY + 1);
    assert_int_equal(work_off(w), TASKS);
    world_destroy(&w);
    free(body);
}

static void all_windows_together_are_bounded_and_none_starves(void **state)
{
    (void)state;
    enum { SIZE = 128 << 10, QUEUES = 12, TASKS = 32 };
    char *text = mem_zalloc(SIZE + 1);
    memset(text, 'x', SIZE);
    const world_task_t large[] = {{.body = text}, {.origin = text}}; /* all of a task counts */
    for (int kind = 0; kind < 2; kind++) {
        world_t *w = world_new();
        w->quiet = true;
        world_ready(w, "worker", "qa qb qc qd qe qf qg qh qi qj qk ql", 3);
        for (int i = 0; i < QUEUES; i++) {
            char name[3] = {'q', (char)('a' + i)};
            world_task_t task = large[kind];
            task.queue = name;
            submit_many(w, name, TASKS, task);
        }
        assert_in_range(in_memory(w) * SIZE, 0, LIMIT_WINDOWS_BYTES + QUEUES * SIZE);
        assert_in_range(in_memory(w), QUEUES, QUEUES * TASKS - 1);
        assert_int_equal(work_off(w), QUEUES * TASKS);
        world_destroy(&w);
    }
    free(text);
}

static void what_no_worker_takes_waits_on_disk(void **state)
{
    (void)state;
    world_t *w = world_with_backlog(1000);
    assert_in_range(in_memory(w), 1, 100);
    world_ready(w, "worker", "q", 1);
    assert_in_range(in_memory(w), 500, 1000);
    assert_int_equal(work_off(w), 1000);
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backlog_runs_in_order_and_memory_is_bounded),
        cmocka_unit_test(a_restarted_broker_loads_nothing_before_a_worker_comes),
        cmocka_unit_test(an_urgent_task_overtakes_the_whole_backlog),
        cmocka_unit_test(a_retry_comes_back_before_the_tasks_that_are_still_on_disk),
        cmocka_unit_test(a_release_behind_a_lowered_horizon_is_not_lost),
        cmocka_unit_test(new_tasks_while_a_page_is_read_keep_their_place),
        cmocka_unit_test(new_tasks_at_the_very_end_of_the_last_page_are_not_lost),
        cmocka_unit_test(a_page_that_was_read_before_the_horizon_came_down_is_read_again),
        cmocka_unit_test(a_paged_out_task_is_cancelled),
        cmocka_unit_test(a_cancel_before_the_page_that_still_has_the_task),
        cmocka_unit_test(a_cancel_behind_the_page_that_has_the_task),
        cmocka_unit_test(expiry_of_tasks_in_a_page_that_is_being_read),
        cmocka_unit_test(large_bodies_fill_the_window_before_many_tasks_do),
        cmocka_unit_test(all_windows_together_are_bounded_and_none_starves),
        cmocka_unit_test(what_no_worker_takes_waits_on_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
