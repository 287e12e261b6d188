/*  libreeve's client: the public functions, and the socket and clocks around client/session.h. */

#include "reeve/client.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

#include "client/encode.h"
#include "client/session.h"
#include "common/clock.h"
#include "common/endpoint.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/task.h"
#include "common/uuid7.h"

enum {
    DEFAULT_WINDOW = 1000,
    DEFAULT_BATCH = 256,
    DEFAULT_REQUEST_TIMEOUT_MS = 30000,
    RECONNECT_MIN_MS = 100, /* libzmq's own reconnecting */
    RECONNECT_MAX_MS = 2000,
    PROBLEM_SIZE = 256,
    TURN_FRAMES = 64, /* frames received before events are looked at */
    GOODBYE_LINGER_MS = 500,
};

/*  What ended a wait. */
typedef enum wake { WAKE_DUE, WAKE_SIGNAL, WAKE_INTERRUPT } wake_t;

struct reeve_client {
    char *broker;
    void *context, *socket, *monitor; /* monitor: tells of lost connections */
    int interrupt_fd;                 /* eventfd of reeve_client_interrupt */
    client_session_t *session;
    uuid7_t ids;
    wire_buffer_t body; /* scratch of reeve_submit */
    char *error_text;
};

/*  -- The socket ------------------------------------------------------------------------------- */

static void close_socket(reeve_client_t *self)
{
    if (self->monitor != NULL)
        zmq_close(self->monitor);
    if (self->socket != NULL) {
        zmq_socket_monitor(self->socket, NULL, 0);
        zmq_close(self->socket);
    }
    self->socket = self->monitor = NULL;
}

static void set_option(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

static void set_options(reeve_client_t *self)
{
    int64_t max_message = LIMIT_MESSAGE_BYTES;
    set_option(self->socket, ZMQ_LINGER, 0);
    /* Queue nothing for a broker that is not there: the session keeps it, and sends it once. */
    set_option(self->socket, ZMQ_IMMEDIATE, 1);
    /* The session's window bounds both directions; a full pipe would lose the broker's answers. */
    set_option(self->socket, ZMQ_SNDHWM, 0);
    set_option(self->socket, ZMQ_RCVHWM, 0);
    set_option(self->socket, ZMQ_RECONNECT_IVL, RECONNECT_MIN_MS);
    set_option(self->socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    set_option(self->socket, ZMQ_IPV6, strchr(self->broker, '[') != NULL);
    zmq_setsockopt(self->socket, ZMQ_MAXMSGSIZE, &max_message, sizeof max_message);
}

static void open_monitor(reeve_client_t *self)
{
    static atomic_uint serial;
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "inproc://reeve-client-%u", atomic_fetch_add(&serial, 1));
    if (TEMP_FAILURE_RETRY(zmq_socket_monitor(self->socket, endpoint, ZMQ_EVENT_DISCONNECTED)) != 0)
        return;
    self->monitor = zmq_socket(self->context, ZMQ_PAIR);
    if (self->monitor != NULL && TEMP_FAILURE_RETRY(zmq_connect(self->monitor, endpoint)) != 0) {
        zmq_close(self->monitor);
        self->monitor = NULL;
    }
}

/*  Returns 0, or -1 with errno. */
static int open_socket(reeve_client_t *self)
{
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    if (self->socket == NULL)
        return -1;
    set_options(self);
    open_monitor(self);
    if (TEMP_FAILURE_RETRY(zmq_connect(self->socket, self->broker)) != 0) {
        close_socket(self);
        errno = EINVAL;
        return -1;
    }
    client_session_opened(self->session, clock_mono_ms());
    return 0;
}

static void follow_wish_for_socket(reeve_client_t *self)
{
    bool wanted = client_session_wants_socket(self->session);
    if (!wanted && self->socket != NULL)
        close_socket(self);
    else if (wanted && self->socket == NULL)
        open_socket(self); /* a failure shows as silence */
}

/*  Reads what the monitor says; every message is an event frame and an endpoint frame. */
static void receive_losses(reeve_client_t *self)
{
    char frame[256];
    bool lost = false;
    if (self->monitor == NULL)
        return;
    while (zmq_recv(self->monitor, frame, sizeof frame, ZMQ_DONTWAIT) >= 0)
        lost = true;
    if (lost)
        client_session_lost(self->session, clock_mono_ms());
}

static void send_frames(reeve_client_t *self)
{
    slice_t frame;
    if (self->socket == NULL)
        return;
    int64_t now_ms = clock_mono_ms();
    while (client_session_next_frame(self->session, now_ms, &frame)) {
        if (zmq_send(self->socket, frame.data, frame.size, ZMQ_DONTWAIT) < 0)
            return;
        client_session_sent(self->session, now_ms);
    }
}

/*  Receives what is there, up to a quota. Returns whether there was anything. */
static bool receive_frames(reeve_client_t *self)
{
    int count = 0;
    if (self->socket == NULL)
        return false;
    for (; count < TURN_FRAMES; count++) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, self->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&message);
            break;
        }
        client_session_receive(self->session, slice(zmq_msg_data(&message), zmq_msg_size(&message)),
                               clock_mono_ms());
        zmq_msg_close(&message);
    }
    return count > 0;
}

/*  Everything that can be done now without waiting. */
static void turn(reeve_client_t *self)
{
    if (!receive_frames(self))
        receive_losses(self);
    client_session_tick(self->session, clock_mono_ms());
    follow_wish_for_socket(self);
    send_frames(self);
}

/*  Waits for the socket or the session's next deadline, up to `until_ms`. */
static wake_t wait_turn(reeve_client_t *self, int64_t until_ms)
{
    int64_t now_ms = clock_mono_ms();
    int64_t due_ms = client_session_deadline(self->session, now_ms);
    if (until_ms < due_ms)
        due_ms = until_ms;
    int64_t wait_ms = due_ms - now_ms;
    if (wait_ms < 0)
        wait_ms = 0;
    if (wait_ms > 3600000)
        wait_ms = 3600000;

    slice_t frame;
    zmq_pollitem_t items[3] = {{NULL, self->interrupt_fd, ZMQ_POLLIN, 0}};
    int count = 1;
    if (self->socket != NULL) {
        bool to_send = client_session_next_frame(self->session, now_ms, &frame);
        short events = (short)(to_send ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN);
        items[count++] = (zmq_pollitem_t){self->socket, 0, events, 0};
    }
    if (self->monitor != NULL)
        items[count++] = (zmq_pollitem_t){self->monitor, 0, ZMQ_POLLIN, 0};
    if (zmq_poll(items, count, (long)wait_ms) < 0)
        return errno == EINTR ? WAKE_SIGNAL : WAKE_DUE;
    uint64_t times;
    return items[0].revents && read(self->interrupt_fd, &times, sizeof times) > 0 ? WAKE_INTERRUPT
                                                                                  : WAKE_DUE;
}

/*  -- The handle ------------------------------------------------------------------------------- */

reeve_client_t *reeve_client_new(const reeve_client_options_t *options)
{
    static const reeve_client_options_t defaults = {0};
    if (options == NULL)
        options = &defaults;
    const char *broker = endpoint_choose(options->broker);
    if (!endpoint_valid(broker)) {
        errno = EINVAL;
        return NULL;
    }
    client_session_config_t config = {
        .name = options->name != NULL ? options->name : "reeve-client",
        .version = REEVE_VERSION,
        .window = options->window != 0 ? options->window : DEFAULT_WINDOW,
        .batch = options->batch != 0 ? options->batch : DEFAULT_BATCH,
        .request_timeout_ms = options->request_timeout_ms != 0 ? options->request_timeout_ms
                                                               : DEFAULT_REQUEST_TIMEOUT_MS,
    };
    if (getrandom(&config.seed, sizeof config.seed, 0) < 0)
        config.seed = (uint64_t)clock_mono_us();

    reeve_client_t *self = mem_zalloc(sizeof *self);
    self->broker = mem_strdup(broker);
    self->error_text = mem_strdup("");
    self->session = client_session_new(&config, clock_mono_ms());
    uuid7_init(&self->ids);
    self->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->context = zmq_ctx_new();
    if (self->interrupt_fd < 0 || self->context == NULL || open_socket(self) != 0) {
        int reason = errno;
        reeve_client_destroy(&self);
        errno = reason;
    }
    return self;
}

/*  To a broker that is connected: then the broker need not remember this client. */
static void say_goodbye(reeve_client_t *self)
{
    if (self->socket == NULL)
        return;
    wire_message_t message = {.command = WIRE_GOODBYE};
    wire_reset(&self->body);
    wire_encode(&self->body, &message);
    if (zmq_send(self->socket, self->body.data, self->body.size, ZMQ_DONTWAIT) >= 0)
        set_option(self->socket, ZMQ_LINGER, GOODBYE_LINGER_MS);
}

void reeve_client_destroy(reeve_client_t **self_p)
{
    reeve_client_t *self = *self_p;
    if (self == NULL)
        return;
    say_goodbye(self);
    close_socket(self);
    if (self->context != NULL)
        TEMP_FAILURE_RETRY(zmq_ctx_term(self->context));
    if (self->interrupt_fd >= 0)
        close(self->interrupt_fd);
    client_session_destroy(&self->session);
    wire_fini(&self->body);
    free(self->broker);
    free(self->error_text);
    free(self);
    *self_p = NULL;
}

void reeve_client_interrupt(reeve_client_t *self)
{
    int saved = errno; /* for the sake of who is in a signal handler */
    uint64_t once = 1;
    ssize_t written = write(self->interrupt_fd, &once, sizeof once);
    (void)written; /* it fails only when interrupts enough are there */
    errno = saved;
}

const char *reeve_client_broker(const reeve_client_t *self)
{
    return self->broker;
}

static void set_error_text(reeve_client_t *self, const char *text)
{
    free(self->error_text);
    self->error_text = mem_strdup(text);
}

const char *reeve_client_error_text(const reeve_client_t *self)
{
    return self->error_text;
}

size_t reeve_client_unconfirmed(const reeve_client_t *self)
{
    return client_session_unconfirmed(self->session);
}

size_t reeve_client_waiting(const reeve_client_t *self)
{
    return client_session_waiting(self->session);
}

/*  Ends a call before anything is sent. */
static int refuse(reeve_client_t *self, reeve_error_t reason, const char *text,
                  reeve_error_t *error)
{
    set_error_text(self, text);
    *error = reason;
    return -1;
}

static bool id_acceptable(reeve_client_t *self, const char *id, reeve_error_t *error)
{
    bool good = id != NULL && id_valid(slice_str(id));
    if (!good)
        refuse(self, REEVE_ERR_BAD_ID, "", error);
    return good;
}

/*  -- Submitting and waiting ------------------------------------------------------------------- */

/*  Hands an encoded task to the session; sends whole batches on the way. */
static int submit_wire(reeve_client_t *self, const wire_task_t *task, void *user, char *id,
                       reeve_error_t *error)
{
    if (client_session_submit(self->session, task, user, clock_mono_ms(), error) != 0)
        return refuse(self, *error, "", error);
    if (id != NULL) {
        memcpy(id, task->id.data, task->id.size);
        id[task->id.size] = '\0';
    }
    if (client_session_batch_full(self->session))
        send_frames(self);
    return 0;
}

int reeve_submit(reeve_client_t *self, const reeve_task_t *task, void *user, char *id,
                 reeve_error_t *error)
{
    char made_id[UUID7_TEXT_SIZE] = "";
    int64_t now_ms = clock_wall_ms();
    wire_task_t wire;
    char problem[PROBLEM_SIZE] = "";
    if (task->id == NULL)
        uuid7_next(&self->ids, now_ms, made_id);
    *error = client_encode_task(task, made_id, now_ms, &self->body, &wire, problem, sizeof problem);
    if (*error != REEVE_ERR_OK)
        return refuse(self, *error, problem, error);
    return submit_wire(self, &wire, user, id, error);
}

int reeve_submit_json(reeve_client_t *self, const char *document, size_t size, bool wait,
                      void *user, char *id, char *problem, size_t problem_size,
                      reeve_error_t *error)
{
    char made_id[UUID7_TEXT_SIZE];
    int64_t now_ms = clock_wall_ms();
    slice_t text = slice(document, size);
    task_t task = {0};
    if (task_from_json(text, now_ms, &task, problem, problem_size) != 0)
        return refuse(self, json_valid_object(text) ? REEVE_ERR_BAD_VALUE : REEVE_ERR_BAD_JSON, "",
                      error);
    if (task.wire.id.size == 0) {
        uuid7_next(&self->ids, now_ms, made_id);
        task.wire.id = slice_str(made_id);
    }
    task.wire.wait = wait;
    int rc = submit_wire(self, &task.wire, user, id, error);
    if (rc != 0)
        snprintf(problem, problem_size, "%s", reeve_error_meaning(*error));
    task_fini(&task);
    return rc;
}

void reeve_client_flush(reeve_client_t *self)
{
    send_frames(self);
}

int reeve_wait(reeve_client_t *self, const char *id, void *user, reeve_error_t *error)
{
    if (!id_acceptable(self, id, error))
        return -1;
    client_session_wait(self->session, slice_str(id), user, clock_mono_ms());
    return 0;
}

/*  Whether something went wrong that no event tells. */
static bool take_alarm(reeve_client_t *self, reeve_error_t *error)
{
    const char *text;
    *error = client_session_take_alarm(self->session, &text);
    if (*error == REEVE_ERR_OK)
        return false;
    set_error_text(self, text);
    return true;
}

int reeve_client_poll(reeve_client_t *self, int64_t timeout_ms, reeve_event_t *event,
                      reeve_error_t *error)
{
    if (client_session_next_event(self->session, event))
        return 1;
    int64_t until_ms = clock_deadline_ms(timeout_ms);
    for (;;) {
        turn(self);
        if (client_session_next_event(self->session, event))
            return 1;
        if (take_alarm(self, error))
            return -1;
        if (clock_mono_ms() >= until_ms || wait_turn(self, until_ms) != WAKE_DUE)
            return 0;
    }
}

/*  -- Requests --------------------------------------------------------------------------------- */

/*  Sends a request and waits for its answer. Returns it, or NULL with *error. */
static const client_answer_t *ask(reeve_client_t *self, const wire_message_t *request,
                                  reeve_error_t *error)
{
    set_error_text(self, "");
    *error = REEVE_ERR_OK;
    client_session_request(self->session, request, clock_mono_ms());
    for (;;) {
        turn(self);
        const client_answer_t *answer = client_session_answer(self->session);
        if (answer != NULL) {
            set_error_text(self, answer->text);
            *error = answer->error;
            return answer->error == REEVE_ERR_OK ? answer : NULL;
        }
        if (!take_alarm(self, error) && wait_turn(self, INT64_MAX) == WAKE_INTERRUPT)
            *error = REEVE_ERR_CLOSED;
        if (*error != REEVE_ERR_OK) {
            client_session_forget_request(self->session);
            return NULL;
        }
    }
}

static bool queue_acceptable(reeve_client_t *self, const char *queue, reeve_error_t *error)
{
    bool good = queue != NULL && name_valid(slice_str(queue), LIMIT_QUEUE_NAME_BYTES);
    if (!good)
        refuse(self, REEVE_ERR_BAD_QUEUE, "", error);
    return good;
}

int reeve_query(reeve_client_t *self, reeve_query_t what, const char *id, const char *queue,
                uint64_t after, uint32_t limit, char **json, uint64_t *next, reeve_error_t *error)
{
    bool of_task = what == REEVE_QUERY_TASK || what == REEVE_QUERY_EXPLAIN;
    if (of_task && !id_acceptable(self, id, error))
        return -1;
    if (queue != NULL && !queue_acceptable(self, queue, error))
        return -1;
    const client_answer_t *answer = ask(self,
                                        &(wire_message_t){.command = WIRE_QUERY,
                                                          .what = what,
                                                          .id = slice_optional(id),
                                                          .queue = slice_optional(queue),
                                                          .after = after,
                                                          .limit = limit},
                                        error);
    if (answer == NULL)
        return -1;
    *json = mem_strndup(answer->json.data, answer->json.size);
    if (next != NULL)
        *next = answer->next;
    return 0;
}

int reeve_cancel(reeve_client_t *self, const char *id, reeve_state_t *was, reeve_error_t *error)
{
    if (!id_acceptable(self, id, error))
        return -1;
    const client_answer_t *answer =
        ask(self, &(wire_message_t){.command = WIRE_CANCEL, .id = slice_str(id)}, error);
    if (answer == NULL)
        return -1;
    if (was != NULL)
        *was = (reeve_state_t)answer->state;
    return 0;
}

static int change_dead(reeve_client_t *self, wire_command_t command, const char *id,
                       const char *queue, uint64_t *count, reeve_error_t *error)
{
    if (id != NULL ? !id_acceptable(self, id, error) : !queue_acceptable(self, queue, error))
        return -1;
    const client_answer_t *answer =
        ask(self,
            &(wire_message_t){
                .command = command, .id = slice_optional(id), .queue = slice_optional(queue)},
            error);
    if (answer == NULL)
        return -1;
    if (count != NULL)
        *count = answer->count;
    return 0;
}

int reeve_dead_retry(reeve_client_t *self, const char *id, const char *queue, uint64_t *count,
                     reeve_error_t *error)
{
    return change_dead(self, WIRE_REDRIVE, id, queue, count, error);
}

int reeve_dead_purge(reeve_client_t *self, const char *id, const char *queue, uint64_t *count,
                     reeve_error_t *error)
{
    return change_dead(self, WIRE_PURGE, id, queue, count, error);
}
