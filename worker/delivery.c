#include "worker/delivery.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/task.h"
#include "worker/text.h"

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

static char *keep(slice_t *field)
{
    char *copy = mem_strndup(field->data, field->size);
    field->data = (const uint8_t *)copy;
    return copy;
}

reeve_delivery_t *worker_delivery_new(const wire_delivery_t *wire)
{
    reeve_delivery_t *self = mem_zalloc(sizeof *self);
    self->state = DELIVERY_ARRIVED;
    self->token_bytes = wire->token;
    self->token = keep(&self->token_bytes);
    self->task = wire->task;
    self->id = keep(&self->task.id);
    self->task_name = keep(&self->task.task_name);
    self->queue = keep(&self->task.queue);
    self->origin = keep(&self->task.origin);
    self->body = keep(&self->task.body);
    self->task.timeout_ms = at_most(self->task.timeout_ms, LIMIT_DURATION_MS);
    self->attempt = at_most(wire->attempt, UINT32_MAX);
    self->retry_count = at_most(wire->retry_count, UINT32_MAX);
    self->started_ms = -1;
    return self;
}

void worker_delivery_destroy(reeve_delivery_t **self)
{
    reeve_delivery_t *d = *self;
    if (d == NULL)
        return;
    *self = NULL;
    free(d->token);
    free(d->id);
    free(d->task_name);
    free(d->queue);
    free(d->origin);
    free(d->body);
    free((void *)d->settlement.result.data);
    free((void *)d->settlement.reason.data);
    free((void *)d->settlement.error.data);
    free((void *)d->settlement.traceback.data);
    free(d);
}

static slice_t clean_string(const char *string, size_t limit, text_keep_t which)
{
    slice_t out = {0};
    if (string != NULL)
        out.data = (const uint8_t *)worker_text_clean(slice_str(string), limit, which, &out.size);
    return out;
}

static void copy_result(wire_settlement_t *out, const reeve_settlement_t *in)
{
    slice_t result = slice(in->result, in->result_size);
    if (in->result_kind == WIRE_RESULT_NONE)
        return;
    if (in->result_kind == WIRE_RESULT_JSON && result.size <= LIMIT_RESULT_BYTES &&
        json_valid(result)) {
        out->result_kind = WIRE_RESULT_JSON;
        out->result = slice(mem_strndup(result.data, result.size), result.size);
        return;
    }
    out->result_kind = WIRE_RESULT_TEXT;
    out->result.data = (const uint8_t *)worker_text_clean(result, LIMIT_RESULT_BYTES, TEXT_HEAD,
                                                          &out->result.size);
}

void worker_delivery_settle(reeve_delivery_t *self, const reeve_settlement_t *settlement,
                            int64_t now_ms)
{
    wire_settlement_t *out = &self->settlement;
    self->state = DELIVERY_SETTLED;
    out->token = self->token_bytes;
    out->verdict = (uint64_t)settlement->verdict;
    out->duration_ms = self->started_ms >= 0 && now_ms > self->started_ms
                           ? (uint64_t)(now_ms - self->started_ms)
                           : 0;
    copy_result(out, settlement);
    out->reason = clean_string(settlement->reason, LIMIT_REASON_BYTES, TEXT_HEAD);
    out->error = clean_string(settlement->error, LIMIT_ERROR_BYTES, TEXT_HEAD);
    out->traceback = clean_string(settlement->traceback, LIMIT_TRACEBACK_BYTES, TEXT_TAIL);
    free(self->body);
    self->body = NULL;
    self->task.body = slice(NULL, 0);
}

size_t worker_delivery_settlement_size(const reeve_delivery_t *self)
{
    const wire_settlement_t *s = &self->settlement;
    enum { FIELD_OVERHEAD = 64 };
    return s->token.size + s->result.size + s->reason.size + s->error.size + s->traceback.size +
           FIELD_OVERHEAD;
}

void worker_delivery_start(reeve_delivery_t *self, int64_t now_ms)
{
    if (self->started_ms < 0)
        self->started_ms = now_ms;
}

const char *reeve_delivery_id(const reeve_delivery_t *self)
{
    return self->id;
}

const char *reeve_delivery_task_name(const reeve_delivery_t *self)
{
    return self->task_name;
}

const char *reeve_delivery_queue(const reeve_delivery_t *self)
{
    return self->queue;
}

uint32_t reeve_delivery_attempt(const reeve_delivery_t *self)
{
    return (uint32_t)self->attempt;
}

uint32_t reeve_delivery_max_retries(const reeve_delivery_t *self)
{
    /* Absent would be "the queue's"; the broker tells the effective number in a delivery. */
    return self->task.max_retries == WIRE_ABSENT
               ? 0
               : (uint32_t)at_most(self->task.max_retries, UINT32_MAX);
}

int64_t reeve_delivery_created_at_ms(const reeve_delivery_t *self)
{
    return (int64_t)self->task.created_at_ms;
}

int64_t reeve_delivery_timeout_ms(const reeve_delivery_t *self)
{
    return (int64_t)self->task.timeout_ms;
}

char *reeve_delivery_document(const reeve_delivery_t *self)
{
    task_view_t view = {
        .wire = self->task,
        .retry_count = self->retry_count,
        .max_retries = reeve_delivery_max_retries(self),
    };
    struct cJSON *tree = task_to_json(&view);
    if (tree == NULL)
        return NULL;
    char *text = cJSON_PrintUnformatted(tree);
    cJSON_Delete(tree);
    return text;
}

void *reeve_delivery_user(const reeve_delivery_t *self)
{
    return self->user;
}

void reeve_delivery_set_user(reeve_delivery_t *self, void *user)
{
    self->user = user;
}
