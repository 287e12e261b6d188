/*  The command that reeve-worker runs for each task. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "client/selftest/history.h"
#include "client/selftest/plan.h"
#include "client/selftest/roles.h"
#include "common/clock.h"

enum { EXIT_OF_FAILURE = 3 }; /* plan.c: reason exit_3 */

int role_command(const char *directory)
{
    char name[32], run[48];
    const char *id = getenv("REEVE_TASK_ID"), *attempt_text = getenv("REEVE_ATTEMPT");
    plan_t plan;
    if (id == NULL || attempt_text == NULL || !plan_read(id, &plan))
        return EX_USAGE;
    unsigned attempt = (unsigned)strtoul(attempt_text, NULL, 10);
    snprintf(name, sizeof name, "command-%u", (unsigned)getpid() % 16); /* few files */
    int history = history_open(directory, name);
    snprintf(run, sizeof run, "%d.%" PRId64, getpid(), clock_mono_us());
    history_write(history, "start", id, "%u %s", attempt, run);
    nanosleep(&(struct timespec){plan.work_ms / 1000, plan.work_ms % 1000 * 1000000}, NULL);
    reeve_verdict_t verdict = plan_verdict(&plan, attempt);
    history_write(history, "end", id, "%u %d", attempt, (int)verdict);
    if (verdict == REEVE_SUCCESS)
        printf("%s %u %s", id, attempt, run);
    else if (verdict == REEVE_REJECT)
        return EX_DATAERR;
    return verdict == REEVE_SUCCESS ? EX_OK : EXIT_OF_FAILURE;
}
