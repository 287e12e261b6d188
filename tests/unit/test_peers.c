/*  Who is remembered, and who is forgotten when. */

#include "broker/net/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { LIMIT = 3 };

static peers_t peers;
static char kept[16], gone[16]; /* single letters: their routing ids */

static int set_up(void **state)
{
    (void)state;
    kept[0] = gone[0] = '\0';
    peers_init(&peers, LIMIT);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    peers_fini(&peers);
    return 0;
}

static peer_entry_t *hear(const char *name, int64_t now_ms)
{
    return peers_get(&peers, slice_str(name), now_ms);
}

static bool knows(char name)
{
    peer_entry_t *peer;
    HASH_FIND(hh_id, peers.by_id, &name, 1, peer);
    return peer != NULL;
}

static bool is_kept(peer_t handle, void *arg)
{
    (void)arg;
    return strchr(kept, peers_find(&peers, handle)->id[0]) != NULL;
}

static void tell(peer_t handle, void *arg)
{
    (void)arg;
    strcat(gone, (const char *)peers_find(&peers, handle)->id);
}

static const peers_rule_t rule = {is_kept, tell, NULL};

static void who_has_been_silent_longest_makes_room(void **state)
{
    (void)state;
    hear("a", 1);
    hear("b", 2);
    hear("c", 3);
    assert_true(peers_make_room(&peers, &rule));
    hear("a", 4);
    hear("d", 5);
    assert_true(peers_make_room(&peers, &rule));
    assert_string_equal(gone, "b");
    strcpy(kept, "c");
    hear("e", 6);
    assert_true(peers_make_room(&peers, &rule));
    assert_string_equal(gone, "ba");
    assert_true(knows('c') && knows('d') && knows('e') && peers_count(&peers) == LIMIT);
}

static void there_is_no_room_when_all_are_kept(void **state)
{
    (void)state;
    strcpy(kept, "abc");
    hear("a", 1);
    hear("b", 2);
    hear("c", 3);
    hear("d", 4);
    assert_false(peers_make_room(&peers, &rule));
    assert_true(knows('d'));
    assert_string_equal(gone, "");
}

static void the_silent_are_forgotten_in_time(void **state)
{
    (void)state;
    strcpy(kept, "b");
    hear("a", 1);
    hear("b", 2);
    hear("c", 3);
    hear("a", 4);
    peers_expire(&peers, 4, &rule);
    assert_string_equal(gone, "c");
    assert_true(knows('a') && knows('b'));
}

static void who_leaves_is_forgotten_when_its_batch_is_answered(void **state)
{
    (void)state;
    peers_leave(&peers, hear("a", 1), 7);
    peers_leave(&peers, hear("b", 1), 7);
    peers_leave(&peers, hear("c", 1), 8);
    peers_see_off(&peers, 6);
    assert_int_equal(peers_count(&peers), 3);
    hear("b", 2); /* it stays */
    peers_see_off(&peers, 7);
    assert_true(!knows('a') && knows('b') && knows('c'));
    peers_see_off(&peers, 8);
    assert_true(knows('b') && !knows('c'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_has_been_silent_longest_makes_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_is_no_room_when_all_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_silent_are_forgotten_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_leaves_is_forgotten_when_its_batch_is_answered, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
