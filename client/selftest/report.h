/*  The end of a self test, for people and scripts. */

#ifndef REEVE_CLIENT_SELFTEST_REPORT_H
#define REEVE_CLIENT_SELFTEST_REPORT_H

#include "client/selftest/cast.h"
#include "client/selftest/oracle.h"

typedef struct report {
    uint64_t seed;
    int64_t duration_ms, healing_ms, asking_ms;
    const cast_t *cast;
    const story_t *story;
    const verdict_t *verdict;
    const char *problem; /* what kept it from an end, or what else went wrong; NULL: nothing */
} report_t;

bool report_is_good(const report_t *self);
void report_print(const report_t *self);
void report_print_json(const report_t *self);
/*  Tells of each broken rule some tasks, with all that was seen of them, on standard error. */
void report_print_examples(const report_t *self);

#endif
