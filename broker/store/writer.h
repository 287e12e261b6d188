/*  The writer thread: group commit.

    The reactor hands over batches of requests; the writer takes everything that has queued up, does
    it in one transaction with one sync, and gives the batches back with their answers. While the disk
    syncs, on a second thread, the next transaction is written; one sync makes all durable that was
    written before it. So batches grow with load and a lone task never waits for company. A batch comes
    back only when all its changes are durable, and all that it may have read. */

#ifndef REEVE_BROKER_STORE_WRITER_H
#define REEVE_BROKER_STORE_WRITER_H

#include "broker/core/effect.h"
#include "broker/store/id_filter.h"
#include "broker/store/store.h"

typedef enum request_kind {
    REQUEST_EFFECT,    /* a store effect of the core */
    REQUEST_BIOGRAPHY, /* one task with its history */
    REQUEST_DEAD_LIST, /* a page of dead letters to show */
} request_kind_t;

/*  A question, and what was read. */
typedef struct inquiry {
    peer_t peer; /* BIOGRAPHY, DEAD_LIST: who asked */
    uint64_t corr;
    int purpose; /* the asker's own mark */
    char *id;    /* BIOGRAPHY; owned */
    uint32_t queue_id;
    uint64_t after;
    size_t limit;          /* DEAD_LIST: rows; BIOGRAPHY: how far to count what is ahead */
    size_t ahead;          /* the answer: BIOGRAPHY of a waiting task */
    page_t page;           /* the answer: effects that read, DEAD_LIST */
    biography_t biography; /* the answer */
} inquiry_t;

/*  Nearly all are changes, thousands in a batch, which go from one core's cache to another's: kept small. */
typedef struct request {
    request_kind_t kind;
    uint32_t earlier; /* the request before this one about a task that has begun in this batch */
    bool skipped;     /* the task has begun and ended in this batch, and is not kept: not written */
    bool put_off;     /* the transaction had read enough before: to be asked again */
    effect_t effect;  /* EFFECT; owned */
    inquiry_t
        *inquiry; /* owned; NULL where nothing is read; of an EFFECT it is made by the writer */
} request_t;

typedef struct batch {
    uint64_t number; /* the giver's */
    request_t *items;
    size_t count, capacity;
    uint64_t changes; /* how many of the items are changes */
    size_t bytes;     /* bodies and results in them */
    bool urgent;      /* somebody waits for one of the items */
    int64_t since_ms; /* of the first item, by the giver's clock */
    id_update_t *ids; /* for the id filter; NULL mostly; the receiver takes it */
    bool failed;      /* the store failed; nothing of this batch may be believed */
    /* In the last batch of a transaction, else 0: when it began, how long it took until it was durable, and
       all its changes. */
    int64_t start_us, commit_us;
    uint64_t transaction_changes;
    struct batch *next;
} batch_t;

batch_t *batch_new(void);
/*  A new zeroed request at the end, with an inquiry unless it is an EFFECT; valid until the next call. */
request_t *batch_add(batch_t *batch, request_kind_t kind);
void batch_destroy(batch_t **batch);

/*  Batches in their order. */
typedef struct batch_list {
    batch_t *first, **end;
} batch_list_t;

void batch_list_init(batch_list_t *list);
/*  Appends the batch and those behind it; NULL: none. */
void batch_list_add(batch_list_t *list, batch_t *batches);
/*  All of them; the list is empty then. */
batch_t *batch_list_take(batch_list_t *list);

typedef struct writer writer_t;

/*  Starts the threads on a store, which they use alone from now on. Finished batches are announced on
    the eventfd `notify_fd`. */
writer_t *writer_start(store_t *store, int notify_fd);
/*  Takes the batch. Reactor thread; never blocks on disk. */
void writer_submit(writer_t *self, batch_t **batch);
/*  The next finished batch in order, or NULL. Reactor thread. */
batch_t *writer_collect(writer_t *self);
/*  Finishes what was submitted, then ends the threads; uncollected batches are destroyed. */
void writer_stop(writer_t **self);

#endif
