/*  One simulation: a seed's plan played out on simulated time.

    The real core with a store in memory is the broker (host.c, disk.c); clients and workers (client.c,
    worker.c) talk to it over a network (network.c) that fails as the plan says. The oracle listens
    at the broker's door and knows nothing else, but for the store when the broker is down. After
    plan.faulty_ms all is healed, and everything must come to its end. */

#ifndef REEVE_TESTS_SIM_SIM_H
#define REEVE_TESTS_SIM_SIM_H

#include "tests/sim/oracle.h"
#include "tests/sim/plan.h"
#include "tests/sim/timeline.h"

typedef struct host host_t;
typedef struct network network_t;
typedef struct client client_t;
typedef struct worker worker_t;

/*  What happened, for the summary. */
typedef struct sim_counts {
    uint64_t steps, crashes, restarts, messages, deliveries, settled, stale, confirmed, ended,
        simulated_ms;
} sim_counts_t;

typedef struct sim {
    plan_t plan;
    dice_t dice;
    timeline_t timeline;
    int64_t now_ms;        /* monotonic */
    int64_t wall_ahead_ms; /* wall clock minus monotonic */
    bool healed, telling, over;
    host_t *host;
    network_t *network;
    oracle_t *oracle;
    client_t **clients;
    worker_t **workers;
    size_t client_count, worker_count;
    char leaked[16][TOKEN_SIZE]; /* tokens of others that liars have got hold of */
    unsigned leaked_count;
    uint64_t digest;
    sim_counts_t counts;
    /* Called with the digest after each step; NULL: nobody compares. */
    void (*stepped)(uint64_t digest, void *arg);
    void *stepped_arg;
} sim_t;

/*  Plays the whole of a seed; does not return when a rule was broken. */
sim_counts_t sim_play(uint64_t seed, bool telling, void (*stepped)(uint64_t, void *), void *arg);

int64_t sim_wall_ms(const sim_t *self);
/*  Arranges something, `in_ms` from now. */
void sim_after(sim_t *self, int64_t in_ms, happening_fn run, void *who, uint64_t tag);
/*  A line of the story; part of the digest, printed with --story. */
void sim_tell(sim_t *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_tell_message(sim_t *self, const char *who, const char *verb, const message_t *message);
/*  A rule was broken: says so with the seed, and ends the program. */
void sim_break(sim_t *self, const char *rule, const char *what) __attribute__((noreturn));
/*  A fault's dice: never once healed. */
bool sim_fault(sim_t *self, unsigned permille);

#endif
