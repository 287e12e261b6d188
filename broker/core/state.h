/*  The life-cycle of a task, as one table and one picture.

      submit ┌───────────────────── with delay ─────► SCHEDULED ──── cancel ──► CANCELLED
     ────────┤                                         │  ▲  └────── expire ──► EXPIRED
             │                                     due │  │
             │                                         ▼  │ failure, timeout:
             └────────────────────────────────────► QUEUED│ backoff
                          ▲        ▲                 │ │  │
                          │        │        cancel,  │ │ deliver
                  redrive │        │        expire ◄─┘ │  │
                          │        │ release,          ▼  │
                          │        └─ worker lost ─ PROCESSING ───── ack ─────► SUCCESS
                          │                            │  └──────── cancel ──► CANCELLED
                          │                            │ no tries left, rejected, quarantined
                          └───────── FAILED ◄──────────┘

     An end (SUCCESS, FAILED, CANCELLED, EXPIRED) is removed, → UNKNOWN, by retention, purge or
     Titanic's close. Expiry is for waiting tasks; one that is being processed runs to its end. */

#ifndef REEVE_BROKER_CORE_STATE_H
#define REEVE_BROKER_CORE_STATE_H

#include <stdbool.h>

#include "reeve/task.h"

/*  Whether the life-cycle has this arrow. */
bool state_may_move(reeve_state_t from, reeve_state_t to);

#endif
