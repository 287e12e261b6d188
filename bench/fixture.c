#include "bench/fixture.h"

#include <assert.h>
#include <stdio.h>

#include "common/limits.h"
#include "common/mem.h"

static void restore_queue(const stored_queue_t *queue, void *core)
{
    core_restore_queue(core, queue);
}

core_t *fixture_core(store_t *store)
{
    const store_identity_t *identity = store->ops->identity(store);
    core_t *core = core_new(&(core_config_t){.policy = POLICY_DEFAULT,
                                             .heartbeat_ms = 1000,
                                             .liveness_ms = 10000,
                                             .mdp_liveness_ms = 10000,
                                             .mdp_timeout_ms = 300000,
                                             .grace_ms = 3000,
                                             .max_queues = LIMIT_QUEUES,
                                             .seed = 1,
                                             .next_seq = identity->next_seq,
                                             .next_queue_id = identity->next_queue_id});
    int rc = store->ops->recover(store, &(store_recovery_t){core, restore_queue, NULL});
    assert(rc == STORE_OK);
    return core;
}

void fixture_id(uint64_t number, char id[FIXTURE_ID_SIZE])
{
    uint64_t mixed = number * 0x9e3779b97f4a7c15u;
    snprintf(id, FIXTURE_ID_SIZE, "019ab2c0-%04x-7%03x-%04x-%012llx",
             (unsigned)(number >> 10) & 0xffff, (unsigned)number & 0x3ff,
             0x8000 | ((unsigned)(mixed >> 48) & 0x3fff),
             (unsigned long long)(mixed & 0xffffffffffffu));
}

wire_task_t fixture_task(const char *id, const char *body)
{
    return (wire_task_t){.id = slice_str(id),
                         .queue = slice_str("bench"),
                         .task_name = slice_str("work"),
                         .body = slice_str(body),
                         .created_at_ms = FIXTURE_WALL_MS,
                         .max_retries = WIRE_ABSENT};
}

char *fixture_body(size_t size)
{
    static const char head[] = "{\"args\":[],\"kwargs\":{\"data\":\"", tail[] = "\"}}";
    char *body = mem_alloc(size + 1);
    memset(body, 'x', size);
    memcpy(body, head, sizeof head - 1);
    memcpy(body + size - (sizeof tail - 1), tail, sizeof tail);
    return body;
}
