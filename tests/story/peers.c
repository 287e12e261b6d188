/*  What peers do: events from readable arguments. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/mem.h"
#include "common/wire/reeve.h"
#include "tests/story/world.h"

static slice_t text(const char *string)
{
    return string ? slice_str(string) : (slice_t){0};
}

peer_t world_peer(world_t *self, const char *peer)
{
    for (size_t i = self->connection_count; i-- > 0;)
        if (!self->connections[i].gone && strcmp(self->connections[i].name, peer) == 0)
            return i + 1;
    self->connections =
        mem_realloc(self->connections, (self->connection_count + 1) * sizeof *self->connections);
    connection_t *connection = &self->connections[self->connection_count++];
    *connection = (connection_t){0};
    snprintf(connection->name, sizeof connection->name, "%s", peer);
    return self->connection_count;
}

static connection_t *connection_of(world_t *self, const char *peer)
{
    peer_t handle = world_peer(self, peer);
    return &self->connections[handle - 1];
}

uint64_t world_label(world_t *self, const char *label)
{
    self->labels = mem_realloc(self->labels, (self->label_count + 1) * sizeof *self->labels);
    self->labels[self->label_count++] = mem_strdup(label);
    return self->label_count;
}

void world_submit(world_t *self, const char *peer, world_task_t task)
{
    task_spec_t spec = {
        .id = text(task.id),
        .queue = text(task.queue ? task.queue : "q"),
        .task_name = text(task.name ? task.name : "work"),
        .origin = text(task.origin),
        .reply_to = text(task.reply_to),
        .body = text(task.body ? task.body : "{}"),
        .body_kind = WIRE_BODY_JSON,
        .priority = (uint8_t)task.priority,
        .created_ms = self->wall_ms,
        .run_at_ms = task.run_at_ms,
        .expires_ms = task.expires_ms,
        .timeout_ms = task.timeout_ms,
        .backoff_ms = task.backoff_ms,
        .max_retries = task.max_retries == NO_RETRIES ? 0
                       : task.max_retries             ? task.max_retries
                                                      : -1,
    };
    event_t event = {.kind = EVENT_SUBMIT,
                     .peer = world_peer(self, peer),
                     .corr = world_label(self, task.id),
                     .submit = {.task = &spec,
                                .delay_ms = task.delay_ms,
                                .maybe_known = self->all_maybe || audit_knows(self, spec.id),
                                .wait = task.wait}};
    world_step(self, &event);
}

static void by_id(world_t *self, event_kind_t kind, const char *peer, const char *id)
{
    world_step(self, &(event_t){.kind = kind,
                                .peer = world_peer(self, peer),
                                .corr = world_label(self, id),
                                .by_id = {text(id)}});
}

void world_wait(world_t *self, const char *peer, const char *id)
{
    by_id(self, EVENT_WAIT, peer, id);
}

void world_cancel(world_t *self, const char *peer, const char *id)
{
    by_id(self, EVENT_CANCEL, peer, id);
}

void world_forget(world_t *self, const char *peer, const char *id)
{
    by_id(self, EVENT_FORGET, peer, id);
}

static void dead(world_t *self, event_kind_t kind, const char *peer, const char *id,
                 const char *queue)
{
    world_step(self, &(event_t){.kind = kind,
                                .peer = world_peer(self, peer),
                                .corr = world_label(self, id      ? id
                                                          : queue ? queue
                                                                  : "all"),
                                .dead = {.id = text(id), .queue = text(queue)}});
}

void world_redrive(world_t *self, const char *peer, const char *id, const char *queue)
{
    dead(self, EVENT_REDRIVE, peer, id, queue);
}

void world_purge(world_t *self, const char *peer, const char *id, const char *queue)
{
    dead(self, EVENT_PURGE, peer, id, queue);
}

/*  Splits "a b" into slices. */
static size_t split(const char *queues, slice_t *out, size_t limit)
{
    size_t count = 0;
    while (*queues && count < limit) {
        size_t size = strcspn(queues, " ");
        out[count++] = slice(queues, size);
        queues += size;
        queues += strspn(queues, " ");
    }
    return count;
}

static held_t *held_of(const world_t *self, const world_held_t *held, size_t count)
{
    held_t *out = mem_alloc(count * sizeof *out);
    for (size_t i = 0; i < count; i++)
        out[i] = (held_t){.seq = world_seq(self, held[i].id),
                          .attempt = held[i].attempt,
                          .running_ms = held[i].running_ms};
    return out;
}

/*  What a worker says it holds, it also believes to hold. */
static void believe(world_t *self, peer_t peer, const held_t *held, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        world_let_go(self, peer, held[i].seq, held[i].attempt);
        self->deliveries =
            mem_realloc(self->deliveries, (self->delivery_count + 1) * sizeof *self->deliveries);
        self->deliveries[self->delivery_count++] = (delivery_t){
            peer, held[i].seq, held[i].attempt, self->now_ms - held[i].running_ms, false};
    }
}

void world_ready_as(world_t *self, const char *peer, world_worker_t worker)
{
    slice_t queues[LIMIT_WORKER_QUEUES];
    peer_t handle = world_peer(self, peer);
    connection_t *connection = connection_of(self, peer);
    connection->kind = worker.kind;
    if (worker.prefetch > connection->credit)
        connection->credit = worker.prefetch;
    held_t *held = held_of(self, worker.held, worker.held_count);
    for (size_t i = 0; i < worker.held_count; i++)
        held[i].timeout_ms = worker.held_timeout_ms;
    believe(self, handle, held, worker.held_count);
    if (worker.kind != PEER_REEVE && !core_is_worker(self->core, handle))
        audit_begins_anew(self, handle);
    if (world_holding(self, handle) > connection->credit)
        connection->credit = (uint32_t)world_holding(self, handle);
    event_t event = {.kind = EVENT_READY,
                     .peer = handle,
                     .ready = {.kind = worker.kind,
                               .name = text(worker.name ? worker.name : peer),
                               .instance = worker.instance,
                               .queues = queues,
                               .queue_count = split(worker.queues, queues, LIMIT_WORKER_QUEUES),
                               .prefetch = worker.prefetch,
                               .held = held,
                               .held_count = worker.held_count}};
    world_step(self, &event);
    free(held);
}

void world_ready(world_t *self, const char *peer, const char *queues, uint32_t prefetch)
{
    world_ready_as(self, peer, (world_worker_t){.queues = queues, .prefetch = prefetch});
}

void world_prefetch(world_t *self, const char *peer, uint32_t prefetch)
{
    peer_t handle = world_peer(self, peer);
    if (prefetch > connection_of(self, peer)->credit)
        connection_of(self, peer)->credit = prefetch;
    world_step(self, &(event_t){.kind = EVENT_PREFETCH, .peer = handle, .prefetch = {prefetch}});
}

void world_settle(world_t *self, const char *peer, uint64_t seq, uint32_t attempt,
                  verdict_t verdict, const char *said)
{
    char label[80];
    const char *id = world_id(self, seq);
    snprintf(label, sizeof label, "%s#%u", id ? id : "?", attempt);
    peer_t handle = world_peer(self, peer);
    world_let_go(self, handle, seq, attempt);
    bool success = verdict == VERDICT_SUCCESS;
    event_t event = {.kind = EVENT_SETTLE,
                     .peer = handle,
                     .corr = world_label(self, label),
                     .settle = {.seq = seq, .attempt = attempt, .verdict = verdict}};
    if (success && said) {
        event.settle.result_kind = WIRE_RESULT_TEXT;
        event.settle.result = text(said);
    } else {
        event.settle.reason = text(said);
    }
    world_step(self, &event);
}

void world_ack(world_t *self, const char *peer, const char *id, uint32_t attempt)
{
    world_settle(self, peer, world_seq(self, id), attempt, VERDICT_SUCCESS, NULL);
}

void world_fail(world_t *self, const char *peer, const char *id, uint32_t attempt,
                const char *reason)
{
    world_settle(self, peer, world_seq(self, id), attempt, VERDICT_FAILURE, reason);
}

void world_reject(world_t *self, const char *peer, const char *id, uint32_t attempt,
                  const char *reason)
{
    world_settle(self, peer, world_seq(self, id), attempt, VERDICT_REJECT, reason);
}

void world_release(world_t *self, const char *peer, const char *id, uint32_t attempt)
{
    world_settle(self, peer, world_seq(self, id), attempt, VERDICT_RELEASE, NULL);
}

void world_extend(world_t *self, const char *peer, const char *id, uint32_t attempt,
                  int64_t timeout_ms)
{
    world_step(self, &(event_t){.kind = EVENT_EXTEND,
                                .peer = world_peer(self, peer),
                                .attempt = {.seq = world_seq(self, id),
                                            .attempt = attempt,
                                            .timeout_ms = timeout_ms}});
}

void world_progress(world_t *self, const char *peer, const char *id, uint32_t attempt,
                    const char *data)
{
    world_step(self, &(event_t){.kind = EVENT_PROGRESS,
                                .peer = world_peer(self, peer),
                                .attempt = {.seq = world_seq(self, id),
                                            .attempt = attempt,
                                            .kind = WIRE_RESULT_TEXT,
                                            .data = text(data)}});
}

void world_heartbeat(world_t *self, const char *peer, const world_held_t *held, size_t count)
{
    peer_t handle = world_peer(self, peer);
    bool reeve = connection_of(self, peer)->kind == PEER_REEVE;
    held_t *named = held_of(self, held, count);
    if (reeve)
        believe(self, handle, named, count);
    world_step(self, &(event_t){.kind = EVENT_HEARTBEAT,
                                .peer = handle,
                                .heartbeat = {reeve ? named : NULL, count}});
    free(named);
}

void world_mute(world_t *self, const char *peer)
{
    connection_of(self, peer)->mute = true;
}

static void leave(world_t *self, const char *peer, event_kind_t kind)
{
    peer_t handle = world_peer(self, peer);
    self->connections[handle - 1].gone = true;
    world_step(self, &(event_t){.kind = kind, .peer = handle});
}

void world_goodbye(world_t *self, const char *peer)
{
    leave(self, peer, EVENT_GOODBYE);
}

void world_gone(world_t *self, const char *peer)
{
    leave(self, peer, EVENT_PEER_GONE);
}
