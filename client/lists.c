/*  `reeve queues` and `reeve workers`. */

#include <stdlib.h>

#include "client/output.h"
#include "client/verbs.h"

static void fill_queue(table_t *table, const cJSON *queue)
{
    table_add(table, output_string(queue, "queue"));
    table_addf(table, "%.0f", output_number(queue, "waiting"));
    table_addf(table, "%.0f", output_number(queue, "scheduled"));
    table_addf(table, "%.0f", output_number(queue, "processing"));
    table_addf(table, "%.0f", output_number(queue, "dead"));
    table_addf(table, "%.0f", output_number(queue, "workers"));
    const cJSON *age = cJSON_GetObjectItemCaseSensitive(queue, "oldest_age_s");
    table_add(table, cJSON_IsNumber(age) ? output_seconds(age->valuedouble) : "-");
}

static void fill_worker(table_t *table, const cJSON *worker)
{
    char names[256];
    output_names(cJSON_GetObjectItemCaseSensitive(worker, "queues"), names, sizeof names);
    table_add(table, output_string(worker, "worker"));
    table_add(table, output_string(worker, "protocol"));
    table_addf(table, "%.0f", output_number(worker, "processing"));
    table_addf(table, "%.0f", output_number(worker, "prefetch"));
    table_add(table, output_seconds(output_number(worker, "last_heard_s")));
    table_add(table, names);
}

/*  Asks for an array and prints it: a table by `fill`, or an object per line. */
static int print_list(cli_t *cli, reeve_query_t what, table_t *table,
                      void (*fill)(table_t *, const cJSON *))
{
    char *json;
    reeve_error_t error;
    cli_connect(cli);
    if (reeve_query(cli->client, what, NULL, NULL, 0, 0, &json, NULL, &error) != 0)
        return cli_call_failed(cli, NULL, error);
    int rows = output_list(json, cli->json ? NULL : table, fill);
    free(json);
    if (rows < 0) {
        cli_say("the broker's answer is not a list");
        return EX_SOFTWARE;
    }
    if (!cli->json)
        table_print(table);
    return EX_OK;
}

static void read_options_only(cli_t *cli, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    cli_next_option(cli, argc, argv, options);
    if (optind < argc)
        cli_usage(cli, "'%s' is one operand too many", argv[optind]);
}

static int run_queues(cli_t *cli, int argc, char **argv)
{
    table_t table = {.titles = {"QUEUE", ">WAITING", ">SCHEDULED", ">PROCESSING", ">DEAD",
                                ">WORKERS", ">OLDEST"}};
    read_options_only(cli, argc, argv);
    return print_list(cli, REEVE_QUERY_QUEUES, &table, fill_queue);
}

static int run_workers(cli_t *cli, int argc, char **argv)
{
    table_t table = {
        .titles = {"WORKER", "PROTOCOL", ">PROCESSING", ">PREFETCH", ">HEARD", "QUEUES"}};
    read_options_only(cli, argc, argv);
    return print_list(cli, REEVE_QUERY_WORKERS, &table, fill_worker);
}

const verb_t verb_queues = {
    .name = "queues",
    .synopsis = "queues",
    .summary = "list the queues and what is in them",
    .help =
        "Lists the queues: tasks waiting for a worker, scheduled for later, being processed and\n"
        "dead-lettered, the workers that serve it, and the age of the oldest waiting task.",
    .run = run_queues,
};

const verb_t verb_workers = {
    .name = "workers",
    .synopsis = "workers",
    .summary = "list the workers that are connected",
    .help =
        "Lists the workers: the protocol they speak, tasks they process, how many they take at\n"
        "once, how long ago they were heard, and the queues they serve.",
    .run = run_workers,
};
