/*  reeve-load: puts a broker under load through libreeve and prints what it took.

    Producers and consumers are threads, each with a handle of its own. A task counts when its
    submission is confirmed (enqueue), or when its settlement is (end-to-end, drain). */

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "bench/latency.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/parse.h"
#include "reeve/client.h"
#include "reeve/worker.h"

enum {
    THREADS_MAX = 256,
    WAIT_MS = 2,     /* how long a consumer may oversleep the end of the run */
    STAMP_SIZE = 20, /* digits at the start of a task's data: when it was meant to be sent */
};

typedef enum load_mode { MODE_END_TO_END, MODE_ENQUEUE, MODE_DRAIN, MODES } load_mode_t;

static const char *const mode_names[] = {"end-to-end", "enqueue", "drain"};
static const char kwargs_head[] = "{\"data\":\"", kwargs_tail[] = "\"}";
static const char *const durability_names[] = {"unknown", "memory", "fsync", "replicated"};

typedef struct options {
    const char *broker; /* NULL: as libreeve has it */
    int64_t connect_timeout_ms;
    load_mode_t mode;
    int64_t tasks, outstanding, size, batch, producers, consumers, prefetch, queues;
    int64_t rate; /* of all producers together; 0: as fast as the window allows */
    bool random_ids, json;
} options_t;

typedef struct load {
    options_t options;
    /* Of this run alone, so that what others left does not count; NULL after the last. */
    const char *queues[LIMIT_WORKER_QUEUES + 1];
    char *kwargs;
    atomic_llong taken;          /* deliveries, those of a repeated attempt left out */
    pthread_barrier_t announced; /* the consumers and main */
} load_t;

typedef struct producer {
    load_t *load;
    pthread_t thread;
    int64_t tasks;
    uint64_t random;
    reeve_client_t *client;
    int64_t submitted, confirmed, duplicates;
    int durability; /* the weakest that a confirm named */
    int64_t start_us, end_us;
    char *kwargs; /* this task's, with its stamp */
    latency_t latency;
} producer_t;

typedef struct consumer {
    load_t *load;
    pthread_t thread;
    reeve_worker_t *worker;
    int64_t settled, redelivered;
    int64_t end_us; /* when its last settlement was seen confirmed */
    latency_t wake; /* from when a task was meant to be sent; with --rate */
} consumer_t;

typedef struct report {
    int64_t enqueue_us, total_us, duplicates, redelivered;
    int durability;
    latency_t latency, wake;
} report_t;

static void die(int status, const char *pattern, ...)
    __attribute__((format(printf, 2, 3), noreturn));

static void die(int status, const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    fputs("reeve bench: ", stderr);
    vfprintf(stderr, pattern, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(status);
}

/* ---- producing ------------------------------------------------------------------------------ */

/*  splitmix64: ids need to be spread, not secret. */
static uint64_t next_random(producer_t *self)
{
    uint64_t z = self->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/*  A UUID of version 4. */
static void random_id(producer_t *self, char id[37])
{
    uint64_t high = next_random(self), low = next_random(self);
    snprintf(id, 37, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(high >> 32),
             (unsigned)(high >> 16) & 0xffff, (unsigned)high & 0xfff,
             ((unsigned)(low >> 48) & 0x3fff) | 0x8000,
             (unsigned long long)(low & 0xffffffffffffu));
}

static void submit(producer_t *self, int64_t due_us)
{
    bool random_ids = self->load->options.random_ids;
    char id[37];
    reeve_task_t task = {.id = random_ids ? id : NULL,
                         .queue = self->load->queues[self->submitted % self->load->options.queues],
                         .task_name = "load",
                         .kwargs_json = self->kwargs};
    reeve_error_t error;
    if (random_ids)
        random_id(self, id);
    if (reeve_submit(self->client, &task, (void *)(intptr_t)due_us, NULL, &error) != 0)
        die(EX_SOFTWARE, "cannot submit: %s", reeve_error_meaning(error));
    self->submitted++;
}

static void take_event(producer_t *self, const reeve_event_t *event)
{
    if (event->kind == REEVE_EVENT_REFUSED)
        die(EX_UNAVAILABLE, "task %s was refused: %s %s", event->id,
            reeve_error_meaning(event->error), event->error_text);
    latency_add(&self->latency, clock_mono_us() - (int64_t)(intptr_t)event->user);
    self->confirmed++;
    self->duplicates += event->duplicate;
    if (self->durability == 0 || event->durability < self->durability)
        self->durability = event->durability;
}

static void take_events(producer_t *self, int64_t timeout_ms)
{
    reeve_event_t event;
    reeve_error_t error;
    int got = reeve_client_poll(self->client, timeout_ms, &event, &error);
    for (; got == 1; got = reeve_client_poll(self->client, 0, &event, &error))
        take_event(self, &event);
    if (got < 0)
        die(EX_UNAVAILABLE, "%s", reeve_error_meaning(error));
}

/*  As fast as the window allows. */
static void produce_closed(producer_t *self)
{
    while (self->confirmed < self->tasks) {
        while (self->submitted < self->tasks &&
               self->submitted - self->confirmed < self->load->options.outstanding)
            submit(self, clock_mono_us());
        take_events(self, -1);
    }
}

/*  When the next task is meant to be sent. */
static int64_t next_due_us(const producer_t *self)
{
    const options_t *options = &self->load->options;
    return self->start_us + self->submitted * options->producers * 1000000 / options->rate;
}

static void submit_due(producer_t *self, int64_t due_us)
{
    char stamp[STAMP_SIZE + 1];
    snprintf(stamp, sizeof stamp, "%0*lld", STAMP_SIZE, (long long)due_us);
    memcpy(self->kwargs + strlen(kwargs_head), stamp, STAMP_SIZE);
    submit(self, due_us);
}

/*  At a given rate, whatever the broker does: what is sent late still counts from when it was due,
    so that a stall of the broker is seen by all that it kept waiting. */
static void produce_open(producer_t *self)
{
    while (self->submitted < self->tasks) {
        int64_t due_us = next_due_us(self), room = self->load->options.outstanding;
        struct timespec due = {.tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
            ;
        room -= self->submitted - self->confirmed;
        for (int64_t now_us = clock_mono_us();
             room > 0 && self->submitted < self->tasks && due_us <= now_us;
             room--, due_us = next_due_us(self))
            submit_due(self, due_us);
        take_events(self, room > 0 ? 0 : -1);
    }
    while (self->confirmed < self->tasks)
        take_events(self, -1);
}

static void *produce(void *arg)
{
    producer_t *self = arg;
    const options_t *options = &self->load->options;
    self->client = reeve_client_new(
        &(reeve_client_options_t){.broker = options->broker,
                                  .name = "reeve-load",
                                  .window = (size_t)options->outstanding,
                                  .batch = (size_t)options->batch,
                                  .request_timeout_ms = options->connect_timeout_ms});
    if (self->client == NULL)
        die(EX_USAGE, "--broker: not an endpoint");
    self->kwargs = mem_strdup(self->load->kwargs);
    self->start_us = clock_mono_us();
    if (options->rate > 0)
        produce_open(self);
    else
        produce_closed(self);
    self->end_us = clock_mono_us();
    free(self->kwargs);
    reeve_client_destroy(&self->client);
    return NULL;
}

/* ---- consuming ------------------------------------------------------------------------------ */

static void announce(consumer_t *self)
{
    const options_t *options = &self->load->options;
    self->worker =
        reeve_worker_new(&(reeve_worker_options_t){.broker = options->broker,
                                                   .queues = self->load->queues,
                                                   .prefetch = (uint32_t)options->prefetch});
    if (self->worker == NULL)
        die(EX_USAGE, "--broker: not an endpoint");
}

/*  How long a task took to come here, by the stamp in its document. */
static void take_stamp(consumer_t *self, const reeve_delivery_t *delivery)
{
    int64_t now_us = clock_mono_us();
    char *document = reeve_delivery_document(delivery);
    const char *head = strstr(document, kwargs_head);
    if (head == NULL)
        die(EX_PROTOCOL, "a task came without its data: %s", document);
    latency_add(&self->wake, now_us - atoll(head + strlen(kwargs_head)));
    free(document);
}

/*  One turn: takes what there is and settles it. */
static void consume_some(consumer_t *self)
{
    reeve_delivery_t *delivery;
    bool revoked;
    while (reeve_worker_poll(self->worker, WAIT_MS, &delivery, &revoked) == 1) {
        if (revoked) {
            reeve_delivery_drop(self->worker, &delivery);
            continue;
        }
        if (reeve_delivery_attempt(delivery) > 1)
            self->redelivered++;
        else
            atomic_fetch_add_explicit(&self->load->taken, 1, memory_order_relaxed);
        if (self->load->options.rate > 0)
            take_stamp(self, delivery);
        reeve_settle(self->worker, &delivery, &(reeve_settlement_t){.verdict = REEVE_SUCCESS});
        self->settled++;
    }
}

static void *consume(void *arg)
{
    consumer_t *self = arg;
    announce(self);
    bool waited = false, done = false;
    int64_t connected_ms = clock_mono_ms(); /* when it was so last, or meant to be */
    while (!done) {
        consume_some(self);
        bool connected = reeve_worker_connected(self->worker);
        if (connected && !waited) {
            waited = true;
            pthread_barrier_wait(&self->load->announced);
        }
        if (connected)
            connected_ms = clock_mono_ms();
        else if (clock_mono_ms() - connected_ms >= self->load->options.connect_timeout_ms)
            die(EX_UNAVAILABLE, "%s", reeve_error_meaning(REEVE_ERR_UNREACHABLE));
        bool confirmed = self->settled > 0 && reeve_worker_unconfirmed(self->worker) == 0;
        done = waited && atomic_load(&self->load->taken) >= self->load->options.tasks &&
               (confirmed || self->settled == 0);
    }
    if (self->settled > 0)
        self->end_us = clock_mono_us();
    reeve_worker_goodbye(self->worker);
    reeve_worker_destroy(&self->worker);
    return NULL;
}

/* ---- a run ---------------------------------------------------------------------------------- */

/*  Ends the program when there is no broker. */
static void look_for_broker(const options_t *options)
{
    char *json;
    reeve_error_t error;
    reeve_client_t *client = reeve_client_new(&(reeve_client_options_t){
        .broker = options->broker, .request_timeout_ms = options->connect_timeout_ms});
    if (client == NULL)
        die(EX_USAGE, "--broker: not an endpoint");
    if (reeve_query(client, REEVE_QUERY_BROKER, NULL, NULL, 0, 0, &json, NULL, &error) != 0)
        die(EX_UNAVAILABLE, "%s: %s", reeve_client_broker(client), reeve_error_meaning(error));
    free(json);
    reeve_client_destroy(&client);
}

static void start_producers(load_t *load, producer_t *producers)
{
    int64_t count = load->options.producers, tasks = load->options.tasks;
    for (int64_t i = 0; i < count; i++) {
        producers[i].load = load;
        producers[i].tasks = tasks / count + (i < tasks % count);
        if (getrandom(&producers[i].random, sizeof producers[i].random, 0) < 0 ||
            pthread_create(&producers[i].thread, NULL, produce, &producers[i]) != 0)
            die(EX_OSERR, "cannot start a producer");
    }
}

/*  Returns when all are announced. */
static void start_consumers(load_t *load, consumer_t *consumers)
{
    int64_t count = load->options.consumers;
    pthread_barrier_init(&load->announced, NULL, (unsigned)count + 1);
    for (int64_t i = 0; i < count; i++) {
        consumers[i].load = load;
        if (pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]) != 0)
            die(EX_OSERR, "cannot start a consumer");
    }
    pthread_barrier_wait(&load->announced);
}

/*  Returns when the first producer started, in clock_mono_us. */
static int64_t join_producers(const load_t *load, producer_t *producers, report_t *report)
{
    int64_t start_us = INT64_MAX, end_us = 0;
    for (int64_t i = 0; i < load->options.producers; i++) {
        producer_t *one = &producers[i];
        pthread_join(one->thread, NULL);
        start_us = one->start_us < start_us ? one->start_us : start_us;
        end_us = one->end_us > end_us ? one->end_us : end_us;
        latency_merge(&report->latency, &one->latency);
        report->duplicates += one->duplicates;
        if (one->confirmed > 0 && (report->durability == 0 || one->durability < report->durability))
            report->durability = one->durability;
    }
    report->enqueue_us = end_us - start_us;
    return start_us;
}

/*  Returns when the last settlement was confirmed. */
static int64_t join_consumers(const load_t *load, consumer_t *consumers, report_t *report)
{
    int64_t end_us = 0;
    for (int64_t i = 0; i < load->options.consumers; i++) {
        pthread_join(consumers[i].thread, NULL);
        end_us = consumers[i].end_us > end_us ? consumers[i].end_us : end_us;
        report->redelivered += consumers[i].redelivered;
        latency_merge(&report->wake, &consumers[i].wake);
    }
    return end_us;
}

static void run(load_t *load, report_t *report)
{
    static producer_t producers[THREADS_MAX];
    static consumer_t consumers[THREADS_MAX];
    bool early = load->options.mode == MODE_END_TO_END, late = load->options.mode == MODE_DRAIN;
    look_for_broker(&load->options);
    if (early)
        start_consumers(load, consumers);
    start_producers(load, producers);
    int64_t start_us = join_producers(load, producers, report);
    report->total_us = report->enqueue_us;
    if (late) {
        start_us = clock_mono_us();
        start_consumers(load, consumers);
    }
    if (early || late)
        report->total_us = join_consumers(load, consumers, report) - start_us;
}

/* ---- telling -------------------------------------------------------------------------------- */

static double rate(int64_t tasks, int64_t us)
{
    return us > 0 ? (double)tasks * 1e6 / (double)us : 0;
}

static void print_latency(const char *what, const latency_t *latency)
{
    printf("%s latency ms: p50 %.3f, p99 %.3f, p99.9 %.3f, max %.3f\n", what,
           (double)latency_quantile_us(latency, 0.5) / 1e3,
           (double)latency_quantile_us(latency, 0.99) / 1e3,
           (double)latency_quantile_us(latency, 0.999) / 1e3, (double)latency->max_us / 1e3);
}

static void print_latency_json(const char *what, const latency_t *latency)
{
    printf("\"%s\":{\"p50\":%lld,\"p99\":%lld,\"p99_9\":%lld,\"max\":%lld},", what,
           (long long)latency_quantile_us(latency, 0.5),
           (long long)latency_quantile_us(latency, 0.99),
           (long long)latency_quantile_us(latency, 0.999), (long long)latency->max_us);
}

static void print_text(const options_t *options, const report_t *report)
{
    printf("%s: %lld tasks of %lld bytes, %s ids, %lld outstanding: %.0f tasks/s\n",
           mode_names[options->mode], (long long)options->tasks, (long long)options->size,
           options->random_ids ? "random" : "ordered", (long long)options->outstanding,
           rate(options->tasks, report->total_us));
    if (options->mode != MODE_ENQUEUE)
        printf("consumers: %lld with prefetch %lld; redelivered: %lld; enqueueing took %.3f s: "
               "%.0f tasks/s\n",
               (long long)options->consumers, (long long)options->prefetch,
               (long long)report->redelivered, (double)report->enqueue_us / 1e6,
               rate(options->tasks, report->enqueue_us));
    print_latency("confirm", &report->latency);
    if (options->rate > 0)
        print_latency("submit to worker", &report->wake);
    printf("durability %s; duplicates: %lld\n", durability_names[report->durability],
           (long long)report->duplicates);
}

static void print_json(const options_t *options, const report_t *report)
{
    printf("{\"mode\":\"%s\",\"tasks\":%lld,\"size\":%lld,\"ids\":\"%s\",\"outstanding\":%lld,"
           "\"batch\":%lld,\"producers\":%lld,\"consumers\":%lld,\"prefetch\":%lld,"
           "\"queues\":%lld,",
           mode_names[options->mode], (long long)options->tasks, (long long)options->size,
           options->random_ids ? "random" : "ordered", (long long)options->outstanding,
           (long long)options->batch, (long long)options->producers, (long long)options->consumers,
           (long long)options->prefetch, (long long)options->queues);
    printf("\"rate\":%lld,\"seconds\":%.6f,\"tasks_per_s\":%.1f,\"enqueue_per_s\":%.1f,",
           (long long)options->rate, (double)report->total_us / 1e6,
           rate(options->tasks, report->total_us), rate(options->tasks, report->enqueue_us));
    print_latency_json("confirm_us", &report->latency);
    if (options->rate > 0)
        print_latency_json("wake_us", &report->wake);
    printf("\"durability\":\"%s\",\"duplicates\":%lld,\"redelivered\":%lld}\n",
           durability_names[report->durability], (long long)report->duplicates,
           (long long)report->redelivered);
}

/* ---- the command line ----------------------------------------------------------------------- */

static const char help[] =
    "Usage: reeve bench [OPTION]…\n"
    "Puts a running Reeve broker under load and prints tasks/s and confirm latency.\n\n"
    "  --broker ENDPOINT     default $REEVE_BROKER, else tcp://127.0.0.1:5555\n"
    "  --connect-timeout DUR\n"
    "                        how long to try while the broker is away (default 30s)\n"
    "  --mode MODE           end-to-end (default): submit to confirmed settlement;\n"
    "                        enqueue: submit to confirm; drain: consume what was enqueued before\n"
    "  --tasks N             default 200000\n"
    "  --outstanding N       unconfirmed tasks of a producer (default 1000)\n"
    "  --batch N             tasks in a message at most (default 256)\n"
    "  --size BYTES          of each task's kwargs as JSON (default 256, at least 11)\n"
    "  --producers N         default 1\n"
    "  --consumers N         default 1\n"
    "  --prefetch N          unsettled tasks of a consumer (default 100)\n"
    "  --queues N            so many queues get the tasks in turn, and each consumer serves all\n"
    "                        of them (default 1)\n"
    "  --rate N              submit N tasks/s whatever the broker does, and print how long each\n"
    "                        took from when it was due to the worker; --size at least 31\n"
    "  --ids ordered|random  UUIDv7 made by libreeve (default), or UUIDv4\n"
    "  --json                print one JSON object\n"
    "  -h, --help\n"
    "  --version\n";

enum {
    FLAG_BROKER = 1,
    FLAG_CONNECT_TIMEOUT,
    FLAG_MODE,
    FLAG_TASKS,
    FLAG_OUTSTANDING,
    FLAG_BATCH,
    FLAG_SIZE,
    FLAG_PRODUCERS,
    FLAG_CONSUMERS,
    FLAG_PREFETCH,
    FLAG_QUEUES,
    FLAG_RATE,
    FLAG_IDS,
    FLAG_JSON,
    FLAG_VERSION,
    FLAG_HELP = 'h',
};

static const struct option flags[] = {
    {"broker", required_argument, NULL, FLAG_BROKER},
    {"connect-timeout", required_argument, NULL, FLAG_CONNECT_TIMEOUT},
    {"mode", required_argument, NULL, FLAG_MODE},
    {"tasks", required_argument, NULL, FLAG_TASKS},
    {"outstanding", required_argument, NULL, FLAG_OUTSTANDING},
    {"batch", required_argument, NULL, FLAG_BATCH},
    {"size", required_argument, NULL, FLAG_SIZE},
    {"producers", required_argument, NULL, FLAG_PRODUCERS},
    {"consumers", required_argument, NULL, FLAG_CONSUMERS},
    {"prefetch", required_argument, NULL, FLAG_PREFETCH},
    {"queues", required_argument, NULL, FLAG_QUEUES},
    {"rate", required_argument, NULL, FLAG_RATE},
    {"ids", required_argument, NULL, FLAG_IDS},
    {"json", no_argument, NULL, FLAG_JSON},
    {"help", no_argument, NULL, FLAG_HELP},
    {"version", no_argument, NULL, FLAG_VERSION},
    {0},
};

static void set_number(const char *flag, int64_t least, int64_t most, int64_t *out)
{
    if (!parse_int(optarg, least, most, out))
        die(EX_USAGE, "--%s: \"%s\" is not a number from %lld to %lld", flag, optarg,
            (long long)least, (long long)most);
}

static load_mode_t mode_of(const char *name)
{
    for (int i = 0; i < MODES; i++)
        if (strcmp(name, mode_names[i]) == 0)
            return (load_mode_t)i;
    die(EX_USAGE, "--mode: \"%s\" is not end-to-end, enqueue or drain", name);
}

static bool random_of(const char *ids)
{
    if (strcmp(ids, "random") != 0 && strcmp(ids, "ordered") != 0)
        die(EX_USAGE, "--ids: \"%s\" is neither ordered nor random", ids);
    return strcmp(ids, "random") == 0;
}

static void take_flag(options_t *options, int flag)
{
    switch (flag) {
    case FLAG_BROKER:
        options->broker = optarg;
        break;
    case FLAG_CONNECT_TIMEOUT:
        if (!parse_duration_ms(optarg, &options->connect_timeout_ms) ||
            options->connect_timeout_ms == 0)
            die(EX_USAGE, "--connect-timeout: \"%s\" is not a duration above 0", optarg);
        break;
    case FLAG_MODE:
        options->mode = mode_of(optarg);
        break;
    case FLAG_TASKS:
        set_number("tasks", 1, 1000000000, &options->tasks);
        break;
    case FLAG_OUTSTANDING:
        set_number("outstanding", 1, 1000000, &options->outstanding);
        break;
    case FLAG_BATCH:
        set_number("batch", 1, LIMIT_BATCH, &options->batch);
        break;
    case FLAG_SIZE:
        set_number("size", (int64_t)strlen("{\"data\":\"\"}"), 1 << 20, &options->size);
        break;
    case FLAG_PRODUCERS:
        set_number("producers", 1, THREADS_MAX, &options->producers);
        break;
    case FLAG_CONSUMERS:
        set_number("consumers", 1, THREADS_MAX, &options->consumers);
        break;
    case FLAG_PREFETCH:
        set_number("prefetch", 1, LIMIT_PREFETCH, &options->prefetch);
        break;
    case FLAG_QUEUES:
        set_number("queues", 1, LIMIT_WORKER_QUEUES, &options->queues);
        break;
    case FLAG_RATE:
        set_number("rate", 1, 1000000, &options->rate);
        break;
    case FLAG_IDS:
        options->random_ids = random_of(optarg);
        break;
    case FLAG_JSON:
        options->json = true;
        break;
    case FLAG_HELP:
        fputs(help, stdout);
        exit(EX_OK);
    case FLAG_VERSION:
        puts("reeve " REEVE_VERSION);
        exit(EX_OK);
    default:
        exit(EX_USAGE);
    }
}

/*  An object of exactly `size` bytes. */
static char *make_kwargs(size_t size)
{
    char *kwargs = mem_alloc(size + 1);
    memset(kwargs, 'x', size);
    memcpy(kwargs, kwargs_head, strlen(kwargs_head));
    memcpy(kwargs + size - strlen(kwargs_tail), kwargs_tail, sizeof kwargs_tail);
    return kwargs;
}

static void name_queues(load_t *load)
{
    static char names[LIMIT_WORKER_QUEUES][64];
    long long now_ms = clock_wall_ms();
    for (int64_t i = 0; i < load->options.queues; i++) {
        snprintf(names[i], sizeof names[i], "load-%lld-%d-%d", now_ms, (int)getpid(), (int)i + 1);
        load->queues[i] = names[i];
    }
}

int main(int argc, char **argv)
{
    static load_t load = {.options = {.connect_timeout_ms = 30000,
                                      .tasks = 200000,
                                      .outstanding = 1000,
                                      .size = 256,
                                      .batch = 256,
                                      .producers = 1,
                                      .consumers = 1,
                                      .prefetch = 100,
                                      .queues = 1}};
    static report_t report;
    int flag;
    while ((flag = getopt_long(argc, argv, "h", flags, NULL)) != -1)
        take_flag(&load.options, flag);
    if (optind < argc)
        die(EX_USAGE, "\"%s\" is not an option", argv[optind]);
    if (load.options.rate > 0 && load.options.size < 31)
        die(EX_USAGE, "--rate needs tasks of 31 bytes at least");
    name_queues(&load);
    load.kwargs = make_kwargs((size_t)load.options.size);
    run(&load, &report);
    if (load.options.json)
        print_json(&load.options, &report);
    else
        print_text(&load.options, &report);
    free(load.kwargs);
    return EX_OK;
}
