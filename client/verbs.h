/*  The verbs of `reeve`, in the order of the help. */

#ifndef REEVE_CLIENT_VERBS_H
#define REEVE_CLIENT_VERBS_H

#include <cjson/cJSON.h>

#include "client/cli.h"

extern const verb_t verb_submit, verb_status, verb_explain, verb_wait, verb_result, verb_cancel,
    verb_queues, verb_workers, verb_dead, verb_check, verb_top, verb_selftest, verb_bench;

/*  Prints a task's document as `status` does; with `dead_only`, one that is not a dead letter is
    refused. Returns the exit code. */
int show_task(cli_t *cli, const char *id, bool dead_only);

/*  Prints the attempts of a task's document as a table. */
void show_history(const cJSON *history);

/*  `submit --file`: see submit_file.c. `batch` may be NULL. Returns the exit code. */
int submit_file(cli_t *cli, const char *path, const char *batch);

#endif
