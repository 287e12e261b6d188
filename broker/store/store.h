/*  Durability behind one seam: what the writer thread asks of a store.

    A store is used by one thread at a time, but for `sync`. Work happens between `begin` and `commit`; reads
    see the uncommitted writes of the same transaction. After any function but `find` and its kin failed, the
    store must not be used except for `error` and `close`: the broker stops (docs/guarantees.md, 7). */

#ifndef REEVE_BROKER_STORE_STORE_H
#define REEVE_BROKER_STORE_STORE_H

#include "broker/core/record.h"

enum { STORE_OK = 0, STORE_FAILED = -1 };

typedef struct store store_t;

/*  What a store holds when it is opened, for the core's recovery. */
typedef struct store_recovery {
    void *arg;
    void (*queue)(const stored_queue_t *queue, void *arg);
    void (*lease)(loaded_t *loaded, void *arg); /* takes the contents over */
} store_recovery_t;

/*  Facts about the database that outlive a broker. */
typedef struct store_identity {
    uint64_t epoch;        /* how many brokers have opened it, this one included */
    uint8_t token_key[16]; /* wire/token.h */
    uint64_t id_seed;      /* of id hashes */
    uint64_t next_seq;     /* greater than every sequence number ever used */
    uint32_t next_queue_id;
    char broker_id[37];
} store_identity_t;

/*  One page of tasks. Zero-initialise; page_fini frees. */
typedef struct page {
    loaded_t *items;
    size_t count;
    bool more;
    uint64_t next;   /* cursor of dead-letter pages; 0 at the end */
    int64_t next_ms; /* `due`: when to ask again; INT64_MAX never */
} page_t;

loaded_t *page_add(page_t *page);
void page_fini(page_t *page);

/*  Dead letters are listed by queue, the oldest first; cursors are such keys. */
static inline uint64_t dead_key(const record_t *record)
{
    return key_of(record->queue_id, 15, record->seq);
}

/*  One task with its whole history. */
typedef struct biography {
    loaded_t task;
    bool found;
    outcome_t **attempts; /* those that did not end in success, oldest first */
    size_t attempt_count;
} biography_t;

void biography_fini(biography_t *biography);

typedef struct store_ops {
    const store_identity_t *(*identity)(const store_t *store);
    /*  Calls back for every queue, then for every lease. Once, before the first begin. */
    int (*recover)(store_t *store, const store_recovery_t *recovery);
    int (*begin)(store_t *store);
    /*  Writes one move of one task; what `change` points to is borrowed until commit. To remove an
        ended task that `maintain` has removed already is no error: the two may cross. */
    int (*apply)(store_t *store, const change_t *change);
    /*  Ends the transaction: the next ones see it whole. It may still be undone by a power cut, together
        with all that came after it. */
    int (*commit)(store_t *store);
    /*  Makes durable what was committed before the call; returns when it is (fsync done). One thread at a
        time, while another may be in the next transaction. */
    int (*sync)(store_t *store);
    /*  Reads. Inside begin … commit. Of large bodies a page holds fewer: it ends with the one that makes it
        more than LIMIT_WINDOW_BYTES. `due` has two such pages, of what is scheduled and what expires. */
    int (*find)(store_t *store, slice_t id, page_t *out); /* 0 or 1 items */
    int (*load)(store_t *store, uint32_t queue_id, uint64_t after, page_t *out);
    int (*due)(store_t *store, int64_t until_ms, page_t *out);
    int (*dead)(store_t *store, uint32_t queue_id, uint64_t after, size_t limit, page_t *out);
    int (*biography)(store_t *store, slice_t id, biography_t *out);
    /*  How many waiting tasks of its queue run before this one; counts no further than `limit`. */
    int (*count_ahead)(store_t *store, const record_t *record, size_t limit, size_t *count);
    /*  Does up to `budget` small steps of housekeeping inside begin … commit: removes ended tasks
        whose retention was over at now_ms, keeps the indexes tidy. *more: there is more to do. */
    int (*maintain)(store_t *store, int64_t now_ms, int budget, bool *more);
    /*  What the id filter must learn since the last call; the caller takes it; NULL: nothing. */
    struct id_update *(*id_update)(store_t *store);
    /*  What failed, for people. Valid until the next call. Any thread that has seen the failure. */
    const char *(*error)(const store_t *store);
    void (*close)(store_t **store);
} store_ops_t;

struct store {
    const store_ops_t *ops;
};

#endif
