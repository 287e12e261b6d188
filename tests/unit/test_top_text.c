/*  Text of peers in columns of a terminal, in a locale of UTF-8. */

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/top/text.h"

static void assert_put(const char *text, int width, bool right, const char *expected)
{
    char *got;
    size_t size;
    FILE *out = open_memstream(&got, &size);
    text_put(out, text, width, right);
    fclose(out);
    assert_string_equal(got, expected);
    assert_int_equal(text_width(got), width > 0 ? width : 0);
    free(got);
}

static void what_is_short_is_padded_on_its_side(void **state)
{
    (void)state;
    assert_put("abc", 5, false, "abc  ");
    assert_put("abc", 5, true, "  abc");
    assert_put("abc", 3, true, "abc");
    assert_put("", 2, false, "  ");
}

static void what_is_long_is_cut_with_a_mark(void **state)
{
    (void)state;
    assert_put("abcdef", 4, false, "abc…");
    assert_put("abcdef", 4, true, "abc…");
    assert_put("abcdef", 1, false, "…");
    assert_put("abcdef", 0, false, "");
    assert_put("abcdef", -3, false, "");
}

static void wide_characters_take_two_columns_and_are_not_halved(void **state)
{
    (void)state;
    assert_int_equal(text_width("日本"), 4);
    assert_put("日本", 6, false, "日本  ");
    assert_put("日本語", 5, false, "日本…");
    assert_put("日本語", 4, false, "日… ");
}

static void combining_marks_take_none(void **state)
{
    (void)state;
    assert_int_equal(text_width("e\u0301a"), 2);
    assert_put("e\u0301ab", 2, false, "e\u0301…");
}

/*  C0, DEL, C1, an escape sequence, marks of direction, the halves of a character. */
static void what_drives_a_terminal_or_is_no_text_becomes_a_question_mark(void **state)
{
    (void)state;
    assert_put("a\x1b[2Jb", 6, false, "a?[2Jb");
    assert_put("a\n\x7f", 3, false, "a??");
    assert_put("a\xc2\x9b"
               "b",
               3, false, "a?b");
    assert_put("a\u202e\u200b\ufeff", 4, false, "a???");
    assert_put("a\xff\xe6\x97", 4, false, "a???");
}

static void assert_count(double number, const char *expected)
{
    char text[TEXT_SIZE];
    text_of_count(number, text);
    assert_string_equal(text, expected);
    assert_true(text_width(text) <= 7);
}

static void counts_take_seven_columns_at_most(void **state)
{
    (void)state;
    assert_count(-1, "-");
    assert_count(0, "0");
    assert_count(9999999, "9999999");
    assert_count(10000000, "10.0M");
    assert_count(999940000, "999.9M");
    assert_count(999960000, "1.0G");
    assert_count(1e15, "1.0P");
    assert_count(1e30, "9999.0P");
}

static void assert_rate(double rate, const char *expected)
{
    char text[TEXT_SIZE];
    text_of_rate(rate, text);
    assert_string_equal(text, expected);
}

static void slow_rates_have_a_decimal(void **state)
{
    (void)state;
    assert_rate(-1, "-");
    assert_rate(0, "0");
    assert_rate(0.5, "0.5");
    assert_rate(99.94, "99.9");
    assert_rate(99.96, "100");
    assert_rate(61234.5, "61234");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_short_is_padded_on_its_side),
        cmocka_unit_test(what_is_long_is_cut_with_a_mark),
        cmocka_unit_test(wide_characters_take_two_columns_and_are_not_halved),
        cmocka_unit_test(combining_marks_take_none),
        cmocka_unit_test(what_drives_a_terminal_or_is_no_text_becomes_a_question_mark),
        cmocka_unit_test(counts_take_seven_columns_at_most),
        cmocka_unit_test(slow_rates_have_a_decimal),
    };
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
