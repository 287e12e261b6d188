#include "common/reasons.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/mem.h"

/*  Those that the broker and reeve-worker give by themselves; of exit_N and signal_NAME there are many. */
static const char *const own[] = {"unknown",          "worker_lost", "quarantined", "timeout",
                                  "result_too_large", "rejected",    "retry",       "spawn_failed",
                                  "bad_document",     "no_handler"};

static bool is_own(slice_t name)
{
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (slice_eq(slice_str(own[i]), name))
            return true;
    return false;
}

static struct reason *find(reasons_t *self, slice_t name)
{
    for (size_t i = 0; i < self->count; i++)
        if (slice_eq(slice_str(self->items[i].name), name))
            return &self->items[i];
    return NULL;
}

static struct reason *append(reasons_t *self, slice_t name)
{
    self->items = mem_realloc(self->items, (self->count + 1) * sizeof *self->items);
    struct reason *reason = &self->items[self->count++];
    *reason = (struct reason){mem_strndup(name.data, name.size), 0};
    return reason;
}

bool reasons_add(reasons_t *self, slice_t name)
{
    if (name.size)
        name.size = strnlen((const char *)name.data, name.size);
    if (name.size == 0)
        name = slice_str("unknown");
    struct reason *reason = find(self, name);
    bool full = reason == NULL && self->count >= LIMIT_METRIC_REASONS && !is_own(name);
    if (full) {
        name = slice_str("other");
        reason = find(self, name);
    }
    if (reason == NULL)
        reason = append(self, name);
    reason->count++;
    return !full;
}

reasons_t reasons_copy(const reasons_t *self)
{
    reasons_t copy = {mem_alloc(self->count * sizeof *self->items), self->count};
    for (size_t i = 0; i < self->count; i++)
        copy.items[i] = (struct reason){mem_strdup(self->items[i].name), self->items[i].count};
    return copy;
}

void reasons_fini(reasons_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->items[i].name);
    free(self->items);
    *self = (reasons_t){0};
}
