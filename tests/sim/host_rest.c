/*  The store while the broker is down or idle, read for the oracle. */

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "tests/sim/host_inside.h"

typedef struct reader {
    host_t *host;
    rest_attempt_t *history; /* of the task read last */
    stored_queue_t queues[QUEUES_MAX];
    size_t queue_count;
} reader_t;

static void put(char *to, size_t size, slice_t from)
{
    snprintf(to, size, "%.*s", SLICE_ARG(from));
}

static rest_attempt_t attempt_of(const outcome_spec_t *spec)
{
    rest_attempt_t attempt = {
        .number = spec->attempt, .started_ms = spec->started_ms, .ended_ms = spec->ended_ms};
    put(attempt.ending, sizeof attempt.ending, slice_str(ending_name(spec->ending)));
    put(attempt.worker, sizeof attempt.worker, spec->worker);
    put(attempt.result, sizeof attempt.result, spec->result);
    put(attempt.reason, sizeof attempt.reason, spec->reason);
    return attempt;
}

static void put_content(content_t *content, const task_spec_t *spec)
{
    *content = (content_t){.priority = spec->priority,
                           .max_retries = spec->max_retries,
                           .timeout_ms = spec->timeout_ms};
    put(content->queue, sizeof content->queue, spec->queue);
    put(content->name, sizeof content->name, spec->task_name);
    put(content->body, sizeof content->body, spec->body);
}

static bool read_task(void *arg, const char *id, rest_task_t *out)
{
    reader_t *self = arg;
    store_t *store = self->host->store;
    biography_t biography = {0};
    store->ops->begin(store);
    store->ops->biography(store, slice_str(id), &biography);
    store->ops->commit(store);
    bool found = biography.found;
    if (found) {
        const loaded_t *task = &biography.task;
        *out = (rest_task_t){.state = task->state,
                             .seq = task->record->seq,
                             .attempts = task->tries.attempts,
                             .failures = task->tries.failures,
                             .deaths = task->tries.deaths,
                             .history_count = biography.attempt_count};
        put_content(&out->content, &task->record->spec);
        if (task->outcome)
            out->end = attempt_of(&task->outcome->spec);
        self->history =
            mem_realloc(self->history, (biography.attempt_count + 1) * sizeof *self->history);
        for (size_t i = 0; i < biography.attempt_count; i++)
            self->history[i] = attempt_of(&biography.attempts[i]->spec);
        out->history = self->history;
    }
    biography_fini(&biography);
    return found;
}

static void note_stored(const stored_queue_t *queue, void *arg)
{
    reader_t *self = arg;
    if (self->queue_count < QUEUES_MAX)
        self->queues[self->queue_count++] = *queue;
}

static void note_live(const queue_stats_t *queue, void *arg)
{
    note_stored(&(stored_queue_t){.id = queue->id,
                                  .name = queue->name,
                                  .waiting = queue->waiting,
                                  .scheduled = queue->scheduled,
                                  .dead = queue->dead,
                                  .bytes = queue->bytes},
                arg);
}

static bool read_queue(void *arg, const char *name, uint64_t counters[4])
{
    const reader_t *self = arg;
    for (size_t i = 0; i < self->queue_count; i++) {
        const stored_queue_t *queue = &self->queues[i];
        if (strcmp(queue->name, name) != 0)
            continue;
        counters[0] = queue->waiting;
        counters[1] = queue->scheduled;
        counters[2] = queue->dead;
        counters[3] = queue->bytes;
        return true;
    }
    return false;
}

/*  `recover` is how a store tells its queues' counters; the leases that it tells too are dropped. */
static void drop_lease(loaded_t *loaded, void *arg)
{
    (void)arg;
    loaded_fini(loaded);
}

/*  The queues' counters are the broker's while it is up (as QUERY shows them), else the store's. */
static void with_reader(host_t *self, void (*use)(oracle_t *, const rest_t *))
{
    reader_t reader = {.host = self};
    if (self->up)
        core_each_queue(self->core, note_live, &reader);
    else
        self->store->ops->recover(self->store,
                                  &(store_recovery_t){&reader, note_stored, drop_lease});
    use(self->sim->oracle, &(rest_t){&reader, read_task, read_queue});
    free(reader.history);
}

void host_audit(host_t *self)
{
    with_reader(self, oracle_reads);
}

void host_demand_the_end(host_t *self)
{
    if (self->up && !disk_idle(self->disk))
        return; /* amid a transaction there is nothing to read */
    with_reader(self, oracle_demands_the_end);
}

bool host_is_quiet(const host_t *self)
{
    return self->up && core_quiet(self->core) && disk_idle(self->disk) && self->batch == NULL;
}

/*  Tasks that wait or run, by the broker's own word. */
uint64_t host_unfinished(const host_t *self)
{
    if (!self->up)
        return 1;
    core_totals_t totals = core_totals(self->core);
    return totals.waiting + totals.scheduled + totals.processing;
}
