#include "client/top/layout.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/output.h"
#include "client/top/text.h"
#include "common/mem.h"

enum { HEAD_LINES = 4, FOOT_LINES = 1, COLUMNS_MOST = 16 };

void canvas_fini(canvas_t *self)
{
    for (int i = 0; i < self->used; i++)
        free(self->lines[i].text);
    free(self->lines);
    *self = (canvas_t){0};
}

static void canvas_begin(canvas_t *self, int width, int height)
{
    canvas_fini(self);
    self->width = width;
    self->height = height;
    self->lines = mem_zalloc(((size_t)height + 1) * sizeof *self->lines);
}

/*  A further line, cut to the width; without one left it is dropped. */
static void add_line(canvas_t *self, style_t style, const char *text)
{
    size_t size;
    if (self->used == self->height)
        return;
    struct canvas_line *line = &self->lines[self->used++];
    line->style = style;
    FILE *out = open_memstream(&line->text, &size);
    text_put(out, text, self->width, false);
    fclose(out);
}

__attribute__((format(printf, 3, 4))) static void add_linef(canvas_t *self, style_t style,
                                                            const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    add_line(self, style, text);
}

static void fill_up(canvas_t *self, int lines)
{
    while (self->used < lines && self->used < self->height)
        add_line(self, STYLE_PLAIN, "");
}

/* ---- the head ------------------------------------------------------------------------------- */

static bool is_silent(const contact_t *contact)
{
    return contact->silent_ms >= SILENT_MS;
}

static void describe_contact(char *text, size_t size, const model_t *model,
                             const contact_t *contact)
{
    const cJSON *broker = model->sample ? model->sample->broker : NULL;
    const char *state = output_string(broker, "state");
    if (is_silent(contact))
        snprintf(text, size, "unreachable for %s, trying",
                 output_seconds((double)(contact->silent_ms / 1000)));
    else if (contact->error != REEVE_ERR_OK)
        snprintf(text, size, "%s",
                 contact->text[0] ? contact->text : reeve_error_meaning(contact->error));
    else if (model->sample == NULL)
        snprintf(text, size, "connecting");
    else if (state[0] == '\0' || strcmp(state, "ready") == 0)
        snprintf(text, size, "connected");
    else
        snprintf(text, size, "connected, %s", state);
}

/*  " - 0.1.0 - up 3h05m", as far as the broker tells. */
static void describe_broker(char *text, size_t size, const cJSON *broker)
{
    const cJSON *uptime = cJSON_GetObjectItemCaseSensitive(broker, "uptime_s");
    text[0] = '\0';
    if (broker)
        snprintf(text, size, " - %s", output_string(broker, "version"));
    if (cJSON_IsNumber(uptime))
        snprintf(text + strlen(text), size - strlen(text), " - up %s",
                 output_seconds(uptime->valuedouble));
}

static void add_head(canvas_t *canvas, const model_t *model, const choice_t *choice,
                     const contact_t *contact)
{
    char state[200], broker[200], counts[5][TEXT_SIZE], rates[2][TEXT_SIZE];
    const queue_row_t *all = &model->all;
    bool fine = !is_silent(contact) && contact->error == REEVE_ERR_OK;
    describe_contact(state, sizeof state, model, contact);
    describe_broker(broker, sizeof broker, fine && model->sample ? model->sample->broker : NULL);
    add_linef(canvas, fine ? STYLE_HEAD : STYLE_ALARM, "reeve top - %s%s - every %s - %s%s", state,
              choice->paused ? ", paused" : "", output_seconds((double)choice->interval_ms / 1000),
              contact->broker, broker);
    if (model->sample == NULL)
        return;
    text_of_count((double)model->queue_count, counts[0]);
    text_of_count(all->waiting, counts[1]);
    text_of_count(all->scheduled, counts[2]);
    text_of_count(all->processing, counts[3]);
    text_of_count(all->dead, counts[4]);
    text_of_rate(all->in_per_s, rates[0]);
    text_of_rate(all->out_per_s, rates[1]);
    add_linef(canvas, STYLE_PLAIN, "queues %s: waiting %s, scheduled %s, in flight %s, dead %s",
              counts[0], counts[1], counts[2], counts[3], counts[4]);
    add_linef(canvas, STYLE_PLAIN,
              "in %s/s, out %s/s, oldest %s; workers %zu: %.0f of %.0f slots busy", rates[0],
              rates[1], all->age_s >= 0 ? output_seconds(all->age_s) : "-", model->worker_count,
              model->busy, model->slots);
}

/* ---- lists ---------------------------------------------------------------------------------- */

/*  The width of each column in so many columns of terminal; 0 for those that have no room. */
static void share_width(list_t list, int width, int widths[COLUMNS_MOST])
{
    size_t count, wide = 0;
    const column_t *columns = list_columns(list, &count);
    int needed = -1;
    for (size_t i = 0; i < count; i++) {
        widths[i] = columns[i].width;
        needed += widths[i] + 1;
        if (columns[i].wide)
            wide = i;
    }
    while (needed > width) {
        size_t least = wide;
        for (size_t i = 0; i < count; i++)
            if (widths[i] > 0 && columns[i].rank > columns[least].rank)
                least = i;
        if (columns[least].rank == 0)
            break; /* the lines are cut */
        needed -= widths[least] + 1;
        widths[least] = 0;
    }
    if (needed < width)
        widths[wide] += width - needed;
}

/*  A row, or the titles where `model` is NULL, as text. The caller frees. */
static char *row_text(const model_t *model, list_t list, size_t row, const int *widths)
{
    char *text, cell[CELL_SIZE];
    size_t size, count;
    const column_t *columns = list_columns(list, &count);
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; i < count; i++) {
        if (widths[i] == 0)
            continue;
        if (ftell(out) > 0)
            fputc(' ', out);
        if (model)
            list_cell(model, list, row, i, cell);
        text_put(out, model ? cell : columns[i].title, widths[i], columns[i].right);
    }
    fclose(out);
    return text;
}

static void add_list(canvas_t *canvas, const model_t *model, list_t list, size_t first, size_t rows)
{
    int widths[COLUMNS_MOST];
    share_width(list, canvas->width, widths);
    char *text = row_text(NULL, list, 0, widths);
    add_line(canvas, STYLE_TITLE, text);
    free(text);
    for (size_t i = first; i < first + rows && i < list_rows(model, list); i++) {
        text = row_text(model, list, i, widths);
        add_line(canvas, list_row_is_stuck(model, list, i) ? STYLE_STUCK : STYLE_PLAIN, text);
        free(text);
    }
}

list_t choice_next_list(const choice_t *self)
{
    if (self->both && self->list != LIST_DEAD)
        return LIST_DEAD;
    return (list_t)((self->list + 1) % LIST_COUNT);
}

/*  The rows for the lists below the head, their titles not counted. */
static size_t room_of(const canvas_t *canvas)
{
    int room = canvas->height - HEAD_LINES - FOOT_LINES - 1;
    return room > 0 ? (size_t)room : 0;
}

/*  Two lists need a second title and an empty line between them. */
static bool both_fit(const model_t *model, size_t room)
{
    return model->queue_count + model->worker_count + 2 <= room;
}

static void keep_in_range(size_t *top, size_t rows, size_t room)
{
    size_t last = rows > room ? rows - room : 0;
    if (*top > last)
        *top = last;
}

/* ---- the foot ------------------------------------------------------------------------------- */

static void add_foot(canvas_t *canvas, const model_t *model, const choice_t *choice, size_t room)
{
    static const char *const names[] = {"queues", "workers", "dead letters"};
    size_t rows = list_rows(model, choice->list), first = choice->top[choice->list];
    size_t last = first + room < rows ? first + room : rows;
    if (choice->help)
        add_line(canvas, STYLE_HEAD,
                 "q quit, s sort, j/k scroll, tab list, p pause, +/- interval, ? back");
    else if (choice->both && choice->list != LIST_DEAD)
        add_linef(canvas, STYLE_HEAD, "queues and workers - by %s - ? help",
                  sort_key_name(model->sort));
    else
        add_linef(canvas, STYLE_HEAD, "%s %zu-%zu of %zu%s - by %s - tab: others - ? help",
                  names[choice->list], rows > 0 ? first + 1 : 0, last, rows,
                  choice->list == LIST_DEAD && (double)rows < model->all.dead ? " shown" : "",
                  choice->list == LIST_QUEUES ? sort_key_name(model->sort)
                  : choice->list == LIST_DEAD ? "age"
                                              : "name");
}

void layout(canvas_t *canvas, int width, int height, const model_t *model, choice_t *choice,
            const contact_t *contact)
{
    canvas_begin(canvas, width, height);
    size_t room = room_of(canvas);
    choice->both = both_fit(model, room);
    for (int i = 0; i < LIST_COUNT; i++)
        keep_in_range(&choice->top[i], list_rows(model, (list_t)i), room);
    add_head(canvas, model, choice, contact);
    if (model->sample && height > HEAD_LINES + FOOT_LINES) {
        fill_up(canvas, HEAD_LINES);
        if (choice->both && choice->list != LIST_DEAD) {
            add_list(canvas, model, LIST_QUEUES, 0, model->queue_count);
            add_line(canvas, STYLE_PLAIN, "");
            add_list(canvas, model, LIST_WORKERS, 0, model->worker_count);
        } else {
            add_list(canvas, model, choice->list, choice->top[choice->list], room);
        }
    }
    fill_up(canvas, height - FOOT_LINES);
    add_foot(canvas, model, choice, room);
}
