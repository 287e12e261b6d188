/*  Task documents: to and from what the wire carries. */

#include "common/json.h"
#include "common/limits.h"
#include "common/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static const int64_t now_ms = INT64_C(1779273000000); /* 2026-05-20T10:30:00Z */

/*  Reads a copy that ends where its memory ends, so that sanitizers see a byte read too far, and
    that is gone when the task is looked at. */
static int read_task(const char *text, task_t *task, char *problem, size_t problem_size)
{
    size_t size = strlen(text);
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    int rc = task_from_json(slice(copy, size), now_ms, task, problem, problem_size);
    free(copy);
    return rc;
}

static task_t accepted(const char *text)
{
    task_t task = {0};
    char problem[200] = "";
    if (read_task(text, &task, problem, sizeof problem))
        fail_msg("%s: %s", text, problem);
    return task;
}

static void assert_refused(const char *text, const char *expected)
{
    task_t task = {0};
    char problem[200] = "";
    if (read_task(text, &task, problem, sizeof problem) == 0)
        fail_msg("accepted: %s", text);
    assert_string_equal(problem, expected);
    assert_null(task.tree);
    assert_null(task.body.data);
}

/*  A document with one more member than it must have. */
static const char *with(const char *member)
{
    static char text[4096];
    snprintf(text, sizeof text, "{\"task_name\":\"t\",%s}", member);
    return text;
}

static void assert_slice(slice_t actual, const char *expected)
{
    char text[4096] = "";
    assert_true(actual.size < sizeof text);
    if (actual.size)
        memcpy(text, actual.data, actual.size);
    assert_string_equal(text, expected);
}

static void assert_body(const char *member, const char *expected)
{
    task_t task = accepted(with(member));
    assert_int_equal(task.wire.body_kind, WIRE_BODY_JSON);
    assert_slice(task.wire.body, expected);
    assert_true(json_valid_object(task.wire.body));
    task_fini(&task);
}

static void the_contract_s_example_is_read(void **state)
{
    (void)state;
    task_t task = accepted(
        "{ \"id\": \"0192f0c1-7a3e-7c11-9a52-0d6d3f1b2c4d\", \"task_name\": \"send_email_async\",\n"
        "  \"args\": [], \"kwargs\": {\"to\": \"user@example.com\", \"template\": "
        "\"welcome_v2\"},\n"
        "  \"created_at\": \"2026-05-20T10:30:00.123Z\", \"max_retries\": 3, \"retry_count\": 0,\n"
        "  \"origin\": \"web-api-v2\" }\n");
    assert_slice(task.wire.id, "0192f0c1-7a3e-7c11-9a52-0d6d3f1b2c4d");
    assert_slice(task.wire.task_name, "send_email_async");
    assert_slice(task.wire.queue, "default");
    assert_slice(task.wire.origin, "web-api-v2");
    assert_slice(task.wire.body, "{\"args\":[],\"kwargs\":{\"to\":\"user@example.com\","
                                 "\"template\":\"welcome_v2\"}}");
    assert_int_equal(task.wire.created_at_ms, now_ms + 123);
    assert_int_equal(task.wire.max_retries, 3);
    task_fini(&task);
    assert_null(task.tree);
    assert_null(task.body.data);
}

static void a_name_is_enough(void **state)
{
    (void)state;
    task_t task = accepted("{\"task_name\":\"t\"}");
    assert_slice(task.wire.id, "");
    assert_slice(task.wire.task_name, "t");
    assert_slice(task.wire.queue, "default");
    assert_slice(task.wire.origin, "");
    assert_slice(task.wire.body, "{\"args\":[],\"kwargs\":{}}");
    assert_int_equal(task.wire.created_at_ms, now_ms);
    assert_true(task.wire.max_retries == WIRE_ABSENT);
    assert_int_equal(task.wire.priority, 0);
    assert_int_equal(task.wire.delay_ms, 0);
    assert_int_equal(task.wire.run_at_ms, 0);
    assert_int_equal(task.wire.timeout_ms, 0);
    assert_int_equal(task.wire.expires_at_ms, 0);
    assert_int_equal(task.wire.backoff_ms, 0);
    assert_false(task.wire.wait);
    task_fini(&task);
}

static void every_other_member_is_read(void **state)
{
    (void)state;
    task_t task =
        accepted("{\"headers\":{\"traceparent\":\"00-a\"},\"backoff\":\"2s\",\"timeout\":1.5,"
                 "\"expires_at\":\"2026-05-20T12:30:01+02:00\",\"run_at\":\"2026-05-20T10:30:02Z\","
                 "\"priority\":9,\"queue\":\"email\",\"max_retries\":0,\"task_name\":\"t\"}");
    assert_slice(task.wire.queue, "email");
    assert_slice(task.wire.body,
                 "{\"args\":[],\"kwargs\":{},\"headers\":{\"traceparent\":\"00-a\"}}");
    assert_int_equal(task.wire.backoff_ms, 2000);
    assert_int_equal(task.wire.timeout_ms, 1500);
    assert_int_equal(task.wire.expires_at_ms, now_ms + 1000);
    assert_int_equal(task.wire.run_at_ms, now_ms + 2000);
    assert_int_equal(task.wire.priority, 9);
    assert_int_equal(task.wire.max_retries, 0);
    task_fini(&task);
}

static void durations_are_text_or_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        int64_t ms;
    } cases[] = {
        {"\"delay\":\"10s\"", 10000},
        {"\"delay\":\"1h30m\"", 5400000},
        {"\"delay\":10", 10000},
        {"\"delay\":0.25", 250},
        {"\"delay\":1e3", 1000000},
        {"\"delay\":1.1", 1100},
        {"\"delay\": 2.5 ", 2500},
        {"\"delay\":1e-9", 1},
        {"\"delay\":1.0006", 1001},
        {"\"delay\":-0", 0},
        {"\"delay\":0", 0},
        {"\"delay\":\"0\"", 0},
        {"\"delay\":1.000000000000000000000000000000000000000000000000000000000000000000000000",
         1000},
        {"\"delay\":316224000", LIMIT_DURATION_MS},
        {"\"delay\":\"1\\u0030s\"", 10000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        task_t task = accepted(with(cases[i].member));
        if ((int64_t)task.wire.delay_ms != cases[i].ms)
            fail_msg("%s: %llu", cases[i].member, (unsigned long long)task.wire.delay_ms);
        task_fini(&task);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *value, *shown;
    } cases[] = {{"\"10\"", "\"10\""},  {"\"soon\"", "\"soon\""},           {"-1", "-1"},
                 {"1e400", "1e400"},    {"316224000.001", "316224000.001"}, {"\"\"", "\"\""},
                 {"\"\\n\"", "\"\\n\""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char member[64], problem[200];
        snprintf(member, sizeof member, "\"timeout\":%s", cases[i].value);
        snprintf(problem, sizeof problem,
                 "timeout: %s is not a duration such as \"10s\" or a number of seconds, up to ten "
                 "years",
                 cases[i].shown);
        assert_refused(with(member), problem);
    }
    static const char *const kinds[] = {"null", "true", "[]", "{}"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char member[64];
        snprintf(member, sizeof member, "\"backoff\":%s", kinds[i]);
        assert_refused(with(member),
                       "backoff: must be a duration such as \"10s\" or a number of seconds");
    }
}

static void times_are_rfc_3339(void **state)
{
    (void)state;
    assert_refused(with("\"run_at\":\"tomorrow\""),
                   "run_at: \"tomorrow\" is not a time such as \"2026-05-20T10:30:00Z\"");
    assert_refused(with("\"expires_at\":1779273000"), "expires_at: must be a string");
    assert_refused(with("\"created_at\":null"), "created_at: must be a string");
    /* The epoch itself must not turn into "never". */
    task_t task = accepted(with("\"expires_at\":\"1970-01-01T00:00:00Z\""));
    assert_int_equal(task.wire.expires_at_ms, 1);
    task_fini(&task);
}

static void delay_and_run_at_exclude_each_other(void **state)
{
    (void)state;
    assert_refused(with("\"delay\":1,\"run_at\":\"2026-05-20T10:30:00Z\""),
                   "delay: cannot be given together with run_at");
    assert_refused(with("\"run_at\":\"2026-05-20T10:30:00Z\",\"delay\":0"),
                   "delay: cannot be given together with run_at");
}

static void integers_are_in_their_range(void **state)
{
    (void)state;
    assert_refused(with("\"priority\":11"), "priority: 11 is not in 0..9");
    assert_refused(with("\"priority\":-1"), "priority: -1 is not in 0..9");
    assert_refused(with("\"priority\":1.0"), "priority: must be an integer in 0..9");
    assert_refused(with("\"priority\":1e0"), "priority: must be an integer in 0..9");
    assert_refused(with("\"priority\":\"1\""), "priority: must be an integer in 0..9");
    assert_refused(with("\"priority\":null"), "priority: must be an integer in 0..9");
    assert_refused(with("\"max_retries\":1000001"), "max_retries: 1000001 is not in 0..1000000");
    assert_refused(with("\"max_retries\":18446744073709551615"),
                   "max_retries: 18446744073709551615 is not in 0..1000000");
    assert_refused(
        with("\"max_retries\":100000000000000000000000000000000000000000000000000000000000000"),
        "max_retries: 100000000000000000000000000000000000000000000000… is not in 0..1000000");
    assert_refused(with("\"retry_count\":1"), "retry_count: must be 0 or absent in a new task");
    assert_refused(with("\"retry_count\":\"0\""), "retry_count: must be 0 or absent in a new task");
    task_t task = accepted(with("\"max_retries\":1000000,\"retry_count\":0"));
    assert_int_equal(task.wire.max_retries, LIMIT_RETRIES);
    task_fini(&task);
}

static void names_and_ids_are_checked(void **state)
{
    (void)state;
    const char *bad_name = ": must be 1 to 128 bytes, without control characters and without a "
                           "space at either end";
    char problem[200], member[300], long_name[130];
    static const char *const names[] = {"queue", "origin"};
    memset(long_name, 'x', 129);
    long_name[129] = '\0';
    for (int i = 0; i < 2; i++) {
        snprintf(problem, sizeof problem, "%s%s", names[i], bad_name);
        snprintf(member, sizeof member, "\"%s\":\"a\\u0001\"", names[i]);
        assert_refused(with(member), problem);
        snprintf(member, sizeof member, "\"%s\":\" a\"", names[i]);
        assert_refused(with(member), problem);
        snprintf(member, sizeof member, "\"%s\":\"%s\"", names[i], long_name);
        assert_refused(with(member), problem);
        snprintf(member, sizeof member, "\"%s\":\"%s\"", names[i], long_name + 1);
        task_t task = accepted(with(member));
        task_fini(&task);
        snprintf(member, sizeof member, "\"%s\":7", names[i]);
        snprintf(problem, sizeof problem, "%s: must be a string", names[i]);
        assert_refused(with(member), problem);
    }
    snprintf(problem, sizeof problem, "task_name%s", bad_name);
    assert_refused("{\"task_name\":\"\"}", problem);
    snprintf(problem, sizeof problem, "queue%s", bad_name);
    assert_refused(with("\"queue\":\"\""), problem);
    assert_refused("{\"id\":\"a\"}", "task_name: is missing");
    assert_refused("{}", "task_name: is missing");

    const char *bad_id = "id: must be 1 to 128 printable ASCII characters, no spaces";
    assert_refused(with("\"id\":\"\""), bad_id);
    assert_refused(with("\"id\":\"a b\""), bad_id);
    assert_refused(with("\"id\":\"é\""), bad_id);
    assert_refused(with("\"id\":5"), "id: must be a string");
    assert_refused(with("\"id\":null"), "id: must be a string");
    /* An empty origin is what documents show where there is none. */
    task_t task = accepted(with("\"origin\":\"\",\"id\":\"a/b#1\""));
    assert_slice(task.wire.id, "a/b#1");
    assert_slice(task.wire.origin, "");
    task_fini(&task);
}

static void escaped_strings_are_decoded(void **state)
{
    (void)state;
    task_t task = accepted("{\"task\\u005fname\":\"\\u0073end \\\"\\u00e9\\ud83d\\ude00\\\"\"}");
    assert_slice(task.wire.task_name, "send \"é😀\"");
    task_fini(&task);
}

/*  An escaped NUL would end the string early: "a\u0000b" would pass for "a". */
static void a_nul_character_is_refused(void **state)
{
    (void)state;
    assert_refused(with("\"id\":\"a\\u0000b\""), "id: has a NUL character");
    assert_refused(with("\"delay\":\"1s\\u0000\""), "delay: has a NUL character");
    assert_refused(with("\"run_at\":\"2026-05-20T10:30:00Z\\u0000\""),
                   "run_at: has a NUL character");
    assert_refused(with("\"queue\\u0000\":\"a\""), "\"queue\\u0000\": unknown member");
    assert_refused(with("\"headers\":{\"a\":\"\\\\\\u0000\"}"),
                   "headers: \"a\" has a NUL character");
    assert_refused(with("\"headers\":{\"a\\u0000\":\"\"}"),
                   "headers: \"a\\u0000\" has a NUL character");
    assert_refused(with("\"kwargs\":{\"a\\u0000\":1}"), "kwargs: \"a\\u0000\" has a NUL character");
    /* A backslash before "u0000" is none, and values of the user's are the user's. */
    task_t task = accepted(with("\"origin\":\"\\\\u0000\""));
    assert_slice(task.wire.origin, "\\u0000");
    task_fini(&task);
    assert_body("\"args\":[\"\\u0000\"]", "{\"args\":[\"\\u0000\"],\"kwargs\":{}}");
}

static void unknown_members_are_refused_by_name(void **state)
{
    (void)state;
    assert_refused(with("\"colour\":1"), "\"colour\": unknown member");
    assert_refused(with("\"Priority\":1"), "\"Priority\": unknown member");
    assert_refused(with("\"task_name2\":\"t\""), "\"task_name2\": unknown member");
    assert_refused(with("\"\":1"), "\"\": unknown member");
    /* What is shown of a name is short, whole characters, and drives no terminal. */
    assert_refused(with("\"ааааааааааааааааааааааааааааааа\":1"),
                   "\"ааааааааааааааааааааааа…: unknown member");
    assert_refused(with("\"\x7f\xc2\x9b\":1"), "\"\?\?\?\": unknown member");
}

static void members_given_twice_are_refused_by_name(void **state)
{
    (void)state;
    assert_refused(with("\"id\":\"a\",\"id\":\"b\""), "id: is given twice");
    assert_refused(with("\"task\\u005fname\":\"t\""), "task_name: is given twice");
    assert_refused(with("\"args\":[],\"queue\":\"q\",\"args\":[]"), "args: is given twice");
    assert_refused(with("\"headers\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"1\"}"),
                   "headers: \"a\" is given twice");
    assert_refused(with("\"kwargs\":{\"to\":1,\"t\\u006f\":2}"), "kwargs: \"to\" is given twice");
    assert_refused(with("\"kwargs\":{\"\\n\":1,\"\\n\":2}"), "kwargs: \"?\" is given twice");
    assert_body(
        "\"kwargs\":{\"a\":{\"x\":1},\"b\":{\"x\":1},\"x\":1,\"A\":0,\"\":0}",
        "{\"args\":[],\"kwargs\":{\"a\":{\"x\":1},\"b\":{\"x\":1},\"x\":1,\"A\":0,\"\":0}}");
}

static void args_kwargs_and_headers_have_their_types(void **state)
{
    (void)state;
    static const char *const values[] = {"null", "1", "\"[]\"", "true"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char member[64];
        snprintf(member, sizeof member, "\"args\":%s", values[i]);
        assert_refused(with(member), "args: must be an array");
        snprintf(member, sizeof member, "\"kwargs\":%s", values[i]);
        assert_refused(with(member), "kwargs: must be an object");
        snprintf(member, sizeof member, "\"headers\":%s", values[i]);
        assert_refused(with(member), "headers: must be an object");
        snprintf(member, sizeof member, "\"headers\":{\"k\":\"\",\"n\":%s}", values[i]);
        if (values[i][0] != '"')
            assert_refused(with(member), "headers: \"n\" must be a string");
    }
    assert_refused(with("\"args\":{}"), "args: must be an array");
    assert_refused(with("\"kwargs\":[]"), "kwargs: must be an object");
    assert_refused(with("\"headers\":[]"), "headers: must be an object");
}

/*  What libreeve is given in parts and what it is given as a document is one task or none. */
static void parts_have_the_rules_of_a_document(void **state)
{
    (void)state;
    static const char *const values[] = {"[]",
                                         " [ 1 , \"a b\" ] ",
                                         "{}",
                                         "\n{ \"a\" : \"b\" }\t",
                                         "{\"a\":1}",
                                         "{\"a\":\"1\",\"a\":\"2\"}",
                                         "{\"a\":\"1\",\"\\u0061\":\"2\"}",
                                         "{\"a\":\"1\",\"ab\":\"2\"}",
                                         "{\"\\u0000\":\"1\"}",
                                         "{\"a\":\"\\u0000\"}",
                                         "null",
                                         "\"[]\""};
    static const char *const names[] = {"args", "kwargs", "headers"};
    wire_buffer_t body = {0};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        for (size_t k = 0; k < 3; k++) {
            char member[100], expected[200] = "", problem[200] = "";
            task_t task;
            slice_t of[3] = {{0}};
            of[k] = slice_str(values[i]);
            snprintf(member, sizeof member, "\"%s\":%s", names[k], values[i]);
            int rc = read_task(with(member), &task, expected, sizeof expected);
            task_parts_t parts = {.args = of[0], .kwargs = of[1], .headers = of[2]};
            wire_task_t taken;
            reeve_error_t error = task_from_parts(&parts, &taken, &body, problem, sizeof problem);
            assert_string_equal(problem, expected);
            assert_int_equal(error, rc == 0 ? REEVE_ERR_OK : REEVE_ERR_BAD_JSON);
            if (rc == 0)
                assert_true(slice_eq(taken.body, task.wire.body));
            if (rc == 0)
                task_fini(&task);
        }
    }
    wire_fini(&body);
}

static reeve_error_t take_args(const char *args, wire_buffer_t *body, char problem[200])
{
    wire_task_t taken;
    return task_from_parts(&(task_parts_t){.args = slice_str(args)}, &taken, body, problem, 200);
}

static void parts_that_make_no_body_are_refused(void **state)
{
    (void)state;
    wire_buffer_t body = {0};
    char problem[200];
    static const char *const broken[] = {"", " ", "[", "[],\"kwargs\":{}", "[1]]"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_int_equal(take_args(broken[i], &body, problem), REEVE_ERR_BAD_JSON);
        assert_string_equal(problem, "args: not valid JSON, or nested deeper than 64");
    }
    for (int depth = LIMIT_JSON_DEPTH - 1; depth <= LIMIT_JSON_DEPTH; depth++) {
        char args[2 * LIMIT_JSON_DEPTH + 1] = "";
        memset(args, '[', (size_t)depth);
        memset(args + depth, ']', (size_t)depth);
        assert_int_equal(take_args(args, &body, problem),
                         depth < LIMIT_JSON_DEPTH ? REEVE_ERR_OK : REEVE_ERR_BAD_JSON);
    }
    char *large = malloc(LIMIT_BODY_BYTES + 1);
    memset(large, '1', LIMIT_BODY_BYTES);
    large[0] = '[';
    large[LIMIT_BODY_BYTES - 1] = ']';
    large[LIMIT_BODY_BYTES] = '\0';
    assert_int_equal(take_args(large, &body, problem), REEVE_ERR_TOO_LARGE);
    free(large);
    wire_fini(&body);
}

static void numbers_and_strings_survive_as_written(void **state)
{
    (void)state;
    assert_body("\"args\":[12345678901234567890, 1e400, 1.10, -0, 1E+2, 0.1e-7]",
                "{\"args\":[12345678901234567890,1e400,1.10,-0,1E+2,0.1e-7],\"kwargs\":{}}");
    /* longer than the 63 characters that cJSON reads */
    assert_body("\"kwargs\":{\"n\":"
                "1234567890123456789012345678901234567890123456789012345678901234567890}",
                "{\"args\":[],\"kwargs\":{\"n\":"
                "1234567890123456789012345678901234567890123456789012345678901234567890}}");
    assert_body("\"args\":[\"\\u00e9 \\/ é \\\" \\\\\",\" , : [ ] { } \"]",
                "{\"args\":[\"\\u00e9 \\/ é \\\" \\\\\",\" , : [ ] { } \"],\"kwargs\":{}}");
}

static void white_space_outside_strings_is_dropped(void **state)
{
    (void)state;
    assert_body(" \"headers\" : { \"a\" : \" b \" , \"c\\\"} \":\"\" } ,\n\t\"kwargs\"\r:{ }\n, "
                "\"args\" : [ 1 ,\t[ ] , { \"k\" : [ true , null ] } , \"] }\" ]\n",
                "{\"args\":[1,[],{\"k\":[true,null]},\"] }\"],\"kwargs\":{},"
                "\"headers\":{\"a\":\" b \",\"c\\\"} \":\"\"}}");
    assert_body("\"headers\":{}", "{\"args\":[],\"kwargs\":{},\"headers\":{}}");
}

static void what_is_no_json_object_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        " ",
                                        "{",
                                        "{\"task_name\":\"t\"",
                                        "{\"task_name\":\"t\",}",
                                        "{\"task_name\":\"t\"}x",
                                        "{\"task_name\":\"\xff\"}",
                                        "{\"args\":[01]}",
                                        "nonsense"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_refused(texts[i], "not valid JSON, or nested deeper than 64");
    assert_refused("[]", "a task must be a JSON object");
    assert_refused("\"{}\"", "a task must be a JSON object");
    assert_refused("null", "a task must be a JSON object");
}

static void nesting_is_limited_so_that_the_body_is_valid_too(void **state)
{
    (void)state;
    for (int depth = LIMIT_JSON_DEPTH - 1; depth <= LIMIT_JSON_DEPTH; depth++) {
        char member[300] = "\"args\":";
        for (int i = 0; i < depth; i++)
            strcat(member, "[");
        for (int i = 0; i < depth; i++)
            strcat(member, "]");
        if (depth == LIMIT_JSON_DEPTH) {
            assert_refused(with(member), "not valid JSON, or nested deeper than 64");
        } else {
            task_t task = accepted(with(member));
            assert_true(json_valid_object(task.wire.body));
            task_fini(&task);
        }
    }
}

static void a_body_ends_at_its_limit(void **state)
{
    (void)state;
    const char *before = "{\"task_name\":\"t\",\"args\":[\"", *after = "\"]}";
    size_t most = LIMIT_BODY_BYTES - strlen("{\"args\":[\"\"],\"kwargs\":{}}");
    char *text = malloc(LIMIT_BODY_BYTES + 200);
    assert_non_null(text);
    for (size_t over = 0; over < 2; over++) {
        task_t task = {0};
        char problem[200] = "";
        size_t size = strlen(before);
        memcpy(text, before, size);
        memset(text + size, 'x', most + over);
        size += most + over;
        memcpy(text + size, after, strlen(after));
        size += strlen(after);
        int rc = task_from_json(slice(text, size), now_ms, &task, problem, sizeof problem);
        assert_int_equal(rc, over ? -1 : 0);
        assert_string_equal(problem, over ? "args, kwargs and headers: 16777217 bytes are over the "
                                            "limit of 16777216"
                                          : "");
        task_fini(&task);
    }
    free(text);
}

static void any_part_of_a_document_is_read_safely(void **state)
{
    (void)state;
    const char *whole = with("\"id\":\"a\\u00e9\",\"args\":[1,\"x\",{}],\"kwargs\":{\"k\":[1.5e3]},"
                             "\"headers\":{\"h\":\"\\\"\"},\"delay\":1.5,\"priority\":3");
    size_t size = strlen(whole);
    for (size_t at = 0; at < size; at++) {
        static const char bytes[] = "\"\\{}[],: 0ex\x80";
        for (size_t i = 0; i < sizeof bytes; i++) {
            char text[400], problem[60];
            memcpy(text, whole, size + 1);
            text[at] = bytes[i];
            task_t task = {0};
            if (read_task(text, &task, problem, sizeof problem))
                assert_true(utf8_valid(slice_str(problem)));
            else
                assert_true(json_valid_object(task.wire.body));
            task_fini(&task);
        }
    }
}

static void a_problem_is_cut_after_a_whole_character(void **state)
{
    (void)state;
    for (size_t size = 0; size < 40; size++) {
        task_t task = {0};
        char problem[41];
        memset(problem, '!', sizeof problem);
        assert_int_equal(read_task(with("\"ééééééé\":1"), &task, problem, size), -1);
        assert_int_equal(problem[size], '!');
        if (size)
            assert_true(utf8_valid(slice_str(problem)));
    }
}

static void many_names_do_not_take_long(void **state)
{
    (void)state;
    enum { COUNT = 50000 };
    char *text = malloc(COUNT * 16 + 100);
    assert_non_null(text);
    size_t size = (size_t)sprintf(text, "{\"task_name\":\"t\",\"headers\":{");
    for (int i = 0; i < COUNT; i++)
        size += (size_t)sprintf(text + size, "%s\"%d\":\"\"", i ? "," : "", i);
    strcpy(text + size, "}}");
    task_t task = accepted(text);
    task_fini(&task);
    free(text);
}

static char *printed(struct cJSON *item)
{
    static char text[8192];
    assert_non_null(item);
    assert_true(cJSON_PrintPreallocated(item, text, sizeof text, false));
    cJSON_Delete(item);
    return text;
}

static void a_task_is_shown_in_the_contract_s_order(void **state)
{
    (void)state;
    task_view_t view = {
        .wire = {.id = slice_str("t-1"),
                 .queue = slice_str("email"),
                 .task_name = slice_str("send \"é\""),
                 .origin = slice_str("web"),
                 .body = slice_str("{\"args\":[],\"kwargs\":{}}"),
                 .created_at_ms = (uint64_t)now_ms,
                 .max_retries = WIRE_ABSENT},
        .retry_count = 2,
        .max_retries = 3,
    };
    assert_string_equal(printed(task_to_json(&view)),
                        "{\"id\":\"t-1\",\"task_name\":\"send \\\"é\\\"\",\"args\":[],"
                        "\"kwargs\":{},\"created_at\":\"2026-05-20T10:30:00.000Z\","
                        "\"max_retries\":3,\"retry_count\":2,\"origin\":\"web\","
                        "\"queue\":\"email\"}");

    view.wire.body = slice_str("{\"args\":[],\"kwargs\":{},\"headers\":{\"a\":\"b\"}}");
    view.wire.priority = 9;
    view.wire.delay_ms = 250;
    view.wire.timeout_ms = 30000;
    view.wire.expires_at_ms = (uint64_t)now_ms + 1;
    view.wire.backoff_ms = LIMIT_DURATION_MS - 1;
    assert_non_null(strstr(printed(task_to_json(&view)),
                           ",\"queue\":\"email\",\"priority\":9,\"delay\":0.25,\"timeout\":30,"
                           "\"expires_at\":\"2026-05-20T10:30:00.001Z\",\"backoff\":316223999.999,"
                           "\"headers\":{\"a\":\"b\"}}"));
    view.wire.run_at_ms = (uint64_t)now_ms + 250;
    assert_non_null(strstr(printed(task_to_json(&view)),
                           "\"run_at\":\"2026-05-20T10:30:00.250Z\",\"timeout\":30,"));
}

static void an_empty_task_is_shown(void **state)
{
    (void)state;
    task_view_t view = {0};
    assert_string_equal(printed(task_to_json(&view)),
                        "{\"id\":\"\",\"task_name\":\"\",\"args\":[],\"kwargs\":{},"
                        "\"created_at\":\"1970-01-01T00:00:00.000Z\",\"max_retries\":0,"
                        "\"retry_count\":0,\"origin\":\"\"}");
    view.wire.created_at_ms = UINT64_MAX;
    assert_non_null(strstr(printed(task_to_json(&view)), "\"9999-12-31T23:59:59.999Z\""));
}

static void assert_shows_body(uint64_t kind, slice_t body, const char *expected)
{
    task_view_t view = {.wire = {.body_kind = kind, .body = body}};
    char *text = printed(task_to_json(&view));
    char *args = strstr(text, "\"args\":");
    assert_non_null(args);
    char *end = strstr(args, ",\"created_at\"");
    char *headers = strstr(end, ",\"headers\"");
    if (headers)
        memmove(end, headers, strlen(headers) + 1);
    else
        strcpy(end, "}");
    assert_string_equal(args, expected);
}

static void a_body_is_shown_as_written(void **state)
{
    (void)state;
    static const struct {
        const char *body, *shown;
    } cases[] = {
        {"{\"args\":[12345678901234567890,1e400,1.10],\"kwargs\":{\"\\u00e9\":\"\\/\"}}",
         "\"args\":[12345678901234567890,1e400,1.10],\"kwargs\":{\"\\u00e9\":\"\\/\"}}"},
        /* as other programs may write it */
        {" { \"headers\" : { } , \"kwargs\" : { \"a b\" : \" c \" } ,\n\"args\" : [ 1 , 2 ] } ",
         "\"args\":[1,2],\"kwargs\":{\"a b\":\" c \"},\"headers\":{}}"},
        {"{}", "\"args\":[],\"kwargs\":{}}"},
        {"{\"args\":7,\"other\":[]}", "\"args\":7,\"kwargs\":{}}"},
        {"{\"\\u0061rgs\":[1],\"args\":[2]}", "\"args\":[1],\"kwargs\":{}}"},
        /* what no broker lets in is no reason to fall over */
        {"", "\"args\":[],\"kwargs\":{}}"},
        {"[]", "\"args\":[],\"kwargs\":{}}"},
        {"{\"args\":[1", "\"args\":[],\"kwargs\":{}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_shows_body(WIRE_BODY_JSON, slice_str(cases[i].body), cases[i].shown);
}

static slice_t frames(wire_buffer_t *buffer, const slice_t *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        wire_put_frame(buffer, items[i]);
    return slice(buffer->data, buffer->size);
}

static void frames_are_shown_as_strings_or_base64(void **state)
{
    (void)state;
    const slice_t items[] = {slice_str("hello \"é\""), slice_str(""), slice("\xff\x00\x01", 3),
                             slice("a\0b", 3)};
    wire_buffer_t buffer = {0};
    assert_shows_body(WIRE_BODY_FRAMES, frames(&buffer, items, 4),
                      "\"args\":[\"hello \\\"é\\\"\",\"\",{\"base64\":\"/wAB\"},"
                      "{\"base64\":\"YQBi\"}],\"kwargs\":{}}");
    /* cut short: shown as the bytes that it is */
    assert_shows_body(WIRE_BODY_FRAMES, slice("\x09xy", 3), "\"args\":[\"\\txy\"],\"kwargs\":{}}");
    assert_shows_body(WIRE_BODY_FRAMES, slice(NULL, 0), "\"args\":[],\"kwargs\":{}}");
    wire_fini(&buffer);
}

static void a_shown_task_can_be_submitted_again(void **state)
{
    (void)state;
    const char *text = with("\"id\":\"a\",\"args\":[1.10],\"kwargs\":{\"k\":1e400},\"queue\":\"q\","
                            "\"headers\":{\"h\":\"v\"},\"delay\":\"1500ms\",\"timeout\":\"1h\","
                            "\"expires_at\":\"2027-01-01T00:00:00Z\",\"backoff\":0.001,"
                            "\"max_retries\":5,\"priority\":1,\"origin\":\"o\"");
    task_t first = accepted(text);
    task_view_t view = {.wire = first.wire, .max_retries = first.wire.max_retries};
    task_t second = accepted(printed(task_to_json(&view)));
    wire_buffer_t a = {0}, b = {0};
    wire_begin(&a, WIRE_SUBMIT);
    wire_put_task(&a, &first.wire);
    wire_begin(&b, WIRE_SUBMIT);
    wire_put_task(&b, &second.wire);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    wire_fini(&a);
    wire_fini(&b);
    task_fini(&first);
    task_fini(&second);
}

static void results_are_shown_by_kind(void **state)
{
    (void)state;
    assert_null(result_to_json(WIRE_RESULT_NONE, slice(NULL, 0)));
    assert_null(result_to_json(99, slice_str("x")));
    assert_string_equal(
        printed(result_to_json(WIRE_RESULT_JSON, slice_str(" { \"n\" : 12345678901234567890 }\n"))),
        "{\"n\":12345678901234567890}");
    assert_string_equal(printed(result_to_json(WIRE_RESULT_JSON, slice_str("1.10"))), "1.10");
    assert_string_equal(printed(result_to_json(WIRE_RESULT_JSON, slice_str("{oops"))), "\"{oops\"");
    assert_string_equal(printed(result_to_json(WIRE_RESULT_TEXT, slice_str("say \"hi\"\n"))),
                        "\"say \\\"hi\\\"\\n\"");
    assert_string_equal(printed(result_to_json(WIRE_RESULT_TEXT, slice(NULL, 0))), "\"\"");
    assert_string_equal(printed(result_to_json(WIRE_RESULT_TEXT, slice_str("\xff"))),
                        "{\"base64\":\"/w==\"}");
    assert_string_equal(printed(result_to_json(WIRE_RESULT_TEXT, slice("a\0", 2))),
                        "{\"base64\":\"YQA=\"}");
}

static void one_frame_is_a_string_and_several_are_an_array(void **state)
{
    (void)state;
    const slice_t items[] = {slice_str("one"), slice_str("two")};
    wire_buffer_t buffer = {0};
    assert_string_equal(printed(result_to_json(WIRE_RESULT_FRAMES, frames(&buffer, items, 1))),
                        "\"one\"");
    assert_string_equal(printed(result_to_json(WIRE_RESULT_FRAMES, frames(&buffer, items + 1, 1))),
                        "[\"one\",\"two\"]");
    wire_fini(&buffer);
    assert_null(result_to_json(WIRE_RESULT_FRAMES, slice(NULL, 0)));
    assert_string_equal(printed(result_to_json(WIRE_RESULT_FRAMES, slice("\x05"
                                                                         "ab",
                                                                         3))),
                        "\"\\u0005ab\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contract_s_example_is_read),
        cmocka_unit_test(a_name_is_enough),
        cmocka_unit_test(every_other_member_is_read),
        cmocka_unit_test(durations_are_text_or_seconds),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(times_are_rfc_3339),
        cmocka_unit_test(delay_and_run_at_exclude_each_other),
        cmocka_unit_test(integers_are_in_their_range),
        cmocka_unit_test(names_and_ids_are_checked),
        cmocka_unit_test(escaped_strings_are_decoded),
        cmocka_unit_test(a_nul_character_is_refused),
        cmocka_unit_test(unknown_members_are_refused_by_name),
        cmocka_unit_test(members_given_twice_are_refused_by_name),
        cmocka_unit_test(args_kwargs_and_headers_have_their_types),
        cmocka_unit_test(parts_have_the_rules_of_a_document),
        cmocka_unit_test(parts_that_make_no_body_are_refused),
        cmocka_unit_test(numbers_and_strings_survive_as_written),
        cmocka_unit_test(white_space_outside_strings_is_dropped),
        cmocka_unit_test(what_is_no_json_object_is_refused),
        cmocka_unit_test(nesting_is_limited_so_that_the_body_is_valid_too),
        cmocka_unit_test(a_body_ends_at_its_limit),
        cmocka_unit_test(any_part_of_a_document_is_read_safely),
        cmocka_unit_test(a_problem_is_cut_after_a_whole_character),
        cmocka_unit_test(many_names_do_not_take_long),
        cmocka_unit_test(a_task_is_shown_in_the_contract_s_order),
        cmocka_unit_test(an_empty_task_is_shown),
        cmocka_unit_test(a_body_is_shown_as_written),
        cmocka_unit_test(frames_are_shown_as_strings_or_base64),
        cmocka_unit_test(a_shown_task_can_be_submitted_again),
        cmocka_unit_test(results_are_shown_by_kind),
        cmocka_unit_test(one_frame_is_a_string_and_several_are_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
