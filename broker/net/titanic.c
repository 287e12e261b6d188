/*  Titanic (RFC 9), answered by the broker from the store that it has anyway: a request is a task
    whose id is the UUID, and whose result is kept for the queue's retention. */

#include <stdlib.h>

#include "broker/net/inside.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/wire/tsp.h"

/*  Takes the contents of `reply_to`. */
static call_t *call_new(reactor_t *self, const mdp_message_t *request, wire_buffer_t *reply_to)
{
    call_t *call = mem_zalloc(sizeof *call);
    call->corr = ++self->last_call;
    call->service = mem_strndup(request->service.data, request->service.size);
    call->reply_to = *reply_to;
    *reply_to = (wire_buffer_t){0};
    HASH_ADD(hh, self->calls, corr, sizeof call->corr, call);
    return call;
}

static void call_free(reactor_t *self, call_t *call)
{
    HASH_DEL(self->calls, call);
    wire_fini(&call->reply_to);
    free(call->service);
    free(call);
}

static call_t *call_find(const reactor_t *self, uint64_t corr)
{
    call_t *call;
    HASH_FIND(hh, self->calls, &corr, sizeof corr, call);
    return call;
}

/*  Answers and ends the call. */
static void answer(reactor_t *self, call_t *call, const slice_t *body, size_t count)
{
    mdp_reply(self, slice(call->reply_to.data, call->reply_to.size), slice_str(call->service),
              MDP_CLIENT_FINAL, body, count);
    call_free(self, call);
}

static void answer_status(reactor_t *self, call_t *call, const char *status)
{
    slice_t body = slice_str(status);
    answer(self, call, &body, 1);
}

static void submit(reactor_t *self, peer_entry_t *peer, call_t *call, const mdp_message_t *request)
{
    slice_t target = request->body[0];
    wire_buffer_t body = {0};
    for (size_t i = 1; i < request->body_count; i++)
        wire_put_frame(&body, request->body[i]);
    if (request->body_count < 2 || body.size > LIMIT_BODY_BYTES || mmi_is_mmi(target) ||
        tsp_service(target) != TSP_NONE || !name_valid(target, LIMIT_QUEUE_NAME_BYTES)) {
        reactor_refuse(self, REFUSAL_BAD_TASK, peer, "titanic.request");
        answer_status(self, call, TSP_ERROR);
    } else {
        call->kind = CALL_REQUEST;
        uuid7_next(&self->uuids, self->wall_ms, call->id);
        task_spec_t spec = {.id = slice_str(call->id),
                            .queue = target,
                            .task_name = target,
                            .origin = slice_str("titanic"),
                            .body = slice(body.data, body.size),
                            .body_kind = WIRE_BODY_FRAMES,
                            .created_ms = self->wall_ms,
                            .max_retries = -1};
        reactor_step(self, &(event_t){.kind = EVENT_SUBMIT,
                                      .peer = PEER_TITANIC,
                                      .corr = call->corr,
                                      .submit = {.task = &spec}});
    }
    wire_fini(&body);
}

static void look_up(reactor_t *self, call_t *call)
{
    call->kind = CALL_REPLY;
    inquiry_t *inquiry = reactor_inquire(self, REQUEST_BIOGRAPHY);
    inquiry->corr = call->corr;
    inquiry->purpose = PURPOSE_TITANIC;
    inquiry->id = mem_strdup(call->id);
}

static void forget(reactor_t *self, call_t *call)
{
    call->kind = CALL_CLOSE;
    reactor_step(self, &(event_t){.kind = EVENT_FORGET,
                                  .peer = PEER_TITANIC,
                                  .corr = call->corr,
                                  .by_id = {.id = slice_str(call->id)}});
}

void titanic_request(reactor_t *self, peer_entry_t *peer, const mdp_message_t *request,
                     wire_buffer_t *reply_to)
{
    call_t *call = call_new(self, request, reply_to);
    tsp_service_t service = tsp_service(request->service);
    if (service == TSP_REQUEST)
        submit(self, peer, call, request);
    else if (service == TSP_UNKNOWN)
        answer_status(self, call, TSP_ERROR);
    else if (!tsp_uuid_to_id(request->body[0], call->id))
        /* An id that cannot be one of ours: nothing to reply, and nothing left to close. */
        answer_status(self, call, service == TSP_CLOSE ? TSP_OK : TSP_UNKNOWN_UUID);
    else if (service == TSP_REPLY)
        look_up(self, call);
    else
        forget(self, call);
}

void titanic_answer(reactor_t *self, const effect_t *effect)
{
    call_t *call = call_find(self, effect->corr);
    if (call == NULL)
        return;
    if (effect->kind == EFFECT_CONFIRM && call->kind == CALL_REQUEST) {
        char uuid[33];
        tsp_id_to_uuid(slice_str(call->id), uuid);
        slice_t body[] = {slice_str(TSP_OK), slice_str(uuid)};
        answer(self, call, body, 2);
    } else if (effect->kind == EFFECT_DONE && call->kind == CALL_CLOSE) {
        answer_status(self, call, TSP_OK);
    } else {
        answer_status(self, call, TSP_ERROR);
    }
}

void titanic_biography(reactor_t *self, const inquiry_t *inquiry)
{
    call_t *call = call_find(self, inquiry->corr);
    if (call == NULL)
        return;
    const biography_t *biography = &inquiry->biography;
    if (!biography->found) {
        answer_status(self, call, TSP_UNKNOWN_UUID);
    } else if (!reeve_state_is_final(biography->task.state)) {
        answer_status(self, call, TSP_PENDING);
    } else if (biography->task.state != REEVE_STATE_SUCCESS) {
        answer_status(self, call, TSP_ERROR); /* RFC 9 has no word for "failed for good" */
    } else {
        slice_t body[1 + LIMIT_BODY_FRAMES];
        body[0] = slice_str(TSP_OK);
        size_t count = 1 + mdp_result(&biography->task.outcome->spec, body + 1);
        answer(self, call, body, count);
    }
}

void titanic_free_all(reactor_t *self)
{
    call_t *call, *next;
    HASH_ITER (hh, self->calls, call, next)
        call_free(self, call);
}
