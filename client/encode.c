#include "client/encode.h"

#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"

#define EMPTY_BODY "{\"args\":[],\"kwargs\":{}}"

static bool is_json_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void reserve(wire_buffer_t *buffer, size_t size)
{
    if (buffer->size + size > buffer->capacity) {
        buffer->capacity = (buffer->size + size) * 2;
        buffer->data = mem_realloc(buffer->data, buffer->capacity);
    }
}

static void put_text(wire_buffer_t *buffer, const char *text)
{
    size_t size = strlen(text);
    reserve(buffer, size);
    memcpy(buffer->data + buffer->size, text, size);
    buffer->size += size;
}

static void put_compact(wire_buffer_t *buffer, slice_t json)
{
    reserve(buffer, json.size);
    buffer->size += json_compact(buffer->data + buffer->size, json);
}

/*  Whether every value of a compact JSON object is a string. */
static bool all_strings(slice_t object)
{
    bool in_string = false;
    for (size_t i = 0; i < object.size; i++) {
        uint8_t c = object.data[i];
        if (c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (c == ':' && !in_string && object.data[i + 1] != '"')
            return false;
    }
    return true;
}

static bool is_array(slice_t text)
{
    size_t i = 0;
    while (i < text.size && is_json_space(text.data[i]))
        i++;
    return i < text.size && text.data[i] == '[' && json_valid(text);
}

static reeve_error_t encode_body(const reeve_task_t *task, wire_buffer_t *body)
{
    slice_t args = slice_str(task->args_json != NULL ? task->args_json : "[]");
    slice_t kwargs = slice_str(task->kwargs_json != NULL ? task->kwargs_json : "{}");
    if (args.size + kwargs.size > LIMIT_BODY_BYTES)
        return REEVE_ERR_TOO_LARGE;
    if (!is_array(args) || !json_valid_object(kwargs))
        return REEVE_ERR_BAD_JSON;
    body->size = 0;
    put_text(body, "{\"args\":");
    put_compact(body, args);
    put_text(body, ",\"kwargs\":");
    put_compact(body, kwargs);
    if (task->headers_json != NULL) {
        slice_t headers = slice_str(task->headers_json);
        if (headers.size > LIMIT_BODY_BYTES)
            return REEVE_ERR_TOO_LARGE;
        if (!json_valid_object(headers))
            return REEVE_ERR_BAD_JSON;
        put_text(body, ",\"headers\":");
        size_t start = body->size;
        put_compact(body, headers);
        if (!all_strings(slice(body->data + start, body->size - start)))
            return REEVE_ERR_BAD_JSON;
    }
    put_text(body, "}");
    return body->size <= LIMIT_BODY_BYTES ? REEVE_ERR_OK : REEVE_ERR_TOO_LARGE;
}

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

static reeve_error_t encode_names(const reeve_task_t *task, const char *id, wire_task_t *out)
{
    out->id = slice_str(task->id != NULL ? task->id : id);
    out->queue = slice_str(task->queue != NULL ? task->queue : "default");
    out->task_name = slice_str(task->task_name != NULL ? task->task_name : "");
    if (task->id != NULL && !id_valid(out->id))
        return REEVE_ERR_BAD_ID;
    if (!name_valid(out->queue, LIMIT_QUEUE_NAME_BYTES))
        return REEVE_ERR_BAD_QUEUE;
    if (!name_valid(out->task_name, LIMIT_TASK_NAME_BYTES))
        return REEVE_ERR_BAD_NAME;
    if (task->origin != NULL) {
        out->origin = slice_str(task->origin);
        if (!name_valid(out->origin, LIMIT_ORIGIN_BYTES))
            return REEVE_ERR_BAD_NAME;
    }
    return REEVE_ERR_OK;
}

reeve_error_t client_encode_task(const reeve_task_t *task, const char *id, int64_t now_ms,
                                 wire_buffer_t *body, wire_task_t *out)
{
    *out = (wire_task_t){.body_kind = WIRE_BODY_JSON, .max_retries = WIRE_ABSENT};
    reeve_error_t error = encode_names(task, id, out);
    if (error != REEVE_ERR_OK)
        return error;
    if (!numbers_valid(task))
        return REEVE_ERR_BAD_VALUE;
    if (task->args_json == NULL && task->kwargs_json == NULL && task->headers_json == NULL) {
        out->body = slice_str(EMPTY_BODY);
    } else {
        error = encode_body(task, body);
        if (error != REEVE_ERR_OK)
            return error;
        out->body = slice(body->data, body->size);
    }
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
