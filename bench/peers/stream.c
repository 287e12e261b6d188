#include "bench/peers/stream.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/peers/load.h"
#include "common/mem.h"

enum { BUFFER = 4 << 20 }; /* over a task and a window of confirms */

struct stream {
    int fd;
    size_t out_size, in_start, in_end;
    char out[BUFFER], in[BUFFER];
};

stream_t *stream_new(const char *port)
{
    stream_t *self = mem_zalloc(sizeof *self);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    self->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (self->fd < 0 || connect(self->fd, (struct sockaddr *)&address, sizeof address) != 0)
        load_die("cannot connect to port %s: %m", port);
    setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return self;
}

void stream_flush(stream_t *self)
{
    for (size_t done = 0; done < self->out_size;) {
        ssize_t put = send(self->fd, self->out + done, self->out_size - done, MSG_NOSIGNAL);
        if (put < 0)
            load_die("cannot send: %m");
        done += (size_t)put;
    }
    self->out_size = 0;
}

void stream_put(stream_t *self, const void *bytes, size_t size)
{
    if (size > BUFFER - self->out_size)
        stream_flush(self);
    memcpy(self->out + self->out_size, bytes, size);
    self->out_size += size;
}

void stream_print(stream_t *self, const char *pattern, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, pattern);
    int size = vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    stream_put(self, text, (size_t)size);
}

bool stream_readable(stream_t *self, int wait_ms)
{
    if (self->in_end > self->in_start)
        return true;
    return poll(&(struct pollfd){.fd = self->fd, .events = POLLIN}, 1, wait_ms) == 1;
}

static void receive(stream_t *self)
{
    if (self->in_start > 0) {
        memmove(self->in, self->in + self->in_start, self->in_end - self->in_start);
        self->in_end -= self->in_start;
        self->in_start = 0;
    }
    ssize_t got = recv(self->fd, self->in + self->in_end, BUFFER - self->in_end, 0);
    if (got <= 0)
        load_die("the server hung up: %m");
    self->in_end += (size_t)got;
}

char *stream_line(stream_t *self)
{
    size_t seen = 0;
    for (;;) {
        char *start = self->in + self->in_start;
        char *end = memchr(start + seen, '\n', self->in_end - self->in_start - seen);
        if (end != NULL) {
            self->in_start += (size_t)(end - start) + 1;
            end[end > start && end[-1] == '\r' ? -1 : 0] = '\0';
            return start;
        }
        seen = self->in_end - self->in_start;
        receive(self);
    }
}

char *stream_bytes(stream_t *self, size_t size)
{
    while (self->in_end - self->in_start < size)
        receive(self);
    char *bytes = self->in + self->in_start;
    self->in_start += size;
    return bytes;
}
