/*  The text for Prometheus, byte by byte where the formats ask for it. */

#include "common/prometheus.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static prom_t page;

static void begin(prom_format_t format)
{
    assert_true(prom_begin(&page, format));
}

static void ends_as(const char *expected)
{
    size_t size;
    char *text = prom_end(&page, &size);
    assert_string_equal(text, expected);
    assert_int_equal(size, strlen(expected));
    free(text);
}

/* ---- families and samples ------------------------------------------------------------------- */

static void a_family_is_a_help_a_type_and_samples(void **state)
{
    (void)state;
    begin(PROM_TEXT);
    prom_family(&page, "jobs_total", "counter", "Jobs.");
    prom_sample(&page, "jobs_total", &(prom_labels_t){"queue", "q", NULL, NULL}, 3);
    prom_sample(&page, "jobs_total", &(prom_labels_t){"queue", "q", "reason", "r"}, 0.25);
    prom_single(&page, "up", "gauge", "One.", 1);
    ends_as("# HELP jobs_total Jobs.\n"
            "# TYPE jobs_total counter\n"
            "jobs_total{queue=\"q\"} 3\n"
            "jobs_total{queue=\"q\",reason=\"r\"} 0.25\n"
            "# HELP up One.\n"
            "# TYPE up gauge\n"
            "up 1\n");
}

static void openmetrics_names_counters_without_total_and_tells_the_end(void **state)
{
    (void)state;
    begin(PROM_OPENMETRICS);
    prom_single(&page, "jobs_total", "counter", "Jobs.", 3);
    prom_single(&page, "a_total", "gauge", "No counter.", 1);
    ends_as("# HELP jobs Jobs.\n"
            "# TYPE jobs counter\n"
            "jobs_total 3\n"
            "# HELP a_total No counter.\n"
            "# TYPE a_total gauge\n"
            "a_total 1\n"
            "# EOF\n");
}

static void counts_beyond_a_million_keep_their_digits(void **state)
{
    (void)state;
    begin(PROM_TEXT);
    prom_sample(&page, "n", NULL, 123456789012345);
    ends_as("n 123456789012345\n");
}

/* ---- escapes -------------------------------------------------------------------------------- */

static void label_values_escape_backslash_quote_and_newline(void **state)
{
    (void)state;
    static const struct {
        const char *value, *expected;
    } cases[] = {
        {"", "m{l=\"\"} 1\n"},
        {"plain", "m{l=\"plain\"} 1\n"},
        {"\\", "m{l=\"\\\\\"} 1\n"},
        {"\"", "m{l=\"\\\"\"} 1\n"},
        {"\n", "m{l=\"\\n\"} 1\n"},
        {"\\n", "m{l=\"\\\\n\"} 1\n"},
        {"\"\\\n\"", "m{l=\"\\\"\\\\\\n\\\"\"} 1\n"},
        {"5 €, {a=\"b\"} #\t%s", "m{l=\"5 €, {a=\\\"b\\\"} #\t%s\"} 1\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(PROM_TEXT);
        prom_sample(&page, "m", &(prom_labels_t){"l", cases[i].value, NULL, NULL}, 1);
        ends_as(cases[i].expected);
    }
    begin(PROM_TEXT);
    prom_sample(&page, "m", &(prom_labels_t){"l", "v", "second", "a\"b"}, 1);
    ends_as("m{l=\"v\",second=\"a\\\"b\"} 1\n");
}

static void help_escapes_backslash_and_newline_and_in_openmetrics_quotes(void **state)
{
    (void)state;
    static const char help[] = "A \"path\\\"\nand 5 %s.";
    begin(PROM_TEXT);
    prom_family(&page, "m", "gauge", help);
    ends_as("# HELP m A \"path\\\\\"\\nand 5 %s.\n# TYPE m gauge\n");
    begin(PROM_OPENMETRICS);
    prom_family(&page, "m", "gauge", help);
    ends_as("# HELP m A \\\"path\\\\\\\"\\nand 5 %s.\n# TYPE m gauge\n# EOF\n");
}

static void every_reason_is_a_sample(void **state)
{
    (void)state;
    reasons_t reasons = {0};
    reasons_add(&reasons, slice_str("busy"));
    reasons_add(&reasons, slice_str("a\nb"));
    reasons_add(&reasons, slice_str("busy"));
    begin(PROM_TEXT);
    prom_reasons(&page, "f_total", &(prom_labels_t){"queue", "q", NULL, NULL}, &reasons);
    reasons_fini(&reasons);
    ends_as("f_total{queue=\"q\",reason=\"busy\"} 2\n"
            "f_total{queue=\"q\",reason=\"a\\nb\"} 1\n");
}

/* ---- histograms ----------------------------------------------------------------------------- */

/*  What follows `series` on its line; fails where the page does not have it once. */
static double value_of(const char *text, const char *series)
{
    const char *at = strstr(text, series);
    if (at == NULL || (at > text && at[-1] != '\n') || strstr(at + 1, series) != NULL)
        fail_msg("%s is not there once", series);
    return strtod(at + strlen(series), NULL);
}

/*  Bounds ascend, counts never fall, and the last bucket is infinite and has them all. */
static void assert_adds_up(const char *text)
{
    double last_bound = -INFINITY, last_count = 0;
    size_t buckets = 0;
    for (const char *at = text; (at = strstr(at, "le=\"")) != NULL; buckets++) {
        char *rest;
        double bound = strtod(at + strlen("le=\""), &rest);
        assert_memory_equal(rest, "\"} ", 3);
        double count = strtod(rest + 3, NULL);
        assert_true(bound > last_bound);
        assert_true(count >= last_count);
        last_bound = bound, last_count = count;
        at = rest;
    }
    assert_int_equal(buckets, HISTOGRAM_BOUNDS + 1);
    assert_true(isinf(last_bound));
    assert_true(last_count == value_of(text, "h_count "));
}

static char *page_of(const histogram_t *histogram, histogram_kind_t kind)
{
    size_t size;
    begin(PROM_TEXT);
    prom_histogram(&page, "h", NULL, histogram, kind);
    return prom_end(&page, &size);
}

static void every_kind_is_cumulative_and_its_last_bucket_is_the_count(void **state)
{
    (void)state;
    for (int kind = HISTOGRAM_DURATION; kind <= HISTOGRAM_BATCH; kind++) {
        histogram_t histogram = {0};
        char *text = page_of(&histogram, (histogram_kind_t)kind);
        assert_adds_up(text);
        assert_true(value_of(text, "h_count ") == 0);
        free(text);
        for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++)
            for (size_t times = 0; times <= i % 3; times++)
                histogram_add(&histogram, (histogram_kind_t)kind,
                              histogram_bounds((histogram_kind_t)kind)[i]);
        histogram_add(&histogram, (histogram_kind_t)kind, 1e9);
        text = page_of(&histogram, (histogram_kind_t)kind);
        assert_adds_up(text);
        assert_true(value_of(text, "h_count ") == (double)histogram_count(&histogram));
        assert_true(value_of(text, "h_bucket{le=\"+Inf\"} ") ==
                    (double)histogram_count(&histogram));
        free(text);
    }
}

static void a_bucket_has_what_is_in_those_before_it(void **state)
{
    (void)state;
    histogram_t histogram = {0};
    static const double values[] = {0.005, 0.006, 0.01, 0.3, 7200};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        histogram_add(&histogram, HISTOGRAM_DURATION, values[i]);
    char *text = page_of(&histogram, HISTOGRAM_DURATION);
    assert_true(value_of(text, "h_bucket{le=\"0.005\"} ") == 1);
    assert_true(value_of(text, "h_bucket{le=\"0.01\"} ") == 3);
    assert_true(value_of(text, "h_bucket{le=\"0.25\"} ") == 3);
    assert_true(value_of(text, "h_bucket{le=\"0.5\"} ") == 4);
    assert_true(value_of(text, "h_bucket{le=\"3600.0\"} ") == 4);
    assert_true(value_of(text, "h_bucket{le=\"+Inf\"} ") == 5);
    assert_true(value_of(text, "h_sum ") == 7200.321);
    free(text);
}

static void the_labels_of_a_histogram_are_before_le_and_escaped(void **state)
{
    (void)state;
    size_t size;
    histogram_t histogram = {0};
    begin(PROM_TEXT);
    prom_histogram(&page, "h", &(prom_labels_t){"task", "a\"b", NULL, NULL}, &histogram,
                   HISTOGRAM_BATCH);
    char *text = prom_end(&page, &size);
    assert_true(value_of(text, "h_bucket{task=\"a\\\"b\",le=\"1.0\"} ") == 0);
    assert_true(value_of(text, "h_sum{task=\"a\\\"b\"} ") == 0);
    assert_true(value_of(text, "h_count{task=\"a\\\"b\"} ") == 0);
    free(text);
}

/* ---- which format --------------------------------------------------------------------------- */

static void openmetrics_is_for_those_who_ask(void **state)
{
    (void)state;
    assert_int_equal(prom_format_accepted(NULL), PROM_TEXT);
    assert_int_equal(prom_format_accepted("*/*"), PROM_TEXT);
    assert_int_equal(prom_format_accepted("text/plain;version=0.0.4"), PROM_TEXT);
    assert_int_equal(
        prom_format_accepted("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
        PROM_OPENMETRICS);
    assert_string_equal(prom_content_type(PROM_TEXT), "text/plain; version=0.0.4; charset=utf-8");
    assert_string_equal(prom_content_type(PROM_OPENMETRICS),
                        "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_is_a_help_a_type_and_samples),
        cmocka_unit_test(openmetrics_names_counters_without_total_and_tells_the_end),
        cmocka_unit_test(counts_beyond_a_million_keep_their_digits),
        cmocka_unit_test(label_values_escape_backslash_quote_and_newline),
        cmocka_unit_test(help_escapes_backslash_and_newline_and_in_openmetrics_quotes),
        cmocka_unit_test(every_reason_is_a_sample),
        cmocka_unit_test(every_kind_is_cumulative_and_its_last_bucket_is_the_count),
        cmocka_unit_test(a_bucket_has_what_is_in_those_before_it),
        cmocka_unit_test(the_labels_of_a_histogram_are_before_le_and_escaped),
        cmocka_unit_test(openmetrics_is_for_those_who_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
