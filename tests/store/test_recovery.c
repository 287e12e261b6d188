/*  What a store knows when it is opened again, and what it refuses to open. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/store/sqlite.h"
#include "tests/store/world.h"

static void every_state_survives_a_restart_with_its_counters(void **state)
{
    world_t *world = *state;
    record_t *record = world_record(1, "a", 0);
    outcome_spec_t lost = {.ending = ENDING_LOST, .attempt = 1, .reason = slice_str("worker_lost")};
    outcome_spec_t failed = {
        .ending = ENDING_FAILURE, .attempt = 2, .error = slice_str("no"), .started_ms = 3};
    world_submit(world, record);
    world_reopen(world);
    assert_int_equal(world_state(world, "a"), REEVE_STATE_QUEUED);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 50, (tries_t){1, 0, 0},
               NULL);
    recovered_t recovered = world_reopen(world);
    assert_int_equal(recovered.leases, 1);
    assert_int_equal(recovered.lease_seq, 1);
    assert_int_equal(recovered.lease_attempts, 1);
    world_move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_QUEUED, 0, (tries_t){1, 0, 1},
               &lost);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 60, (tries_t){2, 0, 1},
               NULL);
    world_move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_SCHEDULED, 99, (tries_t){2, 1, 1},
               &failed);
    recovered = world_reopen(world);
    assert_int_equal(recovered.queue.scheduled, 1);
    page_t page = world_find(world, "a");
    assert_int_equal(page.items[0].state, REEVE_STATE_SCHEDULED);
    assert_int_equal(page.items[0].at_ms, 99);
    assert_int_equal(page.items[0].tries.attempts, 2);
    assert_int_equal(page.items[0].tries.failures, 1);
    assert_int_equal(page.items[0].tries.deaths, 1);
    page_fini(&page);
    world_move(world, record, REEVE_STATE_SCHEDULED, REEVE_STATE_QUEUED, 0, (tries_t){2, 1, 1},
               NULL);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 70, (tries_t){3, 1, 1},
               NULL);
    outcome_spec_t last = {.ending = ENDING_REJECTED, .attempt = 3, .reason = slice_str("bad")};
    world_move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){3, 2, 1},
               &last);
    recovered = world_reopen(world);
    assert_int_equal(recovered.queue.dead, 1);
    assert_int_equal(recovered.queue.waiting, 0);
    assert_int_equal(recovered.queue.bytes, 0);
    assert_int_equal(world_state(world, "a"), REEVE_STATE_FAILED);
    biography_t life = world_biography(world, "a");
    assert_int_equal(life.attempt_count, 3);
    assert_int_equal(life.attempts[0]->spec.ending, ENDING_LOST);
    assert_int_equal(life.attempts[1]->spec.ending, ENDING_FAILURE);
    assert_true(slice_eq(life.attempts[1]->spec.error, slice_str("no")));
    assert_int_equal(life.attempts[2]->spec.ending, ENDING_REJECTED);
    biography_fini(&life);
    record_unref(&record);
}

static void a_number_is_never_used_twice(void **state)
{
    world_t *world = *state;
    record_t *record = world_record(41, "n", 0);
    world_submit(world, record);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 0, none, NULL);
    world_move(world, record, REEVE_STATE_CANCELLED, REEVE_STATE_UNKNOWN, 0, none, NULL);
    store_identity_t before = *world->store->ops->identity(world->store);
    world_reopen(world);
    const store_identity_t *after = world->store->ops->identity(world->store);
    assert_true(after->next_seq > 41);
    assert_int_equal(after->epoch, before.epoch + 1);
    assert_memory_equal(after->token_key, before.token_key, sizeof before.token_key);
    record_unref(&record);
}

static sqlite_open_result_t try_open(const char *path, char *problem, size_t size)
{
    store_t *store;
    sqlite_open_result_t result = sqlite_store_open(path, &store, problem, size);
    if (store)
        store->ops->close(&store);
    return result;
}

static void what_is_not_ours_is_refused_and_left_alone(void **state)
{
    world_t *world = *state;
    char path[128], command[400], problem[600];
    assert_int_equal(try_open(world->path, problem, sizeof problem), SQLITE_OPEN_LOCKED);
    assert_non_null(strstr(problem, world->path));
    snprintf(path, sizeof path, "%s/text", world->dir);
    snprintf(command, sizeof command, "echo 'hello, this is no database' > %s", path);
    assert_int_equal(system(command), 0);
    assert_int_equal(try_open(path, problem, sizeof problem), SQLITE_OPEN_FOREIGN);
    snprintf(path, sizeof path, "%s/missing/r.db", world->dir);
    assert_int_equal(try_open(path, problem, sizeof problem), SQLITE_OPEN_CANNOT);
}

/*  What somebody else's file has in its head, though it has no table yet; and a head of ours that cannot be. */
static void a_head_that_is_not_ours_is_refused_and_left_alone(void **state)
{
    static const char *const heads[] = {"PRAGMA user_version = -2", "PRAGMA user_version = 1",
                                        "PRAGMA application_id = 7",
                                        "PRAGMA application_id = 0x52656576", "CREATE TABLE t (a)"};
    world_t *world = *state;
    char path[128], problem[600];
    snprintf(path, sizeof path, "%s/other.db", world->dir);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        sqlite3 *db;
        struct stat before, after;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, heads[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        assert_int_equal(stat(path, &before), 0);
        assert_int_equal(try_open(path, problem, sizeof problem), SQLITE_OPEN_FOREIGN);
        assert_int_equal(stat(path, &after), 0);
        assert_int_equal(after.st_size, before.st_size);
        assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
        assert_int_equal(unlink(path), 0);
    }
}

/*  A new identity in an old database would use numbers twice, and no id would be found. */
static void a_damaged_identity_is_refused_and_not_made_anew(void **state)
{
    static const char *const keys[] = {"broker_id", "token_key", "id_seed", "epoch", "next_seq"};
    world_t *world = *state;
    char command[256], problem[600];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        sqlite3 *db;
        world->store->ops->close(&world->store);
        assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
        snprintf(command, sizeof command,
                 "CREATE TABLE kept AS SELECT * FROM meta WHERE key = '%s';"
                 "DELETE FROM meta WHERE key = '%s'",
                 keys[i], keys[i]);
        assert_int_equal(sqlite3_exec(db, command, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(try_open(world->path, problem, sizeof problem), SQLITE_OPEN_CANNOT);
        assert_non_null(strstr(problem, keys[i]));
        assert_int_equal(sqlite3_exec(db, "INSERT INTO meta SELECT * FROM kept; DROP TABLE kept",
                                      NULL, NULL, NULL),
                         SQLITE_OK);
        sqlite3_close(db);
        world_open(world);
    }
}

static void a_lease_is_recovered_with_who_holds_it_and_since_when(void **state)
{
    world_t *world = *state;
    record_t *record = world_record(1, "a", 0);
    world_submit(world, record);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 777, (tries_t){1, 0, 0},
               NULL);
    recovered_t recovered = world_reopen(world);
    assert_string_equal(recovered.lease_id, "a");
    assert_string_equal(recovered.lease_worker, "w1");
    assert_int_equal(recovered.lease_at_ms, 777);
    assert_int_equal(recovered.queue.waiting, 0);
    assert_int_equal(recovered.queue.bytes, record->spec.body.size); /* until it ends */
    record_unref(&record);
}

/*  Two tasks, leased in one commit. */
static void lease_two(world_t *world, record_t *two[2])
{
    two[0] = world_record(1, "a", 0);
    two[1] = world_record(2, "b", 0);
    world_submit(world, two[0]);
    world_submit(world, two[1]);
    world_begin(world);
    for (int i = 0; i < 2; i++)
        world_apply(world, two[i], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 700 + i,
                    (tries_t){1, 0, 0}, NULL);
    world_commit(world);
}

static void unref_two(record_t *two[2])
{
    record_unref(&two[0]);
    record_unref(&two[1]);
}

static void check_lease(world_t *world, const char *id, uint32_t attempt, int64_t started_ms)
{
    page_t page = world_find(world, id);
    assert_int_equal(page.items[0].state, REEVE_STATE_PROCESSING);
    assert_int_equal(page.items[0].tries.attempts, attempt);
    assert_int_equal(page.items[0].at_ms, started_ms);
    page_fini(&page);
}

static void leases_of_one_commit_end_one_by_one(void **state)
{
    world_t *world = *state;
    record_t *two[2];
    lease_two(world, two);
    recovered_t recovered = world_reopen(world);
    assert_int_equal(recovered.leases, 2);
    world_move(world, two[0], REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS, 5000, (tries_t){1, 0, 0},
               NULL);
    recovered = world_reopen(world);
    assert_int_equal(recovered.leases, 1);
    assert_string_equal(recovered.lease_id, "b");
    assert_int_equal(recovered.lease_at_ms, 701);
    assert_string_equal(recovered.lease_worker, "w1");
    world_move(world, two[1], REEVE_STATE_PROCESSING, REEVE_STATE_CANCELLED, 5000,
               (tries_t){1, 0, 0}, NULL);
    assert_int_equal(world_reopen(world).leases, 0);
    assert_int_equal(world_state(world, "a"), REEVE_STATE_SUCCESS);
    assert_int_equal(world_state(world, "b"), REEVE_STATE_CANCELLED);
    unref_two(two);
}

static void a_lease_that_was_taken_back_leaves_no_trace(void **state)
{
    world_t *world = *state;
    record_t *two[2];
    lease_two(world, two);
    world_move(world, two[0], REEVE_STATE_PROCESSING, REEVE_STATE_QUEUED, 0, none, NULL);
    recovered_t recovered = world_reopen(world);
    assert_int_equal(recovered.leases, 1);
    assert_string_equal(recovered.lease_id, "b");
    assert_int_equal(recovered.queue.waiting, 1);
    assert_int_equal(world_state(world, "a"), REEVE_STATE_QUEUED);
    world_move(world, two[0], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 900, (tries_t){1, 0, 0},
               NULL);
    assert_int_equal(world_reopen(world).leases, 2);
    check_lease(world, "a", 1, 900);
    unref_two(two);
}

/*  b is held on, so what was written of the first leases is still there. */
static void a_task_that_failed_is_not_held_by_its_first_lease(void **state)
{
    world_t *world = *state;
    record_t *two[2];
    const outcome_spec_t failed = {.ending = ENDING_FAILURE, .attempt = 1, .started_ms = 700};
    lease_two(world, two);
    world_move(world, two[0], REEVE_STATE_PROCESSING, REEVE_STATE_SCHEDULED, 800,
               (tries_t){1, 1, 0}, &failed);
    assert_int_equal(world_reopen(world).leases, 1);
    world_move(world, two[0], REEVE_STATE_SCHEDULED, REEVE_STATE_QUEUED, 0, (tries_t){1, 1, 0},
               NULL);
    assert_int_equal(world_reopen(world).leases, 1);
    assert_int_equal(world_state(world, "a"), REEVE_STATE_QUEUED);
    world_move(world, two[0], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 900, (tries_t){2, 1, 0},
               NULL);
    assert_int_equal(world_reopen(world).leases, 2);
    check_lease(world, "a", 2, 900);
    unref_two(two);
}

static void every_queue_is_recovered_under_its_name(void **state)
{
    world_t *world = *state;
    record_t *mail = world_record(1, "a", 0), *sms = world_record_in(2, 2, "b", 0);
    world_submit(world, mail);
    world_submit(world, sms);
    recovered_t recovered = world_reopen(world);
    assert_int_equal(recovered.queues, 2);
    assert_string_equal(recovered.queue_name, world_queue_names[recovered.queue.id]);
    assert_int_equal(world->store->ops->identity(world->store)->next_queue_id, 3);
    page_t page = world_find(world, "b");
    assert_int_equal(page.items[0].record->queue_id, 2);
    assert_true(slice_eq(page.items[0].record->spec.queue, slice_str("sms")));
    page_fini(&page);
    record_unref(&mail);
    record_unref(&sms);
}

static int statements, scanned_rows;

static int note_scan(unsigned event, void *context, void *statement, void *nanoseconds)
{
    (void)event, (void)context, (void)nanoseconds;
    statements++;
    scanned_rows += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, true);
    return 0;
}

static int watch_scans(sqlite3 *db)
{
    return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, note_scan, NULL);
}

static void a_start_scans_no_table_that_grows_with_tasks(void **state)
{
    world_t *world = *state;
    enum { TASKS = 300, FEW = 20 };
    for (uint64_t seq = 1; seq <= TASKS; seq++) {
        char id[8];
        snprintf(id, sizeof id, "t%d", (int)seq);
        record_t *record = world_record(seq, id, 0);
        world_submit(world, record);
        world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 9000, none, NULL);
        record_unref(&record);
    }
    assert_int_equal(sqlite3_auto_extension((void (*)(void))watch_scans), SQLITE_OK);
    world_reopen(world);
    sqlite3_cancel_auto_extension((void (*)(void))watch_scans);
    assert_in_range(statements, FEW, TASKS);
    assert_in_range(scanned_rows, 0, FEW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(every_state_survives_a_restart_with_its_counters),
        BOTH(a_number_is_never_used_twice),
        BOTH(a_lease_is_recovered_with_who_holds_it_and_since_when),
        BOTH(leases_of_one_commit_end_one_by_one),
        BOTH(a_lease_that_was_taken_back_leaves_no_trace),
        BOTH(a_task_that_failed_is_not_held_by_its_first_lease),
        BOTH(every_queue_is_recovered_under_its_name),
        cmocka_unit_test_setup_teardown(a_start_scans_no_table_that_grows_with_tasks,
                                        world_set_up_sqlite, world_tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_ours_is_refused_and_left_alone,
                                        world_set_up_sqlite, world_tear_down),
        cmocka_unit_test_setup_teardown(a_head_that_is_not_ours_is_refused_and_left_alone,
                                        world_set_up_sqlite, world_tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_identity_is_refused_and_not_made_anew,
                                        world_set_up_sqlite, world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
