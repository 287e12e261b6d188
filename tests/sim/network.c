#include "tests/sim/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/sim/host.h"

enum {
    HIGH_WATER = 200, /* messages that a peer may leave unread */
    LONG_DELAY_MS = 8000,
    RETRY_MS = 150, /* a DEALER tries again to reach a broker that is down */
};

struct network {
    sim_t *sim;
    link_t **links, **by_handle;
    size_t link_count, handle_count;
};

typedef struct packet {
    link_t *link;
    uint64_t generation;
    bool to_broker;
    message_t message;
} packet_t;

network_t *network_new(sim_t *sim)
{
    network_t *self = mem_zalloc(sizeof *self);
    self->sim = sim;
    return self;
}

void network_destroy(network_t **self_p)
{
    network_t *self = *self_p;
    for (size_t i = 0; i < self->link_count; i++)
        free(self->links[i]);
    free(self->links);
    free(self->by_handle);
    free(self);
    *self_p = NULL;
}

link_t *link_open(sim_t *sim, const char *name, void *owner,
                  void (*receive)(void *, const message_t *))
{
    network_t *network = sim->network;
    link_t *self = mem_zalloc(sizeof *self);
    *self = (link_t){.sim = sim, .owner = owner, .receive = receive};
    snprintf(self->name, sizeof self->name, "%s", name);
    network->links =
        mem_realloc(network->links, (network->link_count + 1) * sizeof *network->links);
    network->links[network->link_count++] = self;
    return self;
}

void link_close(link_t *self)
{
    if (self)
        self->closed = true;
}

void link_cut(link_t *self)
{
    self->generation++;
    self->handle = 0;
    self->unread = 0;
}

void network_cut_all(network_t *self)
{
    for (size_t i = 0; i < self->link_count; i++)
        link_cut(self->links[i]);
}

static uint64_t handle_of(link_t *link)
{
    network_t *network = link->sim->network;
    if (link->handle == 0) {
        network->by_handle = mem_realloc(network->by_handle,
                                         (network->handle_count + 1) * sizeof *network->by_handle);
        network->by_handle[network->handle_count++] = link;
        link->handle = network->handle_count;
    }
    return link->handle;
}

const char *network_name(const network_t *self, uint64_t handle)
{
    return self->by_handle[handle - 1]->name;
}

/* ---- packets -------------------------------------------------------------------------------- */

static void arrive(void *who, uint64_t tag)
{
    packet_t *packet = who;
    link_t *link = packet->link;
    sim_t *sim = link->sim;
    (void)tag;
    if (packet->generation != link->generation || (link->closed && !packet->to_broker)) {
        free(packet);
    } else if (packet->to_broker && !host_is_up(sim->host)) {
        sim_after(sim, RETRY_MS, arrive, packet, 0);
    } else if (packet->to_broker) {
        host_receive(sim->host, handle_of(link), &packet->message);
        free(packet);
    } else {
        if (link->deaf)
            link->unread++;
        else
            link->receive(link->owner, &packet->message);
        free(packet);
    }
}

/*  When a message sent now arrives: behind those sent before, unless it overtakes them. */
static int64_t arrival_ms(sim_t *sim, int64_t *last_ms)
{
    int64_t at_ms = sim->now_ms + dice_between(&sim->dice, 0, sim->plan.delay_max_ms);
    if (sim_fault(sim, sim->plan.delayed))
        at_ms += dice_between(&sim->dice, 0, LONG_DELAY_MS);
    if (sim_fault(sim, sim->plan.reordered))
        return at_ms + dice_between(&sim->dice, 0, 300);
    if (at_ms < *last_ms)
        at_ms = *last_ms;
    *last_ms = at_ms;
    return at_ms;
}

static void post(link_t *link, bool to_broker, const message_t *message)
{
    sim_t *sim = link->sim;
    sim->counts.messages++;
    if (sim_fault(sim, sim->plan.lost))
        return;
    int copies = sim_fault(sim, sim->plan.duplicated) ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        packet_t *packet = mem_alloc(sizeof *packet);
        *packet = (packet_t){link, link->generation, to_broker, {0}};
        message_copy(&packet->message, message);
        int64_t at_ms = arrival_ms(sim, to_broker ? &link->last_in_ms : &link->last_out_ms);
        timeline_at(&sim->timeline, at_ms, arrive, packet, 0);
    }
    if (sim_fault(sim, sim->plan.cut)) {
        sim_tell(sim, "the connection of %s breaks", link->name);
        link_cut(link);
    }
}

void link_send(link_t *self, const message_t *message)
{
    if (!self->closed)
        post(self, true, message);
}

bool network_answer(network_t *self, uint64_t handle, const message_t *message)
{
    link_t *link = self->by_handle[handle - 1];
    if (link->closed || link->handle != handle)
        return false;
    if (link->unread > HIGH_WATER) /* a Majordomo worker that is busy reads no heartbeats */
        return message->protocol != SPEAKS_REEVE && message->kind == MSG_BEAT;
    post(link, false, message);
    return true;
}
