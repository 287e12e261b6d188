#include "reeve/task.h"

const char *reeve_state_name(reeve_state_t state)
{
    switch (state) {
#define X(symbol, number, name)                                                                    \
    case REEVE_STATE_##symbol:                                                                     \
        return name;
        REEVE_STATES(X)
#undef X
    }
    return "unknown";
}
