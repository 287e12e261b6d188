/*  Merging runs of one slice into one, a bounded step at a time. Inside the index only (see
    id_index.h). */

#ifndef REEVE_BROKER_STORE_ID_MERGE_H
#define REEVE_BROKER_STORE_ID_MERGE_H

#include "broker/store/id_run.h"
#include "broker/store/id_sweep.h"

#define ID_MERGE_WIDTH 8

typedef struct id_merge {
    id_run_t *inputs[ID_MERGE_WIDTH]; /* borrowed */
    id_cursor_t cursors[ID_MERGE_WIDTH];
    uint64_t heads[ID_MERGE_WIDTH]; /* hash that each cursor is at; NO_HASH at its end */
    size_t width;
    id_builder_t builder;
    unsigned swept;  /* the sweep that all entries go through; 0: none */
    id_entry_t held; /* last entry taken, not yet written; only when `holding` */
    bool holding;
    bool held_shared; /* it has the hash of the one before */
} id_merge_t;

/*  Starts to merge `width` neighbouring runs into a new run of number `run`. */
int id_merge_start(id_merge_t **self_p, id_tables_t *tables, const id_sweep_t *sweep,
                   id_run_t *const *inputs, size_t width, uint64_t run);
/*  Moves about *budget entries and takes them off it. When all are moved, *done is the new run;
    its count may be 0. Entries of tasks known to be gone are left out: those below `oldest`, those
    the sweep knows, and, looked up one by one because there are few, those that share their hash
    with another (or a client that uses one id again and again would fill the index with it). */
int id_merge_advance(id_merge_t *self, id_tables_t *tables, const id_sweep_t *sweep,
                     uint64_t oldest, size_t *budget, id_run_t **done);
void id_merge_destroy(id_merge_t **self_p);

#endif
