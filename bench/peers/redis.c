/*  Redis Streams with a consumer group: pipelined XADD; XREADGROUP COUNT prefetch in the same write as
    the XACK and XDEL of what was read before. --class keep leaves XDEL out: the stream grows. */

#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/peers/load.h"
#include "common/mem.h"

#define WAIT_MS "100"

typedef struct producer {
    redisContext *redis;
    const char *stream;
} producer_t;

typedef struct consumer {
    redisContext *redis;
    const char *stream;
    bool keep;
    char name[32], count[16];
    redisReply *batch; /* whose entries are not acknowledged; NULL: none */
    const char **argv;
    size_t *sizes;
} consumer_t;

static redisContext *connect_to(const load_options_t *options)
{
    redisContext *redis = redisConnect("127.0.0.1", atoi(options->port));
    if (redis == NULL || redis->err != 0)
        load_die("cannot connect to port %s", options->port);
    setsockopt(redis->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return redis;
}

static redisReply *checked(redisContext *redis, void *reply)
{
    redisReply *self = reply;
    if (self == NULL)
        load_die("%s", redis->errstr);
    if (self->type == REDIS_REPLY_ERROR)
        load_die("%s", self->str);
    return self;
}

static redisReply *next_reply(redisContext *redis)
{
    void *reply = NULL;
    redisGetReply(redis, &reply);
    return checked(redis, reply);
}

static void prepare(const load_options_t *options)
{
    redisContext *redis = connect_to(options);
    freeReplyObject(
        checked(redis, redisCommand(redis, "XGROUP CREATE %s workers $ MKSTREAM", options->queue)));
    redisFree(redis);
}

static void *producer_new(const load_options_t *options)
{
    producer_t *self = mem_zalloc(sizeof *self);
    self->redis = connect_to(options);
    self->stream = options->queue;
    return self;
}

static void submit(void *handle, const char *body, size_t size)
{
    producer_t *self = handle;
    const char *argv[] = {"XADD", self->stream, "*", "d", body};
    const size_t sizes[] = {4, strlen(self->stream), 1, 1, size};
    redisAppendCommandArgv(self->redis, 5, argv, sizes);
}

static void flush(redisContext *redis)
{
    for (int done = 0; !done;)
        if (redisBufferWrite(redis, &done) != REDIS_OK)
            load_die("%s", redis->errstr);
}

static size_t confirms(void *handle, bool wait)
{
    producer_t *self = handle;
    flush(self->redis);
    if (poll(&(struct pollfd){.fd = self->redis->fd, .events = POLLIN}, 1, wait ? -1 : 0) != 1)
        return 0;
    size_t count = 0;
    for (void *reply = NULL; count == 0;) {
        if (redisBufferRead(self->redis) != REDIS_OK)
            load_die("%s", self->redis->errstr);
        while (redisGetReplyFromReader(self->redis, &reply) == REDIS_OK && reply != NULL) {
            freeReplyObject(checked(self->redis, reply));
            count++;
        }
    }
    return count;
}

static void *consumer_new(const load_options_t *options)
{
    consumer_t *self = mem_zalloc(sizeof *self);
    self->redis = connect_to(options);
    self->stream = options->queue;
    self->keep = strcmp(options->class, "keep") == 0;
    snprintf(self->name, sizeof self->name, "%d", self->redis->fd);
    snprintf(self->count, sizeof self->count, "%d", options->prefetch);
    self->argv = mem_alloc(((size_t)options->prefetch + 3) * sizeof *self->argv);
    self->sizes = mem_alloc(((size_t)options->prefetch + 3) * sizeof *self->sizes);
    return self;
}

/*  [[stream, [[id, [field, value]], …]]] */
static redisReply *entries_of(const redisReply *batch)
{
    return batch->element[0]->element[1];
}

static void append(consumer_t *self, const char *const head[], int head_count)
{
    const redisReply *entries = entries_of(self->batch);
    int argc = 0;
    for (; argc < head_count; argc++) {
        self->argv[argc] = head[argc];
        self->sizes[argc] = strlen(head[argc]);
    }
    for (size_t i = 0; i < entries->elements; i++, argc++) {
        self->argv[argc] = entries->element[i]->element[0]->str;
        self->sizes[argc] = (size_t)entries->element[i]->element[0]->len;
    }
    redisAppendCommandArgv(self->redis, argc, self->argv, self->sizes);
}

static void put_acks(consumer_t *self)
{
    if (self->batch == NULL)
        return;
    append(self, (const char *[]){"XACK", self->stream, "workers"}, 3);
    if (!self->keep)
        append(self, (const char *[]){"XDEL", self->stream}, 2);
}

static void take_acks(consumer_t *self)
{
    if (self->batch == NULL)
        return;
    for (int i = self->keep; i < 2; i++)
        freeReplyObject(next_reply(self->redis));
    load_acked();
    freeReplyObject(self->batch);
    self->batch = NULL;
}

static void take(void *handle)
{
    consumer_t *self = handle;
    put_acks(self);
    redisAppendCommand(self->redis,
                       "XREADGROUP GROUP workers %s COUNT %s BLOCK " WAIT_MS " STREAMS %s >",
                       self->name, self->count, self->stream);
    take_acks(self);
    redisReply *batch = next_reply(self->redis);
    if (batch->type == REDIS_REPLY_NIL) {
        freeReplyObject(batch);
        return;
    }
    self->batch = batch;
    const redisReply *entries = entries_of(batch);
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *value = entries->element[i]->element[1]->element[1];
        load_taken(value->str, (size_t)value->len);
    }
}

static void finish(void *handle)
{
    consumer_t *self = handle;
    put_acks(self);
    take_acks(self);
}

const peer_t peer = {
    .name = "redis",
    .prepare = prepare,
    .producer_new = producer_new,
    .submit = submit,
    .confirms = confirms,
    .consumer_new = consumer_new,
    .take = take,
    .finish = finish,
};
