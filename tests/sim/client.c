/*  A client: submits its tasks, repeats what is not answered, and does to tasks what clients may. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/network.h"
#include "tests/sim/peers.h"

enum {
    REPEAT_MS = 5000,
    OPEN_MAX =
        500, /* who waits for so many answers asks nothing new, or repeating outruns answering */
};

/*  Something asked and not answered for good. */
typedef struct request {
    message_t message;
    int64_t sent_ms;  /* INT64_MAX: nothing to repeat, only the outcome is awaited */
    int64_t again_ms; /* refused for now: ask again then */
    bool awaits_outcome;
} request_t;

struct client {
    sim_t *sim;
    unsigned number;
    protocol_t protocol;
    link_t *link;
    unsigned links, submitted;
    uint64_t corr, epoch;
    int64_t heard_ms, next_ms, beat_ms;
    bool estranged; /* at the next WELCOME all is sent again (chapter 9, rule 5) */
    request_t **requests;
    size_t request_count;
};

static void receive(void *owner, const message_t *message);

static void post(client_t *self, message_t message)
{
    message.protocol = self->protocol;
    link_send(self->link, &message);
}

static void connect_anew(client_t *self)
{
    char name[24];
    link_close(self->link);
    snprintf(name, sizeof name, "client%u.%u", self->number, ++self->links);
    self->link = link_open(self->sim, name, self, receive);
    self->heard_ms = self->sim->now_ms;
    self->estranged = true;
    if (self->protocol == SPEAKS_REEVE)
        post(self, (message_t){.kind = MSG_HELLO});
}

/* ---- requests ------------------------------------------------------------------------------- */

static void repeat(client_t *self, request_t *request)
{
    request->sent_ms = self->sim->now_ms;
    request->again_ms = INT64_MAX;
    post(self, request->message);
}

static void ask(client_t *self, message_t message)
{
    if (self->protocol != SPEAKS_REEVE) { /* never answered, never repeated */
        post(self, message);
        return;
    }
    request_t *request = mem_zalloc(sizeof *request);
    request->message = message;
    request->message.corr = ++self->corr;
    request->awaits_outcome = message.wait || message.kind == MSG_WAIT;
    self->requests = mem_realloc(self->requests, (self->request_count + 1) * sizeof(request_t *));
    self->requests[self->request_count++] = request;
    repeat(self, request);
}

static request_t **find_request(client_t *self, uint64_t corr)
{
    for (size_t i = 0; i < self->request_count; i++)
        if (self->requests[i]->message.corr == corr)
            return &self->requests[i];
    return NULL;
}

static void drop(client_t *self, request_t **request)
{
    free(*request);
    *request = self->requests[--self->request_count];
}

static void repeat_all(client_t *self)
{
    for (size_t i = 0; i < self->request_count; i++)
        repeat(self, self->requests[i]);
}

/* ---- hearing -------------------------------------------------------------------------------- */

static void take_answer(client_t *self, const message_t *message)
{
    request_t **found = find_request(self, message->corr);
    if (found == NULL)
        return;
    request_t *request = *found;
    if (message->kind == MSG_ERROR && message->retry_after_ms) {
        request->again_ms =
            self->sim->now_ms + message->retry_after_ms + dice_between(&self->sim->dice, 0, 500);
        request->sent_ms = INT64_MAX;
    } else if (message->kind == MSG_CONFIRM && request->awaits_outcome) {
        request->sent_ms = INT64_MAX;
    } else if (!message->partial) {
        drop(self, found);
    }
}

static void receive(void *owner, const message_t *message)
{
    client_t *self = owner;
    sim_t *sim = self->sim;
    self->heard_ms = sim->now_ms;
    switch (message->kind) {
    case MSG_WELCOME:
        if (message->epoch != self->epoch || self->estranged)
            repeat_all(self);
        self->epoch = message->epoch;
        self->estranged = false;
        break;
    case MSG_ERROR:
        if (message->corr == 0) {
            self->estranged = true;
            post(self, (message_t){.kind = MSG_HELLO});
        } else {
            take_answer(self, message);
        }
        break;
    case MSG_CONFIRM:
    case MSG_OUTCOME:
    case MSG_DONE:
        take_answer(self, message);
        break;
    default:
        break;
    }
}

/* ---- doing ---------------------------------------------------------------------------------- */

/*  The content of a client's n-th task, the same whenever it is submitted. */
static message_t task_message(const client_t *self, unsigned n)
{
    const plan_t *plan = &self->sim->plan;
    dice_t dice = dice_new(plan->seed * 1000003u + self->number * 1009u + n);
    message_t message = {.kind = MSG_SUBMIT, .content = {.max_retries = -1, .name = "work"}};
    snprintf(message.id, sizeof message.id, "c%u-%u", self->number, n);
    memcpy(message.content.queue, plan->queues[dice_below(&dice, plan->queue_count)].name, 8);
    snprintf(message.content.body, sizeof message.content.body, "%s %u:%u %.*s",
             dice_chance(&dice, plan->poison) ? "poison" : "body", self->number, n,
             (int)dice_between(&dice, 0, 20), "....................");
    if (self->protocol != SPEAKS_REEVE) {
        message.id[0] = '\0';
        memcpy(message.content.name, message.content.queue, 8);
        return message;
    }
    if (dice_chance(&dice, 200))
        message.content.priority = (unsigned)dice_between(&dice, 0, 9);
    if (dice_chance(&dice, 200))
        message.content.max_retries = (int)dice_between(&dice, 0, 3);
    if (dice_chance(&dice, 150))
        message.content.timeout_ms = dice_between(&dice, 500, 8000);
    if (dice_chance(&dice, 100))
        message.backoff_ms = dice_between(&dice, 1, 2000);
    message.wait = dice_chance(&dice, plan->waits);
    return message;
}

static void submit(client_t *self, unsigned n)
{
    sim_t *sim = self->sim;
    const plan_t *plan = &sim->plan;
    message_t message = task_message(self, n);
    if (self->protocol == SPEAKS_REEVE) {
        if (dice_chance(&sim->dice, plan->delays))
            message.delay_ms = dice_between(&sim->dice, 1, 20000);
        else if (dice_chance(&sim->dice, plan->delays / 2))
            message.run_at_ms = sim_wall_ms(sim) + dice_between(&sim->dice, -5000, 20000);
        if (dice_chance(&sim->dice, plan->expiries))
            message.expires_ms = sim_wall_ms(sim) + dice_between(&sim->dice, -1000, 15000);
        if (sim_fault(sim, plan->changed_repeats))
            snprintf(message.content.body, sizeof message.content.body, "other %u",
                     (unsigned)dice_below(&sim->dice, 3));
    }
    ask(self, message);
}

/*  One of the tasks submitted so far, of any client. */
static void pick_id(client_t *self, char *id, size_t size)
{
    sim_t *sim = self->sim;
    const client_t *whose = sim->clients[dice_below(&sim->dice, sim->client_count)];
    uint64_t n = dice_below(&sim->dice, whose->submitted + 1);
    if (dice_chance(&sim->dice, sim->plan.strange_ids))
        snprintf(id, size, "never%llu", (unsigned long long)n);
    else
        snprintf(id, size, "c%u-%llu", whose->number, (unsigned long long)n);
}

static void ask_about(client_t *self, message_kind_t kind)
{
    message_t message = {.kind = kind};
    pick_id(self, message.id, sizeof message.id);
    ask(self, message);
}

/*  Redrives or purges one dead letter, those of a queue, or all. */
static void ask_dead(client_t *self, message_kind_t kind)
{
    sim_t *sim = self->sim;
    message_t message = {.kind = kind};
    uint64_t which = dice_below(&sim->dice, 3);
    if (which == 0)
        pick_id(self, message.id, sizeof message.id);
    else if (which == 1)
        memcpy(message.queues[0],
               sim->plan.queues[dice_below(&sim->dice, sim->plan.queue_count)].name, 8);
    ask(self, message);
}

static void act(client_t *self)
{
    sim_t *sim = self->sim;
    const plan_t *plan = &sim->plan;
    if (self->submitted < plan->tasks)
        submit(self, self->submitted++);
    if (self->protocol != SPEAKS_REEVE || sim->healed || self->request_count >= OPEN_MAX)
        return;
    if (sim_fault(sim, plan->repeats) && self->submitted)
        submit(self, (unsigned)dice_below(&sim->dice, self->submitted));
    if (dice_chance(&sim->dice, plan->waits / 2))
        ask_about(self, MSG_WAIT);
    if (dice_chance(&sim->dice, plan->cancels))
        ask_about(self, MSG_CANCEL);
    if (dice_chance(&sim->dice, plan->forgets))
        ask_about(self, MSG_FORGET);
    if (dice_chance(&sim->dice, plan->redrives))
        ask_dead(self, MSG_REDRIVE);
    if (dice_chance(&sim->dice, plan->purges))
        ask_dead(self, MSG_PURGE);
}

/* ---- time ----------------------------------------------------------------------------------- */

static void repeat_what_is_due(client_t *self)
{
    int64_t now_ms = self->sim->now_ms;
    for (size_t i = 0; i < self->request_count; i++) {
        request_t *request = self->requests[i];
        bool unanswered = request->sent_ms != INT64_MAX && request->message.kind != MSG_WAIT &&
                          now_ms - request->sent_ms >= REPEAT_MS;
        if (unanswered || now_ms >= request->again_ms)
            repeat(self, request);
    }
}

/*  Chapter 9: speaks while it waits for something, asks when it hears nothing, and comes back. */
static void stay_in_touch(client_t *self)
{
    const plan_t *plan = &self->sim->plan;
    int64_t silence_ms = self->sim->now_ms - self->heard_ms;
    if (self->sim->now_ms < self->beat_ms)
        return;
    self->beat_ms = self->sim->now_ms + plan->heartbeat_ms;
    if (self->request_count == 0) {
        self->heard_ms = self->sim->now_ms;
    } else if (silence_ms >= plan->liveness_ms) {
        connect_anew(self);
    } else if (silence_ms >= 2 * plan->heartbeat_ms) {
        post(self, (message_t){.kind = MSG_HELLO});
    } else {
        post(self, (message_t){.kind = MSG_HEARTBEAT});
    }
}

static void live(void *who, uint64_t tag)
{
    client_t *self = who;
    sim_t *sim = self->sim;
    (void)tag;
    if (sim->over)
        return;
    if (self->protocol == SPEAKS_REEVE) {
        repeat_what_is_due(self);
        stay_in_touch(self);
        if (sim_fault(sim, sim->plan.deaf / 4))
            self->link->deaf = true;
    }
    if (sim->now_ms >= self->next_ms) {
        act(self);
        self->next_ms = sim->now_ms + dice_between(&sim->dice, 0, sim->plan.think_ms);
    }
    int64_t in_ms = self->next_ms - sim->now_ms;
    if (in_ms > sim->plan.heartbeat_ms || (sim->healed && self->submitted >= sim->plan.tasks))
        in_ms = sim->plan.heartbeat_ms;
    sim_after(sim, in_ms < 1 ? 1 : in_ms, live, self, 0);
}

client_t *client_new(sim_t *sim, unsigned number, protocol_t protocol)
{
    client_t *self = mem_zalloc(sizeof *self);
    self->sim = sim;
    self->number = number;
    self->protocol = protocol;
    connect_anew(self);
    sim_after(sim, dice_between(&sim->dice, 0, 1000), live, self, 0);
    return self;
}

void client_destroy(client_t **self_p)
{
    client_t *self = *self_p;
    for (size_t i = 0; i < self->request_count; i++)
        free(self->requests[i]);
    free(self->requests);
    free(self);
    *self_p = NULL;
}

/*  Messages that the network swallowed without a break would be missed for ever: a new connection. */
void client_heal(client_t *self)
{
    connect_anew(self);
}

bool client_is_done(const client_t *self)
{
    return self->request_count == 0 && self->submitted >= self->sim->plan.tasks;
}

const char *client_wish(const client_t *self, char *text, size_t size)
{
    text[0] = '\0';
    if (self->request_count)
        message_words(&self->requests[0]->message, text, size);
    return text;
}
