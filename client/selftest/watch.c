#include "client/selftest/watch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

enum { INTERVAL_MS = 500 };

void watch_init(watch_t *self, const char *directory, int64_t duration_ms)
{
    *self = (watch_t){.shown = isatty(STDERR_FILENO) == 1,
                      .start_ms = clock_mono_ms(),
                      .duration_ms = duration_ms,
                      .directory = directory};
    for (int i = 0; i < WATCHED_MOST; i++)
        self->files[i] = -1;
}

void watch_fini(watch_t *self)
{
    for (int i = 0; i < WATCHED_MOST; i++)
        if (self->files[i] >= 0)
            close(self->files[i]);
}

/*  Adds the confirms that a client wrote down since the last time. Good enough to look at: a word
    at the edge of two reads is missed. */
static void count_confirms(watch_t *self, int file)
{
    static const char word[] = " confirmed ";
    char text[65536];
    for (ssize_t size; (size = read(file, text, sizeof text)) > 0;)
        for (const char *at = text;
             (at = memmem(at, (size_t)(text + size - at), word, sizeof word - 1)) != NULL; at++)
            self->confirmed++;
}

static void look(watch_t *self, const cast_t *cast)
{
    int clients = 0;
    for (int i = 0; i < cast->count && clients < WATCHED_MOST; i++) {
        char path[PATH_MAX + 64];
        if (cast->actors[i].role != ROLE_CLIENT)
            continue;
        int *file = &self->files[clients++];
        snprintf(path, sizeof path, "%s/history/%s", self->directory, cast->actors[i].name);
        if (*file < 0)
            *file = open(path, O_RDONLY | O_CLOEXEC);
        if (*file >= 0)
            count_confirms(self, *file);
    }
}

void watch_draw(watch_t *self, int64_t now_ms, const char *what, const cast_t *cast)
{
    if (!self->shown || now_ms - self->drawn_ms < INTERVAL_MS)
        return;
    self->drawn_ms = now_ms;
    look(self, cast);
    const uint64_t *kills = cast->counts.kills;
    fprintf(stderr,
            "\r\033[K%" PRId64 " of %" PRId64 " s, %s: %" PRIu64
            " confirmed; killed: broker %" PRIu64 ", workers %" PRIu64 ", clients %" PRIu64,
            (now_ms - self->start_ms) / 1000, self->duration_ms / 1000, what, self->confirmed,
            kills[ROLE_BROKER], kills[ROLE_WORKER] + kills[ROLE_COMMAND] + kills[ROLE_MDP_WORKER],
            kills[ROLE_CLIENT] + kills[ROLE_MDP_CLIENT]);
    fflush(stderr);
}

void watch_clear(watch_t *self)
{
    if (self->shown && self->drawn_ms != 0)
        fputs("\r\033[K", stderr);
    self->drawn_ms = 0;
}
