/*  Housekeeping of the SQLite store in small steps: retention, and the id index's merging. */

#include <stdlib.h>

#include "broker/store/sqlite_inside.h"
#include "common/mem.h"

static int by_time(const void *a, const void *b)
{
    const leaving_t *x = a, *y = b;
    return (x->remove_at_ms > y->remove_at_ms) - (x->remove_at_ms < y->remove_at_ms);
}

/*  One sweep row for each second in which tasks of this commit may go: a row per commit and queue
    policy instead of an index entry per task. */
int sqlite_write_leaving(sqlite_store_t *self)
{
    if (self->leaving_count == 0)
        return STORE_OK;
    for (size_t i = 0; i < self->leaving_count; i++)
        self->leaving[i].remove_at_ms = (self->leaving[i].remove_at_ms + 999) / 1000 * 1000;
    qsort(self->leaving, self->leaving_count, sizeof *self->leaving, by_time);
    uint64_t *seqs = mem_alloc(self->leaving_count * sizeof *seqs);
    int rc = STORE_OK;
    for (size_t i = 0; i < self->leaving_count && rc == STORE_OK;) {
        int64_t at_ms = self->leaving[i].remove_at_ms;
        size_t count = 0;
        for (; i < self->leaving_count && self->leaving[i].remove_at_ms == at_ms; i++)
            seqs[count++] = self->leaving[i].seq;
        bind_int(self, ST_PUT_SWEEP, 1, at_ms);
        bind_int(self, ST_PUT_SWEEP, 2, (int64_t)self->sweep_number++);
        bind_blob(self, ST_PUT_SWEEP, 3, slice(seqs, count * sizeof *seqs));
        rc = sqlite_run(self, ST_PUT_SWEEP);
    }
    free(seqs);
    self->leaving_count = 0;
    return rc;
}

static int cut(sqlite_store_t *self, statement_t statement, uint64_t seq)
{
    bind_int(self, statement, 1, (int64_t)seq);
    return sqlite_run(self, statement);
}

int sqlite_remove(sqlite_store_t *self, uint64_t seq, bool tried)
{
    if (tried &&
        (cut(self, ST_CUT_TRIES, seq) != STORE_OK || cut(self, ST_CUT_ATTEMPTS, seq) != STORE_OK))
        return STORE_FAILED;
    return cut(self, ST_CUT_TASK, seq);
}

/*  Removes an ended task, if it is still the end that this sweep row was written for. */
static int sweep_task(sqlite_store_t *self, uint64_t seq, int64_t now_ms)
{
    bind_int(self, ST_GET_DONE, 1, (int64_t)seq);
    int row = sqlite_row(self, ST_GET_DONE);
    if (row <= 0)
        return row;
    sqlite3_stmt *st = self->statements[ST_GET_DONE];
    reeve_state_t state = (reeve_state_t)sqlite3_column_int(st, 0);
    int64_t remove_at_ms = sqlite3_column_int64(st, 1);
    bool tried = sqlite3_column_int(st, 2) > 1 || state != REEVE_STATE_SUCCESS;
    sqlite_done(self, ST_GET_DONE);
    if (remove_at_ms == 0 || remove_at_ms > now_ms)
        return STORE_OK;
    if (cut(self, ST_CUT_DONE, seq) != STORE_OK)
        return STORE_FAILED;
    return sqlite_remove(self, seq, tried);
}

/*  Takes up to `budget` tasks off the oldest due sweep row; writes back what is left of it. */
static int sweep(sqlite_store_t *self, int64_t now_ms, int budget, bool *more)
{
    bind_int(self, ST_GET_SWEEP, 1, now_ms);
    int row = sqlite_row(self, ST_GET_SWEEP);
    if (row <= 0)
        return row;
    sqlite3_stmt *st = self->statements[ST_GET_SWEEP];
    int64_t at_ms = sqlite3_column_int64(st, 0), number = sqlite3_column_int64(st, 1);
    slice_t blob = column_slice(st, 2);
    size_t count = blob.size / sizeof(uint64_t);
    uint64_t *seqs = mem_alloc(blob.size);
    if (blob.size)
        memcpy(seqs, blob.data, count * sizeof *seqs);
    sqlite_done(self, ST_GET_SWEEP);

    int rc = STORE_OK;
    size_t taken = 0;
    for (; taken < count && taken < (size_t)budget && rc == STORE_OK; taken++)
        rc = sweep_task(self, seqs[taken], now_ms);
    statement_t put = taken < count ? ST_PUT_SWEEP : ST_CUT_SWEEP;
    bind_int(self, put, 1, at_ms);
    bind_int(self, put, 2, number);
    if (taken < count)
        bind_blob(self, put, 3, slice(seqs + taken, (count - taken) * sizeof *seqs));
    if (rc == STORE_OK)
        rc = sqlite_run(self, put);
    free(seqs);
    *more = true;
    return rc;
}

int sqlite_maintain(store_t *store, int64_t now_ms, int budget, bool *more)
{
    sqlite_store_t *self = (sqlite_store_t *)store;
    *more = false;
    if (sweep(self, now_ms, budget, more) != STORE_OK)
        return STORE_FAILED;
    int rc = id_index_step(self->ids, (size_t)budget * ID_STEP_PER_TASK);
    *more = *more || id_index_busy(self->ids);
    return sqlite_check_index(self, rc);
}
