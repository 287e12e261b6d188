/*  `reeve status`: all that is known of one task. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/document.h"
#include "client/output.h"
#include "client/verbs.h"

/*  A value as a person reads it; malloc'd by cJSON. Times and text come without quotes. */
static void print_value(const cJSON *value)
{
    const char *text = cJSON_GetStringValue(value);
    if (text != NULL) {
        output_clean(stdout, text);
        return;
    }
    char *json = cJSON_PrintUnformatted(value);
    output_clean(stdout, json != NULL ? json : "");
    cJSON_free(json);
}

static void print_field(const char *name, const cJSON *object, const char *member)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, member);
    const char *text = cJSON_GetStringValue(value);
    if (value == NULL || cJSON_IsNull(value) || (text != NULL && text[0] == '\0'))
        return;
    printf("%-13s", name);
    print_value(value);
    putchar('\n');
}

static void print_seconds(const char *name, const cJSON *object, const char *member)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, member);
    if (cJSON_IsNumber(value))
        printf("%-13s%s\n", name, output_seconds(value->valuedouble));
}

/*  Indented lines under a title. */
static void print_block(const char *title, const char *text)
{
    if (text[0] == '\0')
        return;
    printf("%s\n  ", title);
    for (const char *line = text; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        char *copy = strndup(line, size);
        output_clean_lines(stdout, copy != NULL ? copy : "");
        free(copy);
        line += size;
        if (*line == '\n' && *++line != '\0')
            fputs("\n  ", stdout);
    }
    putchar('\n');
}

static void add_duration(table_t *table, const cJSON *attempt)
{
    const cJSON *duration = cJSON_GetObjectItemCaseSensitive(attempt, "duration_s");
    table_add(table, cJSON_IsNumber(duration) ? output_seconds(duration->valuedouble) : "-");
}

void show_history(const cJSON *history)
{
    if (cJSON_GetArraySize(history) == 0)
        return;
    table_t table = {.titles = {">ATTEMPT", "OUTCOME", "STARTED", "ENDED", ">DURATION", "WORKER",
                                "REASON", "ERROR"},
                     .indent = "  "};
    const cJSON *attempt;
    cJSON_ArrayForEach(attempt, history)
    {
        const char *outcome = output_string(attempt, "outcome");
        table_addf(&table, "%.0f", output_number(attempt, "attempt"));
        table_add(&table, outcome[0] != '\0' ? outcome : "-");
        table_add(&table, output_string(attempt, "started_at"));
        table_add(&table, output_string(attempt, "ended_at"));
        add_duration(&table, attempt);
        table_add(&table, output_string(attempt, "worker"));
        table_add(&table, output_string(attempt, "reason"));
        table_add(&table, output_string(attempt, "error"));
    }
    puts("attempts:");
    table_print(&table);
}

/*  A failure costs a retry, but for the one that made the task a dead letter. */
static double retries_used(const cJSON *document, const cJSON *task)
{
    bool failed =
        strcmp(output_string(document, "state"), reeve_state_name(REEVE_STATE_FAILED)) == 0;
    bool lost = strcmp(output_string(document, "reason"), "quarantined") == 0;
    return output_number(task, "retry_count") - (failed && !lost);
}

static void print_attempts_line(const cJSON *document, const cJSON *task)
{
    printf("%-13s%.0f", "attempts:", output_number(document, "attempts"));
    printf(" (%.0f of %.0f retries used", retries_used(document, task),
           output_number(task, "max_retries"));
    double deaths = output_number(document, "deaths");
    if (deaths > 0)
        printf(", %.0f %s lost", deaths, deaths > 1 ? "workers" : "worker");
    puts(")");
}

/*  JSON as it is, other kinds as the text that they are. */
static void print_result(const cJSON *document)
{
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(document, "result");
    bool is_json = strcmp(output_string(document, "result_kind"), "json") == 0;
    cJSON *string = result != NULL && !is_json ? cJSON_Parse(result->valuestring) : NULL;
    if (cJSON_IsString(string))
        print_block("result:", string->valuestring);
    else
        print_field("result:", document, "result");
    cJSON_Delete(string);
}

static void print_task(const cJSON *document)
{
    static const char *const task_fields[][2] = {
        {"queue:", "queue"},        {"origin:", "origin"},   {"created:", "created_at"},
        {"priority:", "priority"},  {"timeout:", "timeout"}, {"backoff:", "backoff"},
        {"expires:", "expires_at"}, {"args:", "args"},       {"kwargs:", "kwargs"},
        {"headers:", "headers"},
    };
    const cJSON *task = cJSON_GetObjectItemCaseSensitive(document, "task");
    print_field("id:", task, "id");
    print_field("task_name:", task, "task_name");
    print_field("state:", document, "state");
    print_attempts_line(document, task);
    print_field("next run:", document, "run_at");
    print_field("worker:", document, "worker");
    print_field("started:", document, "started_at");
    print_field("finished:", document, "finished_at");
    print_seconds("duration:", document, "duration_s");
    for (size_t i = 0; i < sizeof task_fields / sizeof task_fields[0]; i++)
        print_field(task_fields[i][0], task, task_fields[i][1]);
    print_field("reason:", document, "reason");
    print_result(document);
    print_block("error:", output_string(document, "error"));
    print_block("traceback:", output_string(document, "traceback"));
    show_history(cJSON_GetObjectItemCaseSensitive(document, "history"));
}

int show_task(cli_t *cli, const char *id, bool dead_only)
{
    char *json;
    reeve_error_t error;
    int code = EX_OK;
    if (reeve_query(cli->client, REEVE_QUERY_TASK, id, NULL, 0, 0, &json, NULL, &error) != 0)
        return cli_call_failed(cli, id, error);
    cJSON *document = document_parse(json);
    const char *state = output_string(document, "state");
    if (dead_only && strcmp(state, reeve_state_name(REEVE_STATE_FAILED)) != 0) {
        cli_say("%s: not a dead letter: %s", id, state);
        code = EXIT_REFUSED;
    } else if (cli->json) {
        output_json_line(json);
    } else {
        print_task(document);
    }
    cJSON_Delete(document);
    free(json);
    return code;
}

static int run_status(cli_t *cli, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    cli_next_option(cli, argc, argv, options);
    const char *id = cli_one_operand(cli, argc, argv, "ID");
    cli_connect(cli);
    return show_task(cli, id, false);
}

const verb_t verb_status = {
    .name = "status",
    .synopsis = "status ID",
    .summary = "show a task, its state and every attempt",
    .help =
        "Shows the task as it was submitted, its state, its result or error, and every attempt.\n\n"
        "Exits with 0, or 2 when no task of this id is known.",
    .run = run_status,
};
