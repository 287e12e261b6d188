/*  Who gets which task: queues with waiting tasks take turns, and so do the workers of a queue. */

#include "broker/core/inside.h"

/*  Tasks a queue gives out before the next queue has its turn. */
enum { DISPATCH_TURN = 16 };

/*  A worker with room comes before all that have none and are leased tasks ahead. */
static subscription_t *next_subscription(const queue_t *queue)
{
    return queue->open ? queue->open : queue->spare;
}

void dispatch_mark(core_t *core, queue_t *queue)
{
    if (queue->runnable || next_subscription(queue) == NULL || core->draining)
        return;
    queue->runnable = true;
    DL_APPEND2(core->runnable, queue, run_prev, run_next);
}

/*  The next task that may run; those that expired while waiting end here. */
static task_t *next_task(core_t *core, queue_t *queue)
{
    task_t *task;
    while ((task = queue_head(queue)) != NULL) {
        if (!record_has_expired(task->record, core->wall_ms))
            return task;
        task_expire(core, task);
    }
    return NULL;
}

/*  Gives out up to a turn's worth; true when the queue could go on. */
static bool take_turn(core_t *core, queue_t *queue)
{
    for (int i = 0; i < DISPATCH_TURN; i++) {
        subscription_t *subscription = next_subscription(queue);
        if (subscription == NULL)
            return false;
        task_t *task = next_task(core, queue);
        if (task == NULL)
            return false;
        DL_DELETE(*subscription->list, subscription);
        DL_APPEND(*subscription->list, subscription);
        worker_t *worker = subscription->worker;
        worker->turn = (size_t)(subscription - worker->subscriptions) + 1;
        lease_give(core, task, worker);
    }
    return true;
}

void dispatch_run(core_t *core)
{
    while (core->runnable && !core->draining) {
        queue_t *queue = core->runnable;
        DL_DELETE2(core->runnable, queue, run_prev, run_next);
        queue->runnable = false;
        if (take_turn(core, queue))
            dispatch_mark(core, queue);
        queue_ask(core, queue);
    }
}
