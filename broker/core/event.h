/*  What can happen to the core. An event carries the time; everything it points to is borrowed for
    the duration of core_step. */

#ifndef REEVE_BROKER_CORE_EVENT_H
#define REEVE_BROKER_CORE_EVENT_H

#include "broker/core/record.h"
#include "reeve/error.h"

/*  Names a peer for as long as it is connected; given out by net, never reused, 0 is nobody. */
typedef uint64_t peer_t;

typedef enum peer_kind { PEER_REEVE, PEER_MDP01, PEER_MDP02 } peer_kind_t;

/*  A delivery that a worker says it holds. */
typedef struct held {
    uint64_t seq;
    uint32_t attempt;
    int64_t running_ms; /* -1: not started */
    int64_t timeout_ms; /* as the worker extended it; 0: as delivered */
    bool ephemeral;     /* its token is (wire/token.h) */
} held_t;

typedef enum event_kind {
    /* from peers */
    EVENT_SUBMIT,
    EVENT_WAIT,
    EVENT_CANCEL,
    EVENT_REDRIVE,
    EVENT_PURGE,
    EVENT_FORGET, /* Titanic's close: cancel and remove, whatever the state */
    EVENT_READY,
    EVENT_SETTLE,
    EVENT_HEARTBEAT,
    EVENT_PREFETCH,
    EVENT_EXTEND,
    EVENT_PROGRESS,
    EVENT_GOODBYE,
    EVENT_PEER_GONE,
    /* from the store, in the order in which it was asked */
    EVENT_COMMITTED,
    EVENT_FOUND,
    EVENT_LOADED,
    EVENT_DUE,
    EVENT_DEAD,
    /* from the environment */
    EVENT_TICK,
    EVENT_DEAF, /* no message was taken for a time that ends now: nobody's silence in it counts */
    EVENT_DRAIN,
    EVENT_DISK_LOW,
} event_kind_t;

typedef enum verdict {
    VERDICT_SUCCESS = 1,
    VERDICT_FAILURE,
    VERDICT_REJECT,
    VERDICT_RELEASE
} verdict_t;

typedef struct event {
    event_kind_t kind;
    int64_t now_ms;  /* monotonic */
    int64_t wall_ms; /* since 1970 UTC */
    peer_t peer;
    uint64_t corr; /* comes back with the answer */
    union {
        struct {
            const task_spec_t *task;
            int64_t delay_ms; /* instead of run_at_ms */
            bool maybe_known; /* the id filter cannot rule out that this id exists */
            bool wait;
        } submit;
        struct {
            slice_t id;
        } by_id; /* WAIT CANCEL FORGET; REDRIVE and PURGE of one */
        struct {
            slice_t id; /* empty: all dead letters of the queue; both empty: of every queue */
            slice_t queue;
        } dead;
        struct {
            peer_kind_t kind;
            slice_t name;
            uint64_t instance; /* of the process behind the name; 0: not told */
            const slice_t *queues;
            size_t queue_count;
            uint32_t prefetch;
            const held_t *held;
            size_t held_count;
        } ready;
        struct {
            uint64_t seq;
            uint32_t attempt;
            verdict_t verdict;
            uint8_t result_kind;
            slice_t result, reason, error, traceback;
            int64_t duration_ms; /* as the worker measured it; 0: from delivery */
        } settle;
        struct {
            const held_t *held; /* NULL: a Majordomo heartbeat, which names none */
            size_t held_count;
        } heartbeat;
        struct {
            uint32_t prefetch;
        } prefetch;
        struct {
            uint64_t seq;
            uint32_t attempt;
            int64_t timeout_ms; /* EXTEND */
            uint8_t kind;       /* PROGRESS: WIRE_RESULT_… */
            slice_t data;
        } attempt;
        struct {
            uint64_t changes; /* so many changes, counted from the core's start, are durable */
            int64_t took_us;  /* the transaction; 0: not known, or told before */
        } committed;
        struct {
            uint64_t ticket;
            loaded_t *loaded; /* NULL: no such id */
        } found;
        struct {
            uint32_t queue_id;
            uint64_t after;
            loaded_t *loaded;
            size_t count;
            bool more;
        } loaded;
        struct {
            loaded_t *loaded; /* scheduled tasks now due, or waiting ones now expired */
            size_t count;
            int64_t next_ms; /* when to ask again; INT64_MAX never */
        } due;
        struct {
            uint64_t ticket;
            loaded_t *loaded; /* dead letters */
            size_t count;
            uint64_t next; /* cursor; 0: the end */
        } dead_page;
        struct {
            int64_t ms;
        } deaf;
        struct {
            bool low;
        } disk;
    };
} event_t;

#endif
