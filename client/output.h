/*  Printing for people and for scripts: aligned tables, text that cannot drive a terminal, and JSON
    lines. */

#ifndef REEVE_CLIENT_OUTPUT_H
#define REEVE_CLIENT_OUTPUT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*  Writes text from a peer: control characters become '?'; output_clean_lines leaves line ends and
    tabs alone. */
void output_clean(FILE *out, const char *text);
void output_clean_lines(FILE *out, const char *text);

/*  Writes JSON text as one line: line ends can only be white space between its tokens. */
void output_json_line(const char *json);
/*  Writes and deletes a tree as one line. */
void output_json(cJSON **tree);

/*  The members of an object as a person wants to see them. Missing ones are "" and 0. */
const char *output_string(const cJSON *object, const char *name);
double output_number(const cJSON *object, const char *name);

/*  The strings of an array, with commas between them; cut to `size`. */
void output_names(const cJSON *array, char *text, size_t size);

/*  Seconds as "850ms", "12.3s", … in a static buffer. */
const char *output_seconds(double seconds);

enum { TABLE_COLUMNS = 10 };

/*  A table under construction. Zero-initialise, set titles (a '>' before one aligns the column to
    the right), add cells row by row, then print. */
typedef struct table {
    const char *titles[TABLE_COLUMNS + 1]; /* NULL ends them */
    const char *indent;                    /* before every row; NULL: nothing */
    char **cells;
    size_t count, capacity;
} table_t;

void table_add(table_t *table, const char *text); /* copied */
__attribute__((format(printf, 2, 3))) void table_addf(table_t *table, const char *format, ...);
/*  Writes it to stdout and frees the cells. */
void table_print(table_t *table);

/*  Flushes stdout; false when that fails, and the reason is kept for output_close. */
bool output_flush(void);
/*  Adds the items of a JSON array to the table, or without one prints each as a line. Returns how many
    there are, or -1 when the text is no array. */
int output_list(const char *json, table_t *table, void (*add)(table_t *table, const cJSON *item));

/*  Flushes stdout; a failed write makes the exit code EX_IOERR. */
int output_close(int code);

#endif
