/*  Measures the id index alone: adding, merging, looking up, opening. Not built by default:

        cc -O2 -std=c17 -D_GNU_SOURCE -I. -Iinclude -Ibuild/debug/generated \
           bench/id_index_bench.c broker/store/id_*.c broker/store/seq_set.c common/mem.c -lsqlite3 -o /tmp/id_index_bench
        /tmp/id_index_bench /tmp/bench.db [ids in millions [tasks a commit]]

    The task table has ids only, so figures are of the index and not of the tasks. */

#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/store/id_index.h"
#include "broker/store/schema.h"

#define PROBES 1000000

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t hash_id(void *context, const void *id, size_t size)
{
    (void)context;
    uint64_t seq;
    if (size != sizeof seq)
        abort();
    memcpy(&seq, id, sizeof seq);
    return mix(seq);
}

static void must(int rc)
{
    if (rc != SQLITE_OK) {
        fprintf(stderr, "sqlite: %s\n", sqlite3_errstr(rc));
        exit(1);
    }
}

static void run_sql(sqlite3 *db, const char *sql)
{
    must(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3 *open_database(const char *path)
{
    sqlite3 *db;
    must(sqlite3_open(path, &db));
    run_sql(db, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
                "PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;"
                "PRAGMA secure_delete = OFF");
    return db;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_quantiles(const char *what, double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    printf("%s ms: p50 %.3f, p99 %.3f, p99.9 %.3f, max %.3f\n", what, values[count / 2] * 1e3,
           values[count * 99 / 100] * 1e3, values[count * 999 / 1000] * 1e3,
           values[count - 1] * 1e3);
}

typedef struct bench {
    sqlite3 *db;
    id_index_t *index;
    id_filter_t *filter;
    sqlite3_stmt *insert;
    double add_s, step_s, insert_s, apply_s;
    size_t peak_bytes;
} bench_t;

/*  Of both sides together. */
static size_t memory_of(const bench_t *bench)
{
    id_index_stats_t stats;
    id_index_stats(bench->index, &stats);
    return stats.bytes + id_filter_bytes(bench->filter);
}

static double commit_batch(bench_t *bench, uint64_t first, uint64_t count)
{
    double start = seconds(CLOCK_MONOTONIC);
    run_sql(bench->db, "BEGIN IMMEDIATE");
    double t0 = seconds(CLOCK_MONOTONIC);
    for (uint64_t seq = first; seq < first + count; ++seq) {
        sqlite3_bind_int64(bench->insert, 1, (int64_t)seq);
        sqlite3_bind_blob(bench->insert, 2, &seq, sizeof seq, SQLITE_TRANSIENT);
        sqlite3_step(bench->insert);
        must(sqlite3_reset(bench->insert));
    }
    double t1 = seconds(CLOCK_MONOTONIC);
    for (uint64_t seq = first; seq < first + count; ++seq)
        must(id_index_add(bench->index, mix(seq), seq));
    double t2 = seconds(CLOCK_MONOTONIC);
    must(id_index_step(bench->index, ID_STEP_BASE + ID_STEP_PER_TASK * count));
    double t3 = seconds(CLOCK_MONOTONIC);
    run_sql(bench->db, "COMMIT");
    bench->insert_s += t1 - t0;
    bench->add_s += t2 - t1;
    bench->step_s += t3 - t2;
    return seconds(CLOCK_MONOTONIC) - start;
}

static void fill(bench_t *bench, uint64_t ids, uint64_t batch)
{
    size_t commits = 0, capacity = (size_t)(ids / batch + 1), depth = 0;
    double *latency = malloc(capacity * sizeof *latency);
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (uint64_t seq = 1; seq + batch <= ids + 1; seq += batch) {
        for (uint64_t i = seq; i < seq + batch; ++i)
            id_filter_add(bench->filter, mix(i), i);
        latency[commits++] = commit_batch(bench, seq, batch);
        double start = seconds(CLOCK_MONOTONIC);
        id_update_t *update = id_index_take_update(bench->index);
        if (update)
            id_filter_apply(bench->filter, &update);
        bench->apply_s += seconds(CLOCK_MONOTONIC) - start;
        if (commits % 64 == 0) {
            id_index_stats_t stats;
            id_index_stats(bench->index, &stats);
            depth = stats.depth > depth ? stats.depth : depth;
            size_t bytes = memory_of(bench);
            bench->peak_bytes = bytes > bench->peak_bytes ? bytes : bench->peak_bytes;
        }
    }
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("filled %.1f M in %.1f s (CPU %.1f s), %llu a commit\n", (double)ids / 1e6, wall, cpu,
           (unsigned long long)batch);
    double per = 1e9 / (double)ids;
    printf("ns per task: row %.0f, add with sealing %.0f, step %.0f, applying updates %.0f\n",
           bench->insert_s * per, bench->add_s * per, bench->step_s * per, bench->apply_s * per);
    print_quantiles("commit", latency, commits);
    printf("deepest slice %zu runs\n", depth);
    free(latency);
}

static void probe(const bench_t *bench, uint64_t ids)
{
    size_t maybe = 0, lost = 0;
    double start = seconds(CLOCK_MONOTONIC);
    for (uint64_t i = 1; i <= PROBES; ++i)
        maybe += id_filter_maybe(bench->filter, mix((UINT64_C(1) << 50) + i));
    double fresh = seconds(CLOCK_MONOTONIC) - start;
    for (uint64_t i = 1; i <= PROBES; ++i)
        lost += !id_filter_maybe(bench->filter, mix(1 + mix(i) % ids));
    printf("maybe: %.0f ns on a fresh id, %.2f %% false positives, %zu lost\n",
           fresh * 1e9 / PROBES, 100.0 * (double)maybe / PROBES, lost);
}

static bool take_right(void *context, uint64_t seq)
{
    return *(uint64_t *)context == seq ? (*(uint64_t *)context = 0, true) : false;
}

static void look_up(const bench_t *bench, uint64_t ids)
{
    size_t lost = 0, count = 200000;
    double start = seconds(CLOCK_MONOTONIC);
    for (uint64_t i = 1; i <= count; ++i) {
        uint64_t wanted = 1 + mix(i) % ids, seq = wanted;
        must(id_index_find(bench->index, mix(seq), take_right, &wanted));
        lost += wanted != 0;
    }
    printf("find: %.2f us a random id, %zu lost\n",
           (seconds(CLOCK_MONOTONIC) - start) * 1e6 / (double)count, lost);
}

static void report_memory(const bench_t *bench)
{
    id_index_stats_t stats;
    id_index_stats(bench->index, &stats);
    printf("%.2f M entries in %zu runs, deepest %zu; memory %.1f MB index with segments, %.1f MB"
           " filter without; peak of both %.1f MB\n",
           (double)stats.ids / 1e6, stats.runs, stats.depth, (double)stats.bytes / 1e6,
           (double)id_filter_bytes(bench->filter) / 1e6, (double)bench->peak_bytes / 1e6);
}

static void reopen(bench_t *bench, const char *path)
{
    id_index_close(&bench->index);
    id_filter_destroy(&bench->filter);
    sqlite3_finalize(bench->insert);
    sqlite3_close(bench->db);
    bench->db = open_database(path);
    struct mallinfo2 before = mallinfo2();
    int64_t sqlite_before = sqlite3_memory_used();
    double start = seconds(CLOCK_MONOTONIC);
    must(id_index_open(&bench->index, bench->db, hash_id, NULL));
    bench->filter = id_filter_new();
    id_update_t *update = id_index_take_update(bench->index);
    id_filter_apply(bench->filter, &update);
    double took = seconds(CLOCK_MONOTONIC) - start;
    struct mallinfo2 after = mallinfo2();
    double grown =
        (double)(after.uordblks + after.hblkhd) - (double)(before.uordblks + before.hblkhd);
    grown -= (double)(sqlite3_memory_used() - sqlite_before);
    printf("opened in %.0f ms; heap grew by %.1f MB besides SQLite's cache\n", took * 1e3,
           grown / 1e6);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: id_index_bench DATABASE [MILLIONS [BATCH]]\n");
        return 64;
    }
    uint64_t ids = (uint64_t)((argc > 2 ? atof(argv[2]) : 10) * 1e6);
    uint64_t batch = argc > 3 ? strtoull(argv[3], NULL, 10) : 1000;
    unlink(argv[1]);
    bench_t bench = {.db = open_database(argv[1]), .filter = id_filter_new()};
    run_sql(bench.db, schema_migrations[0]);
    run_sql(bench.db, "DROP TABLE task; CREATE TABLE task (seq INTEGER PRIMARY KEY, id BLOB)");
    must(id_index_open(&bench.index, bench.db, hash_id, NULL));
    must(sqlite3_prepare_v2(bench.db, "INSERT INTO task VALUES (?1, ?2)", -1, &bench.insert, NULL));
    fill(&bench, ids, batch);
    report_memory(&bench);
    probe(&bench, ids);
    look_up(&bench, ids);
    reopen(&bench, argv[1]);
    probe(&bench, ids);
    look_up(&bench, ids);
    id_index_close(&bench.index);
    id_filter_destroy(&bench.filter);
    sqlite3_close(bench.db);
    return 0;
}
