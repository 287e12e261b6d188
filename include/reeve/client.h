/*  libreeve, producing side: submit tasks, wait for their ends, ask and administer.

    A client handle is used by one thread at a time. It hides reconnects: what was not confirmed is
    sent again after a broker restart under the same id, which cannot run it twice
    (docs/guarantees.md, 3).

    Nothing here ends the process or writes to a stream, but for one case: where memory runs out, the line
    "reeve: out of memory asking for N bytes" goes to standard error, and the process ends at once with
    status 71 (EX_OSERR), without what atexit would do. */

#ifndef REEVE_CLIENT_H
#define REEVE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reeve/error.h"
#include "reeve/task.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct reeve_client reeve_client_t;

/*  A task to submit. Zero-initialise, then set what you need; `task_name` is required. Strings are
    NUL-terminated UTF-8 and are copied by reeve_submit. run_at_ms, expires_at_ms and created_at_ms are
    milliseconds since 1970-01-01 UTC, the others durations. */
typedef struct reeve_task {
    const char *id;    /* NULL: a UUIDv7 is made */
    const char *queue; /* NULL: "default" */
    const char *task_name;
    const char *args_json;    /* JSON array; NULL: [] */
    const char *kwargs_json;  /* JSON object; NULL: {} */
    const char *headers_json; /* JSON object of strings; NULL: none */
    const char *origin;
    int priority;                                                       /* 0 … 9, higher first */
    int64_t delay_ms, run_at_ms, timeout_ms, expires_at_ms, backoff_ms; /* 0: none / the queue's */
    int64_t created_at_ms;                                              /* 0: now */
    bool has_max_retries;
    uint32_t max_retries;
    bool wait; /* deliver REEVE_EVENT_OUTCOME when the task ends */
} reeve_task_t;

/*  What happened; slices of `event` live until the next call on the handle. */
typedef enum reeve_event_kind {
    REEVE_EVENT_CONFIRMED, /* stored, see `durability`; or the id was known, with this content */
    REEVE_EVENT_REFUSED,   /* error, error_text, retry_after_ms */
    REEVE_EVENT_OUTCOME,   /* the task ended; or a partial result when `partial` */
} reeve_event_kind_t;

typedef struct reeve_event {
    reeve_event_kind_t kind;
    void *user;     /* what reeve_submit or reeve_wait was given */
    const char *id; /* the task */
    bool duplicate; /* the id was known: the task is not run anew */
    int durability; /* at least: 1 memory, 2 fsync, 3 replicated */
    reeve_error_t error;
    const char *error_text;
    int64_t retry_after_ms;
    bool partial;
    reeve_state_t state;
    uint32_t attempts;
    int result_kind; /* 0 none, 1 JSON, 2 text, 3 frames */
    const void *result;
    size_t result_size;
    const char *reason, *failure, *traceback; /* "" when none */
    int64_t duration_ms;
} reeve_event_t;

typedef struct reeve_client_options {
    const char *broker;         /* endpoint; NULL: $REEVE_BROKER, else tcp://127.0.0.1:5555 */
    const char *name;           /* shown in the broker's log; NULL: "reeve-client" */
    size_t window;              /* unconfirmed tasks before reeve_submit waits; 0: 1000 */
    size_t batch;               /* tasks per message at most; 0: 256 */
    int64_t request_timeout_ms; /* how long unanswered things are retried before
                                   REEVE_ERR_UNREACHABLE; 0: 30 s; < 0: for ever */
} reeve_client_options_t;

/*  A new handle; connects in the background. NULL with errno: EINVAL when the endpoint is not
    tcp://HOST:PORT or ipc://PATH; else why the system refused what the handle needs, such as EMFILE. */
reeve_client_t *reeve_client_new(const reeve_client_options_t *options);
/*  Says goodbye to the broker and closes; what is unconfirmed stays unknown to the caller. Takes up to half a
    second where the broker does not read. */
void reeve_client_destroy(reeve_client_t **self);

/*  The endpoint that it connects to. Any thread; lives as long as the handle. */
const char *reeve_client_broker(const reeve_client_t *self);

/*  Queues a task for sending (batched; sent when the batch is full, or by reeve_client_poll /
    reeve_client_flush). Does not block. Returns 0; -1 with *error REEVE_ERR_TOO_MANY when the window
    is full (call reeve_client_poll), or the reason why the task is not acceptable, with a line in
    reeve_client_error_text where that is not all; `id` (room for 129 bytes, may be NULL) receives
    the task's id. */
int reeve_submit(reeve_client_t *self, const reeve_task_t *task, void *user, char *id,
                 reeve_error_t *error);

/*  The same for a JSON task document (docs/task.md). On -1 a line why is in `problem`. */
int reeve_submit_json(reeve_client_t *self, const char *document, size_t size, bool wait,
                      void *user, char *id, char *problem, size_t problem_size,
                      reeve_error_t *error);

/*  Sends what is batched. */
void reeve_client_flush(reeve_client_t *self);

/*  Waits up to timeout_ms (0: not at all, < 0: for ever) for the next event, sending, reconnecting
    and retrying meanwhile. Returns 1 with *event filled, 0 on timeout, -1 with *error when the
    broker could not be reached for request_timeout_ms, of which time between calls is no part. */
int reeve_client_poll(reeve_client_t *self, int64_t timeout_ms, reeve_event_t *event,
                      reeve_error_t *error);

/*  Ends the wait that the handle's thread is in, or else its next one: reeve_client_poll returns 0,
    a request fails with REEVE_ERR_CLOSED. Any thread, and from signal handlers. */
void reeve_client_interrupt(reeve_client_t *self);

/*  Unconfirmed submissions, and waits whose outcome has not come. */
size_t reeve_client_unconfirmed(const reeve_client_t *self);
size_t reeve_client_waiting(const reeve_client_t *self);

/*  Asks for the outcome of a task submitted earlier: a REEVE_EVENT_OUTCOME follows, at once when it
    has ended, or REFUSED with REEVE_ERR_UNKNOWN_TASK. */
int reeve_wait(reeve_client_t *self, const char *id, void *user, reeve_error_t *error);

/*  Requests with one answer; block up to the request timeout, delivering nothing else meanwhile
    (events that arrive are kept for reeve_client_poll). Return 0, or -1 with *error. */
typedef enum reeve_query {
    REEVE_QUERY_TASK = 1, /* id: the task, its state, result and every attempt */
    REEVE_QUERY_QUEUES = 2,
    REEVE_QUERY_WORKERS = 3,
    REEVE_QUERY_DEAD = 4,    /* queue (NULL: all), after, limit (0, and what is over 500: 500) */
    REEVE_QUERY_EXPLAIN = 5, /* id: as TASK, and what bears on when the task will run */
    REEVE_QUERY_BROKER = 6,  /* the broker itself: version, uptime, state */
} reeve_query_t;

/*  *json is the document (malloc'd, the caller frees it); *next the cursor for `after`, 0 at the end. */
int reeve_query(reeve_client_t *self, reeve_query_t what, const char *id, const char *queue,
                uint64_t after, uint32_t limit, char **json, uint64_t *next, reeve_error_t *error);
int reeve_cancel(reeve_client_t *self, const char *id, reeve_state_t *was, reeve_error_t *error);
/*  Dead letters back to their queue, or removed: one by `id`, or all of `queue` (NULL id). */
int reeve_dead_retry(reeve_client_t *self, const char *id, const char *queue, uint64_t *count,
                     reeve_error_t *error);
int reeve_dead_purge(reeve_client_t *self, const char *id, const char *queue, uint64_t *count,
                     reeve_error_t *error);

/*  What is known beyond *error of the last call that returned -1: the broker's words, or what is wrong
    with a task; "" where that is nothing. Lives until the next call on the handle. */
const char *reeve_client_error_text(const reeve_client_t *self);

#ifdef __cplusplus
}
#endif

#endif
