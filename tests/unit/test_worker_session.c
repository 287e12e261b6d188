/*  The worker's session against a scripted broker: no socket, and the clock is a variable. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/mem.h"
#include "common/wire/reeve.h"
#include "worker/delivery.h"
#include "worker/session.h"

enum { HEARTBEAT = 1000, LIVENESS = 10000, START = 1000000 };

static const char *const queues[] = {"mail", "sms", NULL};

/*  A session, the broker's pen, and what the session said last. */
typedef struct story {
    worker_session_t *session;
    int64_t now_ms;
    wire_buffer_t pen;
    uint8_t *frame;
    wire_message_t said;
    int problems;
    reeve_error_t problem;
    int settled;
    char settled_id[8];
    uint32_t settled_attempt;
} story_t;

static void note_problem(void *argument, const char *task_id, reeve_error_t error, const char *text)
{
    story_t *story = argument;
    (void)task_id;
    (void)text;
    story->problems++;
    story->problem = error;
}

static void note_settled(void *argument, const char *task_id, uint32_t attempt)
{
    story_t *story = argument;
    story->settled++;
    snprintf(story->settled_id, sizeof story->settled_id, "%s", task_id);
    story->settled_attempt = attempt;
}

static int begin(void **state)
{
    story_t *story = mem_zalloc(sizeof *story);
    worker_session_options_t options = {.name = "w1", .queues = queues, .prefetch = 4, .seed = 7};
    story->now_ms = START;
    story->session = worker_session_new(&options, story->now_ms);
    worker_session_on_problem(story->session, note_problem, story);
    worker_session_on_settled(story->session, note_settled, story);
    *state = story;
    return 0;
}

static int end(void **state)
{
    story_t *story = *state;
    worker_session_destroy(&story->session);
    wire_fini(&story->pen);
    free(story->frame);
    free(story);
    return 0;
}

/* ---- what the session says --------------------------------------------------------------------
 */

static bool speaks(story_t *story)
{
    slice_t frame;
    const char *problem;
    if (!worker_session_output(story->session, story->now_ms, &frame))
        return false;
    free(story->frame);
    story->frame = mem_alloc(frame.size);
    memcpy(story->frame, frame.data, frame.size);
    assert_int_equal(wire_decode(slice(story->frame, frame.size), &story->said, &problem), 0);
    return true;
}

static void expect_said(story_t *story, wire_command_t command)
{
    assert_true(speaks(story));
    assert_int_equal(story->said.command, command);
}

static void expect_silence(story_t *story)
{
    assert_false(speaks(story));
}

static void expect_held(const story_t *story, const char *token, uint64_t running_ms)
{
    wire_held_t held;
    for (size_t at = 0; wire_next_held(&story->said, &at, &held);)
        if (slice_eq(held.token, slice_str(token))) {
            assert_int_equal(held.running_ms, running_ms);
            return;
        }
    fail_msg("%s is not held", token);
}

static size_t held_count(const story_t *story)
{
    size_t count = 0;
    wire_held_t held;
    for (size_t at = 0; wire_next_held(&story->said, &at, &held);)
        count++;
    return count;
}

static size_t settlement_count(const story_t *story)
{
    size_t count = 0;
    wire_settlement_t settlement;
    for (size_t at = 0; wire_next_settlement(&story->said, &at, &settlement);)
        count++;
    return count;
}

static wire_settlement_t first_settlement(const story_t *story)
{
    wire_settlement_t settlement;
    size_t at = 0;
    assert_int_equal(story->said.command, WIRE_SETTLE);
    assert_true(wire_next_settlement(&story->said, &at, &settlement));
    return settlement;
}

/* ---- what the broker says ---------------------------------------------------------------------
 */

static void hear(story_t *story)
{
    worker_session_receive(story->session, slice(story->pen.data, story->pen.size), story->now_ms);
}

static void hear_message(story_t *story, wire_message_t message)
{
    wire_reset(&story->pen);
    wire_encode(&story->pen, &message);
    hear(story);
}

static void hear_welcome(story_t *story, uint64_t epoch)
{
    hear_message(story, (wire_message_t){.command = WIRE_WELCOME,
                                         .epoch = epoch,
                                         .heartbeat_ms = HEARTBEAT,
                                         .liveness_ms = LIVENESS});
}

static void hear_error(story_t *story, uint64_t corr, reeve_error_t code)
{
    hear_message(story, (wire_message_t){.command = WIRE_ERROR, .corr = corr, .code = code});
}

static void hear_deliver(story_t *story, const char *token)
{
    wire_delivery_t delivery = {
        .token = slice_str(token),
        .task = {.id = slice_str("id"),
                 .queue = slice_str("mail"),
                 .task_name = slice_str("send"),
                 .body = slice_str("{\"args\":[1],\"kwargs\":{}}"),
                 .timeout_ms = 2500,
                 .max_retries = 3},
        .attempt = 2,
        .retry_count = 1,
    };
    wire_reset(&story->pen);
    wire_begin(&story->pen, WIRE_DELIVER);
    wire_put_delivery(&story->pen, &delivery);
    hear(story);
}

static void hear_settled(story_t *story, uint64_t first, uint64_t count)
{
    wire_range_t range = {.first = first, .count = count};
    wire_reset(&story->pen);
    wire_begin(&story->pen, WIRE_SETTLED);
    wire_put_range(&story->pen, WIRE_SETTLED, &range);
    hear(story);
}

static void hear_revoke_for(story_t *story, const char *token, uint32_t cause)
{
    wire_revoked_t revoked = {.token = slice_str(token), .cause = cause};
    wire_reset(&story->pen);
    wire_begin(&story->pen, WIRE_REVOKE);
    wire_put_revoked(&story->pen, &revoked);
    hear(story);
}

static void hear_revoke(story_t *story, const char *token)
{
    hear_revoke_for(story, token, WIRE_REVOKED_CANCELLED);
}

/* ---- steps of stories -------------------------------------------------------------------------
 */

static worker_session_wish_t tick(story_t *story, int64_t after_ms)
{
    story->now_ms += after_ms;
    return worker_session_tick(story->session, story->now_ms);
}

static void register_worker(story_t *story, uint64_t epoch)
{
    hear_welcome(story, epoch);
    expect_said(story, WIRE_READY);
}

static void connect_worker(story_t *story)
{
    assert_int_equal(tick(story, 0), SESSION_OPEN);
    expect_said(story, WIRE_HELLO);
    register_worker(story, 1);
    expect_silence(story);
}

static reeve_delivery_t *take(story_t *story)
{
    reeve_delivery_t *delivery;
    bool revoked;
    assert_true(worker_session_next_event(story->session, &delivery, &revoked));
    assert_false(revoked);
    return delivery;
}

static reeve_delivery_t *take_new(story_t *story, const char *token)
{
    hear_deliver(story, token);
    return take(story);
}

static void settle(story_t *story, reeve_delivery_t *delivery, reeve_verdict_t verdict)
{
    reeve_settlement_t settlement = {.verdict = verdict};
    worker_session_settle(story->session, &delivery, &settlement, story->now_ms);
    assert_null(delivery);
}

static void settle_new(story_t *story, const char *token)
{
    settle(story, take_new(story, token), REEVE_SUCCESS);
}

static void time_passes_with_a_talking_broker(story_t *story, int64_t total_ms)
{
    for (int64_t passed = 0; passed < total_ms; passed += HEARTBEAT) {
        story->now_ms += HEARTBEAT;
        hear_message(story, (wire_message_t){.command = WIRE_HEARTBEAT});
        assert_int_equal(tick(story, 0), SESSION_KEEP);
    }
}

/* ---- the connection ---------------------------------------------------------------------------
 */

static void it_says_only_hello_until_it_is_welcome(void **state)
{
    story_t *story = *state;
    assert_int_equal(tick(story, 0), SESSION_OPEN);
    expect_said(story, WIRE_HELLO);
    assert_true(slice_eq(story->said.name, slice_str("w1")));
    expect_silence(story);
    assert_false(worker_session_connected(story->session));

    hear_welcome(story, 1);
    assert_true(worker_session_connected(story->session));
    expect_said(story, WIRE_READY);
    assert_true(slice_eq(story->said.name, slice_str("w1")));
    assert_int_equal(story->said.prefetch, 4);
    slice_t queue;
    size_t at = 0;
    assert_true(wire_next_queue(&story->said, &at, &queue));
    assert_true(slice_eq(queue, slice_str("mail")));
    assert_true(wire_next_queue(&story->said, &at, &queue));
    assert_true(slice_eq(queue, slice_str("sms")));
    assert_false(wire_next_queue(&story->said, &at, &queue));
    expect_silence(story);
}

static void an_unanswered_hello_is_said_again(void **state)
{
    story_t *story = *state;
    tick(story, 0);
    expect_said(story, WIRE_HELLO);
    assert_int_equal(worker_session_next_ms(story->session, story->now_ms), 2 * HEARTBEAT);
    tick(story, 2 * HEARTBEAT);
    expect_said(story, WIRE_HELLO);
    expect_silence(story);
}

static void a_second_welcome_of_the_same_broker_changes_nothing(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    hear_welcome(story, 1);
    expect_silence(story);
    hear_welcome(story, 2);
    expect_said(story, WIRE_READY);
}

static void a_silent_broker_gets_a_new_connection_after_a_growing_pause(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    int64_t least[] = {50, 100, 200, 400, 800, 1000, 1000};
    for (size_t i = 0; i < sizeof least / sizeof least[0]; i++) {
        assert_int_equal(tick(story, LIVENESS - 1), SESSION_KEEP);
        assert_int_equal(tick(story, 1), SESSION_CLOSE);
        assert_false(worker_session_connected(story->session));
        while (speaks(story))
            ;
        int64_t pause = worker_session_next_ms(story->session, story->now_ms);
        assert_in_range(pause, least[i], 2 * least[i]);
        assert_int_equal(tick(story, pause - 1), SESSION_KEEP);
        assert_int_equal(tick(story, 1), SESSION_OPEN);
        expect_said(story, WIRE_HELLO);
    }
}

static void a_broker_that_says_goodbye_is_left_and_tried_again(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    reeve_delivery_t *delivery = take_new(story, "t1");
    hear_message(story, (wire_message_t){.command = WIRE_GOODBYE});
    assert_int_equal(tick(story, 0), SESSION_CLOSE);
    expect_silence(story);
    settle(story, delivery, REEVE_SUCCESS);
    expect_silence(story);
    assert_int_equal(tick(story, 100), SESSION_OPEN);
    expect_said(story, WIRE_HELLO);
    register_worker(story, 2);
    expect_held(story, "t1", WIRE_ABSENT);
    expect_said(story, WIRE_SETTLE);
}

static void a_broker_that_does_not_register_us_is_tried_later_and_later(void **state)
{
    story_t *story = *state;
    static const int64_t least[] = {50, 100, 200, 400};
    connect_worker(story);
    for (size_t i = 0; i < sizeof least / sizeof least[0]; i++) {
        hear_error(story, 0, REEVE_ERR_TOO_MANY);
        hear_message(story, (wire_message_t){.command = WIRE_GOODBYE});
        assert_int_equal(tick(story, 0), SESSION_CLOSE);
        int64_t pause = worker_session_next_ms(story->session, story->now_ms);
        assert_in_range(pause, least[i], 2 * least[i]);
        assert_int_equal(tick(story, pause), SESSION_OPEN);
        expect_said(story, WIRE_HELLO);
        register_worker(story, 2);
    }
}

static void a_broker_that_forgot_us_is_told_all_again_on_the_same_connection(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    reeve_delivery_t *running = take_new(story, "running");
    hear_deliver(story, "waiting");
    settle_new(story, "settled");
    expect_said(story, WIRE_SETTLE);
    (void)running;

    hear_error(story, 0, REEVE_ERR_NOT_READY);
    hear_error(story, 0, REEVE_ERR_NOT_READY);
    assert_int_equal(tick(story, 0), SESSION_KEEP);
    expect_said(story, WIRE_HELLO);
    expect_silence(story);
    register_worker(story, 2);
    assert_int_equal(held_count(story), 3);
    expect_held(story, "running", WIRE_ABSENT);
    expect_held(story, "waiting", WIRE_ABSENT);
    expect_held(story, "settled", WIRE_ABSENT);
    expect_said(story, WIRE_SETTLE);
    assert_int_equal(story->said.corr, 2);
    expect_silence(story);
    assert_int_equal(story->problems, 0);
}

static void heartbeats_come_in_the_broker_s_interval_and_name_all_held(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    take_new(story, "t1");
    worker_delivery_start(take_new(story, "t2"), story->now_ms - 5);
    tick(story, HEARTBEAT - 1);
    expect_silence(story);
    assert_int_equal(worker_session_next_ms(story->session, story->now_ms), 1);
    tick(story, 1);
    expect_said(story, WIRE_HEARTBEAT);
    assert_int_equal(held_count(story), 2);
    expect_held(story, "t1", WIRE_ABSENT);
    expect_held(story, "t2", HEARTBEAT + 5);
    expect_silence(story);
}

static void connects_and_heartbeats_are_counted(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    hear_welcome(story, 1);
    assert_int_equal(worker_session_stats(story->session).connects, 1);
    hear_message(story, (wire_message_t){.command = WIRE_HEARTBEAT});
    hear_message(story, (wire_message_t){.command = WIRE_HEARTBEAT});
    tick(story, HEARTBEAT);
    expect_said(story, WIRE_HEARTBEAT);
    expect_silence(story);
    hear_error(story, 0, REEVE_ERR_NOT_READY);
    expect_said(story, WIRE_HELLO);
    register_worker(story, 1);
    reeve_worker_stats_t stats = worker_session_stats(story->session);
    assert_int_equal(stats.connects, 2);
    assert_int_equal(stats.heartbeats_received, 2);
    assert_int_equal(stats.heartbeats_sent, 1);
}

static void frames_that_are_not_of_the_protocol_are_reported_and_ignored(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    worker_session_receive(story->session, slice("REEVE1\x41\xff", 8), story->now_ms);
    assert_int_equal(story->problem, REEVE_ERR_MALFORMED);
    worker_session_receive(story->session, slice(NULL, 0), story->now_ms);
    assert_int_equal(story->problems, 2);
    hear_message(story, (wire_message_t){.command = WIRE_DONE, .corr = 1});
    expect_silence(story);
    assert_true(worker_session_connected(story->session));
}

/* ---- deliveries -------------------------------------------------------------------------------
 */

static void a_delivery_shows_its_task(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    reeve_delivery_t *delivery = take_new(story, "t1");
    assert_string_equal(reeve_delivery_id(delivery), "id");
    assert_string_equal(reeve_delivery_task_name(delivery), "send");
    assert_string_equal(reeve_delivery_queue(delivery), "mail");
    assert_int_equal(reeve_delivery_attempt(delivery), 2);
    assert_int_equal(reeve_delivery_max_retries(delivery), 3);
    assert_int_equal(reeve_delivery_timeout_ms(delivery), 2500);
    char *document = reeve_delivery_document(delivery);
    assert_non_null(strstr(document, "\"args\":[1]"));
    assert_non_null(strstr(document, "\"retry_count\":1"));
    free(document);
    assert_int_equal(worker_session_held(story->session), 1);
}

static void an_attempt_delivered_twice_is_shown_once(void **state)
{
    story_t *story = *state;
    reeve_delivery_t *delivery;
    bool revoked;
    connect_worker(story);
    take_new(story, "t1");
    hear_deliver(story, "t1");
    assert_false(worker_session_next_event(story->session, &delivery, &revoked));
}

static void a_revoked_delivery_is_shown_again_and_not_settled(void **state)
{
    story_t *story = *state;
    bool revoked;
    connect_worker(story);
    reeve_delivery_t *delivery = take_new(story, "t1"), *shown;
    hear_revoke(story, "t1");
    assert_int_equal(worker_session_held(story->session), 0);
    assert_int_equal(worker_session_next_ms(story->session, story->now_ms), 0);
    assert_true(worker_session_next_event(story->session, &shown, &revoked));
    assert_true(revoked);
    assert_ptr_equal(shown, delivery);
    settle(story, delivery, REEVE_SUCCESS);
    expect_silence(story);
    assert_int_equal(worker_session_unconfirmed(story->session), 0);
}

static void a_delivery_revoked_before_it_was_taken_is_never_shown(void **state)
{
    story_t *story = *state;
    reeve_delivery_t *delivery;
    bool revoked;
    connect_worker(story);
    hear_deliver(story, "t1");
    hear_revoke(story, "t1");
    assert_false(worker_session_next_event(story->session, &delivery, &revoked));
}

static void a_revoked_delivery_may_be_dropped_before_it_was_shown(void **state)
{
    story_t *story = *state;
    bool revoked;
    connect_worker(story);
    reeve_delivery_t *delivery = take_new(story, "t1");
    hear_revoke(story, "t1");
    worker_session_drop(story->session, &delivery);
    assert_null(delivery);
    assert_false(worker_session_next_event(story->session, &delivery, &revoked));
}

static void what_the_broker_takes_back_is_counted_by_its_cause(void **state)
{
    enum { UNHEARD_OF = 99 };
    story_t *story = *state;
    connect_worker(story);
    take_new(story, "t1");
    take_new(story, "t2");
    take_new(story, "t3");
    hear_deliver(story, "t3");
    hear_deliver(story, "t4");
    hear_revoke_for(story, "t1", WIRE_REVOKED_CANCELLED);
    hear_revoke_for(story, "t2", WIRE_REVOKED_TIMEOUT);
    hear_revoke_for(story, "t3", WIRE_REVOKED_STALE);
    hear_revoke_for(story, "t4", UNHEARD_OF);
    hear_revoke_for(story, "none", WIRE_REVOKED_CANCELLED);
    reeve_worker_stats_t stats = worker_session_stats(story->session);
    assert_int_equal(stats.deliveries, 4);
    assert_int_equal(stats.cancelled, 1);
    assert_int_equal(stats.timed_out, 1);
    assert_int_equal(stats.lost, 2);
    assert_int_equal(stats.settlements_refused, 0);
}

/* ---- settlements ------------------------------------------------------------------------------
 */

static void settlements_made_together_travel_in_one_message(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    settle_new(story, "t1");
    settle_new(story, "t2");
    settle_new(story, "t3");
    assert_int_equal(worker_session_next_ms(story->session, story->now_ms), 0);
    expect_said(story, WIRE_SETTLE);
    assert_int_equal(settlement_count(story), 3);
    expect_silence(story);
    assert_int_equal(worker_session_unconfirmed(story->session), 3);
    hear_settled(story, 1, 2);
    assert_int_equal(worker_session_unconfirmed(story->session), 1);
    hear_settled(story, 3, UINT64_MAX);
    assert_int_equal(worker_session_unconfirmed(story->session), 0);
}

static void a_message_of_settlements_stays_small(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    char *big = mem_zalloc(700 * 1024);
    memset(big, 'x', 700 * 1024);
    reeve_settlement_t settlement = {
        .verdict = REEVE_SUCCESS, .result_kind = 2, .result = big, .result_size = 700 * 1024};
    reeve_delivery_t *first = take_new(story, "t1"), *second = take_new(story, "t2");
    worker_session_settle(story->session, &first, &settlement, story->now_ms);
    worker_session_settle(story->session, &second, &settlement, story->now_ms);
    free(big);
    for (int i = 0; i < 2; i++) {
        expect_said(story, WIRE_SETTLE);
        assert_int_equal(settlement_count(story), 1);
    }
    expect_silence(story);
}

static void a_settled_task_is_held_until_its_settlement_is_confirmed(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    settle_new(story, "t1");
    expect_said(story, WIRE_SETTLE);
    tick(story, HEARTBEAT);
    expect_said(story, WIRE_HEARTBEAT);
    expect_held(story, "t1", WIRE_ABSENT);
    hear_settled(story, 1, 1);
    tick(story, HEARTBEAT);
    expect_said(story, WIRE_HEARTBEAT);
    assert_int_equal(held_count(story), 0);
}

static void a_confirmed_settlement_is_told_once(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    settle_new(story, "t1");
    expect_said(story, WIRE_SETTLE);
    assert_int_equal(story->settled, 0);
    hear_settled(story, 1, 1);
    hear_settled(story, 1, 1);
    assert_int_equal(story->settled, 1);
    assert_string_equal(story->settled_id, "id");
    assert_int_equal(story->settled_attempt, 2);
}

static void a_settlement_that_is_stale_is_not_told_as_settled(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    settle_new(story, "t1");
    expect_said(story, WIRE_SETTLE);
    hear_error(story, 1, REEVE_ERR_STALE_ATTEMPT);
    assert_int_equal(story->settled, 0);
}

static void a_settlement_without_answer_is_sent_again(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    settle_new(story, "t1");
    expect_said(story, WIRE_SETTLE);
    time_passes_with_a_talking_broker(story, 5 * HEARTBEAT);
    expect_said(story, WIRE_SETTLE);
    assert_int_equal(story->said.corr, 2);
    assert_true(slice_eq(first_settlement(story).token, slice_str("t1")));
    /* The broker had it already: that is no news. */
    hear_error(story, 2, REEVE_ERR_STALE_ATTEMPT);
    assert_int_equal(worker_session_unconfirmed(story->session), 0);
    assert_int_equal(story->problems, 0);
    assert_int_equal(worker_session_stats(story->session).settlements_refused, 0);
}

static void a_stale_settlement_is_reported_and_forgotten(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    settle_new(story, "t1");
    expect_said(story, WIRE_SETTLE);
    hear_error(story, 1, REEVE_ERR_STALE_ATTEMPT);
    assert_int_equal(worker_session_unconfirmed(story->session), 0);
    assert_int_equal(story->problem, REEVE_ERR_STALE_ATTEMPT);
}

static void a_settlement_refused_for_now_is_kept_and_sent_again(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    settle_new(story, "t1");
    expect_said(story, WIRE_SETTLE);
    hear_error(story, 1, REEVE_ERR_STORE_FAILED);
    assert_int_equal(worker_session_unconfirmed(story->session), 1);
    time_passes_with_a_talking_broker(story, 5 * HEARTBEAT);
    expect_said(story, WIRE_SETTLE);
}

static void a_settlement_revoked_before_its_confirm_is_reported_and_forgotten(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    settle_new(story, "unsent");
    hear_revoke(story, "unsent");
    expect_silence(story);
    settle_new(story, "sent");
    expect_said(story, WIRE_SETTLE);
    hear_revoke(story, "sent");
    assert_int_equal(worker_session_unconfirmed(story->session), 0);
    assert_int_equal(story->problems, 2);
    assert_int_equal(worker_session_stats(story->session).settlements_refused, 2);
    assert_int_equal(worker_session_stats(story->session).cancelled, 2);
    hear_settled(story, 1, 1);
}

static void a_settlement_travels_with_all_that_was_said(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    reeve_delivery_t *delivery = take_new(story, "t1");
    reeve_settlement_t settlement = {
        .verdict = REEVE_FAILURE, .reason = "exit_3", .error = "oops", .traceback = "a\nb"};
    worker_session_settle(story->session, &delivery, &settlement, story->now_ms);
    expect_said(story, WIRE_SETTLE);
    wire_settlement_t sent = first_settlement(story);
    assert_int_equal(sent.verdict, WIRE_FAILURE);
    assert_true(slice_eq(sent.reason, slice_str("exit_3")));
    assert_true(slice_eq(sent.error, slice_str("oops")));
    assert_true(slice_eq(sent.traceback, slice_str("a\nb")));
}

static void decorations_of_a_verdict_are_made_acceptable(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    reeve_delivery_t *delivery = take_new(story, "t1");
    char *traceback = mem_zalloc(LIMIT_TRACEBACK_BYTES + 100);
    memset(traceback, 'x', LIMIT_TRACEBACK_BYTES + 99);
    traceback[LIMIT_TRACEBACK_BYTES + 98] = 'E';
    reeve_settlement_t settlement = {.verdict = REEVE_FAILURE,
                                     .result_kind = 1,
                                     .result = "{\"a\":",
                                     .result_size = 5,
                                     .error = "bad \xff byte",
                                     .traceback = traceback};
    worker_session_settle(story->session, &delivery, &settlement, story->now_ms);
    free(traceback);
    expect_said(story, WIRE_SETTLE);
    wire_settlement_t sent = first_settlement(story);
    assert_int_equal(sent.result_kind, WIRE_RESULT_TEXT);
    assert_true(slice_eq(sent.error, slice_str("bad \xEF\xBF\xBD byte")));
    assert_int_equal(sent.traceback.size, LIMIT_TRACEBACK_BYTES);
    assert_int_equal(sent.traceback.data[sent.traceback.size - 1], 'E');
}

/* ---- drain, progress, extend ------------------------------------------------------------------
 */

static void a_prefetch_of_zero_is_told_and_lasts_over_a_reconnect(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    worker_session_set_prefetch(story->session, 0);
    expect_said(story, WIRE_PREFETCH);
    assert_int_equal(story->said.prefetch, 0);
    expect_silence(story);
    hear_error(story, 0, REEVE_ERR_NOT_READY);
    expect_said(story, WIRE_HELLO);
    register_worker(story, 2);
    assert_int_equal(story->said.prefetch, 0);
    expect_silence(story);
}

static void goodbye_comes_after_what_is_to_be_said_and_is_the_last_word(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    settle(story, take_new(story, "t1"), REEVE_RELEASE);
    worker_session_goodbye(story->session);
    expect_said(story, WIRE_SETTLE);
    assert_int_equal(first_settlement(story).verdict, WIRE_RELEASE);
    expect_said(story, WIRE_GOODBYE);
    assert_false(worker_session_connected(story->session));
    assert_int_equal(tick(story, 2 * LIVENESS), SESSION_KEEP);
    expect_silence(story);
}

static void one_that_leaves_unwelcomed_says_nothing_and_was_never_connected(void **state)
{
    story_t *story = *state;
    tick(story, 0);
    expect_said(story, WIRE_HELLO);
    worker_session_goodbye(story->session);
    expect_silence(story);
    assert_false(worker_session_connected(story->session));
}

static void progress_goes_before_the_settlement_and_is_dropped_without_a_broker(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    reeve_delivery_t *delivery = take_new(story, "t1");
    worker_session_progress(story->session, delivery, slice_str("half"));
    settle(story, delivery, REEVE_SUCCESS);
    expect_said(story, WIRE_PROGRESS);
    assert_true(slice_eq(story->said.data, slice_str("half")));
    assert_int_equal(story->said.kind, WIRE_RESULT_TEXT);
    expect_said(story, WIRE_SETTLE);

    delivery = take_new(story, "t2");
    hear_error(story, 0, REEVE_ERR_NOT_READY);
    worker_session_progress(story->session, delivery, slice_str("half"));
    expect_said(story, WIRE_HELLO);
    register_worker(story, 2);
    expect_said(story, WIRE_SETTLE);
    expect_silence(story);
}

static void progress_beyond_its_limits_is_dropped(void **state)
{
    story_t *story = *state;
    enum { WAITING_MOST = 1024 };
    connect_worker(story);
    reeve_delivery_t *delivery = take_new(story, "t1");
    uint8_t *large = mem_zalloc(LIMIT_RESULT_BYTES + 1);
    worker_session_progress(story->session, delivery, slice(large, LIMIT_RESULT_BYTES + 1));
    expect_silence(story);
    worker_session_progress(story->session, delivery, slice(large, LIMIT_RESULT_BYTES));
    expect_said(story, WIRE_PROGRESS);
    free(large);
    for (int i = 0; i <= WAITING_MOST; i++)
        worker_session_progress(story->session, delivery, slice_str("half"));
    for (int i = 0; i < WAITING_MOST; i++)
        expect_said(story, WIRE_PROGRESS);
    expect_silence(story);
}

static void an_extension_is_asked_for_again_after_a_reconnect(void **state)
{
    story_t *story = *state;
    connect_worker(story);
    reeve_delivery_t *delivery = take_new(story, "t1");
    worker_session_extend(story->session, delivery, 60000);
    expect_said(story, WIRE_EXTEND);
    assert_int_equal(story->said.timeout_ms, 60000);
    assert_true(slice_eq(story->said.token, slice_str("t1")));
    expect_silence(story);
    hear_error(story, 0, REEVE_ERR_NOT_READY);
    expect_said(story, WIRE_HELLO);
    register_worker(story, 2);
    expect_said(story, WIRE_EXTEND);
    worker_session_extend(story->session, delivery, 90000);
    settle(story, delivery, REEVE_SUCCESS); /* overtakes what was not asked yet */
    expect_said(story, WIRE_SETTLE);
    expect_silence(story);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(it_says_only_hello_until_it_is_welcome),
        STORY(an_unanswered_hello_is_said_again),
        STORY(a_second_welcome_of_the_same_broker_changes_nothing),
        STORY(a_silent_broker_gets_a_new_connection_after_a_growing_pause),
        STORY(a_broker_that_says_goodbye_is_left_and_tried_again),
        STORY(a_broker_that_does_not_register_us_is_tried_later_and_later),
        STORY(a_broker_that_forgot_us_is_told_all_again_on_the_same_connection),
        STORY(heartbeats_come_in_the_broker_s_interval_and_name_all_held),
        STORY(connects_and_heartbeats_are_counted),
        STORY(frames_that_are_not_of_the_protocol_are_reported_and_ignored),
        STORY(a_delivery_shows_its_task),
        STORY(an_attempt_delivered_twice_is_shown_once),
        STORY(a_revoked_delivery_is_shown_again_and_not_settled),
        STORY(a_delivery_revoked_before_it_was_taken_is_never_shown),
        STORY(a_revoked_delivery_may_be_dropped_before_it_was_shown),
        STORY(what_the_broker_takes_back_is_counted_by_its_cause),
        STORY(settlements_made_together_travel_in_one_message),
        STORY(a_message_of_settlements_stays_small),
        STORY(a_settled_task_is_held_until_its_settlement_is_confirmed),
        STORY(a_confirmed_settlement_is_told_once),
        STORY(a_settlement_that_is_stale_is_not_told_as_settled),
        STORY(a_settlement_without_answer_is_sent_again),
        STORY(a_stale_settlement_is_reported_and_forgotten),
        STORY(a_settlement_refused_for_now_is_kept_and_sent_again),
        STORY(a_settlement_revoked_before_its_confirm_is_reported_and_forgotten),
        STORY(a_settlement_travels_with_all_that_was_said),
        STORY(decorations_of_a_verdict_are_made_acceptable),
        STORY(a_prefetch_of_zero_is_told_and_lasts_over_a_reconnect),
        STORY(goodbye_comes_after_what_is_to_be_said_and_is_the_last_word),
        STORY(one_that_leaves_unwelcomed_says_nothing_and_was_never_connected),
        STORY(progress_goes_before_the_settlement_and_is_dropped_without_a_broker),
        STORY(progress_beyond_its_limits_is_dropped),
        STORY(an_extension_is_asked_for_again_after_a_reconnect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
