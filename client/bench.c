/*  reeve bench: runs reeve-bench, the load program (bench/reeve-load.c), in place of this one. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/verbs.h"
#include "common/mem.h"

static const char program[] = "reeve-bench";

/*  Beside this program; NULL when it cannot be told where that is. The caller frees it. */
static char *beside(void)
{
    char self[4096];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size <= 0)
        return NULL;
    self[size] = '\0';
    char *slash = strrchr(self, '/');
    char *path = mem_alloc((size_t)(slash - self) + 1 + sizeof program);
    sprintf(path, "%.*s/%s", (int)(slash - self), self, program);
    return path;
}

/*  Returns only when there is no such program: the options are its own to read. */
static int run(cli_t *cli, int argc, char **argv)
{
    char broker_flag[] = "--broker", json_flag[] = "--json", timeout_flag[64];
    char **arguments = mem_zalloc((size_t)(argc + 5) * sizeof *arguments);
    size_t count = 0;
    arguments[count++] = argv[0];
    if (cli->broker) {
        arguments[count++] = broker_flag;
        arguments[count++] = (char *)cli->broker;
    }
    if (cli->json)
        arguments[count++] = json_flag;
    snprintf(timeout_flag, sizeof timeout_flag, "--connect-timeout=%" PRId64 "ms",
             cli->connect_timeout_ms);
    arguments[count++] = timeout_flag;
    for (int i = 1; i < argc; i++)
        arguments[count++] = argv[i];
    char *path = beside();
    if (path)
        execv(path, arguments);
    execvp(program, arguments);
    fprintf(stderr, "reeve bench: %s: %s\n", program, strerror(errno));
    free(path);
    free(arguments);
    return EX_UNAVAILABLE;
}

const verb_t verb_bench = {
    .name = "bench",
    .summary = "put a broker under load and measure it",
    .run = run,
};
