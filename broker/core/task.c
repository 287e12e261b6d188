/*  The live map, and the one function that moves a task between states. */

#include <assert.h>
#include <stdlib.h>

#include "broker/core/inside.h"
#include "broker/core/state.h"
#include "common/mem.h"

task_t *task_find(core_t *core, uint64_t seq)
{
    task_t *task;
    HASH_FIND(hh, core->tasks, &seq, sizeof seq, task);
    return task;
}

task_t *task_admit(core_t *core, record_t *record, queue_t *queue)
{
    task_t *task = mem_zalloc(sizeof *task);
    task->seq = record->seq;
    task->record = record;
    task->queue = queue;
    HASH_ADD(hh, core->tasks, seq, sizeof task->seq, task);
    return task;
}

task_t *task_from_loaded(core_t *core, loaded_t *loaded)
{
    queue_t *queue = queue_by_id(core, loaded->record->queue_id);
    if (queue == NULL)
        return NULL;
    task_t *task = task_admit(core, record_ref(loaded->record), queue);
    task->state = loaded->state;
    task->tries = loaded->tries;
    return task;
}

task_t *task_materialise(core_t *core, loaded_t *loaded)
{
    task_t *task = task_find(core, loaded->record->seq);
    return task ? task : task_from_loaded(core, loaded);
}

void task_free(core_t *core, task_t *task)
{
    HASH_DEL(core->tasks, task);
    record_unref(&task->record);
    free(task->holder_name);
    free(task);
}

void task_fade(core_t *core, task_t *task)
{
    assert(!task->in_window && !task->fading);
    task->fading = true;
    DL_APPEND(core->fading, task);
}

void task_forget_durable(core_t *core)
{
    while (core->fading && core->fading->last_change <= core->durable) {
        task_t *task = core->fading;
        DL_DELETE(core->fading, task);
        task_free(core, task);
    }
}

/*  The counters and lists that a state stands for: taken away on leaving … */
static void leave_state(core_t *core, task_t *task)
{
    queue_t *queue = task->queue;
    if (task->fading) {
        DL_DELETE(core->fading, task);
        task->fading = false;
    }
    switch (task->state) {
    case REEVE_STATE_QUEUED:
        queue->waiting--;
        if (task->in_window)
            queue_leave(core, task);
        break;
    case REEVE_STATE_SCHEDULED:
        queue->scheduled--;
        break;
    case REEVE_STATE_PROCESSING:
        queue->processing--;
        lease_clear(core, task);
        break;
    case REEVE_STATE_FAILED:
        queue->dead--;
        break;
    default:
        break;
    }
}

void task_ask_due(core_t *core, int64_t wall_ms)
{
    if (wall_ms > 0 && wall_ms < core->due_wall_ms)
        core->due_wall_ms = wall_ms;
}

/*  … and put in place on entering. */
static void enter_state(core_t *core, task_t *task, int64_t at_ms)
{
    queue_t *queue = task->queue;
    switch (task->state) {
    case REEVE_STATE_QUEUED:
        queue->waiting++;
        task_ask_due(core, task->record->spec.expires_ms);
        queue_enter(core, task);
        break;
    case REEVE_STATE_SCHEDULED:
        queue->scheduled++;
        task_ask_due(core, at_ms);
        task_ask_due(core, task->record->spec.expires_ms);
        task_fade(core, task);
        break;
    case REEVE_STATE_PROCESSING:
        queue->processing++;
        break;
    case REEVE_STATE_FAILED:
        queue->dead++;
        task_fade(core, task);
        break;
    default:
        task_fade(core, task);
        break;
    }
}

static bool is_unfinished(reeve_state_t state)
{
    return state != REEVE_STATE_UNKNOWN && !reeve_state_is_final(state);
}

/*  The bytes a queue's unfinished tasks take, for its byte limit. */
static void account_bytes(task_t *task, reeve_state_t from, reeve_state_t to)
{
    if (is_unfinished(to) && !is_unfinished(from))
        task->queue->bytes += task->record->spec.body.size;
    else if (!is_unfinished(to) && is_unfinished(from))
        task->queue->bytes -= task->record->spec.body.size;
}

static void tell_the_end(core_t *core, task_t *task, outcome_t *outcome)
{
    waiters_tell(core, task, outcome, false);
    if (task->record->spec.reply_to.size == 0)
        return;
    effect_t *reply = announce(core, task, EFFECT_REPLY);
    reply->outcome.record = record_ref(task->record);
    reply->outcome.state = task->state;
    reply->outcome.attempts = task->tries.attempts;
    reply->outcome.outcome = outcome_ref(outcome);
}

void task_move(core_t *core, task_t *task, reeve_state_t to, int64_t at_ms, outcome_t *outcome)
{
    reeve_state_t from = task->state;
    assert(state_may_move(from, to));

    effect_t *effect = effects_add(core->out, EFFECT_CHANGE);
    effect->change.record = record_ref(task->record);
    effect->change.from = from;
    effect->change.to = to;
    effect->change.tries = task->tries;
    effect->change.at_ms = at_ms;
    effect->change.outcome = outcome_ref(outcome);
    if (to == REEVE_STATE_PROCESSING)
        effect->change.worker = mem_strdup(task->holder_name);
    effect->change.may_wait = queue_is_in_memory(task->queue);
    task->last_change = ++core->changes;
    if (!effect->change.may_wait)
        task->told_after = core->changes;

    leave_state(core, task);
    task->state = to;
    account_bytes(task, from, to);
    enter_state(core, task, at_ms);
    if (reeve_state_is_final(to))
        tell_the_end(core, task, outcome);
}

void task_end(core_t *core, task_t *task, reeve_state_t to, outcome_t *outcome)
{
    bool stays = to == REEVE_STATE_FAILED; /* dead letters stay until they are purged */
    int64_t remove_at_ms = stays ? 0 : core->wall_ms + task->queue->policy.retention_ms;
    task_move(core, task, to, remove_at_ms, outcome);
}

void task_expire(core_t *core, task_t *task)
{
    outcome_t *outcome = lease_outcome(core, task, ENDING_EXPIRED, "expired", NULL);
    task_end(core, task, REEVE_STATE_EXPIRED, outcome);
    outcome_unref(&outcome);
}
