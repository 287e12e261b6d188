#include "client/top/screen.h"

#include <curses.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>

#undef lines /* term.h's */

static SCREEN *screen;
static attr_t attributes[STYLE_COUNT];

/*  Without colours the same things are told by weight. */
static void choose_attributes(void)
{
    const char *no_color = getenv("NO_COLOR");
    attributes[STYLE_HEAD] = A_BOLD;
    attributes[STYLE_ALARM] = A_BOLD | A_REVERSE;
    attributes[STYLE_TITLE] = A_REVERSE;
    attributes[STYLE_STUCK] = A_BOLD;
    if (!has_colors() || (no_color != NULL && no_color[0] != '\0'))
        return;
    start_color();
    use_default_colors();
    init_pair(1, COLOR_RED, -1);
    init_pair(2, COLOR_YELLOW, -1);
    attributes[STYLE_ALARM] |= COLOR_PAIR(1);
    attributes[STYLE_STUCK] |= COLOR_PAIR(2);
}

/*  Asked first: newterm loses memory where it does not know the terminal, and takes one that cannot move
    its cursor for good. */
static bool can_be_drawn_on(void)
{
    int problem;
    if (setupterm(NULL, STDOUT_FILENO, &problem) != OK)
        return false;
    bool good = cursor_address != NULL;
    del_curterm(cur_term);
    return good;
}

bool screen_open(void)
{
    static bool registered;
    if (!can_be_drawn_on())
        return false;
    screen = newterm(NULL, stdout, stdin);
    if (screen == NULL)
        return false;
    if (!registered)
        atexit(screen_close);
    registered = true;
    set_escdelay(25); /* a terminal sends the bytes of a key at once */
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    choose_attributes();
    return true;
}

void screen_close(void)
{
    if (screen == NULL)
        return;
    endwin();
    delscreen(screen);
    screen = NULL;
}

void screen_resize(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
}

void screen_size(int *width, int *height)
{
    getmaxyx(stdscr, *height, *width);
}

void screen_draw(const canvas_t *canvas)
{
    erase();
    for (int i = 0; i < canvas->used; i++) {
        attrset((int)attributes[canvas->lines[i].style]);
        mvaddstr(i, 0, canvas->lines[i].text);
    }
    refresh();
}

static screen_key_t meaning_of(int key)
{
    switch (key) {
    case 'q':
    case 'Q':
        return PRESSED_QUIT;
    case 's':
        return PRESSED_SORT;
    case 'k':
    case KEY_UP:
        return PRESSED_UP;
    case 'j':
    case KEY_DOWN:
        return PRESSED_DOWN;
    case KEY_PPAGE:
        return PRESSED_PAGE_UP;
    case KEY_NPAGE:
    case ' ':
        return PRESSED_PAGE_DOWN;
    case 'g':
    case KEY_HOME:
        return PRESSED_HOME;
    case 'G':
    case KEY_END:
        return PRESSED_END;
    case 'p':
        return PRESSED_PAUSE;
    case '+':
        return PRESSED_SLOWER;
    case '-':
        return PRESSED_FASTER;
    case '?':
    case 'h':
        return PRESSED_HELP;
    case '\t':
        return PRESSED_NEXT_LIST;
    default:
        return PRESSED_NOTHING;
    }
}

bool screen_next_key(screen_key_t *key)
{
    int pressed = getch();
    if (pressed == ERR)
        return false;
    if (pressed == '\f')
        clearok(curscr, TRUE); /* Ctrl-L: something else wrote on the terminal */
    *key = meaning_of(pressed);
    return true;
}
