#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/store/id_filter.h"
#include "common/mem.h"

static uint64_t hash_of(uint64_t n)
{
    n += 0x9e3779b97f4a7c15u;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
    n = (n ^ n >> 27) * 0x94d049bb133111ebu;
    return n ^ n >> 31;
}

static uint64_t in_slice(unsigned slice, uint64_t n)
{
    return (uint64_t)slice << 60 | hash_of(n) >> 4;
}

/*  A filter's segment over numbers [from, from + count), all in one slice. */
static id_segment_t *segment_of(uint64_t run, unsigned slice, uint64_t from, uint64_t count)
{
    id_segment_t *segment = id_segment_new(run, slice, id_segment_blocks_for(count));
    for (uint64_t n = from; n < from + count; ++n)
        id_segment_add(segment, in_slice(slice, n) & ID_HASH_MASK);
    return segment;
}

static void apply_segment(id_filter_t *filter, id_segment_t *segment, uint64_t covered_seq)
{
    id_update_t *update = id_update_new();
    id_update_add_segment(update, segment);
    update->covered_seq = covered_seq;
    id_filter_apply(filter, &update);
    assert_null(update);
}

static void an_empty_filter_knows_no_id(void **state)
{
    (void)state;
    id_filter_t *filter = id_filter_new();
    for (uint64_t n = 0; n < 1000; ++n)
        assert_false(id_filter_maybe(filter, hash_of(n)));
    id_filter_destroy(&filter);
    assert_null(filter);
}

static void an_id_is_a_maybe_from_its_admission_on(void **state)
{
    (void)state;
    id_filter_t *filter = id_filter_new();
    for (uint64_t n = 1; n <= 100000; ++n) {
        assert_false(id_filter_maybe(filter, hash_of(n)));
        id_filter_add(filter, hash_of(n), n);
        assert_true(id_filter_maybe(filter, hash_of(n)));
    }
    for (uint64_t n = 1; n <= 100000; ++n)
        assert_true(id_filter_maybe(filter, hash_of(n)));
    id_filter_destroy(&filter);
}

/*  The writer seals what it has seen; the reactor has admitted more. */
static void an_id_that_the_writer_has_not_seen_outlives_a_seal(void **state)
{
    (void)state;
    id_filter_t *filter = id_filter_new();
    for (uint64_t n = 1; n <= 40000; ++n)
        id_filter_add(filter, in_slice(5, n), n);
    id_segment_t *sealed = segment_of(1, 5, 1, 39999);
    apply_segment(filter, sealed, 39999);
    id_segment_unref(&sealed);
    for (uint64_t n = 1; n <= 40000; ++n)
        assert_true(id_filter_maybe(filter, in_slice(5, n)));
    id_filter_destroy(&filter);
}

static void what_is_covered_is_forgotten(void **state)
{
    (void)state;
    id_filter_t *filter = id_filter_new();
    size_t empty = id_filter_bytes(filter);
    for (uint64_t n = 1; n <= 40000; ++n)
        id_filter_add(filter, hash_of(n), n);
    size_t full = id_filter_bytes(filter);
    assert_true(full > empty);
    id_update_t *update = id_update_new();
    update->covered_seq = 20000;
    id_filter_apply(filter, &update);
    assert_true(id_filter_bytes(filter) < full);
    for (uint64_t n = 20001; n <= 40000; ++n)
        assert_true(id_filter_maybe(filter, hash_of(n)));
    update = id_update_new();
    update->covered_seq = 40000;
    id_filter_apply(filter, &update);
    assert_int_equal(id_filter_bytes(filter), empty);
    for (uint64_t n = 1; n <= 40000; ++n)
        assert_false(id_filter_maybe(filter, hash_of(n)));
    id_filter_destroy(&filter);
}

static void what_was_never_written_is_forgotten(void **state)
{
    (void)state;
    id_filter_t *filter = id_filter_new();
    size_t empty = id_filter_bytes(filter);
    id_filter_add(filter, hash_of(1), 1);
    size_t one = id_filter_bytes(filter);
    for (uint64_t n = 2; n <= 100000; ++n) {
        id_filter_add(filter, hash_of(n), n);
        id_filter_drop(filter, n);
    }
    assert_in_range(id_filter_bytes(filter), one, empty + 2 * (one - empty));
    assert_true(id_filter_maybe(filter, hash_of(1)));
    id_filter_destroy(&filter);
}

static void a_merged_segment_replaces_its_parts_in_one_update(void **state)
{
    (void)state;
    id_filter_t *filter = id_filter_new();
    id_segment_t *first = segment_of(1, 9, 0, 5000), *second = segment_of(2, 9, 5000, 5000);
    apply_segment(filter, first, 0);
    apply_segment(filter, second, 0);
    id_segment_t *both = segment_of(3, 9, 0, 10000);
    id_update_t *update = id_update_new();
    id_update_remove_segment(update, 1);
    id_update_remove_segment(update, 2);
    id_update_add_segment(update, both);
    id_filter_apply(filter, &update);
    for (uint64_t n = 0; n < 10000; ++n)
        assert_true(id_filter_maybe(filter, in_slice(9, n)));
    assert_int_equal(atomic_load(&first->references), 1);
    assert_int_equal(atomic_load(&both->references), 2);
    update = id_update_new();
    id_update_remove_segment(update, 3);
    id_filter_apply(filter, &update);
    for (uint64_t n = 0; n < 10000; ++n)
        assert_false(id_filter_maybe(filter, in_slice(9, n)));
    id_segment_unref(&first);
    id_segment_unref(&second);
    id_segment_unref(&both);
    id_filter_destroy(&filter);
}

static void a_segment_made_and_unmade_in_one_update_is_gone(void **state)
{
    (void)state;
    id_filter_t *filter = id_filter_new();
    id_segment_t *segment = segment_of(7, 0, 0, 10);
    id_update_t *update = id_update_new();
    id_update_add_segment(update, segment);
    id_update_remove_segment(update, 7);
    id_filter_apply(filter, &update);
    assert_int_equal(atomic_load(&segment->references), 1);
    assert_false(id_filter_maybe(filter, in_slice(0, 1)));
    id_segment_unref(&segment);
    id_filter_destroy(&filter);
}

static void the_recent_hashes_of_an_update_are_kept_until_covered(void **state)
{
    (void)state;
    id_filter_t *filter = id_filter_new();
    id_update_t *update = id_update_new();
    for (uint64_t n = 1; n <= 1000; ++n)
        id_update_add_recent(update, hash_of(n), n);
    update->covered_seq = 0;
    id_filter_apply(filter, &update);
    update = id_update_new();
    update->covered_seq = 999;
    id_filter_apply(filter, &update);
    for (uint64_t n = 1; n <= 1000; ++n)
        assert_true(id_filter_maybe(filter, hash_of(n)));
    update = id_update_new();
    update->covered_seq = 1000;
    id_filter_apply(filter, &update);
    assert_false(id_filter_maybe(filter, hash_of(1)));
    id_filter_destroy(&filter);
}

static void an_update_that_nobody_took_frees_its_segments(void **state)
{
    (void)state;
    id_segment_t *segment = segment_of(1, 2, 0, 10);
    id_update_t *update = id_update_new();
    id_update_add_segment(update, segment);
    id_update_add_recent(update, 1, 1);
    id_update_remove_segment(update, 1);
    id_update_destroy(&update);
    assert_int_equal(atomic_load(&segment->references), 1);
    id_segment_unref(&segment);
}

static void a_filter_survives_being_stored(void **state)
{
    (void)state;
    id_segment_t *segment = segment_of(1, 3, 0, 5000);
    id_segment_t *copy = id_segment_new(1, 3, segment->blocks);
    uint8_t *bytes = mem_alloc(id_segment_bytes(segment));
    id_segment_save(segment, 0, segment->blocks, bytes);
    id_segment_load(copy, 0, 7, bytes);
    id_segment_load(copy, 7, copy->blocks - 7, bytes + (size_t)7 * ID_SEGMENT_BLOCK);
    free(bytes);
    assert_memory_equal(copy->words, segment->words, id_segment_bytes(segment));
    id_segment_unref(&segment);
    id_segment_unref(&copy);
}

/*  Per mille of fresh ids that a run of this many takes for its own. */
static double false_positives(uint64_t ids)
{
    id_segment_t *segment = segment_of(1, 6, 0, ids);
    size_t maybe = 0;
    for (uint64_t n = 0; n < ids; ++n)
        assert_true(id_segment_maybe(segment, in_slice(6, n) & ID_HASH_MASK));
    for (uint64_t n = 0; n < 200000; ++n)
        maybe += id_segment_maybe(segment, in_slice(6, (UINT64_C(1) << 40) + n) & ID_HASH_MASK);
    id_segment_unref(&segment);
    return (double)maybe * 1000 / 200000;
}

static void false_positives_are_few_at_every_size(void **state)
{
    (void)state;
    assert_true(false_positives(1) < 0.1);
    assert_true(false_positives(4096) < 0.6);
    assert_true(false_positives(30000) < 1);
    assert_true(false_positives(130000) < 2);
    assert_true(false_positives(500000) < 4.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_filter_knows_no_id),
        cmocka_unit_test(an_id_is_a_maybe_from_its_admission_on),
        cmocka_unit_test(an_id_that_the_writer_has_not_seen_outlives_a_seal),
        cmocka_unit_test(what_is_covered_is_forgotten),
        cmocka_unit_test(what_was_never_written_is_forgotten),
        cmocka_unit_test(a_merged_segment_replaces_its_parts_in_one_update),
        cmocka_unit_test(a_segment_made_and_unmade_in_one_update_is_gone),
        cmocka_unit_test(the_recent_hashes_of_an_update_are_kept_until_covered),
        cmocka_unit_test(an_update_that_nobody_took_frees_its_segments),
        cmocka_unit_test(a_filter_survives_being_stored),
        cmocka_unit_test(false_positives_are_few_at_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
