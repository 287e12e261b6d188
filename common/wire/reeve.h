/*  Codec of Reeve's own protocol, version 1: one frame in, a struct out, and back.
    Source: docs/protocol.md and docs/reeve.proto. Pure: no socket, no allocation when decoding.
    All slices of a decoded message point into the frame and live as long as it does. */

#ifndef REEVE_COMMON_WIRE_REEVE_H
#define REEVE_COMMON_WIRE_REEVE_H

#include "common/bytes.h"

#define WIRE_MAGIC      "REEVE1"
#define WIRE_MAGIC_SIZE 6

typedef enum wire_command {
    WIRE_HELLO = 0x01,
    WIRE_WELCOME = 0x02,
    WIRE_ERROR = 0x03,
    WIRE_HEARTBEAT = 0x04,
    WIRE_GOODBYE = 0x05,
    WIRE_SUBMIT = 0x10,
    WIRE_CONFIRM = 0x11,
    WIRE_WAIT = 0x20,
    WIRE_OUTCOME = 0x21,
    WIRE_CANCEL = 0x22,
    WIRE_DONE = 0x23,
    WIRE_QUERY = 0x24,
    WIRE_DOCUMENT = 0x25,
    WIRE_REDRIVE = 0x26,
    WIRE_PURGE = 0x27,
    WIRE_READY = 0x40,
    WIRE_DELIVER = 0x41,
    WIRE_SETTLE = 0x42,
    WIRE_SETTLED = 0x43,
    WIRE_REVOKE = 0x44,
    WIRE_PREFETCH = 0x45,
    WIRE_EXTEND = 0x46,
    WIRE_PROGRESS = 0x47,
} wire_command_t;

enum { WIRE_BODY_JSON = 0, WIRE_BODY_FRAMES = 1 };
enum { WIRE_RESULT_NONE = 0, WIRE_RESULT_JSON = 1, WIRE_RESULT_TEXT = 2, WIRE_RESULT_FRAMES = 3 };
enum { WIRE_SUCCESS = 1, WIRE_FAILURE = 2, WIRE_REJECT = 3, WIRE_RELEASE = 4 };
enum {
    WIRE_QUERY_TASK = 1,
    WIRE_QUERY_QUEUES = 2,
    WIRE_QUERY_WORKERS = 3,
    WIRE_QUERY_DEAD = 4,
    WIRE_QUERY_EXPLAIN = 5,
    WIRE_QUERY_BROKER = 6
};
enum { WIRE_REVOKED_CANCELLED = 1, WIRE_REVOKED_STALE = 2, WIRE_REVOKED_TIMEOUT = 3 };
enum { WIRE_DURABILITY_MEMORY = 1, WIRE_DURABILITY_FSYNC = 2, WIRE_DURABILITY_REPLICATED = 3 };

/*  Absent numbers are 0, absent strings empty; where absence differs from 0, WIRE_ABSENT. */
#define WIRE_ABSENT UINT64_MAX

typedef struct wire_task {
    slice_t id, queue, task_name, body, origin;
    uint64_t body_kind, created_at_ms, priority, delay_ms, run_at_ms, timeout_ms, expires_at_ms;
    uint64_t max_retries; /* WIRE_ABSENT: the queue's */
    uint64_t backoff_ms;
    bool wait;
} wire_task_t;

typedef struct wire_delivery {
    slice_t token;
    wire_task_t task;
    uint64_t attempt, retry_count;
} wire_delivery_t;

typedef struct wire_settlement {
    slice_t token, result, reason, error, traceback;
    uint64_t verdict, result_kind, duration_ms;
} wire_settlement_t;

typedef struct wire_held {
    slice_t token;
    uint64_t running_ms; /* WIRE_ABSENT: not started yet */
    uint64_t timeout_ms; /* as extended; 0: as delivered */
} wire_held_t;

typedef struct wire_range {
    uint64_t first, count;
    bool duplicate;
} wire_range_t;

typedef struct wire_revoked {
    slice_t token;
    uint64_t cause;
} wire_revoked_t;

/*  A decoded message: the scalar fields of its command (named as in reeve.proto; others are
    zero/empty) and its undecoded body, over which the wire_next_… functions iterate. */
typedef struct wire_message {
    wire_command_t command;
    slice_t body;  /* everything after the command byte */
    uint64_t corr; /* corr; first of SUBMIT and SETTLE */
    slice_t id, queue, name, text, version, broker_id, token, data;
    uint64_t code, retry_after_ms, epoch, heartbeat_ms, liveness_ms, max_message_bytes, max_batch;
    uint64_t durability, state, attempts, result_kind, duration_ms, count, what, after, limit, next;
    uint64_t prefetch, timeout_ms, kind, instance;
    slice_t result, reason, error, traceback, json;
    bool partial;
} wire_message_t;

/*  Whether a frame claims to be of this protocol: it starts with "REEVE1". */
bool wire_is_reeve(slice_t frame);

/*  Decodes and fully validates `frame` (also every nested message, so that iteration cannot fail).
    Returns 0; or -1 with *problem set to a static English phrase such as "truncated field". An
    unknown command byte is a problem; unknown fields are not. Duplicate scalar fields: the last
    wins, as in protobuf. Queue names of READY and items are reached with the iterators. */
int wire_decode(slice_t frame, wire_message_t *out, const char **problem);

/*  Iterators over repeated fields of a message that wire_decode accepted. *at starts at 0.
    Return false when there is none left. */
bool wire_next_task(const wire_message_t *message, size_t *at, wire_task_t *out);
bool wire_next_delivery(const wire_message_t *message, size_t *at, wire_delivery_t *out);
bool wire_next_settlement(const wire_message_t *message, size_t *at, wire_settlement_t *out);
bool wire_next_held(const wire_message_t *message, size_t *at, wire_held_t *out);
bool wire_next_range(const wire_message_t *message, size_t *at, wire_range_t *out);
bool wire_next_revoked(const wire_message_t *message, size_t *at, wire_revoked_t *out);
bool wire_next_queue(const wire_message_t *message, size_t *at, slice_t *out);

/*  A growable output buffer. Zero-initialise; wire_fini frees. wire_reset keeps the memory. */
typedef struct wire_buffer {
    uint8_t *data;
    size_t size, capacity;
} wire_buffer_t;

void wire_fini(wire_buffer_t *buffer);
void wire_reset(wire_buffer_t *buffer);

/*  Encoding: wire_begin writes magic and command into an emptied buffer, then items are added.
    Fields equal to their default (0, empty, WIRE_ABSENT) are left out; fields are written in
    ascending order, so that equal messages have equal bytes. */
void wire_begin(wire_buffer_t *buffer, wire_command_t command);
void wire_put_first(wire_buffer_t *buffer, uint64_t first); /* SUBMIT, SETTLE */
void wire_put_task(wire_buffer_t *buffer, const wire_task_t *task);
void wire_put_delivery(wire_buffer_t *buffer, const wire_delivery_t *delivery);
void wire_put_settlement(wire_buffer_t *buffer, const wire_settlement_t *settlement);
void wire_put_held(wire_buffer_t *buffer, wire_command_t command, const wire_held_t *held);
void wire_put_durability(wire_buffer_t *buffer, uint64_t durability); /* CONFIRM, before ranges */
void wire_put_range(wire_buffer_t *buffer, wire_command_t command, const wire_range_t *range);
void wire_put_revoked(wire_buffer_t *buffer, const wire_revoked_t *revoked);
void wire_put_queue(wire_buffer_t *buffer, slice_t queue); /* READY */
/*  READY: name, then queues, then prefetch, then held, then instance. */
void wire_put_ready_name(wire_buffer_t *buffer, slice_t name);
void wire_put_ready_prefetch(wire_buffer_t *buffer, uint64_t prefetch);
void wire_put_ready_instance(wire_buffer_t *buffer, uint64_t instance);

/*  Writes a whole message that has scalar fields only, from `message->command` and its fields:
    HELLO WELCOME ERROR GOODBYE WAIT OUTCOME CANCEL DONE QUERY DOCUMENT REDRIVE PURGE PREFETCH
    EXTEND PROGRESS, and HEARTBEAT without held tokens. */
void wire_encode(wire_buffer_t *buffer, const wire_message_t *message);

/*  Frames as one byte string (body_kind and result_kind "frames"): each frame as a varint size and
    its bytes. Return false at the end or, with *at > bytes.size, on malformed input. */
bool wire_next_frame(slice_t bytes, size_t *at, slice_t *frame);
void wire_put_frame(wire_buffer_t *buffer, slice_t frame);
/*  Number of frames, or -1 when malformed. */
int wire_count_frames(slice_t bytes);

#endif
