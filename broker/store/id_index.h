/*  Finds a task's sequence number by its id: the writer thread's side of the id index.

    Ids are random, and a random key in a B-tree costs a page per task. So the index is a
    log-structured merge tree inside the same database (why: docs/decisions/0003):

        add ──► tail (memory) ──seal──► runs of 4,096 ids ──merge by fours──► larger runs …
                                             │ filter of each run, shared
                                             ▼
                 update ──────────────► id_filter_t on the reactor (id_filter.h)

    Hashes are cut into 16 slices by their first bits; each slice is such a tree of its own. So
    sealing and merging come in small portions at different times, no commit waits for a large one,
    and a merge needs memory and disk for a sixteenth only. The runs of a slice have disjoint,
    ascending ranges of seqs, because only neighbours are merged. Everything is written in the
    owner's transaction; what is not sealed is rebuilt from the task table on opening.

    The index reads the owner's table task (seq INTEGER PRIMARY KEY, id TEXT, …) and never writes
    it; it learns by itself which tasks are gone. Should a transaction fail or be rolled back, close
    the index: its memory is ahead of the database.

    Writer thread only. All that return int: SQLITE_OK or the SQLite result code of what failed. */

#ifndef REEVE_BROKER_STORE_ID_INDEX_H
#define REEVE_BROKER_STORE_ID_INDEX_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/id_filter.h"

/*  What id_index_step should be given at each commit: per task added, and always. Merging costs
    about 5 per task with 10 million ids; the rest catches up. */
#define ID_STEP_PER_TASK 8
#define ID_STEP_BASE     256

typedef struct id_index id_index_t;

/*  The hash of an id as the owner passes it elsewhere: 64 bits, uniform also for ids chosen by
    somebody malicious (so: seeded), of which the top 48 are used. */
typedef uint64_t (*id_hash_fn)(void *context, const void *id, size_t size);

/*  Reads the filters and rebuilds the tail. Writes only when tasks were added without the index
    (then in a transaction of its own, unless one is open). On failure *self_p is NULL. */
int id_index_open(id_index_t **self_p, sqlite3 *db, id_hash_fn hash, void *context);
void id_index_close(id_index_t **self_p);

/*  A task is new. `seq` is above 0 and above all that were ever added, also of tasks that are gone;
    below 2^48. Its row must be there before the next id_index_step, which takes a task without one for
    gone: its entry would be lost, and its id be new again. */
int id_index_add(id_index_t *self, uint64_t hash, uint64_t seq);

/*  Offers the seqs that the id may have, the newest first, until `fn` returns true. The owner
    compares the id in the task's row: hashes collide, and the task may be gone. `fn` may use the
    database, but not the index. */
typedef bool (*id_candidate_fn)(void *context, uint64_t seq);
int id_index_find(id_index_t *self, uint64_t hash, id_candidate_fn fn, void *context);

/*  Merges and tidies up for about `budget` entries of 12 bytes, in the open transaction. */
int id_index_step(id_index_t *self, size_t budget);

/*  There is merging or tidying to do now, so that it is worth stepping without tasks to add. */
bool id_index_busy(const id_index_t *self);

/*  What changed for the filter since the last call, or NULL; the caller owns it. The first one
    after opening brings everything. */
id_update_t *id_index_take_update(id_index_t *self);

typedef struct id_index_stats {
    uint64_t ids;      /* entries, including those of tasks that are gone */
    uint64_t last_seq; /* highest seq that the index knows of; seqs go on above it */
    size_t runs;
    size_t depth; /* most runs in one slice: filters asked by a lookup */
    size_t bytes; /* of memory */
} id_index_stats_t;

void id_index_stats(const id_index_t *self, id_index_stats_t *stats);

#endif
