#include "common/log_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "common/buffer.h"
#include "common/clock.h"

enum {
    STOP_PATIENCE_S = 1,
    /* Who logs pays for waking this thread. Where it was woken often of late, it lets records gather for a
       moment; else it writes at once, because a process may be killed right after. */
    OFTEN = 20, /* in WINDOW_MS */
    WINDOW_MS = 100,
    GATHER_MS = 10,
    GATHER_BYTES = 256 * 1024, /* or until they are so many */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* filled, stopping or finished */
    pthread_t thread;
    const log_writer_calls_t *calls;
    buffer_t filling;
    size_t dropped; /* records, since the last that was taken */
    size_t wanted;  /* the thread waits for so many bytes; 0: it does not wait */
    bool running, stopping, finished;
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct timespec in_ms(long ms)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += ms * 1000000;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

bool log_writer_put(slice_t records, size_t count)
{
    pthread_mutex_lock(&writer.lock);
    bool running = writer.running;
    if (running && writer.filling.size + records.size > LOG_WRITER_BYTES)
        writer.dropped += count;
    else if (running)
        memcpy(buffer_extend(&writer.filling, records.size), records.data, records.size);
    if (running && writer.wanted && writer.filling.size >= writer.wanted)
        pthread_cond_broadcast(&writer.changed);
    pthread_mutex_unlock(&writer.lock);
    return running;
}

static bool is_busy(void)
{
    static int64_t window_ends_ms;
    static int wakes;
    if (clock_mono_ms() >= window_ends_ms) {
        window_ends_ms = clock_mono_ms() + WINDOW_MS;
        wakes = 0;
    }
    return ++wakes > OFTEN;
}

static void gather(void)
{
    struct timespec until = in_ms(GATHER_MS);
    writer.wanted = GATHER_BYTES;
    while (writer.filling.size < GATHER_BYTES && !writer.stopping &&
           pthread_cond_timedwait(&writer.changed, &writer.lock, &until) != ETIMEDOUT)
        ;
}

/*  Exchanges the empty buffer for what was put. False when there will be no more. */
static bool take(buffer_t *batch, size_t *dropped)
{
    batch->size = 0;
    pthread_mutex_lock(&writer.lock);
    writer.wanted = 1;
    while (writer.filling.size == 0 && !writer.stopping)
        pthread_cond_wait(&writer.changed, &writer.lock);
    if (is_busy())
        gather();
    writer.wanted = 0;
    buffer_t filled = writer.filling;
    writer.filling = *batch;
    *batch = filled;
    *dropped = writer.dropped;
    writer.dropped = 0;
    pthread_mutex_unlock(&writer.lock);
    return batch->size > 0;
}

static void *run(void *arg)
{
    (void)arg;
    buffer_t batch = {0};
    size_t dropped;
    while (take(&batch, &dropped)) {
        writer.calls->deliver(slice(batch.data, batch.size));
        if (dropped)
            writer.calls->dropped(dropped);
    }
    free(batch.data);
    pthread_mutex_lock(&writer.lock);
    writer.finished = true;
    pthread_cond_broadcast(&writer.changed);
    pthread_mutex_unlock(&writer.lock);
    return NULL;
}

bool log_writer_start(const log_writer_calls_t *calls)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);

    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    writer.calls = calls;
    writer.running = pthread_create(&writer.thread, NULL, run, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (writer.running)
        pthread_setname_np(writer.thread, "log");
    return writer.running;
}

void log_writer_stop(void)
{
    struct timespec until = in_ms(STOP_PATIENCE_S * 1000);
    pthread_mutex_lock(&writer.lock);
    bool was_running = writer.running;
    writer.running = false;
    writer.stopping = true;
    if (was_running)
        pthread_cond_broadcast(&writer.changed);
    while (was_running && !writer.finished &&
           pthread_cond_timedwait(&writer.changed, &writer.lock, &until) != ETIMEDOUT)
        ;
    bool finished = was_running && writer.finished;
    pthread_mutex_unlock(&writer.lock);
    if (finished) {
        pthread_join(writer.thread, NULL);
        free(writer.filling.data);
        writer.filling = (buffer_t){0};
    } else if (was_running)
        pthread_detach(writer.thread);
}
