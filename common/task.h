/*  The task as users see it: one JSON document, to and from the fields the wire carries.
    Source: docs/task.md. cJSON does the trees; used at the edges only. */

#ifndef REEVE_COMMON_TASK_H
#define REEVE_COMMON_TASK_H

#include "common/bytes.h"
#include "common/wire/reeve.h"
#include "reeve/error.h"
#include "reeve/task.h"

struct cJSON;

/*  A task document taken apart: `wire` is ready for wire_put_task; its slices point into memory
    that this struct owns. Zero-initialise; task_fini frees. */
typedef struct task {
    wire_task_t wire;
    struct cJSON *tree;
    wire_buffer_t body;
} task_t;

/*  Reads one JSON task document (docs/task.md: id task_name args kwargs created_at max_retries
    retry_count origin, and queue priority run_at delay timeout expires_at backoff headers).
    Unknown members are refused by name; retry_count must be 0 or absent; durations are strings as
    parse_duration_ms or numbers of seconds; times RFC 3339. `queue` absent: "default". created_at
    absent: now_ms. The body becomes {"args":…,"kwargs":…,"headers":…} without white space, members
    in that order, headers only when given.
    Returns 0, or -1 with a clear line in `problem` naming the member ("priority: 11 is not in
    0..9"); then there is nothing to free. */
int task_from_json(slice_t text, int64_t now_ms, task_t *out, char *problem, size_t problem_size);
void task_fini(task_t *task);

/*  A task in the parts that its document would have, args and so on as JSON; no data where there is none. */
typedef struct task_parts {
    slice_t id, queue, task_name, origin, args, kwargs, headers;
} task_parts_t;

/*  Takes them into *out by the rules of a document; the body is written over what is in `body`, and the
    rest of *out left alone. Returns REEVE_ERR_OK, or an error with a line in `problem`, as above. */
reeve_error_t task_from_parts(const task_parts_t *parts, wire_task_t *out, wire_buffer_t *body,
                              char *problem, size_t problem_size);

/*  What a document shows beyond the task as submitted. */
typedef struct task_view {
    wire_task_t wire;
    uint64_t retry_count;
    uint64_t max_retries; /* the effective one; shown in place of wire.max_retries */
} task_view_t;

/*  The document of a task as a new cJSON object, id to origin as above and queue
    first, then those of the others that are set. A body of frames becomes args: an array with a
    string per frame (or {"base64":"…"} where a frame is not UTF-8 or has a NUL) and kwargs {}.
    Numbers and strings of args, kwargs and headers are kept as written (cJSON raw items: print the
    document, do not walk into them). Durations are numbers of seconds. The caller deletes it. */
struct cJSON *task_to_json(const task_view_t *view);

/*  A result (WIRE_RESULT_…) as a new cJSON value: JSON as a raw item, text as a string (base64 as
    above), one frame as its string, several as an array; NULL where there is none. The caller
    deletes it. */
struct cJSON *result_to_json(uint64_t kind, slice_t result);

#endif
