#include "client/top/feed.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

struct feed {
    reeve_client_t *client; /* the thread's, but for interrupts */
    pthread_t thread;
    int fd;
    pthread_mutex_t mutex; /* of all that follows */
    pthread_cond_t changed;
    bool stopping, paused, with_dead;
    bool at_once; /* do not wait for the interval to pass */
    int64_t interval_ms;
    int64_t asked_ms; /* since when a question is open; 0: none is */
    sample_t *sample;
    reeve_error_t error;
    char *text, *text_shown;
};

static void tell(feed_t *self)
{
    uint64_t once = 1;
    ssize_t written = write(self->fd, &once, sizeof once);
    (void)written; /* it fails only when it is readable anyway */
}

/*  Asks once, without the lock, and leaves what came of it. */
static void ask(feed_t *self)
{
    reeve_error_t error = REEVE_ERR_OK;
    bool with_dead = self->with_dead;
    self->asked_ms = clock_mono_ms();
    pthread_mutex_unlock(&self->mutex);
    sample_t *sample = sample_ask(self->client, with_dead, &error);
    pthread_mutex_lock(&self->mutex);
    self->asked_ms = 0;
    self->error = sample ? REEVE_ERR_OK : error;
    free(self->text);
    self->text = mem_strdup(sample ? "" : reeve_client_error_text(self->client));
    if (sample) {
        sample_destroy(&self->sample);
        self->sample = sample;
    }
    tell(self);
}

/*  Waits until it is time to ask again, or something else was decided. */
static void rest(feed_t *self)
{
    int64_t due_ms = clock_mono_ms() + self->interval_ms;
    struct timespec due = {due_ms / 1000, due_ms % 1000 * 1000000};
    int rc = 0;
    while (!self->stopping && !self->at_once && (self->paused || rc != ETIMEDOUT)) {
        if (self->paused)
            pthread_cond_wait(&self->changed, &self->mutex);
        else
            rc = pthread_cond_timedwait(&self->changed, &self->mutex, &due);
    }
    self->at_once = false;
}

static void *run(void *arg)
{
    feed_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    while (!self->stopping) {
        ask(self);
        rest(self);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void destroy(feed_t *self)
{
    reeve_client_destroy(&self->client);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    if (self->fd >= 0)
        close(self->fd);
    sample_destroy(&self->sample);
    free(self->text);
    free(self->text_shown);
    free(self);
}

feed_t *feed_start(reeve_client_t **client, int64_t interval_ms)
{
    feed_t *self = mem_zalloc(sizeof *self);
    self->client = *client;
    *client = NULL;
    self->interval_ms = interval_ms;
    self->text = mem_strdup("");
    pthread_mutex_init(&self->mutex, NULL);
    init_condition(&self->changed);
    self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = self->fd < 0 ? errno : pthread_create(&self->thread, NULL, run, self);
    if (rc == 0)
        return self;
    destroy(self);
    errno = rc;
    return NULL;
}

void feed_stop(feed_t **self_p)
{
    feed_t *self = *self_p;
    if (self == NULL)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stopping = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    reeve_client_interrupt(self->client);
    pthread_join(self->thread, NULL);
    destroy(self);
    *self_p = NULL;
}

int feed_fd(const feed_t *self)
{
    return self->fd;
}

sample_t *feed_take(feed_t *self)
{
    uint64_t times;
    ssize_t got = read(self->fd, &times, sizeof times);
    (void)got; /* only a wake-up */
    pthread_mutex_lock(&self->mutex);
    sample_t *sample = self->sample;
    self->sample = NULL;
    pthread_mutex_unlock(&self->mutex);
    return sample;
}

void feed_contact(feed_t *self, contact_t *contact)
{
    pthread_mutex_lock(&self->mutex);
    contact->silent_ms = self->asked_ms ? clock_mono_ms() - self->asked_ms : 0;
    contact->error = self->error;
    free(self->text_shown);
    self->text_shown = mem_strdup(self->text);
    pthread_mutex_unlock(&self->mutex);
    contact->text = self->text_shown;
}

void feed_set(feed_t *self, int64_t interval_ms, bool paused, bool with_dead)
{
    pthread_mutex_lock(&self->mutex);
    self->interval_ms = interval_ms;
    self->paused = paused;
    self->with_dead = with_dead;
    self->at_once = !paused;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}
