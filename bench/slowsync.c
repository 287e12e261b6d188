/*  Preloaded, makes every sync take at least $SLOWSYNC_US (default 2000) microseconds: the time of a
    drive that flushes its cache when told to. */

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/preload.h"

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*  Returns what the sync did, when it is time. */
static int after(int64_t start_ns, int rc)
{
    const char *us = getenv("SLOWSYNC_US");
    int64_t end_ns = start_ns + (us != NULL ? atoll(us) : 2000) * 1000;
    struct timespec end = {.tv_sec = end_ns / 1000000000, .tv_nsec = end_ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) != 0)
        ;
    return rc;
}

int fsync(int fd)
{
    int64_t start_ns = now_ns();
    return after(start_ns, PRELOADED(fsync)(fd));
}

int fdatasync(int fd)
{
    int64_t start_ns = now_ns();
    return after(start_ns, PRELOADED(fdatasync)(fd));
}

int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags)
{
    int64_t start_ns = now_ns();
    return after(start_ns, PRELOADED(sync_file_range)(fd, offset, size, flags));
}
