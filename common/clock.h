/*  The two clocks. Only edges read them; the core is told the time in its events. */

#ifndef REEVE_COMMON_CLOCK_H
#define REEVE_COMMON_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void); /* never steps; for leases, liveness and intervals */
int64_t clock_mono_us(void);
/*  On the monotonic clock, when `timeout_ms` from now is over; INT64_MAX (never) where it is below 0
    or beyond the clock. */
int64_t clock_deadline_ms(int64_t timeout_ms);
int64_t clock_wall_ms(void); /* since 1970 UTC; may step; for run_at, created_at and reports */

/*  Both clocks at one moment: whoever is stopped between two single readings would take that for a step. */
typedef struct clock_reading {
    int64_t mono_ms, wall_ms;
} clock_reading_t;
clock_reading_t clock_read(void);

/*  By how much the wall clock was set between two readings: how much more than the monotonic one it went,
    where that is over CLOCK_STEP_MS in either direction, else 0. What NTP slews is far below. */
enum { CLOCK_STEP_MS = 1000 };
int64_t clock_step_ms(clock_reading_t before, clock_reading_t now);

#endif
