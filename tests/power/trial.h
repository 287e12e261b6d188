/*  A store under a seeded load, beside a store in memory that does the same and says what it must
    hold. At any moment the trial knows what was confirmed, and what each transaction made that was
    committed since and not synced; a disk is checked against these and nothing else. */

#ifndef REEVE_TESTS_POWER_TRIAL_H
#define REEVE_TESTS_POWER_TRIAL_H

#include "broker/store/store.h"
#include "tests/power/disk.h"

enum { TRIAL_QUEUES = 5, TRIAL_UNSYNCED = 4 };

typedef struct load {
    uint64_t seed;
    int transactions;
    int changes;       /* of one transaction, at most */
    int restart_every; /* transactions; 0: never */
    int maintain_percent, maintain_budget;
    int large_percent; /* of the bodies */
    size_t large_bytes;
    bool one_slice; /* all ids are in one slice of the id index, so that it merges early */
} load_t;

/*  An id of the trial, and the last task that was submitted under it. */
typedef struct job {
    char id[40];
    record_t *record; /* NULL: not yet */
    reeve_state_t state;
    tries_t tries;
    int64_t at_ms;
} job_t;

/*  What a store holds: a hash of all that is known of each job's task (0: no such task), and the
    counters of the queues. */
typedef struct view {
    uint64_t *jobs;
    size_t count;
    stored_queue_t queues[TRIAL_QUEUES + 1];
    size_t leases;
} view_t;

typedef struct trial {
    load_t load;
    disk_t *disk;
    char path[128];
    store_t *store, *model;
    store_identity_t identity; /* as the last open told it; epoch 0: there was none */
    rng_t rng, sync_rng;       /* what is done; when it is synced */
    job_t *jobs;
    size_t job_count;
    uint64_t next_seq, confirmed_seq;
    int64_t now_ms;
    /* What was confirmed, and then what each commit made that is not synced yet. */
    view_t views[1 + TRIAL_UNSYNCED];
    size_t unsynced;
    change_t *changes; /* of this transaction: borrowed by the store until it ends */
    size_t change_count, change_capacity;
    uint64_t transactions, syncs;
    char error[700];           /* of the store, when a step failed */
    unsigned closing_failures; /* of the disk while the store was closed, which tells nobody */
} trial_t;

/*  Nothing is opened yet. */
void trial_init(trial_t *self, disk_t *disk, const load_t *load);
void trial_fini(trial_t *self);

/*  All: STORE_OK, or STORE_FAILED with `error`. Wrong answers end the test. */
int trial_open(trial_t *self);
int trial_step(trial_t *self); /* one transaction, or a restart */
void trial_close(trial_t *self);
/*  Open, all steps, retention to its end, close. */
int trial_run(trial_t *self);
/*  Fills an id index until its next seal starts a merge, and takes most of the tasks away. */
int trial_fill_index(trial_t *self);

/*  Opens the store on `disk` (not the trial's own, with what a cut left) and ends the test unless
    it holds what was confirmed, in every respect, and takes another task. `what` names the disk. */
void trial_check(const trial_t *self, disk_t *disk, const char *what);

/*  Makes what is random in the store (libsodium) the same for the same seed. */
void trial_seed_randomness(uint64_t seed);

#endif
