/*  The command `reeve`: finds the verb and runs it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/output.h"
#include "client/verbs.h"
#include "common/mem.h"
#include "common/parse.h"

enum { DEFAULT_CONNECT_TIMEOUT_MS = 30000, NEAR = 3 /* edits that a typing error may need */ };

static const verb_t *const verbs[] = {
    &verb_submit, &verb_status,   &verb_explain, &verb_wait, &verb_result,
    &verb_cancel, &verb_queues,   &verb_workers, &verb_dead, &verb_check,
    &verb_top,    &verb_selftest, &verb_bench,
};
enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

static void print_help(FILE *out)
{
    fputs("Usage: reeve [OPTION…] VERB …\n\nThe client of the Reeve task broker.\n\nVerbs:\n", out);
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "  %-8s %s\n", verbs[i]->name, verbs[i]->summary);
    fputs("  help     show this text, or with a verb, that verb's\n"
          "\nOptions, here or after the verb:\n"
          "  --broker ENDPOINT      where the broker listens (default $REEVE_BROKER, else\n"
          "                         tcp://127.0.0.1:5555)\n"
          "  --connect-timeout DUR  how long to try while the broker is away (default 30s)\n"
          "  --json                 print one JSON object per line\n"
          "  -h, --help\n"
          "  --version\n"
          "\n'reeve VERB --help' tells more about one verb; see also reeve(1).\n",
          out);
}

/*  Levenshtein distance of two short words. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 32 };
    size_t row[LONGEST + 1], size = strlen(b);
    if (strlen(a) > LONGEST || size > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= size; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= size; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[size];
}

static int unknown_verb(const char *name)
{
    const char *nearest = "help";
    size_t least = distance(name, nearest);
    for (size_t i = 0; i < VERB_COUNT; i++) {
        size_t edits = distance(name, verbs[i]->name);
        if (edits < least) {
            least = edits;
            nearest = verbs[i]->name;
        }
    }
    fprintf(stderr, "reeve: there is no verb '%s'", name);
    if (least <= NEAR && least < strlen(name))
        fprintf(stderr, "; did you mean '%s'?\n", nearest);
    else
        fputs("; 'reeve help' lists them\n", stderr);
    return EX_USAGE;
}

static const verb_t *find_verb(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

static int run_verb(cli_t *cli, const verb_t *verb, int argc, char **argv)
{
    char *name = mem_alloc(strlen(verb->name) + sizeof "reeve ");
    sprintf(name, "reeve %s", verb->name);
    argv[0] = name; /* for the messages of getopt_long */
    cli->verb = verb;
    optind = 0;
    int code = verb->run(cli, argc, argv);
    reeve_client_destroy(&cli->client);
    free(name);
    return code;
}

/*  `reeve help [VERB]`. */
static int run_help(cli_t *cli, int argc, char **argv)
{
    if (argc < 2) {
        print_help(stdout);
        return EX_OK;
    }
    const verb_t *verb = find_verb(argv[1]);
    char help[] = "--help";
    char *arguments[] = {argv[0], help, NULL};
    return verb != NULL ? run_verb(cli, verb, 2, arguments) : unknown_verb(argv[1]);
}

/*  Takes the options before the verb. Returns the index of the verb, or does not return. */
static int read_global_options(cli_t *cli, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    for (;;) {
        switch (getopt_long(argc, argv, "+h", options, NULL)) {
        case -1:
            return optind;
        case OPT_BROKER:
            cli->broker = optarg;
            break;
        case OPT_JSON:
            cli->json = true;
            break;
        case OPT_CONNECT_TIMEOUT:
            if (!parse_duration_ms(optarg, &cli->connect_timeout_ms) ||
                cli->connect_timeout_ms == 0) {
                fprintf(stderr, "reeve: --connect-timeout: '%s' is not a duration above 0\n",
                        optarg);
                exit(EX_USAGE);
            }
            break;
        case OPT_HELP:
            print_help(stdout);
            exit(output_close(EX_OK));
        case OPT_VERSION:
            cli_version();
        default:
            fputs("Try 'reeve help'.\n", stderr);
            exit(EX_USAGE);
        }
    }
}

int main(int argc, char **argv)
{
    cli_t cli = {.connect_timeout_ms = DEFAULT_CONNECT_TIMEOUT_MS};
    int at = read_global_options(&cli, argc, argv);
    if (at == argc) {
        print_help(stderr);
        return EX_USAGE;
    }
    const verb_t *verb = find_verb(argv[at]);
    if (verb != NULL)
        return output_close(run_verb(&cli, verb, argc - at, argv + at));
    if (strcmp(argv[at], "help") == 0)
        return output_close(run_help(&cli, argc - at, argv + at));
    return unknown_verb(argv[at]);
}
