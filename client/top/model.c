#include "client/top/model.h"

#include <stdlib.h>
#include <string.h>

#include "client/output.h"
#include "common/mem.h"

static const char *const sort_names[] = {
#define X(symbol, name) name,
    SORT_KEYS(X)
#undef X
};

const char *sort_key_name(sort_key_t key)
{
    return sort_names[key];
}

bool sort_key_find(const char *name, sort_key_t *key)
{
    for (int i = 0; i < SORT_KEY_COUNT; i++) {
        if (strcmp(name, sort_names[i]) == 0) {
            *key = (sort_key_t)i;
            return true;
        }
    }
    return false;
}

/* ---- order ---------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const queue_row_t *)a)->name, ((const queue_row_t *)b)->name);
}

static int by_worker_name(const void *a, const void *b)
{
    return strcmp(((const worker_row_t *)a)->name, ((const worker_row_t *)b)->name);
}

static double key_of(const queue_row_t *row, sort_key_t key)
{
    switch (key) {
    case SORT_WAITING:
        return row->waiting;
    case SORT_RATE:
        return row->in_per_s + row->out_per_s;
    case SORT_AGE:
        return row->age_s;
    default:
        return 0; /* by name */
    }
}

static int by_key(const void *a, const void *b, void *arg)
{
    sort_key_t key = *(const sort_key_t *)arg;
    double first = key_of(a, key), second = key_of(b, key);
    if (first != second)
        return first > second ? -1 : 1;
    return by_name(a, b);
}

void model_sort(model_t *self, sort_key_t key)
{
    self->sort = key;
    if (self->queue_count > 1)
        qsort_r(self->queues, self->queue_count, sizeof *self->queues, by_key, &self->sort);
}

/* ---- rows ----------------------------------------------------------------------------------- */

/*  NOT_KNOWN where the member is missing; ages below 0 are clocks that were set. */
static double optional_number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsNumber(item))
        return NOT_KNOWN;
    return item->valuedouble > 0 ? item->valuedouble : 0;
}

static queue_row_t row_of_queue(const cJSON *document)
{
    return (queue_row_t){.name = output_string(document, "queue"),
                         .waiting = output_number(document, "waiting"),
                         .scheduled = output_number(document, "scheduled"),
                         .processing = output_number(document, "processing"),
                         .dead = output_number(document, "dead"),
                         .workers = output_number(document, "workers"),
                         .submitted = optional_number(document, "submitted_total"),
                         .finished = optional_number(document, "finished_total"),
                         .in_per_s = NOT_KNOWN,
                         .out_per_s = NOT_KNOWN,
                         .age_s = optional_number(document, "oldest_age_s"),
                         .document = document};
}

static worker_row_t row_of_worker(const cJSON *document)
{
    return (worker_row_t){.name = output_string(document, "worker"),
                          .address = output_string(document, "address"),
                          .protocol = output_string(document, "protocol"),
                          .busy = output_number(document, "processing"),
                          .slots = output_number(document, "prefetch"),
                          .heard_s = output_number(document, "last_heard_s"),
                          .queues = cJSON_GetObjectItemCaseSensitive(document, "queues")};
}

static void make_workers(model_t *self)
{
    const cJSON *document;
    size_t count = (size_t)cJSON_GetArraySize(self->sample->workers);
    self->workers = mem_zalloc((count + 1) * sizeof *self->workers);
    self->worker_count = 0;
    self->busy = self->slots = 0;
    cJSON_ArrayForEach(document, self->sample->workers)
    {
        worker_row_t *row = &self->workers[self->worker_count++];
        *row = row_of_worker(document);
        self->busy += row->busy;
        self->slots += row->slots;
    }
    qsort(self->workers, self->worker_count, sizeof *self->workers, by_worker_name);
}

/* ---- rates ---------------------------------------------------------------------------------- */

static double elapsed_s(const model_t *self)
{
    return (double)(self->sample->at_ms - self->before->at_ms) / 1000;
}

/*  Whether the broker counted on from the sample before. */
static bool same_run(const model_t *self)
{
    return self->before && elapsed_s(self) > 0 &&
           output_number(self->sample->broker, "epoch") ==
               output_number(self->before->broker, "epoch");
}

static double rate(double now, double before, double seconds)
{
    return now >= before && before >= 0 ? (now - before) / seconds : NOT_KNOWN;
}

static void add_rates(const model_t *self, queue_row_t *row)
{
    static const queue_row_t nothing; /* a queue that is new has counted from 0 */
    const queue_row_t *before =
        bsearch(row, self->queues_before, self->count_before, sizeof *row, by_name);
    if (before == NULL)
        before = &nothing;
    row->in_per_s = rate(row->submitted, before->submitted, elapsed_s(self));
    row->out_per_s = rate(row->finished, before->finished, elapsed_s(self));
}

static void add(double *sum, double value)
{
    if (value != NOT_KNOWN)
        *sum = *sum == NOT_KNOWN ? value : *sum + value;
}

static void add_to_all(queue_row_t *all, const queue_row_t *row)
{
    all->waiting += row->waiting;
    all->scheduled += row->scheduled;
    all->processing += row->processing;
    all->dead += row->dead;
    add(&all->in_per_s, row->in_per_s);
    add(&all->out_per_s, row->out_per_s);
    if (row->age_s > all->age_s)
        all->age_s = row->age_s;
}

static void make_queues(model_t *self)
{
    const cJSON *document;
    size_t count = (size_t)cJSON_GetArraySize(self->sample->queues);
    bool known = same_run(self);
    self->queues = mem_zalloc((count + 1) * sizeof *self->queues);
    self->queue_count = 0;
    self->all = (queue_row_t){
        .name = "", .in_per_s = NOT_KNOWN, .out_per_s = NOT_KNOWN, .age_s = NOT_KNOWN};
    cJSON_ArrayForEach(document, self->sample->queues)
    {
        queue_row_t *row = &self->queues[self->queue_count++];
        *row = row_of_queue(document);
        if (known)
            add_rates(self, row);
        add_to_all(&self->all, row);
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

static void forget_before(model_t *self)
{
    free(self->queues_before);
    sample_destroy(&self->before);
}

void model_take(model_t *self, sample_t **sample)
{
    forget_before(self);
    self->before = self->sample;
    self->queues_before = self->queues;
    self->count_before = self->queue_count;
    if (self->count_before > 1)
        qsort(self->queues_before, self->count_before, sizeof *self->queues_before, by_name);
    free(self->workers);
    self->sample = *sample;
    *sample = NULL;
    make_queues(self);
    make_workers(self);
    model_sort(self, self->sort);
}

void model_fini(model_t *self)
{
    forget_before(self);
    free(self->queues);
    free(self->workers);
    sample_destroy(&self->sample);
}
