/*  Our own protocol, outbound: effects to messages. What comes in numbers (deliveries, confirms,
    settlements, revocations) is gathered per peer and sent in one message at the end of the turn. */

#include "broker/net/inside.h"

enum {
    BATCH_BYTES = 256 << 10, /* a batch is sent early at this size, or at LIMIT_BATCH items */
    KEPT_BYTES = 64 << 10,   /* a larger buffer does not stay with its peer */
};

static void mark_dirty(reactor_t *self, peer_entry_t *peer)
{
    if (peer->dirty)
        return;
    peer->dirty = true;
    peer->next_dirty = self->dirty;
    self->dirty = peer;
}

static void send_batch(reactor_t *self, const peer_entry_t *peer, outgoing_t *batch)
{
    if (batch->buffer.size == 0)
        return;
    slice_t frame = slice(batch->buffer.data, batch->buffer.size);
    send_frames(self, peer, &frame, 1);
    if (batch->buffer.capacity > KEPT_BYTES)
        wire_fini(&batch->buffer);
    else
        wire_reset(&batch->buffer);
    batch->items = 0;
}

static bool is_full(const outgoing_t *batch)
{
    return batch->items >= LIMIT_BATCH || batch->buffer.size > BATCH_BYTES;
}

static bool begin_if_empty(outgoing_t *batch, wire_command_t command)
{
    if (batch->buffer.size)
        return false;
    wire_begin(&batch->buffer, command);
    return true;
}

static void end_run(run_t *run, outgoing_t *batch, wire_command_t command)
{
    if (run->count == 0)
        return;
    if (begin_if_empty(batch, command) && command == WIRE_CONFIRM)
        wire_put_durability(&batch->buffer, run->durability);
    wire_put_range(&batch->buffer, command,
                   &(wire_range_t){run->first, run->count, run->duplicate});
    batch->items++;
    run->count = 0;
}

static void flush_peer(reactor_t *self, peer_entry_t *peer)
{
    end_run(&peer->confirm_run, &peer->confirm, WIRE_CONFIRM);
    end_run(&peer->settled_run, &peer->settled, WIRE_SETTLED);
    send_batch(self, peer, &peer->confirm);
    send_batch(self, peer, &peer->settled);
    send_batch(self, peer, &peer->deliver);
    send_batch(self, peer, &peer->revoke);
}

void reeve_flush(reactor_t *self)
{
    while (self->dirty) {
        peer_entry_t *peer = self->dirty;
        self->dirty = peer->next_dirty;
        peer->dirty = false;
        flush_peer(self, peer);
    }
}

/*  Adds a run of one number to a run, or ends that and starts the next. A message of confirms has one
    durability. */
static void extend_run(reactor_t *self, peer_entry_t *peer, run_t *run, outgoing_t *batch,
                       wire_command_t command, run_t next)
{
    bool alike = run->duplicate == next.duplicate && run->durability == next.durability;
    mark_dirty(self, peer);
    if (run->count && run->first + run->count == next.first && alike) {
        run->count++;
        return;
    }
    end_run(run, batch, command);
    if (is_full(batch) || run->durability != next.durability)
        send_batch(self, peer, batch);
    *run = next;
}

void reeve_message(reactor_t *self, peer_entry_t *peer, const wire_message_t *message)
{
    flush_peer(self,
               peer); /* a confirm goes before the outcome, a delivery before its revocation */
    wire_encode(&peer->confirm.buffer, message);
    send_batch(self, peer, &peer->confirm);
}

void reeve_error(reactor_t *self, peer_entry_t *peer, uint64_t corr, reeve_error_t error,
                 const char *text, int64_t retry_after_ms)
{
    self->metrics.refused[error]++;
    reeve_message(self, peer,
                  &(wire_message_t){.command = WIRE_ERROR,
                                    .corr = corr,
                                    .code = error,
                                    .text = slice_str(text ? text : reeve_error_meaning(error)),
                                    .retry_after_ms = (uint64_t)retry_after_ms});
}

wire_task_t reeve_task(const record_t *record, uint32_t max_retries)
{
    const task_spec_t *spec = &record->spec;
    return (wire_task_t){.id = spec->id,
                         .queue = spec->queue,
                         .task_name = spec->task_name,
                         .body = spec->body,
                         .origin = spec->origin,
                         .body_kind = spec->body_kind,
                         .created_at_ms = (uint64_t)spec->created_ms,
                         .priority = spec->priority,
                         .run_at_ms = (uint64_t)spec->run_at_ms,
                         .timeout_ms = (uint64_t)spec->timeout_ms,
                         .expires_at_ms = (uint64_t)spec->expires_ms,
                         .max_retries = max_retries,
                         .backoff_ms = (uint64_t)spec->backoff_ms};
}

static void put_delivery(reactor_t *self, peer_entry_t *peer, const effect_t *effect)
{
    const record_t *record = effect->deliver.record;
    char text[TOKEN_TEXT_BYTES];
    token_t token = {record->seq, effect->deliver.attempt, effect->deliver.ephemeral};
    size_t size = token_format(&self->token_keys, token, text);
    wire_delivery_t delivery = {.token = slice(text, size),
                                .attempt = effect->deliver.attempt,
                                .retry_count = effect->deliver.retry_count,
                                .task = reeve_task(record, effect->deliver.max_retries)};
    delivery.task.timeout_ms = (uint64_t)effect->deliver.timeout_ms;
    begin_if_empty(&peer->deliver, WIRE_DELIVER);
    wire_put_delivery(&peer->deliver.buffer, &delivery);
    peer->deliver.items++;
    mark_dirty(self, peer);
    if (is_full(&peer->deliver))
        flush_peer(self, peer);
}

void reeve_revoke(reactor_t *self, peer_entry_t *peer, slice_t token, revoke_cause_t cause)
{
    begin_if_empty(&peer->revoke, WIRE_REVOKE);
    wire_put_revoked(&peer->revoke.buffer, &(wire_revoked_t){token, (uint64_t)cause});
    peer->revoke.items++;
    mark_dirty(self, peer);
    if (is_full(&peer->revoke))
        flush_peer(self, peer);
}

static void put_revoked(reactor_t *self, peer_entry_t *peer, const effect_t *effect)
{
    char text[TOKEN_TEXT_BYTES];
    token_t token = {effect->revoke.seq, effect->revoke.attempt, effect->revoke.ephemeral};
    size_t size = token_format(&self->token_keys, token, text);
    reeve_revoke(self, peer, slice(text, size), effect->revoke.cause);
}

static void send_outcome(reactor_t *self, peer_entry_t *peer, const effect_t *effect)
{
    static const outcome_spec_t none;
    const outcome_spec_t *spec = effect->outcome.outcome ? &effect->outcome.outcome->spec : &none;
    reeve_message(self, peer,
                  &(wire_message_t){.command = WIRE_OUTCOME,
                                    .corr = effect->corr,
                                    .id = effect->outcome.record->spec.id,
                                    .state = effect->outcome.state,
                                    .attempts = effect->outcome.attempts,
                                    .result_kind = spec->result_kind,
                                    .result = spec->result,
                                    .reason = spec->reason,
                                    .error = spec->error,
                                    .traceback = spec->traceback,
                                    .duration_ms = (uint64_t)spec->duration_ms,
                                    .partial = effect->outcome.partial});
}

void reeve_send(reactor_t *self, peer_entry_t *peer, const effect_t *effect)
{
    switch (effect->kind) {
    case EFFECT_CONFIRM:
        extend_run(self, peer, &peer->confirm_run, &peer->confirm, WIRE_CONFIRM,
                   (run_t){effect->corr, 1, effect->confirm.duplicate,
                           effect->confirm.durability == DURABILITY_MEMORY
                               ? WIRE_DURABILITY_MEMORY
                               : WIRE_DURABILITY_FSYNC});
        break;
    case EFFECT_SETTLED:
        extend_run(self, peer, &peer->settled_run, &peer->settled, WIRE_SETTLED,
                   (run_t){.first = effect->corr, .count = 1});
        break;
    case EFFECT_DELIVER:
        put_delivery(self, peer, effect);
        break;
    case EFFECT_REVOKE:
        put_revoked(self, peer, effect);
        break;
    case EFFECT_REFUSE:
        reeve_error(self, peer, effect->corr, effect->refuse.error, effect->refuse.text,
                    effect->refuse.retry_after_ms);
        break;
    case EFFECT_OUTCOME:
        send_outcome(self, peer, effect);
        break;
    case EFFECT_DONE:
        reeve_message(self, peer,
                      &(wire_message_t){.command = WIRE_DONE,
                                        .corr = effect->corr,
                                        .count = effect->done.count,
                                        .state = effect->done.state});
        break;
    case EFFECT_HEARTBEAT:
        reeve_message(self, peer, &(wire_message_t){.command = WIRE_HEARTBEAT});
        break;
    case EFFECT_DISCONNECT:
        reeve_message(
            self, peer,
            &(wire_message_t){.command = WIRE_GOODBYE, .text = slice_str("no longer registered")});
        break;
    default:
        break;
    }
}
