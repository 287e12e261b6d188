/*  What store.h promises, held against every implementation of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/store/memory.h"
#include "broker/store/sqlite.h"
#include "common/limits.h"

/*  A store that can be closed and opened again: SQLite in a directory of its own, or in memory. */
typedef struct world {
    bool in_memory;
    char dir[64], path[96];
    store_t *store;
    change_t *changes[2000]; /* of this transaction: the store borrows them until its commit */
    size_t change_count;
} world_t;

/*  Recovery callbacks that only count and keep the last. */
typedef struct recovered {
    size_t queues, leases;
    stored_queue_t queue;
    char queue_name[64];
    uint64_t lease_seq;
    uint32_t lease_attempts;
    int64_t lease_at_ms;
    char lease_worker[64], lease_id[64];
} recovered_t;

static void on_queue(const stored_queue_t *queue, void *arg)
{
    recovered_t *recovered = arg;
    recovered->queues++;
    recovered->queue = *queue;
    snprintf(recovered->queue_name, sizeof recovered->queue_name, "%s", queue->name);
}

static void on_lease(loaded_t *loaded, void *arg)
{
    recovered_t *recovered = arg;
    recovered->leases++;
    recovered->lease_seq = loaded->record->seq;
    recovered->lease_attempts = loaded->tries.attempts;
    recovered->lease_at_ms = loaded->at_ms;
    snprintf(recovered->lease_worker, sizeof recovered->lease_worker, "%s", loaded->worker);
    snprintf(recovered->lease_id, sizeof recovered->lease_id, "%.*s",
             SLICE_ARG(loaded->record->spec.id));
    loaded_fini(loaded);
}

static recovered_t recover(world_t *world)
{
    recovered_t recovered = {0};
    store_recovery_t callbacks = {&recovered, on_queue, on_lease};
    assert_int_equal(world->store->ops->recover(world->store, &callbacks), STORE_OK);
    return recovered;
}

static void open_store(world_t *world)
{
    char problem[600] = "";
    if (world->in_memory)
        world->store = memory_store_new();
    else if (sqlite_store_open(world->path, &world->store, problem, sizeof problem) !=
             SQLITE_OPENED)
        fail_msg("%s", problem);
}

/*  The broker ends and the next one starts. */
static recovered_t reopen(world_t *world)
{
    if (!world->in_memory) {
        world->store->ops->close(&world->store);
        open_store(world);
    }
    return recover(world);
}

static void free_changes(world_t *world)
{
    while (world->change_count) {
        change_t *change = world->changes[--world->change_count];
        change_fini(change);
        free(change);
    }
}

/*  The broker dies inside a transaction and the next one starts. */
static recovered_t crash(world_t *world)
{
    free_changes(world);
    if (world->in_memory)
        memory_store_crash(world->store);
    return reopen(world);
}

static int set_up(void **state, bool in_memory)
{
    world_t *world = calloc(1, sizeof *world);
    world->in_memory = in_memory;
    strcpy(world->dir, "/tmp/reeve-store-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    snprintf(world->path, sizeof world->path, "%s/r.db", world->dir);
    open_store(world);
    recover(world);
    *state = world;
    return 0;
}

static int set_up_sqlite(void **state)
{
    return set_up(state, false);
}

static int set_up_memory(void **state)
{
    return set_up(state, true);
}

static int tear_down(void **state)
{
    world_t *world = *state;
    if (world->store)
        world->store->ops->close(&world->store);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", world->dir);
    assert_int_equal(system(command), 0);
    free(world);
    return 0;
}

static const char *const queue_names[] = {"", "mail", "sms"};

static record_t *make_in(uint32_t queue_id, uint64_t seq, const char *id, int priority)
{
    return record_new(&(task_spec_t){.id = slice_str(id),
                                     .queue = slice_str(queue_names[queue_id]),
                                     .task_name = slice_str("send"),
                                     .origin = slice_str("test"),
                                     .body = slice_str("{\"args\":[1]}"),
                                     .priority = (uint8_t)priority,
                                     .created_ms = 1000,
                                     .max_retries = -1},
                      seq, queue_id);
}

static record_t *make(uint64_t seq, const char *id, int priority)
{
    return make_in(1, seq, id, priority);
}

static void begin(world_t *world)
{
    assert_int_equal(world->store->ops->begin(world->store), STORE_OK);
}

static void commit(world_t *world)
{
    assert_int_equal(world->store->ops->commit(world->store), STORE_OK);
    free_changes(world);
}

static void apply(world_t *world, record_t *record, reeve_state_t from, reeve_state_t to,
                  int64_t at_ms, tries_t tries, const outcome_spec_t *outcome)
{
    change_t *change = calloc(1, sizeof *change);
    *change = (change_t){.record = record_ref(record),
                         .from = from,
                         .to = to,
                         .at_ms = at_ms,
                         .tries = tries,
                         .outcome = outcome ? outcome_new(outcome) : NULL,
                         .worker = to == REEVE_STATE_PROCESSING ? strdup("w1") : NULL};
    world->changes[world->change_count++] = change;
    assert_int_equal(world->store->ops->apply(world->store, change), STORE_OK);
}

/*  Moves a record and commits. */
static void move(world_t *world, record_t *record, reeve_state_t from, reeve_state_t to,
                 int64_t at_ms, tries_t tries, const outcome_spec_t *outcome)
{
    begin(world);
    apply(world, record, from, to, at_ms, tries, outcome);
    commit(world);
}

static const tries_t none;

static void submit(world_t *world, record_t *record)
{
    move(world, record, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
}

static page_t find(world_t *world, const char *id)
{
    page_t page = {0};
    begin(world);
    assert_int_equal(world->store->ops->find(world->store, slice_str(id), &page), STORE_OK);
    commit(world);
    return page;
}

static reeve_state_t state_of(world_t *world, const char *id)
{
    page_t page = find(world, id);
    reeve_state_t state = page.count ? page.items[0].state : REEVE_STATE_UNKNOWN;
    page_fini(&page);
    return state;
}

static biography_t biography_of(world_t *world, const char *id)
{
    biography_t life = {0};
    begin(world);
    assert_int_equal(world->store->ops->biography(world->store, slice_str(id), &life), STORE_OK);
    commit(world);
    return life;
}

static void a_task_is_found_by_its_id_as_it_was_submitted(void **state)
{
    world_t *world = *state;
    task_spec_t spec = {.id = slice_str("id-1"),
                        .queue = slice_str("mail"),
                        .task_name = slice_str("send"),
                        .origin = slice_str("web"),
                        .reply_to = slice_str("back"),
                        .body = slice_str("{}"),
                        .body_kind = 1,
                        .priority = 7,
                        .created_ms = 11,
                        .run_at_ms = 12,
                        .expires_ms = 1LL << 40,
                        .timeout_ms = 14,
                        .backoff_ms = 15,
                        .max_retries = 0};
    record_t *record = record_new(&spec, 5, 1);
    submit(world, record);
    record_unref(&record);
    reopen(world);
    page_t page = find(world, "id-1");
    assert_int_equal(page.count, 1);
    const task_spec_t *got = &page.items[0].record->spec;
    assert_true(record_same_content(got, &spec));
    assert_true(slice_eq(got->id, spec.id) && slice_eq(got->origin, spec.origin) &&
                slice_eq(got->reply_to, spec.reply_to));
    assert_int_equal(got->created_ms, 11);
    assert_int_equal(got->run_at_ms, 12);
    assert_int_equal(got->expires_ms, 1LL << 40);
    assert_int_equal(got->backoff_ms, 15);
    assert_int_equal(page.items[0].record->seq, 5);
    assert_int_equal(state_of(world, "id-2"), REEVE_STATE_UNKNOWN);
    page_fini(&page);
}

static void every_state_survives_a_restart_with_its_counters(void **state)
{
    world_t *world = *state;
    record_t *record = make(1, "a", 0);
    outcome_spec_t lost = {.ending = ENDING_LOST, .attempt = 1, .reason = slice_str("worker_lost")};
    outcome_spec_t failed = {
        .ending = ENDING_FAILURE, .attempt = 2, .error = slice_str("no"), .started_ms = 3};
    submit(world, record);
    reopen(world);
    assert_int_equal(state_of(world, "a"), REEVE_STATE_QUEUED);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 50, (tries_t){1, 0, 0}, NULL);
    recovered_t recovered = reopen(world);
    assert_int_equal(recovered.leases, 1);
    assert_int_equal(recovered.lease_seq, 1);
    assert_int_equal(recovered.lease_attempts, 1);
    move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_QUEUED, 0, (tries_t){1, 0, 1}, &lost);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 60, (tries_t){2, 0, 1}, NULL);
    move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_SCHEDULED, 99, (tries_t){2, 1, 1},
         &failed);
    recovered = reopen(world);
    assert_int_equal(recovered.queue.scheduled, 1);
    page_t page = find(world, "a");
    assert_int_equal(page.items[0].state, REEVE_STATE_SCHEDULED);
    assert_int_equal(page.items[0].at_ms, 99);
    assert_int_equal(page.items[0].tries.attempts, 2);
    assert_int_equal(page.items[0].tries.failures, 1);
    assert_int_equal(page.items[0].tries.deaths, 1);
    page_fini(&page);
    move(world, record, REEVE_STATE_SCHEDULED, REEVE_STATE_QUEUED, 0, (tries_t){2, 1, 1}, NULL);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 70, (tries_t){3, 1, 1}, NULL);
    outcome_spec_t last = {.ending = ENDING_REJECTED, .attempt = 3, .reason = slice_str("bad")};
    move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){3, 2, 1}, &last);
    recovered = reopen(world);
    assert_int_equal(recovered.queue.dead, 1);
    assert_int_equal(recovered.queue.waiting, 0);
    assert_int_equal(recovered.queue.bytes, 0);
    assert_int_equal(state_of(world, "a"), REEVE_STATE_FAILED);
    biography_t life = biography_of(world, "a");
    assert_int_equal(life.attempt_count, 3);
    assert_int_equal(life.attempts[0]->spec.ending, ENDING_LOST);
    assert_int_equal(life.attempts[1]->spec.ending, ENDING_FAILURE);
    assert_true(slice_eq(life.attempts[1]->spec.error, slice_str("no")));
    assert_int_equal(life.attempts[2]->spec.ending, ENDING_REJECTED);
    biography_fini(&life);
    record_unref(&record);
}

static page_t load(world_t *world, uint64_t after)
{
    page_t page = {0};
    begin(world);
    assert_int_equal(world->store->ops->load(world->store, 1, after, &page), STORE_OK);
    commit(world);
    return page;
}

static void pages_of_waiting_tasks_come_in_the_order_of_running(void **state)
{
    world_t *world = *state;
    enum { TASKS = LIMIT_PAGE_TASKS + 40 };
    for (int i = 1; i <= TASKS; i++) {
        char id[16];
        snprintf(id, sizeof id, "t%d", i);
        record_t *record = make((uint64_t)i, id, i % 3);
        submit(world, record);
        record_unref(&record);
    }
    uint64_t after = 0;
    size_t seen = 0;
    bool more = true;
    while (more) {
        page_t page = load(world, after);
        for (size_t i = 0; i < page.count; i++) {
            uint64_t key = record_key(page.items[i].record);
            assert_true(key > after);
            after = key;
            seen++;
        }
        more = page.more;
        page_fini(&page);
    }
    assert_int_equal(seen, TASKS);
}

static size_t ahead_of(world_t *world, const record_t *record, size_t limit)
{
    size_t count = 4711;
    begin(world);
    assert_int_equal(world->store->ops->count_ahead(world->store, record, limit, &count), STORE_OK);
    commit(world);
    return count;
}

static void tasks_ahead_are_those_of_the_queue_that_run_before(void **state)
{
    world_t *world = *state;
    /* Queue 1 runs as 4, 2, 3, and queue 2 as 1, 5. */
    record_t *records[] = {make_in(2, 1, "one", 9), make_in(1, 2, "two", 5),
                           make_in(1, 3, "three", 5), make_in(1, 4, "four", 9),
                           make_in(2, 5, "five", 0)};
    for (int i = 0; i < 5; i++)
        submit(world, records[i]);
    const size_t ahead[] = {0, 1, 2, 0, 1};
    for (int i = 0; i < 5; i++)
        assert_int_equal(ahead_of(world, records[i], 10), ahead[i]);
    assert_int_equal(ahead_of(world, records[2], 1), 1);
    move(world, records[3], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1000, none, NULL);
    assert_int_equal(ahead_of(world, records[2], 10), 1);
    for (int i = 0; i < 5; i++)
        record_unref(&records[i]);
}

static page_t due(world_t *world, int64_t until_ms)
{
    page_t page = {0};
    begin(world);
    assert_int_equal(world->store->ops->due(world->store, until_ms, &page), STORE_OK);
    commit(world);
    return page;
}

static void due_names_what_is_due_and_when_to_ask_again(void **state)
{
    world_t *world = *state;
    record_t *early = make(1, "early", 0), *late = make(2, "late", 0);
    move(world, early, REEVE_STATE_UNKNOWN, REEVE_STATE_SCHEDULED, 100, none, NULL);
    move(world, late, REEVE_STATE_UNKNOWN, REEVE_STATE_SCHEDULED, 200, none, NULL);
    page_t page = due(world, 99);
    assert_int_equal(page.count, 0);
    assert_int_equal(page.next_ms, 100);
    page = due(world, 100);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.items[0].record->seq, 1);
    assert_int_equal(page.next_ms, 200);
    page_fini(&page);
    move(world, late, REEVE_STATE_SCHEDULED, REEVE_STATE_CANCELLED, 0, none, NULL);
    page = due(world, 150);
    assert_int_equal(page.next_ms, INT64_MAX);
    page_fini(&page);
    record_unref(&early);
    record_unref(&late);
}

static void an_expired_waiting_task_is_due_until_it_is_held(void **state)
{
    world_t *world = *state;
    record_t *record = record_new(&(task_spec_t){.id = slice_str("e"),
                                                 .queue = slice_str("mail"),
                                                 .task_name = slice_str("send"),
                                                 .expires_ms = 500,
                                                 .max_retries = -1},
                                  1, 1);
    submit(world, record);
    page_t page = due(world, 499);
    assert_int_equal(page.count, 0);
    assert_int_equal(page.next_ms, 500);
    page = due(world, 500);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.items[0].state, REEVE_STATE_QUEUED);
    page_fini(&page);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0}, NULL);
    page = due(world, 500);
    assert_int_equal(page.count, 0);
    record_unref(&record);
}

static void dead_letters_are_listed_in_pages(void **state)
{
    world_t *world = *state;
    for (uint64_t seq = 1; seq <= 5; seq++) {
        char id[8];
        snprintf(id, sizeof id, "d%d", (int)seq);
        record_t *record = make(seq, id, 0);
        outcome_spec_t end = {.ending = ENDING_REJECTED, .attempt = 1};
        submit(world, record);
        move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0},
             NULL);
        move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){1, 1, 0},
             &end);
        record_unref(&record);
    }
    uint64_t after = 0, next_seq = 1;
    do {
        page_t page = {0};
        begin(world);
        assert_int_equal(world->store->ops->dead(world->store, 0, after, 2, &page), STORE_OK);
        commit(world);
        for (size_t i = 0; i < page.count; i++)
            assert_int_equal(page.items[i].record->seq, next_seq++);
        after = page.next;
        page_fini(&page);
    } while (after);
    assert_int_equal(next_seq, 6);
}

static void retention_removes_ended_tasks_and_nothing_else(void **state)
{
    world_t *world = *state;
    record_t *ended = make(1, "ended", 0), *waiting = make(2, "waiting", 0);
    outcome_spec_t end = {.ending = ENDING_SUCCESS, .attempt = 1};
    submit(world, ended);
    submit(world, waiting);
    move(world, ended, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0}, NULL);
    move(world, ended, REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS, 5000, (tries_t){1, 0, 0}, &end);
    const store_ops_t *ops = world->store->ops;
    for (int64_t now_ms = 4000; now_ms <= 6000; now_ms += 2000) {
        bool more = true;
        while (more) {
            assert_int_equal(ops->begin(world->store), STORE_OK);
            assert_int_equal(ops->maintain(world->store, now_ms, 100, &more), STORE_OK);
            assert_int_equal(ops->commit(world->store), STORE_OK);
        }
        assert_int_equal(state_of(world, "ended"),
                         now_ms < 5000 ? REEVE_STATE_SUCCESS : REEVE_STATE_UNKNOWN);
    }
    assert_int_equal(state_of(world, "waiting"), REEVE_STATE_QUEUED);
    record_unref(&ended);
    record_unref(&waiting);
}

static void a_number_is_never_used_twice(void **state)
{
    world_t *world = *state;
    record_t *record = make(41, "n", 0);
    submit(world, record);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 0, none, NULL);
    move(world, record, REEVE_STATE_CANCELLED, REEVE_STATE_UNKNOWN, 0, none, NULL);
    store_identity_t before = *world->store->ops->identity(world->store);
    reopen(world);
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
        open_store(world);
    }
}

/* ---- transactions --------------------------------------------------------------------------- */

static void reads_see_what_the_same_transaction_wrote(void **state)
{
    world_t *world = *state;
    record_t *record = make(1, "a", 0);
    page_t found = {0}, loaded = {0};
    biography_t life = {0};
    begin(world);
    apply(world, record, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    assert_int_equal(world->store->ops->find(world->store, slice_str("a"), &found), STORE_OK);
    assert_int_equal(world->store->ops->load(world->store, 1, 0, &loaded), STORE_OK);
    assert_int_equal(world->store->ops->biography(world->store, slice_str("a"), &life), STORE_OK);
    commit(world);
    assert_int_equal(found.count, 1);
    assert_int_equal(loaded.count, 1);
    assert_true(life.found);
    page_fini(&found);
    page_fini(&loaded);
    biography_fini(&life);
    record_unref(&record);
}

static void what_was_not_committed_never_happened(void **state)
{
    world_t *world = *state;
    record_t *kept = make(1, "kept", 0), *ended = make(2, "ended", 0), *lost = make(3, "lost", 0);
    outcome_spec_t failed = {.ending = ENDING_FAILURE, .attempt = 1, .reason = slice_str("x")};
    submit(world, kept);
    submit(world, ended);
    move(world, ended, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 9, (tries_t){1, 0, 0}, NULL);
    begin(world);
    apply(world, kept, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 0, none, NULL);
    apply(world, kept, REEVE_STATE_CANCELLED, REEVE_STATE_UNKNOWN, 0, none, NULL);
    apply(world, ended, REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){1, 1, 0}, &failed);
    apply(world, lost, REEVE_STATE_UNKNOWN, REEVE_STATE_SCHEDULED, 99, none, NULL);
    recovered_t recovered = crash(world);
    assert_int_equal(recovered.queue.waiting, 1);
    assert_int_equal(recovered.queue.scheduled, 0);
    assert_int_equal(recovered.queue.dead, 0);
    assert_int_equal(recovered.queue.bytes, 2 * kept->spec.body.size);
    assert_int_equal(recovered.leases, 1);
    assert_int_equal(recovered.lease_seq, 2);
    assert_int_equal(state_of(world, "kept"), REEVE_STATE_QUEUED);
    assert_int_equal(state_of(world, "lost"), REEVE_STATE_UNKNOWN);
    biography_t life = biography_of(world, "ended");
    assert_int_equal(life.task.state, REEVE_STATE_PROCESSING);
    assert_int_equal(life.attempt_count, 0);
    biography_fini(&life);
    record_unref(&kept);
    record_unref(&ended);
    record_unref(&lost);
}

/* ---- recovery ------------------------------------------------------------------------------- */

static void a_lease_is_recovered_with_who_holds_it_and_since_when(void **state)
{
    world_t *world = *state;
    record_t *record = make(1, "a", 0);
    submit(world, record);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 777, (tries_t){1, 0, 0}, NULL);
    recovered_t recovered = reopen(world);
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
    two[0] = make(1, "a", 0);
    two[1] = make(2, "b", 0);
    submit(world, two[0]);
    submit(world, two[1]);
    begin(world);
    for (int i = 0; i < 2; i++)
        apply(world, two[i], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 700 + i,
              (tries_t){1, 0, 0}, NULL);
    commit(world);
}

static void unref_two(record_t *two[2])
{
    record_unref(&two[0]);
    record_unref(&two[1]);
}

static void check_lease(world_t *world, const char *id, uint32_t attempt, int64_t started_ms)
{
    page_t page = find(world, id);
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
    recovered_t recovered = reopen(world);
    assert_int_equal(recovered.leases, 2);
    move(world, two[0], REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS, 5000, (tries_t){1, 0, 0},
         NULL);
    recovered = reopen(world);
    assert_int_equal(recovered.leases, 1);
    assert_string_equal(recovered.lease_id, "b");
    assert_int_equal(recovered.lease_at_ms, 701);
    assert_string_equal(recovered.lease_worker, "w1");
    move(world, two[1], REEVE_STATE_PROCESSING, REEVE_STATE_CANCELLED, 5000, (tries_t){1, 0, 0},
         NULL);
    assert_int_equal(reopen(world).leases, 0);
    assert_int_equal(state_of(world, "a"), REEVE_STATE_SUCCESS);
    assert_int_equal(state_of(world, "b"), REEVE_STATE_CANCELLED);
    unref_two(two);
}

static void a_lease_that_was_taken_back_leaves_no_trace(void **state)
{
    world_t *world = *state;
    record_t *two[2];
    lease_two(world, two);
    move(world, two[0], REEVE_STATE_PROCESSING, REEVE_STATE_QUEUED, 0, none, NULL);
    recovered_t recovered = reopen(world);
    assert_int_equal(recovered.leases, 1);
    assert_string_equal(recovered.lease_id, "b");
    assert_int_equal(recovered.queue.waiting, 1);
    assert_int_equal(state_of(world, "a"), REEVE_STATE_QUEUED);
    move(world, two[0], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 900, (tries_t){1, 0, 0}, NULL);
    assert_int_equal(reopen(world).leases, 2);
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
    move(world, two[0], REEVE_STATE_PROCESSING, REEVE_STATE_SCHEDULED, 800, (tries_t){1, 1, 0},
         &failed);
    assert_int_equal(reopen(world).leases, 1);
    move(world, two[0], REEVE_STATE_SCHEDULED, REEVE_STATE_QUEUED, 0, (tries_t){1, 1, 0}, NULL);
    assert_int_equal(reopen(world).leases, 1);
    assert_int_equal(state_of(world, "a"), REEVE_STATE_QUEUED);
    move(world, two[0], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 900, (tries_t){2, 1, 0}, NULL);
    assert_int_equal(reopen(world).leases, 2);
    check_lease(world, "a", 2, 900);
    unref_two(two);
}

static void one_transaction_may_hold_a_whole_life(void **state)
{
    world_t *world = *state;
    const outcome_spec_t failed = {.ending = ENDING_FAILURE, .attempt = 1, .started_ms = 1};
    record_t *a = make(1, "a", 0), *b = make(2, "b", 0), *c = make(3, "c", 0);
    begin(world);
    apply(world, a, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    apply(world, b, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    apply(world, c, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    apply(world, a, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0}, NULL);
    apply(world, a, REEVE_STATE_PROCESSING, REEVE_STATE_SCHEDULED, 2, (tries_t){1, 1, 0}, &failed);
    apply(world, a, REEVE_STATE_SCHEDULED, REEVE_STATE_QUEUED, 0, (tries_t){1, 1, 0}, NULL);
    apply(world, b, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 9000, none, NULL);
    apply(world, c, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0}, NULL);
    apply(world, c, REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS, 9000, (tries_t){1, 0, 0}, NULL);
    commit(world);
    recovered_t recovered = reopen(world);
    assert_int_equal(recovered.leases, 0);
    assert_int_equal(recovered.queue.waiting, 1);
    assert_int_equal(state_of(world, "a"), REEVE_STATE_QUEUED);
    assert_int_equal(state_of(world, "b"), REEVE_STATE_CANCELLED);
    assert_int_equal(state_of(world, "c"), REEVE_STATE_SUCCESS);
    record_unref(&a);
    record_unref(&b);
    record_unref(&c);
}

/*  What waits at last is neither what was leased nor what ended, in whatever order they go. */
static void what_ends_out_of_order_goes_from_the_order_of_running(void **state)
{
    enum { TASKS = 60 };
    world_t *world = *state;
    record_t *records[TASKS];
    char id[8];
    begin(world);
    for (uint64_t i = 0; i < TASKS; i++) {
        snprintf(id, sizeof id, "t%d", (int)i);
        records[i] = make(i + 1, id, (int)i % 3);
        apply(world, records[i], REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    }
    commit(world);
    begin(world);
    for (size_t i = 0; i < TASKS; i++) {
        size_t at =
            i * 7 % TASKS; /* every one of them once, as 7 and TASKS have no common factor */
        if (at % 4 == 0)
            apply(world, records[at], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1,
                  (tries_t){1, 0, 0}, NULL);
        else if (at % 4 != 1)
            apply(world, records[at], REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 9000, none, NULL);
    }
    page_t page = {0};
    assert_int_equal(world->store->ops->load(world->store, 1, 0, &page), STORE_OK);
    commit(world);
    assert_int_equal(page.count, TASKS / 4);
    for (size_t i = 0; i < page.count; i++)
        assert_int_equal((page.items[i].record->seq - 1) % 4, 1);
    page_fini(&page);
    assert_int_equal(reopen(world).leases, TASKS / 4);
    for (size_t i = 0; i < TASKS; i++)
        record_unref(&records[i]);
}

static void every_queue_is_recovered_under_its_name(void **state)
{
    world_t *world = *state;
    record_t *mail = make(1, "a", 0), *sms = make_in(2, 2, "b", 0);
    submit(world, mail);
    submit(world, sms);
    recovered_t recovered = reopen(world);
    assert_int_equal(recovered.queues, 2);
    assert_string_equal(recovered.queue_name, queue_names[recovered.queue.id]);
    assert_int_equal(world->store->ops->identity(world->store)->next_queue_id, 3);
    page_t page = find(world, "b");
    assert_int_equal(page.items[0].record->queue_id, 2);
    assert_true(slice_eq(page.items[0].record->spec.queue, slice_str("sms")));
    page_fini(&page);
    record_unref(&mail);
    record_unref(&sms);
}

/* ---- what is kept of a task ----------------------------------------------------------------- */

static void bodies_and_addresses_are_bytes(void **state)
{
    world_t *world = *state;
    task_spec_t spec = {.id = slice_str("bytes"),
                        .queue = slice_str("mail"),
                        .task_name = slice_str("send"),
                        .reply_to = slice("\0\1\xff", 3),
                        .body = slice("a\0b\xff\0", 5),
                        .max_retries = -1};
    record_t *record = record_new(&spec, 1, 1);
    spec.id = slice_str("empty");
    spec.body = spec.reply_to = (slice_t){0};
    record_t *empty = record_new(&spec, 2, 1);
    submit(world, record);
    submit(world, empty);
    reopen(world);
    page_t page = find(world, "bytes");
    assert_true(slice_eq(page.items[0].record->spec.body, record->spec.body));
    assert_true(slice_eq(page.items[0].record->spec.reply_to, record->spec.reply_to));
    page_fini(&page);
    page = find(world, "empty");
    assert_int_equal(page.items[0].record->spec.body.size, 0);
    assert_int_equal(page.items[0].record->spec.reply_to.size, 0);
    page_fini(&page);
    record_unref(&record);
    record_unref(&empty);
}

static void check_outcome(const outcome_spec_t *got, const outcome_spec_t *want)
{
    assert_int_equal(got->ending, want->ending);
    assert_int_equal(got->attempt, want->attempt);
    assert_int_equal(got->started_ms, want->started_ms);
    assert_int_equal(got->ended_ms, want->ended_ms);
    assert_int_equal(got->duration_ms, want->duration_ms);
    assert_true(slice_eq(got->worker, want->worker));
    assert_true(slice_eq(got->reason, want->reason));
    assert_true(slice_eq(got->error, want->error));
    assert_true(slice_eq(got->traceback, want->traceback));
}

static const outcome_spec_t full_outcome = {.ending = ENDING_SUCCESS,
                                            .result_kind = 2,
                                            .attempt = 1,
                                            .started_ms = 11,
                                            .ended_ms = 22,
                                            .duration_ms = 10,
                                            .worker = {(const uint8_t *)"w1", 2},
                                            .result = {(const uint8_t *)"r\0s", 3},
                                            .reason = {(const uint8_t *)"because", 7},
                                            .error = {(const uint8_t *)"it broke", 8},
                                            .traceback = {(const uint8_t *)"at line 1", 9}};

static void an_end_is_found_with_its_whole_outcome(void **state)
{
    world_t *world = *state;
    record_t *record = make(1, "a", 0);
    submit(world, record);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 11, (tries_t){1, 0, 0}, NULL);
    move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS, 5000, (tries_t){1, 0, 0},
         &full_outcome);
    reopen(world);
    page_t page = find(world, "a");
    check_outcome(&page.items[0].outcome->spec, &full_outcome);
    assert_int_equal(page.items[0].outcome->spec.result_kind, 2);
    assert_true(slice_eq(page.items[0].outcome->spec.result, full_outcome.result));
    page_fini(&page);
    biography_t life = biography_of(world, "a");
    assert_int_equal(life.attempt_count, 0); /* success is the outcome, not history */
    biography_fini(&life);
    record_unref(&record);
}

static void an_end_without_an_attempt_names_none(void **state)
{
    world_t *world = *state;
    record_t *record = make(1, "a", 0);
    outcome_spec_t released = {.ending = ENDING_RELEASED, .attempt = 1, .started_ms = 3};
    outcome_spec_t cancelled = {
        .ending = ENDING_CANCELLED, .ended_ms = 9, .reason = slice_str("cancelled")};
    submit(world, record);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 3, (tries_t){1, 0, 0}, NULL);
    move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_QUEUED, 0, (tries_t){1, 0, 0},
         &released);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 5000, (tries_t){1, 0, 0},
         &cancelled);
    reopen(world);
    page_t page = find(world, "a");
    assert_int_equal(page.items[0].tries.attempts, 1);
    check_outcome(&page.items[0].outcome->spec, &cancelled);
    page_fini(&page);
    record_unref(&record);
}

static void a_redriven_task_keeps_its_history(void **state)
{
    world_t *world = *state;
    record_t *record = make(1, "a", 0);
    outcome_spec_t failed = full_outcome;
    failed.ending = ENDING_FAILURE;
    submit(world, record);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 11, (tries_t){1, 0, 0}, NULL);
    move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){1, 1, 0}, &failed);
    move(world, record, REEVE_STATE_FAILED, REEVE_STATE_QUEUED, 0, (tries_t){1, 0, 0}, NULL);
    recovered_t recovered = reopen(world);
    assert_int_equal(recovered.queue.dead, 0);
    assert_int_equal(recovered.queue.waiting, 1);
    assert_int_equal(recovered.queue.bytes, record->spec.body.size);
    page_t page = load(world, 0);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.items[0].tries.attempts, 1);
    assert_int_equal(page.items[0].tries.failures, 0);
    page_fini(&page);
    biography_t life = biography_of(world, "a");
    assert_int_equal(life.task.state, REEVE_STATE_QUEUED);
    assert_int_equal(life.attempt_count, 1);
    check_outcome(&life.attempts[0]->spec, &failed);
    biography_fini(&life);
    record_unref(&record);
}

static void a_removed_task_leaves_nothing_and_frees_its_id(void **state)
{
    world_t *world = *state;
    record_t *record = make(1, "a", 0), *again = make(2, "a", 3);
    outcome_spec_t failed = full_outcome;
    failed.ending = ENDING_FAILURE;
    submit(world, record);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 11, (tries_t){1, 0, 0}, NULL);
    move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){1, 1, 0}, &failed);
    begin(world); /* both in one transaction */
    apply(world, record, REEVE_STATE_FAILED, REEVE_STATE_UNKNOWN, 0, (tries_t){1, 1, 0}, NULL);
    apply(world, again, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    commit(world);
    recovered_t recovered = reopen(world);
    assert_int_equal(recovered.queue.dead, 0);
    biography_t life = biography_of(world, "a");
    assert_int_equal(life.task.record->seq, 2);
    assert_int_equal(life.task.tries.attempts, 0);
    assert_int_equal(life.attempt_count, 0);
    biography_fini(&life);
    record_unref(&record);
    record_unref(&again);
}

static void an_unknown_id_has_no_biography(void **state)
{
    biography_t life = biography_of(*state, "a");
    assert_false(life.found);
    biography_fini(&life);
}

/* ---- pages ---------------------------------------------------------------------------------- */

static void a_page_holds_tasks_of_one_queue_only(void **state)
{
    world_t *world = *state;
    for (uint64_t seq = 1; seq <= 6; seq++) {
        char id[8];
        snprintf(id, sizeof id, "t%d", (int)seq);
        record_t *record = make_in(1 + seq % 2, seq, id, seq == 6 ? 9 : 0);
        submit(world, record);
        record_unref(&record);
    }
    page_t page = load(world, 0);
    assert_int_equal(page.count, 3);
    assert_false(page.more);
    for (size_t i = 0; i < page.count; i++) {
        assert_int_equal(page.items[i].record->queue_id, 1);
        assert_int_equal(page.items[i].state, REEVE_STATE_QUEUED);
    }
    assert_int_equal(page.items[0].record->seq, 6);
    uint64_t after = record_key(page.items[0].record);
    page_fini(&page);
    page = load(world, after);
    assert_int_equal(page.count, 2);
    assert_int_equal(page.items[0].record->seq, 2);
    page_fini(&page);
}

static void a_page_of_large_bodies_ends_early_and_says_so(void **state)
{
    world_t *world = *state;
    enum { BODY = 1 << 20, TASKS = 8 };
    char *body = calloc(1, BODY);
    for (uint64_t seq = 1; seq <= TASKS; seq++) {
        char id[8];
        snprintf(id, sizeof id, "t%d", (int)seq);
        record_t *record = record_new(&(task_spec_t){.id = slice_str(id),
                                                     .queue = slice_str("mail"),
                                                     .task_name = slice_str("send"),
                                                     .body = slice(body, BODY),
                                                     .max_retries = -1},
                                      seq, 1);
        submit(world, record);
        record_unref(&record);
    }
    free(body);
    page_t page = load(world, 0);
    assert_in_range(page.count, 1, TASKS - 1);
    assert_true(page.more);
    page_fini(&page);
}

static void more_due_tasks_than_a_page_are_asked_for_again_at_once(void **state)
{
    world_t *world = *state;
    enum { TASKS = 1300 };
    record_t *records[TASKS + 1];
    begin(world);
    for (uint64_t seq = 1; seq <= TASKS; seq++) {
        char id[16];
        snprintf(id, sizeof id, "t%d", (int)seq);
        records[seq] = make(seq, id, 0);
        apply(world, records[seq], REEVE_STATE_UNKNOWN, REEVE_STATE_SCHEDULED, 100 + (int)seq % 7,
              none, NULL);
    }
    commit(world);
    size_t seen = 0;
    int64_t next_ms = 0;
    while (next_ms <= 200) {
        page_t page = due(world, 200);
        assert_true(page.count > 0);
        begin(world);
        for (size_t i = 0; i < page.count; i++)
            apply(world, records[page.items[i].record->seq], REEVE_STATE_SCHEDULED,
                  REEVE_STATE_QUEUED, 0, none, NULL);
        commit(world);
        seen += page.count;
        next_ms = page.next_ms;
        page_fini(&page);
    }
    assert_int_equal(seen, TASKS);
    for (uint64_t seq = 1; seq <= TASKS; seq++)
        record_unref(&records[seq]);
}

static void a_scheduled_task_expires_too(void **state)
{
    world_t *world = *state;
    record_t *record = record_new(&(task_spec_t){.id = slice_str("e"),
                                                 .queue = slice_str("mail"),
                                                 .task_name = slice_str("send"),
                                                 .expires_ms = 500,
                                                 .max_retries = -1},
                                  1, 1);
    move(world, record, REEVE_STATE_UNKNOWN, REEVE_STATE_SCHEDULED, 900, none, NULL);
    page_t page = due(world, 400);
    assert_int_equal(page.next_ms, 500);
    page_fini(&page);
    page = due(world, 500);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.items[0].state, REEVE_STATE_SCHEDULED);
    assert_int_equal(page.items[0].at_ms, 900);
    page_fini(&page);
    record_unref(&record);
}

static void dead_letters_are_listed_by_queue(void **state)
{
    world_t *world = *state;
    outcome_spec_t end = {.ending = ENDING_REJECTED, .attempt = 1, .reason = slice_str("no")};
    for (uint64_t seq = 1; seq <= 4; seq++) {
        char id[8];
        snprintf(id, sizeof id, "d%d", (int)seq);
        record_t *record = make_in(1 + seq % 2, seq, id, (int)seq);
        submit(world, record);
        move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0},
             NULL);
        move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){1, 1, 0},
             &end);
        record_unref(&record);
    }
    page_t page = {0};
    begin(world);
    assert_int_equal(world->store->ops->dead(world->store, 2, 0, 10, &page), STORE_OK);
    commit(world);
    assert_int_equal(page.count, 2);
    assert_int_equal(page.next, 0);
    assert_int_equal(page.items[0].record->seq, 1); /* the oldest first, whatever its priority */
    assert_int_equal(page.items[1].record->seq, 3);
    assert_true(slice_eq(page.items[0].outcome->spec.reason, slice_str("no")));
    page_fini(&page);
}

/* ---- housekeeping --------------------------------------------------------------------------- */

static bool maintain(world_t *world, int64_t now_ms, int budget)
{
    bool more = false;
    begin(world);
    assert_int_equal(world->store->ops->maintain(world->store, now_ms, budget, &more), STORE_OK);
    commit(world);
    return more;
}

static void housekeeping_goes_in_small_steps(void **state)
{
    world_t *world = *state;
    enum { TASKS = 20, BUDGET = 3 };
    for (uint64_t seq = 1; seq <= TASKS; seq++) {
        char id[8];
        snprintf(id, sizeof id, "t%d", (int)seq);
        record_t *record = make(seq, id, 0);
        submit(world, record);
        move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 2000, none, NULL);
        record_unref(&record);
    }
    size_t left = TASKS;
    bool more = true;
    while (more) {
        size_t before = left;
        more = maintain(world, 10000, BUDGET);
        left = 0;
        for (int i = 1; i <= TASKS; i++) {
            char id[8];
            snprintf(id, sizeof id, "t%d", i);
            left += state_of(world, id) != REEVE_STATE_UNKNOWN;
        }
        assert_in_range(before - left, 0, BUDGET);
    }
    assert_int_equal(left, 0);
}

static void retention_leaves_dead_letters_and_redriven_tasks_alone(void **state)
{
    world_t *world = *state;
    record_t *dead = make(1, "dead", 0), *again = make(2, "again", 0);
    outcome_spec_t end = {.ending = ENDING_REJECTED, .attempt = 1};
    record_t *both[] = {dead, again};
    for (size_t i = 0; i < 2; i++) {
        submit(world, both[i]);
        move(world, both[i], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0},
             NULL);
        move(world, both[i], REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){1, 1, 0},
             &end);
    }
    move(world, again, REEVE_STATE_FAILED, REEVE_STATE_QUEUED, 0, (tries_t){1, 0, 0}, NULL);
    while (maintain(world, INT64_C(1) << 50, 100))
        continue;
    assert_int_equal(state_of(world, "dead"), REEVE_STATE_FAILED);
    assert_int_equal(state_of(world, "again"), REEVE_STATE_QUEUED);
    record_unref(&dead);
    record_unref(&again);
}

static void to_remove_what_retention_has_removed_is_no_error(void **state)
{
    world_t *world = *state;
    record_t *record = make(1, "a", 0), *again = make(2, "a", 0);
    submit(world, record);
    move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 1000, none, NULL);
    while (maintain(world, 5000, 100))
        continue;
    move(world, record, REEVE_STATE_CANCELLED, REEVE_STATE_UNKNOWN, 0, none, NULL);
    submit(world, again);
    assert_int_equal(state_of(world, "a"), REEVE_STATE_QUEUED);
    record_unref(&record);
    record_unref(&again);
}

/*  Each promise is a test of both stores, named after the store that is tried. */
#define BOTH(f)                                                                                    \
    {"sqlite: " #f, f, set_up_sqlite, tear_down, NULL},                                            \
    {                                                                                              \
        "memory: " #f, f, set_up_memory, tear_down, NULL                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_task_is_found_by_its_id_as_it_was_submitted),
        BOTH(every_state_survives_a_restart_with_its_counters),
        BOTH(tasks_ahead_are_those_of_the_queue_that_run_before),
        BOTH(pages_of_waiting_tasks_come_in_the_order_of_running),
        BOTH(due_names_what_is_due_and_when_to_ask_again),
        BOTH(an_expired_waiting_task_is_due_until_it_is_held),
        BOTH(dead_letters_are_listed_in_pages),
        BOTH(retention_removes_ended_tasks_and_nothing_else),
        BOTH(a_number_is_never_used_twice),
        BOTH(reads_see_what_the_same_transaction_wrote),
        BOTH(what_was_not_committed_never_happened),
        BOTH(a_lease_is_recovered_with_who_holds_it_and_since_when),
        BOTH(leases_of_one_commit_end_one_by_one),
        BOTH(a_lease_that_was_taken_back_leaves_no_trace),
        BOTH(a_task_that_failed_is_not_held_by_its_first_lease),
        BOTH(one_transaction_may_hold_a_whole_life),
        BOTH(what_ends_out_of_order_goes_from_the_order_of_running),
        BOTH(every_queue_is_recovered_under_its_name),
        BOTH(bodies_and_addresses_are_bytes),
        BOTH(an_end_is_found_with_its_whole_outcome),
        BOTH(an_end_without_an_attempt_names_none),
        BOTH(a_redriven_task_keeps_its_history),
        BOTH(a_removed_task_leaves_nothing_and_frees_its_id),
        BOTH(an_unknown_id_has_no_biography),
        BOTH(a_page_holds_tasks_of_one_queue_only),
        BOTH(a_page_of_large_bodies_ends_early_and_says_so),
        BOTH(more_due_tasks_than_a_page_are_asked_for_again_at_once),
        BOTH(a_scheduled_task_expires_too),
        BOTH(dead_letters_are_listed_by_queue),
        BOTH(housekeeping_goes_in_small_steps),
        BOTH(retention_leaves_dead_letters_and_redriven_tasks_alone),
        BOTH(to_remove_what_retention_has_removed_is_no_error),
        cmocka_unit_test_setup_teardown(what_is_not_ours_is_refused_and_left_alone, set_up_sqlite,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_identity_is_refused_and_not_made_anew,
                                        set_up_sqlite, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
