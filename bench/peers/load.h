/*  The load that every peer is put under: bench/reeve-load's, for servers that are not Reeve.

    load.c is the program: options, threads, counting, latencies. A peer's file is its client: it
    defines `peer`, written as its users would write it for speed. */

#ifndef REEVE_BENCH_PEERS_LOAD_H
#define REEVE_BENCH_PEERS_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct load_options {
    const char *port;  /* of 127.0.0.1 */
    const char *queue; /* of this run alone */
    const char *class; /* what the peer makes of --class; "" by default */
    int prefetch;
} load_options_t;

/*  Blocking, each handle for one thread. Whatever fails ends the program with load_die. */
typedef struct peer {
    const char *name;
    /*  Makes the queue; before any handle is opened. NULL: nothing to make. */
    void (*prepare)(const load_options_t *options);

    void *(*producer_new)(const load_options_t *options);
    /*  Queues one task for sending; may send. */
    void (*submit)(void *self, const char *body, size_t size);
    /*  Sends what is queued, and returns how many tasks were confirmed since the last call;
        with `wait` at least one. */
    size_t (*confirms)(void *self, bool wait);

    void *(*consumer_new)(const load_options_t *options);
    /*  Receives what there is, waiting a moment when there is nothing, with at most `prefetch` tasks
        not acknowledged; calls load_taken for each task, and load_acked when the server has
        confirmed that all acknowledgements so far arrived. */
    void (*take)(void *self);
    /*  Acknowledges the rest and waits for the server's word on it. */
    void (*finish)(void *self);
} peer_t;

extern const peer_t peer;

void load_die(const char *pattern, ...) __attribute__((format(printf, 1, 2), noreturn));

/*  Both of the calling consumer thread. */
void load_taken(const char *body, size_t size);
void load_acked(void);

#endif
