/*  What the files of the SQLite store share. */

#ifndef REEVE_BROKER_STORE_SQLITE_INSIDE_H
#define REEVE_BROKER_STORE_SQLITE_INSIDE_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "broker/store/id_hash.h"
#include "broker/store/id_index.h"
#include "broker/store/sqlite.h"
#include "broker/store/sqlite_checkpoint.h"
#include "broker/store/sqlite_lease.h"

/*  How long a write waits for another program that holds the lock, such as an administrator's. */
enum { BUSY_MS = 30 * 1000 };

/*  What sqlite_read.c makes a record of. */
#define RECORD_COLUMNS                                                                             \
    "task.id, queue_id, name, origin, priority, created_ms, run_at_ms, expires_ms, timeout_ms, "   \
    "backoff_ms, max_retries, body_kind, reply_to, body"

/*  Prepared statements: X (name, SQL). 4398046511103 is KEY_SEQ_MAX. */
#define STATEMENTS(X)                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(GET_META, "SELECT value FROM meta WHERE key = ?")                                            \
    X(PUT_META, "REPLACE INTO meta VALUES (?, ?)")                                                 \
    X(PUT_QUEUE, "REPLACE INTO queue VALUES (?, ?, ?, ?, ?, ?)")                                   \
    X(PUT_TASKS, "INSERT OR ROLLBACK INTO task SELECT * FROM new_task")                            \
    X(GET_TASK, "SELECT seq, " RECORD_COLUMNS " FROM task WHERE seq = ?")                          \
    X(GET_ID, "SELECT id FROM task WHERE seq = ?")                                                 \
    X(PUT_READIES, "INSERT OR ROLLBACK INTO ready SELECT key FROM new_ready")                      \
    X(CUT_READY, "DELETE FROM ready WHERE key BETWEEN ? AND ?")                                    \
    X(GET_READY, "SELECT 1 FROM ready WHERE key = ?")                                              \
    X(PUT_SCHEDULED, "INSERT INTO scheduled VALUES (?, ?)")                                        \
    X(CUT_SCHEDULED, "DELETE FROM scheduled WHERE seq = ?")                                        \
    X(GET_SCHEDULED, "SELECT due_ms FROM scheduled WHERE seq = ?")                                 \
    X(PUT_EXPIRY, "INSERT INTO expiry VALUES (?, ?)")                                              \
    X(CUT_EXPIRY, "DELETE FROM expiry WHERE expires_ms = ? AND seq = ?")                           \
    X(PUT_LEASES, "REPLACE INTO lease_batch VALUES (?, ?)")                                        \
    X(CUT_LEASES, "DELETE FROM lease_batch WHERE number = ?")                                      \
    X(PUT_TRIES, "REPLACE INTO tries VALUES (?, ?, ?, ?)")                                         \
    X(GET_TRIES, "SELECT attempts, failures, deaths FROM tries WHERE seq = ?")                     \
    X(PUT_ATTEMPT, "REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                   \
    X(GET_ATTEMPTS, "SELECT number, ending, worker, started_ms, ended_ms, duration_ms, reason, "   \
                    "error, traceback FROM attempt WHERE seq = ? ORDER BY number")                 \
    X(PUT_DONES, "INSERT OR ROLLBACK INTO done SELECT * FROM new_done")                            \
    X(CUT_DONE, "DELETE FROM done WHERE seq = ?")                                                  \
    X(GET_DONE, "SELECT state, remove_at_ms, attempts, ending, worker, started_ms, ended_ms, "     \
                "duration_ms, result_kind, result, reason, error, traceback FROM done "            \
                "WHERE seq = ?")                                                                   \
    X(PUT_DEAD, "INSERT INTO dead VALUES (?)")                                                     \
    X(CUT_DEAD, "DELETE FROM dead WHERE key = ?")                                                  \
    X(CUT_TASKS, "DELETE FROM task WHERE seq BETWEEN ? AND ?")                                     \
    X(CUT_DONES, "DELETE FROM done WHERE seq BETWEEN ? AND ?")                                     \
    X(CUT_TRIES, "DELETE FROM tries WHERE seq BETWEEN ? AND ?")                                    \
    X(CUT_ATTEMPTS, "DELETE FROM attempt WHERE seq BETWEEN ? AND ?")                               \
    X(PUT_SWEEP, "REPLACE INTO sweep VALUES (?, ?, ?)")                                            \
    X(CUT_SWEEP, "DELETE FROM sweep WHERE remove_at_ms = ? AND number = ?")                        \
    X(GET_SWEEP, "SELECT remove_at_ms, number, seqs FROM sweep WHERE remove_at_ms <= ? LIMIT 1")   \
    X(PAGE_READY, "SELECT task.seq, " RECORD_COLUMNS ", attempts, failures, deaths FROM ready "    \
                  "CROSS JOIN task ON task.seq = key & 4398046511103 "                             \
                  "LEFT JOIN tries ON tries.seq = task.seq "                                       \
                  "WHERE key > ? AND key < ? ORDER BY key")                                        \
    X(COUNT_AHEAD, "SELECT count(*) FROM "                                                         \
                   "(SELECT 1 FROM ready WHERE key >= ? AND key < ? LIMIT ?)")                     \
    X(PAGE_DEAD, "SELECT key FROM dead WHERE key > ? AND key < ? ORDER BY key LIMIT ?")            \
    X(PAGE_DUE, "SELECT seq, due_ms FROM scheduled WHERE due_ms <= ? ORDER BY due_ms LIMIT ?")     \
    X(PAGE_EXPIRED, "SELECT seq FROM expiry WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?")    \
    X(NEXT_DUE, "SELECT min(due_ms) FROM scheduled WHERE due_ms > ?")                              \
    X(COUNT_FREE, "PRAGMA freelist_count")                                                         \
    X(GIVE_BACK, "PRAGMA incremental_vacuum(256)")                                                 \
    X(NEXT_EXPIRY, "SELECT expires_ms FROM expiry WHERE expires_ms > ? LIMIT 1")

typedef enum statement {
#define X(name, sql) ST_##name,
    STATEMENTS(X)
#undef X
        ST_COUNT
} statement_t;

/*  Keys of `ready` that are collected (sqlite_rows.c). */
typedef struct key_list {
    uint64_t *items;
    size_t count, capacity;
    bool sorted;
} key_list_t;

/*  A queue as this transaction leaves it. */
typedef struct counter {
    char *name;
    int64_t waiting, scheduled, dead, bytes;
    bool dirty;
} counter_t;

/*  A task that ended in this transaction and when it may be removed. */
typedef struct leaving {
    int64_t remove_at_ms;
    uint64_t seq;
} leaving_t;

typedef struct sqlite_store {
    store_t base;
    sqlite3 *db;
    int lock_fd;
    sqlite3_stmt *statements[ST_COUNT];
    uint32_t bound[ST_COUNT]; /* the parameters that are not NULL, as bits from 1 on */
    store_identity_t identity;
    uint64_t reserved_seq; /* numbers below this are reserved in meta */
    counter_t *counters;   /* by queue id */
    size_t counter_capacity;
    uint32_t *dirty;
    size_t dirty_count, dirty_capacity;
    leaving_t *leaving;
    size_t leaving_count, leaving_capacity;
    const record_t **new_tasks;
    size_t new_task_count, new_task_capacity;
    change_t *new_dones;
    size_t new_done_count, new_done_capacity;
    key_list_t ready_put, ready_cut;
    uint64_t first_put_seq; /* the lowest in ready_put */
    leases_t *leases;
    id_index_t *ids;
    size_t added;                 /* tasks in this transaction */
    bool moved;                   /* see sqlite_store_is_moved */
    bool giving_back;             /* until the files are shorter */
    bool checkpoint_due;          /* for that */
    checkpointer_t *checkpointer; /* NULL: checkpoints are made within commits */
    int wal_pages;                /* after the last commit */
    atomic_uint_fast64_t commits; /* that wrote something */
    char error[512];
    int error_code; /* SQLite's, of the first failure */
    /* the syncing thread's (sqlite_sync.c) */
    sqlite3_file *log;
    uint64_t synced; /* commits */
    char sync_error[128];
    atomic_bool sync_failed; /* set after sync_error */
} sqlite_store_t;

/*  Runs a statement that returns no rows. Bindings: see bind_… */
int sqlite_run(sqlite_store_t *self, statement_t statement);
/*  Steps to the next row: 1 row, 0 none (and resets), STORE_FAILED. */
int sqlite_row(sqlite_store_t *self, statement_t statement);
void sqlite_done(sqlite_store_t *self, statement_t statement);
/*  Notes what failed. Returns STORE_FAILED. */
int sqlite_fail(sqlite_store_t *self, const char *what);
/*  The same where we found it out ourselves, so that SQLite need not know. */
int sqlite_fail_with(sqlite_store_t *self, const char *what, int rc);
int sqlite_check_index(sqlite_store_t *self, int rc);

void bind_int(sqlite_store_t *self, statement_t statement, int at, int64_t value);
void bind_opt(sqlite_store_t *self, statement_t statement, int at, int64_t value); /* 0: NULL */
/*  The bytes must live until the statement ran. Empty: NULL. */
void bind_text(sqlite_store_t *self, statement_t statement, int at, slice_t text);
void bind_blob(sqlite_store_t *self, statement_t statement, int at, slice_t blob);
slice_t column_slice(sqlite3_stmt *statement, int at);

/*  sqlite_read.c: the reading half of store_ops_t. */
int sqlite_recover(store_t *store, const store_recovery_t *recovery);
int sqlite_find(store_t *store, slice_t id, page_t *out);
int sqlite_load(store_t *store, uint32_t queue_id, uint64_t after, page_t *out);
int sqlite_due(store_t *store, int64_t until_ms, page_t *out);
int sqlite_dead(store_t *store, uint32_t queue_id, uint64_t after, size_t limit, page_t *out);
int sqlite_biography(store_t *store, slice_t id, biography_t *out);
int sqlite_count_ahead(store_t *store, const record_t *record, size_t limit, size_t *count);

/*  sqlite_rows.c. Before the statements are prepared. */
int rows_register(sqlite_store_t *self);
/*  The record, and what the change points to, must live until the transaction ends. */
void rows_put_task(sqlite_store_t *self, const record_t *record);
void rows_put_done(sqlite_store_t *self, const change_t *change);
/*  A key may be put when it is not there, and cut when it is. `fresh`: never there before. */
int rows_put_ready(sqlite_store_t *self, uint64_t key, bool fresh);
int rows_cut_ready(sqlite_store_t *self, uint64_t key);
/*  Carries out what was collected; before every other look at task, done or ready (id_index_step looks at
    task), and at the end of a transaction. */
int rows_flush(sqlite_store_t *self);
void rows_free(sqlite_store_t *self);

/*  sqlite_maintain.c */
int sqlite_maintain(store_t *store, int64_t now_ms, int budget, bool *more);
int sqlite_write_leaving(sqlite_store_t *self);
/*  Removes the tasks of these numbers, which have ended, with all that is kept of them. */
int sqlite_remove(sqlite_store_t *self, uint64_t first, uint64_t last);

/*  sqlite_sync.c. To be opened when the log is there, after a first commit. */
int sqlite_sync_open(sqlite_store_t *self);
void sqlite_sync_close(sqlite_store_t *self);
int sqlite_sync(store_t *store);

/*  sqlite_open.c */
int sqlite_put_meta(sqlite_store_t *self, const char *key, slice_t blob, int64_t number);
int sqlite_name_lock(sqlite_store_t *self);

/*  sqlite.c */
sqlite_store_t *sqlite_new(void);
int sqlite_prepare(sqlite_store_t *self);
/*  The queue's counter; room is made for it. Nameless until named. */
counter_t *sqlite_counter(sqlite_store_t *self, uint32_t queue_id);

#endif
