/*  Effects as text: lines for expectations, and a digest of everything. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mem.h"
#include "tests/story/world.h"

enum { LINE_SIZE = 1024 };

static const char *peer_name(const world_t *self, peer_t peer)
{
    return peer && peer <= self->connection_count ? self->connections[peer - 1].name : "nobody";
}

static const char *label_of(const world_t *self, uint64_t corr)
{
    return corr && corr <= self->label_count ? self->labels[corr - 1] : "-";
}

static const char *cause_name(revoke_cause_t cause)
{
    return cause == REVOKE_CANCELLED ? "cancelled" : cause == REVOKE_STALE ? "stale" : "timeout";
}

static void describe_outcome(const effect_t *effect, char *line, size_t size)
{
    const outcome_t *outcome = effect->outcome.outcome;
    slice_t id = effect->outcome.record->spec.id;
    slice_t said = outcome ? outcome->spec.result : (slice_t){0};
    if (effect->outcome.partial)
        snprintf(line, size, "%.*s %.*s", SLICE_ARG(id), SLICE_ARG(said));
    else
        snprintf(line, size, "%.*s %s%s%.*s", SLICE_ARG(id),
                 reeve_state_name(effect->outcome.state), said.size ? " " : "", SLICE_ARG(said));
}

static void describe_refusal(const world_t *self, const effect_t *effect, char *line, size_t size)
{
    char retry[48] = "";
    if (effect->refuse.retry_after_ms)
        snprintf(retry, sizeof retry, " retry-after=%lld",
                 (long long)effect->refuse.retry_after_ms);
    snprintf(line, size, "%s refuse %s %s%s", peer_name(self, effect->peer),
             label_of(self, effect->corr), reeve_error_name(effect->refuse.error), retry);
}

/*  One line for a message to a peer; false when it is none, or a heartbeat. */
static bool describe_message(const world_t *self, const effect_t *effect, char *line, size_t size)
{
    char rest[LINE_SIZE / 2];
    const char *peer = peer_name(self, effect->peer), *label = label_of(self, effect->corr);
    switch (effect->kind) {
    case EFFECT_CONFIRM:
        snprintf(line, size, "%s confirm %s%s%s", peer, label,
                 effect->confirm.duplicate ? " again" : "",
                 effect->confirm.durability == DURABILITY_MEMORY ? " memory" : "");
        return true;
    case EFFECT_REFUSE:
        describe_refusal(self, effect, line, size);
        return true;
    case EFFECT_OUTCOME:
        describe_outcome(effect, rest, sizeof rest);
        snprintf(line, size, "%s %s %s", peer, effect->outcome.partial ? "partial" : "outcome",
                 rest);
        return true;
    case EFFECT_REPLY:
        describe_outcome(effect, rest, sizeof rest);
        snprintf(line, size, "%s to %.*s: %s", effect->outcome.partial ? "partial" : "reply",
                 SLICE_ARG(effect->outcome.record->spec.reply_to), rest);
        return true;
    case EFFECT_DONE:
        snprintf(line, size, "%s done %s count=%llu was=%s", peer, label,
                 (unsigned long long)effect->done.count, reeve_state_name(effect->done.state));
        return true;
    case EFFECT_DELIVER:
        snprintf(line, size, "%s deliver %.*s #%u%s", peer,
                 SLICE_ARG(effect->deliver.record->spec.id), effect->deliver.attempt,
                 effect->deliver.ephemeral ? " ephemeral" : "");
        return true;
    case EFFECT_SETTLED:
        snprintf(line, size, "%s settled %s", peer, label);
        return true;
    case EFFECT_REVOKE:
        snprintf(line, size, "%s revoke %s #%u %s%s", peer, world_id(self, effect->revoke.seq),
                 effect->revoke.attempt, cause_name(effect->revoke.cause),
                 effect->revoke.ephemeral ? " ephemeral" : "");
        return true;
    case EFFECT_DISCONNECT:
        snprintf(line, size, "%s disconnect", peer);
        return true;
    default:
        return false;
    }
}

/*  The rest, for the digest only. */
static void describe_other(const effect_t *effect, char *line, size_t size)
{
    switch (effect->kind) {
    case EFFECT_CHANGE:
        snprintf(line, size, "change %llu %d-%d %u/%u/%u %lld %s",
                 (unsigned long long)effect->change.record->seq, effect->change.from,
                 effect->change.to, effect->change.tries.attempts, effect->change.tries.failures,
                 effect->change.tries.deaths, (long long)effect->change.at_ms,
                 effect->change.worker ? effect->change.worker : "");
        break;
    case EFFECT_FIND:
        snprintf(line, size, "find %llu %s", (unsigned long long)effect->find.ticket,
                 effect->find.id);
        break;
    case EFFECT_LOAD:
        snprintf(line, size, "load %u %llx", effect->load.queue_id,
                 (unsigned long long)effect->load.after);
        break;
    case EFFECT_DUE:
        snprintf(line, size, "due %lld", (long long)effect->due.until_ms);
        break;
    case EFFECT_DEAD:
        snprintf(line, size, "dead %llu %u %llx", (unsigned long long)effect->dead.ticket,
                 effect->dead.queue_id, (unsigned long long)effect->dead.after);
        break;
    default:
        snprintf(line, size, "effect %d peer %llu", (int)effect->kind,
                 (unsigned long long)effect->peer);
    }
}

/*  FNV-1a (Fowler, Noll, Vo). */
static uint64_t digest(uint64_t hash, const char *line)
{
    for (; *line; line++)
        hash = (hash ^ (uint8_t)*line) * 0x100000001b3u;
    return (hash ^ '\n') * 0x100000001b3u;
}

void story_tell(world_t *self, const effect_t *effect)
{
    char line[LINE_SIZE];
    bool message = describe_message(self, effect, line, sizeof line);
    if (!message)
        describe_other(effect, line, sizeof line);
    self->digest = digest(self->digest, line);
    if (getenv("STORY_TRACE"))
        print_message("  %lld %s\n", (long long)(self->now_ms % 1000000), line);
    if (effect->kind == EFFECT_NOTE)
        self->notes[effect->note.kind]++;
    if (!message || self->quiet)
        return;
    self->lines = mem_realloc(self->lines, (self->line_count + 1) * sizeof *self->lines);
    self->lines[self->line_count++] = mem_strdup(line);
}

void world_skip(world_t *self)
{
    for (size_t i = 0; i < self->line_count; i++)
        free(self->lines[i]);
    self->line_count = 0;
}

bool world_said(const world_t *self, const char *line)
{
    for (size_t i = 0; i < self->line_count; i++)
        if (strcmp(self->lines[i], line) == 0)
            return true;
    return false;
}

void world_expect(world_t *self, const char *file, int line, const char *const *lines)
{
    size_t count = 0;
    bool same = true;
    for (; lines[count]; count++)
        same = same && count < self->line_count && strcmp(lines[count], self->lines[count]) == 0;
    if (!same || count != self->line_count) {
        print_error("%s:%d: the story is another one. Expected:\n", file, line);
        for (size_t i = 0; i < count; i++)
            print_error("    %s\n", lines[i]);
        print_error("but was:\n");
        for (size_t i = 0; i < self->line_count; i++)
            print_error("    %s\n", self->lines[i]);
        _fail(file, line);
    }
    world_skip(self);
}

/* ---- what the store knows ------------------------------------------------------------------- */

static biography_t biography_of(world_t *self, const char *id)
{
    biography_t biography = {0};
    self->store->ops->begin(self->store);
    self->store->ops->biography(self->store, slice_str(id), &biography);
    self->store->ops->commit(self->store);
    return biography;
}

const char *world_state(world_t *self, const char *id)
{
    biography_t biography = biography_of(self, id);
    reeve_state_t state = biography.found ? biography.task.state : REEVE_STATE_UNKNOWN;
    biography_fini(&biography);
    return reeve_state_name(state);
}

int64_t world_started_ms(world_t *self, const char *id)
{
    biography_t biography = biography_of(self, id);
    int64_t at_ms = biography.found && biography.task.state == REEVE_STATE_PROCESSING
                        ? biography.task.at_ms
                        : 0;
    biography_fini(&biography);
    return at_ms;
}

const char *world_history(world_t *self, const char *id)
{
    biography_t biography = biography_of(self, id);
    const loaded_t *task = &biography.task;
    char *at = self->text, *end = self->text + sizeof self->text;
    slice_t reason = task->outcome ? task->outcome->spec.reason : (slice_t){0};
    at += snprintf(at, (size_t)(end - at), "%s", reeve_state_name(task->state));
    if (reason.size)
        at += snprintf(at, (size_t)(end - at), " %.*s", SLICE_ARG(reason));
    at += snprintf(at, (size_t)(end - at), " a=%u f=%u d=%u", task->tries.attempts,
                   task->tries.failures, task->tries.deaths);
    for (size_t i = 0; i < biography.attempt_count && at < end; i++) {
        const outcome_spec_t *outcome = &biography.attempts[i]->spec;
        at += snprintf(at, (size_t)(end - at), " | %u %s %.*s %.*s", outcome->attempt,
                       ending_name(outcome->ending), SLICE_ARG(outcome->reason),
                       SLICE_ARG(outcome->worker));
    }
    biography_fini(&biography);
    return self->text;
}
