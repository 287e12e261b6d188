/*  Which bucket an observation is in. */

#include "common/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void bounds_ascend(void **state)
{
    (void)state;
    for (int kind = HISTOGRAM_DURATION; kind <= HISTOGRAM_BATCH; kind++)
        for (size_t i = 1; i < HISTOGRAM_BOUNDS; i++)
            assert_true(histogram_bounds((histogram_kind_t)kind)[i] >
                        histogram_bounds((histogram_kind_t)kind)[i - 1]);
}

static void a_bound_is_in_its_own_bucket(void **state)
{
    (void)state;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        histogram_t histogram = {0};
        double bound = histogram_bounds(HISTOGRAM_AGE)[i];
        histogram_add(&histogram, HISTOGRAM_AGE, bound);
        histogram_add(&histogram, HISTOGRAM_AGE, bound * 1.0001);
        assert_int_equal(histogram.counts[i], 1);
        assert_int_equal(histogram.counts[i + 1], 1);
        assert_int_equal(histogram_count(&histogram), 2);
    }
}

static void sums_are_of_all_observations(void **state)
{
    (void)state;
    histogram_t histogram = {0};
    histogram_add(&histogram, HISTOGRAM_DURATION, 0);
    histogram_add(&histogram, HISTOGRAM_DURATION, 1e6);
    histogram_add(&histogram, HISTOGRAM_DURATION, 0.25);
    assert_true(histogram.sum == 1000000.25);
    assert_int_equal(histogram.counts[0], 1);
    assert_int_equal(histogram.counts[HISTOGRAM_BOUNDS], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_ascend),
        cmocka_unit_test(a_bound_is_in_its_own_bucket),
        cmocka_unit_test(sums_are_of_all_observations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
