/*  RabbitMQ: persistent messages under publisher confirms; consumers with basic.qos that acknowledge
    with `multiple`, after half the prefetch or when nothing more is there. --class is the queue's
    type: quorum or classic. */

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/peers/load.h"
#include "common/mem.h"

enum { CHANNEL = 1, WAIT_US = 2000 };

typedef struct producer {
    amqp_connection_state_t connection;
    amqp_bytes_t queue;
    uint64_t confirmed_to; /* all up to this tag are */
    uint8_t *early;        /* by tag: confirmed although one before is not */
    uint64_t sent, room;
} producer_t;

typedef struct consumer {
    amqp_connection_state_t connection;
    uint64_t last_tag;
    int prefetch, unacked;
    bool unheard;
} consumer_t;

static amqp_connection_state_t connect_to(const load_options_t *options)
{
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (amqp_socket_open(socket, "127.0.0.1", atoi(options->port)) != AMQP_STATUS_OK)
        load_die("cannot connect to port %s", options->port);
    setsockopt(amqp_get_sockfd(connection), IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    amqp_rpc_reply_t reply = amqp_login(connection, "/", 0, AMQP_DEFAULT_FRAME_SIZE, 0,
                                        AMQP_SASL_METHOD_PLAIN, "guest", "guest");
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        amqp_channel_open(connection, CHANNEL);
        reply = amqp_get_rpc_reply(connection);
    }
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        load_die("cannot log in");
    return connection;
}

static void prepare(const load_options_t *options)
{
    amqp_connection_state_t connection = connect_to(options);
    amqp_table_entry_t type = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(options->class)}};
    amqp_table_t arguments = {.num_entries = 1, .entries = &type};
    amqp_queue_declare(connection, CHANNEL, amqp_cstring_bytes(options->queue), 0, 1, 0, 0,
                       arguments);
    if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL)
        load_die("cannot declare a %s queue", options->class);
    amqp_destroy_connection(connection);
}

static void *producer_new(const load_options_t *options)
{
    producer_t *self = mem_zalloc(sizeof *self);
    self->connection = connect_to(options);
    self->queue = amqp_cstring_bytes(options->queue);
    if (amqp_confirm_select(self->connection, CHANNEL) == NULL)
        load_die("no publisher confirms");
    return self;
}

static void submit(void *handle, const char *body, size_t size)
{
    producer_t *self = handle;
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    if (amqp_basic_publish(self->connection, CHANNEL, amqp_empty_bytes, self->queue, 0, 0,
                           &properties, (amqp_bytes_t){size, (void *)(uintptr_t)body}) != 0)
        load_die("cannot publish");
    if (++self->sent >= self->room) {
        uint64_t room = self->room == 0 ? 1 << 16 : 2 * self->room;
        self->early = mem_realloc(self->early, room);
        memset(self->early + self->room, 0, room - self->room);
        self->room = room;
    }
}

/*  Returns how many tasks in a row it completes. */
static size_t take_confirm(producer_t *self, const amqp_frame_t *frame)
{
    if (frame->frame_type != AMQP_FRAME_METHOD || frame->payload.method.id != AMQP_BASIC_ACK_METHOD)
        load_die("something else than a confirm came");
    const amqp_basic_ack_t *ack = frame->payload.method.decoded;
    uint64_t before = self->confirmed_to;
    if (ack->multiple && ack->delivery_tag > self->confirmed_to)
        self->confirmed_to = ack->delivery_tag;
    else
        self->early[ack->delivery_tag] = 1;
    while (self->confirmed_to < self->sent && self->early[self->confirmed_to + 1])
        self->confirmed_to++;
    return self->confirmed_to - before;
}

static size_t confirms(void *handle, bool wait)
{
    producer_t *self = handle;
    size_t count = 0;
    for (;;) {
        amqp_frame_t frame;
        struct timeval none = {0};
        int status = amqp_simple_wait_frame_noblock(self->connection, &frame,
                                                    wait && count == 0 ? NULL : &none);
        if (status == AMQP_STATUS_TIMEOUT)
            break;
        if (status != AMQP_STATUS_OK)
            load_die("%s", amqp_error_string2(status));
        count += take_confirm(self, &frame);
    }
    amqp_maybe_release_buffers(self->connection);
    return count;
}

static void *consumer_new(const load_options_t *options)
{
    consumer_t *self = mem_zalloc(sizeof *self);
    self->connection = connect_to(options);
    self->prefetch = options->prefetch;
    amqp_basic_qos(self->connection, CHANNEL, 0, (uint16_t)options->prefetch, 0);
    amqp_basic_consume(self->connection, CHANNEL, amqp_cstring_bytes(options->queue),
                       amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    if (amqp_get_rpc_reply(self->connection).reply_type != AMQP_RESPONSE_NORMAL)
        load_die("cannot consume");
    return self;
}

static void acknowledge(consumer_t *self)
{
    if (self->unacked == 0)
        return;
    if (amqp_basic_ack(self->connection, CHANNEL, self->last_tag, 1) != 0)
        load_die("cannot acknowledge");
    self->unacked = 0;
    self->unheard = true;
}

static void take(void *handle)
{
    consumer_t *self = handle;
    for (struct timeval wait = {.tv_usec = WAIT_US};; wait.tv_usec = 0) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(self->connection);
        amqp_rpc_reply_t reply = amqp_consume_message(self->connection, &envelope, &wait, 0);
        if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
            reply.library_error == AMQP_STATUS_TIMEOUT)
            break;
        if (reply.reply_type != AMQP_RESPONSE_NORMAL)
            load_die("cannot receive");
        load_taken(envelope.message.body.bytes, envelope.message.body.len);
        self->last_tag = envelope.delivery_tag;
        amqp_destroy_envelope(&envelope);
        if (++self->unacked >= self->prefetch / 2)
            break;
    }
    acknowledge(self);
}

/*  Nothing answers basic.ack: another method behind it does. */
static void finish(void *handle)
{
    consumer_t *self = handle;
    acknowledge(self);
    if (!self->unheard)
        return;
    amqp_basic_qos(self->connection, CHANNEL, 0, (uint16_t)self->prefetch, 0);
    load_acked();
}

const peer_t peer = {
    .name = "rabbitmq",
    .prepare = prepare,
    .producer_new = producer_new,
    .submit = submit,
    .confirms = confirms,
    .consumer_new = consumer_new,
    .take = take,
    .finish = finish,
};
