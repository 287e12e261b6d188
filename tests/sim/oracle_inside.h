/*  What the oracle remembers; shared by its own files only (oracle.c hears and says, oracle_lease.c
    attempts and who holds them, oracle_rest.c the store at rest, ledger.c this memory). */

#ifndef REEVE_TESTS_SIM_ORACLE_INSIDE_H
#define REEVE_TESTS_SIM_ORACLE_INSIDE_H

#include <uthash.h>

#include "tests/sim/oracle.h"

typedef struct ledger_task ledger_task_t;
typedef struct lease lease_t;

/*  One settlement of an attempt, as a worker sent it. */
typedef struct settlement {
    word_t word;
    char result[RESULT_SIZE], reason[20];
    int64_t wall_ms; /* earliest */
} settlement_t;

enum { SETTLEMENTS_MAX = 12 };

/*  An attempt that was given out: known by its token, which is opaque but for being the same text. */
struct lease {
    char token[TOKEN_SIZE];
    ledger_task_t *task;
    unsigned attempt;
    bool in_memory;  /* the task's queue is */
    uint64_t holder; /* 0: nobody, or nobody knows */
    char worker[24]; /* empty: not known for certain */
    bool over;       /* holds no credit any more */
    bool extended, revoked;
    int64_t sure_until_ms;   /* the lease lives for certain until then … */
    int64_t timeout_at_ms;   /* … unless its timeout comes first */
    int64_t adopted_ms;      /* when it came with its worker to another connection */
    int64_t orphan_until_ms; /* certainly waits for its worker's return until then */
    settlement_t heard[SETTLEMENTS_MAX];
    unsigned heard_count;
    const settlement_t *accepted; /* the one that SETTLED was said for */
    lease_t *earlier;             /* of the same life of the task */
    UT_hash_handle hh;
};

/*  A content that was submitted under an id. */
typedef struct version {
    content_t content;
    unsigned heard;
} version_t;

enum { VERSIONS_MAX = 6 };

/*  An id and the task that it names now. An id may have several lives, one after the other: when its
    task was removed, the same id is new again. */
struct ledger_task {
    char id[32];
    version_t versions[VERSIONS_MAX];
    unsigned version_count, heard;
    int64_t due_ms;         /* the least of all that were asked for */
    int64_t expires_min_ms; /* INT64_MAX: never asked for one */
    int64_t expires_max_ms; /* INT64_MAX: at least once without */
    int64_t backoff_min_ms;
    bool cancel_heard, forget_heard, purge_heard, redrive_heard;
    int64_t end_wall_ms; /* the earliest moment at which it can have ended */
    lease_t *former;     /* of earlier lives */
    /* this life */
    bool exists;              /* something was said that makes it certain */
    const version_t *certain; /* which version it is; NULL: not known */
    unsigned long long seq;   /* 0: not known */
    lease_t *latest;
    bool end_told, said_ended;
    reeve_state_t end;
    char end_result[RESULT_SIZE];
    UT_hash_handle hh;
};

typedef struct peer_key {
    uint64_t peer, corr;
} peer_key_t;

/*  What a peer asked under a correlation number, and how often it was answered. */
typedef struct asked {
    peer_key_t key;
    message_kind_t kind;
    bool wait;
    ledger_task_t *task; /* NULL: none, or an id that was never submitted */
    const version_t *version;
    lease_t *lease;
    const settlement_t *settlement;
    int64_t first_ms;
    unsigned heard, answered, outcomes;
    unsigned known, unknown; /* heard while the task certainly existed; answered as unknown */
    unsigned must_refuse, must_accept, settled, refused; /* SETTLE */
    UT_hash_handle hh;
} asked_t;

typedef struct ledger_peer {
    uint64_t handle;
    protocol_t protocol;
    bool registered;
    bool replaced; /* by a namesake, and it has not registered since */
    char name[24], former_name[24];
    char queues[QUEUES_MAX][8];
    unsigned queue_count, prefetch, prefetch_before;
    int64_t heard_ms, ready_ms, prefetch_ms, lost_ms;
    UT_hash_handle hh;
} ledger_peer_t;

/*  When all dead letters of a queue were last to be redriven or purged. Both go on page by page, and
    may reach a task that is submitted meanwhile. */
typedef struct bulk {
    int64_t redrive_ms, purge_ms;
} bulk_t;

struct oracle {
    plan_t plan;
    void (*broken)(void *, const char *, const char *);
    void *arg;
    int64_t now_ms, wall_ms, max_wall_ms;
    int64_t doubt_ms;                     /* longest time between a decision and its telling */
    int64_t low_since_ms, drain_since_ms; /* INT64_MAX: not */
    bulk_t bulk[QUEUES_MAX];
    ledger_task_t *tasks;
    lease_t *leases;
    asked_t *asked;
    ledger_peer_t *peers;
};

/*  ledger.c */
ledger_task_t *ledger_find(const oracle_t *self, const char *id);
ledger_task_t *ledger_submit(oracle_t *self, const message_t *message, const version_t **version);
bool content_same(const content_t *a, const content_t *b);
const version_t *version_of(const ledger_task_t *task, const content_t *content);
const queue_plan_t *queue_of(const oracle_t *self, const ledger_task_t *task);
/*  Whether the task may have been removed: purged, forgotten, or its retention is over. */
bool may_be_gone(const oracle_t *self, const ledger_task_t *task);
/*  Whether one of its versions goes to a queue in memory: which one is stored is not always certain. */
bool may_be_in_memory(const oracle_t *self, const ledger_task_t *task);
/*  Answers about a task in memory may overtake each other: of one that may have been removed or
    redriven it is not certain what they tell of. */
bool is_blurred(const oracle_t *self, const ledger_task_t *task);
/*  What was known of this life is over with it. */
void begin_life(ledger_task_t *task);
void may_have_ended(ledger_task_t *task, int64_t wall_ms);
ledger_peer_t *peer_of(oracle_t *self, uint64_t handle);
asked_t *asked_find(const oracle_t *self, uint64_t peer, uint64_t corr);
asked_t *asked_note(oracle_t *self, uint64_t peer, const message_t *message);
void ledger_free(oracle_t *self);
void oracle_break(const oracle_t *self, rule_t rule, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/*  oracle_lease.c */
lease_t *lease_find(const oracle_t *self, const char *token);
void hear_ready(oracle_t *self, ledger_peer_t *peer, const message_t *message);
void hear_heartbeat(oracle_t *self, ledger_peer_t *peer, const message_t *message);
void hear_settle(oracle_t *self, ledger_peer_t *peer, const message_t *message);
void hear_extend(oracle_t *self, const message_t *message);
void hear_prefetch(oracle_t *self, ledger_peer_t *peer, unsigned prefetch);
void peer_leaves(oracle_t *self, ledger_peer_t *peer, bool returns);
void say_not_ready(oracle_t *self, ledger_peer_t *peer);
void say_deliver(oracle_t *self, ledger_peer_t *peer, const message_t *message);
void say_settled(oracle_t *self, asked_t *asked);
void say_stale(oracle_t *self, asked_t *asked);
void say_revoke(oracle_t *self, uint64_t peer, const message_t *message);
void tell_end(oracle_t *self, ledger_task_t *task, reeve_state_t state, const char *result);
lease_t *lease_of_attempt(const ledger_task_t *task, unsigned attempt);

#endif
