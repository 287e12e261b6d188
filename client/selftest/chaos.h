/*  What happens to the processes of the self test, and when: drawn from the seed. */

#ifndef REEVE_CLIENT_SELFTEST_CHAOS_H
#define REEVE_CLIENT_SELFTEST_CHAOS_H

#include "client/selftest/cast.h"

typedef struct chaos {
    uint64_t random;
    int64_t next_ms;
} chaos_t;

void chaos_init(chaos_t *self, uint64_t seed, int64_t now_ms);
/*  Does to somebody what is due. */
void chaos_tick(chaos_t *self, cast_t *cast, int64_t now_ms);

#endif
