#include "broker/store/id_segment.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/*  Ids per block of 512 bits, by the size of the run, and what they cost: 20 bits an id (0.03 %
    false positives), 18 (0.05 %), 15 (0.14 %), 12.5 (0.36 %). */
static const struct {
    uint64_t ids;
    unsigned per_block;
} DENSITY[] = {{8192, 26}, {32768, 28}, {131072, 34}, {UINT64_MAX, 41}};

uint32_t id_segment_blocks_for(uint64_t ids)
{
    size_t i = 0;
    while (ids > DENSITY[i].ids)
        ++i;
    uint64_t blocks = ids / DENSITY[i].per_block + 1;
    return blocks < ID_SEGMENT_MAX_BLOCK ? (uint32_t)blocks : ID_SEGMENT_MAX_BLOCK;
}

id_segment_t *id_segment_new(uint64_t run, unsigned slice, uint32_t blocks)
{
    assert(slice < ID_SLICES && blocks > 0 && blocks <= ID_SEGMENT_MAX_BLOCK);
    id_segment_t *self = mem_zalloc(sizeof *self);
    atomic_init(&self->references, 1);
    self->run = run;
    self->slice = slice;
    self->blocks = blocks;
    /*  calloc and an aligned start inside: aligned_alloc would need the zeroing that calloc has
        from the kernel for nothing. */
    self->memory = mem_zalloc(id_segment_bytes(self) + ID_SEGMENT_BLOCK);
    uintptr_t start = (uintptr_t)self->memory + ID_SEGMENT_BLOCK - 1;
    self->words = (uint64_t *)(start - start % ID_SEGMENT_BLOCK);
    return self;
}

id_segment_t *id_segment_ref(id_segment_t *self)
{
    atomic_fetch_add_explicit(&self->references, 1, memory_order_relaxed);
    return self;
}

void id_segment_unref(id_segment_t **self_p)
{
    id_segment_t *self = *self_p;
    *self_p = NULL;
    if (!self || atomic_fetch_sub_explicit(&self->references, 1, memory_order_acq_rel) > 1)
        return;
    free(self->memory);
    free(self);
}

void id_segment_add(id_segment_t *self, uint64_t hash)
{
    uint64_t *block = self->words + (size_t)id_hash_part(hash, self->blocks) * ID_SEGMENT_WORDS;
    uint64_t pattern = id_segment_pattern(hash);
    for (unsigned i = 0; i < ID_SEGMENT_WORDS; ++i, pattern >>= 6)
        block[i] |= UINT64_C(1) << (pattern & 63);
}

size_t id_segment_bytes(const id_segment_t *self)
{
    return (size_t)self->blocks * ID_SEGMENT_BLOCK;
}

void id_segment_save(const id_segment_t *self, uint32_t first, uint32_t count, uint8_t *bytes)
{
    const uint64_t *words = self->words + (size_t)first * ID_SEGMENT_WORDS;
    for (size_t i = 0; i < (size_t)count * ID_SEGMENT_WORDS; ++i) {
        uint64_t word = htole64(words[i]);
        memcpy(bytes + i * sizeof word, &word, sizeof word);
    }
}

void id_segment_load(id_segment_t *self, uint32_t first, uint32_t count, const uint8_t *bytes)
{
    uint64_t *words = self->words + (size_t)first * ID_SEGMENT_WORDS;
    for (size_t i = 0; i < (size_t)count * ID_SEGMENT_WORDS; ++i) {
        uint64_t word;
        memcpy(&word, bytes + i * sizeof word, sizeof word);
        words[i] = le64toh(word);
    }
}
