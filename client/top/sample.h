/*  What the broker said at one moment: its documents, as they came. */

#ifndef REEVE_CLIENT_TOP_SAMPLE_H
#define REEVE_CLIENT_TOP_SAMPLE_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "reeve/client.h"

typedef struct sample {
    int64_t at_ms;           /* monotonic, when the queues' answer came */
    cJSON *broker;           /* NULL: a broker that does not know the question */
    cJSON *queues, *workers; /* arrays */
    cJSON *dead;             /* an array; NULL: not asked for */
} sample_t;

/*  Asks for all of it. NULL with *error when a question has no answer or not the right one. */
sample_t *sample_ask(reeve_client_t *client, bool with_dead, reeve_error_t *error);
void sample_destroy(sample_t **self);

#endif
