/*  What makes a database that was restored from a backup one that a broker may go on with. */

#include <sodium.h>
#include <stdlib.h>

#include "broker/store/sqlite_inside.h"
#include "common/mem.h"

/*  More starts than there were since the backup: peers know a broker by its epoch. */
enum { EPOCH_LEAP = 1 << 20 };

typedef struct leased {
    loaded_t *items;
    size_t count, capacity;
} leased_t;

static void ignore_queue(const stored_queue_t *queue, void *arg)
{
    (void)queue, (void)arg;
}

static void note_lease(loaded_t *loaded, void *arg)
{
    leased_t *leased = arg;
    leased->items = mem_room(leased->items, &leased->capacity, leased->count, sizeof(loaded_t));
    leased->items[leased->count++] = *loaded;
}

/*  Back into its queue, uncounted, as if its worker had given it back. */
static int release(store_t *store, loaded_t *loaded, int64_t wall_ms)
{
    loaded->outcome = outcome_new(&(outcome_spec_t){.ending = ENDING_RELEASED,
                                                    .attempt = loaded->tries.attempts,
                                                    .started_ms = loaded->at_ms,
                                                    .ended_ms = wall_ms,
                                                    .worker = slice_str(loaded->worker),
                                                    .reason = slice_str("released"),
                                                    .error = slice_str("restored from a backup")});
    return store->ops->apply(store, &(change_t){.record = loaded->record,
                                                .from = REEVE_STATE_PROCESSING,
                                                .to = REEVE_STATE_QUEUED,
                                                .tries = loaded->tries,
                                                .outcome = loaded->outcome});
}

static int renew(sqlite_store_t *self)
{
    uint8_t key[sizeof self->identity.token_key];
    randombytes_buf(key, sizeof key);
    if (sqlite_put_meta(self, "token_key", slice(key, sizeof key), 0) != STORE_OK)
        return STORE_FAILED;
    return sqlite_put_meta(self, "epoch", (slice_t){0}, (int64_t)self->identity.epoch + EPOCH_LEAP);
}

int sqlite_store_restored(store_t *store, int64_t wall_ms, size_t *released)
{
    leased_t leased = {0};
    int rc = store->ops->recover(store, &(store_recovery_t){&leased, ignore_queue, note_lease});
    if (rc == STORE_OK)
        rc = store->ops->begin(store);
    for (size_t i = 0; rc == STORE_OK && i < leased.count; i++)
        rc = release(store, &leased.items[i], wall_ms);
    if (rc == STORE_OK)
        rc = renew((sqlite_store_t *)store);
    if (rc == STORE_OK)
        rc = store->ops->commit(store);
    if (rc == STORE_OK)
        rc = store->ops->sync(store);
    if (rc == STORE_OK)
        rc = sqlite_name_lock((sqlite_store_t *)store);
    for (size_t i = 0; i < leased.count; i++)
        loaded_fini(&leased.items[i]);
    free(leased.items);
    *released = leased.count;
    return rc;
}
