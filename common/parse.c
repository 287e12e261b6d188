#include "common/parse.h"

#include "common/limits.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool parse_int(const char *text, int64_t min, int64_t max, int64_t *out)
{
    bool negative = *text == '-';
    text += negative;
    if (!is_digit(*text))
        return false;
    int64_t value = 0; /* negated, as that side of the range is the longer one */
    for (; is_digit(*text); text++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *text - '0', &value))
            return false;
    if (*text != '\0' || (!negative && value == INT64_MIN))
        return false;
    if (!negative)
        value = -value;
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

/*  ZeroMQ itself takes the lower 16 bits of anything. */
bool port_valid(const char *text)
{
    int64_t port;
    return parse_int(text, 0, UINT16_MAX, &port);
}

bool address_valid(const char *text)
{
    const char *colon = strrchr(text, ':');
    return colon && colon > text && port_valid(colon + 1);
}

struct addrinfo *address_resolve(const char *text)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    if (size == 0 || size >= sizeof host || !port_valid(colon + 1))
        return NULL;
    bool brackets = text[0] == '[' && size > 2 && text[size - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(brackets ? size - 2 : size), text + brackets);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    return getaddrinfo(host, colon + 1, &hints, &found) == 0 ? found : NULL;
}

/*  The decimal digits at *text, which moves past them; at most `max`. */
static bool take_digits(const char **text, int64_t max, int64_t *out)
{
    if (!is_digit(**text))
        return false;
    int64_t value = 0;
    for (; is_digit(**text); (*text)++) {
        value = value * 10 + (**text - '0');
        if (value > max)
            return false;
    }
    *out = value;
    return true;
}

static const struct unit {
    const char *name;
    int64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

enum { UNIT_COUNT = sizeof units / sizeof units[0] };

/*  The unit named at *text, from `first` on: a sum goes from large to small, each unit once. */
static const struct unit *take_unit(const char **text, const struct unit *first)
{
    size_t size = strspn(*text, "dhms");
    for (const struct unit *unit = first; unit < units + UNIT_COUNT; unit++) {
        if (strlen(unit->name) == size && memcmp(*text, unit->name, size) == 0) {
            *text += size;
            return unit;
        }
    }
    return NULL;
}

/*  What stands after the decimal point, in units of 10^-9. More digits than that are refused. */
static bool take_fraction(const char **text, int64_t *nano)
{
    size_t digits = strspn(*text, "0123456789");
    if (digits < 1 || digits > 9 || !take_digits(text, 999999999, nano))
        return false;
    for (; digits < 9; digits++)
        *nano *= 10;
    return true;
}

bool parse_duration_ms(const char *text, int64_t *out)
{
    if (strcmp(text, "0") == 0) {
        *out = 0;
        return true;
    }
    const int64_t billion = 1000000000;
    const struct unit *unit = units;
    int64_t ms = 0, nano_ms = 0; /* whole milliseconds, and what fractions add in 10^-9 ms */
    do {
        int64_t whole, fraction = 0;
        if (!take_digits(&text, LIMIT_DURATION_MS, &whole))
            return false;
        if (*text == '.') {
            text++;
            if (!take_fraction(&text, &fraction))
                return false;
        }
        unit = take_unit(&text, unit);
        if (unit == NULL || whole > LIMIT_DURATION_MS / unit->ms)
            return false;
        ms += whole * unit->ms + fraction * unit->ms / billion;
        nano_ms += fraction * unit->ms % billion;
        unit++;
    } while (*text != '\0');

    ms += (nano_ms + billion / 2) / billion;
    if (ms == 0 && nano_ms > 0)
        ms = 1; /* a little is not nothing: 0 often means "none" */
    if (ms > LIMIT_DURATION_MS)
        return false;
    *out = ms;
    return true;
}

bool parse_size(const char *text, int64_t *out)
{
    const int64_t max = INT64_C(1) << 50;
    int64_t value;
    if (!take_digits(&text, max, &value))
        return false;
    if (*text != '\0') {
        const char *letters = "KMGT";
        const char *letter = strchr(letters, *text++);
        if (letter == NULL || (*text != '\0' && strcmp(text, "iB") != 0))
            return false;
        int shift = 10 * (int)(letter - letters + 1);
        if (value > max >> shift)
            return false;
        value <<= shift;
    }
    *out = value;
    return true;
}

/*  Exactly `digits` digits at *text, in min..max. */
static bool take_number(const char **text, int digits, int min, int max, int *out)
{
    int value = 0;
    for (int i = 0; i < digits; i++, (*text)++) {
        if (!is_digit(**text))
            return false;
        value = value * 10 + (**text - '0');
    }
    *out = value;
    return value >= min && value <= max;
}

static bool take_char(const char **text, char wanted)
{
    if (**text != wanted)
        return false;
    (*text)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/*  "2026-05-20T10:30:00" without its fraction and offset. */
static bool take_date_time(const char **text, struct tm *out)
{
    int year, month, day, hour, minute, second;
    bool form = take_number(text, 4, 0, 9999, &year) && take_char(text, '-') &&
                take_number(text, 2, 1, 12, &month) && take_char(text, '-') &&
                take_number(text, 2, 1, days_in_month(year, month), &day) &&
                (take_char(text, 'T') || take_char(text, 't')) &&
                take_number(text, 2, 0, 23, &hour) && take_char(text, ':') &&
                take_number(text, 2, 0, 59, &minute) && take_char(text, ':') &&
                take_number(text, 2, 0, 60, &second);
    if (!form)
        return false;
    *out = (struct tm){.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute,
                       .tm_sec = second};
    return true;
}

/*  An optional ".123…" to milliseconds; finer digits are dropped. */
static bool take_milliseconds(const char **text, int *ms)
{
    *ms = 0;
    if (!take_char(text, '.'))
        return true;
    if (!is_digit(**text))
        return false;
    for (int weight = 100; is_digit(**text); weight /= 10, (*text)++)
        *ms += (**text - '0') * weight;
    return true;
}

/*  "Z" or "+02:00" to seconds east of UTC. */
static bool take_offset(const char **text, int *seconds)
{
    *seconds = 0;
    if (take_char(text, 'Z') || take_char(text, 'z'))
        return true;
    int sign = **text == '-' ? -1 : 1, hours, minutes;
    if (!take_char(text, '+') && !take_char(text, '-'))
        return false;
    if (!take_number(text, 2, 0, 23, &hours) || !take_char(text, ':') ||
        !take_number(text, 2, 0, 59, &minutes))
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool parse_rfc3339_ms(const char *text, int64_t *out)
{
    struct tm tm;
    int ms, offset;
    if (!take_date_time(&text, &tm) || !take_milliseconds(&text, &ms) ||
        !take_offset(&text, &offset) || *text != '\0')
        return false;
    /* A leap second ends a day of UTC; POSIX time gives it the number of the second after it. */
    bool leap_second = tm.tm_sec == 60;
    int64_t seconds = (int64_t)timegm(&tm) - offset;
    if (seconds < 0 || (leap_second && seconds % 86400 != 0))
        return false;
    *out = seconds * 1000 + ms;
    return true;
}

void format_rfc3339_ms(int64_t ms, char text[RFC3339_SIZE])
{
    const int64_t last = INT64_C(253402300799999); /* the last millisecond of year 9999 */
    if (ms < 0)
        ms = 0;
    if (ms > last)
        ms = last;
    /* Nearly all that is formatted is of this second. */
    static _Thread_local time_t known = -1;
    static _Thread_local char known_text[RFC3339_SIZE];
    time_t seconds = (time_t)(ms / 1000);
    if (seconds != known) {
        struct tm tm;
        strftime(known_text, sizeof known_text, "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&seconds, &tm));
        known = seconds;
    }
    memcpy(text, known_text, RFC3339_SIZE);
    int fraction = (int)(ms % 1000);
    for (char *digit = text + RFC3339_SIZE - 3; fraction > 0; fraction /= 10)
        *digit-- = (char)('0' + fraction % 10);
}

void format_duration_ms(int64_t ms, char text[DURATION_SIZE])
{
    if (ms < 0)
        *text++ = '-';
    size_t room = DURATION_SIZE - (ms < 0);
    uint64_t size = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    uint64_t seconds = size / 1000;
#define PART(divisor, modulus) (unsigned)(seconds / (divisor) % (modulus))
    if (size < 1000)
        snprintf(text, room, "%ums", (unsigned)size);
    else if (seconds < 60)
        snprintf(text, room, "%u.%us", (unsigned)seconds, (unsigned)(size / 100 % 10));
    else if (seconds < 3600)
        snprintf(text, room, "%um%02us", PART(60, 60), PART(1, 60));
    else if (seconds < 86400)
        snprintf(text, room, "%uh%02um", PART(3600, 24), PART(60, 60));
    else
        snprintf(text, room, "%llud%02uh", (unsigned long long)(seconds / 86400), PART(3600, 24));
#undef PART
}
