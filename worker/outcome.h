/*  What the end of a command means for its task. The table users rely on (reeve-worker(1)):

    exit 0                  success, stdout is the result
    exit 75 (EX_TEMPFAIL)   failure, reason "retry"
    exit 65 (EX_DATAERR)    reject, reason "rejected": a dead letter at once
    exit N                  failure, reason "exit_N"
    killed by a signal      failure, reason "signal_NAME"
    timeout passed          failure, reason "timeout", however it ended then                     */

#ifndef REEVE_WORKER_OUTCOME_H
#define REEVE_WORKER_OUTCOME_H

#include "common/limits.h"
#include "reeve/worker.h"
#include "worker/child.h"

/*  A settlement and the memory it points into; do not copy. outcome_fini frees. */
typedef struct outcome {
    reeve_settlement_t settlement;
    char reason[LIMIT_REASON_BYTES + 1];
    char *result, *error, *traceback;
} outcome_t;

/*  `timeout_ms` is the one the child had, for the error's text; `max_output` the limit that a cut
    result is said to have. */
void outcome_of_child(outcome_t *out, const child_end_t *end, int64_t timeout_ms,
                      size_t max_output);

/*  One that no command came to: `error` is copied. */
void outcome_without_child(outcome_t *out, reeve_verdict_t verdict, const char *reason,
                           const char *error);

void outcome_fini(outcome_t *self);

#endif
