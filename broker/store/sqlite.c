/*  The writing half of the SQLite store: statements, transactions, and one move of one task. */

#include "broker/store/sqlite_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"

enum { SEQ_RESERVE = 1 << 20 };

static sqlite_store_t *self_of(store_t *store)
{
    return (sqlite_store_t *)store;
}

/* ---- statements ----------------------------------------------------------------------------- */

/*  The first failure counts: others may follow from it. */
static int fail(sqlite_store_t *self, const char *what, const char *text, int rc)
{
    if (self->error[0] == '\0') {
        snprintf(self->error, sizeof self->error, "%s: %s (SQLite error %d)", what, text, rc);
        self->error_code = rc;
    }
    return STORE_FAILED;
}

int sqlite_fail(sqlite_store_t *self, const char *what)
{
    return fail(self, what, sqlite3_errmsg(self->db), sqlite3_extended_errcode(self->db));
}

static const char *const sql[ST_COUNT] = {
#define X(name, text) [ST_##name] = text,
    STATEMENTS(X)
#undef X
};

/*  Bindings outlive a run, and most columns that may be NULL are so again and again. */
static void bind_null(sqlite_store_t *self, statement_t statement, int at)
{
    if (self->bound[statement] & 1u << at)
        sqlite3_bind_null(self->statements[statement], at);
    self->bound[statement] &= ~(1u << at);
}

void bind_int(sqlite_store_t *self, statement_t statement, int at, int64_t value)
{
    self->bound[statement] |= 1u << at;
    sqlite3_bind_int64(self->statements[statement], at, value);
}

void bind_opt(sqlite_store_t *self, statement_t statement, int at, int64_t value)
{
    if (value)
        bind_int(self, statement, at, value);
    else
        bind_null(self, statement, at);
}

void bind_text(sqlite_store_t *self, statement_t statement, int at, slice_t text)
{
    if (text.size == 0) {
        bind_null(self, statement, at);
        return;
    }
    self->bound[statement] |= 1u << at;
    sqlite3_bind_text64(self->statements[statement], at, (const char *)text.data, text.size,
                        SQLITE_STATIC, SQLITE_UTF8);
}

void bind_blob(sqlite_store_t *self, statement_t statement, int at, slice_t blob)
{
    self->bound[statement] |= 1u << at;
    if (blob.size)
        sqlite3_bind_blob64(self->statements[statement], at, blob.data, blob.size, SQLITE_STATIC);
    else
        sqlite3_bind_zeroblob(self->statements[statement], at, 0);
}

slice_t column_slice(sqlite3_stmt *statement, int at)
{
    const void *data = sqlite3_column_blob(statement, at);
    return slice(data, (size_t)sqlite3_column_bytes(statement, at));
}

void sqlite_done(sqlite_store_t *self, statement_t statement)
{
    sqlite3_reset(self->statements[statement]);
}

int sqlite_row(sqlite_store_t *self, statement_t statement)
{
    int rc = sqlite3_step(self->statements[statement]);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        sqlite_fail(self, sql[statement]);
    sqlite_done(self, statement);
    return rc == SQLITE_DONE ? 0 : STORE_FAILED;
}

int sqlite_run(sqlite_store_t *self, statement_t statement)
{
    int row = sqlite_row(self, statement);
    if (row == 1)
        sqlite_done(self, statement);
    return row < 0 ? STORE_FAILED : STORE_OK;
}

int sqlite_fail_with(sqlite_store_t *self, const char *what, int rc)
{
    if (sqlite3_errcode(self->db) == (rc & 0xff))
        return sqlite_fail(self, what);
    return fail(self, what, sqlite3_errstr(rc), rc);
}

int sqlite_check_index(sqlite_store_t *self, int rc)
{
    return rc == SQLITE_OK ? STORE_OK : sqlite_fail_with(self, "id index", rc);
}

/*  Runs a statement whose one binding is an integer. */
static int run_int(sqlite_store_t *self, statement_t statement, uint64_t value)
{
    bind_int(self, statement, 1, (int64_t)value);
    return sqlite_run(self, statement);
}

/* ---- queue counters ------------------------------------------------------------------------- */

counter_t *sqlite_counter(sqlite_store_t *self, uint32_t queue_id)
{
    self->counters =
        mem_room(self->counters, &self->counter_capacity, queue_id, sizeof *self->counters);
    return &self->counters[queue_id];
}

/*  The counter of a record's queue, to be written at commit. */
static counter_t *counter_of(sqlite_store_t *self, const record_t *record)
{
    counter_t *counter = sqlite_counter(self, record->queue_id);
    if (counter->name == NULL)
        counter->name = mem_strndup(record->spec.queue.data, record->spec.queue.size);
    if (!counter->dirty) {
        counter->dirty = true;
        self->dirty =
            mem_room(self->dirty, &self->dirty_capacity, self->dirty_count, sizeof *self->dirty);
        self->dirty[self->dirty_count++] = record->queue_id;
    }
    return counter;
}

static void count(counter_t *counter, reeve_state_t state, int64_t by)
{
    if (state == REEVE_STATE_QUEUED)
        counter->waiting += by;
    else if (state == REEVE_STATE_SCHEDULED)
        counter->scheduled += by;
    else if (state == REEVE_STATE_FAILED)
        counter->dead += by;
}

static bool is_unfinished(reeve_state_t state)
{
    return state != REEVE_STATE_UNKNOWN && !reeve_state_is_final(state);
}

static void count_move(sqlite_store_t *self, const change_t *change)
{
    counter_t *counter = counter_of(self, change->record);
    count(counter, change->from, -1);
    count(counter, change->to, 1);
    int64_t size = (int64_t)change->record->spec.body.size;
    counter->bytes += size * (is_unfinished(change->to) - is_unfinished(change->from));
}

static int write_counters(sqlite_store_t *self)
{
    for (size_t i = 0; i < self->dirty_count; i++) {
        counter_t *counter = &self->counters[self->dirty[i]];
        counter->dirty = false;
        bind_int(self, ST_PUT_QUEUE, 1, self->dirty[i]);
        bind_text(self, ST_PUT_QUEUE, 2, slice_str(counter->name));
        bind_int(self, ST_PUT_QUEUE, 3, counter->waiting);
        bind_int(self, ST_PUT_QUEUE, 4, counter->scheduled);
        bind_int(self, ST_PUT_QUEUE, 5, counter->dead);
        bind_int(self, ST_PUT_QUEUE, 6, counter->bytes);
        if (sqlite_run(self, ST_PUT_QUEUE) != STORE_OK)
            return STORE_FAILED;
    }
    self->dirty_count = 0;
    return STORE_OK;
}

/* ---- one move of one task ------------------------------------------------------------------- */

/*  Keeps meta ahead of the numbers in use, a block at a time: a number is never used twice, also when
    the newest tasks are removed before a restart. */
static int reserve_seq(sqlite_store_t *self, uint64_t seq)
{
    if (seq < self->reserved_seq)
        return STORE_OK;
    self->reserved_seq = seq + SEQ_RESERVE;
    bind_text(self, ST_PUT_META, 1, slice_str("next_seq"));
    bind_int(self, ST_PUT_META, 2, (int64_t)self->reserved_seq);
    return sqlite_run(self, ST_PUT_META);
}

static int insert_task(sqlite_store_t *self, const record_t *record)
{
    rows_put_task(self, record);
    self->added++;
    if (reserve_seq(self, record->seq) != STORE_OK)
        return STORE_FAILED;
    return sqlite_check_index(
        self,
        id_index_add(self->ids, id_hash(self->identity.id_seed, record->spec.id), record->seq));
}

static int put_attempt(sqlite_store_t *self, uint64_t seq, const outcome_spec_t *outcome)
{
    statement_t st = ST_PUT_ATTEMPT;
    bind_int(self, st, 1, (int64_t)seq);
    bind_int(self, st, 2, outcome->attempt);
    bind_int(self, st, 3, outcome->ending);
    bind_text(self, st, 4, outcome->worker);
    bind_opt(self, st, 5, outcome->started_ms);
    bind_opt(self, st, 6, outcome->ended_ms);
    bind_opt(self, st, 7, outcome->duration_ms);
    bind_text(self, st, 8, outcome->reason);
    bind_text(self, st, 9, outcome->error);
    bind_text(self, st, 10, outcome->traceback);
    return sqlite_run(self, st);
}

static int cut_expiry(sqlite_store_t *self, const record_t *record)
{
    if (record->spec.expires_ms == 0)
        return STORE_OK;
    bind_int(self, ST_CUT_EXPIRY, 1, record->spec.expires_ms);
    bind_int(self, ST_CUT_EXPIRY, 2, (int64_t)record->seq);
    return sqlite_run(self, ST_CUT_EXPIRY);
}

static int leave_lease(sqlite_store_t *self, const change_t *change)
{
    uint64_t seq = change->record->seq;
    const lease_t *lease = leases_find(self->leases, seq);
    bool waits_again = change->to == REEVE_STATE_QUEUED;
    bool unseen = waits_again && lease && change->tries.attempts < lease_attempt(lease);
    leases_end(self->leases, seq, unseen);
    return waits_again ? STORE_OK : rows_cut_ready(self, record_key(change->record));
}

static int cut_done(sqlite_store_t *self, uint64_t seq)
{
    return rows_flush(self) == STORE_OK ? run_int(self, ST_CUT_DONE, seq) : STORE_FAILED;
}

static int leave(sqlite_store_t *self, const change_t *change)
{
    const record_t *record = change->record;
    switch (change->from) {
    case REEVE_STATE_UNKNOWN:
        return insert_task(self, record);
    case REEVE_STATE_QUEUED:
        if (change->to != REEVE_STATE_PROCESSING &&
            rows_cut_ready(self, record_key(record)) != STORE_OK)
            return STORE_FAILED;
        return cut_expiry(self, record);
    case REEVE_STATE_SCHEDULED:
        if (run_int(self, ST_CUT_SCHEDULED, record->seq) != STORE_OK)
            return STORE_FAILED;
        return cut_expiry(self, record);
    case REEVE_STATE_PROCESSING:
        if (change->outcome && change->to != REEVE_STATE_SUCCESS &&
            put_attempt(self, record->seq, &change->outcome->spec) != STORE_OK)
            return STORE_FAILED;
        return leave_lease(self, change);
    case REEVE_STATE_FAILED:
        if (run_int(self, ST_CUT_DEAD, dead_key(record)) != STORE_OK)
            return STORE_FAILED;
        return cut_done(self, record->seq);
    default:
        return cut_done(self, record->seq);
    }
}

static int put_tries(sqlite_store_t *self, const change_t *change)
{
    if (change->tries.attempts == 0)
        return STORE_OK;
    bind_int(self, ST_PUT_TRIES, 1, (int64_t)change->record->seq);
    bind_int(self, ST_PUT_TRIES, 2, change->tries.attempts);
    bind_int(self, ST_PUT_TRIES, 3, change->tries.failures);
    bind_int(self, ST_PUT_TRIES, 4, change->tries.deaths);
    return sqlite_run(self, ST_PUT_TRIES);
}

static int put_expiry(sqlite_store_t *self, const record_t *record)
{
    if (record->spec.expires_ms == 0)
        return STORE_OK;
    bind_int(self, ST_PUT_EXPIRY, 1, record->spec.expires_ms);
    bind_int(self, ST_PUT_EXPIRY, 2, (int64_t)record->seq);
    return sqlite_run(self, ST_PUT_EXPIRY);
}

static int put_waiting(sqlite_store_t *self, const change_t *change)
{
    const record_t *record = change->record;
    if (put_tries(self, change) != STORE_OK || put_expiry(self, record) != STORE_OK)
        return STORE_FAILED;
    if (change->to == REEVE_STATE_QUEUED) {
        bool is_there = change->from == REEVE_STATE_PROCESSING;
        bool fresh = change->from == REEVE_STATE_UNKNOWN;
        return is_there ? STORE_OK : rows_put_ready(self, record_key(record), fresh);
    }
    bind_int(self, ST_PUT_SCHEDULED, 1, (int64_t)record->seq);
    bind_int(self, ST_PUT_SCHEDULED, 2, change->at_ms);
    return sqlite_run(self, ST_PUT_SCHEDULED);
}

static void note_leaving(sqlite_store_t *self, const change_t *change)
{
    self->leaving = mem_room(self->leaving, &self->leaving_capacity, self->leaving_count,
                             sizeof *self->leaving);
    self->leaving[self->leaving_count++] = (leaving_t){change->at_ms, change->record->seq};
}

static int put_done(sqlite_store_t *self, const change_t *change)
{
    rows_put_done(self, change);
    if (change->at_ms)
        note_leaving(self, change);
    if (change->to != REEVE_STATE_FAILED)
        return STORE_OK;
    if (put_tries(self, change) != STORE_OK)
        return STORE_FAILED;
    return run_int(self, ST_PUT_DEAD, dead_key(change->record));
}

static int enter(sqlite_store_t *self, const change_t *change)
{
    switch (change->to) {
    case REEVE_STATE_QUEUED:
    case REEVE_STATE_SCHEDULED:
        return put_waiting(self, change);
    case REEVE_STATE_PROCESSING:
        leases_add(self->leases, change->record->seq, record_key(change->record),
                   change->tries.attempts, change->at_ms, slice_str(change->worker));
        return STORE_OK;
    case REEVE_STATE_UNKNOWN:
        return sqlite_remove(self, change->record->seq, change->record->seq);
    default:
        return put_done(self, change);
    }
}

static int apply(store_t *store, const change_t *change)
{
    sqlite_store_t *self = self_of(store);
    count_move(self, change);
    if (leave(self, change) != STORE_OK)
        return STORE_FAILED;
    return enter(self, change);
}

/* ---- transactions --------------------------------------------------------------------------- */

static int write_leases(sqlite_store_t *self)
{
    uint64_t number;
    uint8_t *blob;
    size_t size;
    int rc = STORE_OK;
    while (rc == STORE_OK && leases_next_row(self->leases, &number, &blob, &size)) {
        statement_t statement = blob ? ST_PUT_LEASES : ST_CUT_LEASES;
        bind_int(self, statement, 1, (int64_t)number);
        if (blob)
            bind_blob(self, statement, 2, slice(blob, size));
        rc = sqlite_run(self, statement);
        free(blob);
    }
    return rc;
}

static int begin(store_t *store)
{
    return sqlite_run(self_of(store), ST_BEGIN);
}

/*  Makes the files as short as their contents. Where somebody reads the database, as a backup does, it is not
    waited for: the next housekeeping asks again. */
static int truncate_files(sqlite_store_t *self)
{
    int rc = SQLITE_OK;
    if (self->checkpointer && !checkpointer_rests(self->checkpointer, &rc))
        return STORE_OK; /* the next commit does it */
    if (rc != SQLITE_OK)
        return sqlite_fail_with(self, "checkpoint", rc);
    self->checkpoint_due = false;
    sqlite3_busy_timeout(self->db, 0);
    rc = sqlite3_wal_checkpoint_v2(self->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(self->db, BUSY_MS);
    self->giving_back = rc == SQLITE_BUSY;
    return rc == SQLITE_OK || rc == SQLITE_BUSY ? STORE_OK : sqlite_fail(self, "checkpoint");
}

/*  Where the log has become long, moves it into the database. */
static int checkpoint_when_long(sqlite3 *db, int wal_pages)
{
    if (wal_pages < CHECKPOINT_PAGES)
        return SQLITE_OK;
    int rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return rc == SQLITE_BUSY ? SQLITE_OK : rc;
}

static int commit(store_t *store)
{
    sqlite_store_t *self = self_of(store);
    if (rows_flush(self) != STORE_OK || write_leases(self) != STORE_OK ||
        write_counters(self) != STORE_OK || sqlite_write_leaving(self) != STORE_OK)
        return STORE_FAILED;
    if (self->added) {
        int rc = id_index_step(self->ids, ID_STEP_BASE + self->added * ID_STEP_PER_TASK);
        self->added = 0;
        if (rc != SQLITE_OK)
            return sqlite_check_index(self, rc);
    }
    if (sqlite_run(self, ST_COMMIT) != STORE_OK)
        return STORE_FAILED;
    if (self->checkpoint_due)
        return truncate_files(self);
    int rc = self->checkpointer
                 ? checkpointer_committed(self->checkpointer, self->db, self->wal_pages)
                 : checkpoint_when_long(self->db, self->wal_pages);
    return rc == SQLITE_OK ? STORE_OK : sqlite_fail_with(self, "checkpoint", rc);
}

static const char *error_text(const store_t *store)
{
    const sqlite_store_t *self = (const sqlite_store_t *)store;
    return self->sync_failed ? self->sync_error : self->error;
}

static id_update_t *id_update(store_t *store)
{
    return id_index_take_update(self_of(store)->ids);
}

static const store_identity_t *identity(const store_t *store)
{
    return &((const sqlite_store_t *)store)->identity;
}

/*  SQLite moves the log into the database and removes it when the last connection closes. After a sync
    that failed it must stay as it is: that may have lost what earlier checkpoints copied without a
    sync, SQLite would copy only the rest again, and the next sync would not know. Opened again, all of
    the log counts. A full disk loses nothing, and has no room for both. */
static void keep_log_after(sqlite_store_t *self, int rc)
{
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_FULL)
        sqlite3_db_config(self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

static void close_store(store_t **store)
{
    sqlite_store_t *self = self_of(*store);
    keep_log_after(self, self->error_code);
    keep_log_after(self, self->sync_failed ? SQLITE_IOERR_FSYNC : SQLITE_OK);
    sqlite_sync_close(self);
    keep_log_after(self, checkpointer_stop(&self->checkpointer));
    if (self->ids)
        id_index_close(&self->ids);
    for (int i = 0; i < ST_COUNT; i++)
        sqlite3_finalize(self->statements[i]);
    sqlite3_close(self->db);
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    for (size_t i = 0; i < self->counter_capacity; i++)
        free(self->counters[i].name);
    free(self->counters);
    free(self->dirty);
    free(self->leaving);
    rows_free(self);
    leases_free(self->leases);
    free(self);
    *store = NULL;
}

static const store_ops_t ops = {
    .identity = identity,
    .recover = sqlite_recover,
    .begin = begin,
    .apply = apply,
    .commit = commit,
    .sync = sqlite_sync,
    .find = sqlite_find,
    .load = sqlite_load,
    .due = sqlite_due,
    .dead = sqlite_dead,
    .biography = sqlite_biography,
    .count_ahead = sqlite_count_ahead,
    .maintain = sqlite_maintain,
    .id_update = id_update,
    .error = error_text,
    .close = close_store,
};

sqlite_store_t *sqlite_new(void)
{
    sqlite_store_t *self = mem_zalloc(sizeof *self);
    self->base.ops = &ops;
    self->lock_fd = -1;
    self->leases = leases_new();
    return self;
}

int sqlite_prepare(sqlite_store_t *self)
{
    if (rows_register(self) != STORE_OK)
        return STORE_FAILED;
    for (int i = 0; i < ST_COUNT; i++)
        if (sqlite3_prepare_v3(self->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &self->statements[i], NULL) != SQLITE_OK)
            return sqlite_fail(self, sql[i]);
    return STORE_OK;
}
