/*  A client on libreeve: submits its tasks, submits some again or with other content, cancels and
    waits, and writes down what it was answered. Started anew after a kill, it reads its own history
    and asks again for all that it had no answer to. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <uthash.h>

#include "client/cli.h"
#include "client/selftest/history.h"
#include "client/selftest/plan.h"
#include "client/selftest/roles.h"
#include "common/clock.h"
#include "common/mem.h"
#include "reeve/client.h"

enum { TURN_MS = 20, LATER_MS = 20, BURST = 64 };

/*  What is done with a task; the `user` of libreeve's events. */
typedef enum errand_kind { FIRST = 1, AGAIN, CONFLICT, CANCEL, WAIT } errand_kind_t;

static const char *const errand_names[] = {"", "first", "again", "conflict", "cancel", "wait"};

typedef struct errand {
    errand_kind_t kind;
    int64_t due_ms;
    char id[PLAN_ID_SIZE];
} errand_t;

/*  Of a former life. */
typedef struct past {
    char id[PLAN_ID_SIZE];
    bool confirmed, cancelled, outcome;
    UT_hash_handle hh;
} past_t;

typedef struct client {
    const role_options_t *options;
    reeve_client_t *client;
    int history;
    uint64_t number; /* of the last task */
    uint64_t random;
    int64_t next_ms; /* when the next task is due */
    errand_t *errands;
    size_t errand_count, errand_capacity;
    past_t *past;
    char kwargs[PLAN_KWARGS_SIZE];
} client_t;

static void add_errand(client_t *self, errand_kind_t kind, const char *id, int64_t delay_ms)
{
    self->errands =
        mem_room(self->errands, &self->errand_capacity, self->errand_count, sizeof *self->errands);
    errand_t *errand = &self->errands[self->errand_count++];
    errand->kind = kind;
    errand->due_ms = clock_mono_ms() + delay_ms;
    snprintf(errand->id, sizeof errand->id, "%s", id);
}

static int64_t some_ms(client_t *self, uint64_t most)
{
    return (int64_t)(plan_random(&self->random) % most);
}

/* ---- doing ---------------------------------------------------------------------------------- */

static void submit(client_t *self, errand_kind_t kind, const char *id)
{
    plan_t plan;
    plan_read(id, &plan);
    plan_kwargs(&plan, kind == CONFLICT, self->kwargs);
    reeve_task_t task = {.id = id,
                         .queue = plan.queue,
                         .task_name = "soak",
                         .kwargs_json = self->kwargs,
                         .origin = self->options->name,
                         .delay_ms = plan.delay_ms,
                         .timeout_ms = plan.timeout_ms,
                         .priority = (int)(plan.number % 3),
                         .has_max_retries = plan.max_retries >= 0,
                         .max_retries = plan.max_retries >= 0 ? (uint32_t)plan.max_retries : 0,
                         .wait = plan.wait && kind == FIRST};
    if (plan.expires_in_ms > 0)
        task.expires_at_ms = clock_wall_ms() + plan.expires_in_ms;
    /* Before it may be sent: what is not written down cannot be missed. */
    history_write(self->history, "submit", id, "%s", errand_names[kind]);
    reeve_error_t error;
    if (reeve_submit(self->client, &task, (void *)(intptr_t)kind, NULL, &error) == 0)
        return;
    if (error == REEVE_ERR_TOO_MANY)
        add_errand(self, kind, id, LATER_MS);
    else
        history_write(self->history, "refused", id, "%s %s", errand_names[kind],
                      reeve_error_name(error));
}

static void cancel(client_t *self, const char *id)
{
    reeve_state_t was;
    reeve_error_t error;
    history_write(self->history, "cancelling", id, "-");
    int rc = reeve_cancel(self->client, id, &was, &error);
    history_write(self->history, "cancel", id, "%s", rc == 0 ? "ok" : reeve_error_name(error));
}

static void wait_for(client_t *self, const char *id)
{
    reeve_error_t error;
    reeve_wait(self->client, id, (void *)(intptr_t)WAIT, &error);
}

static void do_due_errands(client_t *self)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0, left = self->errand_count; left > 0; left--) {
        if (self->errands[i].due_ms > now_ms) {
            i++;
            continue;
        }
        errand_t errand = self->errands[i];
        self->errands[i] = self->errands[--self->errand_count];
        if (errand.kind == CANCEL)
            cancel(self, errand.id);
        else if (errand.kind == WAIT)
            wait_for(self, errand.id);
        else
            submit(self, errand.kind, errand.id);
    }
}

/*  Tasks as time goes on, now and then many at once. */
static void submit_new(client_t *self)
{
    int64_t now_ms = clock_mono_ms(), interval_ms = 1000 * BURST / self->options->per_second;
    if (role_stopping || now_ms < self->next_ms || self->errand_count > 4 * BURST)
        return;
    unsigned count = 1;
    if (plan_random(&self->random) % 128 == 0) {
        count = BURST;
        self->next_ms = now_ms + interval_ms / 2;
    } else {
        self->next_ms = now_ms + interval_ms / BURST;
    }
    while (count-- > 0) {
        char id[PLAN_ID_SIZE];
        plan_id(self->options->seed, self->options->number, ++self->number, id);
        submit(self, FIRST, id);
    }
}

/* ---- being answered ------------------------------------------------------------------------- */

static void confirmed(client_t *self, errand_kind_t kind, const reeve_event_t *event)
{
    plan_t plan;
    plan_read(event->id, &plan);
    history_write(self->history, "confirmed", event->id, "%s %s", errand_names[kind],
                  event->duplicate ? "duplicate" : "new");
    if (kind != FIRST)
        return;
    if (plan.kind == PLAN_CANCEL)
        add_errand(self, CANCEL, event->id, some_ms(self, 1500));
    if (plan.again)
        add_errand(self, AGAIN, event->id, some_ms(self, 5000));
    if (plan.conflict)
        add_errand(self, CONFLICT, event->id, some_ms(self, 5000));
}

static void refused(client_t *self, errand_kind_t kind, const reeve_event_t *event)
{
    history_write(self->history, "refused", event->id, "%s %s", errand_names[kind],
                  reeve_error_name(event->error));
    if (cli_is_retryable(event->error))
        add_errand(self, kind, event->id, event->retry_after_ms + LATER_MS);
}

static void take_event(client_t *self, const reeve_event_t *event)
{
    errand_kind_t kind = (errand_kind_t)(intptr_t)event->user;
    if (event->kind == REEVE_EVENT_CONFIRMED)
        confirmed(self, kind, event);
    else if (event->kind == REEVE_EVENT_REFUSED)
        refused(self, kind, event);
    else if (!event->partial)
        history_write(self->history, "outcome", event->id, "%d %u", (int)event->state,
                      event->attempts);
}

static void take_events(client_t *self)
{
    reeve_event_t event;
    reeve_error_t error;
    int64_t wait_ms = self->next_ms - clock_mono_ms();
    if (wait_ms < 0 || role_stopping)
        wait_ms = role_stopping ? TURN_MS : 0;
    if (wait_ms > TURN_MS)
        wait_ms = TURN_MS;
    for (; reeve_client_poll(self->client, wait_ms, &event, &error) == 1; wait_ms = 0)
        take_event(self, &event);
}

/* ---- a former life -------------------------------------------------------------------------- */

static void remember(const history_line_t *line, void *arg)
{
    client_t *self = arg;
    past_t *past;
    plan_t plan;
    HASH_FIND_STR(self->past, line->id, past);
    if (past == NULL) {
        past = mem_zalloc(sizeof *past);
        snprintf(past->id, sizeof past->id, "%s", line->id);
        HASH_ADD_STR(self->past, id, past);
        if (plan_read(line->id, &plan) && plan.number > self->number)
            self->number = plan.number;
    }
    past->confirmed |= strcmp(line->event, "confirmed") == 0;
    past->cancelled |= strcmp(line->event, "cancel") == 0;
    past->outcome |= strcmp(line->event, "outcome") == 0;
}

static void take_up(client_t *self)
{
    past_t *past, *next;
    history_read(self->options->directory, self->options->name, remember, self);
    HASH_ITER (hh, self->past, past, next) {
        plan_t plan;
        if (!plan_read(past->id, &plan))
            continue;
        if (!past->confirmed)
            add_errand(self, FIRST, past->id, 0);
        else if (plan.kind == PLAN_CANCEL && !past->cancelled)
            add_errand(self, CANCEL, past->id, 0);
        if (past->confirmed && plan.wait && !past->outcome)
            add_errand(self, WAIT, past->id, 0);
        HASH_DEL(self->past, past);
        free(past);
    }
}

static bool has_work(const client_t *self)
{
    return self->errand_count > 0 || reeve_client_unconfirmed(self->client) > 0 ||
           reeve_client_waiting(self->client) > 0;
}

int role_client(const role_options_t *options)
{
    client_t *self = mem_zalloc(sizeof *self);
    self->options = options;
    self->random = options->seed ^ (uint64_t)clock_mono_us();
    self->history = history_open(options->directory, options->name);
    self->client = reeve_client_new(&(reeve_client_options_t){.broker = options->endpoint,
                                                              .name = options->name,
                                                              .window = options->size,
                                                              .request_timeout_ms = -1});
    if (self->client == NULL) {
        perror(options->endpoint);
        return EX_USAGE;
    }
    take_up(self);
    while (!role_stopping || has_work(self)) {
        submit_new(self);
        do_due_errands(self);
        take_events(self);
    }
    reeve_client_destroy(&self->client);
    free(self->errands);
    free(self);
    return EX_OK;
}
