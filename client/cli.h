/*  What all verbs of the command `reeve` share: the common options, exit codes, errors, connecting.
 */

#ifndef REEVE_CLIENT_CLI_H
#define REEVE_CLIENT_CLI_H

#include <getopt.h>
#include <sysexits.h>

#include "reeve/client.h"

/*  Exit codes beside those of sysexits.h; docs/man/reeve.1 lists them all. */
enum { EXIT_TASK_ENDED_BADLY = 1, EXIT_REFUSED = 2, EXIT_INTERRUPTED = 130 };

typedef struct cli {
    const char *broker; /* NULL: the library's default */
    bool json;
    int64_t connect_timeout_ms;
    size_t window; /* of the client handle; 0: the library's default */
    const struct verb *verb;
    reeve_client_t *client; /* NULL before cli_connect */
} cli_t;

/*  A verb. `run` gets argv[0] = "reeve VERB" and returns the exit code. */
typedef struct verb {
    const char *name, *synopsis, *summary;
    const char *help; /* the text below the synopsis in --help */
    bool own_broker;  /* no other is connected to */
    int (*run)(cli_t *cli, int argc, char **argv);
} verb_t;

/*  To stand in every verb's option table, before its {0}. */
enum { OPT_BROKER = 0x1000, OPT_JSON, OPT_CONNECT_TIMEOUT, OPT_VERSION, OPT_HELP = 'h' };
#define CLI_COMMON_OPTIONS                                                                         \
    {"broker", required_argument, NULL, OPT_BROKER}, {"json", no_argument, NULL, OPT_JSON},        \
        {"connect-timeout", required_argument, NULL, OPT_CONNECT_TIMEOUT},                         \
        {"help", no_argument, NULL, OPT_HELP},                                                     \
    {                                                                                              \
        "version", no_argument, NULL, OPT_VERSION                                                  \
    }

/*  The next option that is the verb's own, or -1 after the last (then optind is the first operand).
    Common options are taken in; a wrong option, --help or --version ends the program. */
int cli_next_option(cli_t *cli, int argc, char **argv, const struct option *options);

/*  Prints the version and ends the program. */
__attribute__((noreturn)) void cli_version(void);

/*  The value of an option; what is not one ends the program with EX_USAGE. */
int64_t cli_duration(const cli_t *cli, const char *option, const char *text);
int64_t cli_time(const cli_t *cli, const char *option, const char *text);
int64_t cli_number(const cli_t *cli, const char *option, const char *text, int64_t min,
                   int64_t max);

/*  Says what is wrong with the command line and ends the program with EX_USAGE. */
__attribute__((noreturn, format(printf, 2, 3))) void cli_usage(const cli_t *cli, const char *format,
                                                               ...);
/*  For verbs that take exactly one operand, called `what`. */
const char *cli_one_operand(const cli_t *cli, int argc, char **argv, const char *what);

/*  Opens cli->client; an endpoint that is none ends the program with EX_USAGE. */
void cli_connect(cli_t *cli);

/*  One line "reeve: …" to stderr. */
__attribute__((format(printf, 1, 2))) void cli_say(const char *format, ...);

/*  Tells an error about `subject` (NULL: none), with the broker's words where there are any, and
    returns the exit code for it. */
int cli_fail(const char *subject, reeve_error_t error, const char *text);
int cli_exit_code(reeve_error_t error);
/*  The same for the last call on cli->client; of a broker that is away the endpoint is the subject. */
int cli_call_failed(const cli_t *cli, const char *subject, reeve_error_t error);

/*  Whether submitting again later may go well. */
bool cli_is_retryable(reeve_error_t error);

#endif
