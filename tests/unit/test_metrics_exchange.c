/*  Askers on several threads and one who gives. Made to be run with ThreadSanitizer as well. */

#include "broker/metrics/exchange.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { ASKERS = 8, QUESTIONS = 200, PATIENCE_MS = 30000 };

typedef struct meeting {
    int wake_fd;
    exchange_t *exchange;
    atomic_int asking; /* askers that are not done */
    atomic_int answered;
} meeting_t;

static int set_up(void **state)
{
    meeting_t *meeting = calloc(1, sizeof *meeting);
    meeting->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    meeting->exchange = exchange_new(meeting->wake_fd);
    *state = meeting;
    return meeting->wake_fd < 0;
}

static int tear_down(void **state)
{
    meeting_t *meeting = *state;
    exchange_destroy(&meeting->exchange);
    close(meeting->wake_fd);
    free(meeting);
    return 0;
}

static snapshot_t *numbered(uint64_t number)
{
    snapshot_t *snapshot = snapshot_new();
    snapshot->stale = number;
    return snapshot;
}

/*  As the reactor does: it sleeps until it is woken, and looks whether somebody wants one. */
static bool wait_until_woken(meeting_t *meeting)
{
    struct pollfd waiting = {.fd = meeting->wake_fd, .events = POLLIN};
    uint64_t count;
    return poll(&waiting, 1, PATIENCE_MS) == 1 &&
           read(meeting->wake_fd, &count, sizeof count) == (ssize_t)sizeof count;
}

static void nobody_who_gives_costs_the_asker_his_time_only(void **state)
{
    meeting_t *meeting = *state;
    assert_null(exchange_ask(meeting->exchange, 1));
    assert_false(exchange_wanted(meeting->exchange));
}

static void what_nobody_wants_any_more_is_thrown_away(void **state)
{
    meeting_t *meeting = *state;
    assert_null(exchange_ask(meeting->exchange, 1));
    snapshot_t *late = numbered(1);
    exchange_give(meeting->exchange, &late);
    assert_null(late);
    assert_null(exchange_ask(meeting->exchange, 1));
}

static void *ask(void *arg)
{
    meeting_t *meeting = arg;
    uint64_t last = 0;
    for (int i = 0; i < QUESTIONS; i++) {
        snapshot_t *snapshot = exchange_ask(meeting->exchange, PATIENCE_MS);
        if (snapshot == NULL)
            break;
        if (snapshot->stale > last)
            atomic_fetch_add(&meeting->answered, 1);
        last = snapshot->stale;
        snapshot_destroy(&snapshot);
    }
    uint64_t one = 1;
    atomic_fetch_sub(&meeting->asking, 1);
    return write(meeting->wake_fd, &one, sizeof one) < 0 ? arg : NULL;
}

/*  Each asker gets as many as he asks for, each made after the one before. */
static void many_askers_all_get_fresh_snapshots(void **state)
{
    meeting_t *meeting = *state;
    pthread_t threads[ASKERS];
    uint64_t number = 0;
    atomic_store(&meeting->asking, ASKERS);
    for (size_t i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, meeting), 0);
    while (atomic_load(&meeting->asking) > 0 && wait_until_woken(meeting)) {
        if (!exchange_wanted(meeting->exchange))
            continue;
        snapshot_t *snapshot = numbered(++number);
        exchange_give(meeting->exchange, &snapshot);
    }
    for (size_t i = 0; i < ASKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&meeting->answered), ASKERS * QUESTIONS);
    assert_int_equal(number, ASKERS * QUESTIONS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_who_gives_costs_the_asker_his_time_only),
        TEST(what_nobody_wants_any_more_is_thrown_away),
        TEST(many_askers_all_get_fresh_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
