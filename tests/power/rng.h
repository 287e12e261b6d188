/*  SplitMix64: the same seed draws the same test, on every machine. */

#ifndef REEVE_TESTS_POWER_RNG_H
#define REEVE_TESTS_POWER_RNG_H

#include <stdbool.h>
#include <stdint.h>

typedef struct rng {
    uint64_t state;
} rng_t;

static inline uint64_t rng_next(rng_t *self)
{
    uint64_t n = self->state += 0x9e3779b97f4a7c15u;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
    n = (n ^ n >> 27) * 0x94d049bb133111ebu;
    return n ^ n >> 31;
}

/*  0 … limit - 1. */
static inline uint64_t rng_below(rng_t *self, uint64_t limit)
{
    return rng_next(self) % limit;
}

static inline bool rng_chance(rng_t *self, unsigned percent)
{
    return rng_below(self, 100) < percent;
}

#endif
