/*  What the core knows of a task: its unchanging record, its counters, how an attempt ended, and
   the change of state that the store writes. Shared by core, store and net; one thread owns each.
 */

#ifndef REEVE_BROKER_CORE_RECORD_H
#define REEVE_BROKER_CORE_RECORD_H

#include "common/bytes.h"
#include "reeve/task.h"

/*  A task as submitted. Slices are borrowed. 0 means "none" or "the queue's" for times. */
typedef struct task_spec {
    slice_t id, queue, task_name, origin;
    slice_t reply_to; /* where a Majordomo reply goes; opaque to the core */
    slice_t body;
    uint8_t body_kind;                         /* WIRE_BODY_… */
    uint8_t priority;                          /* 0 … LIMIT_PRIORITY */
    int64_t created_ms, run_at_ms, expires_ms; /* since 1970 UTC */
    int64_t timeout_ms, backoff_ms;
    int32_t max_retries; /* -1: the queue's */
} task_spec_t;

/*  The immutable record of an admitted task: one allocation, reference-counted by the reactor
   thread (the writer borrows it while a batch is in its hands). */
typedef struct record {
    uint32_t refs;
    uint32_t queue_id;
    uint64_t seq;
    task_spec_t spec; /* slices into bytes */
    /* The reactor's, like refs: */
    bool untraced; /* the log has looked: the body names no trace */
    uint32_t
        request; /* the last about this task in the batch of this number, in which it has begun */
    uint64_t batch; /* 0: none */
    uint8_t bytes[];
} record_t;

record_t *record_new(const task_spec_t *spec, uint64_t seq, uint32_t queue_id);
record_t *record_ref(record_t *record);
void record_unref(record_t **record);
/*  What it takes in memory, in bytes. */
size_t record_memory(const record_t *record);
/*  Since when the task waits to run: from its creation, or from when it was due. */
int64_t record_waits_since_ms(const record_t *record);
bool record_has_expired(const record_t *record, int64_t wall_ms);
/*  Same content, for deduplication: queue, task_name, body, priority, max_retries, timeout. Times,
    delay and origin differ between honest repetitions and are not compared (docs/guarantees.md, 3).
 */
bool record_same_content(const task_spec_t *a, const task_spec_t *b);

/*  Attempts given out so far (never goes back), failures counted against max_retries, deaths of
    workers counted apart (docs/guarantees.md, 2, 4, 5). */
typedef struct tries {
    uint32_t attempts, failures, deaths;
} tries_t;

typedef enum ending {
    ENDING_NONE,
    ENDING_SUCCESS,
    ENDING_FAILURE,
    ENDING_TIMEOUT,
    ENDING_REJECTED,
    ENDING_RELEASED,
    ENDING_LOST, /* its worker died or lost it */
    ENDING_CANCELLED,
    ENDING_EXPIRED,
} ending_t;

/*  "success", "failure" … as history shows it. Static. */
const char *ending_name(ending_t ending);

/*  How an attempt, or a task without one, ended. */
typedef struct outcome_spec {
    ending_t ending;
    uint8_t result_kind;          /* WIRE_RESULT_… */
    uint32_t attempt;             /* 0: no attempt was running */
    int64_t started_ms, ended_ms; /* since 1970 UTC; started 0: never */
    int64_t duration_ms;
    slice_t worker, result, reason, error, traceback;
} outcome_spec_t;

typedef struct outcome {
    uint32_t refs;
    outcome_spec_t spec; /* slices into bytes */
    uint8_t bytes[];
} outcome_t;

outcome_t *outcome_new(const outcome_spec_t *spec);
outcome_t *outcome_ref(outcome_t *outcome);
void outcome_unref(outcome_t **outcome);

/*  One move of one task, as the store writes it. UNKNOWN as `from` inserts, as `to` removes. */
typedef struct change {
    record_t *record;
    reeve_state_t from, to;
    tries_t tries;      /* after the move */
    bool may_wait;      /* nobody is told when it is durable */
    int64_t at_ms;      /* to SCHEDULED: due; to PROCESSING: started; to an end: when it may be
                           removed, 0 never */
    outcome_t *outcome; /* of the attempt that ended (from PROCESSING), or of the end, or NULL */
    char *worker;       /* to PROCESSING: who holds it; owned by the change */
} change_t;

void change_fini(change_t *change);

/*  Whether the log and the figures take this change for the start of an attempt. That of a queue in memory,
    whose delivery may leave before its task is told of; other attempts start as their delivery leaves. */
static inline bool change_tells_start(const change_t *change)
{
    return change->to == REEVE_STATE_PROCESSING && change->may_wait;
}

/*  A task read back from the store. */
typedef struct loaded {
    record_t *record;
    reeve_state_t state;
    tries_t tries;
    int64_t at_ms;      /* SCHEDULED: due; PROCESSING: started */
    outcome_t *outcome; /* ends only */
    char *worker;       /* PROCESSING only */
} loaded_t;

void loaded_fini(loaded_t *loaded);

/*  A queue as the store holds it. */
typedef struct stored_queue {
    uint32_t id;
    const char *name;
    uint64_t waiting, scheduled, dead, bytes;
    int64_t oldest_ms; /* since when the first task to run has been waiting; 0: none waits */
} stored_queue_t;

/*  The order in which a queue's tasks run: priority, then submission. One integer holds queue,
    priority and sequence number, so that the store needs no further index. */
enum { KEY_SEQ_BITS = 42, KEY_PRIORITY_BITS = 4 };
#define KEY_SEQ_MAX ((1ULL << KEY_SEQ_BITS) - 1)

static inline uint64_t key_of(uint32_t queue_id, uint8_t priority, uint64_t seq)
{
    return (uint64_t)queue_id << (KEY_SEQ_BITS + KEY_PRIORITY_BITS) |
           (uint64_t)(15 - priority) << KEY_SEQ_BITS | seq;
}

static inline uint64_t record_key(const record_t *record)
{
    return key_of(record->queue_id, record->spec.priority, record->seq);
}

#endif
