#include "broker/core/outbox.h"

#include <stdlib.h>

#include "common/mem.h"

static void grow(outbox_t *self)
{
    size_t capacity = self->capacity ? self->capacity * 2 : 256;
    held_effect_t *ring = mem_alloc(capacity * sizeof *ring);
    for (size_t i = 0; i < self->count; i++)
        ring[i] = self->ring[(self->head + i) & (self->capacity - 1)];
    free(self->ring);
    self->ring = ring;
    self->head = 0;
    self->capacity = capacity;
}

effect_t *outbox_add(outbox_t *self, uint64_t after, effect_kind_t kind)
{
    if (self->count == self->capacity)
        grow(self);
    held_effect_t *held = &self->ring[(self->head + self->count++) & (self->capacity - 1)];
    memset(&held->effect, 0, sizeof held->effect);
    held->after = after;
    held->effect.kind = kind;
    self->revocations += kind == EFFECT_REVOKE;
    return &held->effect;
}

/*  `held`: of a revocation, the attempt that it is about. */
static void drop(outbox_t *self, effect_kind_t kind, peer_t peer, const held_t *held)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->count; i++) {
        held_effect_t *from = &self->ring[(self->head + i) & (self->capacity - 1)];
        effect_t *effect = &from->effect;
        if (effect->kind == kind && effect->peer == peer &&
            (held == NULL ||
             (effect->revoke.seq == held->seq && effect->revoke.attempt == held->attempt))) {
            self->revocations -= kind == EFFECT_REVOKE;
            effect_fini(effect);
            continue;
        }
        self->ring[(self->head + kept++) & (self->capacity - 1)] = *from;
    }
    self->count = kept;
}

void outbox_drop_revoke(outbox_t *self, peer_t peer, const held_t *held)
{
    if (self->revocations > 0)
        drop(self, EFFECT_REVOKE, peer, held);
}

void outbox_drop_deliveries(outbox_t *self, peer_t peer)
{
    drop(self, EFFECT_DELIVER, peer, NULL);
}

void outbox_release(outbox_t *self, uint64_t durable, effects_t *out)
{
    while (self->count > 0 && self->ring[self->head].after <= durable) {
        effect_t *effect = &self->ring[self->head].effect;
        *effects_add(out, effect->kind) = *effect;
        self->revocations -= effect->kind == EFFECT_REVOKE;
        self->head = (self->head + 1) & (self->capacity - 1);
        self->count--;
    }
}

void outbox_fini(outbox_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        effect_fini(&self->ring[(self->head + i) & (self->capacity - 1)].effect);
    free(self->ring);
    *self = (outbox_t){0};
}
