/*  The durable store: SQLite in WAL mode; a commit is in the log, and `sync` brings that to the disk. */

#ifndef REEVE_BROKER_STORE_SQLITE_H
#define REEVE_BROKER_STORE_SQLITE_H

#include "broker/store/store.h"

typedef enum sqlite_open_result {
    SQLITE_OPENED,
    SQLITE_OPEN_CANNOT,  /* no permission, no directory, disk error */
    SQLITE_OPEN_LOCKED,  /* another broker has it */
    SQLITE_OPEN_FOREIGN, /* no database, or not one of Reeve's */
    SQLITE_OPEN_NEWER,   /* written by a newer version */
} sqlite_open_result_t;

/*  Opens or creates the database at `path`, migrates it to the present schema and counts the epoch.
    On failure *store is NULL and `problem` says why, naming the path. */
sqlite_open_result_t sqlite_store_open(const char *path, store_t **store, char *problem,
                                       size_t problem_size);

/*  Whether the database came from elsewhere, as one that was restored from a backup: there was no lock
    file beside it, or another database's. */
bool sqlite_store_is_moved(const store_t *store);
/*  Makes one that was restored fit for use, in place of `recover`; close it then, and open it again. What
    was given out after the backup is unknown to it, and the same numbers will be given to other tasks: a
    new key of tokens and an epoch far ahead tell them apart. So no lease in it can be kept; each is
    released. In one transaction. */
int sqlite_store_restored(store_t *store, int64_t wall_ms, size_t *released);

/*  From now on checkpoints are made by a thread of the store's own (sqlite_checkpoint.h) and not
    within commits. STORE_FAILED when it cannot be started. */
int sqlite_store_checkpoint_apart(store_t *store);

#endif
