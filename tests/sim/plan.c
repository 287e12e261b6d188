#include "tests/sim/plan.h"

#include <stdio.h>
#include <string.h>

/*  A fault of this seed: with a chance of one half it does not exist, else its rate is drawn. */
static unsigned maybe(dice_t *dice, bool calm, int64_t low, int64_t high)
{
    bool there = dice_chance(dice, 500);
    unsigned rate = (unsigned)dice_between(dice, low, high);
    return there && !calm ? rate : 0;
}

static void draw_queues(plan_t *self, dice_t *dice)
{
    self->queue_count = (unsigned)dice_between(dice, 1, QUEUES_MAX);
    for (unsigned i = 0; i < self->queue_count; i++) {
        queue_plan_t *queue = &self->queues[i];
        memcpy(queue->name, (char[]){'q', (char)('0' + i), '\0'}, 3);
        queue->max_retries = (unsigned)dice_between(dice, 0, 4);
        queue->max_deaths = (unsigned)dice_between(dice, 1, 5);
        queue->backoff_ms = dice_between(dice, 0, 3000);
        queue->backoff_max_ms = dice_between(dice, queue->backoff_ms, 10000);
        if (dice_chance(dice, 400)) /* some end between two measures of how fast a worker is */
            queue->timeout_ms = dice_chance(dice, 250) ? dice_between(dice, 50, 1000)
                                                       : dice_between(dice, 1000, 15000);
        queue->retention_ms = dice_chance(dice, 500) ? dice_between(dice, 100, 20000) : 3600 * 1000;
        queue->max_length = dice_chance(dice, 250) ? (unsigned)dice_between(dice, 2, 15) : 0;
        queue->max_bytes = dice_chance(dice, 200) ? (unsigned)dice_between(dice, 60, 600) : 0;
        queue->in_memory = dice_chance(dice, 200);
    }
}

static void draw_peers(plan_t *self, dice_t *dice, bool calm)
{
    bool large = dice_chance(dice, 80); /* more than a window holds */
    self->clients = (unsigned)dice_between(dice, 1, 4);
    self->workers = (unsigned)dice_between(dice, 1, 5);
    self->mdp_clients = (unsigned)dice_between(dice, 0, 2) * dice_chance(dice, 500);
    self->mdp_workers = (unsigned)dice_between(dice, 0, 3) * dice_chance(dice, 500);
    self->tasks = (unsigned)dice_between(dice, 1, large ? 120 : 25);
    self->think_ms = dice_between(dice, 1, large ? 300 : 4000);
    self->work_max_ms = dice_between(dice, 5, dice_chance(dice, 300) ? 50 : 6000);

    self->waits = (unsigned)dice_between(dice, 0, 1000);
    self->repeats = maybe(dice, calm, 10, 400);
    self->changed_repeats = maybe(dice, calm, 10, 200);
    self->delays = maybe(dice, false, 50, 500);
    self->expiries = maybe(dice, false, 50, 400);
    self->cancels = maybe(dice, false, 20, 300);
    self->redrives = maybe(dice, false, 20, 300);
    self->purges = maybe(dice, false, 10, 200);
    self->forgets = maybe(dice, false, 10, 200);
    self->strange_ids = maybe(dice, false, 10, 100);

    self->failures = maybe(dice, false, 20, 600);
    self->rejects = maybe(dice, false, 10, 150);
    self->releases = maybe(dice, false, 10, 200);
    self->crashes = maybe(dice, calm, 10, 250);
    self->hangs = maybe(dice, calm, 10, 200);
    self->poison = maybe(dice, calm, 20, 200);
    self->forgetful = maybe(dice, calm, 100, 1000);
    self->lies = maybe(dice, calm, 20, 400);
    self->deaf = maybe(dice, calm, 10, 150);
    self->extends = maybe(dice, false, 20, 300);
    self->progress = maybe(dice, false, 20, 500);
}

static void draw_machine(plan_t *self, dice_t *dice, bool calm)
{
    self->delay_max_ms = dice_between(dice, 0, 40);
    self->lost = maybe(dice, calm, 1, 150);
    self->duplicated = maybe(dice, calm, 1, 200);
    self->reordered = maybe(dice, calm, 1, 200);
    self->delayed = maybe(dice, calm, 1, 100);
    self->cut = maybe(dice, calm, 1, 40);

    self->crash_ms = maybe(dice, calm, 500, 60000);
    self->drain_ms = maybe(dice, calm, 10000, 60000);
    self->jump_ms = maybe(dice, calm, 3000, 60000);
    self->disk_low_ms = maybe(dice, calm, 5000, 60000);
    self->jump_max_ms = dice_between(dice, 1, 40000);
    self->commit_max_ms = dice_between(dice, 0, 60);
    self->down_max_ms = dice_between(dice, 0, 8000);
    self->slow_commits = maybe(dice, calm, 1, 80);
    self->failing_commits = maybe(dice, calm, 1, 15);
    self->unseen_commits = maybe(dice, calm, 1, 15);
    self->false_maybes = maybe(dice, calm, 1, 1000);
    self->page = (unsigned)dice_between(dice, 1, 8);
    self->sweep_budget = (unsigned)dice_between(dice, 1, 20);
    self->heartbeat_ms = dice_between(dice, 300, 1500);
    self->liveness_ms = dice_between(dice, 3, 8) * self->heartbeat_ms;
    self->grace_ms = dice_between(dice, 500, 8000);
    self->mdp_timeout_ms = dice_between(dice, 4000, 20000);
}

plan_t plan_draw(uint64_t seed)
{
    dice_t dice = dice_new(seed);
    bool calm = dice_chance(&dice, 100);
    plan_t self = {.seed = seed, .faulty_ms = dice_between(&dice, 5000, 90000)};
    draw_queues(&self, &dice);
    draw_peers(&self, &dice, calm);
    draw_machine(&self, &dice, calm);
    return self;
}

const queue_plan_t *plan_queue(const plan_t *self, const char *name)
{
    for (unsigned i = 0; i < self->queue_count; i++)
        if (strcmp(self->queues[i].name, name) == 0)
            return &self->queues[i];
    return &self->queues[0];
}

/*  The longest a task can honestly take: its delay, every failure and every death with their pauses,
    the wait behind others, and what the clock went back. */
int64_t plan_patience_ms(const plan_t *self)
{
    int64_t tries = 4 + 5 + 2;
    int64_t each = 10000 + self->work_max_ms + 2 * self->liveness_ms + self->grace_ms + 20000;
    int64_t jumps =
        self->jump_ms ? 2 * self->jump_max_ms * (2 + self->faulty_ms / self->jump_ms) : 0;
    int64_t backlog = (int64_t)(self->clients + self->mdp_clients) * self->tasks * 4;
    return 60000 + tries * each + jumps + backlog * (self->work_max_ms + 200);
}

static size_t word(char *text, size_t size, const char *name, int64_t value)
{
    return value ? (size_t)snprintf(text, size, " %s=%lld", name, (long long)value) : 0;
}

const char *plan_words(const plan_t *self, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size,
                                 "seed %llu: %u clients of %u tasks, %u workers, %u+%u Majordomo,",
                                 (unsigned long long)self->seed, self->clients, self->tasks,
                                 self->workers, self->mdp_clients, self->mdp_workers);
    const struct {
        const char *name;
        int64_t value;
    } words[] = {
        {"lost", self->lost},
        {"duplicated", self->duplicated},
        {"reordered", self->reordered},
        {"delayed", self->delayed},
        {"cut", self->cut},
        {"crashes", self->crashes},
        {"hangs", self->hangs},
        {"poison", self->poison},
        {"forgetful", self->forgetful},
        {"lies", self->lies},
        {"deaf", self->deaf},
        {"broker-crash-ms", self->crash_ms},
        {"drain-ms", self->drain_ms},
        {"jump-ms", self->jump_ms},
        {"disk-low-ms", self->disk_low_ms},
        {"slow-commits", self->slow_commits},
        {"failing-commits", self->failing_commits},
        {"unseen-commits", self->unseen_commits},
        {"false-maybes", self->false_maybes},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        at += word(text + at, size - at, words[i].name, words[i].value);
    return text;
}
