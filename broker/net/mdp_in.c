/*  Majordomo, inbound: RFC 7 and RFC 18 commands to events, by the broker's decision table
    (docs/protocol.md, "Majordomo"), with the tolerances that peers in the field need. */

#include <stdlib.h>

#include "broker/net/inside.h"
#include "common/json.h"
#include "common/wire/tsp.h"

/*  Replies to tokens that were never ours, in a row and since our last heartbeat, before the
    conversation ends: some libraries send stray replies (to "undefined"; one answers each heartbeat
    so), and ending it at the first would make them unusable. */
enum { STRAYS_MAX = 8 };

/* ---- clients -------------------------------------------------------------------------------- */

static void mmi(reactor_t *self, const wire_buffer_t *reply_to, const mdp_message_t *request)
{
    /* The reference takes the last body frame as the name; others are echoed. */
    slice_t body[LIMIT_BODY_FRAMES];
    memcpy(body, request->body, request->body_count * sizeof *body);
    const char *code = MMI_NOT_IMPLEMENTED;
    slice_t *last = &body[request->body_count - 1];
    if (slice_eq(request->service, slice_str("mmi.service")))
        code = core_has_workers(self->core, *last) ? MMI_OK : MMI_NOT_FOUND;
    *last = slice_str(code);
    mdp_reply(self, slice(reply_to->data, reply_to->size), request->service, MDP_CLIENT_FINAL, body,
              request->body_count);
}

static void submit_request(reactor_t *self, peer_entry_t *peer, const wire_buffer_t *reply_to,
                           const mdp_message_t *request)
{
    wire_buffer_t body = {0};
    for (size_t i = 0; i < request->body_count; i++)
        wire_put_frame(&body, request->body[i]);
    if (body.size > LIMIT_BODY_BYTES) {
        reactor_refuse(self, REFUSAL_BAD_TASK, peer, "body: 16 MiB at most");
    } else {
        char id[UUID7_TEXT_SIZE];
        uuid7_next(&self->uuids, self->wall_ms, id);
        task_spec_t spec = {.id = slice_str(id),
                            .queue = request->service,
                            .task_name = request->service,
                            .origin = slice_str(request->version == MDP_01 ? "mdp/0.1" : "mdp/0.2"),
                            .reply_to = slice(reply_to->data, reply_to->size),
                            .body = slice(body.data, body.size),
                            .body_kind = WIRE_BODY_FRAMES,
                            .created_ms = self->wall_ms,
                            .max_retries = -1};
        reactor_step(
            self,
            &(event_t){.kind = EVENT_SUBMIT, .peer = peer->handle, .submit = {.task = &spec}});
    }
    wire_fini(&body);
}

static void client_request(reactor_t *self, peer_entry_t *peer, const mdp_message_t *request)
{
    if (!name_valid(request->service, LIMIT_QUEUE_NAME_BYTES)) {
        reactor_refuse(self, REFUSAL_BAD_SERVICE, peer, "service: 1..128 bytes of UTF-8");
        return;
    }
    if (request->body_count > LIMIT_BODY_FRAMES) {
        reactor_refuse(self, REFUSAL_TOO_MANY_FRAMES, peer, "1024 frames at most");
        return;
    }
    wire_buffer_t reply_to = {0};
    mdp_address(self, peer, request, &reply_to);
    if (reply_to.size > LIMIT_REPLY_TO_BYTES)
        reactor_refuse(self, REFUSAL_BAD_TASK, peer, "return path: 2 KiB at most");
    else if (tsp_service(request->service) != TSP_NONE)
        titanic_request(self, peer, request, &reply_to);
    else if (mmi_is_mmi(request->service))
        mmi(self, &reply_to, request);
    else
        submit_request(self, peer, &reply_to, request);
    wire_fini(&reply_to);
}

/* ---- workers -------------------------------------------------------------------------------- */

/*  Ends the conversation: what the worker holds is given to others, uncounted (RFC 7, RFC 18: valid
    but unexpected commands are answered by DISCONNECT). */
static void end_conversation(reactor_t *self, peer_entry_t *peer)
{
    mdp_disconnect(self, peer);
    if (core_is_worker(self->core, peer->handle))
        reactor_step(self, &(event_t){.kind = EVENT_GOODBYE, .peer = peer->handle});
    peer->mdp_worker = false;
}

static bool is_reserved(slice_t service)
{
    return mmi_is_mmi(service) || tsp_service(service) != TSP_NONE;
}

static void worker_ready(reactor_t *self, peer_entry_t *peer, const mdp_message_t *message)
{
    if (core_is_worker(self->core, peer->handle) || is_reserved(message->service) ||
        !name_valid(message->service, LIMIT_QUEUE_NAME_BYTES)) {
        reactor_refuse(self, REFUSAL_UNEXPECTED, peer, "READY");
        end_conversation(self, peer);
        return;
    }
    char name[32 + 2 * ROUTING_ID_BYTES] = "mdp-";
    for (size_t i = 0, at = 4; i < peer->id_size && i < 16; i++, at += 2)
        snprintf(name + at, 3, "%02x", peer->id[i]);
    peer->mdp_worker = true;
    reactor_note_address(self, peer);
    peer->strays = 0;
    reactor_step(self,
                 &(event_t){.kind = EVENT_READY,
                            .peer = peer->handle,
                            .ready = {.kind = message->version == MDP_01 ? PEER_MDP01 : PEER_MDP02,
                                      .name = slice_str(name),
                                      .queues = &message->service,
                                      .queue_count = 1,
                                      .prefetch = 1}});
}

static void heartbeat(reactor_t *self, peer_entry_t *peer)
{
    if (core_is_worker(self->core, peer->handle))
        reactor_step(self, &(event_t){.kind = EVENT_HEARTBEAT, .peer = peer->handle});
    else
        mdp_disconnect(self, peer); /* how a worker learns that the broker restarted */
}

static void stray(reactor_t *self, peer_entry_t *peer)
{
    reactor_refuse(self, REFUSAL_BAD_TOKEN, peer, "reply");
    if (++peer->strays > STRAYS_MAX || !core_is_worker(self->core, peer->handle))
        end_conversation(self, peer);
    else
        heartbeat(self, peer);
}

static void worker_reply(reactor_t *self, peer_entry_t *peer, const mdp_message_t *message)
{
    token_t token;
    if (!token_parse(&self->token_keys, message->address, &token)) {
        stray(self, peer);
        return;
    }
    peer->strays = 0;
    wire_buffer_t body = {0};
    for (size_t i = 0; i < message->body_count; i++)
        wire_put_frame(&body, message->body[i]);
    event_t event = {.peer = peer->handle};
    if (body.size > LIMIT_RESULT_BYTES || message->body_count > LIMIT_BODY_FRAMES) {
        reactor_refuse(self, REFUSAL_BAD_TASK, peer, "result: 4 MiB and 1024 frames at most");
        event.kind = EVENT_SETTLE;
        event.settle.verdict = VERDICT_REJECT;
        event.settle.reason = slice_str("result_too_large");
        event.settle.error = slice_str("the worker's reply exceeds 4 MiB or 1024 frames");
    } else if (message->kind == MDP_WORKER_PARTIAL) {
        event.kind = EVENT_PROGRESS;
        event.attempt.kind = WIRE_RESULT_FRAMES;
        event.attempt.data = slice(body.data, body.size);
    } else {
        event.kind = EVENT_SETTLE;
        event.settle.verdict = VERDICT_SUCCESS;
        event.settle.result_kind = WIRE_RESULT_FRAMES;
        event.settle.result = slice(body.data, body.size);
    }
    if (event.kind == EVENT_SETTLE) {
        event.settle.seq = token.seq;
        event.settle.attempt = token.attempt;
    } else {
        event.attempt.seq = token.seq;
        event.attempt.attempt = token.attempt;
    }
    bool registered = core_is_worker(self->core, peer->handle);
    reactor_step(self, &event);
    wire_fini(&body);
    /* A late reply over a new connection, as after our restart: its result counts when the attempt
       still does, but the worker has to register again. */
    if (!registered)
        mdp_disconnect(self, peer);
}

static void worker_message(reactor_t *self, peer_entry_t *peer, const mdp_message_t *message)
{
    peer->version = message->version;
    peer->delimiter = message->delimiter;
    switch (message->kind) {
    case MDP_WORKER_READY:
        worker_ready(self, peer, message);
        break;
    case MDP_WORKER_FINAL:
    case MDP_WORKER_PARTIAL:
        worker_reply(self, peer, message);
        break;
    case MDP_WORKER_HEARTBEAT:
        heartbeat(self, peer);
        break;
    case MDP_WORKER_DISCONNECT:
        reactor_leave(self, peer);
        break;
    default:
        reactor_refuse(self, REFUSAL_UNEXPECTED, peer, "a broker's command");
        end_conversation(self, peer);
    }
}

void mdp_receive(reactor_t *self, peer_entry_t *peer, const slice_t *frames, size_t count)
{
    mdp_message_t message;
    const char *problem = NULL;
    bool valid = mdp_decode(frames, count, &message, &problem) == 0;
    if (!valid) {
        reactor_refuse(self, REFUSAL_MALFORMED, peer, problem);
        if (core_is_worker(self->core, peer->handle))
            end_conversation(self, peer);
        return;
    }
    switch (message.kind) {
    case MDP_CLIENT_REQUEST:
        client_request(self, peer, &message);
        break;
    case MDP_CLIENT_PARTIAL:
    case MDP_CLIENT_FINAL:
        reactor_refuse(self, REFUSAL_UNEXPECTED, peer, "a broker's command");
        break;
    default:
        worker_message(self, peer, &message);
    }
}
