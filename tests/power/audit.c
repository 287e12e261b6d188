#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "common/mem.h"
#include "tests/power/audit.h"
#include "tests/power/give_up.h"

#define SEQ_OF_KEY "(key & 4398046511103)"

/*  A statement of what holds, and a count of the exceptions. */
static const struct {
    const char *rule, *exceptions;
} rules[] = {
    {"SQLite finds it intact", "SELECT count(*) FROM pragma_integrity_check "
                               "WHERE integrity_check <> 'ok'"},
    {"a task is in one state", "SELECT count(*) FROM task LEFT JOIN place USING (seq) GROUP BY seq "
                               "HAVING count(table_name) <> 1"},
    {"a state is of a task", "SELECT count(*) FROM place WHERE seq NOT IN (SELECT seq FROM task)"},
    {"the order of running is that of queue, priority and number",
     "SELECT count(*) FROM ready JOIN task ON seq = " SEQ_OF_KEY
     " WHERE key <> ((queue_id << 46) | ((15 - priority) << 42) | seq)"},
    {"waiting is counted", "SELECT count(*) FROM queue WHERE waiting <> "
                           "(SELECT count(*) FROM task JOIN place USING (seq) WHERE queue_id = "
                           "queue.id AND table_name = 'ready')"},
    {"scheduled is counted",
     "SELECT count(*) FROM queue WHERE scheduled <> "
     "(SELECT count(*) FROM task JOIN place USING (seq) WHERE queue_id = queue.id AND table_name = "
     "'scheduled')"},
    {"dead letters are counted",
     "SELECT count(*) FROM queue WHERE dead <> (SELECT count(*) FROM task JOIN done USING (seq) "
     "WHERE queue_id = queue.id AND state = 5)"},
    {"bytes of what is not ended are counted",
     "SELECT count(*) FROM queue WHERE bytes <> (SELECT ifnull(sum(length(body)), 0) FROM task "
     "WHERE queue_id = queue.id AND seq NOT IN (SELECT seq FROM done))"},
    {"a dead letter is a failed task", "SELECT count(*) FROM (SELECT " SEQ_OF_KEY
                                       " AS seq FROM dead EXCEPT SELECT seq FROM done WHERE "
                                       "state = 5)"},
    {"a failed task is a dead letter",
     "SELECT count(*) FROM (SELECT seq FROM done WHERE state = 5 EXCEPT SELECT " SEQ_OF_KEY
     " FROM dead)"},
    {"what expires while it waits is noted",
     "SELECT count(*) FROM (SELECT expires_ms, seq FROM task JOIN place USING (seq) "
     "WHERE expires_ms AND table_name IN ('ready', 'scheduled') EXCEPT SELECT expires_ms, seq FROM "
     "expiry)"},
    {"nothing else is noted to expire",
     "SELECT count(*) FROM (SELECT expires_ms, seq FROM expiry EXCEPT SELECT expires_ms, seq FROM "
     "task JOIN place USING (seq) WHERE table_name IN ('ready', 'scheduled'))"},
    {"tries are of a task", "SELECT count(*) FROM tries WHERE seq NOT IN (SELECT seq FROM task)"},
    {"attempts are of a task",
     "SELECT count(*) FROM attempt WHERE seq NOT IN (SELECT seq FROM task)"},
    {"numbers are below the next one", "SELECT count(*) FROM task WHERE seq >= "
                                       "(SELECT value FROM meta WHERE meta.key = 'next_seq')"},
    {"rows of the id index are of a run",
     "SELECT count(*) FROM id_chunk WHERE key >> 24 NOT IN (SELECT run FROM id_run)"},
};

static const char places[] =
    "CREATE TEMP TABLE leased (seq INTEGER PRIMARY KEY);"
    "CREATE TEMP VIEW place AS SELECT " SEQ_OF_KEY " AS seq, iif(" SEQ_OF_KEY
    " IN (SELECT seq FROM leased), 'lease', 'ready') AS table_name FROM ready "
    "UNION ALL SELECT seq, 'scheduled' FROM scheduled UNION ALL SELECT seq, 'done' FROM done";

static sqlite3_stmt *query(sqlite3 *db, const char *sql, const char *what)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        give_up("%s: %s: %s", what, sql, sqlite3_errmsg(db));
    return st;
}

/*  Reads one more row. */
static bool row(sqlite3_stmt *st, const char *what)
{
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        give_up("%s: %s: %s", what, sqlite3_sql(st), sqlite3_errmsg(sqlite3_db_handle(st)));
    return rc == SQLITE_ROW;
}

static uint64_t number_at(const uint8_t *bytes, int size)
{
    uint64_t number = 0;
    while (size-- > 0)
        number = number << 8 | bytes[size];
    return number;
}

/*  One lease holds while its task is in `ready` and has had no later attempt; no two of a task do. */
static void note_lease(sqlite3 *db, uint64_t seq, uint64_t attempt, const char *what)
{
    static const char sql[] =
        "INSERT INTO leased SELECT ?1 WHERE ?1 IN (SELECT " SEQ_OF_KEY " FROM ready) "
        "AND ?2 > ifnull((SELECT attempts FROM tries WHERE seq = ?1), 0)";
    sqlite3_stmt *st = query(db, sql, what);
    sqlite3_bind_int64(st, 1, (int64_t)seq);
    sqlite3_bind_int64(st, 2, (int64_t)attempt);
    row(st, what);
    sqlite3_finalize(st);
}

static void note_leases(sqlite3 *db, const char *what)
{
    enum { ENTRY = 22 };
    sqlite3_stmt *st = query(db, "SELECT leases FROM lease_batch", what);
    while (row(st, what)) {
        const uint8_t *bytes = sqlite3_column_blob(st, 0);
        size_t size = (size_t)sqlite3_column_bytes(st, 0), at = 0;
        while (at + ENTRY <= size) {
            note_lease(db, number_at(bytes + at, 8), number_at(bytes + at + 8, 4), what);
            at += ENTRY + number_at(bytes + at + 20, 2);
        }
        if (at != size || size == 0)
            give_up("%s: a row of lease_batch is not whole", what);
    }
    sqlite3_finalize(st);
}

typedef struct going {
    int64_t seq, at_ms;
} going_t;

/*  Whoever may be removed one day is in a sweep of that second. */
static void audit_sweeps(sqlite3 *db, const char *what)
{
    going_t *going = NULL;
    size_t count = 0;
    sqlite3_stmt *st = query(db, "SELECT remove_at_ms, seqs FROM sweep", what);
    while (row(st, what)) {
        const uint8_t *bytes = sqlite3_column_blob(st, 1);
        size_t more = (size_t)sqlite3_column_bytes(st, 1) / 8;
        going = mem_realloc(going, (count + more + 1) * sizeof *going);
        for (size_t i = 0; i < more; i++) {
            uint64_t seq;
            memcpy(&seq, bytes + 8 * i, sizeof seq);
            going[count++] = (going_t){(int64_t)le64toh(seq), sqlite3_column_int64(st, 0)};
        }
    }
    sqlite3_finalize(st);
    st = query(db, "SELECT seq, remove_at_ms FROM done WHERE remove_at_ms", what);
    while (row(st, what)) {
        int64_t seq = sqlite3_column_int64(st, 0), at_ms = sqlite3_column_int64(st, 1);
        bool noted = false;
        for (size_t i = 0; i < count; i++)
            noted |=
                going[i].seq == seq && going[i].at_ms >= at_ms && going[i].at_ms < at_ms + 1000;
        if (!noted)
            give_up("%s: nobody will remove task number %d", what, (int)seq);
    }
    sqlite3_finalize(st);
    free(going);
}

void audit_database(const char *path, const char *what)
{
    sqlite3 *db;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_exec(db, places, NULL, NULL, NULL) != SQLITE_OK)
        give_up("%s: %s", what, sqlite3_errmsg(db));
    note_leases(db, what);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        sqlite3_stmt *st = query(db, rules[i].exceptions, what);
        if (row(st, what) && sqlite3_column_int64(st, 0) != 0)
            give_up("%s: not true that %s", what, rules[i].rule);
        sqlite3_finalize(st);
    }
    audit_sweeps(db, what);
    sqlite3_close(db);
}

int64_t audit_count(const char *path, const char *sql)
{
    sqlite3 *db;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        give_up("%s: %s", path, sqlite3_errmsg(db));
    sqlite3_stmt *st = query(db, sql, path);
    int64_t count = row(st, path) ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    sqlite3_close(db);
    return count;
}
