#include "client/selftest/chaos.h"

#include "client/selftest/plan.h"

enum {
    FIRST_MS = 1000,    /* calm at the start */
    INTERVAL_MS = 1000, /* between two acts: at most twice this */
    TWICE = 8,          /* one act of so many is followed by the next at once */
    DOWN_MS = 1000,     /* how long a killed process stays away at most, if not at once back */
    PAUSE_MS = 3500,    /* how long one is stopped at most; longer than liveness */
    WORKER_PAUSE_MS = 5000,
};

typedef enum deed { KILL, STOP, DRAIN } deed_t;

/*  The share of each act. */
static const struct act {
    deed_t deed;
    role_t role;
    unsigned share;
} acts[] = {
    {KILL, ROLE_BROKER, 28},    {STOP, ROLE_BROKER, 6},     {DRAIN, ROLE_BROKER, 6},
    {KILL, ROLE_WORKER, 14},    {STOP, ROLE_WORKER, 10},    {DRAIN, ROLE_WORKER, 6},
    {KILL, ROLE_COMMAND, 4},    {STOP, ROLE_COMMAND, 3},    {DRAIN, ROLE_COMMAND, 3},
    {KILL, ROLE_MDP_WORKER, 5}, {STOP, ROLE_MDP_WORKER, 3}, {DRAIN, ROLE_MDP_WORKER, 2},
    {KILL, ROLE_CLIENT, 6},     {STOP, ROLE_CLIENT, 4},     {KILL, ROLE_MDP_CLIENT, 2},
    {DRAIN, ROLE_CLIENT, 1},    {STOP, ROLE_MDP_CLIENT, 1}, {DRAIN, ROLE_MDP_CLIENT, 1},
    {STOP, ROLE_POISON, 1},     {DRAIN, ROLE_POISON, 1},
};
enum { ACTS = sizeof acts / sizeof acts[0] };

static int64_t below(chaos_t *self, int64_t limit)
{
    return (int64_t)(plan_random(&self->random) % (uint64_t)limit);
}

static const struct act *draw_act(chaos_t *self)
{
    unsigned total = 0, at = 0;
    for (; at < ACTS; at++)
        total += acts[at].share;
    unsigned left = (unsigned)below(self, total);
    for (at = 0; left >= acts[at].share; at++)
        left -= acts[at].share;
    return &acts[at];
}

void chaos_init(chaos_t *self, uint64_t seed, int64_t now_ms)
{
    *self = (chaos_t){.random = seed, .next_ms = now_ms + FIRST_MS};
}

static void do_act(chaos_t *self, cast_t *cast, const struct act *act, int64_t now_ms)
{
    actor_t *actor = cast_draw(cast, act->role, plan_random(&self->random));
    int64_t pause_ms = act->role == ROLE_WORKER ? WORKER_PAUSE_MS : PAUSE_MS;
    if (actor == NULL)
        return;
    if (act->deed == KILL)
        cast_kill(cast, actor, now_ms, below(self, 2) == 0 ? 0 : below(self, DOWN_MS));
    else if (act->deed == STOP)
        cast_stop(cast, actor, now_ms, 50 + below(self, pause_ms));
    else
        cast_drain(cast, actor, now_ms);
}

void chaos_tick(chaos_t *self, cast_t *cast, int64_t now_ms)
{
    if (now_ms < self->next_ms)
        return;
    do_act(self, cast, draw_act(self), now_ms);
    self->next_ms = now_ms + below(self, below(self, TWICE) == 0 ? 100 : 2 * INTERVAL_MS);
}
