#include "client/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { INTERVAL_MS = 100, BAR = 30 };

void progress_init(progress_t *self, int64_t now_ms)
{
    *self = (progress_t){.shown = isatty(STDERR_FILENO) == 1, .start_ms = now_ms};
}

static void draw_bar(uint64_t part, uint64_t whole)
{
    char bar[BAR + 1];
    double share = part < whole ? (double)part / (double)whole : 1;
    int filled = (int)(share * BAR);
    memset(bar, ' ', BAR);
    memset(bar, '=', (size_t)filled);
    if (filled < BAR)
        bar[filled] = '>';
    bar[BAR] = '\0';
    fprintf(stderr, "%3.0f%% [%s] ", share * 100, bar);
}

void progress_draw(progress_t *self, int64_t now_ms, uint64_t part, uint64_t whole, uint64_t done,
                   uint64_t refused)
{
    if (!self->shown || now_ms - self->drawn_ms < INTERVAL_MS)
        return;
    self->drawn_ms = now_ms;
    fputs("\r\033[K", stderr);
    if (whole > 0)
        draw_bar(part, whole);
    int64_t elapsed_ms = now_ms - self->start_ms;
    fprintf(stderr, "%" PRIu64 " confirmed", done);
    if (elapsed_ms > 0)
        fprintf(stderr, ", %.0f/s", (double)done * 1000 / (double)elapsed_ms);
    if (refused > 0)
        fprintf(stderr, ", %" PRIu64 " refused", refused);
    fflush(stderr);
}

void progress_clear(progress_t *self)
{
    if (self->shown && self->drawn_ms != 0)
        fputs("\r\033[K", stderr);
    self->drawn_ms = 0;
}
