/*  The text that Prometheus scrapes: its own format 0.0.4, or OpenMetrics 1.0.
    Source: prometheus.io/docs/instrumenting/exposition_formats; the OpenMetrics specification. */

#ifndef REEVE_BROKER_HTTP_EXPOSITION_H
#define REEVE_BROKER_HTTP_EXPOSITION_H

#include <stddef.h>

#include "broker/metrics/snapshot.h"

typedef enum exposition_format {
    EXPOSITION_PROMETHEUS,
    EXPOSITION_OPENMETRICS
} exposition_format_t;

/*  What the file system knows. */
typedef struct disk_usage {
    double database_bytes, wal_bytes, free_bytes;
} disk_usage_t;

/*  Of the broker at one moment; malloc'd. */
char *exposition(const snapshot_t *snapshot, const disk_usage_t *disk, exposition_format_t format,
                 size_t *size);
/*  The Content-Type that goes with it. */
const char *exposition_type(exposition_format_t format);

#endif
