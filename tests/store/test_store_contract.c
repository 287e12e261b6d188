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

#include "broker/store/sqlite.h"
#include "common/limits.h"

/*  A store in a directory of its own, that can be closed and opened again. */
typedef struct world {
    char dir[64], path[96];
    store_t *store;
} world_t;

static void open_store(world_t *world)
{
    char problem[600] = "";
    if (sqlite_store_open(world->path, &world->store, problem, sizeof problem) != SQLITE_OPENED)
        fail_msg("%s", problem);
}

static int set_up(void **state)
{
    world_t *world = calloc(1, sizeof *world);
    strcpy(world->dir, "/tmp/reeve-store-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    snprintf(world->path, sizeof world->path, "%s/r.db", world->dir);
    open_store(world);
    *state = world;
    return 0;
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

/*  Recovery callbacks that only count and keep the last. */
typedef struct recovered {
    size_t queues, leases;
    stored_queue_t queue;
    char queue_name[64];
    uint64_t lease_seq;
    uint32_t lease_attempts;
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
    loaded_fini(loaded);
}

static recovered_t recover(world_t *world)
{
    recovered_t recovered = {0};
    store_recovery_t callbacks = {&recovered, on_queue, on_lease};
    assert_int_equal(world->store->ops->recover(world->store, &callbacks), STORE_OK);
    return recovered;
}

static recovered_t reopen(world_t *world)
{
    world->store->ops->close(&world->store);
    open_store(world);
    return recover(world);
}

static record_t *make(uint64_t seq, const char *id, int priority)
{
    return record_new(&(task_spec_t){.id = slice_str(id),
                                     .queue = slice_str("mail"),
                                     .task_name = slice_str("send"),
                                     .origin = slice_str("test"),
                                     .body = slice_str("{\"args\":[1]}"),
                                     .priority = (uint8_t)priority,
                                     .created_ms = 1000,
                                     .max_retries = -1},
                      seq, 1);
}

/*  Moves a record and commits. */
static void move(world_t *world, record_t *record, reeve_state_t from, reeve_state_t to,
                 int64_t at_ms, tries_t tries, const outcome_spec_t *outcome)
{
    const store_ops_t *ops = world->store->ops;
    change_t change = {.record = record_ref(record),
                       .from = from,
                       .to = to,
                       .at_ms = at_ms,
                       .tries = tries,
                       .outcome = outcome ? outcome_new(outcome) : NULL,
                       .worker = to == REEVE_STATE_PROCESSING ? strdup("w1") : NULL};
    assert_int_equal(ops->begin(world->store), STORE_OK);
    assert_int_equal(ops->apply(world->store, &change), STORE_OK);
    assert_int_equal(ops->commit(world->store), STORE_OK);
    change_fini(&change);
}

static const tries_t none;

static void submit(world_t *world, record_t *record)
{
    move(world, record, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
}

static page_t find(world_t *world, const char *id)
{
    page_t page = {0};
    const store_ops_t *ops = world->store->ops;
    assert_int_equal(ops->begin(world->store), STORE_OK);
    assert_int_equal(ops->find(world->store, slice_str(id), &page), STORE_OK);
    assert_int_equal(ops->commit(world->store), STORE_OK);
    return page;
}

static reeve_state_t state_of(world_t *world, const char *id)
{
    page_t page = find(world, id);
    reeve_state_t state = page.count ? page.items[0].state : REEVE_STATE_UNKNOWN;
    page_fini(&page);
    return state;
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
    biography_t life = {0};
    assert_int_equal(world->store->ops->begin(world->store), STORE_OK);
    assert_int_equal(world->store->ops->biography(world->store, slice_str("a"), &life), STORE_OK);
    assert_int_equal(world->store->ops->commit(world->store), STORE_OK);
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
    assert_int_equal(world->store->ops->begin(world->store), STORE_OK);
    assert_int_equal(world->store->ops->load(world->store, 1, after, &page), STORE_OK);
    assert_int_equal(world->store->ops->commit(world->store), STORE_OK);
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

static page_t due(world_t *world, int64_t until_ms)
{
    page_t page = {0};
    assert_int_equal(world->store->ops->begin(world->store), STORE_OK);
    assert_int_equal(world->store->ops->due(world->store, until_ms, &page), STORE_OK);
    assert_int_equal(world->store->ops->commit(world->store), STORE_OK);
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
        assert_int_equal(world->store->ops->begin(world->store), STORE_OK);
        assert_int_equal(world->store->ops->dead(world->store, 0, after, 2, &page), STORE_OK);
        assert_int_equal(world->store->ops->commit(world->store), STORE_OK);
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

#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_task_is_found_by_its_id_as_it_was_submitted),
        STORY(every_state_survives_a_restart_with_its_counters),
        STORY(pages_of_waiting_tasks_come_in_the_order_of_running),
        STORY(due_names_what_is_due_and_when_to_ask_again),
        STORY(an_expired_waiting_task_is_due_until_it_is_held),
        STORY(dead_letters_are_listed_in_pages),
        STORY(retention_removes_ended_tasks_and_nothing_else),
        STORY(a_number_is_never_used_twice),
        STORY(what_is_not_ours_is_refused_and_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
