/*  The name a worker has when it was given none. */

#ifndef REEVE_WORKER_NAME_H
#define REEVE_WORKER_NAME_H

#include "common/limits.h"

/*  host-pid-random: unique for each call, also over restarts and in containers that share a host
   name and a process number. */
void worker_name_make(char name[LIMIT_WORKER_NAME_BYTES + 1]);

#endif
