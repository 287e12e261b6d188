/*  A task as the C API takes it, checked and turned into the fields of the wire. */

#ifndef REEVE_CLIENT_ENCODE_H
#define REEVE_CLIENT_ENCODE_H

#include "common/wire/reeve.h"
#include "reeve/client.h"

/*  Fills in *out from *task; its slices point into the task's strings and into `body`, which is
    overwritten. `id` and `now_ms` stand in for an absent id and created_at. Returns REEVE_ERR_OK or
    why the task is not acceptable, and then a line in `problem`, or none for REEVE_ERR_BAD_VALUE. */
reeve_error_t client_encode_task(const reeve_task_t *task, const char *id, int64_t now_ms,
                                 wire_buffer_t *body, wire_task_t *out, char *problem,
                                 size_t problem_size);

#endif
