/*  A client and echoing workers of the Majordomo protocol (MDP/0.1) in plain libzmq; each is a thread
    with a socket of its own. See usage. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <zmq.h>

#include "bench/latency.h"
#include "common/clock.h"

enum {
    READY = 1,
    REQUEST = 2,
    REPLY = 3,
    HEARTBEAT = 4,
    BODY = 256,
    OUTSTANDING_MAX = 10000,
    WORKERS_MAX = 64,
    HEARTBEAT_MS = 1000,
    PATIENCE_MS = 30000,
};

static const char *endpoint;
static void *context;
static atomic_bool done;

static void die(const char *what)
{
    fprintf(stderr, "mdp-load: %s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(EX_UNAVAILABLE);
}

static void *dealer(void)
{
    void *socket = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    if (zmq_connect(socket, endpoint) != 0)
        die(endpoint);
    return socket;
}

static void put(void *socket, const void *bytes, size_t size, bool more)
{
    if (zmq_send(socket, bytes, size, more ? ZMQ_SNDMORE : 0) < 0)
        die("zmq_send");
}

/*  The message's last frame; the number of frames, or 0 when nothing came in time. */
static int get(void *socket, int wait_ms, zmq_msg_t frames[8])
{
    int count = 0;
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    if (zmq_msg_recv(&frames[0], socket, ZMQ_DONTWAIT) < 0) {
        if (zmq_poll(&item, 1, wait_ms) <= 0 || zmq_msg_recv(&frames[0], socket, 0) < 0)
            return 0;
    }
    for (count = 1; zmq_msg_more(&frames[count - 1]) && count < 8; count++)
        if (zmq_msg_recv(&frames[count], socket, 0) < 0)
            die("zmq_recv");
    return count;
}

static void init_frames(zmq_msg_t frames[8])
{
    for (int i = 0; i < 8; i++)
        zmq_msg_init(&frames[i]);
}

static void put_command(void *socket, uint8_t command, bool more)
{
    put(socket, "", 0, true);
    put(socket, "MDPW01", 6, true);
    put(socket, &command, 1, more);
}

static void *work(void *unused)
{
    (void)unused;
    void *socket = dealer();
    zmq_msg_t frames[8];
    init_frames(frames);
    put_command(socket, READY, true);
    put(socket, "echo", 4, false);
    for (int64_t beat_ms = clock_mono_ms(); !atomic_load(&done);) {
        if (clock_mono_ms() - beat_ms >= HEARTBEAT_MS) {
            put_command(socket, HEARTBEAT, false);
            beat_ms = clock_mono_ms();
        }
        if (get(socket, 20, frames) < 6 || *(uint8_t *)zmq_msg_data(&frames[2]) != REQUEST)
            continue;
        put_command(socket, REPLY, true);
        zmq_msg_send(&frames[3], socket, ZMQ_SNDMORE);
        put(socket, "", 0, true);
        zmq_msg_send(&frames[5], socket, 0);
    }
    zmq_close(socket);
    return NULL;
}

static void request(void *socket)
{
    char body[BODY] = {0};
    int64_t now_us = clock_mono_us();
    memcpy(body, &now_us, sizeof now_us);
    put(socket, "", 0, true);
    put(socket, "MDPC01", 6, true);
    put(socket, "echo", 4, true);
    put(socket, body, BODY, false);
}

/*  Microseconds since the request that a reply echoes. */
static int64_t take_reply(void *socket, zmq_msg_t frames[8])
{
    int64_t sent_us;
    if (get(socket, PATIENCE_MS, frames) != 4 || zmq_msg_size(&frames[3]) != BODY)
        die("no reply, or not a request's echo");
    memcpy(&sent_us, zmq_msg_data(&frames[3]), sizeof sent_us);
    return clock_mono_us() - sent_us;
}

static int64_t run(int64_t count, int64_t outstanding, latency_t *latency)
{
    zmq_msg_t frames[8];
    void *socket = dealer();
    init_frames(frames);
    request(socket); /* until the workers are there */
    take_reply(socket, frames);
    int64_t start_us = clock_mono_us(), sent = 0;
    for (int64_t got = 0; got < count; got++) {
        for (; sent < count && sent - got < outstanding; sent++)
            request(socket);
        latency_add(latency, take_reply(socket, frames));
    }
    int64_t took_us = clock_mono_us() - start_us;
    zmq_close(socket);
    return took_us;
}

int main(int argc, char **argv)
{
    static latency_t latency;
    pthread_t threads[WORKERS_MAX];
    if (argc != 5) {
        fputs("Usage: mdp-load ENDPOINT REQUESTS OUTSTANDING WORKERS\n"
              "Asks the service \"echo\" and answers for it; prints one JSON object.\n",
              stderr);
        return EX_USAGE;
    }
    endpoint = argv[1];
    context = zmq_ctx_new();
    int64_t count = atoll(argv[2]), outstanding = atoll(argv[3]), workers = atoll(argv[4]);
    if (count < 1 || outstanding < 1 || outstanding > OUTSTANDING_MAX || workers < 1 ||
        workers > WORKERS_MAX)
        return EX_USAGE;
    for (int64_t i = 0; i < workers; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    int64_t us = run(count, outstanding, &latency);
    atomic_store(&done, true);
    for (int64_t i = 0; i < workers; i++)
        pthread_join(threads[i], NULL);
    printf("{\"tasks\":%lld,\"outstanding\":%lld,\"workers\":%lld,\"tasks_per_s\":%.1f,"
           "\"round_trip_us\":{\"p50\":%lld,\"p99\":%lld,\"max\":%lld}}\n",
           (long long)count, (long long)outstanding, (long long)workers,
           (double)count * 1e6 / (double)us, (long long)latency_quantile_us(&latency, 0.5),
           (long long)latency_quantile_us(&latency, 0.99), (long long)latency.max_us);
    zmq_ctx_term(context);
    return EX_OK;
}
