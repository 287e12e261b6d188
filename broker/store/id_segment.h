/*  A run's filter: which ids a run of the index may hold, shared by threads once it is complete.

    Blocked Bloom filter: an id lives in one 64-byte block (one cache line) and sets one bit in each
    of its eight words. Blocks are in the order of the hashes they serve, so a merge, which meets
    hashes in ascending order, finishes and writes them one after another. */

#ifndef REEVE_BROKER_STORE_ID_SEGMENT_H
#define REEVE_BROKER_STORE_ID_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  An id's hash is used by its top 48 bits: of these the first four choose the slice (an index of
    its own, see id_index.h), the following ones a place within a run. */
#define ID_HASH_MASK         0xffffffffffff0000u
#define ID_SLICES            16
#define ID_SEGMENT_WORDS     8
#define ID_SEGMENT_BLOCK     64 /* bytes */
#define ID_SEGMENT_MAX_BLOCK (1u << 26)

typedef struct id_segment {
    atomic_uint references;
    uint32_t blocks;
    uint64_t run; /* number of the run that it is about; unique in the database */
    unsigned slice;
    void *memory;
    uint64_t *words; /* blocks × 8, aligned to cache lines */
} id_segment_t;

static inline unsigned id_hash_slice(uint64_t hash)
{
    return (unsigned)(hash >> 60);
}

/*  The hash's place among `parts` equal parts of its slice; ascends with the hash. */
static inline uint32_t id_hash_part(uint64_t hash, uint32_t parts)
{
    return (uint32_t)(((hash << 4) >> 32) * parts >> 32);
}

/*  Blocks for a run expected to hold `ids`. Small runs get more bits per id: they are many, every
    lookup asks them all, and they take little of the memory. */
uint32_t id_segment_blocks_for(uint64_t ids);

/*  An empty filter with one reference. */
id_segment_t *id_segment_new(uint64_t run, unsigned slice, uint32_t blocks);
/*  Any thread. The last reference frees. */
id_segment_t *id_segment_ref(id_segment_t *self);
void id_segment_unref(id_segment_t **self_p);

/*  Only by the thread that made it, before another one sees it. */
void id_segment_add(id_segment_t *self, uint64_t hash);

size_t id_segment_bytes(const id_segment_t *self);

/*  The stored form of blocks [first, first + count): their words as little-endian, 64 bytes each.
 */
void id_segment_save(const id_segment_t *self, uint32_t first, uint32_t count, uint8_t *bytes);
void id_segment_load(id_segment_t *self, uint32_t first, uint32_t count, const uint8_t *bytes);

static inline const uint64_t *id_segment_block(const id_segment_t *self, uint64_t hash)
{
    return self->words + (size_t)id_hash_part(hash, self->blocks) * ID_SEGMENT_WORDS;
}

/*  Six bits for each of the eight words. The product is a bijection of the 48 bits in use. */
static inline uint64_t id_segment_pattern(uint64_t hash)
{
    return ((hash >> 16) * 0x9e3779b97f4a7c15u) & 0xffffffffffffu;
}

/*  False only when the run does not hold the hash. */
static inline bool id_segment_maybe(const id_segment_t *self, uint64_t hash)
{
    const uint64_t *block = id_segment_block(self, hash);
    uint64_t pattern = id_segment_pattern(hash);
    uint64_t all = 1;
    for (unsigned i = 0; i < ID_SEGMENT_WORDS; ++i, pattern >>= 6)
        all &= block[i] >> (pattern & 63);
    return all & 1;
}

#endif
