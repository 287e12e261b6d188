/*  The unconfirmed submissions of a client: a ring indexed by correlation number, so that each
    step of a task's way (add, send, send again, confirm) costs a constant time.

    Tasks are kept encoded and are copied into the frames that carry them, as often as needed.
    Correlation numbers grow by one per task, with gaps where other requests took a number. */

#ifndef REEVE_CLIENT_WINDOW_H
#define REEVE_CLIENT_WINDOW_H

#include "common/bytes.h"

typedef enum submission_phase {
    SUBMISSION_NONE,    /* the slot is free */
    SUBMISSION_PENDING, /* to be sent, or sent again */
    SUBMISSION_SENT,
} submission_phase_t;

typedef struct submission {
    char *block; /* the id, a NUL, and the task as an item of SUBMIT; one allocation */
    uint32_t id_size, task_size;
    void *user;
    int64_t sent_ms;
    submission_phase_t phase;
    bool wait;
} submission_t;

typedef struct client_window {
    submission_t *slots;
    size_t capacity;      /* a power of two, or 0 */
    uint64_t base, end;   /* every used slot is of a number in [base, end) */
    uint64_t cursor;      /* no pending one is below */
    size_t used, pending; /* submissions, and those of them to be sent */
    size_t bytes;         /* what their blocks take */
} client_window_t;

/*  Frees all. A zeroed struct is an empty window. */
void client_window_fini(client_window_t *self);

/*  Adds a pending submission; `corr` is above all earlier ones. `task` is copied. */
void client_window_add(client_window_t *self, uint64_t corr, slice_t id, slice_t task, bool wait,
                       void *user);

/*  The submission of that number, or NULL. Valid until the next add. */
submission_t *client_window_find(client_window_t *self, uint64_t corr);

/*  Forgets it; the caller then owns and frees its block. */
char *client_window_remove(client_window_t *self, uint64_t corr);

/*  A run of pending submissions with consecutive numbers, the first there is, of at most `limit`
    tasks and (unless it is one) `limit_bytes`. Returns its length; 0: nothing is pending. */
size_t client_window_run(client_window_t *self, size_t limit, size_t limit_bytes, uint64_t *first);

/*  Marks those of [first, first + count) that are still there as sent. */
void client_window_sent(client_window_t *self, uint64_t first, size_t count, int64_t now_ms);

/*  Makes pending again what was sent at or before `sent_ms` (INT64_MAX: all). */
void client_window_resend(client_window_t *self, int64_t sent_ms);

/*  The encoded task. */
static inline slice_t submission_task(const submission_t *submission)
{
    return slice(submission->block + submission->id_size + 1, submission->task_size);
}

#endif
