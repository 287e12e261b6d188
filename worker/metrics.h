/*  What the worker counts, and the page of metrics that shows it.

    The loop counts; HTTP's thread makes the page, of a copy. The lock between them is held for the
    copying alone. Labels are what the command line named, and reasons within a limit. */

#ifndef REEVE_WORKER_METRICS_H
#define REEVE_WORKER_METRICS_H

#include "common/prometheus.h"
#include "reeve/worker.h"
#include "worker/options.h"

typedef struct worker_metrics worker_metrics_t;

/*  What became of an attempt in our hands. */
typedef enum attempt_result {
    ATTEMPT_SUCCESS,
    ATTEMPT_FAILURE,
    ATTEMPT_REJECTED,
    ATTEMPT_RELEASED, /* given back uncounted */
    ATTEMPT_REVOKED,  /* taken back by the broker */
    ATTEMPT_RESULTS,
} attempt_result_t;

/*  A broker as the loop last saw it. */
typedef struct broker_view {
    uint64_t connected; /* 1 or 0 */
    uint64_t held, unconfirmed;
    reeve_worker_stats_t stats;
} broker_view_t;

/*  `options` are borrowed. */
worker_metrics_t *worker_metrics_new(const options_t *options);
void worker_metrics_destroy(worker_metrics_t **self);

/*  An attempt that ended here. `reason` is NULL where it has none; `duration_s` is below 0 where no
    command ran to its end. */
void worker_metrics_attempt(worker_metrics_t *self, const char *queue, attempt_result_t result,
                            const char *reason, double duration_s);
/*  `index` is that of options->brokers. */
void worker_metrics_broker(worker_metrics_t *self, size_t index, const broker_view_t *view);
void worker_metrics_running(worker_metrics_t *self, size_t commands);

/*  The page, malloc'd; NULL without memory for it. Any thread. */
char *worker_metrics_page(worker_metrics_t *self, prom_format_t format, size_t *size);

#endif
