/*  A progress bar on standard error, where that is a terminal. */

#ifndef REEVE_CLIENT_PROGRESS_H
#define REEVE_CLIENT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    bool shown; /* standard error is a terminal */
    int64_t start_ms, drawn_ms;
} progress_t;

void progress_init(progress_t *self, int64_t now_ms);
/*  Draws, at most ten times a second: `part` of `whole` (0: unknown) is done. */
void progress_draw(progress_t *self, int64_t now_ms, uint64_t part, uint64_t whole, uint64_t done,
                   uint64_t refused);
/*  Clears the line, so that something else can be written. */
void progress_clear(progress_t *self);

#endif
