/*  The lists that are shown, cell by cell as text. */

#ifndef REEVE_CLIENT_TOP_COLUMNS_H
#define REEVE_CLIENT_TOP_COLUMNS_H

#include "client/top/model.h"

typedef enum list { LIST_QUEUES, LIST_WORKERS, LIST_DEAD, LIST_COUNT } list_t;

typedef struct column {
    const char *title;
    int width;  /* columns of the terminal; of a wide one, at least */
    int rank;   /* where there is no room, those with the highest go; 0: never */
    bool right; /* a number */
    bool wide;  /* takes the room that is left; one in each list */
} column_t;

const column_t *list_columns(list_t list, size_t *count);
size_t list_rows(const model_t *model, list_t list);

enum { CELL_SIZE = 512 };
/*  Names and errors come as the broker gave them; they may be cut at the end. */
void list_cell(const model_t *model, list_t list, size_t row, size_t column, char text[CELL_SIZE]);

/*  Whether the row wants attention: tasks wait and no worker serves the queue. */
bool list_row_is_stuck(const model_t *model, list_t list, size_t row);

#endif
