/*  The rows of `ready`, many in one statement: a statement costs SQLite more than its row. What a
    transaction puts and cuts is collected, and carried out before the next read and at its end. */

#include <stdlib.h>

#include "broker/store/sqlite_inside.h"
#include "common/mem.h"

static void add(key_list_t *list, uint64_t key)
{
    list->items = mem_room(list->items, &list->capacity, list->count, sizeof *list->items);
    list->sorted = list->count == 0 || (list->sorted && list->items[list->count - 1] < key);
    list->items[list->count++] = key;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static int write_put(sqlite_store_t *self)
{
    const uint64_t *keys = self->ready_put.items;
    size_t left = self->ready_put.count;
    self->ready_put.count = 0;
    while (left > 0) {
        size_t rows = left >= READY_ROWS ? READY_ROWS : 1;
        statement_t statement = rows > 1 ? ST_PUT_READIES : ST_PUT_READY;
        for (size_t i = 0; i < rows; i++)
            bind_int(self, statement, (int)i + 1, (int64_t)keys[i]);
        if (sqlite_run(self, statement) != STORE_OK)
            return STORE_FAILED;
        keys += rows;
        left -= rows;
    }
    return STORE_OK;
}

/*  Neighbours go in one step: a range holds no other key than these. */
static int write_cut(sqlite_store_t *self)
{
    const uint64_t *keys = self->ready_cut.items;
    size_t count = self->ready_cut.count;
    self->ready_cut.count = 0;
    if (!self->ready_cut.sorted)
        qsort(self->ready_cut.items, count, sizeof *keys, by_value);
    for (size_t first = 0, i = 1; i <= count; i++) {
        if (i < count && keys[i] == keys[i - 1] + 1)
            continue;
        bind_int(self, ST_CUT_READY, 1, (int64_t)keys[first]);
        bind_int(self, ST_CUT_READY, 2, (int64_t)keys[i - 1]);
        if (sqlite_run(self, ST_CUT_READY) != STORE_OK)
            return STORE_FAILED;
        first = i;
    }
    return STORE_OK;
}

int ready_flush(sqlite_store_t *self)
{
    if (self->ready_put.count && write_put(self) != STORE_OK)
        return STORE_FAILED;
    return self->ready_cut.count ? write_cut(self) : STORE_OK;
}

/*  A key that may be in the other list has its turn there first. */
int ready_put(sqlite_store_t *self, uint64_t key, bool fresh)
{
    if (!fresh && ready_flush(self) != STORE_OK)
        return STORE_FAILED;
    if (self->ready_put.count == 0)
        self->first_put_seq = UINT64_MAX;
    if ((key & KEY_SEQ_MAX) < self->first_put_seq)
        self->first_put_seq = key & KEY_SEQ_MAX;
    add(&self->ready_put, key);
    return STORE_OK;
}

int ready_cut(sqlite_store_t *self, uint64_t key)
{
    bool maybe_new = self->ready_put.count && (key & KEY_SEQ_MAX) >= self->first_put_seq;
    if (maybe_new && ready_flush(self) != STORE_OK)
        return STORE_FAILED;
    add(&self->ready_cut, key);
    return STORE_OK;
}

void ready_free(sqlite_store_t *self)
{
    free(self->ready_put.items);
    free(self->ready_cut.items);
}
