/*  The client's side of the Reeve protocol as a pure state machine: calls, frames and the time in;
    frames to send, events and the wish for a socket out. No socket, no clock.
    Source: docs/protocol.md, chapters 4.1 and 9; docs/guarantees.md, 3.

    How nothing is lost and nothing is submitted twice: a submission gets its id and its encoded
   form once, and is kept until the broker answers it. It is sent again as it is (same id, same
    correlation number) when the connection was lost, when the broker's epoch changed, or after five
    seconds without an answer; the broker knows the id. Nothing but HELLO is sent before the
    broker's WELCOME, so what waits for a broker waits here and not in a socket's buffer.
    Waits (for tasks that may take hours) are asked again after a new WELCOME only.

        down ──opened──► greeting ──WELCOME──► welcomed
          ▲                 │  ▲                  │
          └──── silence ────┤  └── lost, GOODBYE ─┤
                            └───── silence ───────┴──► down (until a backoff has passed)  */

#ifndef REEVE_CLIENT_SESSION_H
#define REEVE_CLIENT_SESSION_H

#include "common/wire/reeve.h"
#include "reeve/client.h"

typedef struct client_session client_session_t;

typedef struct client_session_config {
    const char *name, *version; /* for HELLO; copied */
    size_t window, batch;
    int64_t request_timeout_ms; /* < 0: for ever */
    uint64_t seed;              /* of the jitter */
} client_session_config_t;

/*  The answer to a request. Strings and slices live until the next request. */
typedef struct client_answer {
    reeve_error_t error;
    const char *text;
    uint64_t count, state, next;
    slice_t json;
} client_answer_t;

client_session_t *client_session_new(const client_session_config_t *config, int64_t now_ms);
void client_session_destroy(client_session_t **self);

/*  -- What the caller of libreeve wants. All times are monotonic milliseconds. */

/*  Takes on a valid task with an id. Returns 0, or -1 with *error REEVE_ERR_TOO_MANY: window full.
 */
int client_session_submit(client_session_t *self, const wire_task_t *task, void *user,
                          int64_t now_ms, reeve_error_t *error);
void client_session_wait(client_session_t *self, slice_t id, void *user, int64_t now_ms);

/*  Starts a request (CANCEL, QUERY, REDRIVE, PURGE; its corr is filled in here); one at a time. A
    request in progress is forgotten. */
void client_session_request(client_session_t *self, const wire_message_t *request, int64_t now_ms);
/*  The answer; NULL until it came. */
const client_answer_t *client_session_answer(const client_session_t *self);
void client_session_forget_request(client_session_t *self);

/*  Whether enough is waiting for a whole message. */
bool client_session_batch_full(const client_session_t *self);

size_t client_session_unconfirmed(const client_session_t *self);
size_t client_session_waiting(const client_session_t *self);

/*  -- What the owner of the socket does. */

/*  Whether there should be a socket. When this turns false, the socket is to be closed; when it is
    true and there is none, one is to be opened, and client_session_opened called. */
bool client_session_wants_socket(const client_session_t *self);
void client_session_opened(client_session_t *self, int64_t now_ms);
/*  The connection was lost; the socket is reconnecting by itself. */
void client_session_lost(client_session_t *self, int64_t now_ms);

void client_session_receive(client_session_t *self, slice_t frame, int64_t now_ms);
/*  Does what is due; to be called after what had arrived was received. Time that passed since the last
    call beyond what client_session_deadline asked for is not taken for the broker's silence. */
void client_session_tick(client_session_t *self, int64_t now_ms);
/*  When tick wants to be called next, after now_ms (INT64_MAX: never). To be asked after the frames
    were sent, for what is due as a frame is not counted. */
int64_t client_session_deadline(const client_session_t *self, int64_t now_ms);

/*  The frame to send next; false when there is none. It stays the same until client_session_sent is
    called or the connection changes. */
bool client_session_next_frame(client_session_t *self, int64_t now_ms, slice_t *frame);
void client_session_sent(client_session_t *self, int64_t now_ms);

/*  -- What there is to tell. */

/*  The next event; its slices live until the next call. */
bool client_session_next_event(client_session_t *self, reeve_event_t *event);

/*  Something is wrong that no event can say: REEVE_ERR_UNREACHABLE (nothing was heard for the request
    timeout), REEVE_ERR_TIMED_OUT (the broker was heard, but did not answer the request in it), or what
    the broker said of a message that it could not read. Reported once; REEVE_ERR_OK
    otherwise. `text` is the broker's, "" if none, alive until the next alarm. */
reeve_error_t client_session_take_alarm(client_session_t *self, const char **text);

#endif
