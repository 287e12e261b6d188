#include "broker/metrics/snapshot.h"

#include <stdlib.h>

#include "common/mem.h"

snapshot_t *snapshot_new(void)
{
    return mem_zalloc(sizeof(snapshot_t));
}

void snapshot_destroy(snapshot_t **self_p)
{
    snapshot_t *self = *self_p;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->queue_count; i++) {
        free(self->queues[i].name);
        reasons_fini(&self->queues[i].counts.retries);
    }
    for (size_t i = 0; i < self->task_count; i++) {
        free(self->tasks[i].name);
        reasons_fini(&self->tasks[i].failures);
    }
    free(self->queues);
    free(self->tasks);
    free(self);
    *self_p = NULL;
}
