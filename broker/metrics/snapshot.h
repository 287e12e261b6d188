/*  The broker at one moment, as a scrape shows it: a copy that belongs to whoever asked. */

#ifndef REEVE_BROKER_METRICS_SNAPSHOT_H
#define REEVE_BROKER_METRICS_SNAPSHOT_H

#include "broker/metrics/metrics.h"

typedef struct queue_row {
    char *name;
    uint64_t waiting, scheduled, processing, dead, bytes, workers;
    double oldest_s; /* age of the task that waits longest; 0: none waits */
    queue_metrics_t counts;
} queue_row_t;

typedef struct task_row {
    char *name;
    histogram_t duration;
    reasons_t failures;
} task_row_t;

/*  Workers of one protocol. */
typedef struct worker_row {
    const char *protocol; /* static */
    uint64_t workers, slots, busy;
} worker_row_t;

/*  A count by a fixed reason. */
typedef struct named_count {
    const char *name; /* static */
    uint64_t count;
} named_count_t;

enum { SNAPSHOT_PROTOCOLS = 3, SNAPSHOT_NAMED = 32 };

typedef struct snapshot {
    queue_row_t *queues; /* at most LIMIT_METRIC_QUEUES, then "other" */
    size_t queue_count;
    task_row_t *tasks;
    size_t task_count;
    worker_row_t workers[SNAPSHOT_PROTOCOLS];
    named_count_t peers_refused[SNAPSHOT_NAMED], errors[SNAPSHOT_NAMED];
    size_t peers_refused_count, errors_count;
    histogram_t commit_s, commit_changes;
    uint64_t messages_in, messages_out, peers;
    uint64_t queues_total, in_memory, uncommitted;
    uint64_t stale, duplicates, conflicts, lost;
    uint64_t into_other[LABELS];
    uint64_t clock_steps;
    int64_t disk_reserve_bytes;
    double uptime_s;
} snapshot_t;

snapshot_t *snapshot_new(void);
void snapshot_destroy(snapshot_t **self);

#endif
