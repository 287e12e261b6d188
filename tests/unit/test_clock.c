/*  Deadlines on the monotonic clock, and steps of the wall clock against it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"

static void a_deadline_is_so_far_from_now(void **state)
{
    (void)state;
    int64_t before_ms = clock_mono_ms();
    int64_t deadline_ms = clock_deadline_ms(5000);
    assert_true(deadline_ms >= before_ms + 5000);
    assert_true(deadline_ms <= clock_mono_ms() + 5000);
}

static void below_zero_is_never(void **state)
{
    (void)state;
    assert_int_equal(clock_deadline_ms(-1), INT64_MAX);
}

/*  "As long as is left until never", as a caller computes it, is never. */
static void what_is_beyond_the_clock_is_never(void **state)
{
    (void)state;
    assert_int_equal(clock_deadline_ms(INT64_MAX), INT64_MAX);
    assert_int_equal(clock_deadline_ms(INT64_MAX - clock_mono_ms() + 1), INT64_MAX);
}

static void a_reading_is_of_now(void **state)
{
    (void)state;
    int64_t mono_ms = clock_mono_ms(), wall_ms = clock_wall_ms();
    clock_reading_t reading = clock_read();
    assert_true(reading.mono_ms >= mono_ms && reading.mono_ms <= clock_mono_ms());
    assert_true(reading.wall_ms >= wall_ms && reading.wall_ms <= clock_wall_ms());
}

static void a_step_is_what_the_wall_clock_went_beyond_the_other(void **state)
{
    (void)state;
    static const int64_t hour_ms = 3600 * 1000;
    static const struct {
        int64_t passed_ms, wall_passed_ms, step_ms;
    } cases[] = {
        {0, 0, 0},
        {1000, 1000, 0},
        {hour_ms, hour_ms, 0}, /* a turn that was long, as of a stopped process, is none */
        {hour_ms, hour_ms + 900, 0},
        {1000, 1000 + CLOCK_STEP_MS, 0},
        {1000, 1000 + CLOCK_STEP_MS + 1, CLOCK_STEP_MS + 1},
        {1000, 1000 - CLOCK_STEP_MS, 0},
        {1000, 1000 - CLOCK_STEP_MS - 1, -CLOCK_STEP_MS - 1},
        {0, hour_ms, hour_ms},
        {10, -hour_ms, -hour_ms - 10},
        {hour_ms, 0, -hour_ms},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clock_reading_t before = {.mono_ms = 5000, .wall_ms = 1764000000000};
        clock_reading_t now = {before.mono_ms + cases[i].passed_ms,
                               before.wall_ms + cases[i].wall_passed_ms};
        assert_int_equal(clock_step_ms(before, now), cases[i].step_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_is_so_far_from_now),
        cmocka_unit_test(below_zero_is_never),
        cmocka_unit_test(what_is_beyond_the_clock_is_never),
        cmocka_unit_test(a_reading_is_of_now),
        cmocka_unit_test(a_step_is_what_the_wall_clock_went_beyond_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
