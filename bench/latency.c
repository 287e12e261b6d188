#include "bench/latency.h"

#include <stddef.h>

static size_t bucket_of(uint64_t us)
{
    if (us < LATENCY_PARTS)
        return us;
    unsigned shift = 58 - (unsigned)__builtin_clzll(us); /* leaves 32 … 63 */
    size_t bucket = (size_t)shift * LATENCY_PARTS + (us >> shift);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/*  The longest duration that falls into the bucket. */
static int64_t bucket_end_us(size_t bucket)
{
    if (bucket < 2 * LATENCY_PARTS)
        return (int64_t)bucket;
    unsigned shift = (unsigned)(bucket / LATENCY_PARTS - 1);
    uint64_t part = bucket % LATENCY_PARTS + LATENCY_PARTS;
    return (int64_t)(((part + 1) << shift) - 1);
}

void latency_add(latency_t *self, int64_t us)
{
    if (us < 0)
        us = 0;
    self->counts[bucket_of((uint64_t)us)]++;
    self->total++;
    if (us > self->max_us)
        self->max_us = us;
}

void latency_merge(latency_t *self, const latency_t *other)
{
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        self->counts[i] += other->counts[i];
    self->total += other->total;
    if (other->max_us > self->max_us)
        self->max_us = other->max_us;
}

int64_t latency_quantile_us(const latency_t *self, double share)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += self->counts[i];
        if (seen > 0 && (double)seen >= share * (double)self->total) {
            int64_t end_us = bucket_end_us(i);
            return end_us < self->max_us ? end_us : self->max_us;
        }
    }
    return self->max_us;
}
