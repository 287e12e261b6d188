/*  The token that fences deliveries: its text, and that nobody makes one up. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "common/wire/token.h"

static const token_keys_t keys = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                  {15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}};

static bool parses(const char *text)
{
    token_t token;
    return token_parse(&keys, slice_str(text), &token);
}

/*  The MACs come from another implementation of SipHash-2-4, checked with its paper's vector. */
static void the_text_is_sequence_attempt_and_mac_in_hex(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_BYTES];
    assert_int_equal(token_format(&keys, (token_t){42, 1, false}, text),
                     strlen("2a.1.2ea9b40e556dab62"));
    assert_string_equal(text, "2a.1.2ea9b40e556dab62");
    token_format(&keys, (token_t){0, 0, false}, text);
    assert_string_equal(text, "0.0.98a0d3c0ef557701");
    token_format(&keys, (token_t){0x0123456789abcdef, 0x89abcdef, false}, text);
    assert_string_equal(text, "123456789abcdef.89abcdef.0f45bfc4b3326635");
    token_format(&keys, (token_t){UINT64_MAX, UINT32_MAX, false}, text);
    assert_string_equal(text, "ffffffffffffffff.ffffffff.682072cdc3a311a4");
}

static void a_token_comes_back_from_its_text(void **state)
{
    (void)state;
    for (int high = 0; high < 64; high++)
        for (uint32_t attempt = 1; attempt != 0; attempt *= 16) {
            const token_t sent = {((uint64_t)1 << high) - 1, attempt, attempt % 3 == 0};
            char text[TOKEN_TEXT_BYTES];
            size_t size = token_format(&keys, sent, text);
            assert_int_equal(size, strlen(text));
            token_t got;
            assert_true(token_parse(&keys, slice(text, size), &got));
            assert_true(got.seq == sent.seq && got.attempt == sent.attempt &&
                        got.ephemeral == sent.ephemeral);
        }
}

static void a_token_with_any_character_changed_is_refused(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_BYTES];
    size_t size = token_format(&keys, (token_t){0x2ab, 0x11, false}, text);
    for (size_t i = 0; i < size; i++) {
        const char right = text[i];
        for (int c = 0; c < 256; c++) {
            token_t token;
            text[i] = (char)c;
            if ((char)c != right && token_parse(&keys, slice(text, size), &token))
                fail_msg("accepted with 0x%02x at %zu", (unsigned)c, i);
        }
        text[i] = right;
    }
}

static void a_token_cut_or_lengthened_is_refused(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_BYTES + 1], longer[sizeof text + 1];
    size_t size = token_format(&keys, (token_t){42, 1, false}, text);
    token_t token;
    for (size_t cut = 0; cut < size; cut++) {
        assert_false(token_parse(&keys, slice(text, cut), &token));
        assert_false(token_parse(&keys, slice(text + size - cut, cut), &token));
    }
    assert_false(token_parse(&keys, slice(text, size + 1), &token));
    snprintf(longer, sizeof longer, "%s0", text);
    assert_false(parses(longer));
}

/*  One text per token, so that texts can be compared. */
static void another_spelling_of_a_token_is_refused(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_BYTES], other[TOKEN_TEXT_BYTES + 4];
    token_format(&keys, (token_t){42, 1, false}, text);
    snprintf(other, sizeof other, "0%s", text);
    assert_false(parses(other));
    snprintf(other, sizeof other, "2a.01%s", text + 4);
    assert_false(parses(other));
    snprintf(other, sizeof other, "2A%s", text + 2);
    assert_false(parses(other));
}

static void a_mac_without_its_leading_zero_is_refused(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_BYTES];
    token_t token = {0, 1, false};
    size_t mac = 0;
    do {
        token.seq++;
        mac = token_format(&keys, token, text) - 16;
    } while (text[mac] != '0');
    assert_true(parses(text));
    memmove(text + mac, text + mac + 1, 16);
    assert_false(parses(text));
}

static void a_token_of_another_key_is_refused(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_BYTES];
    for (size_t bit = 0; bit < 8 * TOKEN_KEY_BYTES; bit++) {
        token_keys_t other = keys;
        other.lasting[bit / 8] ^= (uint8_t)(1 << bit % 8);
        other.ephemeral[bit / 8] ^= (uint8_t)(1 << bit % 8);
        token_format(&other, (token_t){42, 1, false}, text);
        assert_false(parses(text));
        token_format(&other, (token_t){42, 1, true}, text);
        assert_false(parses(text));
    }
}

static void an_ephemeral_token_ends_with_the_run_a_lasting_one_does_not(void **state)
{
    (void)state;
    char lasting[TOKEN_TEXT_BYTES], ephemeral[TOKEN_TEXT_BYTES];
    token_keys_t before = token_keys(keys.lasting), after = token_keys(keys.lasting);
    token_format(&before, (token_t){42, 1, false}, lasting);
    token_format(&before, (token_t){42, 1, true}, ephemeral);
    token_t token;
    assert_true(token_parse(&after, slice_str(lasting), &token));
    assert_false(token.ephemeral);
    assert_true(token_parse(&before, slice_str(ephemeral), &token));
    assert_true(token.ephemeral);
    assert_false(token_parse(&after, slice_str(ephemeral), &token));
}

static void text_that_is_no_token_is_refused(void **state)
{
    (void)state;
    static const char *texts[] = {
        "",
        ".",
        "..",
        "...",
        "2a",
        "2a.1",
        "2a.1.",
        "2a..",
        ".1.0000000000000000",
        "2a.1.2b",
        "-1.1.00",
        "undefined",
        "0x2a.1.0000000000000000",
        "10000000000000000.1.0000000000000000",
        "2a.100000000.0000000000000000",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(parses(texts[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_sequence_attempt_and_mac_in_hex),
        cmocka_unit_test(a_token_comes_back_from_its_text),
        cmocka_unit_test(a_token_with_any_character_changed_is_refused),
        cmocka_unit_test(a_token_cut_or_lengthened_is_refused),
        cmocka_unit_test(another_spelling_of_a_token_is_refused),
        cmocka_unit_test(a_mac_without_its_leading_zero_is_refused),
        cmocka_unit_test(a_token_of_another_key_is_refused),
        cmocka_unit_test(an_ephemeral_token_ends_with_the_run_a_lasting_one_does_not),
        cmocka_unit_test(text_that_is_no_token_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
