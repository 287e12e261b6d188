#include "client/encode.h"

#include "common/limits.h"
#include "common/task.h"

static bool is_duration(int64_t ms)
{
    return ms >= 0 && ms <= LIMIT_DURATION_MS;
}

static bool numbers_valid(const reeve_task_t *task)
{
    return task->priority >= 0 && task->priority <= LIMIT_PRIORITY && is_duration(task->delay_ms) &&
           is_duration(task->timeout_ms) && is_duration(task->backoff_ms) && task->run_at_ms >= 0 &&
           task->expires_at_ms >= 0 && task->created_at_ms >= 0 &&
           (task->delay_ms == 0 || task->run_at_ms == 0) &&
           (!task->has_max_retries || task->max_retries <= LIMIT_RETRIES);
}

reeve_error_t client_encode_task(const reeve_task_t *task, const char *id, int64_t now_ms,
                                 wire_buffer_t *body, wire_task_t *out, char *problem,
                                 size_t problem_size)
{
    *out = (wire_task_t){.body_kind = WIRE_BODY_JSON, .max_retries = WIRE_ABSENT};
    if (!numbers_valid(task))
        return REEVE_ERR_BAD_VALUE;
    task_parts_t parts = {.id = slice_str(task->id != NULL ? task->id : id),
                          .queue = slice_str(task->queue != NULL ? task->queue : "default"),
                          .task_name = slice_str(task->task_name != NULL ? task->task_name : ""),
                          .origin = slice_optional(task->origin),
                          .args = slice_optional(task->args_json),
                          .kwargs = slice_optional(task->kwargs_json),
                          .headers = slice_optional(task->headers_json)};
    reeve_error_t error = task_from_parts(&parts, out, body, problem, problem_size);
    if (error != REEVE_ERR_OK)
        return error;
    out->created_at_ms = (uint64_t)(task->created_at_ms != 0 ? task->created_at_ms : now_ms);
    out->priority = (uint64_t)task->priority;
    out->delay_ms = (uint64_t)task->delay_ms;
    out->run_at_ms = (uint64_t)task->run_at_ms;
    out->timeout_ms = (uint64_t)task->timeout_ms;
    out->expires_at_ms = (uint64_t)task->expires_at_ms;
    out->backoff_ms = (uint64_t)task->backoff_ms;
    if (task->has_max_retries)
        out->max_retries = task->max_retries;
    out->wait = task->wait;
    return REEVE_ERR_OK;
}
