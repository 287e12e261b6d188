#include "broker/net/peers.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/mem.h"

void peers_init(peers_t *self, size_t limit)
{
    *self = (peers_t){.limit = limit};
}

void backlog_drop(backlog_t *backlog, size_t bytes)
{
    if (atomic_fetch_sub(backlog, bytes) == bytes)
        free(backlog);
}

void peers_forget(peers_t *self, peer_entry_t *peer)
{
    HASH_DELETE(hh_id, self->by_id, peer);
    HASH_DELETE(hh_handle, self->by_handle, peer);
    backlog_drop(peer->backlog, 1);
    free(peer->address);
    wire_fini(&peer->deliver.buffer);
    wire_fini(&peer->confirm.buffer);
    wire_fini(&peer->settled.buffer);
    wire_fini(&peer->revoke.buffer);
    free(peer);
}

void peers_fini(peers_t *self)
{
    peer_entry_t *peer, *next;
    HASH_ITER (hh_id, self->by_id, peer, next)
        peers_forget(self, peer);
}

peer_entry_t *peers_get(peers_t *self, slice_t routing_id, int64_t now_ms)
{
    peer_entry_t *peer;
    HASH_FIND(hh_id, self->by_id, routing_id.data, routing_id.size, peer);
    if (peer == NULL) {
        if (peers_count(self) >= self->limit || routing_id.size > ROUTING_ID_BYTES)
            return NULL;
        peer = mem_zalloc(sizeof *peer);
        peer->handle = ++self->last_handle;
        peer->id_size = routing_id.size;
        memcpy(peer->id, routing_id.data, routing_id.size);
        peer->backlog = mem_alloc(sizeof *peer->backlog);
        *peer->backlog = 1;
        HASH_ADD(hh_id, self->by_id, id, peer->id_size, peer);
        HASH_ADD(hh_handle, self->by_handle, handle, sizeof peer->handle, peer);
    }
    peer->last_seen_ms = now_ms;
    return peer;
}

peer_entry_t *peers_find(const peers_t *self, peer_t handle)
{
    peer_entry_t *peer;
    HASH_FIND(hh_handle, self->by_handle, &handle, sizeof handle, peer);
    return peer;
}

size_t peers_count(const peers_t *self)
{
    return HASH_CNT(hh_id, self->by_id);
}

void peers_expire(peers_t *self, int64_t before_ms, bool (*keep)(peer_t, void *), void *arg,
                  void (*gone)(peer_t, void *))
{
    peer_entry_t *peer, *next;
    HASH_ITER (hh_id, self->by_id, peer, next) {
        if (peer->last_seen_ms < before_ms && !peer->dirty && !keep(peer->handle, arg)) {
            gone(peer->handle, arg);
            peers_forget(self, peer);
        }
    }
}
