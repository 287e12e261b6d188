/*  Writing and reading one run of the id index. Inside the index only (see id_index.h).

    A run's entries are (hash, seq) pairs in ascending order, cut into chunks by equal parts of the
    slice's hashes: a hash tells its chunk, so no directory is needed. An entry is 12 bytes: the
    hash's 48 bits and the seq's 48 bits, both little-endian. */

#ifndef REEVE_BROKER_STORE_ID_RUN_H
#define REEVE_BROKER_STORE_ID_RUN_H

#include "broker/store/id_tables.h"

/*  Entries of a chunk in the mean; with three standard deviations more it still fits one database
    page of 4 KiB, so that a lookup reads one page. */
#define ID_CHUNK_ENTRIES 288

typedef struct id_entry {
    uint64_t hash;
    uint64_t seq;
} id_entry_t;

/*  Growing list of seqs. */
typedef struct id_seqs {
    uint64_t *items;
    size_t count;
    size_t capacity;
} id_seqs_t;

void id_seqs_push(id_seqs_t *self, uint64_t seq);
void id_seqs_fini(id_seqs_t *self);

void id_run_destroy(id_run_t **self_p);
/*  Rows of id_chunk that the run has. */
uint32_t id_run_rows(const id_run_t *self);
/*  Appends the seqs of `hash` in the run, ascending. */
int id_run_find(const id_run_t *self, id_tables_t *tables, uint64_t hash, id_seqs_t *seqs);
/*  Reads the run's filter. */
int id_run_load_segment(id_run_t *self, id_tables_t *tables, uint32_t blocks);

/*  Writes a run from entries in ascending order. */
typedef struct id_builder {
    id_tables_t *tables;
    id_run_t *run;
    uint32_t chunk; /* the one that `bytes` belongs to */
    uint32_t pages; /* of the filter, written so far */
    uint8_t *bytes;
    size_t size;
    size_t capacity;
} id_builder_t;

/*  `expected` entries give the chunks and the filter their number; other counts are right too, but
    cost space or false positives. */
int id_builder_init(id_builder_t *self, id_tables_t *tables, uint64_t run, unsigned slice,
                    uint64_t expected);
int id_builder_add(id_builder_t *self, const id_entry_t *entry);
/*  Writes what is left and gives the run away; a run without entries stays doomed. */
int id_builder_finish(id_builder_t *self, id_run_t **run_p);
void id_builder_fini(id_builder_t *self);

/*  Reads a run from its start. */
typedef struct id_cursor {
    const id_run_t *run;
    uint32_t next; /* chunk to read next */
    uint8_t *bytes;
    size_t size;
    size_t at;
    size_t capacity;
    id_entry_t entry; /* the current one, unless `done` */
    bool done;
} id_cursor_t;

/*  Both move to an entry or to the end. */
int id_cursor_init(id_cursor_t *self, id_tables_t *tables, const id_run_t *run, uint32_t chunk);
int id_cursor_next(id_cursor_t *self, id_tables_t *tables);
void id_cursor_fini(id_cursor_t *self);

#endif
