/*  The reactor's own structures, shared by the files of net/ only. */

#ifndef REEVE_BROKER_NET_INSIDE_H
#define REEVE_BROKER_NET_INSIDE_H

#include <stdatomic.h>
#include <zmq.h>

#include "broker/metrics/exchange.h"
#include "broker/net/peers.h"
#include "broker/net/reactor.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/uuid7.h"
#include "common/wire/token.h"

/*  Why a message or peer was refused; counted, logged at a limited rate. X (symbol, name) */
#define REFUSALS(X)                                                                                \
    X(NOT_A_PROTOCOL, "not_a_protocol")                                                            \
    X(MALFORMED, "malformed")                                                                      \
    X(TOO_MANY_FRAMES, "too_many_frames")                                                          \
    X(TOO_MANY_PEERS, "too_many_peers")                                                            \
    X(BAD_TASK, "bad_task")                                                                        \
    X(BAD_SERVICE, "bad_service")                                                                  \
    X(BAD_TOKEN, "bad_token")                                                                      \
    X(UNEXPECTED, "unexpected_command")                                                            \
    X(SLOW_PEER, "slow_peer")

typedef enum refusal {
#define X(symbol, name) REFUSAL_##symbol,
    REFUSALS(X)
#undef X
        REFUSAL_COUNT
} refusal_t;

/*  Who asks the core for Titanic's clients: a handle that no connection gets. The core drops what a
    peer asked when it leaves; a call ends with its answer only. */
#define PEER_TITANIC UINT64_MAX

/*  A Titanic request whose answer has to be turned into a Majordomo reply. */
typedef struct call {
    uint64_t corr;
    enum { CALL_REQUEST, CALL_REPLY, CALL_CLOSE } kind;
    wire_buffer_t reply_to;
    char *service;
    char id[37];
    UT_hash_handle hh;
} call_t;

/*  Frames of one message, received or to be sent. */
enum { FRAMES_MAX = LIMIT_BODY_FRAMES + 16 };

/*  A peer that left, or has to. */
typedef struct parting {
    peer_t peer;
    event_kind_t kind; /* EVENT_PEER_GONE or EVENT_GOODBYE */
} parting_t;

/*  Lines about single tasks in the present second. */
typedef struct narrator {
    int64_t second_ms, written;
    uint64_t left_out;
} narrator_t;

/*  A task that has left for its worker in this turn. */
typedef struct sent {
    record_t *record;
    uint32_t attempt;
    char *worker; /* its name, for the log; NULL: not to be told */
} sent_t;

struct reactor {
    reactor_config_t config;
    store_identity_t identity;
    token_keys_t token_keys;
    void *context, *router;
    int notify_fd, signal_fd;
    core_t *core;
    store_t *store;
    writer_t *writer;
    size_t outstanding;      /* batches in the writer's hands */
    size_t unanswered;       /* requests in them */
    size_t unanswered_bytes; /* bodies and results in them */
    size_t unchecked_bytes;  /* the same since the free space was last looked at */
    batch_t *batch;          /* what this turn has for the writer; NULL: nothing yet */
    uint64_t batches;        /* so far */
    uint64_t answered;       /* the number of the last one that came back */
    /* Of this turn, to be told at its end: batches that are durable, the first first, and deliveries. */
    batch_list_t durable;
    sent_t *sent;
    size_t sent_count, sent_capacity;
    effects_t effects;
    peers_t peers;
    peer_entry_t *dirty;
    id_filter_t *ids;
    uuid7_t uuids;
    int64_t now_ms, wall_ms;
    uint64_t clock_steps; /* times that the wall clock was found set */
    uint64_t committed;   /* changes that are durable */
    uint64_t last_call;
    call_t *calls;
    parting_t *partings; /* found out while sending; told to the core after */
    size_t parting_count, parting_capacity;
    uint64_t refusals[REFUSAL_COUNT];
    log_limit_t refusal_limits[REFUSAL_COUNT];
    log_limit_t disconnect_limit;
    metrics_t metrics;
    narrator_t narrator;
    watchdog_t watchdog;
    exchange_t *exchange;
    int64_t started_ms, next_expire_ms, next_disk_ms;
    bool disk_low, failed;
    int stop_signals;
    int64_t stop_deadline_ms;
    _Atomic int health;
    zmq_msg_t messages[FRAMES_MAX];
    slice_t frames[FRAMES_MAX];
};

/*  reactor.c */
/*  Steps the core with an event (the reactor's times are filled in) and carries out its effects. */
void reactor_step(reactor_t *self, event_t *event);
/*  A new question to the store, other than the core's. */
inquiry_t *reactor_inquire(reactor_t *self, request_kind_t kind);
/*  Tells the core, after the present step, that a peer is gone (EVENT_PEER_GONE) or that its
    conversation is over (EVENT_GOODBYE). */
void reactor_part(reactor_t *self, peer_t handle, event_kind_t kind);
/*  The peer says that it leaves. What waits for the disk still goes to it. */
void reactor_leave(reactor_t *self, peer_entry_t *peer);
void reactor_refuse(reactor_t *self, refusal_t why, const peer_entry_t *peer, const char *detail);

/*  Notes where the peer is that sent the message being taken. */
void reactor_note_address(const reactor_t *self, peer_entry_t *peer);

/*  The reason as logs and metrics have it. Static. */
const char *refusal_name(refusal_t why);

/*  observe.c: what a scrape shows. The caller owns it. */
snapshot_t *observe(const reactor_t *self);

/*  send.c: frames out. */
/*  False when the peer is gone or does not read; such peers are noted in self->partings. */
bool send_frames(reactor_t *self, const peer_entry_t *peer, const slice_t *frames, size_t count);
/*  The same for what need not arrive: a full queue is not held against the peer. */
void send_droppable(reactor_t *self, const peer_entry_t *peer, const slice_t *frames, size_t count);

/*  reeve_in.c, reeve_out.c: our own protocol. */
void reeve_receive(reactor_t *self, peer_entry_t *peer, slice_t frame);
void reeve_send(reactor_t *self, peer_entry_t *peer, const effect_t *effect);
void reeve_error(reactor_t *self, peer_entry_t *peer, uint64_t corr, reeve_error_t error,
                 const char *text, int64_t retry_after_ms);
/*  Tells the peer that a token that it named is none; batched. */
void reeve_revoke(reactor_t *self, peer_entry_t *peer, slice_t token, revoke_cause_t cause);
void reeve_message(reactor_t *self, peer_entry_t *peer, const wire_message_t *message);
/*  The task as it was submitted, with the retries in force; what it points to is the record's. */
wire_task_t reeve_task(const record_t *record, uint32_t max_retries);
void reeve_flush(reactor_t *self); /* sends what is batched for all peers */

/*  mdp_in.c, mdp_out.c: Majordomo, MMI and Titanic. */
void mdp_receive(reactor_t *self, peer_entry_t *peer, const slice_t *frames, size_t count);
void mdp_send(reactor_t *self, peer_entry_t *peer, const effect_t *effect);
void mdp_disconnect(reactor_t *self, peer_entry_t *peer);
void mdp_reply(reactor_t *self, slice_t reply_to, slice_t service, mdp_kind_t kind,
               const slice_t *body, size_t body_count);
/*  Where a reply to this request has to go, as bytes that outlive the connection. */
void mdp_address(const reactor_t *self, const peer_entry_t *peer, const mdp_message_t *request,
                 wire_buffer_t *out);
/*  A result as the frames of a reply; returns their number, 1..LIMIT_BODY_FRAMES. */
size_t mdp_result(const outcome_spec_t *outcome, slice_t *frames);
void mdp_reply_outcome(reactor_t *self, const effect_t *effect);

/*  titanic.c */
/*  Takes the contents of `reply_to`, which mdp_address made. */
void titanic_request(reactor_t *self, peer_entry_t *peer, const mdp_message_t *request,
                     wire_buffer_t *reply_to);
/*  What the core answered to PEER_TITANIC. */
void titanic_answer(reactor_t *self, const effect_t *effect);
void titanic_biography(reactor_t *self, const inquiry_t *inquiry);
void titanic_free_all(reactor_t *self);

/*  documents.c: what the store and the core know, as JSON for people. */
enum { PURPOSE_DOCUMENT = 1, PURPOSE_TITANIC = 2, PURPOSE_EXPLAIN = 3 };
/*  The name of what a worker speaks, as documents and metrics have it. Static. */
const char *protocol_name(peer_kind_t kind);
char *document_task(const reactor_t *self, const biography_t *biography);
/*  The same, and what bears on when it will run: `ahead` tasks before it, its queue, its policy. */
char *document_explain(const reactor_t *self, const biography_t *biography, size_t ahead);
char *document_broker(const reactor_t *self);
char *document_queues(const reactor_t *self);
char *document_workers(const reactor_t *self);
char *document_dead(const page_t *page);
/*  The task's own JSON document, as a worker gets it. */
char *document_of_record(const record_t *record, uint32_t retry_count, uint32_t max_retries);

/*  narrate.c: the log of what became durable. */
void narrate_batch(reactor_t *self, const batch_t *batch);
/*  The name of the worker that begins a task, if the log is to tell of it; the worker may have gone
    when it does. The caller frees it. */
char *narrate_starter(reactor_t *self, const record_t *record, peer_t peer);
void narrate_sent(const sent_t *sent);
void narrate_note(const effect_t *effect);

#endif
