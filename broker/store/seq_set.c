#include "broker/store/seq_set.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"

#define BLOCK_SEQS  65536
#define BLOCK_WORDS (BLOCK_SEQS / 64)
#define SPARSE_MAX  4096 /* up to here a sorted list is smaller than the bitmap */

/*  65,536 consecutive seqs: a sorted list of their low halves, or, when it grew long, a bitmap. */
typedef struct block {
    uint64_t key; /* seq / 65,536 */
    uint32_t count;
    uint16_t *low; /* either */
    uint64_t *bits;
} block_t;

struct seq_set {
    block_t *blocks;
    size_t count;
    uint64_t last;
};

seq_set_t *seq_set_new(void)
{
    return mem_zalloc(sizeof(seq_set_t));
}

void seq_set_destroy(seq_set_t **self_p)
{
    seq_set_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; ++i) {
        free(self->blocks[i].low);
        free(self->blocks[i].bits);
    }
    free(self->blocks);
    free(self);
}

static block_t *last_block(seq_set_t *self, uint64_t key)
{
    if (self->count && self->blocks[self->count - 1].key == key)
        return &self->blocks[self->count - 1];
    if ((self->count & (self->count - 1)) == 0)
        self->blocks =
            mem_realloc(self->blocks, (self->count ? 2 * self->count : 1) * sizeof(block_t));
    self->blocks[self->count] = (block_t){.key = key};
    return &self->blocks[self->count++];
}

static void set_bit(block_t *block, uint16_t low)
{
    block->bits[low / 64] |= UINT64_C(1) << (low % 64);
}

static void make_dense(block_t *block)
{
    block->bits = mem_zalloc(BLOCK_WORDS * sizeof *block->bits);
    for (uint32_t i = 0; i < block->count; ++i)
        set_bit(block, block->low[i]);
    free(block->low);
    block->low = NULL;
}

void seq_set_append(seq_set_t *self, uint64_t seq)
{
    assert(self->count == 0 || seq > self->last);
    self->last = seq;
    block_t *block = last_block(self, seq / BLOCK_SEQS);
    if (block->count == SPARSE_MAX)
        make_dense(block);
    if (block->bits) {
        set_bit(block, (uint16_t)seq);
    } else {
        if ((block->count & (block->count - 1)) == 0)
            block->low =
                mem_realloc(block->low, (block->count ? 2 * block->count : 1) * sizeof *block->low);
        block->low[block->count] = (uint16_t)seq;
    }
    block->count++;
}

/*  Index of the first block whose key is not below `key`. */
static size_t find_block(const seq_set_t *self, uint64_t key)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->blocks[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool list_has(const block_t *block, uint16_t wanted)
{
    size_t low = 0, high = block->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (block->low[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low < block->count && block->low[low] == wanted;
}

bool seq_set_has(const seq_set_t *self, uint64_t seq)
{
    size_t i = find_block(self, seq / BLOCK_SEQS);
    if (i == self->count || self->blocks[i].key != seq / BLOCK_SEQS)
        return false;
    const block_t *block = &self->blocks[i];
    uint16_t low = (uint16_t)seq;
    return block->bits ? (block->bits[low / 64] >> (low % 64)) & 1 : list_has(block, low);
}

uint64_t seq_set_count(const seq_set_t *self, uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    for (size_t i = find_block(self, from / BLOCK_SEQS); i < self->count; ++i) {
        const block_t *block = &self->blocks[i];
        uint64_t first = block->key * BLOCK_SEQS, last = first + BLOCK_SEQS - 1;
        if (first > to)
            break;
        uint64_t share = (last < to ? last : to) - (first > from ? first : from) + 1;
        count += block->count * share / BLOCK_SEQS;
    }
    return count;
}
