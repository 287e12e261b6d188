/*  A small world for story tests: the real core, a store in memory, simulated time, and peers by
    name whose every message is written down as a line of a story.

    What the core asks of the store is kept in `pending`, in order. After each event the world comes to
    rest: pending work is done, committed and answered until there is none. While `held` is set, it
    stays pending, so that a test can look at what is said before a commit.

    Every change and message is audited on the way (audit.c): moves are legal and continue from the
    state before, a queue's tasks run in the order of their keys, attempts count up by one, an id is
    admitted once, and nothing is said before what it depends on is durable. */

#ifndef REEVE_TESTS_STORY_WORLD_H
#define REEVE_TESTS_STORY_WORLD_H

#include "broker/core/core.h"
#include "broker/store/store.h"

typedef struct fact fact_t;

/*  A connection of a peer; a peer that comes back under its name gets a new one. */
typedef struct connection {
    char name[40];
    bool gone;
    bool mute; /* sends no heartbeats */
    bool beat; /* owes one */
    peer_kind_t kind;
    uint32_t credit; /* the most it may hold */
} connection_t;

/*  A delivery as the worker sees it. */
typedef struct delivery {
    peer_t peer;
    uint64_t seq;
    uint32_t attempt;
    int64_t since_ms;
    bool ephemeral;
} delivery_t;

typedef struct world {
    core_config_t config;
    core_t *core;
    store_t *store;
    int64_t now_ms, wall_ms;
    bool held;         /* commits wait for world_commit */
    int64_t commit_us; /* what the core is told that a commit takes; no time passes */
    bool all_maybe;    /* the id filter says "maybe" to every id */
    effects_t effects;
    effect_t *pending; /* for the store, in order */
    size_t pending_count, pending_capacity;
    connection_t *connections; /* peer_t is the index + 1 */
    size_t connection_count;
    delivery_t *deliveries;
    size_t delivery_count;
    char **labels; /* by correlation number: what the request was about */
    uint64_t label_count;
    fact_t *by_seq, *by_id, *forgotten; /* the audit's knowledge */
    uint64_t changes, durable;
    char **lines;
    size_t line_count;
    uint64_t notes[NOTE_STALE + 1];
    uint64_t digest; /* of every effect so far */
    bool quiet;      /* keeps no lines: long random runs */
    char text[4096]; /* world_history */
} world_t;

/*  Defaults: heartbeats each second, liveness 10 s, Majordomo liveness 10 s and timeout 60 s, grace
    5 s, POLICY_DEFAULT. */
world_t *world_new(void);
world_t *world_new_with(const policy_t *policy);
/*  Audits a last time. */
void world_destroy(world_t **self);
core_config_t world_config(const policy_t *policy);
world_t *world_new_from(const core_config_t *config);

/* ---- time and the store --------------------------------------------------------------------- */

/*  Carries out and commits the first `count` pending effects as one batch; answers them. */
void world_commit_some(world_t *self, size_t count);
void world_commit(world_t *self); /* all that is pending now */
void world_rest(world_t *self);   /* until nothing is pending */
/*  Lets time pass, waking the core when it wants. Workers that are not mute answer heartbeats. */
void world_advance(world_t *self, int64_t ms);
/*  So much time passes in which no peer is listened to. */
void world_be_deaf(world_t *self, int64_t ms);
/*  A kill -9 and a new start: peers and all that is pending are gone. `carried` pending effects had
    been applied, but not committed. */
void world_restart(world_t *self);
void world_crash(world_t *self, size_t carried);
void world_drain(world_t *self);
void world_disk_low(world_t *self, bool low);
void world_step(world_t *self, event_t *event);

/* ---- what peers do -------------------------------------------------------------------------- */

enum { NO_RETRIES = -1 };

/*  NULL and 0 are the defaults: queue "q", name "work", body "{}", the queue's retries. */
typedef struct world_task {
    const char *id, *queue, *name, *body, *origin, *reply_to;
    int priority, max_retries;
    int64_t delay_ms, run_at_ms, expires_ms, timeout_ms, backoff_ms;
    bool wait;
} world_task_t;

typedef struct world_held {
    const char *id;
    uint32_t attempt;
    int64_t running_ms;
} world_held_t;

typedef struct world_worker {
    const char *name;   /* NULL: as the peer */
    uint64_t instance;  /* 0: not told */
    const char *queues; /* "a b" */
    peer_kind_t kind;
    uint32_t prefetch;
    const world_held_t *held;
    size_t held_count;
    int64_t held_timeout_ms; /* as all of these were extended; 0: as delivered */
} world_worker_t;

peer_t world_peer(world_t *self, const char *peer);
void world_submit(world_t *self, const char *peer, world_task_t task);
void world_wait(world_t *self, const char *peer, const char *id);
void world_cancel(world_t *self, const char *peer, const char *id);
void world_forget(world_t *self, const char *peer, const char *id);
/*  One dead letter, or with id NULL those of a queue, or with both NULL all. */
void world_redrive(world_t *self, const char *peer, const char *id, const char *queue);
void world_purge(world_t *self, const char *peer, const char *id, const char *queue);
void world_ready(world_t *self, const char *peer, const char *queues, uint32_t prefetch);
void world_ready_as(world_t *self, const char *peer, world_worker_t worker);
void world_prefetch(world_t *self, const char *peer, uint32_t prefetch);
void world_ack(world_t *self, const char *peer, const char *id, uint32_t attempt);
void world_fail(world_t *self, const char *peer, const char *id, uint32_t attempt,
                const char *reason);
void world_reject(world_t *self, const char *peer, const char *id, uint32_t attempt,
                  const char *reason);
void world_release(world_t *self, const char *peer, const char *id, uint32_t attempt);
void world_settle(world_t *self, const char *peer, uint64_t seq, uint32_t attempt,
                  verdict_t verdict, const char *text);
void world_extend(world_t *self, const char *peer, const char *id, uint32_t attempt,
                  int64_t timeout_ms);
void world_progress(world_t *self, const char *peer, const char *id, uint32_t attempt,
                    const char *data);
/*  A heartbeat naming these deliveries; a Majordomo worker's names none. */
void world_heartbeat(world_t *self, const char *peer, const world_held_t *held, size_t count);
void world_mute(world_t *self, const char *peer);
void world_goodbye(world_t *self, const char *peer);
void world_gone(world_t *self, const char *peer);

/* ---- what can be seen ----------------------------------------------------------------------- */

/*  The lines since the last time, compared with what is expected:
      client confirm a | client confirm a again | client refuse a queue_full retry-after=1000
      client outcome a success | client partial a <data> | reply to <reply_to>: a success
      client done a count=1 was=queued | w deliver a #1 | w settled a#1 | w revoke a #1 stale
      w refuse a#1 stale_attempt | w disconnect
    A queue in memory: client confirm a memory | w deliver a #1 ephemeral */
#define EXPECT(self, ...)                                                                          \
    world_expect(self, __FILE__, __LINE__, (const char *const[]){__VA_ARGS__, NULL})
#define EXPECT_SILENCE(self) world_expect(self, __FILE__, __LINE__, (const char *const[]){NULL})
void world_expect(world_t *self, const char *file, int line, const char *const *lines);
/*  Drops the lines so far: a test that is not about them. */
void world_skip(world_t *self);
/*  Whether such a line was said; keeps them. */
bool world_said(const world_t *self, const char *line);
/*  The store's state of a task by name; "unknown" when it has none. */
const char *world_state(world_t *self, const char *id);
/*  "failed quarantined a=3 f=0 d=3 | 1 lost worker_lost w1 | …" from the store's biography.
    Valid until the next call. */
const char *world_history(world_t *self, const char *id);
int64_t world_started_ms(world_t *self, const char *id); /* by the store; 0 not processing */
uint64_t world_seq(const world_t *self, const char *id);
/*  The id's slice lives as long as the world. */
const char *world_id(const world_t *self, uint64_t seq);
size_t world_holding(const world_t *self, peer_t peer);

/* ---- audit.c and story.c, for world.c ------------------------------------------------------- */

void audit_change(world_t *self, const change_t *change);
void audit_message(world_t *self, const effect_t *effect);
/*  The core, the store and what was seen agree on all tasks. Only at rest. */
void audit_rest(world_t *self);
/*  What was never committed never happened. */
void audit_crash(world_t *self);
/*  A Majordomo worker that registers holds nothing, nor does a process that was just started. */
void audit_begins_anew(world_t *self, peer_t peer);
void audit_free(world_t *self);
bool audit_knows(const world_t *self, slice_t id);
void story_tell(world_t *self, const effect_t *effect);
uint64_t world_label(world_t *self, const char *label);
void world_let_go(world_t *self, peer_t peer, uint64_t seq, uint32_t attempt);

#endif
