/*  Counts by reason, of which there may be any number: those beyond LIMIT_METRIC_REASONS are summed
    up as "other", but Reeve's own have a place of their own at all times. */

#ifndef REEVE_COMMON_REASONS_H
#define REEVE_COMMON_REASONS_H

#include "common/bytes.h"

typedef struct reasons {
    struct reason {
        char *name;
        uint64_t count;
    } * items;
    size_t count;
} reasons_t;

/*  Counts one. A name ends at a zero byte, where a label's value would; one without any bytes is
    "unknown". False when it went to "other". */
bool reasons_add(reasons_t *self, slice_t name);

/*  A deep copy, for snapshots. */
reasons_t reasons_copy(const reasons_t *self);
void reasons_fini(reasons_t *self);

#endif
