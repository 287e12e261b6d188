/*  Housekeeping of the SQLite store in small steps: retention, and the id index's merging. */

#include <endian.h>
#include <stdlib.h>

#include "broker/store/sqlite_inside.h"
#include "common/mem.h"

enum { FREE_PAGES_KEPT = 4096 };

static int by_time(const void *a, const void *b)
{
    const leaving_t *x = a, *y = b;
    int order = (x->remove_at_ms > y->remove_at_ms) - (x->remove_at_ms < y->remove_at_ms);
    return order ? order : (x->seq > y->seq) - (x->seq < y->seq);
}

/*  One sweep row for each second in which tasks of this commit may go: a row per commit and queue
    policy instead of an index entry per task. */
int sqlite_write_leaving(sqlite_store_t *self)
{
    if (self->leaving_count == 0)
        return STORE_OK;
    bool sorted = true; /* they mostly are: tasks end about as they came */
    for (size_t i = 0; i < self->leaving_count; i++) {
        self->leaving[i].remove_at_ms = (self->leaving[i].remove_at_ms + 999) / 1000 * 1000;
        sorted = sorted && (i == 0 || by_time(&self->leaving[i - 1], &self->leaving[i]) < 0);
    }
    if (!sorted)
        qsort(self->leaving, self->leaving_count, sizeof *self->leaving, by_time);
    uint64_t *seqs = mem_alloc(self->leaving_count * sizeof *seqs);
    int rc = STORE_OK;
    for (size_t i = 0; i < self->leaving_count && rc == STORE_OK;) {
        int64_t at_ms = self->leaving[i].remove_at_ms;
        uint64_t first = self->leaving[i].seq;
        size_t count = 0;
        for (; i < self->leaving_count && self->leaving[i].remove_at_ms == at_ms; i++)
            seqs[count++] = htole64(self->leaving[i].seq);
        bind_int(self, ST_PUT_SWEEP, 1, at_ms);
        bind_int(self, ST_PUT_SWEEP, 2, (int64_t)first);
        bind_blob(self, ST_PUT_SWEEP, 3, slice(seqs, count * sizeof *seqs));
        rc = sqlite_run(self, ST_PUT_SWEEP);
    }
    free(seqs);
    self->leaving_count = 0;
    return rc;
}

int sqlite_remove(sqlite_store_t *self, uint64_t first, uint64_t last)
{
    static const statement_t cuts[] = {ST_CUT_DONES, ST_CUT_TRIES, ST_CUT_ATTEMPTS, ST_CUT_TASKS};
    if (rows_flush(self) != STORE_OK)
        return STORE_FAILED;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        bind_int(self, cuts[i], 1, (int64_t)first);
        bind_int(self, cuts[i], 2, (int64_t)last);
        if (sqlite_run(self, cuts[i]) != STORE_OK)
            return STORE_FAILED;
    }
    return STORE_OK;
}

/*  No look at what they are: a sweep row holds ends that have no way back (dead letters are in none),
    and numbers are not used again. Tasks that ended together mostly came together, too: neighbours go
    in one step. */
static int remove_all(sqlite_store_t *self, const uint64_t *seqs, size_t count)
{
    for (size_t first = 0, i = 1; i <= count; i++) {
        if (i < count && seqs[i] == seqs[i - 1] + 1)
            continue;
        if (sqlite_remove(self, seqs[first], seqs[i - 1]) != STORE_OK)
            return STORE_FAILED;
        first = i;
    }
    return STORE_OK;
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

    size_t taken = count < (size_t)budget ? count : (size_t)budget;
    for (size_t i = 0; i < taken; i++)
        seqs[i] = le64toh(seqs[i]);
    int rc = remove_all(self, seqs, taken);
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

/*  Returns free pages to the file system, a few at a time, except some that will soon be used again.
    The file itself becomes shorter at the next checkpoint: one is due when all are returned. */
static int give_back(sqlite_store_t *self, bool *more)
{
    sqlite3_stmt *st = self->statements[ST_COUNT_FREE];
    int row = sqlite_row(self, ST_COUNT_FREE);
    if (row < 0)
        return STORE_FAILED;
    int64_t free_pages = sqlite3_column_int64(st, 0);
    sqlite_done(self, ST_COUNT_FREE);
    if (free_pages <= FREE_PAGES_KEPT) {
        self->checkpoint_due = self->giving_back;
        return STORE_OK;
    }
    self->giving_back = true;
    *more = true;
    while ((row = sqlite_row(self, ST_GIVE_BACK)) == 1) /* a row for each page */
        ;
    return row < 0 ? STORE_FAILED : STORE_OK;
}

int sqlite_maintain(store_t *store, int64_t now_ms, int budget, bool *more)
{
    sqlite_store_t *self = (sqlite_store_t *)store;
    *more = false;
    if (rows_flush(self) != STORE_OK || sweep(self, now_ms, budget, more) != STORE_OK)
        return STORE_FAILED;
    if (!*more && give_back(self, more) != STORE_OK)
        return STORE_FAILED;
    int rc = id_index_step(self->ids, (size_t)budget * ID_STEP_PER_TASK);
    *more = *more || id_index_busy(self->ids);
    return sqlite_check_index(self, rc);
}
