/*  Retries: when a failed task runs again, and where it ends when it does not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/story/world.h"

static world_t *world_with_a_task(world_task_t task)
{
    world_t *w = world_new();
    world_ready(w, "worker", "q", 1);
    task.id = "a";
    world_submit(w, "client", task);
    world_skip(w);
    return w;
}

/*  Advances until the worker has the attempt; how long that took, to a second's quarter. */
static int64_t wait_for_attempt(world_t *w, const char *line, int64_t patience_ms)
{
    int64_t start_ms = w->now_ms;
    while (!world_said(w, line)) {
        if (w->now_ms - start_ms > patience_ms)
            fail_msg("not within %lld ms: %s", (long long)patience_ms, line);
        world_advance(w, 10);
    }
    world_skip(w);
    return w->now_ms - start_ms;
}

static void a_failed_task_runs_again_after_its_backoff(void **state)
{
    (void)state;
    world_t *w = world_with_a_task((world_task_t){0});
    world_fail(w, "worker", "a", 1, "boom");
    EXPECT(w, "worker settled a#1");
    assert_string_equal(world_state(w, "a"), "scheduled");
    world_advance(w, 499);
    EXPECT_SILENCE(w);
    world_advance(w, 502);
    EXPECT(w, "worker deliver a #2");
    world_ack(w, "worker", "a", 2);
    assert_string_equal(world_history(w, "a"), "success a=2 f=1 d=0 | 1 failure boom worker");
    world_destroy(&w);
}

static void the_backoff_doubles_and_jitter_takes_at_most_half(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.max_retries = 8;
    policy.backoff_max_ms = 16000;
    const char *lines[] = {"worker deliver a #2", "worker deliver a #3", "worker deliver a #4",
                           "worker deliver a #5", "worker deliver a #6", "worker deliver a #7"};
    const int64_t backoff_ms[] = {1000, 2000, 4000, 8000, 16000, 16000};
    world_t *w = world_new_with(&policy);
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a"});
    for (uint32_t i = 0; i < 6; i++) {
        world_fail(w, "worker", "a", i + 1, "boom");
        int64_t took_ms = wait_for_attempt(w, lines[i], 20000);
        assert_in_range(took_ms, backoff_ms[i] / 2, backoff_ms[i] + 10);
    }
    world_destroy(&w);
}

static void jitter_spreads_tasks_that_failed_together(void **state)
{
    (void)state;
    enum { TASKS = 20 };
    world_t *w = world_new();
    world_ready(w, "worker", "q", TASKS);
    for (uint64_t i = 0; i < TASKS; i++) {
        char id[3] = {'t', (char)('a' + i)};
        world_submit(w, "client", (world_task_t){.id = id});
    }
    for (uint64_t i = 0; i < TASKS; i++) {
        char id[3] = {'t', (char)('a' + i)};
        world_fail(w, "worker", id, 1, "boom");
    }
    world_skip(w);
    size_t moments = 0;
    for (int i = 0; i < 101; i++) {
        world_advance(w, 10);
        moments += w->line_count > 0;
        world_skip(w);
    }
    assert_in_range(moments, TASKS / 2, TASKS);
    world_destroy(&w);
}

static void a_task_may_bring_its_own_backoff_and_retries(void **state)
{
    (void)state;
    world_t *w = world_with_a_task((world_task_t){.backoff_ms = 60000, .max_retries = 1});
    world_fail(w, "worker", "a", 1, "boom");
    int64_t took_ms = wait_for_attempt(w, "worker deliver a #2", 61000);
    assert_in_range(took_ms, 30000, 60010);
    world_fail(w, "worker", "a", 2, "bang");
    assert_string_equal(world_history(w, "a"),
                        "failed bang a=2 f=2 d=0 | 1 failure boom worker | 2 failure bang worker");
    world_destroy(&w);
}

static void a_task_s_own_backoff_is_capped_by_its_queue_s(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.backoff_max_ms = 2000;
    world_t *w = world_new_with(&policy);
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .backoff_ms = 3600000});
    world_fail(w, "worker", "a", 1, "boom");
    assert_in_range(wait_for_attempt(w, "worker deliver a #2", 3000), 1000, 2010);
    world_destroy(&w);
}

static void a_task_without_retries_fails_at_once(void **state)
{
    (void)state;
    world_t *w = world_with_a_task((world_task_t){.max_retries = NO_RETRIES, .wait = true});
    world_fail(w, "worker", "a", 1, "boom");
    EXPECT(w, "client outcome a failed", "worker settled a#1");
    assert_int_equal(core_totals(w->core).dead, 1);
    world_destroy(&w);
}

static void a_task_fails_when_its_retries_are_used_up(void **state)
{
    (void)state;
    const char *lines[] = {"worker deliver a #2", "worker deliver a #3", "worker deliver a #4"};
    world_t *w = world_with_a_task((world_task_t){.wait = true});
    for (uint32_t i = 0; i < 3; i++) {
        world_fail(w, "worker", "a", i + 1, "boom");
        wait_for_attempt(w, lines[i], 10000);
    }
    world_fail(w, "worker", "a", 4, "the end");
    EXPECT(w, "client outcome a failed", "worker settled a#4");
    assert_string_equal(world_history(w, "a"),
                        "failed the end a=4 f=4 d=0 | 1 failure boom worker | 2 failure boom worker"
                        " | 3 failure boom worker | 4 failure the end worker");
    world_destroy(&w);
}

static void a_rejected_task_is_not_tried_again(void **state)
{
    (void)state;
    world_t *w = world_with_a_task((world_task_t){.max_retries = 100});
    world_reject(w, "worker", "a", 1, "bad address");
    EXPECT(w, "worker settled a#1");
    world_advance(w, 3600000);
    EXPECT_SILENCE(w);
    assert_string_equal(world_history(w, "a"),
                        "failed bad address a=1 f=1 d=0 | 1 rejected bad address worker");
    world_destroy(&w);
}

static void a_timeout_that_the_worker_reports_is_a_failure_of_its_own_kind(void **state)
{
    (void)state;
    world_t *w = world_with_a_task((world_task_t){.timeout_ms = 3000});
    world_advance(w, 3000);
    world_fail(w, "worker", "a", 1, "timeout");
    assert_string_equal(world_history(w, "a"), "scheduled a=1 f=1 d=0 | 1 timeout timeout worker");
    world_destroy(&w);
}

static void a_worker_that_does_not_report_a_timeout_is_told_of_it(void **state)
{
    (void)state;
    world_t *w = world_with_a_task((world_task_t){.timeout_ms = 3000, .max_retries = NO_RETRIES});
    world_advance(w, 12500); /* the timeout, and most of the liveness, for its report */
    EXPECT_SILENCE(w);
    world_advance(w, 1500);
    EXPECT(w, "worker revoke a #1 timeout");
    assert_string_equal(world_history(w, "a"),
                        "failed timeout a=1 f=1 d=0 | 1 timeout timeout worker");
    world_ack(w, "worker", "a", 1);
    EXPECT(w, "worker refuse a#1 stale_attempt");
    world_destroy(&w);
}

static void a_worker_may_extend_its_timeout(void **state)
{
    (void)state;
    world_t *w = world_with_a_task((world_task_t){.timeout_ms = 3000, .max_retries = NO_RETRIES});
    world_advance(w, 2000);
    world_extend(w, "worker", "a", 1, 7200000);
    world_advance(w, 7200000);
    EXPECT_SILENCE(w);
    world_advance(w, 11500);
    EXPECT(w, "worker revoke a #1 timeout");
    world_destroy(&w);
}

static void the_queue_s_timeout_holds_where_the_task_has_none(void **state)
{
    (void)state;
    policy_t policy = POLICY_DEFAULT;
    policy.timeout_ms = 3000;
    world_t *w = world_new_with(&policy);
    world_ready(w, "worker", "q", 1);
    world_submit(w, "client", (world_task_t){.id = "a", .max_retries = NO_RETRIES});
    world_advance(w, 14500);
    EXPECT(w, "client confirm a", "worker deliver a #1", "worker revoke a #1 timeout");
    world_destroy(&w);
}

static void a_dead_letter_keeps_error_and_traceback_of_every_attempt(void **state)
{
    (void)state;
    world_t *w = world_with_a_task((world_task_t){.max_retries = 1});
    const char *errors[] = {"first", "second"}, *tracebacks[] = {"at line 1", "at line 2"};
    for (uint32_t i = 0; i < 2; i++) {
        world_let_go(w, world_peer(w, "worker"), world_seq(w, "a"), i + 1);
        world_step(w, &(event_t){.kind = EVENT_SETTLE,
                                 .peer = world_peer(w, "worker"),
                                 .settle = {.seq = world_seq(w, "a"),
                                            .attempt = i + 1,
                                            .verdict = VERDICT_FAILURE,
                                            .reason = slice_str("boom"),
                                            .error = slice_str(errors[i]),
                                            .traceback = slice_str(tracebacks[i]),
                                            .duration_ms = 40 + i}});
        world_advance(w, 1100);
    }
    biography_t life = {0};
    w->store->ops->begin(w->store);
    w->store->ops->biography(w->store, slice_str("a"), &life);
    w->store->ops->commit(w->store);
    assert_int_equal(life.task.state, REEVE_STATE_FAILED);
    assert_true(slice_eq(life.task.outcome->spec.error, slice_str("second")));
    assert_int_equal(life.attempt_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const outcome_spec_t *attempt = &life.attempts[i]->spec;
        assert_true(slice_eq(attempt->error, slice_str(errors[i])));
        assert_true(slice_eq(attempt->traceback, slice_str(tracebacks[i])));
        assert_int_equal(attempt->duration_ms, 40 + i);
        assert_in_range(attempt->ended_ms, 1780000000000, w->wall_ms);
    }
    biography_fini(&life);
    world_destroy(&w);
}

static void a_retry_waits_out_its_backoff_across_a_crash(void **state)
{
    (void)state;
    world_t *w = world_with_a_task((world_task_t){.backoff_ms = 60000});
    world_fail(w, "worker", "a", 1, "boom");
    world_crash(w, 0);
    world_ready(w, "worker", "q", 1);
    world_skip(w);
    world_advance(w, 29000);
    EXPECT_SILENCE(w);
    world_advance(w, 32000);
    EXPECT(w, "worker deliver a #2");
    world_destroy(&w);
}

static void a_redriven_task_has_all_its_retries_again_and_keeps_its_history(void **state)
{
    (void)state;
    world_t *w = world_with_a_task((world_task_t){.max_retries = 1});
    world_reject(w, "worker", "a", 1, "no");
    world_redrive(w, "admin", "a", NULL);
    EXPECT(w, "worker settled a#1", "admin done a count=1 was=failed", "worker deliver a #2");
    world_fail(w, "worker", "a", 2, "boom");
    wait_for_attempt(w, "worker deliver a #3", 1100);
    assert_string_equal(world_history(w, "a"),
                        "processing a=3 f=1 d=0 | 1 rejected no worker | 2 failure boom worker");
    world_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_task_runs_again_after_its_backoff),
        cmocka_unit_test(the_backoff_doubles_and_jitter_takes_at_most_half),
        cmocka_unit_test(jitter_spreads_tasks_that_failed_together),
        cmocka_unit_test(a_task_may_bring_its_own_backoff_and_retries),
        cmocka_unit_test(a_task_s_own_backoff_is_capped_by_its_queue_s),
        cmocka_unit_test(a_task_without_retries_fails_at_once),
        cmocka_unit_test(a_task_fails_when_its_retries_are_used_up),
        cmocka_unit_test(a_rejected_task_is_not_tried_again),
        cmocka_unit_test(a_timeout_that_the_worker_reports_is_a_failure_of_its_own_kind),
        cmocka_unit_test(a_worker_that_does_not_report_a_timeout_is_told_of_it),
        cmocka_unit_test(a_worker_may_extend_its_timeout),
        cmocka_unit_test(the_queue_s_timeout_holds_where_the_task_has_none),
        cmocka_unit_test(a_dead_letter_keeps_error_and_traceback_of_every_attempt),
        cmocka_unit_test(a_retry_waits_out_its_backoff_across_a_crash),
        cmocka_unit_test(a_redriven_task_has_all_its_retries_again_and_keeps_its_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
