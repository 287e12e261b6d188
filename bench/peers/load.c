/*  See load.h. Prints one JSON object with the members of reeve-load's. */

#include "bench/peers/load.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "bench/latency.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/parse.h"

enum {
    CONSUMERS_MAX = 64,
    STAMP_SIZE = 20, /* digits at the start of a body: when it was meant to be sent */
};

typedef struct options {
    load_options_t peer;
    bool consume;
    int64_t tasks, outstanding, size, consumers, rate;
} options_t;

typedef struct consumer {
    void *handle;
    pthread_t thread;
    int64_t acked_us; /* 0: never */
    latency_t wake;
} consumer_t;

typedef struct producer {
    int64_t submitted, confirmed;
    int64_t start_us, end_us;
    int64_t *sent_us; /* of the tasks outstanding, as a ring */
    char *body;
    latency_t confirm;
} producer_t;

static options_t options = {.peer = {.class = "", .prefetch = 100},
                            .consume = true,
                            .tasks = 100000,
                            .outstanding = 1000,
                            .size = 256,
                            .consumers = 1};
static atomic_llong taken;
static pthread_barrier_t opened; /* the consumers and main */
static _Thread_local consumer_t *this_consumer;

void load_die(const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    fprintf(stderr, "%s-load: ", peer.name);
    vfprintf(stderr, pattern, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(EX_UNAVAILABLE);
}

/* ---- consuming ------------------------------------------------------------------------------ */

void load_taken(const char *body, size_t size)
{
    if (size != (size_t)options.size)
        load_die("a task came with %zu bytes", size);
    if (options.rate > 0) {
        char stamp[STAMP_SIZE + 1] = {0};
        memcpy(stamp, body, STAMP_SIZE);
        latency_add(&this_consumer->wake, clock_mono_us() - atoll(stamp));
    }
    atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);
}

void load_acked(void)
{
    this_consumer->acked_us = clock_mono_us();
}

static void *consume(void *arg)
{
    this_consumer = arg;
    void *handle = peer.consumer_new(&options.peer);
    pthread_barrier_wait(&opened);
    while (atomic_load_explicit(&taken, memory_order_relaxed) < options.tasks)
        peer.take(handle);
    peer.finish(handle);
    return NULL;
}

static void start_consumers(consumer_t *consumers)
{
    pthread_barrier_init(&opened, NULL, (unsigned)options.consumers + 1);
    for (int64_t i = 0; i < options.consumers; i++)
        if (pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]) != 0)
            load_die("cannot start a consumer");
    pthread_barrier_wait(&opened);
}

/* ---- producing ------------------------------------------------------------------------------ */

static void submit(producer_t *self, void *handle, int64_t due_us)
{
    if (options.rate > 0) {
        char stamp[STAMP_SIZE + 1];
        snprintf(stamp, sizeof stamp, "%0*lld", STAMP_SIZE, (long long)due_us);
        memcpy(self->body, stamp, STAMP_SIZE);
    }
    self->sent_us[self->submitted++ % options.outstanding] = due_us;
    peer.submit(handle, self->body, (size_t)options.size);
}

static void take_confirms(producer_t *self, void *handle, bool wait)
{
    size_t count = peer.confirms(handle, wait);
    int64_t now_us = clock_mono_us();
    for (; count > 0; count--)
        latency_add(&self->confirm,
                    now_us - self->sent_us[self->confirmed++ % options.outstanding]);
}

/*  As fast as the window allows. */
static void produce_closed(producer_t *self, void *handle)
{
    while (self->confirmed < options.tasks) {
        while (self->submitted < options.tasks &&
               self->submitted - self->confirmed < options.outstanding)
            submit(self, handle, clock_mono_us());
        take_confirms(self, handle, true);
    }
}

/*  When the next task is meant to be sent. */
static int64_t next_due_us(const producer_t *self)
{
    return self->start_us + self->submitted * 1000000 / options.rate;
}

/*  At a given rate, whatever the server does: what is sent late still counts from when it was due. */
static void produce_open(producer_t *self, void *handle)
{
    while (self->submitted < options.tasks) {
        int64_t due_us = next_due_us(self), room = options.outstanding;
        struct timespec due = {.tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
            ;
        room -= self->submitted - self->confirmed;
        for (int64_t now_us = clock_mono_us();
             room > 0 && self->submitted < options.tasks && due_us <= now_us;
             room--, due_us = next_due_us(self))
            submit(self, handle, due_us);
        take_confirms(self, handle, room <= 0);
    }
    while (self->confirmed < options.tasks)
        take_confirms(self, handle, true);
}

static void produce(producer_t *self)
{
    void *handle = peer.producer_new(&options.peer);
    self->sent_us = mem_alloc((size_t)options.outstanding * sizeof(int64_t));
    self->body = mem_alloc((size_t)options.size);
    memset(self->body, 'x', (size_t)options.size);
    self->start_us = clock_mono_us();
    if (options.rate > 0)
        produce_open(self, handle);
    else
        produce_closed(self, handle);
    self->end_us = clock_mono_us();
}

/* ---- a run ---------------------------------------------------------------------------------- */

static void print_latency(const char *name, const latency_t *latency)
{
    printf("\"%s\":{\"p50\":%lld,\"p99\":%lld,\"p99_9\":%lld,\"max\":%lld}", name,
           (long long)latency_quantile_us(latency, 0.5),
           (long long)latency_quantile_us(latency, 0.99),
           (long long)latency_quantile_us(latency, 0.999), (long long)latency->max_us);
}

static void run(void)
{
    static consumer_t consumers[CONSUMERS_MAX];
    static producer_t producer;
    static latency_t wake;
    if (peer.prepare != NULL)
        peer.prepare(&options.peer);
    if (options.consume)
        start_consumers(consumers);
    produce(&producer);
    int64_t end_us = producer.end_us;
    for (int64_t i = 0; options.consume && i < options.consumers; i++) {
        pthread_join(consumers[i].thread, NULL);
        end_us = consumers[i].acked_us > end_us ? consumers[i].acked_us : end_us;
        latency_merge(&wake, &consumers[i].wake);
    }
    double seconds = (double)(end_us - producer.start_us) / 1e6;
    printf("{\"mode\":\"%s\",\"tasks\":%lld,\"size\":%lld,\"seconds\":%.6f,\"tasks_per_s\":%.1f,",
           options.consume ? "end-to-end" : "enqueue", (long long)options.tasks,
           (long long)options.size, seconds, (double)options.tasks / seconds);
    print_latency("confirm_us", &producer.confirm);
    putchar(',');
    print_latency("wake_us", &wake);
    puts("}");
}

static const struct option flags[] = {
    {"port", required_argument, NULL, 'p'},
    {"class", required_argument, NULL, 'c'},
    {"mode", required_argument, NULL, 'm'},
    {"tasks", required_argument, NULL, 't'},
    {"outstanding", required_argument, NULL, 'o'},
    {"size", required_argument, NULL, 's'},
    {"consumers", required_argument, NULL, 'n'},
    {"prefetch", required_argument, NULL, 'f'},
    {"rate", required_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int64_t number(int64_t least, int64_t most)
{
    int64_t value;
    if (!parse_int(optarg, least, most, &value))
        load_die("\"%s\" is not a number from %lld to %lld", optarg, (long long)least,
                 (long long)most);
    return value;
}

static void take_flag(int flag)
{
    switch (flag) {
    case 'p':
        options.peer.port = optarg;
        break;
    case 'c':
        options.peer.class = optarg;
        break;
    case 'm':
        options.consume = strcmp(optarg, "enqueue") != 0;
        break;
    case 't':
        options.tasks = number(1, 1000000000);
        break;
    case 'o':
        options.outstanding = number(1, 1000000);
        break;
    case 's':
        options.size = number(STAMP_SIZE, 1 << 20);
        break;
    case 'n':
        options.consumers = number(1, CONSUMERS_MAX);
        break;
    case 'f':
        options.peer.prefetch = (int)number(1, 10000);
        break;
    case 'r':
        options.rate = number(1, 1000000);
        break;
    default:
        fputs("Usage: PEER-load --port PORT [--class CLASS] [--mode end-to-end|enqueue]\n"
              "           [--tasks N] [--outstanding N] [--size BYTES] [--consumers N]\n"
              "           [--prefetch N] [--rate TASKS_PER_S]\n"
              "Puts the peer at 127.0.0.1:PORT under the load of reeve-load's options.\n",
              flag == 'h' ? stdout : stderr);
        exit(flag == 'h' ? EX_OK : EX_USAGE);
    }
}

int main(int argc, char **argv)
{
    static char queue[64];
    int flag;
    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1)
        take_flag(flag);
    if (options.peer.port == NULL)
        load_die("--port is needed");
    snprintf(queue, sizeof queue, "load-%d", (int)getpid());
    options.peer.queue = queue;
    run();
    return EX_OK;
}
