#include "broker/store/writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/store/carry_out.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"

/*  Steps of housekeeping in one transaction: small, so that confirms do not wait for it. */
enum { MAINTAIN_BUDGET = 256 };

struct writer {
    store_t *store;
    int notify_fd;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    batch_t *queued, **queued_tail;
    batch_t *finished, **finished_tail;
    bool stopping;
    /* the thread's own */
    bool failed, tidy;
    int64_t tidy_now_ms;
};

batch_t *batch_new(void)
{
    return mem_zalloc(sizeof(batch_t));
}

request_t *batch_add(batch_t *batch, request_kind_t kind)
{
    batch->items = mem_room(batch->items, &batch->capacity, batch->count, sizeof *batch->items);
    request_t *request = &batch->items[batch->count++];
    request->kind = kind;
    return request;
}

void batch_destroy(batch_t **batch_p)
{
    batch_t *batch = *batch_p;
    if (batch == NULL)
        return;
    for (size_t i = 0; i < batch->count; i++) {
        request_t *request = &batch->items[i];
        if (request->kind == REQUEST_EFFECT)
            effect_fini(&request->effect);
        free(request->id);
        page_fini(&request->page);
        biography_fini(&request->biography);
    }
    id_update_destroy(&batch->ids);
    free(batch->items);
    free(batch);
    *batch_p = NULL;
}

/* ---- the thread ----------------------------------------------------------------------------- */

static int carry_out_effect(writer_t *self, request_t *request)
{
    if (request->effect.kind == EFFECT_SWEEP) {
        self->tidy = true;
        self->tidy_now_ms = request->effect.sweep.now_ms;
    }
    return store_carry_out(self->store, &request->effect, LIMIT_PAGE_TASKS, &request->page);
}

static int carry_out_biography(writer_t *self, request_t *request)
{
    const store_ops_t *ops = self->store->ops;
    biography_t *biography = &request->biography;
    if (ops->biography(self->store, slice_str(request->id), biography) != STORE_OK)
        return STORE_FAILED;
    if (request->limit == 0 || !biography->found || biography->task.state != REEVE_STATE_QUEUED)
        return STORE_OK;
    return ops->count_ahead(self->store, biography->task.record, request->limit, &request->ahead);
}

static int carry_out(writer_t *self, request_t *request)
{
    const store_ops_t *ops = self->store->ops;
    switch (request->kind) {
    case REQUEST_EFFECT:
        return request->skipped ? STORE_OK : carry_out_effect(self, request);
    case REQUEST_BIOGRAPHY:
        return carry_out_biography(self, request);
    case REQUEST_DEAD_LIST:
        return ops->dead(self->store, request->queue_id, request->after, request->limit,
                         &request->page);
    }
    return STORE_OK;
}

/*  One transaction for all the batches in the list. */
static int transact(writer_t *self, batch_t *batches)
{
    const store_ops_t *ops = self->store->ops;
    if (ops->begin(self->store) != STORE_OK)
        return STORE_FAILED;
    for (batch_t *batch = batches; batch; batch = batch->next)
        for (size_t i = 0; i < batch->count; i++)
            if (carry_out(self, &batch->items[i]) != STORE_OK)
                return STORE_FAILED;
    if (self->tidy &&
        ops->maintain(self->store, self->tidy_now_ms, MAINTAIN_BUDGET, &self->tidy) != STORE_OK)
        return STORE_FAILED;
    return ops->commit(self->store);
}

static void write_batches(writer_t *self, batch_t *batches)
{
    int64_t start_us = clock_mono_us();
    /* After a failure nothing is written or confirmed any more (docs/guarantees.md, 7). */
    self->failed = self->failed || transact(self, batches) != STORE_OK;
    uint64_t changes = 0;
    for (batch_t *batch = batches; batch; batch = batch->next) {
        batch->failed = self->failed;
        changes += batch->changes;
        if (batch->next || self->failed)
            continue;
        batch->commit_us = clock_mono_us() - start_us;
        batch->transaction_changes = changes;
        batch->ids = self->store->ops->id_update(self->store);
    }
}

static batch_t *take_queued(writer_t *self)
{
    batch_t *batches = self->queued;
    self->queued = NULL;
    self->queued_tail = &self->queued;
    return batches;
}

static void give_back(writer_t *self, batch_t *batches)
{
    if (batches == NULL)
        return;
    *self->finished_tail = batches;
    while (*self->finished_tail)
        self->finished_tail = &(*self->finished_tail)->next;
    uint64_t one = 1;
    ssize_t written = write(self->notify_fd, &one, sizeof one);
    (void)written; /* an eventfd that is full is readable all the same */
}

static void *run(void *arg)
{
    writer_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    for (;;) {
        while (self->queued == NULL && !self->stopping && (!self->tidy || self->failed))
            pthread_cond_wait(&self->wake, &self->mutex);
        if (self->queued == NULL && self->stopping)
            break;
        batch_t *batches = take_queued(self);
        pthread_mutex_unlock(&self->mutex);
        write_batches(self, batches);
        pthread_mutex_lock(&self->mutex);
        give_back(self, batches);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

/* ---- the reactor's side --------------------------------------------------------------------- */

writer_t *writer_start(store_t *store, int notify_fd)
{
    writer_t *self = mem_zalloc(sizeof *self);
    self->store = store;
    self->notify_fd = notify_fd;
    self->queued_tail = &self->queued;
    self->finished_tail = &self->finished;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->wake, NULL);
    if (pthread_create(&self->thread, NULL, run, self) != 0) {
        free(self);
        return NULL;
    }
    pthread_setname_np(self->thread, "writer");
    return self;
}

void writer_submit(writer_t *self, batch_t **batch)
{
    pthread_mutex_lock(&self->mutex);
    (*batch)->next = NULL;
    *self->queued_tail = *batch;
    self->queued_tail = &(*batch)->next;
    *batch = NULL;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
}

batch_t *writer_collect(writer_t *self)
{
    pthread_mutex_lock(&self->mutex);
    batch_t *batch = self->finished;
    if (batch) {
        self->finished = batch->next;
        if (self->finished == NULL)
            self->finished_tail = &self->finished;
    }
    pthread_mutex_unlock(&self->mutex);
    return batch;
}

void writer_stop(writer_t **self_p)
{
    writer_t *self = *self_p;
    if (self == NULL)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stopping = true;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    batch_t *batch;
    while ((batch = writer_collect(self)) != NULL)
        batch_destroy(&batch);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->wake);
    free(self);
    *self_p = NULL;
}
