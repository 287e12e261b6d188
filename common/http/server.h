/*  What every program that runs for long serves over HTTP, in libmicrohttpd's own thread: whether it
    is alive, whether it is ready, and its metrics.

        GET /livez    200 while the process runs
        GET /readyz   200, or 503 with one word that says why not
        GET /metrics  for Prometheus; OpenMetrics where Accept asks for it */

#ifndef REEVE_COMMON_HTTP_SERVER_H
#define REEVE_COMMON_HTTP_SERVER_H

#include "common/prometheus.h"

typedef struct http_server http_server_t;

/*  All borrowed until http_server_stop. The functions are called from the server's thread at any
    time; they must not wait for what the program does otherwise. */
typedef struct http_server_config {
    const char *address; /* "ADDR:PORT": IPv4, or IPv6 in brackets; port 0 takes a free one */
    /*  NULL when it is ready, else a static one-word reason. */
    const char *(*not_ready_reason)(void *arg);
    /*  The page of metrics, malloc'd; NULL when there is none to be had now. */
    char *(*metrics)(void *arg, prom_format_t format, size_t *size);
    void *arg;
} http_server_config_t;

/*  NULL when it cannot serve; `problem` says why. */
http_server_t *http_server_start(const http_server_config_t *config, char *problem,
                                 size_t problem_size);
/*  The port that is served on. */
int http_server_port(const http_server_t *self);
void http_server_stop(http_server_t **self);

#endif
