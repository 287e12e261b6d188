/*  What one seed is about. Swarm testing (Groce et al., ISSTA 2012): each seed draws which faults it
    has at all, their rates, the sizes of everything and the queues' policies; so some seeds have
    one fault only, some all, some none, and none is averaged away. Rates are per mille. */

#ifndef REEVE_TESTS_SIM_PLAN_H
#define REEVE_TESTS_SIM_PLAN_H

#include "tests/sim/dice.h"
#include "tests/sim/message.h"

/*  A queue's policy in the simulator's own words; the host gives it to the core, the oracle
    believes only this. */
typedef struct queue_plan {
    char name[8];
    unsigned max_retries, max_deaths;
    int64_t backoff_ms, backoff_max_ms, timeout_ms, retention_ms;
    unsigned max_length, max_bytes; /* 0: no limit */
    bool in_memory;                 /* its durability */
} queue_plan_t;

typedef struct plan {
    uint64_t seed;
    int64_t faulty_ms; /* then everything is healed */

    /* who there is */
    unsigned queue_count, clients, workers, mdp_clients, mdp_workers;
    unsigned tasks;      /* of each client */
    int64_t think_ms;    /* a client's longest pause between two of them */
    int64_t work_max_ms; /* how long a job takes at most */
    queue_plan_t queues[QUEUES_MAX];

    /* what clients do besides submitting */
    unsigned waits, repeats, changed_repeats, delays, expiries, cancels, redrives, purges, forgets,
        strange_ids;

    /* the network */
    int64_t delay_max_ms;
    unsigned lost, duplicated, reordered, delayed, cut;

    /* the peers */
    unsigned failures, rejects, releases, crashes, hangs, poison, forgetful, lies, deaf, extends,
        progress;

    /* the broker and its machine; means of time between two, 0: never */
    int64_t crash_ms, drain_ms, jump_ms, disk_low_ms;
    int64_t jump_max_ms, commit_max_ms, down_max_ms;
    unsigned slow_commits, failing_commits, unseen_commits, false_maybes;
    unsigned page; /* rows of dead letters read at once */
    unsigned sweep_budget;
    int64_t grace_ms, liveness_ms, heartbeat_ms, mdp_timeout_ms;
} plan_t;

plan_t plan_draw(uint64_t seed);
const queue_plan_t *plan_queue(const plan_t *self, const char *name);
/*  How long after healing everything must have ended. */
int64_t plan_patience_ms(const plan_t *self);
/*  The plan in words, for the story. */
const char *plan_words(const plan_t *self, char *text, size_t size);

#endif
