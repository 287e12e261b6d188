/*  A Majordomo worker or client for system tests, written from RFC 7 and RFC 18 on bare libzmq.
    It shares no code with Reeve, so that a misreading in Reeve's codec cannot hide in it too; and
   it is strict: the first message that is not of the RFC's form ends it with INVALID and status 3.

    One line per event on stdout. Bytes that are not printable, spaces in addresses, and backslashes
    are written \xNN; body frames are joined by '|'.
      worker: READY, REQUEST address body, PARTIAL, REPLIED, DISCONNECTED, SILENT (broker not heard)
      client: REPLY body (0.1), PARTIAL body, FINAL body (0.2), TIMEOUT */

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#define HEARTBEAT_MS 1000
#define SILENCE_MS   (5 * HEARTBEAT_MS) /* RFC: "some multiple", usually 3 to 5 */
#define LINGER_MS    5000
#define MAX_FRAMES   2048

enum { EXIT_TIMEOUT = 1, EXIT_USAGE = 2, EXIT_INVALID = 3 };

/*  What differs between the two versions. */
typedef struct dialect {
    const char *client_header, *worker_header;
    bool leading_empty;
    uint8_t partial, final, heartbeat, disconnect; /* worker's; READY 1 and REQUEST 2 in both */
} dialect_t;

enum { W_READY = 1, W_REQUEST = 2 };
enum { C_REQUEST = 1, C_PARTIAL = 2, C_FINAL = 3 }; /* 0.2 only */

static const dialect_t dialects[] = {
    {"MDPC01", "MDPW01", true, 0, 3, 4, 5},
    {"MDPC02", "MDPW02", false, 3, 4, 5, 6},
};

typedef struct options {
    const dialect_t *dialect;
    const char *endpoint, *service, *prefix, *identity;
    long count, delay_ms, partials, timeout_ms;
    bool quiet_while_busy, omit_empty, correlate;
    char **body;
    int body_count;
} options_t;

/* ---- Messages ---- */

typedef struct message {
    zmq_msg_t frame[MAX_FRAMES];
    size_t count;
} message_t;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void die(const char *what)
{
    fprintf(stderr, "mdp_peer: %s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(EXIT_USAGE);
}

static void invalid(const char *why)
{
    printf("INVALID %s\n", why);
    exit(EXIT_INVALID);
}

static void message_clear(message_t *self)
{
    while (self->count > 0)
        zmq_msg_close(&self->frame[--self->count]);
}

static void message_receive(message_t *self, void *socket)
{
    message_clear(self);
    do {
        if (self->count == MAX_FRAMES)
            invalid("too many frames");
        zmq_msg_init(&self->frame[self->count]);
        if (zmq_msg_recv(&self->frame[self->count], socket, 0) < 0)
            die("receive");
    } while (zmq_msg_more(&self->frame[self->count++]));
}

static bool frame_is(message_t *self, size_t at, const void *data, size_t size)
{
    return at < self->count && zmq_msg_size(&self->frame[at]) == size &&
           (size == 0 || memcmp(zmq_msg_data(&self->frame[at]), data, size) == 0);
}

static bool frame_is_text(message_t *self, size_t at, const char *text)
{
    return frame_is(self, at, text, strlen(text));
}

/*  The one-byte command at `at`. */
static uint8_t frame_command(message_t *self, size_t at)
{
    if (at >= self->count || zmq_msg_size(&self->frame[at]) != 1)
        invalid("no one-byte command");
    return *(const uint8_t *)zmq_msg_data(&self->frame[at]);
}

static void print_frame(zmq_msg_t *frame, bool escape_space)
{
    const uint8_t *data = zmq_msg_data(frame);
    for (size_t i = 0; i < zmq_msg_size(frame); i++)
        if (data[i] < ' ' || data[i] > '~' || data[i] == '\\' || (escape_space && data[i] == ' '))
            printf("\\x%02x", data[i]);
        else
            putchar(data[i]);
}

static void print_body(message_t *self, size_t at)
{
    for (size_t i = at; i < self->count; i++) {
        if (i > at)
            putchar('|');
        print_frame(&self->frame[i], false);
    }
    putchar('\n');
}

static void send_bytes(void *socket, const void *data, size_t size, bool more)
{
    if (zmq_send(socket, data, size, more ? ZMQ_SNDMORE : 0) < 0)
        die("send");
}

static void *open_socket(void *context, int type, const char *endpoint, const char *identity)
{
    void *socket = zmq_socket(context, type);
    int linger = LINGER_MS;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    if (identity != NULL && zmq_setsockopt(socket, ZMQ_ROUTING_ID, identity, strlen(identity)) != 0)
        die("identity");
    if (zmq_connect(socket, endpoint) != 0)
        die(endpoint);
    return socket;
}

static void close_at_once(void *socket)
{
    int linger = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(socket);
}

/* ---- Worker ---- */

typedef struct worker {
    const options_t *options;
    void *context, *socket;
    unsigned connections;
    int64_t heartbeat_at, silent_at; /* when to speak; when to give the broker up */
    bool busy;
    message_t request;
    size_t address_at; /* in `request`; its body is two frames further */
    long partials_sent, replied;
    int64_t step_at; /* when the next partial or the final reply is due */
} worker_t;

/*  Sends the frames that every worker message begins with. */
static void worker_send_head(worker_t *self, uint8_t command, bool more)
{
    if (self->options->dialect->leading_empty)
        send_bytes(self->socket, "", 0, true);
    send_bytes(self->socket, self->options->dialect->worker_header, 6, true);
    send_bytes(self->socket, &command, 1, more);
    self->heartbeat_at = now_ms() + HEARTBEAT_MS;
}

/*  A new conversation: RFC 7 wants a new socket and with it a new routing id; a given identity gets
   a suffix, because the broker may still know the old connection under it. */
static void worker_connect(worker_t *self)
{
    char identity[256];
    if (self->socket != NULL)
        close_at_once(self->socket);
    if (self->options->identity != NULL)
        snprintf(identity, sizeof identity, self->connections > 0 ? "%s-%u" : "%s",
                 self->options->identity, self->connections + 1);
    self->connections++;
    self->socket = open_socket(self->context, ZMQ_DEALER, self->options->endpoint,
                               self->options->identity != NULL ? identity : NULL);
    self->busy = false;
    worker_send_head(self, W_READY, true);
    send_bytes(self->socket, self->options->service, strlen(self->options->service), false);
    self->silent_at = now_ms() + SILENCE_MS;
    puts("READY");
}

/*  Sends the envelope of a partial or final reply and its first body frame: the prefix, then
    `size` bytes of `first`. */
static void worker_send_reply(worker_t *self, uint8_t command, const void *first, size_t size,
                              bool more)
{
    zmq_msg_t *address = &self->request.frame[self->address_at], joined;
    size_t prefix_size = strlen(self->options->prefix);
    worker_send_head(self, command, true);
    send_bytes(self->socket, zmq_msg_data(address), zmq_msg_size(address), true);
    if (!self->options->omit_empty)
        send_bytes(self->socket, "", 0, true);
    if (zmq_msg_init_size(&joined, prefix_size + size) != 0)
        die("memory");
    memcpy(zmq_msg_data(&joined), self->options->prefix, prefix_size);
    memcpy((char *)zmq_msg_data(&joined) + prefix_size, first, size);
    if (zmq_msg_send(&joined, self->socket, more ? ZMQ_SNDMORE : 0) < 0)
        die("send");
}

static void worker_send_final(worker_t *self)
{
    message_t *request = &self->request;
    size_t at = self->address_at + 2;
    worker_send_reply(self, self->options->dialect->final, zmq_msg_data(&request->frame[at]),
                      zmq_msg_size(&request->frame[at]), at + 1 < request->count);
    for (at++; at < request->count; at++)
        send_bytes(self->socket, zmq_msg_data(&request->frame[at]),
                   zmq_msg_size(&request->frame[at]), at + 1 < request->count);
}

/*  A request takes delay_ms, cut into equal steps: one per partial reply and one for the last. */
static int64_t step_ms(const options_t *options)
{
    return options->delay_ms / (options->partials + 1);
}

/*  The next reply to the request in hand: partials, whose body is their number, then the echo. */
static void worker_step(worker_t *self)
{
    if (self->partials_sent < self->options->partials) {
        char number[24];
        int size = snprintf(number, sizeof number, "%ld", ++self->partials_sent);
        worker_send_reply(self, self->options->dialect->partial, number, (size_t)size, false);
        self->step_at = now_ms() + step_ms(self->options);
        puts("PARTIAL");
        return;
    }
    worker_send_final(self);
    self->busy = false;
    self->replied++;
    /*  A quiet worker heard nothing because it did not listen. */
    self->silent_at = now_ms() + SILENCE_MS;
    puts("REPLIED");
}

static void worker_take_request(worker_t *self, size_t at)
{
    message_t *request = &self->request;
    if (at >= request->count || zmq_msg_size(&request->frame[at]) == 0)
        invalid("REQUEST without client address");
    if (!frame_is(request, at + 1, "", 0))
        invalid("REQUEST without the empty frame after the address");
    if (at + 2 >= request->count)
        invalid("REQUEST without body");
    self->address_at = at;
    self->busy = true;
    self->partials_sent = 0;
    self->step_at = now_ms() + step_ms(self->options);
    printf("REQUEST ");
    print_frame(&request->frame[at], true);
    putchar(' ');
    print_body(request, at + 2);
}

static void worker_receive(worker_t *self)
{
    static message_t other; /* what comes while `request` is in use */
    const dialect_t *dialect = self->options->dialect;
    message_t *message = self->busy ? &other : &self->request;
    message_receive(message, self->socket);
    self->silent_at = now_ms() + SILENCE_MS;
    size_t at = 0;
    if (dialect->leading_empty && !frame_is(message, at++, "", 0))
        invalid("no leading empty frame");
    if (!frame_is_text(message, at++, dialect->worker_header))
        invalid("wrong header");
    uint8_t command = frame_command(message, at++);
    if (command == W_REQUEST) {
        if (self->busy)
            invalid("REQUEST while another is in hand");
        worker_take_request(self, at);
        return;
    }
    if (at != message->count)
        invalid("frames after the command");
    if (command == dialect->disconnect) {
        puts("DISCONNECTED");
        worker_connect(self);
    } else if (command != dialect->heartbeat) {
        invalid("unexpected command");
    }
}

/*  Waits for input or for the next thing to do. */
static bool worker_wait(worker_t *self, bool deaf)
{
    int64_t until = self->heartbeat_at < self->silent_at ? self->heartbeat_at : self->silent_at;
    if (deaf || (self->busy && self->step_at < until))
        until = self->step_at;
    int64_t wait_ms = until - now_ms();
    zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
    int rc = zmq_poll(&item, deaf ? 0 : 1, wait_ms > 0 ? (long)wait_ms : 0);
    if (rc < 0)
        die("poll");
    return rc > 0;
}

static int run_worker(void *context, const options_t *options)
{
    static worker_t worker;
    worker_t *self = &worker;
    self->options = options;
    self->context = context;
    worker_connect(self);
    while (options->count == 0 || self->replied < options->count) {
        bool deaf = self->busy && options->quiet_while_busy;
        if (worker_wait(self, deaf))
            worker_receive(self);
        if (self->busy && now_ms() >= self->step_at)
            worker_step(self);
        if (!deaf && now_ms() >= self->heartbeat_at)
            worker_send_head(self, options->dialect->heartbeat, false);
        if (!deaf && now_ms() >= self->silent_at) {
            puts("SILENT");
            worker_connect(self);
        }
    }
    worker_send_head(self, options->dialect->disconnect, false);
    message_clear(&self->request);
    zmq_close(self->socket);
    return 0;
}

/* ---- Client ---- */

/*  The empty frame of 0.1 is not here: the REQ socket adds and removes it. */
static void client_send(void *socket, const options_t *options)
{
    const uint8_t command = C_REQUEST;
    send_bytes(socket, options->dialect->client_header, 6, true);
    if (!options->dialect->leading_empty)
        send_bytes(socket, &command, 1, true);
    send_bytes(socket, options->service, strlen(options->service), true);
    for (int i = 0; i < options->body_count; i++)
        send_bytes(socket, options->body[i], strlen(options->body[i]), i + 1 < options->body_count);
}

/*  Checks and prints a reply; returns whether it was the last one to its request. */
static bool client_take_reply(message_t *reply, const options_t *options)
{
    const char *name = "REPLY";
    bool last = true;
    size_t at = 0;
    if (!frame_is_text(reply, at++, options->dialect->client_header))
        invalid("wrong header");
    if (!options->dialect->leading_empty) {
        uint8_t command = frame_command(reply, at++);
        if (command != C_PARTIAL && command != C_FINAL)
            invalid("unexpected command");
        last = command == C_FINAL;
        name = last ? "FINAL" : "PARTIAL";
    }
    if (!frame_is_text(reply, at++, options->service))
        invalid("wrong service");
    if (at >= reply->count)
        invalid("reply without body");
    printf("%s ", name);
    print_body(reply, at);
    return last;
}

static int run_client(void *context, const options_t *options)
{
    static message_t reply;
    int correlate = options->correlate, status = 0;
    void *socket = open_socket(context, options->dialect->leading_empty ? ZMQ_REQ : ZMQ_DEALER,
                               options->endpoint, NULL);
    if (correlate)
        zmq_setsockopt(socket, ZMQ_REQ_CORRELATE, &correlate, sizeof correlate);
    for (long i = 0; i < options->count && status == 0; i++) {
        client_send(socket, options);
        for (bool last = false; !last && status == 0;) {
            zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
            if (zmq_poll(&item, 1, options->timeout_ms) > 0) {
                message_receive(&reply, socket);
                last = client_take_reply(&reply, options);
            } else {
                puts("TIMEOUT");
                status = EXIT_TIMEOUT;
            }
        }
    }
    message_clear(&reply);
    close_at_once(socket);
    return status;
}

/* ---- The command line ---- */

static void usage(void)
{
    fputs("usage: mdp_peer worker 1|2 ENDPOINT SERVICE [--prefix TEXT] [--count N] [--delay-ms N]\n"
          "         [--partials N] [--quiet-while-busy] [--omit-empty] [--identity ID]\n"
          "       mdp_peer client 1|2 ENDPOINT SERVICE [--count N] [--timeout-ms N] [--correlate]\n"
          "         BODY...\n"
          "A worker serves --count requests (0, the default: for ever) and sends DISCONNECT; a\n"
          "client sends its request --count times (1), each after the last reply to the previous.\n"
          "--omit-empty leaves out the empty frame after the client address, as the Guide's PHP\n"
          "worker does; --partials is for 0.2, --correlate (ZMQ_REQ_CORRELATE) for 0.1.\n",
          stderr);
    exit(EXIT_USAGE);
}

static long number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 0)
        usage();
    return value;
}

static void parse_options(options_t *options, bool worker, int argc, char **argv)
{
    static const struct option worker_options[] = {
        {"prefix", required_argument, NULL, 'p'},     {"count", required_argument, NULL, 'c'},
        {"delay-ms", required_argument, NULL, 'd'},   {"partials", required_argument, NULL, 'n'},
        {"quiet-while-busy", no_argument, NULL, 'q'}, {"omit-empty", no_argument, NULL, 'o'},
        {"identity", required_argument, NULL, 'i'},   {NULL, 0, NULL, 0},
    };
    static const struct option client_options[] = {
        {"count", required_argument, NULL, 'c'},
        {"timeout-ms", required_argument, NULL, 't'},
        {"correlate", no_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "+", worker ? worker_options : client_options,
                                 NULL)) != -1) {
        switch (option) {
        case 'p':
            options->prefix = optarg;
            break;
        case 'c':
            options->count = number(optarg);
            break;
        case 'd':
            options->delay_ms = number(optarg);
            break;
        case 'n':
            options->partials = number(optarg);
            break;
        case 'q':
            options->quiet_while_busy = true;
            break;
        case 'o':
            options->omit_empty = true;
            break;
        case 'i':
            options->identity = optarg;
            break;
        case 't':
            options->timeout_ms = number(optarg);
            break;
        case 'r':
            options->correlate = true;
            break;
        default:
            usage();
        }
    }
    options->body = argv + optind;
    options->body_count = argc - optind;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        usage();
    bool worker = strcmp(argv[1], "worker") == 0;
    long version = number(argv[2]);
    if ((!worker && strcmp(argv[1], "client") != 0) || version < 1 || version > 2)
        usage();
    options_t options = {.dialect = &dialects[version - 1],
                         .endpoint = argv[3],
                         .service = argv[4],
                         .prefix = "",
                         .count = worker ? 0 : 1,
                         .timeout_ms = 120000};
    parse_options(&options, worker, argc - 4, argv + 4);
    if (worker ? options.body_count > 0 : options.body_count == 0)
        usage();
    if ((options.partials > 0 && version == 1) || (options.correlate && version == 2))
        usage();
    setvbuf(stdout, NULL, _IOLBF, 0);
    void *context = zmq_ctx_new();
    int status = worker ? run_worker(context, &options) : run_client(context, &options);
    zmq_ctx_term(context);
    return status;
}
