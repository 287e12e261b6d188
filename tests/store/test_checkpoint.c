/*  Checkpoints beside the commits: the WAL starts again and again at its beginning, and everything is
    in the database afterwards. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "broker/store/sqlite.h"

enum { TASKS = 8000, COMMIT = 10, BODY_BYTES = 20000, WAL_MAX_BYTES = 56 << 20 };

static store_t *open_store(const char *path)
{
    store_t *store;
    char problem[600] = "";
    if (sqlite_store_open(path, &store, problem, sizeof problem) != SQLITE_OPENED)
        fail_msg("%s", problem);
    return store;
}

static change_t submit(store_t *store, uint64_t seq, slice_t body)
{
    char id[24];
    snprintf(id, sizeof id, "t%llu", (unsigned long long)seq);
    change_t change = {.from = REEVE_STATE_UNKNOWN,
                       .to = REEVE_STATE_QUEUED,
                       .record = record_new(&(task_spec_t){.id = slice_str(id),
                                                           .queue = slice_str("q"),
                                                           .task_name = slice_str("n"),
                                                           .body = body,
                                                           .created_ms = 1,
                                                           .max_retries = -1},
                                            seq, 1)};
    assert_int_equal(store->ops->apply(store, &change), STORE_OK);
    return change;
}

static void on_queue(const stored_queue_t *queue, void *arg)
{
    *(uint64_t *)arg = queue->waiting;
}

static void on_lease(loaded_t *loaded, void *arg)
{
    (void)arg;
    loaded_fini(loaded);
}

static void the_wal_is_emptied_while_commits_go_on(void **state)
{
    (void)state;
    static const uint8_t body[BODY_BYTES];
    char dir[] = "/tmp/reeve-checkpoint-XXXXXX", path[64], wal[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/r.db", dir);
    snprintf(wal, sizeof wal, "%s/r.db-wal", dir);
    store_t *store = open_store(path);
    assert_int_equal(sqlite_store_checkpoint_apart(store), STORE_OK);
    off_t longest = 0;
    for (uint64_t seq = 1; seq <= TASKS;) {
        assert_int_equal(store->ops->begin(store), STORE_OK);
        change_t changes[COMMIT];
        for (int i = 0; i < COMMIT; i++, seq++)
            changes[i] = submit(store, seq, slice(body, sizeof body));
        assert_int_equal(store->ops->commit(store), STORE_OK);
        for (int i = 0; i < COMMIT; i++)
            change_fini(&changes[i]);
        struct stat about;
        assert_int_equal(stat(wal, &about), 0);
        longest = about.st_size > longest ? about.st_size : longest;
    }
    if (longest > WAL_MAX_BYTES)
        fail_msg("the WAL grew to %lld bytes", (long long)longest);
    store->ops->close(&store);

    uint64_t waiting = 0;
    store = open_store(path);
    store_recovery_t recovery = {.arg = &waiting, .queue = on_queue, .lease = on_lease};
    assert_int_equal(store->ops->recover(store, &recovery), STORE_OK);
    assert_int_equal(waiting, TASKS);
    store->ops->close(&store);
    char command[80];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wal_is_emptied_while_commits_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
