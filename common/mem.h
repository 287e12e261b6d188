/*  Allocation that does not return NULL.
    A broker out of memory stops (EX_OSERR): all that it confirmed is on disk, and a half-applied
    step would be worse than a restart. */

#ifndef REEVE_COMMON_MEM_H
#define REEVE_COMMON_MEM_H

#include <stddef.h>

/*  All: memory for `size` bytes; the caller frees it with free(). Any thread.
    On exhaustion one line goes to stderr and the process exits with EX_OSERR. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *memory, size_t size);
char *mem_strdup(const char *string);
/*  A NUL-terminated copy of `size` bytes. */
char *mem_strndup(const void *bytes, size_t size);

/*  The array with room for the item at `index`: where *capacity items are too few, as many as are needed
    or twice as many, with zeros behind those that were there. */
void *mem_longer(void *items, size_t *capacity, size_t index, size_t item_size);
static inline void *mem_room(void *items, size_t *capacity, size_t index, size_t item_size)
{
    return index < *capacity ? items : mem_longer(items, capacity, index, item_size);
}

#endif
