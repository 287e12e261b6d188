/*  `reeve dead`: list, show, retry and purge dead letters. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/output.h"
#include "client/verbs.h"
#include "common/limits.h"
#include "common/mem.h"

enum { DEFAULT_LIMIT = 100, OPT_QUEUE = 1, OPT_LIMIT, OPT_ALL, OPT_YES };

typedef struct dead_options {
    const char *id, *queue;
    bool all, yes;
    int64_t limit;
} dead_options_t;

/*  Tells an error; the exit code. That there is no such queue is in the broker's words: it is refused as
    an unknown task is, and not as a name that is none. */
static int call_failed(const cli_t *cli, const char *subject, reeve_error_t error)
{
    int code = cli_call_failed(cli, subject, error);
    bool unknown = error == REEVE_ERR_BAD_QUEUE && reeve_client_error_text(cli->client)[0] != '\0';
    return unknown ? EXIT_REFUSED : code;
}

/*  -- list ------------------------------------------------------------------------------------- */

static void fill_letter(table_t *table, const cJSON *letter)
{
    table_add(table, output_string(letter, "id"));
    table_add(table, output_string(letter, "queue"));
    table_add(table, output_string(letter, "task_name"));
    table_add(table, output_string(letter, "failed_at"));
    table_addf(table, "%.0f", output_number(letter, "attempts"));
    table_add(table, output_string(letter, "reason"));
    table_add(table, output_string(letter, "error"));
}

static int run_list(cli_t *cli, const dead_options_t *options)
{
    table_t table = {
        .titles = {"ID", "QUEUE", "TASK_NAME", "FAILED", ">ATTEMPTS", "REASON", "ERROR"}};
    uint64_t cursor = 0;
    int64_t left = options->limit;
    do {
        char *json;
        reeve_error_t error;
        uint32_t limit = left < LIMIT_LIST_ROWS ? (uint32_t)left : LIMIT_LIST_ROWS;
        if (reeve_query(cli->client, REEVE_QUERY_DEAD, NULL, options->queue, cursor, limit, &json,
                        &cursor, &error) != 0)
            return call_failed(cli, options->queue, error);
        int rows = output_list(json, cli->json ? NULL : &table, fill_letter);
        free(json);
        if (rows < 0) {
            cli_say("the broker's answer is not a list");
            return EX_SOFTWARE;
        }
        left -= rows;
    } while (cursor != 0 && left > 0);
    if (!cli->json) {
        table_print(&table);
        if (cursor != 0)
            cli_say("there are more; see --limit");
    }
    return EX_OK;
}

/*  -- retry and purge -------------------------------------------------------------------------- */

typedef int change_t(reeve_client_t *client, const char *id, const char *queue, uint64_t *count,
                     reeve_error_t *error);

/*  The queues that have dead letters, as a JSON array of their documents; NULL with the code. */
static cJSON *ask_queues(const cli_t *cli, int *code)
{
    char *json;
    reeve_error_t error;
    if (reeve_query(cli->client, REEVE_QUERY_QUEUES, NULL, NULL, 0, 0, &json, NULL, &error) != 0) {
        *code = cli_call_failed(cli, NULL, error);
        return NULL;
    }
    cJSON *list = cJSON_Parse(json);
    free(json);
    if (list == NULL) {
        cli_say("the broker's answer is not a list");
        *code = EX_SOFTWARE;
    }
    return list;
}

static int change_all(cli_t *cli, change_t *change, uint64_t *total)
{
    int code = EX_OK;
    cJSON *list = ask_queues(cli, &code);
    const cJSON *queue;
    cJSON_ArrayForEach(queue, list)
    {
        const char *name = output_string(queue, "queue");
        uint64_t count = 0;
        reeve_error_t error;
        if (output_number(queue, "dead") <= 0)
            continue;
        if (change(cli->client, NULL, name, &count, &error) != 0) {
            code = cli_call_failed(cli, name, error);
            break;
        }
        *total += count;
    }
    cJSON_Delete(list);
    return code;
}

/*  Applies `change` to what the options name, and prints how many there were. */
static int apply(cli_t *cli, const dead_options_t *options, change_t *change, const char *done)
{
    uint64_t count = 0;
    reeve_error_t error;
    int code = EX_OK;
    if (options->all)
        code = change_all(cli, change, &count);
    else if (change(cli->client, options->id, options->queue, &count, &error) != 0)
        code = call_failed(cli, options->id != NULL ? options->id : options->queue, error);
    if (code != EX_OK && count == 0)
        return code;
    if (cli->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddNumberToObject(object, done, (double)count);
        output_json(&object);
    } else {
        printf("%" PRIu64 " %s\n", count, done);
    }
    return code;
}

static int run_retry(cli_t *cli, const dead_options_t *options)
{
    return apply(cli, options, reeve_dead_retry, "retried");
}

/*  Asks on the terminal; without one, --yes must have been given. */
static bool confirmed(const cli_t *cli, const dead_options_t *options)
{
    if (options->yes)
        return true;
    if (!isatty(STDIN_FILENO))
        cli_usage(cli, "purge: --yes is needed where nobody can be asked");
    if (options->all)
        fputs("Remove all dead letters of all queues for good? [y/N] ", stderr);
    else if (options->id != NULL)
        fprintf(stderr, "Remove the dead letter %s for good? [y/N] ", options->id);
    else
        fprintf(stderr, "Remove all dead letters of the queue '%s' for good? [y/N] ",
                options->queue);
    int answer = getchar();
    return answer == 'y' || answer == 'Y';
}

static int run_purge(cli_t *cli, const dead_options_t *options)
{
    if (!confirmed(cli, options)) {
        cli_say("nothing was removed");
        return EXIT_REFUSED;
    }
    return apply(cli, options, reeve_dead_purge, "purged");
}

static int run_show(cli_t *cli, const dead_options_t *options)
{
    return show_task(cli, options->id, true);
}

/*  -- the command line ------------------------------------------------------------------------- */

static const struct action {
    const char *name;
    int (*run)(cli_t *cli, const dead_options_t *options);
    bool takes_id, takes_queue, takes_all;
} actions[] = {
    {"list", run_list, false, true, false},
    {"show", run_show, true, false, false},
    {"retry", run_retry, true, true, true},
    {"purge", run_purge, true, true, true},
};

static const struct action *find_action(const cli_t *cli, const char *name)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    cli_usage(cli, "'%s' is not one of list, show, retry, purge", name);
}

static void check(const cli_t *cli, const struct action *action, const dead_options_t *options)
{
    int given = (options->id != NULL) + (options->queue != NULL) + options->all;
    if (options->id != NULL && !action->takes_id)
        cli_usage(cli, "'%s' is one operand too many", options->id);
    if (options->queue != NULL && !action->takes_queue)
        cli_usage(cli, "%s: takes no --queue", action->name);
    if (options->all && !action->takes_all)
        cli_usage(cli, "%s: takes no --all", action->name);
    if (options->yes && action->run != run_purge)
        cli_usage(cli, "%s: takes no --yes", action->name);
    if (options->limit != 0 && action->run != run_list)
        cli_usage(cli, "%s: takes no --limit", action->name);
    if (action->takes_all && given != 1)
        cli_usage(cli, "%s: give either ID, --queue or --all", action->name);
    if (action->run == run_show && given != 1)
        cli_usage(cli, "show: ID is missing");
}

static int run_dead(cli_t *cli, int argc, char **argv)
{
    static const struct option table[] = {{"queue", required_argument, NULL, OPT_QUEUE},
                                          {"limit", required_argument, NULL, OPT_LIMIT},
                                          {"all", no_argument, NULL, OPT_ALL},
                                          {"yes", no_argument, NULL, OPT_YES},
                                          CLI_COMMON_OPTIONS,
                                          {0}};
    dead_options_t options = {0};
    for (int option; (option = cli_next_option(cli, argc, argv, table)) != -1;) {
        if (option == OPT_QUEUE)
            options.queue = optarg;
        else if (option == OPT_LIMIT)
            options.limit = cli_number(cli, "--limit", optarg, 1, INT32_MAX);
        else if (option == OPT_ALL)
            options.all = true;
        else
            options.yes = true;
    }
    if (optind == argc)
        cli_usage(cli, "one of list, show, retry, purge is missing");
    const struct action *action = find_action(cli, argv[optind++]);
    if (optind < argc)
        options.id = cli_one_operand(cli, argc, argv, "ID");
    check(cli, action, &options);
    if (options.limit == 0)
        options.limit = DEFAULT_LIMIT;
    cli_connect(cli);
    return action->run(cli, &options);
}

const verb_t verb_dead = {
    .name = "dead",
    .synopsis = "dead list [--queue Q] [--limit N]\n"
                "       reeve dead show ID\n"
                "       reeve dead retry {ID | --queue Q | --all}\n"
                "       reeve dead purge {ID | --queue Q | --all} [--yes]",
    .summary = "list, show, retry and purge dead letters",
    .help = "Dead letters are the tasks that failed for good: no tries left, or rejected.\n\n"
            "  list                   what there is (default: the first 100)\n"
            "  show                   one of them, with its error and every attempt\n"
            "  retry                  back to the queue, with all tries anew\n"
            "  purge                  remove for good; asks first\n\n"
            "  --queue Q              those of this queue\n"
            "  --all                  those of all queues\n"
            "  --limit N              list so many at most\n"
            "  --yes                  do not ask",
    .run = run_dead,
};
