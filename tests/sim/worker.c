/*  A worker: takes deliveries, works for a while, settles; or crashes, hangs, comes back as a zombie,
    forgets, lies, or stops reading, as the plan has it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/network.h"
#include "tests/sim/peers.h"

enum { JOBS_MAX = 24, PREFETCH_MAX = 8, REPEAT_MS = 5000 };

typedef struct work {
    char token[TOKEN_SIZE];
    int64_t since_ms, end_ms; /* INT64_MAX: never, it hangs */
    uint64_t corr;            /* 0: not settled yet */
    int64_t sent_ms;
    message_t settlement; /* as it will be sent, until it is answered */
} work_t;

struct worker {
    sim_t *sim;
    unsigned number, lives, links;
    protocol_t protocol;
    char name[24];
    unsigned prefetch;
    char queues[QUEUES_MAX][8];
    unsigned queue_count;
    link_t *link;
    bool down, ready, draining;
    int64_t frozen_until_ms; /* reads and says nothing until then */
    uint64_t corr, epoch;
    int64_t heard_ms, up_ms;
    work_t works[JOBS_MAX];
    size_t work_count;
    message_t *kept; /* arrived while frozen */
    size_t kept_count;
};

static void receive(void *owner, const message_t *message);

static void post(worker_t *self, message_t message)
{
    message.protocol = self->protocol;
    link_send(self->link, &message);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void list_held(const worker_t *self, message_t *message)
{
    for (size_t i = 0; i < self->work_count; i++) {
        const work_t *work = &self->works[i];
        held_token_t *held = &message->held[message->held_count++];
        memcpy(held->token, work->token, TOKEN_SIZE);
        held->running_ms = self->sim->now_ms - work->since_ms;
    }
}

static void say_ready(worker_t *self)
{
    message_t message = {.kind = MSG_READY, .prefetch = self->prefetch};
    memcpy(message.name, self->name, sizeof message.name);
    memcpy(message.queues, self->queues, sizeof message.queues);
    message.queue_count = self->queue_count;
    if (!sim_fault(self->sim, self->sim->plan.forgetful))
        list_held(self, &message);
    self->ready = true;
    self->draining = false;
    post(self, message);
}

static void connect_anew(worker_t *self)
{
    char name[32];
    link_close(self->link);
    snprintf(name, sizeof name, "%s.%u", self->name, ++self->links);
    self->link = link_open(self->sim, name, self, receive);
    self->heard_ms = self->sim->now_ms;
    self->ready = false;
    if (self->protocol == SPEAKS_REEVE)
        post(self, (message_t){.kind = MSG_HELLO});
    else
        say_ready(self);
}

static void settle(worker_t *self, work_t *work)
{
    if (work->corr == 0)
        work->corr = ++self->corr;
    work->sent_ms = self->sim->now_ms;
    work->settlement.corr = work->corr;
    post(self, work->settlement);
}

static void settle_again(worker_t *self)
{
    for (size_t i = 0; i < self->work_count; i++)
        if (self->works[i].corr)
            settle(self, &self->works[i]);
}

static void forget(worker_t *self, work_t *work)
{
    *work = self->works[--self->work_count];
}

static work_t *find_work(worker_t *self, const char *token)
{
    for (size_t i = 0; i < self->work_count; i++)
        if (strcmp(self->works[i].token, token) == 0)
            return &self->works[i];
    return NULL;
}

static work_t *find_settled(worker_t *self, uint64_t corr)
{
    for (size_t i = 0; corr && i < self->work_count; i++)
        if (self->works[i].corr == corr)
            return &self->works[i];
    return NULL;
}

/*  The process dies with all it held, and is started again after a while. */
static void crash(worker_t *self)
{
    sim_t *sim = self->sim;
    sim_tell(sim, "%s crashes", self->name);
    link_close(self->link);
    self->down = true;
    self->work_count = self->kept_count = 0;
    self->up_ms = sim->now_ms + dice_between(&sim->dice, 0, 2 * sim->plan.liveness_ms);
}

static void start(worker_t *self)
{
    sim_t *sim = self->sim;
    self->down = false;
    if (self->lives++ == 0 || dice_chance(&sim->dice, 700))
        snprintf(self->name, sizeof self->name, "worker%u-%u", self->number, self->lives);
    connect_anew(self);
}

static bool is_frozen(const worker_t *self)
{
    return self->sim->now_ms < self->frozen_until_ms;
}

/* ---- working -------------------------------------------------------------------------------- */

/*  How this attempt will end, decided as it begins. */
static void decide(worker_t *self, work_t *work, const message_t *delivery)
{
    sim_t *sim = self->sim;
    const plan_t *plan = &sim->plan;
    message_t *end = &work->settlement;
    *end = (message_t){.kind = MSG_SETTLE, .word = SAYS_SUCCESS};
    memcpy(end->token, work->token, TOKEN_SIZE);
    snprintf(end->result, sizeof end->result, "%.20s#%u by %.10s", delivery->id, delivery->attempt,
             self->name);
    work->end_ms = work->since_ms + dice_between(&sim->dice, 0, plan->work_max_ms);
    if (sim_fault(sim, plan->hangs))
        work->end_ms = INT64_MAX;
    if (self->protocol != SPEAKS_REEVE)
        return;
    if (delivery->timeout_ms && work->end_ms > work->since_ms + delivery->timeout_ms &&
        work->end_ms != INT64_MAX) {
        work->end_ms = work->since_ms + delivery->timeout_ms;
        end->word = SAYS_FAILURE;
        strcpy(end->reason, "timeout");
    } else if (!sim->healed && dice_chance(&sim->dice, plan->failures)) {
        end->word = SAYS_FAILURE;
        strcpy(end->reason, "exit_1");
    } else if (!sim->healed && dice_chance(&sim->dice, plan->rejects)) {
        end->word = SAYS_REJECT;
        strcpy(end->reason, "rejected");
    } else if (!sim->healed && dice_chance(&sim->dice, plan->releases)) {
        end->word = SAYS_RELEASE;
    }
    if (end->word != SAYS_SUCCESS)
        end->result[0] = '\0';
}

static void finish_what_is_over(worker_t *self);

static void work_over(void *who, uint64_t tag)
{
    worker_t *self = who;
    (void)tag;
    if (!self->down && !is_frozen(self) && !self->sim->over)
        finish_what_is_over(self);
}

static void leak(sim_t *sim, const char *token)
{
    memcpy(sim->leaked[dice_below(&sim->dice, 16)], token, TOKEN_SIZE);
    if (sim->leaked_count < 16)
        sim->leaked_count++;
}

static void take_delivery(worker_t *self, const message_t *message)
{
    sim_t *sim = self->sim;
    leak(sim, message->token);
    if (strncmp(message->content.body, "poison", 6) == 0 && !sim->healed) {
        crash(self);
        return;
    }
    if (self->work_count == JOBS_MAX || find_work(self, message->token))
        return;
    work_t *work = &self->works[self->work_count++];
    *work = (work_t){.since_ms = sim->now_ms};
    memcpy(work->token, message->token, TOKEN_SIZE);
    decide(self, work, message);
    if (work->end_ms != INT64_MAX)
        timeline_at(&sim->timeline, work->end_ms, work_over, self, 0);
    if (sim_fault(sim, sim->plan.crashes / 4))
        crash(self);
    else if (sim_fault(sim, sim->plan.hangs / 4))
        self->frozen_until_ms =
            sim->now_ms + dice_between(&sim->dice, 0, 3 * sim->plan.liveness_ms);
}

static void finish_what_is_over(worker_t *self)
{
    for (size_t i = 0; i < self->work_count;) {
        work_t *work = &self->works[i];
        bool over = work->corr == 0 && self->sim->now_ms >= work->end_ms;
        bool repeat = work->corr && self->sim->now_ms - work->sent_ms >= REPEAT_MS;
        if (over || repeat)
            settle(self, work);
        if (over && self->protocol != SPEAKS_REEVE)
            forget(self, work); /* Majordomo has no answer to a reply */
        else
            i++;
    }
}

/* ---- hearing -------------------------------------------------------------------------------- */

/*  The broker does not know this worker (any more). */
static bool is_estrangement(const message_t *message)
{
    return message->kind == MSG_ERROR && message->corr == 0 &&
           message->error == REEVE_ERR_NOT_READY;
}

static void take_reeve(worker_t *self, const message_t *message)
{
    work_t *work;
    if (is_estrangement(message)) {
        self->ready = false;
        post(self, (message_t){.kind = MSG_HELLO});
        return;
    }
    switch (message->kind) {
    case MSG_WELCOME:
        if (!self->ready || message->epoch != self->epoch) {
            say_ready(self);
            settle_again(self);
        }
        self->epoch = message->epoch;
        break;
    case MSG_ERROR:
    case MSG_SETTLED:
        if ((work = find_settled(self, message->corr)) != NULL)
            forget(self, work);
        break;
    case MSG_REVOKE:
        if ((work = find_work(self, message->token)) != NULL)
            forget(self, work);
        break;
    case MSG_DELIVER:
        take_delivery(self, message);
        break;
    default:
        break;
    }
}

static void take_mdp(worker_t *self, const message_t *message)
{
    if (message->kind == MSG_DELIVER)
        take_delivery(self, message);
    else if (message->kind == MSG_BYE) {
        for (size_t i = self->work_count; i-- > 0;)
            if (self->works[i].end_ms == INT64_MAX)
                forget(self, &self->works[i]);
        connect_anew(self);
    }
}

static void take(worker_t *self, const message_t *message)
{
    self->heard_ms = self->sim->now_ms;
    if (self->protocol == SPEAKS_REEVE)
        take_reeve(self, message);
    else
        take_mdp(self, message);
}

static void receive(void *owner, const message_t *message)
{
    worker_t *self = owner;
    if (self->down)
        return;
    if (!is_frozen(self)) {
        take(self, message);
        return;
    }
    self->kept = mem_realloc(self->kept, (self->kept_count + 1) * sizeof *self->kept);
    self->kept[self->kept_count++] = *message;
}

/*  A process that was stopped for a while reads all that came meanwhile. */
static void thaw(worker_t *self)
{
    for (size_t i = 0; i < self->kept_count && !self->down; i++)
        take(self, &self->kept[i]);
    self->kept_count = 0;
}

/* ---- mischief ------------------------------------------------------------------------------- */

/*  Says something it has no right to: about another's attempt, or a made-up one, or as another. */
static void lie(worker_t *self)
{
    sim_t *sim = self->sim;
    message_t message = {.kind = MSG_SETTLE, .corr = ++self->corr, .word = SAYS_SUCCESS};
    strcpy(message.result, "a lie");
    if (sim->leaked_count)
        memcpy(message.token, sim->leaked[dice_below(&sim->dice, sim->leaked_count)], TOKEN_SIZE);
    uint64_t which = dice_below(&sim->dice, 6);
    if (which == 0 && strchr(message.token, '.')) {
        char *dot = strchr(message.token, '.');
        dot[1] = dot[1] == '9' ? '1' : '9'; /* another attempt, with the MAC of this one */
    } else if (which == 1) {
        message.word = (word_t)dice_between(&sim->dice, SAYS_FAILURE, SAYS_RELEASE);
        message.result[0] = '\0';
    } else if (which == 2 && self->protocol == SPEAKS_REEVE) {
        message.kind = MSG_EXTEND;
        message.timeout_ms = dice_between(&sim->dice, 1, 60000);
    } else if (which == 3 && self->protocol != SPEAKS_MDP01) {
        message.kind = MSG_PROGRESS;
    } else if (which == 4 && self->protocol == SPEAKS_REEVE) {
        message.kind = MSG_HEARTBEAT;
        memcpy(message.held[0].token, message.token, TOKEN_SIZE);
        message.held_count = 1;
    } else if (which == 5 && self->protocol == SPEAKS_REEVE && sim->worker_count) {
        const worker_t *other = sim->workers[dice_below(&sim->dice, sim->worker_count)];
        message.kind = MSG_READY;
        memcpy(message.name, other->name, sizeof message.name);
        memcpy(message.queues, self->queues, sizeof message.queues);
        message.queue_count = self->queue_count;
        message.prefetch = self->prefetch;
        link_cut(self->link);
    }
    post(self, message);
}

static void be_honest_but_busy(worker_t *self)
{
    sim_t *sim = self->sim;
    if (self->work_count == 0 || sim->healed)
        return;
    const work_t *work = &self->works[dice_below(&sim->dice, self->work_count)];
    message_t message = {.kind = MSG_PROGRESS};
    memcpy(message.token, work->token, TOKEN_SIZE);
    snprintf(message.result, sizeof message.result, "part of %.20s", work->token);
    if (dice_chance(&sim->dice, sim->plan.progress) && self->protocol != SPEAKS_MDP01)
        post(self, message);
    message.kind = MSG_EXTEND;
    message.timeout_ms = dice_between(&sim->dice, 1000, 20000);
    if (dice_chance(&sim->dice, sim->plan.extends) && self->protocol == SPEAKS_REEVE)
        post(self, message);
}

/*  Drains, or leaves in good order and comes back. */
static void come_and_go(worker_t *self)
{
    sim_t *sim = self->sim;
    if (!self->ready || self->protocol != SPEAKS_REEVE || !dice_chance(&sim->dice, 15))
        return;
    if (self->draining) {
        post(self, (message_t){.kind = MSG_GOODBYE});
        self->work_count = 0;
        connect_anew(self);
    } else {
        self->draining = true;
        self->prefetch = (unsigned)dice_between(&sim->dice, 0, PREFETCH_MAX);
        post(self, (message_t){.kind = MSG_PREFETCH, .prefetch = self->prefetch});
    }
}

static void be_sick(worker_t *self)
{
    sim_t *sim = self->sim;
    if (sim_fault(sim, sim->plan.lies / 2))
        lie(self);
    if (sim_fault(sim, sim->plan.crashes / 8))
        crash(self);
    else if (sim_fault(sim, sim->plan.hangs / 8))
        self->frozen_until_ms =
            sim->now_ms + dice_between(&sim->dice, 0, 4 * sim->plan.liveness_ms);
    else if (sim_fault(sim, sim->plan.deaf / 8))
        self->link->deaf = true;
    else if (sim_fault(sim, sim->plan.cut))
        connect_anew(self);
}

/* ---- time ----------------------------------------------------------------------------------- */

static void beat(worker_t *self)
{
    message_t message = {.kind = MSG_HEARTBEAT};
    if (self->protocol == SPEAKS_REEVE)
        list_held(self, &message);
    else if (self->work_count)
        return; /* as most Majordomo workers: silent while busy */
    post(self, message);
}

/*  Every heartbeat, and whenever a job ends: speak, repeat, come back after silence. */
static void live(void *who, uint64_t tag)
{
    worker_t *self = who;
    sim_t *sim = self->sim;
    (void)tag;
    if (sim->over)
        return;
    if (self->down && sim->now_ms >= self->up_ms)
        start(self);
    if (!self->down && !is_frozen(self)) {
        thaw(self);
        if (!self->down) {
            finish_what_is_over(self);
            be_honest_but_busy(self);
            if (sim->now_ms - self->heard_ms >= sim->plan.liveness_ms)
                connect_anew(self);
            else if (self->ready)
                beat(self);
            come_and_go(self);
            be_sick(self);
        }
    }
    sim_after(sim, sim->plan.heartbeat_ms - dice_between(&sim->dice, 0, 100), live, self, 0);
}

/*  A prefetch that keeps what is held within HELD_MAX, settlements that wait included. */
worker_t *worker_new(sim_t *sim, unsigned number, protocol_t protocol)
{
    worker_t *self = mem_zalloc(sizeof *self);
    self->sim = sim;
    self->number = number;
    self->protocol = protocol;
    self->prefetch = (unsigned)dice_between(&sim->dice, 1, PREFETCH_MAX);
    unsigned first = (unsigned)dice_below(&sim->dice, sim->plan.queue_count);
    self->queue_count =
        protocol == SPEAKS_REEVE ? (unsigned)dice_between(&sim->dice, 1, sim->plan.queue_count) : 1;
    for (unsigned i = 0; i < self->queue_count; i++)
        memcpy(self->queues[i], sim->plan.queues[(first + i) % sim->plan.queue_count].name, 8);
    start(self);
    sim_after(sim, dice_between(&sim->dice, 1, 500), live, self, 0);
    return self;
}

void worker_destroy(worker_t **self_p)
{
    free((*self_p)->kept);
    free(*self_p);
    *self_p = NULL;
}

/*  The process is replaced by one that works, for all queues. */
void worker_heal(worker_t *self)
{
    sim_t *sim = self->sim;
    self->work_count = self->kept_count = 0;
    self->frozen_until_ms = 0;
    if (self->protocol == SPEAKS_REEVE) {
        self->queue_count = sim->plan.queue_count;
        self->prefetch = PREFETCH_MAX;
        for (unsigned i = 0; i < self->queue_count; i++)
            memcpy(self->queues[i], sim->plan.queues[i].name, 8);
    }
    start(self);
}
