/*  A worker on libreeve: runs what it is given side by side, and writes down what it ran, what it
    said of it, and what the broker said of that. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <utlist.h>

#include "client/selftest/history.h"
#include "client/selftest/plan.h"
#include "client/selftest/roles.h"
#include "common/clock.h"
#include "common/mem.h"

enum { TURN_MS = 50, QUEUES_MOST = 4, RUN_SIZE = 48 };

/*  An attempt that runs until it is due. */
typedef struct job {
    reeve_delivery_t *delivery;
    char id[PLAN_ID_SIZE], run[RUN_SIZE];
    uint32_t attempt;
    int64_t due_ms;
    reeve_verdict_t verdict;
    struct job *prev, *next;
} job_t;

typedef struct worker {
    const role_options_t *options;
    reeve_worker_t *worker;
    int history;
    uint64_t runs;
    job_t *running;
    bool draining;
} worker_t;

static void start(worker_t *self, reeve_delivery_t *delivery)
{
    plan_t plan;
    job_t *job = mem_zalloc(sizeof *job);
    job->delivery = delivery;
    job->attempt = reeve_delivery_attempt(delivery);
    snprintf(job->id, sizeof job->id, "%s", reeve_delivery_id(delivery));
    snprintf(job->run, sizeof job->run, "%d.%" PRIu64, getpid(), ++self->runs);
    history_write(self->history, "start", job->id, "%u %s", job->attempt, job->run);
    if (!plan_read(job->id, &plan)) {
        fprintf(stderr, "%s: not a task of the self test\n", job->id);
        exit(EX_DATAERR);
    }
    if (plan.kind == PLAN_POISON)
        kill(getpid(), SIGKILL);
    reeve_delivery_started(delivery);
    reeve_delivery_set_user(delivery, job);
    job->verdict = plan_verdict(&plan, job->attempt);
    job->due_ms = clock_mono_ms() + plan.work_ms;
    DL_APPEND(self->running, job);
}

static void settle(worker_t *self, job_t *job)
{
    char result[PLAN_ID_SIZE + RUN_SIZE + 16];
    int size = snprintf(result, sizeof result, "%s %u %s", job->id, job->attempt, job->run);
    reeve_settlement_t settlement = {.verdict = job->verdict};
    if (job->verdict == REEVE_SUCCESS) {
        settlement.result_kind = 2;
        settlement.result = result;
        settlement.result_size = (size_t)size;
    } else if (job->verdict != REEVE_RELEASE) {
        settlement.reason = "on_purpose";
        settlement.error = "the self test wants it to fail";
    }
    history_write(self->history, "end", job->id, "%u %d", job->attempt, (int)job->verdict);
    reeve_settle(self->worker, &job->delivery, &settlement);
    DL_DELETE(self->running, job);
    free(job);
}

static void forget(worker_t *self, reeve_delivery_t *delivery)
{
    job_t *job = reeve_delivery_user(delivery);
    history_write(self->history, "revoked", job->id, "%u", job->attempt);
    DL_DELETE(self->running, job);
    reeve_delivery_drop(self->worker, &delivery);
    free(job);
}

static void on_problem(void *arg, const char *task_id, reeve_error_t error, const char *text)
{
    const worker_t *self = arg;
    (void)text;
    history_write(self->history, "problem", task_id != NULL ? task_id : "-", "%s",
                  reeve_error_name(error));
}

static void on_settled(void *arg, const char *task_id, uint32_t attempt)
{
    const worker_t *self = arg;
    history_write(self->history, "settled", task_id, "%u", attempt);
}

/*  Takes no more, and gives half of what runs back. */
static void drain(worker_t *self)
{
    job_t *job, *next;
    int at = 0;
    self->draining = true;
    reeve_worker_set_prefetch(self->worker, 0);
    DL_FOREACH_SAFE (self->running, job, next) {
        if (at++ % 2 == 0)
            continue;
        job->verdict = REEVE_RELEASE;
        settle(self, job);
    }
}

static void settle_due(worker_t *self)
{
    job_t *job, *next;
    DL_FOREACH_SAFE (self->running, job, next)
        if (job->due_ms <= clock_mono_ms())
            settle(self, job);
}

static int64_t next_due_ms(const worker_t *self)
{
    const job_t *job;
    int64_t now_ms = clock_mono_ms(), wait_ms = TURN_MS;
    DL_FOREACH (self->running, job)
        if (job->due_ms - now_ms < wait_ms)
            wait_ms = job->due_ms > now_ms ? job->due_ms - now_ms : 0;
    return wait_ms;
}

static void turn(worker_t *self)
{
    reeve_delivery_t *delivery;
    bool revoked;
    if (role_stopping && !self->draining)
        drain(self);
    if (reeve_worker_poll(self->worker, next_due_ms(self), &delivery, &revoked) == 1) {
        if (revoked)
            forget(self, delivery);
        else
            start(self, delivery);
    }
    settle_due(self);
}

static bool has_work(const worker_t *self)
{
    return self->running != NULL || reeve_worker_held(self->worker) > 0 ||
           reeve_worker_unconfirmed(self->worker) > 0;
}

int role_worker(const role_options_t *options)
{
    char *names = mem_strdup(options->queues), *rest = NULL;
    const char *queues[QUEUES_MOST + 1] = {strtok_r(names, ",", &rest)};
    for (int i = 1; i < QUEUES_MOST && queues[i - 1] != NULL; i++)
        queues[i] = strtok_r(NULL, ",", &rest);
    worker_t self = {.options = options};
    self.history = history_open(options->directory, options->name);
    self.worker = reeve_worker_new(&(reeve_worker_options_t){
        .broker = options->endpoint, .queues = queues, .prefetch = options->size});
    if (self.worker == NULL) {
        perror(options->endpoint);
        return EX_USAGE;
    }
    reeve_worker_on_problem(self.worker, on_problem, &self);
    reeve_worker_on_settled(self.worker, on_settled, &self);
    while (!self.draining || has_work(&self))
        turn(&self);
    reeve_worker_goodbye(self.worker);
    reeve_worker_destroy(&self.worker);
    free(names);
    return EX_OK;
}
