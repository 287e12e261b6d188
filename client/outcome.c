#include "client/outcome.h"

#include <string.h>

#include <stdlib.h>
#include <string.h>

#include "client/document.h"
#include "client/output.h"
#include "common/json.h"
#include "common/parse.h"
#include "common/task.h"

static const char *const kind_names[] = {"none", "json", "text", "frames"};

static int code_of(const reeve_event_t *event)
{
    return event->state == REEVE_STATE_SUCCESS ? EX_OK : EXIT_TASK_ENDED_BADLY;
}

static slice_t result_of(const reeve_event_t *event)
{
    return slice(event->result, event->result_size);
}

static void add_text(cJSON *object, const char *name, const char *text)
{
    if (text[0] != '\0')
        cJSON_AddStringToObject(object, name, text);
}

static void print_json(const reeve_event_t *event)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "id", event->id);
    cJSON_AddStringToObject(object, "state", reeve_state_name(event->state));
    cJSON_AddNumberToObject(object, "attempts", event->attempts);
    cJSON_AddNumberToObject(object, "duration_s", (double)event->duration_ms / 1000);
    int kind = event->result_kind;
    cJSON_AddStringToObject(object, "result_kind", kind_names[kind >= 0 && kind <= 3 ? kind : 0]);
    cJSON *result = result_to_json((uint64_t)kind, result_of(event));
    if (result != NULL)
        cJSON_AddItemToObject(object, "result", result);
    add_text(object, "reason", event->reason);
    add_text(object, "error", event->failure);
    add_text(object, "traceback", event->traceback);
    output_json(&object);
}

int outcome_print_line(const cli_t *cli, const reeve_event_t *event)
{
    if (cli->json) {
        print_json(event);
    } else {
        char duration[DURATION_SIZE];
        format_duration_ms(event->duration_ms, duration);
        printf("%s  %-9s  %s", event->id, reeve_state_name(event->state), duration);
        if (event->reason[0] != '\0') {
            fputs("  ", stdout);
            output_clean(stdout, event->reason);
        }
        if (event->failure[0] != '\0') {
            fputs(": ", stdout);
            output_clean(stdout, event->failure);
        }
        putchar('\n');
    }
    output_flush();
    return code_of(event);
}

static void print_lines(const char *text)
{
    output_clean_lines(stderr, text);
    if (text[0] != '\0' && text[strlen(text) - 1] != '\n')
        fputc('\n', stderr);
}

static void print_end(const reeve_event_t *event)
{
    fprintf(stderr, "reeve: %s: %s", event->id, reeve_state_name(event->state));
    if (event->reason[0] != '\0') {
        fputs(": ", stderr);
        output_clean(stderr, event->reason);
    }
    fputc('\n', stderr);
    print_lines(event->failure);
    print_lines(event->traceback);
}

/*  Frames have no textual form of their own: one is written as it is, several as a JSON array. */
static void print_frames(slice_t frames)
{
    slice_t frame;
    size_t at = 0;
    if (wire_count_frames(frames) == 1 && wire_next_frame(frames, &at, &frame)) {
        fwrite(frame.data, 1, frame.size, stdout);
        putchar('\n');
        return;
    }
    cJSON *array = result_to_json(WIRE_RESULT_FRAMES, frames);
    if (array != NULL)
        output_json(&array);
}

int outcome_print_result(const cli_t *cli, const reeve_event_t *event)
{
    slice_t result = result_of(event);
    if (cli->json) {
        print_json(event);
    } else if (event->state != REEVE_STATE_SUCCESS) {
        print_end(event);
    } else if (event->result_kind == WIRE_RESULT_FRAMES) {
        print_frames(result);
    } else if (event->result_kind != WIRE_RESULT_NONE) {
        fwrite(result.data, 1, result.size, stdout);
        if (result.size == 0 || result.data[result.size - 1] != '\n')
            putchar('\n');
    }
    return code_of(event);
}

bool outcome_exists(const cli_t *cli, const char *id, reeve_error_t *error)
{
    char *json;
    *error = REEVE_ERR_OK;
    if (reeve_query(cli->client, REEVE_QUERY_TASK, id, NULL, 0, 0, &json, NULL, error) != 0)
        return false;
    cJSON *document = document_parse(json);
    const char *state = output_string(document, "state");
    bool ended = false;
    for (int end = REEVE_STATE_SUCCESS; end <= REEVE_STATE_EXPIRED; end++)
        ended = ended || strcmp(state, reeve_state_name(end)) == 0;
    if (!ended)
        cli_say("%s: not ended yet: %s", id, state);
    cJSON_Delete(document);
    free(json);
    return ended;
}

void outcome_print_partial(const cli_t *cli, const reeve_event_t *event)
{
    if (cli->json || event->result_kind == WIRE_RESULT_FRAMES)
        return;
    fprintf(stderr, "%s: ", event->id);
    output_clean(stderr, event->result);
    fputc('\n', stderr);
}
