#include "broker/net/peers.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <utlist.h>

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

/*  Out of the list that it is in. */
static void take_out(peers_t *self, peer_entry_t *peer)
{
    if (peer->leaving)
        DL_DELETE(self->leaving, peer);
    else
        DL_DELETE(self->present, peer);
}

void peers_forget(peers_t *self, peer_entry_t *peer)
{
    take_out(self, peer);
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

static peer_entry_t *peer_new(peers_t *self, slice_t routing_id)
{
    peer_entry_t *peer = mem_zalloc(sizeof *peer);
    assert(routing_id.size <= ROUTING_ID_BYTES);
    peer->handle = ++self->last_handle;
    peer->id_size = routing_id.size;
    memcpy(peer->id, routing_id.data, routing_id.size);
    peer->backlog = mem_alloc(sizeof *peer->backlog);
    *peer->backlog = 1;
    HASH_ADD(hh_id, self->by_id, id, peer->id_size, peer);
    HASH_ADD(hh_handle, self->by_handle, handle, sizeof peer->handle, peer);
    return peer;
}

peer_entry_t *peers_get(peers_t *self, slice_t routing_id, int64_t now_ms)
{
    peer_entry_t *peer;
    HASH_FIND(hh_id, self->by_id, routing_id.data, routing_id.size, peer);
    if (peer == NULL)
        peer = peer_new(self, routing_id);
    else
        take_out(self, peer);
    peer->leaving = false;
    peer->last_seen_ms = now_ms;
    DL_APPEND(self->present, peer);
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

void peers_leave(peers_t *self, peer_entry_t *peer, uint64_t batch)
{
    take_out(self, peer);
    peer->leaving = true;
    peer->leaves_after = batch;
    DL_APPEND(self->leaving, peer);
}

void peers_see_off(peers_t *self, uint64_t answered_batch)
{
    while (self->leaving && self->leaving->leaves_after <= answered_batch)
        peers_forget(self, self->leaving);
}

static void forget_unless_kept(peers_t *self, peer_entry_t *peer, const peers_rule_t *rule)
{
    if (peer->dirty || rule->keep(peer->handle, rule->arg))
        return;
    rule->gone(peer->handle, rule->arg);
    peers_forget(self, peer);
}

void peers_expire(peers_t *self, int64_t before_ms, const peers_rule_t *rule)
{
    for (peer_entry_t *peer = self->present, *next; peer && peer->last_seen_ms < before_ms;
         peer = next) {
        next = peer->next;
        forget_unless_kept(self, peer, rule);
    }
}

bool peers_make_room(peers_t *self, const peers_rule_t *rule)
{
    for (peer_entry_t *peer = self->present, *next; peer->next && peers_count(self) > self->limit;
         peer = next) {
        next = peer->next;
        forget_unless_kept(self, peer, rule);
    }
    return peers_count(self) <= self->limit;
}
