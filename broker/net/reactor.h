/*  The reactor: one thread that owns all sockets and the core.

    Per turn: wait for input, a finished batch or a deadline; read the clock once; step the core with
    what came, up to a quota; send what may be said; hand the writer one batch; log and count. Never
    blocks on disk. */

#ifndef REEVE_BROKER_NET_REACTOR_H
#define REEVE_BROKER_NET_REACTOR_H

#include "broker/core/core.h"
#include "broker/metrics/exchange.h"
#include "broker/store/writer.h"

typedef struct reactor reactor_t;

typedef struct reactor_config {
    const char *const *endpoints; /* to bind */
    size_t endpoint_count;
    const store_identity_t *identity;
    int64_t heartbeat_ms, liveness_ms;
    int64_t disk_reserve_bytes; /* below this much free space, new tasks are refused */
    int64_t log_task_rate;      /* lines about single tasks in a second; failures are not counted */
    const char *db_path;
} reactor_config_t;

/*  What the HTTP side may see; written by the reactor, read by any thread through reactor_health. */
typedef enum health {
    HEALTH_STARTING,
    HEALTH_READY,
    HEALTH_DRAINING,
    HEALTH_FAILED,
    HEALTH_DISK_LOW
} health_t;

/*  Binds all endpoints. NULL when one cannot be bound; `problem` names it. The core and the store
    stay the caller's. */
reactor_t *reactor_new(const reactor_config_t *config, core_t *core, store_t *store, char *problem,
                       size_t problem_size);
/*  Ready from here on, as log, health and service manager are told. Runs until stopped: 0 after SIGTERM
    or SIGINT, -1 after the store failed. `on_hangup` is called for SIGHUP and returns whether it could do
    what was asked. After signals_block. */
int reactor_run(reactor_t *self, bool (*on_hangup)(void *), void *arg);
/*  Batches that the writer has not given back. Above 0 after reactor_run where it did not wait for
    them: a second signal came, or the disk took too long. */
size_t reactor_unwritten(const reactor_t *self);
/*  Where other threads ask for snapshots while the reactor lives. */
exchange_t *reactor_exchange(const reactor_t *self);
/*  Any thread. */
health_t reactor_health(const reactor_t *self);
void reactor_destroy(reactor_t **self);

#endif
