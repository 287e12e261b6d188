/*  What is counted, and where names end up that are too many. */

#include "broker/metrics/metrics.h"
#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static metrics_t metrics;

static int set_up(void **state)
{
    (void)state;
    metrics_init(&metrics);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    metrics_fini(&metrics);
    return 0;
}

/* ---- changes -------------------------------------------------------------------------------- */

static record_t *a_record(const char *task_name, uint32_t queue_id)
{
    return record_new(&(task_spec_t){.id = slice_str("id"),
                                     .queue = slice_str("q"),
                                     .task_name = slice_str(task_name),
                                     .created_ms = 1000},
                      1, queue_id);
}

/*  Counts one move of a task; without an ending there is no outcome. */
static void move(const char *task_name, uint32_t queue_id, reeve_state_t from, reeve_state_t to,
                 const outcome_spec_t *ended, tries_t tries)
{
    change_t change = {.record = a_record(task_name, queue_id),
                       .from = from,
                       .to = to,
                       .tries = tries,
                       .at_ms = 3500,
                       .outcome = ended ? outcome_new(ended) : NULL};
    metrics_change(&metrics, &change);
    if (change.outcome)
        outcome_unref(&change.outcome);
    record_unref(&change.record);
}

static void attempt_ends(const char *task_name, ending_t ending, slice_t reason, reeve_state_t to)
{
    move(task_name, 0, REEVE_STATE_PROCESSING, to,
         &(outcome_spec_t){.ending = ending, .reason = reason, .duration_ms = 70, .ended_ms = 4000},
         (tries_t){.attempts = 1});
}

static const task_metrics_t *task(const char *name)
{
    const task_metrics_t *found;
    HASH_FIND_STR(metrics.tasks, name, found);
    return found;
}

static uint64_t failures(const char *task_name, const char *reason)
{
    const task_metrics_t *found = task(task_name);
    for (size_t i = 0; found && i < found->failures.count; i++)
        if (strcmp(found->failures.items[i].name, reason) == 0)
            return found->failures.items[i].count;
    return 0;
}

static void a_commit_is_counted_by_its_time_and_its_size(void **state)
{
    (void)state;
    metrics_commit(&metrics, 150, 3);
    assert_int_equal(metrics.commit_s.counts[2], 1);       /* up to 200 µs */
    assert_int_equal(metrics.commit_changes.counts[2], 1); /* up to 4 */
    assert_true(metrics.commit_changes.sum == 3);
}

/* ---- what happened -------------------------------------------------------------------------- */

static void each_ending_is_counted_for_what_it_is(void **state)
{
    (void)state;
    static const struct {
        ending_t ending;
        uint64_t durations, failures;
    } cases[] = {
        {ENDING_SUCCESS, 1, 0},   {ENDING_FAILURE, 1, 1}, {ENDING_TIMEOUT, 1, 1},
        {ENDING_REJECTED, 1, 1},  {ENDING_LOST, 0, 1},    {ENDING_RELEASED, 0, 0},
        {ENDING_CANCELLED, 0, 0}, {ENDING_EXPIRED, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "ending%d", (int)cases[i].ending);
        attempt_ends(name, cases[i].ending, slice_str("why"), REEVE_STATE_QUEUED);
        uint64_t durations = task(name) ? histogram_count(&task(name)->duration) : 0;
        if (durations != cases[i].durations || failures(name, "why") != cases[i].failures)
            fail_msg("%s: %d durations, %d failures", name, (int)durations,
                     (int)failures(name, "why"));
    }
}

static void a_failure_that_is_followed_by_another_attempt_is_a_retry(void **state)
{
    (void)state;
    attempt_ends("t", ENDING_FAILURE, slice_str("down"), REEVE_STATE_SCHEDULED);
    attempt_ends("t", ENDING_FAILURE, slice_str("down"), REEVE_STATE_FAILED);
    assert_int_equal(failures("t", "down"), 2);
    assert_int_equal(metrics.queues[0].retries.count, 1);
    assert_int_equal(metrics.queues[0].retries.items[0].count, 1);
    assert_int_equal(metrics.queues[0].failed, 1);
}

static void the_wait_is_that_before_the_first_attempt(void **state)
{
    (void)state;
    record_t *record = a_record("t", 0);
    metrics_start(&metrics, record, 1, 3500);
    metrics_start(&metrics, record, 2, 9000);
    record_unref(&record);
    const queue_metrics_t *queue = &metrics.queues[0];
    assert_int_equal(queue->started, 2);
    assert_int_equal(histogram_count(&queue->wait), 1);
    assert_true(queue->wait.sum == 2.5);
}

static void an_attempt_starts_with_its_change_only_in_a_queue_in_memory(void **state)
{
    (void)state;
    change_t change = {.record = a_record("t", 0),
                       .from = REEVE_STATE_QUEUED,
                       .to = REEVE_STATE_PROCESSING,
                       .tries = {.attempts = 1},
                       .at_ms = 3500};
    metrics_change(&metrics, &change);
    assert_int_equal(metrics.queues[0].started, 0);
    change.may_wait = true;
    metrics_change(&metrics, &change);
    assert_int_equal(metrics.queues[0].started, 1);
    assert_true(metrics.queues[0].wait.sum == 2.5);
    record_unref(&change.record);
}

static void every_end_has_its_own_count(void **state)
{
    (void)state;
    outcome_spec_t ended = {.ending = ENDING_CANCELLED, .ended_ms = 4000};
    move("t", 7, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, &ended, (tries_t){0});
    move("t", 7, REEVE_STATE_QUEUED, REEVE_STATE_EXPIRED, NULL, (tries_t){0});
    move("t", 7, REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS, NULL, (tries_t){0});
    const queue_metrics_t *queue = &metrics.queues[7];
    assert_int_equal(queue->cancelled, 1);
    assert_int_equal(queue->expired, 1);
    assert_int_equal(queue->succeeded, 1);
    assert_true(queue->life.sum == 3);
}

/*  The clock may be set back between a submission and its end. */
static void a_time_that_ran_backwards_is_none(void **state)
{
    (void)state;
    outcome_spec_t ended = {.ending = ENDING_CANCELLED, .ended_ms = 500};
    move("t", 0, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, &ended, (tries_t){0});
    assert_true(metrics.queues[0].life.sum == 0);
    assert_int_equal(metrics.queues[0].life.counts[0], 1);
}

static void queues_of_any_number_are_counted_apart(void **state)
{
    (void)state;
    static const uint32_t ids[] = {63, 64, 0, 5000, 131071};
    for (size_t i = 0; i < 5; i++)
        move("t", ids[i], REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, NULL, (tries_t){0});
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(metrics.queues[ids[i]].submitted, 1);
    assert_int_equal(metrics.queues[1].submitted, 0);
}

/* ---- bounds --------------------------------------------------------------------------------- */

static void task_names_beyond_the_limit_are_other(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < LIMIT_METRIC_TASKS + 2; i++) {
        snprintf(name, sizeof name, "name%d", i);
        attempt_ends(name, ENDING_SUCCESS, (slice_t){0}, REEVE_STATE_SUCCESS);
    }
    attempt_ends("name0", ENDING_SUCCESS, (slice_t){0}, REEVE_STATE_SUCCESS);
    attempt_ends("other", ENDING_SUCCESS, (slice_t){0}, REEVE_STATE_SUCCESS);
    assert_int_equal(HASH_COUNT(metrics.tasks), LIMIT_METRIC_TASKS + 1);
    assert_int_equal(histogram_count(&task("name0")->duration), 2);
    assert_int_equal(histogram_count(&task("other")->duration), 3);
    assert_int_equal(metrics.into_other[LABEL_TASK], 2);
}

static void reasons_beyond_the_limit_are_other(void **state)
{
    (void)state;
    char reason[32];
    for (int i = 0; i < LIMIT_METRIC_REASONS + 2; i++) {
        snprintf(reason, sizeof reason, "reason%d", i);
        attempt_ends("t", ENDING_FAILURE, slice_str(reason), REEVE_STATE_FAILED);
    }
    attempt_ends("u", ENDING_FAILURE, slice_str(reason), REEVE_STATE_FAILED);
    assert_int_equal(task("t")->failures.count, LIMIT_METRIC_REASONS + 1);
    assert_int_equal(failures("t", "other"), 2);
    assert_int_equal(failures("u", reason), 1);
    assert_int_equal(metrics.into_other[LABEL_REASON], 2);
}

static void reeve_s_own_reasons_have_their_place_at_all_times(void **state)
{
    (void)state;
    static const char *const own[] = {"worker_lost", "quarantined", "timeout", "no_handler"};
    char reason[32];
    for (int i = 0; i < LIMIT_METRIC_REASONS + 2; i++) {
        snprintf(reason, sizeof reason, "reason%d", i);
        attempt_ends("t", ENDING_FAILURE, slice_str(reason), REEVE_STATE_FAILED);
    }
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        attempt_ends("t", ENDING_LOST, slice_str(own[i]), REEVE_STATE_QUEUED);
        assert_int_equal(failures("t", own[i]), 1);
    }
    assert_int_equal(failures("t", "other"), 2);
    assert_int_equal(metrics.into_other[LABEL_REASON], 2);
}

static void a_reason_ends_at_a_zero_byte(void **state)
{
    (void)state;
    attempt_ends("t", ENDING_FAILURE, slice("down\0a", 6), REEVE_STATE_FAILED);
    attempt_ends("t", ENDING_FAILURE, slice("down\0b", 6), REEVE_STATE_FAILED);
    attempt_ends("t", ENDING_FAILURE, slice("\0c", 2), REEVE_STATE_FAILED);
    attempt_ends("t", ENDING_FAILURE, slice("", 0), REEVE_STATE_FAILED);
    assert_int_equal(task("t")->failures.count, 2);
    assert_int_equal(failures("t", "down"), 2);
    assert_int_equal(failures("t", "unknown"), 2);
}

static void copies_are_deep(void **state)
{
    (void)state;
    attempt_ends("t", ENDING_FAILURE, slice_str("down"), REEVE_STATE_FAILED);
    reasons_t copy = reasons_copy(&task("t")->failures);
    attempt_ends("t", ENDING_FAILURE, slice_str("down"), REEVE_STATE_FAILED);
    assert_int_equal(copy.items[0].count, 1);
    assert_ptr_not_equal(copy.items[0].name, task("t")->failures.items[0].name);
    reasons_fini(&copy);
    assert_int_equal(copy.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_is_counted_by_its_time_and_its_size),
        TEST(each_ending_is_counted_for_what_it_is),
        TEST(a_failure_that_is_followed_by_another_attempt_is_a_retry),
        TEST(an_attempt_starts_with_its_change_only_in_a_queue_in_memory),
        TEST(the_wait_is_that_before_the_first_attempt),
        TEST(every_end_has_its_own_count),
        TEST(a_time_that_ran_backwards_is_none),
        TEST(queues_of_any_number_are_counted_apart),
        TEST(task_names_beyond_the_limit_are_other),
        TEST(reasons_beyond_the_limit_are_other),
        TEST(reeve_s_own_reasons_have_their_place_at_all_times),
        TEST(a_reason_ends_at_a_zero_byte),
        TEST(copies_are_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
