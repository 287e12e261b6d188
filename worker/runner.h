/*  The loop of reeve-worker: tasks from the brokers into slots, and the orderly end.

    PAUSED ──────────────────────┐
     ▲  │ after PAUSE_MS         │
     │  ▼      SIGTERM, SIGINT   ▼      nothing runs                  all is confirmed
    SERVING ────────────────► DRAINING ──────────────► CONFIRMING ───────────────────► ENDED
                                 │                          ▲       or CONFIRM_WAIT_MS
                                 │ drain timeout            │ nothing runs
                                 └───────────► TERMINATING ─┘
    PAUSED, as when draining, it takes no tasks: the system has no room for a further command.
    A second signal ends it from any state: commands are killed, their tasks given back.         */

#ifndef REEVE_WORKER_RUNNER_H
#define REEVE_WORKER_RUNNER_H

#include "worker/options.h"

/*  Serves until a signal says stop; returns the exit status. After signals_block. Errors that keep it
    from starting are logged. */
int runner_run(const options_t *options, const char *worker_name);

#endif
