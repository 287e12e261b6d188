#include "broker/store/id_tables.h"

#include <stdlib.h>

#include "common/mem.h"

#define KEY_BITS 24

/*  X (name, SQL) */
#define STATEMENTS(X)                                                                              \
    X(BEGIN_RUN, "INSERT INTO id_run VALUES (?1, ?2, 0, 0, 0, ?3, ?4, 1)")                         \
    X(ADOPT_RUN, "UPDATE id_run SET min_seq = ?2, max_seq = ?3, count = ?4, doomed = 0"            \
                 " WHERE run = ?1")                                                                \
    X(DOOM_RUN, "UPDATE id_run SET doomed = 1 WHERE run = ?1")                                     \
    X(DROP_RUN, "DELETE FROM id_run WHERE run = ?1")                                               \
    X(EACH_RUN, "SELECT run, slice, min_seq, max_seq, count, chunks, blocks, doomed FROM id_run"   \
                " ORDER BY run")                                                                   \
    X(PUT, "INSERT INTO id_chunk VALUES (?1, ?2)")                                                 \
    X(GET, "SELECT data FROM id_chunk WHERE key = ?1")                                             \
    X(ERASE, "DELETE FROM id_chunk WHERE key >= ?1 AND key < ?2")                                  \
    X(SET_SEALED, "INSERT OR REPLACE INTO id_slice VALUES (?1, ?2)")                               \
    X(LOAD_SEALED, "SELECT slice, sealed_seq FROM id_slice")                                       \
    X(EACH_TASK, "SELECT seq, id FROM task WHERE seq > ?1 AND id IS NOT NULL ORDER BY seq")        \
    X(TASK_EXISTS, "SELECT 1 FROM task WHERE seq = ?1")                                            \
    X(OLDEST_TASK, "SELECT min(seq) FROM task")                                                    \
    X(LIVE_SEQS, "SELECT seq FROM task WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3")

enum {
#define X(name, sql) name,
    STATEMENTS(X)
#undef X
        STATEMENT_COUNT
};

static const char *const SQL[STATEMENT_COUNT] = {
#define X(name, sql) sql,
    STATEMENTS(X)
#undef X
};

struct id_tables {
    sqlite3_stmt *statements[STATEMENT_COUNT];
    sqlite3_stmt *got; /* GET, when it stands on the row that id_tables_get gave out */
};

int id_tables_open(id_tables_t **self_p, sqlite3 *db)
{
    id_tables_t *self = mem_zalloc(sizeof *self);
    for (int i = 0; i < STATEMENT_COUNT; ++i) {
        int rc = sqlite3_prepare_v3(db, SQL[i], -1, SQLITE_PREPARE_PERSISTENT, &self->statements[i],
                                    NULL);
        if (rc != SQLITE_OK) {
            id_tables_close(&self);
            return rc;
        }
    }
    *self_p = self;
    return SQLITE_OK;
}

void id_tables_close(id_tables_t **self_p)
{
    id_tables_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (int i = 0; i < STATEMENT_COUNT; ++i)
        sqlite3_finalize(self->statements[i]);
    free(self);
}

/*  The statement with up to four numbers bound. A row given out by id_tables_get ends here. */
static sqlite3_stmt *prepare(id_tables_t *self, int which, int count, const int64_t *values)
{
    if (self->got)
        sqlite3_reset(self->got);
    self->got = NULL;
    sqlite3_stmt *statement = self->statements[which];
    for (int i = 0; i < count; ++i)
        sqlite3_bind_int64(statement, i + 1, values[i]); /* cannot fail: such a parameter exists */
    return statement;
}

#define PREPARE(self, which, ...)                                                                  \
    prepare(self, which, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                       \
            (int64_t[]){__VA_ARGS__})

/*  Runs a statement that gives no rows. */
static int finish(sqlite3_stmt *statement)
{
    sqlite3_step(statement);
    return sqlite3_reset(statement);
}

static uint64_t column(sqlite3_stmt *statement, int i)
{
    return (uint64_t)sqlite3_column_int64(statement, i);
}

int id_tables_begin_run(id_tables_t *self, const id_run_t *run, uint32_t blocks)
{
    return finish(PREPARE(self, BEGIN_RUN, (int64_t)run->number, run->slice, run->chunks, blocks));
}

int id_tables_adopt_run(id_tables_t *self, const id_run_t *run)
{
    return finish(PREPARE(self, ADOPT_RUN, (int64_t)run->number, (int64_t)run->min_seq,
                          (int64_t)run->max_seq, (int64_t)run->count));
}

int id_tables_doom_run(id_tables_t *self, uint64_t run)
{
    return finish(PREPARE(self, DOOM_RUN, (int64_t)run));
}

int id_tables_drop_run(id_tables_t *self, uint64_t run)
{
    return finish(PREPARE(self, DROP_RUN, (int64_t)run));
}

static int64_t key_of(uint64_t run, uint32_t position)
{
    return (int64_t)(run << KEY_BITS) + position;
}

int id_tables_put(id_tables_t *self, uint64_t run, uint32_t position, const void *data, size_t size)
{
    sqlite3_stmt *statement = PREPARE(self, PUT, key_of(run, position));
    int rc = sqlite3_bind_blob64(statement, 2, data, size, SQLITE_STATIC);
    return rc == SQLITE_OK ? finish(statement) : rc;
}

int id_tables_get(id_tables_t *self, uint64_t run, uint32_t position, const uint8_t **data,
                  size_t *size)
{
    *data = NULL;
    *size = 0;
    sqlite3_stmt *statement = PREPARE(self, GET, key_of(run, position));
    if (sqlite3_step(statement) != SQLITE_ROW)
        return sqlite3_reset(statement);
    self->got = statement;
    *data = sqlite3_column_blob(statement, 0);
    *size = (size_t)sqlite3_column_bytes(statement, 0);
    return *data ? SQLITE_OK : SQLITE_CORRUPT;
}

int id_tables_erase(id_tables_t *self, uint64_t run, uint32_t first, uint32_t count)
{
    return finish(PREPARE(self, ERASE, key_of(run, first), key_of(run, first) + count));
}

int id_tables_set_sealed(id_tables_t *self, unsigned slice, uint64_t seq)
{
    return finish(PREPARE(self, SET_SEALED, slice, (int64_t)seq));
}

int id_tables_load_sealed(id_tables_t *self, uint64_t sealed[ID_SLICES])
{
    sqlite3_stmt *statement = prepare(self, LOAD_SEALED, 0, NULL);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        uint64_t slice = column(statement, 0);
        if (slice < ID_SLICES)
            sealed[slice] = column(statement, 1);
    }
    return sqlite3_reset(statement);
}

int id_tables_each_run(id_tables_t *self, id_run_fn fn, void *context)
{
    sqlite3_stmt *statement = prepare(self, EACH_RUN, 0, NULL);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        uint64_t slice = column(statement, 1), chunks = column(statement, 5);
        uint64_t blocks = column(statement, 6);
        id_run_t run = {.number = column(statement, 0),
                        .slice = (unsigned)slice,
                        .min_seq = column(statement, 2),
                        .max_seq = column(statement, 3),
                        .count = column(statement, 4),
                        .chunks = (uint32_t)chunks};
        int rc = SQLITE_CORRUPT;
        if (slice < ID_SLICES && chunks > 0 && chunks <= ID_RUN_MAX_CHUNKS && blocks > 0 &&
            blocks <= ID_SEGMENT_MAX_BLOCK)
            rc = fn(context, &run, (uint32_t)blocks, column(statement, 7) != 0);
        if (rc != SQLITE_OK) {
            sqlite3_reset(statement);
            return rc;
        }
    }
    return sqlite3_reset(statement);
}

int id_tables_each_task(id_tables_t *self, uint64_t after, id_task_fn fn, void *context)
{
    sqlite3_stmt *statement = PREPARE(self, EACH_TASK, (int64_t)after);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const void *id = sqlite3_column_blob(statement, 1);
        int rc = fn(context, column(statement, 0), id, (size_t)sqlite3_column_bytes(statement, 1));
        if (rc != SQLITE_OK) {
            sqlite3_reset(statement);
            return rc;
        }
    }
    return sqlite3_reset(statement);
}

int id_tables_task_exists(id_tables_t *self, uint64_t seq, bool *exists)
{
    sqlite3_stmt *statement = PREPARE(self, TASK_EXISTS, (int64_t)seq);
    *exists = sqlite3_step(statement) == SQLITE_ROW;
    return sqlite3_reset(statement);
}

int id_tables_oldest_task(id_tables_t *self, uint64_t none, uint64_t *oldest)
{
    sqlite3_stmt *statement = prepare(self, OLDEST_TASK, 0, NULL);
    *oldest = none;
    if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        *oldest = column(statement, 0);
    return sqlite3_reset(statement);
}

int id_tables_live_seqs(id_tables_t *self, uint64_t *after, uint64_t upto, size_t limit,
                        seq_set_t *live)
{
    sqlite3_stmt *statement =
        PREPARE(self, LIVE_SEQS, (int64_t)*after, (int64_t)upto, (int64_t)limit);
    size_t count = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        *after = column(statement, 0);
        seq_set_append(live, *after);
        ++count;
    }
    if (count < limit)
        *after = upto;
    return sqlite3_reset(statement);
}
