/*  `reeve wait` and `reeve result`. */

#include "client/outcome.h"
#include "client/verbs.h"
#include "common/clock.h"

/*  Of the exit codes of several tasks the one that matters most. */
static int worse(int a, int b)
{
    return a > b ? a : b;
}

/*  Tasks whose ends are to be told. */
typedef struct watch {
    cli_t *cli;
    char **ids; /* as on the command line; NULL once told */
    int count, left;
    bool result_only;
    int code; /* of the exit, as far as things went */
} watch_t;

static void told(watch_t *self, char **id, int code)
{
    self->code = worse(self->code, code);
    self->left--;
    *id = NULL;
}

static void ask_for(watch_t *self, char **id)
{
    reeve_error_t error;
    if (reeve_wait(self->cli->client, *id, id, &error) != 0)
        told(self, id, cli_fail(*id, error, NULL));
}

static void on_event(watch_t *self, const reeve_event_t *event)
{
    char **id = event->user;
    if (*id == NULL)
        return; /* it ended after it was told that it had not */
    if (event->kind == REEVE_EVENT_REFUSED)
        told(self, id, cli_fail(event->id, event->error, event->error_text));
    else if (event->partial)
        outcome_print_partial(self->cli, event);
    else if (self->result_only)
        told(self, id, outcome_print_result(self->cli, event));
    else
        told(self, id, outcome_print_line(self->cli, event));
}

/*  Tells what has not ended. Of what has, the outcome is under way, and of what is unknown the refusal.
    False when the broker does not say. */
static bool tell_open(watch_t *self)
{
    for (int i = 0; i < self->count; i++) {
        reeve_error_t error = REEVE_ERR_OK;
        if (self->ids[i] == NULL || outcome_exists(self->cli, self->ids[i], &error) ||
            error == REEVE_ERR_UNKNOWN_TASK)
            continue;
        if (error != REEVE_ERR_OK) {
            self->code = worse(self->code, cli_call_failed(self->cli, self->ids[i], error));
            return false;
        }
        told(self, &self->ids[i], EX_TEMPFAIL);
    }
    return true;
}

/*  Tells what comes until all is told or `timeout_ms` (< 0: for ever) has passed. Returns the exit code. */
static int follow(watch_t *self, int64_t timeout_ms)
{
    int64_t until_ms = clock_deadline_ms(timeout_ms);
    while (self->left > 0) {
        reeve_event_t event;
        reeve_error_t error;
        int64_t left_ms = until_ms - clock_mono_ms();
        if (left_ms <= 0) {
            if (!tell_open(self))
                break;
            until_ms = INT64_MAX;
            continue;
        }
        int rc = reeve_client_poll(self->cli->client, left_ms, &event, &error);
        if (rc < 0)
            return worse(self->code, cli_call_failed(self->cli, NULL, error));
        if (rc > 0)
            on_event(self, &event);
    }
    return self->code;
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
    int count = argc - optind;
    watch_t watch = {.cli = cli, .ids = argv + optind, .count = count, .left = count};
    for (int i = 0; i < count; i++)
        ask_for(&watch, &watch.ids[i]);
    return follow(&watch, timeout_ms);
}

const verb_t verb_wait = {
    .name = "wait",
    .synopsis = "wait [--timeout DUR] ID…",
    .summary = "wait until tasks have ended",
    .help = "Waits for the tasks and prints a line for each when it ends: id, state, duration, "
            "reason.\nPartial results go to standard error as they come.\n\n"
            "Exits with 0 when all succeeded, 1 when one ended otherwise, 2 when one is unknown,\n"
            "75 when not all had ended in time.\n\n"
            "  --timeout DUR          how long to wait (default: for ever); 0s: only look",
    .run = run_wait,
};

/*  The document tells whether the task has ended; its result is then taken from an OUTCOME, which
   has its very bytes. */
static int run_result(cli_t *cli, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    cli_next_option(cli, argc, argv, options);
    const char *id = cli_one_operand(cli, argc, argv, "ID");
    reeve_error_t error;
    cli_connect(cli);
    if (!outcome_exists(cli, id, &error))
        return error != REEVE_ERR_OK ? cli_call_failed(cli, id, error) : EX_TEMPFAIL;
    watch_t watch = {.cli = cli, .ids = argv + optind, .count = 1, .left = 1, .result_only = true};
    ask_for(&watch, watch.ids);
    return follow(&watch, -1);
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
