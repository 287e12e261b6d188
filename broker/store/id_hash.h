/*  The 64-bit hash under which a task id is indexed. Seeded per database, so that ids cannot be
    chosen to collide. Source: XXH3 (xxHash 0.8, libxxhash). */

#ifndef REEVE_BROKER_STORE_ID_HASH_H
#define REEVE_BROKER_STORE_ID_HASH_H

#include <xxhash.h>

#include "common/bytes.h"

static inline uint64_t id_hash(uint64_t seed, slice_t id)
{
    return XXH3_64bits_withSeed(id.data, id.size, seed);
}

#endif
