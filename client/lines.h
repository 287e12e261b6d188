/*  Reads a file or pipe line by line in bounded memory, and tells when reading would block. */

#ifndef REEVE_CLIENT_LINES_H
#define REEVE_CLIENT_LINES_H

#include "common/bytes.h"

typedef struct lines {
    int fd;
    char *buffer;
    size_t start, end, capacity; /* unread bytes are at [start, end) */
    size_t limit;                /* longer lines are skipped */
    bool at_end, skipping;
    uint64_t number; /* of the last line, from 1 */
    uint64_t bytes;  /* read so far */
    int error;       /* errno of a failed read, which ends the file */
} lines_t;

typedef enum lines_result { LINES_NONE, LINES_LINE, LINES_TOO_LONG, LINES_END } lines_result_t;

/*  Lines of more than `limit` bytes are told as LINES_TOO_LONG. Does not take `fd` over. */
void lines_init(lines_t *self, int fd, size_t limit);
void lines_fini(lines_t *self);

/*  The next line without its line end, in memory that lives until the next call. LINES_NONE:
   nothing there yet (a pipe). */
lines_result_t lines_next(lines_t *self, slice_t *line);

#endif
