/*  What a scrape of the broker shows: all metrics, under their names. */

#ifndef REEVE_BROKER_HTTP_EXPOSITION_H
#define REEVE_BROKER_HTTP_EXPOSITION_H

#include <stddef.h>

#include "broker/metrics/snapshot.h"
#include "common/prometheus.h"

/*  What the file system knows. */
typedef struct disk_usage {
    double database_bytes, wal_bytes, free_bytes;
} disk_usage_t;

/*  Of the broker at one moment; malloc'd. */
char *exposition(const snapshot_t *snapshot, const disk_usage_t *disk, prom_format_t format,
                 size_t *size);

#endif
