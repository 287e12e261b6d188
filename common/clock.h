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

#endif
