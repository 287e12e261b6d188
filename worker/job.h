/*  One delivery in this program: waiting for a slot, then a running command, then settled. */

#ifndef REEVE_WORKER_JOB_H
#define REEVE_WORKER_JOB_H

#include "common/log.h"
#include "reeve/worker.h"
#include "worker/child.h"
#include "worker/guard.h"
#include "worker/metrics.h"
#include "worker/options.h"

/*  One broker that we take tasks from. */
typedef struct source {
    const char *endpoint;
    reeve_worker_t *worker;
    bool connected; /* as last logged */
    log_limit_t problems;
    guard_t *guard;
} source_t;

/*  What is done with the task when its command has ended. */
typedef enum job_fate {
    JOB_SETTLE,  /* by how it ended */
    JOB_RELEASE, /* given back uncounted: we stop */
    JOB_DROP,    /* revoked: nobody waits for it */
} job_fate_t;

typedef struct job {
    source_t *source;
    reeve_delivery_t *delivery; /* its user pointer leads back here */
    child_t *child;             /* NULL while waiting */
    size_t slot;                /* of the runner, while running */
    bool ready;                 /* a descriptor of the child has something */
    job_fate_t fate;
    int64_t started_ms;
    struct job *prev, *next; /* among the waiting */
} job_t;

/*  What all jobs of the program share. */
typedef struct job_context {
    const options_t *options;
    const char *worker_name;
    worker_metrics_t *metrics;
    int epoll_fd;
    char **environment; /* ours without what job_start sets; NULL-terminated */
    size_t environment_count;
} job_context_t;

void job_context_init(job_context_t *context, const options_t *options, const char *worker_name,
                      worker_metrics_t *metrics, int epoll_fd);
void job_context_fini(job_context_t *context);

job_t *job_new(source_t *source, reeve_delivery_t *delivery);

/*  Runs the task's command. False when there is nothing to run, it cannot be, or was before (guard.h), and
    the task is settled and the job gone then; or, with errno and the job as it was, when the system has no
    room for a further command now. */
bool job_start(job_t **self, const job_context_t *context, uint64_t epoll_tag, int64_t now_ms);

/*  After child_step said true: settles (or what `fate` says), counts, logs, frees. */
void job_finish(job_t **self, const job_context_t *context, int64_t now_ms);

/*  Gives the task back, or drops it when it was revoked. A command still running is killed at once.
 */
void job_abandon(job_t **self, const job_context_t *context);

#endif
