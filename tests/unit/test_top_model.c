/*  `reeve top`: what two samples say together. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/top/model.h"
#include "common/mem.h"

static sample_t *sample(int64_t at_ms, const char *broker, const char *queues)
{
    sample_t *sample = mem_zalloc(sizeof *sample);
    sample->at_ms = at_ms;
    sample->broker = broker ? cJSON_Parse(broker) : NULL;
    sample->queues = cJSON_Parse(queues);
    sample->workers =
        cJSON_Parse("[{\"worker\":\"w2\",\"prefetch\":3,\"processing\":1,\"queues\":[\"a\",\"b\"]},"
                    "{\"worker\":\"w1\",\"prefetch\":5,\"processing\":5}]");
    assert_non_null(sample->queues);
    return sample;
}

static void take(model_t *model, int64_t at_ms, const char *broker, const char *queues)
{
    sample_t *taken = sample(at_ms, broker, queues);
    model_take(model, &taken);
    assert_null(taken);
}

static const queue_row_t *row(const model_t *model, const char *name)
{
    for (size_t i = 0; i < model->queue_count; i++)
        if (strcmp(model->queues[i].name, name) == 0)
            return &model->queues[i];
    fail_msg("no row %s", name);
    return NULL;
}

#define FIRST_RUN "{\"epoch\":1}"

static void a_first_sample_knows_no_rates(void **state)
{
    (void)state;
    model_t model = {0};
    take(&model, 1000, FIRST_RUN,
         "[{\"queue\":\"a\",\"waiting\":7,\"scheduled\":1,\"processing\":2,\"dead\":3,"
         "\"workers\":4,\"submitted_total\":10,\"finished_total\":5,\"oldest_age_s\":1.5}]");
    const queue_row_t *a = row(&model, "a");
    assert_float_equal(a->waiting, 7, 0);
    assert_float_equal(a->scheduled, 1, 0);
    assert_float_equal(a->processing, 2, 0);
    assert_float_equal(a->dead, 3, 0);
    assert_float_equal(a->workers, 4, 0);
    assert_float_equal(a->age_s, 1.5, 0);
    assert_float_equal(a->in_per_s, NOT_KNOWN, 0);
    assert_float_equal(model.all.out_per_s, NOT_KNOWN, 0);
    model_fini(&model);
}

static void rates_are_what_was_counted_in_the_time_between(void **state)
{
    (void)state;
    model_t model = {0};
    take(&model, 1000, FIRST_RUN,
         "[{\"queue\":\"b\",\"submitted_total\":10,\"finished_total\":5},"
         "{\"queue\":\"a\",\"submitted_total\":0,\"finished_total\":0}]");
    take(&model, 3000, FIRST_RUN,
         "[{\"queue\":\"a\",\"submitted_total\":1,\"finished_total\":0},"
         "{\"queue\":\"b\",\"submitted_total\":30,\"finished_total\":11}]");
    assert_float_equal(row(&model, "b")->in_per_s, 10, 1e-9);
    assert_float_equal(row(&model, "b")->out_per_s, 3, 1e-9);
    assert_float_equal(row(&model, "a")->in_per_s, 0.5, 1e-9);
    assert_float_equal(model.all.in_per_s, 10.5, 1e-9);
    take(&model, 3500, FIRST_RUN,
         "[{\"queue\":\"b\",\"submitted_total\":30,\"finished_total\":12}]");
    assert_float_equal(row(&model, "b")->in_per_s, 0, 1e-9);
    assert_float_equal(row(&model, "b")->out_per_s, 2, 1e-9);
    model_fini(&model);
}

static void a_new_queue_has_counted_from_nothing(void **state)
{
    (void)state;
    model_t model = {0};
    take(&model, 0, FIRST_RUN, "[]");
    take(&model, 1000, FIRST_RUN, "[{\"queue\":\"a\",\"submitted_total\":4,\"finished_total\":1}]");
    assert_float_equal(row(&model, "a")->in_per_s, 4, 1e-9);
    model_fini(&model);
}

/*  Counters begin anew with each start of the broker, and with a queue that was removed and made
    again. */
static void there_are_no_rates_over_a_restart(void **state)
{
    (void)state;
    model_t model = {0};
    take(&model, 0, FIRST_RUN, "[{\"queue\":\"a\",\"submitted_total\":4,\"finished_total\":1}]");
    take(&model, 1000, "{\"epoch\":2}",
         "[{\"queue\":\"a\",\"submitted_total\":9,\"finished_total\":2}]");
    assert_float_equal(row(&model, "a")->in_per_s, NOT_KNOWN, 0);
    assert_float_equal(model.all.in_per_s, NOT_KNOWN, 0);
    take(&model, 2000, "{\"epoch\":2}",
         "[{\"queue\":\"a\",\"submitted_total\":3,\"finished_total\":2}]");
    assert_float_equal(row(&model, "a")->in_per_s, NOT_KNOWN, 0);
    assert_float_equal(row(&model, "a")->out_per_s, 0, 0);
    model_fini(&model);
}

static void a_broker_that_counts_nothing_has_no_rates(void **state)
{
    (void)state;
    model_t model = {0};
    for (int64_t at_ms = 0; at_ms < 3000; at_ms += 1000)
        take(&model, at_ms, NULL, "[{\"queue\":\"a\",\"waiting\":1}]");
    assert_float_equal(row(&model, "a")->in_per_s, NOT_KNOWN, 0);
    assert_float_equal(row(&model, "a")->waiting, 1, 0);
    model_fini(&model);
}

static void totals_are_sums_and_the_oldest_age(void **state)
{
    (void)state;
    model_t model = {0};
    take(&model, 0, FIRST_RUN,
         "[{\"queue\":\"a\",\"waiting\":1,\"scheduled\":2,\"processing\":3,\"dead\":4},"
         "{\"queue\":\"b\",\"waiting\":10,\"scheduled\":20,\"processing\":30,\"dead\":40,"
         "\"oldest_age_s\":9}]");
    assert_float_equal(model.all.waiting, 11, 0);
    assert_float_equal(model.all.scheduled, 22, 0);
    assert_float_equal(model.all.processing, 33, 0);
    assert_float_equal(model.all.dead, 44, 0);
    assert_float_equal(model.all.age_s, 9, 0);
    assert_float_equal(model.busy, 6, 0);
    assert_float_equal(model.slots, 8, 0);
    assert_string_equal(model.workers[0].name, "w1");
    model_fini(&model);
}

static void assert_order(const model_t *model, const char *order)
{
    char names[16] = "";
    for (size_t i = 0; i < model->queue_count; i++)
        strcat(names, model->queues[i].name);
    assert_string_equal(names, order);
}

static void queues_are_sorted_by_each_key_and_then_by_name(void **state)
{
    (void)state;
    model_t model = {0};
    take(&model, 0, FIRST_RUN, "[]");
    take(&model, 1000, FIRST_RUN,
         "[{\"queue\":\"c\",\"waiting\":5,\"submitted_total\":1,\"finished_total\":1},"
         "{\"queue\":\"b\",\"waiting\":0,\"submitted_total\":0,\"finished_total\":7},"
         "{\"queue\":\"d\",\"waiting\":5,\"submitted_total\":0,\"finished_total\":0,"
         "\"oldest_age_s\":3},"
         "{\"queue\":\"a\",\"waiting\":9,\"submitted_total\":3,\"finished_total\":0,"
         "\"oldest_age_s\":1}]");
    assert_order(&model, "acdb");
    model_sort(&model, SORT_RATE);
    assert_order(&model, "bacd");
    model_sort(&model, SORT_AGE);
    assert_order(&model, "dabc");
    model_sort(&model, SORT_NAME);
    assert_order(&model, "abcd");
    model_fini(&model);
}

static void the_order_stays_with_the_next_sample(void **state)
{
    (void)state;
    model_t model = {0};
    model_sort(&model, SORT_NAME);
    take(&model, 0, FIRST_RUN, "[{\"queue\":\"b\",\"waiting\":2},{\"queue\":\"a\",\"waiting\":1}]");
    assert_order(&model, "ab");
    take(&model, 1, FIRST_RUN, "[{\"queue\":\"b\",\"waiting\":2},{\"queue\":\"a\",\"waiting\":1}]");
    assert_order(&model, "ab");
    model_fini(&model);
}

static void sort_keys_are_found_by_their_names(void **state)
{
    (void)state;
    for (int i = 0; i < SORT_KEY_COUNT; i++) {
        sort_key_t key;
        assert_true(sort_key_find(sort_key_name((sort_key_t)i), &key));
        assert_int_equal(key, i);
    }
    assert_false(sort_key_find("size", &(sort_key_t){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_sample_knows_no_rates),
        cmocka_unit_test(rates_are_what_was_counted_in_the_time_between),
        cmocka_unit_test(a_new_queue_has_counted_from_nothing),
        cmocka_unit_test(there_are_no_rates_over_a_restart),
        cmocka_unit_test(a_broker_that_counts_nothing_has_no_rates),
        cmocka_unit_test(totals_are_sums_and_the_oldest_age),
        cmocka_unit_test(queues_are_sorted_by_each_key_and_then_by_name),
        cmocka_unit_test(the_order_stays_with_the_next_sample),
        cmocka_unit_test(sort_keys_are_found_by_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
