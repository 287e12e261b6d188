/*  Attempts: who was given which, whose lease certainly lives, and which words about them count.

    A lease's clocks start when its delivery leaves, give or take CLOCK_DOUBT_MS. From there on it is
    followed by what keeps it alive, so that `now < sure_until_ms` means: whatever the broker thinks,
    this lease lives. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/oracle_inside.h"

enum { CLOCK_DOUBT_MS = 300 };

lease_t *lease_find(const oracle_t *self, const char *token)
{
    lease_t *lease;
    HASH_FIND_STR(self->leases, token, lease);
    return lease;
}

lease_t *lease_of_attempt(const ledger_task_t *task, unsigned attempt)
{
    for (lease_t *lease = task->latest; lease; lease = lease->earlier)
        if (lease->attempt == attempt)
            return lease;
    return NULL;
}

/*  Nothing was heard that may have ended it, and nothing ran out. */
static bool surely_lives(const oracle_t *self, const lease_t *lease)
{
    const ledger_task_t *task = lease->task;
    return task->latest == lease && !lease->revoked && lease->heard_count == 0 &&
           !task->cancel_heard && !task->forget_heard && !task->end_told && !lease->extended &&
           self->now_ms < lease->sure_until_ms && self->now_ms < lease->timeout_at_ms;
}

/* ---- peers come, speak and go --------------------------------------------------------------- */

static void let_go(lease_t *lease)
{
    lease->over = true;
    lease->sure_until_ms = lease->orphan_until_ms = 0;
}

void peer_leaves(oracle_t *self, ledger_peer_t *peer, bool returns)
{
    peer->registered = false;
    for (lease_t *lease = self->leases; lease; lease = lease->hh.next) {
        if (lease->holder != peer->handle || lease->over)
            continue;
        int64_t until_ms =
            returns && surely_lives(self, lease) ? self->now_ms + self->plan.grace_ms : 0;
        let_go(lease);
        lease->holder = 0;
        lease->orphan_until_ms = until_ms;
    }
}

/*  The broker does not know the worker any more, or has not heard its READY when this was decided. What
    it is given after was decided on before, and waits for its return. */
void say_not_ready(oracle_t *self, ledger_peer_t *peer)
{
    if (self->now_ms - peer->ready_ms > self->doubt_ms)
        peer_leaves(self, peer, false);
}

/*  It is another worker under each, and whoever else has one of them may bring its leases to an end. */
static bool has_two_names(const ledger_peer_t *peer)
{
    return peer->former_name[0] != '\0';
}

/*  Being named keeps a lease of this peer alive, and gives it one that waited for its return. */
static void name_lease(const oracle_t *self, const ledger_peer_t *peer, const held_token_t *held)
{
    lease_t *lease = lease_find(self, held->token);
    if (lease == NULL)
        return;
    if (has_two_names(peer)) {
        let_go(lease);
        return;
    }
    if (lease->holder == 0 && self->now_ms < lease->orphan_until_ms) {
        lease->holder = peer->handle;
        lease->over = false;
        lease->adopted_ms = self->now_ms;
        lease->sure_until_ms = self->now_ms + 1;
    }
    if (lease->holder != peer->handle || self->now_ms >= lease->sure_until_ms)
        return;
    lease->sure_until_ms = self->now_ms + self->plan.liveness_ms;
    lease->orphan_until_ms = 0;
}

static bool names(const message_t *message, const lease_t *lease)
{
    for (unsigned i = 0; i < message->held_count; i++)
        if (strcmp(message->held[i].token, lease->token) == 0)
            return true;
    return false;
}

static bool answers_to(const ledger_peer_t *peer, const char *name)
{
    return strcmp(peer->name, name) == 0 || strcmp(peer->former_name, name) == 0;
}

/*  Another connection under the same name is over; or it is not, where either of them had two names. */
static void replace_namesakes(oracle_t *self, const ledger_peer_t *peer, const char *name)
{
    for (ledger_peer_t *other = self->peers; other; other = other->hh.next)
        if (other != peer && other->registered && answers_to(other, name)) {
            peer_leaves(self, other, true);
            other->replaced = true;
        }
}

/*  What a worker that registers does not name, it does not hold. */
static void drop_unnamed(const oracle_t *self, const ledger_peer_t *peer, const message_t *message)
{
    for (lease_t *lease = self->leases; lease; lease = lease->hh.next) {
        bool its = lease->holder == peer->handle ||
                   (lease->holder == 0 && (strcmp(lease->worker, peer->name) == 0 ||
                                           strcmp(lease->worker, message->name) == 0));
        if (its && !names(message, lease))
            let_go(lease);
    }
}

void hear_prefetch(oracle_t *self, ledger_peer_t *peer, unsigned prefetch)
{
    bool settled = self->now_ms - peer->prefetch_ms > self->doubt_ms;
    unsigned before = settled ? peer->prefetch : peer->prefetch_before;
    peer->prefetch_before = before > peer->prefetch ? before : peer->prefetch;
    peer->prefetch = prefetch;
    peer->prefetch_ms = self->now_ms;
}

static void register_mdp(ledger_peer_t *peer, const message_t *message)
{
    if (peer->registered)
        return; /* the conversation ends: BYE follows */
    snprintf(peer->name, sizeof peer->name, "mdp-%llu", (unsigned long long)peer->handle);
    peer->registered = true;
    memcpy(peer->queues, message->queues, sizeof peer->queues);
    peer->queue_count = 1;
    peer->prefetch = 1;
}

/*  A connection that registers under a second name has changed it, or is still known by the first:
    both are taken to be its own. */
void hear_ready(oracle_t *self, ledger_peer_t *peer, const message_t *message)
{
    if (peer->protocol != SPEAKS_REEVE) {
        register_mdp(peer, message);
        return;
    }
    replace_namesakes(self, peer, message->name);
    if (peer->name[0])
        replace_namesakes(self, peer, peer->name);
    if (peer->name[0] && strcmp(peer->name, message->name) != 0) {
        memcpy(peer->former_name, peer->name, sizeof peer->former_name);
        peer_leaves(self, peer, false);
    }
    for (unsigned i = 0; i < message->held_count; i++)
        name_lease(self, peer, &message->held[i]);
    drop_unnamed(self, peer, message);
    memcpy(peer->name, message->name, sizeof peer->name);
    peer->registered = true;
    peer->replaced = false;
    memcpy(peer->queues, message->queues, sizeof peer->queues);
    peer->queue_count = message->queue_count;
    hear_prefetch(self, peer, message->prefetch);
    peer->ready_ms = self->now_ms;
}

/*  A connection that was replaced, or is there after all, may have got what it names. */
static void name_in_doubt(const oracle_t *self, const held_token_t *held)
{
    lease_t *lease = lease_find(self, held->token);
    if (lease && lease->holder == 0)
        let_go(lease);
}

void hear_heartbeat(oracle_t *self, ledger_peer_t *peer, const message_t *message)
{
    for (unsigned i = 0; i < message->held_count; i++) {
        if (peer->registered)
            name_lease(self, peer, &message->held[i]);
        else if (peer->replaced)
            name_in_doubt(self, &message->held[i]);
    }
}

void hear_extend(oracle_t *self, const message_t *message)
{
    lease_t *lease = lease_find(self, message->token);
    if (lease)
        lease->extended = true;
}

/* ---- settlements ---------------------------------------------------------------------------- */

static const settlement_t *note_settlement(const oracle_t *self, lease_t *lease,
                                           const message_t *message)
{
    for (unsigned i = 0; i < lease->heard_count; i++) {
        settlement_t *known = &lease->heard[i];
        if (known->word == message->word && strcmp(known->result, message->result) == 0 &&
            strcmp(known->reason, message->reason) == 0) {
            if (self->wall_ms < known->wall_ms)
                known->wall_ms = self->wall_ms;
            return known;
        }
    }
    if (lease->heard_count == SETTLEMENTS_MAX)
        abort();
    settlement_t *fresh = &lease->heard[lease->heard_count++];
    *fresh = (settlement_t){.word = message->word, .wall_ms = self->wall_ms};
    memcpy(fresh->result, message->result, sizeof fresh->result);
    memcpy(fresh->reason, message->reason, sizeof fresh->reason);
    return fresh;
}

/*  Whether it is already certain that this settlement must not count. */
static bool must_be_refused(const oracle_t *self, const ledger_peer_t *peer, const lease_t *lease)
{
    const ledger_task_t *task = lease->task;
    bool another_holds = lease->holder != peer->handle && surely_lives(self, lease);
    return task->latest != lease || lease->accepted || lease->revoked || task->end_told ||
           another_holds;
}

void hear_settle(oracle_t *self, ledger_peer_t *peer, const message_t *message)
{
    lease_t *lease = lease_find(self, message->token);
    asked_t *asked = asked_note(self, peer->handle, message);
    asked->lease = lease;
    if (lease == NULL || must_be_refused(self, peer, lease)) {
        asked->must_refuse++;
        return;
    }
    if (lease->holder == peer->handle && surely_lives(self, lease))
        asked->must_accept++;
    if (lease->holder == peer->handle)
        lease->over = true;
    asked->settlement = note_settlement(self, lease, message);
    asked->task = lease->task;
    if (message->word == SAYS_SUCCESS)
        may_have_ended(lease->task, self->wall_ms);
}

static const char *word_of(const settlement_t *settlement)
{
    static const char *const words[] = {"?", "success", "failure", "reject", "release"};
    return words[settlement->word];
}

void say_settled(oracle_t *self, asked_t *asked)
{
    if (asked->kind != MSG_SETTLE)
        oracle_break(self, RULE_ANSWER, "settled, of what was no settlement");
    if (asked->lease == NULL)
        oracle_break(self, RULE_FENCED, "a settlement of a made-up attempt was accepted");
    lease_t *lease = asked->lease;
    if (++asked->settled > asked->heard - asked->must_refuse)
        oracle_break(self, RULE_FENCED, "a stale settlement of %s attempt %u was accepted",
                     lease->task->id, lease->attempt);
    if (lease->accepted)
        oracle_break(self, RULE_FENCED, "two settlements of %s attempt %u were accepted",
                     lease->task->id, lease->attempt);
    lease->accepted = asked->settlement;
    if (lease->accepted->word == SAYS_SUCCESS)
        tell_end(self, lease->task, REEVE_STATE_SUCCESS, lease->accepted->result);
    else if (lease->accepted->word == SAYS_REJECT)
        tell_end(self, lease->task, REEVE_STATE_FAILED, NULL);
}

void say_stale(oracle_t *self, asked_t *asked)
{
    if (asked->kind != MSG_SETTLE)
        oracle_break(self, RULE_ANSWER, "stale, of what was no settlement");
    if (++asked->refused > asked->heard - asked->must_accept)
        oracle_break(self, RULE_ACCEPTED, "the %s of %s attempt %u was refused, its lease lived",
                     word_of(asked->settlement), asked->task->id, asked->lease->attempt);
}

/*  The end of a life is told once; a dead letter may be redriven. */
void tell_end(oracle_t *self, ledger_task_t *task, reeve_state_t state, const char *result)
{
    if (is_blurred(self, task))
        return;
    bool contradicts = task->end_told && task->end != state &&
                       !(task->end == REEVE_STATE_FAILED && task->redrive_heard);
    if (contradicts && !may_be_gone(self, task))
        oracle_break(self, RULE_ONCE, "%s ended as %s and then as %s", task->id,
                     reeve_state_name(task->end), reeve_state_name(state));
    if (contradicts)
        begin_life(task);
    task->exists = task->end_told = true;
    task->end = state;
    snprintf(task->end_result, sizeof task->end_result, "%s", result ? result : "");
}

/* ---- deliveries ----------------------------------------------------------------------------- */

static unsigned long long seq_of(const message_t *message)
{
    return strtoull(message->token, NULL, 16);
}

/*  A later life of a task in memory has overtaken it. */
static bool is_of_former_life(const oracle_t *self, const ledger_task_t *task,
                              const message_t *message)
{
    return is_blurred(self, task) && seq_of(message) < task->seq;
}

static void demand_fitting_life(oracle_t *self, ledger_task_t *task, const message_t *message)
{
    unsigned long long seq = seq_of(message);
    if (task->seq && seq < task->seq)
        oracle_break(self, RULE_ONCE, "an earlier life of %s runs again", task->id);
    if (task->seq && seq > task->seq) {
        if (!may_be_gone(self, task))
            oracle_break(self, RULE_ONCE, "%s was admitted twice", task->id);
        begin_life(task);
    }
    if (task->seq == 0 && may_be_gone(self, task))
        begin_life(task); /* it may be one whose confirm nobody heard */
    task->seq = seq;
    task->exists = true;
}

static void demand_content(oracle_t *self, ledger_task_t *task, const message_t *message)
{
    const version_t *version = version_of(task, &message->content);
    if (version == NULL || (task->certain && task->certain != version))
        oracle_break(self, RULE_CONTENT, "%s was delivered with other content", task->id);
    task->certain = version;
}

static void demand_no_end(const oracle_t *self, const ledger_task_t *task, const message_t *message)
{
    bool redriven = task->end == REEVE_STATE_FAILED && task->redrive_heard;
    if (task->end_told && !redriven)
        oracle_break(self, RULE_ENDED, "%s was delivered after it was told to have ended as %s",
                     message->id, reeve_state_name(task->end));
}

static void demand_next_attempt(const oracle_t *self, const ledger_task_t *task,
                                const message_t *message)
{
    const lease_t *before = task->latest;
    if (before == NULL)
        return;
    if (message->attempt <= before->attempt)
        oracle_break(self, RULE_ASCENDING, "%s: attempt %u after %u", task->id, message->attempt,
                     before->attempt);
    if (surely_lives(self, before))
        oracle_break(self, RULE_ONE_LEASE, "%s was taken from %s, whose lease lives", task->id,
                     before->worker);
}

/*  Exponential backoff with equal jitter, from the contract: half of it at least. */
static int64_t least_backoff_ms(const oracle_t *self, const ledger_task_t *task, unsigned failures)
{
    const queue_plan_t *queue = queue_of(self, task);
    int64_t delay_ms = task->backoff_min_ms;
    while (--failures > 0 && delay_ms < queue->backoff_max_ms)
        delay_ms *= 2;
    if (delay_ms > queue->backoff_max_ms)
        delay_ms = queue->backoff_max_ms;
    return delay_ms / 2;
}

static void demand_due(const oracle_t *self, const ledger_task_t *task, const message_t *message)
{
    if (self->max_wall_ms < task->due_ms)
        oracle_break(self, RULE_DUE, "%s was delivered %lld ms early", task->id,
                     (long long)(task->due_ms - self->max_wall_ms));
    const settlement_t *before = task->latest ? task->latest->accepted : NULL;
    if (before == NULL || before->word != SAYS_FAILURE || message->failures == 0 ||
        task->redrive_heard || message->attempt != task->latest->attempt + 1)
        return;
    int64_t earliest_ms = before->wall_ms + least_backoff_ms(self, task, message->failures);
    if (self->max_wall_ms < earliest_ms)
        oracle_break(self, RULE_DUE, "%s was retried %lld ms before its backoff was over", task->id,
                     (long long)(earliest_ms - self->max_wall_ms));
}

/*  A lease that it came back with may have been unknown when this delivery was decided on. */
static unsigned open_leases(const oracle_t *self, const ledger_peer_t *peer)
{
    unsigned count = 0;
    for (const lease_t *lease = self->leases; lease; lease = lease->hh.next)
        count += lease->holder == peer->handle && !lease->over &&
                 self->now_ms - lease->adopted_ms > self->doubt_ms;
    return count;
}

static void demand_credit(const oracle_t *self, const ledger_peer_t *peer, const message_t *message)
{
    unsigned limit = peer->prefetch;
    if (self->now_ms - peer->prefetch_ms <= self->doubt_ms && peer->prefetch_before > limit)
        limit = peer->prefetch_before;
    if (open_leases(self, peer) + 1 > limit)
        oracle_break(self, RULE_CREDIT, "%s holds %u with a credit of %u", peer->name,
                     open_leases(self, peer) + 1, limit);
    for (unsigned i = 0; i < peer->queue_count; i++)
        if (strcmp(peer->queues[i], message->content.queue) == 0)
            return;
    oracle_break(self, RULE_CREDIT, "%s does not serve %s", peer->name, message->content.queue);
}

static unsigned retry_limit(const oracle_t *self, const message_t *message)
{
    return message->content.max_retries >= 0
               ? (unsigned)message->content.max_retries
               : plan_queue(&self->plan, message->content.queue)->max_retries;
}

static void demand_tries(const oracle_t *self, const message_t *message)
{
    if (message->max_retries != retry_limit(self, message) ||
        message->failures > message->max_retries)
        oracle_break(self, RULE_TRIES, "%s is tried again after %u failures of %u", message->id,
                     message->failures, retry_limit(self, message));
}

/*  `lives`: the task's, which it becomes the latest of. */
static lease_t *lease_new(oracle_t *self, ledger_task_t *task, lease_t **lives,
                          const message_t *message)
{
    lease_t *lease = mem_zalloc(sizeof *lease);
    memcpy(lease->token, message->token, sizeof lease->token);
    lease->task = task;
    lease->attempt = message->attempt;
    lease->in_memory = plan_queue(&self->plan, message->content.queue)->in_memory;
    lease->adopted_ms = INT64_MIN / 2;
    lease->earlier = *lives;
    *lives = lease;
    HASH_ADD_STR(self->leases, token, lease);
    return lease;
}

static void add_lease(oracle_t *self, const ledger_peer_t *peer, ledger_task_t *task,
                      const message_t *message)
{
    bool mdp = peer->protocol != SPEAKS_REEVE;
    lease_t *lease = lease_new(self, task, &task->latest, message);
    lease->holder = peer->handle;
    if (!has_two_names(peer))
        memcpy(lease->worker, peer->name, sizeof lease->worker);
    int64_t start_ms = self->now_ms - CLOCK_DOUBT_MS;
    int64_t timeout_at_ms = message->timeout_ms ? start_ms + message->timeout_ms : INT64_MAX;
    lease->timeout_at_ms = timeout_at_ms;
    /* A busy Majordomo worker is not judged by its silence. */
    int64_t alive_ms = peer->heard_ms < start_ms ? peer->heard_ms : start_ms;
    /* A READY heard since the decision may have released it, and so may a loss of the connection, though
       it came again: what is told is old then. */
    lease->over = (!mdp && self->now_ms - peer->ready_ms <= self->doubt_ms) ||
                  self->now_ms - peer->lost_ms <= self->doubt_ms || has_two_names(peer);
    if (!lease->over)
        lease->sure_until_ms = mdp ? timeout_at_ms : alive_ms + self->plan.liveness_ms;
}

void say_deliver(oracle_t *self, ledger_peer_t *peer, const message_t *message)
{
    ledger_task_t *task = ledger_find(self, message->id);
    if (task == NULL)
        oracle_break(self, RULE_CONTENT, "%s was never submitted", message->id);
    if (lease_find(self, message->token))
        oracle_break(self, RULE_ASCENDING, "%s: attempt %u was given out twice", task->id,
                     message->attempt);
    if (is_of_former_life(self, task, message)) {
        lease_new(self, task, &task->former, message)->over = true;
        return;
    }
    demand_fitting_life(self, task, message);
    demand_content(self, task, message);
    demand_no_end(self, task, message);
    demand_next_attempt(self, task, message);
    demand_due(self, task, message);
    demand_tries(self, message);
    if (task->latest)
        task->latest->over = true;
    if (peer->registered)
        demand_credit(self, peer, message);
    task->end_told = task->said_ended = false;
    add_lease(self, peer, task, message);
    if (!peer->registered)
        peer_leaves(self, peer, false);
}

void say_revoke(oracle_t *self, uint64_t peer, const message_t *message)
{
    lease_t *lease = lease_find(self, message->token);
    if (lease == NULL || lease->holder != peer)
        return;
    if (surely_lives(self, lease))
        oracle_break(self, RULE_ONE_LEASE, "%s was revoked from %s, whose lease lives",
                     lease->task->id, lease->worker);
    lease->over = lease->revoked = true;
}
