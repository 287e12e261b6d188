#include "broker/store/carry_out.h"

int store_carry_out(store_t *store, const effect_t *effect, size_t dead_letters, page_t *page)
{
    const store_ops_t *ops = store->ops;
    switch (effect->kind) {
    case EFFECT_CHANGE:
        return ops->apply(store, &effect->change);
    case EFFECT_FIND:
        return ops->find(store, slice_str(effect->find.id), page);
    case EFFECT_LOAD:
        return ops->load(store, effect->load.queue_id, effect->load.after, page);
    case EFFECT_DUE:
        return ops->due(store, effect->due.until_ms, page);
    case EFFECT_DEAD:
        return ops->dead(store, effect->dead.queue_id, effect->dead.after, dead_letters, page);
    default:
        return STORE_OK;
    }
}

bool store_answer(const effect_t *effect, const page_t *page, event_t *event)
{
    *event = (event_t){0};
    switch (effect->kind) {
    case EFFECT_FIND:
        event->kind = EVENT_FOUND;
        event->found.ticket = effect->find.ticket;
        event->found.loaded = page->count ? page->items : NULL;
        return true;
    case EFFECT_LOAD:
        event->kind = EVENT_LOADED;
        event->loaded.queue_id = effect->load.queue_id;
        event->loaded.after = effect->load.after;
        event->loaded.loaded = page->items;
        event->loaded.count = page->count;
        event->loaded.more = page->more;
        return true;
    case EFFECT_DUE:
        event->kind = EVENT_DUE;
        event->due.loaded = page->items;
        event->due.count = page->count;
        event->due.next_ms = page->next_ms;
        return true;
    case EFFECT_DEAD:
        event->kind = EVENT_DEAD;
        event->dead_page.ticket = effect->dead.ticket;
        event->dead_page.loaded = page->items;
        event->dead_page.count = page->count;
        event->dead_page.next = page->next;
        return true;
    default:
        return false;
    }
}
