/*  What keeps a task that is done from being run again: the commands that succeeded without the broker having
    said so. One that was given up too early (it was stopped for a while, or its broker was away) hears that
    its settlement came too late, and may get the task again. */

#ifndef REEVE_WORKER_GUARD_H
#define REEVE_WORKER_GUARD_H

#include "reeve/worker.h"

/*  Of one broker. The oldest are forgotten beyond GUARD_TASKS and GUARD_BYTES of results. */
typedef struct guard guard_t;

enum { GUARD_TASKS = 10000, GUARD_BYTES = 16 << 20 };

guard_t *guard_new(void);
void guard_destroy(guard_t **self);

/*  The delivery's command has succeeded, with this result; both are copied. */
void guard_remember(guard_t *self, const reeve_delivery_t *delivery,
                    const reeve_settlement_t *success);
/*  The broker has stored how this attempt ended: the task will not come again for it. */
void guard_forget(guard_t *self, const char *task_id, uint32_t attempt);
/*  The success of an earlier attempt at the same task, or NULL. Valid until the next call. */
const reeve_settlement_t *guard_find(const guard_t *self, const reeve_delivery_t *delivery);

#endif
