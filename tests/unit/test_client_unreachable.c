/*  A broker that is away, as libreeve tells it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reeve/client.h"

/*  The same whenever the clock moves on between two looks at it: many times, as one shows nothing. */
static void a_question_that_nobody_hears_is_told_as_unreachable(void **state)
{
    (void)state;
    const reeve_client_options_t options = {.broker = "ipc:///nonexistent/reeve",
                                            .request_timeout_ms = 1};
    reeve_client_t *client = reeve_client_new(&options);
    assert_non_null(client);
    for (int i = 0; i < 2000; i++) {
        char *json = NULL;
        reeve_error_t error;
        assert_int_equal(
            reeve_query(client, REEVE_QUERY_QUEUES, NULL, NULL, 0, 0, &json, NULL, &error), -1);
        assert_int_equal(error, REEVE_ERR_UNREACHABLE);
    }
    reeve_client_destroy(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_that_nobody_hears_is_told_as_unreachable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
