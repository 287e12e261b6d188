#include "worker/metrics.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"

#define OTHER "other"

typedef struct queue_row {
    const char *name;
    uint64_t ended[ATTEMPT_RESULTS];
    histogram_t duration;
    reasons_t failures;
} queue_row_t;

/*  All that the two threads share. */
typedef struct counts {
    queue_row_t *queues; /* those of the options, then "other" */
    broker_view_t *brokers;
    size_t running;
} counts_t;

struct worker_metrics {
    const options_t *options;
    int64_t started_ms;
    pthread_mutex_t mutex; /* for `counts` */
    counts_t counts;
};

static const char *const result_names[ATTEMPT_RESULTS] = {
    [ATTEMPT_SUCCESS] = "success",   [ATTEMPT_FAILURE] = "failure", [ATTEMPT_REJECTED] = "rejected",
    [ATTEMPT_RELEASED] = "released", [ATTEMPT_REVOKED] = "revoked",
};

/* ---- counting ------------------------------------------------------------------------------- */

/*  A broker delivers from the queues that it was told; "other" is for one that does not, and may be
    the name of a queue as well. */
static queue_row_t *row_of(worker_metrics_t *self, const char *queue)
{
    size_t count = self->options->queue_count;
    for (size_t i = 0; i <= count; i++)
        if (strcmp(self->counts.queues[i].name, queue) == 0)
            return &self->counts.queues[i];
    return row_of(self, OTHER);
}

void worker_metrics_attempt(worker_metrics_t *self, const char *queue, attempt_result_t result,
                            const char *reason, double duration_s)
{
    pthread_mutex_lock(&self->mutex);
    queue_row_t *row = row_of(self, queue);
    row->ended[result]++;
    if (reason)
        reasons_add(&row->failures, slice_str(reason));
    if (duration_s >= 0)
        histogram_add(&row->duration, HISTOGRAM_DURATION, duration_s);
    pthread_mutex_unlock(&self->mutex);
}

void worker_metrics_broker(worker_metrics_t *self, size_t index, const broker_view_t *view)
{
    pthread_mutex_lock(&self->mutex);
    self->counts.brokers[index] = *view;
    pthread_mutex_unlock(&self->mutex);
}

void worker_metrics_running(worker_metrics_t *self, size_t commands)
{
    pthread_mutex_lock(&self->mutex);
    self->counts.running = commands;
    pthread_mutex_unlock(&self->mutex);
}

/* ---- the page ------------------------------------------------------------------------------- */

typedef struct page {
    prom_t prom;
    const options_t *options;
    counts_t counts;
    size_t queue_count; /* rows that are shown */
} page_t;

static counts_t copy_counts(worker_metrics_t *self, size_t rows)
{
    size_t brokers = self->options->broker_count;
    counts_t copy = {.queues = mem_alloc(rows * sizeof *copy.queues),
                     .brokers = mem_alloc(brokers * sizeof *copy.brokers)};
    pthread_mutex_lock(&self->mutex);
    memcpy(copy.queues, self->counts.queues, rows * sizeof *copy.queues);
    memcpy(copy.brokers, self->counts.brokers, brokers * sizeof *copy.brokers);
    for (size_t i = 0; i < rows; i++)
        copy.queues[i].failures = reasons_copy(&self->counts.queues[i].failures);
    copy.running = self->counts.running;
    pthread_mutex_unlock(&self->mutex);
    return copy;
}

static void free_counts(counts_t *counts, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        reasons_fini(&counts->queues[i].failures);
    free(counts->queues);
    free(counts->brokers);
}

/*  The last row is for what should not be: it is shown when it was. */
static size_t rows_shown(const counts_t *counts, size_t queue_count)
{
    uint64_t other = 0;
    for (size_t i = 0; i < ATTEMPT_RESULTS; i++)
        other += counts->queues[queue_count].ended[i];
    return queue_count + (other > 0);
}

static void put_queues(page_t *page)
{
    prom_t *prom = &page->prom;
    prom_family(prom, "reeve_worker_tasks_total", "counter",
                "Attempts that ended in this worker, by how.");
    for (size_t i = 0; i < page->queue_count; i++)
        for (size_t k = 0; k < ATTEMPT_RESULTS; k++)
            prom_sample(
                prom, "reeve_worker_tasks_total",
                &(prom_labels_t){"queue", page->counts.queues[i].name, "result", result_names[k]},
                (double)page->counts.queues[i].ended[k]);
    prom_family(prom, "reeve_worker_task_failures_total", "counter",
                "Attempts that failed or were rejected, by the reason that the broker was given.");
    for (size_t i = 0; i < page->queue_count; i++)
        prom_reasons(prom, "reeve_worker_task_failures_total",
                     &(prom_labels_t){"queue", page->counts.queues[i].name, NULL, NULL},
                     &page->counts.queues[i].failures);
    prom_family(prom, "reeve_worker_attempt_duration_seconds", "histogram",
                "Time that commands took which ran to their end, by this worker's clock.");
    for (size_t i = 0; i < page->queue_count; i++)
        prom_histogram(prom, "reeve_worker_attempt_duration_seconds",
                       &(prom_labels_t){"queue", page->counts.queues[i].name, NULL, NULL},
                       &page->counts.queues[i].duration, HISTOGRAM_DURATION);
}

static void put_revocations(page_t *page)
{
    static const char name[] = "reeve_worker_revocations_total";
    prom_family(&page->prom, name, "counter", "Attempts that the broker took back, by why.");
    for (size_t i = 0; i < page->options->broker_count; i++) {
        const reeve_worker_stats_t *stats = &page->counts.brokers[i].stats;
        const struct {
            const char *reason;
            uint64_t count;
        } causes[] = {{"cancelled", stats->cancelled},
                      {"lease_lost", stats->lost},
                      {"timeout", stats->timed_out}};
        for (size_t k = 0; k < sizeof causes / sizeof causes[0]; k++)
            prom_sample(
                &page->prom, name,
                &(prom_labels_t){"broker", page->options->brokers[i], "reason", causes[k].reason},
                (double)causes[k].count);
    }
}

typedef struct broker_family {
    const char *name, *type, *help;
    size_t offset; /* of a uint64_t in broker_view_t */
} broker_family_t;

#define VIEW(member) offsetof(broker_view_t, member)

static const broker_family_t broker_families[] = {
    {"reeve_worker_connected", "gauge", "Whether the worker is registered with the broker.",
     VIEW(connected)},
    {"reeve_worker_connects_total", "counter",
     "Times it registered with the broker: all but the first are reconnects.",
     VIEW(stats.connects)},
    {"reeve_worker_heartbeats_sent_total", "counter", "Heartbeats to the broker.",
     VIEW(stats.heartbeats_sent)},
    {"reeve_worker_heartbeats_received_total", "counter", "Heartbeats of the broker.",
     VIEW(stats.heartbeats_received)},
    {"reeve_worker_deliveries_total", "counter", "Attempts that arrived.", VIEW(stats.deliveries)},
    {"reeve_worker_tasks_held", "gauge", "Attempts in hand: running, or waiting for a slot.",
     VIEW(held)},
    {"reeve_worker_settlements_unconfirmed", "gauge",
     "Ends of attempts that the broker did not confirm yet.", VIEW(unconfirmed)},
    {"reeve_worker_settlements_refused_total", "counter",
     "Ends of attempts that the broker did not take: the attempt was no longer the current one.",
     VIEW(stats.settlements_refused)},
};

static void put_brokers(page_t *page)
{
    for (size_t f = 0; f < sizeof broker_families / sizeof broker_families[0]; f++) {
        const broker_family_t *about = &broker_families[f];
        prom_family(&page->prom, about->name, about->type, about->help);
        for (size_t i = 0; i < page->options->broker_count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&page->counts.brokers[i] + about->offset, sizeof value);
            prom_sample(&page->prom, about->name,
                        &(prom_labels_t){"broker", page->options->brokers[i], NULL, NULL},
                        (double)value);
        }
    }
    put_revocations(page);
}

static void put_process(page_t *page, int64_t uptime_ms)
{
    prom_t *prom = &page->prom;
    prom_single(prom, "reeve_worker_concurrency", "gauge", "Commands that may run at once.",
                (double)page->options->concurrency);
    prom_single(prom, "reeve_worker_commands_running", "gauge", "Commands that run.",
                (double)page->counts.running);
    prom_single(prom, "reeve_worker_uptime_seconds", "gauge", "Since the worker started.",
                (double)uptime_ms / 1000);
    prom_family(prom, "reeve_worker_build_info", "gauge", "Always 1; the version is in the label.");
    prom_sample(prom, "reeve_worker_build_info",
                &(prom_labels_t){"version", REEVE_VERSION, NULL, NULL}, 1);
}

char *worker_metrics_page(worker_metrics_t *self, prom_format_t format, size_t *size)
{
    page_t page = {.options = self->options};
    if (!prom_begin(&page.prom, format))
        return NULL;
    size_t rows = self->options->queue_count + 1;
    page.counts = copy_counts(self, rows);
    page.queue_count = rows_shown(&page.counts, self->options->queue_count);
    put_queues(&page);
    put_brokers(&page);
    put_process(&page, clock_mono_ms() - self->started_ms);
    free_counts(&page.counts, rows);
    return prom_end(&page.prom, size);
}

/* ---- life ----------------------------------------------------------------------------------- */

worker_metrics_t *worker_metrics_new(const options_t *options)
{
    worker_metrics_t *self = mem_zalloc(sizeof *self);
    self->options = options;
    self->started_ms = clock_mono_ms();
    pthread_mutex_init(&self->mutex, NULL);
    self->counts.queues = mem_zalloc((options->queue_count + 1) * sizeof *self->counts.queues);
    for (size_t i = 0; i < options->queue_count; i++)
        self->counts.queues[i].name = options->queues[i];
    self->counts.queues[options->queue_count].name = OTHER;
    self->counts.brokers = mem_zalloc(options->broker_count * sizeof *self->counts.brokers);
    return self;
}

void worker_metrics_destroy(worker_metrics_t **self_p)
{
    worker_metrics_t *self = *self_p;
    if (self == NULL)
        return;
    free_counts(&self->counts, self->options->queue_count + 1);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    *self_p = NULL;
}
