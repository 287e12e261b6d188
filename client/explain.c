/*  `reeve explain`: why a task is where it is, and all its attempts. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/document.h"
#include "client/output.h"
#include "client/verbs.h"
#include "common/mem.h"
#include "common/parse.h"

/*  The paragraph under construction. */
typedef struct prose {
    char *text;
    size_t size;
    FILE *out;
} prose_t;

__attribute__((format(printf, 2, 3))) static void say(prose_t *prose, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(prose->out, format, args);
    va_end(args);
}

static const char *plural(double count)
{
    return count == 1 ? "" : "s";
}

/*  "3 workers". */
static void say_count(prose_t *prose, double count, const char *noun)
{
    say(prose, "%.0f %s%s", count, noun, plural(count));
}

static bool is_true(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/*  " (12s ago)" or " (in 12s)", by the broker's clock. */
static void say_distance(prose_t *prose, const cJSON *document, const char *time)
{
    int64_t now_ms, at_ms;
    if (!parse_rfc3339_ms(output_string(document, "now"), &now_ms) ||
        !parse_rfc3339_ms(time, &at_ms))
        return;
    bool ahead = at_ms > now_ms;
    double seconds = (double)(ahead ? at_ms - now_ms : now_ms - at_ms) / 1000;
    say(prose, ahead ? " (in %s)" : " (%s ago)", output_seconds(seconds));
}

static void say_time(prose_t *prose, const cJSON *document, const cJSON *object, const char *name)
{
    const char *time = output_string(object, name);
    say(prose, "%s", time);
    say_distance(prose, document, time);
}

/*  "exit_3: no such file", as far as there is something to say. */
static void say_failure(prose_t *prose, const cJSON *object)
{
    const char *reason = output_string(object, "reason"), *error = output_string(object, "error");
    const char *first = reason[0] != '\0' ? reason : error;
    say(prose, "%s", first[0] != '\0' ? first : "no reason was given");
    if (reason[0] != '\0' && error[0] != '\0' && strcmp(reason, error) != 0)
        say(prose, ": %s", error);
}

static const cJSON *last_attempt(const cJSON *document)
{
    const cJSON *history = member(document, "history");
    int count = cJSON_GetArraySize(history);
    return count > 0 ? cJSON_GetArrayItem(history, count - 1) : NULL;
}

static void say_expiry(prose_t *prose, const cJSON *document)
{
    const cJSON *task = member(document, "task");
    if (output_string(task, "expires_at")[0] == '\0')
        return;
    say(prose, " It expires if it has not begun by ");
    say_time(prose, document, task, "expires_at");
    say(prose, ".");
}

/* ---- each state ----------------------------------------------------------------------------- */

static void say_last_attempt(prose_t *prose, const cJSON *document)
{
    const cJSON *attempt = last_attempt(document);
    if (attempt == NULL)
        return;
    say(prose, " Attempt %.0f, at worker %s, ended with %s: ", output_number(attempt, "attempt"),
        output_string(attempt, "worker"), output_string(attempt, "outcome"));
    say_failure(prose, attempt);
    say(prose, ".");
}

static void say_workers(prose_t *prose, const cJSON *document)
{
    const cJSON *queue = member(document, "queue_now");
    double workers = output_number(queue, "workers"), slots = output_number(queue, "slots");
    double free_slots = output_number(queue, "free");
    if (is_true(document, "draining")) {
        say(prose, " The broker is stopping and gives out no tasks; the next one will.");
    } else if (workers == 0) {
        say(prose, " No worker is registered for its queue, so nothing will take it until one is.");
    } else if (slots == 0) {
        say(prose, " ");
        say_count(prose, workers, "worker");
        say(prose, " of its queue %s registered, but take%s no tasks now (prefetch 0).",
            workers == 1 ? "is" : "are", workers == 1 ? "s" : "");
    } else if (free_slots == 0) {
        say(prose, " ");
        say_count(prose, workers, "worker");
        say(prose, " %s registered for its queue, but all %.0f of their slots are busy.",
            workers == 1 ? "is" : "are", slots);
    } else {
        say(prose, " Of the %.0f slots of its queue's workers %.0f are free, so it is about to go.",
            slots, free_slots);
    }
}

static void explain_queued(prose_t *prose, const cJSON *document)
{
    const cJSON *task = member(document, "task");
    double ahead = output_number(document, "ahead");
    say(prose, "It was created at ");
    say_time(prose, document, task, "created_at");
    say(prose, " and waits ");
    if (is_true(document, "ahead_or_more"))
        say(prose, "behind more than %.0f tasks", ahead - 1);
    else if (ahead > 0) {
        say(prose, "behind ");
        say_count(prose, ahead, "task");
    } else {
        say(prose, "as the next");
    }
    say(prose, " of its queue %s.", output_string(task, "queue"));
    say_last_attempt(prose, document);
    say_workers(prose, document);
    say_expiry(prose, document);
}

static void explain_scheduled(prose_t *prose, const cJSON *document)
{
    const cJSON *task = member(document, "task");
    double failures = output_number(task, "retry_count");
    if (failures > 0) {
        say(prose, "It failed ");
        say_count(prose, failures, "time");
        say(prose, "; retry %.0f of %.0f is at ", failures, output_number(task, "max_retries"));
    } else {
        say(prose, "It is scheduled for ");
    }
    say_time(prose, document, document, "run_at");
    say(prose, ".");
    if (failures > 0) {
        say(prose, " The last error: ");
        say_failure(prose, last_attempt(document));
        say(prose, ".");
    }
    if (output_number(member(document, "queue_now"), "workers") == 0)
        say(prose, " No worker is registered for its queue %s at present.",
            output_string(task, "queue"));
    say_expiry(prose, document);
}

static void explain_processing(prose_t *prose, const cJSON *document)
{
    const cJSON *timeout = member(member(document, "policy"), "timeout_s");
    say(prose, "Worker %s holds it since ", output_string(document, "worker"));
    say_time(prose, document, document, "started_at");
    say(prose, ": attempt %.0f, ", output_number(document, "attempts"));
    if (cJSON_IsNumber(timeout))
        say(prose, "which may take %s.", output_seconds(timeout->valuedouble));
    else
        say(prose, "without a timeout.");
    say_last_attempt(prose, document);
    if (!is_true(document, "worker_connected"))
        say(prose, " That worker is not connected now; unless it comes back with the task, the "
                   "task goes to another.");
}

static void say_retention(prose_t *prose, const cJSON *document)
{
    const cJSON *retention = member(member(document, "policy"), "retention_s");
    if (cJSON_IsNumber(retention))
        say(prose, " It is remembered for %s after its end.",
            output_seconds(retention->valuedouble));
}

static void explain_success(prose_t *prose, const cJSON *document)
{
    say(prose, "It ended in success at ");
    say_time(prose, document, document, "finished_at");
    say(prose, ", in attempt %.0f at worker %s, after %s", output_number(document, "attempts"),
        output_string(document, "worker"), output_seconds(output_number(document, "duration_s")));
    const char *kind = output_string(document, "result_kind");
    say(prose, kind[0] != '\0' ? ", with a result (%s)." : ", without a result.", kind);
    say_retention(prose, document);
}

static void explain_failed(prose_t *prose, const cJSON *document)
{
    const cJSON *task = member(document, "task"), *attempt = last_attempt(document);
    const char *outcome = output_string(attempt, "outcome");
    say(prose, "It is a dead letter since ");
    say_time(prose, document, document, "finished_at");
    say(prose, ": ");
    if (strcmp(output_string(document, "reason"), "quarantined") == 0) {
        say(prose, "quarantined, because ");
        say_count(prose, output_number(document, "deaths"), "worker");
        say(prose, " died or vanished while holding it, and %.0f is the most that its queue allows",
            output_number(member(document, "policy"), "max_deaths"));
    } else if (strcmp(outcome, "rejected") == 0) {
        say(prose, "worker %s rejected it, so that it is not tried again",
            output_string(document, "worker"));
    } else {
        say(prose, "it failed ");
        say_count(prose, output_number(task, "retry_count"), "time");
        say(prose, " and %.0f retries are allowed", output_number(task, "max_retries"));
    }
    say(prose, ". The last error: ");
    say_failure(prose, document);
    say(prose, ". It stays until 'reeve dead retry %s' or 'reeve dead purge %s'.",
        output_string(task, "id"), output_string(task, "id"));
}

static void explain_cancelled(prose_t *prose, const cJSON *document)
{
    say(prose, "It was cancelled at ");
    say_time(prose, document, document, "finished_at");
    if (output_string(document, "worker")[0] != '\0')
        say(prose, ", while worker %s ran it", output_string(document, "worker"));
    say(prose, ", and will not run.");
    say_retention(prose, document);
}

static void explain_expired(prose_t *prose, const cJSON *document)
{
    say(prose, "It expired: it had not begun by ");
    say_time(prose, document, member(document, "task"), "expires_at");
    say(prose, ", and will not run.");
    say_last_attempt(prose, document);
    say_retention(prose, document);
}

static const struct {
    reeve_state_t state;
    void (*explain)(prose_t *, const cJSON *);
} explainers[] = {
    {REEVE_STATE_QUEUED, explain_queued},         {REEVE_STATE_SCHEDULED, explain_scheduled},
    {REEVE_STATE_PROCESSING, explain_processing}, {REEVE_STATE_SUCCESS, explain_success},
    {REEVE_STATE_FAILED, explain_failed},         {REEVE_STATE_CANCELLED, explain_cancelled},
    {REEVE_STATE_EXPIRED, explain_expired},
};

/*  malloc'd. */
static char *paragraph(const cJSON *document)
{
    prose_t prose = {0};
    const char *state = output_string(document, "state");
    prose.out = open_memstream(&prose.text, &prose.size);
    for (size_t i = 0; i < sizeof explainers / sizeof explainers[0]; i++)
        if (strcmp(state, reeve_state_name(explainers[i].state)) == 0)
            explainers[i].explain(&prose, document);
    fclose(prose.out);
    return prose.text;
}

/* ---- printing ------------------------------------------------------------------------------- */

static const char unknown[] =
    "The broker has no task of this id: it was never confirmed by this broker, or it ended and the "
    "time for which its queue keeps ended tasks is over, or it was purged. It will not run unless "
    "it is submitted.";

static int explain_unknown(const cli_t *cli, const char *id)
{
    if (cli->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "explanation", unknown);
        cJSON_AddStringToObject(object, "id", id);
        cJSON_AddStringToObject(object, "state", reeve_state_name(REEVE_STATE_UNKNOWN));
        output_json(&object);
    } else {
        puts(unknown);
    }
    return cli_call_failed(cli, id, REEVE_ERR_UNKNOWN_TASK);
}

/*  The broker's own text with one member more: numbers stay as they are written. */
static void print_json(const char *json, const char *text)
{
    cJSON *string = cJSON_CreateString(text);
    char *quoted = cJSON_PrintUnformatted(string);
    size_t size = strlen(json) + strlen(quoted) + sizeof "{\"explanation\":,";
    char *line = mem_alloc(size);
    snprintf(line, size, "{\"explanation\":%s,%s", quoted, json + 1);
    output_json_line(line);
    free(line);
    cJSON_free(quoted);
    cJSON_Delete(string);
}

/*  The attempt that runs is no part of the broker's history yet. */
static void add_running(cJSON *document)
{
    cJSON *history = cJSON_GetObjectItemCaseSensitive(document, "history");
    if (strcmp(output_string(document, "state"), reeve_state_name(REEVE_STATE_PROCESSING)) != 0)
        return;
    cJSON *attempt = cJSON_CreateObject();
    cJSON_AddNumberToObject(attempt, "attempt", output_number(document, "attempts"));
    cJSON_AddStringToObject(attempt, "outcome", "running");
    cJSON_AddStringToObject(attempt, "worker", output_string(document, "worker"));
    cJSON_AddStringToObject(attempt, "started_at", output_string(document, "started_at"));
    cJSON_AddItemToArray(history, attempt);
}

static void print_text(const char *id, cJSON *document, const char *text)
{
    printf("%s (", id);
    output_clean(stdout, output_string(member(document, "task"), "task_name"));
    printf(") is %s. ", output_string(document, "state"));
    output_clean(stdout, text);
    puts("\n");
    add_running(document);
    show_history(member(document, "history"));
}

static int run_explain(cli_t *cli, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    char *json;
    reeve_error_t error;
    cli_next_option(cli, argc, argv, options);
    const char *id = cli_one_operand(cli, argc, argv, "ID");
    cli_connect(cli);
    if (reeve_query(cli->client, REEVE_QUERY_EXPLAIN, id, NULL, 0, 0, &json, NULL, &error) != 0)
        return error == REEVE_ERR_UNKNOWN_TASK ? explain_unknown(cli, id)
                                               : cli_call_failed(cli, id, error);
    cJSON *document = document_parse(json);
    char *text = paragraph(document);
    if (cli->json)
        print_json(json, text);
    else
        print_text(id, document, text);
    free(text);
    cJSON_Delete(document);
    free(json);
    return EX_OK;
}

const verb_t verb_explain = {
    .name = "explain",
    .synopsis = "explain ID",
    .summary = "tell why a task is where it is",
    .help =
        "Tells in a paragraph why the task is where it is: how many tasks of its queue run before\n"
        "it and whether workers are there for it; when it is due; who holds it and for how long; "
        "how\n"
        "it ended. Then every attempt, with its worker, start, end, outcome and error.\n\n"
        "Exits with 0, or 2 when no task of this id is known.",
    .run = run_explain,
};
