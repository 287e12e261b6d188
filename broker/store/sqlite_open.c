/*  Opening the SQLite store: the lock, pragmas, migrations, and what outlives a broker. */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "broker/store/schema.h"
#include "broker/store/sqlite_inside.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/uuid7.h"

/*  "Reev": tells our databases from others' (PRAGMA application_id). */
enum { APPLICATION_ID = 0x52656576 };
enum { WAL_BYTES = 64 << 20, CACHE_KIB = 16 << 10 };

static int execute(sqlite_store_t *self, const char *text)
{
    if (sqlite3_exec(self->db, text, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_fail(self, "set-up");
    return STORE_OK;
}

/*  The number that a query yields; 0 when it has no row. */
static int query(sqlite_store_t *self, const char *text, int64_t *number)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(self->db, text, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    *number = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        sqlite_fail(self, text);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : STORE_FAILED;
}

static int migrate(sqlite_store_t *self)
{
    int64_t version;
    if (query(self, "PRAGMA user_version", &version) != STORE_OK)
        return STORE_FAILED;
    for (; version < SCHEMA_VERSION; version++) {
        char finish[96];
        snprintf(finish, sizeof finish,
                 "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION_ID,
                 (int)version + 1);
        if (execute(self, "BEGIN EXCLUSIVE") != STORE_OK ||
            execute(self, schema_migrations[version]) != STORE_OK ||
            execute(self, finish) != STORE_OK)
            return STORE_FAILED;
    }
    return STORE_OK;
}

int sqlite_put_meta(sqlite_store_t *self, const char *key, slice_t blob, int64_t number)
{
    bind_text(self, ST_PUT_META, 1, slice_str(key));
    if (blob.data)
        bind_blob(self, ST_PUT_META, 2, blob);
    else
        bind_int(self, ST_PUT_META, 2, number);
    return sqlite_run(self, ST_PUT_META);
}

/*  Reads a meta value into `size` bytes, or where `bytes` is NULL as a number. */
static int get_meta(sqlite_store_t *self, const char *key, void *bytes, size_t size,
                    int64_t *number)
{
    bind_text(self, ST_GET_META, 1, slice_str(key));
    int row = sqlite_row(self, ST_GET_META);
    if (row < 0)
        return STORE_FAILED;
    sqlite3_stmt *st = self->statements[ST_GET_META];
    int type = row ? sqlite3_column_type(st, 0) : SQLITE_NULL;
    bool good = bytes ? type == SQLITE_BLOB && (size_t)sqlite3_column_bytes(st, 0) == size
                      : type == SQLITE_INTEGER; /* asked for as bytes it would be converted */
    if (!good)
        snprintf(self->error, sizeof self->error, "no good %s in table meta: it is damaged", key);
    else if (bytes)
        memcpy(bytes, sqlite3_column_blob(st, 0), size);
    else
        *number = sqlite3_column_int64(st, 0);
    sqlite_done(self, ST_GET_META);
    return good ? STORE_OK : STORE_FAILED;
}

static int make_identity(sqlite_store_t *self)
{
    store_identity_t *identity = &self->identity;
    uuid7_t generator;
    uuid7_init(&generator);
    uuid7_next(&generator, clock_wall_ms(), identity->broker_id);
    randombytes_buf(identity->token_key, sizeof identity->token_key);
    randombytes_buf(&identity->id_seed, sizeof identity->id_seed);
    if (sqlite_put_meta(self, "broker_id", slice(identity->broker_id, 37), 0) != STORE_OK ||
        sqlite_put_meta(self, "token_key", slice(identity->token_key, 16), 0) != STORE_OK ||
        sqlite_put_meta(self, "id_seed", slice(&identity->id_seed, 8), 0) != STORE_OK ||
        sqlite_put_meta(self, "epoch", (slice_t){0}, 0) != STORE_OK ||
        sqlite_put_meta(self, "next_seq", (slice_t){0}, 1) != STORE_OK)
        return STORE_FAILED;
    return STORE_OK;
}

/*  Who this database is. Made when there is nothing at all in meta: what is missing otherwise, or
    cannot be read, must not be made anew, or numbers would be used twice and no id be found. */
static int know_identity(sqlite_store_t *self)
{
    store_identity_t *identity = &self->identity;
    int64_t rows;
    if (query(self, "SELECT count(*) FROM meta", &rows) != STORE_OK ||
        (rows == 0 && make_identity(self) != STORE_OK) ||
        get_meta(self, "broker_id", identity->broker_id, 37, NULL) != STORE_OK ||
        get_meta(self, "token_key", identity->token_key, 16, NULL) != STORE_OK ||
        get_meta(self, "id_seed", &identity->id_seed, 8, NULL) != STORE_OK)
        return STORE_FAILED;
    identity->id_seed = le64toh(identity->id_seed);
    return STORE_OK;
}

static int identify(sqlite_store_t *self)
{
    store_identity_t *identity = &self->identity;
    int64_t epoch, next_seq, next_queue_id;
    if (sqlite_run(self, ST_BEGIN) != STORE_OK || know_identity(self) != STORE_OK ||
        get_meta(self, "epoch", NULL, 0, &epoch) != STORE_OK ||
        get_meta(self, "next_seq", NULL, 0, &next_seq) != STORE_OK ||
        query(self, "SELECT ifnull(max(id), 0) + 1 FROM queue", &next_queue_id) != STORE_OK ||
        sqlite_put_meta(self, "epoch", (slice_t){0}, epoch + 1) != STORE_OK)
        return STORE_FAILED;
    identity->epoch = (uint64_t)epoch + 1;
    identity->next_seq = (uint64_t)next_seq;
    identity->next_queue_id = (uint32_t)next_queue_id;
    self->reserved_seq = (uint64_t)next_seq;
    return sqlite_run(self, ST_COMMIT);
}

/*  The lock file has the database's name in it, so that one from elsewhere is noticed. */
int sqlite_name_lock(sqlite_store_t *self)
{
    const char *name = self->identity.broker_id;
    if (pwrite(self->lock_fd, name, strlen(name), 0) == (ssize_t)strlen(name) &&
        fsync(self->lock_fd) == 0)
        return STORE_OK;
    snprintf(self->error, sizeof self->error, "the lock file: %s", strerror(errno));
    return STORE_FAILED;
}

static int know_lock(sqlite_store_t *self)
{
    char name[sizeof self->identity.broker_id] = "";
    if (self->identity.epoch == 1)
        return sqlite_name_lock(self);
    self->moved = pread(self->lock_fd, name, sizeof name - 1, 0) < 0 ||
                  strcmp(name, self->identity.broker_id) != 0;
    return STORE_OK;
}

bool sqlite_store_is_moved(const store_t *store)
{
    return ((const sqlite_store_t *)store)->moved;
}

/*  SQLite goes on in another journal mode where it cannot have this one; we do not. */
static int use_wal(sqlite_store_t *self)
{
    static const char set[] = "PRAGMA journal_mode = WAL";
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(self->db, set, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    bool wal = rc == SQLITE_ROW && slice_eq(column_slice(st, 0), slice_str("wal"));
    if (rc == SQLITE_ROW)
        rc = sqlite3_step(st); /* only now it is written */
    if (rc != SQLITE_DONE)
        sqlite_fail(self, set);
    else if (!wal)
        snprintf(self->error, sizeof self->error, "%s: not possible here", set);
    sqlite3_finalize(st);
    return self->error[0] ? STORE_FAILED : STORE_OK;
}

/*  After each commit that wrote something. In place of SQLite's own hook, which makes checkpoints and passes
    over what fails in them. */
static int note_commit(void *context, sqlite3 *db, const char *name, int wal_pages)
{
    (void)db, (void)name;
    sqlite_store_t *self = context;
    self->wal_pages = wal_pages;
    self->commits++;
    return SQLITE_OK;
}

static int configure(sqlite_store_t *self)
{
    char text[512];
    snprintf(text, sizeof text,
             "PRAGMA auto_vacuum = INCREMENTAL;"
             "PRAGMA synchronous = NORMAL;"
             "PRAGMA journal_size_limit = %d;"
             "PRAGMA cache_size = -%d;"
             "PRAGMA temp_store = MEMORY;",
             WAL_BYTES, CACHE_KIB);
    if (execute(self, text) != STORE_OK || use_wal(self) != STORE_OK)
        return STORE_FAILED;
    sqlite3_wal_hook(self->db, note_commit, self);
    return STORE_OK;
}

/*  Beside the log, so that whoever comes by a symbolic link finds it as well. */
static int lock(sqlite_store_t *self)
{
    const char *path = sqlite3_db_filename(self->db, NULL); /* all links are resolved */
    char *name = mem_alloc(strlen(path) + sizeof ".lock");
    sprintf(name, "%s.lock", path);
    self->lock_fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    free(name);
    if (self->lock_fd < 0)
        return -1;
    return flock(self->lock_fd, LOCK_EX | LOCK_NB);
}

/*  Whether the file is ours, new, or somebody else's database. */
static sqlite_open_result_t judge(sqlite_store_t *self, const char *path, char *problem,
                                  size_t size)
{
    int64_t application = 0, tables = 0, version = 0;
    bool read = query(self, "PRAGMA application_id", &application) == STORE_OK &&
                query(self, "SELECT count(*) FROM sqlite_master", &tables) == STORE_OK &&
                query(self, "PRAGMA user_version", &version) == STORE_OK;
    if (!read && sqlite3_errcode(self->db) != SQLITE_NOTADB) {
        snprintf(problem, size, "%s: %s", path, self->error);
        return SQLITE_OPEN_CANNOT;
    }
    bool ours = application == APPLICATION_ID && version > 0;
    bool fresh = application == 0 && version == 0 && tables == 0;
    if (!read || (!ours && !fresh)) {
        snprintf(problem, size, "%s is not a Reeve database", path);
        return SQLITE_OPEN_FOREIGN;
    }
    if (version > SCHEMA_VERSION) {
        snprintf(problem, size, "%s has schema %d, newer than this program's %d; use a newer Reeve",
                 path, (int)version, SCHEMA_VERSION);
        return SQLITE_OPEN_NEWER;
    }
    return SQLITE_OPENED;
}

static sqlite_open_result_t open_files(sqlite_store_t *self, const char *path, char *problem,
                                       size_t size)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &self->db, flags, NULL) != SQLITE_OK) {
        int cause = sqlite3_system_errno(self->db);
        snprintf(problem, size, "%s: %s", path, cause ? strerror(cause) : sqlite3_errmsg(self->db));
        return SQLITE_OPEN_CANNOT;
    }
    if (lock(self) != 0) {
        bool taken = errno == EWOULDBLOCK;
        snprintf(problem, size, taken ? "%s is in use by another broker (%s.lock)" : "%s.lock: %s",
                 path, taken ? sqlite3_db_filename(self->db, NULL) : strerror(errno));
        return taken ? SQLITE_OPEN_LOCKED : SQLITE_OPEN_CANNOT;
    }
    sqlite3_busy_timeout(self->db, BUSY_MS);
    return judge(self, path, problem, size);
}

static uint64_t hash_id(void *context, const void *id, size_t size)
{
    const sqlite_store_t *self = context;
    return id_hash(self->identity.id_seed, slice(id, size));
}

static int open_index(sqlite_store_t *self)
{
    return sqlite_check_index(self, id_index_open(&self->ids, self->db, hash_id, self));
}

/*  SQLite counts its memory for nobody here, under a mutex at each allocation. */
static void configure_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

sqlite_open_result_t sqlite_store_open(const char *path, store_t **store, char *problem,
                                       size_t problem_size)
{
    *store = NULL;
    configure_library();
    sqlite_store_t *self = sqlite_new();
    sqlite_open_result_t result = open_files(self, path, problem, problem_size);
    if (result == SQLITE_OPENED) {
        bool ready = configure(self) == STORE_OK && migrate(self) == STORE_OK &&
                     sqlite_prepare(self) == STORE_OK && identify(self) == STORE_OK &&
                     know_lock(self) == STORE_OK && open_index(self) == STORE_OK &&
                     sqlite_sync_open(self) == STORE_OK && sqlite_sync(&self->base) == STORE_OK;
        if (!ready) {
            snprintf(problem, problem_size, "%s: %s", path, self->base.ops->error(&self->base));
            result = SQLITE_OPEN_CANNOT;
        }
    }
    store_t *base = &self->base;
    if (result == SQLITE_OPENED)
        *store = base;
    else
        base->ops->close(&base);
    return result;
}

int sqlite_store_checkpoint_apart(store_t *store)
{
    sqlite_store_t *self = (sqlite_store_t *)store;
    self->checkpointer = checkpointer_start(sqlite3_db_filename(self->db, NULL));
    if (self->checkpointer == NULL)
        return sqlite_fail(self, "the checkpoint thread");
    return STORE_OK;
}
