/*  The tasks whose outcome a client waits for, by correlation number. The broker keeps waits in
    memory only, so each is asked for again on a new connection. */

#ifndef REEVE_CLIENT_WAITERS_H
#define REEVE_CLIENT_WAITERS_H

#include <uthash.h>

#include "common/bytes.h"

typedef struct waiter {
    uint64_t corr;
    char *id; /* malloc'd */
    void *user;
    bool pending; /* to be asked; such are in `pending`, the others in `asked` */
    struct waiter *prev, *next;
    UT_hash_handle hh;
} waiter_t;

/*  A zeroed struct is empty. */
typedef struct client_waiters {
    waiter_t *by_corr;
    waiter_t *pending, *asked;
} client_waiters_t;

void client_waiters_fini(client_waiters_t *self);

/*  Adds one; takes `id`. Pending, unless the broker was asked already. */
void client_waiters_add(client_waiters_t *self, uint64_t corr, char **id, void *user, bool asked);
waiter_t *client_waiters_find(client_waiters_t *self, uint64_t corr);
void client_waiters_remove(client_waiters_t *self, waiter_t **waiter);
void client_waiters_asked(client_waiters_t *self, waiter_t *waiter);
/*  Makes all pending again. */
void client_waiters_ask_again(client_waiters_t *self);

static inline size_t client_waiters_count(const client_waiters_t *self)
{
    return HASH_COUNT(self->by_corr);
}

#endif
