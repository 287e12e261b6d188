/*  A handle whose broker never answers: its thread waits until another one ends the wait. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "reeve/client.h"

/*  Nobody listens there. */
static const reeve_client_options_t options = {.broker = "ipc:///nonexistent/reeve",
                                               .request_timeout_ms = -1};

static void *ask(void *arg)
{
    char *json;
    reeve_error_t error = REEVE_ERR_OK;
    if (reeve_query(arg, REEVE_QUERY_QUEUES, NULL, NULL, 0, 0, &json, NULL, &error) == 0)
        free(json);
    return (void *)(intptr_t)error;
}

static void a_request_ends_when_another_thread_says_so(void **state)
{
    (void)state;
    reeve_client_t *client = reeve_client_new(&options);
    pthread_t thread;
    void *error;
    assert_int_equal(pthread_create(&thread, NULL, ask, client), 0);
    reeve_client_interrupt(client);
    assert_int_equal(pthread_join(thread, &error), 0);
    assert_int_equal((intptr_t)error, REEVE_ERR_CLOSED);
    reeve_client_destroy(&client);
}

static void an_interrupt_before_the_wait_ends_it(void **state)
{
    (void)state;
    reeve_client_t *client = reeve_client_new(&options);
    reeve_event_t event;
    reeve_error_t error;
    reeve_client_interrupt(client);
    reeve_client_interrupt(client);
    assert_int_equal(reeve_client_poll(client, -1, &event, &error), 0);
    reeve_client_interrupt(client);
    assert_int_equal((intptr_t)ask(client), REEVE_ERR_CLOSED);
    reeve_client_destroy(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_ends_when_another_thread_says_so),
        cmocka_unit_test(an_interrupt_before_the_wait_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
