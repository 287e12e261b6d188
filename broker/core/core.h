/*  The state machine of the broker: events in, effects out; no clock, socket, thread, SQL or JSON.

    One thread. The same configuration and events always give the same effects; randomness (jitter)
    comes from a generator seeded by the configuration. Peers only ever hear of what is durable:
    effects for them leave the core when every change issued before them has been committed. */

#ifndef REEVE_BROKER_CORE_CORE_H
#define REEVE_BROKER_CORE_CORE_H

#include "broker/core/effect.h"
#include "broker/core/event.h"
#include "broker/core/policy.h"

typedef struct core core_t;

typedef struct core_config {
    policy_t policy; /* for queues that are not named */
    const named_policy_t *named;
    size_t named_count;
    int64_t heartbeat_ms;    /* to each worker */
    int64_t liveness_ms;     /* silence after which an own-protocol worker is gone */
    int64_t mdp_liveness_ms; /* the same for an idle Majordomo worker */
    int64_t mdp_timeout_ms;  /* per attempt at a Majordomo worker where the task has no timeout */
    int64_t grace_ms;        /* how long a lease whose worker is gone waits for its return */
    uint32_t max_queues;
    uint64_t seed;
    uint64_t next_seq; /* first sequence number to give out */
    uint32_t next_queue_id;
} core_config_t;

/*  A core with nothing in it. `named` is copied. */
core_t *core_new(const core_config_t *config);
void core_destroy(core_t **self);

/*  Recovery, before the first step: the queues, then the leases found in the store. A lease waits
    `grace_ms` for its worker to come back with it. core_restore_lease takes loaded's contents. */
void core_restore_queue(core_t *self, const stored_queue_t *queue);
void core_restore_lease(core_t *self, loaded_t *loaded, int64_t now_ms);

/*  One step. `out` is appended to. What the event points to stays the caller's; the core takes
    references of its own. */
void core_step(core_t *self, const event_t *event, effects_t *out);

/*  When it wants EVENT_TICK at the latest (monotonic ms); INT64_MAX when never. wall_ms - now_ms is
    taken from the last event. */
int64_t core_next_deadline(const core_t *self);

/*  Replaces policies (SIGHUP); queues keep their contents. */
void core_set_policies(core_t *self, const policy_t *policy, const named_policy_t *named,
                       size_t named_count);

/*  Whether something waits to be said until changes are durable. */
bool core_awaits_commit(const core_t *self);
/*  Whether every issued change is durable and nothing waits to be said. */
bool core_quiet(const core_t *self);

/*  Bodies of submissions whose ids the store is being asked for. */
size_t core_held_bytes(const core_t *self);

/*  Counts, for answers and metrics. */
typedef struct core_totals {
    uint64_t queues, workers, waiting, scheduled, processing, dead;
    uint64_t in_memory; /* tasks in the live map */
    uint64_t stale, duplicates, refused, lost, conflicts;
} core_totals_t;
core_totals_t core_totals(const core_t *self);

typedef struct queue_stats {
    const char *name;
    uint32_t id;
    uint64_t waiting, scheduled, processing, dead, bytes, workers;
    int64_t oldest_ms; /* since when the task waits that has waited longest, of those in memory */
} queue_stats_t;
typedef struct worker_stats {
    const char *name;
    peer_t peer;
    peer_kind_t kind;
    uint32_t prefetch, processing;
    int64_t last_heard_ms; /* monotonic */
    const char *const *queues;
    size_t queue_count;
} worker_stats_t;
/*  Call `each` for all; pointers are valid during the call. */
void core_each_queue(const core_t *self, void (*each)(const queue_stats_t *, void *), void *arg);
void core_each_worker(const core_t *self, void (*each)(const worker_stats_t *, void *), void *arg);

/*  Whether this peer is a registered worker. */
bool core_is_worker(const core_t *self, peer_t peer);
/*  NULL when it is none. Valid until the next step. */
const char *core_worker_name(const core_t *self, peer_t peer);
/*  Whether workers are registered for a queue (MMI, RFC 8). */
bool core_has_workers(const core_t *self, slice_t queue);
/*  What a queue's tasks get; the default policy for an unknown id. */
const policy_t *core_policy(const core_t *self, uint32_t queue_id);
/*  The task's own, or the policy's. */
uint32_t retry_limit(const policy_t *policy, const record_t *record);
/*  0 when there is no such queue. */
uint32_t core_queue_id(const core_t *self, slice_t queue);

#endif
