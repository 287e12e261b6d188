/*  The processes of the self test that are this program run again: `reeve selftest @ROLE …`. */

#ifndef REEVE_CLIENT_SELFTEST_ROLES_H
#define REEVE_CLIENT_SELFTEST_ROLES_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct role_options {
    const char *directory, *name, *endpoint;
    unsigned number; /* of this one among those of its role */
    uint64_t seed;
    const char *queues;  /* comma-separated; of workers and Majordomo clients */
    unsigned size;       /* a client's window, a worker's prefetch, Majordomo's version 1 or 2 */
    unsigned per_second; /* a client's tasks */
} role_options_t;

/*  Set by SIGTERM: to end in order. */
extern volatile sig_atomic_t role_stopping;

/*  Each returns the exit status. */
int role_client(const role_options_t *options);
int role_worker(const role_options_t *options);
int role_majordomo_worker(const role_options_t *options);
int role_majordomo_client(const role_options_t *options);
int role_command(const char *directory); /* what reeve-worker runs */

/*  Whether argv[1] names a role; then it is run and *status set. */
bool role_run(int argc, char **argv, int *status);

#endif
