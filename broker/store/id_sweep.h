/*  Which entries of the id index have lost their task. Inside the index only (see id_index.h).

    Tasks below the oldest that exists are gone, which costs nothing to know. But one old task can
    live for months while all around it go. So now and then a few entries of a run are looked up;
    when most are gone, the seqs that still exist in the run's range are read in order from the task
    table, a bounded number at a time, which costs in proportion to what is left, and entries in
    that range which are not among them are dropped as runs are rewritten. */

#ifndef REEVE_BROKER_STORE_ID_SWEEP_H
#define REEVE_BROKER_STORE_ID_SWEEP_H

#include "broker/store/id_run.h"

typedef struct id_sweep {
    unsigned number; /* of this sweep, or of the last one */
    seq_set_t *live; /* NULL: no sweep is going on */
    uint64_t from;
    uint64_t to;
    uint64_t after; /* seqs up to here are read */
} id_sweep_t;

/*  Starts a sweep over the run's range of seqs when a sample of its entries is mostly gone. */
int id_sweep_sample(id_sweep_t *self, id_tables_t *tables, const id_run_t *run);
/*  The set is still being read. */
bool id_sweep_reading(const id_sweep_t *self);
int id_sweep_read(id_sweep_t *self, id_tables_t *tables, size_t *budget);
void id_sweep_end(id_sweep_t *self);

/*  The task of this seq is known to be gone. */
bool id_sweep_gone(const id_sweep_t *self, uint64_t seq);
/*  How many entries of the run are left after rewriting it, about. */
uint64_t id_sweep_expected(const id_sweep_t *self, const id_run_t *run);
/*  Rewriting the run is worth it, and not yet done in this sweep. */
bool id_sweep_wants(const id_sweep_t *self, const id_run_t *run);

#endif
