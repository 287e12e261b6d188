#include "broker/store/id_sweep.h"

#define SAMPLE_ENTRIES 16
#define READ_COST      4 /* of one seq, in merged entries */
#define READ_ROWS      256

int id_sweep_sample(id_sweep_t *self, id_tables_t *tables, const id_run_t *run)
{
    /*  Any chunk is a fair sample of all seqs of the run. Another one each time. */
    uint32_t chunk = (uint32_t)(run->number * 31 + self->number) % run->chunks;
    unsigned asked = 0, gone = 0;
    id_cursor_t cursor;
    int rc = id_cursor_init(&cursor, tables, run, chunk);
    while (rc == SQLITE_OK && !cursor.done && asked < SAMPLE_ENTRIES) {
        bool exists;
        rc = id_tables_task_exists(tables, cursor.entry.seq, &exists);
        ++asked;
        gone += !exists;
        if (rc == SQLITE_OK)
            rc = id_cursor_next(&cursor, tables);
    }
    id_cursor_fini(&cursor);
    if (rc == SQLITE_OK && 2 * gone > asked) {
        self->live = seq_set_new();
        self->from = run->min_seq;
        self->to = run->max_seq;
        self->after = run->min_seq - 1;
    }
    self->number++;
    return rc;
}

bool id_sweep_reading(const id_sweep_t *self)
{
    return self->live && self->after < self->to;
}

int id_sweep_read(id_sweep_t *self, id_tables_t *tables, size_t *budget)
{
    int rc = id_tables_live_seqs(tables, &self->after, self->to, READ_ROWS, self->live);
    *budget -= *budget < READ_ROWS * READ_COST ? *budget : READ_ROWS * READ_COST;
    return rc;
}

void id_sweep_end(id_sweep_t *self)
{
    seq_set_destroy(&self->live);
}

static bool knows(const id_sweep_t *self, uint64_t seq)
{
    return self->live && self->after == self->to && seq >= self->from && seq <= self->to;
}

bool id_sweep_gone(const id_sweep_t *self, uint64_t seq)
{
    return knows(self, seq) && !seq_set_has(self->live, seq);
}

uint64_t id_sweep_expected(const id_sweep_t *self, const id_run_t *run)
{
    uint64_t from = run->min_seq > self->from ? run->min_seq : self->from;
    uint64_t to = run->max_seq < self->to ? run->max_seq : self->to;
    if (!knows(self, from) || from > to)
        return run->count;
    double share = (double)(to - from + 1) / (double)(run->max_seq - run->min_seq + 1);
    /*  Outside of the sweep's range all count as left. With too little of the run inside, the
        estimate would rest on how its seqs are spread, which may be far from evenly. */
    if (share < 0.75)
        return run->count;
    double left = (double)seq_set_count(self->live, from, to) / ID_SLICES;
    double expected = left * 1.1 + (double)run->count * (1 - share);
    return expected < (double)run->count ? (uint64_t)expected : run->count;
}

bool id_sweep_wants(const id_sweep_t *self, const id_run_t *run)
{
    return run->swept != self->number && id_sweep_expected(self, run) < run->count - run->count / 4;
}
