/*  Time-ordered unique ids: UUID version 7 (RFC 9562), method 1 (a counter within the millisecond,
    so that ids made by one generator are strictly ascending, also when the clock steps back). */

#ifndef REEVE_COMMON_UUID7_H
#define REEVE_COMMON_UUID7_H

#include <stdint.h>

enum { UUID7_TEXT_SIZE = 37 }; /* 36 characters and a NUL */

typedef struct uuid7 {
    int64_t last_ms;
    uint64_t random_high; /* rand_a and counter state; opaque */
    uint64_t random_low;
} uuid7_t;

/*  Seeds from the kernel (getrandom). One generator per thread. */
void uuid7_init(uuid7_t *self);
/*  Writes the next id as text. `now_ms` is milliseconds since 1970 UTC. Not thread-safe. */
void uuid7_next(uuid7_t *self, int64_t now_ms, char text[UUID7_TEXT_SIZE]);

#endif
