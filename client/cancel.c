/*  `reeve cancel`. */

#include <stdio.h>

#include "client/output.h"
#include "client/verbs.h"

static int run_cancel(cli_t *cli, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS, {0}};
    cli_next_option(cli, argc, argv, options);
    const char *id = cli_one_operand(cli, argc, argv, "ID");
    reeve_state_t was;
    reeve_error_t error;
    cli_connect(cli);
    if (reeve_cancel(cli->client, id, &was, &error) != 0)
        return cli_call_failed(cli, id, error);
    if (cli->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "id", id);
        cJSON_AddStringToObject(object, "state", reeve_state_name(REEVE_STATE_CANCELLED));
        cJSON_AddStringToObject(object, "was", reeve_state_name(was));
        output_json(&object);
    } else {
        printf("%s cancelled; it was %s\n", id, reeve_state_name(was));
    }
    return EX_OK;
}

const verb_t verb_cancel = {
    .name = "cancel",
    .synopsis = "cancel ID",
    .summary = "cancel a task that has not ended",
    .help =
        "Cancels the task. One that is being processed is taken from its worker, which is told\n"
        "to stop.\n\n"
        "Exits with 0 when it was cancelled, 2 when it had ended already or is unknown.",
    .run = run_cancel,
};
