/*  A fixed work for the broker, so that its instructions can be counted: see bench/instructions.

    The reactor, the core, the writer thread and the SQLite store are the broker's own. The world around
    them is made here: functions of libzmq that hand over prepared messages and read what is sent, and a
    clock that goes on by a millisecond with each turn. It waits for the writer before each turn, so a
    turn has one message, and a transaction what came of it: the same in every run. */

#include <assert.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <valgrind/callgrind.h>
#include <zmq.h>

#include "bench/fixture.h"
#include "broker/core/core.h"
#include "broker/net/reactor.h"
#include "broker/store/sqlite.h"
#include "common/log.h"
#include "common/wire/reeve.h"
#include "common/wire/token.h"

/*  A round's tasks are as many as a queue keeps in memory: without a backlog none is read again. */
enum { BATCH = 100, STEPS = 10, ROUND = BATCH * STEPS, BODY_BYTES = 256, START_MS = 1000 };
#define CLIENT "client"
#define WORKER "worker"

/*  A round is a phase after the other, each with its steps: submit, give out, settle ROUND tasks. */
typedef enum phase { PHASE_SUBMIT, PHASE_DISPATCH, PHASE_ACK, PHASE_COUNT } phase_t;
static const char *const phase_names[] = {"submit", "dispatch", "ack"};

/*  libzmq's functions have no argument for it. */
static struct world {
    reactor_t *reactor;
    _Atomic int64_t now_ms;
    bool introduced;
    phase_t phase;
    size_t step, round, rounds;
    size_t backlog; /* batches that wait before those of a round */
    bool logs;
    uint64_t submitted, settled; /* so far; both are also the last correlation number */
    /* the message under way to the broker */
    slice_t frames[2];
    size_t frame;
    wire_buffer_t buffer;
    /* what the broker said in this phase */
    uint64_t confirmations;
    char tokens[ROUND][TOKEN_TEXT_BYTES];
    size_t deliveries;
    char *body;
} world = {.now_ms = START_MS, .frame = 2};

/* ---- the clock ------------------------------------------------------------------------------ */

/*  In the place of the C library's, for all that runs here. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
    int64_t ms = clock == CLOCK_REALTIME ? FIXTURE_WALL_MS + world.now_ms : world.now_ms;
    *time = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return 0;
}

/* ---- what the peers say --------------------------------------------------------------------- */

static bool say(const char *peer)
{
    world.frames[0] = slice_str(peer);
    world.frames[1] = slice(world.buffer.data, world.buffer.size);
    world.frame = 0;
    return true;
}

static bool say_message(const char *peer, wire_message_t message)
{
    wire_encode(&world.buffer, &message);
    return say(peer);
}

static bool say_submit(void)
{
    wire_begin(&world.buffer, WIRE_SUBMIT);
    wire_put_first(&world.buffer, world.submitted + 1);
    for (size_t i = 0; i < BATCH; i++) {
        char id[FIXTURE_ID_SIZE];
        fixture_id(++world.submitted, id);
        wire_task_t task = fixture_task(id, world.body);
        wire_put_task(&world.buffer, &task);
    }
    return say(CLIENT);
}

/*  The worker takes as many tasks more as there are in a batch. */
static bool say_prefetch(size_t prefetch)
{
    return say_message(WORKER, (wire_message_t){.command = WIRE_PREFETCH, .prefetch = prefetch});
}

static bool say_settle(size_t step)
{
    wire_begin(&world.buffer, WIRE_SETTLE);
    wire_put_first(&world.buffer, world.settled + 1);
    for (size_t i = 0; i < BATCH; i++, world.settled++)
        wire_put_settlement(&world.buffer,
                            &(wire_settlement_t){.token = slice_str(world.tokens[step * BATCH + i]),
                                                 .verdict = WIRE_SUCCESS,
                                                 .duration_ms = 5});
    return say(WORKER);
}

static bool say_ready(void)
{
    wire_begin(&world.buffer, WIRE_READY);
    wire_put_ready_name(&world.buffer, slice_str("worker-1"));
    wire_put_queue(&world.buffer, slice_str("bench"));
    return say(WORKER);
}

/*  The first round lays the backlog. */
static size_t submit_steps(void)
{
    return world.round == 0 ? STEPS + world.backlog : STEPS;
}

/*  False when this phase has been played. */
static bool say_next(void)
{
    if (!world.introduced) {
        world.introduced = true;
        return say_ready();
    }
    size_t step = world.step++;
    switch (world.phase) {
    case PHASE_SUBMIT:
        return step < submit_steps() && say_submit();
    case PHASE_DISPATCH:
        return step < STEPS && say_prefetch((step + 1) * BATCH);
    case PHASE_ACK: /* first of all, no more tasks, so that those of the next round wait */
        return step == 0 ? say_prefetch(0) : step <= STEPS && say_settle(step - 1);
    default:
        return false;
    }
}

/* ---- what the broker says ------------------------------------------------------------------- */

static void hear(slice_t frame)
{
    wire_message_t message;
    wire_range_t range;
    wire_delivery_t delivery;
    const char *problem;
    size_t at = 0;
    assert(wire_decode(frame, &message, &problem) == 0);
    assert(message.command != WIRE_ERROR);
    if (message.command == WIRE_CONFIRM || message.command == WIRE_SETTLED)
        while (wire_next_range(&message, &at, &range))
            world.confirmations += range.count;
    if (message.command == WIRE_DELIVER)
        while (wire_next_delivery(&message, &at, &delivery)) {
            assert(world.deliveries < ROUND && delivery.token.size < TOKEN_TEXT_BYTES);
            char *token = world.tokens[world.deliveries++];
            memcpy(token, delivery.token.data, delivery.token.size);
            token[delivery.token.size] = '\0';
        }
}

/*  Everything of this phase is durable and has been said. The first round only warms up. */
static void end_phase(void)
{
    size_t heard = world.phase == PHASE_DISPATCH ? world.deliveries : world.confirmations;
    size_t meant = world.phase == PHASE_SUBMIT ? submit_steps() * BATCH : ROUND;
    if (heard != meant) {
        fprintf(stderr, "fixed-work: %s: %zu of %zu tasks\n", phase_names[world.phase], heard,
                meant);
        exit(EX_SOFTWARE);
    }
    CALLGRIND_DUMP_STATS_AT(world.round == 0 ? "warm-up" : phase_names[world.phase]);
    world.confirmations = 0;
    world.step = 0;
    if (++world.phase == PHASE_COUNT) {
        world.phase = PHASE_SUBMIT;
        world.deliveries = 0;
        world.round++;
    }
}

/* ---- libzmq --------------------------------------------------------------------------------- */

/*  A turn begins. Nothing of this file is counted. */
int zmq_poll(zmq_pollitem_t *items, int count, long timeout)
{
    CALLGRIND_TOGGLE_COLLECT;
    (void)timeout;
    world.now_ms++;
    for (int i = 0; i < count; i++)
        items[i].revents = 0;
    bool written = reactor_unwritten(world.reactor) > 0;
    if (written) {
        struct pollfd notified = {items[1].fd, POLLIN, 0};
        while (poll(&notified, 1, -1) != 1)
            ;
        items[1].revents = ZMQ_POLLIN;
    }
    bool said = say_next();
    if (!said && !written) {
        end_phase();
        said = world.round < world.rounds && say_next();
        if (world.round == world.rounds) {
            raise(SIGTERM); /* the reactor's, over its descriptor */
            items[2].revents = ZMQ_POLLIN;
        }
    }
    if (said)
        items[0].revents = ZMQ_POLLIN;
    CALLGRIND_TOGGLE_COLLECT;
    return 1;
}

static const slice_t *frame_of(const zmq_msg_t *message)
{
    const slice_t *frame;
    memcpy(&frame, message, sizeof frame);
    return frame;
}

int zmq_msg_recv(zmq_msg_t *message, void *socket, int flags)
{
    (void)socket, (void)flags;
    if (world.frame == 2)
        return -1;
    const slice_t *frame = &world.frames[world.frame++];
    memcpy(message, &frame, sizeof frame);
    return (int)frame->size;
}

int zmq_send(void *socket, const void *data, size_t size, int flags)
{
    CALLGRIND_TOGGLE_COLLECT;
    (void)socket;
    if ((flags & ZMQ_SNDMORE) == 0) /* behind the routing id */
        hear(slice(data, size));
    CALLGRIND_TOGGLE_COLLECT;
    return (int)size;
}

/*  A message whose data are not copied. */
typedef struct lent {
    void *data, *hint;
    size_t size;
    zmq_free_fn *give_back;
} lent_t;

int zmq_msg_init_data(zmq_msg_t *message, void *data, size_t size, zmq_free_fn *give_back,
                      void *hint)
{
    lent_t lent = {data, hint, size, give_back};
    _Static_assert(sizeof lent <= sizeof *message, "it has room");
    memcpy(message, &lent, sizeof lent);
    return 0;
}

int zmq_msg_send(zmq_msg_t *message, void *socket, int flags)
{
    lent_t lent;
    memcpy(&lent, message, sizeof lent);
    int sent = zmq_send(socket, lent.data, lent.size, flags);
    lent.give_back(lent.data, lent.hint);
    return sent;
}

int zmq_msg_init(zmq_msg_t *message)
{
    memset(message, 0, sizeof *message);
    return 0;
}

int zmq_msg_more(const zmq_msg_t *message)
{
    return frame_of(message) == &world.frames[0];
}

void *zmq_msg_data(zmq_msg_t *message)
{
    return (void *)frame_of(message)->data;
}

size_t zmq_msg_size(const zmq_msg_t *message)
{
    return frame_of(message)->size;
}

const char *zmq_msg_gets(const zmq_msg_t *message, const char *property)
{
    (void)message, (void)property;
    return "127.0.0.1";
}

int zmq_msg_close(zmq_msg_t *message)
{
    (void)message;
    return 0;
}

void *zmq_ctx_new(void)
{
    return &world;
}

int zmq_ctx_set(void *context, int option, int value)
{
    (void)context, (void)option, (void)value;
    return 0;
}

int zmq_ctx_term(void *context)
{
    (void)context;
    return 0;
}

void *zmq_socket(void *context, int type)
{
    (void)type;
    return context;
}

int zmq_setsockopt(void *socket, int option, const void *value, size_t size)
{
    (void)socket, (void)option, (void)value, (void)size;
    return 0;
}

int zmq_getsockopt(void *socket, int option, void *value, size_t *size)
{
    (void)socket, (void)option, (void)value, (void)size;
    return -1;
}

int zmq_bind(void *socket, const char *endpoint)
{
    (void)socket, (void)endpoint;
    return -1; /* there is none to bind */
}

const char *zmq_strerror(int number)
{
    return strerror(number);
}

int zmq_close(void *socket)
{
    (void)socket;
    return 0;
}

/* ---- the broker ----------------------------------------------------------------------------- */

static void play(store_t *store, const char *path)
{
    char problem[600];
    core_t *core = fixture_core(store);
    reactor_config_t config = {.identity = store->ops->identity(store),
                               .heartbeat_ms = 1000,
                               .liveness_ms = 10000,
                               .log_task_rate = world.logs ? INT32_MAX : 0,
                               .db_path = path};
    world.reactor = reactor_new(&config, core, store, problem, sizeof problem);
    if (world.reactor == NULL || reactor_run(world.reactor, NULL, NULL) != 0)
        exit(EX_IOERR);
    reactor_destroy(&world.reactor);
    core_destroy(&core);
}

/*  The keys of a database are drawn; here they are the same each time. */
static void no_chance(void *bytes, size_t size)
{
    memset(bytes, 0x5e, size);
}

static const char *no_name(void)
{
    return "none";
}

/*  What the figures depend on besides the code. */
static int print_built_with(void)
{
#ifdef __clang__
    static const char compiler[] = __VERSION__;
#else
    static const char compiler[] = "gcc " __VERSION__;
#endif
    printf("{\"compiler\":\"%s\",\"sqlite\":\"%s\",\"libc\":\"glibc %s\",\"sodium\":\"%s\"}\n",
           compiler, sqlite3_libversion(), gnu_get_libc_version(), sodium_version_string());
    return EX_OK;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--built-with") == 0)
        return print_built_with();
    world.logs = argc == 5 && strcmp(argv[4], "logs") == 0;
    if ((argc != 4 && !world.logs) || (world.rounds = (size_t)atol(argv[2]) + 1) == 1) {
        fputs(
            "Usage: fixed-work DATABASE ROUNDS BACKLOG [logs] | --built-with\n"
            "Submits, gives out and settles 1000 tasks in each round, 100 in a message, after a\n"
            "round to warm up, while BACKLOG tasks, in hundreds, wait before them; with \"logs\"\n"
            "a JSON line is made of each move of a task. Under callgrind, ends each phase with a\n"
            "dump.\n",
            stderr);
        return EX_USAGE;
    }
    world.backlog = (size_t)atol(argv[3]) / BATCH;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    static randombytes_implementation chance = {.implementation_name = no_name, .buf = no_chance};
    if (randombytes_set_implementation(&chance) != 0 || sodium_init() < 0)
        return EX_OSERR;
    log_set_format(LOG_JSON);
    log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    world.body = fixture_body(BODY_BYTES);
    store_t *store;
    char problem[600];
    if (sqlite_store_open(argv[1], &store, problem, sizeof problem) != SQLITE_OPENED) {
        fprintf(stderr, "fixed-work: %s\n", problem);
        return EX_CANTCREAT;
    }
    play(store, argv[1]);
    store->ops->close(&store);
    wire_fini(&world.buffer);
    free(world.body);
    return EX_OK;
}
