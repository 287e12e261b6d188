/*  The containers that reads fill. */

#include <stdlib.h>

#include "broker/store/store.h"
#include "common/mem.h"

loaded_t *page_add(page_t *page)
{
    if ((page->count & (page->count - 1)) == 0) /* grow at powers of two */
        page->items =
            mem_realloc(page->items, (page->count ? page->count * 2 : 1) * sizeof *page->items);
    loaded_t *loaded = &page->items[page->count++];
    *loaded = (loaded_t){0};
    return loaded;
}

void page_fini(page_t *page)
{
    for (size_t i = 0; i < page->count; i++)
        loaded_fini(&page->items[i]);
    free(page->items);
    *page = (page_t){0};
}

void biography_fini(biography_t *biography)
{
    loaded_fini(&biography->task);
    for (size_t i = 0; i < biography->attempt_count; i++)
        outcome_unref(&biography->attempts[i]);
    free(biography->attempts);
    *biography = (biography_t){0};
}
