/*  The writer thread over a store that the test can hold back and break. */

#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/store/writer.h"

/*  Counts; a commit waits for a permission, a sync where it is held up; both fail when told to. */
typedef struct fake {
    store_t base;
    sem_t began, permission, syncing, sync_permission;
    atomic_int transactions, finds, syncs;
    atomic_bool fails, sync_fails, holds_syncs;
    size_t body_size; /* of what is found; 0: nothing */
} fake_t;

static int begin(store_t *store)
{
    sem_post(&((fake_t *)store)->began);
    return STORE_OK;
}

static int commit(store_t *store)
{
    fake_t *fake = (fake_t *)store;
    sem_wait(&fake->permission);
    fake->transactions++;
    return fake->fails ? STORE_FAILED : STORE_OK;
}

static int sync_log(store_t *store)
{
    fake_t *fake = (fake_t *)store;
    fake->syncs++;
    sem_post(&fake->syncing);
    if (fake->holds_syncs)
        sem_wait(&fake->sync_permission);
    return fake->sync_fails ? STORE_FAILED : STORE_OK;
}

static int find(store_t *store, slice_t id, page_t *out)
{
    fake_t *fake = (fake_t *)store;
    fake->finds++;
    if (fake->body_size == 0)
        return STORE_OK;
    char *body = calloc(1, fake->body_size);
    task_spec_t spec = {.id = id, .queue = slice_str("q"), .body = slice(body, fake->body_size)};
    page_add(out)->record = record_new(&spec, 1, 1);
    free(body);
    return STORE_OK;
}

static id_update_t *id_update(store_t *store)
{
    (void)store;
    return NULL;
}

static const store_ops_t ops = {
    .begin = begin, .commit = commit, .sync = sync_log, .find = find, .id_update = id_update};

typedef struct world {
    fake_t fake;
    int fd;
    writer_t *writer;
} world_t;

static int set_up(void **state)
{
    world_t *world = calloc(1, sizeof *world);
    world->fake.base.ops = &ops;
    sem_init(&world->fake.began, 0, 0);
    sem_init(&world->fake.permission, 0, 0);
    sem_init(&world->fake.syncing, 0, 0);
    sem_init(&world->fake.sync_permission, 0, 0);
    world->fd = eventfd(0, EFD_NONBLOCK);
    world->writer = writer_start(&world->fake.base, world->fd);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_t *world = *state;
    writer_stop(&world->writer);
    close(world->fd);
    free(world);
    return 0;
}

static void submit(world_t *world, int finds)
{
    batch_t *batch = batch_new();
    for (int i = 0; i < finds; i++) {
        request_t *request = batch_add(batch, REQUEST_EFFECT);
        request->effect.kind = EFFECT_FIND;
        request->effect.find.id = strdup("x");
    }
    writer_submit(world->writer, &batch);
    assert_null(batch);
}

static batch_t *next(world_t *world)
{
    batch_t *batch;
    while ((batch = writer_collect(world->writer)) == NULL) {
        struct pollfd wait = {world->fd, POLLIN, 0};
        assert_true(poll(&wait, 1, 10000) > 0);
        uint64_t count;
        ssize_t got = read(world->fd, &count, sizeof count);
        (void)got;
    }
    return batch;
}

static void what_arrives_during_a_commit_is_one_transaction(void **state)
{
    world_t *world = *state;
    submit(world, 1);
    sem_wait(&world->fake.began); /* the first transaction is under way */
    for (int i = 0; i < 10; i++)
        submit(world, 2);
    assert_null(writer_collect(world->writer));
    sem_post(&world->fake.permission);
    sem_post(&world->fake.permission);
    for (int i = 0; i < 11; i++) {
        batch_t *batch = next(world);
        assert_false(batch->failed);
        assert_int_equal(batch->count, i == 0 ? 1 : 2);
        batch_destroy(&batch);
    }
    assert_int_equal(world->fake.transactions, 2);
    assert_int_equal(world->fake.finds, 21);
}

static void what_would_be_too_much_to_read_at_once_is_put_off(void **state)
{
    world_t *world = *state;
    world->fake.body_size = 8 << 20;
    submit(world, 4);
    sem_wait(&world->fake.began);
    submit(world, 1);
    for (int i = 0; i < 2; i++)
        sem_post(&world->fake.permission);
    for (int i = 0; i < 2; i++) {
        batch_t *batch = next(world);
        for (size_t k = 0; k < batch->count; k++)
            assert_int_equal(batch->items[k].put_off, k >= 2);
        batch_destroy(&batch);
    }
    assert_int_equal(world->fake.finds, 3);
}

static void after_a_failed_commit_nothing_is_confirmed_any_more(void **state)
{
    world_t *world = *state;
    world->fake.fails = true;
    submit(world, 1);
    sem_post(&world->fake.permission);
    batch_t *batch = next(world);
    assert_true(batch->failed);
    batch_destroy(&batch);
    world->fake.fails = false; /* a failed sync is not retried as if nothing had happened */
    submit(world, 1);
    batch = next(world);
    assert_true(batch->failed);
    batch_destroy(&batch);
    assert_int_equal(world->fake.transactions, 1);
    assert_int_equal(world->fake.syncs, 0);
}

/*  The first transaction is in its sync, and more waits to be written. */
static void begin_with_two(world_t *world)
{
    world->fake.holds_syncs = true;
    submit(world, 1);
    sem_wait(&world->fake.began);
    submit(world, 2);
    sem_post(&world->fake.permission);
    sem_wait(&world->fake.syncing);
}

static void the_next_transaction_is_written_while_one_is_synced(void **state)
{
    world_t *world = *state;
    begin_with_two(world);
    sem_wait(&world->fake.began);
    sem_post(&world->fake.permission);
    submit(world, 3);
    sem_wait(&world->fake.began); /* so the second is written */
    sem_post(&world->fake.permission);
    assert_null(writer_collect(world->writer)); /* nothing is durable */
    for (int i = 0; i < 3; i++)
        sem_post(&world->fake.sync_permission);
    for (size_t i = 1; i <= 3; i++) {
        batch_t *batch = next(world);
        assert_false(batch->failed);
        assert_int_equal(batch->count, i);
        batch_destroy(&batch);
    }
}

static void a_failed_sync_fails_all_that_came_after_it(void **state)
{
    world_t *world = *state;
    begin_with_two(world);
    sem_wait(&world->fake.began);
    sem_post(&world->fake.permission);
    assert_null(writer_collect(world->writer));
    world->fake.sync_fails = true;
    sem_post(&world->fake.sync_permission);
    for (int i = 0; i < 2; i++) {
        batch_t *batch = next(world);
        assert_true(batch->failed);
        batch_destroy(&batch);
    }
    world->fake.sync_fails = false;
    submit(world, 1);
    batch_t *batch = next(world);
    assert_true(batch->failed);
    batch_destroy(&batch);
    assert_int_equal(world->fake.syncs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_arrives_during_a_commit_is_one_transaction, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_would_be_too_much_to_read_at_once_is_put_off, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(after_a_failed_commit_nothing_is_confirmed_any_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_next_transaction_is_written_while_one_is_synced, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failed_sync_fails_all_that_came_after_it, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
