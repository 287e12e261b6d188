/*  A buffered connection to a server at 127.0.0.1, for protocols of lines and counted bytes.
    Whatever fails ends the program with load_die. */

#ifndef REEVE_BENCH_PEERS_STREAM_H
#define REEVE_BENCH_PEERS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct stream stream_t;

stream_t *stream_new(const char *port);

/*  Queued until stream_flush. */
void stream_put(stream_t *self, const void *bytes, size_t size);
void stream_print(stream_t *self, const char *pattern, ...) __attribute__((format(printf, 2, 3)));
void stream_flush(stream_t *self);

/*  Whether there is something to read within `wait_ms` (< 0: for ever). */
bool stream_readable(stream_t *self, int wait_ms);

/*  Wait for it; valid until the next call. The line is without its end, and NUL-terminated. */
char *stream_line(stream_t *self);
char *stream_bytes(stream_t *self, size_t size);

#endif
