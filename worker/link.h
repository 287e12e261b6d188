/*  The worker's DEALER socket: connecting, replacing it by a fresh one, and a descriptor that stays
    the same meanwhile. */

#ifndef REEVE_WORKER_LINK_H
#define REEVE_WORKER_LINK_H

#include "common/bytes.h"

typedef struct link worker_link_t;

/*  NULL with errno: EINVAL when `endpoint` is not tcp://host:port or ipc://path, else what the system
    refused. Not connected yet. */
worker_link_t *worker_link_new(const char *endpoint);
/*  Waits up to linger_ms for what was sent to leave. */
void worker_link_destroy(worker_link_t **self, int linger_ms);

/*  Connects a new socket in place of the present one, whose unsent frames are dropped. The
   connection is made in the background and again as often as it breaks. False with errno as above. */
bool worker_link_open(worker_link_t *self);
void worker_link_close(worker_link_t *self);

/*  The next frame, valid until the next call; false when there is none now. Messages of more than
    one frame are not of our protocol and skipped. */
bool worker_link_receive(worker_link_t *self, slice_t *frame);

/*  False when the frame could not be taken; the connection is useless then. */
bool worker_link_send(worker_link_t *self, slice_t frame);

/*  Whether worker_link_receive would find something. Needed after sending: libzmq may have taken
   note of an arrival then, which the descriptor does not show any more. */
bool worker_link_readable(worker_link_t *self);

/*  Polls readable when worker_link_receive should be tried until it says false. */
int worker_link_fd(const worker_link_t *self);

#endif
