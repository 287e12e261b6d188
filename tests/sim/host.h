/*  The broker's process: the core, driven as broker/net/reactor.c drives it, in turns with batches,
    completions and an id filter; and how the process starts, stops and dies. */

#ifndef REEVE_TESTS_SIM_HOST_H
#define REEVE_TESTS_SIM_HOST_H

#include "tests/sim/sim.h"

host_t *host_new(sim_t *sim);
void host_destroy(host_t **self);

bool host_is_up(const host_t *self);
void host_start(host_t *self);
void host_receive(host_t *self, uint64_t handle, const message_t *message);
/*  A finished batch is there to be collected. */
void host_wake(host_t *self);
/*  A write failed: the broker stops. `written`: it reached the disk all the same. */
void host_store_failed(host_t *self, bool written);
void host_kill(host_t *self);
void host_drain(host_t *self);
void host_set_disk_low(host_t *self, bool low);
/*  Stops in order: what was handed to the disk is written first. */
void host_stop(host_t *self);

/*  Lets the oracle read the store: while the broker is down or quiet. */
bool host_is_quiet(const host_t *self);
uint64_t host_unfinished(const host_t *self);
void host_audit(host_t *self);
void host_demand_the_end(host_t *self);

#endif
