/*  What the worker's page shows of what was counted; the whole of it is in tests/system. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/metrics.h"

static char mail[] = "mail", other[] = "other";
static const char *const broker_names[] = {"ipc://a", "ipc://b"};

typedef struct worker {
    options_t options;
    worker_metrics_t *metrics;
} worker_t;

static worker_t with_queues(char **queues, size_t count)
{
    worker_t worker = {.options = {.brokers = (const char **)broker_names,
                                   .broker_count = 2,
                                   .queues = queues,
                                   .queue_count = count,
                                   .concurrency = 8}};
    return worker;
}

static char *page_of(worker_t *worker)
{
    size_t size;
    char *text = worker_metrics_page(worker->metrics, PROM_TEXT, &size);
    assert_int_equal(strlen(text), size);
    return text;
}

static size_t lines_with(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

static void assert_has(const char *text, const char *line)
{
    if (lines_with(text, line) != 1)
        fail_msg("not there once: %s", line);
}

static void attempts_are_counted_by_queue_result_and_reason(void **state)
{
    (void)state;
    char *queues[] = {mail, NULL};
    worker_t worker = with_queues(queues, 1);
    worker.metrics = worker_metrics_new(&worker.options);
    worker_metrics_attempt(worker.metrics, "mail", ATTEMPT_SUCCESS, NULL, 0);
    worker_metrics_attempt(worker.metrics, "mail", ATTEMPT_FAILURE, "retry", 2);
    worker_metrics_attempt(worker.metrics, "mail", ATTEMPT_REJECTED, "no_handler", -1);
    worker_metrics_attempt(worker.metrics, "mail", ATTEMPT_RELEASED, NULL, -1);
    worker_metrics_attempt(worker.metrics, "mail", ATTEMPT_REVOKED, NULL, -1);
    char *text = page_of(&worker);
    static const char *const results[] = {"success", "failure", "rejected", "released", "revoked"};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        char line[100];
        snprintf(line, sizeof line, "\nreeve_worker_tasks_total{queue=\"mail\",result=\"%s\"} 1\n",
                 results[i]);
        assert_has(text, line);
    }
    assert_has(text, "\nreeve_worker_task_failures_total{queue=\"mail\",reason=\"retry\"} 1\n");
    assert_has(text,
               "\nreeve_worker_task_failures_total{queue=\"mail\",reason=\"no_handler\"} 1\n");
    assert_has(text, "\nreeve_worker_attempt_duration_seconds_count{queue=\"mail\"} 2\n");
    assert_has(text, "\nreeve_worker_attempt_duration_seconds_sum{queue=\"mail\"} 2\n");
    assert_int_equal(lines_with(text, "other"), 0);
    free(text);
    worker_metrics_destroy(&worker.metrics);
    assert_null(worker.metrics);
}

/*  A broker that delivers from queues that nobody named must not make series of its own. */
static void queues_that_were_not_named_are_one_other(void **state)
{
    (void)state;
    char *queues[] = {mail, NULL}, *both[] = {mail, other, NULL};
    worker_t worker = with_queues(queues, 1), named = with_queues(both, 2);
    worker.metrics = worker_metrics_new(&worker.options);
    named.metrics = worker_metrics_new(&named.options);
    worker_t *workers[] = {&worker, &named};
    for (size_t i = 0; i < 2; i++) {
        worker_metrics_attempt(workers[i]->metrics, "unheard", ATTEMPT_SUCCESS, NULL, 1);
        worker_metrics_attempt(workers[i]->metrics, "of", ATTEMPT_SUCCESS, NULL, 1);
        char *text = page_of(workers[i]);
        assert_has(text, "\nreeve_worker_tasks_total{queue=\"other\",result=\"success\"} 2\n");
        assert_has(text, "\nreeve_worker_tasks_total{queue=\"mail\",result=\"success\"} 0\n");
        free(text);
        worker_metrics_destroy(&workers[i]->metrics);
    }
}

static void each_broker_is_shown_as_it_was_last_seen(void **state)
{
    (void)state;
    char *queues[] = {mail, NULL};
    worker_t worker = with_queues(queues, 1);
    worker.metrics = worker_metrics_new(&worker.options);
    broker_view_t view = {.connected = 1, .held = 3, .stats = {.connects = 4, .lost = 5}};
    worker_metrics_broker(worker.metrics, 1, &view);
    view.held = 2;
    worker_metrics_broker(worker.metrics, 1, &view);
    worker_metrics_running(worker.metrics, 2);
    char *text = page_of(&worker);
    assert_has(text, "\nreeve_worker_connected{broker=\"ipc://a\"} 0\n");
    assert_has(text, "\nreeve_worker_connected{broker=\"ipc://b\"} 1\n");
    assert_has(text, "\nreeve_worker_tasks_held{broker=\"ipc://b\"} 2\n");
    assert_has(text, "\nreeve_worker_connects_total{broker=\"ipc://b\"} 4\n");
    assert_has(text,
               "\nreeve_worker_revocations_total{broker=\"ipc://b\",reason=\"lease_lost\"} 5\n");
    assert_has(text, "\nreeve_worker_commands_running 2\n");
    assert_has(text, "\nreeve_worker_concurrency 8\n");
    free(text);
    worker_metrics_destroy(&worker.metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts_are_counted_by_queue_result_and_reason),
        cmocka_unit_test(queues_that_were_not_named_are_one_other),
        cmocka_unit_test(each_broker_is_shown_as_it_was_last_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
