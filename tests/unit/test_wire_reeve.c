/*  The codec of Reeve's protocol against tests/vectors/reeve.txt, whose bytes protoc wrote, and
    against what no honest peer sends. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/mem.h"
#include "common/wire/reeve.h"

/*  What the messages look like in protobuf's text format. Written from docs/reeve.proto, apart from
    the tables of the codec. */

typedef enum shape { END, NUMBER, OPTIONAL, FLAG, BYTES } shape_t;

typedef struct shown {
    shape_t shape;
    const char *name;
    size_t offset;
} shown_t;

#define S(type, shape, member)                                                                     \
    {                                                                                              \
        shape, #member, offsetof(type, member)                                                     \
    }

static const shown_t task_shown[] = {
    S(wire_task_t, BYTES, id),
    S(wire_task_t, BYTES, queue),
    S(wire_task_t, BYTES, task_name),
    S(wire_task_t, NUMBER, body_kind),
    S(wire_task_t, BYTES, body),
    S(wire_task_t, BYTES, origin),
    S(wire_task_t, NUMBER, created_at_ms),
    S(wire_task_t, NUMBER, priority),
    S(wire_task_t, NUMBER, delay_ms),
    S(wire_task_t, NUMBER, run_at_ms),
    S(wire_task_t, NUMBER, timeout_ms),
    S(wire_task_t, NUMBER, expires_at_ms),
    S(wire_task_t, OPTIONAL, max_retries),
    S(wire_task_t, NUMBER, backoff_ms),
    S(wire_task_t, FLAG, wait),
    {0},
};

static const shown_t settlement_shown[] = {
    S(wire_settlement_t, BYTES, token),
    S(wire_settlement_t, NUMBER, verdict),
    S(wire_settlement_t, NUMBER, result_kind),
    S(wire_settlement_t, BYTES, result),
    S(wire_settlement_t, BYTES, reason),
    S(wire_settlement_t, BYTES, error),
    S(wire_settlement_t, BYTES, traceback),
    S(wire_settlement_t, NUMBER, duration_ms),
    {0},
};

static const shown_t held_shown[] = {
    S(wire_held_t, BYTES, token),
    S(wire_held_t, OPTIONAL, running_ms),
    S(wire_held_t, NUMBER, timeout_ms),
    {0},
};

static const shown_t range_shown[] = {
    S(wire_range_t, NUMBER, first),
    S(wire_range_t, NUMBER, count),
    S(wire_range_t, FLAG, duplicate),
    {0},
};

static const shown_t revoked_shown[] = {
    S(wire_revoked_t, BYTES, token),
    S(wire_revoked_t, NUMBER, cause),
    {0},
};

static const shown_t delivery_token[] = {S(wire_delivery_t, BYTES, token), {0}};
static const shown_t delivery_numbers[] = {
    S(wire_delivery_t, NUMBER, attempt),
    S(wire_delivery_t, NUMBER, retry_count),
    {0},
};

#define M(shape, member) S(wire_message_t, shape, member)
#define FIRST                                                                                      \
    {                                                                                              \
        NUMBER, "first", offsetof(wire_message_t, corr)                                            \
    }

typedef struct command {
    wire_command_t byte;
    const char *name;
    shown_t shown[12];
} command_t;

/*  READY's prefetch is shown between its lists, by show_lists. */
static const command_t commands[] = {
    {WIRE_HELLO, "HELLO", {M(BYTES, name), M(BYTES, version)}},
    {WIRE_WELCOME,
     "WELCOME",
     {M(BYTES, broker_id), M(NUMBER, epoch), M(NUMBER, heartbeat_ms), M(NUMBER, liveness_ms),
      M(NUMBER, max_message_bytes), M(NUMBER, max_batch), M(BYTES, version)}},
    {WIRE_ERROR,
     "ERROR",
     {M(NUMBER, corr), M(NUMBER, code), M(BYTES, text), M(NUMBER, retry_after_ms)}},
    {WIRE_HEARTBEAT, "HEARTBEAT", {{0}}},
    {WIRE_GOODBYE, "GOODBYE", {M(BYTES, text)}},
    {WIRE_SUBMIT, "SUBMIT", {FIRST}},
    {WIRE_CONFIRM, "CONFIRM", {M(NUMBER, durability)}},
    {WIRE_WAIT, "WAIT", {M(NUMBER, corr), M(BYTES, id)}},
    {WIRE_OUTCOME,
     "OUTCOME",
     {M(NUMBER, corr), M(BYTES, id), M(NUMBER, state), M(NUMBER, attempts), M(NUMBER, result_kind),
      M(BYTES, result), M(BYTES, reason), M(BYTES, error), M(BYTES, traceback),
      M(NUMBER, duration_ms), M(FLAG, partial)}},
    {WIRE_CANCEL, "CANCEL", {M(NUMBER, corr), M(BYTES, id)}},
    {WIRE_DONE, "DONE", {M(NUMBER, corr), M(NUMBER, count), M(NUMBER, state)}},
    {WIRE_QUERY,
     "QUERY",
     {M(NUMBER, corr), M(NUMBER, what), M(BYTES, id), M(BYTES, queue), M(NUMBER, after),
      M(NUMBER, limit)}},
    {WIRE_DOCUMENT, "DOCUMENT", {M(NUMBER, corr), M(BYTES, json), M(NUMBER, next)}},
    {WIRE_REDRIVE, "REDRIVE", {M(NUMBER, corr), M(BYTES, id), M(BYTES, queue)}},
    {WIRE_PURGE, "PURGE", {M(NUMBER, corr), M(BYTES, id), M(BYTES, queue)}},
    {WIRE_READY, "READY", {M(BYTES, name)}},
    {WIRE_DELIVER, "DELIVER", {{0}}},
    {WIRE_SETTLE, "SETTLE", {FIRST}},
    {WIRE_SETTLED, "SETTLED", {{0}}},
    {WIRE_REVOKE, "REVOKE", {{0}}},
    {WIRE_PREFETCH, "PREFETCH", {M(NUMBER, prefetch)}},
    {WIRE_EXTEND, "EXTEND", {M(BYTES, token), M(NUMBER, timeout_ms)}},
    {WIRE_PROGRESS, "PROGRESS", {M(BYTES, token), M(NUMBER, kind), M(BYTES, data)}},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const command_t *command_of(wire_command_t byte)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].byte == byte)
            return &commands[i];
    return NULL;
}

static void show_quoted(FILE *to, slice_t bytes)
{
    fputc('"', to);
    for (size_t i = 0; i < bytes.size; i++) {
        static const char special[] = "\n\r\t\"'\\", letter[] = "nrt\"'\\";
        uint8_t c = bytes.data[i];
        const char *found = c != 0 ? strchr(special, c) : NULL;
        if (found != NULL)
            fprintf(to, "\\%c", letter[found - special]);
        else
            fprintf(to, c < 0x20 || c > 0x7e ? "\\%03o" : "%c", c);
    }
    fputs("\"\n", to);
}

static void show_fields(FILE *to, int indent, const shown_t *shown, const void *from)
{
    for (; shown->shape != END; shown++) {
        const void *member = (const char *)from + shown->offset;
        if (shown->shape == BYTES) {
            slice_t bytes = *(const slice_t *)member;
            if (bytes.size != 0) {
                fprintf(to, "%*s%s: ", indent, "", shown->name);
                show_quoted(to, bytes);
            }
        } else if (shown->shape == FLAG) {
            if (*(const bool *)member)
                fprintf(to, "%*s%s: true\n", indent, "", shown->name);
        } else {
            uint64_t value = *(const uint64_t *)member;
            if (value != (shown->shape == OPTIONAL ? WIRE_ABSENT : 0))
                fprintf(to, "%*s%s: %llu\n", indent, "", shown->name, (unsigned long long)value);
        }
    }
}

static void show_item(FILE *to, const char *name, const shown_t *shown, const void *from)
{
    fprintf(to, "%s {\n", name);
    show_fields(to, 2, shown, from);
    fputs("}\n", to);
}

static void show_deliveries(FILE *to, const wire_message_t *message)
{
    wire_delivery_t item;
    for (size_t at = 0; wire_next_delivery(message, &at, &item);) {
        fputs("delivery {\n", to);
        show_fields(to, 2, delivery_token, &item);
        fputs("  task {\n", to);
        show_fields(to, 4, task_shown, &item.task);
        fputs("  }\n", to);
        show_fields(to, 2, delivery_numbers, &item);
        fputs("}\n", to);
    }
}

static void show_lists(FILE *to, const wire_message_t *message)
{
    wire_task_t task;
    wire_settlement_t settlement;
    wire_held_t held;
    wire_range_t range;
    wire_revoked_t revoked;
    slice_t queue;
    for (size_t at = 0; wire_next_task(message, &at, &task);)
        show_item(to, "task", task_shown, &task);
    for (size_t at = 0; wire_next_settlement(message, &at, &settlement);)
        show_item(to, "settlement", settlement_shown, &settlement);
    for (size_t at = 0; wire_next_range(message, &at, &range);)
        show_item(to, "range", range_shown, &range);
    for (size_t at = 0; wire_next_revoked(message, &at, &revoked);)
        show_item(to, "revoked", revoked_shown, &revoked);
    show_deliveries(to, message);
    for (size_t at = 0; wire_next_queue(message, &at, &queue);) {
        fputs("queue: ", to);
        show_quoted(to, queue);
    }
    if (message->command == WIRE_READY)
        show_fields(to, 0, (const shown_t[]){M(NUMBER, prefetch), {0}}, message);
    for (size_t at = 0; wire_next_held(message, &at, &held);)
        show_item(to, "held", held_shown, &held);
    if (message->command == WIRE_READY)
        show_fields(to, 0, (const shown_t[]){M(NUMBER, instance), {0}}, message);
}

/*  The message as text: its command, then its fields. The caller frees it. */
static char *show(const wire_message_t *message)
{
    char *text;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    const command_t *command = command_of(message->command);
    assert_non_null(command);
    fprintf(to, "%s\n", command->name);
    show_fields(to, 0, command->shown, message);
    show_lists(to, message);
    fclose(to);
    return text;
}

/*  Writes a decoded message again, through the same calls as the programs. */
static void encode_again(wire_buffer_t *to, const wire_message_t *message)
{
    wire_task_t task;
    wire_delivery_t delivery;
    wire_settlement_t settlement;
    wire_held_t held;
    wire_range_t range;
    wire_revoked_t revoked;
    slice_t queue;
    wire_begin(to, message->command);
    if (message->command == WIRE_SUBMIT || message->command == WIRE_SETTLE)
        wire_put_first(to, message->corr);
    else if (message->command == WIRE_CONFIRM)
        wire_put_durability(to, message->durability);
    else if (message->command == WIRE_READY)
        wire_put_ready_name(to, message->name);
    else
        wire_encode(to, message);
    for (size_t at = 0; wire_next_task(message, &at, &task);)
        wire_put_task(to, &task);
    for (size_t at = 0; wire_next_delivery(message, &at, &delivery);)
        wire_put_delivery(to, &delivery);
    for (size_t at = 0; wire_next_settlement(message, &at, &settlement);)
        wire_put_settlement(to, &settlement);
    for (size_t at = 0; wire_next_range(message, &at, &range);)
        wire_put_range(to, message->command, &range);
    for (size_t at = 0; wire_next_revoked(message, &at, &revoked);)
        wire_put_revoked(to, &revoked);
    for (size_t at = 0; wire_next_queue(message, &at, &queue);)
        wire_put_queue(to, queue);
    if (message->command == WIRE_READY)
        wire_put_ready_prefetch(to, message->prefetch);
    for (size_t at = 0; wire_next_held(message, &at, &held);)
        wire_put_held(to, message->command, &held);
    if (message->command == WIRE_READY)
        wire_put_ready_instance(to, message->instance);
}

/*  The vectors. */

typedef struct vector {
    char *name, *text;
    char mark;
    uint8_t *bytes;
    size_t size;
} vector_t;

static vector_t *vectors;
static size_t vector_count;

static void parse_hex(vector_t *vector, const char *hex)
{
    vector->bytes = mem_alloc(strlen(hex));
    unsigned byte;
    for (int used; sscanf(hex, " %2x%n", &byte, &used) == 1; hex += used)
        vector->bytes[vector->size++] = (uint8_t)byte;
}

static void add_text(vector_t *vector, const char *line)
{
    size_t before = strlen(vector->text);
    vector->text = mem_realloc(vector->text, before + strlen(line) + 1);
    memcpy(vector->text + before, line, strlen(line) + 1);
}

static int load_vectors(void **state)
{
    (void)state;
    FILE *file = fopen(REEVE_TEST_VECTORS "/reeve.txt", "r");
    if (file == NULL)
        return -1;
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) > 0) {
        char name[64], mark;
        int hex;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (line[0] == ' ') {
            add_text(&vectors[vector_count - 1], line + 2);
        } else if (sscanf(line, "%63s %c %n", name, &mark, &hex) == 2) {
            vectors = mem_realloc(vectors, (vector_count + 1) * sizeof *vectors);
            vector_t *vector = &vectors[vector_count++];
            *vector = (vector_t){mem_strdup(name), mem_strdup(""), mark, NULL, 0};
            parse_hex(vector, line + hex);
        }
    }
    free(line);
    fclose(file);
    return vector_count > 0 ? 0 : -1;
}

static int free_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++) {
        free(vectors[i].name);
        free(vectors[i].text);
        free(vectors[i].bytes);
    }
    free(vectors);
    return 0;
}

static void assert_decodes(slice_t frame, const char *name, wire_message_t *message)
{
    const char *problem = NULL;
    if (wire_decode(frame, message, &problem) != 0)
        fail_msg("%s: refused: %s", name, problem);
}

static void a_vector_decodes_to_its_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++) {
        const vector_t *vector = &vectors[i];
        if (vector->mark == '!')
            continue;
        wire_message_t message;
        assert_decodes(slice(vector->bytes, vector->size), vector->name, &message);
        char *text = show(&message);
        if (strcmp(text, vector->text) != 0)
            fail_msg("%s: decoded to\n%sinstead of\n%s", vector->name, text, vector->text);
        free(text);
    }
}

static void the_fields_of_a_vector_encode_to_its_bytes(void **state)
{
    (void)state;
    wire_buffer_t buffer = {0};
    for (size_t i = 0; i < vector_count; i++) {
        const vector_t *vector = &vectors[i];
        if (vector->mark != '|')
            continue;
        wire_message_t message;
        assert_decodes(slice(vector->bytes, vector->size), vector->name, &message);
        encode_again(&buffer, &message);
        if (!slice_eq(slice(buffer.data, buffer.size), slice(vector->bytes, vector->size)))
            fail_msg("%s: encoded to other bytes", vector->name);
    }
    wire_fini(&buffer);
}

static void a_malformed_vector_is_refused_with_a_reason(void **state)
{
    (void)state;
    size_t seen = 0;
    for (size_t i = 0; i < vector_count; i++) {
        const char *problem = NULL;
        wire_message_t message;
        if (vectors[i].mark != '!')
            continue;
        seen++;
        if (wire_decode(slice(vectors[i].bytes, vectors[i].size), &message, &problem) != -1)
            fail_msg("%s: accepted", vectors[i].name);
        assert_non_null(problem);
    }
    assert_true(seen > 20);
}

static void every_command_has_a_vector(void **state)
{
    (void)state;
    for (size_t i = 0; i < COMMANDS; i++) {
        bool found = false;
        for (size_t j = 0; j < vector_count; j++)
            found |= vectors[j].mark == '|' && vectors[j].bytes[6] == commands[i].byte;
        if (!found)
            fail_msg("no vector of %s", commands[i].name);
    }
}

/*  Decodes a copy that ends where its memory ends; what is accepted must also iterate and encode.
 */
static void decode_exact(const uint8_t *bytes, size_t size, wire_buffer_t *buffer)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    const char *problem = NULL;
    wire_message_t message;
    if (wire_decode(slice(copy, size), &message, &problem) == 0) {
        free(show(&message));
        encode_again(buffer, &message);
    } else {
        assert_non_null(problem);
    }
    free(copy);
}

static void every_truncation_is_refused_or_decodes(void **state)
{
    (void)state;
    wire_buffer_t buffer = {0};
    for (size_t i = 0; i < vector_count; i++)
        for (size_t size = 0; size < vectors[i].size; size++)
            decode_exact(vectors[i].bytes, size, &buffer);
    wire_fini(&buffer);
}

static void every_changed_byte_is_refused_or_decodes(void **state)
{
    (void)state;
    static const uint8_t flips[] = {0x01, 0x02, 0x04, 0x07, 0x08, 0x10, 0x40, 0x7f, 0x80, 0xff};
    wire_buffer_t buffer = {0};
    for (size_t i = 0; i < vector_count; i++)
        for (size_t at = 0; at < vectors[i].size; at++)
            for (size_t flip = 0; flip < sizeof flips; flip++) {
                vectors[i].bytes[at] ^= flips[flip];
                decode_exact(vectors[i].bytes, vectors[i].size, &buffer);
                vectors[i].bytes[at] ^= flips[flip];
            }
    wire_fini(&buffer);
}

/*  Beyond the vectors. */

static void fill(wire_message_t *message, const command_t *command)
{
    static const char *texts[] = {"", "x", "\xc3\xa9", "a longer text, longer than the others"};
    *message = (wire_message_t){.command = command->byte};
    size_t n = 0;
    for (const shown_t *shown = command->shown; shown->shape != END; shown++, n++) {
        void *member = (char *)message + shown->offset;
        if (shown->shape == BYTES)
            *(slice_t *)member = slice_str(texts[(n + command->byte) % 4]);
        else if (shown->shape == FLAG)
            *(bool *)member = true;
        else
            *(uint64_t *)member = (uint64_t)1 << (n * 5 % 32);
    }
}

static void every_command_s_scalar_fields_come_back(void **state)
{
    (void)state;
    wire_buffer_t buffer = {0};
    for (size_t i = 0; i < COMMANDS; i++) {
        wire_message_t sent, got;
        fill(&sent, &commands[i]);
        wire_encode(&buffer, &sent);
        assert_decodes(slice(buffer.data, buffer.size), commands[i].name, &got);
        char *before = show(&sent), *after = show(&got);
        assert_string_equal(before, after);
        free(before);
        free(after);
    }
    wire_fini(&buffer);
}

static void a_batch_of_tasks_of_all_sizes_comes_back_in_order(void **state)
{
    (void)state;
    enum { TASKS = 500 };
    char *body = mem_alloc(TASKS * TASKS);
    memset(body, 'b', TASKS * TASKS);
    wire_buffer_t buffer = {0};
    wire_begin(&buffer, WIRE_SUBMIT);
    wire_put_first(&buffer, 77);
    for (size_t i = 0; i < TASKS; i++) {
        wire_task_t task = {.id = slice(body, i % 129),
                            .body = slice(body, i * i),
                            .created_at_ms = i << 32,
                            .max_retries = i % 3 ? i : WIRE_ABSENT};
        wire_put_task(&buffer, &task);
    }
    wire_message_t message;
    assert_decodes(slice(buffer.data, buffer.size), "batch", &message);
    assert_int_equal(message.corr, 77);
    size_t at = 0, i = 0;
    for (wire_task_t task; wire_next_task(&message, &at, &task); i++) {
        assert_int_equal(task.id.size, i % 129);
        assert_int_equal(task.body.size, i * i);
        assert_int_equal(task.created_at_ms, i << 32);
        assert_true(task.max_retries == (i % 3 ? i : WIRE_ABSENT));
    }
    assert_int_equal(i, TASKS);
    wire_fini(&buffer);
    free(body);
}

/*  A message of `command` with `count` empty items in field `number`. */
static int decode_items(wire_command_t command, uint8_t number, size_t count)
{
    wire_buffer_t buffer = {0};
    const uint8_t item[2] = {(uint8_t)(number << 3 | 2), 0};
    wire_begin(&buffer, command);
    buffer.data = mem_realloc(buffer.data, buffer.size + 2 * count);
    for (size_t i = 0; i < count; i++, buffer.size += 2)
        memcpy(buffer.data + buffer.size, item, 2);
    wire_message_t message;
    const char *problem = "";
    int result = wire_decode(slice(buffer.data, buffer.size), &message, &problem);
    if (result != 0)
        assert_string_equal(problem, "too many items");
    wire_fini(&buffer);
    return result;
}

static void a_message_has_as_many_items_as_its_limit_and_not_one_more(void **state)
{
    (void)state;
    static const struct {
        wire_command_t command;
        uint8_t number;
        size_t limit;
    } lists[] = {
        {WIRE_HEARTBEAT, 1, LIMIT_HELD}, {WIRE_SUBMIT, 2, LIMIT_BATCH},
        {WIRE_CONFIRM, 2, LIMIT_BATCH},  {WIRE_READY, 2, LIMIT_BATCH},
        {WIRE_READY, 4, LIMIT_HELD},     {WIRE_DELIVER, 1, LIMIT_BATCH},
        {WIRE_SETTLE, 2, LIMIT_BATCH},   {WIRE_SETTLED, 1, LIMIT_BATCH},
        {WIRE_REVOKE, 1, LIMIT_BATCH},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        assert_int_equal(decode_items(lists[i].command, lists[i].number, lists[i].limit), 0);
        assert_int_equal(decode_items(lists[i].command, lists[i].number, lists[i].limit + 1), -1);
    }
}

static void zero_retries_differ_from_the_queue_s_retries(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, WIRE_ABSENT};
    wire_buffer_t buffer = {0};
    for (size_t i = 0; i < 2; i++) {
        wire_begin(&buffer, WIRE_SUBMIT);
        wire_put_task(&buffer, &(wire_task_t){.max_retries = values[i]});
        wire_message_t message;
        assert_decodes(slice(buffer.data, buffer.size), "task", &message);
        wire_task_t task;
        size_t at = 0;
        assert_true(wire_next_task(&message, &at, &task));
        assert_true(task.max_retries == values[i]);
    }
    wire_fini(&buffer);
}

static void a_list_of_another_command_is_empty(void **state)
{
    (void)state;
    wire_buffer_t buffer = {0};
    wire_begin(&buffer, WIRE_SETTLE);
    wire_put_settlement(&buffer, &(wire_settlement_t){.token = slice_str("t")});
    wire_message_t message;
    assert_decodes(slice(buffer.data, buffer.size), "settle", &message);
    wire_task_t task;
    wire_range_t range;
    wire_held_t held;
    size_t at = 0;
    assert_false(wire_next_task(&message, &at, &task));
    assert_false(wire_next_range(&message, &at, &range));
    assert_false(wire_next_held(&message, &at, &held));
    wire_fini(&buffer);
}

static void an_unknown_command_leaves_the_command_0(void **state)
{
    (void)state;
    wire_message_t message = {.command = WIRE_HELLO};
    const char *problem = NULL;
    assert_int_equal(wire_decode(slice(WIRE_MAGIC "\x13", 7), &message, &problem), -1);
    assert_string_equal(problem, "unknown command");
    assert_int_equal(message.command, 0);
}

static void only_frames_with_the_magic_are_of_this_protocol(void **state)
{
    (void)state;
    assert_true(wire_is_reeve(slice_str("REEVE1")));
    assert_true(wire_is_reeve(slice_str("REEVE1\x01")));
    assert_false(wire_is_reeve(slice_str("REEVE")));
    assert_false(wire_is_reeve(slice_str("REEVE2\x01")));
    assert_false(wire_is_reeve(slice_str("MDPC01")));
    assert_false(wire_is_reeve(slice(NULL, 0)));
}

static void a_reset_buffer_keeps_its_memory(void **state)
{
    (void)state;
    wire_buffer_t buffer = {0};
    wire_begin(&buffer, WIRE_HELLO);
    uint8_t *memory = buffer.data;
    wire_reset(&buffer);
    assert_int_equal(buffer.size, 0);
    wire_begin(&buffer, WIRE_GOODBYE);
    assert_ptr_equal(buffer.data, memory);
    wire_fini(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer.capacity, 0);
}

/*  Frames in one byte string. */

static void frames_come_back_in_order(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 127, 128, 20000, 0};
    uint8_t *bytes = mem_zalloc(20000);
    wire_buffer_t buffer = {0};
    for (size_t i = 0; i < 6; i++)
        wire_put_frame(&buffer, slice(bytes, sizes[i]));
    slice_t all = slice(buffer.data, buffer.size), frame;
    assert_int_equal(wire_count_frames(all), 6);
    size_t at = 0;
    for (size_t i = 0; i < 6; i++) {
        assert_true(wire_next_frame(all, &at, &frame));
        assert_int_equal(frame.size, sizes[i]);
    }
    assert_false(wire_next_frame(all, &at, &frame));
    assert_int_equal(at, all.size);
    wire_fini(&buffer);
    free(bytes);
}

static void no_bytes_are_no_frames(void **state)
{
    (void)state;
    slice_t frame;
    size_t at = 0;
    assert_int_equal(wire_count_frames(slice(NULL, 0)), 0);
    assert_false(wire_next_frame(slice(NULL, 0), &at, &frame));
    assert_int_equal(at, 0);
}

static void malformed_frames_are_told_from_the_end(void **state)
{
    (void)state;
    static const slice_t bad[] = {
        {(const uint8_t *)"\x02"
                          "a",
         2},
        {(const uint8_t *)"\x01"
                          "a\x80",
         3},
        {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
        {(const uint8_t *)"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11},
    };
    for (size_t i = 0; i < 4; i++) {
        slice_t frame;
        size_t at = 0;
        while (wire_next_frame(bad[i], &at, &frame))
            assert_true(frame.data + frame.size <= bad[i].data + bad[i].size);
        assert_true(at > bad[i].size);
        assert_false(wire_next_frame(bad[i], &at, &frame));
        assert_int_equal(wire_count_frames(bad[i]), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vector_decodes_to_its_fields),
        cmocka_unit_test(the_fields_of_a_vector_encode_to_its_bytes),
        cmocka_unit_test(a_malformed_vector_is_refused_with_a_reason),
        cmocka_unit_test(every_command_has_a_vector),
        cmocka_unit_test(every_truncation_is_refused_or_decodes),
        cmocka_unit_test(every_changed_byte_is_refused_or_decodes),
        cmocka_unit_test(every_command_s_scalar_fields_come_back),
        cmocka_unit_test(a_batch_of_tasks_of_all_sizes_comes_back_in_order),
        cmocka_unit_test(a_message_has_as_many_items_as_its_limit_and_not_one_more),
        cmocka_unit_test(zero_retries_differ_from_the_queue_s_retries),
        cmocka_unit_test(a_list_of_another_command_is_empty),
        cmocka_unit_test(an_unknown_command_leaves_the_command_0),
        cmocka_unit_test(only_frames_with_the_magic_are_of_this_protocol),
        cmocka_unit_test(a_reset_buffer_keeps_its_memory),
        cmocka_unit_test(frames_come_back_in_order),
        cmocka_unit_test(no_bytes_are_no_frames),
        cmocka_unit_test(malformed_frames_are_told_from_the_end),
    };
    return cmocka_run_group_tests(tests, load_vectors, free_vectors);
}
