/*  The broker's process: what its files share (host.c turns, host_wire.c messages, host_rest.c the
    store at rest). */

#ifndef REEVE_TESTS_SIM_HOST_INSIDE_H
#define REEVE_TESTS_SIM_HOST_INSIDE_H

#include <uthash.h>

#include "broker/core/core.h"
#include "broker/store/store.h"
#include "common/wire/token.h"
#include "tests/sim/disk.h"
#include "tests/sim/host.h"

typedef struct known_id {
    char id[32];
    UT_hash_handle hh;
} known_id_t;

/*  As broker/net/peers.h has it. */
typedef struct host_peer {
    uint64_t handle;
    protocol_t protocol;
    bool said_hello, was_worker, mdp_worker;
    unsigned strays;
    UT_hash_handle hh;
} host_peer_t;

typedef struct parting {
    uint64_t handle;
    event_kind_t kind;
} parting_t;

typedef struct received {
    uint64_t handle;
    message_t message;
} received_t;

struct host {
    sim_t *sim;
    store_t *store; /* outlives the processes */
    disk_t *disk;
    core_t *core;
    effects_t effects;
    batch_t *batch;
    bool up, draining, disk_low;
    uint64_t epoch, committed, minted;
    token_keys_t token_keys;
    int64_t wake_ms; /* the next turn that is arranged */
    int64_t stop_ms;
    known_id_t *ids;
    host_peer_t *peers;
    parting_t *partings;
    size_t parting_count;
    received_t *inbox;
    size_t inbox_count, inbox_capacity;
};

host_peer_t *host_peer(host_t *self, uint64_t handle);
bool host_maybe_known(host_t *self, slice_t id);
void host_step(host_t *self, event_t *event);
void host_part(host_t *self, uint64_t handle, event_kind_t kind);
/*  A message leaves for a peer. */
void host_say(host_t *self, uint64_t handle, const message_t *message);

/*  host_wire.c */
void host_take(host_t *self, host_peer_t *peer, message_t *message);
void host_tell(host_t *self, host_peer_t *peer, const effect_t *effect);
void host_reply(host_t *self, const effect_t *effect);

#endif
