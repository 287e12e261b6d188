/*  What the core wants done. Effects own what they point to; effects_clear releases it.
    Those for the store (EFFECT_CHANGE … EFFECT_SWEEP) must be carried out in their order; those for
    peers may be carried out at once, because the core gives them out only when all they depend on
    is durable (outbox.h). */

#ifndef REEVE_BROKER_CORE_EFFECT_H
#define REEVE_BROKER_CORE_EFFECT_H

#include "broker/core/event.h"
#include "broker/core/policy.h"

typedef enum effect_kind {
    EFFECT_NONE, /* what it owned is another's now */
    /* for the store */
    EFFECT_CHANGE,
    EFFECT_FIND,  /* answered by EVENT_FOUND */
    EFFECT_LOAD,  /* waiting tasks of a queue; EVENT_LOADED */
    EFFECT_DUE,   /* due and expired tasks; EVENT_DUE */
    EFFECT_DEAD,  /* a page of dead letters; EVENT_DEAD */
    EFFECT_SWEEP, /* remove ended tasks whose retention is over */
    /* for peers */
    EFFECT_CONFIRM,
    EFFECT_REFUSE,
    EFFECT_OUTCOME,
    EFFECT_REPLY, /* the end of a task with a reply_to */
    EFFECT_DONE,
    EFFECT_DELIVER,
    EFFECT_SETTLED,
    EFFECT_REVOKE,
    EFFECT_HEARTBEAT,
    EFFECT_DISCONNECT, /* the core has forgotten this worker */
    /* for the log */
    EFFECT_NOTE,
} effect_kind_t;

typedef enum revoke_cause { REVOKE_CANCELLED = 1, REVOKE_STALE, REVOKE_TIMEOUT } revoke_cause_t;

typedef enum note_kind {
    NOTE_WORKER_JOINED,
    NOTE_WORKER_LEFT,
    NOTE_WORKER_LOST,
    NOTE_STALE, /* a settlement of an attempt that is not current */
} note_kind_t;

typedef struct effect {
    effect_kind_t kind;
    peer_t peer;
    uint64_t corr;
    union {
        change_t change;
        struct {
            uint64_t ticket;
            char *id; /* NUL-terminated */
        } find;
        struct {
            uint32_t queue_id;
            uint64_t after; /* keys greater than this */
        } load;
        struct {
            int64_t until_ms; /* wall clock */
        } due;
        struct {
            uint64_t ticket;
            uint32_t queue_id; /* 0: all */
            uint64_t after;
        } dead;
        struct {
            int64_t now_ms; /* wall clock */
        } sweep;
        struct {
            durability_t durability;
            bool duplicate;
        } confirm;
        struct {
            reeve_error_t error;
            const char *text; /* static, or NULL: the error's meaning */
            int64_t retry_after_ms;
        } refuse;
        struct {
            record_t *record;
            reeve_state_t state;
            uint32_t attempts;
            outcome_t *outcome;
            bool partial;
        } outcome; /* OUTCOME and REPLY */
        struct {
            uint64_t count;
            reeve_state_t state;
        } done;
        struct {
            record_t *record;
            uint32_t attempt, retry_count, max_retries;
            int64_t timeout_ms;
            bool ephemeral;
        } deliver;
        struct {
            uint64_t seq;
            uint32_t attempt;
            revoke_cause_t cause;
            bool ephemeral;
        } revoke;
        struct {
            note_kind_t kind;
            char *worker;
            record_t *record; /* STALE: the task, where it is in memory */
            uint64_t seq;
            uint32_t attempt;
        } note;
    };
} effect_t;

typedef struct effects {
    effect_t *items;
    size_t count, capacity;
} effects_t;

/*  A new zeroed effect at the end of the list; valid until the next call. */
effect_t *effects_add(effects_t *self, effect_kind_t kind);
/*  Releases what one effect owns. */
void effect_fini(effect_t *effect);
/*  Releases all effects and empties the list; keeps its memory. */
void effects_clear(effects_t *self);
void effects_fini(effects_t *self);

#endif
