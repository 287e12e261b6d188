/*  Handles of libreeve, made and closed; no broker is there. */

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

#include "reeve/client.h"
#include "reeve/worker.h"

static const char nobody[] = "ipc:///nonexistent/reeve";

static reeve_client_t *new_handle(const char *broker)
{
    return reeve_client_new(&(reeve_client_options_t){.broker = broker});
}

static void what_is_no_endpoint_is_refused_as_that(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "localhost:5555",
                                        "tpc://localhost:5555",
                                        "inproc://broker",
                                        "udp://localhost:5555",
                                        "tcp://localhost",
                                        "tcp://:5555",
                                        "tcp://localhost:99999",
                                        "ipc://"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        errno = 0;
        if (new_handle(wrong[i]) != NULL)
            fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(errno, EINVAL);
    }
    static const char *const right[] = {"tcp://localhost:5555", "tcp://[::1]:5555", nobody};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        reeve_client_t *client = new_handle(right[i]);
        assert_non_null(client);
        assert_string_equal(reeve_client_broker(client), right[i]);
        reeve_client_destroy(&client);
    }
}

/*  Makes a call fail that leaves a line. */
static void fail_with_a_line(reeve_client_t *client)
{
    reeve_error_t error;
    const reeve_task_t task = {.task_name = "t", .args_json = "{}"};
    assert_int_equal(reeve_submit(client, &task, NULL, NULL, &error), -1);
    assert_int_equal(error, REEVE_ERR_BAD_JSON);
    assert_string_equal(reeve_client_error_text(client), "args: must be an array");
}

static void a_refusal_before_sending_has_no_line_of_an_earlier_one(void **state)
{
    (void)state;
    reeve_client_t *client = reeve_client_new(
        &(reeve_client_options_t){.broker = nobody, .window = 1, .request_timeout_ms = 1});
    const reeve_task_t task = {.task_name = "t"};
    char problem[100];
    reeve_error_t error;
    assert_int_equal(reeve_submit(client, &task, NULL, NULL, &error), 0);
#define REFUSED(call, reason)                                                                      \
    do {                                                                                           \
        fail_with_a_line(client);                                                                  \
        assert_int_equal(call, -1);                                                                \
        assert_int_equal(error, reason);                                                           \
        assert_string_equal(reeve_client_error_text(client), "");                                  \
    } while (0)
    REFUSED(reeve_cancel(client, "bad id", NULL, &error), REEVE_ERR_BAD_ID);
    REFUSED(reeve_wait(client, "bad id", NULL, &error), REEVE_ERR_BAD_ID);
    REFUSED(reeve_wait(client, NULL, NULL, &error), REEVE_ERR_BAD_ID);
    REFUSED(reeve_query(client, REEVE_QUERY_TASK, NULL, NULL, 0, 0, NULL, NULL, &error),
            REEVE_ERR_BAD_ID);
    REFUSED(reeve_query(client, REEVE_QUERY_DEAD, NULL, "", 0, 0, NULL, NULL, &error),
            REEVE_ERR_BAD_QUEUE);
    REFUSED(reeve_dead_purge(client, NULL, NULL, NULL, &error), REEVE_ERR_BAD_QUEUE);
    REFUSED(reeve_submit(client, &task, NULL, NULL, &error), REEVE_ERR_TOO_MANY);
    REFUSED(reeve_submit_json(client, "{}", 2, false, NULL, NULL, problem, sizeof problem, &error),
            REEVE_ERR_BAD_VALUE);
#undef REFUSED
    reeve_client_destroy(&client);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void on_alarm(int number)
{
    (void)number;
}

static void make_and_close_a_client(void)
{
    reeve_client_t *client = new_handle(nobody);
    if (client == NULL)
        fail_msg("%s", strerror(errno));
    reeve_client_destroy(&client);
}

static void make_and_close_a_worker(void)
{
    reeve_worker_t *worker = reeve_worker_new(
        &(reeve_worker_options_t){.broker = nobody, .queues = (const char *const[]){"q", NULL}});
    if (worker == NULL)
        fail_msg("%s", strerror(errno));
    reeve_worker_destroy(&worker);
}

/*  So often that the signals come at every place where they matter. What is not closed for one has
    descriptors. */
static void repeat_among_signals(void (*once)(void))
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 50}, {0, 50}}, never = {0};
    int before = open_descriptors();
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int i = 0; i < 200; i++)
        once();
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(open_descriptors(), before);
}

static void a_client_is_made_and_closed_among_signals(void **state)
{
    (void)state;
    repeat_among_signals(make_and_close_a_client);
}

static void a_worker_is_made_and_closed_among_signals(void **state)
{
    (void)state;
    repeat_among_signals(make_and_close_a_worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_endpoint_is_refused_as_that),
        cmocka_unit_test(a_refusal_before_sending_has_no_line_of_an_earlier_one),
        cmocka_unit_test(a_client_is_made_and_closed_among_signals),
        cmocka_unit_test(a_worker_is_made_and_closed_among_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
