#include "tests/power/disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include <sqlite3.h>

#include "common/mem.h"

enum { SECTOR = 512, PAGE = 4096, DISKS = 8, SHARED_REGIONS = 64 };

/* ---- bytes and operations ------------------------------------------------------------------- */

typedef struct extent {
    uint8_t *data;
    size_t size, capacity;
} extent_t;

static void extent_resize(extent_t *self, size_t size)
{
    if (size > self->capacity) {
        self->capacity = size > 2 * self->capacity ? size : 2 * self->capacity;
        self->data = mem_realloc(self->data, self->capacity);
    }
    if (size > self->size)
        memset(self->data + self->size, 0, size - self->size);
    self->size = size;
}

static void extent_write(extent_t *self, size_t at, const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    if (at + size > self->size)
        extent_resize(self, at + size);
    memcpy(self->data + at, data, size);
}

static void extent_copy(extent_t *self, const extent_t *from)
{
    self->size = 0;
    extent_resize(self, from->size);
    if (from->size)
        memcpy(self->data, from->data, from->size);
}

/*  A write, or without data a truncation to `at`. */
typedef struct operation {
    size_t at, size;
    uint8_t *data;
} operation_t;

/*  A file whether or not the directory still names it. */
typedef struct inode {
    unsigned references;
    extent_t current, durable;
    operation_t *pending;
    size_t count, capacity;
    void *shared[SHARED_REGIONS];
} inode_t;

static inode_t *inode_new(void)
{
    inode_t *self = mem_zalloc(sizeof *self);
    self->references = 1;
    return self;
}

static inode_t *inode_ref(inode_t *self)
{
    if (self)
        self->references++;
    return self;
}

static void forget_shared(inode_t *self)
{
    for (int i = 0; i < SHARED_REGIONS; i++) {
        free(self->shared[i]);
        self->shared[i] = NULL;
    }
}

static void forget_pending(inode_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->pending[i].data);
    self->count = 0;
}

static void inode_unref(inode_t **self_p)
{
    inode_t *self = *self_p;
    *self_p = NULL;
    if (self == NULL || --self->references > 0)
        return;
    forget_pending(self);
    forget_shared(self);
    free(self->pending);
    free(self->current.data);
    free(self->durable.data);
    free(self);
}

static void remember(inode_t *self, size_t at, const uint8_t *data, size_t size)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 16;
        self->pending = mem_realloc(self->pending, self->capacity * sizeof *self->pending);
    }
    operation_t *operation = &self->pending[self->count++];
    *operation = (operation_t){.at = at, .size = size};
    if (size) {
        operation->data = mem_alloc(size);
        memcpy(operation->data, data, size);
    }
}

static void apply(extent_t *extent, const operation_t *operation)
{
    if (operation->data)
        extent_write(extent, operation->at, operation->data, operation->size);
    else
        extent_resize(extent, operation->at);
}

/*  Some of the operation's sectors. What of them lies past the end may come as garbage. */
static void apply_torn(extent_t *extent, const operation_t *operation, size_t sector, bool garbage,
                       rng_t *rng)
{
    if (operation->data == NULL) {
        if (rng_chance(rng, 50))
            apply(extent, operation);
        return;
    }
    for (size_t done = 0; done < operation->size;) {
        size_t at = operation->at + done, left = operation->size - done;
        size_t size = sector - at % sector < left ? sector - at % sector : left;
        if (rng_chance(rng, 50)) {
            extent_write(extent, at, operation->data + done, size);
        } else if (garbage && at >= extent->size && rng_chance(rng, 50)) {
            extent_resize(extent, at + size);
            for (size_t i = 0; i < size; i++)
                extent->data[at + i] = (uint8_t)rng_next(rng);
        }
        done += size;
    }
}

static void settle(extent_t *extent, const inode_t *inode, cut_t kind, rng_t *rng)
{
    size_t torn = kind == CUT_PREFIX ? rng_below(rng, inode->count + 1) : 0;
    for (size_t i = 0; i < inode->count; i++) {
        const operation_t *operation = &inode->pending[i];
        switch (kind) {
        case CUT_KEEP:
            apply(extent, operation);
            break;
        case CUT_PREFIX:
            if (i < torn)
                apply(extent, operation);
            else if (i == torn)
                apply_torn(extent, operation, SECTOR, false, rng);
            break;
        case CUT_SUBSET:
            if (rng_chance(rng, 50))
                apply(extent, operation);
            break;
        case CUT_SECTORS:
        case CUT_PAGES:
        case CUT_GARBAGE:
            apply_torn(extent, operation, kind == CUT_PAGES ? PAGE : SECTOR, kind == CUT_GARBAGE,
                       rng);
            break;
        case CUT_DROP:
        case CUT_KINDS:
            break;
        }
    }
}

/* ---- the directory -------------------------------------------------------------------------- */

typedef struct entry {
    char *path;
    inode_t *current, *durable; /* NULL: no such file */
    struct entry *prev, *next;
} entry_t;

struct disk {
    char name[96];
    entry_t *entries;
    disk_barrier_fn barrier;
    void *context;
    fault_t fault;
    uint64_t countdown;
    bool lasting;
    unsigned failures;
    rng_t rng; /* of failed syncs */
    disk_stats_t stats;
};

static disk_t *disks[DISKS];

static disk_t *disk_of(const char *path)
{
    for (int i = 0; i < DISKS; i++)
        if (disks[i] && strncmp(path, disks[i]->name, strlen(disks[i]->name)) == 0 &&
            path[strlen(disks[i]->name)] == '/')
            return disks[i];
    return NULL;
}

disk_t *disk_new(const char *name)
{
    disk_t *self = mem_zalloc(sizeof *self);
    snprintf(self->name, sizeof self->name, "%s", name);
    int at = 0;
    while (disks[at])
        assert(++at < DISKS);
    disks[at] = self;
    return self;
}

static void wipe(disk_t *self)
{
    entry_t *entry, *next;
    DL_FOREACH_SAFE (self->entries, entry, next) {
        DL_DELETE(self->entries, entry);
        inode_unref(&entry->current);
        inode_unref(&entry->durable);
        free(entry->path);
        free(entry);
    }
}

void disk_destroy(disk_t **self_p)
{
    disk_t *self = *self_p;
    *self_p = NULL;
    if (self == NULL)
        return;
    wipe(self);
    for (int i = 0; i < DISKS; i++)
        if (disks[i] == self)
            disks[i] = NULL;
    free(self);
}

const char *disk_name(const disk_t *self)
{
    return self->name;
}

static entry_t *find_entry(disk_t *self, const char *path)
{
    entry_t *entry;
    DL_FOREACH (self->entries, entry)
        if (strcmp(entry->path, path) == 0)
            return entry;
    return NULL;
}

static entry_t *add_entry(disk_t *self, const char *path)
{
    entry_t *entry = mem_zalloc(sizeof *entry);
    entry->path = mem_strdup(path);
    DL_APPEND(self->entries, entry);
    return entry;
}

static void sync_directory(disk_t *self)
{
    entry_t *entry;
    DL_FOREACH (self->entries, entry) {
        inode_ref(entry->current);
        inode_unref(&entry->durable);
        entry->durable = entry->current;
    }
}

/*  A file of the disk that is made, with these bytes, durable. */
static extent_t *place(disk_t *self, const disk_t *from, const entry_t *entry,
                       const extent_t *bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s", self->name, entry->path + strlen(from->name));
    entry_t *placed = add_entry(self, path);
    placed->current = inode_new();
    placed->durable = inode_ref(placed->current);
    extent_copy(&placed->current->durable, bytes);
    return &placed->current->durable;
}

static void show_durable(disk_t *self)
{
    entry_t *entry;
    DL_FOREACH (self->entries, entry)
        extent_copy(&entry->current->current, &entry->current->durable);
}

/*  Which file the entry names after the cut: what was durable, what is now, or, where one took the
    other's place, none. */
static const inode_t *survivor(const entry_t *entry, cut_t kind, rng_t *rng)
{
    if (entry->current == entry->durable || kind == CUT_DROP)
        return entry->durable;
    if (kind == CUT_KEEP)
        return entry->current;
    if (entry->current && entry->durable && rng_chance(rng, 20))
        return NULL;
    return rng_chance(rng, 50) ? entry->current : entry->durable;
}

void disk_cut(const disk_t *self, disk_t *into, cut_t kind, rng_t *rng)
{
    const entry_t *entry;
    wipe(into);
    DL_FOREACH (self->entries, entry) {
        const inode_t *inode = survivor(entry, kind, rng);
        if (inode)
            settle(place(into, self, entry, &inode->durable), inode, kind, rng);
    }
    show_durable(into);
}

void disk_copy(const disk_t *self, disk_t *into)
{
    const entry_t *entry;
    wipe(into);
    DL_FOREACH (self->entries, entry)
        if (entry->current)
            place(into, self, entry, &entry->current->current);
    show_durable(into);
}

size_t disk_bytes(const disk_t *self)
{
    size_t bytes = 0;
    const entry_t *entry;
    DL_FOREACH (self->entries, entry)
        bytes += entry->current ? entry->current->current.size : 0;
    return bytes;
}

disk_stats_t disk_stats(const disk_t *self)
{
    return self->stats;
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

void disk_on_barrier(disk_t *self, disk_barrier_fn fn, void *context)
{
    self->barrier = fn;
    self->context = context;
}

void disk_fail(disk_t *self, fault_t kind, uint64_t k, bool lasting)
{
    self->fault = kind;
    self->countdown = k;
    self->lasting = lasting;
    self->failures = 0;
    self->rng.state = k;
}

unsigned disk_failures(const disk_t *self)
{
    return self->failures;
}

void disk_heal(disk_t *self)
{
    self->fault = FAULT_NONE;
}

static bool fails(disk_t *self, fault_t kind)
{
    if (self->fault != kind || self->countdown == 0)
        return false;
    if (self->countdown > 1) {
        self->countdown--;
        return false;
    }
    self->failures++;
    if (!self->lasting)
        self->countdown = 0;
    return true;
}

static void at_barrier(disk_t *self)
{
    if (self->barrier)
        self->barrier(self->context);
}

/* ---- files, as SQLite asks for them --------------------------------------------------------- */

typedef struct handle {
    sqlite3_file base;
    disk_t *disk;
    inode_t *inode;
    entry_t *doomed;      /* the entry to remove at closing, or NULL */
    bool syncs_directory; /* at the first sync */
    bool is_database;
} handle_t;

static int handle_close(sqlite3_file *file)
{
    handle_t *self = (handle_t *)file;
    if (self->doomed)
        inode_unref(&self->doomed->current);
    inode_unref(&self->inode);
    return SQLITE_OK;
}

static int handle_read(sqlite3_file *file, void *buffer, int amount, sqlite3_int64 offset)
{
    handle_t *self = (handle_t *)file;
    const extent_t *bytes = &self->inode->current;
    size_t at = (size_t)offset, wanted = (size_t)amount;
    if (fails(self->disk, FAULT_READ))
        return SQLITE_IOERR_READ;
    size_t got = at >= bytes->size ? 0 : bytes->size - at < wanted ? bytes->size - at : wanted;
    if (got > 1 && !self->is_database && fails(self->disk, FAULT_SHORT_READ))
        got /= 2;
    if (got)
        memcpy(buffer, bytes->data + at, got);
    memset((uint8_t *)buffer + got, 0, wanted - got);
    return got == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int handle_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset)
{
    handle_t *self = (handle_t *)file;
    size_t size = (size_t)amount;
    int rc = fails(self->disk, FAULT_WRITE)  ? SQLITE_IOERR_WRITE
             : fails(self->disk, FAULT_FULL) ? SQLITE_FULL
                                             : SQLITE_OK;
    if (rc != SQLITE_OK)
        size /= 2;
    if (size) {
        extent_write(&self->inode->current, (size_t)offset, data, size);
        remember(self->inode, (size_t)offset, data, size);
    }
    self->disk->stats.writes++;
    self->disk->stats.bytes += size;
    return rc;
}

static int handle_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    handle_t *self = (handle_t *)file;
    if (fails(self->disk, FAULT_TRUNCATE))
        return SQLITE_IOERR_TRUNCATE;
    extent_resize(&self->inode->current, (size_t)size);
    remember(self->inode, (size_t)size, NULL, 0);
    return SQLITE_OK;
}

static int handle_sync(sqlite3_file *file, int flags)
{
    handle_t *self = (handle_t *)file;
    inode_t *inode = self->inode;
    (void)flags;
    at_barrier(self->disk);
    self->disk->stats.syncs++;
    self->disk->stats.database_syncs += self->is_database;
    bool failed = fails(self->disk, FAULT_SYNC);
    if (failed)
        settle(&inode->durable, inode, CUT_SECTORS, &self->disk->rng);
    else
        settle(&inode->durable, inode, CUT_KEEP, NULL);
    forget_pending(inode);
    if (failed)
        return SQLITE_IOERR_FSYNC;
    if (self->syncs_directory)
        sync_directory(self->disk);
    self->syncs_directory = false;
    return SQLITE_OK;
}

static int handle_size(sqlite3_file *file, sqlite3_int64 *size)
{
    handle_t *self = (handle_t *)file;
    *size = (sqlite3_int64)self->inode->current.size;
    return fails(self->disk, FAULT_SIZE) ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

/*  All connections are of one thread, which uses one at a time. */
static int handle_lock(sqlite3_file *file, int level)
{
    (void)file, (void)level;
    return SQLITE_OK;
}

static int handle_check_lock(sqlite3_file *file, int *reserved)
{
    (void)file;
    *reserved = 0;
    return SQLITE_OK;
}

static int handle_control(sqlite3_file *file, int what, void *arg)
{
    (void)file, (void)what, (void)arg;
    return SQLITE_NOTFOUND;
}

static int handle_sector_size(sqlite3_file *file)
{
    (void)file;
    return PAGE;
}

static int handle_characteristics(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int shared_map(sqlite3_file *file, int region, int size, int extend, void volatile **memory)
{
    handle_t *self = (handle_t *)file;
    assert(region < SHARED_REGIONS);
    *memory = NULL;
    if (fails(self->disk, FAULT_SHARED))
        return SQLITE_IOERR_SHMMAP;
    if (self->inode->shared[region] == NULL && extend)
        self->inode->shared[region] = mem_zalloc((size_t)size);
    *memory = self->inode->shared[region];
    return SQLITE_OK;
}

static int shared_lock(sqlite3_file *file, int offset, int n, int flags)
{
    (void)file, (void)offset, (void)n, (void)flags;
    return SQLITE_OK;
}

static void shared_barrier(sqlite3_file *file)
{
    (void)file;
}

static int shared_unmap(sqlite3_file *file, int remove)
{
    if (remove)
        forget_shared(((handle_t *)file)->inode);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = handle_close,
    .xRead = handle_read,
    .xWrite = handle_write,
    .xTruncate = handle_truncate,
    .xSync = handle_sync,
    .xFileSize = handle_size,
    .xLock = handle_lock,
    .xUnlock = handle_lock,
    .xCheckReservedLock = handle_check_lock,
    .xFileControl = handle_control,
    .xSectorSize = handle_sector_size,
    .xDeviceCharacteristics = handle_characteristics,
    .xShmMap = shared_map,
    .xShmLock = shared_lock,
    .xShmBarrier = shared_barrier,
    .xShmUnmap = shared_unmap,
};

/* ---- the VFS -------------------------------------------------------------------------------- */

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out)
{
    handle_t *handle = (handle_t *)file;
    (void)vfs;
    *handle = (handle_t){0};
    disk_t *disk = path ? disk_of(path) : NULL;
    if (disk == NULL || fails(disk, FAULT_OPEN))
        return SQLITE_CANTOPEN;
    entry_t *entry = find_entry(disk, path);
    if ((entry == NULL || entry->current == NULL) && !(flags & SQLITE_OPEN_CREATE))
        return SQLITE_CANTOPEN;
    if (entry == NULL)
        entry = add_entry(disk, path);
    if (entry->current == NULL)
        entry->current = inode_new();
    int logs = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
    *handle = (handle_t){.base.pMethods = &methods,
                         .disk = disk,
                         .inode = inode_ref(entry->current),
                         .doomed = flags & SQLITE_OPEN_DELETEONCLOSE ? entry : NULL,
                         .syncs_directory = flags & SQLITE_OPEN_CREATE && flags & logs,
                         .is_database = flags & SQLITE_OPEN_MAIN_DB};
    if (out)
        *out = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    (void)vfs;
    disk_t *disk = disk_of(path);
    entry_t *entry = disk ? find_entry(disk, path) : NULL;
    if (entry == NULL || entry->current == NULL)
        return SQLITE_IOERR_DELETE_NOENT;
    at_barrier(disk);
    if (fails(disk, FAULT_DELETE))
        return SQLITE_IOERR_DELETE;
    disk->stats.removals++;
    inode_unref(&entry->current);
    if (sync && fails(disk, FAULT_SYNC))
        return SQLITE_IOERR_DIR_FSYNC;
    if (sync)
        sync_directory(disk);
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *result)
{
    (void)vfs;
    disk_t *disk = disk_of(path);
    entry_t *entry = disk ? find_entry(disk, path) : NULL;
    *result = entry && entry->current;
    /* As the VFS for Unix: an empty file is as good as none. */
    if (*result && flags == SQLITE_ACCESS_EXISTS)
        *result = entry->current->current.size > 0;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int size, char *full)
{
    (void)vfs;
    sqlite3_snprintf(size, full, "%s", path);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *bytes)
{
    (void)vfs;
    rng_t rng = {1};
    for (int i = 0; i < size; i++)
        bytes[i] = (char)rng_next(&rng);
    return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *now)
{
    (void)vfs;
    *now = 212622667200000; /* 2025-10-01 in milliseconds of Julian days */
    return SQLITE_OK;
}

void disk_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .szOsFile = sizeof(handle_t),
        .mxPathname = 255,
        .zName = "disk",
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTimeInt64 = vfs_time,
    };
    sqlite3_vfs_register(&vfs, 1);
}
