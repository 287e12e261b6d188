/*  What the handle of reeve/worker.h does by itself: nobody listens where it connects to. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "reeve/worker.h"

static const char *const queues[] = {"q", NULL};
static const char *const no_queues[] = {NULL};

static void refuses(const reeve_worker_options_t *options)
{
    errno = 0;
    assert_null(reeve_worker_new(options));
    assert_int_equal(errno, EINVAL);
}

static void without_a_queue_or_an_endpoint_there_is_no_handle(void **state)
{
    (void)state;
    refuses(NULL);
    refuses(&(reeve_worker_options_t){.broker = "ipc:///nonexistent/broker"});
    refuses(&(reeve_worker_options_t){.broker = "ipc:///nonexistent/broker", .queues = no_queues});
    refuses(&(reeve_worker_options_t){.broker = "somewhere", .queues = queues});
    refuses(&(reeve_worker_options_t){.broker = "tcp://no-port", .queues = queues});
}

static void heard(int number)
{
    (void)number;
}

static void a_signal_ends_the_wait(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = heard};
    struct itimerval often = {.it_interval.tv_usec = 10000, .it_value.tv_usec = 10000}, never = {0};
    reeve_worker_t *worker = reeve_worker_new(
        &(reeve_worker_options_t){.broker = "ipc:///nonexistent/broker", .queues = queues});
    reeve_delivery_t *delivery;
    bool revoked;
    assert_non_null(worker);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    assert_int_equal(reeve_worker_poll(worker, -1, &delivery, &revoked), 0);
    setitimer(ITIMER_REAL, &never, NULL);
    reeve_worker_destroy(&worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_queue_or_an_endpoint_there_is_no_handle),
        cmocka_unit_test(a_signal_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
