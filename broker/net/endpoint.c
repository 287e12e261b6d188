#include "broker/net/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

static const char ipc[] = "ipc://";

/*  Whether a socket is left over: nobody listens on it. False with errno when somebody may. */
static bool is_stale(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int problem = EADDRINUSE; /* EAGAIN: somebody who is busy */
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EAGAIN)
        problem = errno;
    close(fd);
    errno = problem;
    return problem == ECONNREFUSED;
}

/*  zmq_bind deletes whatever is at the path. NULL: it may. */
static const char *taken(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return NULL;
    if (!S_ISSOCK(status.st_mode))
        return "there is something that is not a socket";
    return is_stale(path) ? NULL : strerror(errno);
}

static const char *why_unbound(int problem)
{
    return problem == ENODEV ? "it is no address or interface of this machine"
                             : zmq_strerror(problem);
}

bool endpoint_bind(void *socket, const char *endpoint, char *problem, size_t size)
{
    const char *why = NULL;
    int ipv6 = strchr(endpoint, '[') != NULL; /* with it, IPv4 addresses are shown as mapped ones */
    zmq_setsockopt(socket, ZMQ_IPV6, &ipv6, sizeof ipv6);
    if (strncmp(endpoint, ipc, strlen(ipc)) == 0)
        why = taken(endpoint + strlen(ipc));
    if (why == NULL && zmq_bind(socket, endpoint) != 0)
        why = why_unbound(errno);
    if (why)
        snprintf(problem, size, "cannot bind %s: %s", endpoint, why);
    return why == NULL;
}
