#include "broker/store/id_tail.h"

#include <assert.h>
#include <string.h>

#define BUCKETS 4096 /* of the sort: by the 12 bits after the slice's four */

static size_t first_slot(uint64_t hash)
{
    return (hash >> 40) % ID_TAIL_SLOTS;
}

void id_tail_add(id_tail_t *self, uint64_t hash, uint64_t seq)
{
    assert(self->count < ID_TAIL_ENTRIES);
    size_t slot = first_slot(hash);
    while (self->slots[slot] != 0)
        slot = (slot + 1) % ID_TAIL_SLOTS;
    self->entries[self->count++] = (id_entry_t){hash, seq};
    self->slots[slot] = (uint16_t)self->count;
}

void id_tail_find(const id_tail_t *self, uint64_t hash, id_seqs_t *seqs)
{
    /*  Nothing is ever taken out, so entries of one hash are met in order of arrival. */
    for (size_t slot = first_slot(hash); self->slots[slot] != 0;
         slot = (slot + 1) % ID_TAIL_SLOTS) {
        const id_entry_t *entry = &self->entries[self->slots[slot] - 1];
        if (entry->hash == hash)
            id_seqs_push(seqs, entry->seq);
    }
}

static size_t bucket_of(const id_entry_t *entry)
{
    return (entry->hash >> 48) % BUCKETS;
}

/*  Hashes are uniform: one distribution into as many buckets as there are entries leaves almost
    nothing for the insertion sort. Both are stable, so entries of one hash stay in order of seq. */
void id_tail_sort(const id_tail_t *self, id_entry_t sorted[ID_TAIL_ENTRIES])
{
    uint16_t starts[BUCKETS + 1] = {0};
    for (size_t i = 0; i < self->count; ++i)
        starts[bucket_of(&self->entries[i]) + 1]++;
    for (size_t i = 1; i < BUCKETS; ++i)
        starts[i] = (uint16_t)(starts[i] + starts[i - 1]);
    for (size_t i = 0; i < self->count; ++i)
        sorted[starts[bucket_of(&self->entries[i])]++] = self->entries[i];
    for (size_t i = 1; i < self->count; ++i) {
        id_entry_t entry = sorted[i];
        size_t at = i;
        for (; at > 0 && sorted[at - 1].hash > entry.hash; --at)
            sorted[at] = sorted[at - 1];
        sorted[at] = entry;
    }
}

void id_tail_clear(id_tail_t *self)
{
    self->count = 0;
    memset(self->slots, 0, sizeof self->slots);
}
