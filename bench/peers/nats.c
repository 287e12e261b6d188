/*  NATS JetStream, file store, work-queue retention: pipelined publishes, each with a reply subject;
    a pull consumer that asks for more in the same write as its acknowledgements. The last of these
    asks for a reply, which tells that all arrived. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/peers/load.h"
#include "bench/peers/stream.h"
#include "common/mem.h"

enum { WAIT_MS = 2 };

typedef struct producer {
    stream_t *stream;
    const char *queue;
    unsigned long long sent;
} producer_t;

typedef struct consumer {
    stream_t *stream;
    const char *queue;
    int prefetch, asked; /* for tasks not arrived */
    bool unheard;        /* an acknowledgement that asked for a reply */
    char inbox[32];
    char last[256]; /* where the last task's acknowledgement goes; "": it went */
} consumer_t;

typedef struct message {
    char subject[256], reply[256];
    char *body;
    size_t size;
} message_t;

/*  Whether the next thing is a message; all else is answered or ignored here. */
static bool next_message(stream_t *stream, message_t *out)
{
    char *line = stream_line(stream), first[256], second[256];
    if (strcmp(line, "PING") == 0) {
        stream_print(stream, "PONG\r\n");
        stream_flush(stream);
        return false;
    }
    if (strncmp(line, "MSG ", 4) != 0) {
        if (strncmp(line, "-ERR", 4) == 0 || strncmp(line, "HMSG", 4) == 0)
            load_die("%s", line);
        return false;
    }
    int words = sscanf(line, "MSG %255s %*s %255s %255s", out->subject, first, second);
    snprintf(out->reply, sizeof out->reply, "%s", words == 3 ? first : "");
    out->size = strtoull(words == 3 ? second : first, NULL, 10);
    out->body = stream_bytes(stream, out->size + 2);
    out->body[out->size] = '\0';
    return true;
}

static stream_t *connect_to(const load_options_t *options, const char *inbox)
{
    stream_t *stream = stream_new(options->port);
    stream_print(stream,
                 "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,"
                 "\"no_responders\":true}\r\nSUB %s.%s.* 1\r\n",
                 inbox, options->queue);
    stream_flush(stream);
    return stream;
}

static void request(stream_t *stream, const load_options_t *options, const char *subject,
                    const char *body)
{
    message_t answer;
    stream_print(stream, "PUB %s _INBOX.%s.0 %zu\r\n%s\r\n", subject, options->queue, strlen(body),
                 body);
    stream_flush(stream);
    while (!next_message(stream, &answer))
        ;
    if (strstr(answer.body, "\"error\"") != NULL)
        load_die("%s", answer.body);
}

static void prepare(const load_options_t *options)
{
    char subject[256], body[512];
    const char *queue = options->queue;
    stream_t *stream = connect_to(options, "_INBOX");
    snprintf(subject, sizeof subject, "$JS.API.STREAM.CREATE.%s", queue);
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"subjects\":[\"%s\"],\"retention\":\"workqueue\","
             "\"storage\":\"file\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,"
             "\"discard\":\"old\",\"num_replicas\":1}",
             queue, queue);
    request(stream, options, subject, body);
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DURABLE.CREATE.%s.workers", queue);
    snprintf(body, sizeof body,
             "{\"stream_name\":\"%s\",\"config\":{\"durable_name\":\"workers\","
             "\"deliver_policy\":\"all\",\"ack_policy\":\"explicit\",\"max_ack_pending\":-1,"
             "\"replay_policy\":\"instant\"}}",
             queue);
    request(stream, options, subject, body);
}

static void *producer_new(const load_options_t *options)
{
    producer_t *self = mem_zalloc(sizeof *self);
    self->stream = connect_to(options, "p");
    self->queue = options->queue;
    return self;
}

static void submit(void *handle, const char *body, size_t size)
{
    producer_t *self = handle;
    stream_print(self->stream, "PUB %s p.%s.%llu %zu\r\n", self->queue, self->queue, self->sent++,
                 size);
    stream_put(self->stream, body, size);
    stream_put(self->stream, "\r\n", 2);
}

static size_t confirms(void *handle, bool wait)
{
    producer_t *self = handle;
    message_t answer;
    size_t count = 0;
    stream_flush(self->stream);
    while (stream_readable(self->stream, wait && count == 0 ? -1 : 0)) {
        if (!next_message(self->stream, &answer))
            continue;
        if (strstr(answer.body, "\"error\"") != NULL)
            load_die("%s", answer.body);
        count++;
    }
    return count;
}

static void *consumer_new(const load_options_t *options)
{
    consumer_t *self = mem_zalloc(sizeof *self);
    snprintf(self->inbox, sizeof self->inbox, "c%p", (void *)self);
    self->stream = connect_to(options, self->inbox);
    self->queue = options->queue;
    self->prefetch = options->prefetch;
    return self;
}

static void put_ack(consumer_t *self, bool confirm)
{
    if (self->last[0] == '\0')
        return;
    if (confirm)
        stream_print(self->stream, "PUB %s %s.%s.ack 4\r\n+ACK\r\n", self->last, self->inbox,
                     self->queue);
    else
        stream_print(self->stream, "PUB %s 4\r\n+ACK\r\n", self->last);
    self->unheard |= confirm;
    self->last[0] = '\0';
}

static void take_message(consumer_t *self)
{
    message_t message;
    if (!next_message(self->stream, &message))
        return;
    if (strncmp(message.reply, "$JS.ACK", 7) != 0) { /* an answer to the last acknowledgement */
        self->unheard = false;
        load_acked();
        return;
    }
    load_taken(message.body, message.size);
    put_ack(self, false);
    snprintf(self->last, sizeof self->last, "%s", message.reply);
    self->asked--;
}

/*  Asks again once half the prefetch came. */
static void take(void *handle)
{
    consumer_t *self = handle;
    int missing = self->prefetch - self->asked;
    if (missing > self->prefetch / 2) {
        char body[64];
        int size = snprintf(body, sizeof body, "{\"batch\":%d}", missing);
        put_ack(self, false);
        stream_print(self->stream,
                     "PUB $JS.API.CONSUMER.MSG.NEXT.%s.workers %s.%s.task %d\r\n%s\r\n",
                     self->queue, self->inbox, self->queue, size, body);
        self->asked += missing;
    }
    stream_flush(self->stream);
    for (int wait_ms = WAIT_MS; stream_readable(self->stream, wait_ms); wait_ms = 0)
        take_message(self);
    put_ack(self, true);
}

static void finish(void *handle)
{
    consumer_t *self = handle;
    put_ack(self, true);
    stream_flush(self->stream);
    while (self->unheard)
        take_message(self);
}

const peer_t peer = {
    .name = "nats",
    .prepare = prepare,
    .producer_new = producer_new,
    .submit = submit,
    .confirms = confirms,
    .consumer_new = consumer_new,
    .take = take,
    .finish = finish,
};
