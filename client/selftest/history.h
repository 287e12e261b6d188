/*  What a process of the self test saw, one line per event, in a file of its own.

    A line is written with one write(2) at the moment of the event: kill -9 takes no line that was
    written, since the page cache is the kernel's. Lines are "MICROSECONDS EVENT ID [WORD…]" by the
    monotonic clock, which all processes of a machine share. */

#ifndef REEVE_CLIENT_SELFTEST_HISTORY_H
#define REEVE_CLIENT_SELFTEST_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum { HISTORY_WORDS = 8 };

typedef struct history_line {
    int64_t at_us;
    const char *event, *id;
    const char *words[HISTORY_WORDS]; /* what follows the id; "" beyond the last */
} history_line_t;

/*  The file of one process, DIRECTORY/history/NAME, which is made when missing. Exits on failure:
    nothing can be judged without it. */
int history_open(const char *directory, const char *name);

__attribute__((format(printf, 4, 5))) void history_write(int fd, const char *event, const char *id,
                                                         const char *format, ...);

typedef void history_fn(const history_line_t *line, void *arg);
/*  Calls `function` for each line of one process's file (missing: no line), or of all. False when
    something cannot be read. */
bool history_read(const char *directory, const char *name, history_fn *function, void *arg);
bool history_read_all(const char *directory, history_fn *function, void *arg);

#endif
