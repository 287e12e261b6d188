/*  A slice's tail: the entries of the id index that are in memory only, until they are sealed into
    a run. Inside the index only (see id_index.h). */

#ifndef REEVE_BROKER_STORE_ID_TAIL_H
#define REEVE_BROKER_STORE_ID_TAIL_H

#include "broker/store/id_run.h"

#define ID_TAIL_ENTRIES 4096
#define ID_TAIL_SLOTS   (2 * ID_TAIL_ENTRIES)

typedef struct id_tail {
    size_t count;
    uint16_t
        slots[ID_TAIL_SLOTS]; /* open addressing by hash; position in `entries` + 1, 0: empty */
    id_entry_t entries[ID_TAIL_ENTRIES]; /* in order of arrival, so by seq */
} id_tail_t;

/*  The tail must not be full. */
void id_tail_add(id_tail_t *self, uint64_t hash, uint64_t seq);
/*  Appends the seqs of `hash`, ascending. */
void id_tail_find(const id_tail_t *self, uint64_t hash, id_seqs_t *seqs);
/*  Copies the entries to `sorted` in ascending order of hash and seq. */
void id_tail_sort(const id_tail_t *self, id_entry_t sorted[ID_TAIL_ENTRIES]);
void id_tail_clear(id_tail_t *self);

#endif
