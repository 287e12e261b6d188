/*  The durable store: SQLite in WAL mode with synchronous=FULL, so that a commit returns after fsync. */

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

/*  From now on checkpoints are made by a thread of the store's own (sqlite_checkpoint.h) and not
    within commits. STORE_FAILED when it cannot be started. */
int sqlite_store_checkpoint_apart(store_t *store);

#endif
