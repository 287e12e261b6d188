/*  A disk that can lose its power: files in memory behind a SQLite VFS.

    Of each file it keeps what the last sync made durable, and the operations since; of the directory
    the entries that are durable, and those that are not yet. So at any moment disk_cut can make one
    of the disks that a power cut would leave: what was not synced is there, or not, or in part.

    As on Linux (sqlite's own VFS for Unix, which production uses): a file's sync does not make its
    directory entry durable, except the first sync of a journal or write-ahead log; and a sector that
    is not written is not damaged by its neighbour's write (SQLITE_IOCAP_POWERSAFE_OVERWRITE).

    A failed sync is taken as Linux does it: of what it should have made durable some is, the rest
    never will be, though it can be read until the power goes; the next sync knows nothing of it.

    One thread at a time. Paths of a disk begin with its name and a slash. */

#ifndef REEVE_TESTS_POWER_DISK_H
#define REEVE_TESTS_POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/power/rng.h"

typedef struct disk disk_t;

/*  What becomes of the operations since the last sync. */
typedef enum cut {
    CUT_DROP,    /* none happened */
    CUT_KEEP,    /* all happened */
    CUT_PREFIX,  /* some first ones, and part of the next one's sectors */
    CUT_SUBSET,  /* any of them */
    CUT_SECTORS, /* any of their sectors, of 512 bytes */
    CUT_PAGES,   /* the same, of 4,096 bytes */
    CUT_GARBAGE, /* as CUT_SECTORS; what was not written past the end of a file is not zero */
    CUT_KINDS
} cut_t;

typedef enum fault {
    FAULT_NONE,
    FAULT_WRITE, /* half is written */
    FAULT_FULL,  /* the same, for want of space */
    FAULT_SYNC,
    FAULT_READ,
    FAULT_SHORT_READ, /* half is read; of a log: of the database SQLite takes it for zeros */
    FAULT_OPEN,
    FAULT_TRUNCATE,
    FAULT_DELETE,
    FAULT_SHARED, /* no memory for the index of the write-ahead log */
    FAULT_SIZE,
    FAULT_KINDS
} fault_t;

/*  Makes the VFS the default one, which is how the store comes to it. */
void disk_register(void);

disk_t *disk_new(const char *name);
void disk_destroy(disk_t **self_p);
const char *disk_name(const disk_t *self);

/*  The disk `into` becomes what a power cut now would leave of this one. No file of `into` is open. */
void disk_cut(const disk_t *self, disk_t *into, cut_t kind, rng_t *rng);
/*  The disk `into` becomes the same, everything durable. */
void disk_copy(const disk_t *self, disk_t *into);

/*  Calls `fn` before each operation that a power cut could come just before of with a difference: a
    sync, or the removal of a file. NULL: none. */
typedef void (*disk_barrier_fn)(void *context);
void disk_on_barrier(disk_t *self, disk_barrier_fn fn, void *context);

/*  The k-th operation of this kind from now (from 1) fails, and all after it where `lasting`. */
void disk_fail(disk_t *self, fault_t kind, uint64_t k, bool lasting);
/*  How often something failed since disk_fail. */
unsigned disk_failures(const disk_t *self);
/*  Nothing fails any more. */
void disk_heal(disk_t *self);

typedef struct disk_stats {
    uint64_t syncs;
    uint64_t database_syncs; /* of them: not of a log, so of a checkpoint or of a set-up */
    uint64_t writes, bytes, removals;
} disk_stats_t;

disk_stats_t disk_stats(const disk_t *self);
size_t disk_bytes(const disk_t *self);

#endif
