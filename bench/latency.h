/*  A histogram of durations with a relative error of at most 1/32, in constant memory. */

#ifndef REEVE_BENCH_LATENCY_H
#define REEVE_BENCH_LATENCY_H

#include <stdint.h>

/*  Every power of two has 32 buckets; durations below 32 us have one each. */
#define LATENCY_PARTS   32
#define LATENCY_BUCKETS (LATENCY_PARTS * 48)

typedef struct latency {
    uint64_t counts[LATENCY_BUCKETS];
    uint64_t total;
    int64_t max_us;
} latency_t;

void latency_add(latency_t *self, int64_t us);
void latency_merge(latency_t *self, const latency_t *other);

/*  What `share` (0 … 1) of the durations do not exceed; 0 when there are none. */
int64_t latency_quantile_us(const latency_t *self, double share);

#endif
