/*  One running command: its process group, its pipes, its time.

    A child is driven by one thread: start it, call child_step whenever its descriptors are ready in
   the given epoll set or its deadline has passed, until that says it ended. SIGPIPE has to be
   ignored and SIGCHLD must not be (the kernel would reap for us). */

#ifndef REEVE_WORKER_CHILD_H
#define REEVE_WORKER_CHILD_H

#include "common/bytes.h"

typedef struct child child_t;

typedef struct child_spec {
    const char *const *argv;        /* argv[0] is searched in PATH; NULL-terminated */
    const char *const *environment; /* NAME=VALUE, NULL-terminated; all that the command gets */
    slice_t input;                  /* for its stdin; copied */
    size_t output_limit;            /* bytes of stdout that are kept: the first ones */
    size_t errors_limit;            /* bytes of stderr that are kept: the last ones */
    int64_t timeout_ms;             /* 0: none */
    int64_t kill_after_ms;          /* between SIGTERM and SIGKILL */
    int epoll_fd;                   /* where it registers its descriptors … */
    uint64_t epoll_tag;             /* … under epoll_data.u64 */
} child_spec_t;

/*  How it ended; slices live as long as the child. */
typedef struct child_end {
    int exit_status; /* meaningful when signal is 0 */
    int signal;
    bool timed_out; /* its timeout passed, whatever it did then */
    slice_t output, errors;
    bool output_cut, errors_cut;
} child_end_t;

/*  NULL with errno when it cannot be run (ENOENT: no such command). */
child_t *child_start(const child_spec_t *spec, int64_t now_ms);

/*  Kills the whole group if it still runs, and reaps. */
void child_destroy(child_t **self);

/*  Moves data and watches the time; true once it has ended and its output is read. What it left
    behind in the background does not keep it: reading stops CHILD_LINGER_MS after its exit. One that is
    terminated has ended with the last process of its group, which is looked for every CHILD_LOOK_MS. */
bool child_step(child_t *self, int64_t now_ms);
enum { CHILD_LINGER_MS = 200, CHILD_LOOK_MS = 50 };

/*  When child_step should be called at the latest; INT64_MAX: never. */
int64_t child_deadline(const child_t *self);

/*  SIGTERM to its group now, SIGKILL kill_after_ms later. Once; again: nothing. */
void child_terminate(child_t *self, int64_t now_ms);

/*  After child_step said true. */
child_end_t child_end(const child_t *self);

#endif
