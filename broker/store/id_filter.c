#include "broker/store/id_filter.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/*  A generation is an open-addressing table at most half full. It is the unit of forgetting: small
    enough that little is kept longer than needed, large enough that a question asks few of them. */
#define GENERATION_IDS   16384
#define GENERATION_SLOTS (2 * GENERATION_IDS)

/*  32 bits of the 48 are enough: what matters is that they are not those which choose the slot. */
typedef struct generation {
    uint64_t max_seq;
    uint32_t count, dropped;
    uint32_t tags[GENERATION_SLOTS]; /* 0: empty */
} generation_t;

typedef struct segment_list {
    id_segment_t **items;
    size_t count;
} segment_list_t;

struct id_filter {
    segment_list_t slices[ID_SLICES];
    generation_t **generations; /* oldest first */
    size_t generation_count;
};

id_update_t *id_update_new(void)
{
    return mem_zalloc(sizeof(id_update_t));
}

void id_update_destroy(id_update_t **self_p)
{
    id_update_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t i = 0; i < self->added_count; ++i)
        id_segment_unref(&self->added[i]);
    free(self->added);
    free(self->removed);
    free(self->recent);
    free(self);
}

void id_update_add_segment(id_update_t *self, id_segment_t *segment)
{
    self->added = mem_realloc(self->added, (self->added_count + 1) * sizeof *self->added);
    self->added[self->added_count++] = id_segment_ref(segment);
}

void id_update_remove_segment(id_update_t *self, uint64_t run)
{
    self->removed = mem_realloc(self->removed, (self->removed_count + 1) * sizeof *self->removed);
    self->removed[self->removed_count++] = run;
}

void id_update_add_recent(id_update_t *self, uint64_t hash, uint64_t seq)
{
    if ((self->recent_count & (self->recent_count - 1)) == 0) {
        size_t capacity = self->recent_count ? 2 * self->recent_count : 1;
        self->recent = mem_realloc(self->recent, capacity * sizeof *self->recent);
    }
    self->recent[self->recent_count++] = hash;
    if (seq > self->recent_seq)
        self->recent_seq = seq;
}

id_filter_t *id_filter_new(void)
{
    return mem_zalloc(sizeof(id_filter_t));
}

void id_filter_destroy(id_filter_t **self_p)
{
    id_filter_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t s = 0; s < ID_SLICES; ++s) {
        for (size_t i = 0; i < self->slices[s].count; ++i)
            id_segment_unref(&self->slices[s].items[i]);
        free(self->slices[s].items);
    }
    for (size_t i = 0; i < self->generation_count; ++i)
        free(self->generations[i]);
    free(self->generations);
    free(self);
}

static uint32_t generation_tag(uint64_t hash)
{
    uint32_t tag = (uint32_t)(hash >> 16);
    return tag ? tag : 1;
}

/*  The slot where the tag is, or the empty one where it belongs. */
static size_t generation_slot(const generation_t *generation, uint64_t hash, uint32_t tag)
{
    size_t slot = (hash >> 44) % GENERATION_SLOTS;
    while (generation->tags[slot] != 0 && generation->tags[slot] != tag)
        slot = (slot + 1) % GENERATION_SLOTS;
    return slot;
}

void id_filter_add(id_filter_t *self, uint64_t hash, uint64_t seq)
{
    size_t count = self->generation_count;
    generation_t *newest = count ? self->generations[count - 1] : NULL;
    if (!newest || newest->count == GENERATION_IDS) {
        newest = mem_zalloc(sizeof *newest);
        self->generations = mem_realloc(self->generations, (count + 1) * sizeof *self->generations);
        self->generations[count] = newest;
        self->generation_count = count + 1;
    }
    uint32_t tag = generation_tag(hash);
    newest->tags[generation_slot(newest, hash, tag)] = tag;
    newest->count++;
    if (seq > newest->max_seq)
        newest->max_seq = seq;
}

bool id_filter_maybe(const id_filter_t *self, uint64_t hash)
{
    hash &= ID_HASH_MASK;
    const segment_list_t *list = &self->slices[id_hash_slice(hash)];
    for (size_t i = 0; i < list->count; ++i)
        __builtin_prefetch(id_segment_block(list->items[i], hash));
    uint32_t tag = generation_tag(hash);
    for (size_t i = self->generation_count; i > 0; --i) {
        const generation_t *generation = self->generations[i - 1];
        if (generation->tags[generation_slot(generation, hash, tag)] == tag)
            return true;
    }
    for (size_t i = 0; i < list->count; ++i)
        if (id_segment_maybe(list->items[i], hash))
            return true;
    return false;
}

static void add_segment(id_filter_t *self, id_segment_t *segment)
{
    segment_list_t *list = &self->slices[segment->slice];
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = segment;
}

static bool remove_segment(segment_list_t *list, uint64_t run)
{
    for (size_t i = 0; i < list->count; ++i) {
        if (list->items[i]->run != run)
            continue;
        id_segment_unref(&list->items[i]);
        list->items[i] = list->items[--list->count];
        return true;
    }
    return false;
}

/*  The generations that are covered up to this seq, and those whose ids were all dropped. */
static void forget(id_filter_t *self, uint64_t covered_seq)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->generation_count; ++i) {
        generation_t *generation = self->generations[i];
        if (generation->max_seq <= covered_seq || generation->dropped == GENERATION_IDS)
            free(generation);
        else
            self->generations[kept++] = generation;
    }
    self->generation_count = kept;
}

void id_filter_drop(id_filter_t *self, uint64_t seq)
{
    size_t at = 0;
    while (at < self->generation_count && self->generations[at]->max_seq < seq)
        at++;
    if (at < self->generation_count && ++self->generations[at]->dropped == GENERATION_IDS)
        forget(self, 0);
}

void id_filter_apply(id_filter_t *self, id_update_t **update_p)
{
    id_update_t *update = *update_p;
    for (size_t i = 0; i < update->added_count; ++i)
        add_segment(self, update->added[i]);
    update->added_count = 0; /* their references are ours now */
    for (size_t i = 0; i < update->removed_count; ++i) {
        size_t slice = 0;
        while (slice < ID_SLICES && !remove_segment(&self->slices[slice], update->removed[i]))
            ++slice;
        assert(slice < ID_SLICES);
    }
    forget(self, update->covered_seq);
    for (size_t i = 0; i < update->recent_count; ++i)
        id_filter_add(self, update->recent[i], update->recent_seq);
    id_update_destroy(update_p);
}

size_t id_filter_bytes(const id_filter_t *self)
{
    size_t bytes = sizeof *self + self->generation_count * sizeof(generation_t);
    for (size_t s = 0; s < ID_SLICES; ++s)
        bytes += self->slices[s].count * sizeof(id_segment_t *);
    return bytes;
}
