/*  Titanic's service names and UUIDs, and MMI's prefix. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/wire/tsp.h"

#define ID    "0192f0c1-7a3e-7c11-9a52-0d6d3f1b2c4d"
#define UPPER "0192F0C17A3E7C119A520D6D3F1B2C4D"
#define LOWER "0192f0c17a3e7c119a520d6d3f1b2c4d"

static void the_services_of_rfc_9_are_known(void **state)
{
    (void)state;
    assert_int_equal(tsp_service(slice_str("titanic.request")), TSP_REQUEST);
    assert_int_equal(tsp_service(slice_str("titanic.reply")), TSP_REPLY);
    assert_int_equal(tsp_service(slice_str("titanic.close")), TSP_CLOSE);
}

static void other_names_under_titanic_are_unknown(void **state)
{
    (void)state;
    const char *const names[] = {"titanic.", "titanic.requests", "titanic.reques", "titanic.Reply"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(tsp_service(slice_str(names[i])), TSP_UNKNOWN);
    assert_int_equal(tsp_service(slice("titanic.close", 14)), TSP_UNKNOWN); /* with its NUL */
}

static void other_services_are_not_titanic_s(void **state)
{
    (void)state;
    const char *const names[] = {"", "echo", "titanic", "Titanic.request", " titanic.request"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(tsp_service(slice_str(names[i])), TSP_NONE);
    assert_int_equal(tsp_service(slice(NULL, 0)), TSP_NONE);
}

static void mmi_is_told_by_its_prefix(void **state)
{
    (void)state;
    assert_true(mmi_is_mmi(slice_str("mmi.service")));
    assert_true(mmi_is_mmi(slice_str("mmi.")));
    assert_false(mmi_is_mmi(slice_str("mmi")));
    assert_false(mmi_is_mmi(slice_str("MMI.service")));
    assert_false(mmi_is_mmi(slice_str("xmmi.service")));
    assert_false(mmi_is_mmi(slice(NULL, 0)));
}

static void a_uuid_of_either_case_becomes_the_task_id(void **state)
{
    (void)state;
    const char *const texts[] = {UPPER, LOWER, ID, "0192F0C1-7A3E-7C11-9A52-0D6D3F1B2C4D",
                                 "0192f0C17A3e7c119A520d6d3F1b2C4d"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char id[37] = "";
        assert_true(tsp_uuid_to_id(slice_str(texts[i]), id));
        assert_string_equal(id, ID);
    }
}

static void what_is_no_uuid_is_refused_and_nothing_written(void **state)
{
    (void)state;
    const char *const texts[] = {
        "",
        "0192F0C17A3E7C119A520D6D3F1B2C4",       /* a digit short */
        "0192F0C17A3E7C119A520D6D3F1B2C4D0",     /* a digit too many */
        "0192F0C17A3E7C119A520D6D3F1B2C4G",      /* not a digit */
        "0192F0C17A3E7C119A520D6D3F1B2C4 ",      /* white space */
        "0192f0c-17a3e-7c11-9a52-0d6d3f1b2c4d",  /* dashes elsewhere */
        "0192f0c1-7a3e-7c11-9a5200d6d3f1b2c4d",  /* a dash is missing */
        "0192f0c1-7a3e-7c11-9a52--d6d3f1b2c4d",  /* a dash for a digit */
        "{0192f0c17a3e7c119a520d6d3f1b2c4d}",    /* braces */
        "0192f0c1-7a3e-7c11-9a52-0d6d3f1b2c4d0", /* an id with a digit too many */
        "--------------------------------",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char id[37] = "untouched";
        if (tsp_uuid_to_id(slice_str(texts[i]), id))
            fail_msg("taken for a UUID: '%s'", texts[i]);
        assert_string_equal(id, "untouched");
    }
}

static void a_task_id_becomes_an_upper_case_uuid(void **state)
{
    (void)state;
    char uuid[33] = "";
    assert_true(tsp_id_to_uuid(slice_str(ID), uuid));
    assert_string_equal(uuid, UPPER);
}

static void an_id_that_its_uuid_would_not_lead_back_to_has_none(void **state)
{
    (void)state;
    const char *const ids[] = {"",    "order-4711", "0192f0c1-7a3e-7c11-9a52-0d6d3f1b2c4g",
                               LOWER, UPPER,        "0192F0C1-7A3E-7C11-9A52-0D6D3F1B2C4D"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char uuid[33] = "untouched";
        if (tsp_id_to_uuid(slice_str(ids[i]), uuid))
            fail_msg("has a UUID: '%s'", ids[i]);
        assert_string_equal(uuid, "untouched");
    }
}

static void every_byte_that_is_no_digit_is_refused_everywhere(void **state)
{
    (void)state;
    for (size_t position = 0; position < 32; position++)
        for (int c = 0; c < 256; c++) {
            uint8_t *text = mem_alloc(32); /* exact, for the address sanitizer */
            memcpy(text, UPPER, 32);
            text[position] = (uint8_t)c;
            bool digit = c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL;
            char id[37];
            assert_int_equal(tsp_uuid_to_id(slice(text, 32), id), digit);
            free(text);
        }
}

static void random_uuids_survive_the_round_trip(void **state)
{
    (void)state;
    uint64_t seed = 20260520; /* xorshift64 */
    for (int i = 0; i < 10000; i++) {
        char uuid[33], id[37], back[33];
        for (int n = 0; n < 32; n++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            uuid[n] = "0123456789ABCDEF"[seed >> 60];
        }
        uuid[32] = '\0';
        assert_true(tsp_uuid_to_id(slice_str(uuid), id));
        assert_int_equal(strlen(id), 36);
        assert_true(tsp_id_to_uuid(slice_str(id), back));
        assert_string_equal(back, uuid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_services_of_rfc_9_are_known),
        cmocka_unit_test(other_names_under_titanic_are_unknown),
        cmocka_unit_test(other_services_are_not_titanic_s),
        cmocka_unit_test(mmi_is_told_by_its_prefix),
        cmocka_unit_test(a_uuid_of_either_case_becomes_the_task_id),
        cmocka_unit_test(what_is_no_uuid_is_refused_and_nothing_written),
        cmocka_unit_test(a_task_id_becomes_an_upper_case_uuid),
        cmocka_unit_test(an_id_that_its_uuid_would_not_lead_back_to_has_none),
        cmocka_unit_test(every_byte_that_is_no_digit_is_refused_everywhere),
        cmocka_unit_test(random_uuids_survive_the_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
