#include "client/selftest/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FLAKY_FAILURES = 2, SHARES = 1000, PAD_MOST = PLAN_KWARGS_SIZE - 64 };

/*  `share`: of a thousand tasks. */
static const struct rule {
    const char *name, *queue;
    unsigned share;
    int max_retries;
    reeve_state_t end;
    const char *reason;
    uint32_t failures;
} rules[PLAN_KINDS] = {
    [PLAN_DONE] = {"done", QUEUE_REEVE, 500, -1, REEVE_STATE_SUCCESS, "", 0},
    [PLAN_SLOW] = {"slow", QUEUE_REEVE, 70, -1, REEVE_STATE_SUCCESS, "", 0},
    [PLAN_FLAKY] = {"flaky", QUEUE_REEVE, 60, FLAKY_FAILURES, REEVE_STATE_SUCCESS, "", 0},
    [PLAN_FAIL] = {"fail", QUEUE_REEVE, 40, 2, REEVE_STATE_FAILED, "on_purpose", 3},
    [PLAN_REJECT] = {"reject", QUEUE_REEVE, 30, 5, REEVE_STATE_FAILED, "on_purpose", 1},
    [PLAN_DELAY] = {"delay", QUEUE_REEVE, 60, -1, REEVE_STATE_SUCCESS, "", 0},
    [PLAN_CANCEL] = {"cancel", QUEUE_REEVE, 60, -1, REEVE_STATE_CANCELLED, "", 0},
    [PLAN_EXPIRE] = {"expire", QUEUE_NOBODY, 15, -1, REEVE_STATE_EXPIRED, "", 0},
    [PLAN_POISON] = {"poison", QUEUE_POISON, 5, -1, REEVE_STATE_FAILED, "quarantined", 0},
    [PLAN_COMMAND] = {"command", QUEUE_COMMAND, 25, -1, REEVE_STATE_SUCCESS, "", 0},
    [PLAN_EXIT] = {"exit", QUEUE_COMMAND, 10, 1, REEVE_STATE_FAILED, "exit_3", 2},
    [PLAN_OVERRUN] = {"overrun", QUEUE_COMMAND, 5, 0, REEVE_STATE_FAILED, "timeout", 1},
    [PLAN_MDP] = {"mdp", QUEUE_MDP, 40, -1, REEVE_STATE_SUCCESS, "", 0},
    [PLAN_MIXED] = {"mixed", QUEUE_MIXED, 80, -1, REEVE_STATE_SUCCESS, "", 0},
    [PLAN_ASK] = {"ask", QUEUE_MDP, 0, -1, REEVE_STATE_SUCCESS, "", 0},
};

uint64_t plan_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t mix(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t state = a * 1000003 + b;
    state = plan_random(&state) + c;
    return plan_random(&state);
}

void plan_id(uint64_t seed, unsigned client, uint64_t number, char id[PLAN_ID_SIZE])
{
    unsigned at = (unsigned)(mix(seed, client, number) % SHARES);
    plan_kind_t kind = 0;
    for (; kind < PLAN_KINDS - 1 && at >= rules[kind].share; kind++)
        at -= rules[kind].share;
    snprintf(id, PLAN_ID_SIZE, "%s-%u-%" PRIu64, rules[kind].name, client, number);
}

void plan_ask_id(unsigned client, uint64_t number, char id[PLAN_ID_SIZE])
{
    snprintf(id, PLAN_ID_SIZE, "%s-%u-%" PRIu64, rules[PLAN_ASK].name, client, number);
}

static bool read_kind(const char *id, size_t size, plan_kind_t *kind)
{
    for (*kind = 0; *kind < PLAN_KINDS; (*kind)++)
        if (strlen(rules[*kind].name) == size && memcmp(rules[*kind].name, id, size) == 0)
            return true;
    return false;
}

static void set_times(plan_t *plan, uint64_t random)
{
    switch (plan->kind) {
    case PLAN_SLOW:
        plan->work_ms = 200 + (int64_t)(random % 1300);
        break;
    case PLAN_FLAKY:
    case PLAN_MIXED:
    case PLAN_MDP:
    case PLAN_ASK:
        plan->work_ms = (int64_t)(random % 60);
        break;
    case PLAN_DELAY:
        plan->delay_ms = 200 + (int64_t)(random % 2000);
        break;
    case PLAN_CANCEL:
        plan->work_ms = 300;
        plan->delay_ms = (int64_t)(random % 1000);
        break;
    case PLAN_EXPIRE:
        plan->expires_in_ms = 200 + (int64_t)(random % 3000);
        break;
    case PLAN_OVERRUN:
        plan->timeout_ms = 300;
        plan->work_ms = 5000;
        break;
    default:
        break;
    }
}

bool plan_read(const char *id, plan_t *plan)
{
    size_t size = strcspn(id, "-");
    *plan = (plan_t){0};
    if (!read_kind(id, size, &plan->kind) ||
        sscanf(id + size, "-%u-%" SCNu64, &plan->client, &plan->number) != 2)
        return false;
    const struct rule *rule = &rules[plan->kind];
    plan->queue = rule->queue;
    plan->max_retries = rule->max_retries;
    plan->end = rule->end;
    plan->reason = rule->reason;
    plan->failures = rule->failures;
    uint64_t random = mix(plan->kind, plan->client, plan->number);
    set_times(plan, random);
    plan->wait = plan->number % 4 == 0;
    plan->again = plan->number % 9 == 4;
    plan->conflict = plan->number % 13 == 6;
    return true;
}

void plan_kwargs(const plan_t *plan, bool other, char kwargs[PLAN_KWARGS_SIZE])
{
    uint64_t random = mix(plan->kind, plan->client, plan->number + 1);
    size_t pad = random % 100 == 0 ? random % PAD_MOST : random % 200;
    int at = snprintf(kwargs, PLAN_KWARGS_SIZE, "{\"number\":%" PRIu64 ",\"pad\":\"",
                      plan->number + other);
    memset(kwargs + at, 'x', pad);
    strcpy(kwargs + at + pad, "\"}");
}

reeve_verdict_t plan_verdict(const plan_t *plan, uint32_t attempt)
{
    switch (plan->kind) {
    case PLAN_FLAKY:
        return attempt <= FLAKY_FAILURES ? REEVE_FAILURE : REEVE_SUCCESS;
    case PLAN_FAIL:
    case PLAN_EXIT:
        return REEVE_FAILURE;
    case PLAN_REJECT:
        return REEVE_REJECT;
    default:
        return REEVE_SUCCESS;
    }
}
