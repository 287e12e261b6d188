/*  The sync that makes commits durable, apart from them: SQLite, at synchronous=NORMAL, writes a transaction to
    its write-ahead log and returns; after a power cut a first part of the log's transactions is there, all
    of those that were in it before a sync for certain. SQLite itself syncs where checkpoints need it.
    Source: sqlite.org/wal.html, "Performance Considerations"; sqlite.org/fileformat2.html, 4. */

#include "broker/store/sqlite_inside.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"

/*  The log's file is opened once more: SQLite does not expect its own to be used by another thread. */
int sqlite_sync_open(sqlite_store_t *self)
{
    sqlite3_vfs *vfs;
    int rc = sqlite3_file_control(self->db, NULL, SQLITE_FCNTL_VFS_POINTER, &vfs);
    if (rc != SQLITE_OK)
        return sqlite_fail(self, "VFS");
    const char *name = sqlite3_filename_wal(sqlite3_db_filename(self->db, NULL));
    self->log = mem_zalloc((size_t)vfs->szOsFile);
    rc = vfs->xOpen(vfs, name, self->log, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, NULL);
    return rc == SQLITE_OK ? STORE_OK : sqlite_fail_with(self, name, rc);
}

void sqlite_sync_close(sqlite_store_t *self)
{
    if (self->log && self->log->pMethods)
        self->log->pMethods->xClose(self->log);
    free(self->log);
}

int sqlite_sync(store_t *store)
{
    sqlite_store_t *self = (sqlite_store_t *)store;
    uint64_t commits = self->commits; /* more may follow during the sync: they are not counted */
    if (commits == self->synced)
        return STORE_OK;
    int rc = self->log->pMethods->xSync(self->log, SQLITE_SYNC_NORMAL);
    if (rc == SQLITE_OK) {
        self->synced = commits;
        return STORE_OK;
    }
    snprintf(self->sync_error, sizeof self->sync_error,
             "sync of the write-ahead log: %s (SQLite error %d)", sqlite3_errstr(rc), rc);
    self->sync_failed = true;
    return STORE_FAILED;
}
