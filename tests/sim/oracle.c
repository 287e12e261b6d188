#include "tests/sim/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/oracle_inside.h"

oracle_t *oracle_new(const plan_t *plan, void (*broken)(void *, const char *, const char *),
                     void *arg)
{
    oracle_t *self = mem_zalloc(sizeof *self);
    self->plan = *plan;
    self->broken = broken;
    self->arg = arg;
    self->low_since_ms = self->drain_since_ms = INT64_MAX;
    for (unsigned i = 0; i < QUEUES_MAX; i++)
        self->bulk[i] = (bulk_t){INT64_MIN / 2, INT64_MIN / 2};
    /* A decision waits for the transaction under way and for its own. */
    self->doubt_ms = 2 * (plan->commit_max_ms + (plan->slow_commits ? 6000 : 0)) + 20;
    return self;
}

void oracle_destroy(oracle_t **self)
{
    ledger_free(*self);
    free(*self);
    *self = NULL;
}

size_t oracle_tasks(const oracle_t *self)
{
    return HASH_COUNT(self->tasks);
}

/* ---- the environment ------------------------------------------------------------------------ */

/*  What was asked for before the clock went back may end a task at an earlier hour than it was. */
static void note_setback(oracle_t *self, int64_t by_ms)
{
    for (ledger_task_t *task = self->tasks; task; task = task->hh.next)
        if (task->end_wall_ms != INT64_MAX)
            task->end_wall_ms -= by_ms;
}

void oracle_time(oracle_t *self, int64_t now_ms, int64_t wall_ms)
{
    int64_t set_back_ms = (self->wall_ms - self->now_ms) - (wall_ms - now_ms);
    if (set_back_ms > 0)
        note_setback(self, set_back_ms);
    self->now_ms = now_ms;
    self->wall_ms = wall_ms;
    if (wall_ms > self->max_wall_ms)
        self->max_wall_ms = wall_ms;
}

void oracle_loses(oracle_t *self, uint64_t handle)
{
    ledger_peer_t *peer = peer_of(self, handle);
    peer_leaves(self, peer, true);
    peer->lost_ms = self->now_ms;
}

/*  What was said of a task in memory may have been lost with the broker; its lease has been. */
static void lose_memory(oracle_t *self, bool all_written)
{
    for (lease_t *lease = self->leases; lease; lease = lease->hh.next)
        if (lease->in_memory) {
            lease->revoked = true;
            lease->orphan_until_ms = 0;
        }
    for (ledger_task_t *task = self->tasks; task; task = task->hh.next)
        if (may_be_in_memory(self, task) && !all_written)
            begin_life(task);
}

void oracle_sees_stop(oracle_t *self, bool all_written)
{
    for (lease_t *lease = self->leases; lease; lease = lease->hh.next)
        if (self->now_ms >= lease->orphan_until_ms)
            lease->orphan_until_ms = 0;
    for (ledger_peer_t *peer = self->peers; peer; peer = peer->hh.next)
        peer_leaves(self, peer, true);
    lose_memory(self, all_written);
    self->drain_since_ms = INT64_MAX;
}

/*  Leases that certainly lived when the broker stopped wait for their workers anew. */
void oracle_sees_start(oracle_t *self)
{
    for (lease_t *lease = self->leases; lease; lease = lease->hh.next)
        if (lease->orphan_until_ms)
            lease->orphan_until_ms = self->now_ms + self->plan.grace_ms;
}

void oracle_sees_disk(oracle_t *self, bool low)
{
    if (!low)
        self->low_since_ms = INT64_MAX;
    else if (self->low_since_ms == INT64_MAX)
        self->low_since_ms = self->now_ms;
}

void oracle_sees_drain(oracle_t *self)
{
    self->drain_since_ms = self->now_ms;
}

/* ---- what reaches the broker ---------------------------------------------------------------- */

static void hear_by_id(oracle_t *self, const message_t *message)
{
    ledger_task_t *task = ledger_find(self, message->id);
    if (task == NULL)
        return;
    if (message->kind == MSG_CANCEL)
        task->cancel_heard = true;
    if (message->kind == MSG_FORGET)
        task->forget_heard = true;
    if (message->kind != MSG_WAIT)
        may_have_ended(task, self->wall_ms);
}

static bool is_meant(const message_t *message, const char *queue)
{
    return message->queues[0][0] == '\0' || strcmp(queue, message->queues[0]) == 0;
}

static void hear_bulk(oracle_t *self, const message_t *message)
{
    for (unsigned i = 0; i < self->plan.queue_count; i++) {
        bool meant = is_meant(message, self->plan.queues[i].name);
        if (meant && message->kind == MSG_REDRIVE)
            self->bulk[i].redrive_ms = self->now_ms;
        if (meant && message->kind == MSG_PURGE)
            self->bulk[i].purge_ms = self->now_ms;
    }
}

/*  Redrive and purge: of one, of a queue, of all. */
static void hear_dead(oracle_t *self, const message_t *message)
{
    if (message->id[0] == '\0')
        hear_bulk(self, message);
    for (ledger_task_t *task = self->tasks; task; task = task->hh.next) {
        bool meant = message->id[0] ? strcmp(task->id, message->id) == 0
                                    : is_meant(message, task->versions[0].content.queue);
        task->redrive_heard |= meant && message->kind == MSG_REDRIVE;
        task->purge_heard |= meant && message->kind == MSG_PURGE;
    }
}

static void hear_question(oracle_t *self, ledger_peer_t *peer, const message_t *message)
{
    const version_t *version = NULL;
    ledger_task_t *task = message->kind == MSG_SUBMIT ? ledger_submit(self, message, &version)
                                                      : ledger_find(self, message->id);
    if (message->kind == MSG_REDRIVE || message->kind == MSG_PURGE)
        hear_dead(self, message);
    else if (message->kind != MSG_SUBMIT)
        hear_by_id(self, message);
    if (peer->protocol != SPEAKS_REEVE)
        return;
    asked_t *asked = asked_note(self, peer->handle, message);
    asked->task = task;
    asked->version = version;
    asked->known += task && task->exists;
}

/*  Words about an attempt that never was, or whose token died with a broker, are refused before the broker asks
    who says them. */
static bool is_sign_of_life(const oracle_t *self, const message_t *message)
{
    bool of_attempt =
        message->kind == MSG_SETTLE || message->kind == MSG_EXTEND || message->kind == MSG_PROGRESS;
    const lease_t *lease = of_attempt ? lease_find(self, message->token) : NULL;
    bool known = lease && !(lease->in_memory && lease->revoked);
    return message->kind >= MSG_READY && (!of_attempt || known);
}

void oracle_hears(oracle_t *self, uint64_t handle, const message_t *message)
{
    ledger_peer_t *peer = peer_of(self, handle);
    peer->protocol = message->protocol;
    if (is_sign_of_life(self, message))
        peer->heard_ms = self->now_ms;
    switch (message->kind) {
    case MSG_SUBMIT:
    case MSG_WAIT:
    case MSG_CANCEL:
    case MSG_FORGET:
    case MSG_REDRIVE:
    case MSG_PURGE:
        hear_question(self, peer, message);
        break;
    case MSG_READY:
        hear_ready(self, peer, message);
        break;
    case MSG_HEARTBEAT:
        hear_heartbeat(self, peer, message);
        break;
    case MSG_SETTLE:
        hear_settle(self, peer, message);
        break;
    case MSG_EXTEND:
        hear_extend(self, message);
        break;
    case MSG_PREFETCH:
        hear_prefetch(self, peer, message->prefetch);
        break;
    case MSG_GOODBYE:
        peer_leaves(self, peer, false);
        break;
    default:
        break;
    }
}

/* ---- what the broker says ------------------------------------------------------------------- */

/*  Something was said of a task that was never submitted. */
static void demand_known(oracle_t *self, const asked_t *asked, const char *what)
{
    if (asked->task == NULL)
        oracle_break(self, RULE_UNKNOWN, "%s about a task that was never submitted", what);
}

static void say_new(oracle_t *self, const asked_t *asked)
{
    ledger_task_t *task = asked->task;
    if (task->exists && !may_be_gone(self, task))
        oracle_break(self, RULE_ONCE, "%s was confirmed as new a second time", task->id);
    if (asked->first_ms >= self->low_since_ms)
        oracle_break(self, RULE_LIMITS, "%s was admitted to a full disk", task->id);
    if (asked->first_ms >= self->drain_since_ms)
        oracle_break(self, RULE_LIMITS, "%s was admitted by a draining broker", task->id);
    if (!is_blurred(self, task))
        begin_life(task);
}

static void say_again(oracle_t *self, const asked_t *asked)
{
    ledger_task_t *task = asked->task;
    bool other = task->certain && task->certain != asked->version;
    if (other && !may_be_gone(self, task))
        oracle_break(self, RULE_CONFLICT, "%s was confirmed with other content", task->id);
    if (task->heard < 2)
        oracle_break(self, RULE_ONCE, "%s is called a duplicate and is none", task->id);
    if (other && !is_blurred(self, task))
        begin_life(task);
}

static void say_confirm(oracle_t *self, asked_t *asked, const message_t *message)
{
    if (asked->kind != MSG_SUBMIT)
        oracle_break(self, RULE_ANSWER, "a confirm of what was no submission");
    if (message->duplicate)
        say_again(self, asked);
    else
        say_new(self, asked);
    if (is_blurred(self, asked->task))
        return;
    asked->task->certain = asked->version;
    asked->task->exists = true;
}

static void say_conflict(oracle_t *self, const asked_t *asked)
{
    const ledger_task_t *task = asked->task;
    if (asked->kind != MSG_SUBMIT)
        oracle_break(self, RULE_ANSWER, "a conflict of what was no submission");
    if (task->version_count < 2 || (task->certain == asked->version && !may_be_gone(self, task)))
        oracle_break(self, RULE_CONFLICT, "%s is in conflict with itself", task->id);
}

/*  Who asked before the task was there may be told so after. */
static void say_unknown(oracle_t *self, asked_t *asked)
{
    const ledger_task_t *task = asked->task;
    bool denied = ++asked->unknown > asked->heard - asked->known;
    if (task && denied && !may_be_gone(self, task))
        oracle_break(self, RULE_UNKNOWN, "%s is there, but was called unknown", task->id);
}

static void say_wrong_state(oracle_t *self, const asked_t *asked)
{
    demand_known(self, asked, "wrong_state");
    if (asked->kind == MSG_CANCEL && !is_blurred(self, asked->task))
        asked->task->said_ended = true;
}

static void say_error(oracle_t *self, uint64_t peer, const message_t *message)
{
    if (message->error == REEVE_ERR_NOT_READY)
        say_not_ready(self, peer_of(self, peer));
    if (message->corr == 0)
        return;
    asked_t *asked = asked_find(self, peer, message->corr);
    if (asked == NULL)
        oracle_break(self, RULE_ANSWER, "an error answers what was not asked");
    asked->answered++;
    switch (message->error) {
    case REEVE_ERR_CONFLICT:
        say_conflict(self, asked);
        break;
    case REEVE_ERR_UNKNOWN_TASK:
        say_unknown(self, asked);
        break;
    case REEVE_ERR_WRONG_STATE:
        say_wrong_state(self, asked);
        break;
    case REEVE_ERR_STALE_ATTEMPT:
        say_stale(self, asked);
        break;
    case REEVE_ERR_DRAINING:
    case REEVE_ERR_DISK_LOW:
    case REEVE_ERR_QUEUE_FULL:
        if (asked->kind != MSG_SUBMIT)
            oracle_break(self, RULE_LIMITS, "only submissions may be refused for want of room");
        break;
    default:
        break;
    }
}

static bool was_reported(const lease_t *lease, const char *result)
{
    for (unsigned i = 0; lease && i < lease->heard_count; i++)
        if (lease->heard[i].word == SAYS_SUCCESS && strcmp(lease->heard[i].result, result) == 0)
            return true;
    return false;
}

/*  A success is what a worker said of the attempt that the outcome names. */
static void demand_result(oracle_t *self, const ledger_task_t *task, const message_t *message)
{
    if (was_reported(lease_of_attempt(task, message->attempts), message->result))
        return;
    for (const lease_t *lease = task->former; lease; lease = lease->earlier)
        if (may_be_in_memory(self, task) && lease->attempt == message->attempts &&
            was_reported(lease, message->result))
            return;
    oracle_break(self, RULE_TRUE_END, "%s: nobody reported '%s' for attempt %u", task->id,
                 message->result, message->attempts);
}

static void say_end(oracle_t *self, ledger_task_t *task, const message_t *message)
{
    if (!reeve_state_is_final(message->state))
        oracle_break(self, RULE_TRUE_END, "%s ended as %s", task->id,
                     reeve_state_name(message->state));
    if (message->state == REEVE_STATE_SUCCESS)
        demand_result(self, task, message);
    if (message->state == REEVE_STATE_CANCELLED && !task->cancel_heard && !task->forget_heard)
        oracle_break(self, RULE_TRUE_END, "%s was cancelled by nobody", task->id);
    if (message->state == REEVE_STATE_EXPIRED && task->expires_min_ms > self->max_wall_ms)
        oracle_break(self, RULE_EXPIRY, "%s expired before its time", task->id);
    tell_end(self, task, message->state, message->result);
}

static void say_outcome(oracle_t *self, asked_t *asked, const message_t *message)
{
    demand_known(self, asked, "an outcome");
    if (!asked->wait || strcmp(message->id, asked->task->id) != 0)
        oracle_break(self, RULE_ANSWER, "an outcome of %s that was not asked for", message->id);
    asked->task->exists = true;
    if (message->partial)
        return;
    if (++asked->outcomes > asked->heard)
        oracle_break(self, RULE_ANSWER, "the end of %s was told twice", message->id);
    say_end(self, asked->task, message);
}

static void say_reply(oracle_t *self, const message_t *message)
{
    ledger_task_t *task = ledger_find(self, message->id);
    if (task == NULL)
        oracle_break(self, RULE_UNKNOWN, "a reply of %s, which nobody requested", message->id);
    if (!message->partial)
        say_end(self, task, message);
}

static void say_done(oracle_t *self, asked_t *asked, const message_t *message)
{
    asked->answered++;
    switch (asked->kind) {
    case MSG_CANCEL:
        demand_known(self, asked, "done");
        if (message->count != 1 || reeve_state_is_final(message->state))
            oracle_break(self, RULE_ANSWER, "%s had ended and was cancelled", asked->task->id);
        tell_end(self, asked->task, REEVE_STATE_CANCELLED, NULL);
        break;
    case MSG_FORGET:
        if (message->count > 1 || (message->count == 1 && asked->task == NULL))
            oracle_break(self, RULE_ANSWER, "a task was forgotten that never was");
        break;
    case MSG_REDRIVE:
    case MSG_PURGE:
        if (message->count && message->state != REEVE_STATE_FAILED)
            oracle_break(self, RULE_ANSWER, "dead letters that were not failed");
        break;
    default:
        oracle_break(self, RULE_ANSWER, "done, of what was no command");
    }
}

static asked_t *demand_asked(oracle_t *self, uint64_t peer, const message_t *message)
{
    asked_t *asked = asked_find(self, peer, message->corr);
    if (asked == NULL)
        oracle_break(self, RULE_ANSWER, "an answer to what was not asked");
    return asked;
}

static void demand_one_answer(const oracle_t *self, const asked_t *asked)
{
    /* A submission that waits may be confirmed and then find no room for the wait. */
    if (asked->answered > asked->heard * (asked->kind == MSG_SUBMIT && asked->wait ? 2 : 1))
        oracle_break(self, RULE_ANSWER, "more answers than questions");
}

void oracle_says(oracle_t *self, uint64_t peer, const message_t *message)
{
    asked_t *asked = NULL;
    switch (message->kind) {
    case MSG_CONFIRM:
        asked = demand_asked(self, peer, message);
        asked->answered++;
        say_confirm(self, asked, message);
        break;
    case MSG_ERROR:
        say_error(self, peer, message);
        asked = message->corr ? asked_find(self, peer, message->corr) : NULL;
        break;
    case MSG_OUTCOME:
        say_outcome(self, demand_asked(self, peer, message), message);
        break;
    case MSG_DONE:
        asked = demand_asked(self, peer, message);
        say_done(self, asked, message);
        break;
    case MSG_DELIVER:
        say_deliver(self, peer_of(self, peer), message);
        break;
    case MSG_SETTLED:
        asked = demand_asked(self, peer, message);
        asked->answered++;
        say_settled(self, asked);
        break;
    case MSG_REVOKE:
        say_revoke(self, peer, message);
        break;
    case MSG_REPLY:
        say_reply(self, message);
        break;
    case MSG_BYE:
        if (peer_of(self, peer)->protocol != SPEAKS_REEVE)
            peer_leaves(self, peer_of(self, peer), false);
        break;
    default:
        break;
    }
    if (asked)
        demand_one_answer(self, asked);
}
