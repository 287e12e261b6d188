#include "worker/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/mem.h"
#include "worker/outcome.h"

/*  What a command learns about its task beside the document. */
static const char *const variables[] = {
    "REEVE_TASK_ID", "REEVE_TASK_NAME", "REEVE_QUEUE", "REEVE_ATTEMPT", "REEVE_MAX_RETRIES",
};

enum {
    VARIABLES = sizeof variables / sizeof variables[0],
    VARIABLE_BYTES = 192, /* name, '=', and a value of at most 128 bytes */
};

static bool is_ours(const char *entry)
{
    for (size_t i = 0; i < VARIABLES; i++) {
        size_t size = strlen(variables[i]);
        if (strncmp(entry, variables[i], size) == 0 && entry[size] == '=')
            return true;
    }
    return false;
}

void job_context_init(job_context_t *context, const options_t *options, const char *worker_name,
                      worker_metrics_t *metrics, int epoll_fd)
{
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    *context = (job_context_t){
        .options = options, .worker_name = worker_name, .metrics = metrics, .epoll_fd = epoll_fd};
    context->environment = mem_zalloc((count + 1) * sizeof *context->environment);
    for (size_t i = 0; i < count; i++)
        if (!is_ours(environ[i]))
            context->environment[context->environment_count++] = environ[i];
}

void job_context_fini(job_context_t *context)
{
    free(context->environment);
}

job_t *job_new(source_t *source, reeve_delivery_t *delivery)
{
    job_t *self = mem_zalloc(sizeof *self);
    self->source = source;
    self->delivery = delivery;
    reeve_delivery_set_user(delivery, self);
    return self;
}

static void job_destroy(job_t **self)
{
    child_destroy(&(*self)->child);
    free(*self);
    *self = NULL;
}

/* ---- the log ----------------------------------------------------------------------------------
 */

static log_line_t line_about(const reeve_delivery_t *delivery)
{
    log_line_t line = {0};
    log_line_add(&line, F_STR("task_id", reeve_delivery_id(delivery)));
    log_line_add(&line, F_STR("task_name", reeve_delivery_task_name(delivery)));
    log_line_add(&line, F_STR("queue", reeve_delivery_queue(delivery)));
    log_line_add(&line, F_INT("attempt", reeve_delivery_attempt(delivery)));
    return line;
}

static double duration_s(const job_t *job, int64_t now_ms)
{
    return (double)(now_ms - job->started_ms) / 1000.0;
}

static void log_started(const job_t *job, const job_context_t *context)
{
    log_line_t line = line_about(job->delivery);
    log_line_add(&line, F_STR("worker_id", context->worker_name));
    log_write(LOG_INFO, "task_started", line.fields, line.count);
}

static void log_outcome(const job_t *job, const outcome_t *outcome, int64_t now_ms)
{
    const reeve_settlement_t *s = &outcome->settlement;
    bool success = s->verdict == REEVE_SUCCESS;
    log_line_t line = line_about(job->delivery);
    log_line_add(&line, F_NUM("duration_s", duration_s(job, now_ms)));
    if (success) {
        log_line_add(&line, F_STR("state", reeve_state_name(REEVE_STATE_SUCCESS)));
    } else {
        log_line_add(&line, F_STR("reason", s->reason));
        log_line_add(&line, F_STR("error", s->error));
    }
    if (s->traceback != NULL && *s->traceback != '\0')
        log_line_add(&line, F_STR("traceback", s->traceback));
    log_write(success ? LOG_INFO : LOG_WARN, success ? "task_finished" : "task_failed", line.fields,
              line.count);
}

static void log_given_up(const job_t *job)
{
    log_line_t line = line_about(job->delivery);
    bool dropped = job->fate == JOB_DROP;
    log_write(job->child != NULL ? LOG_WARN : LOG_INFO, dropped ? "task_revoked" : "task_released",
              line.fields, line.count);
}

/* ---- the metrics ------------------------------------------------------------------------------
 */

enum { NO_COMMAND = -1 };

static void count_outcome(const job_t *job, const job_context_t *context, const outcome_t *outcome,
                          double duration_s)
{
    const reeve_settlement_t *s = &outcome->settlement;
    attempt_result_t result = s->verdict == REEVE_SUCCESS  ? ATTEMPT_SUCCESS
                              : s->verdict == REEVE_REJECT ? ATTEMPT_REJECTED
                                                           : ATTEMPT_FAILURE;
    worker_metrics_attempt(context->metrics, reeve_delivery_queue(job->delivery), result, s->reason,
                           duration_s);
}

/* ---- starting ---------------------------------------------------------------------------------
 */

static const char *find_handler(const options_t *options, const char *task_name)
{
    for (size_t i = 0; i < options->handler_count; i++)
        if (strcmp(options->handlers[i].task_name, task_name) == 0)
            return options->handlers[i].command;
    return NULL;
}

/*  Settles a task that no command ran for. */
static void refuse(job_t **self, const job_context_t *context, reeve_verdict_t verdict,
                   const char *reason, const char *error, int64_t now_ms)
{
    outcome_t outcome;
    outcome_without_child(&outcome, verdict, reason, error);
    (*self)->started_ms = now_ms;
    count_outcome(*self, context, &outcome, NO_COMMAND);
    if (log_enabled(LOG_WARN))
        log_outcome(*self, &outcome, now_ms);
    reeve_settle((*self)->source->worker, &(*self)->delivery, &outcome.settlement);
    outcome_fini(&outcome);
    job_destroy(self);
}

static child_t *spawn(const job_t *self, const job_context_t *context, const char *const *argv,
                      const char *document, uint64_t epoll_tag, int64_t now_ms)
{
    const reeve_delivery_t *d = self->delivery;
    char values[VARIABLES][VARIABLE_BYTES];
    snprintf(values[0], VARIABLE_BYTES, "%s=%s", variables[0], reeve_delivery_id(d));
    snprintf(values[1], VARIABLE_BYTES, "%s=%s", variables[1], reeve_delivery_task_name(d));
    snprintf(values[2], VARIABLE_BYTES, "%s=%s", variables[2], reeve_delivery_queue(d));
    snprintf(values[3], VARIABLE_BYTES, "%s=%" PRIu32, variables[3], reeve_delivery_attempt(d));
    snprintf(values[4], VARIABLE_BYTES, "%s=%" PRIu32, variables[4], reeve_delivery_max_retries(d));

    size_t inherited = context->environment_count;
    const char **environment = mem_alloc((inherited + VARIABLES + 1) * sizeof *environment);
    memcpy(environment, context->environment, inherited * sizeof *environment);
    for (size_t i = 0; i < VARIABLES; i++)
        environment[inherited + i] = values[i];
    environment[inherited + VARIABLES] = NULL;
    child_spec_t spec = {
        .argv = argv,
        .environment = environment,
        .input = slice_str(document),
        .output_limit = (size_t)context->options->max_output,
        .errors_limit = LIMIT_TRACEBACK_BYTES,
        .timeout_ms = reeve_delivery_timeout_ms(d),
        .kill_after_ms = context->options->kill_after_ms,
        .epoll_fd = context->epoll_fd,
        .epoll_tag = epoll_tag,
    };
    child_t *child = child_start(&spec, now_ms);
    int saved = errno;
    free(environment);
    errno = saved;
    return child;
}

/*  A task that this program has done already: told again, not run again. */
static bool settle_done(job_t **self)
{
    job_t *job = *self;
    const reeve_settlement_t *success = guard_find(job->source->guard, job->delivery);
    if (success == NULL)
        return false;
    if (log_enabled(LOG_INFO)) {
        log_line_t line = line_about(job->delivery);
        log_write(LOG_INFO, "task_done_before", line.fields, line.count);
    }
    reeve_settlement_t again = *success;
    reeve_settle(job->source->worker, &job->delivery, &again);
    job_destroy(self);
    return true;
}

/*  The document with a newline after it, so that a shell's `read` is content; NULL when the task's
    body is not what it should be. */
static char *document_line(const reeve_delivery_t *delivery)
{
    char *document = reeve_delivery_document(delivery);
    if (document == NULL)
        return NULL;
    size_t size = strlen(document);
    document = mem_realloc(document, size + 2);
    memcpy(document + size, "\n", 2);
    return document;
}

/*  Of the errors of child_start those that tell of the system, and nothing of the task or its command. */
static bool has_no_room(int error)
{
    return error == EMFILE || error == ENFILE || error == EAGAIN || error == ENOMEM ||
           error == ENOSPC; /* for epoll to watch more */
}

bool job_start(job_t **self, const job_context_t *context, uint64_t epoll_tag, int64_t now_ms)
{
    job_t *job = *self;
    if (settle_done(self))
        return false;
    const char *task_name = reeve_delivery_task_name(job->delivery);
    const char *handler = find_handler(context->options, task_name);
    const char *const by_shell[] = {"/bin/sh", "-c", handler, NULL};
    const char *const *argv = handler ? by_shell : (const char *const *)context->options->command;
    char error[LIMIT_ERROR_BYTES];
    if (argv == NULL) {
        snprintf(error, sizeof error, "this worker has no command for tasks named \"%s\"",
                 task_name);
        refuse(self, context, REEVE_REJECT, "no_handler", error, now_ms);
        return false;
    }
    char *document = document_line(job->delivery);
    if (document == NULL) {
        refuse(self, context, REEVE_REJECT, "bad_document", "the task has no readable document",
               now_ms);
        return false;
    }
    job->child = spawn(job, context, argv, document, epoll_tag, now_ms);
    int reason = job->child == NULL ? errno : 0;
    free(document);
    if (has_no_room(reason)) {
        errno = reason;
        return false;
    }
    if (job->child == NULL) {
        snprintf(error, sizeof error, "%s: %s", argv[0], strerror(reason));
        refuse(self, context, REEVE_FAILURE, "spawn_failed", error, now_ms);
        return false;
    }
    job->started_ms = now_ms;
    reeve_delivery_started(job->delivery);
    if (log_enabled(LOG_INFO))
        log_started(job, context);
    return true;
}

/* ---- ending -----------------------------------------------------------------------------------
 */

void job_finish(job_t **self, const job_context_t *context, int64_t now_ms)
{
    job_t *job = *self;
    if (job->fate != JOB_SETTLE) {
        job_abandon(self, context);
        return;
    }
    outcome_t outcome;
    child_end_t end = child_end(job->child);
    outcome_of_child(&outcome, &end, reeve_delivery_timeout_ms(job->delivery),
                     (size_t)context->options->max_output);
    count_outcome(job, context, &outcome, duration_s(job, now_ms));
    log_level_t level = outcome.settlement.verdict == REEVE_SUCCESS ? LOG_INFO : LOG_WARN;
    if (log_enabled(level))
        log_outcome(job, &outcome, now_ms);
    if (outcome.settlement.verdict == REEVE_SUCCESS && end.errors.size > 0)
        log_event(LOG_DEBUG, "task_stderr", F_STR("task_id", reeve_delivery_id(job->delivery)),
                  F_SLICE("stderr", end.errors));
    if (outcome.settlement.verdict == REEVE_SUCCESS)
        guard_remember(job->source->guard, job->delivery, &outcome.settlement);
    reeve_settle(job->source->worker, &job->delivery, &outcome.settlement);
    outcome_fini(&outcome);
    job_destroy(self);
}

void job_abandon(job_t **self, const job_context_t *context)
{
    static const reeve_settlement_t release = {.verdict = REEVE_RELEASE};
    job_t *job = *self;
    worker_metrics_attempt(context->metrics, reeve_delivery_queue(job->delivery),
                           job->fate == JOB_DROP ? ATTEMPT_REVOKED : ATTEMPT_RELEASED, NULL,
                           NO_COMMAND);
    if (log_enabled(LOG_INFO))
        log_given_up(job);
    if (job->fate == JOB_DROP)
        reeve_delivery_drop(job->source->worker, &job->delivery);
    else
        reeve_settle(job->source->worker, &job->delivery, &release);
    job_destroy(self);
}
