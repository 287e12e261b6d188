/*  The store at rest, held against what was said. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/oracle_inside.h"

static bool is(const rest_attempt_t *attempt, const char *ending)
{
    return strcmp(attempt->ending, ending) == 0;
}

static unsigned count_endings(const rest_task_t *rest, const char *ending)
{
    unsigned count = 0;
    for (size_t i = 0; i < rest->history_count; i++)
        count += is(&rest->history[i], ending);
    return count;
}

static bool ended_by_an_attempt(const rest_task_t *rest)
{
    return rest->end.number != 0;
}

/* ---- one task ------------------------------------------------------------------------------- */

/*  Every attempt given out is there once, in order, with its ending; the one that runs and the one
    that succeeded are not in the history. */
static void demand_history(const oracle_t *self, const ledger_task_t *task, const rest_task_t *rest)
{
    bool last_is_elsewhere =
        rest->state == REEVE_STATE_PROCESSING || rest->state == REEVE_STATE_SUCCESS;
    if (rest->history_count + last_is_elsewhere != rest->attempts)
        oracle_break(self, RULE_HISTORY, "%s: %zu endings of %u attempts while %s", task->id,
                     rest->history_count, rest->attempts, reeve_state_name(rest->state));
    for (size_t i = 0; i < rest->history_count; i++)
        if (rest->history[i].number != i + 1 || is(&rest->history[i], "none"))
            oracle_break(self, RULE_HISTORY, "%s: attempt %u (%s) stands at %zu", task->id,
                         rest->history[i].number, rest->history[i].ending, i + 1);
    if (task->latest && rest->attempts < task->latest->attempt)
        oracle_break(self, RULE_HISTORY, "%s: attempt %u was given out, the store has %u", task->id,
                     task->latest->attempt, rest->attempts);
}

static const char *ending_of(const settlement_t *settlement)
{
    switch (settlement->word) {
    case SAYS_FAILURE:
        return strcmp(settlement->reason, "timeout") == 0 ? "timeout" : "failure";
    case SAYS_REJECT:
        return "rejected";
    case SAYS_RELEASE:
        return "released";
    default:
        return "success";
    }
}

/*  What the store has of an attempt. */
static const rest_attempt_t *stored_attempt(const rest_task_t *rest, unsigned number)
{
    if (number >= 1 && number <= rest->history_count)
        return &rest->history[number - 1];
    return ended_by_an_attempt(rest) && rest->end.number == number ? &rest->end : NULL;
}

static bool was_heard(const lease_t *lease, const rest_attempt_t *stored)
{
    for (unsigned i = 0; i < lease->heard_count; i++)
        if (is(stored, ending_of(&lease->heard[i])) &&
            strcmp(stored->reason, lease->heard[i].reason) == 0)
            return true;
    return false;
}

static bool is_a_word(const rest_attempt_t *stored)
{
    return is(stored, "success") || is(stored, "failure") || is(stored, "rejected");
}

/*  Each attempt ended as its worker said, where its word was accepted; and no word is there that was
    never said. */
static void demand_attempts(const oracle_t *self, const ledger_task_t *task,
                            const rest_task_t *rest)
{
    for (const lease_t *lease = task->latest; lease; lease = lease->earlier) {
        const rest_attempt_t *stored = stored_attempt(rest, lease->attempt);
        if (lease->accepted && (stored == NULL || !is(stored, ending_of(lease->accepted)) ||
                                strcmp(stored->reason, lease->accepted->reason) != 0))
            oracle_break(self, RULE_TRUE_END, "%s attempt %u: %s was accepted, stored is %s",
                         task->id, lease->attempt, ending_of(lease->accepted),
                         stored ? stored->ending : "nothing");
        if (stored && is_a_word(stored) && !was_heard(lease, stored))
            oracle_break(self, RULE_TRUE_END, "%s attempt %u: nobody said %s", task->id,
                         lease->attempt, stored->ending);
        if (stored && lease->worker[0] && strcmp(stored->worker, lease->worker) != 0)
            oracle_break(self, RULE_HISTORY, "%s attempt %u was %s's, not %s's", task->id,
                         lease->attempt, lease->worker, stored->worker);
    }
}

static void demand_end(const oracle_t *self, const ledger_task_t *task, const rest_task_t *rest)
{
    if (task->end_told && !(task->end == REEVE_STATE_FAILED && task->redrive_heard) &&
        (rest->state != task->end))
        oracle_break(self, RULE_TRUE_END, "%s was told to have ended as %s, and is %s", task->id,
                     reeve_state_name(task->end), reeve_state_name(rest->state));
    if (task->end_told && task->end == REEVE_STATE_SUCCESS &&
        strcmp(task->end_result, rest->end.result) != 0)
        oracle_break(self, RULE_TRUE_END, "%s: the result was '%s' and is '%s'", task->id,
                     task->end_result, rest->end.result);
    if (task->said_ended && !task->redrive_heard && !reeve_state_is_final(rest->state))
        oracle_break(self, RULE_TRUE_END, "%s could not be cancelled, but is %s", task->id,
                     reeve_state_name(rest->state));
    if (rest->state == REEVE_STATE_CANCELLED && !task->cancel_heard && !task->forget_heard)
        oracle_break(self, RULE_TRUE_END, "%s was cancelled by nobody", task->id);
    if (rest->state == REEVE_STATE_EXPIRED && self->max_wall_ms < task->expires_min_ms)
        oracle_break(self, RULE_EXPIRY, "%s expired before its time", task->id);
}

static void demand_no_late_start(const oracle_t *self, const ledger_task_t *task,
                                 const rest_task_t *rest)
{
    for (unsigned i = 1; i <= rest->attempts; i++) {
        const rest_attempt_t *stored = stored_attempt(rest, i);
        if (stored && stored->started_ms >= task->expires_max_ms)
            oracle_break(self, RULE_EXPIRY, "%s attempt %u started %lld ms after its expiry",
                         task->id, i, (long long)(stored->started_ms - task->expires_max_ms));
    }
}

/*  A redrive gives all tries back, so that only their sum over the history is known then. */
static void demand_tries(const oracle_t *self, const ledger_task_t *task, const rest_task_t *rest)
{
    const queue_plan_t *queue = plan_queue(&self->plan, rest->content.queue);
    unsigned limit =
        rest->content.max_retries >= 0 ? (unsigned)rest->content.max_retries : queue->max_retries;
    unsigned rejected = count_endings(rest, "rejected");
    unsigned failures = count_endings(rest, "failure") + count_endings(rest, "timeout") + rejected;
    unsigned deaths = count_endings(rest, "lost");
    bool exact = !task->redrive_heard;
    if (exact ? rest->failures != failures : rest->failures > failures)
        oracle_break(self, RULE_TRIES, "%s: %u failures are counted, %u happened", task->id,
                     rest->failures, failures);
    if (exact ? rest->deaths != deaths : rest->deaths > deaths)
        oracle_break(self, RULE_TRIES, "%s: %u deaths are counted, %u happened", task->id,
                     rest->deaths, deaths);
    bool spent = rest->failures > limit || rest->deaths >= queue->max_deaths;
    if (rest->failures > limit + 1 || rest->deaths > queue->max_deaths)
        oracle_break(self, RULE_TRIES, "%s went beyond its limits: %u failures, %u deaths",
                     task->id, rest->failures, rest->deaths);
    if (rest->state == REEVE_STATE_FAILED && !spent && !is(&rest->end, "rejected"))
        oracle_break(self, RULE_TRIES, "%s is failed with tries left", task->id);
    bool goes_on = !reeve_state_is_final(rest->state) || rest->state == REEVE_STATE_SUCCESS;
    if (goes_on && (spent || (exact && rejected)))
        oracle_break(self, RULE_TRIES, "%s is %s with no tries left", task->id,
                     reeve_state_name(rest->state));
}

static void demand_same_task(const oracle_t *self, const ledger_task_t *task,
                             const rest_task_t *rest)
{
    const version_t *version = version_of(task, &rest->content);
    if (version == NULL || (task->certain && task->certain != version))
        oracle_break(self, RULE_CONTENT, "%s is stored with other content", task->id);
}

static void look_at(oracle_t *self, ledger_task_t *task, const rest_t *rest)
{
    rest_task_t stored;
    if (!rest->task(rest->arg, task->id, &stored)) {
        if (task->exists && !may_be_gone(self, task))
            oracle_break(self, RULE_CONFIRMED_EXISTS, "%s is not in the store", task->id);
        begin_life(task);
        return;
    }
    if (stored.seq != task->seq && may_be_gone(self, task))
        begin_life(task);
    else if (task->seq && stored.seq != task->seq)
        oracle_break(self, RULE_ONCE, "%s was admitted a second time", task->id);
    demand_same_task(self, task, &stored);
    demand_history(self, task, &stored);
    demand_attempts(self, task, &stored);
    demand_end(self, task, &stored);
    demand_no_late_start(self, task, &stored);
    demand_tries(self, task, &stored);
    task->exists = true;
    task->seq = stored.seq;
    task->certain = version_of(task, &stored.content);
}

/* ---- queues --------------------------------------------------------------------------------- */

typedef struct tally {
    uint64_t counters[4]; /* waiting, scheduled, dead, bytes */
    uint64_t fresh, fresh_bytes;
} tally_t;

static void add_to_tally(tally_t *tally, const rest_task_t *stored)
{
    bool waits = stored->state == REEVE_STATE_QUEUED || stored->state == REEVE_STATE_SCHEDULED;
    uint64_t bytes = strlen(stored->content.body);
    tally->counters[0] += stored->state == REEVE_STATE_QUEUED;
    tally->counters[1] += stored->state == REEVE_STATE_SCHEDULED;
    tally->counters[2] += stored->state == REEVE_STATE_FAILED;
    tally->counters[3] += reeve_state_is_final(stored->state) ? 0 : bytes;
    tally->fresh += waits && stored->attempts == 0;
    tally->fresh_bytes += waits && stored->attempts == 0 ? bytes : 0;
}

/*  Limits are for new tasks; what comes back from a worker may go beyond them. */
static void look_at_queue(const oracle_t *self, const queue_plan_t *queue, const rest_t *rest)
{
    static const char *const names[] = {"waiting", "scheduled", "dead", "bytes"};
    tally_t tally = {0};
    uint64_t counters[4] = {0};
    for (ledger_task_t *task = self->tasks; task; task = task->hh.next) {
        rest_task_t stored;
        if (rest->task(rest->arg, task->id, &stored) &&
            strcmp(stored.content.queue, queue->name) == 0)
            add_to_tally(&tally, &stored);
    }
    rest->queue(rest->arg, queue->name, counters);
    for (int i = 0; i < 4; i++)
        if (counters[i] != tally.counters[i])
            oracle_break(self, RULE_COUNTS, "%s counts %llu %s, and there are %llu", queue->name,
                         (unsigned long long)counters[i], names[i],
                         (unsigned long long)tally.counters[i]);
    if (queue->max_length && tally.fresh > queue->max_length)
        oracle_break(self, RULE_LIMITS, "%s took in %llu tasks of %u", queue->name,
                     (unsigned long long)tally.fresh, queue->max_length);
    if (queue->max_bytes && tally.fresh_bytes > queue->max_bytes)
        oracle_break(self, RULE_LIMITS, "%s took in %llu bytes of %u", queue->name,
                     (unsigned long long)tally.fresh_bytes, queue->max_bytes);
}

void oracle_reads(oracle_t *self, const rest_t *rest)
{
    for (ledger_task_t *task = self->tasks; task; task = task->hh.next)
        look_at(self, task, rest);
    for (unsigned i = 0; i < self->plan.queue_count; i++)
        look_at_queue(self, &self->plan.queues[i], rest);
}

void oracle_demands_the_end(oracle_t *self, const rest_t *rest)
{
    oracle_reads(self, rest);
    for (ledger_task_t *task = self->tasks; task; task = task->hh.next) {
        rest_task_t stored;
        if (rest->task(rest->arg, task->id, &stored) && !reeve_state_is_final(stored.state))
            oracle_break(self, RULE_PROGRESS, "%s is still %s", task->id,
                         reeve_state_name(stored.state));
    }
}
