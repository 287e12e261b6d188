#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/oracle_inside.h"

void oracle_break(const oracle_t *self, rule_t rule, const char *format, ...)
{
    static const char *const names[] = {
#define X(symbol, name, text) name,
        ORACLE_RULES(X)
#undef X
    };
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    self->broken(self->arg, names[rule], what);
    abort();
}

/* ---- tasks ---------------------------------------------------------------------------------- */

ledger_task_t *ledger_find(const oracle_t *self, const char *id)
{
    ledger_task_t *task;
    HASH_FIND_STR(self->tasks, id, task);
    return task;
}

bool content_same(const content_t *a, const content_t *b)
{
    return strcmp(a->queue, b->queue) == 0 && strcmp(a->name, b->name) == 0 &&
           strcmp(a->body, b->body) == 0 && a->priority == b->priority &&
           a->max_retries == b->max_retries && a->timeout_ms == b->timeout_ms;
}

const version_t *version_of(const ledger_task_t *task, const content_t *content)
{
    for (unsigned i = 0; i < task->version_count; i++)
        if (content_same(&task->versions[i].content, content))
            return &task->versions[i];
    return NULL;
}

const queue_plan_t *queue_of(const oracle_t *self, const ledger_task_t *task)
{
    return plan_queue(&self->plan, task->versions[0].content.queue);
}

static const version_t *add_version(ledger_task_t *task, const content_t *content)
{
    version_t *version = (version_t *)version_of(task, content);
    if (version == NULL) {
        if (task->version_count == VERSIONS_MAX)
            abort();
        version = &task->versions[task->version_count++];
        version->content = *content;
    }
    version->heard++;
    return version;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void note_times(oracle_t *self, ledger_task_t *task, const message_t *message)
{
    int64_t due_ms = message->delay_ms ? self->wall_ms + message->delay_ms : message->run_at_ms;
    int64_t backoff_ms =
        message->backoff_ms ? message->backoff_ms : queue_of(self, task)->backoff_ms;
    task->due_ms = least(task->due_ms, due_ms);
    task->backoff_min_ms = least(task->backoff_min_ms, backoff_ms);
    if (message->expires_ms == 0) {
        task->expires_max_ms = INT64_MAX;
        return;
    }
    task->expires_min_ms = least(task->expires_min_ms, message->expires_ms);
    if (message->expires_ms > task->expires_max_ms)
        task->expires_max_ms = message->expires_ms;
    may_have_ended(task, message->expires_ms);
}

static void note_bulk(const oracle_t *self, ledger_task_t *task, const content_t *content)
{
    enum { PAGES = 20 };
    const bulk_t *bulk = &self->bulk[plan_queue(&self->plan, content->queue) - self->plan.queues];
    task->redrive_heard |= self->now_ms - bulk->redrive_ms <= PAGES * self->doubt_ms;
    task->purge_heard |= self->now_ms - bulk->purge_ms <= PAGES * self->doubt_ms;
}

ledger_task_t *ledger_submit(oracle_t *self, const message_t *message, const version_t **version)
{
    ledger_task_t *task = ledger_find(self, message->id);
    if (task == NULL) {
        task = mem_zalloc(sizeof *task);
        snprintf(task->id, sizeof task->id, "%s", message->id);
        task->due_ms = task->expires_min_ms = task->backoff_min_ms = task->end_wall_ms = INT64_MAX;
        HASH_ADD_STR(self->tasks, id, task);
    }
    task->heard++;
    *version = add_version(task, &message->content);
    note_times(self, task, message);
    note_bulk(self, task, &message->content);
    return task;
}

void may_have_ended(ledger_task_t *task, int64_t wall_ms)
{
    task->end_wall_ms = least(task->end_wall_ms, wall_ms);
}

bool may_be_gone(const oracle_t *self, const ledger_task_t *task)
{
    if (task->purge_heard || task->forget_heard)
        return true;
    return task->end_wall_ms != INT64_MAX &&
           self->max_wall_ms >= task->end_wall_ms + queue_of(self, task)->retention_ms;
}

bool may_be_in_memory(const oracle_t *self, const ledger_task_t *task)
{
    for (unsigned i = 0; i < task->version_count; i++)
        if (plan_queue(&self->plan, task->versions[i].content.queue)->in_memory)
            return true;
    return false;
}

bool is_blurred(const oracle_t *self, const ledger_task_t *task)
{
    return may_be_in_memory(self, task) && (task->redrive_heard || may_be_gone(self, task));
}

void begin_life(ledger_task_t *task)
{
    lease_t **end = &task->latest;
    while (*end)
        end = &(*end)->earlier;
    *end = task->former;
    task->former = task->latest;
    task->exists = task->end_told = task->said_ended = false;
    task->certain = NULL;
    task->seq = 0;
    task->latest = NULL;
}

/* ---- peers and what they asked -------------------------------------------------------------- */

ledger_peer_t *peer_of(oracle_t *self, uint64_t handle)
{
    ledger_peer_t *peer;
    HASH_FIND(hh, self->peers, &handle, sizeof handle, peer);
    if (peer == NULL) {
        peer = mem_zalloc(sizeof *peer);
        peer->handle = handle;
        peer->lost_ms = INT64_MIN / 2;
        HASH_ADD(hh, self->peers, handle, sizeof peer->handle, peer);
    }
    return peer;
}

asked_t *asked_find(const oracle_t *self, uint64_t peer, uint64_t corr)
{
    asked_t *asked;
    peer_key_t key = {peer, corr};
    HASH_FIND(hh, self->asked, &key, sizeof key, asked);
    return asked;
}

asked_t *asked_note(oracle_t *self, uint64_t peer, const message_t *message)
{
    asked_t *asked = asked_find(self, peer, message->corr);
    if (asked == NULL) {
        asked = mem_zalloc(sizeof *asked);
        asked->key = (peer_key_t){peer, message->corr};
        asked->kind = message->kind;
        asked->wait = message->wait || message->kind == MSG_WAIT;
        asked->first_ms = self->now_ms;
        HASH_ADD(hh, self->asked, key, sizeof asked->key, asked);
    }
    asked->heard++;
    return asked;
}

void ledger_free(oracle_t *self)
{
    ledger_task_t *task, *next_task;
    HASH_ITER (hh, self->tasks, task, next_task) {
        HASH_DEL(self->tasks, task);
        free(task);
    }
    lease_t *lease, *next_lease;
    HASH_ITER (hh, self->leases, lease, next_lease) {
        HASH_DEL(self->leases, lease);
        free(lease);
    }
    asked_t *asked, *next_asked;
    HASH_ITER (hh, self->asked, asked, next_asked) {
        HASH_DEL(self->asked, asked);
        free(asked);
    }
    ledger_peer_t *peer, *next_peer;
    HASH_ITER (hh, self->peers, peer, next_peer) {
        HASH_DEL(self->peers, peer);
        free(peer);
    }
}
