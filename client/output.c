#include "client/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/mem.h"
#include "common/parse.h"

/*  C0 controls, DEL, and the C1 controls in their UTF-8 form (C2 80 … C2 9F). */
static size_t control_size(const char *at)
{
    unsigned char c = (unsigned char)at[0], next = c != '\0' ? (unsigned char)at[1] : 0;
    if (c < 0x20 || c == 0x7f)
        return 1;
    return c == 0xc2 && next >= 0x80 && next < 0xa0 ? 2 : 0;
}

static void write_clean(FILE *out, const char *text, const char *allowed)
{
    while (*text != '\0') {
        size_t size = control_size(text);
        bool good = size == 0 || strchr(allowed, *text) != NULL;
        fputc(good ? *text : '?', out);
        text += size != 0 ? size : 1;
    }
}

void output_clean(FILE *out, const char *text)
{
    write_clean(out, text, "");
}

void output_clean_lines(FILE *out, const char *text)
{
    write_clean(out, text, "\n\t");
}

void output_json_line(const char *json)
{
    for (; *json != '\0'; json++)
        fputc(*json == '\n' || *json == '\r' ? ' ' : *json, stdout);
    fputc('\n', stdout);
}

static void print_json(const cJSON *tree)
{
    char *text = cJSON_PrintUnformatted(tree);
    if (text != NULL)
        output_json_line(text);
    cJSON_free(text);
}

void output_json(cJSON **tree)
{
    print_json(*tree);
    cJSON_Delete(*tree);
    *tree = NULL;
}

const char *output_string(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text != NULL ? text : "";
}

double output_number(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

void output_names(const cJSON *array, char *text, size_t size)
{
    size_t at = 0;
    const cJSON *name;
    text[0] = '\0';
    cJSON_ArrayForEach(name, array)
    {
        if (!cJSON_IsString(name) || at >= size - 1)
            continue;
        int added = snprintf(text + at, size - at, "%s%s", at > 0 ? "," : "", name->valuestring);
        at += added > 0 ? (size_t)added : 0;
    }
}

const char *output_seconds(double seconds)
{
    static char text[DURATION_SIZE];
    bool sane = seconds >= 0 && seconds < 1e12;
    format_duration_ms(sane ? (int64_t)(seconds * 1000 + 0.5) : 0, text);
    return text;
}

/*  -- Tables ----------------------------------------------------------------------------------- */

void table_add(table_t *table, const char *text)
{
    table->cells = mem_room(table->cells, &table->capacity, table->count, sizeof table->cells[0]);
    table->cells[table->count++] = mem_strdup(text);
}

void table_addf(table_t *table, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    table_add(table, size >= 0 ? text : "");
    if (size >= 0)
        free(text);
}

/*  Characters of UTF-8 text, which is close enough to columns. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_cell(const char *text, int width, bool right, bool last)
{
    int padding = width - width_of(text);
    if (right)
        printf("%*s", padding, "");
    output_clean(stdout, text);
    if (!right && !last)
        printf("%*s", padding, "");
    fputs(last ? "\n" : "  ", stdout);
}

void table_print(table_t *table)
{
    size_t columns = 0;
    int widths[TABLE_COLUMNS];
    bool right[TABLE_COLUMNS];
    const char *indent = table->indent != NULL ? table->indent : "";
    for (; table->titles[columns] != NULL; columns++) {
        right[columns] = table->titles[columns][0] == '>';
        table->titles[columns] += right[columns];
        widths[columns] = width_of(table->titles[columns]);
    }
    for (size_t i = 0; i < table->count; i++) {
        int width = width_of(table->cells[i]);
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    fputs(indent, stdout);
    for (size_t i = 0; i < columns; i++)
        print_cell(table->titles[i], widths[i], right[i], i + 1 == columns);
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % columns;
        if (column == 0)
            fputs(indent, stdout);
        print_cell(table->cells[i], widths[column], right[column], column + 1 == columns);
        free(table->cells[i]);
    }
    free(table->cells);
    table->cells = NULL;
    table->count = table->capacity = 0;
}

static int write_error; /* the errno of the first flush that failed; 0: stdio flushed by itself */

bool output_flush(void)
{
    bool good = fflush(stdout) == 0;
    if (!good && write_error == 0)
        write_error = errno;
    return good;
}

int output_list(const char *json, table_t *table, void (*add)(table_t *table, const cJSON *item))
{
    cJSON *list = cJSON_Parse(json);
    int count = cJSON_IsArray(list) ? 0 : -1;
    const cJSON *item = count == 0 ? list->child : NULL;
    for (; item != NULL; item = item->next, count++) {
        if (table != NULL)
            add(table, item);
        else
            print_json(item);
    }
    cJSON_Delete(list);
    return count;
}

int output_close(int code)
{
    output_flush();
    if (!ferror(stdout))
        return code;
    fprintf(stderr, "reeve: writing: %s\n", write_error != 0 ? strerror(write_error) : "failed");
    return EX_IOERR;
}
