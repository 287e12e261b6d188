/*  The trace id in a task's headers. */

#include "common/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "00-" TRACE "-b7ad6b7169203331-01"

/*  Of a copy that ends where its memory ends, so that sanitizers see a byte read too far. */
static const char *found_in(const char *body)
{
    static char trace_id[TRACE_ID_SIZE];
    size_t size = strlen(body);
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, body, size);
    memset(trace_id, 'x', sizeof trace_id);
    bool found = trace_id_of(slice(copy, size), trace_id);
    free(copy);
    assert_non_null(memchr(trace_id, '\0', sizeof trace_id));
    assert_int_equal(found, trace_id[0] != '\0');
    return trace_id;
}

static const char *found_for(const char *traceparent)
{
    char body[256];
    snprintf(body, sizeof body, "{\"headers\":{\"traceparent\":\"%s\"}}", traceparent);
    return found_in(body);
}

static void the_trace_id_is_found_among_other_members(void **state)
{
    (void)state;
    assert_string_equal(found_in("{\"args\":[],\"kwargs\":{\"traceparent\":1},"
                                 "\"headers\":{\"a\":\"b\",\"traceparent\":\"" PARENT "\"}}"),
                        TRACE);
}

/*  Behind any number of bytes, also of such as the name is made of. */
static void the_header_is_found_wherever_it_stands(void **state)
{
    (void)state;
    static const char *const fillers[] = {
        "x", "t", "traceparent", "traceparen", "tracepar ent", "\\\"traceparen\\\"", "\\\"", "é"};
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        char body[1024], filling[512] = "";
        for (size_t size = 0; size < 40; size++) {
            snprintf(body, sizeof body,
                     "{\"args\":[%*d],\"headers\":{\"a\":\"%s\",\"traceparent\":\"%s\"}}",
                     (int)size, 1, filling, PARENT);
            assert_string_equal(found_in(body), TRACE);
            if (strlen(filling) + strlen(fillers[i]) < sizeof filling)
                strcat(filling, fillers[i]);
        }
    }
}

static void a_traceparent_outside_the_headers_is_none(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "\"traceparent\"",
        "{\"traceparent\":\"" PARENT "\"}",
        "{\"kwargs\":{\"traceparent\":\"" PARENT "\"}}",
        "{\"headers\":{\"Traceparent\":\"" PARENT "\"}}",
        "{\"headers\":[\"traceparent\",\"" PARENT "\"]}",
        "{\"headers\":{\"traceparent\":7}}",
        "{\"headers\":{\"traceparent\":\"" PARENT "\"}", /* cut off */
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        if (*found_in(bodies[i]) != '\0')
            fail_msg("found one in %s", bodies[i]);
}

static void what_is_not_of_the_form_is_none(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        TRACE,
        "00-" TRACE,
        "00-" TRACE "-b7ad6b7169203331",
        "00-" TRACE "-b7ad6b7169203331-0",
        "00-" TRACE "-b7ad6b716920333-01",
        "0-" TRACE "-b7ad6b7169203331-01",
        "00_" TRACE "_b7ad6b7169203331_01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", /* upper case is forbidden */
        "00-0gf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01", /* no valid id */
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (*found_for(values[i]) != '\0')
            fail_msg("found one in %s", values[i]);
}

/*  3.2.2: what a later version adds behind the flags has to be borne. */
static void a_later_version_may_say_more(void **state)
{
    (void)state;
    assert_string_equal(found_for("01-" TRACE "-b7ad6b7169203331-01-more"), TRACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_trace_id_is_found_among_other_members),
        cmocka_unit_test(the_header_is_found_wherever_it_stands),
        cmocka_unit_test(a_traceparent_outside_the_headers_is_none),
        cmocka_unit_test(what_is_not_of_the_form_is_none),
        cmocka_unit_test(a_later_version_may_say_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
