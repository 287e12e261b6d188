/*  The oracle: what must be true of the broker, judged from outside.

    It hears every message as it reaches the broker and as it leaves it, is told of the environment
    (clocks, lost connections, stops, a full disk), and reads the store while the broker is down. It
    shares no code with the core and knows only the contract, docs/protocol.md and the queues'
    policies. Where the outside cannot tell what the broker knew, it gives the benefit of the doubt:
    every rule is sound, and what is certain is judged strictly.

    The rules by their names are in oracle_rules below; tests/sim/mutate shows that each bites. */

#ifndef REEVE_TESTS_SIM_ORACLE_H
#define REEVE_TESTS_SIM_ORACLE_H

#include "tests/sim/message.h"
#include "tests/sim/plan.h"

/*  X (symbol, name, what it demands) */
#define ORACLE_RULES(X)                                                                            \
    X(CONFIRMED_EXISTS, "confirmed-exists", "a confirmed task is in the store until it may go")    \
    X(ONCE, "once", "an id is confirmed as new once, and ends once")                               \
    X(CONTENT, "content", "a task is what was submitted, and a duplicate has the same content")    \
    X(CONFLICT, "conflict", "other content under a known id is a conflict, the same never")        \
    X(UNKNOWN, "unknown", "a task is unknown exactly when it was never submitted or may be gone")  \
    X(ANSWER, "answer", "one answer for each request, of a kind that fits")                        \
    X(FENCED, "fenced", "no settlement counts but that of the current attempt, by its holder")     \
    X(ACCEPTED, "accepted", "the settlement of a lease that certainly lives is accepted")          \
    X(ONE_LEASE, "one-lease", "a task is never taken from a worker whose lease certainly lives")   \
    X(ASCENDING, "ascending", "attempts only ever grow")                                           \
    X(ENDED, "ended", "nothing is delivered or settled after the task's end was told")             \
    X(TRUE_END, "true-end", "an end that was told is the one that the store has, with its result") \
    X(DUE, "due", "nothing is delivered before it is due, retries after their backoff")            \
    X(EXPIRY, "expiry", "nothing starts after its expiry or expires before it")                    \
    X(CREDIT, "credit", "a worker gets no more than its prefetch, of queues it serves")            \
    X(TRIES, "tries", "failures and deaths are counted right and end at their limits")             \
    X(HISTORY, "history", "every attempt given out has its ending in the biography")               \
    X(LIMITS, "limits", "queues hold no more than they may; a full disk or a drain admits none")   \
    X(COUNTS, "counts", "the queues' counters are what the store holds")                           \
    X(PROGRESS, "progress", "healed, all tasks end and all requests are answered in time")

typedef enum rule {
#define X(symbol, name, text) RULE_##symbol,
    ORACLE_RULES(X)
#undef X
} rule_t;

/*  One attempt as the biography tells it. */
typedef struct rest_attempt {
    unsigned number; /* 0: no attempt was running */
    char ending[12], worker[24], result[RESULT_SIZE], reason[20];
    int64_t started_ms, ended_ms;
} rest_attempt_t;

/*  A task in the store. */
typedef struct rest_task {
    reeve_state_t state;
    unsigned long long seq;
    unsigned attempts, failures, deaths;
    content_t content;
    rest_attempt_t end; /* of a final state */
    rest_attempt_t *history;
    size_t history_count;
} rest_task_t;

/*  How to read the store at rest. */
typedef struct rest {
    void *arg;
    /* False: there is no such task. `out->history` is valid until the next call. */
    bool (*task)(void *arg, const char *id, rest_task_t *out);
    /* A queue's own counters: waiting, scheduled, dead, bytes. */
    bool (*queue)(void *arg, const char *name, uint64_t counters[4]);
} rest_t;

typedef struct oracle oracle_t;

/*  `broken` is called when a rule is; it does not return. */
oracle_t *oracle_new(const plan_t *plan, void (*broken)(void *, const char *rule, const char *what),
                     void *arg);
void oracle_destroy(oracle_t **self);

/*  Both clocks, before anything else of that moment. */
void oracle_time(oracle_t *self, int64_t now_ms, int64_t wall_ms);
void oracle_hears(oracle_t *self, uint64_t peer, const message_t *message);
void oracle_says(oracle_t *self, uint64_t peer, const message_t *message);
/*  The broker found a connection lost. */
void oracle_loses(oracle_t *self, uint64_t peer);
/*  `all_written`: in order, with nothing left to write. */
void oracle_sees_stop(oracle_t *self, bool all_written);
void oracle_sees_start(oracle_t *self);
void oracle_sees_disk(oracle_t *self, bool low);
void oracle_sees_drain(oracle_t *self);
void oracle_reads(oracle_t *self, const rest_t *rest);
/*  Whether every task that must end has ended, by what the store says. */
void oracle_demands_the_end(oracle_t *self, const rest_t *rest);
/*  How many ids it knows. */
size_t oracle_tasks(const oracle_t *self);

#endif
