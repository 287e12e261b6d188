#include "client/window.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"

enum { INITIAL_CAPACITY = 256 };

static submission_t *slot_of(const client_window_t *self, uint64_t corr)
{
    return &self->slots[corr & (self->capacity - 1)];
}

void client_window_fini(client_window_t *self)
{
    for (size_t i = 0; i < self->capacity; i++)
        free(self->slots[i].block);
    free(self->slots);
    *self = (client_window_t){0};
}

/*  Gives the ring room for the numbers [base, end). */
static void grow(client_window_t *self, uint64_t end)
{
    size_t capacity = self->capacity != 0 ? self->capacity : INITIAL_CAPACITY;
    while (end - self->base > capacity)
        capacity *= 2;
    if (capacity == self->capacity)
        return;
    submission_t *slots = mem_zalloc(capacity * sizeof *slots);
    for (uint64_t corr = self->base; corr < self->end; corr++)
        slots[corr & (capacity - 1)] = *slot_of(self, corr);
    free(self->slots);
    self->slots = slots;
    self->capacity = capacity;
}

void client_window_add(client_window_t *self, uint64_t corr, slice_t id, slice_t task, bool wait,
                       void *user)
{
    assert(corr >= self->end);
    if (self->used == 0)
        self->base = self->cursor = self->end = corr;
    grow(self, corr + 1);
    self->end = corr + 1;

    char *block = mem_alloc(id.size + 1 + task.size);
    memcpy(block, id.data, id.size);
    block[id.size] = '\0';
    memcpy(block + id.size + 1, task.data, task.size);
    *slot_of(self, corr) = (submission_t){
        .block = block,
        .id_size = (uint32_t)id.size,
        .task_size = (uint32_t)task.size,
        .user = user,
        .phase = SUBMISSION_PENDING,
        .wait = wait,
    };
    self->used++;
    self->pending++;
    self->bytes += id.size + 1 + task.size;
}

submission_t *client_window_find(client_window_t *self, uint64_t corr)
{
    if (corr < self->base || corr >= self->end)
        return NULL;
    submission_t *slot = slot_of(self, corr);
    return slot->phase != SUBMISSION_NONE ? slot : NULL;
}

char *client_window_remove(client_window_t *self, uint64_t corr)
{
    submission_t *slot = client_window_find(self, corr);
    assert(slot != NULL);
    char *block = slot->block;
    self->used--;
    if (slot->phase == SUBMISSION_PENDING)
        self->pending--;
    self->bytes -= slot->id_size + 1 + slot->task_size;
    *slot = (submission_t){0};
    while (self->base < self->end && slot_of(self, self->base)->phase == SUBMISSION_NONE)
        self->base++;
    if (self->cursor < self->base)
        self->cursor = self->base;
    return block;
}

size_t client_window_run(client_window_t *self, size_t limit, size_t limit_bytes, uint64_t *first)
{
    while (self->cursor < self->end && slot_of(self, self->cursor)->phase != SUBMISSION_PENDING)
        self->cursor++;
    *first = self->cursor;
    size_t count = 0, bytes = 0;
    while (count < limit && self->cursor + count < self->end) {
        const submission_t *slot = slot_of(self, self->cursor + count);
        if (slot->phase != SUBMISSION_PENDING)
            break;
        if (count > 0 && bytes + slot->task_size > limit_bytes)
            break;
        bytes += slot->task_size;
        count++;
    }
    return count;
}

void client_window_sent(client_window_t *self, uint64_t first, size_t count, int64_t now_ms)
{
    for (uint64_t corr = first; corr < first + count; corr++) {
        submission_t *slot = client_window_find(self, corr);
        if (slot != NULL && slot->phase == SUBMISSION_PENDING) {
            self->pending--;
            slot->phase = SUBMISSION_SENT;
            slot->sent_ms = now_ms;
        }
    }
}

void client_window_resend(client_window_t *self, int64_t sent_ms)
{
    for (uint64_t corr = self->base; corr < self->end; corr++) {
        submission_t *slot = slot_of(self, corr);
        if (slot->phase == SUBMISSION_SENT && slot->sent_ms <= sent_ms) {
            self->pending++;
            slot->phase = SUBMISSION_PENDING;
            if (corr < self->cursor)
                self->cursor = corr;
        }
    }
}
