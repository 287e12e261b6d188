/*  A task and its states as the C API shows them. */

#ifndef REEVE_TASK_H
#define REEVE_TASK_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*  X (symbol, number, name): the life-cycle's states; numbers are wire and storage format. */
#define REEVE_STATES(X)                                                                            \
    X(UNKNOWN, 0, "unknown")                                                                       \
    X(SCHEDULED, 1, "scheduled")                                                                   \
    X(QUEUED, 2, "queued")                                                                         \
    X(PROCESSING, 3, "processing")                                                                 \
    X(SUCCESS, 4, "success")                                                                       \
    X(FAILED, 5, "failed")                                                                         \
    X(CANCELLED, 6, "cancelled")                                                                   \
    X(EXPIRED, 7, "expired")

typedef enum reeve_state {
#define X(symbol, number, name) REEVE_STATE_##symbol = number,
    REEVE_STATES(X)
#undef X
} reeve_state_t;

/*  "queued" …; "unknown" for other numbers. Static. Any thread. */
const char *reeve_state_name(reeve_state_t state);

/*  success, failed, cancelled and expired are ends. */
static inline bool reeve_state_is_final(reeve_state_t state)
{
    return state >= REEVE_STATE_SUCCESS;
}

#ifdef __cplusplus
}
#endif

#endif
