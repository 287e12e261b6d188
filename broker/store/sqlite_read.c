/*  The reading half of the SQLite store: tasks by id, pages of them, recovery. */

#include <stdlib.h>

#include "broker/store/sqlite_inside.h"
#include "common/limits.h"
#include "common/mem.h"

static sqlite_store_t *self_of(store_t *store)
{
    return (sqlite_store_t *)store;
}

/*  The record in the row that a statement stands at: seq and RECORD_COLUMNS come first. */
static record_t *read_record(sqlite_store_t *self, statement_t statement)
{
    sqlite3_stmt *st = self->statements[statement];
    uint32_t queue_id = (uint32_t)sqlite3_column_int64(st, 2);
    const char *queue = queue_id < self->counter_capacity && self->counters[queue_id].name
                            ? self->counters[queue_id].name
                            : "";
    task_spec_t spec = {
        .id = column_slice(st, 1),
        .queue = slice_str(queue),
        .task_name = column_slice(st, 3),
        .origin = column_slice(st, 4),
        .priority = (uint8_t)sqlite3_column_int(st, 5),
        .created_ms = sqlite3_column_int64(st, 6),
        .run_at_ms = sqlite3_column_int64(st, 7),
        .expires_ms = sqlite3_column_int64(st, 8),
        .timeout_ms = sqlite3_column_int64(st, 9),
        .backoff_ms = sqlite3_column_int64(st, 10),
        .max_retries = sqlite3_column_int(st, 11) - 1,
        .body_kind = (uint8_t)sqlite3_column_int(st, 12),
        .reply_to = column_slice(st, 13),
        .body = column_slice(st, 14),
    };
    return record_new(&spec, (uint64_t)sqlite3_column_int64(st, 0), queue_id);
}

enum { TRIES_COLUMN = 15 }; /* in PAGE_READY: behind the record */

/*  The counters from three columns on; NULLs are zero. */
static tries_t read_tries(sqlite_store_t *self, statement_t statement, int column)
{
    sqlite3_stmt *st = self->statements[statement];
    return (tries_t){(uint32_t)sqlite3_column_int64(st, column),
                     (uint32_t)sqlite3_column_int64(st, column + 1),
                     (uint32_t)sqlite3_column_int64(st, column + 2)};
}

/*  The task's record, or NULL when there is no such row (*rc tells failure from absence). */
static record_t *get_record(sqlite_store_t *self, uint64_t seq, int *rc)
{
    bind_int(self, ST_GET_TASK, 1, (int64_t)seq);
    int row = sqlite_row(self, ST_GET_TASK);
    *rc = row < 0 ? STORE_FAILED : STORE_OK;
    if (row <= 0)
        return NULL;
    record_t *record = read_record(self, ST_GET_TASK);
    sqlite_done(self, ST_GET_TASK);
    return record;
}

static int get_tries(sqlite_store_t *self, uint64_t seq, tries_t *tries)
{
    bind_int(self, ST_GET_TRIES, 1, (int64_t)seq);
    int row = sqlite_row(self, ST_GET_TRIES);
    if (row == 1) {
        *tries = read_tries(self, ST_GET_TRIES, 0);
        sqlite_done(self, ST_GET_TRIES);
    }
    return row < 0 ? STORE_FAILED : STORE_OK;
}

/*  How the task ended, if it has: state, attempts and outcome. 1, 0 or STORE_FAILED. */
static int get_done(sqlite_store_t *self, loaded_t *loaded)
{
    bind_int(self, ST_GET_DONE, 1, (int64_t)loaded->record->seq);
    int row = sqlite_row(self, ST_GET_DONE);
    if (row <= 0)
        return row;
    sqlite3_stmt *st = self->statements[ST_GET_DONE];
    loaded->state = (reeve_state_t)sqlite3_column_int(st, 0);
    loaded->at_ms = sqlite3_column_int64(st, 1);
    loaded->tries.attempts = (uint32_t)sqlite3_column_int64(st, 2);
    int64_t started_ms = sqlite3_column_int64(st, 5);
    loaded->outcome = outcome_new(&(outcome_spec_t){
        .ending = (ending_t)sqlite3_column_int(st, 3),
        .attempt = started_ms ? loaded->tries.attempts : 0, /* it ended while it waited */
        .worker = column_slice(st, 4),
        .started_ms = started_ms,
        .ended_ms = sqlite3_column_int64(st, 6),
        .duration_ms = sqlite3_column_int64(st, 7),
        .result_kind = (uint8_t)sqlite3_column_int(st, 8),
        .result = column_slice(st, 9),
        .reason = column_slice(st, 10),
        .error = column_slice(st, 11),
        .traceback = column_slice(st, 12),
    });
    sqlite_done(self, ST_GET_DONE);
    return 1;
}

static int get_scheduled(sqlite_store_t *self, loaded_t *loaded)
{
    bind_int(self, ST_GET_SCHEDULED, 1, (int64_t)loaded->record->seq);
    int row = sqlite_row(self, ST_GET_SCHEDULED);
    if (row <= 0)
        return row;
    loaded->state = REEVE_STATE_SCHEDULED;
    loaded->at_ms = sqlite3_column_int64(self->statements[ST_GET_SCHEDULED], 0);
    sqlite_done(self, ST_GET_SCHEDULED);
    return 1;
}

/*  A task whatever its state: whether it is leased, or which of the tables has it. */
static int get_any(sqlite_store_t *self, uint64_t seq, loaded_t *loaded)
{
    int rc = rows_flush(self);
    loaded->record = rc == STORE_OK ? get_record(self, seq, &rc) : NULL;
    if (loaded->record == NULL)
        return rc;
    if (get_tries(self, seq, &loaded->tries) != STORE_OK)
        return STORE_FAILED;
    const lease_t *lease = leases_find(self->leases, seq);
    if (lease) {
        lease_tell(lease, loaded);
        return STORE_OK;
    }
    int found = get_done(self, loaded);
    if (found == 0)
        found = get_scheduled(self, loaded);
    if (found == 0)
        loaded->state = REEVE_STATE_QUEUED;
    return found < 0 ? STORE_FAILED : STORE_OK;
}

/*  Looking for the task of an id among those whose hash fits. */
typedef struct search {
    sqlite_store_t *self;
    slice_t id;
    uint64_t seq; /* found; 0 not yet */
    bool failed;
} search_t;

static bool is_it(void *context, uint64_t seq)
{
    search_t *search = context;
    sqlite_store_t *self = search->self;
    bind_int(self, ST_GET_ID, 1, (int64_t)seq);
    int row = rows_flush(self) == STORE_OK ? sqlite_row(self, ST_GET_ID) : STORE_FAILED;
    search->failed = row < 0;
    if (row == 1) {
        if (slice_eq(column_slice(self->statements[ST_GET_ID], 0), search->id))
            search->seq = seq;
        sqlite_done(self, ST_GET_ID);
    }
    return search->failed || search->seq != 0;
}

/*  The task's number by its id; 0 when there is none. */
static int seq_of(sqlite_store_t *self, slice_t id, uint64_t *seq)
{
    search_t search = {.self = self, .id = id};
    int rc = id_index_find(self->ids, id_hash(self->identity.id_seed, id), is_it, &search);
    *seq = search.seq;
    return search.failed ? STORE_FAILED : sqlite_check_index(self, rc);
}

int sqlite_find(store_t *store, slice_t id, page_t *out)
{
    sqlite_store_t *self = self_of(store);
    uint64_t seq;
    if (seq_of(self, id, &seq) != STORE_OK)
        return STORE_FAILED;
    return seq ? get_any(self, seq, page_add(out)) : STORE_OK;
}

/*  The keys a page statement yields, up to `limit`. */
static int get_keys(sqlite_store_t *self, statement_t statement, uint64_t *keys, size_t limit,
                    size_t *count)
{
    int row;
    *count = 0;
    while ((row = sqlite_row(self, statement)) == 1) {
        keys[(*count)++] = (uint64_t)sqlite3_column_int64(self->statements[statement], 0);
        if (*count == limit) {
            sqlite_done(self, statement);
            break;
        }
    }
    return row < 0 ? STORE_FAILED : STORE_OK;
}

/*  Up to `limit` waiting tasks of a queue behind the key `after`, in the order of running. */
static int read_page(sqlite_store_t *self, uint32_t queue_id, uint64_t after, size_t limit,
                     page_t *out)
{
    size_t bytes = 0;
    int row;
    uint64_t first = key_of(queue_id, 15, 0);
    bind_int(self, ST_PAGE_READY, 1, (int64_t)(after > first ? after : first));
    bind_int(self, ST_PAGE_READY, 2, (int64_t)key_of(queue_id + 1, 15, 0));
    if (rows_flush(self) != STORE_OK)
        return STORE_FAILED;
    while ((row = sqlite_row(self, ST_PAGE_READY)) == 1) {
        uint64_t seq = (uint64_t)sqlite3_column_int64(self->statements[ST_PAGE_READY], 0);
        if (leases_find(self->leases, seq))
            continue;
        if (out->count == limit || bytes > LIMIT_WINDOW_BYTES) {
            out->more = true;
            sqlite_done(self, ST_PAGE_READY);
            break;
        }
        loaded_t *loaded = page_add(out);
        loaded->record = read_record(self, ST_PAGE_READY);
        loaded->state = REEVE_STATE_QUEUED;
        loaded->tries = read_tries(self, ST_PAGE_READY, TRIES_COLUMN);
        bytes += loaded->record->spec.body.size;
    }
    return row < 0 ? STORE_FAILED : STORE_OK;
}

int sqlite_load(store_t *store, uint32_t queue_id, uint64_t after, page_t *out)
{
    return read_page(self_of(store), queue_id, after, LIMIT_PAGE_TASKS, out);
}

static int next_time(sqlite_store_t *self, statement_t statement, int64_t after_ms,
                     int64_t *next_ms)
{
    bind_int(self, statement, 1, after_ms);
    int row = sqlite_row(self, statement);
    if (row < 0)
        return STORE_FAILED;
    if (row == 1) {
        sqlite3_stmt *st = self->statements[statement];
        if (sqlite3_column_type(st, 0) != SQLITE_NULL && sqlite3_column_int64(st, 0) < *next_ms)
            *next_ms = sqlite3_column_int64(st, 0);
        sqlite_done(self, statement);
    }
    return STORE_OK;
}

/*  Adds the tasks of these keys until they are a window's bytes; *taken: of how many keys. */
static int read_tasks(sqlite_store_t *self, const uint64_t *keys, size_t count, page_t *out,
                      size_t *taken)
{
    size_t bytes = 0;
    for (*taken = 0; *taken < count && bytes <= LIMIT_WINDOW_BYTES; ++*taken) {
        loaded_t *loaded = page_add(out);
        if (get_any(self, keys[*taken] & KEY_SEQ_MAX, loaded) != STORE_OK)
            return STORE_FAILED;
        if (loaded->record)
            bytes += loaded->record->spec.body.size;
        else
            out->count--;
    }
    return STORE_OK;
}

int sqlite_due(store_t *store, int64_t until_ms, page_t *out)
{
    static const statement_t pages[] = {ST_PAGE_DUE, ST_PAGE_EXPIRED};
    sqlite_store_t *self = self_of(store);
    out->next_ms = INT64_MAX;
    for (int i = 0; i < 2; i++) {
        uint64_t seqs[LIMIT_PAGE_TASKS];
        size_t count, taken;
        bind_int(self, pages[i], 1, until_ms);
        bind_int(self, pages[i], 2, LIMIT_PAGE_TASKS);
        if (get_keys(self, pages[i], seqs, LIMIT_PAGE_TASKS, &count) != STORE_OK ||
            read_tasks(self, seqs, count, out, &taken) != STORE_OK)
            return STORE_FAILED;
        if (taken < count || count == LIMIT_PAGE_TASKS)
            out->next_ms = until_ms; /* ask again at once */
    }
    if (next_time(self, ST_NEXT_DUE, until_ms, &out->next_ms) != STORE_OK)
        return STORE_FAILED;
    return next_time(self, ST_NEXT_EXPIRY, until_ms, &out->next_ms);
}

int sqlite_dead(store_t *store, uint32_t queue_id, uint64_t after, size_t limit, page_t *out)
{
    sqlite_store_t *self = self_of(store);
    uint64_t *keys = mem_alloc(limit * sizeof *keys);
    size_t count, taken = 0;
    uint64_t low = queue_id ? key_of(queue_id, 15, 0) : 0;
    uint64_t high = queue_id ? key_of(queue_id + 1, 15, 0) : INT64_MAX;
    bind_int(self, ST_PAGE_DEAD, 1, (int64_t)(after > low ? after : low));
    bind_int(self, ST_PAGE_DEAD, 2, (int64_t)high);
    bind_int(self, ST_PAGE_DEAD, 3, (int64_t)limit);
    int rc = get_keys(self, ST_PAGE_DEAD, keys, limit, &count);
    if (rc == STORE_OK)
        rc = read_tasks(self, keys, count, out, &taken);
    if (taken > 0 && (taken < count || count == limit))
        out->next = keys[taken - 1];
    free(keys);
    return rc;
}

static int get_attempts(sqlite_store_t *self, biography_t *out)
{
    sqlite3_stmt *st = self->statements[ST_GET_ATTEMPTS];
    bind_int(self, ST_GET_ATTEMPTS, 1, (int64_t)out->task.record->seq);
    int row;
    while ((row = sqlite_row(self, ST_GET_ATTEMPTS)) == 1) {
        out->attempts =
            mem_realloc(out->attempts, (out->attempt_count + 1) * sizeof *out->attempts);
        out->attempts[out->attempt_count++] = outcome_new(&(outcome_spec_t){
            .attempt = (uint32_t)sqlite3_column_int64(st, 0),
            .ending = (ending_t)sqlite3_column_int(st, 1),
            .worker = column_slice(st, 2),
            .started_ms = sqlite3_column_int64(st, 3),
            .ended_ms = sqlite3_column_int64(st, 4),
            .duration_ms = sqlite3_column_int64(st, 5),
            .reason = column_slice(st, 6),
            .error = column_slice(st, 7),
            .traceback = column_slice(st, 8),
        });
    }
    return row < 0 ? STORE_FAILED : STORE_OK;
}

int sqlite_biography(store_t *store, slice_t id, biography_t *out)
{
    sqlite_store_t *self = self_of(store);
    uint64_t seq;
    if (seq_of(self, id, &seq) != STORE_OK)
        return STORE_FAILED;
    if (seq == 0)
        return STORE_OK;
    if (get_any(self, seq, &out->task) != STORE_OK)
        return STORE_FAILED;
    out->found = out->task.record != NULL;
    return out->found ? get_attempts(self, out) : STORE_OK;
}

int sqlite_count_ahead(store_t *store, const record_t *record, size_t limit, size_t *count)
{
    sqlite_store_t *self = self_of(store);
    uint64_t from = key_of(record->queue_id, 15, 0), to = record_key(record);
    size_t leased = leases_count(self->leases, from, to);
    bind_int(self, ST_COUNT_AHEAD, 1, (int64_t)from);
    bind_int(self, ST_COUNT_AHEAD, 2, (int64_t)to);
    bind_int(self, ST_COUNT_AHEAD, 3, (int64_t)(limit + leased));
    if (rows_flush(self) != STORE_OK || sqlite_row(self, ST_COUNT_AHEAD) != 1)
        return STORE_FAILED;
    size_t found = (size_t)sqlite3_column_int64(self->statements[ST_COUNT_AHEAD], 0);
    *count = found - leased < limit ? found - leased : limit;
    sqlite_done(self, ST_COUNT_AHEAD);
    return STORE_OK;
}

/* ---- recovery ------------------------------------------------------------------------------- */

static void remember_queue(sqlite_store_t *self, const stored_queue_t *queue)
{
    *sqlite_counter(self, queue->id) = (counter_t){.name = mem_strdup(queue->name),
                                                   .waiting = (int64_t)queue->waiting,
                                                   .scheduled = (int64_t)queue->scheduled,
                                                   .dead = (int64_t)queue->dead,
                                                   .bytes = (int64_t)queue->bytes};
}

/*  Since when the queue's next task waits. */
static int get_oldest(sqlite_store_t *self, stored_queue_t *queue)
{
    page_t page = {0};
    int rc = queue->waiting ? read_page(self, queue->id, 0, 1, &page) : STORE_OK;
    if (page.count)
        queue->oldest_ms = record_waits_since_ms(page.items[0].record);
    page_fini(&page);
    return rc;
}

static int recover_queues(sqlite_store_t *self)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(self->db, "SELECT id, name, waiting, scheduled, dead, bytes FROM queue",
                           -1, &st, NULL) != SQLITE_OK)
        return sqlite_fail(self, "reading queues");
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        stored_queue_t queue = {.id = (uint32_t)sqlite3_column_int64(st, 0),
                                .name = (const char *)sqlite3_column_text(st, 1),
                                .waiting = (uint64_t)sqlite3_column_int64(st, 2),
                                .scheduled = (uint64_t)sqlite3_column_int64(st, 3),
                                .dead = (uint64_t)sqlite3_column_int64(st, 4),
                                .bytes = (uint64_t)sqlite3_column_int64(st, 5)};
        if (queue.name == NULL) { /* no memory for its final zero; or NULL, which cannot be */
            rc = sqlite3_errcode(self->db) == SQLITE_NOMEM ? SQLITE_NOMEM : SQLITE_CORRUPT;
            break;
        }
        remember_queue(self, &queue);
    }
    if (rc != SQLITE_DONE)
        sqlite_fail_with(self, "reading queues", rc);
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? STORE_OK : STORE_FAILED;
}

/*  Whether a lease on record holds still: 1, 0 or STORE_FAILED. */
static int holds(sqlite_store_t *self, const lease_entry_t *entry, const record_t *record)
{
    tries_t tries = {0};
    if (get_tries(self, entry->seq, &tries) != STORE_OK)
        return STORE_FAILED;
    bind_int(self, ST_GET_READY, 1, (int64_t)record_key(record));
    int row = sqlite_row(self, ST_GET_READY);
    if (row == 1)
        sqlite_done(self, ST_GET_READY);
    return row == 1 ? tries.attempts < entry->attempt : row;
}

static int recover_lease(sqlite_store_t *self, uint64_t number, const lease_entry_t *entry)
{
    int rc;
    record_t *record = get_record(self, entry->seq, &rc);
    int held = record ? holds(self, entry, record) : 0;
    if (held == 1)
        leases_restore(self->leases, number, entry, record_key(record));
    record_unref(&record);
    return held < 0 ? STORE_FAILED : rc;
}

static int recover_batch(sqlite_store_t *self, uint64_t number, slice_t row)
{
    lease_entry_t entry = {0};
    while (lease_entry_read(&row, &entry))
        if (recover_lease(self, number, &entry) != STORE_OK)
            return STORE_FAILED;
    if (row.size > 0)
        return sqlite_fail_with(self, "lease_batch: a row is malformed", SQLITE_CORRUPT);
    leases_restored(self->leases, number);
    return STORE_OK;
}

static int recover_leases(sqlite_store_t *self)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(self->db, "SELECT number, leases FROM lease_batch ORDER BY number", -1,
                           &st, NULL) != SQLITE_OK)
        return sqlite_fail(self, "reading leases");
    int rc, failed = STORE_OK;
    while (failed == STORE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
        failed = recover_batch(self, (uint64_t)sqlite3_column_int64(st, 0), column_slice(st, 1));
    if (failed == STORE_OK && rc != SQLITE_DONE)
        failed = sqlite_fail_with(self, "reading leases", rc);
    sqlite3_finalize(st);
    return failed;
}

/*  Behind the leases: a queue's oldest waiting task is none of these. */
static int tell_queues(sqlite_store_t *self, const store_recovery_t *recovery)
{
    for (uint32_t id = 0; id < self->counter_capacity; id++) {
        const counter_t *counter = &self->counters[id];
        if (counter->name == NULL)
            continue;
        stored_queue_t queue = {.id = id,
                                .name = counter->name,
                                .waiting = (uint64_t)counter->waiting,
                                .scheduled = (uint64_t)counter->scheduled,
                                .dead = (uint64_t)counter->dead,
                                .bytes = (uint64_t)counter->bytes};
        if (get_oldest(self, &queue) != STORE_OK)
            return STORE_FAILED;
        recovery->queue(&queue, recovery->arg);
    }
    return STORE_OK;
}

typedef struct telling {
    sqlite_store_t *self;
    const store_recovery_t *recovery;
    int rc;
} telling_t;

static void tell_lease(uint64_t seq, void *arg)
{
    telling_t *telling = arg;
    loaded_t loaded = {0};
    if (telling->rc == STORE_OK)
        telling->rc = get_any(telling->self, seq, &loaded);
    if (telling->rc == STORE_OK)
        telling->recovery->lease(&loaded, telling->recovery->arg);
    else
        loaded_fini(&loaded);
}

int sqlite_recover(store_t *store, const store_recovery_t *recovery)
{
    sqlite_store_t *self = self_of(store);
    if (recover_queues(self) != STORE_OK || recover_leases(self) != STORE_OK ||
        tell_queues(self, recovery) != STORE_OK)
        return STORE_FAILED;
    telling_t telling = {self, recovery, STORE_OK};
    leases_each(self->leases, tell_lease, &telling);
    return telling.rc;
}
