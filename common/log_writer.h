/*  The thread that writes log records, so that whoever logs never waits for a reader of the log.

    A pipe that nobody empties, a terminal that is held, a journal or a disk that hangs: they fill this
    module's memory up to LOG_WRITER_BYTES, and then records are dropped and counted. */

#ifndef REEVE_COMMON_LOG_WRITER_H
#define REEVE_COMMON_LOG_WRITER_H

#include "common/bytes.h"

enum { LOG_WRITER_BYTES = 1024 * 1024 };

typedef struct log_writer_calls {
    void (*deliver)(
        slice_t records); /* whole records as they were put, one after the other; may block */
    void (*dropped)(size_t records); /* tell of it: may put */
} log_writer_calls_t;

/*  Once in a process. Signals stay with the other threads. False: no thread can be made. */
bool log_writer_start(const log_writer_calls_t *calls);
/*  So many whole records, one after the other, which are taken or dropped together. Any thread. False when
    there is no thread to write them: the caller is to deliver them. */
bool log_writer_put(slice_t records, size_t count);
/*  Waits until all is delivered, a second at most: a reader that is gone holds up no end either. */
void log_writer_stop(void);

#endif
