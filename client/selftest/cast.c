#include "client/selftest/cast.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/selftest/plan.h"
#include "common/clock.h"
#include "common/mem.h"

enum {
    RESTART_MS = 20,    /* after an end that nobody wanted to last */
    REFUSED_MS = 300,   /* after a start that failed, as when the port is taken */
    REFUSED_MOST = 100, /* such in a row */
    DRAIN_MS = 30000,   /* then kill -9 */
};

static const char *const role_names[ROLES] = {
    [ROLE_BROKER] = "broker",          [ROLE_WORKER] = "worker",         [ROLE_POISON] = "poison",
    [ROLE_COMMAND] = "command-worker", [ROLE_MDP_WORKER] = "mdp-worker", [ROLE_CLIENT] = "client",
    [ROLE_MDP_CLIENT] = "mdp-client"};

/* ---- the playbill --------------------------------------------------------------------------- */

/*  Short times, so that a minute sees many leases lost; deaths count only where tasks cause them,
    since no other task may become a dead letter because of the kills. */
static const char configuration[] = "broker\n"
                                    "    bind = \"%s\"\n"
                                    "    bind = \"%s\"\n"
                                    "    db = \"%s/reeve.db\"\n"
                                    "    http = \"off\"\n"
                                    "    log-format = json\n"
                                    "    log-level = info\n"
                                    "    heartbeat = 200ms\n"
                                    "    liveness = 2s\n"
                                    "    grace = 700ms\n"
                                    "    mdp-liveness = 2s\n"
                                    "    mdp-timeout = 15s\n"
                                    "defaults\n"
                                    "    max-retries = 1000\n"
                                    "    max-deaths = 100000\n"
                                    "    backoff = 100ms\n"
                                    "    backoff-max = 1s\n"
                                    "    retention = 30d\n"
                                    "queues\n"
                                    "    " QUEUE_POISON "\n"
                                    "        max-deaths = %d\n";

static void write_configuration(const cast_t *self)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/broker.conf", self->directory);
    FILE *file = fopen(path, "we");
    if (file != NULL)
        fprintf(file, configuration, self->ipc, self->tcp, self->directory, POISON_DEATHS);
    if (file == NULL || fclose(file) != 0) {
        fprintf(stderr, "reeve selftest: %s: %s\n", path, strerror(errno));
        exit(EX_CANTCREAT);
    }
}

static actor_t *add_actor(cast_t *self, role_t role, unsigned number)
{
    actor_t *actor = &self->actors[self->count++];
    actor->role = role;
    snprintf(actor->name, sizeof actor->name, "%s-%u", role_names[role], number);
    return actor;
}

/*  Copies the words up to NULL. */
static void set_arguments(actor_t *actor, const char *const *words)
{
    for (int i = 0; i < ACTOR_ARGUMENTS && words[i] != NULL; i++)
        actor->argv[i] = mem_strdup(words[i]);
}

/*  One that is this program: see roles.c. */
static void add_self(cast_t *self, role_t role, const char *as, unsigned number, bool tcp,
                     const char *queues, unsigned size, unsigned per_second)
{
    char numbers[4][24];
    actor_t *actor = add_actor(self, role, number);
    snprintf(numbers[0], sizeof numbers[0], "%u", number);
    snprintf(numbers[1], sizeof numbers[1], "%" PRIu64, self->options.seed);
    snprintf(numbers[2], sizeof numbers[2], "%u", size);
    snprintf(numbers[3], sizeof numbers[3], "%u", per_second);
    const char *words[] = {self->options.self_program,
                           "selftest",
                           as,
                           self->directory,
                           actor->name,
                           tcp ? self->tcp : self->ipc,
                           numbers[0],
                           numbers[1],
                           queues,
                           numbers[2],
                           numbers[3],
                           NULL};
    set_arguments(actor, words);
}

static void add_command(cast_t *self, unsigned number, bool tcp, const char *queues,
                        const char *concurrency)
{
    actor_t *actor = add_actor(self, ROLE_COMMAND, number);
    const char *words[] = {self->options.worker_program,
                           "--broker",
                           tcp ? self->tcp : self->ipc,
                           "--queue",
                           queues,
                           "--concurrency",
                           concurrency,
                           "--kill-after",
                           "1s",
                           "--log-format",
                           "json",
                           "--",
                           self->options.self_program,
                           "selftest",
                           "@command",
                           self->directory,
                           NULL};
    set_arguments(actor, words);
}

static void cast_everybody(cast_t *self)
{
    static const unsigned windows[] = {1, 16, 256, 1000};
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/broker.conf", self->directory);
    const char *broker[] = {self->options.broker_program, "--config", path, NULL};
    set_arguments(add_actor(self, ROLE_BROKER, 1), broker);

    add_self(self, ROLE_WORKER, "@worker", 1, false, QUEUE_REEVE, 1, 0);
    add_self(self, ROLE_WORKER, "@worker", 2, true, QUEUE_REEVE "," QUEUE_MIXED, 8, 0);
    add_self(self, ROLE_WORKER, "@worker", 3, false, QUEUE_REEVE, 64, 0);
    add_self(self, ROLE_WORKER, "@worker", 4, true, QUEUE_MIXED "," QUEUE_REEVE, 4, 0);
    add_self(self, ROLE_POISON, "@worker", 1, false, QUEUE_POISON, 8, 0);
    add_self(self, ROLE_POISON, "@worker", 2, true, QUEUE_POISON, 2, 0);
    add_command(self, 1, false, QUEUE_COMMAND, "4");
    add_command(self, 2, true, QUEUE_COMMAND "," QUEUE_MIXED, "1");
    for (unsigned i = 1; i <= 4; i++)
        add_self(self, ROLE_MDP_WORKER, "@majordomo-worker", i, i == 2 || i == 3,
                 i <= 2 ? QUEUE_MDP : QUEUE_MIXED, i % 2 + 1, 0);
    for (unsigned i = 1; i <= 4; i++) {
        unsigned share = (self->options.per_second + 3) / 4;
        add_self(self, ROLE_CLIENT, "@client", i, i % 2 == 0, "-", windows[i - 1], share);
    }
    for (unsigned i = 1; i <= 2; i++)
        add_self(self, ROLE_MDP_CLIENT, "@majordomo-client", i, i == 1, QUEUE_MDP, i, 0);
}

void cast_init(cast_t *self, const cast_options_t *options)
{
    *self = (cast_t){.options = *options};
    snprintf(self->directory, sizeof self->directory, "%s", options->directory);
    snprintf(self->ipc, sizeof self->ipc, "ipc://%s/broker", self->directory);
    snprintf(self->tcp, sizeof self->tcp, "tcp://127.0.0.1:%u", options->port);
    write_configuration(self);
    cast_everybody(self);
}

/* ---- starting and ending -------------------------------------------------------------------- */

/*  The child's side of fork, with SIGTERM blocked: calls that are safe between fork and exec only. */
__attribute__((noreturn)) static void become(const actor_t *actor, int log, const sigset_t *mask)
{
    setpgid(0, 0); /* the terminal's signals are for the director */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    /* SIGTERM has to wait until the process can catch it; reeve-worker does not expect that. */
    if (actor->role == ROLE_COMMAND)
        sigprocmask(SIG_SETMASK, mask, NULL);
    if (log >= 0) {
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
    }
    execv(actor->argv[0], actor->argv);
    _exit(EX_UNAVAILABLE);
}

static void start(cast_t *self, actor_t *actor)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s.log", self->directory, actor->name);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    sigset_t blocked, mask;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &mask); /* until exec our own handler would swallow it */
    pid_t pid = fork();
    if (pid == 0)
        become(actor, log, &mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (pid > 0) {
        actor->pid = pid;
        actor->draining = actor->killed = actor->stopped = false;
        actor->kill_at_ms = INT64_MAX;
    }
    if (log >= 0)
        close(log);
}

__attribute__((format(printf, 2, 3))) static void note_problem(cast_t *self, const char *format,
                                                               ...)
{
    va_list args;
    if (self->problems++ > 0)
        return;
    va_start(args, format);
    vsnprintf(self->problem, sizeof self->problem, format, args);
    va_end(args);
}

/*  Whether a process had a reason to end like this. */
static bool is_expected(const actor_t *actor, int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status) == EX_OK && actor->draining;
    if (WTERMSIG(status) == SIGTERM) /* before it could catch it */
        return actor->draining && actor->role == ROLE_COMMAND;
    return WTERMSIG(status) == SIGKILL && (actor->killed || actor->role == ROLE_POISON);
}

static void ended(cast_t *self, actor_t *actor, int status, int64_t now_ms)
{
    self->counts.poisoned += actor->role == ROLE_POISON && !actor->killed && WIFSIGNALED(status);
    actor->pid = 0;
    if (actor->start_at_ms <= now_ms)
        actor->start_at_ms = now_ms + RESTART_MS;
    if (is_expected(actor, status)) {
        actor->refused_starts = 0;
        return;
    }
    actor->start_at_ms = now_ms + REFUSED_MS;
    /* Its port may have gone to somebody else for a moment. */
    bool passing =
        actor->role == ROLE_BROKER && WIFEXITED(status) && WEXITSTATUS(status) == EX_UNAVAILABLE;
    if (passing && ++actor->refused_starts < REFUSED_MOST)
        return;
    note_problem(self, "%s: %s %d; see %s.log", actor->name,
                 WIFEXITED(status) ? "ended with status" : "ended by signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), actor->name);
}

static void reap(cast_t *self, int64_t now_ms)
{
    int status;
    for (int i = 0; i < self->count; i++) {
        actor_t *actor = &self->actors[i];
        if (actor->pid != 0 && waitpid(actor->pid, &status, WNOHANG) == actor->pid)
            ended(self, actor, status, now_ms);
    }
}

void cast_tick(cast_t *self, int64_t now_ms)
{
    reap(self, now_ms);
    for (int i = 0; i < self->count; i++) {
        actor_t *actor = &self->actors[i];
        if (actor->pid == 0 && !actor->retired && actor->start_at_ms <= now_ms) {
            start(self, actor);
        } else if (actor->pid != 0 && actor->stopped && actor->continue_at_ms <= now_ms) {
            actor->stopped = false;
            kill(actor->pid, SIGCONT);
        } else if (actor->pid != 0 && actor->kill_at_ms <= now_ms) {
            cast_kill(self, actor, now_ms, 0);
        }
    }
}

void cast_fini(cast_t *self)
{
    for (int i = 0; i < self->count; i++) {
        actor_t *actor = &self->actors[i];
        if (actor->pid != 0) {
            kill(actor->pid, SIGKILL);
            waitpid(actor->pid, NULL, 0);
        }
        for (int j = 0; j < ACTOR_ARGUMENTS; j++)
            free(actor->argv[j]);
    }
    self->count = 0;
}

/* ---- directing ------------------------------------------------------------------------------ */

actor_t *cast_draw(cast_t *self, role_t role, uint64_t random)
{
    actor_t *found[CAST_MOST];
    uint64_t count = 0;
    for (int i = 0; i < self->count; i++) {
        actor_t *actor = &self->actors[i];
        if (actor->role == role && actor->pid != 0 && !actor->stopped && !actor->retired)
            found[count++] = actor;
    }
    return count > 0 ? found[random % count] : NULL;
}

void cast_kill(cast_t *self, actor_t *actor, int64_t now_ms, int64_t delay_ms)
{
    self->counts.kills[actor->role]++;
    actor->killed = true;
    actor->kill_at_ms = INT64_MAX;
    actor->start_at_ms = now_ms + delay_ms;
    kill(actor->pid, SIGKILL);
}

void cast_stop(cast_t *self, actor_t *actor, int64_t now_ms, int64_t pause_ms)
{
    self->counts.stops[actor->role]++;
    actor->stopped = true;
    actor->continue_at_ms = now_ms + pause_ms;
    kill(actor->pid, SIGSTOP);
}

/*  Once only: a second SIGTERM tells the broker and reeve-worker to end at once. */
static void terminate(actor_t *actor, int64_t kill_at_ms)
{
    actor->kill_at_ms = kill_at_ms;
    if (!actor->draining)
        kill(actor->pid, SIGTERM);
    actor->draining = true;
}

void cast_drain(cast_t *self, actor_t *actor, int64_t now_ms)
{
    self->counts.drains[actor->role] += !actor->draining;
    terminate(actor, now_ms + DRAIN_MS);
}

void cast_heal(cast_t *self, int64_t now_ms)
{
    for (int i = 0; i < self->count; i++) {
        self->actors[i].continue_at_ms = now_ms;
        self->actors[i].start_at_ms = now_ms;
    }
    cast_tick(self, now_ms);
}

void cast_retire(cast_t *self, role_t role)
{
    for (int i = 0; i < self->count; i++) {
        actor_t *actor = &self->actors[i];
        if (actor->role != role)
            continue;
        actor->retired = true;
        if (actor->pid != 0)
            terminate(actor, INT64_MAX); /* it has to end by itself */
    }
}

int cast_running(const cast_t *self, role_t role)
{
    int count = 0;
    for (int i = 0; i < self->count; i++)
        count += self->actors[i].role == role && self->actors[i].pid != 0;
    return count;
}
