/*  `reeve submit TASK_NAME`: one task from the command line. (--file: submit_file.c) */

#include <signal.h>
#include <stdio.h>

#include "client/outcome.h"
#include "client/output.h"
#include "client/verbs.h"
#include "common/clock.h"
#include "common/limits.h"

enum {
    OPT_QUEUE = 1,
    OPT_ARGS,
    OPT_KWARGS,
    OPT_HEADERS,
    OPT_ID,
    OPT_MAX_RETRIES,
    OPT_TIMEOUT,
    OPT_DELAY,
    OPT_RUN_AT,
    OPT_EXPIRES_AT,
    OPT_BACKOFF,
    OPT_PRIORITY,
    OPT_ORIGIN,
    OPT_WAIT,
    OPT_WAIT_TIMEOUT,
    OPT_FILE,
    OPT_BATCH,
};

static const struct option options[] = {
    {"queue", required_argument, NULL, OPT_QUEUE},
    {"args", required_argument, NULL, OPT_ARGS},
    {"kwargs", required_argument, NULL, OPT_KWARGS},
    {"headers", required_argument, NULL, OPT_HEADERS},
    {"id", required_argument, NULL, OPT_ID},
    {"max-retries", required_argument, NULL, OPT_MAX_RETRIES},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"delay", required_argument, NULL, OPT_DELAY},
    {"run-at", required_argument, NULL, OPT_RUN_AT},
    {"expires-at", required_argument, NULL, OPT_EXPIRES_AT},
    {"backoff", required_argument, NULL, OPT_BACKOFF},
    {"priority", required_argument, NULL, OPT_PRIORITY},
    {"origin", required_argument, NULL, OPT_ORIGIN},
    {"wait", no_argument, NULL, OPT_WAIT},
    {"wait-timeout", required_argument, NULL, OPT_WAIT_TIMEOUT},
    {"file", required_argument, NULL, OPT_FILE},
    {"batch", required_argument, NULL, OPT_BATCH},
    CLI_COMMON_OPTIONS,
    {0},
};

typedef struct order {
    reeve_task_t task;
    const char *file, *batch;
    bool describes_task; /* an option was given that --file does not go with */
    int64_t wait_timeout_ms;
    bool names_id;               /* --id was given */
    char id[LIMIT_ID_BYTES + 1]; /* made at the first submission, kept for the others */
    bool confirmed;
} order_t;

static volatile sig_atomic_t interrupted;
static reeve_client_t *waiting; /* for the handler */

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
    reeve_client_interrupt(waiting);
}

/*  The first one ends the waiting, so that the id can be told; a second one kills. */
static void catch_interrupt(reeve_client_t *client)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    waiting = client;
    sigaction(SIGINT, &action, NULL);
}

static void take_time_option(const cli_t *cli, int option, reeve_task_t *task)
{
    switch (option) {
    case OPT_TIMEOUT:
        task->timeout_ms = cli_duration(cli, "--timeout", optarg);
        break;
    case OPT_DELAY:
        task->delay_ms = cli_duration(cli, "--delay", optarg);
        break;
    case OPT_RUN_AT:
        task->run_at_ms = cli_time(cli, "--run-at", optarg);
        break;
    case OPT_EXPIRES_AT:
        task->expires_at_ms = cli_time(cli, "--expires-at", optarg);
        break;
    case OPT_BACKOFF:
        task->backoff_ms = cli_duration(cli, "--backoff", optarg);
        break;
    }
}

static void take_option(const cli_t *cli, int option, order_t *order)
{
    reeve_task_t *task = &order->task;
    order->describes_task = order->describes_task || (option != OPT_FILE && option != OPT_BATCH);
    switch (option) {
    case OPT_QUEUE:
        task->queue = optarg;
        break;
    case OPT_ARGS:
        task->args_json = optarg;
        break;
    case OPT_KWARGS:
        task->kwargs_json = optarg;
        break;
    case OPT_HEADERS:
        task->headers_json = optarg;
        break;
    case OPT_ID:
        task->id = optarg;
        order->names_id = true;
        break;
    case OPT_MAX_RETRIES:
        task->has_max_retries = true;
        task->max_retries = (uint32_t)cli_number(cli, "--max-retries", optarg, 0, LIMIT_RETRIES);
        break;
    case OPT_PRIORITY:
        task->priority = (int)cli_number(cli, "--priority", optarg, 0, LIMIT_PRIORITY);
        break;
    case OPT_ORIGIN:
        task->origin = optarg;
        break;
    case OPT_WAIT:
        task->wait = true;
        break;
    case OPT_WAIT_TIMEOUT:
        order->wait_timeout_ms = cli_duration(cli, "--wait-timeout", optarg);
        break;
    case OPT_FILE:
        order->file = optarg;
        break;
    case OPT_BATCH:
        order->batch = optarg;
        break;
    default:
        take_time_option(cli, option, task);
    }
}

static void check(const cli_t *cli, int argc, char **argv, order_t *order)
{
    if (order->file != NULL) {
        if (order->describes_task || optind < argc)
            cli_usage(cli, "--file goes with no other description of a task");
        return;
    }
    order->task.task_name = cli_one_operand(cli, argc, argv, "TASK_NAME");
    if (order->batch != NULL)
        cli_usage(cli, "--batch is for --file");
    if (order->wait_timeout_ms >= 0 && !order->task.wait)
        cli_usage(cli, "--wait-timeout is for --wait");
    if (order->task.delay_ms != 0 && order->task.run_at_ms != 0)
        cli_usage(cli, "give either --delay or --run-at");
}

/*  Submits, under the id of the first time if this is not it. Returns the exit code. */
static int submit_task(cli_t *cli, order_t *order)
{
    reeve_error_t error;
    if (reeve_submit(cli->client, &order->task, NULL, order->id, &error) != 0)
        return cli_call_failed(cli, NULL, error);
    order->task.id = order->id;
    return EX_OK;
}

/*  A made id is known when its own confirmation was lost: that is of no interest. */
static void print_confirmed(const cli_t *cli, const order_t *order, const reeve_event_t *event)
{
    static const char *const durabilities[] = {"unknown", "memory", "fsync", "replicated"};
    if (cli->json) {
        int durability = event->durability >= 0 && event->durability <= 3 ? event->durability : 0;
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "id", event->id);
        cJSON_AddBoolToObject(object, "duplicate", event->duplicate);
        cJSON_AddStringToObject(object, "durability", durabilities[durability]);
        output_json(&object);
    } else {
        puts(event->id);
        if (event->duplicate && order->names_id)
            cli_say("%s: was known already, and is not run anew; 'reeve status %s' tells its state",
                    event->id, event->id);
    }
}

/*  Waits out a refusal that may pass, and submits again. Returns the exit code, EX_OK to go on. */
static int submit_again(cli_t *cli, order_t *order, const reeve_event_t *refusal, int64_t until_ms)
{
    reeve_event_t event;
    reeve_error_t error;
    int64_t resume_ms = clock_mono_ms() + refusal->retry_after_ms;
    if (!cli_is_retryable(refusal->error) || resume_ms >= until_ms)
        return cli_fail(order->id, refusal->error, refusal->error_text);
    while (!interrupted && clock_mono_ms() < resume_ms)
        reeve_client_poll(cli->client, resume_ms - clock_mono_ms(), &event, &error);
    return submit_task(cli, order);
}

/*  Tells what is known of a submission that is not seen through. Returns the exit code. */
static int give_up(const cli_t *cli, const order_t *order, reeve_error_t error)
{
    int code = interrupted ? EXIT_INTERRUPTED : cli_call_failed(cli, NULL, error);
    cli_say("%s: %s", order->id,
            order->confirmed ? "was confirmed" : "not confirmed; submit it again with this --id");
    return code;
}

/*  Sees the submission through to its confirm and, with --wait, to its outcome. */
static int follow(cli_t *cli, order_t *order)
{
    int64_t retry_until_ms = clock_deadline_ms(cli->connect_timeout_ms);
    int64_t wait_until_ms = clock_deadline_ms(order->wait_timeout_ms);
    for (;;) {
        reeve_event_t event;
        reeve_error_t error;
        bool longer = order->confirmed || wait_until_ms > retry_until_ms;
        int64_t left_ms = (longer ? wait_until_ms : retry_until_ms) - clock_mono_ms();
        if (interrupted || (left_ms <= 0 && !order->confirmed))
            return give_up(cli, order, REEVE_ERR_TIMED_OUT);
        if (left_ms <= 0) {
            if (!outcome_exists(cli, order->id, &error))
                return error != REEVE_ERR_OK ? give_up(cli, order, error) : EX_TEMPFAIL;
            wait_until_ms = INT64_MAX; /* it is under way */
            continue;
        }
        int rc = reeve_client_poll(cli->client, left_ms, &event, &error);
        if (rc < 0)
            return give_up(cli, order, error);
        if (rc == 0)
            continue;
        if (event.kind == REEVE_EVENT_REFUSED) {
            int code = submit_again(cli, order, &event, retry_until_ms);
            if (code != EX_OK)
                return code;
        } else if (event.kind == REEVE_EVENT_CONFIRMED) {
            order->confirmed = true;
            if (order->task.wait)
                continue;
            print_confirmed(cli, order, &event);
            return EX_OK;
        } else if (event.partial) {
            outcome_print_partial(cli, &event);
        } else {
            return outcome_print_result(cli, &event);
        }
    }
}

static int run_submit(cli_t *cli, int argc, char **argv)
{
    order_t order = {.wait_timeout_ms = -1};
    for (int option; (option = cli_next_option(cli, argc, argv, options)) != -1;)
        take_option(cli, option, &order);
    check(cli, argc, argv, &order);
    if (order.file != NULL)
        return submit_file(cli, order.file, order.batch);
    cli_connect(cli);
    catch_interrupt(cli->client);
    int code = submit_task(cli, &order);
    if (code == EX_OK)
        code = follow(cli, &order);
    signal(SIGINT, SIG_DFL);
    return code;
}

const verb_t verb_submit = {
    .name = "submit",
    .synopsis = "submit TASK_NAME [OPTION…]\n"
                "       reeve submit --file FILE [--batch NAME]",
    .summary = "submit a task, or a file of tasks",
    .help =
        "Submits a task and prints its id when the broker has it on disk. With --wait, waits "
        "until\n"
        "the task has ended and prints its result instead, as 'reeve result' does.\n\n"
        "  --queue Q              the queue (default: default)\n"
        "  --args JSON            positional arguments, an array\n"
        "  --kwargs JSON          named arguments, an object\n"
        "  --headers JSON         headers, an object of strings\n"
        "  --id ID                the id (default: one is made); an id is run once only, so\n"
        "                         submitting again with the same id is safe\n"
        "  --max-retries N        retries after a failure (default: the queue's)\n"
        "  --timeout DUR          time for one attempt\n"
        "  --delay DUR            run after this time\n"
        "  --run-at TIME          run at this time (2026-05-20T10:30:00Z)\n"
        "  --expires-at TIME      do not begin after this time\n"
        "  --backoff DUR          delay before the first retry\n"
        "  --priority N           0 (default) to 9 (first)\n"
        "  --origin S             who submits, for logs\n"
        "  --wait                 wait for the outcome\n"
        "  --wait-timeout DUR     how long to wait (default: for ever)\n\n"
        "  --file FILE            submit the task documents in FILE (-: standard input), one JSON\n"
        "                         object per line. Lines that are refused are listed on standard\n"
        "                         error with their number; the others are submitted. Running the\n"
        "                         same file again is safe when the documents have ids.\n"
        "  --batch NAME           makes the ids of documents without one from NAME, the line's\n"
        "                         number and its text, so that running the same file again with\n"
        "                         the same NAME is safe, too",
    .run = run_submit,
};
