#include "client/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/output.h"
#include "common/endpoint.h"
#include "common/limits.h"
#include "common/parse.h"

static void print_help(const verb_t *verb)
{
    printf("Usage: reeve %s\n\n%s\n", verb->synopsis, verb->help);
    fputs("\nCommon options:\n", stdout);
    if (!verb->own_broker)
        fputs("  --broker ENDPOINT      where the broker listens (default $REEVE_BROKER, else\n"
              "                         tcp://127.0.0.1:5555)\n"
              "  --connect-timeout DUR  how long to try while the broker is away (default 30s)\n",
              stdout);
    fputs("  --json                 print one JSON object per line\n"
          "  -h, --help             show this text\n"
          "  --version              show the version\n",
          stdout);
}

void cli_version(void)
{
    puts("reeve " REEVE_VERSION);
    exit(output_close(EX_OK));
}

int cli_next_option(cli_t *cli, int argc, char **argv, const struct option *options)
{
    for (;;) {
        int option = getopt_long(argc, argv, "h", options, NULL);
        switch (option) {
        case OPT_BROKER:
            cli->broker = optarg;
            break;
        case OPT_JSON:
            cli->json = true;
            break;
        case OPT_CONNECT_TIMEOUT:
            cli->connect_timeout_ms = cli_duration(cli, "--connect-timeout", optarg);
            if (cli->connect_timeout_ms == 0)
                cli_usage(cli, "--connect-timeout: must be above 0");
            break;
        case OPT_HELP:
            print_help(cli->verb);
            exit(output_close(EX_OK));
        case OPT_VERSION:
            cli_version();
        case '?':
            fprintf(stderr, "Try 'reeve %s --help'.\n", cli->verb->name);
            exit(EX_USAGE);
        default:
            return option;
        }
    }
}

void cli_usage(const cli_t *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "reeve %s: ", cli->verb->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nTry 'reeve %s --help'.\n", cli->verb->name);
    va_end(args);
    exit(EX_USAGE);
}

int64_t cli_duration(const cli_t *cli, const char *option, const char *text)
{
    int64_t ms;
    if (!parse_duration_ms(text, &ms))
        cli_usage(cli, "%s: '%s' is not a duration such as 250ms, 10s or 1h30m, up to %lldd",
                  option, text, LIMIT_DURATION_MS / 86400000);
    return ms;
}

int64_t cli_time(const cli_t *cli, const char *option, const char *text)
{
    int64_t ms;
    if (!parse_rfc3339_ms(text, &ms))
        cli_usage(cli, "%s: '%s' is not a time such as 2026-05-20T10:30:00Z", option, text);
    return ms != 0 ? ms : 1; /* 0 means absent */
}

int64_t cli_number(const cli_t *cli, const char *option, const char *text, int64_t min, int64_t max)
{
    int64_t number;
    if (!parse_int(text, min, max, &number))
        cli_usage(cli, "%s: '%s' is not in %lld..%lld", option, text, (long long)min,
                  (long long)max);
    return number;
}

const char *cli_one_operand(const cli_t *cli, int argc, char **argv, const char *what)
{
    if (optind == argc)
        cli_usage(cli, "%s is missing", what);
    if (optind + 1 < argc)
        cli_usage(cli, "'%s' is one operand too many", argv[optind + 1]);
    return argv[optind];
}

void cli_connect(cli_t *cli)
{
    cli->client = reeve_client_new(&(reeve_client_options_t){
        .broker = cli->broker,
        .name = "reeve",
        .window = cli->window,
        .request_timeout_ms = cli->connect_timeout_ms,
    });
    if (cli->client == NULL)
        cli_usage(cli, "cannot use broker endpoint '%s': %s", endpoint_choose(cli->broker),
                  strerror(errno));
}

void cli_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    output_flush();
    fputs("reeve: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int cli_exit_code(reeve_error_t error)
{
    switch (error) {
    case REEVE_ERR_OK:
        return EX_OK;
    case REEVE_ERR_TOO_LARGE:
    case REEVE_ERR_BAD_ID:
    case REEVE_ERR_BAD_QUEUE:
    case REEVE_ERR_BAD_NAME:
    case REEVE_ERR_BAD_VALUE:
    case REEVE_ERR_BAD_JSON:
        return EX_DATAERR;
    case REEVE_ERR_UNREACHABLE:
    case REEVE_ERR_TIMED_OUT:
        return EX_UNAVAILABLE;
    case REEVE_ERR_MALFORMED:
    case REEVE_ERR_UNSUPPORTED:
        return EX_SOFTWARE;
    default:
        return EXIT_REFUSED;
    }
}

int cli_fail(const char *subject, reeve_error_t error, const char *text)
{
    output_flush();
    fputs("reeve: ", stderr);
    if (subject != NULL) {
        output_clean(stderr, subject);
        fputs(": ", stderr);
    }
    output_clean(stderr, text != NULL && text[0] != '\0' ? text : reeve_error_meaning(error));
    fprintf(stderr, " (%s)\n", reeve_error_name(error));
    return cli_exit_code(error);
}

int cli_call_failed(const cli_t *cli, const char *subject, reeve_error_t error)
{
    if (error == REEVE_ERR_UNREACHABLE)
        subject = reeve_client_broker(cli->client);
    return cli_fail(subject, error, reeve_client_error_text(cli->client));
}

bool cli_is_retryable(reeve_error_t error)
{
    return error == REEVE_ERR_DRAINING || error == REEVE_ERR_QUEUE_FULL ||
           error == REEVE_ERR_DISK_LOW || error == REEVE_ERR_STORE_FAILED;
}
