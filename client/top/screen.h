/*  The terminal: what curses does for us. One at a time. */

#ifndef REEVE_CLIENT_TOP_SCREEN_H
#define REEVE_CLIENT_TOP_SCREEN_H

#include "client/top/layout.h"

/*  Keys that mean something; the rest is PRESSED_NOTHING. */
typedef enum screen_key {
    PRESSED_NOTHING,
    PRESSED_QUIT,
    PRESSED_SORT,
    PRESSED_UP,
    PRESSED_DOWN,
    PRESSED_PAGE_UP,
    PRESSED_PAGE_DOWN,
    PRESSED_HOME,
    PRESSED_END,
    PRESSED_PAUSE,
    PRESSED_SLOWER,
    PRESSED_FASTER,
    PRESSED_HELP,
    PRESSED_NEXT_LIST,
} screen_key_t;

/*  Takes the terminal over. False when curses does not know how to, for want of a right TERM. Colours
    are used unless NO_COLOR is set (https://no-color.org). */
bool screen_open(void);
/*  Gives it back as it was; safe to repeat, and done at exit() in any case. */
void screen_close(void);

/*  Asks the terminal how large it is now. */
void screen_resize(void);
void screen_size(int *width, int *height);
void screen_draw(const canvas_t *canvas);

/*  The next key; false when there is none. */
bool screen_next_key(screen_key_t *key);

#endif
