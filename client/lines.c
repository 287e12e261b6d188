#include "client/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"

enum { CHUNK = 1 << 16 };

void lines_init(lines_t *self, int fd, size_t limit)
{
    *self = (lines_t){.fd = fd, .limit = limit};
}

void lines_fini(lines_t *self)
{
    free(self->buffer);
    *self = (lines_t){0};
}

/*  Makes room for a chunk behind the unread bytes. */
static void make_room(lines_t *self)
{
    if (self->start > 0) {
        memmove(self->buffer, self->buffer + self->start, self->end - self->start);
        self->end -= self->start;
        self->start = 0;
    }
    if (self->capacity - self->end < CHUNK) {
        self->capacity = self->capacity * 2 + CHUNK;
        self->buffer = mem_realloc(self->buffer, self->capacity);
    }
}

/*  Reads what is there; false when nothing is, now or for good. */
static bool fill(lines_t *self)
{
    struct pollfd ready = {.fd = self->fd, .events = POLLIN};
    if (self->at_end || poll(&ready, 1, 0) <= 0)
        return false;
    make_room(self);
    ssize_t size = read(self->fd, self->buffer + self->end, self->capacity - self->end);
    if (size < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (size < 0)
        self->error = errno;
    if (size <= 0) {
        self->at_end = true;
        return true;
    }
    self->end += (size_t)size;
    self->bytes += (uint64_t)size;
    return true;
}

/*  Hands out the line at `start` of `size` bytes, with `line_end` bytes (0, 1) behind it. */
static lines_result_t take(lines_t *self, size_t size, size_t line_end, slice_t *line)
{
    bool too_long = self->skipping || size > self->limit;
    *line = slice(self->buffer + self->start, size);
    if (size > 0 && line->data[size - 1] == '\r')
        line->size--;
    self->start += size + line_end;
    self->skipping = false;
    self->number++;
    return too_long ? LINES_TOO_LONG : LINES_LINE;
}

lines_result_t lines_next(lines_t *self, slice_t *line)
{
    size_t searched = 0;
    for (;;) {
        size_t size = self->end - self->start;
        const char *at = size > 0 ? self->buffer + self->start : NULL;
        const char *end = size > searched ? memchr(at + searched, '\n', size - searched) : NULL;
        if (end != NULL)
            return take(self, (size_t)(end - at), 1, line);
        if (self->at_end && (size > 0 || self->skipping))
            return take(self, size, 0, line);
        if (self->at_end)
            return LINES_END;
        searched = size;
        if (size > self->limit) { /* forget it as it comes: only its end matters */
            self->skipping = true;
            self->start = self->end = searched = 0;
        }
        if (!fill(self))
            return LINES_NONE;
    }
}
