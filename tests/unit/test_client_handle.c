/*  A handle of libreeve, made and closed; no broker is there. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reeve/client.h"

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
    static const char *const right[] = {"tcp://localhost:5555", "tcp://[::1]:5555",
                                        "ipc:///nonexistent/reeve"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        reeve_client_t *client = new_handle(right[i]);
        assert_non_null(client);
        assert_string_equal(reeve_client_broker(client), right[i]);
        reeve_client_destroy(&client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_endpoint_is_refused_as_that),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
