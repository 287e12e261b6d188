/*  The leases of the SQLite store.

    The leases that one commit gives are one row of `lease_batch`, and a row's leases end without a write
    to it: a leased task keeps its row in `ready`, and loses that when it ends; when it goes back to its
    queue, `tries` has the attempt. So a lease on record holds while its task is in `ready` and has no
    later count of attempts. A row goes when none of its leases holds any more.
    A lease costs a few bytes this way, in place of two statements when it begins and one when it ends. */

#ifndef REEVE_BROKER_STORE_SQLITE_LEASE_H
#define REEVE_BROKER_STORE_SQLITE_LEASE_H

#include "broker/core/record.h"

/*  One lease as it stands in the row: these, little-endian, and the name of the worker; a name of no
    bytes is that of the lease before. */
enum { LEASE_ENTRY_BYTES = 8 + 4 + 8 + 2 }; /* seq, attempt, started_ms, size of the name */

typedef struct lease lease_t;
typedef struct leases leases_t;

leases_t *leases_new(void);
void leases_free(leases_t *self);

/*  The lease of a task, NULL when it is not leased. Valid until it ends. */
const lease_t *leases_find(const leases_t *self, uint64_t seq);
uint32_t lease_attempt(const lease_t *lease);
/*  state, attempts, start and worker of the lease's task. */
void lease_tell(const lease_t *lease, loaded_t *loaded);
void leases_each(const leases_t *self, void (*each)(uint64_t seq, void *arg), void *arg);
/*  How many leased tasks have a key in [from, to). */
size_t leases_count(const leases_t *self, uint64_t from, uint64_t to);

/*  Gives a lease in this transaction, to be written at its end. */
void leases_add(leases_t *self, uint64_t seq, uint64_t key, uint32_t attempt, int64_t started_ms,
                slice_t worker);
/*  A lease is over. `unseen`: without a trace elsewhere, so its row has to be written anew. */
void leases_end(leases_t *self, uint64_t seq, bool unseen);

/*  What this transaction has to write, row by row: false when there is no more. `blob` is empty for a
    row that goes; its bytes are the caller's to free. */
bool leases_next_row(leases_t *self, uint64_t *number, uint8_t **blob, size_t *size);

/*  At the start, in the order of the rows: their entries one by one (false at the end or where the row is
    malformed), and those that hold are put in place. */
typedef struct lease_entry {
    uint64_t seq;
    uint32_t attempt;
    int64_t started_ms;
    slice_t worker;
} lease_entry_t;
bool lease_entry_read(slice_t *row, lease_entry_t *entry);
void leases_restore(leases_t *self, uint64_t number, const lease_entry_t *entry, uint64_t key);
/*  After the entries of a row: it goes with the next transaction when none of them holds. */
void leases_restored(leases_t *self, uint64_t number);

#endif
