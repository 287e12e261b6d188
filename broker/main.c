#include <stdio.h>
#include <sysexits.h>

#include "broker/broker.h"

int main(int argc, char **argv)
{
    config_t config;
    char problem[600] = "";
    int status = EX_OK;
    switch (config_load(&config, argc, argv, problem, sizeof problem)) {
    case CONFIG_OK:
        if (config.check_only)
            config_print(&config, stdout);
        else
            status = broker_run(&config, argc, argv);
        break;
    case CONFIG_DONE:
        break;
    case CONFIG_USAGE:
        fprintf(stderr, "reeve-broker: %s\n", problem);
        status = EX_USAGE;
        break;
    case CONFIG_BAD:
        fprintf(stderr, "reeve-broker: %s\n", problem);
        status = EX_CONFIG;
        break;
    }
    config_fini(&config);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("reeve-broker: writing");
        status = EX_IOERR;
    }
    return status;
}
