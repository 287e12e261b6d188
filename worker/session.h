/*  The worker's side of the protocol as a pure state machine: frames and the time go in; frames,
    deliveries and the wish for a new connection come out. No socket, no clock, no stream.

             tick: reopen time              WELCOME              worker_session_goodbye,
        DOWN ────────────────► GREETING ──────────────► REGISTERED ──────────────────────► LEFT
         ▲                      │    ▲                    │    │     when all is said
         │                      │    └─ ERROR NOT_READY ──┘    │
         └── silence, GOODBYE ──┴──────────────────────────────┘

    worker_session_goodbye turns DOWN and GREETING into LEFT at once.
    In GREETING only HELLO is sent, so that whatever else is said reaches a broker that knows us. On
    entering REGISTERED all is announced afresh: READY with every token held, then all settlements
    that were not confirmed. */

#ifndef REEVE_WORKER_SESSION_H
#define REEVE_WORKER_SESSION_H

#include "common/bytes.h"
#include "reeve/worker.h"

typedef struct session worker_session_t;

typedef struct worker_session_options {
    const char *name;          /* copied */
    const char *const *queues; /* NULL-terminated; copied */
    uint32_t prefetch;
    uint64_t seed; /* of the jitter of reconnects */
} worker_session_options_t;

/*  What the owner of the socket has to do. */
typedef enum worker_session_wish {
    SESSION_KEEP,
    SESSION_OPEN,
    SESSION_CLOSE
} worker_session_wish_t;

worker_session_t *worker_session_new(const worker_session_options_t *options, int64_t now_ms);
void worker_session_destroy(worker_session_t **self);

/*  Lets time pass. To be called after all frames that had arrived by now_ms were received, so that
   a process that was stopped for a while does not take its own sleep for the broker's silence.
    SESSION_OPEN: drop the socket if there is one, connect a new one (a new routing id).
    SESSION_CLOSE: drop it; OPEN follows when its time has come. */
worker_session_wish_t worker_session_tick(worker_session_t *self, int64_t now_ms);

/*  One frame from the broker; borrowed. Any bytes. */
void worker_session_receive(worker_session_t *self, slice_t frame, int64_t now_ms);

/*  The next frame to send, valid until the next call; false when there is none. Settlements made
    since the last call travel in one message. */
bool worker_session_output(worker_session_t *self, int64_t now_ms, slice_t *frame);

/*  The next delivery, or revoked one, as reeve_worker_poll shows it. */
bool worker_session_next_event(worker_session_t *self, reeve_delivery_t **delivery, bool *revoked);

/*  Milliseconds until worker_session_tick, worker_session_output or worker_session_next_event has
 * something to do. */
int64_t worker_session_next_ms(const worker_session_t *self, int64_t now_ms);

/*  What the functions of reeve/worker.h of the same names do. */
void worker_session_settle(worker_session_t *self, reeve_delivery_t **delivery,
                           const reeve_settlement_t *settlement, int64_t now_ms);
void worker_session_drop(worker_session_t *self, reeve_delivery_t **delivery);
void worker_session_progress(worker_session_t *self, const reeve_delivery_t *delivery,
                             slice_t data);
void worker_session_extend(worker_session_t *self, const reeve_delivery_t *delivery,
                           int64_t timeout_ms);
void worker_session_set_prefetch(worker_session_t *self, uint32_t prefetch);
void worker_session_goodbye(worker_session_t *self);
void worker_session_on_problem(worker_session_t *self, reeve_problem_fn *callback, void *argument);
void worker_session_on_settled(worker_session_t *self, reeve_settled_fn *callback, void *argument);
size_t worker_session_held(const worker_session_t *self);
size_t worker_session_unconfirmed(const worker_session_t *self);
reeve_worker_stats_t worker_session_stats(const worker_session_t *self);
bool worker_session_connected(const worker_session_t *self);

#endif
