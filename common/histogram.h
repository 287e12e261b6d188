/*  Observations by size, in buckets that are the same in every program. */

#ifndef REEVE_COMMON_HISTOGRAM_H
#define REEVE_COMMON_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 16 };

/*  counts[i] are those up to the kind's bound i, not cumulated; the last ones are beyond all
    bounds. */
typedef struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS + 1];
    double sum;
} histogram_t;

/*  The bounds that a histogram is made with. */
typedef enum histogram_kind {
    HISTOGRAM_DURATION, /* of an attempt, seconds: 5 ms … 1 h */
    HISTOGRAM_AGE,      /* waits and whole lives, seconds: 5 ms … 1 day */
    HISTOGRAM_COMMIT,   /* of a transaction, seconds: 50 µs … 5 s */
    HISTOGRAM_BATCH,    /* changes in a transaction: 1 … 32768 */
} histogram_kind_t;

/*  HISTOGRAM_BOUNDS ascending numbers. */
const double *histogram_bounds(histogram_kind_t kind);
void histogram_add(histogram_t *self, histogram_kind_t kind, double value);
uint64_t histogram_count(const histogram_t *self);

#endif
