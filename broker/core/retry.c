/*  When a failed task runs again: exponential backoff with equal jitter.
    Source: M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). */

#include "broker/core/inside.h"

/*  SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to spread retries. */
static uint64_t next_random(core_t *core)
{
    uint64_t z = core->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t retry_delay_ms(core_t *core, const policy_t *policy, const record_t *record,
                       uint32_t failures)
{
    int64_t delay_ms = record->spec.backoff_ms ? record->spec.backoff_ms : policy->backoff_ms;
    for (uint32_t i = 1; i < failures && delay_ms < policy->backoff_max_ms; i++)
        delay_ms *= 2;
    if (delay_ms > policy->backoff_max_ms)
        delay_ms = policy->backoff_max_ms;
    int64_t half = delay_ms / 2;
    return delay_ms - half + (half ? (int64_t)(next_random(core) % (uint64_t)(half + 1)) : 0);
}

uint32_t retry_limit(const policy_t *policy, const record_t *record)
{
    return record->spec.max_retries < 0 ? policy->max_retries : (uint32_t)record->spec.max_retries;
}
