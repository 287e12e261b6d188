#include "broker/store/sqlite_lease.h"

#include <endian.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "common/mem.h"

/*  A row of lease_batch. */
typedef struct lease_row {
    uint64_t number;
    lease_t *leases; /* that hold */
    size_t bytes;    /* of them, written */
    bool dirty;      /* to be written or removed with this transaction */
    UT_hash_handle hh;
} lease_row_t;

struct lease {
    uint64_t seq, key;
    uint32_t attempt;
    int64_t started_ms;
    lease_row_t *row;
    lease_t *prev, *next;
    UT_hash_handle hh;
    size_t worker_size;
    char worker[];
};

struct leases {
    lease_t *by_seq;
    lease_row_t *rows;
    lease_row_t **dirty;
    size_t dirty_count, dirty_capacity;
    lease_row_t *newest; /* this transaction's; NULL none yet */
    uint64_t next_number;
};

leases_t *leases_new(void)
{
    return mem_zalloc(sizeof(leases_t));
}

static lease_row_t *row_new(leases_t *self, uint64_t number)
{
    lease_row_t *row = mem_zalloc(sizeof *row);
    row->number = number;
    HASH_ADD(hh, self->rows, number, sizeof row->number, row);
    if (number >= self->next_number)
        self->next_number = number + 1;
    return row;
}

static void mark(leases_t *self, lease_row_t *row)
{
    if (row->dirty)
        return;
    row->dirty = true;
    self->dirty =
        mem_room(self->dirty, &self->dirty_capacity, self->dirty_count, sizeof(lease_row_t *));
    self->dirty[self->dirty_count++] = row;
}

static void remove_lease(leases_t *self, lease_t *lease)
{
    lease_row_t *row = lease->row;
    DL_DELETE(row->leases, lease);
    row->bytes -= LEASE_ENTRY_BYTES + lease->worker_size;
    HASH_DEL(self->by_seq, lease);
    free(lease);
}

static void free_row(leases_t *self, lease_row_t *row)
{
    while (row->leases)
        remove_lease(self, row->leases);
    HASH_DEL(self->rows, row);
    free(row);
}

void leases_free(leases_t *self)
{
    if (self == NULL)
        return;
    while (self->rows)
        free_row(self, self->rows);
    free(self->dirty);
    free(self);
}

static lease_t *find(const leases_t *self, uint64_t seq)
{
    lease_t *lease;
    HASH_FIND(hh, self->by_seq, &seq, sizeof seq, lease);
    return lease;
}

const lease_t *leases_find(const leases_t *self, uint64_t seq)
{
    return find(self, seq);
}

uint32_t lease_attempt(const lease_t *lease)
{
    return lease->attempt;
}

void lease_tell(const lease_t *lease, loaded_t *loaded)
{
    loaded->state = REEVE_STATE_PROCESSING;
    loaded->tries.attempts = lease->attempt;
    loaded->at_ms = lease->started_ms;
    loaded->worker = mem_strndup(lease->worker, lease->worker_size);
}

void leases_each(const leases_t *self, void (*each)(uint64_t seq, void *arg), void *arg)
{
    for (const lease_t *lease = self->by_seq; lease; lease = lease->hh.next)
        each(lease->seq, arg);
}

size_t leases_count(const leases_t *self, uint64_t from, uint64_t to)
{
    size_t count = 0;
    for (const lease_t *lease = self->by_seq; lease; lease = lease->hh.next)
        count += lease->key >= from && lease->key < to;
    return count;
}

static void put_in_place(leases_t *self, lease_row_t *row, const lease_entry_t *entry, uint64_t key)
{
    lease_t *lease = mem_alloc(sizeof *lease + entry->worker.size);
    lease->seq = entry->seq;
    lease->key = key;
    lease->attempt = entry->attempt;
    lease->started_ms = entry->started_ms;
    lease->row = row;
    lease->worker_size = entry->worker.size;
    if (entry->worker.size)
        memcpy(lease->worker, entry->worker.data, entry->worker.size);
    DL_APPEND(row->leases, lease);
    row->bytes += LEASE_ENTRY_BYTES + entry->worker.size;
    HASH_ADD(hh, self->by_seq, seq, sizeof lease->seq, lease);
}

void leases_add(leases_t *self, uint64_t seq, uint64_t key, uint32_t attempt, int64_t started_ms,
                slice_t worker)
{
    if (self->newest == NULL) {
        self->newest = row_new(self, self->next_number);
        mark(self, self->newest);
    }
    put_in_place(self, self->newest, &(lease_entry_t){seq, attempt, started_ms, worker}, key);
}

void leases_end(leases_t *self, uint64_t seq, bool unseen)
{
    lease_t *lease = find(self, seq);
    if (lease == NULL)
        return;
    lease_row_t *row = lease->row;
    remove_lease(self, lease);
    if (unseen || row->leases == NULL)
        mark(self, row);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static bool same_worker(const lease_t *a, const lease_t *b)
{
    return a->worker_size == b->worker_size && memcmp(a->worker, b->worker, a->worker_size) == 0;
}

static size_t write_entry(uint8_t *at, const lease_t *lease, bool named)
{
    uint64_t seq = htole64(lease->seq), started_ms = htole64((uint64_t)lease->started_ms);
    uint32_t attempt = htole32(lease->attempt);
    uint16_t size = named ? (uint16_t)lease->worker_size : 0;
    uint16_t encoded_size = htole16(size);
    memcpy(at, &seq, 8);
    memcpy(at + 8, &attempt, 4);
    memcpy(at + 12, &started_ms, 8);
    memcpy(at + 20, &encoded_size, 2);
    memcpy(at + LEASE_ENTRY_BYTES, lease->worker, size);
    return LEASE_ENTRY_BYTES + size;
}

static size_t write_row(const lease_row_t *row, uint8_t *at)
{
    size_t size = 0;
    for (const lease_t *lease = row->leases; lease; lease = lease->next) {
        bool first = lease == row->leases;
        size += write_entry(at + size, lease, first || !same_worker(lease, lease->prev));
    }
    return size;
}

bool leases_next_row(leases_t *self, uint64_t *number, uint8_t **blob, size_t *size)
{
    self->newest = NULL;
    if (self->dirty_count == 0)
        return false;
    lease_row_t *row = self->dirty[--self->dirty_count];
    row->dirty = false;
    *number = row->number;
    *blob = NULL;
    *size = 0;
    if (row->leases == NULL) {
        free_row(self, row);
        return true;
    }
    *blob = mem_alloc(row->bytes);
    *size = write_row(row, *blob);
    return true;
}

bool lease_entry_read(slice_t *row, lease_entry_t *entry)
{
    uint64_t seq, started_ms;
    uint32_t attempt;
    uint16_t size;
    if (row->size < LEASE_ENTRY_BYTES)
        return false;
    memcpy(&seq, row->data, 8);
    memcpy(&attempt, row->data + 8, 4);
    memcpy(&started_ms, row->data + 12, 8);
    memcpy(&size, row->data + 20, 2);
    size_t name_size = le16toh(size), whole = LEASE_ENTRY_BYTES + name_size;
    if (row->size < whole)
        return false;
    entry->seq = le64toh(seq);
    entry->attempt = le32toh(attempt);
    entry->started_ms = (int64_t)le64toh(started_ms);
    if (name_size > 0)
        entry->worker = slice(row->data + LEASE_ENTRY_BYTES, name_size);
    *row = slice(row->data + whole, row->size - whole);
    return true;
}

static lease_row_t *row_of(leases_t *self, uint64_t number)
{
    lease_row_t *row;
    HASH_FIND(hh, self->rows, &number, sizeof number, row);
    return row ? row : row_new(self, number);
}

void leases_restore(leases_t *self, uint64_t number, const lease_entry_t *entry, uint64_t key)
{
    put_in_place(self, row_of(self, number), entry, key);
}

void leases_restored(leases_t *self, uint64_t number)
{
    lease_row_t *row = row_of(self, number);
    if (row->leases == NULL)
        mark(self, row);
}
