/*  The composition root: the only place that knows store, core, reactor and HTTP together. */

#ifndef REEVE_BROKER_BROKER_H
#define REEVE_BROKER_BROKER_H

#include "broker/config.h"

/*  Runs a broker until it is stopped. Returns the process's exit status (sysexits). `argc` and `argv`
    serve to read the configuration again on SIGHUP. */
int broker_run(config_t *config, int argc, char **argv);

#endif
