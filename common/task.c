#include "common/task.h"

#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/parse.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <locale.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*  ---- JSON as written ---------------------------------------------------------------------------
    cJSON turns numbers into doubles and refuses literals of more than 63 characters, so what users
    pass never goes through its trees: it is cut out of text that json_valid has accepted and put
    back as it was written. cJSON decodes single strings and holds documents. */

/*  Whether a string literal has an escaped NUL, which no C string can hold. */
static bool has_nul(slice_t literal)
{
    for (size_t i = 0; i < literal.size; i++) {
        if (literal.data[i] != '\\')
            continue;
        if (literal.size - i >= 6 && memcmp(literal.data + i, "\\u0000", 6) == 0)
            return true;
        i++;
    }
    return false;
}

/*  The string of a literal, in memory of *owner, an array that is made when it is needed. NULL for one
    with a NUL. */
static const char *decode(cJSON **owner, slice_t literal)
{
    if (has_nul(literal))
        return NULL;
    if (*owner == NULL)
        *owner = cJSON_CreateArray();
    cJSON *item = cJSON_ParseWithLength((const char *)literal.data, literal.size);
    cJSON_AddItemToArray(*owner, item);
    return cJSON_GetStringValue(item);
}

/*  The same for a name, most of which have nothing to decode. No data for one with a NUL. */
static slice_t decode_name(cJSON **owner, slice_t literal)
{
    if (memchr(literal.data, '\\', literal.size) == NULL)
        return slice(literal.data + 1, literal.size - 2);
    const char *decoded = decode(owner, literal);
    return decoded ? slice_str(decoded) : slice(NULL, 0);
}

static bool name_is(slice_t literal, const char *name)
{
    cJSON *owner = NULL;
    bool equal = slice_eq(decode_name(&owner, literal), slice_str(name));
    cJSON_Delete(owner);
    return equal;
}

/*  ---- Reading a document ----------------------------------------------------------------------
 */

/*  What a member may be and which field of wire_task_t it fills. */
typedef struct rule {
    const char *name;
    enum { AN_ID, A_NAME, AN_INTEGER, A_ZERO, A_DURATION, A_TIME, AN_ARRAY, AN_OBJECT, A_MAP } kind;
    size_t field;
    int64_t limit; /* bytes of a name, or the largest integer */
} rule_t;

enum {
    RULE_ID,
    RULE_TASK_NAME,
    RULE_ARGS,
    RULE_KWARGS,
    RULE_CREATED_AT,
    RULE_MAX_RETRIES,
    RULE_RETRY_COUNT,
    RULE_ORIGIN,
    RULE_QUEUE,
    RULE_PRIORITY,
    RULE_RUN_AT,
    RULE_DELAY,
    RULE_TIMEOUT,
    RULE_EXPIRES_AT,
    RULE_BACKOFF,
    RULE_HEADERS,
    RULE_COUNT
};

#define FIELD(name) offsetof(wire_task_t, name)
static const rule_t rules[RULE_COUNT] = {
    [RULE_ID] = {"id", AN_ID, FIELD(id), LIMIT_ID_BYTES},
    [RULE_TASK_NAME] = {"task_name", A_NAME, FIELD(task_name), LIMIT_TASK_NAME_BYTES},
    [RULE_ARGS] = {"args", AN_ARRAY, 0, 0},
    [RULE_KWARGS] = {"kwargs", AN_OBJECT, 0, 0},
    [RULE_CREATED_AT] = {"created_at", A_TIME, FIELD(created_at_ms), 0},
    [RULE_MAX_RETRIES] = {"max_retries", AN_INTEGER, FIELD(max_retries), LIMIT_RETRIES},
    [RULE_RETRY_COUNT] = {"retry_count", A_ZERO, 0, 0},
    [RULE_ORIGIN] = {"origin", A_NAME, FIELD(origin), LIMIT_ORIGIN_BYTES},
    [RULE_QUEUE] = {"queue", A_NAME, FIELD(queue), LIMIT_QUEUE_NAME_BYTES},
    [RULE_PRIORITY] = {"priority", AN_INTEGER, FIELD(priority), LIMIT_PRIORITY},
    [RULE_RUN_AT] = {"run_at", A_TIME, FIELD(run_at_ms), 0},
    [RULE_DELAY] = {"delay", A_DURATION, FIELD(delay_ms), 0},
    [RULE_TIMEOUT] = {"timeout", A_DURATION, FIELD(timeout_ms), 0},
    [RULE_EXPIRES_AT] = {"expires_at", A_TIME, FIELD(expires_at_ms), 0},
    [RULE_BACKOFF] = {"backoff", A_DURATION, FIELD(backoff_ms), 0},
    [RULE_HEADERS] = {"headers", A_MAP, 0, 0},
};
#undef FIELD

/*  A document being read: the members' values as written (no data: absent), and where to tell. */
typedef struct reading {
    task_t *out;
    slice_t values[RULE_COUNT];
    char *problem;
    size_t problem_size;
} reading_t;

/*  Always false, so that callers can return it. */
__attribute__((format(printf, 2, 3))) static bool fail(reading_t *reading, const char *format, ...)
{
    if (reading->problem_size == 0)
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(reading->problem, reading->problem_size, format, args);
    va_end(args);
    /* A line that did not fit ends after a whole character. */
    size_t size = strlen(reading->problem);
    while (!utf8_valid(slice(reading->problem, size)))
        reading->problem[--size] = '\0';
    return false;
}

enum { EXCERPT_BYTES = 48, EXCERPT_SIZE = EXCERPT_BYTES + sizeof "…" };

/*  The beginning of a text for a message; nothing in it can drive a terminal. */
static const char *excerpt(slice_t literal, char out[EXCERPT_SIZE])
{
    size_t size = literal.size > EXCERPT_BYTES ? EXCERPT_BYTES : literal.size;
    while (!utf8_valid(slice(literal.data, size)))
        size--;
    for (size_t i = 0; i < size; i++) {
        bool c1 = literal.data[i] == 0xc2 && literal.data[i + 1] < 0xa0;
        out[i] = (char)literal.data[i];
        if (c1 || literal.data[i] < 0x20 || literal.data[i] == 0x7f)
            out[i] = '?';
        if (c1)
            out[++i] = '?';
    }
    strcpy(out + size, size < literal.size ? "…" : "");
    return out;
}

/*  NULL when it is not a string, or has a NUL character; the problem is told then. */
static const char *read_string(reading_t *reading, const rule_t *rule, slice_t value)
{
    if (value.data[0] != '"') {
        fail(reading, "%s: must be a string", rule->name);
        return NULL;
    }
    const char *text = decode(&reading->out->tree, value);
    if (text == NULL)
        fail(reading, "%s: has a NUL character", rule->name);
    return text;
}

static bool check_name(reading_t *reading, const rule_t *rule, slice_t name)
{
    if (rule->kind == AN_ID)
        return id_valid(name) ||
               fail(reading, "%s: must be 1 to %" PRId64 " printable ASCII characters, no spaces",
                    rule->name, rule->limit);
    if (!utf8_valid(name))
        return fail(reading, "%s: not UTF-8", rule->name);
    return name_valid(name, (size_t)rule->limit) ||
           fail(reading,
                "%s: must be 1 to %" PRId64 " bytes, without control characters and without a "
                "space at either end",
                rule->name, rule->limit);
}

static bool read_name(reading_t *reading, const rule_t *rule, slice_t value, slice_t *field)
{
    const char *text = read_string(reading, rule, value);
    if (text == NULL)
        return false;
    *field = slice_str(text);
    /* Documents that Reeve shows have an empty origin where none was given. */
    return (field->size == 0 && rule == &rules[RULE_ORIGIN]) || check_name(reading, rule, *field);
}

static bool read_integer(reading_t *reading, const rule_t *rule, slice_t value, uint64_t *field)
{
    char shown[EXCERPT_SIZE];
    int64_t number;
    if (parse_int(excerpt(value, shown), 0, rule->limit, &number)) {
        *field = (uint64_t)number;
        return true;
    }
    size_t sign = value.data[0] == '-', digits = sign;
    while (digits < value.size && value.data[digits] >= '0' && value.data[digits] <= '9')
        digits++;
    if (digits < value.size)
        return fail(reading, "%s: must be an integer in 0..%" PRId64, rule->name, rule->limit);
    return fail(reading, "%s: %s is not in 0..%" PRId64, rule->name, shown, rule->limit);
}

/*  A number of seconds as milliseconds; what is not zero does not become zero. */
static bool seconds_to_ms(slice_t value, int64_t *ms)
{
    /* The program of a user has a locale, JSON has none. The literal ends at a character that is of no
       number, as it is a member's value. */
    locale_t none = newlocale(LC_ALL_MASK, "C", NULL);
    double exact = strtod_l((const char *)value.data, NULL, none) * 1000;
    freelocale(none);
    if (!(exact >= 0 && exact <= (double)LIMIT_DURATION_MS))
        return false;
    *ms = (int64_t)(exact + 0.5);
    if (*ms == 0 && exact > 0)
        *ms = 1;
    return true;
}

static bool read_duration(reading_t *reading, const rule_t *rule, slice_t value, uint64_t *field)
{
    char shown[EXCERPT_SIZE];
    const char *text = NULL;
    int64_t ms;
    bool string = value.data[0] == '"';
    bool number = value.data[0] == '-' || (value.data[0] >= '0' && value.data[0] <= '9');
    if (!string && !number)
        return fail(reading, "%s: must be a duration such as \"10s\" or a number of seconds",
                    rule->name);
    if (string && (text = read_string(reading, rule, value)) == NULL)
        return false;
    if (!(string ? parse_duration_ms(text, &ms) : seconds_to_ms(value, &ms)))
        return fail(reading,
                    "%s: %s is not a duration such as \"10s\" or a number of seconds, up to ten "
                    "years",
                    rule->name, excerpt(value, shown));
    *field = (uint64_t)ms;
    return true;
}

static bool read_time(reading_t *reading, const rule_t *rule, slice_t value, uint64_t *field)
{
    char shown[EXCERPT_SIZE];
    const char *text = read_string(reading, rule, value);
    int64_t ms;
    if (text == NULL)
        return false;
    if (!parse_rfc3339_ms(text, &ms))
        return fail(reading, "%s: %s is not a time such as \"2026-05-20T10:30:00Z\"", rule->name,
                    excerpt(value, shown));
    *field = ms ? (uint64_t)ms : 1; /* 0 means absent on the wire */
    return true;
}

static int compare_names(const void *a, const void *b)
{
    const slice_t *left = a, *right = b;
    size_t size = left->size < right->size ? left->size : right->size;
    int order = memcmp(left->data, right->data, size);
    return order ? order : (left->size > right->size) - (left->size < right->size);
}

static bool check_unique(reading_t *reading, const rule_t *rule, slice_t *names, size_t count)
{
    qsort(names, count, sizeof names[0], compare_names);
    for (size_t i = 1; i < count; i++) {
        char shown[EXCERPT_SIZE];
        if (slice_eq(names[i - 1], names[i]))
            return fail(reading, "%s: \"%s\" is given twice", rule->name, excerpt(names[i], shown));
    }
    return true;
}

/*  An object whose names are unique and, in a map, whose values are strings. */
static bool check_object(reading_t *reading, const rule_t *rule, slice_t value)
{
    if (value.data[0] != '{')
        return fail(reading, "%s: must be an object", rule->name);
    slice_t *names = NULL;
    size_t count = 0, capacity = 0;
    bool good = true;
    json_member_t member;
    for (size_t at = 0; good && json_next_member(value, &at, &member);) {
        char shown[EXCERPT_SIZE];
        names = mem_room(names, &capacity, count, sizeof names[0]);
        names[count] = decode_name(&reading->out->tree, member.name);
        bool string = member.value.data[0] == '"';
        if (names[count].data == NULL || (rule->kind == A_MAP && string && has_nul(member.value)))
            good = fail(reading, "%s: %s has a NUL character", rule->name,
                        excerpt(member.name, shown));
        else if (rule->kind == A_MAP && !string)
            good =
                fail(reading, "%s: %s must be a string", rule->name, excerpt(member.name, shown));
        count++;
    }
    good = good && (count < 2 || check_unique(reading, rule, names, count));
    free(names);
    return good;
}

static bool read_value(reading_t *reading, const rule_t *rule, slice_t value)
{
    void *field = (char *)&reading->out->wire + rule->field;
    switch (rule->kind) {
    case AN_ID:
    case A_NAME:
        return read_name(reading, rule, value, field);
    case AN_INTEGER:
        return read_integer(reading, rule, value, field);
    case A_ZERO:
        return (value.size == 1 && value.data[0] == '0') ||
               fail(reading, "%s: must be 0 or absent in a new task", rule->name);
    case A_DURATION:
        return read_duration(reading, rule, value, field);
    case A_TIME:
        return read_time(reading, rule, value, field);
    case AN_ARRAY:
        return value.data[0] == '[' || fail(reading, "%s: must be an array", rule->name);
    case AN_OBJECT:
    case A_MAP:
        return check_object(reading, rule, value);
    }
    return false;
}

/*  Sorts the document's members into reading->values. */
static bool find_members(reading_t *reading, slice_t text)
{
    json_member_t member;
    for (size_t at = 0; json_next_member(text, &at, &member);) {
        char shown[EXCERPT_SIZE];
        int i = 0;
        while (i < RULE_COUNT && !name_is(member.name, rules[i].name))
            i++;
        if (i == RULE_COUNT)
            return fail(reading, "%s: unknown member", excerpt(member.name, shown));
        if (reading->values[i].data)
            return fail(reading, "%s: is given twice", rules[i].name);
        reading->values[i] = member.value;
    }
    return true;
}

static bool build_body(reading_t *reading)
{
    static const struct {
        int rule;
        const char *before, *absent;
    } parts[] = {{RULE_ARGS, "{\"args\":", "[]"},
                 {RULE_KWARGS, ",\"kwargs\":", "{}"},
                 {RULE_HEADERS, ",\"headers\":", NULL}};
    enum { PARTS = sizeof parts / sizeof parts[0] };

    size_t size = 1, at = 0;
    for (int i = 0; i < PARTS; i++)
        size += strlen(parts[i].before) + reading->values[parts[i].rule].size + sizeof "[]";
    wire_buffer_t *buffer = &reading->out->body;
    buffer->data = mem_room(buffer->data, &buffer->capacity, size, 1);
    uint8_t *body = buffer->data;
    for (int i = 0; i < PARTS; i++) {
        slice_t value = reading->values[parts[i].rule];
        if (value.data == NULL && parts[i].absent == NULL)
            continue;
        if (value.data == NULL)
            value = slice_str(parts[i].absent);
        size_t before = strlen(parts[i].before);
        memcpy(body + at, parts[i].before, before);
        at += before;
        at += json_compact(body + at, value);
    }
    body[at++] = '}';
    if (at > LIMIT_BODY_BYTES)
        return fail(reading, "args, kwargs and headers: %zu bytes are over the limit of %u", at,
                    LIMIT_BODY_BYTES);
    buffer->size = at;
    reading->out->wire.body = slice(body, at);
    return true;
}

static bool read_document(reading_t *reading, slice_t text)
{
    if (!json_valid(text))
        return fail(reading, "not valid JSON, or nested deeper than %d", LIMIT_JSON_DEPTH);
    if (!json_valid_object(text))
        return fail(reading, "a task must be a JSON object");
    if (!find_members(reading, text))
        return false;
    for (int i = 0; i < RULE_COUNT; i++)
        if (reading->values[i].data && !read_value(reading, &rules[i], reading->values[i]))
            return false;
    if (reading->values[RULE_TASK_NAME].data == NULL)
        return fail(reading, "task_name: is missing");
    if (reading->values[RULE_DELAY].data && reading->values[RULE_RUN_AT].data)
        return fail(reading, "delay: cannot be given together with run_at");
    return build_body(reading);
}

static bool read_part(reading_t *reading, const rule_t *rule, slice_t value)
{
    if (!json_valid_member(value))
        return fail(reading, "%s: not valid JSON, or nested deeper than %d", rule->name,
                    LIMIT_JSON_DEPTH);
    while (strchr(" \t\r\n", value.data[0]))
        value = slice(value.data + 1, value.size - 1);
    return read_value(reading, rule, value);
}

static reeve_error_t read_parts(reading_t *reading, const task_parts_t *parts)
{
    const struct {
        int rule;
        slice_t name;
        reeve_error_t error;
    } names[] = {{RULE_ID, parts->id, REEVE_ERR_BAD_ID},
                 {RULE_QUEUE, parts->queue, REEVE_ERR_BAD_QUEUE},
                 {RULE_TASK_NAME, parts->task_name, REEVE_ERR_BAD_NAME},
                 {RULE_ORIGIN, parts->origin, REEVE_ERR_BAD_NAME}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].name.data && !check_name(reading, &rules[names[i].rule], names[i].name))
            return names[i].error;
    reading->values[RULE_ARGS] = parts->args;
    reading->values[RULE_KWARGS] = parts->kwargs;
    reading->values[RULE_HEADERS] = parts->headers;
    for (int i = 0; i < RULE_COUNT; i++)
        if (reading->values[i].data && !read_part(reading, &rules[i], reading->values[i]))
            return REEVE_ERR_BAD_JSON;
    return build_body(reading) ? REEVE_ERR_OK : REEVE_ERR_TOO_LARGE;
}

int task_from_json(slice_t text, int64_t now_ms, task_t *out, char *problem, size_t problem_size)
{
    *out = (task_t){.wire = {.queue = slice_str("default"),
                             .body_kind = WIRE_BODY_JSON,
                             .created_at_ms = (uint64_t)now_ms,
                             .max_retries = WIRE_ABSENT}};
    reading_t reading = {.out = out, .problem = problem, .problem_size = problem_size};
    if (read_document(&reading, text))
        return 0;
    task_fini(out);
    return -1;
}

reeve_error_t task_from_parts(const task_parts_t *parts, wire_task_t *out, wire_buffer_t *body,
                              char *problem, size_t problem_size)
{
    task_t task = {.body = *body};
    reading_t reading = {.out = &task, .problem = problem, .problem_size = problem_size};
    reeve_error_t error = read_parts(&reading, parts);
    cJSON_Delete(task.tree);
    *body = task.body;
    out->id = parts->id;
    out->queue = parts->queue;
    out->task_name = parts->task_name;
    out->origin = parts->origin;
    out->body = task.wire.body;
    return error;
}

void task_fini(task_t *task)
{
    cJSON_Delete(task->tree);
    wire_fini(&task->body);
    *task = (task_t){0};
}

/*  ---- Writing a document ----------------------------------------------------------------------
 */

static cJSON *base64_item(slice_t bytes)
{
    size_t size = sodium_base64_encoded_len(bytes.size, sodium_base64_VARIANT_ORIGINAL);
    char *text = mem_alloc(size);
    sodium_bin2base64(text, size, bytes.data, bytes.size, sodium_base64_VARIANT_ORIGINAL);
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "base64", text);
    free(text);
    return item;
}

static cJSON *text_item(slice_t text)
{
    if (!utf8_valid(text) || (text.size && memchr(text.data, '\0', text.size)))
        return base64_item(text);
    char *copy = mem_strndup(text.data, text.size);
    cJSON *item = cJSON_CreateString(copy);
    free(copy);
    return item;
}

/*  Valid JSON, as written but for white space. */
static cJSON *raw_item(slice_t value)
{
    char *copy = mem_alloc(value.size + 1);
    copy[json_compact(copy, value)] = '\0';
    cJSON *item = cJSON_CreateRaw(copy);
    free(copy);
    return item;
}

static cJSON *frames_item(slice_t bytes)
{
    cJSON *array = cJSON_CreateArray();
    slice_t frame;
    if (wire_count_frames(bytes) < 0) /* no frames, so show what it is */
        cJSON_AddItemToArray(array, text_item(bytes));
    else
        for (size_t at = 0; wire_next_frame(bytes, &at, &frame);)
            cJSON_AddItemToArray(array, text_item(frame));
    return array;
}

static cJSON *time_item(uint64_t ms)
{
    char text[RFC3339_SIZE];
    format_rfc3339_ms(ms > INT64_MAX ? INT64_MAX : (int64_t)ms, text);
    return cJSON_CreateString(text);
}

/*  Names are literals, so the document need not copy them. */
static void add(cJSON *document, const char *name, cJSON *item)
{
    cJSON_AddItemToObjectCS(document, name, item);
}

/*  As a number of seconds. cJSON would look for the locale's decimal point, and cut one of several bytes
    in two. */
static void add_duration_if_set(cJSON *document, const char *name, uint64_t ms)
{
    char text[24];
    if (ms == 0)
        return;
    int size = snprintf(text, sizeof text, "%" PRIu64 ".%03u", ms / 1000, (unsigned)(ms % 1000));
    size -= ms % 1000 == 0 ? 4 : ms % 100 == 0 ? 2 : ms % 10 == 0;
    text[size] = '\0';
    add(document, name, cJSON_CreateRaw(text));
}

static void add_time_if_set(cJSON *document, const char *name, uint64_t ms)
{
    if (ms)
        add(document, name, time_item(ms));
}

/*  args, kwargs and headers of a body, as items to add; headers NULL where there are none. */
typedef struct parts {
    cJSON *args, *kwargs, *headers;
} parts_t;

static parts_t take_body_apart(const wire_task_t *task)
{
    parts_t parts = {0};
    if (task->body_kind == WIRE_BODY_FRAMES) {
        parts.args = frames_item(task->body);
    } else if (json_valid_object(task->body)) {
        json_member_t member;
        for (size_t at = 0; json_next_member(task->body, &at, &member);) {
            cJSON **part = name_is(member.name, "args")      ? &parts.args
                           : name_is(member.name, "kwargs")  ? &parts.kwargs
                           : name_is(member.name, "headers") ? &parts.headers
                                                             : NULL;
            if (part && *part == NULL)
                *part = raw_item(member.value);
        }
    }
    if (parts.args == NULL)
        parts.args = cJSON_CreateArray();
    if (parts.kwargs == NULL)
        parts.kwargs = cJSON_CreateObject();
    return parts;
}

cJSON *task_to_json(const task_view_t *view)
{
    const wire_task_t *task = &view->wire;
    parts_t parts = take_body_apart(task);
    cJSON *document = cJSON_CreateObject();
    add(document, "id", text_item(task->id));
    add(document, "task_name", text_item(task->task_name));
    add(document, "args", parts.args);
    add(document, "kwargs", parts.kwargs);
    add(document, "created_at", time_item(task->created_at_ms));
    add(document, "max_retries", cJSON_CreateNumber((double)view->max_retries));
    add(document, "retry_count", cJSON_CreateNumber((double)view->retry_count));
    add(document, "origin", text_item(task->origin));

    if (task->queue.size)
        add(document, "queue", text_item(task->queue));
    if (task->priority)
        add(document, "priority", cJSON_CreateNumber((double)task->priority));
    add_time_if_set(document, "run_at", task->run_at_ms);
    if (task->run_at_ms == 0) /* a document has one of the two */
        add_duration_if_set(document, "delay", task->delay_ms);
    add_duration_if_set(document, "timeout", task->timeout_ms);
    add_time_if_set(document, "expires_at", task->expires_at_ms);
    add_duration_if_set(document, "backoff", task->backoff_ms);
    if (parts.headers)
        add(document, "headers", parts.headers);
    return document;
}

cJSON *result_to_json(uint64_t kind, slice_t result)
{
    switch (kind) {
    case WIRE_RESULT_JSON:
        return json_valid(result) ? raw_item(result) : text_item(result);
    case WIRE_RESULT_TEXT:
        return text_item(result);
    case WIRE_RESULT_FRAMES:
        break;
    default:
        return NULL;
    }
    cJSON *frames = frames_item(result);
    cJSON *item = frames;
    if (cJSON_GetArraySize(frames) < 2) {
        item = cJSON_DetachItemFromArray(frames, 0);
        cJSON_Delete(frames);
    }
    return item;
}
