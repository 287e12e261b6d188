/*  Any frame is decoded or refused; what is decoded, iterated over and encoded again decodes to the
    same, and equal messages have equal bytes. Input: the frame. The same bytes are also read as a
    list of frames (body_kind "frames"). */

#include "common/limits.h"
#include "common/wire/reeve.h"
#include "tests/fuzz/fuzz.h"

/* ---- comparing ------------------------------------------------------------------------------ */

#define SAME(member)       CHECK(a->member == b->member)
#define SAME_BYTES(member) CHECK(slice_eq(a->member, b->member))

static void check_same_scalars(const wire_message_t *a, const wire_message_t *b)
{
    SAME(command);
    SAME(corr);
    SAME_BYTES(id);
    SAME_BYTES(queue);
    SAME_BYTES(name);
    SAME_BYTES(text);
    SAME_BYTES(version);
    SAME_BYTES(broker_id);
    SAME_BYTES(token);
    SAME_BYTES(data);
    SAME(code);
    SAME(retry_after_ms);
    SAME(epoch);
    SAME(heartbeat_ms);
    SAME(liveness_ms);
    SAME(max_message_bytes);
    SAME(max_batch);
    SAME(durability);
    SAME(state);
    SAME(attempts);
    SAME(result_kind);
    SAME(duration_ms);
    SAME(count);
    SAME(what);
    SAME(after);
    SAME(limit);
    SAME(next);
    SAME(prefetch);
    SAME(timeout_ms);
    SAME(kind);
    SAME_BYTES(result);
    SAME_BYTES(reason);
    SAME_BYTES(error);
    SAME_BYTES(traceback);
    SAME_BYTES(json);
    SAME(partial);
}

static void check_same_task(const wire_task_t *a, const wire_task_t *b)
{
    SAME_BYTES(id);
    SAME_BYTES(queue);
    SAME_BYTES(task_name);
    SAME_BYTES(body);
    SAME_BYTES(origin);
    SAME(body_kind);
    SAME(created_at_ms);
    SAME(priority);
    SAME(delay_ms);
    SAME(run_at_ms);
    SAME(timeout_ms);
    SAME(expires_at_ms);
    SAME(max_retries);
    SAME(backoff_ms);
    SAME(wait);
}

static void check_same_delivery(const wire_delivery_t *a, const wire_delivery_t *b)
{
    SAME_BYTES(token);
    SAME(attempt);
    SAME(retry_count);
    check_same_task(&a->task, &b->task);
}

static void check_same_settlement(const wire_settlement_t *a, const wire_settlement_t *b)
{
    SAME_BYTES(token);
    SAME_BYTES(result);
    SAME_BYTES(reason);
    SAME_BYTES(error);
    SAME_BYTES(traceback);
    SAME(verdict);
    SAME(result_kind);
    SAME(duration_ms);
}

static void check_same_held(const wire_held_t *a, const wire_held_t *b)
{
    SAME_BYTES(token);
    SAME(running_ms);
}

static void check_same_range(const wire_range_t *a, const wire_range_t *b)
{
    SAME(first);
    SAME(count);
    SAME(duplicate);
}

static void check_same_revoked(const wire_revoked_t *a, const wire_revoked_t *b)
{
    SAME_BYTES(token);
    SAME(cause);
}

static void check_same_queue(const slice_t *a, const slice_t *b)
{
    CHECK(slice_eq(*a, *b));
}

/*  Both lists are equal and not longer than the codec promises. */
#define CHECK_SAME_LIST(a, b, type, item, limit)                                                   \
    do {                                                                                           \
        type one, other;                                                                           \
        size_t at = 0, other_at = 0, count = 0;                                                    \
        while (wire_next_##item(a, &at, &one)) {                                                   \
            CHECK(wire_next_##item(b, &other_at, &other));                                         \
            check_same_##item(&one, &other);                                                       \
            CHECK(++count <= (limit));                                                             \
        }                                                                                          \
        CHECK(!wire_next_##item(b, &other_at, &other));                                            \
    } while (0)

static void check_same(const wire_message_t *a, const wire_message_t *b)
{
    check_same_scalars(a, b);
    CHECK_SAME_LIST(a, b, wire_task_t, task, LIMIT_BATCH);
    CHECK_SAME_LIST(a, b, wire_delivery_t, delivery, LIMIT_BATCH);
    CHECK_SAME_LIST(a, b, wire_settlement_t, settlement, LIMIT_BATCH);
    CHECK_SAME_LIST(a, b, wire_held_t, held, LIMIT_HELD);
    CHECK_SAME_LIST(a, b, wire_range_t, range, LIMIT_BATCH);
    CHECK_SAME_LIST(a, b, wire_revoked_t, revoked, LIMIT_BATCH);
    CHECK_SAME_LIST(a, b, slice_t, queue, LIMIT_BATCH);
}

/* ---- encoding ------------------------------------------------------------------------------- */

#define PUT_LIST(type, item, put)                                                                  \
    do {                                                                                           \
        type one;                                                                                  \
        for (size_t at = 0; wire_next_##item(message, &at, &one);)                                 \
            put;                                                                                   \
    } while (0)

static void encode_lists(wire_buffer_t *to, const wire_message_t *message)
{
    wire_command_t command = message->command;
    wire_begin(to, command);
    switch (command) {
    case WIRE_SUBMIT:
        wire_put_first(to, message->corr);
        PUT_LIST(wire_task_t, task, wire_put_task(to, &one));
        break;
    case WIRE_SETTLE:
        wire_put_first(to, message->corr);
        PUT_LIST(wire_settlement_t, settlement, wire_put_settlement(to, &one));
        break;
    case WIRE_CONFIRM:
        wire_put_durability(to, message->durability);
        PUT_LIST(wire_range_t, range, wire_put_range(to, command, &one));
        break;
    case WIRE_SETTLED:
        PUT_LIST(wire_range_t, range, wire_put_range(to, command, &one));
        break;
    case WIRE_DELIVER:
        PUT_LIST(wire_delivery_t, delivery, wire_put_delivery(to, &one));
        break;
    case WIRE_REVOKE:
        PUT_LIST(wire_revoked_t, revoked, wire_put_revoked(to, &one));
        break;
    case WIRE_READY:
        wire_put_ready_name(to, message->name);
        PUT_LIST(slice_t, queue, wire_put_queue(to, one));
        wire_put_ready_prefetch(to, message->prefetch);
        PUT_LIST(wire_held_t, held, wire_put_held(to, command, &one));
        break;
    case WIRE_HEARTBEAT:
        PUT_LIST(wire_held_t, held, wire_put_held(to, command, &one));
        break;
    default:
        wire_encode(to, message);
        break;
    }
}

static void check_round_trip(const wire_message_t *message)
{
    wire_buffer_t first = {0}, second = {0};
    wire_message_t reread;
    const char *problem;
    encode_lists(&first, message);
    CHECK(wire_decode(slice(first.data, first.size), &reread, &problem) == 0);
    check_same(message, &reread);
    encode_lists(&second, &reread);
    CHECK(slice_eq(slice(first.data, first.size), slice(second.data, second.size)));
    wire_fini(&first);
    wire_fini(&second);
}

/* ---- lists of frames ------------------------------------------------------------------------ */

static void check_frames(slice_t bytes)
{
    wire_buffer_t written = {0};
    slice_t frame, same;
    size_t at = 0, same_at = 0;
    int count = 0;
    for (; wire_next_frame(bytes, &at, &frame); count++) {
        CHECK(frame.size == 0 ||
              (frame.data >= bytes.data && frame.data + frame.size <= bytes.data + bytes.size));
        wire_put_frame(&written, frame);
    }
    CHECK(wire_count_frames(bytes) == (at > bytes.size ? -1 : count));
    slice_t again = slice(written.data, written.size);
    CHECK(wire_count_frames(again) == count);
    for (at = 0; wire_next_frame(bytes, &at, &frame);) {
        CHECK(wire_next_frame(again, &same_at, &same));
        CHECK(slice_eq(frame, same));
    }
    wire_fini(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t frame = slice(data, size);
    wire_message_t message;
    const char *problem = NULL;
    bool decoded = wire_decode(frame, &message, &problem) == 0;
    CHECK(decoded ? wire_is_reeve(frame) : problem != NULL);
    if (decoded)
        check_round_trip(&message);
    check_frames(frame);
    return 0;
}
