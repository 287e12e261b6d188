/*  Each write, sync, read, open … and each allocation of SQLite fails in turn, once or from then on,
    until none is left to fail. The store says so, naming what it was, or has done without; nothing
    that it had confirmed is lost, and nothing else was confirmed.

    Usage: test_storage_faults [--seed N] [--story PATTERN] [--transactions N] [--all] [--only FAULT] */

#include <getopt.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>
#include <sqlite3.h>

#include "broker/store/sqlite.h"
#include "broker/store/writer.h"
#include "common/mem.h"
#include "tests/power/give_up.h"
#include "tests/power/trial.h"

/*  Without --all every seventh allocation fails, which takes seconds in place of a minute. */
enum { SOME_ALLOCATIONS = 7 };

static struct {
    const char *only; /* this fault; NULL: all */
    uint64_t seed;
    int transactions; /* 0: as each story has it */
    bool all;         /* every allocation, and everything both once and for good */
} options = {.seed = 1};

typedef struct world {
    char dir[64], disk_name[96];
    disk_t *disk, *cut;
    trial_t trial;
    rng_t rng;
} world_t;

/* ---- SQLite's memory ------------------------------------------------------------------------ */

static struct {
    sqlite3_mem_methods real;
    uint64_t countdown; /* to the allocation that fails; 0: none */
    bool lasting;
    unsigned failures;
} memory;

static bool memory_fails(void)
{
    if (memory.countdown == 0 || --memory.countdown > 0)
        return false;
    memory.countdown = memory.lasting;
    memory.failures++;
    return true;
}

static void *allocate(int size)
{
    return memory_fails() ? NULL : memory.real.xMalloc(size);
}

static void *reallocate(void *old, int size)
{
    return memory_fails() ? NULL : memory.real.xRealloc(old, size);
}

static void replace_memory(void)
{
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory.real);
    sqlite3_mem_methods ours = memory.real;
    ours.xMalloc = allocate;
    ours.xRealloc = reallocate;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours), SQLITE_OK);
}

/* ---- the world ------------------------------------------------------------------------------ */

static disk_t *make_disk(world_t *world, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", world->dir, name);
    assert_int_equal(mkdir(path, 0700), 0); /* the lock file is a real one */
    return disk_new(path);
}

static int set_up(void **state)
{
    world_t *world = mem_zalloc(sizeof *world);
    strcpy(world->dir, "/tmp/reeve-faults-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    world->disk = make_disk(world, "disk");
    world->cut = make_disk(world, "cut");
    snprintf(world->disk_name, sizeof world->disk_name, "%s", disk_name(world->disk));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_t *world = *state;
    char command[96];
    trial_fini(&world->trial);
    disk_destroy(&world->disk);
    disk_destroy(&world->cut);
    snprintf(command, sizeof command, "rm -r %s", world->dir);
    assert_int_equal(system(command), 0);
    free(world);
    return 0;
}

/*  An empty disk and a run that has not begun, the same each time. */
static void start_afresh(world_t *world, const load_t *load)
{
    trial_fini(&world->trial);
    disk_destroy(&world->disk);
    world->disk = disk_new(world->disk_name);
    world->rng.state = options.seed;
    trial_seed_randomness(options.seed);
    trial_init(&world->trial, world->disk, load);
}

/*  What the disk holds when the process has ended. */
static void check_what_is_left(world_t *world, const char *what)
{
    disk_copy(world->disk, world->cut);
    trial_check(&world->trial, world->cut, what);
}

/*  What it holds when the power goes in addition. */
static void check_what_is_durable(world_t *world, const char *what)
{
    char which[160];
    for (int kind = 0; kind < CUT_KINDS; kind += CUT_SECTORS) {
        snprintf(which, sizeof which, "%s, then a power cut", what);
        disk_cut(world->disk, world->cut, (cut_t)kind, &world->rng);
        trial_check(&world->trial, world->cut, which);
    }
}

/* ---- faults of the disk --------------------------------------------------------------------- */

typedef struct tally {
    uint64_t runs, told, done_without;
} tally_t;

typedef struct fault_kind {
    fault_t fault;
    const char *name;
    bool must_tell;       /* the store cannot do without it */
    const char *words[3]; /* one of these is in the error */
} fault_kind_t;

static const fault_kind_t kinds[] = {
    {FAULT_SYNC, "sync", true, {"disk I/O error"}},
    {FAULT_WRITE, "write", true, {"disk I/O error"}},
    {FAULT_FULL, "full disk", true, {"disk is full"}},
    {FAULT_READ, "read", true, {"disk I/O error"}},
    {FAULT_SHORT_READ, "short read", true, {"disk I/O error"}},
    {FAULT_OPEN, "open", true, {"unable to open"}},
    {FAULT_TRUNCATE, "truncation", false, {"disk I/O error"}},
    {FAULT_DELETE, "removal", false, {"disk I/O error"}},
    {FAULT_SHARED, "shared memory", true, {"disk I/O error"}},
    {FAULT_SIZE, "file size", false, {"disk I/O error"}},
};

static void check_error(const char *error, const char *const words[3], const char *what)
{
    for (int i = 0; i < 3 && words[i]; i++)
        if (strstr(error, words[i]))
            return;
    give_up("%s: the error does not say what failed: %s", what, error);
}

/*  The run in which the k-th operation fails; false when there is none. */
static bool fail_one(world_t *world, const load_t *load, const fault_kind_t *kind, uint64_t k,
                     bool lasting, tally_t *tally)
{
    char what[120];
    trial_t *trial = &world->trial;
    snprintf(what, sizeof what, "%s %d fails%s", kind->name, (int)k, lasting ? " for good" : "");
    start_afresh(world, load);
    disk_fail(world->disk, kind->fault, k, lasting);
    bool told = trial_run(trial) != STORE_OK;
    unsigned failures = disk_failures(world->disk);
    if (told && failures == 0)
        give_up("%s: nothing failed yet, but: %s", what, trial->error);
    if (told)
        check_error(trial->error, kind->words, what);
    if (!told && kind->must_tell && failures > trial->closing_failures)
        give_up("%s: and nobody was told", what);
    trial_close(trial);
    disk_heal(world->disk);
    if (failures) {
        check_what_is_left(world, what);
        check_what_is_durable(world, what);
    }
    tally->runs += failures > 0;
    tally->told += told;
    tally->done_without += failures && !told;
    return failures > 0;
}

/*  Every k, in turn failing once and from then on; the other way round as well where asked for. */
static void fail_each(world_t *world, const load_t *load, const fault_kind_t *kind)
{
    tally_t tally = {0};
    for (uint64_t round = 0; round < (options.all ? 2 : 1); round++)
        for (uint64_t k = 1; fail_one(world, load, kind, k, (k + round) % 2, &tally); k++)
            ;
    print_message("%s: %d runs, the store failed in %d and did without in %d\n", kind->name,
                  (int)tally.runs, (int)tally.told, (int)tally.done_without);
}

static load_t small_load(void)
{
    return (load_t){.seed = options.seed,
                    .transactions = options.transactions ? options.transactions : 8,
                    .changes = 8,
                    .restart_every = 4,
                    .maintain_percent = 50,
                    .maintain_budget = 3,
                    .large_percent = 5,
                    .large_bytes = 10000};
}

static void whatever_fails_on_disk_nothing_confirmed_is_lost(void **state)
{
    load_t load = small_load();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (options.only == NULL || strcmp(options.only, kinds[i].name) == 0)
            fail_each(*state, &load, &kinds[i]);
}

/*  Between which numbers of syncs and writes the first checkpoint in a commit lies. */
static void find_checkpoint(world_t *world, const load_t *load, disk_stats_t *before,
                            disk_stats_t *after)
{
    start_afresh(world, load);
    assert_int_equal(trial_open(&world->trial), STORE_OK);
    *after = disk_stats(world->disk);
    do {
        *before = *after;
        assert_int_equal(trial_step(&world->trial), STORE_OK);
        *after = disk_stats(world->disk);
    } while (after->database_syncs == before->database_syncs);
}

/*  Large bodies, so that the log is checkpointed during a commit: which is durable by then, but the
    store must not go on as if nothing had happened. */
static void a_checkpoint_that_fails_is_told(void **state)
{
    load_t load = small_load();
    tally_t tally = {0};
    disk_stats_t before, after;
    load.restart_every = 0;
    load.transactions = 40;
    load.large_percent = 80;
    load.large_bytes = 1200000;
    find_checkpoint(*state, &load, &before, &after);
    for (uint64_t k = before.syncs + 1; k <= after.syncs; k++)
        assert_true(fail_one(*state, &load, &kinds[0], k, false, &tally));
    for (uint64_t i = 0; i < 4; i++)
        assert_true(fail_one(*state, &load, &kinds[1 + i % 2],
                             after.writes - i * (after.writes - before.writes) / 4, i == 0,
                             &tally));
    print_message("checkpoint: %d runs, the store failed in %d\n", (int)tally.runs,
                  (int)tally.told);
    assert_int_equal(tally.told, tally.runs);
}

/* ---- faults of memory ----------------------------------------------------------------------- */

static bool fail_allocation(world_t *world, const load_t *load, uint64_t k, bool lasting,
                            tally_t *tally)
{
    static const char *const words[3] = {"out of memory"};
    char what[120];
    trial_t *trial = &world->trial;
    snprintf(what, sizeof what, "allocation %d fails%s", (int)k, lasting ? " for good" : "");
    start_afresh(world, load);
    memory.countdown = k;
    memory.lasting = lasting;
    memory.failures = 0;
    bool told = trial_run(trial) != STORE_OK;
    if (told && memory.failures == 0)
        give_up("%s: nothing failed yet, but: %s", what, trial->error);
    if (told)
        check_error(trial->error, words, what);
    trial_close(trial);
    memory.countdown = 0;
    if (memory.failures)
        check_what_is_left(world, what);
    tally->runs += memory.failures > 0;
    tally->told += told;
    tally->done_without += memory.failures && !told;
    return memory.failures > 0;
}

static void whatever_memory_is_refused_nothing_confirmed_is_lost(void **state)
{
    tally_t tally = {0};
    load_t load = small_load();
    load.transactions = options.transactions ? options.transactions : 3;
    load.restart_every = 2;
    uint64_t stride = options.all ? 1 : SOME_ALLOCATIONS;
    for (uint64_t k = 1; fail_allocation(*state, &load, k, k / stride % 2, &tally); k += stride)
        ;
    print_message("allocation: %d runs, the store failed in %d and did without in %d\n",
                  (int)tally.runs, (int)tally.told, (int)tally.done_without);
}

/* ---- the writer on a disk that fails -------------------------------------------------------- */

static batch_t *batch_of(uint64_t seq)
{
    char id[16];
    snprintf(id, sizeof id, "task-%d", (int)seq);
    batch_t *batch = batch_new();
    request_t *request = batch_add(batch, REQUEST_EFFECT);
    request->effect.kind = EFFECT_CHANGE;
    request->effect.change.record = record_new(&(task_spec_t){.id = slice_str(id),
                                                              .queue = slice_str("mail"),
                                                              .task_name = slice_str("send"),
                                                              .max_retries = -1},
                                               seq, 1);
    request->effect.change.to = REEVE_STATE_QUEUED;
    return batch;
}

/*  Whether the writer confirms a batch of one new task. */
static bool confirms(writer_t *writer, int fd, uint64_t seq)
{
    batch_t *batch = batch_of(seq);
    writer_submit(writer, &batch);
    while ((batch = writer_collect(writer)) == NULL) {
        struct pollfd wait = {fd, POLLIN, 0};
        uint64_t count;
        assert_true(poll(&wait, 1, 30000) > 0);
        assert_int_equal(read(fd, &count, sizeof count), sizeof count);
    }
    bool confirmed = !batch->failed;
    batch_destroy(&batch);
    return confirmed;
}

static void after_a_failed_sync_the_writer_confirms_nothing_more(void **state)
{
    world_t *world = *state;
    char path[128], problem[600];
    store_t *store;
    int fd = eventfd(0, EFD_NONBLOCK);
    snprintf(path, sizeof path, "%s/r.db", world->disk_name);
    assert_int_equal(sqlite_store_open(path, &store, problem, sizeof problem), SQLITE_OPENED);
    writer_t *writer = writer_start(store, fd);
    assert_true(confirms(writer, fd, 1));
    assert_true(confirms(writer, fd, 2));
    disk_fail(world->disk, FAULT_SYNC, 1, false);
    assert_false(confirms(writer, fd, 3));
    assert_non_null(strstr(store->ops->error(store), "disk I/O error"));
    for (uint64_t seq = 4; seq < 10; seq++) /* the disk is well again, but who would know */
        assert_false(confirms(writer, fd, seq));
    assert_int_equal(disk_failures(world->disk), 1);
    writer_stop(&writer);
    store->ops->close(&store);
    close(fd);

    assert_int_equal(sqlite_store_open(path, &store, problem, sizeof problem), SQLITE_OPENED);
    assert_int_equal(store->ops->begin(store), STORE_OK);
    for (int seq = 1; seq < 10; seq++) {
        char id[16];
        page_t page = {0};
        snprintf(id, sizeof id, "task-%d", seq);
        assert_int_equal(store->ops->find(store, slice_str(id), &page), STORE_OK);
        if (seq != 3) /* which may be there */
            assert_int_equal(page.count, seq < 3);
        page_fini(&page);
    }
    assert_int_equal(store->ops->commit(store), STORE_OK);
    store->ops->close(&store);
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"seed", required_argument, NULL, 's'}, {"story", required_argument, NULL, 'f'},
        {"only", required_argument, NULL, 'o'}, {"transactions", required_argument, NULL, 't'},
        {"all", no_argument, NULL, 'a'},        {0}};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 's')
            options.seed = strtoull(optarg, NULL, 10);
        else if (option == 'o')
            options.only = optarg;
        else if (option == 'f')
            cmocka_set_test_filter(optarg);
        else if (option == 't')
            options.transactions = atoi(optarg);
        else if (option == 'a')
            options.all = true;
        else
            exit(64);
    }
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORY(whatever_fails_on_disk_nothing_confirmed_is_lost),
        STORY(a_checkpoint_that_fails_is_told),
        STORY(whatever_memory_is_refused_nothing_confirmed_is_lost),
        STORY(after_a_failed_sync_the_writer_confirms_nothing_more),
    };
    read_options(argc, argv);
    replace_memory();
    disk_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
