/*  `reeve wait` and `reeve result`. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/outcome.h"
#include "client/output.h"
#include "client/verbs.h"
#include "common/clock.h"

/*  Of the exit codes of several tasks the one that matters most. */
static int worse(int a, int b)
{
    return a > b ? a : b;
}

/*  Handles one event of a wait; the exit code it means. */
static int on_event(const cli_t *cli, const reeve_event_t *event, bool result_only)
{
    if (event->kind == REEVE_EVENT_REFUSED)
        return cli_fail(event->id, event->error, event->error_text);
    if (event->partial) {
        outcome_print_partial(cli, event);
        return EX_OK;
    }
    return result_only ? outcome_print_result(cli, event) : outcome_print_line(cli, event);
}

/*  Tells events until nothing is waited for or `timeout_ms` (< 0: for ever) has passed. */
static int follow(cli_t *cli, int64_t timeout_ms, bool result_only)
{
    int code = EX_OK;
    int64_t until_ms = clock_deadline_ms(timeout_ms);
    while (reeve_client_waiting(cli->client) > 0) {
        reeve_event_t event;
        reeve_error_t error;
        int64_t left_ms = until_ms - clock_mono_ms();
        if (left_ms <= 0) {
            cli_say("not ended yet: %zu of the tasks", reeve_client_waiting(cli->client));
            return worse(code, EX_TEMPFAIL);
        }
        int rc = reeve_client_poll(cli->client, left_ms, &event, &error);
        if (rc < 0)
            return worse(code, cli_call_failed(cli, NULL, error));
        if (rc > 0)
            code = worse(code, on_event(cli, &event, result_only));
    }
    /* What came with the last outcomes in one message is still to be told. */
    reeve_event_t event;
    reeve_error_t error;
    while (reeve_client_poll(cli->client, 0, &event, &error) > 0)
        code = worse(code, on_event(cli, &event, result_only));
    return code;
}

static int run_wait(cli_t *cli, int argc, char **argv)
{
    enum { OPT_TIMEOUT = 1 };
    static const struct option options[] = {
        {"timeout", required_argument, NULL, OPT_TIMEOUT}, CLI_COMMON_OPTIONS, {0}};
    int64_t timeout_ms = -1;
    while (cli_next_option(cli, argc, argv, options) != -1)
        timeout_ms = cli_duration(cli, "--timeout", optarg);
    if (optind == argc)
        cli_usage(cli, "ID is missing");
    cli_connect(cli);
    int code = EX_OK;
    for (int i = optind; i < argc; i++) {
        reeve_error_t error;
        if (reeve_wait(cli->client, argv[i], NULL, &error) != 0)
            code = worse(code, cli_fail(argv[i], error, NULL));
    }
    return worse(code, follow(cli, timeout_ms, false));
}

const verb_t verb_wait = {
    .name = "wait",
    .synopsis = "wait [--timeout DUR] ID…",
    .summary = "wait until tasks have ended",
    .help = "Waits for the tasks and prints a line for each when it ends: id, state, duration, "
            "reason.\nPartial results go to standard error as they come.\n\n"
            "Exits with 0 when all succeeded, 1 when one ended otherwise, 2 when one is unknown,\n"
            "75 when not all had ended in time.\n\n"
            "  --timeout DUR          how long to wait (default: for ever)",
    .run = run_wait,
};

/*  The state in a task's document; prints why there is none. */
static bool ask_state(cli_t *cli, const char *id, bool *ended, int *code)
{
    char *json;
    reeve_error_t error;
    if (reeve_query(cli->client, REEVE_QUERY_TASK, id, NULL, 0, 0, &json, NULL, &error) != 0) {
        *code = cli_call_failed(cli, id, error);
        return false;
    }
    cJSON *document = cJSON_Parse(json);
    free(json);
    static const reeve_state_t ends[] = {REEVE_STATE_SUCCESS, REEVE_STATE_FAILED,
                                         REEVE_STATE_CANCELLED, REEVE_STATE_EXPIRED};
    const char *state = output_string(document, "state");
    *ended = document == NULL; /* cJSON refuses numbers of over 63 digits: ask for the outcome */
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (strcmp(state, reeve_state_name(ends[i])) == 0)
            *ended = true;
    if (!*ended)
        cli_say("%s: not ended yet: %s", id, state);
    cJSON_Delete(document);
    return true;
}

/*  The document tells whether the task has ended; its result is then taken from an OUTCOME, which
   has its very bytes. */
static int run_result(cli_t *cli, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    cli_next_option(cli, argc, argv, options);
    const char *id = cli_one_operand(cli, argc, argv, "ID");
    int code = EX_OK;
    bool ended;
    reeve_error_t error;
    cli_connect(cli);
    if (!ask_state(cli, id, &ended, &code))
        return code;
    if (!ended)
        return EX_TEMPFAIL;
    if (reeve_wait(cli->client, id, NULL, &error) != 0)
        return cli_fail(id, error, NULL);
    return follow(cli, cli->connect_timeout_ms, true);
}

const verb_t verb_result = {
    .name = "result",
    .synopsis = "result ID",
    .summary = "print the result of a task that has ended",
    .help =
        "Prints the result of a successful task: JSON as it is, text as it is. For a task that\n"
        "ended otherwise, the reason, the error and the traceback go to standard error.\n\n"
        "Exits with 0 on success, 1 when the task ended otherwise, 2 when it is unknown, 75 "
        "when\nit has not ended yet.",
    .run = run_result,
};
