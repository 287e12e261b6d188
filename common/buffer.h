/*  Bytes that become more: what log lines and log records are put together in. */

#ifndef REEVE_COMMON_BUFFER_H
#define REEVE_COMMON_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"

/*  Zero-initialise; the owner frees `data`. */
typedef struct buffer {
    uint8_t *data;
    size_t size, capacity;
} buffer_t;

/*  Room for so many bytes behind what is there. Valid until the next call. */
static inline uint8_t *buffer_reserve(buffer_t *self, size_t size)
{
    enum { FIRST = 512 };
    if (self->capacity - self->size < size) {
        self->capacity = (self->size + size) * 2 + FIRST;
        self->data = mem_realloc(self->data, self->capacity);
    }
    return self->data + self->size;
}

/*  Makes it longer by so many bytes, which the caller writes. Valid until the next call. */
static inline uint8_t *buffer_extend(buffer_t *self, size_t size)
{
    uint8_t *at = buffer_reserve(self, size);
    self->size += size;
    return at;
}

#endif
