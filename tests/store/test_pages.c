/*  The lists that a store gives in pages: what is to run, what is due, dead letters. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/limits.h"
#include "tests/store/world.h"

static void pages_of_waiting_tasks_come_in_the_order_of_running(void **state)
{
    world_t *world = *state;
    enum { TASKS = LIMIT_PAGE_TASKS + 40 };
    for (int i = 1; i <= TASKS; i++) {
        char id[16];
        snprintf(id, sizeof id, "t%d", i);
        record_t *record = world_record((uint64_t)i, id, i % 3);
        world_submit(world, record);
        record_unref(&record);
    }
    uint64_t after = 0;
    size_t seen = 0;
    bool more = true;
    while (more) {
        page_t page = world_load(world, after);
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
    world_begin(world);
    assert_int_equal(world->store->ops->count_ahead(world->store, record, limit, &count), STORE_OK);
    world_commit(world);
    return count;
}

static void tasks_ahead_are_those_of_the_queue_that_run_before(void **state)
{
    world_t *world = *state;
    /* Queue 1 runs as 4, 2, 3, and queue 2 as 1, 5. */
    record_t *records[] = {world_record_in(2, 1, "one", 9), world_record_in(1, 2, "two", 5),
                           world_record_in(1, 3, "three", 5), world_record_in(1, 4, "four", 9),
                           world_record_in(2, 5, "five", 0)};
    for (int i = 0; i < 5; i++)
        world_submit(world, records[i]);
    const size_t ahead[] = {0, 1, 2, 0, 1};
    for (int i = 0; i < 5; i++)
        assert_int_equal(ahead_of(world, records[i], 10), ahead[i]);
    assert_int_equal(ahead_of(world, records[2], 1), 1);
    world_move(world, records[3], REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1000, none, NULL);
    assert_int_equal(ahead_of(world, records[2], 10), 1);
    for (int i = 0; i < 5; i++)
        record_unref(&records[i]);
}

static page_t due(world_t *world, int64_t until_ms)
{
    page_t page = {0};
    world_begin(world);
    assert_int_equal(world->store->ops->due(world->store, until_ms, &page), STORE_OK);
    world_commit(world);
    return page;
}

static void due_names_what_is_due_and_when_to_ask_again(void **state)
{
    world_t *world = *state;
    record_t *early = world_record(1, "early", 0), *late = world_record(2, "late", 0);
    world_move(world, early, REEVE_STATE_UNKNOWN, REEVE_STATE_SCHEDULED, 100, none, NULL);
    world_move(world, late, REEVE_STATE_UNKNOWN, REEVE_STATE_SCHEDULED, 200, none, NULL);
    page_t page = due(world, 99);
    assert_int_equal(page.count, 0);
    assert_int_equal(page.next_ms, 100);
    page = due(world, 100);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.items[0].record->seq, 1);
    assert_int_equal(page.next_ms, 200);
    page_fini(&page);
    world_move(world, late, REEVE_STATE_SCHEDULED, REEVE_STATE_CANCELLED, 0, none, NULL);
    page = due(world, 150);
    assert_int_equal(page.next_ms, INT64_MAX);
    page_fini(&page);
    record_unref(&early);
    record_unref(&late);
}

static record_t *record_that_expires(int64_t expires_ms)
{
    return record_new(&(task_spec_t){.id = slice_str("e"),
                                     .queue = slice_str("mail"),
                                     .task_name = slice_str("send"),
                                     .expires_ms = expires_ms,
                                     .max_retries = -1},
                      1, 1);
}

static void an_expired_waiting_task_is_due_until_it_is_held(void **state)
{
    world_t *world = *state;
    record_t *record = record_that_expires(500);
    world_submit(world, record);
    page_t page = due(world, 499);
    assert_int_equal(page.count, 0);
    assert_int_equal(page.next_ms, 500);
    page = due(world, 500);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.items[0].state, REEVE_STATE_QUEUED);
    page_fini(&page);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0},
               NULL);
    page = due(world, 500);
    assert_int_equal(page.count, 0);
    record_unref(&record);
}

/*  Makes a dead letter of a task that waits. */
static void bury(world_t *world, record_t *record)
{
    outcome_spec_t end = {.ending = ENDING_REJECTED, .attempt = 1, .reason = slice_str("no")};
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 1, (tries_t){1, 0, 0},
               NULL);
    world_move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){1, 1, 0},
               &end);
}

static page_t dead(world_t *world, uint32_t queue_id, uint64_t after, size_t limit)
{
    page_t page = {0};
    world_begin(world);
    assert_int_equal(world->store->ops->dead(world->store, queue_id, after, limit, &page),
                     STORE_OK);
    world_commit(world);
    return page;
}

static void dead_letters_are_listed_in_pages(void **state)
{
    world_t *world = *state;
    for (uint64_t seq = 1; seq <= 5; seq++) {
        char id[8];
        snprintf(id, sizeof id, "d%d", (int)seq);
        record_t *record = world_record(seq, id, 0);
        world_submit(world, record);
        bury(world, record);
        record_unref(&record);
    }
    uint64_t after = 0, next_seq = 1;
    do {
        page_t page = dead(world, 0, after, 2);
        for (size_t i = 0; i < page.count; i++)
            assert_int_equal(page.items[i].record->seq, next_seq++);
        after = page.next;
        page_fini(&page);
    } while (after);
    assert_int_equal(next_seq, 6);
}

static void a_page_holds_tasks_of_one_queue_only(void **state)
{
    world_t *world = *state;
    for (uint64_t seq = 1; seq <= 6; seq++) {
        char id[8];
        snprintf(id, sizeof id, "t%d", (int)seq);
        record_t *record = world_record_in(1 + seq % 2, seq, id, seq == 6 ? 9 : 0);
        world_submit(world, record);
        record_unref(&record);
    }
    page_t page = world_load(world, 0);
    assert_int_equal(page.count, 3);
    assert_false(page.more);
    for (size_t i = 0; i < page.count; i++) {
        assert_int_equal(page.items[i].record->queue_id, 1);
        assert_int_equal(page.items[i].state, REEVE_STATE_QUEUED);
    }
    assert_int_equal(page.items[0].record->seq, 6);
    uint64_t after = record_key(page.items[0].record);
    page_fini(&page);
    page = world_load(world, after);
    assert_int_equal(page.count, 2);
    assert_int_equal(page.items[0].record->seq, 2);
    page_fini(&page);
}

/*  A page of them holds at most five: it ends with the one that makes it more than a window's bytes. */
enum { LARGE = 1 << 20, LARGE_TASKS = 12, LARGE_PAGE = LIMIT_WINDOW_BYTES / LARGE + 1 };

static record_t *large_record(uint64_t seq, int64_t expires_ms)
{
    static const uint8_t body[LARGE];
    char id[8];
    snprintf(id, sizeof id, "t%d", (int)seq);
    return record_new(&(task_spec_t){.id = slice_str(id),
                                     .queue = slice_str("mail"),
                                     .task_name = slice_str("send"),
                                     .body = slice(body, sizeof body),
                                     .expires_ms = expires_ms,
                                     .max_retries = -1},
                      seq, 1);
}

static void a_page_of_large_bodies_ends_early_and_says_so(void **state)
{
    world_t *world = *state;
    for (uint64_t seq = 1; seq <= LARGE_TASKS; seq++) {
        record_t *record = large_record(seq, 0);
        world_submit(world, record);
        record_unref(&record);
    }
    page_t page = world_load(world, 0);
    assert_in_range(page.count, 1, LARGE_PAGE);
    assert_true(page.more);
    page_fini(&page);
}

/*  Half of them are scheduled, and half expire. */
static void due_tasks_of_large_bodies_come_in_short_pages(void **state)
{
    world_t *world = *state;
    record_t *records[2 * LARGE_TASKS + 1];
    for (uint64_t seq = 1; seq <= 2 * LARGE_TASKS; seq++) {
        bool expires = seq > LARGE_TASKS;
        records[seq] = large_record(seq, expires ? 100 : 0);
        world_move(world, records[seq], REEVE_STATE_UNKNOWN,
                   expires ? REEVE_STATE_QUEUED : REEVE_STATE_SCHEDULED, expires ? 0 : 100, none,
                   NULL);
    }
    size_t seen = 0;
    int64_t next_ms = 0;
    while (next_ms <= 200) {
        page_t page = due(world, 200);
        assert_in_range(page.count, 1, 2 * LARGE_PAGE);
        for (size_t i = 0; i < page.count; i++)
            world_move(world, records[page.items[i].record->seq], page.items[i].state,
                       REEVE_STATE_CANCELLED, 0, none, NULL);
        seen += page.count;
        next_ms = page.next_ms;
        page_fini(&page);
    }
    assert_int_equal(seen, 2 * LARGE_TASKS);
    for (uint64_t seq = 1; seq <= 2 * LARGE_TASKS; seq++)
        record_unref(&records[seq]);
}

static void dead_letters_of_large_bodies_come_in_short_pages(void **state)
{
    world_t *world = *state;
    for (uint64_t seq = 1; seq <= LARGE_TASKS; seq++) {
        record_t *record = large_record(seq, 0);
        world_submit(world, record);
        bury(world, record);
        record_unref(&record);
    }
    uint64_t after = 0, next_seq = 1;
    do {
        page_t page = dead(world, 0, after, LIMIT_LIST_ROWS);
        assert_in_range(page.count, 1, LARGE_PAGE);
        for (size_t i = 0; i < page.count; i++)
            assert_int_equal(page.items[i].record->seq, next_seq++);
        after = page.next;
        page_fini(&page);
    } while (after);
    assert_int_equal(next_seq, LARGE_TASKS + 1);
}

static void more_due_tasks_than_a_page_are_asked_for_again_at_once(void **state)
{
    world_t *world = *state;
    enum { TASKS = 1300 };
    record_t *records[TASKS + 1];
    world_begin(world);
    for (uint64_t seq = 1; seq <= TASKS; seq++) {
        char id[16];
        snprintf(id, sizeof id, "t%d", (int)seq);
        records[seq] = world_record(seq, id, 0);
        world_apply(world, records[seq], REEVE_STATE_UNKNOWN, REEVE_STATE_SCHEDULED,
                    100 + (int)seq % 7, none, NULL);
    }
    world_commit(world);
    size_t seen = 0;
    int64_t next_ms = 0;
    while (next_ms <= 200) {
        page_t page = due(world, 200);
        assert_true(page.count > 0);
        world_begin(world);
        for (size_t i = 0; i < page.count; i++)
            world_apply(world, records[page.items[i].record->seq], REEVE_STATE_SCHEDULED,
                        REEVE_STATE_QUEUED, 0, none, NULL);
        world_commit(world);
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
    record_t *record = record_that_expires(500);
    world_move(world, record, REEVE_STATE_UNKNOWN, REEVE_STATE_SCHEDULED, 900, none, NULL);
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
    for (uint64_t seq = 1; seq <= 4; seq++) {
        char id[8];
        snprintf(id, sizeof id, "d%d", (int)seq);
        record_t *record = world_record_in(1 + seq % 2, seq, id, (int)seq);
        world_submit(world, record);
        bury(world, record);
        record_unref(&record);
    }
    page_t page = dead(world, 2, 0, 10);
    assert_int_equal(page.count, 2);
    assert_int_equal(page.next, 0);
    assert_int_equal(page.items[0].record->seq, 1); /* the oldest first, whatever its priority */
    assert_int_equal(page.items[1].record->seq, 3);
    assert_true(slice_eq(page.items[0].outcome->spec.reason, slice_str("no")));
    page_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(pages_of_waiting_tasks_come_in_the_order_of_running),
        BOTH(tasks_ahead_are_those_of_the_queue_that_run_before),
        BOTH(due_names_what_is_due_and_when_to_ask_again),
        BOTH(an_expired_waiting_task_is_due_until_it_is_held),
        BOTH(dead_letters_are_listed_in_pages),
        BOTH(a_page_holds_tasks_of_one_queue_only),
        BOTH(a_page_of_large_bodies_ends_early_and_says_so),
        BOTH(due_tasks_of_large_bodies_come_in_short_pages),
        BOTH(dead_letters_of_large_bodies_come_in_short_pages),
        BOTH(more_due_tasks_than_a_page_are_asked_for_again_at_once),
        BOTH(a_scheduled_task_expires_too),
        BOTH(dead_letters_are_listed_by_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
