/*  What the broker was told: flags over REEVE_… environment over a ZPL file over defaults. */

#ifndef REEVE_BROKER_CONFIG_H
#define REEVE_BROKER_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "broker/core/policy.h"
#include "common/log.h"

typedef struct config {
    char *file; /* NULL: none */
    char **bind;
    size_t bind_count;
    char *db, *http; /* http "off": none */
    log_format_t log_format;
    log_level_t log_level;
    char *log_to;          /* "stderr", "journal" or a file */
    int64_t log_task_rate; /* lines about single tasks in a second */
    int64_t heartbeat_ms, liveness_ms, grace_ms, mdp_liveness_ms, mdp_timeout_ms;
    int64_t disk_reserve_bytes, max_queues;
    policy_t defaults;
    named_policy_t *queues;
    size_t queue_count;
    bool check_only, restored;
} config_t;

/*  What config_load found. */
typedef enum config_result {
    CONFIG_OK,
    CONFIG_DONE,  /* --help or --version was asked and printed */
    CONFIG_USAGE, /* a bad flag */
    CONFIG_BAD,   /* a bad file, key or value */
} config_result_t;

/*  Reads all sources; on failure `problem` is one line naming the flag, variable or file and key.
    config_fini in any case. */
config_result_t config_load(config_t *self, int argc, char **argv, char *problem, size_t size);
void config_fini(config_t *self);

enum { CONFIG_KEYS_SIZE = 256 };
/*  The keys in which a fresh reading differs from what the broker runs with, of those that a reload does not
    take over, as one line; empty when there are none. */
void config_restart_keys(const config_t *self, const config_t *fresh, char keys[CONFIG_KEYS_SIZE]);

/*  Prints what was understood, in the file's own form. */
void config_print(const config_t *self, FILE *out);

#endif
