/*  What a task costs the store alone: submit, lease, settle and remove in commits of a given size,
    with CPU and wall time per task of each phase. See usage. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "broker/store/sqlite.h"
#include "common/mem.h"
#include "common/uuid7.h"

typedef struct bench {
    store_t *store;
    record_t **records;
    size_t tasks, commit;
    bool random_ids;
} bench_t;

static void usage(FILE *out)
{
    fputs("Usage: store-bench [OPTION…] DATABASE\n"
          "  --tasks N    default 100000\n"
          "  --commit N   changes in one commit (default 100)\n"
          "  --size N     bytes of a body (default 256)\n"
          "  --random     random ids in place of ordered ones\n"
          "The database must not exist. Prints CPU and wall microseconds per task.\n",
          out);
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(bench_t *self, int rc)
{
    if (rc == STORE_OK)
        return;
    fprintf(stderr, "store-bench: %s\n", self->store->ops->error(self->store));
    exit(EX_IOERR);
}

static void make_records(bench_t *self, size_t size)
{
    uuid7_t uuids;
    uuid7_init(&uuids);
    uint8_t *body = mem_zalloc(size);
    self->records = mem_alloc(self->tasks * sizeof(record_t *));
    uint64_t first = self->store->ops->identity(self->store)->next_seq;
    for (size_t i = 0; i < self->tasks; i++) {
        char id[UUID7_TEXT_SIZE];
        uuid7_next(&uuids, 1700000000000 + (int64_t)i / 100, id);
        if (self->random_ids) /* the random half in front */
            for (size_t k = 0; k < 12; k++) {
                char swap = id[k];
                id[k] = id[24 + k];
                id[24 + k] = swap;
            }
        self->records[i] = record_new(&(task_spec_t){.id = slice_str(id),
                                                     .queue = slice_str("bench"),
                                                     .task_name = slice_str("work"),
                                                     .body = slice(body, size),
                                                     .created_ms = 1700000000000,
                                                     .max_retries = -1},
                                      first + i, 1);
    }
    free(body);
}

/*  One phase: every task makes the same move. */
static void phase(bench_t *self, const char *name, reeve_state_t from, reeve_state_t to)
{
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    outcome_t *outcome = outcome_new(&(outcome_spec_t){.ending = ENDING_SUCCESS,
                                                       .attempt = 1,
                                                       .started_ms = 1700000000000,
                                                       .ended_ms = 1700000000005,
                                                       .duration_ms = 5,
                                                       .worker = slice_str("worker-1")});
    for (size_t i = 0; i < self->tasks;) {
        must(self, self->store->ops->begin(self->store));
        for (size_t k = 0; k < self->commit && i < self->tasks; k++, i++) {
            change_t change = {.record = self->records[i],
                               .from = from,
                               .to = to,
                               .tries = {.attempts = to == REEVE_STATE_QUEUED ? 0 : 1},
                               .at_ms = to == REEVE_STATE_QUEUED ? 0 : 1700000000000,
                               .outcome = to == REEVE_STATE_SUCCESS ? outcome : NULL,
                               .worker = (char *)"worker-1"};
            must(self, self->store->ops->apply(self->store, &change));
        }
        must(self, self->store->ops->commit(self->store));
    }
    outcome_unref(&outcome);
    printf("%-8s %6.2f us CPU %6.2f us\n", name,
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e6 / (double)self->tasks,
           (seconds(CLOCK_MONOTONIC) - wall) * 1e6 / (double)self->tasks);
}

/*  Retention is over: housekeeping removes them all. */
static void remove_all(bench_t *self)
{
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    for (bool more = true; more;) {
        must(self, self->store->ops->begin(self->store));
        must(self, self->store->ops->maintain(self->store, 1800000000000, 256, &more));
        must(self, self->store->ops->commit(self->store));
    }
    printf("%-8s %6.2f us CPU %6.2f us\n", "remove",
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e6 / (double)self->tasks,
           (seconds(CLOCK_MONOTONIC) - wall) * 1e6 / (double)self->tasks);
}

static size_t number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || value == 0) {
        usage(stderr);
        exit(EX_USAGE);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"tasks", required_argument, NULL, 't'}, {"commit", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},  {"random", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},        {0}};
    bench_t bench = {.tasks = 100000, .commit = 100};
    size_t size = 256;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 't':
            bench.tasks = number(optarg);
            break;
        case 'c':
            bench.commit = number(optarg);
            break;
        case 's':
            size = number(optarg);
            break;
        case 'r':
            bench.random_ids = true;
            break;
        case 'h':
            usage(stdout);
            return EX_OK;
        default:
            usage(stderr);
            return EX_USAGE;
        }
    }
    if (optind + 1 != argc) {
        usage(stderr);
        return EX_USAGE;
    }
    char problem[600];
    if (sqlite_store_open(argv[optind], &bench.store, problem, sizeof problem) != SQLITE_OPENED) {
        fprintf(stderr, "store-bench: %s\n", problem);
        return EX_CANTCREAT;
    }
    make_records(&bench, size);
    printf("%zu tasks of %zu bytes, %zu changes a commit, %s ids, synchronous=FULL\n", bench.tasks,
           size, bench.commit, bench.random_ids ? "random" : "ordered");
    phase(&bench, "submit", REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED);
    phase(&bench, "lease", REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING);
    phase(&bench, "settle", REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS);
    remove_all(&bench);
    for (size_t i = 0; i < bench.tasks; i++)
        record_unref(&bench.records[i]);
    free(bench.records);
    bench.store->ops->close(&bench.store);
    return EX_OK;
}
