/*  What a store keeps of a task: its contents, its history and its end. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/store/world.h"

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
    world_submit(world, record);
    record_unref(&record);
    world_reopen(world);
    page_t page = world_find(world, "id-1");
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
    assert_int_equal(world_state(world, "id-2"), REEVE_STATE_UNKNOWN);
    page_fini(&page);
}

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
    world_submit(world, record);
    world_submit(world, empty);
    world_reopen(world);
    page_t page = world_find(world, "bytes");
    assert_true(slice_eq(page.items[0].record->spec.body, record->spec.body));
    assert_true(slice_eq(page.items[0].record->spec.reply_to, record->spec.reply_to));
    page_fini(&page);
    page = world_find(world, "empty");
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
    record_t *record = world_record(1, "a", 0);
    world_submit(world, record);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 11, (tries_t){1, 0, 0},
               NULL);
    world_move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_SUCCESS, 5000, (tries_t){1, 0, 0},
               &full_outcome);
    world_reopen(world);
    page_t page = world_find(world, "a");
    check_outcome(&page.items[0].outcome->spec, &full_outcome);
    assert_int_equal(page.items[0].outcome->spec.result_kind, 2);
    assert_true(slice_eq(page.items[0].outcome->spec.result, full_outcome.result));
    page_fini(&page);
    biography_t life = world_biography(world, "a");
    assert_int_equal(life.attempt_count, 0); /* success is the outcome, not history */
    biography_fini(&life);
    record_unref(&record);
}

static void an_end_without_an_attempt_names_none(void **state)
{
    world_t *world = *state;
    record_t *record = world_record(1, "a", 0);
    outcome_spec_t released = {.ending = ENDING_RELEASED, .attempt = 1, .started_ms = 3};
    outcome_spec_t cancelled = {
        .ending = ENDING_CANCELLED, .ended_ms = 9, .reason = slice_str("cancelled")};
    world_submit(world, record);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 3, (tries_t){1, 0, 0},
               NULL);
    world_move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_QUEUED, 0, (tries_t){1, 0, 0},
               &released);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_CANCELLED, 5000, (tries_t){1, 0, 0},
               &cancelled);
    world_reopen(world);
    page_t page = world_find(world, "a");
    assert_int_equal(page.items[0].tries.attempts, 1);
    check_outcome(&page.items[0].outcome->spec, &cancelled);
    page_fini(&page);
    record_unref(&record);
}

/*  Its one attempt failed; returns how. */
static outcome_spec_t make_dead_letter(world_t *world, record_t *record)
{
    outcome_spec_t failed = full_outcome;
    failed.ending = ENDING_FAILURE;
    world_submit(world, record);
    world_move(world, record, REEVE_STATE_QUEUED, REEVE_STATE_PROCESSING, 11, (tries_t){1, 0, 0},
               NULL);
    world_move(world, record, REEVE_STATE_PROCESSING, REEVE_STATE_FAILED, 0, (tries_t){1, 1, 0},
               &failed);
    return failed;
}

static void a_redriven_task_keeps_its_history(void **state)
{
    world_t *world = *state;
    record_t *record = world_record(1, "a", 0);
    outcome_spec_t failed = make_dead_letter(world, record);
    world_move(world, record, REEVE_STATE_FAILED, REEVE_STATE_QUEUED, 0, (tries_t){1, 0, 0}, NULL);
    recovered_t recovered = world_reopen(world);
    assert_int_equal(recovered.queue.dead, 0);
    assert_int_equal(recovered.queue.waiting, 1);
    assert_int_equal(recovered.queue.bytes, record->spec.body.size);
    page_t page = world_load(world, 0);
    assert_int_equal(page.count, 1);
    assert_int_equal(page.items[0].tries.attempts, 1);
    assert_int_equal(page.items[0].tries.failures, 0);
    page_fini(&page);
    biography_t life = world_biography(world, "a");
    assert_int_equal(life.task.state, REEVE_STATE_QUEUED);
    assert_int_equal(life.attempt_count, 1);
    check_outcome(&life.attempts[0]->spec, &failed);
    biography_fini(&life);
    record_unref(&record);
}

static void a_removed_task_leaves_nothing_and_frees_its_id(void **state)
{
    world_t *world = *state;
    record_t *record = world_record(1, "a", 0), *again = world_record(2, "a", 3);
    make_dead_letter(world, record);
    world_begin(world); /* both in one transaction */
    world_apply(world, record, REEVE_STATE_FAILED, REEVE_STATE_UNKNOWN, 0, (tries_t){1, 1, 0},
                NULL);
    world_apply(world, again, REEVE_STATE_UNKNOWN, REEVE_STATE_QUEUED, 0, none, NULL);
    world_commit(world);
    recovered_t recovered = world_reopen(world);
    assert_int_equal(recovered.queue.dead, 0);
    biography_t life = world_biography(world, "a");
    assert_int_equal(life.task.record->seq, 2);
    assert_int_equal(life.task.tries.attempts, 0);
    assert_int_equal(life.attempt_count, 0);
    biography_fini(&life);
    record_unref(&record);
    record_unref(&again);
}

static void an_unknown_id_has_no_biography(void **state)
{
    biography_t life = world_biography(*state, "a");
    assert_false(life.found);
    biography_fini(&life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_task_is_found_by_its_id_as_it_was_submitted),
        BOTH(bodies_and_addresses_are_bytes),
        BOTH(an_end_is_found_with_its_whole_outcome),
        BOTH(an_end_without_an_attempt_names_none),
        BOTH(a_redriven_task_keeps_its_history),
        BOTH(a_removed_task_leaves_nothing_and_frees_its_id),
        BOTH(an_unknown_id_has_no_biography),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
