/*  Our own protocol, inbound: one frame to events. Everything a peer says is checked here. */

#include <stdlib.h>

#include "broker/net/inside.h"
#include "broker/store/id_hash.h"
#include "common/json.h"
#include "common/mem.h"

#define TIME_MAX_MS 253402300799999LL /* 9999-12-31: what RFC 3339 can write */

/* ---- producing ------------------------------------------------------------------------------ */

static reeve_error_t check_frames(slice_t bytes)
{
    int count = wire_count_frames(bytes);
    if (count < 0)
        return REEVE_ERR_BAD_VALUE;
    return count > LIMIT_BODY_FRAMES ? REEVE_ERR_TOO_LARGE : REEVE_ERR_OK;
}

static reeve_error_t check_body(const wire_task_t *task, const char **text)
{
    if (task->body.size > LIMIT_BODY_BYTES) {
        *text = "body: 16 MiB at most";
        return REEVE_ERR_TOO_LARGE;
    }
    if (task->body_kind == WIRE_BODY_JSON) {
        *text = "body: a JSON object";
        return json_valid_object(task->body) ? REEVE_ERR_OK : REEVE_ERR_BAD_JSON;
    }
    *text = "body: well-formed frames, 1024 at most";
    return task->body_kind == WIRE_BODY_FRAMES ? check_frames(task->body) : REEVE_ERR_BAD_VALUE;
}

static bool numbers_valid(const wire_task_t *task)
{
    return task->priority <= LIMIT_PRIORITY && task->delay_ms <= LIMIT_DURATION_MS &&
           task->timeout_ms <= LIMIT_DURATION_MS && task->backoff_ms <= LIMIT_DURATION_MS &&
           task->run_at_ms <= TIME_MAX_MS && task->expires_at_ms <= TIME_MAX_MS &&
           task->created_at_ms <= TIME_MAX_MS && (task->delay_ms == 0 || task->run_at_ms == 0) &&
           (task->max_retries == WIRE_ABSENT || task->max_retries <= LIMIT_RETRIES);
}

/*  What is wrong with a task, if anything; *text says which limit. */
static reeve_error_t check_task(const wire_task_t *task, const char **text)
{
    if (task->id.size && !id_valid(task->id)) {
        *text = "id: 1..128 printable ASCII characters without space";
        return REEVE_ERR_BAD_ID;
    }
    if (!name_valid(task->queue, LIMIT_QUEUE_NAME_BYTES)) {
        *text = "queue: 1..128 bytes of UTF-8 without control characters";
        return REEVE_ERR_BAD_QUEUE;
    }
    if (!name_valid(task->task_name, LIMIT_TASK_NAME_BYTES)) {
        *text = "task_name: 1..128 bytes of UTF-8 without control characters";
        return REEVE_ERR_BAD_NAME;
    }
    if (task->origin.size && !name_valid(task->origin, LIMIT_ORIGIN_BYTES)) {
        *text = "origin: 1..128 bytes of UTF-8 without control characters";
        return REEVE_ERR_BAD_NAME;
    }
    reeve_error_t error = check_body(task, text);
    if (error != REEVE_ERR_OK)
        return error;
    if (!numbers_valid(task)) {
        *text = "priority 0..9, max_retries <= 1000000, durations <= 10 years, delay or run_at";
        return REEVE_ERR_BAD_VALUE;
    }
    return REEVE_ERR_OK;
}

static task_spec_t spec_of(const reactor_t *self, const wire_task_t *task)
{
    return (task_spec_t){
        .id = task->id,
        .queue = task->queue,
        .task_name = task->task_name,
        .origin = task->origin,
        .body = task->body,
        .body_kind = (uint8_t)task->body_kind,
        .priority = (uint8_t)task->priority,
        .created_ms = task->created_at_ms ? (int64_t)task->created_at_ms : self->wall_ms,
        .run_at_ms = (int64_t)task->run_at_ms,
        .expires_ms = (int64_t)task->expires_at_ms,
        .timeout_ms = (int64_t)task->timeout_ms,
        .backoff_ms = (int64_t)task->backoff_ms,
        .max_retries = task->max_retries == WIRE_ABSENT ? -1 : (int32_t)task->max_retries,
    };
}

static void take_task(reactor_t *self, peer_entry_t *peer, uint64_t corr, const wire_task_t *task)
{
    const char *text = NULL;
    reeve_error_t error = check_task(task, &text);
    if (error != REEVE_ERR_OK) {
        reactor_refuse(self, REFUSAL_BAD_TASK, peer, text);
        reeve_error(self, peer, corr, error, text, 0);
        return;
    }
    char minted[UUID7_TEXT_SIZE];
    task_spec_t spec = spec_of(self, task);
    bool maybe_known = false;
    if (spec.id.size) {
        maybe_known = id_filter_maybe(self->ids, id_hash(self->identity.id_seed, spec.id));
    } else {
        uuid7_next(&self->uuids, self->wall_ms, minted);
        spec.id = slice_str(minted);
    }
    reactor_step(self, &(event_t){.kind = EVENT_SUBMIT,
                                  .peer = peer->handle,
                                  .corr = corr,
                                  .submit = {.task = &spec,
                                             .delay_ms = (int64_t)task->delay_ms,
                                             .maybe_known = maybe_known,
                                             .wait = task->wait}});
}

static void on_submit(reactor_t *self, peer_entry_t *peer, const wire_message_t *message)
{
    wire_task_t task;
    uint64_t corr = message->corr;
    for (size_t at = 0; wire_next_task(message, &at, &task); corr++)
        take_task(self, peer, corr, &task);
}

/* ---- asking --------------------------------------------------------------------------------- */

static void by_id(reactor_t *self, peer_entry_t *peer, const wire_message_t *message,
                  event_kind_t kind)
{
    if (!id_valid(message->id)) {
        reeve_error(self, peer, message->corr, REEVE_ERR_BAD_ID, NULL, 0);
        return;
    }
    reactor_step(self, &(event_t){.kind = kind,
                                  .peer = peer->handle,
                                  .corr = message->corr,
                                  .by_id = {.id = message->id}});
}

/*  Names in commands: NUL-terminated copies are made of them later, so they must be clean. */
static bool filter_valid(const wire_message_t *message)
{
    return message->queue.size == 0 || name_valid(message->queue, LIMIT_QUEUE_NAME_BYTES);
}

static void on_dead_command(reactor_t *self, peer_entry_t *peer, const wire_message_t *message,
                            event_kind_t kind)
{
    if (message->id.size ? !id_valid(message->id) : !filter_valid(message)) {
        reeve_error(self, peer, message->corr,
                    message->id.size ? REEVE_ERR_BAD_ID : REEVE_ERR_BAD_QUEUE, NULL, 0);
        return;
    }
    reactor_step(self, &(event_t){.kind = kind,
                                  .peer = peer->handle,
                                  .corr = message->corr,
                                  .dead = {.id = message->id, .queue = message->queue}});
}

static void send_document(reactor_t *self, peer_entry_t *peer, uint64_t corr, char *json,
                          uint64_t next)
{
    reeve_message(
        self, peer,
        &(wire_message_t){
            .command = WIRE_DOCUMENT, .corr = corr, .json = slice_str(json), .next = next});
    free(json);
}

static void ask_store(reactor_t *self, peer_entry_t *peer, const wire_message_t *message)
{
    bool explain = message->what == WIRE_QUERY_EXPLAIN;
    bool one = message->what == WIRE_QUERY_TASK || explain;
    if (one ? !id_valid(message->id) : !filter_valid(message)) {
        reeve_error(self, peer, message->corr, one ? REEVE_ERR_BAD_ID : REEVE_ERR_BAD_QUEUE, NULL,
                    0);
        return;
    }
    uint32_t queue_id = 0;
    if (!one && message->queue.size) {
        queue_id = core_queue_id(self->core, message->queue);
        if (queue_id == 0) {
            reeve_error(self, peer, message->corr, REEVE_ERR_BAD_QUEUE, "no such queue", 0);
            return;
        }
    }
    inquiry_t *inquiry = reactor_inquire(self, one ? REQUEST_BIOGRAPHY : REQUEST_DEAD_LIST);
    inquiry->peer = peer->handle;
    inquiry->corr = message->corr;
    inquiry->purpose = explain ? PURPOSE_EXPLAIN : PURPOSE_DOCUMENT;
    if (one) {
        inquiry->id = mem_strndup(message->id.data, message->id.size);
        inquiry->limit = explain ? LIMIT_COUNT_AHEAD + 1 : 0;
        return;
    }
    inquiry->queue_id = queue_id;
    inquiry->after = message->after;
    inquiry->limit =
        message->limit && message->limit < LIMIT_LIST_ROWS ? message->limit : LIMIT_LIST_ROWS;
}

static void on_query(reactor_t *self, peer_entry_t *peer, const wire_message_t *message)
{
    switch (message->what) {
    case WIRE_QUERY_TASK:
    case WIRE_QUERY_DEAD:
    case WIRE_QUERY_EXPLAIN:
        ask_store(self, peer, message);
        break;
    case WIRE_QUERY_QUEUES:
        send_document(self, peer, message->corr, document_queues(self), 0);
        break;
    case WIRE_QUERY_WORKERS:
        send_document(self, peer, message->corr, document_workers(self), 0);
        break;
    case WIRE_QUERY_BROKER:
        send_document(self, peer, message->corr, document_broker(self), 0);
        break;
    default:
        reeve_error(self, peer, message->corr, REEVE_ERR_UNSUPPORTED, "unknown query", 0);
    }
}

/* ---- consuming ------------------------------------------------------------------------------ */

/*  Whether the peer may speak about attempts; it is told that it has to register first. A settlement
    of a stranger must not be refused as stale: its lease may wait for the READY that comes next. */
static bool is_ready(reactor_t *self, peer_entry_t *peer)
{
    if (core_is_worker(self->core, peer->handle))
        return true;
    reeve_error(self, peer, 0, REEVE_ERR_NOT_READY, NULL, 0);
    return false;
}

/*  The held tokens of READY and HEARTBEAT as events carry them; tokens that are not ours are told to
    the peer as stale. The caller frees. */
static held_t *take_held(reactor_t *self, peer_entry_t *peer, const wire_message_t *message,
                         size_t *count)
{
    size_t capacity = 0;
    held_t *held = NULL;
    wire_held_t item;
    *count = 0;
    for (size_t at = 0; wire_next_held(message, &at, &item);) {
        token_t token;
        if (!token_parse(&self->token_keys, item.token, &token)) {
            reactor_refuse(self, REFUSAL_BAD_TOKEN, peer, "held");
            reeve_revoke(self, peer, item.token, REVOKE_STALE);
            continue;
        }
        held = mem_room(held, &capacity, *count, sizeof *held);
        held[(*count)++] = (held_t){
            token.seq, token.attempt,
            item.running_ms <= LIMIT_DURATION_MS ? (int64_t)item.running_ms : -1,
            item.timeout_ms <= LIMIT_DURATION_MS ? (int64_t)item.timeout_ms : 0, token.ephemeral};
    }
    return held;
}

static void on_ready(reactor_t *self, peer_entry_t *peer, const wire_message_t *message)
{
    slice_t queues[LIMIT_WORKER_QUEUES], queue;
    size_t count = 0;
    for (size_t at = 0; wire_next_queue(message, &at, &queue);) {
        if (count == LIMIT_WORKER_QUEUES) {
            reeve_error(self, peer, 0, REEVE_ERR_TOO_MANY, "256 queues at most", 0);
            return;
        }
        if (!name_valid(queue, LIMIT_QUEUE_NAME_BYTES)) {
            reeve_error(self, peer, 0, REEVE_ERR_BAD_QUEUE, "queue: 1..128 bytes of UTF-8", 0);
            return;
        }
        queues[count++] = queue;
    }
    if (!name_valid(message->name, LIMIT_WORKER_NAME_BYTES)) {
        reeve_error(self, peer, 0, REEVE_ERR_BAD_NAME, "name: 1..128 bytes of UTF-8", 0);
        return;
    }
    if (count == 0 || message->prefetch > LIMIT_PREFETCH) {
        reeve_error(self, peer, 0, REEVE_ERR_BAD_VALUE,
                    "READY needs a queue and a prefetch of 0..10000", 0);
        return;
    }
    size_t held_count;
    held_t *held = take_held(self, peer, message, &held_count);
    peer->was_worker = true;
    reactor_note_address(self, peer);
    reactor_step(self, &(event_t){.kind = EVENT_READY,
                                  .peer = peer->handle,
                                  .ready = {.kind = PEER_REEVE,
                                            .name = message->name,
                                            .instance = message->instance,
                                            .queues = queues,
                                            .queue_count = count,
                                            .prefetch = (uint32_t)message->prefetch,
                                            .held = held,
                                            .held_count = held_count}});
    free(held);
}

/*  A worker's heartbeat extends its leases; another peer's is answered in kind. A worker that this
    broker does not know (any more) must announce itself again. */
static void on_heartbeat(reactor_t *self, peer_entry_t *peer, const wire_message_t *message)
{
    if (core_is_worker(self->core, peer->handle)) {
        static const held_t none;
        size_t count;
        held_t *held = take_held(self, peer, message, &count);
        reactor_step(self,
                     &(event_t){.kind = EVENT_HEARTBEAT,
                                .peer = peer->handle,
                                .heartbeat = {.held = held ? held : &none, .held_count = count}});
        free(held);
        return;
    }
    wire_held_t item;
    size_t at = 0;
    if (!peer->said_hello || peer->was_worker || wire_next_held(message, &at, &item))
        reeve_error(self, peer, 0, REEVE_ERR_NOT_READY, NULL, 0);
    else
        reeve_message(self, peer, &(wire_message_t){.command = WIRE_HEARTBEAT});
}

static reeve_error_t check_settlement(const wire_settlement_t *item)
{
    if (item->verdict < WIRE_SUCCESS || item->verdict > WIRE_RELEASE)
        return REEVE_ERR_BAD_VALUE;
    if (item->result.size > LIMIT_RESULT_BYTES || item->reason.size > LIMIT_REASON_BYTES ||
        item->error.size > LIMIT_ERROR_BYTES || item->traceback.size > LIMIT_TRACEBACK_BYTES)
        return REEVE_ERR_TOO_LARGE;
    if (!utf8_valid(item->reason) || !utf8_valid(item->error) || !utf8_valid(item->traceback))
        return REEVE_ERR_BAD_VALUE;
    switch (item->result_kind) {
    case WIRE_RESULT_NONE:
        return REEVE_ERR_OK;
    case WIRE_RESULT_JSON:
        return json_valid(item->result) ? REEVE_ERR_OK : REEVE_ERR_BAD_JSON;
    case WIRE_RESULT_TEXT:
        return utf8_valid(item->result) ? REEVE_ERR_OK : REEVE_ERR_BAD_VALUE;
    case WIRE_RESULT_FRAMES:
        return check_frames(item->result);
    default:
        return REEVE_ERR_BAD_VALUE;
    }
}

static void settle(reactor_t *self, peer_entry_t *peer, uint64_t corr,
                   const wire_settlement_t *item)
{
    token_t token;
    if (!token_parse(&self->token_keys, item->token, &token)) {
        reactor_refuse(self, REFUSAL_BAD_TOKEN, peer, "settlement");
        reeve_error(self, peer, corr, REEVE_ERR_STALE_ATTEMPT, "not a token of this broker", 0);
        return;
    }
    reeve_error_t error = check_settlement(item);
    if (error != REEVE_ERR_OK) {
        reactor_refuse(self, REFUSAL_BAD_TASK, peer, "settlement");
        reeve_error(self, peer, corr, error, NULL, 0);
        return;
    }
    reactor_step(self, &(event_t){.kind = EVENT_SETTLE,
                                  .peer = peer->handle,
                                  .corr = corr,
                                  .settle = {.seq = token.seq,
                                             .attempt = token.attempt,
                                             .verdict = (verdict_t)item->verdict,
                                             .result_kind = (uint8_t)item->result_kind,
                                             .result = item->result,
                                             .reason = item->reason,
                                             .error = item->error,
                                             .traceback = item->traceback,
                                             .duration_ms = item->duration_ms <= LIMIT_DURATION_MS
                                                                ? (int64_t)item->duration_ms
                                                                : 0}});
}

static void on_settle(reactor_t *self, peer_entry_t *peer, const wire_message_t *message)
{
    wire_settlement_t item;
    uint64_t corr = message->corr;
    if (!is_ready(self, peer))
        return;
    for (size_t at = 0; wire_next_settlement(message, &at, &item); corr++)
        settle(self, peer, corr, &item);
}

static reeve_error_t check_attempt(const wire_message_t *message)
{
    if (message->command == WIRE_EXTEND)
        return message->timeout_ms > 0 && message->timeout_ms <= LIMIT_DURATION_MS
                   ? REEVE_ERR_OK
                   : REEVE_ERR_BAD_VALUE;
    if (message->data.size > LIMIT_RESULT_BYTES)
        return REEVE_ERR_TOO_LARGE;
    if (message->kind == WIRE_RESULT_JSON)
        return json_valid(message->data) ? REEVE_ERR_OK : REEVE_ERR_BAD_JSON;
    return message->kind == WIRE_RESULT_TEXT && utf8_valid(message->data) ? REEVE_ERR_OK
                                                                          : REEVE_ERR_BAD_VALUE;
}

static void on_attempt(reactor_t *self, peer_entry_t *peer, const wire_message_t *message)
{
    token_t token;
    bool extend = message->command == WIRE_EXTEND;
    if (!is_ready(self, peer))
        return;
    if (!token_parse(&self->token_keys, message->token, &token)) {
        reactor_refuse(self, REFUSAL_BAD_TOKEN, peer, extend ? "extend" : "progress");
        reeve_error(self, peer, 0, REEVE_ERR_STALE_ATTEMPT, "not a token of this broker", 0);
        return;
    }
    reeve_error_t error = check_attempt(message);
    if (error != REEVE_ERR_OK) {
        reeve_error(self, peer, 0, error, NULL, 0);
        return;
    }
    reactor_step(self, &(event_t){.kind = extend ? EVENT_EXTEND : EVENT_PROGRESS,
                                  .peer = peer->handle,
                                  .attempt = {.seq = token.seq,
                                              .attempt = token.attempt,
                                              .timeout_ms = (int64_t)message->timeout_ms,
                                              .kind = (uint8_t)message->kind,
                                              .data = message->data}});
}

static void on_prefetch(reactor_t *self, peer_entry_t *peer, const wire_message_t *message)
{
    if (message->prefetch > LIMIT_PREFETCH)
        reeve_error(self, peer, 0, REEVE_ERR_BAD_VALUE, "prefetch: 0..10000", 0);
    else
        reactor_step(self, &(event_t){.kind = EVENT_PREFETCH,
                                      .peer = peer->handle,
                                      .prefetch = {(uint32_t)message->prefetch}});
}

/* ---- dispatch ------------------------------------------------------------------------------- */

static void on_hello(reactor_t *self, peer_entry_t *peer)
{
    peer->said_hello = true;
    reeve_message(self, peer,
                  &(wire_message_t){.command = WIRE_WELCOME,
                                    .broker_id = slice_str(self->identity.broker_id),
                                    .epoch = self->identity.epoch,
                                    .heartbeat_ms = (uint64_t)self->config.heartbeat_ms,
                                    .liveness_ms = (uint64_t)self->config.liveness_ms,
                                    .max_message_bytes = LIMIT_MESSAGE_BYTES,
                                    .max_batch = LIMIT_BATCH,
                                    .version = slice_str(REEVE_VERSION)});
}

void reeve_receive(reactor_t *self, peer_entry_t *peer, slice_t frame)
{
    wire_message_t message;
    const char *problem = NULL;
    if (wire_decode(frame, &message, &problem) != 0) {
        reactor_refuse(self, REFUSAL_MALFORMED, peer, problem);
        reeve_error(self, peer, 0, message.command ? REEVE_ERR_MALFORMED : REEVE_ERR_UNSUPPORTED,
                    problem, 0);
        return;
    }
    switch (message.command) {
    case WIRE_HELLO:
        on_hello(self, peer);
        break;
    case WIRE_HEARTBEAT:
        on_heartbeat(self, peer, &message);
        break;
    case WIRE_GOODBYE:
        reactor_leave(self, peer);
        break;
    case WIRE_SUBMIT:
        on_submit(self, peer, &message);
        break;
    case WIRE_WAIT:
        by_id(self, peer, &message, EVENT_WAIT);
        break;
    case WIRE_CANCEL:
        by_id(self, peer, &message, EVENT_CANCEL);
        break;
    case WIRE_QUERY:
        on_query(self, peer, &message);
        break;
    case WIRE_REDRIVE:
        on_dead_command(self, peer, &message, EVENT_REDRIVE);
        break;
    case WIRE_PURGE:
        on_dead_command(self, peer, &message, EVENT_PURGE);
        break;
    case WIRE_READY:
        on_ready(self, peer, &message);
        break;
    case WIRE_SETTLE:
        on_settle(self, peer, &message);
        break;
    case WIRE_PREFETCH:
        on_prefetch(self, peer, &message);
        break;
    case WIRE_EXTEND:
    case WIRE_PROGRESS:
        on_attempt(self, peer, &message);
        break;
    default: /* commands that only brokers send */
        reactor_refuse(self, REFUSAL_UNEXPECTED, peer, "a broker's command");
        reeve_error(self, peer, 0, REEVE_ERR_UNSUPPORTED, "a broker's command", 0);
    }
}
