/*  Numbers, durations, sizes and times as users write them. */

#include "common/limits.h"
#include "common/parse.h"

#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { UNTOUCHED = -4242 };

typedef bool parser_t(const char *text, int64_t *out);

static void assert_reads(parser_t *parse, const char *text, int64_t expected)
{
    int64_t value = UNTOUCHED;
    if (!parse(text, &value))
        fail_msg("refused: \"%s\"", text);
    if (value != expected)
        fail_msg("\"%s\" is read as %lld, not %lld", text, (long long)value, (long long)expected);
}

static void assert_all_refused(parser_t *parse, const char *const *texts)
{
    for (; *texts; texts++) {
        int64_t value = UNTOUCHED;
        if (parse(*texts, &value))
            fail_msg("\"%s\" is accepted as %lld", *texts, (long long)value);
        assert_int_equal(value, UNTOUCHED);
    }
}

static bool any_int(const char *text, int64_t *out)
{
    return parse_int(text, INT64_MIN, INT64_MAX, out);
}

static bool small_int(const char *text, int64_t *out)
{
    return parse_int(text, -3, 9, out);
}

static void integers_in_range_are_read(void **state)
{
    (void)state;
    assert_reads(any_int, "0", 0);
    assert_reads(any_int, "-0", 0);
    assert_reads(any_int, "007", 7);
    assert_reads(any_int, "9223372036854775807", INT64_MAX);
    assert_reads(any_int, "-9223372036854775808", INT64_MIN);
    assert_reads(small_int, "-3", -3);
    assert_reads(small_int, "9", 9);
    assert_all_refused(small_int, (const char *const[]){"-4", "10", "99999999999999999999", NULL});
}

static void what_is_no_integer_is_refused(void **state)
{
    (void)state;
    assert_all_refused(any_int, (const char *const[]){"", "-", "+1", " 1", "1 ", "1x", "0x10",
                                                      "1.0", "1e3", "--1", "9223372036854775808",
                                                      "-9223372036854775809", "1\n", NULL});
}

static void durations_are_read_in_every_unit(void **state)
{
    (void)state;
    assert_reads(parse_duration_ms, "0", 0);
    assert_reads(parse_duration_ms, "0s", 0);
    assert_reads(parse_duration_ms, "250ms", 250);
    assert_reads(parse_duration_ms, "10s", 10000);
    assert_reads(parse_duration_ms, "5m", 300000);
    assert_reads(parse_duration_ms, "2h", 7200000);
    assert_reads(parse_duration_ms, "7d", 604800000);
    assert_reads(parse_duration_ms, "1.5s", 1500);
    assert_reads(parse_duration_ms, "1h30m", 5400000);
    assert_reads(parse_duration_ms, "1d2h3m4s5ms", 93784005);
    assert_reads(parse_duration_ms, "0.25h", 900000);
    assert_reads(parse_duration_ms, "1.1s", 1100); /* exact: no binary fraction is involved */
    assert_reads(parse_duration_ms, "3660d", LIMIT_DURATION_MS);
}

static void fractions_of_a_millisecond_are_rounded_but_never_to_nothing(void **state)
{
    (void)state;
    assert_reads(parse_duration_ms, "1.0004s", 1000);
    assert_reads(parse_duration_ms, "1.0005s", 1001);
    assert_reads(parse_duration_ms, "0.1ms", 1);
    assert_reads(parse_duration_ms, "0.000000001s", 1);
    assert_reads(parse_duration_ms, "0.0s", 0);
    assert_reads(parse_duration_ms, "0.0005s0.5ms", 1);
}

static void what_is_no_duration_is_refused(void **state)
{
    (void)state;
    assert_all_refused(parse_duration_ms, (const char *const[]){"",
                                                                "10",
                                                                "00",
                                                                "1.5",
                                                                "s",
                                                                "ms",
                                                                "-1s",
                                                                "+1s",
                                                                " 1s",
                                                                "1s ",
                                                                "1 s",
                                                                "1S",
                                                                "1sec",
                                                                "1.s",
                                                                ".5s",
                                                                "1..5s",
                                                                "1,5s",
                                                                "1w",
                                                                "1y",
                                                                "1us",
                                                                "1s1",
                                                                "1m1h",
                                                                "1s1s",
                                                                "1h30",
                                                                "1e3s",
                                                                "1sm",
                                                                "1.0000000000s",
                                                                "3660d1ms",
                                                                "3661d",
                                                                "99999999999999999999s",
                                                                "316224000000001ms",
                                                                "1mm",
                                                                NULL});
}

static void sizes_are_powers_of_1024(void **state)
{
    (void)state;
    assert_reads(parse_size, "0", 0);
    assert_reads(parse_size, "512", 512);
    assert_reads(parse_size, "64K", 65536);
    assert_reads(parse_size, "64KiB", 65536);
    assert_reads(parse_size, "16M", 16 << 20);
    assert_reads(parse_size, "2G", INT64_C(2) << 30);
    assert_reads(parse_size, "2GiB", INT64_C(2) << 30);
    assert_reads(parse_size, "1024T", INT64_C(1) << 50);
    assert_reads(parse_size, "1125899906842624", INT64_C(1) << 50);
    assert_all_refused(parse_size,
                       (const char *const[]){"", "K", "-1", "+1", " 1", "1 K", "1k", "1KB", "1B",
                                             "1Ki", "1KiBs", "1.5M", "1iB", "1KK", "1025T",
                                             "1125899906842625", "99999999999999999999999", NULL});
}

static void times_are_read_with_any_offset(void **state)
{
    (void)state;
    assert_reads(parse_rfc3339_ms, "1970-01-01T00:00:00Z", 0);
    assert_reads(parse_rfc3339_ms, "2026-05-20T10:30:00.000Z", 1779273000000);
    assert_reads(parse_rfc3339_ms, "2026-05-20t10:30:00z", 1779273000000);
    assert_reads(parse_rfc3339_ms, "2026-05-20T12:30:00+02:00", 1779273000000);
    assert_reads(parse_rfc3339_ms, "2026-05-20T05:00:00-05:30", 1779273000000);
    assert_reads(parse_rfc3339_ms, "2026-05-20T10:30:00-00:00", 1779273000000);
    assert_reads(parse_rfc3339_ms, "2026-05-20T10:30:00.1Z", 1779273000100);
    assert_reads(parse_rfc3339_ms, "2026-05-20T10:30:00.1239999999999Z", 1779273000123);
    assert_reads(parse_rfc3339_ms, "2024-02-29T00:00:00Z", 1709164800000);
    assert_reads(parse_rfc3339_ms, "2000-02-29T23:59:59Z", 951868799000);
    assert_reads(parse_rfc3339_ms, "9999-12-31T23:59:59.999Z", 253402300799999);
    assert_reads(parse_rfc3339_ms, "1969-12-31T23:00:00-01:00", 0);
}

/*  The leap seconds of RFC 3339, section 5.8. */
static void a_leap_second_ends_a_day_of_utc(void **state)
{
    (void)state;
    assert_reads(parse_rfc3339_ms, "1990-12-31T23:59:60Z", 662688000000);
    assert_reads(parse_rfc3339_ms, "1990-12-31T15:59:60-08:00", 662688000000);
    assert_all_refused(parse_rfc3339_ms,
                       (const char *const[]){"1990-12-31T15:59:60Z", "1990-12-31T23:58:60Z",
                                             "1990-12-31T23:59:60-08:00", "1990-12-31T23:59:61Z",
                                             NULL});
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    assert_all_refused(parse_rfc3339_ms, (const char *const[]){"",
                                                               "2026-05-20",
                                                               "2026-05-20T10:30:00",
                                                               "2026-05-20T10:30Z",
                                                               "2026-05-20 10:30:00Z",
                                                               "2026-5-20T10:30:00Z",
                                                               "2026-05-20T10:30:00.Z",
                                                               "2026-05-20T10:30:00,5Z",
                                                               "2026-05-20T10:30:00Zx",
                                                               " 2026-05-20T10:30:00Z",
                                                               "2026-05-20T10:30:00+0200",
                                                               "2026-05-20T10:30:00+02",
                                                               "2026-05-20T10:30:00+24:00",
                                                               "2026-05-20T10:30:00+02:60",
                                                               "2026-00-20T10:30:00Z",
                                                               "2026-13-20T10:30:00Z",
                                                               "2026-05-00T10:30:00Z",
                                                               "2026-04-31T10:30:00Z",
                                                               "2026-02-29T10:30:00Z",
                                                               "2100-02-29T10:30:00Z",
                                                               "2026-05-20T24:00:00Z",
                                                               "2026-05-20T10:60:00Z",
                                                               "1969-12-31T23:59:59Z",
                                                               "1970-01-01T00:00:00+00:01",
                                                               "0000-01-01T00:00:00Z",
                                                               "12026-05-20T10:30:00Z",
                                                               "1779273000000",
                                                               NULL});
}

static void every_truncation_of_a_time_is_refused(void **state)
{
    (void)state;
    const char *whole = "2026-05-20T10:30:00.123+02:00";
    for (size_t size = 0; size < strlen(whole); size++) {
        char text[40] = "";
        memcpy(text, whole, size);
        int64_t value;
        if (parse_rfc3339_ms(text, &value))
            fail_msg("accepted: %s", text);
    }
}

static void the_time_zone_of_the_process_does_not_matter(void **state)
{
    (void)state;
    char text[RFC3339_SIZE];
    setenv("TZ", "America/New_York", 1);
    tzset();
    assert_reads(parse_rfc3339_ms, "2026-05-20T10:30:00Z", 1779273000000);
    format_rfc3339_ms(1779273000000, text);
    assert_string_equal(text, "2026-05-20T10:30:00.000Z");
    unsetenv("TZ");
    tzset();
}

static void a_time_is_written_as_it_is_read(void **state)
{
    (void)state;
    char text[RFC3339_SIZE];
    /* A step that is a multiple of no unit walks over every month, weekday and hour. */
    for (int64_t ms = 0; ms < INT64_C(253402300800000); ms += INT64_C(86400000) * 97 + 3723457) {
        format_rfc3339_ms(ms, text);
        assert_int_equal(strlen(text), RFC3339_SIZE - 1);
        assert_reads(parse_rfc3339_ms, text, ms);
    }
    /* of one second, and of the one before */
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {{1779273000999, "2026-05-20T10:30:00.999Z"},
                 {1779273000007, "2026-05-20T10:30:00.007Z"},
                 {1779273000120, "2026-05-20T10:30:00.120Z"},
                 {1779273000000, "2026-05-20T10:30:00.000Z"},
                 {1779272999999, "2026-05-20T10:29:59.999Z"}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        format_rfc3339_ms(times[i].ms, text);
        assert_string_equal(text, times[i].text);
    }
}

static void times_outside_four_digit_years_are_written_as_the_nearest_one(void **state)
{
    (void)state;
    char text[RFC3339_SIZE];
    format_rfc3339_ms(-1, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    format_rfc3339_ms(INT64_MIN, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    format_rfc3339_ms(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void durations_are_written_for_people(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "0ms"},
        {850, "850ms"},
        {999, "999ms"},
        {1000, "1.0s"},
        {12345, "12.3s"},
        {59999, "59.9s"},
        {60000, "1m00s"},
        {250999, "4m10s"},
        {245000, "4m05s"},
        {3599999, "59m59s"},
        {3600000, "1h00m"},
        {11159000, "3h05m"},
        {86399999, "23h59m"},
        {86400000, "1d00h"},
        {187200000, "2d04h"},
        {-12345, "-12.3s"},
        {INT64_MAX, "106751991167d07h"},
        {INT64_MIN, "-106751991167d07h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[DURATION_SIZE];
        format_duration_ms(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void an_address_has_a_host_and_a_port(void **state)
{
    (void)state;
    static const char *const good[] = {"127.0.0.1:0", "[::1]:65535", "host:80", "a:b:1"};
    static const char *const bad[] = {"",     "80",      ":80",   "host:", "host",
                                      "h:-1", "h:65536", "h:80x", "h: 80"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!address_valid(good[i]))
            fail_msg("%s is one", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (address_valid(bad[i]))
            fail_msg("%s is none", bad[i]);
}

static void only_a_numeric_address_is_resolved(void **state)
{
    (void)state;
    static const char *const good[] = {"127.0.0.1:0", "[::1]:65535", "0.0.0.0:80"};
    static const char *const bad[] = {"",         "80",      ":80",    "1.2.3.4", "1.2.3.4:65536",
                                      "1.2.3.4:", "host:80", "[h]:80", "a:b:1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct addrinfo *found = address_resolve(good[i]);
        if (found == NULL)
            fail_msg("%s is one", good[i]);
        freeaddrinfo(found);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (address_resolve(bad[i]))
            fail_msg("%s is none", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_in_range_are_read),
        cmocka_unit_test(what_is_no_integer_is_refused),
        cmocka_unit_test(durations_are_read_in_every_unit),
        cmocka_unit_test(fractions_of_a_millisecond_are_rounded_but_never_to_nothing),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(sizes_are_powers_of_1024),
        cmocka_unit_test(times_are_read_with_any_offset),
        cmocka_unit_test(a_leap_second_ends_a_day_of_utc),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(every_truncation_of_a_time_is_refused),
        cmocka_unit_test(the_time_zone_of_the_process_does_not_matter),
        cmocka_unit_test(a_time_is_written_as_it_is_read),
        cmocka_unit_test(times_outside_four_digit_years_are_written_as_the_nearest_one),
        cmocka_unit_test(durations_are_written_for_people),
        cmocka_unit_test(an_address_has_a_host_and_a_port),
        cmocka_unit_test(only_a_numeric_address_is_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
