/*  The HTTP side of the broker: the common server's pages, made of what the reactor publishes; never
    the core. /readyz says starting, draining, store_failed or disk_low while it is not ready. */

#ifndef REEVE_BROKER_HTTP_HTTP_H
#define REEVE_BROKER_HTTP_HTTP_H

#include <stddef.h>

#include "broker/metrics/snapshot.h"

typedef struct http http_t;

/*  Whether the broker is ready and, when not, why: a static one-word reason. Called from the HTTP
    thread at any time. */
typedef const char *(*http_ready_fn)(void *arg);

/*  A new snapshot, which the caller owns; NULL where none can be had in time. Called from the HTTP
    thread at any time. */
typedef snapshot_t *(*http_snapshot_fn)(void *arg);

/*  All borrowed until http_stop. */
typedef struct http_config {
    const char *address; /* "ADDR:PORT": IPv4, or IPv6 in brackets; port 0 takes a free one */
    http_ready_fn not_ready_reason;
    http_snapshot_fn take_snapshot;
    void *arg; /* of both */
    const char *db_path;
} http_config_t;

/*  NULL when it cannot serve; `problem` says why. */
http_t *http_start(const http_config_t *config, char *problem, size_t problem_size);
/*  The port that is served on. */
int http_port(const http_t *self);
void http_stop(http_t **self);

#endif
