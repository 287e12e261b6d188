/*  The thread that writes the log: in order, and at no expense of who logs. */

#include "common/log_writer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/*  Records are put some at a time. */
enum { TOGETHER = 3, PUT_SIZE = 1024, PUTS = 3 * LOG_WRITER_BYTES / PUT_SIZE };

static pthread_t delivered_by;
static int gate[2]; /* a delivery waits until something can be read */
static size_t delivered, dropped;
static bool in_order = true;

static void deliver(slice_t records)
{
    uint8_t ignored;
    delivered_by = pthread_self();
    assert_int_equal(read(gate[0], &ignored, 1), delivered == 0);
    static uint32_t last;
    for (size_t at = 0; at < records.size; at += PUT_SIZE, delivered++) {
        uint32_t number;
        memcpy(&number, records.data + at, sizeof number);
        in_order = in_order && number > last;
        last = number;
    }
}

static void count_dropped(size_t records)
{
    dropped += records;
}

static void a_reader_that_does_not_read_costs_records_but_no_time(void **state)
{
    (void)state;
    static const log_writer_calls_t calls = {.deliver = deliver, .dropped = count_dropped};
    uint8_t records[PUT_SIZE] = {0};
    assert_int_equal(pipe(gate), 0);
    assert_false(log_writer_put(slice(records, sizeof records), TOGETHER)); /* no thread yet */
    assert_true(log_writer_start(&calls));

    for (uint32_t number = 1; number <= PUTS; number++) {
        memcpy(records, &number, sizeof number);
        assert_true(log_writer_put(slice(records, sizeof records), TOGETHER));
    }
    assert_int_equal(write(gate[1], "", 1), 1);
    close(gate[1]);
    log_writer_stop();

    assert_false(pthread_equal(delivered_by, pthread_self()));
    assert_true(in_order);
    assert_int_equal(delivered * TOGETHER + dropped, PUTS * TOGETHER);
    assert_in_range(delivered * PUT_SIZE, LOG_WRITER_BYTES, 2 * LOG_WRITER_BYTES);
    assert_false(log_writer_put(slice(records, sizeof records), TOGETHER));
    close(gate[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_that_does_not_read_costs_records_but_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
