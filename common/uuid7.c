#include "common/uuid7.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

/*  The layout after the 48 bits of time and the version (RFC 9562, section 6.2, method 1):
    rand_a and the first 14 bits of rand_b are a counter of 26 bits, which starts each millisecond
    at a random value below half its range; the last 48 bits of rand_b are random in every id.

    State: random_high = a key of 38 bits (fixed by the seed), then the counter of 26 bits;
    random_low = the state of a splitmix64 generator (Steele, Lea and Flood, 2014). A system call
    for each id would cost more than all the rest; ids must be unique, they are no secrets. */
enum { COUNTER_BITS = 26, COUNTER_LOW_BITS = 14, TIME_BITS = 48, RANDOM_BITS = 48 };

static const uint64_t counter_mask = (UINT64_C(1) << COUNTER_BITS) - 1;
static const int64_t time_max = (INT64_C(1) << TIME_BITS) - 1;

static uint64_t next_random(uuid7_t *self)
{
    uint64_t z = self->random_low += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    /* The key keeps two generators apart that happen to reach the same state. */
    return z ^ z >> 31 ^ (self->random_high & ~counter_mask);
}

static void set_counter(uuid7_t *self, uint64_t counter)
{
    self->random_high = (self->random_high & ~counter_mask) | counter;
}

void uuid7_init(uuid7_t *self)
{
    uint64_t seed[2];
    ssize_t size;
    do
        size = getrandom(seed, sizeof seed, 0);
    while (size == -1 && errno == EINTR);
    assert(size == (ssize_t)sizeof seed);
    *self = (uuid7_t){.last_ms = -1, .random_high = seed[0], .random_low = seed[1]};
}

/*  Moves to the place of the next id: a later millisecond, or the next count within the last one.
    A counter that is used up borrows from the future, as the RFC allows. */
static void advance(uuid7_t *self, int64_t now_ms)
{
    if (now_ms > time_max)
        now_ms = time_max;
    if (now_ms < 0)
        now_ms = 0;
    uint64_t counter = (self->random_high & counter_mask) + 1;
    if (now_ms > self->last_ms)
        self->last_ms = now_ms;
    else if (counter <= counter_mask) {
        set_counter(self, counter);
        return;
    } else
        self->last_ms++;
    set_counter(self, next_random(self) & counter_mask >> 1);
}

static char *put_hex(char *text, uint64_t value, int digits)
{
    while (digits-- > 0)
        *text++ = "0123456789abcdef"[value >> 4 * digits & 15];
    return text;
}

void uuid7_next(uuid7_t *self, int64_t now_ms, char text[UUID7_TEXT_SIZE])
{
    advance(self, now_ms);
    uint64_t time = (uint64_t)self->last_ms;
    uint64_t counter = self->random_high & counter_mask;
    uint64_t low_mask = (UINT64_C(1) << COUNTER_LOW_BITS) - 1;

    text = put_hex(text, time >> 16, 8);
    *text++ = '-';
    text = put_hex(text, time & 0xffff, 4);
    *text++ = '-';
    text = put_hex(text, UINT64_C(7) << 12 | counter >> COUNTER_LOW_BITS, 4);
    *text++ = '-';
    text = put_hex(text, UINT64_C(2) << 14 | (counter & low_mask), 4);
    *text++ = '-';
    text = put_hex(text, next_random(self) >> (64 - RANDOM_BITS), 12);
    *text = '\0';
}
