#include "worker/session.h"

#include <stdlib.h>
#include <utlist.h>

#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/wire/reeve.h"
#include "worker/delivery.h"

enum {
    DEFAULT_HEARTBEAT_MS = 1000, /* until a WELCOME says otherwise */
    DEFAULT_LIVENESS_MS = 10000,
    LEAST_HEARTBEAT_MS = 10, /* a WELCOME with less must not make us spin */
    MOST_HEARTBEAT_MS = 3600 * 1000,
    BACKOFF_LEAST_MS = 100,
    BACKOFF_MOST_MS = 2000,
    RESEND_MS = 5000, /* a settlement without answer for so long is sent again */
    SETTLE_BATCH = 256,
    SETTLE_BATCH_BYTES = 1 << 20,
    PROGRESS_WAITING = 1024, /* progress is lossy: more than this unsent is dropped */
};

#define FOR_EVER INT64_MAX

typedef enum phase { DOWN, GREETING, REGISTERED, LEFT } phase_t;

typedef struct progress {
    wire_buffer_t message;
    struct progress *prev, *next;
} progress_t;

struct session {
    char *name;
    char **queues; /* NULL-terminated */
    uint32_t prefetch;
    uint64_t random;
    uint64_t instance; /* tells this process from another one of the same name */

    phase_t phase;
    bool close_due; /* the connection was given up outside worker_session_tick */
    int64_t reopen_ms, backoff_ms;
    int64_t heard_ms, hello_ms,
        heartbeat_ms; /* when last heard, said hello, and the next heartbeat */
    int64_t heartbeat_interval_ms, liveness_ms;
    uint64_t max_batch, epoch;

    /* What is to be sent; worker_session_output turns these into frames, in this order. */
    bool hello_due, ready_due, prefetch_due;
    size_t extends_due;
    progress_t *progress;
    size_t progress_count;
    reeve_delivery_t *unsent;
    bool heartbeat_due, goodbye_due;
    wire_buffer_t buffer;

    reeve_delivery_t *held;   /* by token: all but the revoked */
    reeve_delivery_t *sent;   /* by corr: settlements without answer, oldest first */
    reeve_delivery_t *events; /* ARRIVED and REVOKED ones to show */
    reeve_delivery_t *gone;   /* REVOKED ones shown, until the user lets go of them */
    size_t unconfirmed;
    uint64_t next_corr;
    reeve_worker_stats_t stats;

    reeve_problem_fn *on_problem;
    void *problem_argument;
    reeve_settled_fn *on_settled;
    void *settled_argument;
};

worker_session_t *worker_session_new(const worker_session_options_t *options, int64_t now_ms)
{
    worker_session_t *self = mem_zalloc(sizeof *self);
    size_t count = 0;
    while (options->queues[count] != NULL)
        count++;
    self->name = mem_strdup(options->name);
    self->queues = mem_zalloc((count + 1) * sizeof *self->queues);
    for (size_t i = 0; i < count; i++)
        self->queues[i] = mem_strdup(options->queues[i]);
    self->prefetch = options->prefetch;
    self->random = options->seed | 1;
    self->instance = options->seed | 1;
    self->phase = DOWN;
    self->reopen_ms = now_ms;
    self->backoff_ms = BACKOFF_LEAST_MS;
    self->heartbeat_interval_ms = DEFAULT_HEARTBEAT_MS;
    self->liveness_ms = DEFAULT_LIVENESS_MS;
    self->max_batch = SETTLE_BATCH;
    self->next_corr = 1;
    return self;
}

static void progress_pop(worker_session_t *self)
{
    progress_t *first = self->progress;
    DL_DELETE(self->progress, first);
    self->progress_count--;
    wire_fini(&first->message);
    free(first);
}

void worker_session_destroy(worker_session_t **self)
{
    worker_session_t *s = *self;
    if (s == NULL)
        return;
    *self = NULL;
    reeve_delivery_t *delivery, *next;
    DL_FOREACH_SAFE (s->events, delivery, next)
        if (delivery->state == DELIVERY_REVOKED)
            worker_delivery_destroy(&delivery); /* the others are in `held` */
    DL_FOREACH_SAFE (s->gone, delivery, next)
        worker_delivery_destroy(&delivery);
    HASH_CLEAR(hh_corr, s->sent);
    HASH_ITER (hh, s->held, delivery, next) {
        HASH_DELETE(hh, s->held, delivery);
        worker_delivery_destroy(&delivery);
    }
    while (s->progress != NULL)
        progress_pop(s);
    for (size_t i = 0; s->queues[i] != NULL; i++)
        free(s->queues[i]);
    free(s->queues);
    free(s->name);
    wire_fini(&s->buffer);
    free(s);
}

/* ---- the connection ---------------------------------------------------------------------------
 */

/*  xorshift64: jitter needs no better. */
static uint64_t random_next(worker_session_t *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random;
}

/*  Many workers lose a broker at once; half of the delay is random so that they do not come back at
    once. */
static void go_down(worker_session_t *self, int64_t now_ms)
{
    int64_t half = self->backoff_ms / 2;
    self->phase = DOWN;
    self->reopen_ms = now_ms + half + (int64_t)(random_next(self) % (uint64_t)(half + 1));
    self->backoff_ms =
        self->backoff_ms * 2 < BACKOFF_MOST_MS ? self->backoff_ms * 2 : BACKOFF_MOST_MS;
    self->hello_due = self->ready_due = self->prefetch_due = self->heartbeat_due = false;
    while (self->progress != NULL)
        progress_pop(self);
}

static void greet(worker_session_t *self)
{
    self->phase = GREETING;
    self->hello_due = true;
    self->ready_due = self->prefetch_due = self->heartbeat_due = false;
}

/*  Takes all settlements without answer for unsent again, before those never sent. */
static void unsend_all(worker_session_t *self)
{
    reeve_delivery_t *again = NULL, *delivery, *next;
    HASH_ITER (hh_corr, self->sent, delivery, next) {
        HASH_DELETE(hh_corr, self->sent, delivery);
        delivery->corr = 0;
        delivery->resent = true;
        DL_APPEND(again, delivery);
    }
    DL_CONCAT(again, self->unsent);
    self->unsent = again;
}

static void unsend_old(worker_session_t *self, int64_t now_ms)
{
    reeve_delivery_t *delivery, *next;
    HASH_ITER (hh_corr, self->sent, delivery, next) {
        if (now_ms - delivery->sent_ms < RESEND_MS)
            return;
        HASH_DELETE(hh_corr, self->sent, delivery);
        delivery->corr = 0;
        delivery->resent = true;
        DL_APPEND(self->unsent, delivery);
    }
}

static void tick_registered(worker_session_t *self, int64_t now_ms)
{
    if (now_ms >= self->heartbeat_ms) {
        self->heartbeat_due = true;
        self->heartbeat_ms = now_ms + self->heartbeat_interval_ms;
    }
    unsend_old(self, now_ms);
}

worker_session_wish_t worker_session_tick(worker_session_t *self, int64_t now_ms)
{
    if (self->phase == DOWN && now_ms >= self->reopen_ms) {
        greet(self);
        self->close_due = false;
        self->heard_ms = now_ms; /* the patience for this connection begins */
        return SESSION_OPEN;
    }
    bool silent = now_ms - self->heard_ms >= self->liveness_ms;
    if ((self->phase == GREETING || self->phase == REGISTERED) && silent) {
        go_down(self, now_ms);
        self->close_due = true;
    }
    if (self->close_due) {
        self->close_due = false;
        return SESSION_CLOSE;
    }
    if (self->phase == GREETING && now_ms - self->hello_ms >= 2 * self->heartbeat_interval_ms)
        self->hello_due = true;
    if (self->phase == REGISTERED)
        tick_registered(self, now_ms);
    return SESSION_KEEP;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool output_due(const worker_session_t *self)
{
    if (self->phase == GREETING)
        return self->hello_due;
    return self->phase == REGISTERED &&
           (self->ready_due || self->prefetch_due || self->extends_due > 0 || self->progress ||
            self->unsent || self->heartbeat_due || self->goodbye_due);
}

static int64_t next_deadline(const worker_session_t *self)
{
    int64_t silence = self->heard_ms + self->liveness_ms;
    switch (self->phase) {
    case DOWN:
        return self->reopen_ms;
    case GREETING:
        return least(silence, self->hello_ms + 2 * self->heartbeat_interval_ms);
    case REGISTERED:
        if (self->sent != NULL)
            silence = least(silence, self->sent->sent_ms + RESEND_MS);
        return least(silence, self->heartbeat_ms);
    case LEFT:
        break;
    }
    return FOR_EVER;
}

int64_t worker_session_next_ms(const worker_session_t *self, int64_t now_ms)
{
    if (self->events != NULL || self->close_due || output_due(self))
        return 0;
    int64_t deadline = next_deadline(self);
    if (deadline == FOR_EVER)
        return DEFAULT_HEARTBEAT_MS;
    return deadline > now_ms ? deadline - now_ms : 0;
}

/* ---- what the broker says ---------------------------------------------------------------------
 */

static void set_extend_due(worker_session_t *self, reeve_delivery_t *delivery, bool due)
{
    if (delivery->extend_due == due)
        return;
    delivery->extend_due = due;
    if (due)
        self->extends_due++;
    else
        self->extends_due--;
}

static int64_t clamp(uint64_t value, int64_t low, int64_t high)
{
    if (value < (uint64_t)low)
        return low;
    return value > (uint64_t)high ? high : (int64_t)value;
}

static void handle_welcome(worker_session_t *self, const wire_message_t *message, int64_t now_ms)
{
    if (self->phase == REGISTERED && message->epoch == self->epoch)
        return; /* the answer to a HELLO said twice */
    if (message->heartbeat_ms > 0)
        self->heartbeat_interval_ms =
            clamp(message->heartbeat_ms, LEAST_HEARTBEAT_MS, MOST_HEARTBEAT_MS);
    int64_t patience = 2 * self->heartbeat_interval_ms;
    if (message->liveness_ms > 0)
        self->liveness_ms = clamp(message->liveness_ms, patience, 10 * (int64_t)MOST_HEARTBEAT_MS);
    else if (self->liveness_ms < patience)
        self->liveness_ms = patience;
    self->max_batch = SETTLE_BATCH;
    if (message->max_batch > 0 && message->max_batch < SETTLE_BATCH)
        self->max_batch = message->max_batch;
    self->epoch = message->epoch;
    self->phase = REGISTERED;
    self->stats.connects++;
    self->ready_due = true;
    self->prefetch_due = self->heartbeat_due = self->hello_due = false;
    self->heartbeat_ms = now_ms + self->heartbeat_interval_ms;
    unsend_all(self);
    reeve_delivery_t *delivery, *next;
    HASH_ITER (hh, self->held, delivery, next)
        if (delivery->state == DELIVERY_TAKEN && delivery->extend_ms > 0)
            set_extend_due(self, delivery, true);
}

static reeve_delivery_t *find_held(worker_session_t *self, slice_t token)
{
    reeve_delivery_t *delivery = NULL;
    HASH_FIND(hh, self->held, token.data, token.size, delivery);
    return delivery;
}

static void handle_deliver(worker_session_t *self, const wire_message_t *message)
{
    wire_delivery_t wire;
    for (size_t at = 0; wire_next_delivery(message, &at, &wire);) {
        if (wire.token.size == 0 || find_held(self, wire.token) != NULL)
            continue; /* said again: the attempt is in our hands already */
        reeve_delivery_t *delivery = worker_delivery_new(&wire);
        HASH_ADD_KEYPTR(hh, self->held, delivery->token_bytes.data, delivery->token_bytes.size,
                        delivery);
        DL_APPEND(self->events, delivery);
        self->stats.deliveries++;
    }
}

/*  Forgets a settlement, wherever it waits. */
static void forget_settled(worker_session_t *self, reeve_delivery_t *delivery)
{
    if (delivery->corr != 0)
        HASH_DELETE(hh_corr, self->sent, delivery);
    else
        DL_DELETE(self->unsent, delivery);
    HASH_DELETE(hh, self->held, delivery);
    self->unconfirmed--;
    worker_delivery_destroy(&delivery);
}

static void tell_problem(worker_session_t *self, const char *task_id, uint64_t code, slice_t text)
{
    if (task_id != NULL)
        self->stats.settlements_refused++;
    if (self->on_problem == NULL)
        return;
    char *copy = mem_strndup(text.data, text.size);
    self->on_problem(self->problem_argument, task_id, (reeve_error_t)clamp(code, 0, INT32_MAX),
                     copy);
    free(copy);
}

static void count_revoked(worker_session_t *self, uint64_t cause)
{
    if (cause == WIRE_REVOKED_CANCELLED)
        self->stats.cancelled++;
    else if (cause == WIRE_REVOKED_TIMEOUT)
        self->stats.timed_out++;
    else
        self->stats.lost++;
}

static void handle_revoke(worker_session_t *self, const wire_message_t *message)
{
    static const char lost[] = "the attempt was revoked before its settlement was confirmed";
    wire_revoked_t wire;
    for (size_t at = 0; wire_next_revoked(message, &at, &wire);) {
        reeve_delivery_t *delivery = find_held(self, wire.token);
        if (delivery == NULL)
            continue;
        if (delivery->state == DELIVERY_SETTLED) {
            /* After a repetition it may well be our own settlement that ended the attempt. */
            if (!delivery->resent) {
                count_revoked(self, wire.cause);
                tell_problem(self, delivery->id, REEVE_ERR_STALE_ATTEMPT, slice_str(lost));
            }
            forget_settled(self, delivery);
            continue;
        }
        count_revoked(self, wire.cause);
        HASH_DELETE(hh, self->held, delivery);
        set_extend_due(self, delivery, false);
        if (delivery->state == DELIVERY_ARRIVED) {
            DL_DELETE(self->events, delivery);
            worker_delivery_destroy(&delivery);
        } else {
            delivery->state = DELIVERY_REVOKED;
            DL_APPEND(self->events, delivery);
        }
    }
}

static void confirm(worker_session_t *self, reeve_delivery_t *delivery)
{
    if (self->on_settled != NULL)
        self->on_settled(self->settled_argument, delivery->id, (uint32_t)delivery->attempt);
    forget_settled(self, delivery);
}

static void confirm_corr(worker_session_t *self, uint64_t corr)
{
    reeve_delivery_t *delivery = NULL;
    HASH_FIND(hh_corr, self->sent, &corr, sizeof corr, delivery);
    if (delivery != NULL)
        confirm(self, delivery);
}

static void handle_settled(worker_session_t *self, const wire_message_t *message)
{
    wire_range_t range;
    for (size_t at = 0; wire_next_range(message, &at, &range);) {
        if (range.count <= HASH_CNT(hh_corr, self->sent)) {
            for (uint64_t i = 0; i < range.count; i++)
                confirm_corr(self, range.first + i);
            continue;
        }
        /* A range wider than all we sent is walked from our side, so that its size costs nothing.
         */
        reeve_delivery_t *delivery, *next;
        HASH_ITER (hh_corr, self->sent, delivery, next)
            if (delivery->corr >= range.first && delivery->corr - range.first < range.count)
                confirm(self, delivery);
    }
}

/*  Refusals of a settlement after which it may still be accepted later. */
static bool refusal_passes(uint64_t code)
{
    return code == REEVE_ERR_STORE_FAILED || code == REEVE_ERR_DRAINING ||
           code == REEVE_ERR_DISK_LOW || code == REEVE_ERR_TOO_MANY || code == REEVE_ERR_QUEUE_FULL;
}

static void handle_error(worker_session_t *self, const wire_message_t *message)
{
    if (message->code == REEVE_ERR_NOT_READY) {
        if (self->phase == REGISTERED)
            greet(self);
        return;
    }
    reeve_delivery_t *delivery = NULL;
    HASH_FIND(hh_corr, self->sent, &message->corr, sizeof message->corr, delivery);
    if (delivery == NULL) {
        if (message->corr == 0)
            tell_problem(self, NULL, message->code, message->text);
        return;
    }
    if (refusal_passes(message->code))
        return; /* stays in `sent`, from where it is repeated */
    if (message->code != REEVE_ERR_STALE_ATTEMPT || !delivery->resent)
        tell_problem(self, delivery->id, message->code, message->text);
    forget_settled(self, delivery);
}

static void handle_goodbye(worker_session_t *self, int64_t now_ms)
{
    go_down(self, now_ms);
    self->close_due = true;
}

static void dispatch(worker_session_t *self, const wire_message_t *message, int64_t now_ms)
{
    switch (message->command) {
    case WIRE_WELCOME:
        handle_welcome(self, message, now_ms);
        break;
    case WIRE_ERROR:
        handle_error(self, message);
        break;
    case WIRE_GOODBYE:
        handle_goodbye(self, now_ms);
        break;
    case WIRE_DELIVER:
        handle_deliver(self, message);
        break;
    case WIRE_SETTLED:
        handle_settled(self, message);
        break;
    case WIRE_REVOKE:
        handle_revoke(self, message);
        break;
    case WIRE_HEARTBEAT: /* said all by arriving */
        self->stats.heartbeats_received++;
        break;
    default: /* answers to clients are not for us */
        break;
    }
}

void worker_session_receive(worker_session_t *self, slice_t frame, int64_t now_ms)
{
    wire_message_t message;
    const char *problem = NULL;
    if (self->phase != GREETING && self->phase != REGISTERED)
        return;
    if (wire_decode(frame, &message, &problem) != 0) {
        tell_problem(self, NULL, REEVE_ERR_MALFORMED, slice_str(problem));
        return;
    }
    self->heard_ms = now_ms;
    dispatch(self, &message, now_ms);
    /* A broker that is going down, or has no room for us, may welcome us and say goodbye, over and over:
       only one that talks on has earned a quick return next time. */
    if (self->phase == REGISTERED && message.command != WIRE_WELCOME &&
        message.command != WIRE_ERROR)
        self->backoff_ms = BACKOFF_LEAST_MS;
}

bool worker_session_next_event(worker_session_t *self, reeve_delivery_t **delivery, bool *revoked)
{
    reeve_delivery_t *first = self->events;
    if (first == NULL)
        return false;
    DL_DELETE(self->events, first);
    *revoked = first->state == DELIVERY_REVOKED;
    if (*revoked) {
        first->revocation_shown = true;
        DL_APPEND(self->gone, first);
    } else {
        first->state = DELIVERY_TAKEN;
    }
    *delivery = first;
    return true;
}

/* ---- what we say ------------------------------------------------------------------------------
 */

static void put_hello(worker_session_t *self, int64_t now_ms)
{
    wire_message_t hello = {
        .command = WIRE_HELLO,
        .name = slice_str(self->name),
        .version = slice_str(REEVE_VERSION),
    };
    wire_encode(&self->buffer, &hello);
    self->hello_due = false;
    self->hello_ms = now_ms;
}

static void put_all_held(worker_session_t *self, wire_command_t command, int64_t now_ms)
{
    reeve_delivery_t *delivery, *next;
    HASH_ITER (hh, self->held, delivery, next) {
        wire_held_t held = {.token = delivery->token_bytes, .running_ms = WIRE_ABSENT};
        if (delivery->started_ms >= 0 && now_ms >= delivery->started_ms)
            held.running_ms = (uint64_t)(now_ms - delivery->started_ms);
        held.timeout_ms = (uint64_t)delivery->extend_ms;
        wire_put_held(&self->buffer, command, &held);
    }
}

static void put_ready(worker_session_t *self, int64_t now_ms)
{
    wire_begin(&self->buffer, WIRE_READY);
    wire_put_ready_name(&self->buffer, slice_str(self->name));
    for (size_t i = 0; self->queues[i] != NULL; i++)
        wire_put_queue(&self->buffer, slice_str(self->queues[i]));
    wire_put_ready_prefetch(&self->buffer, self->prefetch);
    put_all_held(self, WIRE_READY, now_ms);
    wire_put_ready_instance(&self->buffer, self->instance);
    self->ready_due = self->prefetch_due = false;
}

static void put_prefetch(worker_session_t *self)
{
    wire_message_t message = {.command = WIRE_PREFETCH, .prefetch = self->prefetch};
    wire_encode(&self->buffer, &message);
    self->prefetch_due = false;
}

static void put_extend(worker_session_t *self)
{
    reeve_delivery_t *delivery, *next;
    HASH_ITER (hh, self->held, delivery, next) {
        if (!delivery->extend_due)
            continue;
        wire_message_t message = {.command = WIRE_EXTEND,
                                  .token = delivery->token_bytes,
                                  .timeout_ms = (uint64_t)delivery->extend_ms};
        wire_encode(&self->buffer, &message);
        set_extend_due(self, delivery, false);
        return;
    }
}

/*  The message itself becomes the buffer: progress may be large, and its memory is at hand. */
static void put_progress(worker_session_t *self)
{
    wire_buffer_t swap = self->buffer;
    self->buffer = self->progress->message;
    self->progress->message = swap;
    progress_pop(self);
}

static void put_settle(worker_session_t *self, int64_t now_ms)
{
    size_t bytes = 0;
    wire_begin(&self->buffer, WIRE_SETTLE);
    wire_put_first(&self->buffer, self->next_corr);
    for (uint64_t count = 0; self->unsent != NULL && count < self->max_batch; count++) {
        reeve_delivery_t *delivery = self->unsent;
        bytes += worker_delivery_settlement_size(delivery);
        if (count > 0 && bytes > SETTLE_BATCH_BYTES)
            break;
        DL_DELETE(self->unsent, delivery);
        wire_put_settlement(&self->buffer, &delivery->settlement);
        delivery->corr = self->next_corr++;
        delivery->sent_ms = now_ms;
        HASH_ADD(hh_corr, self->sent, corr, sizeof delivery->corr, delivery);
    }
}

static void put_heartbeat(worker_session_t *self, int64_t now_ms)
{
    wire_begin(&self->buffer, WIRE_HEARTBEAT);
    put_all_held(self, WIRE_HEARTBEAT, now_ms);
    self->heartbeat_due = false;
    self->stats.heartbeats_sent++;
}

static void put_goodbye(worker_session_t *self)
{
    wire_message_t message = {.command = WIRE_GOODBYE};
    wire_encode(&self->buffer, &message);
    self->goodbye_due = false;
    self->phase = LEFT;
}

bool worker_session_output(worker_session_t *self, int64_t now_ms, slice_t *frame)
{
    if (!output_due(self))
        return false;
    wire_reset(&self->buffer);
    if (self->phase == GREETING)
        put_hello(self, now_ms);
    else if (self->ready_due)
        put_ready(self, now_ms);
    else if (self->prefetch_due)
        put_prefetch(self);
    else if (self->extends_due > 0)
        put_extend(self);
    else if (self->progress != NULL)
        put_progress(self);
    else if (self->unsent != NULL)
        put_settle(self, now_ms);
    else if (self->heartbeat_due)
        put_heartbeat(self, now_ms);
    else
        put_goodbye(self);
    *frame = slice(self->buffer.data, self->buffer.size);
    return true;
}

/* ---- what the user says -----------------------------------------------------------------------
 */

void worker_session_settle(worker_session_t *self, reeve_delivery_t **delivery,
                           const reeve_settlement_t *settlement, int64_t now_ms)
{
    reeve_delivery_t *d = *delivery;
    if (d->state == DELIVERY_REVOKED) {
        worker_session_drop(self, delivery); /* it would be refused as stale */
        return;
    }
    *delivery = NULL;
    set_extend_due(self, d, false);
    worker_delivery_settle(d, settlement, now_ms);
    DL_APPEND(self->unsent, d);
    self->unconfirmed++;
}

void worker_session_drop(worker_session_t *self, reeve_delivery_t **delivery)
{
    reeve_delivery_t *d = *delivery;
    if (d->state == DELIVERY_REVOKED && d->revocation_shown) {
        DL_DELETE(self->gone, d);
    } else if (d->state == DELIVERY_REVOKED) {
        DL_DELETE(self->events, d);
    } else {
        set_extend_due(self, d, false);
        HASH_DELETE(hh, self->held, d);
    }
    worker_delivery_destroy(delivery);
}

void worker_session_progress(worker_session_t *self, const reeve_delivery_t *delivery, slice_t data)
{
    if (self->phase != REGISTERED || delivery->state != DELIVERY_TAKEN ||
        self->progress_count >= PROGRESS_WAITING || data.size > LIMIT_RESULT_BYTES)
        return;
    wire_message_t message = {
        .command = WIRE_PROGRESS,
        .token = delivery->token_bytes,
        .kind = json_valid(data) ? WIRE_RESULT_JSON : WIRE_RESULT_TEXT,
        .data = data,
    };
    progress_t *progress = mem_zalloc(sizeof *progress);
    wire_encode(&progress->message, &message);
    DL_APPEND(self->progress, progress);
    self->progress_count++;
}

void worker_session_extend(worker_session_t *self, const reeve_delivery_t *handed_out,
                           int64_t timeout_ms)
{
    reeve_delivery_t *delivery = find_held(self, handed_out->token_bytes);
    if (delivery == NULL || delivery->state != DELIVERY_TAKEN || timeout_ms <= 0)
        return;
    delivery->extend_ms = least(timeout_ms, LIMIT_DURATION_MS);
    set_extend_due(self, delivery, true);
}

void worker_session_set_prefetch(worker_session_t *self, uint32_t prefetch)
{
    if (self->prefetch == prefetch)
        return;
    self->prefetch = prefetch;
    self->prefetch_due = self->phase == REGISTERED;
}

void worker_session_goodbye(worker_session_t *self)
{
    if (self->phase == REGISTERED)
        self->goodbye_due = true;
    else
        self->phase = LEFT;
}

void worker_session_on_settled(worker_session_t *self, reeve_settled_fn *callback, void *argument)
{
    self->on_settled = callback;
    self->settled_argument = argument;
}

void worker_session_on_problem(worker_session_t *self, reeve_problem_fn *callback, void *argument)
{
    self->on_problem = callback;
    self->problem_argument = argument;
}

size_t worker_session_held(const worker_session_t *self)
{
    return HASH_COUNT(self->held) - self->unconfirmed;
}

size_t worker_session_unconfirmed(const worker_session_t *self)
{
    return self->unconfirmed;
}

reeve_worker_stats_t worker_session_stats(const worker_session_t *self)
{
    return self->stats;
}

bool worker_session_connected(const worker_session_t *self)
{
    return self->phase == REGISTERED;
}
