#include "broker/net/reactor.h"

#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "broker/net/endpoint.h"
#include "broker/net/inside.h"
#include "broker/store/carry_out.h"
#include "broker/store/id_hash.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/signals.h"

enum {
    TURN_MESSAGES = 256, /* taken in one turn, so that answers do not wait for a flood */
    POLL_MAX_MS = 1000,
    STOP_MS = 10000,           /* how long a stop waits for the last commit */
    PEER_IDLE_MS = 600 * 1000, /* a silent peer is forgotten after */
    EXPIRE_MS = 10 * 1000,
    DISK_MS = 1000,
    KEEPALIVE_S = 5,
    FULL_RETRY_MS = 10 * 1000,
    LINGER_MS = 20, /* how long changes that nobody waits for gather */
    LINGER_REQUESTS = 4096,
};

/*  What systemctl status shows of a broker that runs. */
static const char *const doing[] = {
    [false] = "Taking tasks and handing them to workers",
    [true] = "Free disk space is below the reserve; new tasks are refused",
};

static const char reload_refused[] =
    "The new configuration is refused, see the log; the one before holds";

static const char *const refusal_names[] = {
#define X(symbol, name) name,
    REFUSALS(X)
#undef X
};

const char *refusal_name(refusal_t why)
{
    return refusal_names[why];
}

void reactor_refuse(reactor_t *self, refusal_t why, const peer_entry_t *peer, const char *detail)
{
    int64_t suppressed;
    self->refusals[why]++;
    if (!log_limit_allow(&self->refusal_limits[why], self->now_ms, &suppressed))
        return;
    char id[2 * 16 + 1] = "";
    for (size_t i = 0; peer && i < peer->id_size && i < 16; i++)
        snprintf(id + 2 * i, 3, "%02x", peer->id[i]);
    log_event(LOG_WARN, "peer_refused", F_STR("reason", refusal_names[why]), F_STR("peer", id),
              F_STR("detail", detail ? detail : ""), F_INT("suppressed", suppressed));
}

void reactor_part(reactor_t *self, peer_t handle, event_kind_t kind)
{
    peer_entry_t *peer = peers_find(&self->peers, handle);
    if (peer == NULL || peer->parting)
        return;
    peer->parting = true;
    self->partings = mem_room(self->partings, &self->parting_capacity, self->parting_count,
                              sizeof *self->partings);
    self->partings[self->parting_count++] = (parting_t){handle, kind};
}

void reactor_leave(reactor_t *self, peer_entry_t *peer)
{
    peer->said_hello = peer->was_worker = peer->mdp_worker = false;
    reactor_step(self, &(event_t){.kind = EVENT_GOODBYE, .peer = peer->handle});
    peers_leave(&self->peers, peer, self->batches);
}

static request_t *add_request(reactor_t *self, request_kind_t kind)
{
    if (self->batch == NULL) {
        self->batch = batch_new();
        self->batch->since_ms = self->now_ms;
        self->batch->number = ++self->batches;
    }
    return batch_add(self->batch, kind);
}

inquiry_t *reactor_inquire(reactor_t *self, request_kind_t kind)
{
    request_t *request = add_request(self, kind);
    self->batch->urgent = true;
    return request->inquiry;
}

/* ---- effects -------------------------------------------------------------------------------- */

/*  What a change adds to the memory that waits for the disk. */
static size_t change_bytes(const change_t *change)
{
    size_t size = change->from == REEVE_STATE_UNKNOWN ? change->record->spec.body.size : 0;
    if (change->outcome)
        size += change->outcome->spec.result.size + change->outcome->spec.traceback.size;
    return size;
}

/*  A task in memory that has ended and is not kept, before anything of it was handed over, need not be
    written. Its requests of this batch are found by a chain, the newest first. */
static void skip_short_life(reactor_t *self, request_t *request)
{
    const change_t *change = &request->effect.change;
    record_t *record = change->record;
    request_t *items = self->batch->items;
    size_t index = (size_t)(request - items);
    bool begins = change->from == REEVE_STATE_UNKNOWN;
    if (!begins && record->batch != self->batch->number)
        return;
    request->earlier = begins ? (uint32_t)index : record->request;
    record->batch = self->batch->number;
    record->request = (uint32_t)index;
    bool kept =
        !reeve_state_is_final(change->to) || change->at_ms == 0 || change->at_ms > self->wall_ms;
    if (kept)
        return;
    id_filter_drop(self->ids, record->seq);
    record->batch = 0;
    for (; !items[index].skipped; index = items[index].earlier)
        items[index].skipped = true;
}

static void to_store(reactor_t *self, effect_t *effect)
{
    request_t *request = add_request(self, REQUEST_EFFECT);
    request->effect = *effect;
    if (effect->kind != EFFECT_CHANGE || !effect->change.may_wait)
        self->batch->urgent = true;
    if (effect->kind == EFFECT_CHANGE) {
        const record_t *record = effect->change.record;
        size_t bytes = change_bytes(&effect->change);
        self->batch->changes++;
        self->batch->bytes += bytes;
        self->unchecked_bytes += bytes;
        if (effect->change.from == REEVE_STATE_UNKNOWN)
            id_filter_add(self->ids, id_hash(self->identity.id_seed, record->spec.id), record->seq);
        if (effect->change.may_wait)
            skip_short_life(self, request);
        else
            effect->change.record->batch = 0;
    }
    effect->kind = EFFECT_NONE;
}

/*  In a queue in memory the change tells (change_tells_start). */
static void note_sent(reactor_t *self, effect_t *effect)
{
    if (effect->deliver.ephemeral)
        return;
    self->sent = mem_room(self->sent, &self->sent_capacity, self->sent_count, sizeof *self->sent);
    self->sent[self->sent_count++] =
        (sent_t){effect->deliver.record, effect->deliver.attempt,
                 narrate_starter(self, effect->deliver.record, effect->peer)};
    effect->deliver.record = NULL;
}

static void to_peer(reactor_t *self, effect_t *effect)
{
    peer_entry_t *peer = peers_find(&self->peers, effect->peer);
    bool reeve = peer && !peer->mdp;
    if (effect->kind == EFFECT_REFUSE && !reeve)
        self->metrics.refused[effect->refuse.error]++;
    if (effect->peer == PEER_TITANIC)
        titanic_answer(self, effect);
    else if (reeve)
        reeve_send(self, peer, effect);
    else if (peer && peer->mdp_worker)
        mdp_send(self, peer, effect);
    if (effect->kind == EFFECT_DELIVER && peer)
        note_sent(self, effect);
}

static void carry_out(reactor_t *self, effect_t *effect)
{
    if (effect->kind <= EFFECT_SWEEP)
        to_store(self, effect);
    else if (effect->kind == EFFECT_NOTE)
        narrate_note(effect);
    else if (effect->kind == EFFECT_REPLY)
        mdp_reply_outcome(self, effect);
    else
        to_peer(self, effect);
}

void reactor_step(reactor_t *self, event_t *event)
{
    event->now_ms = self->now_ms;
    event->wall_ms = self->wall_ms;
    core_step(self->core, event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++)
        carry_out(self, &self->effects.items[i]);
    effects_clear(&self->effects);
}

/* ---- finished batches ----------------------------------------------------------------------- */

static void answer_effect(reactor_t *self, const request_t *request)
{
    event_t event;
    if (request->inquiry && store_answer(&request->effect, &request->inquiry->page, &event))
        reactor_step(self, &event);
}

static void answer_document(reactor_t *self, request_kind_t kind, const inquiry_t *inquiry)
{
    peer_entry_t *peer = peers_find(&self->peers, inquiry->peer);
    if (peer == NULL)
        return;
    if (kind == REQUEST_BIOGRAPHY && !inquiry->biography.found) {
        reeve_error(self, peer, inquiry->corr, REEVE_ERR_UNKNOWN_TASK, NULL, 0);
        return;
    }
    char *json = kind == REQUEST_DEAD_LIST ? document_dead(&inquiry->page)
                 : inquiry->purpose == PURPOSE_EXPLAIN
                     ? document_explain(self, &inquiry->biography, inquiry->ahead)
                     : document_task(self, &inquiry->biography);
    reeve_message(self, peer,
                  &(wire_message_t){.command = WIRE_DOCUMENT,
                                    .corr = inquiry->corr,
                                    .json = slice_str(json),
                                    .next = inquiry->page.next});
    free(json);
}

static void ask_again(reactor_t *self, request_t *request)
{
    if (request->kind == REQUEST_EFFECT) {
        to_store(self, &request->effect);
        return;
    }
    inquiry_t *fresh = reactor_inquire(self, request->kind);
    inquiry_t asked = *request->inquiry;
    *request->inquiry = *fresh;
    *fresh = asked;
}

static void count_batch(reactor_t *self, const batch_t *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i].kind == REQUEST_EFFECT && batch->items[i].effect.kind == EFFECT_CHANGE)
            metrics_change(&self->metrics, &batch->items[i].effect.change);
    if (batch->transaction_changes)
        metrics_commit(&self->metrics, batch->commit_us, batch->transaction_changes);
}

/*  The answers come before the news that the batch is durable: what was read is older than changes
    that came after the question, and the core recognises it by the tasks that it remembers until
    their changes are durable. */
static void take_batch(reactor_t *self, batch_t *batch)
{
    if (batch->ids)
        id_filter_apply(self->ids, &batch->ids);
    for (size_t i = 0; i < batch->count; i++) {
        request_t *request = &batch->items[i];
        if (request->put_off)
            ask_again(self, request);
        else if (request->kind == REQUEST_EFFECT)
            answer_effect(self, request);
        else if (request->inquiry->purpose == PURPOSE_TITANIC)
            titanic_biography(self, request->inquiry);
        else
            answer_document(self, request->kind, request->inquiry);
    }
    self->committed += batch->changes;
    if (batch->changes)
        reactor_step(self, &(event_t){.kind = EVENT_COMMITTED,
                                      .committed = {.changes = self->committed,
                                                    .took_us = batch->commit_us}});
    self->answered = batch->number;
}

static void fail(reactor_t *self)
{
    self->failed = true;
    atomic_store(&self->health, HEALTH_FAILED);
    notify_stopping("The store failed; nothing more is confirmed");
    log_event(LOG_ERROR, "store_failed", F_STR("error", self->store->ops->error(self->store)),
              F_STR("db", self->config.db_path));
}

static void collect(reactor_t *self)
{
    uint64_t count;
    ssize_t got = read(self->notify_fd, &count, sizeof count);
    (void)got; /* only a wake-up; what is finished is asked below */
    batch_t *batch;
    while ((batch = writer_collect(self->writer)) != NULL) {
        self->outstanding--;
        self->unanswered -= batch->count;
        self->unanswered_bytes -= batch->bytes;
        if (batch->failed) {
            batch_destroy(&batch);
            fail(self);
            return;
        }
        take_batch(self, batch);
        batch_list_add(&self->durable, batch);
    }
}

/*  Log and figures of the turn. Nobody waits for them, so they come when all else is under way. */
static void tell(reactor_t *self)
{
    for (batch_t *batch = batch_list_take(&self->durable), *next; batch; batch = next) {
        next = batch->next;
        narrate_batch(self, batch);
        count_batch(self, batch);
        batch_destroy(&batch);
    }
    for (size_t i = 0; i < self->sent_count; i++) {
        sent_t *sent = &self->sent[i];
        narrate_sent(sent);
        metrics_start(&self->metrics, sent->record, sent->attempt, self->wall_ms);
        record_unref(&sent->record);
        free(sent->worker);
    }
    self->sent_count = 0;
}

/* ---- the writer's backlog ------------------------------------------------------------------- */

/*  Bodies and results that are not on disk yet. */
static size_t pending_bytes(const reactor_t *self)
{
    return self->unanswered_bytes + (self->batch ? self->batch->bytes : 0);
}

/*  The writer is far behind: input waits in the peers' sockets instead of in our memory. */
static bool is_overloaded(const reactor_t *self)
{
    size_t requests = self->unanswered + (self->batch ? self->batch->count : 0);
    return requests > LIMIT_UNCOMMITTED ||
           pending_bytes(self) + core_held_bytes(self->core) > LIMIT_UNCOMMITTED_BYTES;
}

/* ---- the disk ------------------------------------------------------------------------------- */

static int64_t reserve_part(const reactor_t *self)
{
    return self->config.disk_reserve_bytes / 8;
}

/*  Below the reserve new tasks are refused, so that those that are here can be finished. What is on
    its way to the disk counts twice, because it goes into the WAL first and then into the database.
    An eighth of the reserve more ends it, so that the answer does not flicker. */
static void check_disk(reactor_t *self)
{
    struct statvfs fs;
    char *path = mem_strdup(self->config.db_path);
    int64_t reserve = self->config.disk_reserve_bytes + (self->disk_low ? reserve_part(self) : 0);
    int64_t on_its_way = 2 * (int64_t)pending_bytes(self);
    bool low = statvfs(dirname(path), &fs) == 0 &&
               (int64_t)(fs.f_bavail * fs.f_frsize) - on_its_way < reserve;
    free(path);
    self->unchecked_bytes = 0;
    self->next_disk_ms = self->now_ms + DISK_MS;
    if (low == self->disk_low)
        return;
    self->disk_low = low;
    if (self->stop_signals == 0) {
        atomic_store(&self->health, low ? HEALTH_DISK_LOW : HEALTH_READY);
        notify_status(doing[low]);
    }
    log_event(low ? LOG_ERROR : LOG_INFO, low ? "disk_low" : "disk_recovered",
              F_STR("db", self->config.db_path),
              F_INT("reserve_bytes", self->config.disk_reserve_bytes));
    reactor_step(self, &(event_t){.kind = EVENT_DISK_LOW, .disk = {low}});
}

/* ---- input ---------------------------------------------------------------------------------- */

/*  Receives one message into self->messages. Returns its number of frames, 0 when there is none, or
    -1 when it had too many. */
static int receive(reactor_t *self)
{
    int count = 0;
    bool more = true, too_many = false;
    while (more) {
        zmq_msg_t *message = &self->messages[count];
        zmq_msg_init(message);
        if (zmq_msg_recv(message, self->router, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(message);
            break;
        }
        more = zmq_msg_more(message);
        if (count == FRAMES_MAX - 1) {
            too_many = too_many || more;
            zmq_msg_close(message);
            continue;
        }
        self->frames[count] = slice(zmq_msg_data(message), zmq_msg_size(message));
        count++;
    }
    if (!too_many)
        return count;
    for (int i = 0; i < count; i++)
        zmq_msg_close(&self->messages[i]);
    return -1;
}

void reactor_note_address(const reactor_t *self, peer_entry_t *peer)
{
    /* Not of the frame with the routing id, which does not always have it. */
    const char *address = zmq_msg_gets(&self->messages[1], "Peer-Address");
    free(peer->address);
    peer->address = NULL;
    if (address == NULL || address[0] == '\0')
        return;
    /* Of a peer over ipc, libzmq tells "localhost:uid:gid:pid". */
    size_t size = strncmp(address, "localhost:", 10) == 0 ? 9 : strlen(address);
    peer->address = mem_strndup(address, size);
}

static bool keep_peer(peer_t peer, void *arg)
{
    return core_is_worker(((reactor_t *)arg)->core, peer);
}

static void forget_peer(peer_t peer, void *arg)
{
    reactor_step(arg, &(event_t){.kind = EVENT_GOODBYE, .peer = peer});
}

static peers_rule_t forgetting(reactor_t *self)
{
    return (peers_rule_t){keep_peer, forget_peer, self};
}

/*  The peer that the message is from; NULL, and it is told, when there are too many. */
static peer_entry_t *sender(reactor_t *self)
{
    size_t known = peers_count(&self->peers);
    peer_entry_t *peer = peers_get(&self->peers, self->frames[0], self->now_ms);
    peers_rule_t rule = forgetting(self);
    if (peers_count(&self->peers) == known || peers_make_room(&self->peers, &rule))
        return peer;
    static const char problem[] = "100000 peers at most";
    reactor_refuse(self, REFUSAL_TOO_MANY_PEERS, peer, problem);
    if (wire_is_reeve(self->frames[1]))
        reeve_error(self, peer, 0, REEVE_ERR_TOO_MANY, problem, FULL_RETRY_MS);
    peers_forget(&self->peers, peer);
    return NULL;
}

static void take_message(reactor_t *self, size_t count)
{
    peer_entry_t *peer = sender(self);
    if (peer == NULL)
        return;
    const slice_t *frames = self->frames + 1;
    bool is_reeve = count == 2 && wire_is_reeve(frames[0]);
    bool is_mdp = !is_reeve && mdp_is_mdp(frames, count - 1);
    if (!is_reeve && !is_mdp) {
        reactor_refuse(self, REFUSAL_NOT_A_PROTOCOL, peer, "neither REEVE1 nor Majordomo");
        return;
    }
    if (is_mdp != peer->mdp && core_is_worker(self->core, peer->handle)) {
        reactor_refuse(self, REFUSAL_UNEXPECTED, peer, "a worker keeps to its protocol");
        return;
    }
    peer->mdp = is_mdp;
    if (is_mdp)
        mdp_receive(self, peer, frames, count - 1);
    else
        reeve_receive(self, peer, frames[0]);
}

static void drain_router(reactor_t *self)
{
    for (int i = 0; i < TURN_MESSAGES && !is_overloaded(self); i++) {
        int count = receive(self);
        if (count == 0)
            return;
        if (count < 0) {
            reactor_refuse(self, REFUSAL_TOO_MANY_FRAMES, NULL, "1024 frames at most");
            continue;
        }
        self->metrics.messages_in++;
        if (count > 1)
            take_message(self, (size_t)count);
        for (int k = 0; k < count; k++)
            zmq_msg_close(&self->messages[k]);
        if ((int64_t)self->unchecked_bytes > reserve_part(self))
            check_disk(self);
    }
}

static void hang_up(const reactor_t *self, bool (*on_hangup)(void *), void *arg)
{
    bool told = self->stop_signals == 0; /* one that stops is not ready when this is over */
    if (told)
        notify_reloading();
    bool good = on_hangup(arg);
    if (told)
        notify_ready(good ? doing[self->disk_low] : reload_refused);
}

static void drain_signals(reactor_t *self, bool (*on_hangup)(void *), void *arg)
{
    struct signalfd_siginfo info;
    while (read(self->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            hang_up(self, on_hangup, arg);
            continue;
        }
        if (self->stop_signals++ == 0) {
            atomic_store(&self->health, HEALTH_DRAINING);
            notify_stopping("Storing what was taken, then stopping");
            log_event(LOG_INFO, "draining", F_INT("signal", info.ssi_signo));
            self->stop_deadline_ms = self->now_ms + STOP_MS;
            reactor_step(self, &(event_t){.kind = EVENT_DRAIN});
        }
    }
}

/* ---- housekeeping --------------------------------------------------------------------------- */

static void housekeeping(reactor_t *self)
{
    if (self->now_ms >= self->next_expire_ms) {
        self->next_expire_ms = self->now_ms + EXPIRE_MS;
        peers_rule_t rule = forgetting(self);
        peers_expire(&self->peers, self->now_ms - PEER_IDLE_MS, &rule);
    }
    if (self->now_ms >= self->next_disk_ms)
        check_disk(self);
}

/*  Sends what is batched, and tells the core who turned out to be gone, until both are done. */
static void speak(reactor_t *self)
{
    reeve_flush(self);
    while (self->parting_count > 0) {
        parting_t parting = self->partings[--self->parting_count];
        reactor_step(self, &(event_t){.kind = parting.kind, .peer = parting.peer});
        reeve_flush(self);
        peer_entry_t *peer = peers_find(&self->peers, parting.peer);
        if (peer && parting.kind == EVENT_PEER_GONE)
            peers_forget(&self->peers, peer);
        else if (peer)
            peer->mdp_worker = peer->parting = false;
    }
    peers_see_off(&self->peers, self->answered);
}

/*  When a batch that nobody waits for is written at the latest. */
static int64_t linger_until_ms(const reactor_t *self)
{
    const batch_t *batch = self->batch;
    if (batch == NULL)
        return INT64_MAX;
    bool hurry = batch->urgent || batch->count >= LINGER_REQUESTS || self->stop_signals > 0 ||
                 core_awaits_commit(self->core);
    return hurry ? 0 : batch->since_ms + LINGER_MS;
}

static void hand_over(reactor_t *self)
{
    if (self->now_ms < linger_until_ms(self))
        return;
    self->outstanding++;
    self->unanswered += self->batch->count;
    self->unanswered_bytes += self->batch->bytes;
    writer_submit(self->writer, &self->batch);
}

static void read_clocks(reactor_t *self)
{
    clock_reading_t before = {self->now_ms, self->wall_ms}, now = clock_read();
    self->now_ms = now.mono_ms;
    self->wall_ms = now.wall_ms;
    int64_t step_ms = before.wall_ms == 0 ? 0 : clock_step_ms(before, now);
    if (step_ms == 0)
        return;
    self->clock_steps++;
    log_event(LOG_WARN, "clock_stepped", F_NUM("step_s", (double)step_ms / 1000));
}

/*  Messages wait unread while the disk is behind, and while a turn takes long: this process may have been
    stopped. Told before the time is used for anything else. */
static void tell_deafness(reactor_t *self, int64_t elapsed_ms, bool listening)
{
    int64_t deaf_ms = elapsed_ms - (listening ? POLL_MAX_MS : 0);
    if (deaf_ms > 0)
        reactor_step(self, &(event_t){.kind = EVENT_DEAF, .deaf = {deaf_ms}});
}

static long poll_timeout_ms(const reactor_t *self)
{
    int64_t until_ms = core_next_deadline(self->core);
    if (self->watchdog.next_ms < until_ms)
        until_ms = self->watchdog.next_ms;
    int64_t linger_ms = linger_until_ms(self);
    if (linger_ms < until_ms)
        until_ms = linger_ms;
    int64_t wait_ms = until_ms - clock_mono_ms();
    return wait_ms < 0 ? 0 : wait_ms > POLL_MAX_MS ? POLL_MAX_MS : (long)wait_ms;
}

static bool may_stop(const reactor_t *self)
{
    if (self->stop_signals == 0)
        return false;
    return self->stop_signals > 1 || self->now_ms >= self->stop_deadline_ms ||
           (core_quiet(self->core) && self->outstanding == 0);
}

static void say_goodbye(const worker_stats_t *worker, void *arg)
{
    reactor_t *self = arg;
    peer_entry_t *peer = peers_find(&self->peers, worker->peer);
    if (peer == NULL)
        return;
    if (peer->mdp)
        mdp_disconnect(self, peer);
    else
        reeve_message(self, peer,
                      &(wire_message_t){.command = WIRE_GOODBYE,
                                        .text = slice_str("the broker is stopping")});
}

static void turn(reactor_t *self, bool (*on_hangup)(void *), void *arg)
{
    bool listening = !is_overloaded(self);
    int64_t before_ms = self->now_ms;
    zmq_pollitem_t items[] = {{self->router, 0, listening ? ZMQ_POLLIN : 0, 0},
                              {NULL, self->notify_fd, ZMQ_POLLIN, 0},
                              {NULL, self->signal_fd, ZMQ_POLLIN, 0}};
    zmq_poll(items, 3, poll_timeout_ms(self));
    read_clocks(self);
    tell_deafness(self, self->now_ms - before_ms, listening);
    /* Whatever the writer does: a disk that hangs is not mended by ending the broker, and the next one
       would hang in it as well, with nobody there to answer. */
    watchdog_turn(&self->watchdog, self->now_ms);
    if (items[1].revents)
        collect(self);
    if (self->failed)
        return;
    if (items[0].revents)
        drain_router(self);
    if (items[2].revents)
        drain_signals(self, on_hangup, arg);
    if (self->now_ms >= core_next_deadline(self->core))
        reactor_step(self, &(event_t){.kind = EVENT_TICK});
    housekeeping(self);
    if (exchange_wanted(self->exchange)) {
        snapshot_t *snapshot = observe(self);
        exchange_give(self->exchange, &snapshot);
    }
    speak(self);
    hand_over(self);
}

/*  The disk is looked at first: a broker that cannot take tasks has never said that it is ready. */
static void become_ready(reactor_t *self)
{
    read_clocks(self);
    check_disk(self);
    if (!self->disk_low)
        atomic_store(&self->health, HEALTH_READY);
    notify_ready(doing[self->disk_low]);
    log_event(LOG_INFO, "ready", F_STR("version", REEVE_VERSION), F_INT("pid", getpid()));
}

int reactor_run(reactor_t *self, bool (*on_hangup)(void *), void *arg)
{
    become_ready(self);
    while (!self->failed && !may_stop(self)) {
        log_hold();
        turn(self, on_hangup, arg);
        tell(self);
        log_release();
    }
    if (self->failed)
        return -1;
    core_each_worker(self->core, say_goodbye, self);
    return 0;
}

size_t reactor_unwritten(const reactor_t *self)
{
    return self->outstanding;
}

exchange_t *reactor_exchange(const reactor_t *self)
{
    return self->exchange;
}

health_t reactor_health(const reactor_t *self)
{
    return (health_t)atomic_load(&self->health);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void set_option(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

static bool open_router(reactor_t *self, char *problem, size_t size)
{
    self->context = zmq_ctx_new();
    zmq_ctx_set(self->context, ZMQ_MAX_SOCKETS, 16);
    self->router = zmq_socket(self->context, ZMQ_ROUTER);
    int64_t max_message = LIMIT_MESSAGE_BYTES;
    zmq_setsockopt(self->router, ZMQ_MAXMSGSIZE, &max_message, sizeof max_message);
    set_option(self->router, ZMQ_ROUTER_MANDATORY, 1);
    set_option(self->router, ZMQ_RCVHWM, LIMIT_PEER_INPUT);
    set_option(self->router, ZMQ_SNDHWM, LIMIT_PEER_MESSAGES);
    set_option(self->router, ZMQ_LINGER, 500);
    set_option(self->router, ZMQ_BACKLOG, 1024);
    /* Not ZMTP's heartbeats: they pass for unanswered where a queue is full, here or at the peer. */
    set_option(self->router, ZMQ_TCP_KEEPALIVE, 1);
    set_option(self->router, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S);
    set_option(self->router, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_S);
    set_option(self->router, ZMQ_TCP_MAXRT, 3 * KEEPALIVE_S * 1000);
    for (size_t i = 0; i < self->config.endpoint_count; i++) {
        const char *endpoint = self->config.endpoints[i];
        if (!endpoint_bind(self->router, endpoint, problem, size))
            return false;
        char bound[512];
        size_t bound_size = sizeof bound;
        zmq_getsockopt(self->router, ZMQ_LAST_ENDPOINT, bound, &bound_size);
        log_event(LOG_INFO, "listening", F_STR("endpoint", bound));
    }
    return true;
}

reactor_t *reactor_new(const reactor_config_t *config, core_t *core, store_t *store, char *problem,
                       size_t problem_size)
{
    reactor_t *self = mem_zalloc(sizeof *self);
    self->config = *config;
    self->identity = *config->identity;
    self->token_keys = token_keys(self->identity.token_key);
    self->core = core;
    self->store = store;
    self->notify_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    self->exchange = exchange_new(self->notify_fd);
    self->signal_fd = signals_open();
    batch_list_init(&self->durable);
    metrics_init(&self->metrics);
    peers_init(&self->peers, LIMIT_PEERS);
    uuid7_init(&self->uuids);
    self->ids = id_filter_new();
    id_update_t *known = store->ops->id_update(store);
    if (known)
        id_filter_apply(self->ids, &known);
    read_clocks(self);
    self->started_ms = self->now_ms;
    watchdog_init(&self->watchdog, self->now_ms);
    if (!open_router(self, problem, problem_size)) {
        reactor_destroy(&self);
        return NULL;
    }
    self->writer = writer_start(store, self->notify_fd);
    if (self->writer == NULL) {
        snprintf(problem, problem_size, "cannot start the writer thread");
        reactor_destroy(&self);
    }
    return self;
}

void reactor_destroy(reactor_t **self_p)
{
    reactor_t *self = *self_p;
    if (self == NULL)
        return;
    writer_stop(&self->writer);
    batch_destroy(&self->batch);
    effects_fini(&self->effects);
    titanic_free_all(self);
    peers_fini(&self->peers);
    id_filter_destroy(&self->ids);
    metrics_fini(&self->metrics);
    exchange_destroy(&self->exchange);
    free(self->partings);
    free(self->sent);
    if (self->router)
        zmq_close(self->router);
    if (self->context)
        zmq_ctx_term(self->context);
    close(self->notify_fd);
    close(self->signal_fd);
    free(self);
    *self_p = NULL;
}
