#include "client/events.h"

#include <stdlib.h>

#include "common/mem.h"

enum { INITIAL_CAPACITY = 64 };

static event_entry_t *entry_at(const client_events_t *self, size_t index)
{
    return &self->entries[(self->head + index) & (self->capacity - 1)];
}

void client_events_fini(client_events_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(entry_at(self, i)->memory);
    free(self->entries);
    free(self->taken);
    *self = (client_events_t){0};
}

static void grow(client_events_t *self)
{
    size_t capacity = self->capacity != 0 ? self->capacity * 2 : INITIAL_CAPACITY;
    event_entry_t *entries = mem_alloc(capacity * sizeof *entries);
    for (size_t i = 0; i < self->count; i++)
        entries[i] = *entry_at(self, i);
    free(self->entries);
    self->entries = entries;
    self->capacity = capacity;
    self->head = 0;
}

void client_events_add(client_events_t *self, const reeve_event_t *event, void *memory)
{
    if (self->count == self->capacity)
        grow(self);
    *entry_at(self, self->count++) = (event_entry_t){.event = *event, .memory = memory};
}

bool client_events_take(client_events_t *self, reeve_event_t *event)
{
    free(self->taken);
    self->taken = NULL;
    if (self->count == 0)
        return false;
    const event_entry_t *entry = entry_at(self, 0);
    *event = entry->event;
    self->taken = entry->memory;
    self->head = (self->head + 1) & (self->capacity - 1);
    self->count--;
    return true;
}
