#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/sim/host.h"
#include "tests/sim/network.h"
#include "tests/sim/peers.h"

enum { LOOK_MS = 500, GOOD_WORKERS = 2 };

/* ---- the story ------------------------------------------------------------------------------ */

static void note(sim_t *self, const char *text)
{
    for (const char *c = text; *c; c++)
        self->digest = (self->digest ^ (uint8_t)*c) * 0x100000001b3u;
    if (self->telling)
        printf("%10.3f  %s\n", (double)self->now_ms / 1000, text);
}

void sim_tell(sim_t *self, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    note(self, text);
}

void sim_tell_message(sim_t *self, const char *who, const char *verb, const message_t *message)
{
    char words[4096], text[4200];
    if (!self->telling) {
        self->digest = message_digest(message, self->digest);
        return;
    }
    snprintf(text, sizeof text, "%-14s %s %s", who, verb,
             message_words(message, words, sizeof words));
    note(self, text);
}

void sim_break(sim_t *self, const char *rule, const char *what)
{
    fflush(stdout);
    fprintf(stderr,
            "seed %llu: rule '%s' broken at %.3f s: %s\n  replay: reeve-sim --seed %llu --story\n",
            (unsigned long long)self->plan.seed, rule, (double)self->now_ms / 1000, what,
            (unsigned long long)self->plan.seed);
    _exit(1);
}

static void broken(void *arg, const char *rule, const char *what)
{
    sim_break(arg, rule, what);
}

/* ---- time and chance ------------------------------------------------------------------------ */

int64_t sim_wall_ms(const sim_t *self)
{
    return self->now_ms + self->wall_ahead_ms;
}

void sim_after(sim_t *self, int64_t in_ms, happening_fn run, void *who, uint64_t tag)
{
    timeline_at(&self->timeline, self->now_ms + in_ms, run, who, tag);
}

bool sim_fault(sim_t *self, unsigned permille)
{
    bool happens = dice_chance(&self->dice, permille);
    return happens && !self->healed;
}

static void run_until(sim_t *self, int64_t until_ms)
{
    while (self->timeline.count && self->timeline.heap[0].at_ms <= until_ms) {
        happening_t next;
        timeline_next(&self->timeline, &next);
        self->now_ms = next.at_ms;
        next.run(next.who, next.tag);
    }
    self->now_ms = until_ms;
}

/* ---- what befalls the broker ---------------------------------------------------------------- */

static void arrange(sim_t *self, int64_t mean_ms, happening_fn run)
{
    if (mean_ms && !self->healed)
        sim_after(self, dice_between(&self->dice, 1, 2 * mean_ms), run, self, 0);
}

static void kill_broker(void *who, uint64_t tag)
{
    sim_t *self = who;
    (void)tag;
    if (self->healed)
        return;
    host_kill(self->host);
    arrange(self, self->plan.crash_ms, kill_broker);
}

static void drain_broker(void *who, uint64_t tag)
{
    sim_t *self = who;
    (void)tag;
    if (self->healed)
        return;
    host_drain(self->host);
    arrange(self, self->plan.drain_ms, drain_broker);
}

static void jump_clock(void *who, uint64_t tag)
{
    sim_t *self = who;
    (void)tag;
    if (self->healed)
        return;
    int64_t by_ms = dice_between(&self->dice, -self->plan.jump_max_ms, self->plan.jump_max_ms);
    self->wall_ahead_ms += by_ms;
    sim_tell(self, "the wall clock jumps by %lld ms", (long long)by_ms);
    arrange(self, self->plan.jump_ms, jump_clock);
}

static void turn_disk(void *who, uint64_t low)
{
    sim_t *self = who;
    if (self->healed)
        return;
    sim_tell(self, low ? "the disk is nearly full" : "the disk has room again");
    host_set_disk_low(self->host, low);
    sim_after(self, dice_between(&self->dice, 1, low ? 5000 : 2 * self->plan.disk_low_ms),
              turn_disk, self, !low);
}

static void arrange_faults(sim_t *self)
{
    arrange(self, self->plan.crash_ms, kill_broker);
    arrange(self, self->plan.drain_ms, drain_broker);
    arrange(self, self->plan.jump_ms, jump_clock);
    if (self->plan.disk_low_ms)
        sim_after(self, dice_between(&self->dice, 1, self->plan.disk_low_ms), turn_disk, self, 1);
}

/* ---- a life --------------------------------------------------------------------------------- */

static void add_client(sim_t *self, protocol_t protocol)
{
    self->clients = mem_realloc(self->clients, (self->client_count + 1) * sizeof(client_t *));
    client_t *client = client_new(self, (unsigned)self->client_count, protocol);
    self->clients[self->client_count++] = client;
}

static void add_worker(sim_t *self, protocol_t protocol)
{
    self->workers = mem_realloc(self->workers, (self->worker_count + 1) * sizeof(worker_t *));
    worker_t *worker = worker_new(self, (unsigned)self->worker_count, protocol);
    self->workers[self->worker_count++] = worker;
}

static protocol_t majordomo(sim_t *self)
{
    return dice_chance(&self->dice, 500) ? SPEAKS_MDP01 : SPEAKS_MDP02;
}

static void begin(sim_t *self, uint64_t seed)
{
    char words[1024];
    self->plan = plan_draw(seed);
    self->dice = dice_new(seed ^ 0x5157u);
    self->digest = 0xcbf29ce484222325u;
    self->now_ms = 1000;
    self->wall_ahead_ms = 1800000000000;
    sim_tell(self, "%s", "");
    note(self, plan_words(&self->plan, words, sizeof words));
    self->oracle = oracle_new(&self->plan, broken, self);
    self->network = network_new(self);
    self->host = host_new(self);
    host_start(self->host);
    for (unsigned i = 0; i < self->plan.clients; i++)
        add_client(self, SPEAKS_REEVE);
    for (unsigned i = 0; i < self->plan.mdp_clients; i++)
        add_client(self, majordomo(self));
    for (unsigned i = 0; i < self->plan.workers; i++)
        add_worker(self, SPEAKS_REEVE);
    for (unsigned i = 0; i < self->plan.mdp_workers; i++)
        add_worker(self, majordomo(self));
    arrange_faults(self);
}

static void heal(sim_t *self)
{
    sim_tell(self, "all is healed");
    self->healed = true;
    self->timeline.order++;
    network_cut_all(self->network);
    host_set_disk_low(self->host, false);
    for (size_t i = 0; i < self->worker_count; i++)
        worker_heal(self->workers[i]);
    for (size_t i = 0; i < self->client_count; i++)
        client_heal(self->clients[i]);
    for (int i = 0; i < GOOD_WORKERS; i++) {
        add_worker(self, SPEAKS_REEVE);
        worker_heal(self->workers[self->worker_count - 1]);
    }
}

static const client_t *unsatisfied_client(const sim_t *self)
{
    for (size_t i = 0; i < self->client_count; i++)
        if (!client_is_done(self->clients[i]))
            return self->clients[i];
    return NULL;
}

/*  Progress: every request is answered and every task ended before patience does. */
static void demand_progress(sim_t *self)
{
    int64_t until_ms = self->now_ms + plan_patience_ms(&self->plan);
    while (unsatisfied_client(self) || !host_is_quiet(self->host) ||
           host_unfinished(self->host) > 0) {
        if (self->now_ms >= until_ms) {
            char words[4096] = "tasks that do not end";
            const client_t *client = unsatisfied_client(self);
            if (client)
                client_wish(client, words, sizeof words);
            host_demand_the_end(self->host);
            sim_break(self, "progress", words);
        }
        run_until(self, self->now_ms + LOOK_MS);
    }
    host_demand_the_end(self->host);
}

/*  What is still on the way is let go. */
static void end(sim_t *self)
{
    self->over = true;
    host_stop(self->host);
    for (happening_t next; timeline_next(&self->timeline, &next);)
        next.run(next.who, next.tag);
    timeline_fini(&self->timeline);
    for (size_t i = 0; i < self->client_count; i++)
        client_destroy(&self->clients[i]);
    for (size_t i = 0; i < self->worker_count; i++)
        worker_destroy(&self->workers[i]);
    free(self->clients);
    free(self->workers);
    host_destroy(&self->host);
    network_destroy(&self->network);
    oracle_destroy(&self->oracle);
}

sim_counts_t sim_play(uint64_t seed, bool telling, void (*stepped)(uint64_t, void *), void *arg)
{
    sim_t self = {.telling = telling, .stepped = stepped, .stepped_arg = arg};
    begin(&self, seed);
    run_until(&self, self.now_ms + self.plan.faulty_ms);
    heal(&self);
    demand_progress(&self);
    self.counts.ended = oracle_tasks(self.oracle);
    self.counts.simulated_ms = (uint64_t)self.now_ms;
    end(&self);
    return self.counts;
}
