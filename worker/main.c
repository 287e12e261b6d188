/*  reeve-worker: runs a command for each task. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/notify.h"
#include "common/signals.h"
#include "worker/name.h"
#include "worker/options.h"
#include "worker/runner.h"

/*  A pipe that got number 0, 1 or 2 would be overwritten while a command's own are put in place. */
static bool open_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd >= 0 && close(fd) == 0;
}

static int run(const options_t *options)
{
    char made[LIMIT_WORKER_NAME_BYTES + 1];
    worker_name_make(made);
    notify_open();
    log_set_format(options->log_format);
    log_set_level(options->log_level);
    char problem[512];
    if (!log_open(options->log_to, problem, sizeof problem)) {
        log_event(LOG_ERROR, "start_failed", F_STR("error", problem));
        return EX_CANTCREAT;
    }
    signals_block();
    signal(SIGCHLD, SIG_DFL); /* ignored, it would take the exit status from us */
    log_start_writer();
    return runner_run(options, options->name ? options->name : made);
}

int main(int argc, char **argv)
{
    options_t options;
    char problem[512];
    int status = EX_OK;
    if (!open_standard_streams())
        return EX_OSERR;
    switch (options_parse(argc, argv, &options, problem, sizeof problem)) {
    case OPTIONS_HELP:
        fputs(options_help, stdout);
        break;
    case OPTIONS_VERSION:
        puts("reeve-worker " REEVE_VERSION);
        break;
    case OPTIONS_WRONG:
        fprintf(stderr, "reeve-worker: %s\n", problem);
        status = EX_USAGE;
        break;
    case OPTIONS_RUN:
        status = run(&options);
        break;
    }
    options_fini(&options);
    return status;
}
