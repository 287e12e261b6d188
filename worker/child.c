#include "worker/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"

enum {
    READ_BYTES = 64 * 1024, /* what a pipe holds */
    READS_A_STEP = 16,      /* so that one that floods us leaves time for the others */
};

#define NEVER INT64_MAX

/*  What is kept of a stream: the first `limit` bytes, or the last. */
typedef struct capture {
    int fd; /* -1: closed */
    bool tail;
    size_t limit;
    uint8_t *data;
    size_t size, capacity;
    bool cut;
} capture_t;

struct child {
    pid_t pid; /* names the group, too: unreaped, it cannot be given to a stranger */
    int pidfd; /* owned, as F_SETOWN means it, by the group */
    int input_fd;
    uint8_t *input; /* NULL when the pipe took all at once */
    size_t input_size, input_written;
    capture_t output, errors;
    int64_t timeout_at_ms, kill_at_ms, linger_until_ms, kill_after_ms;
    bool timed_out, terminating, exited, reaped;
    siginfo_t status;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- starting ---------------------------------------------------------------------------------
 */

/*  Both ends of the three pipes; ours at [0], the command's at [1]. */
typedef struct pipes {
    int input[2], output[2], errors[2];
} pipes_t;

static bool pipe_make(int ends[2], bool we_write)
{
    int both[2];
    if (pipe2(both, O_CLOEXEC) != 0)
        return false;
    ends[0] = both[we_write ? 1 : 0];
    ends[1] = both[we_write ? 0 : 1];
    /* Ours only: the command expects its own to block. */
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
}

static bool pipes_open(pipes_t *pipes)
{
    *pipes = (pipes_t){{-1, -1}, {-1, -1}, {-1, -1}};
    return pipe_make(pipes->input, true) && pipe_make(pipes->output, false) &&
           pipe_make(pipes->errors, false);
}

static void pipes_close(pipes_t *pipes, int end)
{
    close_fd(&pipes->input[end]);
    close_fd(&pipes->output[end]);
    close_fd(&pipes->errors[end]);
}

/*  A group of its own, default signals, nothing open but the three pipes. */
static int spawn(const child_spec_t *spec, const pipes_t *pipes, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes->input[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipes->output[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipes->errors[1], STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int error = posix_spawnp(pid, spec->argv[0], &actions, &attributes, (char *const *)spec->argv,
                             (char *const *)spec->environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static bool watch(const child_spec_t *spec, int fd, uint32_t events)
{
    struct epoll_event interest = {.events = events, .data.u64 = spec->epoll_tag};
    return epoll_ctl(spec->epoll_fd, EPOLL_CTL_ADD, fd, &interest) == 0;
}

/*  Closes stdin when all is written or nobody reads it any more (EPIPE: a command need not read).
 */
static void feed(child_t *self, const uint8_t *data)
{
    while (self->input_fd >= 0 && self->input_written < self->input_size) {
        ssize_t written = write(self->input_fd, data + self->input_written,
                                self->input_size - self->input_written);
        if (written >= 0)
            self->input_written += (size_t)written;
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR)
            break;
    }
    close_fd(&self->input_fd);
}

/*  Most documents fit into the pipe, and then neither copy nor registration is needed. */
static bool feed_first(child_t *self, const child_spec_t *spec)
{
    self->input_size = spec->input.size;
    feed(self, spec->input.data);
    if (self->input_fd < 0)
        return true;
    self->input = mem_alloc(spec->input.size);
    memcpy(self->input, spec->input.data, spec->input.size);
    return watch(spec, self->input_fd, EPOLLOUT);
}

child_t *child_start(const child_spec_t *spec, int64_t now_ms)
{
    pipes_t pipes;
    child_t *self = mem_zalloc(sizeof *self);
    bool opened = pipes_open(&pipes);
    self->pidfd = -1;
    self->input_fd = pipes.input[0];
    self->output = (capture_t){.fd = pipes.output[0], .limit = spec->output_limit};
    self->errors = (capture_t){.fd = pipes.errors[0], .limit = spec->errors_limit, .tail = true};
    self->timeout_at_ms = spec->timeout_ms > 0 ? now_ms + spec->timeout_ms : NEVER;
    self->kill_at_ms = self->linger_until_ms = NEVER;
    self->kill_after_ms = spec->kill_after_ms;
    int error = opened ? spawn(spec, &pipes, &self->pid) : errno;
    if (error != 0)
        self->pid = 0; /* unspecified after a failed spawn */
    pipes_close(&pipes, 1);
    if (error == 0) {
        self->pidfd = pidfd_open(self->pid, 0);
        /* An edge: after the exit it stays readable. */
        bool watched = self->pidfd >= 0 && watch(spec, self->pidfd, EPOLLIN | EPOLLET) &&
                       fcntl(self->pidfd, F_SETOWN, -self->pid) == 0 &&
                       watch(spec, self->output.fd, EPOLLIN) &&
                       watch(spec, self->errors.fd, EPOLLIN) && feed_first(self, spec);
        error = watched ? 0 : errno;
    }
    if (error != 0)
        child_destroy(&self);
    errno = error;
    return self;
}

static void reap(child_t *self)
{
    while (!self->reaped && waitpid(self->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    self->reaped = true;
}

/*  Whether a process of the group is left after its leader's exit. The dead count until they are reaped:
    so the leader is, and what was left to us where we are init. Then a stranger may get the number as soon
    as the last one is gone, but the owner of a descriptor is the group itself. */
static bool group_lives(child_t *self)
{
    reap(self);
    while (fcntl(self->pidfd, F_GETOWN) != 0)
        if (waitpid(-self->pid, NULL, WNOHANG) <= 0)
            return true;
    return false;
}

static void kill_group(child_t *self)
{
    if (!self->reaped || group_lives(self))
        kill(-self->pid, SIGKILL);
}

void child_destroy(child_t **self)
{
    child_t *c = *self;
    if (c == NULL)
        return;
    *self = NULL;
    if (c->pid > 0) {
        if (!c->exited || c->terminating)
            kill_group(c);
        reap(c);
    }
    close_fd(&c->pidfd);
    close_fd(&c->input_fd);
    close_fd(&c->output.fd);
    close_fd(&c->errors.fd);
    free(c->input);
    free(c->output.data);
    free(c->errors.data);
    free(c);
}

/* ---- running ----------------------------------------------------------------------------------
 */

static void reserve(capture_t *self, size_t size)
{
    if (size <= self->capacity)
        return;
    while (self->capacity < size)
        self->capacity = self->capacity ? 2 * self->capacity : 512;
    self->data = mem_realloc(self->data, self->capacity);
}

static void keep_head(capture_t *self, const uint8_t *bytes, size_t size)
{
    size_t room = self->limit - self->size;
    if (size > room) {
        self->cut = true;
        size = room;
    }
    reserve(self, self->size + size);
    if (size > 0)
        memcpy(self->data + self->size, bytes, size);
    self->size += size;
}

static void drop_front(capture_t *self)
{
    size_t extra = self->size - self->limit;
    memmove(self->data, self->data + extra, self->limit);
    self->size = self->limit;
    self->cut = true;
}

/*  Lets it grow to twice the limit and then moves the tail forward, so that each byte is moved
   about once however small the reads are. */
static void keep_tail(capture_t *self, const uint8_t *bytes, size_t size)
{
    reserve(self, self->size + size);
    memcpy(self->data + self->size, bytes, size);
    self->size += size;
    if (self->size > 2 * self->limit)
        drop_front(self);
}

static void drain(capture_t *self)
{
    uint8_t bytes[READ_BYTES];
    for (int i = 0; self->fd >= 0 && i < READS_A_STEP; i++) {
        ssize_t size = read(self->fd, bytes, sizeof bytes);
        if (size > 0 && self->tail)
            keep_tail(self, bytes, (size_t)size);
        else if (size > 0)
            keep_head(self, bytes, (size_t)size);
        else if (size < 0 && errno == EAGAIN)
            return;
        else if (size == 0 || errno != EINTR)
            close_fd(&self->fd);
    }
}

/*  Looks for the exit without reaping: see `pid` above. */
static void look_for_exit(child_t *self, int64_t now_ms)
{
    if (self->exited ||
        waitid(P_PID, (id_t)self->pid, &self->status, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        self->status.si_pid == 0)
        return;
    self->exited = true;
    close_fd(&self->input_fd);
    self->timeout_at_ms = NEVER;
    /* While terminating the rest of the group has the same grace as its leader had. */
    self->linger_until_ms = self->terminating ? self->kill_at_ms : now_ms + CHILD_LINGER_MS;
}

static void watch_time(child_t *self, int64_t now_ms)
{
    if (now_ms >= self->timeout_at_ms) {
        self->timed_out = true;
        child_terminate(self, now_ms);
    }
    if (now_ms >= self->kill_at_ms) {
        kill_group(self);
        self->kill_at_ms = NEVER;
        if (self->exited)
            self->linger_until_ms = now_ms + CHILD_LINGER_MS;
    }
}

bool child_step(child_t *self, int64_t now_ms)
{
    look_for_exit(self, now_ms); /* first: what it wrote before its exit is read below */
    feed(self, self->input);
    drain(&self->output);
    drain(&self->errors);
    watch_time(self, now_ms);
    bool read_all = self->output.fd < 0 && self->errors.fd < 0;
    if (!self->exited || (!read_all && now_ms < self->linger_until_ms))
        return false;
    if (self->kill_at_ms != NEVER && group_lives(self)) {
        self->linger_until_ms = now_ms + CHILD_LOOK_MS;
        return false;
    }
    close_fd(&self->output.fd);
    close_fd(&self->errors.fd);
    if (self->errors.size > self->errors.limit)
        drop_front(&self->errors);
    return true;
}

int64_t child_deadline(const child_t *self)
{
    int64_t deadline = self->linger_until_ms;
    if (self->timeout_at_ms < deadline)
        deadline = self->timeout_at_ms;
    return self->kill_at_ms < deadline ? self->kill_at_ms : deadline;
}

void child_terminate(child_t *self, int64_t now_ms)
{
    self->timeout_at_ms = NEVER;
    if (self->terminating)
        return;
    self->terminating = true;
    self->kill_at_ms = now_ms + self->kill_after_ms;
    if (self->exited)
        self->linger_until_ms = self->kill_at_ms;
    kill(-self->pid, SIGTERM);
}

child_end_t child_end(const child_t *self)
{
    bool by_itself = self->status.si_code == CLD_EXITED;
    return (child_end_t){
        .exit_status = by_itself ? self->status.si_status : 0,
        .signal = by_itself ? 0 : self->status.si_status,
        .timed_out = self->timed_out,
        .output = slice(self->output.data, self->output.size),
        .errors = slice(self->errors.data, self->errors.size),
        .output_cut = self->output.cut,
        .errors_cut = self->errors.cut,
    };
}
