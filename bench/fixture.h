/*  What is set up alike by programs that measure parts of the broker. */

#ifndef REEVE_BENCH_FIXTURE_H
#define REEVE_BENCH_FIXTURE_H

#include "broker/core/core.h"
#include "broker/store/store.h"
#include "common/wire/reeve.h"

#define FIXTURE_WALL_MS 1764000000000LL

enum { FIXTURE_ID_SIZE = 37 };

/*  A core with nothing but defaults on an empty store. */
core_t *fixture_core(store_t *store);
/*  As long and as ordered as a UUID of version 7, and always the same. */
void fixture_id(uint64_t number, char id[FIXTURE_ID_SIZE]);
/*  Borrows both. */
wire_task_t fixture_task(const char *id, const char *body);
/*  A valid body of so many bytes, 29 at least; the caller frees. */
char *fixture_body(size_t size);

#endif
