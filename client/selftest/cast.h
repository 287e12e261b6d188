/*  The processes of the self test: started, killed, stopped and continued, and started again when
    they end. One thread; nothing here blocks. */

#ifndef REEVE_CLIENT_SELFTEST_CAST_H
#define REEVE_CLIENT_SELFTEST_CAST_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum role {
    ROLE_BROKER,
    ROLE_WORKER,  /* on libreeve */
    ROLE_POISON,  /* the same, for tasks that kill it */
    ROLE_COMMAND, /* reeve-worker */
    ROLE_MDP_WORKER,
    ROLE_CLIENT,
    ROLE_MDP_CLIENT,
    ROLES
} role_t;

enum { CAST_MOST = 32, ACTOR_ARGUMENTS = 24, CAST_PROBLEM_SIZE = 200 };

typedef struct actor {
    role_t role;
    char name[32];
    char *argv[ACTOR_ARGUMENTS + 1];
    pid_t pid;     /* 0: not running */
    bool stopped;  /* by SIGSTOP, until continue_at_ms */
    bool retired;  /* told to end for good */
    bool draining; /* told to end */
    bool killed;
    int64_t continue_at_ms, start_at_ms, kill_at_ms;
    unsigned refused_starts; /* in a row */
} actor_t;

typedef struct cast_options {
    const char *directory, *self_program, *broker_program, *worker_program;
    uint64_t seed;
    unsigned per_second;
    unsigned port;
} cast_options_t;

typedef struct cast_counts {
    uint64_t kills[ROLES], stops[ROLES], drains[ROLES], poisoned;
} cast_counts_t;

typedef struct cast {
    cast_options_t options;
    char directory[PATH_MAX];
    char ipc[PATH_MAX + 16], tcp[64];
    actor_t actors[CAST_MOST];
    int count;
    cast_counts_t counts;
    uint64_t problems;               /* processes that ended by themselves, and wrongly */
    char problem[CAST_PROBLEM_SIZE]; /* the first of them */
} cast_t;

/*  Writes the broker's configuration and casts everybody; nobody runs before cast_tick. */
void cast_init(cast_t *self, const cast_options_t *options);
void cast_fini(cast_t *self); /* kills what still runs */

/*  Takes notice of ends, starts and continues what is due. */
void cast_tick(cast_t *self, int64_t now_ms);

/*  A running and not stopped actor of this role, drawn by `random`; NULL when there is none. */
actor_t *cast_draw(cast_t *self, role_t role, uint64_t random);

/*  kill -9; it starts again after delay_ms. */
void cast_kill(cast_t *self, actor_t *actor, int64_t now_ms, int64_t delay_ms);
/*  SIGSTOP for so long. */
void cast_stop(cast_t *self, actor_t *actor, int64_t now_ms, int64_t pause_ms);
/*  SIGTERM; it starts again when it has ended, unless it is retired. */
void cast_drain(cast_t *self, actor_t *actor, int64_t now_ms);

/*  Continues and starts all. */
void cast_heal(cast_t *self, int64_t now_ms);
/*  Tells all of a role to end for good; cast_running is how many have not. */
void cast_retire(cast_t *self, role_t role);
int cast_running(const cast_t *self, role_t role);

#endif
