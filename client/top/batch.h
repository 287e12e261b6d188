/*  `reeve top --batch`: samples as text or JSON, for logs and scripts. */

#ifndef REEVE_CLIENT_TOP_BATCH_H
#define REEVE_CLIENT_TOP_BATCH_H

#include "client/cli.h"
#include "client/top/model.h"

/*  Prints so many samples (0: for ever), an interval apart. Returns the exit code. */
int batch_run(cli_t *cli, int64_t interval_ms, int64_t iterations, sort_key_t sort);

#endif
