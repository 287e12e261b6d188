/*  Frames out through the ROUTER, never blocking. ZeroMQ's queue to a peer is bounded in messages; here
    the bytes of large ones are counted until it calls back that it is done with them. */

#include <errno.h>
#include <stdlib.h>

#include "broker/net/inside.h"
#include "common/mem.h"

enum { LARGE_BYTES = 4096 };

typedef struct parcel {
    backlog_t *backlog;
    _Atomic size_t bytes; /* set last, read first: no other order is seen by ThreadSanitizer */
    uint8_t data[];
} parcel_t;

/*  In ZeroMQ's thread. */
static void let_go(void *data, void *hint)
{
    (void)data;
    parcel_t *parcel = hint;
    size_t bytes = parcel->bytes;
    backlog_drop(parcel->backlog, bytes);
    free(parcel);
}

/*  What a frame takes in ZeroMQ's queue. */
static size_t frame_bytes(slice_t frame)
{
    return sizeof(zmq_msg_t) + frame.size;
}

/*  `backlog`: where it counts, NULL nowhere. */
static bool send_one(reactor_t *self, slice_t frame, backlog_t *backlog, int flags)
{
    if (backlog == NULL)
        return zmq_send(self->router, frame.data, frame.size, flags) >= 0;
    parcel_t *parcel = mem_alloc(sizeof *parcel + frame.size);
    parcel->backlog = backlog;
    if (frame.size)
        memcpy(parcel->data, frame.data, frame.size);
    parcel->bytes = frame_bytes(frame);
    *backlog += frame_bytes(frame);
    zmq_msg_t message;
    if (zmq_msg_init_data(&message, parcel->data, frame.size, let_go, parcel) != 0) {
        let_go(parcel->data, parcel);
        return false;
    }
    bool sent = zmq_msg_send(&message, self->router, flags) >= 0;
    zmq_msg_close(&message); /* of one that was sent, an empty one is left */
    return sent;
}

static bool send_message(reactor_t *self, const peer_entry_t *peer, const slice_t *frames,
                         size_t count)
{
    if (*peer->backlog > LIMIT_PEER_BYTES) {
        errno = EAGAIN;
        return false;
    }
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += frame_bytes(frames[i]);
    backlog_t *backlog = bytes < LARGE_BYTES ? NULL : peer->backlog;
    /* With ROUTER_MANDATORY a peer that is gone (EHOSTUNREACH) or does not read (EAGAIN) shows at the
       routing id, before anything was sent. */
    if (!send_one(self, slice(peer->id, peer->id_size), NULL, ZMQ_DONTWAIT | ZMQ_SNDMORE))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!send_one(self, frames[i], backlog, ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0)))
            return false;
    self->metrics.messages_out++;
    return true;
}

bool send_frames(reactor_t *self, const peer_entry_t *peer, const slice_t *frames, size_t count)
{
    if (send_message(self, peer, frames, count))
        return true;
    if (errno == EAGAIN)
        reactor_refuse(self, REFUSAL_SLOW_PEER, peer, "its queue is full");
    reactor_part(self, peer->handle, EVENT_PEER_GONE);
    return false;
}

void send_droppable(reactor_t *self, const peer_entry_t *peer, const slice_t *frames, size_t count)
{
    if (!send_message(self, peer, frames, count) && errno != EAGAIN)
        reactor_part(self, peer->handle, EVENT_PEER_GONE);
}
