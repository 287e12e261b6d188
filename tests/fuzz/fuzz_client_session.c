/*  The client's session with a caller, a clock and a broker that do anything. Afterwards a well-behaved
    broker comes: every submission must have been answered exactly once by then, and every wait.
    Input: steps, one byte each, with their choices. */

#include "client/session.h"
#include "common/limits.h"
#include "tests/fuzz/fuzz.h"

enum { WINDOW = 16, BATCH = 4, THINGS = 64, HEALING_ROUNDS = 4000 };

/*  What the caller asked for; the correlation number is its index + 1, as the session counts so. */
typedef struct thing {
    enum { NOTHING, A_SUBMISSION, A_WAIT, A_REQUEST } kind;
    char id[12];
    bool waits;    /* a submission whose outcome is wanted */
    bool answered; /* confirmed or refused */
    bool ended;    /* nothing more is to be told */
} thing_t;

typedef struct scene {
    client_session_t *session;
    int64_t now_ms;
    bool socket;
    bool greeted; /* a WELCOME came on this connection */
    bool shown;   /* the next frame was made before now */
    uint64_t epoch, max_batch;
    wire_buffer_t pen;
    thing_t things[THINGS];
    size_t count;
} scene_t;

static thing_t *thing_of(scene_t *scene, uint64_t corr)
{
    CHECK(corr >= 1 && corr <= scene->count);
    return &scene->things[corr - 1];
}

/* ---- the caller ----------------------------------------------------------------------------- */

static thing_t *new_thing(scene_t *scene, int kind)
{
    thing_t *thing = &scene->things[scene->count++];
    thing->kind = kind;
    snprintf(thing->id, sizeof thing->id, "t%zu", scene->count);
    return thing;
}

static void submit(scene_t *scene, chooser_t *chooser)
{
    if (scene->count == THINGS)
        return;
    bool full = client_session_unconfirmed(scene->session) >= WINDOW;
    reeve_error_t error;
    thing_t *thing = new_thing(scene, A_SUBMISSION);
    thing->waits = choose(chooser, 2);
    wire_task_t task = {.id = slice_str(thing->id),
                        .queue = slice_str("q"),
                        .task_name = slice_str("t"),
                        .body = choose_bytes(chooser),
                        .max_retries = WIRE_ABSENT,
                        .wait = thing->waits};
    if (client_session_submit(scene->session, &task, thing, scene->now_ms, &error) == 0)
        return;
    CHECK(full && error == REEVE_ERR_TOO_MANY);
    *thing = (thing_t){0};
    scene->count--;
}

static void wait_for(scene_t *scene)
{
    if (scene->count == THINGS)
        return;
    thing_t *thing = new_thing(scene, A_WAIT);
    thing->waits = thing->answered = true;
    client_session_wait(scene->session, slice_str(thing->id), thing, scene->now_ms);
}

static void request(scene_t *scene, chooser_t *chooser)
{
    static const wire_command_t commands[] = {WIRE_CANCEL, WIRE_QUERY, WIRE_REDRIVE, WIRE_PURGE};
    if (scene->count == THINGS)
        return;
    thing_t *thing = new_thing(scene, A_REQUEST);
    client_session_request(
        scene->session,
        &(wire_message_t){.command = commands[choose(chooser, 4)], .id = slice_str(thing->id)},
        scene->now_ms);
    CHECK(client_session_answer(scene->session) == NULL);
}

static void take_event(scene_t *scene, const reeve_event_t *event)
{
    thing_t *thing = event->user;
    CHECK(thing >= scene->things && thing < scene->things + scene->count);
    CHECK(strcmp(event->id, thing->id) == 0 && !thing->ended);
    CHECK(strlen(event->error_text ? event->error_text : "") < LIMIT_MESSAGE_BYTES);
    switch (event->kind) {
    case REEVE_EVENT_CONFIRMED:
        CHECK(thing->kind == A_SUBMISSION && !thing->answered);
        thing->answered = true;
        thing->ended = !thing->waits;
        break;
    case REEVE_EVENT_REFUSED:
        thing->answered = thing->ended = true;
        break;
    case REEVE_EVENT_OUTCOME:
        CHECK(thing->waits && thing->answered);
        thing->ended = !event->partial;
        break;
    }
}

static void take_events(scene_t *scene)
{
    reeve_event_t event;
    size_t unconfirmed = 0, waiting = 0;
    while (client_session_next_event(scene->session, &event))
        take_event(scene, &event);
    for (size_t i = 0; i < scene->count; i++) {
        const thing_t *thing = &scene->things[i];
        unconfirmed += thing->kind == A_SUBMISSION && !thing->answered;
        waiting += thing->waits && thing->answered && !thing->ended;
    }
    CHECK(client_session_unconfirmed(scene->session) == unconfirmed);
    CHECK(client_session_waiting(scene->session) == waiting);
}

static void read_answer(scene_t *scene)
{
    const client_answer_t *answer = client_session_answer(scene->session);
    if (answer)
        CHECK(strlen(answer->text) <= LIMIT_MESSAGE_BYTES && answer->json.data != NULL);
}

/* ---- the socket ----------------------------------------------------------------------------- */

static void open_socket(scene_t *scene)
{
    if (scene->socket || !client_session_wants_socket(scene->session))
        return;
    scene->socket = true;
    scene->greeted = false;
    client_session_opened(scene->session, scene->now_ms);
}

static void lose_connection(scene_t *scene)
{
    if (!scene->socket)
        return;
    scene->greeted = false;
    client_session_lost(scene->session, scene->now_ms);
}

static void pass_time(scene_t *scene, int64_t ms)
{
    scene->now_ms += ms;
    client_session_tick(scene->session, scene->now_ms);
    if (!client_session_wants_socket(scene->session))
        scene->socket = scene->greeted = false;
    CHECK(client_session_deadline(scene->session, scene->now_ms) > scene->now_ms);
}

static void receive(scene_t *scene, slice_t frame)
{
    wire_message_t message;
    const char *problem;
    if (!scene->socket)
        return;
    slice_t own = own_copy(frame);
    client_session_receive(scene->session, own, scene->now_ms);
    bool decoded = wire_decode(own, &message, &problem) == 0;
    if (decoded && message.command == WIRE_WELCOME) {
        scene->greeted = true;
        if (message.max_batch)
            scene->max_batch = message.max_batch;
    } else if (decoded && message.command == WIRE_GOODBYE) {
        scene->greeted = false;
    }
    free((void *)own.data);
}

static void receive_message(scene_t *scene, wire_message_t message)
{
    wire_encode(&scene->pen, &message);
    receive(scene, slice(scene->pen.data, scene->pen.size));
}

static void receive_range(scene_t *scene, wire_range_t range)
{
    wire_begin(&scene->pen, WIRE_CONFIRM);
    wire_put_durability(&scene->pen, WIRE_DURABILITY_FSYNC);
    wire_put_range(&scene->pen, WIRE_CONFIRM, &range);
    receive(scene, slice(scene->pen.data, scene->pen.size));
}

/*  What may be sent at all, and that it is what the caller asked for. */
static void check_sent(scene_t *scene, const wire_message_t *message)
{
    wire_task_t task;
    uint64_t corr = message->corr;
    CHECK(scene->greeted || message->command == WIRE_HELLO);
    switch (message->command) {
    case WIRE_SUBMIT:
        for (size_t at = 0; wire_next_task(message, &at, &task); corr++) {
            const thing_t *thing = thing_of(scene, corr);
            CHECK(thing->kind == A_SUBMISSION && slice_eq(task.id, slice_str(thing->id)));
        }
        CHECK(corr > message->corr && corr - message->corr <= BATCH);
        CHECK(corr - message->corr <= scene->max_batch || scene->shown);
        break;
    case WIRE_WAIT:
        CHECK(thing_of(scene, corr)->waits);
        CHECK(slice_eq(message->id, slice_str(thing_of(scene, corr)->id)));
        break;
    case WIRE_HELLO:
    case WIRE_HEARTBEAT:
        break;
    default:
        CHECK(thing_of(scene, corr)->kind == A_REQUEST);
        break;
    }
}

/*  The next frame is sent; false when there is none. */
static bool send_frame(scene_t *scene, wire_message_t *message, bool really)
{
    slice_t frame, same;
    const char *problem;
    if (!client_session_next_frame(scene->session, scene->now_ms, &frame))
        return false;
    CHECK(scene->socket);
    CHECK(wire_decode(frame, message, &problem) == 0);
    check_sent(scene, message);
    CHECK(client_session_next_frame(scene->session, scene->now_ms, &same) && slice_eq(frame, same));
    scene->shown = !really;
    if (really)
        client_session_sent(scene->session, scene->now_ms);
    return true;
}

/* ---- the broker ----------------------------------------------------------------------------- */

/*  Mostly one that was given out. */
static uint64_t choose_corr(chooser_t *chooser)
{
    uint8_t byte = choose_byte(chooser);
    return byte == 255 ? choose_number(chooser, 8) : byte % (THINGS + 2);
}

static void broker_says(scene_t *scene, chooser_t *chooser)
{
    enum { WELCOME, CONFIRM, OUTCOME, REFUSAL, DONE, DOCUMENT, HEARTBEAT, GOODBYE, BYTES, KINDS };
    wire_message_t message = {0};
    switch (choose(chooser, KINDS)) {
    case WELCOME:
        message = (wire_message_t){.command = WIRE_WELCOME,
                                   .epoch = scene->epoch = choose(chooser, 3),
                                   .heartbeat_ms = choose_number(chooser, 2),
                                   .liveness_ms = choose_number(chooser, 3),
                                   .max_batch = choose(chooser, 8),
                                   .max_message_bytes = choose_number(chooser, 2)};
        break;
    case CONFIRM: {
        uint64_t first = choose_corr(chooser), count = choose_corr(chooser);
        receive_range(scene, (wire_range_t){first, count, choose(chooser, 2)});
        return;
    }
    case OUTCOME:
        message = (wire_message_t){.command = WIRE_OUTCOME,
                                   .corr = choose_corr(chooser),
                                   .state = choose(chooser, 9),
                                   .partial = choose(chooser, 2),
                                   .result_kind = choose(chooser, 4),
                                   .result = choose_bytes(chooser)};
        break;
    case REFUSAL:
        message = (wire_message_t){.command = WIRE_ERROR,
                                   .corr = choose_corr(chooser),
                                   .code = choose(chooser, 25),
                                   .retry_after_ms = choose_corr(chooser),
                                   .text = choose_bytes(chooser)};
        break;
    case DONE:
        message = (wire_message_t){.command = WIRE_DONE, .corr = choose_corr(chooser)};
        break;
    case DOCUMENT:
        message = (wire_message_t){
            .command = WIRE_DOCUMENT, .corr = choose_corr(chooser), .json = choose_bytes(chooser)};
        break;
    case HEARTBEAT:
        message.command = WIRE_HEARTBEAT;
        break;
    case GOODBYE:
        message.command = WIRE_GOODBYE;
        break;
    case BYTES:
        receive(scene, choose_bytes(chooser));
        return;
    }
    receive_message(scene, message);
}

static void answer_well(scene_t *scene, const wire_message_t *message)
{
    wire_message_t said = *message; /* its body is in the session's frame until the next one */
    uint64_t count = 0;
    wire_task_t task;
    switch (message->command) {
    case WIRE_HELLO:
        receive_message(scene, (wire_message_t){.command = WIRE_WELCOME,
                                                .epoch = scene->epoch,
                                                .heartbeat_ms = 1000,
                                                .liveness_ms = 10000,
                                                .max_batch = LIMIT_BATCH,
                                                .max_message_bytes = LIMIT_MESSAGE_BYTES});
        break;
    case WIRE_SUBMIT:
        for (size_t at = 0; wire_next_task(message, &at, &task);)
            count++;
        receive_range(scene, (wire_range_t){said.corr, count, false});
        for (uint64_t corr = said.corr; corr < said.corr + count; corr++)
            if (thing_of(scene, corr)->waits)
                receive_message(scene, (wire_message_t){.command = WIRE_OUTCOME,
                                                        .corr = corr,
                                                        .state = REEVE_STATE_SUCCESS});
        break;
    case WIRE_WAIT:
        receive_message(scene, (wire_message_t){.command = WIRE_OUTCOME,
                                                .corr = said.corr,
                                                .state = REEVE_STATE_SUCCESS});
        break;
    case WIRE_HEARTBEAT:
        receive_message(scene, (wire_message_t){.command = WIRE_HEARTBEAT});
        break;
    default:
        receive_message(scene, (wire_message_t){.command = WIRE_DONE, .corr = said.corr});
        break;
    }
}

/*  With a broker that answers, everything comes to its end. */
static void heal(scene_t *scene, bool requested)
{
    scene->epoch = 77; /* it has been restarted, and knows of no wait */
    lose_connection(scene);
    for (int round = 0; round < HEALING_ROUNDS; round++) {
        wire_message_t message;
        open_socket(scene);
        while (send_frame(scene, &message, true))
            answer_well(scene, &message);
        take_events(scene);
        bool open = requested && client_session_answer(scene->session) == NULL;
        if (!client_session_unconfirmed(scene->session) &&
            !client_session_waiting(scene->session) && !open)
            return;
        int64_t due_ms = client_session_deadline(scene->session, scene->now_ms);
        CHECK(due_ms < INT64_MAX);
        pass_time(scene, due_ms - scene->now_ms);
    }
    CHECK(!"something was never answered");
}

/* ---- steps ---------------------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum {
        SHORT,
        LONG,
        OPEN,
        LOSE,
        SUBMIT,
        WAIT,
        REQUEST,
        FORGET,
        SEND,
        SHOW,
        EVENTS,
        SAYS,
        STEPS
    };
    chooser_t chooser = {slice(data, size), 0};
    scene_t scene = {.now_ms = 1000, .max_batch = LIMIT_BATCH};
    client_session_config_t config = {.name = "c",
                                      .version = "1",
                                      .window = WINDOW,
                                      .batch = BATCH,
                                      .request_timeout_ms = choose(&chooser, 2) ? -1 : 3000,
                                      .seed = choose_byte(&chooser)};
    bool requested = false;
    const char *text;
    wire_message_t message;
    scene.session = client_session_new(&config, scene.now_ms);
    while (choices_left(&chooser)) {
        switch (choose(&chooser, STEPS)) {
        case SHORT:
            pass_time(&scene, 10 * (int64_t)choose_byte(&chooser));
            break;
        case LONG:
            pass_time(&scene, (int64_t)choose_number(&chooser, 2));
            break;
        case OPEN:
            open_socket(&scene);
            break;
        case LOSE:
            lose_connection(&scene);
            break;
        case SUBMIT:
            submit(&scene, &chooser);
            break;
        case WAIT:
            wait_for(&scene);
            break;
        case REQUEST:
            requested |= scene.count < THINGS;
            request(&scene, &chooser);
            break;
        case FORGET:
            client_session_forget_request(scene.session);
            requested = false;
            break;
        case SEND:
            send_frame(&scene, &message, true);
            break;
        case SHOW:
            send_frame(&scene, &message, false);
            break;
        case EVENTS:
            take_events(&scene);
            read_answer(&scene);
            client_session_take_alarm(scene.session, &text);
            CHECK(strlen(text) < LIMIT_MESSAGE_BYTES);
            break;
        case SAYS:
            broker_says(&scene, &chooser);
            break;
        }
    }
    heal(&scene, requested);
    client_session_destroy(&scene.session);
    wire_fini(&scene.pen);
    return 0;
}
