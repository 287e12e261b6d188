#include "broker/store/id_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/id_merge.h"
#include "broker/store/id_sweep.h"
#include "broker/store/id_tail.h"
#include "common/mem.h"

#define FANOUT      4   /* neighbours of one level that are merged */
#define ERASE_ROWS  32  /* rows erased at a time */
#define ERASE_COST  32  /* of one row, in merged entries */
#define LOOK_STEPS  64  /* steps from one look for dead entries to the next without new tasks */
#define LOOK_COST   512 /* of a look, in merged entries */
#define FIRST_SEALS 256 /* ids; see tail_limit */

typedef struct slice {
    id_run_t **runs; /* oldest first */
    size_t count;
    uint64_t sealed; /* ids of the slice up to this seq are in runs, or their tasks gone */
    id_tail_t tail;
} id_slice_t;

/*  What is left of a run that is not used any more. */
typedef struct doomed {
    uint64_t run;
    uint32_t rows;
    uint32_t erased;
} doomed_t;

struct id_index {
    sqlite3 *db;
    id_tables_t *tables;
    id_hash_fn hash;
    void *hash_context;
    uint64_t last_seq;
    uint64_t oldest; /* no task below this exists */
    uint64_t next_run;
    id_merge_t *merge; /* the one going on, or NULL */
    doomed_t *doomed;
    size_t doomed_count;
    id_sweep_t sweep;
    bool settled; /* no merge is due */
    unsigned steps;
    unsigned looks_due; /* runs to look at for entries of tasks that are gone */
    unsigned look_slice;
    size_t look_run; /* place of the next one in look_slice */
    id_update_t *update;
    id_seqs_t found; /* scratch of id_index_find */
    id_entry_t sorted[ID_TAIL_ENTRIES];
    id_slice_t slices[ID_SLICES];
};

/*  Level 0 is what was just sealed; each further one four times as large. */
static unsigned level_of(const id_run_t *run)
{
    unsigned level = 0;
    for (uint64_t most = 2 * ID_TAIL_ENTRIES; run->count > most; most *= FANOUT)
        ++level;
    return level;
}

static id_update_t *update_of(id_index_t *self)
{
    if (!self->update)
        self->update = id_update_new();
    return self->update;
}

/*  Puts a run where its seqs belong. */
static void insert_run(id_slice_t *slice, id_run_t *run)
{
    slice->runs = mem_realloc(slice->runs, (slice->count + 1) * sizeof *slice->runs);
    size_t at = slice->count++;
    for (; at > 0 && slice->runs[at - 1]->min_seq > run->min_seq; --at)
        slice->runs[at] = slice->runs[at - 1];
    slice->runs[at] = run;
}

static void push_doomed(id_index_t *self, uint64_t run, uint32_t rows)
{
    self->doomed = mem_realloc(self->doomed, (self->doomed_count + 1) * sizeof *self->doomed);
    self->doomed[self->doomed_count++] = (doomed_t){.run = run, .rows = rows};
}

/*  The run at this place is out of use; its rows are erased later. */
static int retire_run(id_index_t *self, id_slice_t *slice, size_t at)
{
    id_run_t *run = slice->runs[at];
    memmove(&slice->runs[at], &slice->runs[at + 1], (--slice->count - at) * sizeof *slice->runs);
    id_update_remove_segment(update_of(self), run->number);
    push_doomed(self, run->number, id_run_rows(run));
    int rc = id_tables_doom_run(self->tables, run->number);
    id_run_destroy(&run);
    return rc;
}

/*  A complete run comes into use, unless nothing is in it. */
static void adopt_run(id_index_t *self, id_run_t *run)
{
    self->settled = false;
    if (run->count == 0) {
        push_doomed(self, run->number, id_run_rows(run));
        id_run_destroy(&run);
        return;
    }
    insert_run(&self->slices[run->slice], run);
    id_update_add_segment(update_of(self), run->segment);
}

static int seal(id_index_t *self, unsigned number)
{
    id_slice_t *slice = &self->slices[number];
    size_t count = slice->tail.count;
    id_tail_sort(&slice->tail, self->sorted);
    id_builder_t builder;
    id_run_t *run = NULL;
    int rc = id_builder_init(&builder, self->tables, self->next_run++, number, count);
    for (size_t i = 0; rc == SQLITE_OK && i < count; ++i)
        rc = id_builder_add(&builder, &self->sorted[i]);
    if (rc == SQLITE_OK)
        rc = id_builder_finish(&builder, &run);
    id_builder_fini(&builder);
    if (rc != SQLITE_OK)
        return rc;
    slice->sealed = run->max_seq;
    adopt_run(self, run);
    id_tail_clear(&slice->tail);
    if (self->looks_due < ID_SLICES)
        self->looks_due++;
    return id_tables_set_sealed(self->tables, number, slice->sealed);
}

/*  The first seal of each slice comes at another length, or all would fill up at the same time. */
static size_t tail_limit(const id_slice_t *slice, unsigned number)
{
    return slice->sealed == 0 ? FIRST_SEALS * (number + 1) : ID_TAIL_ENTRIES;
}

static int add_to_tail(id_index_t *self, uint64_t hash, uint64_t seq)
{
    unsigned number = id_hash_slice(hash);
    id_slice_t *slice = &self->slices[number];
    id_tail_add(&slice->tail, hash & ID_HASH_MASK, seq);
    return slice->tail.count >= tail_limit(slice, number) ? seal(self, number) : SQLITE_OK;
}

int id_index_add(id_index_t *self, uint64_t hash, uint64_t seq)
{
    assert(seq > self->last_seq && seq < UINT64_C(1) << 48);
    self->last_seq = seq;
    return add_to_tail(self, hash, seq);
}

/*  True when a candidate was taken. */
static bool offer(const id_seqs_t *seqs, id_candidate_fn fn, void *context)
{
    for (size_t i = seqs->count; i > 0; --i)
        if (fn(context, seqs->items[i - 1]))
            return true;
    return false;
}

int id_index_find(id_index_t *self, uint64_t hash, id_candidate_fn fn, void *context)
{
    hash &= ID_HASH_MASK;
    const id_slice_t *slice = &self->slices[id_hash_slice(hash)];
    self->found.count = 0;
    id_tail_find(&slice->tail, hash, &self->found);
    if (offer(&self->found, fn, context))
        return SQLITE_OK;
    for (size_t i = slice->count; i > 0; --i) {
        const id_run_t *run = slice->runs[i - 1];
        if (!id_segment_maybe(run->segment, hash))
            continue;
        self->found.count = 0;
        int rc = id_run_find(run, self->tables, hash, &self->found);
        if (rc != SQLITE_OK || offer(&self->found, fn, context))
            return rc;
    }
    return SQLITE_OK;
}

static bool is_merging(const id_index_t *self, const id_run_t *run)
{
    for (size_t i = 0; self->merge && i < self->merge->width; ++i)
        if (self->merge->inputs[i] == run)
            return true;
    return false;
}

/*  Learns which is the oldest task, and retires the runs that are wholly before it. */
static int bury(id_index_t *self)
{
    int rc = id_tables_oldest_task(self->tables, self->last_seq + 1, &self->oldest);
    for (size_t s = 0; s < ID_SLICES; ++s) {
        id_slice_t *slice = &self->slices[s];
        while (rc == SQLITE_OK && slice->count > 0 && slice->runs[0]->max_seq < self->oldest &&
               !is_merging(self, slice->runs[0]))
            rc = retire_run(self, slice, 0);
    }
    return rc;
}

/*  The first group of neighbours of this level or below that is long enough, up to a merge's width;
    its length or 0. */
static size_t find_group(const id_slice_t *slice, unsigned level, size_t *first)
{
    size_t length = 0;
    for (size_t i = 0; i < slice->count; ++i) {
        length = level_of(slice->runs[i]) <= level ? length + 1 : 0;
        *first = i + 1 - length;
        bool ends = i + 1 == slice->count || level_of(slice->runs[i + 1]) > level;
        if (length == ID_MERGE_WIDTH || (length >= FANOUT && ends))
            return length;
    }
    return 0;
}

static int start_merge(id_index_t *self, const id_slice_t *slice, size_t first, size_t width)
{
    return id_merge_start(&self->merge, self->tables, &self->sweep, slice->runs + first, width,
                          self->next_run++);
}

/*  Starts the merge that is due: of the lowest level first, for these are quick, and the number of
    runs is what lookups cost. Sets `settled` when none is. */
static int start_due_merge(id_index_t *self)
{
    int rc = bury(self);
    size_t first, width, deepest = 0;
    for (unsigned level = 0; rc == SQLITE_OK; ++level) {
        deepest = 0;
        for (size_t s = 0; s < ID_SLICES; ++s) {
            const id_slice_t *slice = &self->slices[s];
            width = find_group(slice, level, &first);
            if (width > 0)
                return start_merge(self, slice, first, width);
            for (size_t i = 0; i < slice->count; ++i)
                deepest += level_of(slice->runs[i]) > level;
        }
        if (deepest == 0)
            break;
    }
    self->settled = true;
    return rc;
}

static int advance_merge(id_index_t *self, size_t *budget)
{
    id_run_t *output;
    int rc =
        id_merge_advance(self->merge, self->tables, &self->sweep, self->oldest, budget, &output);
    if (rc != SQLITE_OK || !output)
        return rc;
    id_slice_t *slice = &self->slices[output->slice];
    size_t width = self->merge->width, first = 0;
    while (slice->runs[first] != self->merge->inputs[0])
        ++first;
    id_merge_destroy(&self->merge);
    for (size_t i = 0; rc == SQLITE_OK && i < width; ++i)
        rc = retire_run(self, slice, first);
    adopt_run(self, output);
    return rc;
}

static int erase_doomed(id_index_t *self, size_t *budget)
{
    doomed_t *last = &self->doomed[self->doomed_count - 1];
    int rc = id_tables_erase(self->tables, last->run, last->erased, ERASE_ROWS);
    last->erased += ERASE_ROWS;
    size_t cost = ERASE_ROWS * ERASE_COST;
    *budget -= *budget < cost ? *budget : cost;
    if (rc != SQLITE_OK || last->erased < last->rows)
        return rc;
    self->doomed_count--;
    return id_tables_drop_run(self->tables, last->run);
}

/*  Rewrites the next run that the sweep found to be mostly dead; after the last one it is over. */
static int start_purge(id_index_t *self)
{
    for (size_t s = 0; s < ID_SLICES; ++s) {
        const id_slice_t *slice = &self->slices[s];
        for (size_t i = 0; i < slice->count; ++i)
            if (id_sweep_wants(&self->sweep, slice->runs[i]))
                return start_merge(self, slice, i, 1);
    }
    id_sweep_end(&self->sweep);
    return SQLITE_OK;
}

/*  The next run that is large enough to be worth a look, in turn over all slices; NULL: none is. */
static const id_run_t *next_to_look_at(id_index_t *self)
{
    for (unsigned tried = 0; tried <= ID_SLICES; ++tried) {
        const id_slice_t *slice = &self->slices[self->look_slice];
        while (self->look_run < slice->count) {
            const id_run_t *run = slice->runs[self->look_run++];
            if (level_of(run) > 0)
                return run;
        }
        self->look_slice = (self->look_slice + 1) % ID_SLICES;
        self->look_run = 0;
    }
    return NULL;
}

/*  Nothing else is due, so a run may be looked at for entries of tasks that are gone. */
static int look(id_index_t *self, size_t *budget)
{
    self->looks_due--;
    *budget -= *budget < LOOK_COST ? *budget : LOOK_COST;
    int rc = bury(self);
    const id_run_t *run = next_to_look_at(self);
    return rc == SQLITE_OK && run ? id_sweep_sample(&self->sweep, self->tables, run) : rc;
}

int id_index_step(id_index_t *self, size_t budget)
{
    int rc = SQLITE_OK;
    if (++self->steps % LOOK_STEPS == 0 && self->looks_due == 0)
        self->looks_due = 1;
    while (rc == SQLITE_OK && budget > 0) {
        if (self->merge)
            rc = advance_merge(self, &budget);
        else if (self->doomed_count > 0)
            rc = erase_doomed(self, &budget);
        else if (!self->settled)
            rc = start_due_merge(self);
        else if (id_sweep_reading(&self->sweep))
            rc = id_sweep_read(&self->sweep, self->tables, &budget);
        else if (self->sweep.live)
            rc = start_purge(self);
        else if (self->looks_due > 0)
            rc = look(self, &budget);
        else
            break;
    }
    return rc;
}

bool id_index_busy(const id_index_t *self)
{
    return self->merge || self->doomed_count > 0 || !self->settled || self->sweep.live ||
           self->looks_due > 0;
}

id_update_t *id_index_take_update(id_index_t *self)
{
    id_update_t *update = self->update;
    self->update = NULL;
    if (!update)
        return NULL;
    update->covered_seq = self->last_seq;
    for (size_t s = 0; s < ID_SLICES; ++s) {
        const id_tail_t *tail = &self->slices[s].tail;
        if (tail->count > 0 && tail->entries[0].seq <= update->covered_seq)
            update->covered_seq = tail->entries[0].seq - 1;
    }
    return update;
}

static int load_run(void *context, const id_run_t *stored, uint32_t blocks, bool doomed)
{
    id_index_t *self = context;
    self->next_run = stored->number + 1;
    if (doomed) {
        push_doomed(self, stored->number, stored->chunks + id_filter_pages(blocks));
        return SQLITE_OK;
    }
    id_run_t *run = mem_alloc(sizeof *run);
    *run = *stored;
    insert_run(&self->slices[run->slice], run);
    return id_run_load_segment(run, self->tables, blocks);
}

static int load_task(void *context, uint64_t seq, const void *id, size_t size)
{
    id_index_t *self = context;
    uint64_t hash = self->hash(self->hash_context, id, size);
    if (seq > self->last_seq)
        self->last_seq = seq;
    return seq > self->slices[id_hash_slice(hash)].sealed ? add_to_tail(self, hash, seq)
                                                          : SQLITE_OK;
}

/*  The first update: everything. */
static void make_first_update(id_index_t *self)
{
    id_update_destroy(&self->update);
    id_update_t *update = update_of(self);
    for (size_t s = 0; s < ID_SLICES; ++s) {
        const id_slice_t *slice = &self->slices[s];
        for (size_t i = 0; i < slice->count; ++i)
            id_update_add_segment(update, slice->runs[i]->segment);
        for (size_t i = 0; i < slice->tail.count; ++i)
            id_update_add_recent(update, slice->tail.entries[i].hash, slice->tail.entries[i].seq);
    }
}

static int load(id_index_t *self)
{
    uint64_t sealed[ID_SLICES] = {0}, lowest = UINT64_MAX;
    int rc = id_tables_load_sealed(self->tables, sealed);
    for (size_t s = 0; s < ID_SLICES; ++s) {
        self->slices[s].sealed = sealed[s];
        lowest = sealed[s] < lowest ? sealed[s] : lowest;
        self->last_seq = sealed[s] > self->last_seq ? sealed[s] : self->last_seq;
    }
    if (rc == SQLITE_OK)
        rc = id_tables_each_run(self->tables, load_run, self);
    if (rc == SQLITE_OK)
        rc = id_tables_each_task(self->tables, lowest, load_task, self);
    if (rc == SQLITE_OK)
        make_first_update(self);
    return rc;
}

int id_index_open(id_index_t **self_p, sqlite3 *db, id_hash_fn hash, void *context)
{
    id_index_t *self = mem_zalloc(sizeof *self);
    self->db = db;
    self->hash = hash;
    self->hash_context = context;
    self->next_run = 1;
    *self_p = NULL;
    int rc = id_tables_open(&self->tables, db);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "SAVEPOINT id_index_open", NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        rc = load(self);
        if (rc != SQLITE_OK)
            sqlite3_exec(db, "ROLLBACK TO id_index_open", NULL, NULL, NULL);
        int release = sqlite3_exec(db, "RELEASE id_index_open", NULL, NULL, NULL);
        rc = rc == SQLITE_OK ? release : rc;
    }
    if (rc == SQLITE_OK)
        *self_p = self;
    else
        id_index_close(&self);
    return rc;
}

void id_index_close(id_index_t **self_p)
{
    id_index_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t s = 0; s < ID_SLICES; ++s) {
        for (size_t i = 0; i < self->slices[s].count; ++i)
            id_run_destroy(&self->slices[s].runs[i]);
        free(self->slices[s].runs);
    }
    id_merge_destroy(&self->merge);
    id_sweep_end(&self->sweep);
    id_update_destroy(&self->update);
    id_seqs_fini(&self->found);
    id_tables_close(&self->tables);
    free(self->doomed);
    free(self);
}

void id_index_stats(const id_index_t *self, id_index_stats_t *stats)
{
    *stats = (id_index_stats_t){.last_seq = self->last_seq, .bytes = sizeof *self};
    if (self->merge)
        stats->bytes += sizeof *self->merge + id_segment_bytes(self->merge->builder.run->segment);
    for (size_t s = 0; s < ID_SLICES; ++s) {
        const id_slice_t *slice = &self->slices[s];
        stats->ids += slice->tail.count;
        stats->runs += slice->count;
        stats->depth = slice->count > stats->depth ? slice->count : stats->depth;
        for (size_t i = 0; i < slice->count; ++i) {
            stats->ids += slice->runs[i]->count;
            stats->bytes += sizeof(id_run_t) + id_segment_bytes(slice->runs[i]->segment);
        }
    }
}
