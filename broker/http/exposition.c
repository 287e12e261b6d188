#include "broker/http/exposition.h"

#include <string.h>

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

static void by_queue(prom_t *page, const snapshot_t *snapshot)
{
    for (size_t f = 0; f < sizeof queue_families / sizeof queue_families[0]; f++) {
        const queue_family_t *about = &queue_families[f];
        prom_family(page, about->name, about->type, about->help);
        for (size_t i = 0; i < snapshot->queue_count; i++) {
            const queue_row_t *row = &snapshot->queues[i];
            uint64_t value;
            memcpy(&value, (const char *)row + about->offset, sizeof value);
            prom_sample(page, about->name, &(prom_labels_t){"queue", row->name, NULL, NULL},
                        (double)value);
        }
    }
}

static void ends(prom_t *page, const snapshot_t *snapshot)
{
    static const char name[] = "reeve_tasks_finished_total";
    prom_family(page, name, "counter", "Tasks that ended, by how.");
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
            prom_sample(page, name, &(prom_labels_t){"queue", row->name, "state", states[k].state},
                        (double)states[k].count);
    }
}

static void queue_times(prom_t *page, const snapshot_t *snapshot)
{
    prom_family(page, "reeve_oldest_waiting_seconds", "gauge",
                "Age of the task that has been waiting longest; 0 when none waits.");
    for (size_t i = 0; i < snapshot->queue_count; i++)
        prom_sample(page, "reeve_oldest_waiting_seconds",
                    &(prom_labels_t){"queue", snapshot->queues[i].name, NULL, NULL},
                    snapshot->queues[i].oldest_s);
    prom_family(
        page, "reeve_queue_wait_seconds", "histogram",
        "From submission, or the time it was due, to the first attempt; by the broker's clock.");
    for (size_t i = 0; i < snapshot->queue_count; i++)
        prom_histogram(page, "reeve_queue_wait_seconds",
                       &(prom_labels_t){"queue", snapshot->queues[i].name, NULL, NULL},
                       &snapshot->queues[i].counts.wait, HISTOGRAM_AGE);
    prom_family(page, "reeve_task_life_seconds", "histogram",
                "From submission to the end, end to end; by the broker's clock.");
    for (size_t i = 0; i < snapshot->queue_count; i++)
        prom_histogram(page, "reeve_task_life_seconds",
                       &(prom_labels_t){"queue", snapshot->queues[i].name, NULL, NULL},
                       &snapshot->queues[i].counts.life, HISTOGRAM_AGE);
    prom_family(page, "reeve_task_retries_total", "counter",
                "Attempts that failed and were followed by another, by queue and reason.");
    for (size_t i = 0; i < snapshot->queue_count; i++)
        prom_reasons(page, "reeve_task_retries_total",
                     &(prom_labels_t){"queue", snapshot->queues[i].name, NULL, NULL},
                     &snapshot->queues[i].counts.retries);
}

/* ---- by task name --------------------------------------------------------------------------- */

static void by_task(prom_t *page, const snapshot_t *snapshot)
{
    prom_family(
        page, "task_process_duration_seconds", "histogram",
        "Time an attempt took, as its worker measured it; for Majordomo workers, as the broker "
        "did.");
    for (size_t i = 0; i < snapshot->task_count; i++)
        prom_histogram(page, "task_process_duration_seconds",
                       &(prom_labels_t){"task", snapshot->tasks[i].name, NULL, NULL},
                       &snapshot->tasks[i].duration, HISTOGRAM_DURATION);
    prom_family(page, "task_failures_total", "counter",
                "Attempts that failed, by the reason their worker or the broker gave.");
    for (size_t i = 0; i < snapshot->task_count; i++)
        prom_reasons(page, "task_failures_total",
                     &(prom_labels_t){"task", snapshot->tasks[i].name, NULL, NULL},
                     &snapshot->tasks[i].failures);
}

/* ---- the broker ----------------------------------------------------------------------------- */

static void named(prom_t *page, const char *name, const char *label, const char *help,
                  const named_count_t *items, size_t count)
{
    prom_family(page, name, "counter", help);
    for (size_t i = 0; i < count; i++)
        prom_sample(page, name, &(prom_labels_t){label, items[i].name, NULL, NULL},
                    (double)items[i].count);
}

static void workers(prom_t *page, const snapshot_t *snapshot)
{
    prom_family(page, "reeve_workers", "gauge", "Workers that are registered.");
    for (size_t i = 0; i < SNAPSHOT_PROTOCOLS; i++)
        prom_sample(page, "reeve_workers",
                    &(prom_labels_t){"protocol", snapshot->workers[i].protocol, NULL, NULL},
                    (double)snapshot->workers[i].workers);
    prom_family(page, "reeve_worker_slots", "gauge",
                "Tasks that the workers could hold, and do hold.");
    for (size_t i = 0; i < SNAPSHOT_PROTOCOLS; i++) {
        const worker_row_t *row = &snapshot->workers[i];
        uint64_t idle = row->slots > row->busy ? row->slots - row->busy : 0;
        prom_sample(page, "reeve_worker_slots",
                    &(prom_labels_t){"protocol", row->protocol, "state", "busy"},
                    (double)row->busy);
        prom_sample(page, "reeve_worker_slots",
                    &(prom_labels_t){"protocol", row->protocol, "state", "idle"}, (double)idle);
    }
}

static void refusals(prom_t *page, const snapshot_t *snapshot)
{
    named(page, "reeve_refusals_total", "error",
          "Requests that were answered by an error of the protocol.", snapshot->errors,
          snapshot->errors_count);
    named(page, "reeve_peers_refused_total", "reason",
          "Messages that were not of a protocol, malformed or out of place.",
          snapshot->peers_refused, snapshot->peers_refused_count);
    prom_single(page, "reeve_stale_acks_total", "counter",
                "Reports about attempts that were no longer their task's current one.",
                (double)snapshot->stale);
    prom_single(page, "reeve_duplicate_submissions_total", "counter",
                "Submissions of an id that was there with the same content.",
                (double)snapshot->duplicates);
    prom_single(page, "reeve_conflicting_submissions_total", "counter",
                "Submissions of an id that was there with other content.",
                (double)snapshot->conflicts);
    prom_single(page, "reeve_leases_lost_total", "counter",
                "Attempts whose worker died or no longer reported them.", (double)snapshot->lost);
}

static void store(prom_t *page, const snapshot_t *snapshot, const disk_usage_t *disk)
{
    prom_family(page, "reeve_commit_seconds", "histogram", "Time of a transaction with its sync.");
    prom_histogram(page, "reeve_commit_seconds", NULL, &snapshot->commit_s, HISTOGRAM_COMMIT);
    prom_family(page, "reeve_commit_changes", "histogram", "Changes in a transaction.");
    prom_histogram(page, "reeve_commit_changes", NULL, &snapshot->commit_changes, HISTOGRAM_BATCH);
    prom_single(page, "reeve_store_pending_requests", "gauge",
                "Changes and questions not yet done.", (double)snapshot->uncommitted);
    prom_single(page, "reeve_store_database_bytes", "gauge", "Size of the database file.",
                disk->database_bytes);
    prom_single(page, "reeve_store_wal_bytes", "gauge", "Size of the write-ahead log.",
                disk->wal_bytes);
    prom_single(page, "reeve_disk_free_bytes", "gauge", "Free space where the database is.",
                disk->free_bytes);
    prom_single(page, "reeve_disk_reserve_bytes", "gauge",
                "Free space below which new tasks are refused.",
                (double)snapshot->disk_reserve_bytes);
}

static void process(prom_t *page, const snapshot_t *snapshot)
{
    prom_single(page, "reeve_connections", "gauge", "Peers that the broker remembers.",
                (double)snapshot->peers);
    prom_single(page, "reeve_messages_received_total", "counter", "Messages from peers.",
                (double)snapshot->messages_in);
    prom_single(page, "reeve_messages_sent_total", "counter", "Messages to peers.",
                (double)snapshot->messages_out);
    prom_single(page, "reeve_queues", "gauge", "Queues that exist.",
                (double)snapshot->queues_total);
    prom_single(page, "reeve_tasks_in_memory", "gauge", "Tasks that are not only on disk.",
                (double)snapshot->in_memory);
    const named_count_t labels[LABELS] = {{"task", snapshot->into_other[LABEL_TASK]},
                                          {"reason", snapshot->into_other[LABEL_REASON]},
                                          {"queue", snapshot->into_other[LABEL_QUEUE]}};
    prom_family(page, "reeve_metric_label_overflow", "gauge",
                "Observations, or for queues series, whose label value was replaced by other.");
    for (size_t i = 0; i < LABELS; i++)
        prom_sample(page, "reeve_metric_label_overflow",
                    &(prom_labels_t){"label", labels[i].name, NULL, NULL}, (double)labels[i].count);
    prom_single(page, "reeve_clock_steps_total", "counter",
                "Times that the wall clock was set by more than a second while the broker ran.",
                (double)snapshot->clock_steps);
    prom_single(page, "reeve_uptime_seconds", "gauge", "Since the broker started.",
                snapshot->uptime_s);
    prom_family(page, "reeve_build_info", "gauge", "Always 1; the version is in the label.");
    prom_sample(page, "reeve_build_info", &(prom_labels_t){"version", REEVE_VERSION, NULL, NULL},
                1);
}

char *exposition(const snapshot_t *snapshot, const disk_usage_t *disk, prom_format_t format,
                 size_t *size)
{
    prom_t page;
    if (!prom_begin(&page, format))
        return NULL;
    by_queue(&page, snapshot);
    ends(&page, snapshot);
    queue_times(&page, snapshot);
    by_task(&page, snapshot);
    workers(&page, snapshot);
    refusals(&page, snapshot);
    store(&page, snapshot, disk);
    process(&page, snapshot);
    return prom_end(&page, size);
}
