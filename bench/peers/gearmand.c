/*  gearmand: background jobs over its binary protocol. libgearman is left out: its worker holds one
    job at a time, so that its users' fastest client is slower than this one. */

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/peers/load.h"
#include "bench/peers/stream.h"
#include "common/mem.h"

enum {
    CAN_DO = 1,
    PRE_SLEEP = 4,
    NOOP = 6,
    JOB_CREATED = 8,
    GRAB_JOB = 9,
    NO_JOB = 10,
    JOB_ASSIGN = 11,
    WORK_COMPLETE = 13,
    ECHO_REQ = 16,
    ECHO_RES = 17,
    SUBMIT_JOB_BG = 18,
    WAIT_MS = 100,
};

typedef struct producer {
    stream_t *stream;
    char function[64];
    unsigned long long sent;
} producer_t;

typedef struct consumer {
    stream_t *stream;
    int prefetch, grabs; /* GRAB_JOBs not answered */
    bool asleep, unheard;
} consumer_t;

static void put_head(stream_t *stream, uint32_t type, size_t size)
{
    uint32_t words[2] = {htonl(type), htonl((uint32_t)size)};
    stream_put(stream, "\0REQ", 4);
    stream_put(stream, words, sizeof words);
}

static uint32_t next_packet(stream_t *stream, char **data, size_t *size)
{
    uint32_t words[2];
    memcpy(words, stream_bytes(stream, 12) + 4, sizeof words);
    *size = ntohl(words[1]);
    *data = stream_bytes(stream, *size);
    return ntohl(words[0]);
}

static void *producer_new(const load_options_t *options)
{
    producer_t *self = mem_zalloc(sizeof *self);
    self->stream = stream_new(options->port);
    snprintf(self->function, sizeof self->function, "%s", options->queue);
    return self;
}

static void submit(void *handle, const char *body, size_t size)
{
    producer_t *self = handle;
    char unique[64];
    size_t unique_size =
        (size_t)snprintf(unique, sizeof unique, "%s-%llu", self->function, self->sent++) + 1;
    size_t function_size = strlen(self->function) + 1;
    put_head(self->stream, SUBMIT_JOB_BG, function_size + unique_size + size);
    stream_put(self->stream, self->function, function_size);
    stream_put(self->stream, unique, unique_size);
    stream_put(self->stream, body, size);
}

static size_t confirms(void *handle, bool wait)
{
    producer_t *self = handle;
    size_t count = 0, size;
    char *data;
    stream_flush(self->stream);
    for (; stream_readable(self->stream, wait && count == 0 ? -1 : 0); count++)
        if (next_packet(self->stream, &data, &size) != JOB_CREATED)
            load_die("a job was refused");
    return count;
}

static void *consumer_new(const load_options_t *options)
{
    consumer_t *self = mem_zalloc(sizeof *self);
    self->stream = stream_new(options->port);
    self->prefetch = options->prefetch;
    put_head(self->stream, CAN_DO, strlen(options->queue));
    stream_put(self->stream, options->queue, strlen(options->queue));
    return self;
}

static void complete(consumer_t *self, const char *data, size_t size)
{
    size_t handle_size = strlen(data) + 1;
    const char *body = data + handle_size + strlen(data + handle_size) + 1;
    load_taken(body, size - (size_t)(body - data));
    put_head(self->stream, WORK_COMPLETE, handle_size);
    stream_put(self->stream, data, handle_size);
    self->unheard = true;
}

static void take_packet(consumer_t *self)
{
    char *data;
    size_t size;
    switch (next_packet(self->stream, &data, &size)) {
    case JOB_ASSIGN:
        self->grabs--;
        complete(self, data, size);
        break;
    case NO_JOB:
        if (--self->grabs == 0) {
            put_head(self->stream, PRE_SLEEP, 0);
            self->asleep = true;
        }
        break;
    case NOOP:
        self->asleep = false;
        break;
    case ECHO_RES:
        self->unheard = false;
        load_acked();
        break;
    default:
        load_die("an unexpected packet");
    }
}

/*  Grabs again once half the prefetch is answered, in the same write as what is completed. */
static void take(void *handle)
{
    consumer_t *self = handle;
    if (!self->asleep && self->grabs <= self->prefetch / 2)
        for (; self->grabs < self->prefetch; self->grabs++)
            put_head(self->stream, GRAB_JOB, 0);
    stream_flush(self->stream);
    for (int wait_ms = WAIT_MS; stream_readable(self->stream, wait_ms); wait_ms = 0)
        take_packet(self);
}

/*  Nothing answers WORK_COMPLETE: an echo behind it does. */
static void finish(void *handle)
{
    consumer_t *self = handle;
    if (!self->unheard)
        return;
    put_head(self->stream, ECHO_REQ, 1);
    stream_put(self->stream, "e", 1);
    stream_flush(self->stream);
    while (self->unheard)
        take_packet(self);
}

const peer_t peer = {
    .name = "gearmand",
    .producer_new = producer_new,
    .submit = submit,
    .confirms = confirms,
    .consumer_new = consumer_new,
    .take = take,
    .finish = finish,
};
