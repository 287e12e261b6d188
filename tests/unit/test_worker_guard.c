/*  What a worker remembers of commands that succeeded, and for how long. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "worker/delivery.h"
#include "worker/guard.h"

static const reeve_settlement_t success = {
    .verdict = REEVE_SUCCESS, .result_kind = 2, .result = "done", .result_size = 4};

static reeve_delivery_t *a_delivery(const char *id, uint32_t attempt, uint64_t created_at_ms)
{
    return worker_delivery_new(
        &(wire_delivery_t){.token = slice_str("token"),
                           .attempt = attempt,
                           .task = {.id = slice_str(id), .created_at_ms = created_at_ms}});
}

static void remember(guard_t *guard, const char *id, const reeve_settlement_t *settlement)
{
    reeve_delivery_t *delivery = a_delivery(id, 1, 1000);
    guard_remember(guard, delivery, settlement);
    worker_delivery_destroy(&delivery);
}

static bool knows(const guard_t *guard, const char *id, uint32_t attempt, uint64_t created_at_ms)
{
    reeve_delivery_t *delivery = a_delivery(id, attempt, created_at_ms);
    const reeve_settlement_t *found = guard_find(guard, delivery);
    worker_delivery_destroy(&delivery);
    if (found)
        assert_memory_equal(found->result, "done", 4);
    return found != NULL;
}

static void a_later_attempt_at_the_same_task_is_known(void **state)
{
    (void)state;
    guard_t *guard = guard_new();
    remember(guard, "a", &success);
    assert_true(knows(guard, "a", 2, 1000));
    assert_true(knows(guard, "a", 3, 1000));
    assert_false(knows(guard, "b", 2, 1000));
    guard_destroy(&guard);
}

/*  An id that the broker no longer knew may have been given to a new task. */
static void another_task_of_the_id_is_not(void **state)
{
    (void)state;
    guard_t *guard = guard_new();
    remember(guard, "a", &success);
    assert_false(knows(guard, "a", 1, 1000));
    assert_false(knows(guard, "a", 2, 2000));
    guard_destroy(&guard);
}

static void what_the_broker_has_stored_is_forgotten(void **state)
{
    (void)state;
    guard_t *guard = guard_new();
    remember(guard, "a", &success);
    guard_forget(guard, "a", 2);
    guard_forget(guard, "b", 1);
    assert_true(knows(guard, "a", 2, 1000));
    guard_forget(guard, "a", 1);
    assert_false(knows(guard, "a", 2, 1000));
    guard_destroy(&guard);
}

static void the_oldest_make_room(void **state)
{
    (void)state;
    guard_t *guard = guard_new();
    char id[16];
    for (int i = 0; i <= GUARD_TASKS; i++) {
        snprintf(id, sizeof id, "t%d", i);
        remember(guard, id, &success);
    }
    assert_false(knows(guard, "t0", 2, 1000));
    assert_true(knows(guard, "t1", 2, 1000));
    assert_true(knows(guard, id, 2, 1000));
    char *large = calloc(1, GUARD_BYTES - 8);
    memcpy(large, "done", 4);
    reeve_settlement_t much = success;
    much.result = large;
    much.result_size = GUARD_BYTES - 8;
    remember(guard, "large", &much);
    assert_false(knows(guard, "t2", 2, 1000));
    assert_true(knows(guard, id, 2, 1000));
    assert_true(knows(guard, "large", 2, 1000));
    remember(guard, "large", &success); /* in place of the other */
    assert_true(knows(guard, "large", 2, 1000));
    free(large);
    guard_destroy(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_attempt_at_the_same_task_is_known),
        cmocka_unit_test(another_task_of_the_id_is_not),
        cmocka_unit_test(what_the_broker_has_stored_is_forgotten),
        cmocka_unit_test(the_oldest_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
