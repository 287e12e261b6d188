/*  The limits of the product, with those that decide how much is kept in memory made small: spilling
    and paging, rare in a real broker, are then common in every simulated one. This folder comes
    first on the include path of the simulator's own build of the core. */

#include_next "common/limits.h"

#undef LIMIT_WINDOW_TASKS
#undef LIMIT_PAGE_TASKS
#undef LIMIT_WAITERS
#define LIMIT_WINDOW_TASKS 20
#define LIMIT_PAGE_TASKS   5
#define LIMIT_WAITERS      60
