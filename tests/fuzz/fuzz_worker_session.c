/*  The worker's session with a user, a clock and a broker that do anything. Afterwards a well-behaved
    broker comes: every settlement must be confirmed by then. Never does the session ask to be called
    at once when there is nothing to do. Input: steps, one byte each, with their choices. */

#include "common/limits.h"
#include "common/wire/reeve.h"
#include "tests/fuzz/fuzz.h"
#include "worker/delivery.h"
#include "worker/session.h"

enum { HANDS = 32, TOKENS = 16, HEALING_ROUNDS = 4000 };

static const char *const queues[] = {"mail", "sms", NULL};

typedef struct scene {
    worker_session_t *session;
    int64_t now_ms;
    bool socket;
    bool greeted;                  /* a WELCOME came on this connection */
    reeve_delivery_t *hand[HANDS]; /* what the user works on, revoked ones too */
    size_t in_hand;
    uint64_t epoch, corr; /* of the last settlement */
    size_t problems;
    wire_buffer_t pen;
} scene_t;

static void note_problem(void *argument, const char *task_id, reeve_error_t error, const char *text)
{
    scene_t *scene = argument;
    (void)error;
    CHECK(strlen(text) < LIMIT_MESSAGE_BYTES);
    CHECK(task_id == NULL || strlen(task_id) < LIMIT_MESSAGE_BYTES);
    scene->problems++;
}

/* ---- the socket ----------------------------------------------------------------------------- */

static bool tick(scene_t *scene)
{
    worker_session_wish_t wish = worker_session_tick(scene->session, scene->now_ms);
    if (wish != SESSION_KEEP) {
        scene->socket = wish == SESSION_OPEN;
        scene->greeted = false;
    }
    return wish != SESSION_KEEP;
}

static void receive(scene_t *scene, slice_t frame)
{
    wire_message_t message;
    const char *problem;
    if (!scene->socket)
        return;
    slice_t own = own_copy(frame);
    worker_session_receive(scene->session, own, scene->now_ms);
    if (wire_decode(own, &message, &problem) == 0 && message.command == WIRE_WELCOME)
        scene->greeted = true;
    free((void *)own.data);
}

static void receive_pen(scene_t *scene)
{
    receive(scene, slice(scene->pen.data, scene->pen.size));
}

static void receive_message(scene_t *scene, wire_message_t message)
{
    wire_encode(&scene->pen, &message);
    receive_pen(scene);
}

/*  All that is in the session's hands must be in a READY, or the broker gives it to others. */
static void check_ready(const scene_t *scene, const wire_message_t *message)
{
    size_t at = 0, held_count = 0, queue_count = 0;
    wire_held_t held;
    slice_t queue;
    while (wire_next_held(message, &at, &held))
        held_count++;
    for (at = 0; wire_next_queue(message, &at, &queue); queue_count++)
        CHECK(slice_eq(queue, slice_str(queues[queue_count])));
    CHECK(queue_count == 2 && queues[queue_count] == NULL);
    CHECK(held_count ==
          worker_session_held(scene->session) + worker_session_unconfirmed(scene->session));
}

static size_t check_settle(scene_t *scene, const wire_message_t *message)
{
    size_t at = 0, count = 0;
    wire_settlement_t settlement;
    for (; wire_next_settlement(message, &at, &settlement); count++)
        CHECK(settlement.token.size > 0 && settlement.verdict >= WIRE_SUCCESS &&
              settlement.verdict <= WIRE_RELEASE);
    CHECK(count > 0 && message->corr == scene->corr + 1);
    scene->corr += count;
    return count;
}

/*  The next frame is sent; false when there is none. */
static bool send_frame(scene_t *scene, wire_message_t *message, size_t *settlements)
{
    slice_t frame;
    const char *problem;
    *settlements = 0;
    if (!worker_session_output(scene->session, scene->now_ms, &frame))
        return false;
    CHECK(wire_decode(frame, message, &problem) == 0);
    CHECK(scene->greeted || message->command == WIRE_HELLO);
    if (message->command == WIRE_READY)
        check_ready(scene, message);
    if (message->command == WIRE_SETTLE)
        *settlements = check_settle(scene, message);
    return true;
}

/* ---- the user ------------------------------------------------------------------------------- */

static bool take_event(scene_t *scene)
{
    reeve_delivery_t *delivery;
    bool revoked;
    if (scene->in_hand == HANDS || !worker_session_next_event(scene->session, &delivery, &revoked))
        return false;
    bool known = false;
    for (size_t i = 0; i < scene->in_hand; i++)
        known |= scene->hand[i] == delivery;
    CHECK(known == revoked);
    CHECK(strlen(reeve_delivery_id(delivery)) < LIMIT_MESSAGE_BYTES);
    CHECK(reeve_delivery_timeout_ms(delivery) >= 0);
    if (!known)
        scene->hand[scene->in_hand++] = delivery;
    return true;
}

/*  The user lets go of one that is then no longer in the hand; NULL when there is none. */
static reeve_delivery_t *let_go(scene_t *scene, size_t choice)
{
    if (scene->in_hand == 0)
        return NULL;
    size_t i = choice % scene->in_hand;
    reeve_delivery_t *delivery = scene->hand[i];
    scene->hand[i] = scene->hand[--scene->in_hand];
    return delivery;
}

static void settle(scene_t *scene, chooser_t *chooser)
{
    reeve_delivery_t *delivery = let_go(scene, choose_byte(chooser));
    if (delivery == NULL)
        return;
    reeve_verdict_t verdict = (reeve_verdict_t)(REEVE_SUCCESS + choose(chooser, 4));
    int result_kind = (int)choose(chooser, 3);
    slice_t result = own_copy(choose_bytes(chooser)), text = choose_bytes(chooser);
    char *reason = mem_strndup(text.data, text.size);
    worker_session_settle(scene->session, &delivery,
                          &(reeve_settlement_t){.verdict = verdict,
                                                .result_kind = result_kind,
                                                .result = result.data,
                                                .result_size = result.size,
                                                .reason = reason,
                                                .error = reason},
                          scene->now_ms);
    CHECK(delivery == NULL);
    free((void *)result.data);
    free(reason);
}

static void work(scene_t *scene, chooser_t *chooser)
{
    enum { START, PROGRESS, EXTEND, DOCUMENT, KINDS };
    if (scene->in_hand == 0)
        return;
    reeve_delivery_t *delivery = scene->hand[choose(chooser, scene->in_hand)];
    switch (choose(chooser, KINDS)) {
    case START:
        worker_delivery_start(delivery, scene->now_ms);
        break;
    case PROGRESS:
        worker_session_progress(scene->session, delivery, choose_bytes(chooser));
        break;
    case EXTEND:
        worker_session_extend(scene->session, delivery, (int64_t)choose_number(chooser, 8));
        break;
    case DOCUMENT:
        free(reeve_delivery_document(delivery));
        break;
    }
}

/* ---- the broker ----------------------------------------------------------------------------- */

static slice_t choose_token(chooser_t *chooser, char text[TOKENS])
{
    return slice(text, (size_t)snprintf(text, TOKENS, "%zu.1", choose(chooser, TOKENS)));
}

static uint64_t choose_corr(chooser_t *chooser)
{
    uint8_t byte = choose_byte(chooser);
    return byte == 255 ? choose_number(chooser, 8) : byte % 64;
}

static void broker_says(scene_t *scene, chooser_t *chooser)
{
    enum { WELCOME, DELIVER, REVOKE, SETTLED, REFUSAL, HEARTBEAT, GOODBYE, BYTES, KINDS };
    char text[TOKENS];
    switch (choose(chooser, KINDS)) {
    case WELCOME:
        receive_message(scene, (wire_message_t){.command = WIRE_WELCOME,
                                                .epoch = scene->epoch = choose(chooser, 3),
                                                .heartbeat_ms = choose_number(chooser, 2),
                                                .liveness_ms = choose_number(chooser, 3),
                                                .max_batch = choose(chooser, 8)});
        break;
    case DELIVER:
        wire_begin(&scene->pen, WIRE_DELIVER);
        for (size_t count = choose(chooser, 4); count; count--) {
            wire_delivery_t delivery = {.token = choose_token(chooser, text),
                                        .attempt = choose_corr(chooser),
                                        .task = {.id = choose_bytes(chooser),
                                                 .body = choose_bytes(chooser),
                                                 .body_kind = choose(chooser, 2),
                                                 .timeout_ms = choose_corr(chooser),
                                                 .max_retries = choose_corr(chooser)}};
            wire_put_delivery(&scene->pen, &delivery);
        }
        receive_pen(scene);
        break;
    case REVOKE:
        wire_begin(&scene->pen, WIRE_REVOKE);
        for (size_t count = choose(chooser, 4); count; count--)
            wire_put_revoked(&scene->pen,
                             &(wire_revoked_t){choose_token(chooser, text), choose(chooser, 4)});
        receive_pen(scene);
        break;
    case SETTLED: {
        uint64_t first = choose_corr(chooser), count = choose_corr(chooser);
        wire_begin(&scene->pen, WIRE_SETTLED);
        wire_put_range(&scene->pen, WIRE_SETTLED, &(wire_range_t){first, count, false});
        receive_pen(scene);
        break;
    }
    case REFUSAL:
        receive_message(scene, (wire_message_t){.command = WIRE_ERROR,
                                                .corr = choose_corr(chooser),
                                                .code = choose(chooser, 25),
                                                .text = choose_bytes(chooser)});
        break;
    case HEARTBEAT:
        receive_message(scene, (wire_message_t){.command = WIRE_HEARTBEAT});
        break;
    case GOODBYE:
        receive_message(scene, (wire_message_t){.command = WIRE_GOODBYE});
        break;
    case BYTES:
        receive(scene, choose_bytes(chooser));
        break;
    }
}

static void answer_well(scene_t *scene, const wire_message_t *message, size_t settlements)
{
    if (message->command == WIRE_HELLO) {
        receive_message(scene, (wire_message_t){.command = WIRE_WELCOME,
                                                .epoch = scene->epoch,
                                                .heartbeat_ms = 1000,
                                                .liveness_ms = 10000});
    } else if (message->command == WIRE_SETTLE) {
        wire_range_t range = {message->corr, settlements, false};
        wire_begin(&scene->pen, WIRE_SETTLED);
        wire_put_range(&scene->pen, WIRE_SETTLED, &range);
        receive_pen(scene);
    } else if (message->command == WIRE_HEARTBEAT) {
        receive_message(scene, (wire_message_t){.command = WIRE_HEARTBEAT});
    }
}

/*  Does all that is due, and sees that nothing is left that would be due at once. */
static void come_to_rest(scene_t *scene)
{
    wire_message_t message;
    size_t settlements;
    tick(scene);
    while (send_frame(scene, &message, &settlements))
        answer_well(scene, &message, settlements);
    chooser_t nothing = {0};
    while (take_event(scene) || scene->in_hand)
        settle(scene, &nothing);
    while (send_frame(scene, &message, &settlements))
        answer_well(scene, &message, settlements);
}

static void heal(scene_t *scene)
{
    scene->epoch = 77;
    if (scene->socket) /* it is greeted anew, for it might believe that it has been */
        receive_message(scene,
                        (wire_message_t){.command = WIRE_ERROR, .code = REEVE_ERR_NOT_READY});
    for (int round = 0; round < HEALING_ROUNDS; round++) {
        come_to_rest(scene);
        if (!worker_session_held(scene->session) && !worker_session_unconfirmed(scene->session))
            return;
        int64_t wait_ms = worker_session_next_ms(scene->session, scene->now_ms);
        CHECK(wait_ms > 0);
        scene->now_ms += wait_ms;
    }
    CHECK(!"something was never settled");
}

/* ---- steps ---------------------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum {
        SHORT,
        LONG,
        SEND,
        EVENT,
        SETTLE,
        DROP,
        WORK,
        PREFETCH,
        SAYS,
        SAYS_TOO, /* twice as often */
        LEAVE,
        STEPS
    };
    chooser_t chooser = {slice(data, size), 0};
    scene_t scene = {.now_ms = 1000};
    worker_session_options_t options = {
        .name = "w", .queues = queues, .prefetch = 4, .seed = choose_byte(&chooser)};
    bool left = false;
    wire_message_t message;
    size_t settlements;
    reeve_delivery_t *delivery;
    scene.session = worker_session_new(&options, scene.now_ms);
    worker_session_on_problem(scene.session, note_problem, &scene);
    while (choices_left(&chooser)) {
        switch (choose(&chooser, STEPS)) {
        case SHORT:
            scene.now_ms += 10 * (int64_t)choose_byte(&chooser);
            tick(&scene);
            break;
        case LONG:
            scene.now_ms += (int64_t)choose_number(&chooser, 2);
            tick(&scene);
            break;
        case SEND:
            send_frame(&scene, &message, &settlements);
            break;
        case EVENT:
            take_event(&scene);
            break;
        case SETTLE:
            settle(&scene, &chooser);
            break;
        case DROP:
            delivery = let_go(&scene, choose_byte(&chooser));
            if (delivery)
                worker_session_drop(scene.session, &delivery);
            break;
        case WORK:
            work(&scene, &chooser);
            break;
        case PREFETCH:
            worker_session_set_prefetch(scene.session, choose_byte(&chooser));
            break;
        case SAYS:
        case SAYS_TOO:
            broker_says(&scene, &chooser);
            break;
        case LEAVE:
            left = choose(&chooser, 16) == 15;
            if (left)
                worker_session_goodbye(scene.session);
            break;
        }
        if (left)
            break;
    }
    if (left) /* the last word is GOODBYE */
        while (send_frame(&scene, &message, &settlements))
            ;
    else
        heal(&scene);
    worker_session_destroy(&scene.session);
    wire_fini(&scene.pen);
    return 0;
}
