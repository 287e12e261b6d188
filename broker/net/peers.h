/*  Who is connected: routing ids, what they speak, and what is batched for them. */

#ifndef REEVE_BROKER_NET_PEERS_H
#define REEVE_BROKER_NET_PEERS_H

#include <uthash.h>

#include "broker/core/event.h"
#include "common/wire/mdp.h"
#include "common/wire/reeve.h"

enum { ROUTING_ID_BYTES = 255 };

/*  A run of correlation numbers that are answered together. */
typedef struct run {
    uint64_t first, count;
    bool duplicate;
    uint64_t durability; /* WIRE_DURABILITY_…, of confirms */
} run_t;

/*  A message that grows during a turn; its list must not pass LIMIT_BATCH. */
typedef struct outgoing {
    wire_buffer_t buffer;
    size_t items;
} outgoing_t;

/*  Bytes on their way to a peer, and 1 for its entry; ZeroMQ's thread may be the last to need it. */
typedef _Atomic size_t backlog_t;

typedef struct peer_entry {
    peer_t handle;
    size_t id_size;
    uint8_t id[ROUTING_ID_BYTES];
    bool mdp;                    /* spoke Majordomo last */
    bool mdp_worker;             /* has sent READY over Majordomo */
    mdp_version_t version;       /* of its last message as a worker */
    bool delimiter;              /* it puts an empty frame before the header */
    bool said_hello, was_worker; /* of our own protocol */
    bool parting;                /* the core is to be told at the end of the turn that it leaves */
    int strays;                  /* unknown tokens since the last known one or heartbeat */
    char *address; /* where it connects from, for people; NULL where the transport does not tell */
    int64_t last_seen_ms;
    bool leaving;                   /* it said goodbye */
    uint64_t leaves_after;          /* this batch of the writer's: then it has heard all */
    struct peer_entry *prev, *next; /* of those present, or of those leaving */
    backlog_t *backlog;
    /* Batches of this turn, for peers of our own protocol. */
    bool dirty;
    struct peer_entry *next_dirty;
    outgoing_t deliver, confirm, settled, revoke;
    run_t confirm_run, settled_run;
    UT_hash_handle hh_id, hh_handle;
} peer_entry_t;

typedef struct peers {
    peer_entry_t *by_id, *by_handle;
    peer_entry_t *present; /* who has been silent longest first */
    peer_entry_t *leaving; /* who goes first, first */
    peer_t last_handle;
    size_t limit;
} peers_t;

/*  Any thread. */
void backlog_drop(backlog_t *backlog, size_t bytes);

void peers_init(peers_t *self, size_t limit);
void peers_fini(peers_t *self);
/*  Finds or makes the entry; it has been heard now, and stays. */
peer_entry_t *peers_get(peers_t *self, slice_t routing_id, int64_t now_ms);
peer_entry_t *peers_find(const peers_t *self, peer_t handle);
void peers_forget(peers_t *self, peer_entry_t *peer);
size_t peers_count(const peers_t *self);
/*  Forgets the peer when this batch has been answered, unless it is heard again. */
void peers_leave(peers_t *self, peer_entry_t *peer, uint64_t batch);
void peers_see_off(peers_t *self, uint64_t answered_batch);

/*  Which peers may be forgotten, and whom to tell before one is. */
typedef struct peers_rule {
    bool (*keep)(peer_t, void *);
    void (*gone)(peer_t, void *);
    void *arg;
} peers_rule_t;
/*  Forgets peers last seen before `before_ms`. */
void peers_expire(peers_t *self, int64_t before_ms, const peers_rule_t *rule);
/*  Forgets who has been silent longest where more than `limit` are present, but never the one heard last.
    False when too many have to be kept. */
bool peers_make_room(peers_t *self, const peers_rule_t *rule);

#endif
