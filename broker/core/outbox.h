/*  Commit, then speak: the one place where what is said waits for what is written.

    Every change gets a number. A message to a peer, or a line for the log, is held back until all
    changes issued before it are durable; so nobody ever hears of something a crash could undo
    (docs/guarantees.md, 1). Messages keep their order. */

#ifndef REEVE_BROKER_CORE_OUTBOX_H
#define REEVE_BROKER_CORE_OUTBOX_H

#include "broker/core/effect.h"

typedef struct held_effect {
    uint64_t after; /* may leave when this change is durable */
    effect_t effect;
} held_effect_t;

/*  A ring of what is held back. Zero-initialise. */
typedef struct outbox {
    held_effect_t *ring;
    size_t head, count, capacity; /* capacity is a power of two */
    size_t revocations;           /* of the count: few, so that dropping one is rarely a walk */
} outbox_t;

/*  A new effect to fill in, held until change `after` is durable. Valid until the next call. */
effect_t *outbox_add(outbox_t *self, uint64_t after, effect_kind_t kind);
/*  What waits to tell this peer that an attempt is not its own: it is its own again. */
void outbox_drop_revoke(outbox_t *self, peer_t peer, const held_t *held);
/*  What waits to be delivered to this peer: it has left. */
void outbox_drop_deliveries(outbox_t *self, peer_t peer);
/*  Moves to `out` what may leave now that `durable` changes are committed. */
void outbox_release(outbox_t *self, uint64_t durable, effects_t *out);
void outbox_fini(outbox_t *self);

#endif
