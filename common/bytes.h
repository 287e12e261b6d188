/*  Borrowed byte ranges: what codecs return and what the core reads. */

#ifndef REEVE_COMMON_BYTES_H
#define REEVE_COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*  `size` bytes at `data`, owned by somebody else; not NUL-terminated.
    An empty slice may have any `data`, also NULL. */
typedef struct slice {
    const uint8_t *data;
    size_t size;
} slice_t;

static inline slice_t slice(const void *data, size_t size)
{
    return (slice_t){data, size};
}

static inline slice_t slice_str(const char *string)
{
    return (slice_t){(const uint8_t *)string, strlen(string)};
}

/*  No data for NULL. */
static inline slice_t slice_optional(const char *string)
{
    return string ? slice_str(string) : slice(NULL, 0);
}

static inline bool slice_eq(slice_t a, slice_t b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/*  printf helper: printf ("%.*s", SLICE_ARG (s)). */
#define SLICE_ARG(s) (int)(s).size, (const char *)(s).data

#endif
