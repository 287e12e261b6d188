/*  The client's protocol state machine, with scripted frames and a scripted clock. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/encode.h"
#include "client/session.h"
#include "common/limits.h"

enum { HEARTBEAT_MS = 1000, LIVENESS_MS = 10000, WINDOW = 8, BATCH = 4 };

typedef struct scene {
    client_session_t *session;
    int64_t now_ms;
    wire_buffer_t buffer;
} scene_t;

/*  -- The broker's part ------------------------------------------------------------------------ */

static void say(scene_t *scene, const wire_message_t *message)
{
    wire_encode(&scene->buffer, message);
    client_session_receive(scene->session, slice(scene->buffer.data, scene->buffer.size),
                           scene->now_ms);
}

static void say_welcome(scene_t *scene, uint64_t epoch)
{
    say(scene, &(wire_message_t){.command = WIRE_WELCOME,
                                 .epoch = epoch,
                                 .heartbeat_ms = HEARTBEAT_MS,
                                 .liveness_ms = LIVENESS_MS});
}

static void say_confirm(scene_t *scene, uint64_t first, uint64_t count, bool duplicate)
{
    wire_begin(&scene->buffer, WIRE_CONFIRM);
    wire_put_durability(&scene->buffer, WIRE_DURABILITY_FSYNC);
    wire_put_range(&scene->buffer, WIRE_CONFIRM, &(wire_range_t){first, count, duplicate});
    client_session_receive(scene->session, slice(scene->buffer.data, scene->buffer.size),
                           scene->now_ms);
}

/*  -- What the session does -------------------------------------------------------------------- */

/*  Takes the next frame as sent; false when there is none. */
static bool hear(scene_t *scene, wire_message_t *message)
{
    slice_t frame;
    const char *problem;
    if (!client_session_next_frame(scene->session, scene->now_ms, &frame))
        return false;
    assert_int_equal(wire_decode(frame, message, &problem), 0);
    client_session_sent(scene->session, scene->now_ms);
    return true;
}

static wire_message_t hear_only(scene_t *scene, wire_command_t command)
{
    wire_message_t message;
    assert_true(hear(scene, &message));
    assert_int_equal(message.command, command);
    return message;
}

static void hear_nothing(scene_t *scene)
{
    wire_message_t message;
    assert_false(hear(scene, &message));
}

/*  A SUBMIT of `count` tasks from `first`; the ids of its tasks go to `ids` unless NULL. */
static void hear_submit(scene_t *scene, uint64_t first, size_t count, char ids[][40])
{
    wire_message_t message = hear_only(scene, WIRE_SUBMIT);
    wire_task_t task;
    size_t at = 0, n = 0;
    assert_int_equal(message.corr, first);
    for (; wire_next_task(&message, &at, &task); n++)
        if (ids != NULL)
            snprintf(ids[n], 40, "%.*s", SLICE_ARG(task.id));
    assert_int_equal(n, count);
}

static reeve_event_t expect_event(scene_t *scene, reeve_event_kind_t kind)
{
    reeve_event_t event;
    assert_true(client_session_next_event(scene->session, &event));
    assert_int_equal(event.kind, kind);
    return event;
}

static void expect_no_event(scene_t *scene)
{
    reeve_event_t event;
    assert_false(client_session_next_event(scene->session, &event));
}

/*  Lets time pass as the owner of the socket does, who is there whenever something is due. */
static void after(scene_t *scene, int64_t ms)
{
    int64_t until_ms = scene->now_ms + ms;
    do {
        int64_t due_ms = client_session_deadline(scene->session, scene->now_ms);
        scene->now_ms = due_ms < until_ms ? due_ms : until_ms;
        client_session_tick(scene->session, scene->now_ms);
    } while (scene->now_ms < until_ms);
}

/*  The owner is elsewhere, or the whole process is stopped. */
static void be_away(scene_t *scene, int64_t ms)
{
    scene->now_ms += ms;
    client_session_tick(scene->session, scene->now_ms);
}

static int try_submit(scene_t *scene, const char *id, bool wait, reeve_error_t *error)
{
    wire_task_t task = {.id = slice_str(id),
                        .queue = slice_str("default"),
                        .task_name = slice_str("t"),
                        .body = slice_str("{}"),
                        .max_retries = WIRE_ABSENT,
                        .wait = wait};
    return client_session_submit(scene->session, &task, (void *)(uintptr_t)id[0], scene->now_ms,
                                 error);
}

static void submit(scene_t *scene, const char *id)
{
    reeve_error_t error;
    assert_int_equal(try_submit(scene, id, false, &error), 0);
}

static void submit_and_wait(scene_t *scene, const char *id)
{
    reeve_error_t error;
    assert_int_equal(try_submit(scene, id, true, &error), 0);
}

/*  -- The stage -------------------------------------------------------------------------------- */

static int set_up_with(void **state, int64_t request_timeout_ms)
{
    scene_t *scene = calloc(1, sizeof *scene);
    client_session_config_t config = {.name = "test",
                                      .version = "1",
                                      .window = WINDOW,
                                      .batch = BATCH,
                                      .request_timeout_ms = request_timeout_ms,
                                      .seed = 1};
    scene->now_ms = 5000;
    scene->session = client_session_new(&config, scene->now_ms);
    *state = scene;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, 30000);
}

static int tear_down(void **state)
{
    scene_t *scene = *state;
    client_session_destroy(&scene->session);
    wire_fini(&scene->buffer);
    free(scene);
    return 0;
}

/*  Connected and greeted by a broker of epoch 1. */
static void connect_session(scene_t *scene)
{
    assert_true(client_session_wants_socket(scene->session));
    client_session_opened(scene->session, scene->now_ms);
    hear_only(scene, WIRE_HELLO);
    say_welcome(scene, 1);
}

static int set_up_connected(void **state)
{
    set_up(state);
    connect_session(*state);
    return 0;
}

static int set_up_impatient(void **state)
{
    set_up_with(state, HEARTBEAT_MS / 2);
    connect_session(*state);
    return 0;
}

/*  -- Stories ---------------------------------------------------------------------------------- */

static void nothing_but_hello_is_sent_before_the_welcome(void **state)
{
    scene_t *scene = *state;
    submit(scene, "a");
    hear_nothing(scene);
    client_session_opened(scene->session, scene->now_ms);
    wire_message_t hello = hear_only(scene, WIRE_HELLO);
    assert_true(slice_eq(hello.name, slice_str("test")));
    hear_nothing(scene);
    say_welcome(scene, 1);
    hear_submit(scene, 1, 1, NULL);
}

static void tasks_travel_in_batches_and_a_range_confirms_many(void **state)
{
    scene_t *scene = *state;
    const char *const ids[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++)
        submit(scene, ids[i]);
    assert_true(client_session_batch_full(scene->session));
    hear_submit(scene, 1, BATCH, NULL);
    hear_submit(scene, 5, 1, NULL);
    hear_nothing(scene);
    say_confirm(scene, 1, 5, false);
    for (int i = 0; i < 5; i++) {
        reeve_event_t event = expect_event(scene, REEVE_EVENT_CONFIRMED);
        assert_string_equal(event.id, ids[i]);
        assert_int_equal((uintptr_t)event.user, ids[i][0]);
        assert_int_equal(event.durability, 2);
        assert_false(event.duplicate);
    }
    expect_no_event(scene);
    assert_int_equal(client_session_unconfirmed(scene->session), 0);
}

static void a_message_keeps_to_the_broker_s_limits(void **state)
{
    scene_t *scene = *state;
    say(scene, &(wire_message_t){.command = WIRE_WELCOME, .epoch = 1, .max_batch = 2});
    for (int i = 0; i < 3; i++)
        submit(scene, "a");
    hear_submit(scene, 1, 2, NULL);
    hear_submit(scene, 3, 1, NULL);
    say(scene, &(wire_message_t){.command = WIRE_WELCOME, .epoch = 1, .max_message_bytes = 50});
    submit(scene, "a");
    submit(scene, "b");
    hear_submit(scene, 4, 1, NULL);
    hear_submit(scene, 5, 1, NULL);
}

static void a_range_beyond_what_is_outstanding_confirms_only_that(void **state)
{
    scene_t *scene = *state;
    submit(scene, "a");
    submit(scene, "b");
    hear_submit(scene, 1, 2, NULL);
    say_confirm(scene, 2, UINT64_MAX - 1, false);
    assert_string_equal(expect_event(scene, REEVE_EVENT_CONFIRMED).id, "b");
    expect_no_event(scene);
    say_confirm(scene, 0, UINT64_MAX, false);
    assert_string_equal(expect_event(scene, REEVE_EVENT_CONFIRMED).id, "a");
    say_confirm(scene, UINT64_MAX, UINT64_MAX, false);
    expect_no_event(scene);
}

static void a_full_window_refuses_until_a_confirm(void **state)
{
    scene_t *scene = *state;
    reeve_error_t error;
    for (int i = 0; i < WINDOW; i++)
        submit(scene, "a");
    assert_int_equal(try_submit(scene, "b", false, &error), -1);
    assert_int_equal(error, REEVE_ERR_TOO_MANY);
    hear_submit(scene, 1, BATCH, NULL);
    say_confirm(scene, 3, 1, false);
    assert_int_equal(try_submit(scene, "b", false, &error), 0);
    assert_int_equal(try_submit(scene, "c", false, &error), -1);
}

static void a_new_epoch_makes_it_send_the_unconfirmed_again_with_the_same_ids(void **state)
{
    scene_t *scene = *state;
    char before[BATCH][40], again[BATCH][40];
    submit(scene, "first");
    submit(scene, "second");
    submit(scene, "third");
    hear_submit(scene, 1, 3, before);
    say_confirm(scene, 2, 1, false);
    expect_event(scene, REEVE_EVENT_CONFIRMED);
    after(scene, 2 * HEARTBEAT_MS);
    hear_only(scene, WIRE_HELLO);
    say_welcome(scene, 2);
    hear_submit(scene, 1, 1, again);
    assert_string_equal(again[0], before[0]);
    hear_submit(scene, 3, 1, again);
    assert_string_equal(again[0], before[2]);
    hear_nothing(scene);
    say_confirm(scene, 1, 3, true);
    reeve_event_t event = expect_event(scene, REEVE_EVENT_CONFIRMED);
    assert_string_equal(event.id, "first");
    assert_true(event.duplicate);
    assert_string_equal(expect_event(scene, REEVE_EVENT_CONFIRMED).id, "third");
    expect_no_event(scene);
}

static void the_same_epoch_sends_nothing_again(void **state)
{
    scene_t *scene = *state;
    submit(scene, "a");
    hear_submit(scene, 1, 1, NULL);
    after(scene, 2 * HEARTBEAT_MS);
    hear_only(scene, WIRE_HELLO);
    say_welcome(scene, 1);
    hear_nothing(scene);
}

static void a_lost_connection_makes_it_send_again_after_the_welcome(void **state)
{
    scene_t *scene = *state;
    submit(scene, "a");
    hear_submit(scene, 1, 1, NULL);
    client_session_lost(scene->session, scene->now_ms);
    hear_only(scene, WIRE_HELLO);
    hear_nothing(scene);
    say_welcome(scene, 1);
    hear_submit(scene, 1, 1, NULL);
}

static void a_confirm_twice_is_told_once(void **state)
{
    scene_t *scene = *state;
    submit(scene, "a");
    hear_submit(scene, 1, 1, NULL);
    client_session_lost(scene->session, scene->now_ms);
    hear_only(scene, WIRE_HELLO);
    say_welcome(scene, 1);
    hear_submit(scene, 1, 1, NULL);
    say_confirm(scene, 1, 1, false);
    say_confirm(scene, 1, 1, true);
    expect_event(scene, REEVE_EVENT_CONFIRMED);
    expect_no_event(scene);
}

static void what_has_no_answer_for_five_seconds_is_sent_again(void **state)
{
    scene_t *scene = *state;
    char before[BATCH][40], again[BATCH][40];
    submit(scene, "a");
    hear_submit(scene, 1, 1, before);
    for (int s = 1; s <= 4; s++) {
        after(scene, 1000);
        hear_only(scene, WIRE_HEARTBEAT);
        say(scene, &(wire_message_t){.command = WIRE_HEARTBEAT});
        hear_nothing(scene);
    }
    after(scene, 1000);
    hear_submit(scene, 1, 1, again);
    assert_string_equal(before[0], again[0]);
    hear_nothing(scene);
}

static void a_resend_built_but_not_sent_leaves_out_what_was_answered_meanwhile(void **state)
{
    scene_t *scene = *state;
    slice_t frame;
    submit(scene, "a");
    submit(scene, "b");
    hear_submit(scene, 1, 2, NULL);
    say_welcome(scene, 2);
    assert_true(client_session_next_frame(scene->session, scene->now_ms, &frame));
    say_confirm(scene, 1, 1, false);
    char ids[BATCH][40];
    hear_submit(scene, 2, 1, ids);
    assert_string_equal(ids[0], "b");
}

static void a_refusal_is_told_with_its_reason(void **state)
{
    scene_t *scene = *state;
    submit(scene, "a");
    submit(scene, "b");
    hear_submit(scene, 1, 2, NULL);
    say(scene, &(wire_message_t){.command = WIRE_ERROR,
                                 .corr = 2,
                                 .code = REEVE_ERR_QUEUE_FULL,
                                 .text = slice_str("queue is full"),
                                 .retry_after_ms = 1500});
    reeve_event_t event = expect_event(scene, REEVE_EVENT_REFUSED);
    assert_string_equal(event.id, "b");
    assert_int_equal((uintptr_t)event.user, 'b');
    assert_int_equal(event.error, REEVE_ERR_QUEUE_FULL);
    assert_string_equal(event.error_text, "queue is full");
    assert_int_equal(event.retry_after_ms, 1500);
    assert_int_equal(client_session_unconfirmed(scene->session), 1);
}

static void an_outcome_follows_a_submission_that_waits(void **state)
{
    scene_t *scene = *state;
    submit_and_wait(scene, "a");
    hear_submit(scene, 1, 1, NULL);
    say_confirm(scene, 1, 1, false);
    assert_int_equal(client_session_waiting(scene->session), 1);
    say(scene, &(wire_message_t){.command = WIRE_OUTCOME,
                                 .corr = 1,
                                 .partial = true,
                                 .result_kind = 2,
                                 .result = slice_str("half")});
    say(scene, &(wire_message_t){.command = WIRE_OUTCOME,
                                 .corr = 1,
                                 .state = REEVE_STATE_FAILED,
                                 .attempts = 4,
                                 .reason = slice_str("exit_1"),
                                 .error = slice_str("boom"),
                                 .traceback = slice_str("line 1\nline 2"),
                                 .duration_ms = 12});
    expect_event(scene, REEVE_EVENT_CONFIRMED);
    reeve_event_t event = expect_event(scene, REEVE_EVENT_OUTCOME);
    assert_true(event.partial);
    assert_string_equal(event.result, "half");
    event = expect_event(scene, REEVE_EVENT_OUTCOME);
    assert_false(event.partial);
    assert_string_equal(event.id, "a");
    assert_int_equal(event.state, REEVE_STATE_FAILED);
    assert_int_equal(event.attempts, 4);
    assert_string_equal(event.reason, "exit_1");
    assert_string_equal(event.failure, "boom");
    assert_string_equal(event.traceback, "line 1\nline 2");
    assert_int_equal(event.duration_ms, 12);
    assert_int_equal(client_session_waiting(scene->session), 0);
}

static void an_outcome_whose_confirm_was_lost_confirms(void **state)
{
    scene_t *scene = *state;
    submit_and_wait(scene, "a");
    hear_submit(scene, 1, 1, NULL);
    say(scene, &(wire_message_t){.command = WIRE_OUTCOME, .corr = 1, .state = REEVE_STATE_SUCCESS});
    reeve_event_t event = expect_event(scene, REEVE_EVENT_CONFIRMED);
    assert_int_equal(event.durability, WIRE_DURABILITY_MEMORY);
    expect_event(scene, REEVE_EVENT_OUTCOME);
    say_confirm(scene, 1, 1, true);
    expect_no_event(scene);
}

static void a_wait_is_asked_again_after_a_restart(void **state)
{
    scene_t *scene = *state;
    submit_and_wait(scene, "a");
    hear_submit(scene, 1, 1, NULL);
    say_confirm(scene, 1, 1, false);
    client_session_wait(scene->session, slice_str("b"), NULL, scene->now_ms);
    assert_true(slice_eq(hear_only(scene, WIRE_WAIT).id, slice_str("b")));
    client_session_lost(scene->session, scene->now_ms);
    hear_only(scene, WIRE_HELLO);
    say_welcome(scene, 2);
    wire_message_t first = hear_only(scene, WIRE_WAIT);
    assert_int_equal(first.corr, 1);
    assert_true(slice_eq(first.id, slice_str("a")));
    assert_int_equal(hear_only(scene, WIRE_WAIT).corr, 2);
    hear_nothing(scene);
}

static void an_unknown_task_ends_its_wait(void **state)
{
    scene_t *scene = *state;
    client_session_wait(scene->session, slice_str("b"), NULL, scene->now_ms);
    hear_only(scene, WIRE_WAIT);
    say(scene, &(wire_message_t){.command = WIRE_ERROR, .corr = 1, .code = REEVE_ERR_UNKNOWN_TASK});
    reeve_event_t event = expect_event(scene, REEVE_EVENT_REFUSED);
    assert_string_equal(event.id, "b");
    assert_int_equal(event.error, REEVE_ERR_UNKNOWN_TASK);
    assert_int_equal(client_session_waiting(scene->session), 0);
}

static void a_caller_who_left_for_long_asks_for_its_waits_again(void **state)
{
    scene_t *scene = *state;
    client_session_wait(scene->session, slice_str("b"), NULL, scene->now_ms);
    hear_only(scene, WIRE_WAIT);
    scene->now_ms += LIVENESS_MS;
    say(scene, &(wire_message_t){.command = WIRE_HEARTBEAT});
    after(scene, 0);
    hear_only(scene, WIRE_HELLO);
    say_welcome(scene, 1);
    hear_only(scene, WIRE_WAIT);
}

static void a_caller_s_absence_is_not_the_broker_s_silence(void **state)
{
    scene_t *scene = *state;
    client_session_wait(scene->session, slice_str("b"), NULL, scene->now_ms);
    hear_only(scene, WIRE_WAIT);
    be_away(scene, 100 * LIVENESS_MS);
    assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_OK);
    assert_true(client_session_wants_socket(scene->session));
    after(scene, LIVENESS_MS - HEARTBEAT_MS);
    assert_false(client_session_wants_socket(scene->session));
    after(scene, 30000 - LIVENESS_MS);
    assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_UNREACHABLE);
}

static void a_caller_who_comes_rarely_hears_of_a_silence_too(void **state)
{
    scene_t *scene = *state;
    reeve_error_t alarm = REEVE_ERR_OK;
    client_session_wait(scene->session, slice_str("b"), NULL, scene->now_ms);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(alarm, REEVE_ERR_OK);
        be_away(scene, 5 * HEARTBEAT_MS);
        alarm = client_session_take_alarm(scene->session, NULL);
    }
    assert_int_equal(alarm, REEVE_ERR_UNREACHABLE);
}

static void an_impatient_caller_asks_before_it_is_out_of_patience(void **state)
{
    scene_t *scene = *state;
    client_session_wait(scene->session, slice_str("b"), NULL, scene->now_ms);
    hear_only(scene, WIRE_WAIT);
    for (int i = 0; i < 10; i++) {
        after(scene, HEARTBEAT_MS / 4);
        hear_only(scene, WIRE_HEARTBEAT);
        say(scene, &(wire_message_t){.command = WIRE_HEARTBEAT});
    }
    assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_OK);
    be_away(scene, LIVENESS_MS);
    assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_OK);
    after(scene, HEARTBEAT_MS / 2);
    assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_UNREACHABLE);
}

static void a_request_is_answered_once_and_other_answers_are_not_its(void **state)
{
    scene_t *scene = *state;
    wire_message_t query = {.command = WIRE_QUERY, .what = WIRE_QUERY_QUEUES};
    client_session_request(scene->session, &query, scene->now_ms);
    uint64_t old = hear_only(scene, WIRE_QUERY).corr;
    client_session_request(scene->session, &query, scene->now_ms);
    uint64_t corr = hear_only(scene, WIRE_QUERY).corr;
    assert_true(corr > old);
    say(scene, &(wire_message_t){.command = WIRE_DOCUMENT, .corr = old, .json = slice_str("[1]")});
    assert_null(client_session_answer(scene->session));
    say(scene, &(wire_message_t){
                   .command = WIRE_DOCUMENT, .corr = corr, .json = slice_str("[]"), .next = 7});
    const client_answer_t *answer = client_session_answer(scene->session);
    assert_non_null(answer);
    assert_true(slice_eq(answer->json, slice_str("[]")));
    assert_int_equal(answer->next, 7);
    client_session_lost(scene->session, scene->now_ms);
    hear_only(scene, WIRE_HELLO);
    say_welcome(scene, 2);
    hear_nothing(scene);
}

static void a_request_is_sent_again_after_a_restart(void **state)
{
    scene_t *scene = *state;
    wire_message_t cancel = {.command = WIRE_CANCEL, .id = slice_str("a")};
    client_session_request(scene->session, &cancel, scene->now_ms);
    uint64_t corr = hear_only(scene, WIRE_CANCEL).corr;
    client_session_lost(scene->session, scene->now_ms);
    hear_only(scene, WIRE_HELLO);
    say_welcome(scene, 2);
    assert_int_equal(hear_only(scene, WIRE_CANCEL).corr, corr);
    say(scene, &(wire_message_t){.command = WIRE_ERROR,
                                 .corr = corr,
                                 .code = REEVE_ERR_WRONG_STATE,
                                 .text = slice_str("ended")});
    assert_int_equal(client_session_answer(scene->session)->error, REEVE_ERR_WRONG_STATE);
    assert_string_equal(client_session_answer(scene->session)->text, "ended");
}

static void numbers_taken_by_requests_do_not_disturb_the_batches(void **state)
{
    scene_t *scene = *state;
    submit(scene, "a");
    client_session_wait(scene->session, slice_str("w"), NULL, scene->now_ms);
    submit(scene, "b");
    submit(scene, "c");
    hear_only(scene, WIRE_WAIT);
    hear_submit(scene, 1, 1, NULL);
    hear_submit(scene, 3, 2, NULL);
    say_confirm(scene, 1, 3, false);
    assert_string_equal(expect_event(scene, REEVE_EVENT_CONFIRMED).id, "a");
    assert_string_equal(expect_event(scene, REEVE_EVENT_CONFIRMED).id, "b");
    expect_no_event(scene);
    assert_int_equal(client_session_waiting(scene->session), 1);
}

static void silence_gives_up_the_socket_and_wants_another_after_a_backoff(void **state)
{
    scene_t *scene = *state;
    submit(scene, "a");
    hear_submit(scene, 1, 1, NULL);
    after(scene, LIVENESS_MS - 1);
    assert_true(client_session_wants_socket(scene->session));
    after(scene, 1);
    assert_false(client_session_wants_socket(scene->session));
    hear_nothing(scene);
    int64_t due_ms = client_session_deadline(scene->session, scene->now_ms);
    assert_in_range(due_ms - scene->now_ms, 50, 100);
    after(scene, due_ms - scene->now_ms);
    assert_true(client_session_wants_socket(scene->session));
    client_session_opened(scene->session, scene->now_ms);
    hear_only(scene, WIRE_HELLO);
    say_welcome(scene, 1);
    hear_submit(scene, 1, 1, NULL);
}

static void an_idle_session_expects_nothing(void **state)
{
    scene_t *scene = *state;
    assert_true(client_session_deadline(scene->session, scene->now_ms) == INT64_MAX);
    after(scene, 100 * LIVENESS_MS);
    hear_nothing(scene);
    assert_true(client_session_wants_socket(scene->session));
    assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_OK);
    submit(scene, "a");
    after(scene, 0);
    hear_submit(scene, 1, 1, NULL);
}

static void unreachable_is_told_after_the_request_timeout_and_work_goes_on(void **state)
{
    scene_t *scene = *state;
    submit(scene, "a");
    after(scene, 29999);
    assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_OK);
    after(scene, 1);
    assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_UNREACHABLE);
    after(scene, 29999);
    assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_OK);
    connect_session(scene);
    hear_submit(scene, 1, 1, NULL);
}

static void a_request_that_a_speaking_broker_does_not_answer_has_its_time(void **state)
{
    scene_t *scene = *state;
    wire_message_t query = {.command = WIRE_QUERY, .what = WIRE_QUERY_QUEUES};
    client_session_request(scene->session, &query, scene->now_ms);
    be_away(scene, 100 * LIVENESS_MS);
    for (int s = 1; s < 30; s++) {
        say(scene, &(wire_message_t){.command = WIRE_HEARTBEAT});
        assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_OK);
        after(scene, 1000);
    }
    assert_int_equal(client_session_take_alarm(scene->session, NULL), REEVE_ERR_TIMED_OUT);
}

static void a_message_the_broker_cannot_read_is_told(void **state)
{
    scene_t *scene = *state;
    const char *text;
    say(scene, &(wire_message_t){.command = WIRE_ERROR,
                                 .code = REEVE_ERR_UNSUPPORTED,
                                 .text = slice_str("version 2 only")});
    assert_int_equal(client_session_take_alarm(scene->session, &text), REEVE_ERR_UNSUPPORTED);
    assert_string_equal(text, "version 2 only");
}

static void after_goodbye_it_greets_again_and_sends_the_rest(void **state)
{
    scene_t *scene = *state;
    submit(scene, "a");
    hear_submit(scene, 1, 1, NULL);
    say(scene, &(wire_message_t){.command = WIRE_GOODBYE});
    submit(scene, "b");
    hear_nothing(scene);
    after(scene, 100);
    hear_only(scene, WIRE_HELLO);
    say_welcome(scene, 2);
    hear_submit(scene, 1, 2, NULL);
}

static void strange_frames_change_nothing(void **state)
{
    scene_t *scene = *state;
    static const char junk[] = "REEVE1\x11\xff\xff";
    submit(scene, "a");
    hear_submit(scene, 1, 1, NULL);
    client_session_receive(scene->session, slice(junk, sizeof junk - 1), scene->now_ms);
    client_session_receive(scene->session, slice(NULL, 0), scene->now_ms);
    say(scene, &(wire_message_t){.command = WIRE_DONE, .corr = 1});
    say(scene, &(wire_message_t){.command = WIRE_OUTCOME, .corr = 99});
    say(scene, &(wire_message_t){.command = WIRE_ERROR, .corr = 99, .code = 9});
    say(scene, &(wire_message_t){.command = WIRE_SUBMIT});
    expect_no_event(scene);
    assert_int_equal(client_session_unconfirmed(scene->session), 1);
}

static void one_lost_submission_does_not_stop_the_others(void **state)
{
    scene_t *scene = *state;
    reeve_error_t error;
    submit(scene, "z");
    hear_submit(scene, 1, 1, NULL);
    for (uint64_t corr = 2; corr < 2000; corr++) {
        assert_int_equal(try_submit(scene, "a", false, &error), 0);
        hear_submit(scene, corr, 1, NULL);
        say_confirm(scene, corr, 1, false);
        expect_event(scene, REEVE_EVENT_CONFIRMED);
    }
    after(scene, 5000);
    hear_only(scene, WIRE_HELLO);
    hear_submit(scene, 1, 1, NULL);
    say_confirm(scene, 1, 1, false);
    assert_string_equal(expect_event(scene, REEVE_EVENT_CONFIRMED).id, "z");
}

/*  -- What reeve_submit accepts ---------------------------------------------------------------- */

static reeve_error_t encode(const reeve_task_t *task, char *body_text, size_t size)
{
    wire_buffer_t body = {0};
    wire_task_t out;
    reeve_error_t error = client_encode_task(task, "made", 77, &body, &out, NULL, 0);
    if (error == REEVE_ERR_OK && body_text != NULL)
        snprintf(body_text, size, "%.*s", SLICE_ARG(out.body));
    wire_fini(&body);
    return error;
}

static void the_body_is_compact_whatever_the_layout(void **state)
{
    (void)state;
    char body[200];
    reeve_task_t task = {.task_name = "t"};
    assert_int_equal(encode(&task, body, sizeof body), REEVE_ERR_OK);
    assert_string_equal(body, "{\"args\":[],\"kwargs\":{}}");
    task.args_json = " [ 1 ,\n\"a b\\\" c\" ] ";
    task.kwargs_json = "{ \"k\\\\\" : { } }";
    task.headers_json = "{\"h\": \"v: 1\"}";
    assert_int_equal(encode(&task, body, sizeof body), REEVE_ERR_OK);
    assert_string_equal(body, "{\"args\":[1,\"a b\\\" c\"],\"kwargs\":{\"k\\\\\":{}},"
                              "\"headers\":{\"h\":\"v: 1\"}}");
}

static void an_unacceptable_task_is_refused_with_its_error(void **state)
{
    (void)state;
    static const struct {
        reeve_task_t task;
        reeve_error_t error;
    } cases[] = {
        {{.task_name = NULL}, REEVE_ERR_BAD_NAME},
        {{.task_name = "a\nb"}, REEVE_ERR_BAD_NAME},
        {{.task_name = "t", .origin = ""}, REEVE_ERR_BAD_NAME},
        {{.task_name = "t", .id = "a b"}, REEVE_ERR_BAD_ID},
        {{.task_name = "t", .queue = ""}, REEVE_ERR_BAD_QUEUE},
        {{.task_name = "t", .args_json = "{}"}, REEVE_ERR_BAD_JSON},
        {{.task_name = "t", .args_json = "[],\"x\":1"}, REEVE_ERR_BAD_JSON},
        {{.task_name = "t", .kwargs_json = "[]"}, REEVE_ERR_BAD_JSON},
        {{.task_name = "t", .kwargs_json = "{\"a\":1,\"\\u0061\":2}"}, REEVE_ERR_BAD_JSON},
        {{.task_name = "t", .kwargs_json = "{\"\\u0000\":1}"}, REEVE_ERR_BAD_JSON},
        {{.task_name = "t", .headers_json = "{\"a\":\"1\",\"a\":\"1\"}"}, REEVE_ERR_BAD_JSON},
        {{.task_name = "t", .headers_json = "{\"a\":1}"}, REEVE_ERR_BAD_JSON},
        {{.task_name = "t", .headers_json = "{\"a\":{\"b\":\"c\"}}"}, REEVE_ERR_BAD_JSON},
        {{.task_name = "t", .priority = LIMIT_PRIORITY + 1}, REEVE_ERR_BAD_VALUE},
        {{.task_name = "t", .delay_ms = -1}, REEVE_ERR_BAD_VALUE},
        {{.task_name = "t", .timeout_ms = LIMIT_DURATION_MS + 1}, REEVE_ERR_BAD_VALUE},
        {{.task_name = "t", .has_max_retries = true, .max_retries = LIMIT_RETRIES + 1},
         REEVE_ERR_BAD_VALUE},
        {{.task_name = "t", .args_json = "[1,2]", .priority = 9}, REEVE_ERR_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(encode(&cases[i].task, NULL, 0), cases[i].error);
}

#define ON_STAGE(story)  cmocka_unit_test_setup_teardown(story, set_up, tear_down)
#define CONNECTED(story) cmocka_unit_test_setup_teardown(story, set_up_connected, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(nothing_but_hello_is_sent_before_the_welcome),
        CONNECTED(tasks_travel_in_batches_and_a_range_confirms_many),
        CONNECTED(a_message_keeps_to_the_broker_s_limits),
        CONNECTED(a_range_beyond_what_is_outstanding_confirms_only_that),
        CONNECTED(a_full_window_refuses_until_a_confirm),
        CONNECTED(a_new_epoch_makes_it_send_the_unconfirmed_again_with_the_same_ids),
        CONNECTED(the_same_epoch_sends_nothing_again),
        CONNECTED(a_lost_connection_makes_it_send_again_after_the_welcome),
        CONNECTED(a_confirm_twice_is_told_once),
        CONNECTED(what_has_no_answer_for_five_seconds_is_sent_again),
        CONNECTED(a_resend_built_but_not_sent_leaves_out_what_was_answered_meanwhile),
        CONNECTED(a_refusal_is_told_with_its_reason),
        CONNECTED(an_outcome_follows_a_submission_that_waits),
        CONNECTED(an_outcome_whose_confirm_was_lost_confirms),
        CONNECTED(a_wait_is_asked_again_after_a_restart),
        CONNECTED(an_unknown_task_ends_its_wait),
        CONNECTED(a_caller_who_left_for_long_asks_for_its_waits_again),
        CONNECTED(a_caller_s_absence_is_not_the_broker_s_silence),
        CONNECTED(a_caller_who_comes_rarely_hears_of_a_silence_too),
        cmocka_unit_test_setup_teardown(an_impatient_caller_asks_before_it_is_out_of_patience,
                                        set_up_impatient, tear_down),
        CONNECTED(a_request_is_answered_once_and_other_answers_are_not_its),
        CONNECTED(a_request_is_sent_again_after_a_restart),
        CONNECTED(numbers_taken_by_requests_do_not_disturb_the_batches),
        CONNECTED(silence_gives_up_the_socket_and_wants_another_after_a_backoff),
        CONNECTED(an_idle_session_expects_nothing),
        ON_STAGE(unreachable_is_told_after_the_request_timeout_and_work_goes_on),
        CONNECTED(a_request_that_a_speaking_broker_does_not_answer_has_its_time),
        CONNECTED(a_message_the_broker_cannot_read_is_told),
        CONNECTED(after_goodbye_it_greets_again_and_sends_the_rest),
        CONNECTED(strange_frames_change_nothing),
        CONNECTED(one_lost_submission_does_not_stop_the_others),
        cmocka_unit_test(the_body_is_compact_whatever_the_layout),
        cmocka_unit_test(an_unacceptable_task_is_refused_with_its_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
