/*  Events of a client on their way to the caller, in order, with the memory that they point into.
 */

#ifndef REEVE_CLIENT_EVENTS_H
#define REEVE_CLIENT_EVENTS_H

#include "reeve/client.h"

typedef struct event_entry {
    reeve_event_t event;
    void *memory; /* what its slices point into; freed when the next event is taken */
} event_entry_t;

typedef struct client_events {
    event_entry_t *entries;
    size_t capacity, head, count; /* a ring; the capacity is a power of two, or 0 */
    void *taken;                  /* memory of the event that was taken last */
} client_events_t;

void client_events_fini(client_events_t *self);

/*  Adds an event; takes `memory` (malloc'd, may be NULL). */
void client_events_add(client_events_t *self, const reeve_event_t *event, void *memory);

/*  The oldest event; its slices live until the next call. False when there is none. */
bool client_events_take(client_events_t *self, reeve_event_t *event);

#endif
