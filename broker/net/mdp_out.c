/*  Majordomo, outbound: effects to RFC 7 and RFC 18 messages, and replies to whoever asked. */

#include <stdlib.h>

#include "broker/net/inside.h"

/*  DISCONNECTs to peers that are not registered: real workers answer one by READY at once, without
    back-off, so a forbidden service would make a tight loop. */
enum { DISCONNECTS_PER_SECOND = 200 };

/*  Unpacks a byte string of frames; `frames` has room for LIMIT_BODY_FRAMES. */
static size_t unpack(slice_t bytes, slice_t *frames)
{
    size_t count = 0;
    for (size_t at = 0; count < LIMIT_BODY_FRAMES && wire_next_frame(bytes, &at, &frames[count]);)
        count++;
    return count;
}

/*  A body as frames: at least one, as every message of Majordomo that has a body needs. */
static size_t unpack_body(slice_t bytes, slice_t *frames)
{
    size_t count = unpack(bytes, frames);
    if (count > 0)
        return count;
    frames[0] = (slice_t){0};
    return 1;
}

size_t mdp_result(const outcome_spec_t *outcome, slice_t *frames)
{
    if (outcome->result_kind == WIRE_RESULT_FRAMES)
        return unpack_body(outcome->result, frames);
    frames[0] = outcome->result;
    return 1;
}

/* ---- to workers ----------------------------------------------------------------------------- */

static void send_message(reactor_t *self, peer_entry_t *peer, const mdp_message_t *message)
{
    slice_t frames[MDP_HEAD_FRAMES + LIMIT_BODY_FRAMES];
    size_t count = mdp_encode(message, frames);
    if (message->body_count)
        memcpy(frames + count, message->body, message->body_count * sizeof *frames);
    send_frames(self, peer, frames, count + message->body_count);
}

/*  A command without address and body; returns the number of frames. */
static size_t encode_command(const peer_entry_t *peer, mdp_kind_t kind, slice_t *frames)
{
    return mdp_encode(
        &(mdp_message_t){.version = peer->version, .kind = kind, .delimiter = peer->delimiter},
        frames);
}

static void send_command(reactor_t *self, const peer_entry_t *peer, mdp_kind_t kind)
{
    slice_t frames[MDP_HEAD_FRAMES];
    send_frames(self, peer, frames, encode_command(peer, kind, frames));
}

/*  A worker that reads nothing while it is busy, for hours, is not dead: most libraries of the field
    are like that. Its queue may run full of these. */
static void heartbeat(reactor_t *self, const peer_entry_t *peer)
{
    slice_t frames[MDP_HEAD_FRAMES];
    send_droppable(self, peer, frames, encode_command(peer, MDP_WORKER_HEARTBEAT, frames));
}

void mdp_disconnect(reactor_t *self, peer_entry_t *peer)
{
    if (self->now_ms - self->disconnect_limit.window_start_ms >= 1000)
        self->disconnect_limit = (log_limit_t){.window_start_ms = self->now_ms};
    if (self->disconnect_limit.in_window++ < DISCONNECTS_PER_SECOND)
        send_command(self, peer, MDP_WORKER_DISCONNECT);
}

static void deliver(reactor_t *self, peer_entry_t *peer, const effect_t *effect)
{
    const record_t *record = effect->deliver.record;
    slice_t body[LIMIT_BODY_FRAMES];
    size_t count = 1;
    char *document = NULL, token[TOKEN_TEXT_BYTES];
    if (record->spec.body_kind == WIRE_BODY_FRAMES) {
        count = unpack_body(record->spec.body, body);
    } else {
        document =
            document_of_record(record, effect->deliver.retry_count, effect->deliver.max_retries);
        body[0] = slice_str(document);
    }
    token_t attempt = {record->seq, effect->deliver.attempt, effect->deliver.ephemeral};
    size_t size = token_format(&self->token_keys, attempt, token);
    send_message(self, peer,
                 &(mdp_message_t){.version = peer->version,
                                  .kind = MDP_WORKER_REQUEST,
                                  .delimiter = peer->delimiter,
                                  .address = slice(token, size),
                                  .body = body,
                                  .body_count = count});
    free(document);
}

void mdp_send(reactor_t *self, peer_entry_t *peer, const effect_t *effect)
{
    switch (effect->kind) {
    case EFFECT_DELIVER:
        deliver(self, peer, effect);
        break;
    case EFFECT_HEARTBEAT:
        peer->strays = 0;
        heartbeat(self, peer);
        break;
    case EFFECT_DISCONNECT:
        peer->mdp_worker = false;
        send_command(self, peer, MDP_WORKER_DISCONNECT);
        break;
    case EFFECT_REFUSE: /* of a stale reply, valid but unexpected; or of a request of its own */
        if (effect->refuse.error == REEVE_ERR_STALE_ATTEMPT &&
            core_is_worker(self->core, peer->handle)) {
            mdp_disconnect(self, peer);
            reactor_part(self, peer->handle, EVENT_GOODBYE);
        }
        break;
    default: /* Majordomo has no words for the rest */
        break;
    }
}

/* ---- to clients ----------------------------------------------------------------------------- */

/*  The first frame of a return path: what the client speaks, and the epoch of its connection. */
typedef struct path_head {
    uint8_t version, delimiter, epoch[8];
} path_head_t;

static void put_epoch(const reactor_t *self, uint8_t epoch[8])
{
    memcpy(epoch, &self->identity.epoch, sizeof self->identity.epoch);
}

/*  The ids that ROUTER makes (they begin with 0) are the same after each start of the broker: in
    another epoch than its own one would name a stranger's connection. An id that the client chose is
    the same client's again. */
static bool is_still_the_peer(const reactor_t *self, const path_head_t *head, slice_t routing_id)
{
    uint8_t epoch[8];
    put_epoch(self, epoch);
    bool made_by_router = routing_id.size == 0 || routing_id.data[0] == 0;
    return !made_by_router || memcmp(epoch, head->epoch, sizeof epoch) == 0;
}

void mdp_address(const reactor_t *self, const peer_entry_t *peer, const mdp_message_t *request,
                 wire_buffer_t *out)
{
    path_head_t head = {(uint8_t)request->version, request->delimiter, {0}};
    put_epoch(self, head.epoch);
    wire_put_frame(out, slice(&head, sizeof head));
    wire_put_frame(out, slice(peer->id, peer->id_size));
    for (size_t i = 0; i < request->path_count; i++)
        wire_put_frame(out, request->path[i]);
}

void mdp_reply(reactor_t *self, slice_t reply_to, slice_t service, mdp_kind_t kind,
               const slice_t *body, size_t body_count)
{
    slice_t address[LIMIT_BODY_FRAMES];
    size_t count = unpack(reply_to, address);
    path_head_t from;
    if (count < 2 || address[0].size != sizeof from)
        return;
    memcpy(&from, address[0].data, sizeof from);
    if (!is_still_the_peer(self, &from, address[1]))
        return;
    mdp_message_t message = {.version = (mdp_version_t)from.version,
                             .delimiter = from.delimiter,
                             .kind = kind,
                             .path = address + 2,
                             .path_count = count - 2,
                             .service = service,
                             .body = body,
                             .body_count = body_count};
    if (message.version == MDP_01 && kind == MDP_CLIENT_PARTIAL)
        return; /* 0.1 has none; its client gets the final reply */
    slice_t frames[2 * LIMIT_BODY_FRAMES + MDP_HEAD_FRAMES];
    size_t head = mdp_encode(&message, frames);
    memcpy(frames + head, body, body_count * sizeof *body);
    send_frames(self, peers_get(&self->peers, address[1], self->now_ms), frames, head + body_count);
}

void mdp_reply_outcome(reactor_t *self, const effect_t *effect)
{
    const record_t *record = effect->outcome.record;
    bool partial = effect->outcome.partial;
    /* Majordomo has no word for failure: a client of a task that failed hears nothing, and times out. */
    if (!partial && effect->outcome.state != REEVE_STATE_SUCCESS)
        return;
    static const outcome_spec_t none;
    const outcome_spec_t *spec = effect->outcome.outcome ? &effect->outcome.outcome->spec : &none;
    slice_t body[LIMIT_BODY_FRAMES];
    size_t count = mdp_result(spec, body);
    mdp_reply(self, record->spec.reply_to, record->spec.queue,
              partial ? MDP_CLIENT_PARTIAL : MDP_CLIENT_FINAL, body, count);
}
