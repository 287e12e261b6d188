/*  Task documents in and out: an accepted document, shown and read again, is the same task; whatever
    a peer sends, what is shown of it is JSON. Input: 'd' and a document, 'w' and the body of a
    SUBMIT, or 'r', the kind and a result. */

#include <cjson/cJSON.h>

#include "common/json.h"
#include "common/limits.h"
#include "common/task.h"
#include "tests/fuzz/fuzz.h"

#define LAST_MS UINT64_C(253402300799999) /* of year 9999, where RFC 3339 ends */
#define NOW_MS  INT64_C(1795000000123)

static void check_problem(const char *problem)
{
    size_t size = strlen(problem);
    CHECK(size > 0 && utf8_valid(slice(problem, size)));
    for (size_t i = 0; i < size; i++)
        CHECK((uint8_t)problem[i] >= ' ' && problem[i] != 0x7f);
}

static void check_refused(slice_t text, const char *problem)
{
    task_t task;
    char shorter[24];
    check_problem(problem);
    CHECK(task_from_json(text, NOW_MS, &task, shorter, sizeof shorter) == -1);
    check_problem(shorter);
    CHECK(strncmp(shorter, problem, strlen(shorter)) == 0);
}

static void check_accepted(const wire_task_t *task)
{
    CHECK(task->id.size == 0 || id_valid(task->id));
    CHECK(name_valid(task->queue, LIMIT_QUEUE_NAME_BYTES));
    CHECK(name_valid(task->task_name, LIMIT_TASK_NAME_BYTES));
    CHECK(task->origin.size == 0 || name_valid(task->origin, LIMIT_ORIGIN_BYTES));
    CHECK(task->priority <= LIMIT_PRIORITY);
    CHECK(task->max_retries <= LIMIT_RETRIES || task->max_retries == WIRE_ABSENT);
    CHECK(task->delay_ms <= (uint64_t)LIMIT_DURATION_MS);
    CHECK(task->timeout_ms <= (uint64_t)LIMIT_DURATION_MS);
    CHECK(task->backoff_ms <= (uint64_t)LIMIT_DURATION_MS);
    CHECK(json_valid_object(task->body) && task->body_kind == WIRE_BODY_JSON);
}

static uint64_t shown_time(uint64_t ms)
{
    return ms < LAST_MS ? ms : LAST_MS;
}

static void check_same(const wire_task_t *a, const wire_task_t *b)
{
    CHECK(slice_eq(a->id, b->id) && slice_eq(a->queue, b->queue));
    CHECK(slice_eq(a->task_name, b->task_name) && slice_eq(a->origin, b->origin));
    CHECK(slice_eq(a->body, b->body));
    CHECK(shown_time(a->created_at_ms) == b->created_at_ms);
    CHECK(shown_time(a->run_at_ms) == b->run_at_ms);
    CHECK(shown_time(a->expires_at_ms) == b->expires_at_ms);
    CHECK(a->priority == b->priority && a->max_retries == b->max_retries);
    CHECK(a->delay_ms == b->delay_ms && a->timeout_ms == b->timeout_ms);
    CHECK(a->backoff_ms == b->backoff_ms);
}

/*  The document as text; the caller frees it. */
static char *show(const task_view_t *view)
{
    cJSON *document = task_to_json(view);
    char *text = cJSON_PrintUnformatted(document);
    CHECK(text != NULL && json_valid_object(slice_str(text)));
    cJSON_Delete(document);
    return text;
}

static void check_document(slice_t text)
{
    task_t task, reread;
    char problem[200];
    if (task_from_json(text, NOW_MS, &task, problem, sizeof problem) != 0) {
        check_refused(text, problem);
        return;
    }
    check_accepted(&task.wire);
    task_view_t view = {.wire = task.wire};
    if (view.wire.id.size == 0)
        view.wire.id = slice_str("made-up");
    if (view.wire.max_retries == WIRE_ABSENT)
        view.wire.max_retries = 3;
    view.max_retries = view.wire.max_retries;
    char *shown = show(&view);
    CHECK(task_from_json(slice_str(shown), 0, &reread, problem, sizeof problem) == 0);
    check_same(&view.wire, &reread.wire);
    free(shown);
    task_fini(&reread);
    task_fini(&task);
}

static void check_wire(slice_t body)
{
    wire_message_t message;
    wire_task_t task;
    const char *problem;
    wire_buffer_t frame = {0};
    wire_begin(&frame, WIRE_SUBMIT);
    frame.data = mem_realloc(frame.data, frame.size + body.size);
    memcpy(frame.data + frame.size, body.data, body.size);
    if (wire_decode(slice(frame.data, frame.size + body.size), &message, &problem) == 0)
        for (size_t at = 0; wire_next_task(&message, &at, &task);)
            free(show(&(task_view_t){.wire = task, .max_retries = task.max_retries}));
    wire_fini(&frame);
}

static void check_result(uint64_t kind, slice_t result)
{
    cJSON *item = result_to_json(kind, result);
    if (item) {
        char *text = cJSON_PrintUnformatted(item);
        CHECK(text != NULL && json_valid(slice_str(text)));
        free(text);
    }
    cJSON_Delete(item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    chooser_t chooser = {slice(data, size), 0};
    uint8_t what = choose_byte(&chooser), kind = what == 'r' ? choose_byte(&chooser) : 0;
    slice_t rest = own_copy(choose_rest(&chooser));
    if (what == 'd')
        check_document(rest);
    else if (what == 'w')
        check_wire(rest);
    else if (what == 'r')
        check_result(kind, rest);
    free((void *)rest.data);
    return 0;
}
