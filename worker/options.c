#include "worker/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/endpoint.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/parse.h"

const char options_help[] =
    "Usage: reeve-worker [OPTION]... --queue NAME[,NAME]... [--] [COMMAND [ARGUMENT]...]\n"
    "Takes tasks of these queues from a reeve-broker and runs a command for each: the task's JSON\n"
    "document on stdin, the result on stdout. Exit 0: success; 75: try again; 65: reject.\n"
    "\n"
    "  -b, --broker ENDPOINT     tcp://HOST:PORT or ipc://PATH; again for another broker\n"
    "                            (default: $REEVE_BROKER, else " ENDPOINT_DEFAULT ")\n"
    "  -q, --queue NAME[,NAME]   queues to serve; may be repeated\n"
    "  -t, --task NAME=COMMAND   run COMMAND with /bin/sh -c for tasks named NAME; repeatable\n"
    "  -c, --concurrency N       commands at once (default: number of processors)\n"
    "      --prefetch N          tasks held at once, running ones included, of each broker\n"
    "                            (default: concurrency and half of it again, at least one more)\n"
    "      --max-output SIZE     of stdout kept as the result (default: 1M)\n"
    "      --kill-after TIME     between SIGTERM and SIGKILL past a timeout (default: 5s)\n"
    "      --drain-timeout TIME  for what runs when the worker is told to stop (default: 30s)\n"
    "      --name NAME           of this process in the broker's lists (default: host-pid-random)\n"
    "      --http ADDR:PORT|off  health and metrics over HTTP (default: $REEVE_WORKER_HTTP, else "
    "off)\n"
    "      --log-format FORMAT   text, json, or auto: text on a terminal, else json (default: "
    "auto)\n"
    "      --log-level LEVEL     debug, info, warn or error (default: info)\n"
    "      --log-to WHERE        stderr, journal or a file, opened again on SIGHUP (default: "
    "stderr)\n"
    "      --help, --version\n"
    "\n"
    "SIGTERM and SIGINT drain: see reeve-worker(1).\n";

enum {
    FLAG_PREFETCH = 256,
    FLAG_MAX_OUTPUT,
    FLAG_KILL_AFTER,
    FLAG_DRAIN_TIMEOUT,
    FLAG_NAME,
    FLAG_HTTP,
    FLAG_LOG_FORMAT,
    FLAG_LOG_LEVEL,
    FLAG_LOG_TO,
    FLAG_HELP,
    FLAG_VERSION,
};

static const struct option flags[] = {
    {"broker", required_argument, NULL, 'b'},
    {"queue", required_argument, NULL, 'q'},
    {"task", required_argument, NULL, 't'},
    {"concurrency", required_argument, NULL, 'c'},
    {"prefetch", required_argument, NULL, FLAG_PREFETCH},
    {"max-output", required_argument, NULL, FLAG_MAX_OUTPUT},
    {"kill-after", required_argument, NULL, FLAG_KILL_AFTER},
    {"drain-timeout", required_argument, NULL, FLAG_DRAIN_TIMEOUT},
    {"name", required_argument, NULL, FLAG_NAME},
    {"http", required_argument, NULL, FLAG_HTTP},
    {"log-format", required_argument, NULL, FLAG_LOG_FORMAT},
    {"log-level", required_argument, NULL, FLAG_LOG_LEVEL},
    {"log-to", required_argument, NULL, FLAG_LOG_TO},
    {"help", no_argument, NULL, FLAG_HELP},
    {"version", no_argument, NULL, FLAG_VERSION},
    {0},
};

typedef struct parser {
    options_t *options;
    char *problem;
    size_t problem_size;
} parser_t;

static bool wrong(const parser_t *parser, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));

static bool wrong(const parser_t *parser, const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    vsnprintf(parser->problem, parser->problem_size, pattern, arguments);
    va_end(arguments);
    return false;
}

static bool add_broker(const parser_t *parser, const char *source, const char *endpoint)
{
    options_t *options = parser->options;
    if (!endpoint_valid(endpoint))
        return wrong(parser, "%s: \"%s\" is not tcp://HOST:PORT or ipc://PATH", source, endpoint);
    for (size_t i = 0; i < options->broker_count; i++)
        if (strcmp(options->brokers[i], endpoint) == 0)
            return wrong(parser, "%s: \"%s\" is given twice", source, endpoint);
    options->brokers =
        mem_realloc(options->brokers, (options->broker_count + 1) * sizeof *options->brokers);
    options->brokers[options->broker_count++] = endpoint;
    return true;
}

static bool add_queue(const parser_t *parser, const char *name, size_t size)
{
    options_t *options = parser->options;
    if (!name_valid(slice(name, size), LIMIT_QUEUE_NAME_BYTES))
        return wrong(parser, "--queue: \"%.*s\" is not a queue name", (int)size, name);
    for (size_t i = 0; i < options->queue_count; i++)
        if (slice_eq(slice_str(options->queues[i]), slice(name, size)))
            return wrong(parser, "--queue: \"%.*s\" is given twice", (int)size, name);
    if (options->queue_count == LIMIT_WORKER_QUEUES)
        return wrong(parser, "--queue: more than %d queues", LIMIT_WORKER_QUEUES);
    options->queues =
        mem_realloc(options->queues, (options->queue_count + 2) * sizeof *options->queues);
    options->queues[options->queue_count++] = mem_strndup(name, size);
    options->queues[options->queue_count] = NULL;
    return true;
}

static bool add_queues(const parser_t *parser, const char *names)
{
    for (;;) {
        size_t size = strcspn(names, ",");
        if (!add_queue(parser, names, size))
            return false;
        if (names[size] == '\0')
            return true;
        names += size + 1;
    }
}

static bool add_handler(const parser_t *parser, const char *value)
{
    options_t *options = parser->options;
    const char *equals = strchr(value, '=');
    if (equals == NULL || equals[1] == '\0')
        return wrong(parser, "--task: \"%s\" is not of the form NAME=COMMAND", value);
    slice_t name = slice(value, (size_t)(equals - value));
    if (!name_valid(name, LIMIT_TASK_NAME_BYTES))
        return wrong(parser, "--task: \"%.*s\" is not a task name", SLICE_ARG(name));
    for (size_t i = 0; i < options->handler_count; i++)
        if (slice_eq(slice_str(options->handlers[i].task_name), name))
            return wrong(parser, "--task: \"%.*s\" is given twice", SLICE_ARG(name));
    options->handlers =
        mem_realloc(options->handlers, (options->handler_count + 1) * sizeof *options->handlers);
    options->handlers[options->handler_count++] =
        (handler_t){.task_name = mem_strndup(name.data, name.size), .command = equals + 1};
    return true;
}

static bool set_int(const parser_t *parser, const char *flag, const char *value, int64_t most,
                    int64_t *out)
{
    return parse_int(value, 1, most, out) ||
           wrong(parser, "--%s: \"%s\" is not a number from 1 to %lld", flag, value,
                 (long long)most);
}

static bool set_duration(const parser_t *parser, const char *flag, const char *value, int64_t *out)
{
    return parse_duration_ms(value, out) ||
           wrong(parser, "--%s: \"%s\" is not a duration such as 500ms, 30s or 5m", flag, value);
}

static bool set_max_output(const parser_t *parser, const char *value)
{
    int64_t size;
    if (!parse_size(value, &size) || size < 1 || size > (int64_t)LIMIT_RESULT_BYTES)
        return wrong(parser, "--max-output: \"%s\" is not a size from 1 to %uM", value,
                     LIMIT_RESULT_BYTES >> 20);
    parser->options->max_output = size;
    return true;
}

static bool set_name(const parser_t *parser, const char *value)
{
    if (!name_valid(slice_str(value), LIMIT_WORKER_NAME_BYTES))
        return wrong(parser, "--name: \"%s\" is not a worker name", value);
    parser->options->name = value;
    return true;
}

static bool set_http(const parser_t *parser, const char *source, const char *value)
{
    if (strcmp(value, "off") != 0 && !address_valid(value))
        return wrong(parser, "%s: \"%s\" is not ADDR:PORT or off", source, value);
    parser->options->http = value;
    return true;
}

static bool set_option(const parser_t *parser, int flag, const char *value)
{
    options_t *o = parser->options;
    switch (flag) {
    case 'b':
        return add_broker(parser, "--broker", value);
    case 'q':
        return add_queues(parser, value);
    case 't':
        return add_handler(parser, value);
    case 'c':
        return set_int(parser, "concurrency", value, OPTIONS_CONCURRENCY_MAX, &o->concurrency);
    case FLAG_PREFETCH:
        return set_int(parser, "prefetch", value, LIMIT_PREFETCH, &o->prefetch);
    case FLAG_MAX_OUTPUT:
        return set_max_output(parser, value);
    case FLAG_KILL_AFTER:
        return set_duration(parser, "kill-after", value, &o->kill_after_ms);
    case FLAG_DRAIN_TIMEOUT:
        return set_duration(parser, "drain-timeout", value, &o->drain_timeout_ms);
    case FLAG_NAME:
        return set_name(parser, value);
    case FLAG_HTTP:
        return set_http(parser, "--http", value);
    case FLAG_LOG_FORMAT:
        return log_parse_format(value, &o->log_format) ||
               wrong(parser, "--log-format: \"%s\" is not auto, text or json", value);
    case FLAG_LOG_TO:
        o->log_to = value;
        return true;
    default:
        return log_parse_level(value, &o->log_level) ||
               wrong(parser, "--log-level: \"%s\" is not debug, info, warn or error", value);
    }
}

static void set_defaults(options_t *options)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    *options = (options_t){
        .concurrency = processors < 1 ? 1 : processors,
        .max_output = 1 << 20,
        .kill_after_ms = 5 * 1000,
        .drain_timeout_ms = 30 * 1000,
        .log_level = LOG_INFO,
        .log_format = LOG_AUTO,
        .log_to = "stderr",
    };
    if (options->concurrency > OPTIONS_CONCURRENCY_MAX)
        options->concurrency = OPTIONS_CONCURRENCY_MAX;
}

static bool complete(const parser_t *parser)
{
    options_t *options = parser->options;
    if (options->queue_count == 0)
        return wrong(parser, "--queue is missing: which queues to take tasks from");
    if (options->handler_count == 0 && options->command == NULL)
        return wrong(parser, "no COMMAND and no --task: nothing to run for a task");
    if (options->broker_count == 0 && !add_broker(parser, "$REEVE_BROKER", endpoint_choose(NULL)))
        return false;
    if (options->http == NULL) {
        const char *http = getenv("REEVE_WORKER_HTTP");
        if (!set_http(parser, "$REEVE_WORKER_HTTP", http && *http ? http : "off"))
            return false;
    }
    /* Enough at hand to fill every slot that comes free before the next delivery arrives; more
       would only keep tasks from workers that are idle. */
    if (options->prefetch == 0) {
        int64_t half = options->concurrency / 2;
        options->prefetch = options->concurrency + (half > 1 ? half : 1);
    }
    return true;
}

options_wish_t options_parse(int argc, char **argv, options_t *options, char *problem,
                             size_t problem_size)
{
    parser_t parser = {options, problem, problem_size};
    set_defaults(options);
    optind = 0; /* GNU: start anew, so that it can be called again */
    opterr = 0;
    for (;;) {
        int at = optind > 0 ? optind : 1;
        int flag = getopt_long(argc, argv, "+:b:q:t:c:", flags, NULL);
        if (flag == -1)
            break;
        if (flag == FLAG_HELP)
            return OPTIONS_HELP;
        if (flag == FLAG_VERSION)
            return OPTIONS_VERSION;
        if (flag == ':' || flag == '?') {
            wrong(&parser, flag == ':' ? "%s needs a value" : "%s is not an option; see --help",
                  argv[at]);
            return OPTIONS_WRONG;
        }
        if (!set_option(&parser, flag, optarg))
            return OPTIONS_WRONG;
    }
    if (optind < argc)
        options->command = argv + optind;
    return complete(&parser) ? OPTIONS_RUN : OPTIONS_WRONG;
}

void options_fini(options_t *options)
{
    for (size_t i = 0; i < options->queue_count; i++)
        free(options->queues[i]);
    for (size_t i = 0; i < options->handler_count; i++)
        free(options->handlers[i].task_name);
    free(options->queues);
    free(options->handlers);
    free(options->brokers);
}
