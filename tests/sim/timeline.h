/*  Simulated time: what is to happen, in the order in which it will. Happenings of the same
    millisecond keep the order in which they were arranged. */

#ifndef REEVE_TESTS_SIM_TIMELINE_H
#define REEVE_TESTS_SIM_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*happening_fn)(void *who, uint64_t tag);

typedef struct happening {
    int64_t at_ms;
    uint64_t order;
    happening_fn run;
    void *who;
    uint64_t tag; /* nothing is ever called off: who compares the tag with what it expects */
} happening_t;

/*  A binary heap. Zero-initialise. */
typedef struct timeline {
    happening_t *heap;
    size_t count, capacity;
    uint64_t order;
} timeline_t;

void timeline_at(timeline_t *self, int64_t at_ms, happening_fn run, void *who, uint64_t tag);
/*  The next happening is taken out; false when there is none. */
bool timeline_next(timeline_t *self, happening_t *out);
void timeline_fini(timeline_t *self);

#endif
