#include "common/log.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/journal.h"
#include "common/json.h"
#include "common/log_writer.h"
#include "common/mem.h"
#include "common/parse.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LINE_SIZE = 64 * 1024, /* a line with its newline */
    LIMIT_BURST = 10,      /* log_limit_allow: lines … */
    LIMIT_INTERVAL_MS = 10000,
};

static log_format_t log_format = LOG_LOGFMT;
static log_level_t log_level = LOG_LEVEL_INFO;
static int log_fd = STDERR_FILENO;
static char *log_path; /* of the file that is appended to; NULL: none */
static bool log_journal;

static const struct level_name {
    const char *name;
    log_level_t level;
    const char *colour;
} level_names[] = {
    {"debug", LOG_LEVEL_DEBUG, "\033[90m"},
    {"info", LOG_LEVEL_INFO, "\033[32m"},
    {"warn", LOG_WARN, "\033[33m"},
    {"error", LOG_ERROR, "\033[31m"},
};

enum { LEVEL_COUNT = sizeof level_names / sizeof level_names[0] };

void log_set_format(log_format_t format)
{
    log_format = format;
}

void log_set_level(log_level_t level)
{
    log_level = level;
}

void log_set_fd(int fd)
{
    log_fd = fd;
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

bool log_open(const char *target, char *problem, size_t size)
{
    if (strcmp(target, "stderr") == 0)
        return true;
    if (strcmp(target, "journal") == 0) {
        log_journal = journal_exists();
        if (!log_journal)
            snprintf(problem, size, "there is no systemd journal here");
        return log_journal;
    }
    int fd = open_file(target);
    if (fd < 0) {
        snprintf(problem, size, "%s: %s", target, strerror(errno));
        return false;
    }
    log_path = mem_strdup(target);
    log_fd = fd;
    return true;
}

bool log_is_file(void)
{
    return log_path != NULL;
}

bool log_reopen(void)
{
    int fd = log_path ? open_file(log_path) : -1;
    if (fd < 0)
        return log_path == NULL;
    dup2(fd, log_fd); /* at once: no thread finds it closed */
    close(fd);
    return true;
}

bool log_enabled(log_level_t level)
{
    return level <= log_level;
}

bool log_parse_level(const char *text, log_level_t *level)
{
    for (int i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(text, level_names[i].name) == 0) {
            *level = level_names[i].level;
            return true;
        }
    }
    return false;
}

static const struct level_name *known_level(log_level_t level)
{
    const struct level_name *known = level_names;
    while (known->level != level && known < level_names + LEVEL_COUNT - 1)
        known++;
    return known;
}

const char *log_level_name(log_level_t level)
{
    return known_level(level)->name;
}

bool log_parse_format(const char *text, log_format_t *format)
{
    bool json = strcmp(text, "json") == 0;
    if (!json && strcmp(text, "text") != 0)
        return false;
    *format = json ? LOG_JSON : LOG_LOGFMT;
    return true;
}

/*  A line under construction. */
typedef struct line {
    buffer_t text;
    log_format_t format;
    size_t string_limit;   /* no string becomes longer than this, as written */
    size_t longest_string; /* as written */
} line_t;

static void put(line_t *line, const void *bytes, size_t size)
{
    memcpy(buffer_extend(&line->text, size), bytes, size);
}

static void put_text(line_t *line, const char *text)
{
    put(line, text, strlen(text));
}

/*  How many bytes at `at` are one character of valid UTF-8; 0 when they are none. */
static size_t character_size(const uint8_t *at, size_t left)
{
    if (at[0] < 0x80)
        return 1;
    size_t size = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    return size <= left && utf8_valid(slice(at, size)) ? size : 0;
}

/*  C0, DEL and C1: they would break lines or drive the terminal that shows them. */
static bool is_control(const uint8_t *at, size_t size)
{
    return size == 1 ? at[0] < 0x20 || at[0] == 0x7f : size == 2 && at[0] == 0xc2 && at[1] < 0xa0;
}

enum { ESCAPED_SIZE = 8 };

/*  One character as it stands between quotes, in JSON and in logfmt; returns its size there. */
static size_t escape(const uint8_t *at, size_t size, char out[ESCAPED_SIZE])
{
    static const char letters[256] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                      ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    if (size == 0) {
        memcpy(out, "\xef\xbf\xbd", 3); /* U+FFFD */
        return 3;
    }
    if (size == 1 && letters[at[0]]) {
        out[0] = '\\';
        out[1] = letters[at[0]];
        return 2;
    }
    if (is_control(at, size))
        return (size_t)snprintf(out, ESCAPED_SIZE, "\\u%04x", at[size - 1]);
    memcpy(out, at, size);
    return size;
}

/*  How many bytes at `at` are written as they are, in JSON and in logfmt. */
static size_t plain_size(const uint8_t *at, size_t left)
{
    size_t size = 0;
    while (size < left && at[size] >= 0x20 && at[size] < 0x7f && at[size] != '"' &&
           at[size] != '\\')
        size++;
    return size;
}

/*  Writes the string escaped, and "…" for what would pass the limit. */
static void put_escaped(line_t *line, slice_t string)
{
    static const char ellipsis[] = "…";
    const size_t ellipsis_size = sizeof ellipsis - 1;
    size_t start = line->text.size, cut = line->text.size; /* cut: where the ellipsis still fits */
    for (size_t i = 0; i < string.size;) {
        char escaped[ESCAPED_SIZE];
        size_t size = character_size(string.data + i, string.size - i);
        size_t escaped_size = escape(string.data + i, size, escaped);
        size_t length = line->text.size - start;
        if (length + ellipsis_size <= line->string_limit)
            cut = line->text.size;
        if (length + escaped_size > line->string_limit) {
            line->text.size = cut;
            if (ellipsis_size <= line->string_limit)
                put(line, ellipsis, ellipsis_size);
            break;
        }
        put(line, escaped, escaped_size);
        i += size ? size : 1;
    }
    if (line->text.size - start > line->longest_string)
        line->longest_string = line->text.size - start;
}

/*  Whether logfmt readers would not take the bare string for one value. */
static bool needs_quotes(slice_t string)
{
    for (size_t i = 0; i < string.size;) {
        const uint8_t *at = string.data + i;
        size_t size = character_size(at, string.size - i);
        if (size == 0 || is_control(at, size) || *at == ' ' || *at == '=' || *at == '"' ||
            *at == '\\')
            return true;
        i += size;
    }
    return string.size == 0;
}

/*  What nearly all strings of a log are: in JSON, and as they are between quotes. */
static bool put_plain(line_t *line, slice_t string)
{
    if (line->format != LOG_JSON || string.size > line->string_limit ||
        plain_size(string.data, string.size) < string.size)
        return false;
    uint8_t *at = buffer_extend(&line->text, string.size + 2);
    at[0] = '"';
    if (string.size)
        memcpy(at + 1, string.data, string.size);
    at[string.size + 1] = '"';
    if (string.size > line->longest_string)
        line->longest_string = string.size;
    return true;
}

static void put_string(line_t *line, slice_t string)
{
    if (put_plain(line, string))
        return;
    bool quoted = line->format == LOG_JSON || needs_quotes(string);
    if (quoted)
        put(line, "\"", 1);
    put_escaped(line, string);
    if (quoted)
        put(line, "\"", 1);
}

/*  The shortest of the two usual precisions that reads back as the same number. */
static void put_double(line_t *line, double number)
{
    char text[32];
    if (!isfinite(number) && line->format == LOG_JSON) {
        put_text(line, "null"); /* JSON has no word for it */
        return;
    }
    snprintf(text, sizeof text, "%.15g", number);
    if (isfinite(number) && strtod(text, NULL) != number)
        snprintf(text, sizeof text, "%.17g", number);
    put_text(line, text);
}

static void put_name(line_t *line, const char *name)
{
    bool first = line->text.size == 0;
    if (line->format == LOG_JSON) {
        size_t size = strlen(name);
        uint8_t *at = buffer_extend(&line->text, size + 4);
        at[0] = first ? '{' : ',';
        at[1] = '"';
        memcpy(at + 2, name, size);
        at[size + 2] = '"';
        at[size + 3] = ':';
    } else {
        if (!first)
            put_text(line, " ");
        put_text(line, name);
        put_text(line, "=");
    }
}

static void put_field(line_t *line, const log_field_t *field)
{
    char text[24];
    put_name(line, field->name);
    switch (field->kind) {
    case LOG_FIELD_STRING:
        put_string(line, field->string);
        break;
    case LOG_FIELD_INT:
        snprintf(text, sizeof text, "%" PRId64, field->integer);
        put_text(line, text);
        break;
    case LOG_FIELD_DOUBLE:
        put_double(line, field->number);
        break;
    }
}

static void put_level(line_t *line, log_level_t level, bool colour)
{
    const struct level_name *known = known_level(level);
    put_name(line, "level");
    if (colour)
        put_text(line, known->colour);
    put_string(line, slice_str(known->name));
    if (colour)
        put_text(line, "\033[0m");
}

typedef struct record {
    char time[RFC3339_SIZE];
    log_level_t level;
    const char *event;
    const log_field_t *fields;
    size_t count;
} record_t;

static void put_record(line_t *line, const record_t *record, bool colour)
{
    line->text.size = 0;
    line->longest_string = 0;
    put_name(line, "ts");
    put_string(line, slice_str(record->time));
    put_level(line, record->level, colour);
    put_name(line, "event");
    put_string(line, slice_str(record->event));
    for (size_t i = 0; i < record->count; i++)
        put_field(line, &record->fields[i]);
    put_text(line, line->format == LOG_JSON ? "}\n" : "\n");
}

/*  Only what the descriptor did not take whole is continued. A log that cannot be written is nothing
    the caller could act on. */
static void write_whole(int fd, const uint8_t *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, text, size);
        if (written == -1 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        text += written;
        size -= (size_t)written;
    }
}

/*  How much of the lines goes into one write: into a file all of them, which is one append; else as many
    whole lines as a pipe takes at once, without those of another process between them; or one that is
    longer. */
static size_t write_size(slice_t lines)
{
    if (log_path || lines.size <= PIPE_BUF)
        return lines.size;
    const uint8_t *end = memrchr(lines.data, '\n', PIPE_BUF);
    if (end == NULL)
        end = memchr(lines.data, '\n', lines.size);
    return (size_t)(end + 1 - lines.data);
}

static void deliver(slice_t records)
{
    if (log_journal) {
        journal_send(records);
        return;
    }
    while (records.size > 0) {
        size_t size = write_size(records);
        write_whole(log_fd, records.data, size);
        records = slice(records.data + size, records.size - size);
    }
}

static void tell_dropped(size_t records)
{
    log_event(LOG_WARN, "log_lines_dropped", F_INT("lines", (int64_t)records));
}

void log_start_writer(void)
{
    static const log_writer_calls_t calls = {.deliver = deliver, .dropped = tell_dropped};
    if (log_writer_start(&calls))
        atexit(log_writer_stop);
}

void log_stop_writer(void)
{
    log_writer_stop();
}

void log_line_add(log_line_t *line, log_field_t field)
{
    assert(line->count < LOG_LINE_FIELDS);
    line->fields[line->count++] = field;
}

void log_write(log_level_t level, const char *event, const log_field_t *fields, size_t count)
{
    int saved_errno = errno;
    record_t record = {.level = level, .event = event, .fields = fields, .count = count};
    format_rfc3339_ms(clock_wall_ms(), record.time);
    bool colour = log_format == LOG_LOGFMT && isatty(log_fd) && getenv("NO_COLOR") == NULL;

    line_t line = {.format = log_format, .string_limit = LINE_SIZE};
    put_record(&line, &record, colour);
    while (line.text.size > LINE_SIZE && line.string_limit > 0) {
        size_t excess = line.text.size - LINE_SIZE;
        line.string_limit =
            line.longest_string > excess ? line.longest_string - excess : line.string_limit / 2;
        put_record(&line, &record, colour);
    }
    slice_t text = slice(line.text.data, line.text.size);
    slice_t entry =
        log_journal ? journal_entry(level, event, slice(text.data, text.size - 1), fields, count)
                    : text;
    if (!log_writer_put(entry))
        deliver(entry);
    if (log_journal)
        free((void *)entry.data);
    free(line.text.data);
    errno = saved_errno;
}

bool log_limit_allow(log_limit_t *limit, int64_t now_ms, int64_t *suppressed)
{
    *suppressed = 0;
    if (now_ms - limit->window_start_ms >= LIMIT_INTERVAL_MS) {
        limit->window_start_ms = now_ms;
        limit->in_window = 0;
    }
    if (limit->in_window >= LIMIT_BURST) {
        limit->suppressed++;
        return false;
    }
    limit->in_window++;
    *suppressed = limit->suppressed;
    limit->suppressed = 0;
    return true;
}
