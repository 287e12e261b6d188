/*  What must hold of every task of a self test once all is healed and the queues are empty. These
    rules restate the contract from outside: they share no code with the broker. */

#ifndef REEVE_CLIENT_SELFTEST_ORACLE_H
#define REEVE_CLIENT_SELFTEST_ORACLE_H

#include "client/selftest/story.h"

/*  X (symbol, name, rule) */
#define ORACLE_RULES(X)                                                                            \
    X(ANSWERED, "unanswered", "every submission and every wait is answered in the end")            \
    X(KEPT, "lost", "what was confirmed is known and has ended")                                   \
    X(END, "wrong_end", "it ended as it had to, with the right reason")                            \
    X(RESULT, "wrong_result", "its result is that of an attempt that ran and counts")              \
    X(ONCE, "given_twice", "no attempt was given out twice")                                       \
    X(FENCED, "ran_after_end", "no attempt was made after the one that ended it")                  \
    X(SETTLED, "settled_lost", "what a worker was told is settled counts")                         \
    X(HISTORY, "untrue_history", "each settled attempt that the broker tells of was made")         \
    X(RETRIES, "too_many_failures", "failures are at most max_retries + 1")                        \
    X(DEAD, "wrong_dead_letter", "the dead letters are exactly the tasks that failed")             \
    X(DUPLICATE, "not_a_duplicate", "submitted again it was a duplicate")                          \
    X(CONFLICT, "conflict_taken", "other content under its id was refused")                        \
    X(REFUSED, "refused", "nothing was refused without need")                                      \
    X(OUTCOME, "untrue_outcome", "who waited was told what is stored")                             \
    X(CANCELLED, "uncancelled", "what was answered as cancelled is cancelled")                     \
    X(REPLY, "wrong_reply", "a Majordomo reply is that of an attempt that ran")

typedef enum oracle_rule {
#define X(symbol, name, rule) RULE_##symbol,
    ORACLE_RULES(X)
#undef X
        RULES
} oracle_rule_t;

enum { ORACLE_EXAMPLES = 3 };

typedef struct verdict {
    uint64_t broken[RULES];
    const task_t *examples[RULES][ORACLE_EXAMPLES];
    /*  For the report. */
    uint64_t submitted, confirmed, ended[REEVE_STATE_EXPIRED + 1], attempts, redelivered,
        duplicates, conflicts, asked, replied, quarantined;
} verdict_t;

/*  Judges a task whose document is there. Returns whether a rule is broken. */
bool oracle_judge(const task_t *task, verdict_t *verdict);
bool oracle_is_content(const verdict_t *verdict);
const char *oracle_rule_name(oracle_rule_t rule);
const char *oracle_rule_text(oracle_rule_t rule);

#endif
