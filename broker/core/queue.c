/*  Queues and their windows: which waiting tasks are in memory.

    The window holds a queue's waiting tasks with the smallest keys, up to its horizon; the rest
   stay in the store and are read in pages as the window drains. Memory is so bounded by the
   windows, not by the backlog. A page is read while the core goes on; what moved meanwhile is
   recognised because a task stays in the live map until its last change is durable, and because
   tasks that were spilled behind the horizon meanwhile (spilled_min) end the part of the page that
   is believed. */

#include <assert.h>
#include <stdlib.h>

#include "broker/core/inside.h"
#include "common/mem.h"

enum { WINDOW_LOW = LIMIT_WINDOW_TASKS / 2 };

/*  What a queue may have in memory however much the others have, and whether it has workers or not. */
enum { WINDOW_MIN_BYTES = 16 * 1024 };

queue_t *queue_find(const core_t *core, slice_t name)
{
    queue_t *queue;
    HASH_FIND(hh, core->queues_by_name, name.data, name.size, queue);
    return queue;
}

queue_t *queue_by_id(const core_t *core, uint32_t id)
{
    return id < core->queue_capacity ? core->queues[id] : NULL;
}

void queue_set_policy(core_t *core, queue_t *queue)
{
    queue->policy = core->config.policy;
    for (size_t i = 0; i < core->config.named_count; i++)
        if (strcmp(core->named[i].queue, queue->name) == 0)
            queue->policy = core->named[i].policy;
}

queue_t *queue_restore(core_t *core, uint32_t id, slice_t name)
{
    core->queues = mem_room(core->queues, &core->queue_capacity, id, sizeof(queue_t *));
    queue_t *queue = mem_zalloc(sizeof *queue);
    queue->id = id;
    queue->name = mem_strndup(name.data, name.size);
    queue->name_size = name.size;
    queue->window.horizon = UINT64_MAX;
    queue_set_policy(core, queue);
    core->queues[id] = queue;
    core->queue_count++;
    if (id >= core->next_queue_id)
        core->next_queue_id = id + 1;
    HASH_ADD_KEYPTR(hh, core->queues_by_name, queue->name, queue->name_size, queue);
    return queue;
}

bool queue_is_in_memory(const queue_t *queue)
{
    return queue->policy.durability == DURABILITY_MEMORY;
}

queue_t *queue_get(core_t *core, slice_t name)
{
    queue_t *queue = queue_find(core, name);
    if (queue || core->queue_count >= core->config.max_queues)
        return queue;
    return queue_restore(core, core->next_queue_id, name);
}

static int first_list(const window_t *window)
{
    for (int priority = LIMIT_PRIORITY; priority >= 0; priority--)
        if (window->lists[priority])
            return priority;
    return -1;
}

/*  The last task of the window: the tail of its lowest list. */
static task_t *window_last(const window_t *window)
{
    for (int priority = 0; priority <= LIMIT_PRIORITY; priority++)
        if (window->lists[priority])
            return window->lists[priority]->prev;
    return NULL;
}

task_t *queue_head(queue_t *queue)
{
    int priority = first_list(&queue->window);
    return priority < 0 ? NULL : queue->window.lists[priority];
}

int64_t queue_oldest_ms(const queue_t *queue)
{
    int64_t oldest_ms = INT64_MAX;
    for (int priority = 0; priority <= LIMIT_PRIORITY; priority++) {
        const task_t *task = queue->window.lists[priority];
        if (task && record_waits_since_ms(task->record) < oldest_ms)
            oldest_ms = record_waits_since_ms(task->record);
    }
    if (oldest_ms != INT64_MAX)
        return oldest_ms;
    return queue->waiting ? queue->oldest_ms : 0;
}

static size_t beyond_least(size_t bytes)
{
    return bytes > WINDOW_MIN_BYTES ? bytes - WINDOW_MIN_BYTES : 0;
}

static void set_bytes(core_t *core, window_t *window, size_t bytes)
{
    core->window_bytes -= beyond_least(window->bytes);
    core->window_bytes += beyond_least(bytes);
    window->bytes = bytes;
}

static size_t memory_of(const task_t *task)
{
    return sizeof *task + record_memory(task->record);
}

static void window_insert(core_t *core, task_t *task)
{
    window_t *window = &task->queue->window;
    task_t **list = &window->lists[task->record->spec.priority];
    /* A new task goes to the tail, a retried one near the head: look from the end that is near. */
    if (*list == NULL || (*list)->prev->seq < task->seq) {
        DL_APPEND(*list, task);
    } else {
        task_t *next = *list;
        while (next->seq < task->seq)
            next = next->next;
        DL_PREPEND_ELEM(*list, next, task);
    }
    task->in_window = true;
    window->count++;
    set_bytes(core, window, window->bytes + memory_of(task));
}

void queue_leave(core_t *core, task_t *task)
{
    window_t *window = &task->queue->window;
    DL_DELETE(window->lists[task->record->spec.priority], task);
    task->in_window = false;
    window->count--;
    set_bytes(core, window, window->bytes - memory_of(task));
}

static bool has_room(const core_t *core, const queue_t *queue)
{
    const window_t *window = &queue->window;
    return window->count == 0 || window->bytes < WINDOW_MIN_BYTES ||
           (queue->workers > 0 && window->count < LIMIT_WINDOW_TASKS &&
            window->bytes < LIMIT_WINDOW_BYTES && core->window_bytes < LIMIT_WINDOWS_BYTES);
}

/*  Leaves a waiting task to the store. */
static void spill(core_t *core, task_t *task)
{
    window_t *window = &task->queue->window;
    uint64_t key = record_key(task->record);
    if (window->loading && key < window->spilled_min)
        window->spilled_min = key;
    task_fade(core, task);
}

void queue_enter(core_t *core, task_t *task)
{
    queue_t *queue = task->queue;
    window_t *window = &queue->window;
    uint64_t key = record_key(task->record);
    if (key > window->horizon) {
        spill(core, task);
        queue_ask(core, queue);
        return;
    }
    if (has_room(core, queue)) {
        window_insert(core, task);
        dispatch_mark(core, queue);
        return;
    }
    task_t *last = window_last(window);
    if (key > record_key(last->record)) {
        window->horizon = record_key(last->record);
        spill(core, task);
    } else {
        queue_leave(core, last);
        window_insert(core, task);
        window->horizon = record_key(window_last(window)->record);
        spill(core, last);
        dispatch_mark(core, queue);
    }
}

void queue_ask(core_t *core, queue_t *queue)
{
    window_t *window = &queue->window;
    if (window->loading || window->horizon == UINT64_MAX || queue->workers == 0 ||
        window->count >= WINDOW_LOW || !has_room(core, queue))
        return;
    window->loading = true;
    window->load_after = window->horizon;
    window->spilled_min = UINT64_MAX;
    effect_t *effect = effects_add(core->out, EFFECT_LOAD);
    effect->load.queue_id = queue->id;
    effect->load.after = window->horizon;
}

/*  One waiting task of a page: into the window, unless something newer is known of it. */
static void enter_loaded(core_t *core, loaded_t *loaded)
{
    task_t *task = task_find(core, loaded->record->seq);
    if (task == NULL) {
        task = task_from_loaded(core, loaded);
        if (task)
            window_insert(core, task);
    } else if (task->state == REEVE_STATE_QUEUED && task->fading) {
        DL_DELETE(core->fading, task);
        task->fading = false;
        window_insert(core, task);
    }
}

void queue_loaded(core_t *core, const event_t *event)
{
    queue_t *queue = queue_by_id(core, event->loaded.queue_id);
    if (queue == NULL)
        return;
    window_t *window = &queue->window;
    window->loading = false;
    /* The horizon came down meanwhile: what lies between would be skipped. Read again. */
    if (window->horizon == event->loaded.after) {
        for (size_t i = 0; i < event->loaded.count; i++) {
            uint64_t key = record_key(event->loaded.loaded[i].record);
            if (key >= window->spilled_min)
                break;
            enter_loaded(core, &event->loaded.loaded[i]);
            window->horizon = key;
        }
        if (window->spilled_min == UINT64_MAX && !event->loaded.more)
            window->horizon = UINT64_MAX;
        dispatch_mark(core, queue);
    }
    queue_ask(core, queue);
}

void queue_free_all(core_t *core)
{
    queue_t *queue, *next;
    HASH_ITER (hh, core->queues_by_name, queue, next) {
        HASH_DEL(core->queues_by_name, queue);
        free(queue->name);
        free(queue);
    }
    free(core->queues);
}
