#include "worker/guard.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "common/mem.h"

typedef struct done {
    char *id;
    int64_t created_at_ms; /* an id that was removed may be another task's later */
    uint32_t attempt;
    reeve_settlement_t success;
    void *result;
    struct done *prev, *next; /* the oldest first */
    UT_hash_handle hh;
} done_t;

struct guard {
    done_t *by_id, *oldest;
    size_t bytes;
};

guard_t *guard_new(void)
{
    return mem_zalloc(sizeof(guard_t));
}

static done_t *find(const guard_t *self, const char *id)
{
    done_t *done;
    HASH_FIND_STR(self->by_id, id, done);
    return done;
}

static void drop(guard_t *self, done_t *done)
{
    HASH_DEL(self->by_id, done);
    DL_DELETE(self->oldest, done);
    self->bytes -= done->success.result_size;
    free(done->id);
    free(done->result);
    free(done);
}

void guard_destroy(guard_t **self)
{
    if (*self == NULL)
        return;
    while ((*self)->oldest)
        drop(*self, (*self)->oldest);
    free(*self);
    *self = NULL;
}

void guard_remember(guard_t *self, const reeve_delivery_t *delivery,
                    const reeve_settlement_t *success)
{
    done_t *done = find(self, reeve_delivery_id(delivery));
    if (done)
        drop(self, done);
    done = mem_zalloc(sizeof *done);
    done->id = mem_strdup(reeve_delivery_id(delivery));
    done->created_at_ms = reeve_delivery_created_at_ms(delivery);
    done->attempt = reeve_delivery_attempt(delivery);
    done->success = *success;
    done->success.result = done->result = mem_strndup(success->result, success->result_size);
    HASH_ADD_KEYPTR(hh, self->by_id, done->id, strlen(done->id), done);
    DL_APPEND(self->oldest, done);
    self->bytes += success->result_size;
    while (HASH_COUNT(self->by_id) > GUARD_TASKS || self->bytes > GUARD_BYTES)
        drop(self, self->oldest);
}

void guard_forget(guard_t *self, const char *task_id, uint32_t attempt)
{
    done_t *done = find(self, task_id);
    if (done && done->attempt == attempt)
        drop(self, done);
}

const reeve_settlement_t *guard_find(const guard_t *self, const reeve_delivery_t *delivery)
{
    const done_t *done = find(self, reeve_delivery_id(delivery));
    bool same = done && done->created_at_ms == reeve_delivery_created_at_ms(delivery);
    return same && done->attempt < reeve_delivery_attempt(delivery) ? &done->success : NULL;
}
