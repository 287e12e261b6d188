#include "broker/metrics/exchange.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"

/*  One asker at a time has his turn; a second waits for the first one to go. */
struct exchange {
    int wake_fd;
    pthread_mutex_t turn; /* held by the asker */
    pthread_mutex_t mutex;
    pthread_cond_t given;
    bool wanted;
    snapshot_t *snapshot;
};

exchange_t *exchange_new(int wake_fd)
{
    exchange_t *self = mem_zalloc(sizeof *self);
    self->wake_fd = wake_fd;
    pthread_mutex_init(&self->turn, NULL);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&self->given, &attributes);
    pthread_condattr_destroy(&attributes);
    return self;
}

void exchange_destroy(exchange_t **self_p)
{
    exchange_t *self = *self_p;
    if (self == NULL)
        return;
    snapshot_destroy(&self->snapshot);
    pthread_cond_destroy(&self->given);
    pthread_mutex_destroy(&self->mutex);
    pthread_mutex_destroy(&self->turn);
    free(self);
    *self_p = NULL;
}

static struct timespec deadline_in(int64_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

snapshot_t *exchange_ask(exchange_t *self, int64_t timeout_ms)
{
    struct timespec until = deadline_in(timeout_ms);
    uint64_t one = 1;
    pthread_mutex_lock(&self->turn);
    pthread_mutex_lock(&self->mutex);
    self->wanted = true;
    ssize_t written = write(self->wake_fd, &one, sizeof one);
    (void)written; /* an eventfd that is full is readable all the same */
    while (self->snapshot == NULL)
        if (pthread_cond_timedwait(&self->given, &self->mutex, &until) != 0)
            break;
    snapshot_t *snapshot = self->snapshot;
    self->snapshot = NULL;
    self->wanted = false;
    pthread_mutex_unlock(&self->mutex);
    pthread_mutex_unlock(&self->turn);
    return snapshot;
}

bool exchange_wanted(exchange_t *self)
{
    pthread_mutex_lock(&self->mutex);
    bool wanted = self->wanted;
    pthread_mutex_unlock(&self->mutex);
    return wanted;
}

void exchange_give(exchange_t *self, snapshot_t **snapshot)
{
    pthread_mutex_lock(&self->mutex);
    if (self->wanted) {
        self->wanted = false;
        self->snapshot = *snapshot;
        *snapshot = NULL;
        pthread_cond_signal(&self->given);
    }
    pthread_mutex_unlock(&self->mutex);
    snapshot_destroy(snapshot);
}
