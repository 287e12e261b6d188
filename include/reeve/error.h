/*  The typed errors of Reeve, the same on the wire, in the C API and in JSON.
    Numbers are part of the protocol (docs/protocol.md) and never change meaning. */

#ifndef REEVE_ERROR_H
#define REEVE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/*  X (symbol, number, name, meaning) */
#define REEVE_ERRORS(X)                                                                            \
    X(OK, 0, "ok", "no error")                                                                     \
    X(MALFORMED, 1, "malformed", "the message is not of the protocol's form")                      \
    X(UNSUPPORTED, 2, "unsupported", "unknown command or protocol version")                        \
    X(TOO_LARGE, 3, "too_large", "a field or message exceeds its limit")                           \
    X(BAD_ID, 4, "bad_id", "the task id is not acceptable")                                        \
    X(BAD_QUEUE, 5, "bad_queue", "the queue name is not acceptable")                               \
    X(BAD_NAME, 6, "bad_name", "the task_name, origin or worker name is not acceptable")           \
    X(BAD_VALUE, 7, "bad_value", "a number or option is out of its range")                         \
    X(BAD_JSON, 8, "bad_json", "args, kwargs, headers or result are not valid JSON")               \
    X(CONFLICT, 9, "conflict", "the id is taken by a task with other content")                     \
    X(QUEUE_FULL, 10, "queue_full", "the queue is at its length or byte limit")                    \
    X(TOO_MANY, 11, "too_many", "the broker's limit for queues, peers or waiters is reached")      \
    X(UNKNOWN_TASK, 12, "unknown_task", "no task of this id was ever submitted, or it is gone")    \
    X(STALE_ATTEMPT, 13, "stale_attempt", "the attempt is no longer the task's current one")       \
    X(WRONG_STATE, 14, "wrong_state", "the task's state does not allow this")                      \
    X(NOT_READY, 15, "not_ready", "the peer has not registered as a worker")                       \
    X(DRAINING, 16, "draining", "the broker is stopping; submit again later")                      \
    X(DISK_LOW, 17, "disk_low", "free disk space is below the reserve; submit again later")        \
    X(STORE_FAILED, 18, "store_failed", "the store failed; nothing more is confirmed")             \
    X(TIMED_OUT, 19, "timed_out", "no answer in the given time")                                   \
    X(UNREACHABLE, 20, "unreachable", "the broker cannot be reached")                              \
    X(CLOSED, 21, "closed", "the connection or handle is closed")

typedef enum reeve_error {
#define X(symbol, number, name, meaning) REEVE_ERR_##symbol = number,
    REEVE_ERRORS(X)
#undef X
} reeve_error_t;

/*  The name ("queue_full") or meaning of an error; "unknown_error" for other numbers.
    Static strings. Any thread. */
const char *reeve_error_name(reeve_error_t error);
const char *reeve_error_meaning(reeve_error_t error);

#ifdef __cplusplus
}
#endif

#endif
