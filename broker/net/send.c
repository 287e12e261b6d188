/*  Frames out through the ROUTER, never blocking. */

#include <errno.h>

#include "broker/net/inside.h"

static bool send_one(reactor_t *self, slice_t frame, int more)
{
    return zmq_send(self->router, frame.data, frame.size, ZMQ_DONTWAIT | more) >= 0;
}

bool send_to_id(reactor_t *self, slice_t routing_id, const slice_t *frames, size_t count)
{
    /* With ROUTER_MANDATORY a peer that is gone (EHOSTUNREACH) or does not read (EAGAIN) shows at the
       routing id, before anything was sent. */
    if (!send_one(self, routing_id, ZMQ_SNDMORE))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!send_one(self, frames[i], i + 1 < count ? ZMQ_SNDMORE : 0))
            return false;
    self->metrics.messages_out++;
    return true;
}

bool send_frames(reactor_t *self, const peer_entry_t *peer, const slice_t *frames, size_t count)
{
    if (send_to_id(self, slice(peer->id, peer->id_size), frames, count))
        return true;
    if (errno == EAGAIN)
        reactor_refuse(self, REFUSAL_SLOW_PEER, peer, "its queue is full");
    reactor_part(self, peer->handle, EVENT_PEER_GONE);
    return false;
}

void send_droppable(reactor_t *self, const peer_entry_t *peer, const slice_t *frames, size_t count)
{
    if (!send_to_id(self, slice(peer->id, peer->id_size), frames, count) && errno != EAGAIN)
        reactor_part(self, peer->handle, EVENT_PEER_GONE);
}
