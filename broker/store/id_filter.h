/*  "Was a task of this id ever admitted?" answered in memory: the reactor's side of the id index.

    No is certain; yes is a maybe, to be asked of id_index_find on the writer thread. The filter is
    the segments of all runs (what the writer has sealed) and the recent hashes (what the reactor
    has admitted and no segment is known to cover). The writer is always behind the reactor, so a
    recent hash is not forgotten when a run is sealed, but when the writer says that everything up
    to the hash's sequence number is in segments that the filter already has: hashes are kept in
    generations, and a generation goes when the newest seq in it is covered.

    One thread, except that an update is made by the writer thread and given away. */

#ifndef REEVE_BROKER_STORE_ID_FILTER_H
#define REEVE_BROKER_STORE_ID_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/id_segment.h"

/*  What the writer's side tells the filter. Owns its references; id_filter_apply takes it. */
typedef struct id_update {
    id_segment_t **added;
    size_t added_count;
    uint64_t *removed; /* run numbers whose segments go, after the added ones came */
    size_t removed_count;
    uint64_t
        covered_seq;  /* every id of a task up to this seq is in the segments, or its task gone */
    uint64_t *recent; /* hashes that are in no segment; only in the first update after opening */
    size_t recent_count;
    uint64_t recent_seq; /* the highest seq of these */
} id_update_t;

id_update_t *id_update_new(void);
void id_update_destroy(id_update_t **self_p);
/*  Takes a reference of its own. */
void id_update_add_segment(id_update_t *self, id_segment_t *segment);
void id_update_remove_segment(id_update_t *self, uint64_t run);
void id_update_add_recent(id_update_t *self, uint64_t hash, uint64_t seq);

typedef struct id_filter id_filter_t;

id_filter_t *id_filter_new(void);
void id_filter_destroy(id_filter_t **self_p);

/*  A task is admitted: from now on its id is a maybe. `seq` is the task's, ascending. */
void id_filter_add(id_filter_t *self, uint64_t hash, uint64_t seq);

/*  The task was never written, so that nothing will tell of it: what only such tasks keep is forgotten. */
void id_filter_drop(id_filter_t *self, uint64_t seq);

/*  False: no task that exists has this id. Never false for an id admitted and not removed, once the
    index's first update was applied; so apply that before the first question. */
bool id_filter_maybe(const id_filter_t *self, uint64_t hash);

/*  Updates must be applied in the order in which the index gave them. */
void id_filter_apply(id_filter_t *self, id_update_t **update_p);

/*  Memory held besides the segments, which the index counts (id_index_stats). */
size_t id_filter_bytes(const id_filter_t *self);

#endif
