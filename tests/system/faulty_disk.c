/*  Preloaded, makes the disk fail when a test says so. As long as the file $FAULTY_DISK is there, it says
    what fails with EIO, and for how long, or which syncs do not return until it says something else:

        sync|write SUFFIX once|always
        hang SUFFIX always

    for files whose names end with SUFFIX. "once" removes the file. What was written since the last sync
    that did not fail is gone with one that does, as on a kernel that forgets the pages it could not
    write: it is overwritten with zeros. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/preload.h"

enum { HANG_US = 10 * 1000 };

typedef struct piece {
    ino_t file; /* all are on one disk */
    off64_t offset;
    size_t size;
} piece_t;

static struct {
    pthread_mutex_t mutex;
    piece_t *items; /* not synced */
    size_t count, capacity;
} pieces = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static bool ends_with(int fd, const char *suffix)
{
    char link[64], path[1024];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    size_t wanted = strlen(suffix);
    return size >= (ssize_t)wanted && memcmp(path + size - wanted, suffix, wanted) == 0;
}

/*  Whether this call is to fail now. */
static bool fails(const char *call, int fd)
{
    char word[16], suffix[64], how_often[16];
    const char *path = getenv("FAULTY_DISK");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (file == NULL)
        return false;
    bool fails = fscanf(file, "%15s %63s %15s", word, suffix, how_often) == 3 &&
                 strcmp(word, call) == 0 && ends_with(fd, suffix);
    fclose(file);
    if (fails && strcmp(how_often, "once") == 0)
        unlink(path);
    return fails;
}

/*  Its descriptors are many. */
static ino_t file_of(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        abort();
    return status.st_ino;
}

static void remember(int fd, off64_t offset, size_t size)
{
    pthread_mutex_lock(&pieces.mutex);
    if (pieces.count == pieces.capacity) {
        pieces.capacity = pieces.capacity ? 2 * pieces.capacity : 1024;
        pieces.items = realloc(pieces.items, pieces.capacity * sizeof *pieces.items);
        if (pieces.items == NULL)
            abort();
    }
    pieces.items[pieces.count++] = (piece_t){file_of(fd), offset, size};
    pthread_mutex_unlock(&pieces.mutex);
}

static void lose(int fd, const piece_t *piece)
{
    char *zeros = calloc(1, piece->size);
    if (zeros == NULL || PRELOADED(pwrite64)(fd, zeros, piece->size, piece->offset) < 0)
        abort();
    free(zeros);
}

/*  After a sync of the file: what was not synced is, or is lost. */
static void forget(int fd, bool lost)
{
    ino_t file = file_of(fd);
    size_t kept = 0;
    pthread_mutex_lock(&pieces.mutex);
    for (size_t i = 0; i < pieces.count; i++) {
        if (pieces.items[i].file != file)
            pieces.items[kept++] = pieces.items[i];
        else if (lost)
            lose(fd, &pieces.items[i]);
    }
    pieces.count = kept;
    pthread_mutex_unlock(&pieces.mutex);
}

static int sync_with(int (*original)(int), int fd)
{
    while (fails("hang", fd))
        usleep(HANG_US);
    bool lost = fails("sync", fd);
    int rc = lost ? -1 : original(fd);
    forget(fd, lost);
    if (lost)
        errno = EIO;
    return rc;
}

int fsync(int fd)
{
    return sync_with(PRELOADED(fsync), fd);
}

int fdatasync(int fd)
{
    return sync_with(PRELOADED(fdatasync), fd);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    if (fails("write", fd)) {
        errno = EIO;
        return -1;
    }
    ssize_t written = PRELOADED(pwrite64)(fd, data, size, offset);
    if (written > 0)
        remember(fd, offset, (size_t)written);
    return written;
}
