/*  The worker half of libreeve: a session (what to say) on a link (how it travels). */

#include "reeve/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/endpoint.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "worker/delivery.h"
#include "worker/link.h"
#include "worker/name.h"
#include "worker/session.h"

enum {
    FRAMES_A_TURN = 256, /* received before time and output get their turn */
    GOODBYE_LINGER_MS = 500,
    WAIT_MOST_MS = 60 * 1000, /* fits poll's int */
};

struct reeve_worker {
    worker_link_t *link;
    worker_session_t *session;
    bool said_goodbye;
};

static bool queues_valid(const char *const *queues)
{
    size_t count = 0;
    if (queues == NULL)
        return false;
    for (; queues[count] != NULL; count++)
        if (!name_valid(slice_str(queues[count]), LIMIT_QUEUE_NAME_BYTES))
            return false;
    return count > 0 && count <= LIMIT_WORKER_QUEUES;
}

reeve_worker_t *reeve_worker_new(const reeve_worker_options_t *options)
{
    static const reeve_worker_options_t nothing = {0};
    char made[LIMIT_WORKER_NAME_BYTES + 1];
    if (options == NULL)
        options = &nothing;
    const char *name = options->name;
    if (name == NULL) {
        worker_name_make(made);
        name = made;
    }
    if (!name_valid(slice_str(name), LIMIT_WORKER_NAME_BYTES) || !queues_valid(options->queues) ||
        options->prefetch > LIMIT_PREFETCH) {
        errno = EINVAL;
        return NULL;
    }
    worker_link_t *link = worker_link_new(endpoint_choose(options->broker));
    if (link == NULL)
        return NULL;
    worker_session_options_t wanted = {
        .name = name,
        .queues = options->queues,
        .prefetch = options->prefetch > 0 ? options->prefetch : 1,
    };
    int64_t now_ms = clock_mono_ms();
    if (getrandom(&wanted.seed, sizeof wanted.seed, 0) < 0)
        wanted.seed = (uint64_t)now_ms; /* jitter only */
    reeve_worker_t *self = mem_zalloc(sizeof *self);
    self->link = link;
    self->session = worker_session_new(&wanted, now_ms);
    return self;
}

void reeve_worker_destroy(reeve_worker_t **self)
{
    if (*self == NULL)
        return;
    worker_link_destroy(&(*self)->link, (*self)->said_goodbye ? GOODBYE_LINGER_MS : 0);
    worker_session_destroy(&(*self)->session);
    free(*self);
    *self = NULL;
}

static void receive_some(reeve_worker_t *self, int64_t now_ms)
{
    slice_t frame;
    for (int i = 0; i < FRAMES_A_TURN && worker_link_receive(self->link, &frame); i++)
        worker_session_receive(self->session, frame, now_ms);
}

static void send_all(reeve_worker_t *self, int64_t now_ms)
{
    slice_t frame;
    while (worker_session_output(self->session, now_ms, &frame))
        if (!worker_link_send(self->link, frame))
            return; /* nothing will be heard either, and the session asks for a new connection */
}

/*  All that can be done without waiting. Afterwards the link's descriptor can be trusted. */
static void turn(reeve_worker_t *self)
{
    do {
        int64_t now_ms = clock_mono_ms();
        receive_some(self, now_ms);
        worker_session_wish_t wish = worker_session_tick(self->session, now_ms);
        if (wish == SESSION_OPEN)
            worker_link_open(self->link);
        else if (wish == SESSION_CLOSE)
            worker_link_close(self->link);
        send_all(self, now_ms);
    } while (worker_link_readable(self->link));
}

/*  False when a signal came, which the caller may want to see. */
static bool wait_for_work(reeve_worker_t *self, int64_t wait_ms)
{
    struct pollfd item = {.fd = worker_link_fd(self->link), .events = POLLIN};
    if (wait_ms > WAIT_MOST_MS)
        wait_ms = WAIT_MOST_MS;
    return poll(&item, 1, (int)wait_ms) >= 0 || errno != EINTR;
}

int reeve_worker_poll(reeve_worker_t *self, int64_t timeout_ms, reeve_delivery_t **delivery,
                      bool *revoked)
{
    int64_t deadline_ms = clock_deadline_ms(timeout_ms);
    if (worker_session_next_event(self->session, delivery, revoked))
        return 1;
    for (;;) {
        turn(self);
        if (worker_session_next_event(self->session, delivery, revoked))
            return 1;
        int64_t now_ms = clock_mono_ms();
        int64_t wait_ms = worker_session_next_ms(self->session, now_ms);
        if (now_ms >= deadline_ms)
            return 0;
        if (wait_ms > deadline_ms - now_ms)
            wait_ms = deadline_ms - now_ms;
        if (!wait_for_work(self, wait_ms))
            return 0;
    }
}

int reeve_worker_fd(const reeve_worker_t *self)
{
    return worker_link_fd(self->link);
}

int64_t reeve_worker_next_ms(const reeve_worker_t *self)
{
    return worker_session_next_ms(self->session, clock_mono_ms());
}

void reeve_worker_on_problem(reeve_worker_t *self, reeve_problem_fn *callback, void *argument)
{
    worker_session_on_problem(self->session, callback, argument);
}

void reeve_worker_on_settled(reeve_worker_t *self, reeve_settled_fn *callback, void *argument)
{
    worker_session_on_settled(self->session, callback, argument);
}

void reeve_delivery_started(reeve_delivery_t *self)
{
    worker_delivery_start(self, clock_mono_ms());
}

void reeve_settle(reeve_worker_t *self, reeve_delivery_t **delivery,
                  const reeve_settlement_t *settlement)
{
    worker_session_settle(self->session, delivery, settlement, clock_mono_ms());
}

void reeve_delivery_drop(reeve_worker_t *self, reeve_delivery_t **delivery)
{
    worker_session_drop(self->session, delivery);
}

void reeve_progress(reeve_worker_t *self, const reeve_delivery_t *delivery, const void *data,
                    size_t size)
{
    worker_session_progress(self->session, delivery, slice(data, size));
}

void reeve_extend(reeve_worker_t *self, const reeve_delivery_t *delivery, int64_t timeout_ms)
{
    worker_session_extend(self->session, delivery, timeout_ms);
}

void reeve_worker_set_prefetch(reeve_worker_t *self, uint32_t prefetch)
{
    worker_session_set_prefetch(self->session,
                                prefetch < LIMIT_PREFETCH ? prefetch : LIMIT_PREFETCH);
}

size_t reeve_worker_held(const reeve_worker_t *self)
{
    return worker_session_held(self->session);
}

size_t reeve_worker_unconfirmed(const reeve_worker_t *self)
{
    return worker_session_unconfirmed(self->session);
}

reeve_worker_stats_t reeve_worker_stats(const reeve_worker_t *self)
{
    return worker_session_stats(self->session);
}

bool reeve_worker_connected(const reeve_worker_t *self)
{
    return worker_session_connected(self->session);
}

void reeve_worker_goodbye(reeve_worker_t *self)
{
    self->said_goodbye |= reeve_worker_connected(self);
    worker_session_goodbye(self->session);
    turn(self);
}
