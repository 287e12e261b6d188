/*  Where the core and a store meet: effects become operations, pages become events. */

#ifndef REEVE_BROKER_STORE_CARRY_OUT_H
#define REEVE_BROKER_STORE_CARRY_OUT_H

#include "broker/core/effect.h"
#include "broker/store/store.h"

/*  Does what an EFFECT_CHANGE, FIND, LOAD, DUE or DEAD asks, inside begin … commit; what is read goes
    to `page`, of dead letters at most so many. Nothing for other kinds: when to sweep is the caller's affair. STORE_OK or
    STORE_FAILED. */
int store_carry_out(store_t *store, const effect_t *effect, size_t dead_letters, page_t *page);

/*  The event that tells the core what was read; it borrows from `page`. False when the effect has no
    answer. */
bool store_answer(const effect_t *effect, const page_t *page, event_t *event);

#endif
