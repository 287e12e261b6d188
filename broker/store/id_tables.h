/*  The rows of the id index: all of its SQL. Inside the index only (see id_index.h). */

#ifndef REEVE_BROKER_STORE_ID_TABLES_H
#define REEVE_BROKER_STORE_ID_TABLES_H

#include <sqlite3.h>

#include "broker/store/id_segment.h"
#include "broker/store/seq_set.h"

/*  A run: ids of one slice and one range of seqs, sorted by hash, never changed once complete. */
typedef struct id_run {
    uint64_t number;
    unsigned slice;
    uint32_t chunks;
    uint64_t count;
    uint64_t min_seq;
    uint64_t max_seq;
    id_segment_t *segment; /* NULL while doomed */
    unsigned swept;        /* number of the last sweep that this run has been through */
} id_run_t;

#define ID_RUN_MAX_CHUNKS (1u << 22)

/*  What is stored of a run besides its row: chunks of entries, then pages of its filter. Each is a
    row of id_chunk and nearly always one page of the database. */
#define ID_FILTER_PAGE_BLOCKS 63
#define ID_FILTER_PAGE_BYTES  (ID_FILTER_PAGE_BLOCKS * ID_SEGMENT_BLOCK)

static inline uint32_t id_filter_pages(uint32_t blocks)
{
    return (blocks + ID_FILTER_PAGE_BLOCKS - 1) / ID_FILTER_PAGE_BLOCKS;
}

typedef struct id_tables id_tables_t;

/*  All that return int: a SQLite result code, SQLITE_OK when done. Writer thread, within the
    owner's transaction where they write. */
int id_tables_open(id_tables_t **self_p, sqlite3 *db);
void id_tables_close(id_tables_t **self_p);

/*  A row for a run that is being written. It is doomed until id_tables_adopt_run: should the
    process stop before that, the next one erases what was written. */
int id_tables_begin_run(id_tables_t *self, const id_run_t *run, uint32_t blocks);
/*  The run is complete: its count and range of seqs are final. */
int id_tables_adopt_run(id_tables_t *self, const id_run_t *run);
int id_tables_doom_run(id_tables_t *self, uint64_t run);
int id_tables_drop_run(id_tables_t *self, uint64_t run);

/*  Row `position` of a run's data: chunk `position`, or page `position - chunks` of its filter. */
int id_tables_put(id_tables_t *self, uint64_t run, uint32_t position, const void *data,
                  size_t size);
/*  The row's bytes until the next call with any function here; *size 0 when there is no such row.
 */
int id_tables_get(id_tables_t *self, uint64_t run, uint32_t position, const uint8_t **data,
                  size_t *size);
int id_tables_erase(id_tables_t *self, uint64_t run, uint32_t first, uint32_t count);

/*  Every id of this slice up to `seq` is in a run. */
int id_tables_set_sealed(id_tables_t *self, unsigned slice, uint64_t seq);
int id_tables_load_sealed(id_tables_t *self, uint64_t sealed[ID_SLICES]);

/*  Calls `fn` for every run by ascending number, with its filter's blocks and whether it is doomed.
    Stops at the first result other than SQLITE_OK and returns that. */
typedef int (*id_run_fn)(void *context, const id_run_t *run, uint32_t blocks, bool doomed);
int id_tables_each_run(id_tables_t *self, id_run_fn fn, void *context);

/*  The owner's tasks. `fn` as above, for each task with a seq above `after`, ascending. */
typedef int (*id_task_fn)(void *context, uint64_t seq, const void *id, size_t size);
int id_tables_each_task(id_tables_t *self, uint64_t after, id_task_fn fn, void *context);
int id_tables_task_exists(id_tables_t *self, uint64_t seq, bool *exists);
/*  The lowest seq that has a row, or `none`. */
int id_tables_oldest_task(id_tables_t *self, uint64_t none, uint64_t *oldest);
/*  Appends the seqs in (*after, upto] that have a row, `limit` at most, and moves *after to the
    last seq looked at: to `upto` when no row is left. */
int id_tables_live_seqs(id_tables_t *self, uint64_t *after, uint64_t upto, size_t limit,
                        seq_set_t *live);

#endif
