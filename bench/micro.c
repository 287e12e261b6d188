/*  What single operations cost: codecs, steps of the core, commits of the store. See usage.

    Each is run as often as takes SAMPLE_MS, five times; the median is printed. A name has the
    parameters in it, so that figures of two builds can be held against each other by name. */

#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "bench/fixture.h"
#include "broker/core/core.h"
#include "broker/store/carry_out.h"
#include "broker/store/memory.h"
#include "broker/store/sqlite.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/task.h"
#include "common/wire/mdp.h"
#include "common/wire/token.h"

enum { SAMPLES = 5, SAMPLE_MS = 100, CORE_BATCH = 100, NOW_MS = 1000 };

static struct options {
    const char *filter, *dir;
    int64_t sample_ns;
    bool json;
} options = {.filter = "", .dir = "/var/tmp", .sample_ns = SAMPLE_MS * 1000000LL};

/*  What the compiler must not leave out. */
static volatile uint64_t sink;

/*  One benchmark: runs its operation so many times, and returns the nanoseconds that took. */
typedef int64_t (*measure_t)(size_t times, size_t parameter);

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*  What does nothing but compute is measured in CPU time, which others on the machine change little. */
static int64_t now_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "micro: %s\n", what);
    exit(EX_SOFTWARE);
}

/* ---- running and printing ------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/*  As many times as take a sample. */
static size_t calibrate(measure_t measure, size_t parameter)
{
    for (size_t times = 1;; times *= 2) {
        int64_t ns = measure(times, parameter);
        if (ns * 4 > options.sample_ns || times > 1u << 30)
            return (size_t)((double)times * (double)options.sample_ns / (double)(ns + 1)) + 1;
    }
}

static void bench(const char *name, measure_t measure, size_t parameter)
{
    double ns[SAMPLES];
    if (strstr(name, options.filter) == NULL)
        return;
    size_t times = calibrate(measure, parameter);
    for (size_t i = 0; i < SAMPLES; i++)
        ns[i] = (double)measure(times, parameter) / (double)times;
    qsort(ns, SAMPLES, sizeof ns[0], compare);
    double median = ns[SAMPLES / 2];
    printf(options.json ? "{\"name\":\"%s\",\"ns_per_op\":%.1f,\"ops_per_s\":%.1f}\n"
                        : "%-32s %14.1f %14.0f\n",
           name, median, 1e9 / median);
    fflush(stdout);
}

/*  The same for several values of a parameter. */
static void bench_each(const char *name, const char *parameter, measure_t measure,
                       const size_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char full[64];
        snprintf(full, sizeof full, "%s/%s=%zu", name, parameter, values[i]);
        bench(full, measure, values[i]);
    }
}

/* ---- codecs --------------------------------------------------------------------------------- */

static wire_task_t make_task(const char *body)
{
    return fixture_task("019ab2c0-1234-7abc-8def-0123456789ab", body);
}

static int64_t wire_encode_submit(size_t times, size_t size)
{
    wire_buffer_t buffer = {0};
    char *body = fixture_body(size);
    wire_task_t task = make_task(body);
    int64_t start = now_ns();
    for (size_t i = 0; i < times; i++) {
        wire_begin(&buffer, WIRE_SUBMIT);
        wire_put_first(&buffer, i);
        wire_put_task(&buffer, &task);
        sink += buffer.size;
        wire_reset(&buffer);
    }
    int64_t ns = now_ns() - start;
    wire_fini(&buffer);
    free(body);
    return ns;
}

static int64_t wire_decode_submit(size_t times, size_t size)
{
    wire_buffer_t buffer = {0};
    char *body = fixture_body(size);
    wire_task_t task = make_task(body);
    wire_begin(&buffer, WIRE_SUBMIT);
    wire_put_task(&buffer, &task);
    int64_t start = now_ns();
    for (size_t i = 0; i < times; i++) {
        wire_message_t message;
        const char *problem;
        must(wire_decode(slice(buffer.data, buffer.size), &message, &problem) == 0, "wire_decode");
        for (size_t at = 0; wire_next_task(&message, &at, &task);)
            sink += task.body.size;
    }
    int64_t ns = now_ns() - start;
    wire_fini(&buffer);
    free(body);
    return ns;
}

static int64_t wire_encode_deliver(size_t times, size_t size)
{
    wire_buffer_t buffer = {0};
    char *body = fixture_body(size);
    wire_delivery_t delivery = {
        .token = slice_str("1a2b3c.1.0123456789abcdef"), .task = make_task(body), .attempt = 1};
    int64_t start = now_ns();
    for (size_t i = 0; i < times; i++) {
        wire_begin(&buffer, WIRE_DELIVER);
        wire_put_delivery(&buffer, &delivery);
        sink += buffer.size;
        wire_reset(&buffer);
    }
    int64_t ns = now_ns() - start;
    wire_fini(&buffer);
    free(body);
    return ns;
}

/*  A worker's reply of so many body frames, as it comes from the ROUTER and as it goes out again. */
static int64_t mdp_decode_reply(size_t times, size_t body_frames)
{
    slice_t frames[5 + 64] = {slice_str(""), slice_str("MDPW02"), slice("\x04", 1),
                              slice_str("1a2b3c.1.0123456789abcdef"), slice_str("")};
    for (size_t i = 0; i < body_frames; i++)
        frames[5 + i] = slice_str("result");
    int64_t start = now_ns();
    for (size_t i = 0; i < times; i++) {
        mdp_message_t message;
        const char *problem;
        must(mdp_is_mdp(frames, 5 + body_frames) &&
                 mdp_decode(frames, 5 + body_frames, &message, &problem) == 0 &&
                 message.body_count == body_frames,
             "mdp_decode");
        sink += message.body_count;
    }
    return now_ns() - start;
}

static int64_t mdp_encode_request(size_t times, size_t body_frames)
{
    slice_t body[64] = {{0}}, head[MDP_HEAD_FRAMES];
    mdp_message_t message = {.version = MDP_02,
                             .kind = MDP_WORKER_REQUEST,
                             .delimiter = true,
                             .address = slice_str("1a2b3c.1.0123456789abcdef"),
                             .body = body,
                             .body_count = body_frames};
    int64_t start = now_ns();
    for (size_t i = 0; i < times; i++)
        sink += mdp_encode(&message, head);
    return now_ns() - start;
}

static int64_t validate_json_body(size_t times, size_t size)
{
    char *body = fixture_body(size);
    int64_t start = now_ns();
    for (size_t i = 0; i < times; i++)
        must(json_valid_object(slice(body, size)), "json_valid_object");
    int64_t ns = now_ns() - start;
    free(body);
    return ns;
}

/*  A task document as the reeve command reads it. */
static int64_t parse_task_json(size_t times, size_t size)
{
    char *data = mem_zalloc(size + 1), *text = mem_alloc(size + 256), problem[256];
    memset(data, 'x', size);
    int length =
        snprintf(text, size + 256,
                 "{\"id\":\"task-1\",\"task_name\":\"work\",\"queue\":\"bench\",\"args\":[1,2],"
                 "\"kwargs\":{\"data\":\"%s\"},\"priority\":3,\"timeout\":\"30s\"}",
                 data);
    int64_t start = now_ns();
    for (size_t i = 0; i < times; i++) {
        task_t task;
        must(task_from_json(slice(text, (size_t)length), FIXTURE_WALL_MS, &task, problem,
                            sizeof problem) == 0,
             problem);
        task_fini(&task);
    }
    int64_t ns = now_ns() - start;
    free(data);
    free(text);
    return ns;
}

static const token_keys_t keys = {"0123456789abcde", "fedcba987654321"};

static int64_t format_token(size_t times, size_t seq)
{
    char text[TOKEN_TEXT_BYTES];
    int64_t start = now_ns();
    for (size_t i = 0; i < times; i++)
        sink += token_format(&keys, (token_t){seq + i, 1, false}, text);
    return now_ns() - start;
}

static int64_t parse_token(size_t times, size_t seq)
{
    char text[TOKEN_TEXT_BYTES];
    size_t size = token_format(&keys, (token_t){seq, 1, false}, text);
    int64_t start = now_ns();
    for (size_t i = 0; i < times; i++) {
        token_t token;
        must(token_parse(&keys, slice(text, size), &token), "token_parse");
        sink += token.seq;
    }
    return now_ns() - start;
}

/* ---- tasks ---------------------------------------------------------------------------------- */

static task_spec_t make_spec(const char *id, const char *body)
{
    return (task_spec_t){.id = slice_str(id),
                         .queue = slice_str("bench"),
                         .task_name = slice_str("work"),
                         .body = slice_str(body),
                         .created_ms = FIXTURE_WALL_MS,
                         .max_retries = -1};
}

/* ---- the core ------------------------------------------------------------------------------- */

/*  A core with a store in memory behind it. Only the core's steps are timed. */
typedef struct world {
    core_t *core;
    store_t *store;
    effects_t effects;
    uint64_t committed, submitted, delivered;
    struct {
        uint64_t seq;
        uint32_t attempt;
    } deliveries[CORE_BATCH];
    char *body;
} world_t;

enum { CLIENT = 1, WORKER = 2 };

static void step(world_t *self, event_t event)
{
    event.now_ms = NOW_MS;
    event.wall_ms = FIXTURE_WALL_MS;
    core_step(self->core, &event, &self->effects);
}

static void open_world(world_t *self, size_t size)
{
    static const slice_t queue = {.data = (const uint8_t *)"bench", .size = 5};
    *self = (world_t){.store = memory_store_new(), .body = fixture_body(size)};
    self->core = fixture_core(self->store);
    step(self, (event_t){.kind = EVENT_READY,
                         .peer = WORKER,
                         .ready = {.kind = PEER_REEVE,
                                   .name = slice_str("worker-1"),
                                   .queues = &queue,
                                   .queue_count = 1}});
}

static void close_world(world_t *self)
{
    effects_fini(&self->effects);
    core_destroy(&self->core);
    self->store->ops->close(&self->store);
    free(self->body);
}

static void note_deliveries(world_t *self)
{
    for (size_t i = 0; i < self->effects.count; i++) {
        const effect_t *effect = &self->effects.items[i];
        if (effect->kind != EFFECT_DELIVER)
            continue;
        must(self->delivered < CORE_BATCH, "too many deliveries");
        self->deliveries[self->delivered].seq = effect->deliver.record->seq;
        self->deliveries[self->delivered++].attempt = effect->deliver.attempt;
    }
}

/*  Makes what the core wants durable, and tells it; returns how long the core took to hear of it. */
static int64_t commit(world_t *self)
{
    effects_t batch = self->effects;
    self->effects = (effects_t){0};
    self->store->ops->begin(self->store);
    for (size_t i = 0; i < batch.count; i++) {
        page_t page = {0};
        event_t event;
        must(store_carry_out(self->store, &batch.items[i], 1, &page) == STORE_OK, "store");
        if (store_answer(&batch.items[i], &page, &event))
            step(self, event);
        self->committed += batch.items[i].kind == EFFECT_CHANGE;
        page_fini(&page);
    }
    self->store->ops->commit(self->store);
    effects_fini(&batch);
    int64_t start = now_ns();
    step(self, (event_t){.kind = EVENT_COMMITTED, .committed = {.changes = self->committed}});
    int64_t ns = now_ns() - start;
    note_deliveries(self);
    effects_clear(&self->effects);
    return ns;
}

static int64_t submit_all(world_t *self, size_t count)
{
    char ids[CORE_BATCH][FIXTURE_ID_SIZE];
    uint64_t first = self->submitted + 1;
    for (size_t i = 0; i < count; i++)
        fixture_id(++self->submitted, ids[i]);
    int64_t start = now_ns();
    for (size_t i = 0; i < count; i++) {
        task_spec_t spec = make_spec(ids[i], self->body);
        step(self, (event_t){.kind = EVENT_SUBMIT,
                             .peer = CLIENT,
                             .corr = first + i,
                             .submit = {.task = &spec}});
    }
    int64_t ns = now_ns() - start;
    return ns + commit(self);
}

static int64_t dispatch_all(world_t *self, size_t count)
{
    int64_t start = now_ns();
    step(self, (event_t){.kind = EVENT_PREFETCH, .peer = WORKER, .prefetch = {(uint32_t)count}});
    int64_t ns = now_ns() - start;
    ns += commit(self);
    must(self->delivered == count, "not all were delivered");
    return ns;
}

static int64_t settle_all(world_t *self)
{
    step(self, (event_t){.kind = EVENT_PREFETCH, .peer = WORKER}); /* no more */
    int64_t start = now_ns();
    for (size_t i = 0; i < self->delivered; i++)
        step(self, (event_t){.kind = EVENT_SETTLE,
                             .peer = WORKER,
                             .corr = i + 1,
                             .settle = {.seq = self->deliveries[i].seq,
                                        .attempt = self->deliveries[i].attempt,
                                        .verdict = VERDICT_SUCCESS,
                                        .duration_ms = 5}});
    int64_t ns = now_ns() - start;
    self->delivered = 0;
    return ns + commit(self);
}

/*  So many tasks live their life, a batch after the other; what each part took is added up. */
static void live(size_t times, size_t size, int64_t ns[3])
{
    world_t world;
    open_world(&world, size);
    for (size_t left = times; left > 0;) {
        size_t count = left < CORE_BATCH ? left : CORE_BATCH;
        ns[0] += submit_all(&world, count);
        ns[1] += dispatch_all(&world, count);
        ns[2] += settle_all(&world);
        left -= count;
    }
    close_world(&world);
}

static int64_t core_submit(size_t times, size_t size)
{
    int64_t ns[3] = {0};
    live(times, size, ns);
    return ns[0];
}

static int64_t core_dispatch(size_t times, size_t size)
{
    int64_t ns[3] = {0};
    live(times, size, ns);
    return ns[1];
}

static int64_t core_settle(size_t times, size_t size)
{
    int64_t ns[3] = {0};
    live(times, size, ns);
    return ns[2];
}

/* ---- the store ------------------------------------------------------------------------------ */

static void add_and_commit(store_t *store, record_t **records, size_t count)
{
    must(store->ops->begin(store) == STORE_OK, "begin");
    for (size_t i = 0; i < count; i++) {
        change_t change = {.record = records[i], .to = REEVE_STATE_QUEUED};
        must(store->ops->apply(store, &change) == STORE_OK, "apply");
    }
    must(store->ops->commit(store) == STORE_OK, "commit");
}

/*  Transactions that each add so many tasks of 256 bytes, and are on the disk when they return. */
static int64_t time_commits(store_t *store, size_t times, size_t batch)
{
    int64_t ns = 0;
    uint64_t seq = store->ops->identity(store)->next_seq;
    char *body = fixture_body(256);
    record_t **records = mem_alloc(batch * sizeof(record_t *));
    for (size_t i = 0; i < times; i++) {
        for (size_t k = 0; k < batch; k++, seq++) {
            char id[FIXTURE_ID_SIZE];
            fixture_id(seq, id);
            task_spec_t spec = make_spec(id, body);
            records[k] = record_new(&spec, seq, 1);
        }
        int64_t start = clock_ns(CLOCK_MONOTONIC);
        add_and_commit(store, records, batch);
        ns += clock_ns(CLOCK_MONOTONIC) - start;
        for (size_t k = 0; k < batch; k++)
            record_unref(&records[k]);
    }
    free(records);
    free(body);
    return ns;
}

static int64_t store_commit(size_t times, size_t batch)
{
    char dir[4096], path[4200], problem[600];
    store_t *store;
    snprintf(dir, sizeof dir, "%s/reeve-micro.XXXXXX", options.dir);
    must(mkdtemp(dir) != NULL, dir);
    snprintf(path, sizeof path, "%s/reeve.db", dir);
    must(sqlite_store_open(path, &store, problem, sizeof problem) == SQLITE_OPENED, problem);
    must(sqlite_store_checkpoint_apart(store) == STORE_OK, "checkpoint thread");
    int64_t ns = time_commits(store, times, batch);
    store->ops->close(&store);
    unlink(path);
    strcat(path, ".lock");
    unlink(path);
    rmdir(dir);
    return ns;
}

/* ---- the program ---------------------------------------------------------------------------- */

static void usage(FILE *out)
{
    fputs("Usage: micro [OPTION…]\n"
          "  --filter TEXT   only what has TEXT in its name\n"
          "  --json          an object in a line for each\n"
          "  --time-ms N     of each of five samples (default 100)\n"
          "  --dir DIR       for store_commit (default /var/tmp; must be on a disk)\n"
          "Prints nanoseconds of one operation, the median of the samples, and operations in a "
          "second,\nby CPU time, of store_commit by wall time.\n"
          "An operation of core_… is one task, of store_commit one transaction of `batch` tasks.\n",
          out);
}

static void read_options(int argc, char **argv)
{
    static const struct option table[] = {
        {"filter", required_argument, NULL, 'f'},  {"json", no_argument, NULL, 'j'},
        {"time-ms", required_argument, NULL, 't'}, {"dir", required_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},          {0}};
    for (int option; (option = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (option == 'f') {
            options.filter = optarg;
        } else if (option == 'j') {
            options.json = true;
        } else if (option == 'd') {
            options.dir = optarg;
        } else if (option == 't' && atol(optarg) > 0) {
            options.sample_ns = atol(optarg) * 1000000LL;
        } else {
            usage(option == 'h' ? stdout : stderr);
            exit(option == 'h' ? EX_OK : EX_USAGE);
        }
    }
    if (optind == argc)
        return;
    usage(stderr);
    exit(EX_USAGE);
}

#define SIZES(...) (const size_t[]){__VA_ARGS__}, sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)

int main(int argc, char **argv)
{
    read_options(argc, argv);
    must(sodium_init() >= 0, "libsodium cannot start");
    if (!options.json)
        printf("%-32s %14s %14s\n", "", "ns/op", "ops/s");
    bench_each("wire_encode_submit", "size", wire_encode_submit, SIZES(64, 256, 4096, 65536));
    bench_each("wire_decode_submit", "size", wire_decode_submit, SIZES(64, 256, 4096, 65536));
    bench_each("wire_encode_deliver", "size", wire_encode_deliver, SIZES(64, 256, 4096, 65536));
    bench_each("mdp_decode_reply", "frames", mdp_decode_reply, SIZES(1, 8, 64));
    bench_each("mdp_encode_request", "frames", mdp_encode_request, SIZES(1));
    bench_each("json_validate_body", "size", validate_json_body, SIZES(64, 256, 4096, 65536));
    bench_each("task_from_json", "size", parse_task_json, SIZES(64, 256, 4096, 65536));
    bench_each("token_format", "seq", format_token, SIZES(1000000));
    bench_each("token_parse", "seq", parse_token, SIZES(1000000));
    bench_each("core_submit", "size", core_submit, SIZES(64, 256, 4096));
    bench_each("core_dispatch", "size", core_dispatch, SIZES(64, 256, 4096));
    bench_each("core_settle", "size", core_settle, SIZES(64, 256, 4096));
    bench_each("store_commit", "batch", store_commit, SIZES(1, 10, 100, 1000));
    return EX_OK;
}
