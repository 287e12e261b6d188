/*  The command line of reeve-worker. */

#ifndef REEVE_WORKER_OPTIONS_H
#define REEVE_WORKER_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "common/log.h"

/*  Commands at once. */
#define OPTIONS_CONCURRENCY_MAX 1000

/*  A command for the tasks of one name. */
typedef struct handler {
    char *task_name;
    const char *command; /* for /bin/sh -c */
} handler_t;

typedef struct options {
    const char **brokers; /* >= 1 */
    size_t broker_count;
    char **queues; /* NULL-terminated, >= 1 */
    size_t queue_count;
    handler_t *handlers;
    size_t handler_count;
    char *const *command; /* for all other tasks; NULL: none */
    const char *name;     /* NULL: made up */
    const char *http;     /* "ADDR:PORT" for health and metrics, or "off" */
    int64_t concurrency, prefetch, max_output;
    int64_t kill_after_ms, drain_timeout_ms;
    log_level_t log_level;
    log_format_t log_format;
    const char *log_to;
} options_t;

typedef enum options_wish {
    OPTIONS_RUN,
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_WRONG, /* `problem` says why, naming the flag */
} options_wish_t;

/*  Reads the command line; strings point into argv where they can. `options` is to be given to
    options_fini in every case. */
options_wish_t options_parse(int argc, char **argv, options_t *options, char *problem,
                             size_t problem_size);
void options_fini(options_t *options);

extern const char options_help[];

#endif
