#include "broker/store/id_merge.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"

#define NO_HASH UINT64_MAX /* above every hash: these end in zeros */

static uint64_t head_of(const id_cursor_t *cursor)
{
    return cursor->done ? NO_HASH : cursor->entry.hash;
}

int id_merge_start(id_merge_t **self_p, id_tables_t *tables, const id_sweep_t *sweep,
                   id_run_t *const *inputs, size_t width, uint64_t run)
{
    assert(width > 0 && width <= ID_MERGE_WIDTH);
    id_merge_t *self = mem_zalloc(sizeof *self);
    *self_p = self;
    self->swept = sweep->live && !id_sweep_reading(sweep) ? sweep->number : 0;
    uint64_t expected = 0;
    for (size_t i = 0; i < width; ++i)
        expected += id_sweep_expected(sweep, inputs[i]);
    int rc = id_builder_init(&self->builder, tables, run, inputs[0]->slice, expected);
    while (rc == SQLITE_OK && self->width < width) {
        self->inputs[self->width] = inputs[self->width];
        rc = id_cursor_init(&self->cursors[self->width], tables, inputs[self->width], 0);
        self->heads[self->width] = head_of(&self->cursors[self->width]);
        self->width++;
    }
    return rc;
}

void id_merge_destroy(id_merge_t **self_p)
{
    id_merge_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t i = 0; i < ID_MERGE_WIDTH; ++i)
        id_cursor_fini(&self->cursors[i]);
    id_builder_fini(&self->builder);
    free(self);
}

/*  The input with the lowest entry. Of equal hashes the first input's, which is the one with lower
    seqs. Written so that it compiles to moves: which input is next cannot be predicted. */
static size_t lowest(const id_merge_t *self)
{
    size_t best = 0;
    uint64_t head = self->heads[0];
    for (size_t i = 1; i < self->width; ++i) {
        best = self->heads[i] < head ? i : best;
        head = self->heads[i] < head ? self->heads[i] : head;
    }
    return best;
}

static int write_held(id_merge_t *self, id_tables_t *tables)
{
    bool exists = true;
    self->holding = false;
    if (self->held_shared) {
        int rc = id_tables_task_exists(tables, self->held.seq, &exists);
        if (rc != SQLITE_OK)
            return rc;
    }
    return exists ? id_builder_add(&self->builder, &self->held) : SQLITE_OK;
}

/*  Writes the entry before this one, now that it is known whether they share a hash. */
static int hold(id_merge_t *self, id_tables_t *tables, const id_entry_t *entry)
{
    int rc = SQLITE_OK;
    bool shared = self->holding && self->held.hash == entry->hash;
    if (self->holding) {
        self->held_shared |= shared;
        rc = write_held(self, tables);
    }
    self->held = *entry;
    self->holding = true;
    self->held_shared = shared;
    return rc;
}

static int finish(id_merge_t *self, id_tables_t *tables, id_run_t **done)
{
    int rc = self->holding ? write_held(self, tables) : SQLITE_OK;
    if (rc == SQLITE_OK)
        rc = id_builder_finish(&self->builder, done);
    if (rc == SQLITE_OK)
        (*done)->swept = self->swept;
    return rc;
}

int id_merge_advance(id_merge_t *self, id_tables_t *tables, const id_sweep_t *sweep,
                     uint64_t oldest, size_t *budget, id_run_t **done)
{
    *done = NULL;
    for (; *budget > 0; --*budget) {
        size_t input = lowest(self);
        if (self->heads[input] == NO_HASH)
            return finish(self, tables, done);
        id_cursor_t *cursor = &self->cursors[input];
        int rc = SQLITE_OK;
        uint64_t seq = cursor->entry.seq;
        if (seq >= oldest && !id_sweep_gone(sweep, seq))
            rc = hold(self, tables, &cursor->entry);
        if (rc == SQLITE_OK)
            rc = id_cursor_next(cursor, tables);
        self->heads[input] = head_of(cursor);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}
