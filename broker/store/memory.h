/*  A store without durability: everything in memory, behind the same seam as SQLite. Tests and the
    simulator run the broker on it, and it survives their brokers: recover again to start another.
 */

#ifndef REEVE_BROKER_STORE_MEMORY_H
#define REEVE_BROKER_STORE_MEMORY_H

#include "broker/store/store.h"

/*  An empty store. Destroyed by its `close`. The same calls always give the same store: keys and
    seeds in its identity are constants. */
store_t *memory_store_new(void);

/*  The process died before the commit: everything since begin is undone and the transaction is
    over. Does nothing outside a transaction. */
void memory_store_crash(store_t *store);

#endif
