/*  Arrays that become longer. */

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void an_array_keeps_its_items_and_has_zeros_behind(void **state)
{
    (void)state;
    size_t capacity = 0;
    int *items = NULL;
    for (size_t i = 0; i < 1000; i++) {
        items = mem_room(items, &capacity, i, sizeof *items);
        assert_true(capacity > i);
        assert_int_equal(items[i], 0);
        items[i] = (int)i + 1;
    }
    items = mem_room(items, &capacity, 5000, /* far behind the end */
                     sizeof *items);
    assert_true(capacity > 5000);
    for (size_t i = 0; i < capacity; i++)
        assert_int_equal(items[i], i < 1000 ? (int)i + 1 : 0);
    free(items);
}

static void an_array_that_is_long_enough_stays(void **state)
{
    (void)state;
    size_t capacity = 0;
    int *items = mem_room(NULL, &capacity, 0, sizeof *items);
    size_t before = capacity;
    assert_ptr_equal(mem_room(items, &capacity, capacity - 1, sizeof *items), items);
    assert_int_equal(capacity, before);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_keeps_its_items_and_has_zeros_behind),
        cmocka_unit_test(an_array_that_is_long_enough_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
