/*  Samples become rows: what there is now, and rates from what was counted since the sample before.
    No clock, no socket, no terminal. */

#ifndef REEVE_CLIENT_TOP_MODEL_H
#define REEVE_CLIENT_TOP_MODEL_H

#include <stddef.h>

#include "client/top/sample.h"

/*  X (symbol, name): what queues are sorted by; the largest first, names ascending. */
#define SORT_KEYS(X)                                                                               \
    X(WAITING, "waiting")                                                                          \
    X(RATE, "rate")                                                                                \
    X(AGE, "age")                                                                                  \
    X(NAME, "name")

typedef enum sort_key {
#define X(symbol, name) SORT_##symbol,
    SORT_KEYS(X)
#undef X
        SORT_KEY_COUNT
} sort_key_t;

const char *sort_key_name(sort_key_t key);
/*  False when there is no key of this name. */
bool sort_key_find(const char *name, sort_key_t *key);

enum { NOT_KNOWN = -1 };

/*  Strings are the sample's. */
typedef struct queue_row {
    const char *name;
    double waiting, scheduled, processing, dead, workers;
    double submitted, finished; /* since the broker's start; NOT_KNOWN: it does not say */
    double in_per_s, out_per_s; /* NOT_KNOWN: there is no sample before of this run */
    double age_s;               /* of the oldest waiting task; NOT_KNOWN: none waits */
    const cJSON *document;
} queue_row_t;

typedef struct worker_row {
    const char *name, *address, *protocol;
    double busy, slots, heard_s;
    const cJSON *queues; /* an array of names */
} worker_row_t;

typedef struct model {
    sample_t *sample; /* NULL before the first one */
    queue_row_t *queues;
    size_t queue_count;
    worker_row_t *workers; /* by name */
    size_t worker_count;
    queue_row_t all; /* the queues together; the oldest age of all; no name */
    double busy, slots;
    sample_t *before;
    queue_row_t *queues_before; /* by name */
    size_t count_before;
    sort_key_t sort;
} model_t;

/*  Zero-initialise. Takes the sample over. */
void model_take(model_t *self, sample_t **sample);
void model_sort(model_t *self, sort_key_t key);
void model_fini(model_t *self);

#endif
