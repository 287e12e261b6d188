/*  Runs /bin/true many times, some at once, with nothing around it: what reeve-worker is held against.
    Usage: spawn RUNS CONCURRENCY */

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "common/clock.h"

extern char **environ;

static void start(void)
{
    pid_t pid;
    if (posix_spawn(&pid, "/bin/true", NULL, NULL, (char *[]){"/bin/true", NULL}, environ) != 0)
        exit(EX_OSERR);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return EX_USAGE;
    long runs = atol(argv[1]), concurrency = atol(argv[2]), started = 0;
    int64_t start_us = clock_mono_us();
    for (long ended = 0; ended < runs; ended++) {
        for (; started < runs && started - ended < concurrency; started++)
            start();
        if (wait(NULL) < 0)
            return EX_OSERR;
    }
    printf("{\"tasks\":%ld,\"tasks_per_s\":%.1f}\n", runs,
           (double)runs * 1e6 / (double)(clock_mono_us() - start_us));
    return EX_OK;
}
