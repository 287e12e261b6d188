/*  Checkpoints on a thread of their own: what is in the WAL goes into the database file while the
    writer goes on committing, so that no confirm waits for it.

    A checkpoint copies what was in the WAL when it began. The writer has appended more by then, and
    the WAL starts again at its beginning only when all of it is copied. So the thread repeats, each
    time with less to do, until the rest is small; that the writer does itself, between two commits.
    When the WAL is three times as long as it should be the writer waits, and does the rest whatever it is.

    The connection is the thread's own. All functions: writer thread. */

#ifndef REEVE_BROKER_STORE_SQLITE_CHECKPOINT_H
#define REEVE_BROKER_STORE_SQLITE_CHECKPOINT_H

#include <sqlite3.h>
#include <stdbool.h>

/*  A WAL of so many pages, 16 MiB, is copied into the database. */
enum { CHECKPOINT_PAGES = 4000 };

typedef struct checkpointer checkpointer_t;

/*  NULL when the connection or the thread cannot be made. */
checkpointer_t *checkpointer_start(const char *path);
/*  Waits for a checkpoint that is going on. Returns how the last one ended: a SQLite result code, other
    than SQLITE_OK when the database file could not be written. */
int checkpointer_stop(checkpointer_t **self);

/*  After each commit, with the length of the WAL in pages: starts a checkpoint where one is due, and
    does the last small part of one on `db`. A SQLite result code; other than SQLITE_OK the database
    file could not be written. */
int checkpointer_committed(checkpointer_t *self, sqlite3 *db, int wal_pages);

/*  False while a checkpoint is going on. Otherwise *rc is how the last one ended, as above: after one
    that failed there may be no other. */
bool checkpointer_rests(checkpointer_t *self, int *rc);

#endif
