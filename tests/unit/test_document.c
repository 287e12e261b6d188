/*  A task's document as `reeve status` reads it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/document.h"

#define DIGITS "1234567890123456789012345678901234567890123456789012345678901234567890"
#define ARGS   "[" DIGITS ",1.10,1e400,\"\\u0000\\\\\",{\"a\":\"}\\\"]\"}]"

static const char text[] = "{\"task\":{\"id\":\"a\",\"args\":" ARGS
                           ",\"kwargs\":{},\"queue\":\"q\"},\"state\":\"success\","
                           "\"result\":9007199254740993,\"history\":[{\"attempt\":1}]}";

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static void assert_raw(const cJSON *object, const char *name, const char *expected)
{
    assert_true(cJSON_IsRaw(member(object, name)));
    assert_string_equal(member(object, name)->valuestring, expected);
}

static void assert_string(const cJSON *object, const char *name, const char *expected)
{
    assert_true(cJSON_IsString(member(object, name)));
    assert_string_equal(member(object, name)->valuestring, expected);
}

static void what_users_wrote_stays_as_it_is(void **state)
{
    (void)state;
    cJSON *document = document_parse(text);
    const cJSON *task = member(document, "task");
    assert_string(task, "id", "a");
    assert_raw(task, "args", ARGS);
    assert_raw(task, "kwargs", "{}");
    assert_string(task, "queue", "q");
    assert_string(document, "state", "success");
    assert_raw(document, "result", "9007199254740993");
    assert_int_equal(cJSON_GetArraySize(member(document, "history")), 1);
    cJSON_Delete(document);
}

static void white_space_between_tokens_does_not_matter(void **state)
{
    (void)state;
    cJSON *document =
        document_parse("{ \"task\" :\n{ \"args\": [ 1 ]} ,\t\"state\" : \"queued\" }");
    assert_raw(member(document, "task"), "args", "[ 1 ]");
    assert_string(document, "state", "queued");
    cJSON_Delete(document);
}

/*  On the heap, so that a sanitizer sees what is read behind the end. */
static void text_that_is_cut_anywhere_has_what_could_be_read(void **state)
{
    (void)state;
    for (size_t size = 0; size < strlen(text); size++) {
        char *cut = strndup(text, size);
        cJSON *document = document_parse(cut);
        assert_non_null(document);
        cJSON_Delete(document);
        free(cut);
    }
}

static void what_is_no_document_is_empty(void **state)
{
    (void)state;
    static const char *const texts[] = {"",   "[]",    "null",      "{",
                                        "{}", "{\"\\", "{\"a\" 1}", "{\"task\":"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cJSON *document = document_parse(texts[i]);
        assert_int_equal(cJSON_GetArraySize(document), 0);
        cJSON_Delete(document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_users_wrote_stays_as_it_is),
        cmocka_unit_test(white_space_between_tokens_does_not_matter),
        cmocka_unit_test(text_that_is_cut_anywhere_has_what_could_be_read),
        cmocka_unit_test(what_is_no_document_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
