/*  The progress line of a self test, on a terminal. */

#ifndef REEVE_CLIENT_SELFTEST_WATCH_H
#define REEVE_CLIENT_SELFTEST_WATCH_H

#include "client/selftest/cast.h"

enum { WATCHED_MOST = 8 };

typedef struct watch {
    bool shown; /* standard error is a terminal */
    int64_t start_ms, drawn_ms, duration_ms;
    const char *directory;
    int files[WATCHED_MOST]; /* the clients' histories; < 0: not yet there */
    uint64_t confirmed;
} watch_t;

void watch_init(watch_t *self, const char *directory, int64_t duration_ms);
void watch_fini(watch_t *self);
/*  Draws, twice a second at most; `what` is being done. */
void watch_draw(watch_t *self, int64_t now_ms, const char *what, const cast_t *cast);
void watch_clear(watch_t *self);

#endif
