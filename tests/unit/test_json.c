/*  The JSON, UTF-8, name and id validators. */

#include "common/json.h"
#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/*  Checks a copy that ends where its memory ends, so that sanitizers see a byte read too far. */
static bool check(bool (*valid)(slice_t), const void *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    bool result = valid(slice(copy, size));
    free(copy);
    return result;
}

static void assert_accepted(const char *text)
{
    if (!check(json_valid, text, strlen(text)))
        fail_msg("refused: %s", text);
}

static void assert_refused(const char *text)
{
    if (check(json_valid, text, strlen(text)))
        fail_msg("accepted: %s", text);
}

static void every_kind_of_value_is_accepted(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "\"\"",
        "[]",
        "{}",
        "[[],[{}]]",
        "{\"a\":{\"b\":[]},\"c\":[1,2,{\"d\":null}]}",
        " \t\r\n[ 1 ,\n2\t]\r ",
        " { \"a\" : 1 , \"a\" : 2 } ",
        "{\"\":0}",
        "[\"a\",true,false,null,1]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_accepted(texts[i]);
}

static void text_that_is_no_single_value_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "[",
        "]",
        "{",
        "}",
        "[}",
        "{]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,,2]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "{'a':1}",
        "{\"a\":1 \"b\":2}",
        "1 2",
        "[] []",
        "[]]",
        "{}}",
        "{} x",
        "nul",
        "nulll",
        "True",
        "NaN",
        "Infinity",
        "undefined",
        "'a'",
        "// a\n1",
        "1 /* a */",
        ",",
        ":",
        "[1:2]",
        "{\"a\",1}",
        "[\"a\":1]",
        "{\"a\":1]",
        "[1}",
        "\xef\xbb\xbf{}",
        "\v1",
        "1\f",
        "{\"a\":[1,2}",
        "[{\"a\":1]}",
        "{[]:1}",
        "{null:1}",
        "[true false]",
        "truefalse",
        "-",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_refused(texts[i]);
}

static void numbers_follow_the_grammar(void **state)
{
    (void)state;
    static const char *const good[] = {
        "1",
        "-1",
        "10",
        "1.10",
        "0.0",
        "-0.5",
        "1e400",
        "1E+5",
        "1e-5",
        "0e0",
        "1.5e00",
        "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
    };
    static const char *const bad[] = {
        "01",  "-01", "+1",  ".5",  "1.",    "-.5",   "1.e5", "1e", "1e+", "1e1.5", "0x10",
        "--1", "- 1", "1_0", "1,0", "1e5e5", "1.2.3", "00",   "1a", "-a",  "1-",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_accepted(good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i]);
}

static void escapes_follow_the_grammar(void **state)
{
    (void)state;
    static const char *const good[] = {
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0000\"",
        "\"\\uABCD\"",
        "\"\\uabcd\"",
        "\"\\ud83d\\ude00\"",
        "\"\\uDBFF\\uDFFF\"",
        "\"\\uD7FF\\uE000\"",
        "\"\\\\u12\"",
    };
    static const char *const bad[] = {
        "\"\\",
        "\"\\\"",
        "\"\\a\"",
        "\"\\x41\"",
        "\"\\'\"",
        "\"\\0\"",
        "\"\\u\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u 123\"",
        "\"\\U1234\"",
        "\"\\u123",
        "\"\\u+123\"",
        /* surrogates that are alone, or the wrong way around */
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\ud800\\u",
        "\"\\ud800\\udc0\"",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_accepted(good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i]);
}

/*  Strings are scanned eight bytes at a time: each byte must count at every place in a word. */
static void each_byte_counts_wherever_it_stands_in_a_string(void **state)
{
    (void)state;
    enum { LENGTH = 26 };
    for (int byte = 0; byte < 256; byte++) {
        bool allowed = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
        for (size_t at = 1; at < LENGTH - 1; at++) {
            uint8_t text[LENGTH];
            memset(text, byte == 'x' ? 'y' : 'x', LENGTH);
            text[0] = text[LENGTH - 1] = '"';
            text[at] = (uint8_t)byte;
            bool expected = allowed;
            if (byte == '\\') /* escapes an x, which is no escape, or the closing quote */
                expected = false;
            if (check(json_valid, text, LENGTH) != expected)
                fail_msg("byte %#x at %zu: not %d", byte, at, expected);
        }
    }
}

/*  Neighbours matter too: a borrow of one byte must not hide the next. */
static void pairs_of_bytes_do_not_hide_each_other(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0x00, 0x01, 0x1f, 0x20, 0x21, 0x22, 0x23,
                                    0x5b, 0x5c, 0x5d, 0x7f, 0x80, 0xa2, 0xff};
    for (size_t i = 0; i < sizeof edges; i++) {
        for (size_t k = 0; k < sizeof edges; k++) {
            uint8_t text[] = "\"xxxxxxxxxxxxxxxx\"";
            text[4] = edges[i];
            text[5] = edges[k];
            bool plain = true;
            for (int n = 4; n < 6; n++)
                plain =
                    plain && text[n] >= 0x20 && text[n] < 0x80 && text[n] != '"' && text[n] != '\\';
            bool escape = text[4] == '\\' && (text[5] == '"' || text[5] == '\\');
            if (check(json_valid, text, sizeof text - 1) != (plain || escape))
                fail_msg("%#x %#x: not %d", edges[i], edges[k], plain || escape);
        }
    }
}

static void a_truncated_document_is_refused(void **state)
{
    (void)state;
    const char *text =
        "{\"id\":\"a\\u00e9\\ud83d\\ude00é€😀\",\"args\":[-1.5e+3,true,null,[]],\"k\":{}}";
    assert_accepted(text);
    for (size_t size = 0; size < strlen(text); size++)
        if (check(json_valid, text, size))
            fail_msg("accepted: %.*s", (int)size, text);
}

static void a_nul_byte_is_refused_everywhere(void **state)
{
    (void)state;
    const char text[] = "{\"id\": \"a\", \"n\": [1.5, true]}";
    for (size_t at = 0; at < sizeof text - 1; at++) {
        char copy[sizeof text];
        memcpy(copy, text, sizeof text);
        copy[at] = '\0';
        assert_false(check(json_valid, copy, sizeof text - 1));
    }
    assert_false(check(json_valid, text, sizeof text)); /* also after the value */
}

static void nesting_ends_at_its_limit(void **state)
{
    (void)state;
    for (int object = 0; object < 2; object++) {
        for (int depth = LIMIT_JSON_DEPTH - 1; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
            char text[8 * (LIMIT_JSON_DEPTH + 2)] = "";
            for (int i = 0; i < depth; i++)
                strcat(text, object ? "{\"a\":" : "[");
            strcat(text, "1");
            for (int i = 0; i < depth; i++)
                strcat(text, object ? "}" : "]");
            assert_int_equal(check(json_valid, text, strlen(text)), depth <= LIMIT_JSON_DEPTH);
        }
    }
    /* Containers that are closed again do not count. */
    char wide[3 * 1000 + 8] = "[[]";
    for (int i = 0; i < 999; i++)
        strcat(wide, ",[]");
    strcat(wide, "]");
    assert_accepted(wide);
}

/*  Each level must be closed by its own bracket. */
static void brackets_match_at_every_level(void **state)
{
    (void)state;
    const int depth = 20;
    for (int wrong = -1; wrong < depth; wrong++) {
        char text[200] = "";
        for (int i = 0; i < depth; i++)
            strcat(text, i % 3 ? "[" : "{\"a\":");
        strcat(text, "1");
        for (int i = depth - 1; i >= 0; i--)
            strcat(text, (i % 3 != 0) != (i == wrong) ? "]" : "}");
        assert_int_equal(check(json_valid, text, strlen(text)), wrong == -1);
    }
}

static void a_million_open_brackets_do_no_harm(void **state)
{
    (void)state;
    size_t size = 1000000;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, '[', size);
    assert_false(json_valid(slice(text, size)));
    free(text);
}

static bool valid_object(const char *text)
{
    return check(json_valid_object, text, strlen(text));
}

static void only_an_object_is_an_object(void **state)
{
    (void)state;
    assert_true(valid_object("{}"));
    assert_true(valid_object(" \n{\"a\":[]} "));
    assert_false(valid_object("[]"));
    assert_false(valid_object("\"{}\""));
    assert_false(valid_object("1"));
    assert_false(valid_object("{"));
    assert_false(valid_object("{}{}"));
    assert_false(valid_object(""));
    assert_false(valid_object(" "));
    assert_false(json_valid_object(slice(NULL, 0)));
    assert_false(json_valid(slice(NULL, 0)));
}

static void members_are_taken_as_they_were_written(void **state)
{
    (void)state;
    static const char *const expected[][2] = {{"\"a\\\"b\"", "\" , } \""},
                                              {"\"é\"", "[1, {\"}\":\"]\"}]"},
                                              {"\"n\"", "-1e5"},
                                              {"\"\"", "{}"}};
    slice_t object =
        slice_str(" { \"a\\\"b\" :\" , } \",\n\"é\":[1, {\"}\":\"]\"}] , \"n\":-1e5\t,\"\":{} }");
    json_member_t member;
    size_t at = 0;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_true(json_next_member(object, &at, &member));
        assert_true(slice_eq(member.name, slice_str(expected[i][0])));
        assert_true(slice_eq(member.value, slice_str(expected[i][1])));
    }
    assert_false(json_next_member(object, &at, &member));
    at = 0;
    assert_false(json_next_member(slice_str("{ }"), &at, &member));
}

static void the_members_of_broken_text_come_to_an_end(void **state)
{
    (void)state;
    static const char text[] = "{\"a\\u0000\":[{\"b\":\"\\\"\"}],\"c\":\"\\\\\"}";
    for (size_t size = 0; size < sizeof text; size++) {
        char *copy = malloc(size ? size : 1); /* so that a sanitizer sees a byte read too far */
        json_member_t member;
        int count = 0;
        memcpy(copy, text, size);
        for (size_t at = 0; json_next_member(slice(copy, size), &at, &member);)
            count++;
        assert_in_range(count, 0, 2);
        free(copy);
    }
}

static void compact_text_has_its_strings_as_they_were(void **state)
{
    (void)state;
    slice_t text = slice_str(" [ 1 ,\t\" \\\" \" , { \"\\\\\" :\r\n{ } } ] ");
    char compact[100];
    size_t size = json_compact(compact, text);
    assert_true(slice_eq(slice(compact, size), slice_str("[1,\" \\\" \",{\"\\\\\":{}}]")));
}

static size_t encode(uint32_t point, uint8_t *out)
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, point >>= 6)
        out[i] = 0x80 | (point & 0x3f);
    out[0] = (uint8_t)(0xf00u >> size | point);
    return size;
}

static void every_code_point_but_surrogates_is_utf8(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        uint8_t text[4];
        size_t size = encode(point, text);
        bool expected = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        if (utf8_valid(slice(text, size)) != expected)
            fail_msg("U+%04X: not %d", point, expected);
        if (size > 1 && utf8_valid(slice(text, size - 1)))
            fail_msg("U+%04X is accepted without its end", point);
    }
}

/*  Of all two- and three-byte strings exactly the right number is valid: the count sees what a
    list of bad examples would forget (overlong forms, stray continuations). */
static void nothing_else_is_utf8(void **state)
{
    (void)state;
    int two = 0, three = 0;
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            uint8_t text[3] = {(uint8_t)a, (uint8_t)b, 0};
            two += utf8_valid(slice(text, 2));
            if (a < 0x80) /* covered by the pairs */
                continue;
            for (int c = 0; c < 256; c++) {
                text[2] = (uint8_t)c;
                three += utf8_valid(slice(text, 3));
            }
        }
    }
    assert_int_equal(two, 128 * 128 + 1920);
    assert_int_equal(three, 1920 * 128 + 65536 - 2048 - 2048);
    static const char *const bad[] = {
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xff",
        "\xf0\x90\x80",     "\xf0\x90\x80z"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(check(utf8_valid, bad[i], strlen(bad[i])));
    assert_true(utf8_valid(slice(NULL, 0)));
    assert_true(check(utf8_valid, "0123456789abcdef é 0123456789", 30));
    assert_false(check(utf8_valid,
                       "0123456\x80"
                       "89abcdef",
                       16));
}

static void strings_must_be_utf8(void **state)
{
    (void)state;
    assert_accepted("\"é€😀\"");
    assert_accepted("{\"ключ\":\"значение\"}");
    assert_refused("\"\xc0\x80\"");
    assert_refused("\"\xed\xa0\x80\"");
    assert_refused("\"\xf4\x90\x80\x80\"");
    assert_refused("\"\xe2\x82\"");
    assert_refused("{\"\xff\":1}");
    assert_refused("[\"abcdefgh\x80\"]");
}

static bool valid_name(const char *text)
{
    return name_valid(slice_str(text), 8);
}

static void names_are_short_printable_text(void **state)
{
    (void)state;
    assert_true(valid_name("a"));
    assert_true(valid_name("a b\u00a0c"));
    assert_true(valid_name("12345678"));
    assert_true(valid_name("почт"));
    assert_false(valid_name("123456789"));
    assert_false(valid_name("почта"));
    assert_false(valid_name(""));
    assert_false(valid_name(" a"));
    assert_false(valid_name("a "));
    assert_false(valid_name(" "));
    assert_false(valid_name("a\nb"));
    assert_false(valid_name("\x1f"));
    assert_false(valid_name("a\x7f"));
    assert_false(valid_name("a\xc2\x80"));
    assert_false(valid_name("\xc2\x9f z"));
    assert_false(valid_name("a\xff"));
    assert_false(name_valid(slice("a\0b", 3), 8));
    assert_false(name_valid(slice(NULL, 0), 8));
}

static void ids_are_printable_ascii_without_spaces(void **state)
{
    (void)state;
    char text[LIMIT_ID_BYTES + 1];
    memset(text, '~', sizeof text);
    assert_true(id_valid(slice(text, LIMIT_ID_BYTES)));
    assert_false(id_valid(slice(text, LIMIT_ID_BYTES + 1)));
    assert_false(id_valid(slice(text, 0)));
    for (int byte = 0; byte < 256; byte++) {
        char id[] = {'a', (char)byte, 'b'};
        assert_int_equal(id_valid(slice(id, 3)), byte > 0x20 && byte < 0x7f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_accepted),
        cmocka_unit_test(text_that_is_no_single_value_is_refused),
        cmocka_unit_test(numbers_follow_the_grammar),
        cmocka_unit_test(escapes_follow_the_grammar),
        cmocka_unit_test(each_byte_counts_wherever_it_stands_in_a_string),
        cmocka_unit_test(pairs_of_bytes_do_not_hide_each_other),
        cmocka_unit_test(a_truncated_document_is_refused),
        cmocka_unit_test(a_nul_byte_is_refused_everywhere),
        cmocka_unit_test(nesting_ends_at_its_limit),
        cmocka_unit_test(brackets_match_at_every_level),
        cmocka_unit_test(a_million_open_brackets_do_no_harm),
        cmocka_unit_test(only_an_object_is_an_object),
        cmocka_unit_test(members_are_taken_as_they_were_written),
        cmocka_unit_test(the_members_of_broken_text_come_to_an_end),
        cmocka_unit_test(compact_text_has_its_strings_as_they_were),
        cmocka_unit_test(every_code_point_but_surrogates_is_utf8),
        cmocka_unit_test(nothing_else_is_utf8),
        cmocka_unit_test(strings_must_be_utf8),
        cmocka_unit_test(names_are_short_printable_text),
        cmocka_unit_test(ids_are_printable_ascii_without_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
