/*  What peers and the broker say to each other, in the terms of docs/protocol.md but without its
    bytes: one flat struct for all commands, so that the network can copy it. One task or settlement
    per message; batches are the codec's matter. */

#ifndef REEVE_TESTS_SIM_MESSAGE_H
#define REEVE_TESTS_SIM_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reeve/error.h"
#include "reeve/task.h"

typedef enum message_kind {
    /* from peers */
    MSG_HELLO,
    MSG_SUBMIT,
    MSG_WAIT,
    MSG_CANCEL,
    MSG_FORGET, /* Titanic's close */
    MSG_REDRIVE,
    MSG_PURGE,
    MSG_READY,
    MSG_SETTLE,
    MSG_HEARTBEAT,
    MSG_PREFETCH,
    MSG_EXTEND,
    MSG_PROGRESS,
    MSG_GOODBYE,
    /* from the broker */
    MSG_WELCOME,
    MSG_CONFIRM,
    MSG_ERROR,
    MSG_OUTCOME,
    MSG_DONE,
    MSG_DELIVER,
    MSG_SETTLED,
    MSG_REVOKE,
    MSG_REPLY, /* to a Majordomo client */
    MSG_BEAT,
    MSG_BYE, /* GOODBYE or DISCONNECT */
    MSG_KINDS
} message_kind_t;

typedef enum protocol { SPEAKS_REEVE, SPEAKS_MDP01, SPEAKS_MDP02 } protocol_t;

/*  What a task is, for those who compare repetitions. */
typedef struct content {
    char queue[8], name[12], body[48];
    unsigned priority;
    int max_retries; /* -1: the queue's */
    int64_t timeout_ms;
} content_t;

typedef enum word { SAYS_SUCCESS = 1, SAYS_FAILURE, SAYS_REJECT, SAYS_RELEASE } word_t;

enum { TOKEN_SIZE = 52, HELD_MAX = 32, QUEUES_MAX = 4, RESULT_SIZE = 40 };

typedef struct held_token {
    char token[TOKEN_SIZE];
    int64_t running_ms; /* -1: not started */
} held_token_t;

typedef struct message {
    message_kind_t kind;
    protocol_t protocol;
    uint64_t corr;
    char id[32];
    content_t content;                                        /* SUBMIT DELIVER */
    int64_t delay_ms, run_at_ms, expires_ms, backoff_ms;      /* SUBMIT */
    bool wait;                                                /* SUBMIT */
    char name[24];                                            /* READY */
    char queues[QUEUES_MAX][8];                               /* READY; REDRIVE and PURGE: first */
    unsigned queue_count, prefetch;                           /* READY PREFETCH */
    char token[TOKEN_SIZE];                                   /* about one attempt */
    word_t word;                                              /* SETTLE */
    char result[RESULT_SIZE];                                 /* SETTLE PROGRESS OUTCOME REPLY */
    char reason[20];                                          /* SETTLE OUTCOME */
    int64_t timeout_ms;                                       /* EXTEND DELIVER */
    uint64_t epoch;                                           /* WELCOME */
    bool duplicate, partial;                                  /* CONFIRM; OUTCOME REPLY */
    reeve_error_t error;                                      /* ERROR */
    int64_t retry_after_ms;                                   /* ERROR */
    reeve_state_t state;                                      /* OUTCOME DONE */
    unsigned attempt, failures, max_retries, attempts, cause; /* DELIVER OUTCOME REVOKE */
    uint64_t count;                                           /* DONE */
    unsigned held_count;                                      /* READY HEARTBEAT */
    held_token_t held[HELD_MAX];
} message_t;

/*  The message in words, in `text`. */
const char *message_words(const message_t *message, char *text, size_t size);
/*  A number that stands for all of it. */
uint64_t message_digest(const message_t *message, uint64_t so_far);
/*  Copies only the held tokens that are there. */
void message_copy(message_t *to, const message_t *from);

#endif
