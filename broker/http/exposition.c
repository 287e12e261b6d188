#include "broker/http/exposition.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct page {
    FILE *out;
    exposition_format_t format;
} page_t;

const char *exposition_type(exposition_format_t format)
{
    return format == EXPOSITION_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- samples -------------------------------------------------------------------------------- */

/*  HELP and TYPE. OpenMetrics names a family of counters without the suffix of its samples. */
static void family(page_t *page, const char *name, const char *type, const char *help)
{
    size_t size = strlen(name);
    if (page->format == EXPOSITION_OPENMETRICS && strcmp(type, "counter") == 0)
        size -= strlen("_total");
    fprintf(page->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)size, name, help, (int)size, name,
            type);
}

static void put_value(page_t *page, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            fprintf(page->out, "\\%c", *text);
        else if (*text == '\n')
            fputs("\\n", page->out);
        else
            fputc(*text, page->out);
    }
}

/*  Up to two labels; NULL names none. */
typedef struct labels {
    const char *name, *value, *name2, *value2;
} labels_t;

static void put_labels(page_t *page, const labels_t *labels)
{
    fprintf(page->out, "%s=\"", labels->name);
    put_value(page, labels->value);
    fputc('"', page->out);
    if (labels->name2 == NULL)
        return;
    fprintf(page->out, ",%s=\"", labels->name2);
    put_value(page, labels->value2);
    fputc('"', page->out);
}

static void sample(page_t *page, const char *name, const labels_t *labels, double value)
{
    fputs(name, page->out);
    if (labels && labels->name) {
        fputc('{', page->out);
        put_labels(page, labels);
        fputc('}', page->out);
    }
    fprintf(page->out, " %.15g\n", value);
}

static void put_bucket(page_t *page, const char *name, const labels_t *labels, const char *le,
                       uint64_t count)
{
    fprintf(page->out, "%s_bucket{", name);
    if (labels && labels->name) {
        put_labels(page, labels);
        fputc(',', page->out);
    }
    fprintf(page->out, "le=\"%s\"} %" PRIu64 "\n", le, count);
}

static void histogram(page_t *page, const char *name, const labels_t *labels,
                      const histogram_t *values, histogram_kind_t kind)
{
    char full[96], le[32];
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += values->counts[i];
        double bound = histogram_bounds(kind)[i];
        /* OpenMetrics wants floats that look like floats. */
        snprintf(le, sizeof le, bound == (double)(int64_t)bound ? "%.1f" : "%.15g", bound);
        put_bucket(page, name, labels, le, count);
    }
    put_bucket(page, name, labels, "+Inf", histogram_count(values));
    snprintf(full, sizeof full, "%s_sum", name);
    sample(page, full, labels, values->sum);
    snprintf(full, sizeof full, "%s_count", name);
    sample(page, full, labels, (double)histogram_count(values));
}

static void single(page_t *page, const char *name, const char *type, const char *help, double value)
{
    family(page, name, type, help);
    sample(page, name, NULL, value);
}

/* ---- by queue ------------------------------------------------------------------------------- */

typedef struct queue_family {
    const char *name, *type, *help;
    size_t offset; /* of a uint64_t in queue_row_t */
} queue_family_t;

#define ROW(member) offsetof(queue_row_t, member)

static const queue_family_t queue_families[] = {
    {"task_queue_length", "gauge", "Tasks that wait to run and are due.", ROW(waiting)},
    {"reeve_tasks_scheduled", "gauge", "Tasks that wait for their time: delayed or to be retried.",
     ROW(scheduled)},
    {"reeve_tasks_in_flight", "gauge", "Tasks that workers hold.", ROW(processing)},
    {"reeve_dead_letters", "gauge", "Failed tasks that wait for a person.", ROW(dead)},
    {"reeve_queue_bytes", "gauge", "Bodies of the tasks that have not ended.", ROW(bytes)},
    {"reeve_queue_workers", "gauge", "Workers that serve the queue.", ROW(workers)},
    {"reeve_tasks_submitted_total", "counter", "Tasks that were accepted.", ROW(counts.submitted)},
    {"reeve_attempts_started_total", "counter", "Tasks handed to workers, repetitions included.",
     ROW(counts.started)},
};

static void by_queue(page_t *page, const snapshot_t *snapshot)
{
    for (size_t f = 0; f < sizeof queue_families / sizeof queue_families[0]; f++) {
        const queue_family_t *about = &queue_families[f];
        family(page, about->name, about->type, about->help);
        for (size_t i = 0; i < snapshot->queue_count; i++) {
            const queue_row_t *row = &snapshot->queues[i];
            uint64_t value;
            memcpy(&value, (const char *)row + about->offset, sizeof value);
            sample(page, about->name, &(labels_t){"queue", row->name, NULL, NULL}, (double)value);
        }
    }
}

static void ends(page_t *page, const snapshot_t *snapshot)
{
    static const char name[] = "reeve_tasks_finished_total";
    family(page, name, "counter", "Tasks that ended, by how.");
    for (size_t i = 0; i < snapshot->queue_count; i++) {
        const queue_row_t *row = &snapshot->queues[i];
        const struct {
            const char *state;
            uint64_t count;
        } states[] = {{"success", row->counts.succeeded},
                      {"failed", row->counts.failed},
                      {"cancelled", row->counts.cancelled},
                      {"expired", row->counts.expired}};
        for (size_t k = 0; k < sizeof states / sizeof states[0]; k++)
            sample(page, name, &(labels_t){"queue", row->name, "state", states[k].state},
                   (double)states[k].count);
    }
}

static void by_reason(page_t *page, const char *name, const labels_t *labels,
                      const reasons_t *reasons)
{
    for (size_t i = 0; i < reasons->count; i++)
        sample(page, name,
               &(labels_t){labels->name, labels->value, "reason", reasons->items[i].name},
               (double)reasons->items[i].count);
}

static void queue_times(page_t *page, const snapshot_t *snapshot)
{
    family(page, "reeve_oldest_waiting_seconds", "gauge",
           "Age of the task that has been waiting longest; 0 when none waits.");
    for (size_t i = 0; i < snapshot->queue_count; i++)
        sample(page, "reeve_oldest_waiting_seconds",
               &(labels_t){"queue", snapshot->queues[i].name, NULL, NULL},
               snapshot->queues[i].oldest_s);
    family(page, "reeve_queue_wait_seconds", "histogram",
           "From submission, or the time it was due, to the first attempt; by the broker's clock.");
    for (size_t i = 0; i < snapshot->queue_count; i++)
        histogram(page, "reeve_queue_wait_seconds",
                  &(labels_t){"queue", snapshot->queues[i].name, NULL, NULL},
                  &snapshot->queues[i].counts.wait, HISTOGRAM_AGE);
    family(page, "reeve_task_life_seconds", "histogram",
           "From submission to the end, end to end; by the broker's clock.");
    for (size_t i = 0; i < snapshot->queue_count; i++)
        histogram(page, "reeve_task_life_seconds",
                  &(labels_t){"queue", snapshot->queues[i].name, NULL, NULL},
                  &snapshot->queues[i].counts.life, HISTOGRAM_AGE);
    family(page, "reeve_task_retries_total", "counter",
           "Attempts that failed and were followed by another, by queue and reason.");
    for (size_t i = 0; i < snapshot->queue_count; i++)
        by_reason(page, "reeve_task_retries_total",
                  &(labels_t){"queue", snapshot->queues[i].name, NULL, NULL},
                  &snapshot->queues[i].counts.retries);
}

/* ---- by task name --------------------------------------------------------------------------- */

static void by_task(page_t *page, const snapshot_t *snapshot)
{
    family(page, "task_process_duration_seconds", "histogram",
           "Time an attempt took, as its worker measured it; for Majordomo workers, as the broker "
           "did.");
    for (size_t i = 0; i < snapshot->task_count; i++)
        histogram(page, "task_process_duration_seconds",
                  &(labels_t){"task", snapshot->tasks[i].name, NULL, NULL},
                  &snapshot->tasks[i].duration, HISTOGRAM_DURATION);
    family(page, "task_failures_total", "counter",
           "Attempts that failed, by the reason their worker or the broker gave.");
    for (size_t i = 0; i < snapshot->task_count; i++)
        by_reason(page, "task_failures_total",
                  &(labels_t){"task", snapshot->tasks[i].name, NULL, NULL},
                  &snapshot->tasks[i].failures);
}

/* ---- the broker ----------------------------------------------------------------------------- */

static void named(page_t *page, const char *name, const char *label, const char *help,
                  const named_count_t *items, size_t count)
{
    family(page, name, "counter", help);
    for (size_t i = 0; i < count; i++)
        sample(page, name, &(labels_t){label, items[i].name, NULL, NULL}, (double)items[i].count);
}

static void workers(page_t *page, const snapshot_t *snapshot)
{
    family(page, "reeve_workers", "gauge", "Workers that are registered.");
    for (size_t i = 0; i < SNAPSHOT_PROTOCOLS; i++)
        sample(page, "reeve_workers",
               &(labels_t){"protocol", snapshot->workers[i].protocol, NULL, NULL},
               (double)snapshot->workers[i].workers);
    family(page, "reeve_worker_slots", "gauge", "Tasks that the workers could hold, and do hold.");
    for (size_t i = 0; i < SNAPSHOT_PROTOCOLS; i++) {
        const worker_row_t *row = &snapshot->workers[i];
        uint64_t idle = row->slots > row->busy ? row->slots - row->busy : 0;
        sample(page, "reeve_worker_slots", &(labels_t){"protocol", row->protocol, "state", "busy"},
               (double)row->busy);
        sample(page, "reeve_worker_slots", &(labels_t){"protocol", row->protocol, "state", "idle"},
               (double)idle);
    }
}

static void refusals(page_t *page, const snapshot_t *snapshot)
{
    named(page, "reeve_refusals_total", "error",
          "Requests that were answered by an error of the protocol.", snapshot->errors,
          snapshot->errors_count);
    named(page, "reeve_peers_refused_total", "reason",
          "Messages that were not of a protocol, malformed or out of place.",
          snapshot->peers_refused, snapshot->peers_refused_count);
    single(page, "reeve_stale_acks_total", "counter",
           "Reports about attempts that were no longer their task's current one.",
           (double)snapshot->stale);
    single(page, "reeve_duplicate_submissions_total", "counter",
           "Submissions of an id that was there with the same content.",
           (double)snapshot->duplicates);
    single(page, "reeve_conflicting_submissions_total", "counter",
           "Submissions of an id that was there with other content.", (double)snapshot->conflicts);
    single(page, "reeve_leases_lost_total", "counter",
           "Attempts whose worker died or no longer reported them.", (double)snapshot->lost);
}

static void store(page_t *page, const snapshot_t *snapshot, const disk_usage_t *disk)
{
    family(page, "reeve_commit_seconds", "histogram", "Time of a transaction with its sync.");
    histogram(page, "reeve_commit_seconds", NULL, &snapshot->commit_s, HISTOGRAM_COMMIT);
    family(page, "reeve_commit_changes", "histogram", "Changes in a transaction.");
    histogram(page, "reeve_commit_changes", NULL, &snapshot->commit_changes, HISTOGRAM_BATCH);
    single(page, "reeve_store_pending_requests", "gauge", "Changes and questions not yet done.",
           (double)snapshot->uncommitted);
    single(page, "reeve_store_database_bytes", "gauge", "Size of the database file.",
           disk->database_bytes);
    single(page, "reeve_store_wal_bytes", "gauge", "Size of the write-ahead log.", disk->wal_bytes);
    single(page, "reeve_disk_free_bytes", "gauge", "Free space where the database is.",
           disk->free_bytes);
}

static void process(page_t *page, const snapshot_t *snapshot)
{
    single(page, "reeve_connections", "gauge", "Peers that the broker remembers.",
           (double)snapshot->peers);
    single(page, "reeve_messages_received_total", "counter", "Messages from peers.",
           (double)snapshot->messages_in);
    single(page, "reeve_messages_sent_total", "counter", "Messages to peers.",
           (double)snapshot->messages_out);
    single(page, "reeve_queues", "gauge", "Queues that exist.", (double)snapshot->queues_total);
    single(page, "reeve_tasks_in_memory", "gauge", "Tasks that are not only on disk.",
           (double)snapshot->in_memory);
    const named_count_t labels[LABELS] = {{"task", snapshot->into_other[LABEL_TASK]},
                                          {"reason", snapshot->into_other[LABEL_REASON]},
                                          {"queue", snapshot->into_other[LABEL_QUEUE]}};
    family(page, "reeve_metric_label_overflow", "gauge",
           "Observations, or for queues series, whose label value was replaced by other.");
    for (size_t i = 0; i < LABELS; i++)
        sample(page, "reeve_metric_label_overflow",
               &(labels_t){"label", labels[i].name, NULL, NULL}, (double)labels[i].count);
    single(page, "reeve_uptime_seconds", "gauge", "Since the broker started.", snapshot->uptime_s);
    family(page, "reeve_build_info", "gauge", "Always 1; the version is in the label.");
    sample(page, "reeve_build_info", &(labels_t){"version", REEVE_VERSION, NULL, NULL}, 1);
}

char *exposition(const snapshot_t *snapshot, const disk_usage_t *disk, exposition_format_t format,
                 size_t *size)
{
    char *text = NULL;
    page_t page = {open_memstream(&text, size), format};
    if (page.out == NULL)
        return NULL;
    by_queue(&page, snapshot);
    ends(&page, snapshot);
    queue_times(&page, snapshot);
    by_task(&page, snapshot);
    workers(&page, snapshot);
    refusals(&page, snapshot);
    store(&page, snapshot, disk);
    process(&page, snapshot);
    if (format == EXPOSITION_OPENMETRICS)
        fputs("# EOF\n", page.out);
    fclose(page.out);
    return text;
}
