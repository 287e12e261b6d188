/*  beanstalkd: pipelined puts; reservations and deletions of a prefetch in one write. */

#include <stdlib.h>
#include <string.h>

#include "bench/peers/load.h"
#include "bench/peers/stream.h"
#include "common/mem.h"

typedef struct consumer {
    stream_t *stream;
    int prefetch, reserved;
    unsigned long long *ids; /* to be deleted */
} consumer_t;

static void expect(stream_t *stream, const char *answer)
{
    const char *line = stream_line(stream);
    if (strncmp(line, answer, strlen(answer)) != 0)
        load_die("\"%s\" instead of %s", line, answer);
}

static void *producer_new(const load_options_t *options)
{
    stream_t *stream = stream_new(options->port);
    stream_print(stream, "use %s\r\n", options->queue);
    stream_flush(stream);
    expect(stream, "USING");
    return stream;
}

static void submit(void *self, const char *body, size_t size)
{
    stream_print(self, "put 0 0 60 %zu\r\n", size);
    stream_put(self, body, size);
    stream_put(self, "\r\n", 2);
}

static size_t confirms(void *self, bool wait)
{
    size_t count = 0;
    stream_flush(self);
    for (; stream_readable(self, wait && count == 0 ? -1 : 0); count++)
        expect(self, "INSERTED");
    return count;
}

static void *consumer_new(const load_options_t *options)
{
    consumer_t *self = mem_zalloc(sizeof *self);
    self->stream = stream_new(options->port);
    self->prefetch = options->prefetch;
    self->ids = mem_alloc((size_t)options->prefetch * sizeof *self->ids);
    stream_print(self->stream, "watch %s\r\n", options->queue);
    stream_flush(self->stream);
    expect(self->stream, "WATCHING");
    return self;
}

static void put_deletions(consumer_t *self)
{
    for (int i = 0; i < self->reserved; i++)
        stream_print(self->stream, "delete %llu\r\n", self->ids[i]);
}

static void take_deletions(consumer_t *self)
{
    for (int i = 0; i < self->reserved; i++)
        expect(self->stream, "DELETED");
    if (self->reserved > 0)
        load_acked();
    self->reserved = 0;
}

/*  A connection that waits in `reserve` executes nothing else, so only the first of a prefetch
    waits, and the deletions go before it. */
static void take(void *handle)
{
    consumer_t *self = handle;
    put_deletions(self);
    stream_print(self->stream, "reserve-with-timeout 1\r\n");
    for (int i = 1; i < self->prefetch; i++)
        stream_print(self->stream, "reserve-with-timeout 0\r\n");
    stream_flush(self->stream);
    take_deletions(self);
    for (int i = 0; i < self->prefetch; i++) {
        const char *line = stream_line(self->stream);
        if (strncmp(line, "RESERVED ", 9) != 0)
            continue; /* TIMED_OUT */
        char *end;
        self->ids[self->reserved++] = strtoull(line + 9, &end, 10);
        size_t size = strtoull(end, NULL, 10);
        load_taken(stream_bytes(self->stream, size + 2), size);
    }
}

static void finish(void *handle)
{
    consumer_t *self = handle;
    put_deletions(self);
    stream_flush(self->stream);
    take_deletions(self);
}

const peer_t peer = {
    .name = "beanstalkd",
    .producer_new = producer_new,
    .submit = submit,
    .confirms = confirms,
    .consumer_new = consumer_new,
    .take = take,
    .finish = finish,
};
