#include "broker/core/state.h"

#define TO(state) (1u << REEVE_STATE_##state)

static const unsigned arrows[] = {
    [REEVE_STATE_UNKNOWN] = TO(SCHEDULED) | TO(QUEUED),
    [REEVE_STATE_SCHEDULED] = TO(QUEUED) | TO(CANCELLED) | TO(EXPIRED),
    [REEVE_STATE_QUEUED] = TO(PROCESSING) | TO(CANCELLED) | TO(EXPIRED),
    [REEVE_STATE_PROCESSING] =
        TO(SUCCESS) | TO(FAILED) | TO(SCHEDULED) | TO(QUEUED) | TO(CANCELLED),
    [REEVE_STATE_SUCCESS] = TO(UNKNOWN),
    [REEVE_STATE_FAILED] = TO(QUEUED) | TO(UNKNOWN),
    [REEVE_STATE_CANCELLED] = TO(UNKNOWN),
    [REEVE_STATE_EXPIRED] = TO(UNKNOWN),
};

bool state_may_move(reeve_state_t from, reeve_state_t to)
{
    return (unsigned)from < sizeof arrows / sizeof arrows[0] && (arrows[from] & 1u << to) != 0;
}
