/*  Eight bytes of text at a time, as one word. */

#ifndef REEVE_COMMON_WORD_H
#define REEVE_COMMON_WORD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define EACH_BYTE(b) (0x0101010101010101u * (uint64_t)(b))

static inline uint64_t word_load(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/*  Flags: the top bit of at least one byte is set where there is a byte that is what the name says, or one
    that is not ASCII. A borrow can only come out of a byte that is such itself. Other bits mean nothing. */

static inline uint64_t word_equal(uint64_t word, uint8_t byte)
{
    return word | ((word ^ EACH_BYTE(byte)) - EACH_BYTE(1));
}

static inline uint64_t word_below(uint64_t word, uint8_t byte)
{
    return word | (word - EACH_BYTE(byte));
}

/*  What does not stand in a JSON string as it is: controls, quote, backslash. */
static inline uint64_t word_json_odd(uint64_t word)
{
    return word_below(word, ' ') | word_equal(word, '"') | word_equal(word, '\\');
}

static inline bool word_flagged(uint64_t flags)
{
    return (flags & EACH_BYTE(0x80)) != 0;
}

#endif
