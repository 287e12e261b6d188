/*  Time-ordered ids, and the clocks that feed them. */

#include "common/clock.h"
#include "common/uuid7.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/*  The milliseconds in an id. */
static int64_t time_of(const char *text)
{
    char hex[13] = "";
    memcpy(hex, text, 8);
    memcpy(hex + 8, text + 9, 4);
    return (int64_t)strtoull(hex, NULL, 16);
}

static void assert_form(const char *text)
{
    assert_int_equal(strlen(text), UUID7_TEXT_SIZE - 1);
    for (int i = 0; i < UUID7_TEXT_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : strchr("0123456789abcdef", text[i]) == NULL)
            fail_msg("not a UUID: %s", text);
    }
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[19]));
}

static void an_id_has_the_form_of_a_version_7_uuid(void **state)
{
    (void)state;
    uuid7_t ids;
    uuid7_init(&ids);
    for (int64_t ms = 0; ms < 1000; ms++) {
        char text[UUID7_TEXT_SIZE];
        uuid7_next(&ids, ms, text);
        assert_form(text);
    }
}

/*  The time of RFC 9562, appendix A.6. */
static void an_id_begins_with_its_time(void **state)
{
    (void)state;
    uuid7_t ids;
    char text[UUID7_TEXT_SIZE];
    uuid7_init(&ids);
    uuid7_next(&ids, 0x017f22e279b0, text);
    assert_memory_equal(text, "017f22e2-79b0-7", 15);
    uuid7_next(&ids, 0xfffffffffffe, text);
    assert_memory_equal(text, "ffffffff-fffe-7", 15);
}

static void ids_of_one_generator_ascend(void **state)
{
    (void)state;
    static const int64_t steps[] = {0, 0, 1, 0, -5, 3, 0, 100, -100000, 0, 7};
    uuid7_t ids;
    char previous[UUID7_TEXT_SIZE] = "", text[UUID7_TEXT_SIZE];
    int64_t now = 1779273000000;
    uuid7_init(&ids);
    for (int i = 0; i < 200000; i++) {
        now += steps[i % 11];
        uuid7_next(&ids, now, text);
        if (strcmp(previous, text) >= 0)
            fail_msg("%s comes after %s", text, previous);
        strcpy(previous, text);
    }
}

static void a_clock_that_steps_back_does_not_take_ids_along(void **state)
{
    (void)state;
    uuid7_t ids;
    char text[UUID7_TEXT_SIZE];
    uuid7_init(&ids);
    uuid7_next(&ids, 5000, text);
    uuid7_next(&ids, 4000, text);
    assert_int_equal(time_of(text), 5000);
    uuid7_next(&ids, 5001, text);
    assert_int_equal(time_of(text), 5001);
}

/*  Half of the counter is free at the start of a millisecond; after all of it the time moves on. */
static void a_used_up_counter_moves_to_the_next_millisecond(void **state)
{
    (void)state;
    uuid7_t ids;
    char previous[UUID7_TEXT_SIZE], text[UUID7_TEXT_SIZE];
    uuid7_init(&ids);
    uuid7_next(&ids, 5000, text);
    ids.random_high |= (1u << 26) - 1 - 2; /* two or three short of the end */
    ids.random_high &= ~UINT64_C(2);
    for (int i = 0; i < 5; i++) {
        strcpy(previous, text);
        uuid7_next(&ids, 5000, text);
        assert_form(text);
    }
    assert_int_equal(time_of(text), 5001);
    assert_true(strcmp(previous, text) < 0);
}

static void times_out_of_range_still_give_ascending_ids(void **state)
{
    (void)state;
    uuid7_t ids;
    char first[UUID7_TEXT_SIZE], second[UUID7_TEXT_SIZE], third[UUID7_TEXT_SIZE];
    uuid7_init(&ids);
    uuid7_next(&ids, INT64_MIN, first);
    uuid7_next(&ids, -1, second);
    uuid7_next(&ids, INT64_C(1) << 48, third);
    assert_form(first);
    assert_form(third);
    assert_true(strcmp(first, second) < 0);
    assert_true(strcmp(second, third) < 0);
    assert_int_equal(time_of(first), 0);
    assert_int_equal(time_of(third), 0xffffffffffff);
}

static void each_generator_has_its_own_seed(void **state)
{
    (void)state;
    uuid7_t a, b;
    uuid7_init(&a);
    uuid7_init(&b);
    assert_true(a.random_high != b.random_high);
    assert_true(a.random_low != b.random_low);
    /* Either half of it is enough to tell their ids apart. */
    for (int half = 0; half < 2; half++) {
        uuid7_t twin = a;
        char text[UUID7_TEXT_SIZE], twin_text[UUID7_TEXT_SIZE];
        if (half)
            twin.random_high = b.random_high;
        else
            twin.random_low = b.random_low;
        uuid7_t copy = a;
        uuid7_next(&copy, 5000, text);
        uuid7_next(&twin, 5000, twin_text);
        assert_string_not_equal(text + 24, twin_text + 24);
    }
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, UUID7_TEXT_SIZE);
}

/*  Many generators at one moment: were the seed or the random part missing, ids would meet. */
static void ids_of_many_generators_differ(void **state)
{
    (void)state;
    enum { GENERATORS = 500, EACH = 20, COUNT = GENERATORS * EACH };
    char(*texts)[UUID7_TEXT_SIZE] = calloc(COUNT, UUID7_TEXT_SIZE);
    assert_non_null(texts);
    for (int g = 0; g < GENERATORS; g++) {
        uuid7_t ids;
        uuid7_init(&ids);
        for (int i = 0; i < EACH; i++)
            uuid7_next(&ids, 5000, texts[g * EACH + i]);
    }
    qsort(texts, COUNT, UUID7_TEXT_SIZE, compare_ids);
    for (int i = 1; i < COUNT; i++)
        assert_string_not_equal(texts[i - 1], texts[i]);
    /* Nor may the 48 random bits alone repeat. */
    for (int i = 0; i < COUNT; i++)
        memmove(texts[i], texts[i] + 24, 13);
    for (int i = 0; i < COUNT; i++)
        memset(texts[i] + 13, 0, UUID7_TEXT_SIZE - 13);
    qsort(texts, COUNT, UUID7_TEXT_SIZE, compare_ids);
    for (int i = 1; i < COUNT; i++)
        assert_string_not_equal(texts[i - 1], texts[i]);
    free(texts);
}

/*  Each of the 74 bits after the time is sometimes 0 and sometimes 1. */
static void every_bit_after_the_time_varies(void **state)
{
    (void)state;
    uuid7_t ids;
    uuid7_init(&ids);
    unsigned ones[UUID7_TEXT_SIZE] = {0}, zeros[UUID7_TEXT_SIZE] = {0};
    for (int64_t ms = 1; ms <= 4096; ms++) {
        char text[UUID7_TEXT_SIZE];
        uuid7_next(&ids, ms, text);
        for (int i = 15; i < UUID7_TEXT_SIZE - 1; i++) {
            unsigned digit = (unsigned)(strchr("0123456789abcdef", text[i]) - "0123456789abcdef");
            ones[i] |= digit;
            zeros[i] |= ~digit & 15;
        }
    }
    for (int i = 15; i < UUID7_TEXT_SIZE - 1; i++) {
        if (i == 18 || i == 23)
            continue;
        /* The variant is fixed; the counter's highest bit is kept free at the start. */
        assert_int_equal(ones[i], i == 15 ? 7 : i == 19 ? 11 : 15);
        assert_int_equal(zeros[i], i == 19 ? 7 : 15);
    }
}

static void the_clocks_agree_with_the_system(void **state)
{
    (void)state;
    int64_t us = clock_mono_us();
    int64_t ms = clock_mono_ms();
    int64_t later_us = clock_mono_us();
    assert_true(us / 1000 <= ms && ms <= later_us / 1000);

    int64_t before = (int64_t)time(NULL) - 1; /* time() may lag by a tick */
    int64_t wall = clock_wall_ms();
    int64_t after = (int64_t)time(NULL) + 1;
    assert_true(before * 1000 <= wall && wall <= after * 1000 + 999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_has_the_form_of_a_version_7_uuid),
        cmocka_unit_test(an_id_begins_with_its_time),
        cmocka_unit_test(ids_of_one_generator_ascend),
        cmocka_unit_test(a_clock_that_steps_back_does_not_take_ids_along),
        cmocka_unit_test(a_used_up_counter_moves_to_the_next_millisecond),
        cmocka_unit_test(times_out_of_range_still_give_ascending_ids),
        cmocka_unit_test(each_generator_has_its_own_seed),
        cmocka_unit_test(ids_of_many_generators_differ),
        cmocka_unit_test(every_bit_after_the_time_varies),
        cmocka_unit_test(the_clocks_agree_with_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
