/*  Reading numbers, durations, sizes and times the way users write them in flags and files. */

#ifndef REEVE_COMMON_PARSE_H
#define REEVE_COMMON_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  All return false, leaving *out alone, unless the whole string is of the form and in range. */

/*  Decimal integer in min..max. */
bool parse_int(const char *text, int64_t min, int64_t max, int64_t *out);

/*  "250ms" "10s" "5m" "2h" "7d" "1.5s", sums such as "1h30m", and "0"; in ms, up to
    LIMIT_DURATION_MS. A bare number other than 0 is refused: its unit would be a guess. */
bool parse_duration_ms(const char *text, int64_t *out);

/*  "512" "64K" "16M" "2G" "1T" (powers of 1024, optional "iB"), up to 2^50 bytes. */
bool parse_size(const char *text, int64_t *out);

/*  RFC 3339 ("2026-05-20T10:30:00.000Z", any offset) to milliseconds since 1970 UTC, >= 0. */
bool parse_rfc3339_ms(const char *text, int64_t *out);

/*  A decimal port, and "ADDR:PORT" with one; whether ADDR is an address is seen when it is used. */
bool port_valid(const char *text);
bool address_valid(const char *text);
/*  One with a numeric address, IPv6 in brackets; NULL when it has none. The caller frees it with
    freeaddrinfo. */
struct addrinfo *address_resolve(const char *text);

enum { RFC3339_SIZE = 25 };
/*  Milliseconds since 1970 UTC to "2026-05-20T10:30:00.000Z". */
void format_rfc3339_ms(int64_t ms, char text[RFC3339_SIZE]);

enum { DURATION_SIZE = 24 };
/*  A duration for people: "850ms", "12.3s", "4m10s", "3h05m", "2d04h". */
void format_duration_ms(int64_t ms, char text[DURATION_SIZE]);

#endif
