/*  All that is known of each task of a self test: what its client was told, which attempts workers
    ran, and what the broker says in the end. Gathered from the histories and over the wire; nothing
    of the broker's own code takes part. */

#ifndef REEVE_CLIENT_SELFTEST_STORY_H
#define REEVE_CLIENT_SELFTEST_STORY_H

#include <cjson/cJSON.h>
#include <stdio.h>
#include <uthash.h>

#include "client/selftest/plan.h"
#include "reeve/client.h"

/*  One attempt as its worker saw it. */
typedef struct attempt {
    uint32_t number;
    uint32_t starts; /* must be 1 */
    int verdict;     /* what the worker said of it; 0: nothing */
    bool settled;    /* the broker told it that this is stored */
    char run[32];    /* names this run of it in its result */
} attempt_t;

typedef struct task {
    char id[PLAN_ID_SIZE];
    plan_t plan;
    bool submitted, confirmed;
    unsigned again_new; /* "again" confirmed as if it had been unknown */
    unsigned again, conflicts, conflicts_taken;
    bool refused;   /* for a reason that does not pass */
    bool cancelled; /* the broker answered that it is */
    unsigned outcomes;
    int outcome_state;
    uint32_t outcome_attempts;
    bool outcomes_differ;
    char reply[PLAN_ID_SIZE + 64]; /* of a Majordomo request; "" when none came */
    attempt_t *attempts;
    size_t attempt_count;
    cJSON *document; /* the broker's; NULL: unknown */
    bool dead;       /* among the dead letters */
    UT_hash_handle hh;
} task_t;

typedef struct story {
    task_t *tasks;
    uint64_t stale;           /* settlements that the broker refused as stale */
    uint64_t strangers;       /* lines about ids that are no plan's */
    uint64_t unexpected_dead; /* dead letters that are no task of ours */
    char stranger[PLAN_ID_SIZE];
} story_t;

/*  Reads the histories below `directory`. False when that fails. */
bool story_read(story_t *self, const char *directory);
void story_fini(story_t *self);

/*  Asks the broker for the dead letters and then for every task, each of which is shown to `look`
    with its document; where that returns false the document is dropped, since a long test has more
    of them than memory. Returns 0, or -1 with *error. */
typedef bool story_fn(const task_t *task, void *arg);
int story_ask(story_t *self, reeve_client_t *client, story_fn *look, void *arg,
              reeve_error_t *error);

/*  NULL when no worker saw it. */
const attempt_t *story_attempt(const task_t *task, uint32_t number);

/*  Prints all lines of the histories about a task, and its document. */
void story_tell(const char *directory, const task_t *task, FILE *out);

#endif
