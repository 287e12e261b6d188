/*  The HTTP side: /livez and /readyz, served by libmicrohttpd's own thread from what the reactor
    publishes; never the core. */

#ifndef REEVE_BROKER_HTTP_HTTP_H
#define REEVE_BROKER_HTTP_HTTP_H

#include <stddef.h>

typedef struct http http_t;

/*  Whether the broker is ready and, when not, why: a static one-word reason. Called from the HTTP
    thread at any time. */
typedef const char *(*http_ready_fn)(void *arg);

/*  Serves on "ADDR:PORT" (IPv4, or IPv6 in brackets; port 0 takes a free one). NULL when it cannot;
    `problem` says why. */
http_t *http_start(const char *address, http_ready_fn not_ready_reason, void *arg, char *problem,
                   size_t problem_size);
/*  The port that is served on. */
int http_port(const http_t *self);
void http_stop(http_t **self);

#endif
