#include "client/session.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#include "client/events.h"
#include "client/waiters.h"
#include "client/window.h"
#include "common/limits.h"
#include "common/mem.h"

enum {
    DEFAULT_HEARTBEAT_MS = 1000, /* until a WELCOME tells */
    DEFAULT_LIVENESS_MS = 10000,
    MIN_HEARTBEAT_MS = 10, /* a broker's word beyond these is not taken */
    MAX_LIVENESS_MS = 3600000,
    RESEND_MS = 5000, /* a submission or request without an answer is sent again */
    SCAN_MS = 1000,   /* how often to look for those */
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 2000,
    FRAME_BYTES = 1 << 20,    /* a SUBMIT of several tasks is not larger */
    WINDOW_BYTES = 128 << 20, /* of unconfirmed tasks, unless it is one */
};

typedef enum frame_kind {
    FRAME_NONE,
    FRAME_HELLO,
    FRAME_REQUEST,
    FRAME_WAIT,
    FRAME_SUBMIT,
    FRAME_HEARTBEAT,
} frame_kind_t;

/*  The one request in progress: its encoded form, and then its answer. */
typedef struct request {
    bool active, pending, answered;
    uint64_t corr;
    int64_t asked_ms; /* since when it waits for its answer */
    int64_t sent_ms;
    wire_buffer_t frame;
    client_answer_t answer;
    char *memory; /* of the answer's slices */
} request_t;

struct client_session {
    char *name, *version;
    size_t window_limit, batch_limit, max_batch, max_frame_bytes;
    int64_t request_timeout_ms;
    uint64_t random;

    bool wants_socket, opened, welcomed;
    bool resend; /* the next WELCOME means: send all that is outstanding again */
    uint64_t epoch;
    int64_t heartbeat_ms, liveness_ms;
    int64_t hello_ms;  /* when HELLO is due; INT64_MAX: not */
    int64_t reopen_ms; /* when a socket is wanted again */
    int64_t backoff_ms;
    int64_t sent_ms;     /* last frame sent */
    int64_t quiet_ms;    /* since when the broker is silent although something is expected */
    int64_t patience_ms; /* the same, for the request timeout */
    int64_t ticked_ms;
    int64_t scanned_ms;

    uint64_t next_corr;
    client_window_t window;
    client_waiters_t waiters;
    request_t request;
    client_events_t events;
    wire_buffer_t scratch; /* one task while it is encoded */

    frame_kind_t frame_kind; /* the frame that next_frame showed, until it is sent */
    wire_buffer_t frame;
    uint64_t frame_first;
    size_t frame_count;

    reeve_error_t alarm;
    char *alarm_text;
};

client_session_t *client_session_new(const client_session_config_t *config, int64_t now_ms)
{
    client_session_t *self = mem_zalloc(sizeof *self);
    self->name = mem_strdup(config->name);
    self->version = mem_strdup(config->version);
    self->window_limit = config->window;
    self->batch_limit = config->batch;
    self->max_batch = LIMIT_BATCH;
    self->max_frame_bytes = FRAME_BYTES;
    self->request_timeout_ms = config->request_timeout_ms;
    self->random = config->seed;
    self->wants_socket = true;
    self->heartbeat_ms = DEFAULT_HEARTBEAT_MS;
    self->liveness_ms = DEFAULT_LIVENESS_MS;
    self->hello_ms = INT64_MAX;
    self->backoff_ms = BACKOFF_MIN_MS;
    self->quiet_ms = self->patience_ms = self->ticked_ms = self->scanned_ms = now_ms;
    self->next_corr = 1;
    self->alarm_text = mem_strdup("");
    return self;
}

void client_session_destroy(client_session_t **self_p)
{
    client_session_t *self = *self_p;
    if (self == NULL)
        return;
    free(self->name);
    free(self->version);
    client_window_fini(&self->window);
    client_waiters_fini(&self->waiters);
    client_events_fini(&self->events);
    wire_fini(&self->request.frame);
    free(self->request.memory);
    wire_fini(&self->scratch);
    wire_fini(&self->frame);
    free(self->alarm_text);
    free(self);
    *self_p = NULL;
}

/*  -- What is outstanding ---------------------------------------------------------------------- */

static bool request_outstanding(const client_session_t *self)
{
    return self->request.active && !self->request.answered;
}

static bool outstanding(const client_session_t *self)
{
    return self->window.used > 0 || self->waiters.by_corr != NULL || request_outstanding(self);
}

/*  To be called before something is added: silence counts from when an answer is expected. */
static void expect_answer(client_session_t *self, int64_t now_ms)
{
    if (!outstanding(self))
        self->quiet_ms = self->patience_ms = now_ms;
}

int client_session_submit(client_session_t *self, const wire_task_t *task, void *user,
                          int64_t now_ms, reeve_error_t *error)
{
    if (self->window.used >= self->window_limit ||
        (self->window.used > 0 && self->window.bytes >= WINDOW_BYTES)) {
        *error = REEVE_ERR_TOO_MANY;
        return -1;
    }
    expect_answer(self, now_ms);
    wire_reset(&self->scratch);
    wire_put_task(&self->scratch, task);
    client_window_add(&self->window, self->next_corr++, task->id,
                      slice(self->scratch.data, self->scratch.size), task->wait, user);
    return 0;
}

void client_session_wait(client_session_t *self, slice_t id, void *user, int64_t now_ms)
{
    expect_answer(self, now_ms);
    char *copy = mem_strndup(id.data, id.size);
    client_waiters_add(&self->waiters, self->next_corr++, &copy, user, false);
}

void client_session_request(client_session_t *self, const wire_message_t *request, int64_t now_ms)
{
    client_session_forget_request(self);
    expect_answer(self, now_ms);
    wire_message_t message = *request;
    message.corr = self->next_corr++;
    wire_encode(&self->request.frame, &message);
    self->request.corr = message.corr;
    self->request.asked_ms = now_ms;
    self->request.active = self->request.pending = true;
}

const client_answer_t *client_session_answer(const client_session_t *self)
{
    return self->request.answered ? &self->request.answer : NULL;
}

void client_session_forget_request(client_session_t *self)
{
    free(self->request.memory);
    wire_fini(&self->request.frame);
    self->request = (request_t){0};
    if (self->frame_kind == FRAME_REQUEST)
        self->frame_kind = FRAME_NONE;
}

static size_t batch_limit(const client_session_t *self)
{
    return self->batch_limit < self->max_batch ? self->batch_limit : self->max_batch;
}

bool client_session_batch_full(const client_session_t *self)
{
    return self->welcomed && self->window.pending >= batch_limit(self);
}

size_t client_session_unconfirmed(const client_session_t *self)
{
    return self->window.used;
}

size_t client_session_waiting(const client_session_t *self)
{
    return client_waiters_count(&self->waiters);
}

/*  -- The connection --------------------------------------------------------------------------- */

/*  The next delay of a backoff with jitter: half of it fixed, half random (splitmix64). */
static int64_t next_backoff(client_session_t *self)
{
    uint64_t z = self->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    int64_t delay = self->backoff_ms / 2 + (int64_t)(z % (uint64_t)(self->backoff_ms / 2 + 1));
    self->backoff_ms *= 2;
    if (self->backoff_ms > BACKOFF_MAX_MS)
        self->backoff_ms = BACKOFF_MAX_MS;
    return delay;
}

/*  From now on the broker may not know us: greet it at `hello_ms`, then send all again. */
static void greet_again(client_session_t *self, int64_t hello_ms)
{
    self->welcomed = false;
    self->resend = true;
    self->hello_ms = hello_ms;
    self->frame_kind = FRAME_NONE;
}

bool client_session_wants_socket(const client_session_t *self)
{
    return self->wants_socket;
}

void client_session_opened(client_session_t *self, int64_t now_ms)
{
    self->opened = true;
    self->quiet_ms = now_ms;
    greet_again(self, now_ms);
}

void client_session_lost(client_session_t *self, int64_t now_ms)
{
    greet_again(self, now_ms);
}

static void close_link(client_session_t *self, int64_t now_ms)
{
    greet_again(self, INT64_MAX);
    self->wants_socket = self->opened = false;
    self->reopen_ms = now_ms + next_backoff(self);
}

static void send_all_again(client_session_t *self)
{
    self->resend = false;
    self->frame_kind = FRAME_NONE;
    client_window_resend(&self->window, INT64_MAX);
    client_waiters_ask_again(&self->waiters);
    if (request_outstanding(self))
        self->request.pending = true;
}

static void send_overdue_again(client_session_t *self, int64_t now_ms)
{
    self->scanned_ms = now_ms;
    client_window_resend(&self->window, now_ms - RESEND_MS);
    if (request_outstanding(self) && now_ms - self->request.sent_ms >= RESEND_MS)
        self->request.pending = true;
}

static void set_alarm(client_session_t *self, reeve_error_t error, slice_t text)
{
    free(self->alarm_text);
    self->alarm_text = mem_strndup(text.data, text.size);
    self->alarm = error;
}

reeve_error_t client_session_take_alarm(client_session_t *self, const char **text)
{
    reeve_error_t alarm = self->alarm;
    self->alarm = REEVE_ERR_OK;
    if (text != NULL)
        *text = self->alarm_text;
    return alarm;
}

/*  When to say HELLO because of silence: it brings a WELCOME, whose epoch tells of a restart. */
static int64_t probe_due_ms(const client_session_t *self)
{
    return self->quiet_ms + 2 * self->heartbeat_ms;
}

/*  Whether the caller left us silent for so long, while waiting, that the broker dropped our waits.
 */
static bool was_forgotten(const client_session_t *self, int64_t now_ms)
{
    return self->welcomed && self->waiters.asked != NULL &&
           now_ms - self->sent_ms >= self->liveness_ms;
}

/*  How often to listen, and to say something that has an answer, while something is outstanding. */
static int64_t beat_ms(const client_session_t *self)
{
    int64_t quarter_ms = self->request_timeout_ms / 4 + 1;
    bool impatient = self->request_timeout_ms >= 0 && quarter_ms < self->heartbeat_ms;
    return impatient ? quarter_ms : self->heartbeat_ms;
}

static int64_t put_off(int64_t since_ms, int64_t by_ms, int64_t now_ms)
{
    return since_ms + by_ms < now_ms ? since_ms + by_ms : now_ms;
}

/*  Time in which nobody listened, as the caller was elsewhere or the process was stopped, is no silence
    of the broker. */
static void forgive_absence(client_session_t *self, int64_t now_ms)
{
    int64_t absence_ms = now_ms - self->ticked_ms - beat_ms(self);
    self->ticked_ms = now_ms;
    if (absence_ms <= 0)
        return;
    self->quiet_ms = put_off(self->quiet_ms, absence_ms, now_ms);
    self->patience_ms = put_off(self->patience_ms, absence_ms, now_ms);
    self->request.asked_ms = put_off(self->request.asked_ms, absence_ms, now_ms);
}

static bool is_too_long(const client_session_t *self, int64_t since_ms, int64_t now_ms)
{
    return self->request_timeout_ms >= 0 && now_ms - since_ms >= self->request_timeout_ms;
}

static void look_at_silence(client_session_t *self, int64_t now_ms)
{
    if (is_too_long(self, self->patience_ms, now_ms)) {
        self->patience_ms = now_ms;
        set_alarm(self, REEVE_ERR_UNREACHABLE, slice(NULL, 0));
    } else if (request_outstanding(self) && is_too_long(self, self->request.asked_ms, now_ms)) {
        self->request.asked_ms = now_ms;
        set_alarm(self, REEVE_ERR_TIMED_OUT, slice(NULL, 0));
    }
    if (!self->opened)
        return;
    if (now_ms - self->quiet_ms >= self->liveness_ms)
        close_link(self, now_ms);
    else if (self->welcomed && self->hello_ms == INT64_MAX && now_ms >= probe_due_ms(self))
        self->hello_ms = now_ms;
}

/*  The earlier of two times, where `b` counts only if it is still to come. */
static int64_t sooner(int64_t a, int64_t b, int64_t now_ms)
{
    return b > now_ms && b < a ? b : a;
}

int64_t client_session_deadline(const client_session_t *self, int64_t now_ms)
{
    int64_t due = sooner(INT64_MAX, self->hello_ms, now_ms);
    if (!outstanding(self))
        return due;
    due = sooner(due, now_ms + beat_ms(self), now_ms);
    if (self->request_timeout_ms >= 0)
        due = sooner(due, self->patience_ms + self->request_timeout_ms, now_ms);
    if (!self->opened)
        return sooner(due, self->reopen_ms, now_ms);
    due = sooner(due, self->quiet_ms + self->liveness_ms, now_ms);
    if (self->welcomed) {
        due = sooner(due, self->sent_ms + beat_ms(self), now_ms);
        due = sooner(due, self->scanned_ms + SCAN_MS, now_ms);
        due = sooner(due, probe_due_ms(self), now_ms);
    }
    return due;
}

void client_session_tick(client_session_t *self, int64_t now_ms)
{
    forgive_absence(self, now_ms);
    if (!self->wants_socket && now_ms >= self->reopen_ms)
        self->wants_socket = true;
    if (outstanding(self)) {
        if (was_forgotten(self, now_ms))
            greet_again(self, now_ms);
        look_at_silence(self, now_ms);
        if (self->welcomed && now_ms - self->scanned_ms >= SCAN_MS)
            send_overdue_again(self, now_ms);
    }
}

/*  -- Sending ---------------------------------------------------------------------------------- */

static void append(wire_buffer_t *buffer, slice_t bytes)
{
    if (buffer->size + bytes.size > buffer->capacity) {
        buffer->capacity = (buffer->size + bytes.size) * 2;
        buffer->data = mem_realloc(buffer->data, buffer->capacity);
    }
    memcpy(buffer->data + buffer->size, bytes.data, bytes.size);
    buffer->size += bytes.size;
}

static void build_hello(client_session_t *self)
{
    wire_encode(&self->frame, &(wire_message_t){.command = WIRE_HELLO,
                                                .name = slice_str(self->name),
                                                .version = slice_str(self->version)});
}

static bool build_submit(client_session_t *self)
{
    uint64_t first;
    size_t count =
        client_window_run(&self->window, batch_limit(self), self->max_frame_bytes, &first);
    if (count == 0)
        return false;
    self->frame_first = first;
    self->frame_count = count;
    wire_begin(&self->frame, WIRE_SUBMIT);
    wire_put_first(&self->frame, first);
    for (uint64_t corr = first; corr < first + count; corr++)
        append(&self->frame, submission_task(client_window_find(&self->window, corr)));
    return true;
}

static frame_kind_t build_frame(client_session_t *self, int64_t now_ms)
{
    if (now_ms >= self->hello_ms) {
        build_hello(self);
        return FRAME_HELLO;
    }
    if (!self->welcomed)
        return FRAME_NONE;
    if (self->request.pending) {
        wire_reset(&self->frame);
        append(&self->frame, slice(self->request.frame.data, self->request.frame.size));
        return FRAME_REQUEST;
    }
    const waiter_t *waiter = self->waiters.pending;
    if (waiter != NULL) {
        self->frame_first = waiter->corr;
        wire_encode(&self->frame, &(wire_message_t){.command = WIRE_WAIT,
                                                    .corr = waiter->corr,
                                                    .id = slice_str(waiter->id)});
        return FRAME_WAIT;
    }
    if (build_submit(self))
        return FRAME_SUBMIT;
    if (outstanding(self) && now_ms - self->sent_ms >= beat_ms(self)) {
        wire_encode(&self->frame, &(wire_message_t){.command = WIRE_HEARTBEAT});
        return FRAME_HEARTBEAT;
    }
    return FRAME_NONE;
}

bool client_session_next_frame(client_session_t *self, int64_t now_ms, slice_t *frame)
{
    if (!self->opened)
        return false;
    if (self->frame_kind == FRAME_NONE)
        self->frame_kind = build_frame(self, now_ms);
    *frame = slice(self->frame.data, self->frame.size);
    return self->frame_kind != FRAME_NONE;
}

void client_session_sent(client_session_t *self, int64_t now_ms)
{
    waiter_t *waiter;
    self->sent_ms = now_ms;
    switch (self->frame_kind) {
    case FRAME_HELLO:
        /* Repeated until the WELCOME comes; the socket is given up after liveness_ms. */
        self->hello_ms = now_ms + 2 * self->heartbeat_ms;
        break;
    case FRAME_REQUEST:
        self->request.pending = false;
        self->request.sent_ms = now_ms;
        break;
    case FRAME_WAIT:
        waiter = client_waiters_find(&self->waiters, self->frame_first);
        if (waiter != NULL)
            client_waiters_asked(&self->waiters, waiter);
        break;
    case FRAME_SUBMIT:
        client_window_sent(&self->window, self->frame_first, self->frame_count, now_ms);
        break;
    case FRAME_NONE:
    case FRAME_HEARTBEAT:
        break;
    }
    self->frame_kind = FRAME_NONE;
}

/*  -- Receiving -------------------------------------------------------------------------------- */

static int64_t clamp(uint64_t value, int64_t low, int64_t high)
{
    if (value > (uint64_t)high)
        return high;
    return (int64_t)value < low ? low : (int64_t)value;
}

static void on_welcome(client_session_t *self, const wire_message_t *message)
{
    bool restarted = message->epoch != self->epoch;
    self->epoch = message->epoch;
    if (message->heartbeat_ms != 0)
        self->heartbeat_ms = clamp(message->heartbeat_ms, MIN_HEARTBEAT_MS, MAX_LIVENESS_MS / 4);
    if (message->liveness_ms != 0)
        self->liveness_ms = clamp(message->liveness_ms, 4 * self->heartbeat_ms, MAX_LIVENESS_MS);
    if (message->max_batch != 0)
        self->max_batch = (size_t)clamp(message->max_batch, 1, LIMIT_BATCH);
    if (message->max_message_bytes != 0) /* half of it leaves room for what is around the tasks */
        self->max_frame_bytes = (size_t)clamp(message->max_message_bytes / 2, 1, FRAME_BYTES);
    self->welcomed = true;
    self->hello_ms = INT64_MAX;
    self->backoff_ms = BACKOFF_MIN_MS;
    if (restarted || self->resend)
        send_all_again(self);
}

/*  Takes an answered submission out; returns its block. A frame that was to send it again is built
    anew: a broker might have forgotten a confirmed task by then, and would run it twice. */
static char *take_submission(client_session_t *self, uint64_t corr)
{
    if (self->frame_kind == FRAME_SUBMIT && corr - self->frame_first < self->frame_count)
        self->frame_kind = FRAME_NONE;
    return client_window_remove(&self->window, corr);
}

/*  A submission is durable: its event, and a waiter where the outcome is wanted. */
static void confirm(client_session_t *self, uint64_t corr, bool duplicate, uint64_t durability)
{
    submission_t *submission = client_window_find(&self->window, corr);
    if (submission == NULL)
        return; /* answered before: this is the answer to what was sent again */
    void *user = submission->user;
    bool wait = submission->wait;
    char *block = take_submission(self, corr);
    if (wait) {
        char *id = mem_strdup(block);
        client_waiters_add(&self->waiters, corr, &id, user, true);
    }
    client_events_add(&self->events,
                      &(reeve_event_t){.kind = REEVE_EVENT_CONFIRMED,
                                       .user = user,
                                       .id = block,
                                       .duplicate = duplicate,
                                       .durability = (int)durability,
                                       .error_text = "",
                                       .reason = "",
                                       .failure = "",
                                       .traceback = ""},
                      block);
}

static void on_confirm(client_session_t *self, const wire_message_t *message)
{
    wire_range_t range;
    for (size_t at = 0; wire_next_range(message, &at, &range);) {
        uint64_t first = range.first > self->window.base ? range.first : self->window.base;
        uint64_t end = self->window.end;
        if (range.count < end && range.first < end - range.count)
            end = range.first + range.count;
        for (uint64_t corr = first; corr < end; corr++)
            confirm(self, corr, range.duplicate, message->durability);
    }
}

/*  Copies a slice with a NUL behind it and moves *to past that. */
static const char *put_string(char **to, slice_t text)
{
    char *start = *to;
    if (text.size > 0)
        memcpy(start, text.data, text.size);
    start[text.size] = '\0';
    *to += text.size + 1;
    return start;
}

static void tell_refused(client_session_t *self, void *user, const char *id,
                         const wire_message_t *message)
{
    slice_t id_slice = slice_str(id);
    char *memory = mem_alloc(id_slice.size + message->text.size + 2);
    char *to = memory;
    reeve_event_t event = {.kind = REEVE_EVENT_REFUSED,
                           .user = user,
                           .error = (reeve_error_t)message->code,
                           .retry_after_ms = clamp(message->retry_after_ms, 0, LIMIT_DURATION_MS),
                           .reason = "",
                           .failure = "",
                           .traceback = ""};
    event.id = put_string(&to, id_slice);
    event.error_text = put_string(&to, message->text);
    client_events_add(&self->events, &event, memory);
}

static void tell_outcome(client_session_t *self, const waiter_t *waiter,
                         const wire_message_t *message)
{
    slice_t id = slice_str(waiter->id);
    char *memory = mem_alloc(id.size + message->result.size + message->reason.size +
                             message->error.size + message->traceback.size + 5);
    char *to = memory;
    reeve_event_t event = {.kind = REEVE_EVENT_OUTCOME,
                           .user = waiter->user,
                           .error_text = "",
                           .partial = message->partial,
                           .state = (reeve_state_t)message->state,
                           .attempts = (uint32_t)clamp(message->attempts, 0, UINT32_MAX),
                           .result_kind = (int)message->result_kind,
                           .result_size = message->result.size,
                           .duration_ms = clamp(message->duration_ms, 0, INT64_MAX)};
    event.id = put_string(&to, id);
    event.result = put_string(&to, message->result);
    event.reason = put_string(&to, message->reason);
    event.failure = put_string(&to, message->error);
    event.traceback = put_string(&to, message->traceback);
    client_events_add(&self->events, &event, memory);
}

static void on_outcome(client_session_t *self, const wire_message_t *message)
{
    /* An outcome proves that the task was taken, also if its CONFIRM was lost; not that it is on disk. */
    confirm(self, message->corr, false, WIRE_DURABILITY_MEMORY);
    waiter_t *waiter = client_waiters_find(&self->waiters, message->corr);
    if (waiter == NULL)
        return; /* answered before */
    tell_outcome(self, waiter, message);
    if (!message->partial)
        client_waiters_remove(&self->waiters, &waiter);
}

static void answer_request(client_session_t *self, const wire_message_t *message)
{
    if (!request_outstanding(self) || message->corr != self->request.corr)
        return; /* of a request that was given up */
    request_t *request = &self->request;
    request->memory = mem_alloc(message->text.size + message->json.size + 2);
    char *to = request->memory;
    request->answer = (client_answer_t){
        .error = message->command == WIRE_ERROR ? (reeve_error_t)message->code : REEVE_ERR_OK,
        .text = put_string(&to, message->text),
        .count = message->count,
        .state = message->state,
        .next = message->next,
    };
    request->answer.json = slice(put_string(&to, message->json), message->json.size);
    request->answered = true;
    request->pending = false;
    if (self->frame_kind == FRAME_REQUEST)
        self->frame_kind = FRAME_NONE;
}

static void on_error(client_session_t *self, const wire_message_t *message)
{
    if (message->corr == 0) {
        set_alarm(self, (reeve_error_t)message->code, message->text);
        return;
    }
    submission_t *submission = client_window_find(&self->window, message->corr);
    if (submission != NULL) {
        void *user = submission->user;
        char *block = take_submission(self, message->corr);
        tell_refused(self, user, block, message);
        free(block);
        return;
    }
    waiter_t *waiter = client_waiters_find(&self->waiters, message->corr);
    if (waiter != NULL) {
        tell_refused(self, waiter->user, waiter->id, message);
        client_waiters_remove(&self->waiters, &waiter);
        return;
    }
    answer_request(self, message);
}

void client_session_receive(client_session_t *self, slice_t frame, int64_t now_ms)
{
    wire_message_t message;
    const char *problem;
    if (wire_decode(frame, &message, &problem) != 0)
        return; /* not a broker's; silence will tell */
    self->quiet_ms = self->patience_ms = now_ms;
    switch (message.command) {
    case WIRE_WELCOME:
        on_welcome(self, &message);
        break;
    case WIRE_CONFIRM:
        on_confirm(self, &message);
        break;
    case WIRE_OUTCOME:
        on_outcome(self, &message);
        break;
    case WIRE_ERROR:
        on_error(self, &message);
        break;
    case WIRE_DONE:
    case WIRE_DOCUMENT:
        answer_request(self, &message);
        break;
    case WIRE_GOODBYE:
        greet_again(self, now_ms + next_backoff(self));
        break;
    default:
        break; /* HEARTBEAT was for the time; others are not for clients */
    }
}

/*  -- Telling ---------------------------------------------------------------------------------- */

bool client_session_next_event(client_session_t *self, reeve_event_t *event)
{
    return client_events_take(&self->events, event);
}
