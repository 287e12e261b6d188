/*  Majordomo workers and clients, 0.1 and 0.2, on bare libzmq: as simple as the Guide's, and without
    Reeve's codec, so that a misreading there cannot hide here too. What is not of the RFC's form
    ends the process, which the self test counts as a failure. */

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <zmq.h>

#include "client/selftest/history.h"
#include "client/selftest/plan.h"
#include "client/selftest/roles.h"
#include "common/clock.h"

enum {
    FRAMES_MOST = 8,
    HEARTBEAT_MS = 200,
    SILENCE_MS = 2000, /* then the broker is given up */
    REPLY_MS = 10000,  /* a client's patience */
    PAUSE_MS = 40,     /* between a client's requests */
    RUN_SIZE = 48,
};

enum { WORKER_READY = 1, WORKER_REQUEST = 2 };
enum { CLIENT_REQUEST = 1, CLIENT_PARTIAL = 2, CLIENT_FINAL = 3 }; /* 0.2 only */

static const struct dialect {
    const char *worker, *client;
    bool empty; /* messages begin with an empty frame */
    uint8_t final, heartbeat, disconnect;
} dialects[] = {{"MDPW01", "MDPC01", true, 3, 4, 5}, {"MDPW02", "MDPC02", false, 4, 5, 6}};

typedef struct peer {
    const role_options_t *options;
    const struct dialect *dialect;
    void *context, *socket;
    int history;
    zmq_msg_t frames[FRAMES_MOST];
    size_t count;
    bool losing; /* the rest of the message that is being sent */
    /*  Of a worker. */
    uint64_t runs;
    int64_t speak_ms, silent_ms, due_ms; /* due_ms: 0 when idle */
    char address[64], id[PLAN_ID_SIZE], run[RUN_SIZE];
    unsigned attempt;
} peer_t;

/* ---- frames --------------------------------------------------------------------------------- */

static void invalid(peer_t *self, const char *why)
{
    fprintf(stderr, "%s: %s: this message is invalid:", self->options->name, why);
    for (size_t i = 0; i < self->count; i++) {
        const uint8_t *data = zmq_msg_data(&self->frames[i]);
        fputs(" [", stderr);
        for (size_t j = 0; j < zmq_msg_size(&self->frames[i]); j++)
            fprintf(stderr, data[j] > ' ' && data[j] < 127 ? "%c" : "\\x%02x", data[j]);
        fputs("]", stderr);
    }
    fputc('\n', stderr);
    exit(EX_PROTOCOL);
}

static void clear(peer_t *self)
{
    while (self->count > 0)
        zmq_msg_close(&self->frames[--self->count]);
}

/*  Receives a whole message. False when there is none. A signal must not cut one in two. */
static bool receive(peer_t *self)
{
    clear(self);
    do {
        int rc;
        if (self->count == FRAMES_MOST)
            invalid(self, "too many frames");
        zmq_msg_t *frame = &self->frames[self->count];
        zmq_msg_init(frame);
        while ((rc = zmq_msg_recv(frame, self->socket, ZMQ_DONTWAIT)) < 0 && errno == EINTR)
            ;
        if (rc < 0)
            return false;
    } while (zmq_msg_more(&self->frames[self->count++]));
    return true;
}

static bool frame_is(peer_t *self, size_t at, const void *data, size_t size)
{
    return at < self->count && zmq_msg_size(&self->frames[at]) == size &&
           (size == 0 || memcmp(zmq_msg_data(&self->frames[at]), data, size) == 0);
}

/*  A copy of a frame as text, cut to `size`. */
static void frame_text(peer_t *self, size_t at, char *text, size_t size)
{
    if (at >= self->count)
        invalid(self, "a frame is missing");
    size_t length = zmq_msg_size(&self->frames[at]);
    if (length >= size)
        length = size - 1;
    memcpy(text, zmq_msg_data(&self->frames[at]), length);
    text[length] = '\0';
}

static uint8_t frame_command(peer_t *self, size_t at)
{
    if (at >= self->count || zmq_msg_size(&self->frames[at]) != 1)
        invalid(self, "no command of one byte");
    return *(const uint8_t *)zmq_msg_data(&self->frames[at]);
}

/*  A message whose first frame cannot be sent now is lost as a whole, as on a connection that breaks.
 */
static void send_frame(peer_t *self, const void *data, size_t size, bool more)
{
    int rc = 0, flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
    while (!self->losing && (rc = zmq_send(self->socket, data, size, flags)) < 0 && errno == EINTR)
        ;
    self->losing = more && (self->losing || rc < 0);
}

static void send_text(peer_t *self, const char *text, bool more)
{
    send_frame(self, text, strlen(text), more);
}

static void open_socket(peer_t *self, int type)
{
    int none = 0, reconnect_ms = 50;
    if (self->socket != NULL)
        zmq_close(self->socket);
    self->socket = zmq_socket(self->context, type);
    zmq_setsockopt(self->socket, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(self->socket, ZMQ_RECONNECT_IVL, &reconnect_ms, sizeof reconnect_ms);
    if (zmq_connect(self->socket, self->options->endpoint) != 0)
        invalid(self, zmq_strerror(errno));
}

/* ---- worker --------------------------------------------------------------------------------- */

static void send_head(peer_t *self, uint8_t command, bool more)
{
    if (self->dialect->empty)
        send_text(self, "", true);
    send_text(self, self->dialect->worker, true);
    send_frame(self, &command, 1, more);
    self->speak_ms = clock_mono_ms() + HEARTBEAT_MS;
}

static void join(peer_t *self)
{
    open_socket(self, ZMQ_DEALER);
    self->due_ms = 0;
    self->silent_ms = clock_mono_ms() + SILENCE_MS;
    send_head(self, WORKER_READY, true);
    send_text(self, self->options->queues, false);
}

/*  The id in a body: the document of a Reeve client's task, or a Majordomo client's request, which
    is the id itself. */
static void read_id(peer_t *self, size_t at)
{
    frame_text(self, at, self->id, sizeof self->id);
    if (self->id[0] != '{')
        return;
    cJSON *task =
        cJSON_ParseWithLength(zmq_msg_data(&self->frames[at]), zmq_msg_size(&self->frames[at]));
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(task, "id"));
    snprintf(self->id, sizeof self->id, "%s", id != NULL ? id : "");
    cJSON_Delete(task);
}

static void take_request(peer_t *self, size_t at)
{
    plan_t plan;
    if (self->due_ms != 0)
        invalid(self, "REQUEST while another is in hand");
    frame_text(self, at, self->address, sizeof self->address);
    if (!frame_is(self, at + 1, "", 0))
        invalid(self, "REQUEST without the empty frame");
    /* A worker has no business in the address; a test wants to know which attempt this is. */
    const char *dot = strchr(self->address, '.');
    self->attempt = dot != NULL ? (unsigned)strtoul(dot + 1, NULL, 16) : 0;
    read_id(self, at + 2);
    if (!plan_read(self->id, &plan))
        invalid(self, "REQUEST of an unknown task");
    snprintf(self->run, sizeof self->run, "%d.%" PRIu64, getpid(), ++self->runs);
    history_write(self->history, "start", self->id, "%u %s", self->attempt, self->run);
    self->due_ms = clock_mono_ms() + plan.work_ms + 1;
}

static void reply(peer_t *self)
{
    char body[PLAN_ID_SIZE + RUN_SIZE + 16];
    snprintf(body, sizeof body, "%s %u %s", self->id, self->attempt, self->run);
    history_write(self->history, "end", self->id, "%u %d", self->attempt, (int)REEVE_SUCCESS);
    send_head(self, self->dialect->final, true);
    send_text(self, self->address, true);
    send_text(self, "", true);
    send_text(self, body, false);
    self->due_ms = 0;
}

static void worker_receive(peer_t *self)
{
    size_t at = 0;
    self->silent_ms = clock_mono_ms() + SILENCE_MS;
    if (self->dialect->empty && !frame_is(self, at++, "", 0))
        invalid(self, "no leading empty frame");
    if (!frame_is(self, at++, self->dialect->worker, 6))
        invalid(self, "wrong header");
    uint8_t command = frame_command(self, at++);
    if (command == WORKER_REQUEST)
        take_request(self, at);
    else if (command == self->dialect->disconnect)
        join(self);
    else if (command != self->dialect->heartbeat)
        invalid(self, "unexpected command");
}

static int64_t wait_ms(const peer_t *self)
{
    int64_t until_ms = self->speak_ms < self->silent_ms ? self->speak_ms : self->silent_ms;
    if (self->due_ms != 0 && self->due_ms < until_ms)
        until_ms = self->due_ms;
    int64_t left_ms = until_ms - clock_mono_ms();
    return left_ms > 0 ? left_ms : 0;
}

static void worker_turn(peer_t *self)
{
    zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
    zmq_poll(&item, 1, (long)wait_ms(self));
    while (receive(self))
        worker_receive(self);
    if (self->due_ms != 0 && clock_mono_ms() >= self->due_ms)
        reply(self);
    if (clock_mono_ms() >= self->speak_ms)
        send_head(self, self->dialect->heartbeat, false);
    if (clock_mono_ms() >= self->silent_ms)
        join(self);
}

static void peer_init(peer_t *self, const role_options_t *options)
{
    self->options = options;
    self->dialect = &dialects[options->size - 1];
    self->context = zmq_ctx_new();
    self->history = history_open(options->directory, options->name);
}

static void peer_fini(peer_t *self, int linger_ms)
{
    clear(self);
    zmq_setsockopt(self->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_close(self->socket);
    zmq_ctx_term(self->context);
}

int role_majordomo_worker(const role_options_t *options)
{
    peer_t self = {0};
    peer_init(&self, options);
    join(&self);
    while (!role_stopping || self.due_ms != 0)
        worker_turn(&self);
    send_head(&self, self.dialect->disconnect, false);
    peer_fini(&self, HEARTBEAT_MS);
    return EX_OK;
}

/* ---- client --------------------------------------------------------------------------------- */

static void ask(peer_t *self, const char *id)
{
    const uint8_t command = CLIENT_REQUEST;
    history_write(self->history, "ask", id, "-");
    send_text(self, self->dialect->client, true); /* the empty frame of 0.1 is the REQ socket's */
    if (!self->dialect->empty)
        send_frame(self, &command, 1, true);
    send_text(self, self->options->queues, true);
    send_text(self, id, false);
}

/*  Whether it was the final reply. */
static bool take_reply(peer_t *self, const char *id)
{
    char body[PLAN_ID_SIZE + RUN_SIZE + 16];
    size_t at = 0;
    if (!frame_is(self, at++, self->dialect->client, 6))
        invalid(self, "wrong header");
    if (!self->dialect->empty && frame_command(self, at++) == CLIENT_PARTIAL)
        return false;
    if (!frame_is(self, at++, self->options->queues, strlen(self->options->queues)))
        invalid(self, "wrong service");
    frame_text(self, at, body, sizeof body);
    history_write(self->history, "reply", id, "%s", body);
    return true;
}

/*  One request and its reply; without one, a new socket, as the Guide's lazy pirate. */
static void converse(peer_t *self, int type, const char *id)
{
    int64_t until_ms = clock_mono_ms() + REPLY_MS;
    ask(self, id);
    while (clock_mono_ms() < until_ms) {
        zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, HEARTBEAT_MS);
        if (receive(self) && take_reply(self, id))
            return;
    }
    history_write(self->history, "unanswered", id, "-");
    open_socket(self, type);
}

static void remember_last(const history_line_t *line, void *arg)
{
    uint64_t *last = arg;
    plan_t plan;
    if (plan_read(line->id, &plan) && plan.number > *last)
        *last = plan.number;
}

int role_majordomo_client(const role_options_t *options)
{
    peer_t self = {0};
    uint64_t number = 0;
    char id[PLAN_ID_SIZE];
    peer_init(&self, options);
    history_read(options->directory, options->name, remember_last, &number);
    int type = self.dialect->empty ? ZMQ_REQ : ZMQ_DEALER;
    open_socket(&self, type);
    while (!role_stopping) {
        plan_ask_id(options->number, ++number, id);
        converse(&self, type, id);
        zmq_poll(NULL, 0, PAUSE_MS);
    }
    peer_fini(&self, 0);
    return EX_OK;
}
