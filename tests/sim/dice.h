/*  All chance in a simulation comes from one of these, seeded by the number that is printed. */

#ifndef REEVE_TESTS_SIM_DICE_H
#define REEVE_TESTS_SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct dice {
    uint64_t state;
} dice_t;

/*  xorshift64* (Vigna 2014): another family than the core's generator, so that the two never march
    in step. The state must not be 0. */
static inline uint64_t dice_next(dice_t *self)
{
    self->state ^= self->state >> 12;
    self->state ^= self->state << 25;
    self->state ^= self->state >> 27;
    return self->state * 0x2545f4914f6cdd1du;
}

static inline dice_t dice_new(uint64_t seed)
{
    dice_t self = {(seed + 1) * 0x9e3779b97f4a7c15u};
    if (self.state == 0)
        self.state = 1;
    for (int i = 0; i < 8; i++)
        dice_next(&self);
    return self;
}

/*  0 … bound - 1; 0 for a bound of 0. */
static inline uint64_t dice_below(dice_t *self, uint64_t bound)
{
    return bound ? (dice_next(self) >> 11) % bound : 0;
}

/*  low … high, both included. */
static inline int64_t dice_between(dice_t *self, int64_t low, int64_t high)
{
    return low + (int64_t)dice_below(self, (uint64_t)(high - low + 1));
}

/*  True `permille` times in a thousand. Draws even where the answer is certain, so that one changed
    rate does not shift all that follows. */
static inline bool dice_chance(dice_t *self, unsigned permille)
{
    return dice_below(self, 1000) < permille;
}

#endif
