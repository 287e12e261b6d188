/*  Those who talk to the broker, each on a timer of its own. They keep to docs/protocol.md, chapters 4
    and 9, where the plan does not make them sick. */

#ifndef REEVE_TESTS_SIM_PEERS_H
#define REEVE_TESTS_SIM_PEERS_H

#include "tests/sim/sim.h"

client_t *client_new(sim_t *sim, unsigned number, protocol_t protocol);
void client_destroy(client_t **self);
void client_heal(client_t *self);
/*  Everything asked was answered, and everything to submit was submitted. */
bool client_is_done(const client_t *self);
/*  What it still waits for, in words. */
const char *client_wish(const client_t *self, char *text, size_t size);

worker_t *worker_new(sim_t *sim, unsigned number, protocol_t protocol);
void worker_destroy(worker_t **self);
void worker_heal(worker_t *self);

#endif
