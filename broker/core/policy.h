/*  What a queue's tasks get where they do not say themselves, and what the queue may hold. */

#ifndef REEVE_BROKER_CORE_POLICY_H
#define REEVE_BROKER_CORE_POLICY_H

#include <stdint.h>

/*  What is reached before anybody hears of a change of a task. */
typedef enum durability {
    DURABILITY_FSYNC,  /* it is on disk */
    DURABILITY_MEMORY, /* the broker knows it, and writes it soon: a crash may lose it */
} durability_t;

/*  As in configurations, confirms and documents. */
static inline const char *durability_name(durability_t durability)
{
    return durability == DURABILITY_MEMORY ? "memory" : "fsync";
}

typedef struct policy {
    uint32_t max_retries;
    uint32_t max_deaths; /* a task that lost this many workers is quarantined */
    int64_t backoff_ms;  /* before the first retry; doubles with each */
    int64_t backoff_max_ms;
    int64_t timeout_ms;   /* per attempt; 0 none */
    int64_t retention_ms; /* ended tasks answer for so long; dead letters stay until purged */
    uint64_t max_length;  /* waiting and scheduled tasks; 0 no limit */
    uint64_t max_bytes;   /* bodies of the tasks that have not ended; 0 no limit */
    uint32_t log_every;   /* the log tells of every so-manieth task; 0 of none; failures always */
    durability_t durability;
} policy_t;

/*  A policy for one queue by name. */
typedef struct named_policy {
    const char *queue;
    policy_t policy;
} named_policy_t;

#define POLICY_DEFAULT                                                                             \
    ((policy_t){.max_retries = 3,                                                                  \
                .max_deaths = 3,                                                                   \
                .backoff_ms = 1000,                                                                \
                .backoff_max_ms = 10 * 60 * 1000,                                                  \
                .timeout_ms = 0,                                                                   \
                .retention_ms = 60 * 60 * 1000,                                                    \
                .max_length = 0,                                                                   \
                .max_bytes = 0,                                                                    \
                .log_every = 1,                                                                    \
                .durability = DURABILITY_FSYNC})

#endif
