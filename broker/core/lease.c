/*  Leases: a task held by one worker under an attempt number, and how that ends.

    A lease is durable before its task is sent.

    Two clocks run apart: the lease itself (is the worker alive and still holding the task? seconds,
    extended by heartbeats) and the attempt's timeout (how long may the work take? maybe hours). */

#include <stdlib.h>

#include "broker/core/inside.h"
#include "common/mem.h"

static int64_t timeout_of(const task_t *task)
{
    const task_spec_t *spec = &task->record->spec;
    return spec->timeout_ms ? spec->timeout_ms : task->queue->policy.timeout_ms;
}

/*  Starts both clocks. An own-protocol worker enforces the timeout from the true start and reports
    it; a Majordomo worker takes one task at a time and reports nothing: its clock starts here. */
static void start_clocks(const core_t *core, task_t *task)
{
    bool reeve = task->holder->kind == PEER_REEVE;
    task->lease_until_ms = reeve ? listened_ms(core) + core->config.liveness_ms : INT64_MAX;
    task->deadline_ms = reeve ? INT64_MAX : listened_ms(core) + task->timeout_ms;
}

worker_t *lease_holder(const task_t *task)
{
    return task->ahead ? NULL : task->holder;
}

bool lease_is_unsent(const core_t *core, const task_t *task)
{
    return task->ahead || task->told_after > core->durable;
}

peer_t lease_expecting(const core_t *core, const task_t *task)
{
    bool orphan = task->state == REEVE_STATE_PROCESSING && task->holder == NULL;
    return orphan && lease_is_unsent(core, task) ? task->holder_peer : 0;
}

/*  Tells the worker: by an effect that the caller has made. */
static void deliver(effect_t *effect, const task_t *task)
{
    effect->peer = task->holder_peer;
    effect->deliver.record = record_ref(task->record);
    effect->deliver.attempt = task->tries.attempts;
    effect->deliver.retry_count = task->tries.failures;
    effect->deliver.max_retries = retry_limit(&task->queue->policy, task->record);
    effect->deliver.timeout_ms = task->timeout_ms;
    effect->deliver.ephemeral = task->ephemeral;
}

void lease_send(core_t *core, task_t *task)
{
    task->started_wall_ms = core->wall_ms;
    task->started_ms = core->now_ms;
    start_clocks(core, task);
    deliver(effects_add(core->out, EFFECT_DELIVER), task);
}

static void hold(task_t *task, worker_t *worker)
{
    task->holder_instance = worker->instance;
    task->holder_peer = worker->peer;
    task->holder = worker;
    DL_APPEND2(worker->held, task, held_prev, held_next);
    worker->leased++;
}

static void let_go(task_t *task)
{
    if (task->holder) {
        ahead_clear(task);
        DL_DELETE2(task->holder->held, task, held_prev, held_next);
        task->holder->leased--;
        task->holder = NULL;
    }
}

void lease_give(core_t *core, task_t *task, worker_t *worker)
{
    bool ahead =
        worker->leased >= worker->prefetch || worker->ahead; /* they leave in their order */
    task->tries.attempts++;
    task->holder_name = mem_strdup(worker->name);
    task_move(core, task, REEVE_STATE_PROCESSING, core->wall_ms, NULL);
    DL_APPEND(core->leases, task);
    task->ephemeral = queue_is_in_memory(task->queue);
    task->started_wall_ms = core->wall_ms;
    task->started_ms = core->now_ms;
    task->timeout_ms = timeout_of(task);
    if (worker->kind != PEER_REEVE && task->timeout_ms == 0)
        task->timeout_ms = core->config.mdp_timeout_ms;
    hold(task, worker);
    start_clocks(core, task);
    if (ahead) {
        ahead_put(task);
    } else {
        if (worker->told_after > core->durable)
            task->told_after = core->changes;
        deliver(announce(core, task, EFFECT_DELIVER), task);
    }
    worker_update(core, worker);
}

void lease_restore(core_t *core, task_t *task, loaded_t *loaded, int64_t now_ms)
{
    task->holder_name = loaded->worker;
    loaded->worker = NULL;
    task->started_wall_ms = loaded->at_ms;
    task->started_ms = now_ms;
    task->timeout_ms = timeout_of(task);
    task->deadline_ms = INT64_MAX;
    task->lease_until_ms = now_ms + core->config.grace_ms;
    task->queue->processing++;
    DL_APPEND(core->leases, task);
}

void lease_clear(core_t *core, task_t *task)
{
    worker_t *worker = task->holder;
    let_go(task);
    DL_DELETE(core->leases, task);
    free(task->holder_name);
    task->holder_name = NULL;
    if (worker)
        worker_update(core, worker);
}

void lease_orphan(core_t *core, task_t *task)
{
    let_go(task);
    task->lease_until_ms = listened_ms(core) + core->config.grace_ms;
}

void lease_adopt(core_t *core, task_t *task, worker_t *worker)
{
    hold(task, worker);
    task->lease_until_ms = listened_ms(core) + core->config.liveness_ms;
}

static void revoke(effect_t *effect, peer_t peer, const held_t *held, revoke_cause_t cause)
{
    effect->peer = peer;
    effect->revoke.seq = held->seq;
    effect->revoke.attempt = held->attempt;
    effect->revoke.ephemeral = held->ephemeral;
    effect->revoke.cause = cause;
}

void lease_revoke_held(core_t *core, worker_t *worker, const held_t *held)
{
    revoke(say(core, EFFECT_REVOKE), worker->peer, held, REVOKE_STALE);
    worker->told_after = core->changes;
}

void lease_revoke_over(core_t *core, task_t *task, peer_t peer, revoke_cause_t cause)
{
    held_t held = {task->seq, task->tries.attempts, .ephemeral = task->ephemeral};
    revoke(announce(core, task, EFFECT_REVOKE), peer, &held, cause);
}

void lease_revoke(core_t *core, task_t *task, worker_t *worker, revoke_cause_t cause)
{
    if (worker == NULL)
        return;
    lease_revoke_over(core, task, worker->peer, cause);
    if (!is_told_at_once(core, task))
        worker->told_after = core->changes;
    ahead_wait(core, worker);
}

outcome_t *lease_outcome(core_t *core, const task_t *task, ending_t ending, const char *reason,
                         const char *error)
{
    bool held = task->state == REEVE_STATE_PROCESSING;
    return outcome_new(&(outcome_spec_t){
        .ending = ending,
        .attempt = held ? task->tries.attempts : 0,
        .started_ms = held ? task->started_wall_ms : 0,
        .ended_ms = core->wall_ms,
        .duration_ms = held ? core->now_ms - task->started_ms : 0,
        .worker = held ? slice_str(task->holder_name) : (slice_t){0},
        .reason = reason ? slice_str(reason) : (slice_t){0},
        .error = error ? slice_str(error) : (slice_t){0},
    });
}

void lease_release(core_t *core, task_t *task)
{
    outcome_t *outcome = lease_outcome(core, task, ENDING_RELEASED, "released", NULL);
    task_move(core, task, REEVE_STATE_QUEUED, 0, outcome);
    outcome_unref(&outcome);
}

void lease_fail(core_t *core, task_t *task, outcome_t *outcome)
{
    const policy_t *policy = &task->queue->policy;
    task->tries.failures++;
    if (outcome->spec.ending == ENDING_REJECTED ||
        task->tries.failures > retry_limit(policy, task->record)) {
        task_end(core, task, REEVE_STATE_FAILED, outcome);
        return;
    }
    int64_t delay_ms = retry_delay_ms(core, policy, task->record, task->tries.failures);
    task_move(core, task, REEVE_STATE_SCHEDULED, core->wall_ms + delay_ms, outcome);
}

void lease_lose(core_t *core, task_t *task, const char *error)
{
    core->lost++;
    task->tries.deaths++;
    bool poison = task->tries.deaths >= task->queue->policy.max_deaths;
    outcome_t *outcome =
        lease_outcome(core, task, ENDING_LOST, poison ? "quarantined" : "worker_lost", error);
    if (poison)
        task_end(core, task, REEVE_STATE_FAILED, outcome);
    else
        task_move(core, task, REEVE_STATE_QUEUED, 0, outcome);
    outcome_unref(&outcome);
}

static void time_out(core_t *core, task_t *task)
{
    worker_t *worker = task->holder;
    outcome_t *outcome = lease_outcome(core, task, ENDING_TIMEOUT, "timeout",
                                       "no end was reported within the task's timeout");
    lease_fail(core, task, outcome);
    outcome_unref(&outcome);
    lease_revoke(core, task, worker, REVOKE_TIMEOUT);
    worker_expel_mdp(core, worker, task);
}

/*  The delivery waits for the disk, or for room, and the clocks with it. So does the grace of a worker that fell
    silent meanwhile: it will get the delivery if it is there, and must not get the task twice. */
static void wait_for_delivery(const core_t *core, task_t *task)
{
    if (task->holder)
        start_clocks(core, task);
    else
        task->lease_until_ms = listened_ms(core) + core->config.grace_ms;
}

/*  A Majordomo worker that is late is sent away, and what was leased to it ahead leaves the list as well. */
static task_t *behind_those_of(const worker_t *holder, task_t *task)
{
    while (holder && holder->kind != PEER_REEVE && task && task->holder == holder)
        task = task->next;
    return task;
}

void lease_check(core_t *core)
{
    task_t *task, *next;
    DL_FOREACH_SAFE (core->leases, task, next) {
        if (lease_is_unsent(core, task)) {
            wait_for_delivery(core, task);
        } else if (task->deadline_ms <= listened_ms(core)) {
            next = behind_those_of(task->holder, next);
            time_out(core, task);
        } else if (task->lease_until_ms <= listened_ms(core)) {
            worker_t *worker = task->holder;
            lease_lose(core, task,
                       worker ? "its worker no longer reports it" : "its worker is gone");
            lease_revoke(core, task, worker, REVOKE_STALE);
        }
    }
}

/*  The task whose current attempt this peer may speak about; NULL when it is stale or another's. An
    orphaned lease belongs to whoever has its token: net has verified that. */
static task_t *current(core_t *core, peer_t peer, uint64_t seq, uint32_t attempt)
{
    task_t *task = task_find(core, seq);
    if (task && task->state == REEVE_STATE_PROCESSING && task->tries.attempts == attempt &&
        (task->holder == NULL || task->holder->peer == peer))
        return task;
    return NULL;
}

static void refuse_stale(core_t *core, const event_t *event, uint64_t seq, uint32_t attempt)
{
    core->stale++;
    effect_t *note = say(core, EFFECT_NOTE);
    note->peer = event->peer;
    note->note.kind = NOTE_STALE;
    const task_t *task = task_find(core, seq);
    note->note.record = task ? record_ref(task->record) : NULL;
    note->note.seq = seq;
    note->note.attempt = attempt;
    refuse(core, event->peer, event->corr, REEVE_ERR_STALE_ATTEMPT, NULL, 0);
}

static ending_t ending_of(const event_t *event)
{
    switch (event->settle.verdict) {
    case VERDICT_SUCCESS:
        return ENDING_SUCCESS;
    case VERDICT_REJECT:
        return ENDING_REJECTED;
    case VERDICT_RELEASE:
        return ENDING_RELEASED;
    case VERDICT_FAILURE:
        break;
    }
    return slice_eq(event->settle.reason, slice_str("timeout")) ? ENDING_TIMEOUT : ENDING_FAILURE;
}

static outcome_t *settled_outcome(core_t *core, const task_t *task, const event_t *event)
{
    int64_t duration_ms = event->settle.duration_ms;
    return outcome_new(&(outcome_spec_t){
        .ending = ending_of(event),
        .result_kind = event->settle.result_kind,
        .attempt = task->tries.attempts,
        .started_ms = task->started_wall_ms,
        .ended_ms = core->wall_ms,
        .duration_ms = duration_ms ? duration_ms : core->now_ms - task->started_ms,
        .worker = slice_str(task->holder_name),
        .result = event->settle.result,
        .reason = event->settle.reason,
        .error = event->settle.error,
        .traceback = event->settle.traceback,
    });
}

void lease_settle(core_t *core, const event_t *event)
{
    worker_t *worker = worker_find(core, event->peer);
    if (worker)
        worker->last_heard_ms = listened_ms(core);
    task_t *task = current(core, event->peer, event->settle.seq, event->settle.attempt);
    if (task == NULL) {
        refuse_stale(core, event, event->settle.seq, event->settle.attempt);
        return;
    }
    outcome_t *outcome = settled_outcome(core, task, event);
    worker_t *holder = task->holder;
    switch (event->settle.verdict) {
    case VERDICT_SUCCESS:
        task_end(core, task, REEVE_STATE_SUCCESS, outcome);
        break;
    case VERDICT_RELEASE:
        task_move(core, task, REEVE_STATE_QUEUED, 0, outcome);
        break;
    case VERDICT_FAILURE:
    case VERDICT_REJECT:
        lease_fail(core, task, outcome);
        break;
    }
    outcome_unref(&outcome);
    if (holder) {
        holder->settled++;
        ahead_promote(core, holder);
    }
    effect_t *effect = announce(core, task, EFFECT_SETTLED);
    effect->peer = event->peer;
    effect->corr = event->corr;
}

void lease_extend(core_t *core, const event_t *event)
{
    task_t *task = current(core, event->peer, event->attempt.seq, event->attempt.attempt);
    if (task == NULL || task->holder == NULL) {
        refuse_stale(core, event, event->attempt.seq, event->attempt.attempt);
        return;
    }
    task->holder->last_heard_ms = listened_ms(core);
    task->timeout_ms = event->attempt.timeout_ms;
    int64_t running_ms = core->now_ms - task->started_ms;
    task->deadline_ms =
        listened_ms(core) - running_ms + task->timeout_ms + core->config.liveness_ms;
}

void lease_progress(core_t *core, const event_t *event)
{
    worker_t *worker = worker_find(core, event->peer);
    if (worker)
        worker->last_heard_ms = listened_ms(core);
    task_t *task = current(core, event->peer, event->attempt.seq, event->attempt.attempt);
    if (task == NULL) {
        refuse_stale(core, event, event->attempt.seq, event->attempt.attempt);
        return;
    }
    outcome_t *partial = outcome_new(&(outcome_spec_t){.result_kind = event->attempt.kind,
                                                       .attempt = task->tries.attempts,
                                                       .result = event->attempt.data});
    waiters_tell(core, task, partial, true);
    if (task->record->spec.reply_to.size) {
        effect_t *reply = announce(core, task, EFFECT_REPLY);
        reply->outcome.record = record_ref(task->record);
        reply->outcome.state = task->state;
        reply->outcome.attempts = task->tries.attempts;
        reply->outcome.outcome = outcome_ref(partial);
        reply->outcome.partial = true;
    }
    outcome_unref(&partial);
}
