/*  What the broker counts while it works, for Prometheus.

    The reactor's thread counts; a copy (snapshot.h) is what others see. Task names, queues and reasons
    come from peers, so their number is bounded: what is beyond goes to "other", and that is counted,
    too. No task id is ever a label. */

#ifndef REEVE_BROKER_METRICS_METRICS_H
#define REEVE_BROKER_METRICS_METRICS_H

#include <uthash.h>

#include "broker/core/record.h"
#include "common/histogram.h"
#include "common/reasons.h"
#include "reeve/error.h"

enum { METRIC_ERRORS = REEVE_ERR_CLOSED + 1 };

/*  By task name. */
typedef struct task_metrics {
    char *name;
    histogram_t duration; /* attempts whose end a worker reported, as the worker measured them */
    reasons_t failures;
    UT_hash_handle hh;
} task_metrics_t;

/*  By queue, as far as it is counted here; the core knows the rest. */
typedef struct queue_metrics {
    uint64_t submitted, started, succeeded, failed, cancelled, expired;
    histogram_t wait; /* from submission, or from when it was due, to the first attempt */
    histogram_t life; /* from submission to the end */
    reasons_t retries;
} queue_metrics_t;

/*  Labels whose values had to go to "other". */
typedef enum label { LABEL_TASK, LABEL_REASON, LABEL_QUEUE, LABELS } label_t;

typedef struct metrics {
    task_metrics_t *tasks;   /* by name */
    queue_metrics_t *queues; /* by queue id */
    size_t queue_capacity;
    histogram_t commit_s, commit_changes;
    uint64_t refused[METRIC_ERRORS]; /* by reeve_error_t */
    uint64_t messages_in, messages_out;
    uint64_t into_other[LABELS];
} metrics_t;

void metrics_init(metrics_t *self);
void metrics_fini(metrics_t *self);

/*  An attempt that began at `wall_ms`, where its change does not tell (change_tells_start). */
void metrics_start(metrics_t *self, const record_t *record, uint32_t attempt, int64_t wall_ms);
/*  A change that is durable. */
void metrics_change(metrics_t *self, const change_t *change);
/*  A transaction that is durable. */
void metrics_commit(metrics_t *self, int64_t commit_us, uint64_t changes);

#endif
