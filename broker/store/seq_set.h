/*  A compact set of sequence numbers, filled in ascending order: which tasks still exist. */

#ifndef REEVE_BROKER_STORE_SEQ_SET_H
#define REEVE_BROKER_STORE_SEQ_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  Two bytes for a lone seq, down to an eighth of a byte where they are dense. One thread. */
typedef struct seq_set seq_set_t;

seq_set_t *seq_set_new(void);
void seq_set_destroy(seq_set_t **self_p);

/*  `seq` must be higher than all before. */
void seq_set_append(seq_set_t *self, uint64_t seq);
bool seq_set_has(const seq_set_t *self, uint64_t seq);
/*  About how many are in [from, to]; exact for whole multiples of 65,536. */
uint64_t seq_set_count(const seq_set_t *self, uint64_t from, uint64_t to);

#endif
