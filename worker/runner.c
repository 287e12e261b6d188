#include "worker/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/http/server.h"
#include "common/mem.h"
#include "common/notify.h"
#include "common/signals.h"
#include "worker/job.h"

enum {
    PAUSE_MS = 1000,
    CONFIRM_WAIT_MS = 5000, /* for the broker to confirm the last settlements */
    EVENTS_A_TURN = 64,
    WAIT_MOST_MS = 60 * 1000, /* fits epoll_wait's int */
    EXIT_SIGNALLED = 128,     /* plus the signal's number, as shells say it */
};

/*  At most. */
enum { DESCRIPTORS_A_COMMAND = 4, DESCRIPTORS_A_BROKER = 16, DESCRIPTORS_BESIDE = 100 };

/*  epoll tags; slot N has TAG_SLOTS + N. */
enum { TAG_SIGNAL, TAG_BROKER, TAG_SLOTS };

typedef enum phase { SERVING, PAUSED, DRAINING, TERMINATING, CONFIRMING, ENDED } phase_t;

/*  What /readyz tells. */
typedef enum health { HEALTH_DISCONNECTED, HEALTH_READY, HEALTH_DRAINING } health_t;

typedef struct runner {
    const options_t *options;
    job_context_t context;
    int epoll_fd, signal_fd;
    source_t *sources;
    size_t source_count;
    job_t *waiting;
    job_t **slots; /* options->concurrency of them; NULL: free */
    size_t *free_slots;
    size_t slot_count, free_count;
    watchdog_t watchdog;
    phase_t phase;
    int64_t phase_ends_ms; /* of PAUSED, DRAINING and CONFIRMING */
    int exit_status;
    worker_metrics_t *metrics;
    _Atomic int health;
    http_server_t *http; /* NULL: not served */
} runner_t;

/* ---- tasks ------------------------------------------------------------------------------------
 */

static void log_problem(void *argument, const char *task_id, reeve_error_t error, const char *text)
{
    source_t *source = argument;
    int64_t suppressed;
    if (!log_limit_allow(&source->problems, clock_mono_ms(), &suppressed))
        return;
    log_event(LOG_WARN, task_id ? "settlement_refused" : "broker_error",
              F_STR("broker", source->endpoint), F_STR("task_id", task_id ? task_id : ""),
              F_STR("error", reeve_error_name(error)), F_STR("text", text),
              F_INT("suppressed", suppressed));
}

static void forget_done(void *argument, const char *task_id, uint32_t attempt)
{
    guard_forget(((source_t *)argument)->guard, task_id, attempt);
}

static void free_slot(runner_t *self, size_t slot)
{
    self->slots[slot] = NULL;
    self->free_slots[self->free_count++] = slot;
}

/*  Where its command has come to its end. */
static bool finish_job(runner_t *self, job_t *job, int64_t now_ms)
{
    if (!child_step(job->child, now_ms))
        return false;
    free_slot(self, job->slot);
    job_finish(&job, &self->context, now_ms);
    return true;
}

/*  A command that has ended already is worth to be remembered (guard.h). */
static void revoke_job(runner_t *self, job_t *job)
{
    int64_t now_ms = clock_mono_ms();
    if (job->child == NULL) {
        job->fate = JOB_DROP;
        DL_DELETE(self->waiting, job);
        job_abandon(&job, &self->context);
    } else if (!finish_job(self, job, now_ms)) {
        job->fate = JOB_DROP;
        child_terminate(job->child, now_ms);
    }
}

static size_t running(const runner_t *self)
{
    return self->slot_count - self->free_count;
}

static void tell_connections(const runner_t *self)
{
    char status[80];
    size_t connected = 0;
    for (size_t i = 0; i < self->source_count; i++)
        connected += self->sources[i].connected;
    snprintf(status, sizeof status, "Connected to %zu of %zu brokers", connected,
             self->source_count);
    notify_status(status);
}

static void note_connection(const runner_t *self, source_t *source)
{
    bool connected = reeve_worker_connected(source->worker);
    if (connected == source->connected)
        return;
    source->connected = connected;
    log_event(connected ? LOG_INFO : LOG_WARN, connected ? "connected" : "disconnected",
              F_STR("broker", source->endpoint));
    if (self->phase <= PAUSED)
        tell_connections(self);
}

static void take_from(runner_t *self, source_t *source)
{
    reeve_delivery_t *delivery;
    bool revoked;
    while (reeve_worker_poll(source->worker, 0, &delivery, &revoked) == 1) {
        if (revoked) {
            revoke_job(self, reeve_delivery_user(delivery));
            continue;
        }
        job_t *job = job_new(source, delivery);
        job->fate = JOB_RELEASE; /* as long as it has not begun */
        if (self->phase == SERVING)
            DL_APPEND(self->waiting, job);
        else
            job_abandon(&job, &self->context);
    }
    note_connection(self, source);
}

static void set_prefetch(runner_t *self, uint32_t prefetch)
{
    for (size_t i = 0; i < self->source_count; i++)
        reeve_worker_set_prefetch(self->sources[i].worker, prefetch);
}

static void give_back_waiting(runner_t *self)
{
    job_t *job, *next;
    DL_FOREACH_SAFE (self->waiting, job, next)
        job_abandon(&job, &self->context);
    self->waiting = NULL;
}

/*  When a command could not be started, as errno says, which is no task's fault: all that wait go to who
    has room for them. */
static void pause_taking(runner_t *self)
{
    log_event(LOG_WARN, "paused", F_STR("error", strerror(errno)),
              F_INT("running", (int64_t)running(self)));
    self->phase = PAUSED;
    self->phase_ends_ms = clock_mono_ms() + PAUSE_MS;
    set_prefetch(self, 0);
    give_back_waiting(self);
}

static void start_waiting(runner_t *self)
{
    while (self->waiting != NULL && self->free_count > 0) {
        job_t *job = self->waiting;
        size_t slot = self->free_slots[self->free_count - 1];
        DL_DELETE(self->waiting, job);
        job->fate = JOB_SETTLE;
        if (job_start(&job, &self->context, TAG_SLOTS + slot, clock_mono_ms())) {
            job->slot = slot;
            self->slots[slot] = job;
            self->free_count--;
        } else if (job != NULL) {
            job->fate = JOB_RELEASE;
            DL_PREPEND(self->waiting, job);
            pause_taking(self);
        }
    }
}

static void step_commands(runner_t *self)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t slot = 0; slot < self->slot_count; slot++) {
        job_t *job = self->slots[slot];
        if (job == NULL || (!job->ready && now_ms < child_deadline(job->child)))
            continue;
        job->ready = false;
        finish_job(self, job, now_ms);
    }
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void begin_drain(runner_t *self, int64_t now_ms)
{
    notify_stopping("Finishing the commands that run, then stopping");
    log_event(LOG_INFO, "draining", F_INT("running", (int64_t)running(self)));
    self->phase = DRAINING;
    self->phase_ends_ms = now_ms + self->options->drain_timeout_ms;
    set_prefetch(self, 0);
    give_back_waiting(self);
}

static void terminate_all(runner_t *self, int64_t now_ms)
{
    for (size_t slot = 0; slot < self->slot_count; slot++) {
        job_t *job = self->slots[slot];
        if (job == NULL)
            continue;
        if (job->fate == JOB_SETTLE)
            job->fate = JOB_RELEASE;
        child_terminate(job->child, now_ms);
    }
}

static void stop_at_once(runner_t *self, int number)
{
    for (size_t slot = 0; slot < self->slot_count; slot++) {
        job_t *job = self->slots[slot];
        if (job == NULL)
            continue;
        if (job->fate == JOB_SETTLE)
            job->fate = JOB_RELEASE;
        free_slot(self, slot);
        job_abandon(&job, &self->context);
    }
    self->phase = ENDED;
    self->exit_status = EXIT_SIGNALLED + number;
}

static size_t unconfirmed(const runner_t *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->source_count; i++)
        count += reeve_worker_unconfirmed(self->sources[i].worker);
    return count;
}

static void advance_phase(runner_t *self)
{
    int64_t now_ms = clock_mono_ms();
    if (self->phase == PAUSED && now_ms >= self->phase_ends_ms) {
        self->phase = SERVING;
        set_prefetch(self, (uint32_t)self->options->prefetch);
    }
    if (self->phase == DRAINING && running(self) > 0 && now_ms >= self->phase_ends_ms) {
        terminate_all(self, now_ms);
        self->phase = TERMINATING;
    }
    if ((self->phase == DRAINING || self->phase == TERMINATING) && running(self) == 0) {
        self->phase = CONFIRMING;
        self->phase_ends_ms = now_ms + CONFIRM_WAIT_MS;
    }
    if (self->phase == CONFIRMING && (unconfirmed(self) == 0 || now_ms >= self->phase_ends_ms))
        self->phase = ENDED;
}

static void read_signals(runner_t *self)
{
    struct signalfd_siginfo info;
    while (read(self->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP && log_is_file())
            log_reopen();
        else if (self->phase <= PAUSED)
            begin_drain(self, clock_mono_ms());
        else
            stop_at_once(self, (int)info.ssi_signo);
    }
}

/* ---- who watches ------------------------------------------------------------------------------
 */

/*  Once a turn, before the loop sleeps: what only this thread may look at. */
static void publish(runner_t *self)
{
    bool connected = false;
    for (size_t i = 0; i < self->source_count; i++) {
        const reeve_worker_t *worker = self->sources[i].worker;
        broker_view_t view = {.connected = reeve_worker_connected(worker),
                              .held = reeve_worker_held(worker),
                              .unconfirmed = reeve_worker_unconfirmed(worker),
                              .stats = reeve_worker_stats(worker)};
        connected = connected || view.connected;
        worker_metrics_broker(self->metrics, i, &view);
    }
    worker_metrics_running(self->metrics, running(self));
    atomic_store(&self->health, self->phase > PAUSED ? HEALTH_DRAINING
                                : connected          ? HEALTH_READY
                                                     : HEALTH_DISCONNECTED);
}

static const char *not_ready_reason(void *arg)
{
    const runner_t *self = arg;
    switch ((health_t)atomic_load(&self->health)) {
    case HEALTH_READY:
        return NULL;
    case HEALTH_DRAINING:
        return "draining";
    case HEALTH_DISCONNECTED:
        break;
    }
    return "disconnected";
}

static char *metrics_page(void *arg, prom_format_t format, size_t *size)
{
    return worker_metrics_page(((runner_t *)arg)->metrics, format, size);
}

static bool open_http(runner_t *self)
{
    char problem[400];
    const char *address = self->options->http;
    if (strcmp(address, "off") == 0)
        return true;
    http_server_config_t config = {.address = address,
                                   .not_ready_reason = not_ready_reason,
                                   .metrics = metrics_page,
                                   .arg = self};
    self->http = http_server_start(&config, problem, sizeof problem);
    if (self->http == NULL) {
        log_event(LOG_ERROR, "start_failed", F_STR("error", problem));
        self->exit_status = EX_UNAVAILABLE;
        return false;
    }
    log_event(LOG_INFO, "serving_http", F_STR("address", address),
              F_INT("port", http_server_port(self->http)));
    return true;
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

static int64_t wait_ms(const runner_t *self)
{
    int64_t now_ms = clock_mono_ms();
    int64_t wake_ms = now_ms + WAIT_MOST_MS;
    if (self->watchdog.next_ms < wake_ms)
        wake_ms = self->watchdog.next_ms;
    bool phase_ends = self->phase != SERVING && self->phase != TERMINATING;
    if (phase_ends && self->phase_ends_ms < wake_ms)
        wake_ms = self->phase_ends_ms;
    for (size_t slot = 0; slot < self->slot_count; slot++) {
        const job_t *job = self->slots[slot];
        if (job != NULL && child_deadline(job->child) < wake_ms)
            wake_ms = child_deadline(job->child);
    }
    int64_t wait = wake_ms > now_ms ? wake_ms - now_ms : 0;
    for (size_t i = 0; i < self->source_count; i++) {
        int64_t next = reeve_worker_next_ms(self->sources[i].worker);
        if (next < wait)
            wait = next;
    }
    return wait;
}

static void wait_for_events(runner_t *self)
{
    struct epoll_event events[EVENTS_A_TURN];
    int count = epoll_wait(self->epoll_fd, events, EVENTS_A_TURN, (int)wait_ms(self));
    bool signalled = false;
    for (int i = 0; i < count; i++) {
        uint64_t tag = events[i].data.u64;
        if (tag == TAG_SIGNAL)
            signalled = true;
        else if (tag >= TAG_SLOTS && self->slots[tag - TAG_SLOTS] != NULL)
            self->slots[tag - TAG_SLOTS]->ready = true;
    }
    if (signalled)
        read_signals(self);
}

/*  Commands first, so that what ended goes out with the brokers' turn, whose deliveries then find
    the slots that came free. */
static void loop(runner_t *self)
{
    while (self->phase != ENDED) {
        watchdog_turn(&self->watchdog, clock_mono_ms());
        step_commands(self);
        for (size_t i = 0; i < self->source_count; i++)
            take_from(self, &self->sources[i]);
        start_waiting(self);
        advance_phase(self);
        if (self->http)
            publish(self);
        if (self->phase != ENDED)
            wait_for_events(self);
    }
    size_t lost = unconfirmed(self);
    for (size_t i = 0; i < self->source_count; i++)
        reeve_worker_goodbye(self->sources[i].worker);
    log_event(lost ? LOG_WARN : LOG_INFO, "stopped", F_INT("unconfirmed", (int64_t)lost));
}

/* ---- start and end ----------------------------------------------------------------------------
 */

static bool watch(runner_t *self, int fd, uint64_t tag)
{
    struct epoll_event interest = {.events = EPOLLIN, .data.u64 = tag};
    return fd >= 0 && epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &interest) == 0;
}

/*  As far as is needed only, because commands inherit it, and some of them close all up to it. */
static bool raise_descriptor_limit(runner_t *self)
{
    const options_t *options = self->options;
    char problem[160];
    struct rlimit limit = {0};
    rlim_t needed = DESCRIPTORS_BESIDE + DESCRIPTORS_A_BROKER * options->broker_count +
                    DESCRIPTORS_A_COMMAND * (rlim_t)options->concurrency;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= needed)
        return true;
    limit.rlim_cur = needed;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return true;
    snprintf(problem, sizeof problem,
             "--concurrency %" PRId64 " needs %ju descriptors, and the hard limit is %ju",
             options->concurrency, (uintmax_t)needed, (uintmax_t)limit.rlim_max);
    log_event(LOG_ERROR, "start_failed", F_STR("error", problem));
    self->exit_status = EX_OSERR;
    return false;
}

static bool refused_by_system(runner_t *self)
{
    log_event(LOG_ERROR, "start_failed", F_STR("error", strerror(errno)));
    self->exit_status = EX_OSERR;
    return false;
}

static bool open_loop(runner_t *self)
{
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->signal_fd = signals_open();
    return (self->epoll_fd >= 0 && watch(self, self->signal_fd, TAG_SIGNAL)) ||
           refused_by_system(self);
}

static bool open_source(runner_t *self, const char *endpoint, const char *worker_name)
{
    source_t *source = &self->sources[self->source_count];
    reeve_worker_options_t wanted = {
        .broker = endpoint,
        .name = worker_name,
        .queues = (const char *const *)self->options->queues,
        .prefetch = (uint32_t)self->options->prefetch,
    };
    source->endpoint = endpoint;
    source->worker = reeve_worker_new(&wanted);
    if (source->worker == NULL) {
        bool usage = errno == EINVAL;
        log_event(LOG_ERROR, "start_failed", F_STR("broker", endpoint),
                  F_STR("error",
                        usage ? "--broker is not tcp://HOST:PORT or ipc://PATH" : strerror(errno)));
        self->exit_status = usage ? EX_USAGE : EX_OSERR;
        return false;
    }
    self->source_count++;
    source->guard = guard_new();
    reeve_worker_on_problem(source->worker, log_problem, source);
    reeve_worker_on_settled(source->worker, forget_done, source);
    return watch(self, reeve_worker_fd(source->worker), TAG_BROKER) || refused_by_system(self);
}

static bool runner_init(runner_t *self, const options_t *options, const char *worker_name)
{
    *self = (runner_t){.options = options, .epoll_fd = -1, .signal_fd = -1};
    self->slot_count = self->free_count = (size_t)options->concurrency;
    self->slots = mem_zalloc(self->slot_count * sizeof(job_t *));
    self->free_slots = mem_alloc(self->slot_count * sizeof *self->free_slots);
    for (size_t i = 0; i < self->slot_count; i++)
        self->free_slots[i] = self->slot_count - 1 - i;
    self->metrics = worker_metrics_new(options);
    self->sources = mem_zalloc(options->broker_count * sizeof *self->sources);
    if (!raise_descriptor_limit(self) || !open_loop(self))
        return false;
    for (size_t i = 0; i < options->broker_count; i++)
        if (!open_source(self, options->brokers[i], worker_name))
            return false;
    job_context_init(&self->context, options, worker_name, self->metrics, self->epoll_fd);
    return open_http(self);
}

static void runner_fini(runner_t *self)
{
    http_server_stop(&self->http);
    for (size_t i = 0; i < self->source_count; i++) {
        reeve_worker_destroy(&self->sources[i].worker);
        guard_destroy(&self->sources[i].guard);
    }
    worker_metrics_destroy(&self->metrics);
    job_context_fini(&self->context);
    free(self->sources);
    free(self->slots);
    free(self->free_slots);
    if (self->signal_fd >= 0)
        close(self->signal_fd);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
}

int runner_run(const options_t *options, const char *worker_name)
{
    runner_t runner;
    if (runner_init(&runner, options, worker_name)) {
        log_event(LOG_INFO, "worker_started", F_STR("worker_id", worker_name),
                  F_INT("concurrency", options->concurrency), F_INT("prefetch", options->prefetch),
                  F_INT("brokers", (int64_t)options->broker_count),
                  F_INT("queues", (int64_t)options->queue_count), F_STR("version", REEVE_VERSION));
        watchdog_init(&runner.watchdog, clock_mono_ms());
        notify_ready("Connecting");
        loop(&runner);
    }
    runner_fini(&runner);
    return runner.exit_status;
}
