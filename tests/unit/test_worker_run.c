/*  reeve-worker as a process, against a scripted broker: a ROUTER on an ipc endpoint that says what
    the story wants. The worker runs in a fork; nothing waits but for a message or an end. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include <zmq.h>

#include "common/mem.h"
#include "common/wire/reeve.h"
#include "reeve/error.h"
#include "worker/options.h"
#include "worker/runner.h"

enum { PATIENCE_MS = 20 * 1000, HEARTBEAT_MS = 50, LIVENESS_MS = 5000, PEER_MAX = 256 };

typedef struct play {
    char directory[64], endpoint[128], gate[128];
    pid_t worker;
    void *context, *router;
    wire_buffer_t pen;
    uint8_t peer[PEER_MAX]; /* who spoke last */
    size_t peer_size;
    zmq_msg_t frame;
    wire_message_t heard;
} play_t;

/* ---- the broker -------------------------------------------------------------------------------
 */

static void open_broker(play_t *play)
{
    int zero = 0, patience = PATIENCE_MS;
    play->context = zmq_ctx_new();
    play->router = zmq_socket(play->context, ZMQ_ROUTER);
    zmq_setsockopt(play->router, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(play->router, ZMQ_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(zmq_bind(play->router, play->endpoint), 0);
}

static void close_broker(play_t *play)
{
    if (play->context == NULL)
        return;
    zmq_close(play->router);
    zmq_ctx_term(play->context);
    play->context = NULL;
}

static void hear_any(play_t *play)
{
    const char *problem;
    int size = zmq_recv(play->router, play->peer, sizeof play->peer, 0);
    assert_true(size > 0);
    play->peer_size = (size_t)size;
    assert_true(zmq_msg_recv(&play->frame, play->router, 0) > 0);
    slice_t frame = slice(zmq_msg_data(&play->frame), zmq_msg_size(&play->frame));
    assert_int_equal(wire_decode(frame, &play->heard, &problem), 0);
}

static void say(play_t *play)
{
    assert_true(zmq_send(play->router, play->peer, play->peer_size, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(play->router, play->pen.data, play->pen.size, 0) >= 0);
    wire_reset(&play->pen);
}

static void say_message(play_t *play, wire_message_t message)
{
    wire_encode(&play->pen, &message);
    say(play);
}

/*  The next message but heartbeats, which are answered. */
static void hear(play_t *play, wire_command_t command)
{
    do {
        hear_any(play);
        if (play->heard.command == WIRE_HEARTBEAT)
            say_message(play, (wire_message_t){.command = WIRE_HEARTBEAT});
    } while (play->heard.command == WIRE_HEARTBEAT);
    assert_int_equal(play->heard.command, command);
}

static void welcome(play_t *play, uint64_t epoch)
{
    hear(play, WIRE_HELLO);
    say_message(play, (wire_message_t){.command = WIRE_WELCOME,
                                       .epoch = epoch,
                                       .heartbeat_ms = HEARTBEAT_MS,
                                       .liveness_ms = LIVENESS_MS});
    do
        hear_any(play);
    while (play->heard.command == WIRE_HELLO); /* said again, as this answer came late */
    assert_int_equal(play->heard.command, WIRE_READY);
}

static void deliver(play_t *play, const char *token, const char *task_name, uint64_t timeout_ms)
{
    wire_delivery_t delivery = {
        .token = slice_str(token),
        .task = {.id = slice_str("id-1"),
                 .queue = slice_str("q"),
                 .task_name = slice_str(task_name),
                 .body = slice_str("{\"args\":[\"x\"],\"kwargs\":{}}"),
                 .timeout_ms = timeout_ms,
                 .max_retries = 3},
        .attempt = 2,
        .retry_count = 1,
    };
    wire_begin(&play->pen, WIRE_DELIVER);
    wire_put_delivery(&play->pen, &delivery);
    say(play);
}

static void expect_slice(slice_t got, const char *wanted)
{
    if (!slice_eq(got, slice_str(wanted)))
        fail_msg("got \"%.*s\", wanted \"%s\"", SLICE_ARG(got), wanted);
}

/*  Hears one settlement and confirms it. */
static wire_settlement_t hear_settlement(play_t *play, const char *token, uint64_t verdict)
{
    wire_settlement_t settlement;
    size_t at = 0;
    hear(play, WIRE_SETTLE);
    assert_true(wire_next_settlement(&play->heard, &at, &settlement));
    expect_slice(settlement.token, token);
    assert_int_equal(settlement.verdict, verdict);
    wire_range_t range = {.first = play->heard.corr, .count = 1};
    wire_begin(&play->pen, WIRE_SETTLED);
    wire_put_range(&play->pen, WIRE_SETTLED, &range);
    say(play);
    return settlement;
}

static bool held(const play_t *play, const char *token)
{
    wire_held_t one;
    for (size_t at = 0; wire_next_held(&play->heard, &at, &one);)
        if (slice_eq(one.token, slice_str(token)))
            return one.running_ms != WIRE_ABSENT;
    return false;
}

/*  Until a heartbeat says that it is running. */
static void wait_running(play_t *play, const char *token)
{
    do {
        hear_any(play);
        assert_int_equal(play->heard.command, WIRE_HEARTBEAT);
        say_message(play, (wire_message_t){.command = WIRE_HEARTBEAT});
    } while (!held(play, token));
}

/* ---- the worker -------------------------------------------------------------------------------
 */

enum { ARGUMENTS_MAX = 32 };

static int worker_log = STDERR_FILENO;
static int
    refused_watch; /* which of the worker's own descriptors cannot be watched, from 1; 0: none */

/*  In place of the C library's. libzmq's watches are told by their tags, which are pointers. */
int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    enum { TAGS = 1000 };
    if (operation == EPOLL_CTL_ADD && event->data.u64 < TAGS && refused_watch > 0 &&
        --refused_watch == 0) {
        errno = ENOSPC;
        return -1;
    }
    int (*real)(int, int, int, struct epoll_event *) = dlsym(RTLD_NEXT, "epoll_ctl");
    return real(epoll_fd, operation, fd, event);
}

static int run_worker(int argc, char **argv)
{
    options_t options;
    char problem[256];
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (options_parse(argc, argv, &options, problem, sizeof problem) != OPTIONS_RUN) {
        fprintf(stderr, "%s\n", problem);
        return 1;
    }
    log_set_level(LOG_ERROR);
    log_set_fd(worker_log);
    int status = runner_run(&options, "w1");
    options_fini(&options);
    return status;
}

/*  Starts one for queue q with these further arguments, NULL-terminated; it begins when the broker is
    there. The fork comes first, because a broker has threads, and those may hold locks. */
static void start_both(play_t *play, const char *const *further)
{
    char *argv[ARGUMENTS_MAX] = {"reeve-worker", "--queue", "q", "--broker", play->endpoint};
    int argc = 5, start[2];
    char byte = 0;
    while (*further != NULL && argc < ARGUMENTS_MAX - 1)
        argv[argc++] = (char *)*further++;
    assert_int_equal(pipe(start), 0);
    fflush(NULL);
    play->worker = fork();
    assert_true(play->worker >= 0);
    if (play->worker == 0) {
        close(start[1]);
        exit(read(start[0], &byte, 1) == 1 ? run_worker(argc, argv) : 1);
    }
    open_broker(play);
    assert_int_equal(write(start[1], &byte, 1), 1);
    close(start[0]);
    close(start[1]);
}

static int wait_exit(play_t *play)
{
    int status;
    assert_int_equal(waitpid(play->worker, &status, 0), play->worker);
    play->worker = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void stop_worker(play_t *play)
{
    kill(play->worker, SIGTERM);
    do
        hear_any(play);
    while (play->heard.command != WIRE_GOODBYE);
    assert_int_equal(wait_exit(play), 0);
}

static int begin(void **state)
{
    play_t *play = mem_zalloc(sizeof *play);
    strcpy(play->directory, "/tmp/reeve-worker-test-XXXXXX");
    assert_non_null(mkdtemp(play->directory));
    snprintf(play->endpoint, sizeof play->endpoint, "ipc://%s/broker", play->directory);
    snprintf(play->gate, sizeof play->gate, "%s/gate", play->directory);
    assert_int_equal(mkfifo(play->gate, 0600), 0);
    zmq_msg_init(&play->frame);
    *state = play;
    return 0;
}

static int end(void **state)
{
    play_t *play = *state;
    char path[256];
    if (play->worker > 0) {
        kill(play->worker, SIGKILL);
        waitpid(play->worker, NULL, 0);
    }
    zmq_msg_close(&play->frame);
    close_broker(play);
    wire_fini(&play->pen);
    /* After a failed story a command may still wait at the gate: let it see the end. */
    int gate = open(play->gate, O_WRONLY | O_NONBLOCK);
    if (gate >= 0)
        close(gate);
    unlink(play->gate);
    snprintf(path, sizeof path, "%s/broker", play->directory);
    unlink(path);
    rmdir(play->directory);
    free(play);
    return 0;
}

/*  Lets go a command that reads the gate; waits until it does. */
static void open_gate(const play_t *play, const char *word)
{
    FILE *gate = fopen(play->gate, "w");
    assert_non_null(gate);
    fprintf(gate, "%s\n", word);
    fclose(gate);
}

/*  A command that answers what comes through the gate. */
static const char *gate_command(const play_t *play)
{
    static char command[256];
    snprintf(command, sizeof command, "read word <%s; echo $word", play->gate);
    return command;
}

/*  Starts the broker and a worker with one slot running `command`, and welcomes it. */
static void begin_with(play_t *play, const char *command, const char *drain_timeout)
{
    const char *further[] = {"-c",  "1",  "--drain-timeout", drain_timeout, "--kill-after",
                             "10s", "--", "/bin/sh",         "-c",          command,
                             NULL};
    start_both(play, further);
    welcome(play, 1);
}

/* ---- stories ----------------------------------------------------------------------------------
 */

static void tasks_are_run_by_their_command(void **state)
{
    play_t *play = *state;
    const char *further[] = {"--task",
                             "greet=echo hello $REEVE_TASK_NAME; cat >/dev/null",
                             "--task",
                             "fail=echo broken >&2; exit 4",
                             "--task",
                             "document=cat",
                             "--task",
                             "variables=echo $REEVE_TASK_ID $REEVE_QUEUE "
                             "$REEVE_ATTEMPT/$REEVE_MAX_RETRIES",
                             NULL};
    start_both(play, further);
    welcome(play, 1);
    deliver(play, "t1", "greet", 0);
    wire_settlement_t done = hear_settlement(play, "t1", WIRE_SUCCESS);
    expect_slice(done.result, "hello greet");
    deliver(play, "t2", "fail", 0);
    done = hear_settlement(play, "t2", WIRE_FAILURE);
    expect_slice(done.reason, "exit_4");
    expect_slice(done.error, "broken");
    expect_slice(done.traceback, "broken\n");
    deliver(play, "t3", "variables", 0);
    done = hear_settlement(play, "t3", WIRE_SUCCESS);
    expect_slice(done.result, "id-1 q 2/3");
    deliver(play, "t4", "document", 0);
    done = hear_settlement(play, "t4", WIRE_SUCCESS);
    assert_int_equal(done.result_kind, WIRE_RESULT_JSON);
    deliver(play, "t5", "unheard-of", 0);
    done = hear_settlement(play, "t5", WIRE_REJECT);
    expect_slice(done.reason, "no_handler");
    stop_worker(play);
}

static void a_command_that_is_none_fails_its_task(void **state)
{
    play_t *play = *state;
    const char *further[] = {"--", "/nonexistent/command", NULL};
    start_both(play, further);
    welcome(play, 1);
    deliver(play, "t1", "any", 0);
    wire_settlement_t done = hear_settlement(play, "t1", WIRE_FAILURE);
    expect_slice(done.reason, "spawn_failed");
    expect_slice(done.error, "/nonexistent/command: No such file or directory");
    stop_worker(play);
}

/*  So few that no further one is, but poll(2) still takes its own. */
enum { NO_FURTHER = 8 };

static void allow_descriptors(const play_t *play, rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(prlimit(play->worker, RLIMIT_NOFILE, NULL, &limit), 0);
    limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
    assert_int_equal(prlimit(play->worker, RLIMIT_NOFILE, &limit, NULL), 0);
}

static void a_command_that_there_is_no_room_for_fails_no_task(void **state)
{
    play_t *play = *state;
    begin_with(play, "exit 0", "30s");
    allow_descriptors(play, NO_FURTHER);
    deliver(play, "t1", "any", 0);
    hear(play, WIRE_PREFETCH);
    assert_int_equal(play->heard.prefetch, 0);
    hear_settlement(play, "t1", WIRE_RELEASE);
    allow_descriptors(play, RLIM_INFINITY);
    hear(play, WIRE_PREFETCH);
    assert_int_equal(play->heard.prefetch, 2);
    deliver(play, "t1 again", "any", 0);
    hear_settlement(play, "t1 again", WIRE_SUCCESS);
    stop_worker(play);
}

static void one_without_room_for_commands_can_be_stopped(void **state)
{
    play_t *play = *state;
    begin_with(play, "exit 0", "30s");
    allow_descriptors(play, NO_FURTHER);
    deliver(play, "t1", "any", 0);
    hear(play, WIRE_PREFETCH);
    hear_settlement(play, "t1", WIRE_RELEASE);
    stop_worker(play);
}

static void past_its_timeout_a_task_fails(void **state)
{
    play_t *play = *state;
    begin_with(play, "exec tail -f /dev/null", "30s");
    deliver(play, "t1", "any", 50);
    wire_settlement_t done = hear_settlement(play, "t1", WIRE_FAILURE);
    expect_slice(done.reason, "timeout");
    stop_worker(play);
}

static void a_restarted_broker_is_told_what_runs_and_gets_the_result(void **state)
{
    play_t *play = *state;
    begin_with(play, gate_command(play), "30s");
    deliver(play, "t1", "any", 0);
    wait_running(play, "t1");
    close_broker(play);
    open_broker(play);
    do
        hear_any(play); /* of the connection that libzmq made again by itself */
    while (play->heard.command != WIRE_HEARTBEAT);
    say_message(play, (wire_message_t){.command = WIRE_ERROR, .code = REEVE_ERR_NOT_READY});
    welcome(play, 2);
    assert_true(held(play, "t1"));
    open_gate(play, "survived");
    wire_settlement_t done = hear_settlement(play, "t1", WIRE_SUCCESS);
    expect_slice(done.result, "survived");
    stop_worker(play);
}

static void a_revoked_task_s_command_is_stopped(void **state)
{
    play_t *play = *state;
    /* The command holds the gate open; its end shows there. */
    char command[256];
    snprintf(command, sizeof command, "exec tail -f /dev/null >%s", play->gate);
    begin_with(play, command, "30s");
    deliver(play, "t1", "any", 0);
    int gate = open(play->gate, O_RDONLY); /* waits for the command to open it */
    wire_revoked_t revoked = {.token = slice_str("t1"), .cause = WIRE_REVOKED_CANCELLED};
    wire_begin(&play->pen, WIRE_REVOKE);
    wire_put_revoked(&play->pen, &revoked);
    say(play);
    char byte;
    assert_int_equal(read(gate, &byte, 1), 0);
    close(gate);
    stop_worker(play);
}

static void a_drain_gives_back_what_waits_and_finishes_what_runs(void **state)
{
    play_t *play = *state;
    begin_with(play, gate_command(play), "30s");
    deliver(play, "running", "any", 0);
    deliver(play, "waiting", "any", 0);
    wait_running(play, "running");
    kill(play->worker, SIGTERM);
    hear(play, WIRE_PREFETCH);
    assert_int_equal(play->heard.prefetch, 0);
    hear_settlement(play, "waiting", WIRE_RELEASE);
    deliver(play, "late", "any", 0);
    hear_settlement(play, "late", WIRE_RELEASE);
    open_gate(play, "finished");
    wire_settlement_t done = hear_settlement(play, "running", WIRE_SUCCESS);
    expect_slice(done.result, "finished");
    hear(play, WIRE_GOODBYE);
    assert_int_equal(wait_exit(play), 0);
}

static void a_drain_s_bound_gives_back_what_still_runs(void **state)
{
    play_t *play = *state;
    begin_with(play, "exec tail -f /dev/null", "50ms");
    deliver(play, "t1", "any", 0);
    wait_running(play, "t1");
    kill(play->worker, SIGTERM);
    hear(play, WIRE_PREFETCH);
    hear_settlement(play, "t1", WIRE_RELEASE);
    hear(play, WIRE_GOODBYE);
    assert_int_equal(wait_exit(play), 0);
}

static void a_second_signal_stops_at_once(void **state)
{
    play_t *play = *state;
    begin_with(play, "trap '' TERM; exec tail -f /dev/null", "30s");
    deliver(play, "t1", "any", 0);
    wait_running(play, "t1");
    kill(play->worker, SIGTERM);
    hear(play, WIRE_PREFETCH);
    kill(play->worker, SIGTERM);
    hear_settlement(play, "t1", WIRE_RELEASE);
    hear(play, WIRE_GOODBYE);
    assert_int_equal(wait_exit(play), 128 + SIGTERM);
}

static void a_worker_that_cannot_watch_its_descriptors_says_so_and_ends(void **state)
{
    play_t *play = *state;
    const char *further[] = {"--", "true", NULL};
    enum { SIGNALS = 1, SOCKET, BROKER, WATCHES = BROKER };
    for (int which = SIGNALS; which <= WATCHES; which++) {
        char said[512] = "";
        int log[2];
        assert_int_equal(pipe(log), 0);
        worker_log = log[1];
        refused_watch = which;
        start_both(play, further);
        refused_watch = 0;
        close(log[1]);
        assert_int_equal(wait_exit(play), EX_OSERR);
        assert_true(read(log[0], said, sizeof said - 1) > 0);
        assert_non_null(strstr(said, "start_failed"));
        assert_non_null(strstr(said, strerror(ENOSPC)));
        close(log[0]);
        close_broker(play);
    }
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(tasks_are_run_by_their_command),
        PLAY(a_command_that_is_none_fails_its_task),
        PLAY(a_command_that_there_is_no_room_for_fails_no_task),
        PLAY(one_without_room_for_commands_can_be_stopped),
        PLAY(past_its_timeout_a_task_fails),
        PLAY(a_restarted_broker_is_told_what_runs_and_gets_the_result),
        PLAY(a_revoked_task_s_command_is_stopped),
        PLAY(a_drain_gives_back_what_waits_and_finishes_what_runs),
        PLAY(a_drain_s_bound_gives_back_what_still_runs),
        PLAY(a_second_signal_stops_at_once),
        PLAY(a_worker_that_cannot_watch_its_descriptors_says_so_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
