/*  The writer thread and the disk under it (broker/store/writer.c), on simulated time: everything that
    has queued up is one transaction with one sync; a commit takes its time, may fail, or may be
    durable without anybody hearing of it. */

#ifndef REEVE_TESTS_SIM_DISK_H
#define REEVE_TESTS_SIM_DISK_H

#include "broker/core/effect.h"
#include "broker/store/store.h"
#include "tests/sim/sim.h"

typedef struct job {
    effect_t effect; /* owned */
    page_t page;     /* the answer */
} job_t;

typedef struct batch {
    job_t *jobs;
    size_t count, capacity;
    uint64_t changes;
    int64_t took_us;
    struct batch *next;
} batch_t;

batch_t *batch_new(void);
job_t *batch_add(batch_t *self);
void batch_destroy(batch_t **self);

typedef struct disk disk_t;

disk_t *disk_new(sim_t *sim, store_t *store);
void disk_submit(disk_t *self, batch_t **batch);
/*  The next finished batch in order, or NULL. */
batch_t *disk_collect(disk_t *self);
bool disk_idle(const disk_t *self);
/*  Ends with what was submitted carried out, as writer_stop does. */
void disk_stop(disk_t **self);
/*  The process is killed: a commit under way may or may not have reached the disk. */
void disk_kill(disk_t **self);

#endif
