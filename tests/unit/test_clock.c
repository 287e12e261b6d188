/*  Deadlines on the monotonic clock. */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_is_so_far_from_now),
        cmocka_unit_test(below_zero_is_never),
        cmocka_unit_test(what_is_beyond_the_clock_is_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
