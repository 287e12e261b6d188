#include "client/top/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/output.h"
#include "client/top/text.h"

static const column_t queue_columns[] = {
    {"QUEUE", 10, 0, false, true}, {"WAITING", 7, 1, true, false}, {"SCHED", 7, 8, true, false},
    {"FLIGHT", 7, 2, true, false}, {"DEAD", 7, 5, true, false},    {"IN/S", 7, 4, true, false},
    {"OUT/S", 7, 3, true, false},  {"OLDEST", 7, 6, true, false},  {"WORKERS", 7, 7, true, false},
};
enum { QUEUE, WAITING, SCHEDULED, FLIGHT, DEAD, IN, OUT, OLDEST, WORKERS };

static const column_t worker_columns[] = {
    {"WORKER", 20, 0, false, false}, {"HOST", 15, 4, false, false}, {"PROTO", 5, 5, false, false},
    {"STATE", 6, 2, false, false},   {"SLOTS", 9, 1, true, false},  {"HEARD", 7, 3, true, false},
    {"QUEUES", 8, 0, false, true},
};
enum { WORKER, HOST, PROTOCOL, STATE, SLOTS, HEARD, QUEUES };

static const column_t dead_columns[] = {
    {"ID", 36, 0, false, false},        {"QUEUE", 12, 1, false, false},
    {"TASK_NAME", 14, 3, false, false}, {"FAILED", 24, 6, false, false},
    {"ATTEMPTS", 8, 5, true, false},    {"REASON", 14, 4, false, false},
    {"ERROR", 10, 0, false, true},
};
enum { ID, OF_QUEUE, TASK_NAME, FAILED, ATTEMPTS, REASON, ERROR };

const column_t *list_columns(list_t list, size_t *count)
{
    switch (list) {
    case LIST_QUEUES:
        *count = sizeof queue_columns / sizeof *queue_columns;
        return queue_columns;
    case LIST_WORKERS:
        *count = sizeof worker_columns / sizeof *worker_columns;
        return worker_columns;
    default:
        *count = sizeof dead_columns / sizeof *dead_columns;
        return dead_columns;
    }
}

size_t list_rows(const model_t *model, list_t list)
{
    switch (list) {
    case LIST_QUEUES:
        return model->queue_count;
    case LIST_WORKERS:
        return model->worker_count;
    default:
        return model->sample ? (size_t)cJSON_GetArraySize(model->sample->dead) : 0;
    }
}

bool list_row_is_stuck(const model_t *model, list_t list, size_t row)
{
    return list == LIST_QUEUES && model->queues[row].waiting > 0 && model->queues[row].workers == 0;
}

/* ---- cells ---------------------------------------------------------------------------------- */

static void put(char text[CELL_SIZE], const char *value)
{
    snprintf(text, CELL_SIZE, "%s", value);
}

static void put_age(char text[CELL_SIZE], double seconds)
{
    put(text, seconds >= 0 ? output_seconds(seconds) : "-");
}

static void queue_cell(const queue_row_t *row, size_t column, char text[CELL_SIZE])
{
    const double counts[] = {[WAITING] = row->waiting,
                             [SCHEDULED] = row->scheduled,
                             [FLIGHT] = row->processing,
                             [DEAD] = row->dead,
                             [WORKERS] = row->workers};
    if (column == QUEUE)
        put(text, row->name);
    else if (column == IN)
        text_of_rate(row->in_per_s, text);
    else if (column == OUT)
        text_of_rate(row->out_per_s, text);
    else if (column == OLDEST)
        put_age(text, row->age_s);
    else
        text_of_count(counts[column], text);
}

static const char *worker_state(const worker_row_t *row)
{
    if (row->slots == 0)
        return "paused"; /* it takes nothing: it drains, or was told to */
    if (row->busy == 0)
        return "idle";
    return row->busy >= row->slots ? "full" : "busy";
}

static void worker_cell(const worker_row_t *row, size_t column, char text[CELL_SIZE])
{
    switch (column) {
    case WORKER:
        put(text, row->name);
        break;
    case HOST:
        put(text, row->address[0] != '\0' ? row->address : "-");
        break;
    case PROTOCOL:
        put(text, row->protocol);
        break;
    case STATE:
        put(text, worker_state(row));
        break;
    case SLOTS:
        snprintf(text, CELL_SIZE, "%.0f/%.0f", row->busy, row->slots);
        break;
    case HEARD:
        put_age(text, row->heard_s > 0 ? row->heard_s : 0);
        break;
    default:
        output_names(row->queues, text, CELL_SIZE);
    }
}

static void dead_cell(const cJSON *document, size_t column, char text[CELL_SIZE])
{
    static const char *const members[] = {[ID] = "id",
                                          [OF_QUEUE] = "queue",
                                          [TASK_NAME] = "task_name",
                                          [FAILED] = "failed_at",
                                          [REASON] = "reason",
                                          [ERROR] = "error"};
    if (column == ATTEMPTS)
        text_of_count(output_number(document, "attempts"), text);
    else
        put(text, output_string(document, members[column]));
}

void list_cell(const model_t *model, list_t list, size_t row, size_t column, char text[CELL_SIZE])
{
    switch (list) {
    case LIST_QUEUES:
        queue_cell(&model->queues[row], column, text);
        break;
    case LIST_WORKERS:
        worker_cell(&model->workers[row], column, text);
        break;
    default:
        dead_cell(cJSON_GetArrayItem(model->sample->dead, (int)row), column, text);
    }
}
