#include "broker/store/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/store/carry_out.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"

enum {
    /* Steps of housekeeping in one transaction: small, so that confirms do not wait for it. */
    MAINTAIN_BUDGET = 256,
    /* Bodies and results that one transaction reads before questions are put off. */
    READ_BYTES = 16 << 20,
    FEW_REQUESTS = 32,
};

struct writer {
    store_t *store;
    int notify_fd;
    pthread_t thread, sync_thread;
    bool has_thread, has_sync_thread;
    pthread_mutex_t mutex;
    pthread_cond_t to_write, to_sync;
    batch_list_t queued, written, finished; /* the way of a batch */
    bool syncing;                           /* one of the threads is */
    bool stopping, written_all;
    /* After a failure nothing is written or confirmed any more (docs/guarantees.md, 7). */
    atomic_bool failed;
    /* the writer thread's own */
    bool tidy;
    int64_t tidy_now_ms;
    size_t read_bytes; /* in this transaction */
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
    if (kind != REQUEST_EFFECT)
        request->inquiry = mem_zalloc(sizeof *request->inquiry);
    return request;
}

static void inquiry_destroy(inquiry_t *inquiry)
{
    if (inquiry == NULL)
        return;
    free(inquiry->id);
    page_fini(&inquiry->page);
    biography_fini(&inquiry->biography);
    free(inquiry);
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
        inquiry_destroy(request->inquiry);
    }
    id_update_destroy(&batch->ids);
    free(batch->items);
    free(batch);
    *batch_p = NULL;
}

void batch_list_init(batch_list_t *list)
{
    list->first = NULL;
    list->end = &list->first;
}

void batch_list_add(batch_list_t *list, batch_t *batches)
{
    *list->end = batches;
    while (*list->end)
        list->end = &(*list->end)->next;
}

batch_t *batch_list_take(batch_list_t *list)
{
    batch_t *batches = list->first;
    batch_list_init(list);
    return batches;
}

/* ---- the threads ---------------------------------------------------------------------------- */

static int carry_out_effect(writer_t *self, request_t *request)
{
    const effect_t *effect = &request->effect;
    if (effect->kind == EFFECT_CHANGE)
        return request->skipped ? STORE_OK : self->store->ops->apply(self->store, &effect->change);
    if (effect->kind == EFFECT_SWEEP) {
        self->tidy = true;
        self->tidy_now_ms = effect->sweep.now_ms;
        return STORE_OK;
    }
    request->inquiry = mem_zalloc(sizeof *request->inquiry);
    return store_carry_out(self->store, effect, LIMIT_PAGE_TASKS, &request->inquiry->page);
}

static int carry_out_biography(writer_t *self, inquiry_t *inquiry)
{
    const store_ops_t *ops = self->store->ops;
    biography_t *biography = &inquiry->biography;
    if (ops->biography(self->store, slice_str(inquiry->id), biography) != STORE_OK)
        return STORE_FAILED;
    if (inquiry->limit == 0 || !biography->found || biography->task.state != REEVE_STATE_QUEUED)
        return STORE_OK;
    return ops->count_ahead(self->store, biography->task.record, inquiry->limit, &inquiry->ahead);
}

static int answer(writer_t *self, request_t *request)
{
    inquiry_t *inquiry = request->inquiry;
    switch (request->kind) {
    case REQUEST_EFFECT:
        return carry_out_effect(self, request);
    case REQUEST_BIOGRAPHY:
        return carry_out_biography(self, inquiry);
    case REQUEST_DEAD_LIST:
        return self->store->ops->dead(self->store, inquiry->queue_id, inquiry->after,
                                      inquiry->limit, &inquiry->page);
    }
    return STORE_OK;
}

static bool is_question(const request_t *request)
{
    effect_kind_t kind = request->effect.kind;
    return request->kind != REQUEST_EFFECT || (kind != EFFECT_CHANGE && kind != EFFECT_SWEEP);
}

static size_t bytes_of_outcome(const outcome_t *outcome)
{
    return outcome ? outcome->spec.result.size + outcome->spec.traceback.size : 0;
}

static size_t bytes_of(const loaded_t *loaded)
{
    size_t body = loaded->record ? loaded->record->spec.body.size : 0;
    return body + bytes_of_outcome(loaded->outcome);
}

static size_t bytes_read(const inquiry_t *inquiry)
{
    size_t size = bytes_of(&inquiry->biography.task);
    for (size_t i = 0; i < inquiry->biography.attempt_count; i++)
        size += bytes_of_outcome(inquiry->biography.attempts[i]);
    for (size_t i = 0; i < inquiry->page.count; i++)
        size += bytes_of(&inquiry->page.items[i]);
    return size;
}

static int carry_out(writer_t *self, request_t *request)
{
    if (!is_question(request))
        return carry_out_effect(self, request);
    request->put_off = self->read_bytes >= READ_BYTES;
    if (request->put_off)
        return STORE_OK;
    int rc = answer(self, request);
    self->read_bytes += bytes_read(request->inquiry);
    return rc;
}

/*  One transaction for all the batches in the list. */
static int transact(writer_t *self, batch_t *batches)
{
    const store_ops_t *ops = self->store->ops;
    self->read_bytes = 0;
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
    if (self->failed)
        return;
    if (transact(self, batches) != STORE_OK) {
        self->failed = true;
        return;
    }
    uint64_t changes = 0;
    for (batch_t *batch = batches; batch; batch = batch->next) {
        changes += batch->changes;
        if (batch->next)
            continue;
        batch->start_us = start_us;
        batch->transaction_changes = changes;
        batch->ids = self->store->ops->id_update(self->store);
    }
}

static void sync_batches(writer_t *self, batch_t *batches)
{
    if (!self->failed && self->store->ops->sync(self->store) != STORE_OK)
        self->failed = true;
    bool failed = self->failed;
    int64_t end_us = clock_mono_us();
    for (batch_t *batch = batches; batch; batch = batch->next) {
        batch->failed = failed;
        if (batch->start_us)
            batch->commit_us = end_us - batch->start_us;
    }
}

/*  With the mutex, which is left while the disk works; nobody else is syncing. */
static void sync_written(writer_t *self)
{
    batch_t *batches = batch_list_take(&self->written);
    self->syncing = true;
    pthread_mutex_unlock(&self->mutex);
    sync_batches(self, batches);
    pthread_mutex_lock(&self->mutex);
    self->syncing = false;
    if (batches == NULL)
        return; /* only housekeeping was done */
    batch_list_add(&self->finished, batches);
    uint64_t one = 1;
    ssize_t put = write(self->notify_fd, &one, sizeof one);
    (void)put; /* an eventfd that is full is readable all the same */
}

static bool has_work(const writer_t *self)
{
    return self->queued.first || (self->tidy && !self->failed);
}

/*  This thread may wait for the disk itself: nothing is to be written, and after so little nothing needs to
    come soon. */
static bool may_sync(const writer_t *self)
{
    size_t requests = 0;
    for (const batch_t *batch = self->written.first; batch; batch = batch->next)
        requests += batch->count;
    return self->queued.first == NULL && !self->syncing && requests <= FEW_REQUESTS;
}

/*  The other thread waits for the disk while this one writes; but a lone task is not handed over once
    more. */
static void *run_writer(void *arg)
{
    writer_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    for (;;) {
        while (!has_work(self) && !self->stopping)
            pthread_cond_wait(&self->to_write, &self->mutex);
        if (self->queued.first == NULL && self->stopping)
            break;
        batch_t *batches = batch_list_take(&self->queued);
        pthread_mutex_unlock(&self->mutex);
        write_batches(self, batches);
        pthread_mutex_lock(&self->mutex);
        batch_list_add(&self->written, batches);
        if (may_sync(self))
            sync_written(self);
        else
            pthread_cond_signal(&self->to_sync);
    }
    self->written_all = true;
    pthread_cond_signal(&self->to_sync);
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

static void *run_sync(void *arg)
{
    writer_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    for (;;) {
        while ((self->written.first == NULL || self->syncing) && !self->written_all)
            pthread_cond_wait(&self->to_sync, &self->mutex);
        if (self->written.first == NULL)
            break;
        sync_written(self);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

/* ---- the reactor's side --------------------------------------------------------------------- */

static bool start_thread(pthread_t *thread, const char *name, void *(*run)(void *), writer_t *self)
{
    if (pthread_create(thread, NULL, run, self) != 0)
        return false;
    pthread_setname_np(*thread, name);
    return true;
}

writer_t *writer_start(store_t *store, int notify_fd)
{
    writer_t *self = mem_zalloc(sizeof *self);
    self->store = store;
    self->notify_fd = notify_fd;
    batch_list_init(&self->queued);
    batch_list_init(&self->written);
    batch_list_init(&self->finished);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->to_write, NULL);
    pthread_cond_init(&self->to_sync, NULL);
    self->has_sync_thread = start_thread(&self->sync_thread, "sync", run_sync, self);
    self->has_thread =
        self->has_sync_thread && start_thread(&self->thread, "writer", run_writer, self);
    if (!self->has_thread)
        writer_stop(&self);
    return self;
}

void writer_submit(writer_t *self, batch_t **batch)
{
    pthread_mutex_lock(&self->mutex);
    batch_list_add(&self->queued, *batch);
    *batch = NULL;
    pthread_cond_signal(&self->to_write);
    pthread_mutex_unlock(&self->mutex);
}

batch_t *writer_collect(writer_t *self)
{
    pthread_mutex_lock(&self->mutex);
    batch_t *batch = self->finished.first;
    if (batch) {
        self->finished.first = batch->next;
        if (batch->next == NULL)
            batch_list_init(&self->finished);
        batch->next = NULL;
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
    self->written_all = !self->has_thread;
    pthread_cond_signal(&self->to_write);
    pthread_cond_signal(&self->to_sync);
    pthread_mutex_unlock(&self->mutex);
    if (self->has_thread)
        pthread_join(self->thread, NULL);
    if (self->has_sync_thread)
        pthread_join(self->sync_thread, NULL);
    batch_t *batch;
    while ((batch = writer_collect(self)) != NULL)
        batch_destroy(&batch);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->to_write);
    pthread_cond_destroy(&self->to_sync);
    free(self);
    *self_p = NULL;
}
