#include "client/top/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "client/output.h"
#include "client/top/columns.h"
#include "client/top/text.h"
#include "common/clock.h"
#include "common/parse.h"

static void print_table(const model_t *model, list_t list)
{
    size_t count;
    const column_t *columns = list_columns(list, &count);
    char titles[TABLE_COLUMNS][16], cell[CELL_SIZE];
    table_t table = {0};
    for (size_t i = 0; i < count; i++) {
        snprintf(titles[i], sizeof titles[i], "%s%s", columns[i].right ? ">" : "",
                 columns[i].title);
        table.titles[i] = titles[i];
    }
    for (size_t row = 0; row < list_rows(model, list); row++) {
        for (size_t i = 0; i < count; i++) {
            list_cell(model, list, row, i, cell);
            table_add(&table, cell);
        }
    }
    table_print(&table);
}

static void print_text(const model_t *model, const char *now)
{
    char in[TEXT_SIZE], out[TEXT_SIZE];
    const queue_row_t *all = &model->all;
    text_of_rate(all->in_per_s, in);
    text_of_rate(all->out_per_s, out);
    printf("%s: queues %zu, waiting %.0f, scheduled %.0f, in flight %.0f, dead %.0f, in %s/s, out "
           "%s/s, workers %zu, %.0f of %.0f slots busy\n\n",
           now, model->queue_count, all->waiting, all->scheduled, all->processing, all->dead, in,
           out, model->worker_count, model->busy, model->slots);
    print_table(model, LIST_QUEUES);
    puts("");
    print_table(model, LIST_WORKERS);
}

static void add_rate(cJSON *object, const char *name, double per_s)
{
    if (per_s >= 0)
        cJSON_AddNumberToObject(object, name, per_s);
    else
        cJSON_AddNullToObject(object, name);
}

/*  The broker's documents as they came, in the order of the text, and the rates. */
static void print_json(const model_t *model, const char *now)
{
    const sample_t *sample = model->sample;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "now", now);
    cJSON_AddItemToObject(object, "broker",
                          sample->broker ? cJSON_Duplicate(sample->broker, true)
                                         : cJSON_CreateNull());
    cJSON *queues = cJSON_AddArrayToObject(object, "queues");
    for (size_t i = 0; i < model->queue_count; i++) {
        cJSON *queue = cJSON_Duplicate(model->queues[i].document, true);
        add_rate(queue, "submitted_per_s", model->queues[i].in_per_s);
        add_rate(queue, "finished_per_s", model->queues[i].out_per_s);
        cJSON_AddItemToArray(queues, queue);
    }
    cJSON_AddItemToObject(object, "workers", cJSON_Duplicate(sample->workers, true));
    output_json(&object);
}

static void print(const cli_t *cli, const model_t *model)
{
    char now[RFC3339_SIZE];
    format_rfc3339_ms(clock_wall_ms(), now);
    if (cli->json)
        print_json(model, now);
    else
        print_text(model, now);
}

static void wait_until(int64_t due_ms)
{
    struct timespec due = {due_ms / 1000, due_ms % 1000 * 1000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0)
        ;
}

int batch_run(cli_t *cli, int64_t interval_ms, int64_t iterations, sort_key_t sort)
{
    model_t model = {.sort = sort};
    int code = EX_OK;
    cli_connect(cli);
    int64_t due_ms = clock_mono_ms();
    for (int64_t i = 0; iterations == 0 || i < iterations; i++) {
        reeve_error_t error;
        wait_until(due_ms);
        due_ms = clock_mono_ms() + interval_ms;
        sample_t *sample = sample_ask(cli->client, false, &error);
        if (sample == NULL) {
            code = cli_call_failed(cli, NULL, error);
            break;
        }
        model_take(&model, &sample);
        if (i > 0 && !cli->json)
            puts("");
        print(cli, &model);
        if (!output_flush())
            break; /* output_close tells */
    }
    model_fini(&model);
    return code;
}
