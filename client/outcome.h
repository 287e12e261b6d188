/*  Printing how a task ended: for `wait`, `result` and `submit --wait`. */

#ifndef REEVE_CLIENT_OUTCOME_H
#define REEVE_CLIENT_OUTCOME_H

#include "client/cli.h"

/*  Each prints and returns the exit code that the outcome means. */

/*  One line: the JSON object, or id, state, duration and reason. */
int outcome_print_line(const cli_t *cli, const reeve_event_t *event);
/*  The result of a success as it is (text as the bytes it has) to stdout; otherwise the reason, the
    error and the traceback to stderr. With --json the line as above. */
int outcome_print_result(const cli_t *cli, const reeve_event_t *event);

/*  Asks whether the task has ended, and tells when it has not. False as well, with *error, when the broker
    does not say; REEVE_ERR_OK otherwise. */
bool outcome_exists(const cli_t *cli, const char *id, reeve_error_t *error);

/*  A partial result, to stderr; nothing with --json. */
void outcome_print_partial(const cli_t *cli, const reeve_event_t *event);

#endif
