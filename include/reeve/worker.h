/*  libreeve, consuming side: announce queues, receive tasks, settle them.

    A worker handle serves one broker connection and is used by one thread. It heartbeats from
    reeve_worker_poll, so call that at least every second while tasks run (do the work in other
    threads or processes). It hides reconnects: it announces itself again with what it still holds,
    and delivers settlements that were not confirmed. Handlers must be idempotent: delivery is
    at-least-once.

    Nothing here ends the process or writes to a stream, but for one case: where memory runs out, the line
    "reeve: out of memory asking for N bytes" goes to standard error, and the process ends at once with
    status 71 (EX_OSERR), without what atexit would do. */

#ifndef REEVE_WORKER_H
#define REEVE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reeve/error.h"
#include "reeve/task.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct reeve_worker reeve_worker_t;
typedef struct reeve_delivery reeve_delivery_t; /* one attempt in our hands */

typedef struct reeve_worker_options {
    const char *broker;        /* endpoint; NULL: $REEVE_BROKER, else tcp://127.0.0.1:5555 */
    const char *name;          /* NULL: host-pid-random */
    const char *const *queues; /* NULL-terminated */
    uint32_t prefetch;         /* unsettled tasks held at most; 0: 1 */
} reeve_worker_options_t;

/*  NULL with errno: EINVAL when the endpoint, the name or a queue is not one, the prefetch is over 10,000,
    or not 1 to 256 queues are named (no `options`: none is); else why the system refused what the handle
    needs, such as EMFILE. */
reeve_worker_t *reeve_worker_new(const reeve_worker_options_t *options);
/*  Closes at once; unsettled tasks are given to others by the broker. */
void reeve_worker_destroy(reeve_worker_t **self);

/*  Does the I/O: sends, heartbeats, reconnects; waits up to timeout_ms (0: not at all, < 0: for ever)
    for something to happen.
    Returns 1 with *delivery: a new task (unless *revoked), or, with *revoked, one handed out earlier
    that is no longer ours (cancelled, or its lease was lost): stop it, and settle it or forget it
    with reeve_delivery_drop. 0 when nothing happened, or a signal came meanwhile. */
int reeve_worker_poll(reeve_worker_t *self, int64_t timeout_ms, reeve_delivery_t **delivery,
                      bool *revoked);
/*  A descriptor that polls readable when reeve_worker_poll(…, 0) should be called (edge-triggered as
    ZMQ_FD: call it until it returns 0), and the longest time to stay away. */
int reeve_worker_fd(const reeve_worker_t *self);
int64_t reeve_worker_next_ms(const reeve_worker_t *self);

/*  Called from within reeve_worker_poll for what a program should put in its log: an ERROR of the
    broker, or a settlement that it refused and that is therefore forgotten. `task_id` is NULL where
    it is about no task. No function of the handle may be called from it. NULL: none (default). */
typedef void reeve_problem_fn(void *argument, const char *task_id, reeve_error_t error,
                              const char *text);
void reeve_worker_on_problem(reeve_worker_t *self, reeve_problem_fn *callback, void *argument);

/*  Called from within reeve_worker_poll for each settlement that the broker has stored. Not every one
    is told: after a reconnect it may turn out only that a settlement need not be repeated. No
    function of the handle may be called from it. NULL: none (default). */
typedef void reeve_settled_fn(void *argument, const char *task_id, uint32_t attempt);
void reeve_worker_on_settled(reeve_worker_t *self, reeve_settled_fn *callback, void *argument);

/*  Of a delivery, valid until it is settled or dropped. */
const char *reeve_delivery_id(const reeve_delivery_t *self);
const char *reeve_delivery_task_name(const reeve_delivery_t *self);
const char *reeve_delivery_queue(const reeve_delivery_t *self);
uint32_t reeve_delivery_attempt(const reeve_delivery_t *self);
uint32_t reeve_delivery_max_retries(const reeve_delivery_t *self);
int64_t reeve_delivery_timeout_ms(const reeve_delivery_t *self);    /* 0: none */
int64_t reeve_delivery_created_at_ms(const reeve_delivery_t *self); /* since 1970-01-01 UTC */
/*  The task document as JSON text; malloc'd, the caller frees it. NULL when there is no memory for it. */
char *reeve_delivery_document(const reeve_delivery_t *self);
void *reeve_delivery_user(const reeve_delivery_t *self);
void reeve_delivery_set_user(reeve_delivery_t *self, void *user);

/*  Tells that work on it began (its running time travels with the heartbeats). */
void reeve_delivery_started(reeve_delivery_t *self);

typedef enum reeve_verdict {
    REEVE_SUCCESS = 1,
    REEVE_FAILURE = 2, /* retried while tries are left, then a dead letter */
    REEVE_REJECT = 3,  /* a dead letter at once */
    REEVE_RELEASE = 4, /* given back uncounted */
} reeve_verdict_t;

typedef struct reeve_settlement {
    reeve_verdict_t verdict;
    int result_kind; /* 0 none, 1 JSON, 2 text */
    const void *result;
    size_t result_size;
    const char *reason, *error, *traceback; /* NULL: none; cut at their limits */
} reeve_settlement_t;

/*  Settles and nulls the caller's pointer; the library keeps the verdict until the broker confirms
    it, over reconnects. */
void reeve_settle(reeve_worker_t *self, reeve_delivery_t **delivery,
                  const reeve_settlement_t *settlement);
/*  Forgets a revoked delivery; nulls the caller's pointer. */
void reeve_delivery_drop(reeve_worker_t *self, reeve_delivery_t **delivery);
/*  Progress text shown to who waits for the task; lossy. What is over 4 MiB is dropped, and all while no
    broker is connected, while 1024 wait to be sent, or once the delivery was revoked. */
void reeve_progress(reeve_worker_t *self, const reeve_delivery_t *delivery, const void *data,
                    size_t size);
/*  Asks for more time for this attempt: timeout_ms from its start. Nothing when that is not above 0. */
void reeve_extend(reeve_worker_t *self, const reeve_delivery_t *delivery, int64_t timeout_ms);

/*  0 stops new deliveries (drain). */
void reeve_worker_set_prefetch(reeve_worker_t *self, uint32_t prefetch);
size_t reeve_worker_held(const reeve_worker_t *self);        /* deliveries not settled */
size_t reeve_worker_unconfirmed(const reeve_worker_t *self); /* settlements not confirmed */
/*  What a handle has counted since it was made. */
typedef struct reeve_worker_stats {
    uint64_t
        connects; /* how often it registered with the broker: all but the first are reconnects */
    uint64_t heartbeats_sent, heartbeats_received;
    uint64_t deliveries; /* attempts that arrived */
    uint64_t cancelled, lost,
        timed_out;                /* of them, those that the broker took back, by its cause */
    uint64_t settlements_refused; /* as reeve_worker_on_problem tells them */
} reeve_worker_stats_t;
reeve_worker_stats_t reeve_worker_stats(const reeve_worker_t *self);
/*  Whether a WELCOME came on the present connection, and no goodbye was said to it yet. */
bool reeve_worker_connected(const reeve_worker_t *self);
/*  Says goodbye so that the broker gives what is held to others at once; then destroy. */
void reeve_worker_goodbye(reeve_worker_t *self);

#ifdef __cplusplus
}
#endif

#endif
