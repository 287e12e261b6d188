#include "broker/store/id_run.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define ENTRY_BYTES 12

static void put_entry(uint8_t *bytes, const id_entry_t *entry)
{
    uint64_t low = htole64(entry->hash >> 16 | entry->seq << 48);
    uint32_t high = htole32((uint32_t)(entry->seq >> 16));
    memcpy(bytes, &low, sizeof low);
    memcpy(bytes + sizeof low, &high, sizeof high);
}

static id_entry_t get_entry(const uint8_t *bytes)
{
    uint64_t low, high;
    memcpy(&low, bytes, sizeof low);
    memcpy(&high, bytes + ENTRY_BYTES - sizeof high, sizeof high);
    return (id_entry_t){.hash = le64toh(low) << 16, .seq = le64toh(high) >> 16};
}

void id_seqs_push(id_seqs_t *self, uint64_t seq)
{
    self->items = mem_room(self->items, &self->capacity, self->count, sizeof *self->items);
    self->items[self->count++] = seq;
}

void id_seqs_fini(id_seqs_t *self)
{
    free(self->items);
    *self = (id_seqs_t){0};
}

void id_run_destroy(id_run_t **self_p)
{
    id_run_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    id_segment_unref(&self->segment);
    free(self);
}

uint32_t id_run_rows(const id_run_t *self)
{
    return self->chunks + id_filter_pages(self->segment->blocks);
}

/*  A chunk's bytes in the database; none when no entry fell into it. */
static int get_chunk(const id_run_t *run, id_tables_t *tables, uint32_t chunk,
                     const uint8_t **bytes, size_t *size)
{
    int rc = id_tables_get(tables, run->number, chunk, bytes, size);
    return rc == SQLITE_OK && *size % ENTRY_BYTES != 0 ? SQLITE_CORRUPT : rc;
}

int id_run_find(const id_run_t *self, id_tables_t *tables, uint64_t hash, id_seqs_t *seqs)
{
    const uint8_t *bytes;
    size_t size;
    int rc = get_chunk(self, tables, id_hash_part(hash, self->chunks), &bytes, &size);
    if (rc != SQLITE_OK)
        return rc;
    size_t low = 0, count = size / ENTRY_BYTES, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (get_entry(bytes + middle * ENTRY_BYTES).hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count; ++low) {
        id_entry_t entry = get_entry(bytes + low * ENTRY_BYTES);
        if (entry.hash != hash)
            break;
        id_seqs_push(seqs, entry.seq);
    }
    return SQLITE_OK;
}

int id_run_load_segment(id_run_t *self, id_tables_t *tables, uint32_t blocks)
{
    self->segment = id_segment_new(self->number, self->slice, blocks);
    for (uint32_t first = 0; first < blocks; first += ID_FILTER_PAGE_BLOCKS) {
        uint32_t left = blocks - first;
        uint32_t count = left < ID_FILTER_PAGE_BLOCKS ? left : ID_FILTER_PAGE_BLOCKS;
        const uint8_t *bytes;
        size_t size;
        int rc = id_tables_get(tables, self->number, self->chunks + first / ID_FILTER_PAGE_BLOCKS,
                               &bytes, &size);
        if (rc != SQLITE_OK)
            return rc;
        if (size != (size_t)count * ID_SEGMENT_BLOCK)
            return SQLITE_CORRUPT;
        id_segment_load(self->segment, first, count, bytes);
    }
    return SQLITE_OK;
}

int id_builder_init(id_builder_t *self, id_tables_t *tables, uint64_t run, unsigned slice,
                    uint64_t expected)
{
    uint64_t chunks = expected / ID_CHUNK_ENTRIES + 1;
    *self = (id_builder_t){.tables = tables, .run = mem_zalloc(sizeof *self->run)};
    self->run->number = run;
    self->run->slice = slice;
    self->run->chunks = chunks < ID_RUN_MAX_CHUNKS ? (uint32_t)chunks : ID_RUN_MAX_CHUNKS;
    self->run->segment = id_segment_new(run, slice, id_segment_blocks_for(expected));
    return id_tables_begin_run(tables, self->run, self->run->segment->blocks);
}

static int put_filter_pages(id_builder_t *self, uint32_t end)
{
    const id_segment_t *segment = self->run->segment;
    uint8_t page[ID_FILTER_PAGE_BYTES];
    for (; self->pages < end; ++self->pages) {
        uint32_t first = self->pages * ID_FILTER_PAGE_BLOCKS, left = segment->blocks - first;
        uint32_t count = left < ID_FILTER_PAGE_BLOCKS ? left : ID_FILTER_PAGE_BLOCKS;
        id_segment_save(segment, first, count, page);
        int rc = id_tables_put(self->tables, self->run->number, self->run->chunks + self->pages,
                               page, (size_t)count * ID_SEGMENT_BLOCK);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

static int put_chunk(id_builder_t *self)
{
    if (self->size == 0)
        return SQLITE_OK;
    size_t size = self->size;
    self->size = 0;
    return id_tables_put(self->tables, self->run->number, self->chunk, self->bytes, size);
}

static void count_entry(id_run_t *run, const id_entry_t *entry)
{
    if (run->count == 0 || entry->seq < run->min_seq)
        run->min_seq = entry->seq;
    if (entry->seq > run->max_seq)
        run->max_seq = entry->seq;
    run->count++;
}

int id_builder_add(id_builder_t *self, const id_entry_t *entry)
{
    id_run_t *run = self->run;
    uint32_t chunk = id_hash_part(entry->hash, run->chunks);
    assert(chunk >= self->chunk);
    if (chunk != self->chunk) {
        int rc = put_chunk(self);
        uint32_t block = id_hash_part(entry->hash, run->segment->blocks);
        if (rc == SQLITE_OK)
            rc = put_filter_pages(self, block / ID_FILTER_PAGE_BLOCKS);
        if (rc != SQLITE_OK)
            return rc;
        self->chunk = chunk;
    }
    if (self->size + ENTRY_BYTES > self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 4096;
        self->bytes = mem_realloc(self->bytes, self->capacity);
    }
    put_entry(self->bytes + self->size, entry);
    self->size += ENTRY_BYTES;
    id_segment_add(run->segment, entry->hash);
    count_entry(run, entry);
    return SQLITE_OK;
}

int id_builder_finish(id_builder_t *self, id_run_t **run_p)
{
    int rc = put_chunk(self);
    if (rc == SQLITE_OK)
        rc = put_filter_pages(self, id_filter_pages(self->run->segment->blocks));
    if (rc == SQLITE_OK && self->run->count > 0)
        rc = id_tables_adopt_run(self->tables, self->run);
    if (rc != SQLITE_OK)
        return rc;
    *run_p = self->run;
    self->run = NULL;
    return SQLITE_OK;
}

void id_builder_fini(id_builder_t *self)
{
    id_run_destroy(&self->run);
    free(self->bytes);
    self->bytes = NULL;
}

/*  Copies the next chunk that has entries: a merge reads several runs at once, and writes between.
 */
static int next_chunk(id_cursor_t *self, id_tables_t *tables)
{
    const uint8_t *bytes;
    self->at = self->size = 0;
    while (self->size == 0 && self->next < self->run->chunks) {
        int rc = get_chunk(self->run, tables, self->next++, &bytes, &self->size);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (self->size > self->capacity) {
        self->capacity = self->size;
        self->bytes = mem_realloc(self->bytes, self->capacity);
    }
    if (self->size > 0)
        memcpy(self->bytes, bytes, self->size);
    return SQLITE_OK;
}

int id_cursor_init(id_cursor_t *self, id_tables_t *tables, const id_run_t *run, uint32_t chunk)
{
    *self = (id_cursor_t){.run = run, .next = chunk};
    return id_cursor_next(self, tables);
}

int id_cursor_next(id_cursor_t *self, id_tables_t *tables)
{
    if (self->at == self->size) {
        int rc = next_chunk(self, tables);
        if (rc != SQLITE_OK)
            return rc;
        self->done = self->size == 0;
        if (self->done)
            return SQLITE_OK;
    }
    id_entry_t entry = get_entry(self->bytes + self->at);
    bool ordered = entry.hash > self->entry.hash ||
                   (entry.hash == self->entry.hash && entry.seq > self->entry.seq);
    if (!ordered || id_hash_slice(entry.hash) != self->run->slice ||
        id_hash_part(entry.hash, self->run->chunks) != self->next - 1)
        return SQLITE_CORRUPT;
    self->entry = entry;
    self->at += ENTRY_BYTES;
    return SQLITE_OK;
}

void id_cursor_fini(id_cursor_t *self)
{
    free(self->bytes);
    self->bytes = NULL;
}
