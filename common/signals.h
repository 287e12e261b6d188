/*  The signals that a service is told by: SIGTERM and SIGINT to stop, SIGHUP to open or read files again.

    They come over a descriptor, for which they have to be blocked. A signal that is blocked comes there
    even if it is ignored, so those that the process was started to ignore, by nohup for one, are left
    alone. */

#ifndef REEVE_COMMON_SIGNALS_H
#define REEVE_COMMON_SIGNALS_H

/*  Before any thread starts, so that it holds in all. SIGPIPE is ignored from here on. */
void signals_block(void);

/*  A signalfd that does not block; -1 with errno. */
int signals_open(void);

#endif
