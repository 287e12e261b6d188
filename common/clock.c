#include "common/clock.h"

#include <assert.h>
#include <time.h>

static struct timespec now(clockid_t clock)
{
    struct timespec time;
    int rc = clock_gettime(clock, &time);
    assert(rc == 0); /* fails only for a clock that does not exist */
    (void)rc;
    return time;
}

int64_t clock_mono_ms(void)
{
    struct timespec time = now(CLOCK_MONOTONIC);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t clock_deadline_ms(int64_t timeout_ms)
{
    int64_t deadline_ms;
    if (timeout_ms < 0 || __builtin_add_overflow(clock_mono_ms(), timeout_ms, &deadline_ms))
        return INT64_MAX;
    return deadline_ms;
}

int64_t clock_mono_us(void)
{
    struct timespec time = now(CLOCK_MONOTONIC);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    struct timespec time = now(CLOCK_REALTIME);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

clock_reading_t clock_read(void)
{
    enum { TOGETHER_MS = 10, TRIES = 3 };
    clock_reading_t reading;
    for (int i = 0; i < TRIES; i++) {
        reading.mono_ms = clock_mono_ms();
        reading.wall_ms = clock_wall_ms();
        if (clock_mono_ms() - reading.mono_ms <= TOGETHER_MS)
            break;
    }
    return reading;
}

int64_t clock_step_ms(clock_reading_t before, clock_reading_t now)
{
    int64_t step_ms = (now.wall_ms - before.wall_ms) - (now.mono_ms - before.mono_ms);
    return step_ms > CLOCK_STEP_MS || step_ms < -CLOCK_STEP_MS ? step_ms : 0;
}
