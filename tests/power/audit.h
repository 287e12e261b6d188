/*  Whether a database of the store is consistent in itself, asked in SQL past the store's code. */

#ifndef REEVE_TESTS_POWER_AUDIT_H
#define REEVE_TESTS_POWER_AUDIT_H

#include <stdint.h>

/*  Ends the test unless it is. No store has it open. */
void audit_database(const char *path, const char *what);

/*  The number that a query yields. */
int64_t audit_count(const char *path, const char *sql);

#endif
