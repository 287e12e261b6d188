/*  Numbers, durations, sizes and times as users write them. Input: the text, a NUL ends it; its
    first eight bytes are also taken as a number to be formatted. */

#include <errno.h>
#include <inttypes.h>

#include "common/limits.h"
#include "common/log.h"
#include "common/parse.h"
#include "tests/fuzz/fuzz.h"

enum { UNTOUCHED = -77 };

static void check_int(const char *text)
{
    int64_t value = UNTOUCHED;
    if (!parse_int(text, INT64_MIN, INT64_MAX, &value)) {
        CHECK(value == UNTOUCHED);
        return;
    }
    char *end;
    errno = 0;
    CHECK(strtoll(text, &end, 10) == value && *end == '\0' && errno == 0);
    int64_t same;
    CHECK(parse_int(text, value, value, &same) && same == value);
    CHECK(value == INT64_MAX || !parse_int(text, value + 1, INT64_MAX, &same));
    CHECK(value == INT64_MIN || !parse_int(text, INT64_MIN, value - 1, &same));
}

static void check_duration(const char *text)
{
    int64_t value = UNTOUCHED, same;
    if (!parse_duration_ms(text, &value)) {
        CHECK(value == UNTOUCHED);
        return;
    }
    CHECK(value >= 0 && value <= LIMIT_DURATION_MS);
    char written[40];
    snprintf(written, sizeof written, "%" PRId64 "ms", value);
    CHECK(parse_duration_ms(written, &same) && same == value);
    if (strcmp(text, "0") == 0)
        return;
    /* One unit of hours, written as a number with it: compared with long double. */
    char *end;
    long double hours = strtold(text, &end);
    if (strcmp(end, "h") == 0 && strspn(text, "0123456789.") == strlen(text) - 1)
        CHECK(value - hours * 3600000 < 1 && hours * 3600000 - value < 1);
}

static void check_size(const char *text)
{
    int64_t value = UNTOUCHED, same;
    if (!parse_size(text, &value)) {
        CHECK(value == UNTOUCHED);
        return;
    }
    CHECK(value >= 0 && value <= INT64_C(1) << 50);
    char written[24];
    snprintf(written, sizeof written, "%" PRId64, value);
    CHECK(parse_size(written, &same) && same == value);
}

static void check_time(const char *text)
{
    int64_t value = UNTOUCHED, same;
    if (!parse_rfc3339_ms(text, &value)) {
        CHECK(value == UNTOUCHED);
        return;
    }
    CHECK(value >= 0);
    char written[RFC3339_SIZE];
    format_rfc3339_ms(value, written);
    CHECK(parse_rfc3339_ms(written, &same));
    /* An offset west of UTC may lead out of year 9999, which is where the form ends. */
    CHECK(same == value || strncmp(written, "9999-12-31T23:59:59.999", 23) == 0);
}

static void check_formats(int64_t ms)
{
    char time[RFC3339_SIZE], duration[DURATION_SIZE];
    int64_t same;
    format_rfc3339_ms(ms, time);
    CHECK(strlen(time) == RFC3339_SIZE - 1);
    CHECK(parse_rfc3339_ms(time, &same));
    CHECK(same == ms || ms < 0 || ms > INT64_C(253402300799999));
    format_duration_ms(ms, duration);
    size_t size = strlen(duration);
    CHECK(size > 1 && size < DURATION_SIZE);
    /* What is told in full is read back. */
    if (ms >= 0 && ms < 1000)
        CHECK(parse_duration_ms(duration, &same) && same == ms);
}

static void check_log_words(const char *text)
{
    log_level_t level;
    log_format_t format;
    if (log_parse_level(text, &level))
        CHECK(strcmp(log_level_name(level), text) == 0);
    if (log_parse_format(text, &format))
        CHECK(strcmp(log_format_name(format), text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t number = 0;
    if (size >= sizeof number) {
        memcpy(&number, data, sizeof number);
        check_formats(number);
        check_formats(number % INT64_C(253402300800000));
        check_formats(number % 100000);
    }
    char *text = mem_strndup(data, size);
    check_int(text);
    check_duration(text);
    check_size(text);
    check_time(text);
    check_log_words(text);
    free(text);
    return 0;
}
