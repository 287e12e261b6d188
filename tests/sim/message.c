#include "tests/sim/message.h"

#include <stdio.h>
#include <string.h>

static const char *const names[MSG_KINDS] = {
    [MSG_HELLO] = "hello",       [MSG_SUBMIT] = "submit",     [MSG_WAIT] = "wait",
    [MSG_CANCEL] = "cancel",     [MSG_FORGET] = "forget",     [MSG_REDRIVE] = "redrive",
    [MSG_PURGE] = "purge",       [MSG_READY] = "ready",       [MSG_SETTLE] = "settle",
    [MSG_HEARTBEAT] = "beat",    [MSG_PREFETCH] = "prefetch", [MSG_EXTEND] = "extend",
    [MSG_PROGRESS] = "progress", [MSG_GOODBYE] = "goodbye",   [MSG_WELCOME] = "welcome",
    [MSG_CONFIRM] = "confirm",   [MSG_ERROR] = "error",       [MSG_OUTCOME] = "outcome",
    [MSG_DONE] = "done",         [MSG_DELIVER] = "deliver",   [MSG_SETTLED] = "settled",
    [MSG_REVOKE] = "revoke",     [MSG_REPLY] = "reply",       [MSG_BEAT] = "beat",
    [MSG_BYE] = "bye",
};

static const char *word_name(word_t word)
{
    static const char *const words[] = {"?", "success", "failure", "reject", "release"};
    return words[word <= SAYS_RELEASE ? word : 0];
}

static size_t words_of_task(const message_t *m, char *text, size_t size)
{
    return (size_t)snprintf(text, size, " %s of %s '%s' prio %u%s%s", m->id, m->content.queue,
                            m->content.body, m->content.priority,
                            m->run_at_ms || m->delay_ms ? " later" : "",
                            m->expires_ms ? " expiring" : "");
}

static size_t words_of_ready(const message_t *m, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, " %s prefetch %u for", m->name, m->prefetch);
    for (unsigned i = 0; i < m->queue_count; i++)
        at += (size_t)snprintf(text + at, size - at, " %s", m->queues[i]);
    return at;
}

static size_t words_of_held(const message_t *m, char *text, size_t size)
{
    size_t at = 0;
    for (unsigned i = 0; i < m->held_count && at + TOKEN_SIZE + 8 < size; i++)
        at += (size_t)snprintf(text + at, size - at, " holding %s", m->held[i].token);
    return at;
}

const char *message_words(const message_t *m, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "%s", names[m->kind]);
    if (m->corr)
        at += (size_t)snprintf(text + at, size - at, " %llu", (unsigned long long)m->corr);
    switch (m->kind) {
    case MSG_SUBMIT:
        words_of_task(m, text + at, size - at);
        break;
    case MSG_DELIVER:
        at += words_of_task(m, text + at, size - at);
        snprintf(text + at, size - at, " attempt %u as %s", m->attempt, m->token);
        break;
    case MSG_READY:
        at += words_of_ready(m, text + at, size - at);
        words_of_held(m, text + at, size - at);
        break;
    case MSG_HEARTBEAT:
        words_of_held(m, text + at, size - at);
        break;
    case MSG_SETTLE:
        snprintf(text + at, size - at, " %s %s %s%s", m->token, word_name(m->word), m->result,
                 m->reason);
        break;
    case MSG_OUTCOME:
    case MSG_REPLY:
        snprintf(text + at, size - at, " %s %s %s%s attempts %u%s", m->id,
                 reeve_state_name(m->state), m->result, m->reason, m->attempts,
                 m->partial ? " (progress)" : "");
        break;
    case MSG_ERROR:
        snprintf(text + at, size - at, " %s", reeve_error_name(m->error));
        break;
    case MSG_DONE:
        snprintf(text + at, size - at, " %llu were %s", (unsigned long long)m->count,
                 reeve_state_name(m->state));
        break;
    case MSG_CONFIRM:
        snprintf(text + at, size - at, "%s", m->duplicate ? " again" : "");
        break;
    case MSG_PREFETCH:
        snprintf(text + at, size - at, " %u", m->prefetch);
        break;
    default:
        snprintf(text + at, size - at, " %s%s%s", m->id, m->token, m->queues[0]);
    }
    return text;
}

uint64_t message_digest(const message_t *message, uint64_t so_far)
{
    char text[4096];
    for (const char *c = message_words(message, text, sizeof text); *c; c++)
        so_far = (so_far ^ (uint8_t)*c) * 0x100000001b3u;
    return so_far;
}

void message_copy(message_t *to, const message_t *from)
{
    memcpy(to, from, offsetof(message_t, held) + from->held_count * sizeof *from->held);
}
