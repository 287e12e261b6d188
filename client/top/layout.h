/*  What is to be seen, as lines of text with a style: pure, so that a test can look at a screen of any
    size. */

#ifndef REEVE_CLIENT_TOP_LAYOUT_H
#define REEVE_CLIENT_TOP_LAYOUT_H

#include "client/top/columns.h"

typedef enum style {
    STYLE_PLAIN,
    STYLE_HEAD,  /* of the whole screen */
    STYLE_ALARM, /* the same, while the broker does not answer */
    STYLE_TITLE, /* of a list */
    STYLE_STUCK, /* a row that wants attention */
    STYLE_COUNT
} style_t;

/*  `height` lines of exactly `width` columns. Zero-initialise; canvas_fini frees. */
typedef struct canvas {
    int width, height;
    struct canvas_line {
        char *text;
        style_t style;
    } * lines;
    int used;
} canvas_t;

void canvas_fini(canvas_t *self);

/*  How it stands with the broker. */
typedef struct contact {
    const char *broker;  /* the endpoint */
    int64_t silent_ms;   /* since when the question under way is unanswered */
    reeve_error_t error; /* how the last one ended; `text` is the broker's, or "" */
    const char *text;
} contact_t;

enum { SILENT_MS = 2000 /* from here on it counts as unreachable */ };

/*  What the user chose. The layout brings `top` and `both` up to date. */
typedef struct choice {
    list_t list;
    size_t top[LIST_COUNT]; /* the first row that is shown */
    bool both;              /* queues and workers fit on one screen */
    bool paused, help;
    int64_t interval_ms;
} choice_t;

/*  The list that comes after the present one. */
list_t choice_next_list(const choice_t *self);

/*  Makes the canvas anew. */
void layout(canvas_t *canvas, int width, int height, const model_t *model, choice_t *choice,
            const contact_t *contact);

#endif
