#include "worker/link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <zmq.h>

#include "common/endpoint.h"
#include "common/limits.h"
#include "common/mem.h"

enum { RECONNECT_MS = 100, RECONNECT_MOST_MS = 2000 };

struct link {
    char *endpoint;
    void *context;
    void *socket; /* NULL while closed */
    int epoll_fd; /* holds the socket's descriptor, which changes with every socket */
    int socket_fd;
    zmq_msg_t message;
};

worker_link_t *worker_link_new(const char *endpoint)
{
    if (!endpoint_valid(endpoint)) {
        errno = EINVAL;
        return NULL;
    }
    worker_link_t *self = mem_zalloc(sizeof *self);
    self->endpoint = mem_strdup(endpoint);
    zmq_msg_init(&self->message);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->context = zmq_ctx_new();
    if (self->epoll_fd >= 0 && self->context != NULL && worker_link_open(self))
        worker_link_close(self);
    else
        worker_link_destroy(&self, 0);
    return self;
}

void worker_link_destroy(worker_link_t **self, int linger_ms)
{
    worker_link_t *s = *self;
    if (s == NULL)
        return;
    int saved = errno;
    *self = NULL;
    if (s->socket != NULL)
        zmq_setsockopt(s->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    worker_link_close(s);
    zmq_msg_close(&s->message);
    if (s->context != NULL)
        TEMP_FAILURE_RETRY(zmq_ctx_term(s->context));
    if (s->epoll_fd >= 0)
        close(s->epoll_fd);
    free(s->endpoint);
    free(s);
    errno = saved;
}

static void set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof value);
}

static void set_options(void *socket, const char *endpoint)
{
    int64_t most_bytes = LIMIT_MESSAGE_BYTES;
    set_int(socket, ZMQ_LINGER, 0);
    set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set_int(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MOST_MS);
    /* What we send is bounded by what we hold; a full queue would only be a second place to wait.
     */
    set_int(socket, ZMQ_SNDHWM, 0);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most_bytes, sizeof most_bytes);
    /* Only for literals: with it "localhost" would mean ::1 first, where brokers often do not
     * listen. */
    set_int(socket, ZMQ_IPV6, strchr(endpoint, '[') != NULL);
}

bool worker_link_open(worker_link_t *self)
{
    worker_link_close(self);
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    if (self->socket == NULL)
        return false;
    set_options(self->socket, self->endpoint);
    size_t size = sizeof self->socket_fd;
    struct epoll_event interest = {.events = EPOLLIN};
    bool connected = TEMP_FAILURE_RETRY(zmq_connect(self->socket, self->endpoint)) == 0;
    if (connected && zmq_getsockopt(self->socket, ZMQ_FD, &self->socket_fd, &size) == 0 &&
        epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->socket_fd, &interest) == 0)
        return true;
    int reason = connected ? errno : EINVAL;
    zmq_close(self->socket);
    self->socket = NULL;
    errno = reason;
    return false;
}

void worker_link_close(worker_link_t *self)
{
    if (self->socket == NULL)
        return;
    epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, self->socket_fd, NULL);
    zmq_close(self->socket);
    self->socket = NULL;
}

/*  Reads the rest of a message of several frames. */
static void skip_rest(worker_link_t *self)
{
    while (zmq_msg_more(&self->message))
        if (zmq_msg_recv(&self->message, self->socket, ZMQ_DONTWAIT) < 0)
            return;
}

bool worker_link_receive(worker_link_t *self, slice_t *frame)
{
    while (self->socket != NULL) {
        int size = zmq_msg_recv(&self->message, self->socket, ZMQ_DONTWAIT);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return false;
        if (!zmq_msg_more(&self->message)) {
            *frame = slice(zmq_msg_data(&self->message), (size_t)size);
            return true;
        }
        skip_rest(self);
    }
    return false;
}

bool worker_link_send(worker_link_t *self, slice_t frame)
{
    if (self->socket == NULL)
        return false;
    int sent;
    do
        sent = zmq_send(self->socket, frame.data, frame.size, ZMQ_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

bool worker_link_readable(worker_link_t *self)
{
    int events = 0;
    size_t size = sizeof events;
    return self->socket != NULL && zmq_getsockopt(self->socket, ZMQ_EVENTS, &events, &size) == 0 &&
           (events & ZMQ_POLLIN);
}

int worker_link_fd(const worker_link_t *self)
{
    return self->epoll_fd;
}
