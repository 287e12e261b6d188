#include "tests/sim/disk.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/store/carry_out.h"
#include "broker/store/memory.h"
#include "common/mem.h"
#include "tests/sim/host.h"

enum { SLOW_COMMIT_MS = 6000 };

typedef enum fate { FATE_GOOD, FATE_FAILS, FATE_UNSEEN } fate_t;

struct disk {
    sim_t *sim;
    store_t *store;
    batch_t *queued, *writing, *finished;
    bool in_transaction, failed, tidy;
    bool awaited, dead; /* a sync is still to return; to nobody */
    int64_t tidy_now_ms;
};

/* ---- batches -------------------------------------------------------------------------------- */

batch_t *batch_new(void)
{
    return mem_zalloc(sizeof(batch_t));
}

job_t *batch_add(batch_t *self)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 16;
        self->jobs = mem_realloc(self->jobs, self->capacity * sizeof *self->jobs);
    }
    job_t *job = &self->jobs[self->count++];
    memset(job, 0, sizeof *job);
    return job;
}

void batch_destroy(batch_t **self_p)
{
    batch_t *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->count; i++) {
        effect_fini(&self->jobs[i].effect);
        page_fini(&self->jobs[i].page);
    }
    free(self->jobs);
    free(self);
    *self_p = NULL;
}

static void append(batch_t **list, batch_t *batches)
{
    while (*list)
        list = &(*list)->next;
    *list = batches;
}

static void destroy_all(batch_t **list)
{
    while (*list) {
        batch_t *batch = *list;
        *list = batch->next;
        batch_destroy(&batch);
    }
}

/* ---- transactions --------------------------------------------------------------------------- */

static void carry_out(disk_t *self, job_t *job)
{
    if (job->effect.kind == EFFECT_SWEEP) {
        self->tidy = true;
        self->tidy_now_ms = job->effect.sweep.now_ms;
    }
    store_carry_out(self->store, &job->effect, self->sim->plan.page, &job->page);
}

static void transact(disk_t *self)
{
    self->writing = self->queued;
    self->queued = NULL;
    self->in_transaction = true;
    self->store->ops->begin(self->store);
    for (batch_t *batch = self->writing; batch; batch = batch->next)
        for (size_t i = 0; i < batch->count; i++)
            carry_out(self, &batch->jobs[i]);
    if (self->tidy)
        self->store->ops->maintain(self->store, self->tidy_now_ms,
                                   (int)self->sim->plan.sweep_budget, &self->tidy);
}

static void commit(disk_t *self)
{
    self->store->ops->commit(self->store);
    self->in_transaction = false;
}

static void begin_if_due(disk_t *self);

/*  The sync returned, well or not. */
static void synced(void *who, uint64_t fate)
{
    disk_t *self = who;
    if (self->dead) {
        free(self);
        return;
    }
    self->awaited = false;
    if (fate == FATE_GOOD || fate == FATE_UNSEEN) {
        commit(self);
    } else {
        memory_store_crash(self->store);
        self->in_transaction = false;
    }
    if (fate != FATE_GOOD) {
        self->failed = true;
        host_store_failed(self->sim->host, fate == FATE_UNSEEN);
        return;
    }
    append(&self->finished, self->writing);
    self->writing = NULL;
    begin_if_due(self);
    host_wake(self->sim->host);
}

static fate_t draw_fate(sim_t *sim)
{
    bool fails = sim_fault(sim, sim->plan.failing_commits);
    bool unseen = sim_fault(sim, sim->plan.unseen_commits);
    return fails ? FATE_FAILS : unseen ? FATE_UNSEEN : FATE_GOOD;
}

static void begin_if_due(disk_t *self)
{
    sim_t *sim = self->sim;
    if (self->in_transaction || self->failed || (self->queued == NULL && !self->tidy))
        return;
    transact(self);
    int64_t takes_ms = dice_between(&sim->dice, 0, sim->plan.commit_max_ms);
    if (sim_fault(sim, sim->plan.slow_commits))
        takes_ms += dice_between(&sim->dice, 0, SLOW_COMMIT_MS);
    for (batch_t *batch = self->writing; batch; batch = batch->next)
        batch->took_us = takes_ms * 1000;
    self->awaited = true;
    sim_after(sim, takes_ms, synced, self, draw_fate(sim));
}

/* ---- the reactor's side --------------------------------------------------------------------- */

disk_t *disk_new(sim_t *sim, store_t *store)
{
    disk_t *self = mem_zalloc(sizeof *self);
    self->sim = sim;
    self->store = store;
    return self;
}

void disk_submit(disk_t *self, batch_t **batch)
{
    append(&self->queued, *batch);
    *batch = NULL;
    begin_if_due(self);
}

batch_t *disk_collect(disk_t *self)
{
    batch_t *batch = self->finished;
    if (batch) {
        self->finished = batch->next;
        batch->next = NULL;
    }
    return batch;
}

bool disk_idle(const disk_t *self)
{
    return self->queued == NULL && self->finished == NULL && !self->in_transaction;
}

/*  The sync that is still to return finds a dead disk and frees it. */
static void end(disk_t **self_p)
{
    disk_t *self = *self_p;
    destroy_all(&self->queued);
    destroy_all(&self->writing);
    destroy_all(&self->finished);
    self->dead = true;
    if (!self->awaited)
        free(self);
    *self_p = NULL;
}

void disk_stop(disk_t **self_p)
{
    disk_t *self = *self_p;
    if (self->in_transaction)
        commit(self);
    destroy_all(&self->writing);
    if (self->queued) {
        transact(self);
        commit(self);
    }
    end(self_p);
}

void disk_kill(disk_t **self_p)
{
    disk_t *self = *self_p;
    if (self->in_transaction && dice_chance(&self->sim->dice, 300))
        commit(self);
    else
        memory_store_crash(self->store);
    end(self_p);
}
