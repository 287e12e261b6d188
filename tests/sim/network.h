/*  Links between peers and the broker: one DEALER each, to the broker's ROUTER.

    A link loses, repeats, delays and reorders messages as the plan says, and can be cut: what is on
    the way is lost, and to the broker the peer is a stranger from then on (docs/protocol.md, 9). The
    broker learns of a lost connection when it sends next, as from a ROUTER with ROUTER_MANDATORY. */

#ifndef REEVE_TESTS_SIM_NETWORK_H
#define REEVE_TESTS_SIM_NETWORK_H

#include "tests/sim/sim.h"

typedef struct link {
    sim_t *sim;
    char name[24]; /* for the story */
    void *owner;
    void (*receive)(void *owner, const message_t *message);
    uint64_t handle; /* the broker's name for it; 0: it has not spoken since it was (re)connected */
    uint64_t generation;
    bool closed, deaf;
    unsigned unread;
    int64_t last_in_ms, last_out_ms; /* arrival of the latest in order */
} link_t;

network_t *network_new(sim_t *sim);
void network_destroy(network_t **self);

/*  A new socket. Lives as long as the network, also after link_close. */
link_t *link_open(sim_t *sim, const char *name, void *owner,
                  void (*receive)(void *, const message_t *));
void link_close(link_t *self);
/*  The connection breaks and is made again under the same socket. */
void link_cut(link_t *self);
void link_send(link_t *self, const message_t *message);
/*  False: the peer of this handle is gone, or does not read. */
bool network_answer(network_t *self, uint64_t handle, const message_t *message);
const char *network_name(const network_t *self, uint64_t handle);
/*  The broker died: every connection breaks. */
void network_cut_all(network_t *self);

#endif
