/*  The core's own structures, shared by its files only. */

#ifndef REEVE_BROKER_CORE_INSIDE_H
#define REEVE_BROKER_CORE_INSIDE_H

#include <uthash.h>
#include <utlist.h>

#include "broker/core/core.h"
#include "broker/core/outbox.h"
#include "common/limits.h"

typedef struct queue queue_t;
typedef struct worker worker_t;
typedef struct subscription subscription_t;
typedef struct waiter waiter_t;

/*  A task in memory. It is here while it waits in a window, while it is leased, and always until
   its last change is durable: so what the store read earlier is recognised as old (queue.c). */
typedef struct task {
    uint64_t seq;
    record_t *record;
    queue_t *queue;
    reeve_state_t state;
    tries_t tries;
    uint64_t last_change;
    uint64_t told_after; /* nothing more is told of it before this change is durable */
    bool in_window, fading;
    struct task *prev, *next; /* window or fading list; leases while PROCESSING */
    /* while PROCESSING */
    worker_t *holder; /* NULL: waiting for its worker's return until lease_until_ms */
    bool ahead;       /* leased before its worker has room for it, and not sent (lease.c) */
    bool ephemeral;   /* the lease was given out before it was durable */
    char *holder_name;
    uint64_t holder_instance; /* of the process that has or had it; 0: not known */
    peer_t holder_peer;       /* the connection that its delivery goes over; 0: not known */
    int64_t lease_until_ms;   /* listened_ms; extended by heartbeats */
    int64_t deadline_ms;      /* listened_ms; the attempt's timeout as the broker enforces it */
    int64_t started_wall_ms, started_ms, timeout_ms;
    struct task *held_prev, *held_next; /* the holder's list */
    UT_hash_handle hh;
} task_t;

/*  The waiting tasks of a queue that are in memory: those with the smallest keys. Every waiting
   task with key <= horizon is in the window, every other is in the store only. */
typedef struct window {
    task_t *lists[LIMIT_PRIORITY + 1];
    size_t count, bytes;
    uint64_t horizon; /* UINT64_MAX: all waiting tasks are here */
    bool loading;
    uint64_t load_after, spilled_min; /* while loading */
} window_t;

struct queue {
    uint32_t id;
    char *name;
    size_t name_size;
    policy_t policy;
    window_t window;
    uint64_t waiting, scheduled, processing, dead, bytes;
    uint64_t ahead;        /* of those processing: not sent, and may come back */
    int64_t oldest_ms;     /* as the store told at the start; until the window has tasks */
    subscription_t *open;  /* workers with room, next first */
    subscription_t *spare; /* workers that may be leased tasks ahead, next first */
    uint32_t workers;
    bool runnable;
    queue_t *run_prev, *run_next;
    UT_hash_handle hh;
};

struct subscription {
    worker_t *worker;
    queue_t *queue;
    subscription_t **list; /* the queue's that it is in: open or spare; NULL none */
    subscription_t *prev, *next;
};

struct worker {
    peer_t peer;
    peer_kind_t kind;
    char *name;
    uint64_t instance;         /* 0: not told */
    uint32_t prefetch, leased; /* leased: all that it holds, those ahead as well */
    task_t *held;              /* in the order of leasing */
    task_t *ahead;             /* the first of those that are ahead; NULL none */
    uint32_t ahead_count, ahead_limit;
    uint64_t told_after; /* it does not know of its room before this change is durable */
    bool hungry;         /* it has room, and the news or the leases ahead are not durable */
    worker_t *hungry_prev, *hungry_next;
    uint32_t settled; /* since the last check */
    subscription_t *subscriptions;
    size_t subscription_count;
    size_t turn;               /* the subscription after the one that served last */
    int64_t last_heard_ms;     /* listened_ms */
    int64_t last_heartbeat_ms; /* monotonic */
    UT_hash_handle hh;
};

typedef struct wait_key {
    uint64_t seq;
    peer_t peer;
    uint64_t corr;
} wait_key_t;

struct waiter {
    wait_key_t key;
    waiter_t *prev, *next;             /* in the task's list */
    waiter_t *asked_prev, *asked_next; /* in the peer's */
    UT_hash_handle hh;
};

/*  The waiters of one task. */
typedef struct wait_list {
    uint64_t seq;
    waiter_t *waiters;
    UT_hash_handle hh;
} wait_list_t;

typedef enum intent {
    INTENT_SUBMIT,
    INTENT_WAIT,
    INTENT_CANCEL,
    INTENT_REDRIVE,
    INTENT_PURGE,
    INTENT_FORGET,
} intent_t;

/*  A question to the store, and what to do with its answer. */
typedef struct ticket {
    uint64_t number;
    intent_t intent;
    peer_t peer;
    uint64_t corr;
    record_t *record; /* SUBMIT: the task, without sequence number */
    bool wait;
    struct ticket *behind;      /* SUBMIT: later submissions of the same id, in their order */
    struct ticket *prev, *next; /* SUBMIT: in another's list of these */
    struct ticket *asked_prev, *asked_next; /* in the peer's */
    uint32_t queue_id;                      /* REDRIVE and PURGE of many; 0 all */
    uint64_t count;
    UT_hash_handle hh, hh_id;
} ticket_t;

/*  What one peer waits for, and has asked for. */
typedef struct asker {
    peer_t peer;
    waiter_t *waiters;
    ticket_t *tickets;
    UT_hash_handle hh;
} asker_t;

struct core {
    core_config_t config;
    named_policy_t *named;
    int64_t now_ms, wall_ms;
    int64_t deaf_ms; /* for so long no message was taken, up to now */
    effects_t *out;
    outbox_t outbox;
    uint64_t changes, durable;
    int64_t commit_us; /* how long a commit takes, smoothed */
    uint64_t random;

    task_t *tasks;  /* by seq */
    task_t *fading; /* to be forgotten when their last change is durable, oldest change first */
    task_t *leases;
    uint64_t next_seq;

    queue_t *queues_by_name;
    queue_t **queues; /* by id */
    size_t queue_capacity;
    uint32_t queue_count, next_queue_id;
    queue_t *runnable;
    size_t window_bytes;

    worker_t *workers;
    worker_t *hungry;
    wait_list_t *waits; /* by seq */
    waiter_t *waiters;  /* by key */
    asker_t *askers;    /* by peer */
    ticket_t *tickets;
    ticket_t *submits;   /* by id: those that have asked the store whether the id exists */
    size_t ticket_bytes; /* of the bodies that tickets hold */
    uint64_t next_ticket;

    int64_t due_wall_ms; /* when scheduled or expiring tasks should be asked for */
    bool due_asked;
    int64_t next_sweep_ms, next_check_ms;
    bool draining, disk_low;
    uint64_t stale, duplicates, refused, lost, conflicts;
};

/*  The clock that peers' silence is measured by: it stands while nobody listens to them. */
static inline int64_t listened_ms(const core_t *core)
{
    return core->now_ms - core->deaf_ms;
}

/*  task.c: the live map, and the one function that moves a task. */
task_t *task_find(core_t *core, uint64_t seq);
/*  A new task of the live map, which takes `record`. */
task_t *task_admit(core_t *core, record_t *record, queue_t *queue);
task_t *task_from_loaded(core_t *core, loaded_t *loaded);
/*  The task in the live map, put there when it is not. Only to be moved at once: a task that neither
    moves nor is in a window would never leave the map, and hide what the store says of it. */
task_t *task_materialise(core_t *core, loaded_t *loaded);
/*  Asks the store for due and expired tasks at this time at the latest; 0: no time. */
void task_ask_due(core_t *core, int64_t wall_ms);
/*  Moves `task` to `to` and issues the change. `outcome` (may be NULL) is borrowed. Everything that
    hangs on the state follows here: lease and window, counters, waiters, replies. */
void task_move(core_t *core, task_t *task, reeve_state_t to, int64_t at_ms, outcome_t *outcome);
/*  Ends `task` with retention as its queue's policy says. */
void task_end(core_t *core, task_t *task, reeve_state_t to, outcome_t *outcome);
void task_expire(core_t *core, task_t *task);
void task_fade(core_t *core, task_t *task);
void task_forget_durable(core_t *core);
void task_free(core_t *core, task_t *task);

/*  queue.c */
queue_t *queue_find(const core_t *core, slice_t name);
bool queue_is_in_memory(const queue_t *queue); /* its durability is memory */
/*  Finds or makes; NULL when there are too many. */
queue_t *queue_get(core_t *core, slice_t name);
queue_t *queue_by_id(const core_t *core, uint32_t id);
queue_t *queue_restore(core_t *core, uint32_t id, slice_t name);
void queue_enter(core_t *core, task_t *task); /* a task became QUEUED */
void queue_leave(core_t *core, task_t *task); /* out of the window */
task_t *queue_head(queue_t *queue);
int64_t queue_oldest_ms(const queue_t *queue);
void queue_ask(core_t *core, queue_t *queue); /* page in when the window runs low */
void queue_loaded(core_t *core, const event_t *event);
void queue_set_policy(core_t *core, queue_t *queue);
void queue_free_all(core_t *core);

/*  dispatch.c */
void dispatch_mark(core_t *core, queue_t *queue);
void dispatch_run(core_t *core);

/*  roster.c */
worker_t *worker_find(const core_t *core, peer_t peer);
void worker_ready(core_t *core, const event_t *event);
void worker_heartbeat(core_t *core, const event_t *event);
void worker_set_prefetch(core_t *core, worker_t *worker, uint32_t prefetch);
/*  Opens or closes the worker's subscriptions after its room changed. */
void worker_update(core_t *core, worker_t *worker);
typedef enum departure {
    DEPARTURE_GOODBYE, /* or it is sent away */
    DEPARTURE_GONE,    /* its connection is */
    DEPARTURE_LOST,    /* it is silent, or came back over another connection */
} departure_t;
/*  Moves its leases, also those ahead, out of the list of leases: no walk over that may stand at one. */
void worker_remove(core_t *core, worker_t *worker, departure_t why);
/*  Looks after all workers; `elapsed_ms` since the last time. */
void worker_check(core_t *core, int64_t elapsed_ms);
/*  A Majordomo worker cannot be told to stop one task: when `task` was taken back from it, the
    conversation ends. Own-protocol workers are left alone; NULL too. */
void worker_expel_mdp(core_t *core, worker_t *worker, task_t *task);

/*  ahead.c */
/*  The worker has just been leased this task, for which it has no room yet. */
void ahead_put(task_t *task);
/*  It is ahead no more; nothing when it was not. */
void ahead_clear(task_t *task);
/*  How many tasks the worker may be leased ahead. */
uint32_t ahead_limit(const worker_t *worker);
/*  Decides that anew, after `elapsed_ms` in which it settled worker->settled. */
void ahead_measure(core_t *core, worker_t *worker, int64_t elapsed_ms);
/*  Sends what is ahead as far as the worker has room and all of it is durable; the rest follows when it is. */
void ahead_promote(core_t *core, worker_t *worker);
/*  The worker has room now, of which it will know when that is durable. */
void ahead_wait(core_t *core, worker_t *worker);
/*  That rest; behind what the outbox has released. */
void ahead_feed(core_t *core);
/*  Takes back, newest first, what is ahead above room and limit. */
void ahead_trim(core_t *core, worker_t *worker);
/*  Takes back all that is ahead, and leases no more until the worker is measured again. */
void ahead_take_back_all(core_t *core, worker_t *worker);

/*  lease.c */
void lease_give(core_t *core, task_t *task, worker_t *worker);
/*  A lease that was found in the store, whose worker may come back. */
void lease_restore(core_t *core, task_t *task, loaded_t *loaded, int64_t now_ms);
/*  Sends a task whose lease is durable: the attempt begins now. */
void lease_send(core_t *core, task_t *task);
/*  The task is no longer PROCESSING: frees the worker's slot and the lease's fields. */
void lease_clear(core_t *core, task_t *task);
void lease_orphan(core_t *core, task_t *task);
/*  Its delivery has not left yet. */
bool lease_is_unsent(const core_t *core, const task_t *task);
/*  The worker that was sent the task; NULL: none was. */
worker_t *lease_holder(const task_t *task);
void lease_adopt(core_t *core, task_t *task, worker_t *worker);
void lease_release(core_t *core, task_t *task); /* back to its queue, uncounted */
void lease_settle(core_t *core, const event_t *event);
void lease_extend(core_t *core, const event_t *event);
void lease_progress(core_t *core, const event_t *event);
void lease_check(core_t *core);
/*  Tells the worker that held the task until the move just issued; NULL: nobody did. */
void lease_revoke(core_t *core, task_t *task, worker_t *worker, revoke_cause_t cause);
/*  The connection over which the task will be delivered though its worker was given up since the lease; 0: none. */
peer_t lease_expecting(const core_t *core, const task_t *task);
/*  Tells a connection, behind the delivery, that the attempt is over. */
void lease_revoke_over(core_t *core, task_t *task, peer_t peer, revoke_cause_t cause);
/*  Tells the worker that an attempt which it named is not its own. */
void lease_revoke_held(core_t *core, worker_t *worker, const held_t *held);
outcome_t *lease_outcome(core_t *core, const task_t *task, ending_t ending, const char *reason,
                         const char *error);
/*  A failure of the current attempt: retry with backoff, or the dead letters. */
void lease_fail(core_t *core, task_t *task, outcome_t *outcome);
void lease_lose(core_t *core, task_t *task, const char *error); /* its worker died or lost it */

/*  retry.c */
int64_t retry_delay_ms(core_t *core, const policy_t *policy, const record_t *record,
                       uint32_t failures);

/*  submit.c */
void submit(core_t *core, const event_t *event);
/*  The store's answer to the ticket's question, brought up to date; NULL: no such id. */
/*  The answer for all submissions of the id that wait for it; NULL: no such task. */
void submit_found(core_t *core, ticket_t *ticket, const loaded_t *loaded);

/*  ask.c */
void ask(core_t *core, const event_t *event, intent_t intent);
void ask_dead(core_t *core, const event_t *event, intent_t intent);
void ask_found(core_t *core, const event_t *event);
void ask_dead_page(core_t *core, const event_t *event);
ticket_t *ticket_new(core_t *core, intent_t intent, peer_t peer, uint64_t corr);
void ticket_free(core_t *core, ticket_t *ticket);
/*  Asks the store for the task of this id on behalf of the ticket. */
void ticket_find(core_t *core, const ticket_t *ticket, slice_t id);

/*  wait.c */
/*  Tells the outcome when the task has ended, else when it will. */
void wait_for(core_t *core, const loaded_t *loaded, peer_t peer, uint64_t corr);
/*  Tells everyone who waits for the task, and forgets them when it has ended. */
void waiters_tell(core_t *core, task_t *task, outcome_t *outcome, bool partial);
/*  False when there are too many. */
bool waiter_add(core_t *core, uint64_t seq, peer_t peer, uint64_t corr);
void waiters_free_all(core_t *core);
/*  A ticket is this peer's; a ticket ends. */
void asker_note(core_t *core, peer_t peer, ticket_t *ticket);
void asker_drop(core_t *core, ticket_t *ticket);
/*  The peer has left: its waits end; what it asked for goes on, and nobody hears the answers. */
void asker_forget(core_t *core, peer_t peer);

/*  A new effect for a peer or the log: it leaves when all changes so far are durable, in its turn. */
effect_t *say(core_t *core, effect_kind_t kind);
/*  Whether what is told of the task now leaves at once: its queue's durability is memory. */
bool is_told_at_once(const core_t *core, const task_t *task);
/*  A new effect for a peer that tells of this task: at once, or as say does. */
effect_t *announce(core_t *core, task_t *task, effect_kind_t kind);
/*  Answers, through the outbox. */
void refuse(core_t *core, peer_t peer, uint64_t corr, reeve_error_t error, const char *text,
            int64_t retry_after_ms);

#endif
