/*  Asks the broker again and again on a thread of its own, so that the terminal is never kept waiting. */

#ifndef REEVE_CLIENT_TOP_FEED_H
#define REEVE_CLIENT_TOP_FEED_H

#include "client/top/layout.h"

typedef struct feed feed_t;

/*  Starts. Takes the handle over; its requests must be tried for ever. NULL when there is no thread
    to be had (errno); the handle is destroyed all the same. */
feed_t *feed_start(reeve_client_t **client, int64_t interval_ms);
/*  Ends what is being asked, and the thread. */
void feed_stop(feed_t **self);

/*  Readable when something new is there. */
int feed_fd(const feed_t *self);
/*  The newest sample, which is the caller's; NULL when there was none since the last call. */
sample_t *feed_take(feed_t *self);
/*  How it stands; `broker` is left alone. `text` lives until the next call. */
void feed_contact(feed_t *self, contact_t *contact);

/*  What is to be asked from now on, and how often. A change is acted on at once. */
void feed_set(feed_t *self, int64_t interval_ms, bool paused, bool with_dead);

#endif
