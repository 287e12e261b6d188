/*  Tasks leased ahead. So that a fast worker need not wait for a commit between two tasks, it is leased as
    many as it settles while one is under way, and no more; a slow worker gets none. They are sent as it gets
    room, and taken back, as if they had never been leased, when it slows down or leaves
    (docs/decisions/0007).

    A worker that has room and tasks ahead is hungry: these, or the news of its room, are not durable yet. Who
    changes how many are ahead calls worker_update. */

#include "broker/core/inside.h"

void ahead_put(task_t *task)
{
    worker_t *worker = task->holder;
    task->ahead = true;
    worker->ahead_count++;
    task->queue->ahead++;
    if (worker->ahead == NULL)
        worker->ahead = task;
}

static task_t *next_ahead(task_t *task)
{
    do
        task = task->held_next;
    while (task && !task->ahead);
    return task;
}

void ahead_clear(task_t *task)
{
    worker_t *worker = task->holder;
    if (!task->ahead)
        return;
    if (worker->ahead == task)
        worker->ahead = next_ahead(task);
    worker->ahead_count--;
    task->queue->ahead--;
    task->ahead = false;
}

static uint32_t room_of(const worker_t *worker)
{
    uint32_t sent = worker->leased - worker->ahead_count;
    return worker->prefetch > sent ? worker->prefetch - sent : 0;
}

static void starve(core_t *core, worker_t *worker)
{
    if (!worker->hungry)
        DL_APPEND2(core->hungry, worker, hungry_prev, hungry_next);
    worker->hungry = true;
}

static void forget_hunger(core_t *core, worker_t *worker)
{
    if (worker->hungry)
        DL_DELETE2(core->hungry, worker, hungry_prev, hungry_next);
    worker->hungry = false;
}

void ahead_wait(core_t *core, worker_t *worker)
{
    if (worker->ahead)
        starve(core, worker);
}

/*  Nobody has seen this attempt: its number is given out again. */
static void take_back(core_t *core, task_t *task)
{
    task->tries.attempts--;
    task_move(core, task, REEVE_STATE_QUEUED, 0, NULL);
}

void ahead_promote(core_t *core, worker_t *worker)
{
    bool sent = false;
    while (worker->ahead && room_of(worker) > 0 && !core->draining) {
        task_t *task = worker->ahead;
        if (task->told_after > core->durable || worker->told_after > core->durable) {
            starve(core, worker);
            break;
        }
        if (record_has_expired(task->record, core->wall_ms)) {
            take_back(core, task); /* it ends in its queue */
            continue;
        }
        ahead_clear(task);
        lease_send(core, task);
        sent = true;
    }
    if (sent)
        worker_update(core, worker);
}

void ahead_feed(core_t *core)
{
    worker_t *hungry = core->hungry, *worker, *next;
    core->hungry = NULL;
    DL_FOREACH_SAFE2(hungry, worker, next, hungry_next)
    {
        worker->hungry = false;
        ahead_promote(core, worker);
    }
}

uint32_t ahead_limit(const worker_t *worker)
{
    return worker->prefetch ? worker->ahead_limit : 0;
}

static void trim(core_t *core, worker_t *worker, uint32_t limit)
{
    task_t *task = worker->held ? worker->held->held_prev : NULL;
    while (worker->ahead_count > limit) {
        task_t *earlier = task->held_prev;
        if (task->ahead)
            take_back(core, task);
        task = earlier;
    }
}

void ahead_trim(core_t *core, worker_t *worker)
{
    trim(core, worker, ahead_limit(worker) + room_of(worker));
}

void ahead_take_back_all(core_t *core, worker_t *worker)
{
    worker->ahead_limit = 0;
    trim(core, worker, 0);
    forget_hunger(core, worker);
}

/*  A change is durable after its turn, the commit that is under way and its own one, some three of them:
    what is settled meanwhile, and as much again, so that a worker that could be faster becomes so. */
void ahead_measure(core_t *core, worker_t *worker, int64_t elapsed_ms)
{
    enum { COMMITS = 6 };
    int64_t wanted = 0;
    if (elapsed_ms > 0 && !core->draining) {
        int64_t elapsed_us = elapsed_ms * 1000;
        wanted = (worker->settled * core->commit_us * COMMITS + elapsed_us / 2) / elapsed_us;
    }
    worker->settled = 0;
    worker->ahead_limit = wanted < LIMIT_AHEAD_TASKS ? (uint32_t)wanted : LIMIT_AHEAD_TASKS;
    ahead_trim(core, worker);
    worker_update(core, worker);
}
