#include "broker/net/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

static const char ipc[] = "ipc://";

/*  zmq_bind deletes whatever is at the path. NULL: it may. */
static const char *taken(const char *path)
{
    struct stat status;
    if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
        return "there is something that is not a socket";
    return NULL;
}

bool endpoint_bind(void *socket, const char *endpoint, char *problem, size_t size)
{
    const char *why = NULL;
    if (strncmp(endpoint, ipc, strlen(ipc)) == 0)
        why = taken(endpoint + strlen(ipc));
    if (why == NULL && zmq_bind(socket, endpoint) != 0)
        why = zmq_strerror(errno);
    if (why)
        snprintf(problem, size, "cannot bind %s: %s", endpoint, why);
    return why == NULL;
}
