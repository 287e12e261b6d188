/*  libreeve in a program of another locale: numbers have a decimal point of their own there, and those of
    documents have not. No such locale need be installed; the test makes its own. */

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "common/task.h"

/*  Written out rather than taken from Debian's package `locales`: of a locale only the point matters. */
static const char make_locales[] =
    "cd \"$LOCPATH\" && cat >charmap <<'END'\n"
    "<code_set_name> UTF-8\n<escape_char> /\n<mb_cur_max> 2\n"
    "CHARMAP\n<U0000>..<U007F> /x00\n<U066B> /xd9/xab\nEND CHARMAP\n"
    "END\n"
    "make() {\n"
    "    printf 'LC_NUMERIC\\ndecimal_point \"%s\"\\nEND LC_NUMERIC\\n' \"$2\" >$1.source\n"
    "    localedef --no-archive -c -f charmap -i $1.source ./$1 >$1.log 2>&1\n"
    "    test -s $1/LC_NUMERIC || cat $1.log >&2\n"
    "}\n"
    "make comma , && make arabic '<U066B>'";

static int set_up(void **state)
{
    static char directory[] = "/tmp/reeve-locale-XXXXXX";
    *state = mkdtemp(directory);
    assert_non_null(*state);
    setenv("LOCPATH", directory, 1);
    return system(make_locales);
}

static int tear_down(void **state)
{
    (void)state;
    return system("rm -r \"$LOCPATH\"");
}

static void use_locale(const char *name, const char *point)
{
    assert_non_null(setlocale(LC_ALL, name));
    assert_string_equal(localeconv()->decimal_point, point);
}

static void documents_are_read_and_written_as_in_any_other(void)
{
    static const char document[] = "{\"task_name\":\"t\",\"timeout\":1.5,\"backoff\":0.5}";
    char problem[200] = "";
    task_t task;
    if (task_from_json(slice_str(document), 1, &task, problem, sizeof problem) != 0)
        fail_msg("%s", problem);
    assert_int_equal(task.wire.timeout_ms, 1500);
    assert_int_equal(task.wire.backoff_ms, 500);
    cJSON *tree = task_to_json(&(task_view_t){.wire = task.wire});
    char *text = cJSON_PrintUnformatted(tree);
    assert_non_null(strstr(text, ",\"timeout\":1.5,\"backoff\":0.5}"));
    cJSON_free(text);
    cJSON_Delete(tree);
    task_fini(&task);
}

static void with_a_decimal_comma(void **state)
{
    (void)state;
    use_locale("comma", ",");
    documents_are_read_and_written_as_in_any_other();
}

static void with_a_decimal_point_of_two_bytes(void **state)
{
    (void)state;
    use_locale("arabic", "\u066b");
    documents_are_read_and_written_as_in_any_other();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_a_decimal_comma),
        cmocka_unit_test(with_a_decimal_point_of_two_bytes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
