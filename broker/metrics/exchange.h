/*  Where a thread that wants a snapshot meets the reactor, which alone can make one.

    The asker waits; the reactor never does. It looks here once a turn, and what nobody asked for is
    never made. */

#ifndef REEVE_BROKER_METRICS_EXCHANGE_H
#define REEVE_BROKER_METRICS_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/metrics/snapshot.h"

typedef struct exchange exchange_t;

/*  `wake_fd` is an eventfd that the reactor polls; it stays the caller's. */
exchange_t *exchange_new(int wake_fd);
/*  Nobody may be asking any more. */
void exchange_destroy(exchange_t **self);

/*  A snapshot made after this call, which the caller owns; NULL when none came in time. Any thread. */
snapshot_t *exchange_ask(exchange_t *self, int64_t timeout_ms);

/*  Whether somebody waits. Reactor thread. */
bool exchange_wanted(exchange_t *self);
/*  Gives it to the one who waits; takes it. Reactor thread. */
void exchange_give(exchange_t *self, snapshot_t **snapshot);

#endif
