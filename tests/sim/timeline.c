#include "tests/sim/timeline.h"

#include <stdlib.h>

#include "common/mem.h"

static bool before(const happening_t *a, const happening_t *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->order < b->order);
}

static void swap(happening_t *a, happening_t *b)
{
    happening_t kept = *a;
    *a = *b;
    *b = kept;
}

void timeline_at(timeline_t *self, int64_t at_ms, happening_fn run, void *who, uint64_t tag)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 256;
        self->heap = mem_realloc(self->heap, self->capacity * sizeof *self->heap);
    }
    size_t at = self->count++;
    self->heap[at] = (happening_t){at_ms, self->order++, run, who, tag};
    for (; at > 0 && before(&self->heap[at], &self->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&self->heap[at], &self->heap[(at - 1) / 2]);
}

bool timeline_next(timeline_t *self, happening_t *out)
{
    if (self->count == 0)
        return false;
    *out = self->heap[0];
    self->heap[0] = self->heap[--self->count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < self->count && before(&self->heap[child], &self->heap[least]))
                least = child;
        if (least == at)
            return true;
        swap(&self->heap[at], &self->heap[least]);
        at = least;
    }
}

void timeline_fini(timeline_t *self)
{
    free(self->heap);
    *self = (timeline_t){0};
}
