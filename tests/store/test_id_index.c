#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/store/id_index.h"
#include "broker/store/schema.h"
#include "broker/store/seq_set.h"
#include "common/mem.h"

static uint64_t mix(uint64_t n)
{
    n += 0x9e3779b97f4a7c15u;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
    n = (n ^ n >> 27) * 0x94d049bb133111ebu;
    return n ^ n >> 31;
}

/*  An id is a number in decimal. All are in two of the sixteen slices, so that these are sealed and
    merged with few tasks; and ids 2n and 2n + 1 collide when n is a multiple of 32. */
static uint64_t hash_number(uint64_t id)
{
    uint64_t hash = mix(id / 2 % 32 == 0 ? id / 2 * 2 : id);
    return (hash & UINT64_C(1) << 63) | UINT64_C(3) << 60 | hash << 4 >> 4;
}

static uint64_t hash_id(void *context, const void *id, size_t size)
{
    char text[32];
    assert_null(context);
    assert_true(size > 0 && size < sizeof text);
    memcpy(text, id, size);
    text[size] = '\0';
    return hash_number(strtoull(text, NULL, 10));
}

typedef struct env {
    sqlite3 *db;
    sqlite3_stmt *insert, *erase;
    id_index_t *index;
} env_t;

static void run_sql(env_t *env, const char *sql)
{
    char *problem = NULL;
    if (sqlite3_exec(env->db, sql, NULL, NULL, &problem) != SQLITE_OK)
        fail_msg("%s: %s", sql, problem);
}

static int64_t number(env_t *env, const char *sql)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(env->db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void open_index(env_t *env)
{
    assert_int_equal(id_index_open(&env->index, env->db, hash_id, NULL), SQLITE_OK);
}

static void reopen_index(env_t *env)
{
    id_index_close(&env->index);
    assert_null(env->index);
    open_index(env);
}

static int set_up(void **state)
{
    env_t *env = mem_zalloc(sizeof *env);
    assert_int_equal(
        sqlite3_open_v2(":memory:", &env->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL),
        SQLITE_OK);
    run_sql(env, schema_migrations[0]);
    run_sql(env, "DROP TABLE task; CREATE TABLE task (seq INTEGER PRIMARY KEY, id TEXT)");
    sqlite3_prepare_v2(env->db, "INSERT INTO task VALUES (?1, ?2)", -1, &env->insert, NULL);
    sqlite3_prepare_v2(env->db, "DELETE FROM task WHERE seq >= ?1 AND seq <= ?2", -1, &env->erase,
                       NULL);
    open_index(env);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    env_t *env = *state;
    id_index_close(&env->index);
    sqlite3_finalize(env->insert);
    sqlite3_finalize(env->erase);
    assert_int_equal(sqlite3_close(env->db), SQLITE_OK);
    free(env);
    return 0;
}

static void insert_task(env_t *env, uint64_t id, uint64_t seq)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    sqlite3_bind_int64(env->insert, 1, (int64_t)seq);
    sqlite3_bind_text(env->insert, 2, text, -1, SQLITE_STATIC);
    sqlite3_step(env->insert);
    assert_int_equal(sqlite3_reset(env->insert), SQLITE_OK);
}

static void add_task(env_t *env, uint64_t id, uint64_t seq)
{
    insert_task(env, id, seq);
    assert_int_equal(id_index_add(env->index, hash_number(id), seq), SQLITE_OK);
}

static void remove_tasks(env_t *env, uint64_t from, uint64_t to)
{
    sqlite3_bind_int64(env->erase, 1, (int64_t)from);
    sqlite3_bind_int64(env->erase, 2, (int64_t)to);
    sqlite3_step(env->erase);
    assert_int_equal(sqlite3_reset(env->erase), SQLITE_OK);
}

static void step(env_t *env, size_t budget)
{
    assert_int_equal(id_index_step(env->index, budget), SQLITE_OK);
}

/*  Tasks whose id is their seq, in commits of 500 with the recommended steps. */
static void add_range(env_t *env, uint64_t from, uint64_t to)
{
    for (uint64_t seq = from; seq <= to;) {
        run_sql(env, "BEGIN");
        uint64_t end = seq + 500;
        for (; seq < end && seq <= to; ++seq)
            add_task(env, seq, seq);
        step(env, ID_STEP_BASE + 500 * ID_STEP_PER_TASK);
        run_sql(env, "COMMIT");
    }
}

static void step_until_idle(env_t *env)
{
    run_sql(env, "BEGIN");
    for (unsigned i = 0; i < 10000 && id_index_busy(env->index); ++i)
        step(env, 10000);
    run_sql(env, "COMMIT");
    assert_false(id_index_busy(env->index));
}

static uint64_t entries(env_t *env)
{
    id_index_stats_t stats;
    id_index_stats(env->index, &stats);
    return stats.ids;
}

typedef struct wanted {
    uint64_t seq;  /* the one to take; 0: none, see all */
    uint64_t last; /* offered before */
    size_t offered;
} wanted_t;

static bool take(void *context, uint64_t seq)
{
    wanted_t *wanted = context;
    assert_true(wanted->offered == 0 || seq < wanted->last);
    wanted->last = seq;
    wanted->offered++;
    return seq == wanted->seq;
}

/*  How many candidates an id has; checks that they come newest first. */
static size_t candidates(env_t *env, uint64_t id)
{
    wanted_t wanted = {0};
    assert_int_equal(id_index_find(env->index, hash_number(id), take, &wanted), SQLITE_OK);
    return wanted.offered;
}

static bool is_found(env_t *env, uint64_t id, uint64_t seq)
{
    wanted_t wanted = {.seq = seq};
    assert_int_equal(id_index_find(env->index, hash_number(id), take, &wanted), SQLITE_OK);
    return wanted.offered > 0 && wanted.last == seq;
}

static void a_task_is_found_from_its_addition_on(void **state)
{
    env_t *env = *state;
    for (uint64_t from = 1; from <= 60000; from += 500) {
        add_range(env, from, from + 499);
        assert_true(is_found(env, from + 499, from + 499));
        assert_true(is_found(env, 1 + mix(from) % from, 1 + mix(from) % from));
    }
    for (uint64_t seq = 1; seq <= 60000; ++seq)
        assert_true(is_found(env, seq, seq));
    assert_int_equal(entries(env), 60000);
}

static void an_unknown_id_has_no_candidate(void **state)
{
    env_t *env = *state;
    assert_int_equal(candidates(env, 5), 0);
    add_range(env, 1, 30000);
    for (uint64_t id = 100001; id < 110000; id += 2)
        assert_int_equal(candidates(env, id), 0);
}

static void ids_that_collide_are_both_offered_newest_first(void **state)
{
    env_t *env = *state;
    add_range(env, 1, 20000);
    assert_int_equal(hash_number(6400), hash_number(6401));
    assert_int_equal(candidates(env, 6400), 2);
    assert_true(is_found(env, 6400, 6400));
    assert_true(is_found(env, 6401, 6401));
}

static void many_runs_are_merged_into_few(void **state)
{
    env_t *env = *state;
    id_index_stats_t stats;
    for (uint64_t from = 1; from <= 200000; from += 10000) {
        add_range(env, from, from + 9999);
        id_index_stats(env->index, &stats);
        assert_true(stats.depth <= 11);
    }
    step_until_idle(env);
    id_index_stats(env->index, &stats);
    assert_true(stats.depth <= 7);
    assert_int_equal(stats.ids, 200000);
    assert_int_equal(stats.last_seq, 200000);
}

static void a_step_does_no_more_than_its_budget(void **state)
{
    env_t *env = *state;
    for (uint64_t seq = 1; seq <= 150000; ++seq)
        add_task(env, seq, seq);
    int most = 0;
    while (id_index_busy(env->index)) {
        int before = sqlite3_total_changes(env->db);
        step(env, 1000);
        int changes = sqlite3_total_changes(env->db) - before;
        most = changes > most ? changes : most;
    }
    /*  1,000 entries are 4 chunks; the rest are filters, rows of runs and an erasure's rows. */
    assert_true(most > 0 && most < 100);
    assert_true(is_found(env, 1, 1));
}

static void runs_of_removed_tasks_go_whole(void **state)
{
    env_t *env = *state;
    add_range(env, 1, 100000);
    remove_tasks(env, 1, 99000);
    for (unsigned i = 0; i < 200; ++i)
        step(env, 1000);
    step_until_idle(env);
    assert_true(entries(env) < 10000 + 2 * 4096);
    assert_true(is_found(env, 99001, 99001));
    assert_true(number(env, "SELECT count(*) FROM id_chunk") < 120);
}

static void one_old_task_does_not_keep_the_dead(void **state)
{
    env_t *env = *state;
    add_range(env, 1, 200000);
    assert_int_equal(entries(env), 200000);
    for (uint64_t seq = 1; seq < 200000; seq += 1000)
        remove_tasks(env, seq + 1, seq + 999);
    run_sql(env, "BEGIN");
    for (unsigned i = 0; i < 3000; ++i)
        step(env, 5000);
    run_sql(env, "COMMIT");
    step_until_idle(env);
    assert_true(entries(env) < 5 * 8192);
    for (uint64_t seq = 1; seq < 200000; seq += 1000)
        assert_true(is_found(env, seq, seq));
    reopen_index(env);
    for (uint64_t seq = 1; seq < 200000; seq += 1000)
        assert_true(is_found(env, seq, seq));
}

static void an_id_used_again_and_again_has_few_candidates(void **state)
{
    env_t *env = *state;
    add_task(env, 1, 1);
    for (uint64_t seq = 2; seq <= 60000; ++seq) {
        add_task(env, 77, seq);
        if (seq > 2)
            remove_tasks(env, seq - 1, seq - 1);
        if (seq % 100 == 0)
            step(env, ID_STEP_BASE + 100 * ID_STEP_PER_TASK);
    }
    step_until_idle(env);
    assert_true(is_found(env, 77, 60000));
    assert_true(candidates(env, 77) < 6 * 4096);
    assert_true(is_found(env, 1, 1));
}

static void reopening_finds_sealed_and_unsealed_tasks(void **state)
{
    env_t *env = *state;
    for (uint64_t from = 1; from <= 50000; from += 5000) {
        add_range(env, from, from + 4999);
        reopen_index(env);
        for (uint64_t seq = 1; seq < from + 5000; seq += 7)
            assert_true(is_found(env, seq, seq));
        assert_int_equal(entries(env), from + 4999);
    }
}

static void tasks_older_than_the_index_are_taken_in(void **state)
{
    env_t *env = *state;
    for (uint64_t seq = 1; seq <= 30000; ++seq)
        insert_task(env, seq, seq);
    reopen_index(env);
    assert_true(sqlite3_get_autocommit(env->db));
    for (uint64_t seq = 1; seq <= 30000; ++seq)
        assert_true(is_found(env, seq, seq));
    assert_true(number(env, "SELECT count(*) FROM id_run") > 0);
}

/*  Every stored row belongs to a run that is in use, and is there. */
static void check_no_garbage(env_t *env)
{
    assert_int_equal(number(env, "SELECT count(*) FROM id_run WHERE doomed"), 0);
    assert_int_equal(number(env, "SELECT count(*) FROM id_chunk WHERE key >> 24 NOT IN"
                                 " (SELECT run FROM id_run)"),
                     0);
    assert_int_equal(number(env, "SELECT ifnull(sum(length(data) / 12), 0) FROM id_chunk JOIN"
                                 " id_run ON run = key >> 24 WHERE key & 0xffffff < chunks"),
                     number(env, "SELECT ifnull(sum(count), 0) FROM id_run"));
}

static void a_merge_that_was_interrupted_leaves_no_garbage(void **state)
{
    env_t *env = *state;
    for (uint64_t seq = 1; seq <= 60000; ++seq)
        add_task(env, seq, seq);
    for (unsigned i = 0; i < 40; ++i) {
        step(env, 1 + mix(i) % 3000);
        reopen_index(env);
        assert_true(is_found(env, 1 + mix(i) % 60000, 1 + mix(i) % 60000));
    }
    assert_true(id_index_busy(env->index));
    step_until_idle(env);
    check_no_garbage(env);
    for (uint64_t seq = 1; seq <= 60000; ++seq)
        assert_true(is_found(env, seq, seq));
}

static void damage_is_reported(void **state)
{
    env_t *env = *state;
    add_range(env, 1, 40000);
    step_until_idle(env);
    run_sql(env, "UPDATE id_chunk SET data = substr(data, 1, length(data) - 1)"
                 " WHERE key & 0xffffff = 0");
    int damaged = 0;
    for (uint64_t id = 1; id <= 40000; ++id) {
        wanted_t wanted = {0};
        int rc = id_index_find(env->index, hash_number(id), take, &wanted);
        assert_true(rc == SQLITE_OK || rc == SQLITE_CORRUPT);
        damaged += rc == SQLITE_CORRUPT;
    }
    assert_true(damaged > 0);
    run_sql(env, "UPDATE id_chunk SET data = substr(data, 1, length(data) - 1)");
    id_index_close(&env->index);
    assert_int_equal(id_index_open(&env->index, env->db, hash_id, NULL), SQLITE_CORRUPT);
    assert_null(env->index);
    run_sql(env, "UPDATE id_run SET slice = 99");
    assert_int_equal(id_index_open(&env->index, env->db, hash_id, NULL), SQLITE_CORRUPT);
    assert_true(sqlite3_get_autocommit(env->db));
}

static void a_chunk_out_of_order_stops_the_merge(void **state)
{
    env_t *env = *state;
    for (uint64_t seq = 1; seq <= 40000; ++seq)
        add_task(env, seq, seq);
    run_sql(env, "UPDATE id_chunk SET data = (SELECT data FROM id_chunk o WHERE o.key = "
                 "id_chunk.key + 1) WHERE key & 0xffffff = 3");
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && id_index_busy(env->index))
        rc = id_index_step(env->index, 1000);
    assert_int_equal(rc, SQLITE_CORRUPT);
}

static int interrupt_when_due(void *context)
{
    int *left = context;
    return --*left < 0;
}

/*  Adds, seals, merges, reopens; the first failure's code. */
static int work(env_t *env, uint64_t first)
{
    int rc = SQLITE_OK;
    for (uint64_t seq = first; rc == SQLITE_OK && seq < first + 12000; ++seq)
        rc = id_index_add(env->index, hash_number(seq), seq);
    while (rc == SQLITE_OK && id_index_busy(env->index))
        rc = id_index_step(env->index, 1000);
    if (rc == SQLITE_OK) {
        id_index_close(&env->index);
        rc = id_index_open(&env->index, env->db, hash_id, NULL);
    }
    return rc;
}

/*  SQLite is interrupted at every so many instructions of its machine, a little later each time. */
static void a_failing_statement_is_reported_and_nothing_is_lost(void **state)
{
    env_t *env = *state;
    add_range(env, 1, 12000);
    unsigned failures = 0;
    int rc = SQLITE_INTERRUPT;
    for (int allowed = 0; rc != SQLITE_OK; allowed = allowed + 1 + allowed / 4) {
        run_sql(env, "BEGIN");
        for (uint64_t seq = 12001; seq <= 24000; ++seq)
            insert_task(env, seq, seq);
        int left = allowed;
        sqlite3_progress_handler(env->db, 40, interrupt_when_due, &left);
        rc = work(env, 12001);
        sqlite3_progress_handler(env->db, 0, NULL, NULL);
        if (rc == SQLITE_OK)
            break;
        assert_int_equal(rc, SQLITE_INTERRUPT);
        ++failures;
        id_index_close(&env->index);
        if (!sqlite3_get_autocommit(env->db))
            run_sql(env, "ROLLBACK");
        open_index(env);
        assert_int_equal(entries(env), 12000);
    }
    run_sql(env, "COMMIT");
    assert_true(failures > 5);
    assert_int_equal(entries(env), 24000);
    check_no_garbage(env);
}

static void the_live_set_has_what_was_put_in(void **state)
{
    (void)state;
    seq_set_t *set = seq_set_new();
    assert_false(seq_set_has(set, 1));
    for (uint64_t seq = 1; seq < 100000; ++seq) /* dense */
        seq_set_append(set, seq);
    for (uint64_t seq = UINT64_C(1) << 40; seq < (UINT64_C(1) << 40) + 1000000; seq += 100)
        seq_set_append(set, seq);
    assert_false(seq_set_has(set, 0));
    assert_false(seq_set_has(set, 100000));
    for (uint64_t seq = 1; seq < 100000; ++seq)
        assert_true(seq_set_has(set, seq));
    for (uint64_t i = 0; i < 1000000; ++i)
        assert_int_equal(seq_set_has(set, (UINT64_C(1) << 40) + i), i % 100 == 0);
    assert_in_range(seq_set_count(set, 0, 131071), 99999, 99999);
    assert_in_range(seq_set_count(set, UINT64_C(1) << 40, (UINT64_C(1) << 40) + 999999), 9800,
                    10200);
    assert_int_equal(seq_set_count(set, 200000, 300000), 0);
    seq_set_destroy(&set);
    assert_null(set);
}

/*  The two sides against a naive map. Ids are small numbers; an id is free again once its task was
    removed. The reactor admits a task some commits before the writer sees it, and learns of the
    writer's updates some commits late. */
#define WORLD_IDS   200000
#define WORLD_TASKS 250000
#define LAG         8

typedef struct world {
    env_t *env;
    id_filter_t *filter;
    uint64_t random;
    uint64_t seq_of[WORLD_IDS];   /* 0: no such task; as the reactor sees it */
    uint64_t id_of[WORLD_TASKS];  /* by seq */
    uint64_t admitted, committed; /* highest seqs */
    uint64_t removed;             /* all seqs up to this were removed, but for the long-lived */
    id_update_t *updates[LAG];    /* on their way, oldest first */
    size_t update_count;
    size_t crashes, questions, maybes;
} world_t;

static uint64_t draw(world_t *world, uint64_t below)
{
    world->random = mix(world->random);
    return world->random % below;
}

static bool lives_long(uint64_t seq)
{
    return mix(seq) % 50 == 0;
}

static void deliver_updates(world_t *world, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        id_filter_apply(world->filter, &world->updates[i]);
    world->update_count -= count;
    memmove(world->updates, world->updates + count, world->update_count * sizeof *world->updates);
}

static void admit(world_t *world)
{
    for (uint64_t n = draw(world, 1500); n > 0 && world->admitted + 1 < WORLD_TASKS; --n) {
        uint64_t id = draw(world, WORLD_IDS);
        if (world->seq_of[id] != 0)
            continue;
        uint64_t seq = ++world->admitted;
        world->seq_of[id] = seq;
        world->id_of[seq] = id;
        id_filter_add(world->filter, hash_number(id), seq);
    }
}

static void remove_one(world_t *world, uint64_t seq)
{
    uint64_t id = world->id_of[seq];
    if (world->seq_of[id] != seq)
        return;
    world->seq_of[id] = 0;
    remove_tasks(world->env, seq, seq);
}

static void remove_some(world_t *world)
{
    for (uint64_t n = draw(world, 1400); n > 0 && world->removed + 20000 < world->committed; --n)
        if (!lives_long(++world->removed))
            remove_one(world, world->removed);
    for (uint64_t n = draw(world, 20); n > 0 && world->committed > 0; --n)
        remove_one(world, 1 + draw(world, world->committed));
}

static void write_some(world_t *world)
{
    uint64_t last = world->admitted - draw(world, 1000);
    for (uint64_t seq = world->committed + 1; seq <= last && last <= world->admitted; ++seq) {
        add_task(world->env, world->id_of[seq], seq);
        world->committed = seq;
    }
}

static void push_update(world_t *world)
{
    id_update_t *update = id_index_take_update(world->env->index);
    if (!update)
        return;
    if (world->update_count == LAG)
        deliver_updates(world, 1);
    world->updates[world->update_count++] = update;
    deliver_updates(world, draw(world, world->update_count + 1) * (draw(world, 3) == 0));
}

/*  The broker starts: what was admitted and not committed never was. */
static void start(world_t *world)
{
    for (; world->admitted > world->committed; --world->admitted)
        world->seq_of[world->id_of[world->admitted]] = 0;
    open_index(world->env);
    world->filter = id_filter_new();
    push_update(world);
    deliver_updates(world, world->update_count);
}

static void stop(world_t *world)
{
    id_index_close(&world->env->index);
    id_filter_destroy(&world->filter);
    while (world->update_count > 0)
        id_update_destroy(&world->updates[--world->update_count]);
}

/*  Writes of a transaction that is then lost; the model stays as it was before. */
static void crash(world_t *world)
{
    run_sql(world->env, "BEGIN");
    for (uint64_t seq = world->committed + 1; seq <= world->admitted; ++seq)
        add_task(world->env, world->id_of[seq], seq);
    step(world->env, draw(world, 50000));
    stop(world);
    run_sql(world->env, "ROLLBACK");
    world->crashes++;
    start(world);
}

static void check_id(world_t *world, uint64_t id)
{
    uint64_t seq = world->seq_of[id];
    bool maybe = id_filter_maybe(world->filter, hash_number(id));
    world->questions += seq == 0;
    world->maybes += seq == 0 && maybe;
    if (seq != 0 && !maybe)
        fail_msg("id %llu of task %llu is denied", (unsigned long long)id, (unsigned long long)seq);
    if (seq != 0 && seq <= world->committed && !is_found(world->env, id, seq))
        fail_msg("id %llu of task %llu is not found", (unsigned long long)id,
                 (unsigned long long)seq);
}

static void play(world_t *world)
{
    while (world->admitted + 1 < WORLD_TASKS) {
        admit(world);
        run_sql(world->env, "BEGIN");
        write_some(world);
        remove_some(world);
        step(world->env, draw(world, 12000));
        run_sql(world->env, "COMMIT");
        push_update(world);
        for (unsigned i = 0; i < 200; ++i)
            check_id(world, draw(world, WORLD_IDS));
        for (uint64_t seq = world->admitted; seq > 0 && seq + 100 > world->admitted; --seq)
            check_id(world, world->id_of[seq]);
        if (draw(world, 20) == 0)
            crash(world);
        if (draw(world, 60) == 0)
            for (uint64_t id = 0; id < WORLD_IDS; ++id)
                check_id(world, id);
    }
}

static void no_task_is_ever_denied_or_lost(void **state)
{
    world_t *world = mem_zalloc(sizeof *world);
    world->env = *state;
    const char *seed = getenv("REEVE_TEST_SEED");
    world->random = seed ? strtoull(seed, NULL, 0) : 20261123;
    print_message("seed %llu\n", (unsigned long long)world->random);
    id_index_close(&world->env->index);
    start(world);
    play(world);
    stop(world);
    start(world);
    for (uint64_t id = 0; id < WORLD_IDS; ++id)
        check_id(world, id);
    uint64_t live = (uint64_t)number(world->env, "SELECT count(*) FROM task");
    print_message("%llu live, %llu entries, %zu crashes, %.2f %% maybes for free ids\n",
                  (unsigned long long)live, (unsigned long long)entries(world->env), world->crashes,
                  100.0 * (double)world->maybes / (double)world->questions);
    assert_true(entries(world->env) < 4 * live);
    step_until_idle(world->env);
    check_no_garbage(world->env);
    id_filter_destroy(&world->filter);
    free(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_is_found_from_its_addition_on),
        TEST(an_unknown_id_has_no_candidate),
        TEST(ids_that_collide_are_both_offered_newest_first),
        TEST(many_runs_are_merged_into_few),
        TEST(a_step_does_no_more_than_its_budget),
        TEST(runs_of_removed_tasks_go_whole),
        TEST(one_old_task_does_not_keep_the_dead),
        TEST(an_id_used_again_and_again_has_few_candidates),
        TEST(reopening_finds_sealed_and_unsealed_tasks),
        TEST(tasks_older_than_the_index_are_taken_in),
        TEST(a_merge_that_was_interrupted_leaves_no_garbage),
        TEST(damage_is_reported),
        TEST(a_chunk_out_of_order_stops_the_merge),
        TEST(a_failing_statement_is_reported_and_nothing_is_lost),
        TEST(no_task_is_ever_denied_or_lost),
        cmocka_unit_test(the_live_set_has_what_was_put_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
