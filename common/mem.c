#include "common/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static void *checked(void *memory, size_t size)
{
    if (memory == NULL) {
        fprintf(stderr, "reeve: out of memory asking for %zu bytes\n", size);
        _exit(EX_OSERR);
    }
    return memory;
}

void *mem_alloc(size_t size)
{
    return checked(malloc(size ? size : 1), size);
}

void *mem_zalloc(size_t size)
{
    return checked(calloc(1, size ? size : 1), size);
}

void *mem_realloc(void *memory, size_t size)
{
    return checked(realloc(memory, size ? size : 1), size);
}

char *mem_strdup(const char *string)
{
    return mem_strndup(string, strlen(string));
}

char *mem_strndup(const void *bytes, size_t size)
{
    char *copy = mem_alloc(size + 1);
    if (size)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

void *mem_longer(void *items, size_t *capacity, size_t index, size_t item_size)
{
    size_t before = *capacity, after = before ? before * 2 : 64;
    if (after <= index)
        after = index + 1;
    items = mem_realloc(items, after * item_size);
    memset((char *)items + before * item_size, 0, (after - before) * item_size);
    *capacity = after;
    return items;
}
