#include "broker/store/sqlite_checkpoint.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/mem.h"

enum {
    REST_PAGES = 400, /* few enough for the writer to copy between two commits */
    /* A writer that is as fast as the disk is never caught up with: here it stops and does all that is left. */
    LONGEST_PAGES = 3 * CHECKPOINT_PAGES,
};

struct checkpointer {
    sqlite3 *db; /* the thread's */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake, answered;
    bool asked, stopping;
    /* the answer, when `asked` is false again */
    int rc, copied; /* pages of the WAL that are in the database */
    /* the writer's own */
    bool going_on;
};

static void *run(void *arg)
{
    checkpointer_t *self = arg;
    pthread_mutex_lock(&self->mutex);
    for (;;) {
        while (!self->asked && !self->stopping)
            pthread_cond_wait(&self->wake, &self->mutex);
        if (!self->asked)
            break;
        pthread_mutex_unlock(&self->mutex);
        int length, copied = 0;
        int rc =
            sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &length, &copied);
        pthread_mutex_lock(&self->mutex);
        self->rc = rc;
        self->copied = copied;
        self->asked = false;
        pthread_cond_signal(&self->answered);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

checkpointer_t *checkpointer_start(const char *path)
{
    checkpointer_t *self = mem_zalloc(sizeof *self);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->wake, NULL);
    pthread_cond_init(&self->answered, NULL);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    bool open = sqlite3_open_v2(path, &self->db, flags, NULL) == SQLITE_OK &&
                sqlite3_exec(self->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) == SQLITE_OK;
    if (open && pthread_create(&self->thread, NULL, run, self) == 0) {
        pthread_setname_np(self->thread, "checkpoint");
        return self;
    }
    sqlite3_close(self->db);
    free(self);
    return NULL;
}

/*  SQLITE_OK also when somebody else's checkpoint or reader was in the way: the next one will do. */
static int failure_of(int rc)
{
    return (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED ? SQLITE_OK : rc;
}

int checkpointer_stop(checkpointer_t **self_p)
{
    checkpointer_t *self = *self_p;
    if (self == NULL)
        return SQLITE_OK;
    pthread_mutex_lock(&self->mutex);
    self->stopping = true;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    int rc = failure_of(self->rc);
    sqlite3_close(self->db);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->wake);
    pthread_cond_destroy(&self->answered);
    free(self);
    *self_p = NULL;
    return rc;
}

static int do_the_rest(checkpointer_t *self, sqlite3 *db)
{
    self->going_on = false;
    return failure_of(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

/*  With the mutex. */
static void ask(checkpointer_t *self)
{
    self->going_on = true;
    self->asked = true;
    pthread_cond_signal(&self->wake);
}

int checkpointer_committed(checkpointer_t *self, sqlite3 *db, int wal_pages)
{
    if (!self->going_on && wal_pages < CHECKPOINT_PAGES)
        return SQLITE_OK;
    bool longest = wal_pages >= LONGEST_PAGES;
    pthread_mutex_lock(&self->mutex);
    while (longest && self->asked)
        pthread_cond_wait(&self->answered, &self->mutex);
    bool busy = self->asked;
    int rc = failure_of(self->rc), rest = wal_pages - self->copied;
    bool last = self->going_on && (rest <= REST_PAGES || longest);
    if (!busy && rc == SQLITE_OK && !last)
        ask(self);
    pthread_mutex_unlock(&self->mutex);
    if (busy)
        return SQLITE_OK;
    if (rc != SQLITE_OK)
        return rc;
    return last ? do_the_rest(self, db) : SQLITE_OK;
}

bool checkpointer_rests(checkpointer_t *self, int *rc)
{
    pthread_mutex_lock(&self->mutex);
    bool rests = !self->asked;
    *rc = failure_of(self->rc);
    pthread_mutex_unlock(&self->mutex);
    return rests;
}
