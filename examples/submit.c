/*  The C API, producing side: submits each line of standard input as a task, waits for all of them,
    and prints the results.

        echo "to be or not" | example_submit [ENDPOINT] */

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reeve/client.h"

enum { FOR_EVER = -1 };

typedef struct run {
    reeve_client_t *client;
    size_t open; /* tasks whose end has not been told */
    bool good;
} run_t;

static void end(run_t *run, bool good)
{
    run->open--;
    run->good = run->good && good;
}

/*  Waits for the next event and tells it. */
static void take_event(run_t *run)
{
    reeve_event_t event;
    reeve_error_t error;
    if (reeve_client_poll(run->client, FOR_EVER, &event, &error) != 1) {
        fprintf(stderr, "%s\n", reeve_error_meaning(error));
        exit(EXIT_FAILURE);
    }
    switch (event.kind) {
    case REEVE_EVENT_CONFIRMED: /* on disk: it will not be lost from here on */
        break;
    case REEVE_EVENT_REFUSED:
        fprintf(stderr, "%s: %s\n", event.id, event.error_text);
        end(run, false);
        break;
    case REEVE_EVENT_OUTCOME:
        if (event.partial)
            break;
        printf("%s %s %.*s%s\n", event.id, reeve_state_name(event.state), (int)event.result_size,
               (const char *)event.result, event.reason);
        end(run, event.state == REEVE_STATE_SUCCESS);
        break;
    }
}

static void submit_line(run_t *run, const char *line)
{
    cJSON *kwargs = cJSON_CreateObject();
    cJSON_AddStringToObject(kwargs, "text", line);
    char *json = cJSON_PrintUnformatted(kwargs);
    /* Without an id one is made. Choose ids of your own, and a program that was interrupted may
       submit everything again: what is known already is not run twice. */
    reeve_task_t task = {
        .task_name = "count_words", .queue = "texts", .kwargs_json = json, .wait = true};
    reeve_error_t error;
    int rc;
    run->open++;
    while ((rc = reeve_submit(run->client, &task, NULL, NULL, &error)) != 0 &&
           error == REEVE_ERR_TOO_MANY)
        take_event(run); /* too many are unconfirmed: let some of them pass */
    if (rc != 0) {
        fprintf(stderr, "%s\n", reeve_error_meaning(error));
        end(run, false);
    }
    cJSON_free(json);
    cJSON_Delete(kwargs);
}

int main(int argc, char **argv)
{
    const char *broker = argc > 1 ? argv[1] : NULL; /* NULL: $REEVE_BROKER, or the usual one */
    run_t run = {.good = true};
    run.client = reeve_client_new(&(reeve_client_options_t){.broker = broker});
    if (run.client == NULL) {
        perror("example_submit");
        return EXIT_FAILURE;
    }
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        submit_line(&run, line);
    }
    free(line);
    while (run.open > 0)
        take_event(&run);
    reeve_client_destroy(&run.client);
    return run.good ? EXIT_SUCCESS : EXIT_FAILURE;
}
