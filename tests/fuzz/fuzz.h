/*  What fuzz targets share: checks, and reading an input as a sequence of choices.

    A target is a file with LLVMFuzzerTestOneInput. The preset "fuzz" links it with libFuzzer, all
    others with replay.c, which runs the inputs that it is given. */

#ifndef REEVE_TESTS_FUZZ_FUZZ_H
#define REEVE_TESTS_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "common/bytes.h"
#include "common/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*  Not assert: it says what was wrong in one line that a search of the log finds. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/*  Takes an input apart. At its end every choice is 0 and every text empty. */
typedef struct chooser {
    slice_t input;
    size_t at;
} chooser_t;

static inline bool choices_left(const chooser_t *self)
{
    return self->at < self->input.size;
}

static inline uint8_t choose_byte(chooser_t *self)
{
    return choices_left(self) ? self->input.data[self->at++] : 0;
}

/*  0 … count - 1. */
static inline size_t choose(chooser_t *self, size_t count)
{
    return choose_byte(self) % count;
}

/*  `bytes` bytes, little-endian. */
static inline uint64_t choose_number(chooser_t *self, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)choose_byte(self) << (8 * i);
    return value;
}

/*  The next `size` bytes, as far as there are. */
static inline slice_t choose_slice(chooser_t *self, size_t size)
{
    size_t left = self->input.size - self->at;
    if (left == 0)
        return slice(NULL, 0);
    slice_t bytes = slice(self->input.data + self->at, size < left ? size : left);
    self->at += bytes.size;
    return bytes;
}

/*  A size byte and as many bytes. */
static inline slice_t choose_bytes(chooser_t *self)
{
    return choose_slice(self, choose_byte(self));
}

static inline slice_t choose_rest(chooser_t *self)
{
    return choose_slice(self, SIZE_MAX);
}

/*  A copy in memory of exactly its size, so that the sanitizer sees a byte read past its end. */
static inline slice_t own_copy(slice_t bytes)
{
    uint8_t *copy = mem_alloc(bytes.size ? bytes.size : 1);
    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    return slice(copy, bytes.size);
}

#endif
