/*  One attempt in our hands: from its delivery until the broker confirmed how it ended. */

#ifndef REEVE_WORKER_DELIVERY_H
#define REEVE_WORKER_DELIVERY_H

#include <uthash.h>

#include "common/wire/reeve.h"
#include "reeve/worker.h"

/*   DELIVER         shown to the user         reeve_settle           SETTLED, ERROR, REVOKE
    ────────► ARRIVED ────────────────► TAKEN ─────────────► SETTLED ────────────────────────► (freed)
                 │                        │ REVOKE                                                ▲
                 │                        ▼                                                       │
                 │                     REVOKED ───── reeve_settle, reeve_delivery_drop ───────────┤
                 └─ REVOKE ───────────────────────────────────────────────────────────────────────┘ */
typedef enum delivery_state {
    DELIVERY_ARRIVED,
    DELIVERY_TAKEN,
    DELIVERY_SETTLED,
    DELIVERY_REVOKED,
} delivery_state_t;

struct reeve_delivery {
    delivery_state_t state;
    char *token, *id, *task_name, *queue, *origin;
    slice_t token_bytes;
    wire_task_t task; /* its slices point to the strings above and to `body` */
    char *body;       /* NULL once settled: only the verdict travels from there */
    uint64_t attempt, retry_count;
    int64_t started_ms; /* -1: not started */
    int64_t extend_ms;  /* last asked for; 0: never */
    bool extend_due;
    void *user;

    wire_settlement_t settlement; /* from SETTLED on; slices owned */
    uint64_t corr;                /* 0: not sent on the present connection */
    int64_t sent_ms;
    bool resent; /* a refusal as stale may be the answer to our own repetition */

    bool revocation_shown;
    struct reeve_delivery *prev, *next; /* in one of the session's lists */
    UT_hash_handle hh;                  /* by token */
    UT_hash_handle hh_corr;
};

/*  Copies all of `wire`. */
reeve_delivery_t *worker_delivery_new(const wire_delivery_t *wire);
void worker_delivery_destroy(reeve_delivery_t **self);

/*  Moves it to SETTLED with a copy of the verdict, made acceptable: strings are cut to their limits
    (a traceback keeps its end), bytes that are not text are replaced, a result announced as JSON
   that is not becomes text. A verdict must not be lost because its decoration is bad. */
void worker_delivery_settle(reeve_delivery_t *self, const reeve_settlement_t *settlement,
                            int64_t now_ms);

/*  About how many bytes its settlement takes in a message. */
size_t worker_delivery_settlement_size(const reeve_delivery_t *self);

void worker_delivery_start(reeve_delivery_t *self, int64_t now_ms);

#endif
