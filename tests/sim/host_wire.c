/*  Messages to events and effects to messages, with the checks and tolerances of broker/net
    (reeve_in.c, reeve_out.c, mdp_in.c, mdp_out.c): tokens are real and verified here, strangers are
    told NOT_READY, Majordomo conversations end where the RFCs say so. */

#include <stdio.h>

#include "common/wire/token.h"
#include "tests/sim/host_inside.h"
#include "tests/sim/network.h"

enum { STRAYS_MAX = 8 };

static bool parse(const host_t *self, const char *text, token_t *token)
{
    return token_parse(&self->token_keys, slice_str(text), token);
}

static void say(host_t *self, const host_peer_t *peer, message_t message)
{
    message.protocol = peer->protocol;
    host_say(self, peer->handle, &message);
}

static void say_error(host_t *self, const host_peer_t *peer, uint64_t corr, reeve_error_t error)
{
    say(self, peer, (message_t){.kind = MSG_ERROR, .corr = corr, .error = error});
}

static bool registered(const host_t *self, const host_peer_t *peer)
{
    return core_is_worker(self->core, peer->handle);
}

/* ---- producing and asking ------------------------------------------------------------------- */

/*  A Majordomo request has no id: the broker makes one. */
static void mint(host_t *self, message_t *message)
{
    snprintf(message->id, sizeof message->id, "m%llu", (unsigned long long)++self->minted);
}

static void take_submit(host_t *self, const host_peer_t *peer, const message_t *message)
{
    const content_t *content = &message->content;
    uint64_t reply_to = peer->handle;
    bool mdp = peer->protocol != SPEAKS_REEVE;
    task_spec_t spec = {.id = slice_str(message->id),
                        .queue = slice_str(content->queue),
                        .task_name = slice_str(content->name),
                        .reply_to = mdp ? slice(&reply_to, sizeof reply_to) : (slice_t){0},
                        .body = slice_str(content->body),
                        .body_kind = mdp,
                        .priority = (uint8_t)content->priority,
                        .created_ms = sim_wall_ms(self->sim),
                        .run_at_ms = message->run_at_ms,
                        .expires_ms = message->expires_ms,
                        .timeout_ms = content->timeout_ms,
                        .backoff_ms = message->backoff_ms,
                        .max_retries = content->max_retries};
    host_step(self, &(event_t){.kind = EVENT_SUBMIT,
                               .peer = peer->handle,
                               .corr = message->corr,
                               .submit = {.task = &spec,
                                          .delay_ms = message->delay_ms,
                                          .maybe_known = !mdp && host_maybe_known(self, spec.id),
                                          .wait = message->wait}});
}

static void take_by_id(host_t *self, const host_peer_t *peer, const message_t *message,
                       event_kind_t kind)
{
    host_step(self, &(event_t){.kind = kind,
                               .peer = peer->handle,
                               .corr = message->corr,
                               .by_id = {slice_str(message->id)}});
}

static void take_dead(host_t *self, const host_peer_t *peer, const message_t *message,
                      event_kind_t kind)
{
    host_step(self, &(event_t){.kind = kind,
                               .peer = peer->handle,
                               .corr = message->corr,
                               .dead = {slice_str(message->id), slice_str(message->queues[0])}});
}

/* ---- Reeve workers -------------------------------------------------------------------------- */

static size_t take_held(const host_t *self, const message_t *message, held_t *held)
{
    size_t count = 0;
    token_t token;
    for (unsigned i = 0; i < message->held_count; i++)
        if (parse(self, message->held[i].token, &token))
            held[count++] = (held_t){.seq = token.seq,
                                     .attempt = token.attempt,
                                     .ephemeral = token.ephemeral,
                                     .running_ms = message->held[i].running_ms};
    return count;
}

static void take_ready(host_t *self, host_peer_t *peer, const message_t *message)
{
    held_t held[HELD_MAX];
    slice_t queues[QUEUES_MAX];
    for (unsigned i = 0; i < message->queue_count; i++)
        queues[i] = slice_str(message->queues[i]);
    size_t held_count = take_held(self, message, held);
    peer->was_worker = true;
    host_step(self, &(event_t){.kind = EVENT_READY,
                               .peer = peer->handle,
                               .ready = {.kind = PEER_REEVE,
                                         .name = slice_str(message->name),
                                         .queues = queues,
                                         .queue_count = message->queue_count,
                                         .prefetch = message->prefetch,
                                         .held = held,
                                         .held_count = held_count}});
}

static void take_heartbeat(host_t *self, host_peer_t *peer, const message_t *message)
{
    held_t held[HELD_MAX];
    size_t count = take_held(self, message, held);
    if (registered(self, peer))
        host_step(self, &(event_t){.kind = EVENT_HEARTBEAT,
                                   .peer = peer->handle,
                                   .heartbeat = {.held = held, .held_count = count}});
    else if (!peer->said_hello || peer->was_worker || count > 0)
        say_error(self, peer, 0, REEVE_ERR_NOT_READY);
    else
        say(self, peer, (message_t){.kind = MSG_BEAT});
}

static void settle(host_t *self, const host_peer_t *peer, const message_t *message, token_t token,
                   uint8_t result_kind)
{
    host_step(self, &(event_t){.kind = EVENT_SETTLE,
                               .peer = peer->handle,
                               .corr = message->corr,
                               .settle = {.seq = token.seq,
                                          .attempt = token.attempt,
                                          .verdict = (verdict_t)message->word,
                                          .result_kind = result_kind,
                                          .result = slice_str(message->result),
                                          .reason = slice_str(message->reason)}});
}

static void take_attempt(host_t *self, const host_peer_t *peer, const message_t *message,
                         token_t token, event_kind_t kind)
{
    host_step(self, &(event_t){.kind = kind,
                               .peer = peer->handle,
                               .attempt = {.seq = token.seq,
                                           .attempt = token.attempt,
                                           .timeout_ms = message->timeout_ms,
                                           .kind = 2,
                                           .data = slice_str(message->result)}});
}

static void take_about_attempt(host_t *self, const host_peer_t *peer, const message_t *message)
{
    token_t token;
    bool true_token = parse(self, message->token, &token);
    if (!true_token && message->kind == MSG_SETTLE)
        say_error(self, peer, message->corr, REEVE_ERR_STALE_ATTEMPT);
    else if (!true_token)
        say_error(self, peer, 0, REEVE_ERR_BAD_VALUE);
    else if (message->kind == MSG_SETTLE)
        settle(self, peer, message, token, 2);
    else
        take_attempt(self, peer, message, token,
                     message->kind == MSG_EXTEND ? EVENT_EXTEND : EVENT_PROGRESS);
}

static void leave(host_t *self, host_peer_t *peer)
{
    peer->was_worker = peer->mdp_worker = false;
    host_step(self, &(event_t){.kind = EVENT_GOODBYE, .peer = peer->handle});
}

static void take_reeve(host_t *self, host_peer_t *peer, const message_t *message)
{
    switch (message->kind) {
    case MSG_HELLO:
        peer->said_hello = true;
        say(self, peer, (message_t){.kind = MSG_WELCOME, .epoch = self->epoch});
        break;
    case MSG_SUBMIT:
        take_submit(self, peer, message);
        break;
    case MSG_WAIT:
        take_by_id(self, peer, message, EVENT_WAIT);
        break;
    case MSG_CANCEL:
        take_by_id(self, peer, message, EVENT_CANCEL);
        break;
    case MSG_FORGET:
        take_by_id(self, peer, message, EVENT_FORGET);
        break;
    case MSG_REDRIVE:
        take_dead(self, peer, message, EVENT_REDRIVE);
        break;
    case MSG_PURGE:
        take_dead(self, peer, message, EVENT_PURGE);
        break;
    case MSG_READY:
        take_ready(self, peer, message);
        break;
    case MSG_HEARTBEAT:
        take_heartbeat(self, peer, message);
        break;
    case MSG_PREFETCH:
        host_step(self, &(event_t){.kind = EVENT_PREFETCH,
                                   .peer = peer->handle,
                                   .prefetch = {message->prefetch}});
        break;
    case MSG_SETTLE:
    case MSG_EXTEND:
    case MSG_PROGRESS:
        take_about_attempt(self, peer, message);
        break;
    default:
        leave(self, peer);
    }
}

/* ---- Majordomo ------------------------------------------------------------------------------ */

static void end_conversation(host_t *self, host_peer_t *peer)
{
    say(self, peer, (message_t){.kind = MSG_BYE});
    if (registered(self, peer))
        host_step(self, &(event_t){.kind = EVENT_GOODBYE, .peer = peer->handle});
    peer->mdp_worker = false;
}

static void mdp_ready(host_t *self, host_peer_t *peer, const message_t *message)
{
    if (registered(self, peer)) {
        end_conversation(self, peer);
        return;
    }
    char name[24];
    slice_t queue = slice_str(message->queues[0]);
    snprintf(name, sizeof name, "mdp-%llu", (unsigned long long)peer->handle);
    peer->mdp_worker = true;
    peer->strays = 0;
    host_step(self,
              &(event_t){.kind = EVENT_READY,
                         .peer = peer->handle,
                         .ready = {.kind = peer->protocol == SPEAKS_MDP01 ? PEER_MDP01 : PEER_MDP02,
                                   .name = slice_str(name),
                                   .queues = &queue,
                                   .queue_count = 1,
                                   .prefetch = 1}});
}

static void mdp_heartbeat(host_t *self, host_peer_t *peer)
{
    if (registered(self, peer))
        host_step(self, &(event_t){.kind = EVENT_HEARTBEAT, .peer = peer->handle});
    else
        say(self, peer, (message_t){.kind = MSG_BYE});
}

static void mdp_word(host_t *self, host_peer_t *peer, const message_t *message)
{
    token_t token;
    bool known = registered(self, peer);
    if (!parse(self, message->token, &token)) {
        if (++peer->strays > STRAYS_MAX || !known)
            end_conversation(self, peer);
        else
            mdp_heartbeat(self, peer);
        return;
    }
    peer->strays = 0;
    if (message->kind == MSG_SETTLE)
        settle(self, peer, message, token, 3);
    else
        take_attempt(self, peer, message, token, EVENT_PROGRESS);
    if (!known)
        say(self, peer, (message_t){.kind = MSG_BYE});
}

static void take_mdp(host_t *self, host_peer_t *peer, const message_t *message)
{
    switch (message->kind) {
    case MSG_SUBMIT:
        take_submit(self, peer, message);
        break;
    case MSG_READY:
        mdp_ready(self, peer, message);
        break;
    case MSG_SETTLE:
    case MSG_PROGRESS:
        mdp_word(self, peer, message);
        break;
    case MSG_HEARTBEAT:
        mdp_heartbeat(self, peer);
        break;
    default:
        leave(self, peer);
    }
}

void host_take(host_t *self, host_peer_t *peer, message_t *message)
{
    bool mdp = peer->protocol != SPEAKS_REEVE;
    if (mdp && message->kind == MSG_SUBMIT)
        mint(self, message);
    oracle_hears(self->sim->oracle, peer->handle, message);
    if (mdp)
        take_mdp(self, peer, message);
    else
        take_reeve(self, peer, message);
}

/* ---- effects to messages -------------------------------------------------------------------- */

static void put(char *to, size_t size, slice_t from)
{
    snprintf(to, size, "%.*s", SLICE_ARG(from));
}

static void put_token(const host_t *self, token_t token, message_t *message)
{
    token_format(&self->token_keys, token, message->token);
}

static void deliver(host_t *self, const host_peer_t *peer, const effect_t *effect)
{
    const record_t *record = effect->deliver.record;
    message_t message = {.kind = MSG_DELIVER,
                         .attempt = effect->deliver.attempt,
                         .failures = effect->deliver.retry_count,
                         .max_retries = effect->deliver.max_retries,
                         .timeout_ms = effect->deliver.timeout_ms,
                         .expires_ms = record->spec.expires_ms,
                         .run_at_ms = record->spec.run_at_ms,
                         .content = {.priority = record->spec.priority,
                                     .max_retries = record->spec.max_retries,
                                     .timeout_ms = record->spec.timeout_ms}};
    put(message.id, sizeof message.id, record->spec.id);
    put(message.content.queue, sizeof message.content.queue, record->spec.queue);
    put(message.content.name, sizeof message.content.name, record->spec.task_name);
    put(message.content.body, sizeof message.content.body, record->spec.body);
    put_token(self, (token_t){record->seq, effect->deliver.attempt, effect->deliver.ephemeral},
              &message);
    self->sim->counts.deliveries++;
    say(self, peer, message);
}

static message_t outcome_message(const effect_t *effect, message_kind_t kind)
{
    static const outcome_spec_t none;
    const outcome_t *outcome = effect->outcome.outcome;
    const outcome_spec_t *spec = outcome ? &outcome->spec : &none;
    message_t message = {.kind = kind,
                         .corr = effect->corr,
                         .state = effect->outcome.state,
                         .attempts = effect->outcome.attempts,
                         .partial = effect->outcome.partial};
    put(message.id, sizeof message.id, effect->outcome.record->spec.id);
    put(message.result, sizeof message.result, spec->result);
    put(message.reason, sizeof message.reason, spec->reason);
    return message;
}

static void revoke(host_t *self, const host_peer_t *peer, const effect_t *effect)
{
    message_t message = {
        .kind = MSG_REVOKE, .cause = effect->revoke.cause, .attempt = effect->revoke.attempt};
    put_token(self, (token_t){effect->revoke.seq, effect->revoke.attempt, effect->revoke.ephemeral},
              &message);
    say(self, peer, message);
}

static void tell_reeve(host_t *self, const host_peer_t *peer, const effect_t *effect)
{
    switch (effect->kind) {
    case EFFECT_CONFIRM:
        self->sim->counts.confirmed++;
        say(self, peer,
            (message_t){
                .kind = MSG_CONFIRM, .corr = effect->corr, .duplicate = effect->confirm.duplicate});
        break;
    case EFFECT_SETTLED:
        self->sim->counts.settled++;
        say(self, peer, (message_t){.kind = MSG_SETTLED, .corr = effect->corr});
        break;
    case EFFECT_DELIVER:
        deliver(self, peer, effect);
        break;
    case EFFECT_REVOKE:
        revoke(self, peer, effect);
        break;
    case EFFECT_REFUSE:
        say(self, peer,
            (message_t){.kind = MSG_ERROR,
                        .corr = effect->corr,
                        .error = effect->refuse.error,
                        .retry_after_ms = effect->refuse.retry_after_ms});
        break;
    case EFFECT_OUTCOME:
        say(self, peer, outcome_message(effect, MSG_OUTCOME));
        break;
    case EFFECT_DONE:
        say(self, peer,
            (message_t){.kind = MSG_DONE,
                        .corr = effect->corr,
                        .count = effect->done.count,
                        .state = effect->done.state});
        break;
    case EFFECT_HEARTBEAT:
        say(self, peer, (message_t){.kind = MSG_BEAT});
        break;
    default:
        say(self, peer, (message_t){.kind = MSG_BYE});
    }
}

/*  Majordomo has no words for most of it. */
static void tell_mdp(host_t *self, host_peer_t *peer, const effect_t *effect)
{
    switch (effect->kind) {
    case EFFECT_DELIVER:
        deliver(self, peer, effect);
        break;
    case EFFECT_HEARTBEAT:
        peer->strays = 0;
        say(self, peer, (message_t){.kind = MSG_BEAT});
        break;
    case EFFECT_DISCONNECT:
        peer->mdp_worker = false;
        say(self, peer, (message_t){.kind = MSG_BYE});
        break;
    case EFFECT_REFUSE: /* a stale reply: valid but unexpected */
        if (registered(self, peer)) {
            say(self, peer, (message_t){.kind = MSG_BYE});
            host_part(self, peer->handle, EVENT_GOODBYE);
        }
        break;
    default:
        break;
    }
}

void host_tell(host_t *self, host_peer_t *peer, const effect_t *effect)
{
    if (peer->protocol == SPEAKS_REEVE)
        tell_reeve(self, peer, effect);
    else if (peer->mdp_worker)
        tell_mdp(self, peer, effect);
}

void host_reply(host_t *self, const effect_t *effect)
{
    uint64_t handle;
    if (!effect->outcome.partial && effect->outcome.state != REEVE_STATE_SUCCESS)
        return;
    memcpy(&handle, effect->outcome.record->spec.reply_to.data, sizeof handle);
    message_t message = outcome_message(effect, MSG_REPLY);
    sim_tell_message(self->sim, network_name(self->sim->network, handle), "<-", &message);
    oracle_says(self->sim->oracle, handle, &message);
    network_answer(self->sim->network, handle, &message);
}
