/*  What the store and the core know, as JSON for people and scripts. */

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "broker/net/inside.h"
#include "common/parse.h"
#include "common/task.h"

static char *print(cJSON *tree)
{
    char *text = cJSON_PrintUnformatted(tree);
    cJSON_Delete(tree);
    return text;
}

static void add_text(cJSON *object, const char *name, slice_t text)
{
    if (text.size == 0)
        return;
    char *copy = strndup((const char *)text.data, text.size);
    cJSON_AddStringToObject(object, name, copy);
    free(copy);
}

static void add_time(cJSON *object, const char *name, int64_t ms)
{
    char text[RFC3339_SIZE];
    if (ms <= 0)
        return;
    format_rfc3339_ms(ms, text);
    cJSON_AddStringToObject(object, name, text);
}

static cJSON *task_of(const record_t *record, uint32_t retry_count, uint32_t max_retries)
{
    return task_to_json(&(task_view_t){.wire = reeve_task(record, max_retries),
                                       .retry_count = retry_count,
                                       .max_retries = max_retries});
}

char *document_of_record(const record_t *record, uint32_t retry_count, uint32_t max_retries)
{
    return print(task_of(record, retry_count, max_retries));
}

static void add_failure(cJSON *object, const outcome_spec_t *outcome)
{
    add_text(object, "reason", outcome->reason);
    add_text(object, "error", outcome->error);
    add_text(object, "traceback", outcome->traceback);
}

/*  One attempt of the history. */
static cJSON *attempt_of(const outcome_spec_t *outcome)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "attempt", outcome->attempt);
    add_text(object, "worker", outcome->worker);
    add_time(object, "started_at", outcome->started_ms);
    add_time(object, "ended_at", outcome->ended_ms);
    cJSON_AddNumberToObject(object, "duration_s", (double)outcome->duration_ms / 1000);
    cJSON_AddStringToObject(object, "outcome", ending_name(outcome->ending));
    add_failure(object, outcome);
    return object;
}

static void add_end(cJSON *document, const outcome_spec_t *outcome)
{
    static const char *const kinds[] = {"none", "json", "text", "frames"};
    add_text(document, "worker", outcome->worker);
    add_time(document, "started_at", outcome->started_ms);
    add_time(document, "finished_at", outcome->ended_ms);
    cJSON_AddNumberToObject(document, "duration_s", (double)outcome->duration_ms / 1000);
    cJSON *result = result_to_json(outcome->result_kind, outcome->result);
    if (result)
        cJSON_AddItemToObject(document, "result", result);
    if (outcome->result_kind && outcome->result_kind <= WIRE_RESULT_FRAMES)
        cJSON_AddStringToObject(document, "result_kind", kinds[outcome->result_kind]);
    add_failure(document, outcome);
}

static void add_history(cJSON *document, const biography_t *biography)
{
    cJSON *history = cJSON_AddArrayToObject(document, "history");
    for (size_t i = 0; i < biography->attempt_count; i++)
        cJSON_AddItemToArray(history, attempt_of(&biography->attempts[i]->spec));
    const loaded_t *task = &biography->task;
    if (task->state == REEVE_STATE_SUCCESS && task->outcome)
        cJSON_AddItemToArray(history, attempt_of(&task->outcome->spec));
}

static cJSON *life_of(const reactor_t *self, const biography_t *biography)
{
    const loaded_t *task = &biography->task;
    cJSON *document = cJSON_CreateObject();
    const policy_t *policy = core_policy(self->core, task->record->queue_id);
    cJSON_AddItemToObject(
        document, "task",
        task_of(task->record, task->tries.failures, retry_limit(policy, task->record)));
    cJSON_AddStringToObject(document, "state", reeve_state_name(task->state));
    cJSON_AddNumberToObject(document, "attempts", task->tries.attempts);
    cJSON_AddNumberToObject(document, "deaths", task->tries.deaths);
    if (task->state == REEVE_STATE_SCHEDULED)
        add_time(document, "run_at", task->at_ms);
    if (task->state == REEVE_STATE_PROCESSING) {
        add_time(document, "started_at", task->at_ms);
        add_text(document, "worker", slice_str(task->worker));
    }
    if (task->outcome)
        add_end(document, &task->outcome->spec);
    add_history(document, biography);
    return document;
}

char *document_task(const reactor_t *self, const biography_t *biography)
{
    return print(life_of(self, biography));
}

/* ---- why a task is where it is -------------------------------------------------------------- */

/*  What is going on around one task. */
typedef struct surroundings {
    const loaded_t *task;
    cJSON *document;
    uint64_t workers, slots, free;
    bool holder_connected;
} surroundings_t;

static void note_worker(const worker_stats_t *worker, void *arg)
{
    surroundings_t *around = arg;
    const record_t *record = around->task->record;
    if (around->task->worker && strcmp(worker->name, around->task->worker) == 0)
        around->holder_connected = true;
    for (size_t i = 0; i < worker->queue_count; i++) {
        if (!slice_eq(slice_str(worker->queues[i]), record->spec.queue))
            continue;
        around->workers++;
        around->slots += worker->prefetch;
        around->free +=
            worker->prefetch > worker->processing ? worker->prefetch - worker->processing : 0;
        return;
    }
}

static void note_queue(const queue_stats_t *queue, void *arg)
{
    surroundings_t *around = arg;
    if (queue->id != around->task->record->queue_id)
        return;
    cJSON *object = cJSON_AddObjectToObject(around->document, "queue_now");
    cJSON_AddNumberToObject(object, "waiting", (double)queue->waiting);
    cJSON_AddNumberToObject(object, "processing", (double)queue->processing);
    cJSON_AddNumberToObject(object, "workers", (double)around->workers);
    cJSON_AddNumberToObject(object, "slots", (double)around->slots);
    cJSON_AddNumberToObject(object, "free", (double)around->free);
}

/*  What its queue gives it where it does not say itself. */
static void add_policy(const reactor_t *self, cJSON *document, const record_t *record)
{
    const policy_t *policy = core_policy(self->core, record->queue_id);
    int64_t timeout_ms = record->spec.timeout_ms ? record->spec.timeout_ms : policy->timeout_ms;
    cJSON *object = cJSON_AddObjectToObject(document, "policy");
    cJSON_AddNumberToObject(object, "max_retries", retry_limit(policy, record));
    cJSON_AddNumberToObject(object, "max_deaths", policy->max_deaths);
    if (timeout_ms)
        cJSON_AddNumberToObject(object, "timeout_s", (double)timeout_ms / 1000);
    cJSON_AddNumberToObject(object, "retention_s", (double)policy->retention_ms / 1000);
    cJSON_AddStringToObject(object, "durability", durability_name(policy->durability));
}

char *document_explain(const reactor_t *self, const biography_t *biography, size_t ahead)
{
    surroundings_t around = {.task = &biography->task, .document = life_of(self, biography)};
    cJSON *document = around.document;
    core_each_worker(self->core, note_worker, &around);
    core_each_queue(self->core, note_queue, &around);
    add_time(document, "now", self->wall_ms);
    add_policy(self, document, around.task->record);
    if (self->stop_signals > 0)
        cJSON_AddTrueToObject(document, "draining");
    if (around.task->state == REEVE_STATE_PROCESSING)
        cJSON_AddBoolToObject(document, "worker_connected", around.holder_connected);
    if (around.task->state == REEVE_STATE_QUEUED) {
        cJSON_AddNumberToObject(document, "ahead", (double)ahead);
        if (ahead > LIMIT_COUNT_AHEAD)
            cJSON_AddTrueToObject(document, "ahead_or_more");
    }
    return print(document);
}

/* ---- what there is -------------------------------------------------------------------------- */

/*  A store that failed is not among them: nobody is answered any more. */
static const char *broker_state(const reactor_t *self)
{
    if (self->stop_signals > 0)
        return "draining";
    return self->disk_low ? "disk_low" : "ready";
}

char *document_broker(const reactor_t *self)
{
    core_totals_t totals = core_totals(self->core);
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "version", REEVE_VERSION);
    cJSON_AddStringToObject(document, "broker_id", self->identity.broker_id);
    cJSON_AddNumberToObject(document, "epoch", (double)self->identity.epoch);
    cJSON_AddStringToObject(document, "state", broker_state(self));
    add_time(document, "now", self->wall_ms);
    cJSON_AddNumberToObject(document, "uptime_s", (double)(self->now_ms - self->started_ms) / 1000);
    cJSON_AddNumberToObject(document, "queues", (double)totals.queues);
    cJSON_AddNumberToObject(document, "workers", (double)totals.workers);
    return print(document);
}

/*  A list under way, the time it is made at, and what the broker counted. */
typedef struct listing {
    cJSON *list;
    int64_t now_ms;
    const reactor_t *reactor;
} listing_t;

/*  What happened in the queue since the broker was started; nothing yet where it is not counted. */
static void add_totals(cJSON *object, const metrics_t *metrics, uint32_t queue_id)
{
    static const queue_metrics_t nothing;
    const queue_metrics_t *counts =
        queue_id < metrics->queue_capacity ? &metrics->queues[queue_id] : &nothing;
    uint64_t finished = counts->succeeded + counts->failed + counts->cancelled + counts->expired;
    cJSON_AddNumberToObject(object, "submitted_total", (double)counts->submitted);
    cJSON_AddNumberToObject(object, "finished_total", (double)finished);
}

static void add_queue(const queue_stats_t *queue, void *arg)
{
    listing_t *listing = arg;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "queue", queue->name);
    cJSON_AddNumberToObject(object, "waiting", (double)queue->waiting);
    cJSON_AddNumberToObject(object, "scheduled", (double)queue->scheduled);
    cJSON_AddNumberToObject(object, "processing", (double)queue->processing);
    cJSON_AddNumberToObject(object, "dead", (double)queue->dead);
    cJSON_AddNumberToObject(object, "bytes", (double)queue->bytes);
    cJSON_AddNumberToObject(object, "workers", (double)queue->workers);
    add_totals(object, &listing->reactor->metrics, queue->id);
    if (queue->oldest_ms)
        cJSON_AddNumberToObject(object, "oldest_age_s",
                                (double)(listing->now_ms - queue->oldest_ms) / 1000);
    cJSON_AddItemToArray(listing->list, object);
}

char *document_queues(const reactor_t *self)
{
    listing_t listing = {cJSON_CreateArray(), self->wall_ms, self};
    core_each_queue(self->core, add_queue, &listing);
    return print(listing.list);
}

const char *protocol_name(peer_kind_t kind)
{
    static const char *const names[] = {
        [PEER_REEVE] = "reeve", [PEER_MDP01] = "mdp01", [PEER_MDP02] = "mdp02"};
    return names[kind];
}

static void add_worker(const worker_stats_t *worker, void *arg)
{
    listing_t *listing = arg;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "worker", worker->name);
    cJSON_AddStringToObject(object, "protocol", protocol_name(worker->kind));
    const peer_entry_t *peer = peers_find(&listing->reactor->peers, worker->peer);
    if (peer && peer->address)
        cJSON_AddStringToObject(object, "address", peer->address);
    cJSON *queues = cJSON_AddArrayToObject(object, "queues");
    for (size_t i = 0; i < worker->queue_count; i++)
        cJSON_AddItemToArray(queues, cJSON_CreateString(worker->queues[i]));
    cJSON_AddNumberToObject(object, "prefetch", worker->prefetch);
    cJSON_AddNumberToObject(object, "processing", worker->processing);
    cJSON_AddNumberToObject(object, "last_heard_s",
                            (double)(listing->now_ms - worker->last_heard_ms) / 1000);
    cJSON_AddItemToArray(listing->list, object);
}

char *document_workers(const reactor_t *self)
{
    listing_t listing = {cJSON_CreateArray(), self->now_ms, self};
    core_each_worker(self->core, add_worker, &listing);
    return print(listing.list);
}

char *document_dead(const page_t *page)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < page->count; i++) {
        const loaded_t *task = &page->items[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddNumberToObject(object, "seq", (double)task->record->seq);
        add_text(object, "id", task->record->spec.id);
        add_text(object, "queue", task->record->spec.queue);
        add_text(object, "task_name", task->record->spec.task_name);
        if (task->outcome) {
            add_time(object, "failed_at", task->outcome->spec.ended_ms);
            add_text(object, "reason", task->outcome->spec.reason);
            add_text(object, "error", task->outcome->spec.error);
        }
        cJSON_AddNumberToObject(object, "attempts", task->tries.attempts);
        cJSON_AddItemToArray(list, object);
    }
    return print(list);
}
