/*  What each task of the self test has to do and how it must end.

    Everything follows from the id, so that clients, workers and the oracle agree without telling
    each other: "flaky-2-117" is task 117 of client 2, and fails at its first two attempts. */

#ifndef REEVE_CLIENT_SELFTEST_PLAN_H
#define REEVE_CLIENT_SELFTEST_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "reeve/task.h"
#include "reeve/worker.h"

#define QUEUE_REEVE   "soak.reeve"   /* served by libreeve */
#define QUEUE_COMMAND "soak.command" /* by reeve-worker */
#define QUEUE_MDP     "soak.mdp"     /* by Majordomo workers, and asked by Majordomo clients */
#define QUEUE_MIXED   "soak.mixed"   /* by all of these */
#define QUEUE_POISON  "soak.poison"  /* by workers that die of it */
#define QUEUE_NOBODY  "soak.nobody"  /* by nobody */

enum {
    POISON_DEATHS = 3, /* max-deaths of QUEUE_POISON */
    PLAN_ID_SIZE = 64,
    PLAN_KWARGS_SIZE = 20 * 1024,
};

typedef enum plan_kind {
    PLAN_DONE,    /* success at the first try */
    PLAN_SLOW,    /* takes its time, so that leases are lost and restored */
    PLAN_FLAKY,   /* fails at attempts 1 and 2 */
    PLAN_FAIL,    /* fails always */
    PLAN_REJECT,  /* is rejected */
    PLAN_DELAY,   /* runs later */
    PLAN_CANCEL,  /* is cancelled by its client, perhaps too late */
    PLAN_EXPIRE,  /* nobody serves it in time */
    PLAN_POISON,  /* kills its worker */
    PLAN_COMMAND, /* success of a command */
    PLAN_EXIT,    /* a command that exits with a failure */
    PLAN_OVERRUN, /* a command that takes longer than its timeout */
    PLAN_MDP,     /* success at a Majordomo worker */
    PLAN_MIXED,   /* success at any worker */
    PLAN_ASK,     /* a request of a Majordomo client */
    PLAN_KINDS
} plan_kind_t;

typedef struct plan {
    plan_kind_t kind;
    unsigned client;
    uint64_t number;
    const char *queue;
    int max_retries;    /* < 0: the queue's */
    reeve_state_t end;  /* PLAN_CANCEL may also end in success */
    const char *reason; /* of a failed one */
    uint32_t failures;  /* of a failed one; 0: any number */
    int64_t work_ms;    /* how long an attempt takes */
    int64_t delay_ms, timeout_ms, expires_in_ms;
    bool wait;            /* the client waits for the outcome */
    bool again, conflict; /* it submits the same, or something else, under this id later on */
} plan_t;

/*  The id of a client's task. */
void plan_id(uint64_t seed, unsigned client, uint64_t number, char id[PLAN_ID_SIZE]);
/*  That of a Majordomo client's request. */
void plan_ask_id(unsigned client, uint64_t number, char id[PLAN_ID_SIZE]);

/*  False when the id is none of these. */
bool plan_read(const char *id, plan_t *plan);

/*  The task's kwargs; with `other`, some that conflict with them. */
void plan_kwargs(const plan_t *plan, bool other, char kwargs[PLAN_KWARGS_SIZE]);

/*  What a worker has to say at this attempt. (Of PLAN_POISON and PLAN_OVERRUN it says nothing.) */
reeve_verdict_t plan_verdict(const plan_t *plan, uint32_t attempt);

/*  SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t plan_random(uint64_t *state);

#endif
