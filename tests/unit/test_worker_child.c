/*  Commands as children: real ones, run by /bin/sh; the clock is a variable, so that no timeout
   takes its time. A command that is to block waits for `tail -f /dev/null`, which never ends. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/mem.h"
#include "common/wire/reeve.h"
#include "worker/child.h"
#include "worker/outcome.h"

enum { START = 1000, PATIENCE_MS = 30 * 1000, KILL_AFTER = 5000, TIMEOUT = 60 * 1000 };

typedef struct scene {
    int epoll_fd;
    child_spec_t spec;
    child_t *child;
    int64_t now_ms;
} scene_t;

static const char *const environment[] = {"PATH=/usr/bin:/bin", "REEVE_TASK_ID=id-1", NULL};

static int begin(void **state)
{
    scene_t *scene = mem_zalloc(sizeof *scene);
    signal(SIGPIPE, SIG_IGN);
    scene->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    scene->now_ms = START;
    scene->spec = (child_spec_t){
        .environment = environment,
        .output_limit = 1 << 20,
        .errors_limit = 1000,
        .kill_after_ms = KILL_AFTER,
        .epoll_fd = scene->epoll_fd,
        .epoll_tag = 42,
    };
    *state = scene;
    return 0;
}

static int end(void **state)
{
    scene_t *scene = *state;
    child_destroy(&scene->child);
    close(scene->epoll_fd);
    free(scene);
    return 0;
}

static void start(scene_t *scene, const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    scene->spec.argv = argv;
    scene->child = child_start(&scene->spec, scene->now_ms);
    assert_non_null(scene->child);
}

/*  Whether all that it waits for is the end of its group, which no descriptor tells. */
static bool looks_at_its_group(const scene_t *scene)
{
    return child_deadline(scene->child) == scene->now_ms + CHILD_LOOK_MS;
}

/*  Waits for something to happen to the child; true when that was its end. */
static bool step(scene_t *scene)
{
    struct epoll_event event;
    bool looks = looks_at_its_group(scene);
    int count = epoll_wait(scene->epoll_fd, &event, 1, looks ? CHILD_LOOK_MS : PATIENCE_MS);
    assert_in_range(count, looks ? 0 : 1, 1);
    if (count == 1)
        assert_int_equal(event.data.u64, 42);
    return child_step(scene->child, scene->now_ms);
}

static child_end_t wait_end(scene_t *scene)
{
    while (!step(scene))
        ;
    return child_end(scene->child);
}

static child_end_t run(scene_t *scene, const char *script)
{
    start(scene, script);
    return wait_end(scene);
}

static void expect_text(slice_t got, const char *wanted)
{
    char *text = mem_strndup(got.data, got.size);
    assert_string_equal(text, wanted);
    free(text);
}

/* ---- running ----------------------------------------------------------------------------------
 */

static void a_command_s_streams_and_status_are_seen(void **state)
{
    child_end_t ended = run(*state, "echo out; echo err >&2; exit 3");
    assert_int_equal(ended.exit_status, 3);
    assert_int_equal(ended.signal, 0);
    expect_text(ended.output, "out\n");
    expect_text(ended.errors, "err\n");
    assert_false(ended.output_cut || ended.errors_cut || ended.timed_out);
}

static void a_command_reads_its_input_and_its_end(void **state)
{
    scene_t *scene = *state;
    scene->spec.input = slice_str("{\"id\":1}\n");
    expect_text(run(scene, "cat").output, "{\"id\":1}\n");
}

static void a_large_document_passes_while_output_comes_back(void **state)
{
    scene_t *scene = *state;
    enum { SIZE = 8 << 20 };
    uint8_t *document = mem_alloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        document[i] = (uint8_t)(i * 2654435761u >> 13);
    scene->spec.input = slice(document, SIZE);
    scene->spec.output_limit = SIZE;
    child_end_t ended = run(scene, "cat");
    assert_true(slice_eq(ended.output, slice(document, SIZE)));
    assert_false(ended.output_cut);
    free(document);
}

static void a_command_need_not_read_its_input(void **state)
{
    scene_t *scene = *state;
    enum { SIZE = 1 << 20 };
    uint8_t *document = mem_zalloc(SIZE);
    scene->spec.input = slice(document, SIZE);
    child_end_t ended = run(scene, "exec <&-; echo fine");
    free(document);
    expect_text(ended.output, "fine\n");
    assert_int_equal(ended.exit_status, 0);
}

static void output_beyond_its_limit_is_read_and_cut(void **state)
{
    scene_t *scene = *state;
    scene->spec.output_limit = 10;
    child_end_t ended = run(scene, "head -c 300000 /dev/zero | tr '\\0' x; echo last");
    expect_text(ended.output, "xxxxxxxxxx");
    assert_true(ended.output_cut);
    assert_int_equal(ended.exit_status, 0);
}

static void of_the_errors_the_tail_is_kept(void **state)
{
    child_end_t ended = run(*state, "head -c 300000 /dev/zero | tr '\\0' x >&2; echo last >&2");
    assert_int_equal(ended.errors.size, 1000);
    assert_true(ended.errors_cut);
    expect_text(slice(ended.errors.data + 994, 6), "xlast\n");
}

static void the_environment_is_the_given_one(void **state)
{
    expect_text(run(*state, "echo $REEVE_TASK_ID-$HOME-").output, "id-1--\n");
}

/*  glibc leaves its own signals 32 and 33 ignored; those of the others are looked at. */
static void descriptors_and_signals_of_ours_are_not_inherited(void **state)
{
    scene_t *scene = *state;
    int leak = fcntl(scene->epoll_fd, F_DUPFD, 100);
    char script[256];
    snprintf(
        script, sizeof script,
        "test -e /proc/self/fd/%d || echo closed; grep -c '^SigIgn.*0000000$' /proc/self/status",
        leak);
    child_end_t ended = run(scene, script);
    close(leak);
    expect_text(ended.output, "closed\n1\n");
}

static void a_command_that_is_none_is_an_error(void **state)
{
    scene_t *scene = *state;
    const char *argv[] = {"/nonexistent/command", NULL};
    scene->spec.argv = argv;
    scene->child = child_start(&scene->spec, scene->now_ms);
    assert_null(scene->child);
    assert_int_equal(errno, ENOENT);
}

static void a_command_killed_by_a_signal_says_which(void **state)
{
    child_end_t ended = run(*state, "kill -SEGV $$");
    assert_int_equal(ended.signal, SIGSEGV);
}

/* ---- time -------------------------------------------------------------------------------------
 */

static void wait_ready(scene_t *scene)
{
    struct epoll_event event;
    assert_int_equal(epoll_wait(scene->epoll_fd, &event, 1, PATIENCE_MS), 1);
    assert_false(child_step(scene->child, scene->now_ms));
}

static void past_its_timeout_the_whole_group_is_terminated(void **state)
{
    scene_t *scene = *state;
    scene->spec.timeout_ms = TIMEOUT;
    start(scene, "tail -f /dev/null & echo ready; wait");
    wait_ready(scene);
    assert_int_equal(child_deadline(scene->child), START + TIMEOUT);
    scene->now_ms += TIMEOUT;
    assert_false(child_step(scene->child, scene->now_ms));
    child_end_t ended = wait_end(scene); /* its pipes are closed: the other process is gone too */
    assert_true(ended.timed_out);
    assert_int_equal(ended.signal, SIGTERM);
    expect_text(ended.output, "ready\n");
}

static void one_that_cleans_up_after_sigterm_is_given_the_time(void **state)
{
    scene_t *scene = *state;
    scene->spec.timeout_ms = TIMEOUT;
    /* A tail forked while the signal comes may miss it. */
    start(scene,
          "trap 'kill -KILL $!; echo cleaned; exit 9' TERM; tail -f /dev/null >/dev/null 2>&1 &"
          "echo ready; wait");
    wait_ready(scene);
    scene->now_ms += TIMEOUT;
    assert_false(child_step(scene->child, scene->now_ms));
    child_end_t ended = wait_end(scene);
    assert_true(ended.timed_out);
    assert_int_equal(ended.exit_status, 9);
    expect_text(ended.output, "ready\ncleaned\n");
}

static void one_that_ignores_sigterm_is_killed_after_the_grace(void **state)
{
    scene_t *scene = *state;
    start(scene, "trap '' TERM; echo ready; tail -f /dev/null");
    wait_ready(scene);
    child_terminate(scene->child, scene->now_ms);
    assert_int_equal(child_deadline(scene->child), START + KILL_AFTER);
    scene->now_ms += KILL_AFTER - 1;
    assert_false(child_step(scene->child, scene->now_ms));
    scene->now_ms += 1;
    child_step(scene->child, scene->now_ms);
    child_end_t ended = wait_end(scene);
    assert_int_equal(ended.signal, SIGKILL);
    assert_false(ended.timed_out);
}

static void what_ignores_sigterm_behind_its_leader_is_killed_after_the_grace(void **state)
{
    scene_t *scene = *state;
    start(scene, "(trap '' TERM; echo ready; exec tail -f /dev/null) & wait");
    wait_ready(scene);
    child_terminate(scene->child, scene->now_ms);
    assert_false(step(scene)); /* the leader's exit */
    assert_int_equal(child_deadline(scene->child), START + KILL_AFTER);
    scene->now_ms += KILL_AFTER;
    if (!child_step(scene->child, scene->now_ms))
        wait_end(scene); /* the pipes close: nobody is left */
    assert_int_equal(child_end(scene->child).signal, SIGTERM);
}

/*  Has a command's leader end at once when it is terminated, while another process of its group holds no
    stream any more and does `told` then. Its descriptor 8 is the end of `gate` to read from, and 9 that of
    `said` to write to. */
static void terminate_leader(scene_t *scene, const char *told, const int gate[2], const int said[2])
{
    char script[512], byte;
    snprintf(script, sizeof script,
             "(exec 8</proc/%d/fd/%d 9>/proc/%d/fd/%d >/dev/null 2>&1; trap '%s' TERM;"
             " tail -f /dev/null & echo >&9; wait) & wait",
             (int)getpid(), gate[0], (int)getpid(), said[1], told);
    start(scene, script);
    assert_int_equal(read(said[0], &byte, 1), 1);
    close(said[1]);
    child_terminate(scene->child, scene->now_ms);
    while (!looks_at_its_group(scene))
        assert_false(step(scene));
}

static void the_group_behind_its_leader_is_given_the_time_as_well(void **state)
{
    scene_t *scene = *state;
    int gate[2], said[2];
    char byte;
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(pipe(said), 0);
    terminate_leader(scene, "kill -KILL $!; read word <&8; echo >&9; exit", gate, said);
    scene->now_ms += KILL_AFTER / 2;
    assert_false(child_step(scene->child, scene->now_ms));
    assert_int_equal(write(gate[1], "\n", 1), 1);
    assert_int_equal(read(said[0], &byte, 1), 1);
    assert_int_equal(wait_end(scene).signal, SIGTERM);
    assert_int_equal(read(said[0], &byte, 1), 0);
    close(gate[0]);
    close(gate[1]);
    close(said[0]);
}

static void the_group_behind_its_leader_is_killed_after_the_grace(void **state)
{
    scene_t *scene = *state;
    int gate[2], said[2];
    char byte;
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(pipe(said), 0);
    terminate_leader(scene, "", gate, said);
    scene->now_ms += KILL_AFTER;
    assert_true(child_step(scene->child, scene->now_ms));
    assert_int_equal(read(said[0], &byte, 1), 0);
    close(gate[0]);
    close(gate[1]);
    close(said[0]);
}

static void what_is_left_in_the_background_does_not_keep_a_command(void **state)
{
    scene_t *scene = *state;
    start(scene, "tail -f /dev/null & echo $!");
    bool ended = false;
    while (child_deadline(scene->child) == INT64_MAX)
        ended = step(scene);
    assert_false(ended);
    assert_int_equal(child_deadline(scene->child), START + CHILD_LINGER_MS);
    scene->now_ms += CHILD_LINGER_MS;
    assert_true(child_step(scene->child, scene->now_ms));
    child_end_t end_seen = child_end(scene->child);
    assert_int_equal(end_seen.exit_status, 0);
    char *pid = mem_strndup(end_seen.output.data, end_seen.output.size);
    assert_int_equal(kill(atoi(pid), SIGKILL), 0); /* it was left alone */
    free(pid);
}

static void destroying_a_running_command_kills_it(void **state)
{
    scene_t *scene = *state;
    int alive[2];
    assert_int_equal(pipe(alive), 0);
    char script[64];
    /* Descriptors are closed for commands, but this one is opened anew by its /proc name. */
    snprintf(script, sizeof script, "exec 9>/proc/%d/fd/%d; echo ready; tail -f /dev/null",
             (int)getpid(), alive[1]);
    start(scene, script);
    wait_ready(scene);
    close(alive[1]);
    child_destroy(&scene->child);
    char byte;
    assert_int_equal(read(alive[0], &byte, 1), 0);
    close(alive[0]);
}

/* ---- what the end means -----------------------------------------------------------------------
 */

static outcome_t outcome_of(const child_end_t *ended)
{
    outcome_t outcome;
    outcome_of_child(&outcome, ended, 1500, 1 << 20);
    return outcome;
}

static void expect_failure(child_end_t ended, reeve_verdict_t verdict, const char *reason,
                           const char *error)
{
    outcome_t outcome = outcome_of(&ended);
    assert_int_equal(outcome.settlement.verdict, verdict);
    assert_string_equal(outcome.reason, reason);
    assert_string_equal(outcome.error, error);
    outcome_fini(&outcome);
}

static void the_status_gives_the_verdict(void **state)
{
    (void)state;
    slice_t errors = slice_str("first\n  last line \n\n");
    expect_failure((child_end_t){.exit_status = 75}, REEVE_FAILURE, "retry", "exit status 75");
    expect_failure((child_end_t){.exit_status = 65, .errors = errors}, REEVE_REJECT, "rejected",
                   "last line");
    expect_failure((child_end_t){.exit_status = 1, .errors = errors}, REEVE_FAILURE, "exit_1",
                   "last line");
    expect_failure((child_end_t){.signal = SIGSEGV}, REEVE_FAILURE, "signal_SEGV",
                   "killed by signal 11 (Segmentation fault)");
    expect_failure((child_end_t){.timed_out = true, .errors = errors}, REEVE_FAILURE, "timeout",
                   "did not end within its timeout of 1.5s");
}

static void expect_result(child_end_t ended, int kind, const char *result)
{
    outcome_t outcome = outcome_of(&ended);
    assert_int_equal(outcome.settlement.verdict, REEVE_SUCCESS);
    assert_int_equal(outcome.settlement.result_kind, kind);
    expect_text(slice(outcome.settlement.result, outcome.settlement.result_size), result);
    outcome_fini(&outcome);
}

static void the_output_is_the_result_as_json_or_text(void **state)
{
    (void)state;
    expect_result((child_end_t){.output = slice_str("{\"a\":1}\n")}, WIRE_RESULT_JSON, "{\"a\":1}");
    expect_result((child_end_t){.output = slice_str("42")}, WIRE_RESULT_JSON, "42");
    expect_result((child_end_t){.output = slice_str("a\nb\n")}, WIRE_RESULT_TEXT, "a\nb");
    expect_result((child_end_t){.output = slice_str("bad \xfe")}, WIRE_RESULT_TEXT,
                  "bad \xEF\xBF\xBD");
    expect_result((child_end_t){.output = slice_str("\n")}, WIRE_RESULT_NONE, "");
    expect_result((child_end_t){.output = slice_str("12"), .output_cut = true}, WIRE_RESULT_TEXT,
                  "12\n[cut at 2 bytes]");
}

static void a_result_stays_within_its_limit_whatever_its_bytes(void **state)
{
    (void)state;
    uint8_t *bytes = mem_alloc(LIMIT_RESULT_BYTES);
    memset(bytes, 0xff, LIMIT_RESULT_BYTES);
    child_end_t ended = {.output = slice(bytes, LIMIT_RESULT_BYTES)};
    outcome_t outcome;
    outcome_of_child(&outcome, &ended, 0, LIMIT_RESULT_BYTES);
    assert_in_range(outcome.settlement.result_size, LIMIT_RESULT_BYTES - 100, LIMIT_RESULT_BYTES);
    assert_non_null(memmem(outcome.settlement.result, outcome.settlement.result_size, "\n[cut at ",
                           strlen("\n[cut at ")));
    outcome_fini(&outcome);
    free(bytes);
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(a_command_s_streams_and_status_are_seen),
        SCENE(a_command_reads_its_input_and_its_end),
        SCENE(a_large_document_passes_while_output_comes_back),
        SCENE(a_command_need_not_read_its_input),
        SCENE(output_beyond_its_limit_is_read_and_cut),
        SCENE(of_the_errors_the_tail_is_kept),
        SCENE(the_environment_is_the_given_one),
        SCENE(descriptors_and_signals_of_ours_are_not_inherited),
        SCENE(a_command_that_is_none_is_an_error),
        SCENE(a_command_killed_by_a_signal_says_which),
        SCENE(past_its_timeout_the_whole_group_is_terminated),
        SCENE(one_that_cleans_up_after_sigterm_is_given_the_time),
        SCENE(one_that_ignores_sigterm_is_killed_after_the_grace),
        SCENE(what_ignores_sigterm_behind_its_leader_is_killed_after_the_grace),
        SCENE(the_group_behind_its_leader_is_given_the_time_as_well),
        SCENE(the_group_behind_its_leader_is_killed_after_the_grace),
        SCENE(what_is_left_in_the_background_does_not_keep_a_command),
        SCENE(destroying_a_running_command_kills_it),
        cmocka_unit_test(the_status_gives_the_verdict),
        cmocka_unit_test(the_output_is_the_result_as_json_or_text),
        cmocka_unit_test(a_result_stays_within_its_limit_whatever_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
