/*  The power goes at every sync of a run of the real store, and after every confirmed transaction;
    each time in several ways. What is then on the disk must open, and hold what was confirmed.

    Usage: test_power_cut [--seed N] [--story PATTERN] [--transactions N] [--rounds N] */

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/power/audit.h"
#include "tests/power/give_up.h"
#include "tests/power/trial.h"

static struct {
    uint64_t seed;
    int transactions; /* 0: as each story has it */
    int rounds;       /* of all ways to cut, at each place */
} options = {.seed = 1, .rounds = 1};

typedef struct world {
    char dir[64];
    disk_t *disk, *cut;
    trial_t trial;
    rng_t rng;
    uint64_t cuts, places, database_syncs;
} world_t;

static const char *const cut_names[CUT_KINDS] = {"drop",    "keep",  "prefix", "subset",
                                                 "sectors", "pages", "garbage"};

static disk_t *make_disk(world_t *world, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", world->dir, name);
    assert_int_equal(mkdir(path, 0700), 0); /* the lock file is a real one */
    return disk_new(path);
}

static int set_up(void **state)
{
    world_t *world = calloc(1, sizeof *world);
    strcpy(world->dir, "/tmp/reeve-power-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    world->disk = make_disk(world, "disk");
    world->cut = make_disk(world, "cut");
    world->rng.state = options.seed;
    trial_seed_randomness(options.seed);
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

static void cut(world_t *world, cut_t kind)
{
    char what[160];
    snprintf(what, sizeof what, "seed %d, transaction %d, sync %d, cut %d (%s)", (int)options.seed,
             (int)world->trial.transactions + 1, (int)disk_stats(world->disk).syncs + 1,
             (int)++world->cuts, cut_names[kind]);
    disk_cut(world->disk, world->cut, kind, &world->rng);
    trial_check(&world->trial, world->cut, what);
}

static void cut_in_all_ways(void *context)
{
    world_t *world = context;
    world->places++;
    for (int round = 0; round < options.rounds; round++)
        for (int kind = 0; kind < CUT_KINDS; kind++)
            if (round == 0 || kind > CUT_KEEP) /* these two draw nothing */
                cut(world, kind);
}

/*  The run, with a cut at each of its syncs. `open`: the store is open and filled already. */
static void run_with_cuts(world_t *world, bool open)
{
    trial_t *trial = &world->trial;
    disk_on_barrier(world->disk, cut_in_all_ways, world);
    if (!open && trial_open(trial) != STORE_OK)
        give_up("%s", trial->error);
    for (int i = 0; i < trial->load.transactions; i++) {
        if (trial_step(trial) != STORE_OK)
            give_up("%s", trial->error);
        cut(world, CUT_DROP);
        cut(world, CUT_KEEP + rng_below(&world->rng, CUT_KINDS - CUT_KEEP));
    }
    disk_stats_t stats = disk_stats(world->disk);
    print_message("%d transactions, %d syncs, %d KiB written; cut at %d places, %d disks checked\n",
                  (int)trial->transactions, (int)stats.syncs, (int)(stats.bytes >> 10),
                  (int)world->places, (int)world->cuts);
    assert_true(stats.syncs >= trial->syncs);
    world->database_syncs = stats.database_syncs;
    trial_close(trial);
    cut_in_all_ways(world);
    disk_on_barrier(world->disk, NULL, NULL);
}

static load_t load_of(int transactions)
{
    return (load_t){.seed = options.seed,
                    .transactions = options.transactions ? options.transactions : transactions,
                    .changes = 12,
                    .maintain_percent = 25,
                    .maintain_budget = 4};
}

static void a_power_cut_loses_nothing_confirmed(void **state)
{
    world_t *world = *state;
    load_t load = load_of(60);
    load.restart_every = 13;
    load.large_percent = 5;
    load.large_bytes = 40000;
    trial_init(&world->trial, world->disk, &load);
    run_with_cuts(world, false);
}

static void a_power_cut_while_the_id_index_merges_loses_no_id(void **state)
{
    world_t *world = *state;
    load_t load = load_of(50);
    load.one_slice = true;
    load.maintain_percent = 60;
    load.maintain_budget = 128;
    load.restart_every = 40;
    trial_init(&world->trial, world->disk, &load);
    if (trial_open(&world->trial) != STORE_OK || trial_fill_index(&world->trial) != STORE_OK)
        give_up("%s", world->trial.error);
    run_with_cuts(world, true);
    assert_true(audit_count(world->trial.path, "SELECT count(*) FROM id_run WHERE run > 5") > 0);
}

static void a_power_cut_during_a_checkpoint_loses_nothing_confirmed(void **state)
{
    world_t *world = *state;
    load_t load = load_of(24);
    load.changes = 8;
    load.large_percent = 70;
    load.large_bytes = 900000;
    trial_init(&world->trial, world->disk, &load);
    if (trial_open(&world->trial) != STORE_OK)
        give_up("%s", world->trial.error);
    uint64_t before = disk_stats(world->disk).database_syncs;
    run_with_cuts(world, true);
    assert_true(world->database_syncs > before); /* there was one */
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {{"seed", required_argument, NULL, 's'},
                                          {"story", required_argument, NULL, 'f'},
                                          {"transactions", required_argument, NULL, 't'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {0}};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (option == 's')
            options.seed = strtoull(optarg, NULL, 10);
        else if (option == 'f')
            cmocka_set_test_filter(optarg);
        else if (option == 't')
            options.transactions = atoi(optarg);
        else if (option == 'r')
            options.rounds = atoi(optarg);
        else
            exit(64);
    }
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        STORY(a_power_cut_loses_nothing_confirmed),
        STORY(a_power_cut_while_the_id_index_merges_loses_no_id),
        STORY(a_power_cut_during_a_checkpoint_loses_nothing_confirmed),
    };
    read_options(argc, argv);
    disk_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
