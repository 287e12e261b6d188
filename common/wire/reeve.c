#include "common/wire/reeve.h"

#include "common/limits.h"
#include "common/mem.h"
#include "common/wire/pb.h"

#include <assert.h>
#include <stdlib.h>

#define HEAD_SIZE (WIRE_MAGIC_SIZE + 1)

_Static_assert(WIRE_ABSENT == PB_ABSENT, "absent numbers are handed through");

/*  The messages of docs/reeve.proto, field by field. F: a member of struct `type`. */
#define F(type, kind_, member)                                                                     \
    {                                                                                              \
        .kind = PB_##kind_, .offset = offsetof(type, member)                                       \
    }
#define ITEMS(schema_, max)                                                                        \
    {                                                                                              \
        .kind = PB_REPEATED, .schema = (schema_), .max_items = (max)                               \
    }

/*  Numbers of the fields that are also written or read one by one. */
enum {
    FIRST = 1, /* SUBMIT, SETTLE */
    SUBMIT_TASK = 2,
    CONFIRM_DURABILITY = 1,
    CONFIRM_RANGE = 2,
    HEARTBEAT_HELD = 1,
    READY_NAME = 1,
    READY_QUEUE = 2,
    READY_PREFETCH = 3,
    READY_HELD = 4,
    READY_INSTANCE = 5,
    DELIVER_DELIVERY = 1,
    SETTLE_SETTLEMENT = 2,
    SETTLED_RANGE = 1,
    REVOKE_REVOKED = 1,
};

static const pb_schema_t task_schema = {
    .last = 15,
    .fields =
        {
            [1] = F(wire_task_t, BYTES, id),
            [2] = F(wire_task_t, BYTES, queue),
            [3] = F(wire_task_t, BYTES, task_name),
            [4] = F(wire_task_t, UINT32, body_kind),
            [5] = F(wire_task_t, BYTES, body),
            [6] = F(wire_task_t, BYTES, origin),
            [7] = F(wire_task_t, UINT64, created_at_ms),
            [8] = F(wire_task_t, UINT32, priority),
            [9] = F(wire_task_t, UINT64, delay_ms),
            [10] = F(wire_task_t, UINT64, run_at_ms),
            [11] = F(wire_task_t, UINT64, timeout_ms),
            [12] = F(wire_task_t, UINT64, expires_at_ms),
            [13] = F(wire_task_t, OPTIONAL32, max_retries),
            [14] = F(wire_task_t, UINT64, backoff_ms),
            [15] = F(wire_task_t, BOOL, wait),
        },
};

static const pb_schema_t delivery_schema = {
    .last = 4,
    .fields =
        {
            [1] = F(wire_delivery_t, BYTES, token),
            [2] = {.kind = PB_MESSAGE,
                   .offset = offsetof(wire_delivery_t, task),
                   .schema = &task_schema},
            [3] = F(wire_delivery_t, UINT32, attempt),
            [4] = F(wire_delivery_t, UINT32, retry_count),
        },
};

static const pb_schema_t settlement_schema = {
    .last = 8,
    .fields =
        {
            [1] = F(wire_settlement_t, BYTES, token),
            [2] = F(wire_settlement_t, UINT32, verdict),
            [3] = F(wire_settlement_t, UINT32, result_kind),
            [4] = F(wire_settlement_t, BYTES, result),
            [5] = F(wire_settlement_t, BYTES, reason),
            [6] = F(wire_settlement_t, BYTES, error),
            [7] = F(wire_settlement_t, BYTES, traceback),
            [8] = F(wire_settlement_t, UINT64, duration_ms),
        },
};

static const pb_schema_t held_schema = {
    .last = 3,
    .fields =
        {
            [1] = F(wire_held_t, BYTES, token),
            [2] = F(wire_held_t, OPTIONAL64, running_ms),
            [3] = F(wire_held_t, UINT64, timeout_ms),
        },
};

static const pb_schema_t range_schema = {
    .last = 3,
    .fields =
        {
            [1] = F(wire_range_t, UINT64, first),
            [2] = F(wire_range_t, UINT64, count),
            [3] = F(wire_range_t, BOOL, duplicate),
        },
};

static const pb_schema_t revoked_schema = {
    .last = 2,
    .fields =
        {
            [1] = F(wire_revoked_t, BYTES, token),
            [2] = F(wire_revoked_t, UINT32, cause),
        },
};

/*  The bodies of the commands, by command byte. */
#define M(kind_, member) F(wire_message_t, kind_, member)

static const pb_schema_t schemas[] = {
    [WIRE_HELLO] = {2, {[1] = M(BYTES, name), [2] = M(BYTES, version)}},
    [WIRE_WELCOME] = {7,
                      {[1] = M(BYTES, broker_id),
                       [2] = M(UINT64, epoch),
                       [3] = M(UINT64, heartbeat_ms),
                       [4] = M(UINT64, liveness_ms),
                       [5] = M(UINT64, max_message_bytes),
                       [6] = M(UINT64, max_batch),
                       [7] = M(BYTES, version)}},
    [WIRE_ERROR] = {4,
                    {[1] = M(UINT64, corr),
                     [2] = M(UINT32, code),
                     [3] = M(BYTES, text),
                     [4] = M(UINT64, retry_after_ms)}},
    [WIRE_HEARTBEAT] = {1, {[HEARTBEAT_HELD] = ITEMS(&held_schema, LIMIT_HELD)}},
    [WIRE_GOODBYE] = {1, {[1] = M(BYTES, text)}},
    [WIRE_SUBMIT] = {2,
                     {[FIRST] = M(UINT64, corr), [SUBMIT_TASK] = ITEMS(&task_schema, LIMIT_BATCH)}},
    [WIRE_CONFIRM] = {2,
                      {[CONFIRM_DURABILITY] = M(UINT32, durability),
                       [CONFIRM_RANGE] = ITEMS(&range_schema, LIMIT_BATCH)}},
    [WIRE_WAIT] = {2, {[1] = M(UINT64, corr), [2] = M(BYTES, id)}},
    [WIRE_OUTCOME] = {11,
                      {[1] = M(UINT64, corr),
                       [2] = M(BYTES, id),
                       [3] = M(UINT32, state),
                       [4] = M(UINT32, attempts),
                       [5] = M(UINT32, result_kind),
                       [6] = M(BYTES, result),
                       [7] = M(BYTES, reason),
                       [8] = M(BYTES, error),
                       [9] = M(BYTES, traceback),
                       [10] = M(UINT64, duration_ms),
                       [11] = M(BOOL, partial)}},
    [WIRE_CANCEL] = {2, {[1] = M(UINT64, corr), [2] = M(BYTES, id)}},
    [WIRE_DONE] = {3, {[1] = M(UINT64, corr), [2] = M(UINT64, count), [3] = M(UINT32, state)}},
    [WIRE_QUERY] = {6,
                    {[1] = M(UINT64, corr),
                     [2] = M(UINT32, what),
                     [3] = M(BYTES, id),
                     [4] = M(BYTES, queue),
                     [5] = M(UINT64, after),
                     [6] = M(UINT32, limit)}},
    [WIRE_DOCUMENT] = {3, {[1] = M(UINT64, corr), [2] = M(BYTES, json), [3] = M(UINT64, next)}},
    [WIRE_REDRIVE] = {3, {[1] = M(UINT64, corr), [2] = M(BYTES, id), [3] = M(BYTES, queue)}},
    [WIRE_PURGE] = {3, {[1] = M(UINT64, corr), [2] = M(BYTES, id), [3] = M(BYTES, queue)}},
    [WIRE_READY] = {5,
                    {[READY_NAME] = M(BYTES, name),
                     [READY_QUEUE] = ITEMS(NULL, LIMIT_BATCH),
                     [READY_PREFETCH] = M(UINT32, prefetch),
                     [READY_HELD] = ITEMS(&held_schema, LIMIT_HELD),
                     [READY_INSTANCE] = M(UINT64, instance)}},
    [WIRE_DELIVER] = {1, {[DELIVER_DELIVERY] = ITEMS(&delivery_schema, LIMIT_BATCH)}},
    [WIRE_SETTLE] =
        {2,
         {[FIRST] = M(UINT64, corr), [SETTLE_SETTLEMENT] = ITEMS(&settlement_schema, LIMIT_BATCH)}},
    [WIRE_SETTLED] = {1, {[SETTLED_RANGE] = ITEMS(&range_schema, LIMIT_BATCH)}},
    [WIRE_REVOKE] = {1, {[REVOKE_REVOKED] = ITEMS(&revoked_schema, LIMIT_BATCH)}},
    [WIRE_PREFETCH] = {1, {[1] = M(UINT32, prefetch)}},
    [WIRE_EXTEND] = {2, {[1] = M(BYTES, token), [2] = M(UINT64, timeout_ms)}},
    [WIRE_PROGRESS] = {3, {[1] = M(BYTES, token), [2] = M(UINT32, kind), [3] = M(BYTES, data)}},
};

/*  Every command has at least one field, so a schema without any is a gap in the array. */
static const pb_schema_t *schema_of(unsigned command)
{
    if (command >= sizeof schemas / sizeof *schemas || schemas[command].last == 0)
        return NULL;
    return &schemas[command];
}

/*  Decoding. */

bool wire_is_reeve(slice_t frame)
{
    return frame.size >= WIRE_MAGIC_SIZE && memcmp(frame.data, WIRE_MAGIC, WIRE_MAGIC_SIZE) == 0;
}

int wire_decode(slice_t frame, wire_message_t *out, const char **problem)
{
    *out = (wire_message_t){0};
    if (!wire_is_reeve(frame)) {
        *problem = "not a frame of this protocol";
        return -1;
    }
    if (frame.size < HEAD_SIZE) {
        *problem = "no command";
        return -1;
    }
    unsigned command = frame.data[WIRE_MAGIC_SIZE];
    const pb_schema_t *schema = schema_of(command);
    if (schema == NULL) {
        *problem = "unknown command";
        return -1;
    }
    out->command = (wire_command_t)command;
    out->body = slice(frame.data + HEAD_SIZE, frame.size - HEAD_SIZE);
    const char *wrong = pb_decode(schema, out->body, out);
    if (wrong == NULL)
        return 0;
    *problem = wrong;
    return -1;
}

bool wire_next_task(const wire_message_t *message, size_t *at, wire_task_t *out)
{
    slice_t item;
    if (message->command != WIRE_SUBMIT || !pb_next(message->body, at, SUBMIT_TASK, &item))
        return false;
    *out = (wire_task_t){.max_retries = WIRE_ABSENT};
    return pb_decode(&task_schema, item, out) == NULL;
}

bool wire_next_delivery(const wire_message_t *message, size_t *at, wire_delivery_t *out)
{
    slice_t item;
    if (message->command != WIRE_DELIVER || !pb_next(message->body, at, DELIVER_DELIVERY, &item))
        return false;
    *out = (wire_delivery_t){.task.max_retries = WIRE_ABSENT};
    return pb_decode(&delivery_schema, item, out) == NULL;
}

bool wire_next_settlement(const wire_message_t *message, size_t *at, wire_settlement_t *out)
{
    slice_t item;
    if (message->command != WIRE_SETTLE || !pb_next(message->body, at, SETTLE_SETTLEMENT, &item))
        return false;
    *out = (wire_settlement_t){0};
    return pb_decode(&settlement_schema, item, out) == NULL;
}

bool wire_next_held(const wire_message_t *message, size_t *at, wire_held_t *out)
{
    slice_t item;
    if (message->command != WIRE_READY && message->command != WIRE_HEARTBEAT)
        return false;
    unsigned number = message->command == WIRE_READY ? READY_HELD : HEARTBEAT_HELD;
    if (!pb_next(message->body, at, number, &item))
        return false;
    *out = (wire_held_t){.running_ms = WIRE_ABSENT};
    return pb_decode(&held_schema, item, out) == NULL;
}

bool wire_next_range(const wire_message_t *message, size_t *at, wire_range_t *out)
{
    slice_t item;
    if (message->command != WIRE_CONFIRM && message->command != WIRE_SETTLED)
        return false;
    unsigned number = message->command == WIRE_CONFIRM ? CONFIRM_RANGE : SETTLED_RANGE;
    if (!pb_next(message->body, at, number, &item))
        return false;
    *out = (wire_range_t){0};
    return pb_decode(&range_schema, item, out) == NULL;
}

bool wire_next_revoked(const wire_message_t *message, size_t *at, wire_revoked_t *out)
{
    slice_t item;
    if (message->command != WIRE_REVOKE || !pb_next(message->body, at, REVOKE_REVOKED, &item))
        return false;
    *out = (wire_revoked_t){0};
    return pb_decode(&revoked_schema, item, out) == NULL;
}

bool wire_next_queue(const wire_message_t *message, size_t *at, slice_t *out)
{
    return message->command == WIRE_READY && pb_next(message->body, at, READY_QUEUE, out);
}

/*  Encoding. */

/*  Room for `size` more bytes; returns where they go. */
static uint8_t *reserve(wire_buffer_t *buffer, size_t size)
{
    if (size > buffer->capacity - buffer->size) {
        size_t wanted = buffer->size + size;
        size_t doubled = buffer->capacity ? 2 * buffer->capacity : 512;
        buffer->capacity = wanted > doubled ? wanted : doubled;
        buffer->data = mem_realloc(buffer->data, buffer->capacity);
    }
    return buffer->data + buffer->size;
}

static void finish(wire_buffer_t *buffer, const uint8_t *end)
{
    buffer->size = (size_t)(end - buffer->data);
}

static void put_number(wire_buffer_t *buffer, unsigned number, uint64_t value)
{
    if (value != 0)
        finish(buffer, pb_put_number(reserve(buffer, 1 + PB_VARINT_MAX), number, value));
}

static void put_item(wire_buffer_t *buffer, unsigned number, const pb_schema_t *schema,
                     const void *item)
{
    size_t size = pb_size(schema, item);
    uint8_t *to = reserve(buffer, 1 + PB_VARINT_MAX + size);
    finish(buffer, pb_write(pb_put_head(to, number, size), schema, item));
}

static uint8_t *put_raw(uint8_t *to, slice_t bytes)
{
    if (bytes.size)
        memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

static void put_bytes(wire_buffer_t *buffer, unsigned number, slice_t bytes)
{
    uint8_t *to = reserve(buffer, 1 + PB_VARINT_MAX + bytes.size);
    finish(buffer, put_raw(pb_put_head(to, number, bytes.size), bytes));
}

void wire_fini(wire_buffer_t *buffer)
{
    free(buffer->data);
    *buffer = (wire_buffer_t){0};
}

void wire_reset(wire_buffer_t *buffer)
{
    buffer->size = 0;
}

void wire_begin(wire_buffer_t *buffer, wire_command_t command)
{
    wire_reset(buffer);
    uint8_t *to = put_raw(reserve(buffer, HEAD_SIZE), slice(WIRE_MAGIC, WIRE_MAGIC_SIZE));
    *to++ = (uint8_t)command;
    finish(buffer, to);
}

void wire_put_first(wire_buffer_t *buffer, uint64_t first)
{
    put_number(buffer, FIRST, first);
}

void wire_put_task(wire_buffer_t *buffer, const wire_task_t *task)
{
    put_item(buffer, SUBMIT_TASK, &task_schema, task);
}

void wire_put_delivery(wire_buffer_t *buffer, const wire_delivery_t *delivery)
{
    put_item(buffer, DELIVER_DELIVERY, &delivery_schema, delivery);
}

void wire_put_settlement(wire_buffer_t *buffer, const wire_settlement_t *settlement)
{
    put_item(buffer, SETTLE_SETTLEMENT, &settlement_schema, settlement);
}

void wire_put_held(wire_buffer_t *buffer, wire_command_t command, const wire_held_t *held)
{
    put_item(buffer, command == WIRE_READY ? READY_HELD : HEARTBEAT_HELD, &held_schema, held);
}

void wire_put_durability(wire_buffer_t *buffer, uint64_t durability)
{
    put_number(buffer, CONFIRM_DURABILITY, durability);
}

void wire_put_range(wire_buffer_t *buffer, wire_command_t command, const wire_range_t *range)
{
    put_item(buffer, command == WIRE_CONFIRM ? CONFIRM_RANGE : SETTLED_RANGE, &range_schema, range);
}

void wire_put_revoked(wire_buffer_t *buffer, const wire_revoked_t *revoked)
{
    put_item(buffer, REVOKE_REVOKED, &revoked_schema, revoked);
}

void wire_put_queue(wire_buffer_t *buffer, slice_t queue)
{
    put_bytes(buffer, READY_QUEUE, queue);
}

void wire_put_ready_name(wire_buffer_t *buffer, slice_t name)
{
    if (name.size != 0)
        put_bytes(buffer, READY_NAME, name);
}

void wire_put_ready_prefetch(wire_buffer_t *buffer, uint64_t prefetch)
{
    put_number(buffer, READY_PREFETCH, prefetch);
}

void wire_put_ready_instance(wire_buffer_t *buffer, uint64_t instance)
{
    put_number(buffer, READY_INSTANCE, instance);
}

void wire_encode(wire_buffer_t *buffer, const wire_message_t *message)
{
    wire_begin(buffer, message->command);
    const pb_schema_t *schema = schema_of(message->command);
    assert(schema != NULL);
    uint8_t *to = reserve(buffer, pb_size(schema, message));
    finish(buffer, pb_write(to, schema, message));
}

/*  Frames as one byte string. */

bool wire_next_frame(slice_t bytes, size_t *at, slice_t *frame)
{
    uint64_t size;
    if (*at >= bytes.size)
        return false;
    if (!pb_get_varint(bytes, at, &size) || size > bytes.size - *at) {
        *at = bytes.size + 1;
        return false;
    }
    *frame = slice(bytes.data + *at, (size_t)size);
    *at += (size_t)size;
    return true;
}

void wire_put_frame(wire_buffer_t *buffer, slice_t frame)
{
    uint8_t *to = reserve(buffer, PB_VARINT_MAX + frame.size);
    finish(buffer, put_raw(pb_put_varint(to, frame.size), frame));
}

int wire_count_frames(slice_t bytes)
{
    int count = 0;
    size_t at = 0;
    for (slice_t frame; wire_next_frame(bytes, &at, &frame);)
        count++;
    return at > bytes.size ? -1 : count;
}
