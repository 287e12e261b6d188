/*  A snapshot of the broker for whoever watches it: what the metrics counted, and what the core, the
    peers and the writer hold now. */

#include <stdlib.h>

#include "broker/metrics/snapshot.h"
#include "broker/net/inside.h"
#include "common/mem.h"

typedef struct making {
    const reactor_t *reactor;
    snapshot_t *snapshot;
    queue_row_t *other; /* where the queues beyond the limit are summed up; NULL until one is */
} making_t;

static void add_histogram(histogram_t *to, const histogram_t *from)
{
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        to->counts[i] += from->counts[i];
    to->sum += from->sum;
}

/*  Its reasons are borrowed from the metrics. */
static queue_metrics_t counts_of(const metrics_t *metrics, uint32_t queue_id)
{
    return queue_id < metrics->queue_capacity ? metrics->queues[queue_id] : (queue_metrics_t){0};
}

/*  Sums a queue up; its retries by reason are left out. */
static void add_to_other(queue_row_t *row, const queue_row_t *queue)
{
    row->waiting += queue->waiting;
    row->scheduled += queue->scheduled;
    row->processing += queue->processing;
    row->dead += queue->dead;
    row->bytes += queue->bytes;
    row->workers += queue->workers;
    if (queue->oldest_s > row->oldest_s)
        row->oldest_s = queue->oldest_s;
    row->counts.submitted += queue->counts.submitted;
    row->counts.started += queue->counts.started;
    row->counts.succeeded += queue->counts.succeeded;
    row->counts.failed += queue->counts.failed;
    row->counts.cancelled += queue->counts.cancelled;
    row->counts.expired += queue->counts.expired;
    add_histogram(&row->counts.wait, &queue->counts.wait);
    add_histogram(&row->counts.life, &queue->counts.life);
}

/*  A last row; or that of a queue which has the name. */
static queue_row_t *find_other(snapshot_t *snapshot)
{
    for (size_t i = 0; i < snapshot->queue_count; i++)
        if (strcmp(snapshot->queues[i].name, "other") == 0)
            return &snapshot->queues[i];
    queue_row_t *row = &snapshot->queues[snapshot->queue_count++];
    *row = (queue_row_t){.name = mem_strdup("other")};
    return row;
}

static void add_queue(const queue_stats_t *queue, void *arg)
{
    making_t *making = arg;
    snapshot_t *snapshot = making->snapshot;
    int64_t waits_ms = queue->oldest_ms ? making->reactor->wall_ms - queue->oldest_ms : 0;
    queue_row_t row = {.waiting = queue->waiting,
                       .scheduled = queue->scheduled,
                       .processing = queue->processing,
                       .dead = queue->dead,
                       .bytes = queue->bytes,
                       .workers = queue->workers,
                       .oldest_s = waits_ms > 0 ? (double)waits_ms / 1000 : 0,
                       .counts = counts_of(&making->reactor->metrics, queue->id)};
    if (snapshot->queue_count >= LIMIT_METRIC_QUEUES) {
        if (making->other == NULL)
            making->other = find_other(snapshot);
        add_to_other(making->other, &row);
        snapshot->into_other[LABEL_QUEUE]++;
        return;
    }
    row.name = mem_strdup(queue->name);
    row.counts.retries = reasons_copy(&row.counts.retries);
    snapshot->queues[snapshot->queue_count++] = row;
}

static void add_worker(const worker_stats_t *worker, void *arg)
{
    worker_row_t *row = &((making_t *)arg)->snapshot->workers[worker->kind];
    row->workers++;
    row->slots += worker->prefetch;
    row->busy += worker->processing;
}

static void add_task(snapshot_t *snapshot, const task_metrics_t *task)
{
    snapshot->tasks[snapshot->task_count++] =
        (task_row_t){mem_strdup(task->name), task->duration, reasons_copy(&task->failures)};
}

static void add_tasks(snapshot_t *snapshot, const metrics_t *metrics)
{
    snapshot->tasks = mem_zalloc(HASH_COUNT(metrics->tasks) * sizeof *snapshot->tasks);
    for (const task_metrics_t *task = metrics->tasks; task; task = task->hh.next)
        add_task(snapshot, task);
}

static void add_refusals(snapshot_t *snapshot, const reactor_t *self)
{
    for (size_t i = 0; i < REFUSAL_COUNT; i++)
        snapshot->peers_refused[snapshot->peers_refused_count++] =
            (named_count_t){refusal_name((refusal_t)i), self->refusals[i]};
    for (size_t i = 1; i < METRIC_ERRORS; i++)
        if (self->metrics.refused[i])
            snapshot->errors[snapshot->errors_count++] =
                (named_count_t){reeve_error_name((reeve_error_t)i), self->metrics.refused[i]};
}

snapshot_t *observe(const reactor_t *self)
{
    _Static_assert((int)REFUSAL_COUNT <= SNAPSHOT_NAMED, "room for all reasons");
    _Static_assert((int)METRIC_ERRORS <= SNAPSHOT_NAMED, "room for all errors");
    snapshot_t *snapshot = snapshot_new();
    making_t making = {.reactor = self, .snapshot = snapshot};
    core_totals_t totals = core_totals(self->core);
    size_t rows = totals.queues < LIMIT_METRIC_QUEUES ? totals.queues : LIMIT_METRIC_QUEUES + 1;
    snapshot->queues = mem_zalloc(rows * sizeof *snapshot->queues);
    core_each_queue(self->core, add_queue, &making);
    for (int kind = 0; kind < SNAPSHOT_PROTOCOLS; kind++)
        snapshot->workers[kind].protocol = protocol_name((peer_kind_t)kind);
    core_each_worker(self->core, add_worker, &making);
    add_tasks(snapshot, &self->metrics);
    add_refusals(snapshot, self);
    snapshot->into_other[LABEL_TASK] = self->metrics.into_other[LABEL_TASK];
    snapshot->into_other[LABEL_REASON] = self->metrics.into_other[LABEL_REASON];
    snapshot->commit_s = self->metrics.commit_s;
    snapshot->commit_changes = self->metrics.commit_changes;
    snapshot->messages_in = self->metrics.messages_in;
    snapshot->messages_out = self->metrics.messages_out;
    snapshot->peers = peers_count(&self->peers);
    snapshot->queues_total = totals.queues;
    snapshot->in_memory = totals.in_memory;
    snapshot->uncommitted = self->unanswered;
    snapshot->stale = totals.stale;
    snapshot->duplicates = totals.duplicates;
    snapshot->conflicts = totals.conflicts;
    snapshot->lost = totals.lost;
    snapshot->disk_reserve_bytes = self->config.disk_reserve_bytes;
    snapshot->clock_steps = self->clock_steps;
    snapshot->uptime_s = (double)(self->now_ms - self->started_ms) / 1000;
    return snapshot;
}
