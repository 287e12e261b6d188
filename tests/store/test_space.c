/*  Ended tasks leave the database when their retention is over, and with them the space they took. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/store/sqlite.h"

enum { TASKS = 12000, COMMIT = 200, BODY_BYTES = 4000, END_MS = 1000000 };

typedef struct world {
    char dir[64], path[96];
    store_t *store;
    record_t *records[TASKS];
} world_t;

static int set_up(void **state)
{
    static const uint8_t body[BODY_BYTES];
    world_t *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/reeve-space-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/r.db", w->dir);
    char problem[600] = "";
    if (sqlite_store_open(w->path, &w->store, problem, sizeof problem) != SQLITE_OPENED)
        fail_msg("%s", problem);
    for (size_t i = 0; i < TASKS; i++) {
        char id[24];
        snprintf(id, sizeof id, "t%zu", i);
        w->records[i] = record_new(&(task_spec_t){.id = slice_str(id),
                                                  .queue = slice_str("q"),
                                                  .task_name = slice_str("n"),
                                                  .body = slice(body, sizeof body),
                                                  .created_ms = 1,
                                                  .max_retries = -1},
                                   i + 1, 1);
    }
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    world_t *w = *state;
    w->store->ops->close(&w->store);
    for (size_t i = 0; i < TASKS; i++)
        record_unref(&w->records[i]);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

/*  Whether the task stays: every hundredth is a dead letter, every hundredth waits. */
static bool is_dead(size_t i)
{
    return i % 100 == 40;
}

static bool waits(size_t i)
{
    return i % 100 == 80;
}

static void move_all(world_t *w, reeve_state_t from, reeve_state_t to)
{
    const store_ops_t *ops = w->store->ops;
    for (size_t i = 0; i < TASKS;) {
        assert_int_equal(ops->begin(w->store), STORE_OK);
        for (size_t k = 0; k < COMMIT; k++, i++) {
            if (waits(i) && from != REEVE_STATE_UNKNOWN)
                continue;
            bool dead = is_dead(i) && to == REEVE_STATE_SUCCESS;
            change_t change = {.record = w->records[i],
                               .from = from,
                               .to = dead ? REEVE_STATE_FAILED : to,
                               .at_ms = to == REEVE_STATE_SUCCESS && !dead ? END_MS : 0,
                               .tries = {.attempts = from != REEVE_STATE_UNKNOWN},
                               .worker = (char *)"w"};
            assert_int_equal(ops->apply(w->store, &change), STORE_OK);
        }
        assert_int_equal(ops->commit(w->store), STORE_OK);
    }
}

static void maintain(world_t *w, int64_t now_ms)
{
    const store_ops_t *ops = w->store->ops;
    for (bool more = true; more;) {
        assert_int_equal(ops->begin(w->store), STORE_OK);
        assert_int_equal(ops->maintain(w->store, now_ms, 256, &more), STORE_OK);
        assert_int_equal(ops->commit(w->store), STORE_OK);
    }
}

static reeve_state_t state_of(world_t *w, size_t i)
{
    page_t page = {0};
    assert_int_equal(w->store->ops->begin(w->store), STORE_OK);
    assert_int_equal(w->store->ops->find(w->store, w->records[i]->spec.id, &page), STORE_OK);
    assert_int_equal(w->store->ops->commit(w->store), STORE_OK);
    reeve_state_t state = page.count ? page.items[0].state : REEVE_STATE_UNKNOWN;
    page_fini(&page);
    return state;
}

static off_t file_size(const char *path)
{
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    return about.st_size;
}

static void end_all(world_t *w)
{
    move_all(w, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED);
    move_all(w, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING);
    move_all(w, REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS);
}

static void what_has_ended_goes_and_its_space_is_given_back(void **state)
{
    world_t *w = *state;
    end_all(w);
    maintain(w, END_MS - 1000);
    assert_int_equal(state_of(w, 0), REEVE_STATE_SUCCESS);
    off_t full = file_size(w->path);

    maintain(w, END_MS + 1000);
    for (size_t i = 0; i < TASKS; i++)
        assert_int_equal(state_of(w, i), waits(i)     ? REEVE_STATE_QUEUED
                                         : is_dead(i) ? REEVE_STATE_FAILED
                                                      : REEVE_STATE_UNKNOWN);
    off_t left = file_size(w->path);
    if (left > full / 2)
        fail_msg("%lld bytes before, %lld after", (long long)full, (long long)left);
}

/*  SQLite sleeps while it waits for another connection's lock. */
static int slept;

static int note_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    slept++;
    return microseconds;
}

static void register_sleepless_vfs(void)
{
    static sqlite3_vfs sleepless;
    sleepless = *sqlite3_vfs_find(NULL);
    sleepless.zName = "sleepless";
    sleepless.xSleep = note_sleep;
    sqlite3_vfs_register(&sleepless, 1);
}

static void a_reader_puts_off_that_space_is_given_back_and_stops_no_commit(void **state)
{
    world_t *w = *state;
    sqlite3 *reader;
    char wal[sizeof w->path + 4];
    snprintf(wal, sizeof wal, "%s-wal", w->path);
    end_all(w);
    off_t full = file_size(w->path);
    assert_int_equal(sqlite3_open(w->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT * FROM queue", NULL, NULL, NULL),
                     SQLITE_OK);
    maintain(w, END_MS + 1000);
    assert_int_equal(slept, 0);
    assert_in_range(file_size(w->path), full, INT64_MAX);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    maintain(w, END_MS + 1000);
    assert_in_range(file_size(w->path), 0, full / 2);
    assert_int_equal(file_size(wal), 0);
}

int main(void)
{
    register_sleepless_vfs();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_has_ended_goes_and_its_space_is_given_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_reader_puts_off_that_space_is_given_back_and_stops_no_commit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
