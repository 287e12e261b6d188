/*  systemd's journal, as far as it can be seen without one. */

#include "common/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void the_journal_is_there_where_its_socket_is(void **state)
{
    (void)state;
    bool socket = access("/run/systemd/journal/socket", W_OK) == 0;
    if (socket && !journal_exists())
        skip(); /* built without libsystemd */
    assert_int_equal(journal_exists(), socket);
}

static void a_log_to_a_journal_that_is_not_there_is_refused_and_says_so(void **state)
{
    (void)state;
    char problem[100] = "";
    if (journal_exists())
        skip();
    assert_false(log_open("journal", problem, sizeof problem));
    assert_string_equal(problem, "there is no systemd journal here");
}

/*  Nobody reads it where there is no journal: that must not cost more than the record, nor end us. */
static void a_record_of_any_fields_can_be_written(void **state)
{
    (void)state;
    if (journal_exists())
        skip(); /* the machine's own journal is no place for it */
    const log_field_t fields[] = {F_STR("a_string", "text"), F_SLICE("empty", ((slice_t){0})),
                                  F_SLICE("bytes", slice("\xff\n\0=", 4)), F_INT("integer", -1),
                                  F_NUM("number", 0.5)};
    buffer_t entries = {0};
    journal_put(&entries, LOG_WARN, "event", slice_str("a line"), fields, 5);
    log_field_t many[100];
    for (size_t i = 0; i < 100; i++)
        many[i] = F_INT("number", (int64_t)i);
    journal_put(&entries, LOG_ERROR, "event", slice_str(""), many, 100);
    journal_send(slice(entries.data, entries.size));
    free(entries.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_journal_is_there_where_its_socket_is),
        cmocka_unit_test(a_log_to_a_journal_that_is_not_there_is_refused_and_says_so),
        cmocka_unit_test(a_record_of_any_fields_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
