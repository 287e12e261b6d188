#include "client/waiters.h"

#include <stdlib.h>
#include <utlist.h>

#include "common/mem.h"

static void waiter_free(waiter_t *waiter)
{
    free(waiter->id);
    free(waiter);
}

void client_waiters_fini(client_waiters_t *self)
{
    waiter_t *waiter, *next;
    HASH_ITER (hh, self->by_corr, waiter, next) {
        HASH_DEL(self->by_corr, waiter);
        waiter_free(waiter);
    }
    *self = (client_waiters_t){0};
}

void client_waiters_add(client_waiters_t *self, uint64_t corr, char **id, void *user, bool asked)
{
    waiter_t *waiter = mem_zalloc(sizeof *waiter);
    waiter->corr = corr;
    waiter->id = *id;
    waiter->user = user;
    waiter->pending = !asked;
    *id = NULL;
    HASH_ADD(hh, self->by_corr, corr, sizeof waiter->corr, waiter);
    if (waiter->pending)
        DL_APPEND(self->pending, waiter);
    else
        DL_APPEND(self->asked, waiter);
}

waiter_t *client_waiters_find(client_waiters_t *self, uint64_t corr)
{
    waiter_t *waiter;
    HASH_FIND(hh, self->by_corr, &corr, sizeof corr, waiter);
    return waiter;
}

static void unlink_waiter(client_waiters_t *self, waiter_t *waiter)
{
    if (waiter->pending)
        DL_DELETE(self->pending, waiter);
    else
        DL_DELETE(self->asked, waiter);
}

void client_waiters_remove(client_waiters_t *self, waiter_t **waiter)
{
    unlink_waiter(self, *waiter);
    HASH_DEL(self->by_corr, *waiter);
    waiter_free(*waiter);
    *waiter = NULL;
}

void client_waiters_asked(client_waiters_t *self, waiter_t *waiter)
{
    unlink_waiter(self, waiter);
    waiter->pending = false;
    DL_APPEND(self->asked, waiter);
}

void client_waiters_ask_again(client_waiters_t *self)
{
    waiter_t *waiter;
    DL_FOREACH (self->asked, waiter)
        waiter->pending = true;
    DL_CONCAT(self->pending, self->asked);
    self->asked = NULL;
}
