#include "client/selftest/roles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

volatile sig_atomic_t role_stopping;

static void on_stop(int number)
{
    (void)number;
    role_stopping = 1;
}

static void catch_stop(void)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigset_t set;
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* cast.c blocked it until here */
    signal(SIGINT, SIG_IGN);              /* the terminal's is for the one who directs the test */
}

typedef int role_fn(const role_options_t *options);

static const struct role {
    const char *name;
    role_fn *run;
} roles[] = {
    {"@client", role_client},
    {"@worker", role_worker},
    {"@majordomo-worker", role_majordomo_worker},
    {"@majordomo-client", role_majordomo_client},
};
enum { ROLES = sizeof roles / sizeof roles[0], ROLE_ARGUMENTS = 10 };

static unsigned read_number(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

/*  The arguments are cast.c's, so that their form needs no checking beside their number. */
static role_options_t read_options(char **argv)
{
    return (role_options_t){.directory = argv[2],
                            .name = argv[3],
                            .endpoint = argv[4],
                            .number = read_number(argv[5]),
                            .seed = strtoull(argv[6], NULL, 10),
                            .queues = argv[7],
                            .size = read_number(argv[8]),
                            .per_second = read_number(argv[9])};
}

bool role_run(int argc, char **argv, int *status)
{
    if (argc < 2 || argv[1][0] != '@')
        return false;
    if (strcmp(argv[1], "@command") == 0 && argc == 3) {
        *status = role_command(argv[2]);
        return true;
    }
    *status = EX_USAGE;
    for (int i = 0; i < ROLES && argc == ROLE_ARGUMENTS; i++) {
        if (strcmp(argv[1], roles[i].name) == 0) {
            role_options_t options = read_options(argv);
            catch_stop();
            *status = roles[i].run(&options);
        }
    }
    return true;
}
