#include "broker/core/effect.h"

#include <stdlib.h>

#include "common/mem.h"

effect_t *effects_add(effects_t *self, effect_kind_t kind)
{
    self->items = mem_room(self->items, &self->capacity, self->count, sizeof *self->items);
    effect_t *effect = &self->items[self->count++];
    memset(effect, 0, sizeof *effect);
    effect->kind = kind;
    return effect;
}

void effect_fini(effect_t *effect)
{
    switch (effect->kind) {
    case EFFECT_CHANGE:
        change_fini(&effect->change);
        break;
    case EFFECT_FIND:
        free(effect->find.id);
        break;
    case EFFECT_OUTCOME:
    case EFFECT_REPLY:
        record_unref(&effect->outcome.record);
        outcome_unref(&effect->outcome.outcome);
        break;
    case EFFECT_DELIVER:
        record_unref(&effect->deliver.record);
        break;
    case EFFECT_NOTE:
        free(effect->note.worker);
        record_unref(&effect->note.record);
        break;
    default:
        break;
    }
}

void effects_clear(effects_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        effect_fini(&self->items[i]);
    self->count = 0;
}

void effects_fini(effects_t *self)
{
    effects_clear(self);
    free(self->items);
    *self = (effects_t){0};
}
