/*  The life-cycle of a task, as one table and one picture.

                 submit(delay)                     due
     UNKNOWN ──────────────────► SCHEDULED ─────────────────┐
        │                         ▲      │cancel, expire    ▼       deliver
        │ submit                  │      └────────►end    QUEUED ◄──────────┐
        ├─────────────────────────┼───────────────────────►│  ▲             │ release, worker lost
        │                         │                        │  │             │
        │                         │  failure, timeout:     ▼  │             │
        │                         └─────────────────── PROCESSING ──────────┘
        │                            backoff               │
        ▼                                                  │ ack ──────────► SUCCESS
     (never reported as waiting)                           │ no tries left,
                                                           │ rejected, quarantined ► FAILED ─
   redrive ► QUEUED └ cancel ───────► CANCELLED Any end may be removed (→ UNKNOWN): retention,
   purge, Titanic close.

    Expiry is checked while a task waits; one that is being processed runs to its end. */

#ifndef REEVE_BROKER_CORE_STATE_H
#define REEVE_BROKER_CORE_STATE_H

#include <stdbool.h>

#include "reeve/task.h"

/*  Whether the life-cycle has this arrow. */
bool state_may_move(reeve_state_t from, reeve_state_t to);

#endif
