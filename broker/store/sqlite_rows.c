/*  The rows that a transaction adds to `task`, `done` and `ready`, and those that it takes from
    `ready`: collected, and carried out before the next look at these tables and at the end. A statement
    costs SQLite as much as its row; so each table gets its rows from one INSERT … SELECT, out of a
    virtual table that shows what was collected (https://www.sqlite.org/vtab.html). OR ROLLBACK spares
    the journal that would undo one statement alone: the first failure is the store's last. */

#include <stdlib.h>

#include "broker/store/sqlite_inside.h"
#include "common/mem.h"

/* ---- columns -------------------------------------------------------------------------------- */

/*  A column that is left alone is NULL. */
static void show_opt(sqlite3_context *to, int64_t value)
{
    if (value)
        sqlite3_result_int64(to, value);
}

static void show_text(sqlite3_context *to, slice_t text)
{
    if (text.size)
        sqlite3_result_text64(to, (const char *)text.data, text.size, SQLITE_STATIC, SQLITE_UTF8);
}

static void show_blob(sqlite3_context *to, slice_t blob)
{
    if (blob.size)
        sqlite3_result_blob64(to, blob.data, blob.size, SQLITE_STATIC);
    else
        sqlite3_result_zeroblob(to, 0);
}

static void show_task(sqlite3_context *to, const record_t *record, int column)
{
    const task_spec_t *spec = &record->spec;
    switch (column) {
    case 0:
        sqlite3_result_int64(to, (int64_t)record->seq);
        break;
    case 1:
        show_text(to, spec->id);
        break;
    case 2:
        sqlite3_result_int64(to, record->queue_id);
        break;
    case 3:
        show_text(to, spec->task_name);
        break;
    case 4:
        show_text(to, spec->origin);
        break;
    case 5:
        sqlite3_result_int64(to, spec->priority);
        break;
    case 6:
        sqlite3_result_int64(to, spec->created_ms);
        break;
    case 7:
        show_opt(to, spec->run_at_ms);
        break;
    case 8:
        show_opt(to, spec->expires_ms);
        break;
    case 9:
        show_opt(to, spec->timeout_ms);
        break;
    case 10:
        show_opt(to, spec->backoff_ms);
        break;
    case 11:
        show_opt(to, spec->max_retries + 1);
        break;
    case 12:
        sqlite3_result_int64(to, spec->body_kind);
        break;
    case 13:
        if (spec->reply_to.size)
            show_blob(to, spec->reply_to);
        break;
    case 14:
        show_blob(to, spec->body);
        break;
    }
}

static void show_done(sqlite3_context *to, const change_t *change, int column)
{
    static const outcome_spec_t none;
    const outcome_spec_t *outcome = change->outcome ? &change->outcome->spec : &none;
    switch (column) {
    case 0:
        sqlite3_result_int64(to, (int64_t)change->record->seq);
        break;
    case 1:
        sqlite3_result_int64(to, change->to);
        break;
    case 2:
        show_opt(to, change->at_ms);
        break;
    case 3:
        sqlite3_result_int64(to, change->tries.attempts);
        break;
    case 4:
        sqlite3_result_int64(to, outcome->ending);
        break;
    case 5:
        show_text(to, outcome->worker);
        break;
    case 6:
        show_opt(to, outcome->started_ms);
        break;
    case 7:
        show_opt(to, outcome->ended_ms);
        break;
    case 8:
        show_opt(to, outcome->duration_ms);
        break;
    case 9:
        show_opt(to, outcome->result_kind);
        break;
    case 10:
        show_blob(to, outcome->result);
        break;
    case 11:
        show_text(to, outcome->reason);
        break;
    case 12:
        show_text(to, outcome->error);
        break;
    case 13:
        show_text(to, outcome->traceback);
        break;
    }
}

/* ---- the virtual tables --------------------------------------------------------------------- */

typedef enum source { NEW_TASK, NEW_DONE, NEW_READY } source_t;

typedef struct table {
    sqlite3_vtab base;
    const sqlite_store_t *store;
    source_t source;
} table_t;

typedef struct cursor {
    sqlite3_vtab_cursor base;
    size_t at;
} cursor_t;

#define NEW_TASK_COLUMNS                                                                           \
    "seq, id, queue_id, name, origin, priority, created_ms, run_at_ms, expires_ms, timeout_ms, "   \
    "backoff_ms, max_retries, body_kind, reply_to, body"
#define NEW_DONE_COLUMNS                                                                           \
    "seq, state, remove_at_ms, attempts, ending, worker, started_ms, ended_ms, duration_ms, "      \
    "result_kind, result, reason, error, traceback"

static const struct {
    const char *name, *declaration;
} sources[] = {
    [NEW_TASK] = {"new_task", "CREATE TABLE x (" NEW_TASK_COLUMNS ")"},
    [NEW_DONE] = {"new_done", "CREATE TABLE x (" NEW_DONE_COLUMNS ")"},
    [NEW_READY] = {"new_ready", "CREATE TABLE x (key)"},
};

enum { SOURCES = sizeof sources / sizeof sources[0] };

static int open_table(sqlite3 *db, void *store, int argc, const char *const *argv,
                      sqlite3_vtab **out, char **error)
{
    (void)argc, (void)error;
    table_t *table = mem_zalloc(sizeof *table);
    table->store = store;
    while (strcmp(argv[0], sources[table->source].name) != 0)
        table->source++;
    int rc = sqlite3_declare_vtab(db, sources[table->source].declaration);
    if (rc == SQLITE_OK)
        *out = &table->base;
    else
        free(table);
    return rc;
}

static int close_table(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

static int plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table, (void)info;
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
    (void)table;
    *out = mem_zalloc(sizeof(cursor_t));
    return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *cursor)
{
    free(cursor);
    return SQLITE_OK;
}

static int first_row(sqlite3_vtab_cursor *cursor, int plan_number, const char *plan_text, int argc,
                     sqlite3_value **argv)
{
    (void)plan_number, (void)plan_text, (void)argc, (void)argv;
    ((cursor_t *)cursor)->at = 0;
    return SQLITE_OK;
}

static int next_row(sqlite3_vtab_cursor *cursor)
{
    ((cursor_t *)cursor)->at++;
    return SQLITE_OK;
}

static int is_at_end(sqlite3_vtab_cursor *cursor)
{
    const table_t *table = (const table_t *)cursor->pVtab;
    const sqlite_store_t *store = table->store;
    size_t count = table->source == NEW_TASK   ? store->new_task_count
                   : table->source == NEW_DONE ? store->new_done_count
                                               : store->ready_put.count;
    return ((cursor_t *)cursor)->at >= count;
}

static int show(sqlite3_vtab_cursor *cursor, sqlite3_context *to, int column)
{
    const table_t *table = (const table_t *)cursor->pVtab;
    size_t at = ((cursor_t *)cursor)->at;
    if (table->source == NEW_TASK)
        show_task(to, table->store->new_tasks[at], column);
    else if (table->source == NEW_DONE)
        show_done(to, &table->store->new_dones[at], column);
    else
        sqlite3_result_int64(to, (int64_t)table->store->ready_put.items[at]);
    return SQLITE_OK;
}

static int row_number(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out)
{
    *out = (sqlite3_int64)((cursor_t *)cursor)->at;
    return SQLITE_OK;
}

int rows_register(sqlite_store_t *self)
{
    static const sqlite3_module module = {
        .xConnect = open_table,
        .xBestIndex = plan,
        .xDisconnect = close_table,
        .xOpen = open_cursor,
        .xClose = close_cursor,
        .xFilter = first_row,
        .xNext = next_row,
        .xEof = is_at_end,
        .xColumn = show,
        .xRowid = row_number,
    };
    for (size_t i = 0; i < SOURCES; i++)
        if (sqlite3_create_module(self->db, sources[i].name, &module, self) != SQLITE_OK)
            return sqlite_fail(self, "virtual tables");
    return STORE_OK;
}

/* ---- carrying out --------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/*  Neighbours go in one step: a range holds no other key than these. */
static int cut_ready(sqlite_store_t *self)
{
    const uint64_t *keys = self->ready_cut.items;
    size_t count = self->ready_cut.count;
    self->ready_cut.count = 0;
    if (!self->ready_cut.sorted)
        qsort(self->ready_cut.items, count, sizeof *keys, by_value);
    for (size_t first = 0, i = 1; i <= count; i++) {
        if (i < count && keys[i] == keys[i - 1] + 1)
            continue;
        bind_int(self, ST_CUT_READY, 1, (int64_t)keys[first]);
        bind_int(self, ST_CUT_READY, 2, (int64_t)keys[i - 1]);
        if (sqlite_run(self, ST_CUT_READY) != STORE_OK)
            return STORE_FAILED;
        first = i;
    }
    return STORE_OK;
}

static int put(sqlite_store_t *self, statement_t statement, size_t *count)
{
    int rc = *count ? sqlite_run(self, statement) : STORE_OK;
    *count = 0;
    return rc;
}

static int flush_ready(sqlite_store_t *self)
{
    if (put(self, ST_PUT_READIES, &self->ready_put.count) != STORE_OK)
        return STORE_FAILED;
    return self->ready_cut.count ? cut_ready(self) : STORE_OK;
}

int rows_flush(sqlite_store_t *self)
{
    if (put(self, ST_PUT_TASKS, &self->new_task_count) != STORE_OK ||
        put(self, ST_PUT_DONES, &self->new_done_count) != STORE_OK)
        return STORE_FAILED;
    return flush_ready(self);
}

/* ---- collecting ----------------------------------------------------------------------------- */

void rows_put_task(sqlite_store_t *self, const record_t *record)
{
    self->new_tasks = mem_room(self->new_tasks, &self->new_task_capacity, self->new_task_count,
                               sizeof *self->new_tasks);
    self->new_tasks[self->new_task_count++] = record;
}

void rows_put_done(sqlite_store_t *self, const change_t *change)
{
    self->new_dones = mem_room(self->new_dones, &self->new_done_capacity, self->new_done_count,
                               sizeof *self->new_dones);
    self->new_dones[self->new_done_count++] = *change;
}

static void add(key_list_t *list, uint64_t key)
{
    list->items = mem_room(list->items, &list->capacity, list->count, sizeof *list->items);
    list->sorted = list->count == 0 || (list->sorted && list->items[list->count - 1] < key);
    list->items[list->count++] = key;
}

/*  A key that may be in the other list has its turn there first. */
int rows_put_ready(sqlite_store_t *self, uint64_t key, bool fresh)
{
    if (!fresh && flush_ready(self) != STORE_OK)
        return STORE_FAILED;
    if (self->ready_put.count == 0)
        self->first_put_seq = UINT64_MAX;
    if ((key & KEY_SEQ_MAX) < self->first_put_seq)
        self->first_put_seq = key & KEY_SEQ_MAX;
    add(&self->ready_put, key);
    return STORE_OK;
}

int rows_cut_ready(sqlite_store_t *self, uint64_t key)
{
    bool maybe_new = self->ready_put.count && (key & KEY_SEQ_MAX) >= self->first_put_seq;
    if (maybe_new && flush_ready(self) != STORE_OK)
        return STORE_FAILED;
    add(&self->ready_cut, key);
    return STORE_OK;
}

void rows_free(sqlite_store_t *self)
{
    free(self->new_tasks);
    free(self->new_dones);
    free(self->ready_put.items);
    free(self->ready_cut.items);
}
