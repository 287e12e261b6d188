#include "common/log.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/journal.h"
#include "common/json.h"
#include "common/log_writer.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/word.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_SIZE = 64 * 1024, /* a line with its newline */
    NUMBER_SIZE = 32,      /* as written */
    HELD_SIZE = 32 * 1024, /* what is held is handed over when it is more than this */
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

static bool open_target(const char *target, char *problem, size_t size)
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

bool log_open(const char *target, char *problem, size_t size)
{
    bool opened = open_target(target, problem, size);
    if (log_format == LOG_AUTO)
        log_format = isatty(log_fd) ? LOG_LOGFMT : LOG_JSON;
    return opened;
}

bool log_is_file(void)
{
    return log_path != NULL;
}

void log_reopen(void)
{
    if (log_path == NULL)
        return;
    int fd = open_file(log_path);
    if (fd < 0) {
        char problem[PATH_MAX];
        snprintf(problem, sizeof problem, "%s: %s", log_path, strerror(errno));
        log_event(LOG_WARN, "log_not_reopened", F_STR("error", problem));
        return;
    }
    dup2(fd, log_fd); /* at once: no thread finds it closed */
    close(fd);
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

static const char *const format_names[] = {
    [LOG_LOGFMT] = "text", [LOG_JSON] = "json", [LOG_AUTO] = "auto"};

bool log_parse_format(const char *text, log_format_t *format)
{
    for (log_format_t i = LOG_LOGFMT; i <= LOG_AUTO; i++) {
        if (strcmp(text, format_names[i]) == 0) {
            *format = i;
            return true;
        }
    }
    return false;
}

const char *log_format_name(log_format_t format)
{
    return format_names[format];
}

/*  A line under construction. What puts something to it writes at `at`, where there is room for all of the
    line, and returns where it ended. */
typedef struct line {
    log_format_t format;
    size_t string_limit;   /* no string becomes longer than this, as written */
    size_t longest_string; /* as written */
} line_t;

static inline uint8_t *put(uint8_t *at, slice_t bytes)
{
    if (bytes.size)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
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

static void note_string(line_t *line, size_t size)
{
    if (size > line->longest_string)
        line->longest_string = size;
}

/*  Writes the string escaped, and "…" for what would pass the limit. */
static uint8_t *put_escaped(line_t *line, uint8_t *at, slice_t string)
{
    static const char ellipsis[] = "…";
    const size_t ellipsis_size = sizeof ellipsis - 1;
    size_t length = 0, cut = 0; /* cut: where the ellipsis still fits */
    for (size_t i = 0; i < string.size;) {
        char escaped[ESCAPED_SIZE];
        size_t size = character_size(string.data + i, string.size - i);
        size_t escaped_size = escape(string.data + i, size, escaped);
        if (length + ellipsis_size <= line->string_limit)
            cut = length;
        if (length + escaped_size > line->string_limit) {
            length = cut;
            if (ellipsis_size <= line->string_limit) {
                memcpy(at + length, ellipsis, ellipsis_size);
                length += ellipsis_size;
            }
            break;
        }
        memcpy(at + length, escaped, escaped_size);
        length += escaped_size;
        i += size ? size : 1;
    }
    note_string(line, length);
    return at + length;
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

/*  Flags what is not written as it is: between quotes, or bare as a value of logfmt. */
static inline uint64_t odd_bytes(uint64_t word, bool bare)
{
    uint64_t odd = word_json_odd(word) | word_equal(word, 0x7f);
    return bare ? odd | word_below(word, '!') | word_equal(word, '=') : odd;
}

/*  Copies eight bytes, and flags the odd ones. */
static inline uint64_t copy_word(uint8_t *to, const uint8_t *from, bool bare)
{
    uint64_t word = word_load(from);
    memcpy(to, &word, sizeof word);
    return odd_bytes(word, bare);
}

/*  Copies the string. False when it has odd bytes; then what was copied is to be written over. */
static bool copy_plain(uint8_t *at, slice_t string, bool bare)
{
    uint64_t odd = 0, word = EACH_BYTE('x');
    if (string.size < sizeof word) {
        for (size_t i = 0; i < string.size; i++) {
            at[i] = string.data[i];
            word = word << 8 | string.data[i];
        }
        return !word_flagged(odd_bytes(word, bare));
    }
    const size_t last = string.size - sizeof word; /* it overlaps the one before it */
    for (size_t i = 0; i < last; i += sizeof word)
        odd |= copy_word(at + i, string.data + i, bare);
    odd |= copy_word(at + last, string.data + last, bare);
    return !word_flagged(odd);
}

/*  A string that needs no escapes. */
static inline uint8_t *put_word(const line_t *line, uint8_t *at, slice_t word)
{
    bool json = line->format == LOG_JSON;
    if (json)
        *at++ = '"';
    at = put(at, word);
    if (json)
        *at++ = '"';
    return at;
}

static uint8_t *put_string(line_t *line, uint8_t *at, slice_t string)
{
    bool json = line->format == LOG_JSON;
    if (string.size <= line->string_limit && (json || string.size) &&
        copy_plain(at + json, string, !json)) {
        note_string(line, string.size);
        if (json)
            at[0] = at[string.size + 1] = '"';
        return at + string.size + (json ? 2 : 0);
    }
    bool quoted = json || needs_quotes(string);
    if (quoted)
        *at++ = '"';
    at = put_escaped(line, at, string);
    if (quoted)
        *at++ = '"';
    return at;
}

static uint8_t *put_int(uint8_t *at, int64_t number)
{
    char digits[20];
    size_t first = sizeof digits;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    if (number < 0)
        *at++ = '-';
    do
        digits[--first] = (char)('0' + rest % 10);
    while (rest /= 10);
    return put(at, slice(digits + first, sizeof digits - first));
}

/*  The shortest of the two usual precisions that reads back as the same number. */
static uint8_t *put_any_double(const line_t *line, uint8_t *at, double number)
{
    if (!isfinite(number) && line->format == LOG_JSON)
        return put(at, slice_str("null")); /* JSON has no word for it */
    char text[NUMBER_SIZE];
    snprintf(text, sizeof text, "%.15g", number);
    if (isfinite(number) && strtod(text, NULL) != number)
        snprintf(text, sizeof text, "%.17g", number);
    return put(at, slice_str(text));
}

/*  Nearly all are seconds that were counted in milliseconds. Up to 15 digits read back as they are. */
static uint8_t *put_double(const line_t *line, uint8_t *at, double number)
{
    if (!(number > 0 && number < 1e12))
        return put_any_double(line, at, number);
    int64_t thousandths = (int64_t)(number * 1000 + 0.5);
    if ((double)thousandths / 1000 != number)
        return put_any_double(line, at, number);
    at = put_int(at, thousandths / 1000);
    int fraction = (int)(thousandths % 1000);
    if (fraction > 0)
        *at++ = '.';
    for (int place = 100; fraction > 0; fraction %= place, place /= 10)
        *at++ = (char)('0' + fraction / place);
    return at;
}

static inline uint8_t *put_name(const line_t *line, uint8_t *at, slice_t name, bool first)
{
    bool json = line->format == LOG_JSON;
    if (json || !first)
        *at++ = !json ? ' ' : first ? '{' : ',';
    at = put_word(line, at, name);
    *at++ = json ? ':' : '=';
    return at;
}

static uint8_t *put_field(line_t *line, uint8_t *at, const log_field_t *field)
{
    at = put_name(line, at, field->name, false);
    switch (field->kind) {
    case LOG_FIELD_STRING:
        return put_string(line, at, field->string);
    case LOG_FIELD_INT:
        return put_int(at, field->integer);
    case LOG_FIELD_DOUBLE:
        return put_double(line, at, field->number);
    }
    return at;
}

static uint8_t *put_level(const line_t *line, uint8_t *at, log_level_t level, bool colour)
{
    const struct level_name *known = known_level(level);
    at = put_name(line, at, slice_str("level"), false);
    if (colour)
        at = put(at, slice_str(known->colour));
    at = put_word(line, at, slice_str(known->name));
    return colour ? put(at, slice_str("\033[0m")) : at;
}

/*  How a line begins. Many have the same time and level, one after the other. */
typedef struct head {
    log_level_t level;
    size_t size;
    uint8_t text[128];
} head_t;

static void make_head(head_t *head, log_level_t level, int64_t now_ms)
{
    const line_t line = {.format = log_format};
    char time[RFC3339_SIZE];
    format_rfc3339_ms(now_ms, time);
    bool colour = log_format == LOG_LOGFMT && isatty(log_fd) && getenv("NO_COLOR") == NULL;
    uint8_t *at = put_name(&line, head->text, slice_str("ts"), true);
    at = put_word(&line, at, slice(time, RFC3339_SIZE - 1));
    at = put_level(&line, at, level, colour);
    at = put_name(&line, at, slice_str("event"), false);
    head->level = level;
    head->size = (size_t)(at - head->text);
}

typedef struct record {
    const head_t *head;
    const char *event;
    const log_field_t *fields;
    size_t count;
} record_t;

/*  The most that the record takes as a line. */
static size_t room_for(const record_t *record, size_t string_limit)
{
    enum { AROUND = 8, ESCAPE = 6 };
    size_t size = record->head->size + strlen(record->event) + AROUND;
    for (size_t i = 0; i < record->count; i++) {
        const log_field_t *field = &record->fields[i];
        size_t value = NUMBER_SIZE;
        if (field->kind == LOG_FIELD_STRING) {
            value = field->string.size * ESCAPE;
            value = value < string_limit ? value : string_limit;
        }
        size += field->name.size + AROUND + value;
    }
    return size;
}

static uint8_t *put_record(line_t *line, uint8_t *at, const record_t *record)
{
    line->longest_string = 0;
    at = put(at, slice(record->head->text, record->head->size));
    at = put_word(line, at, slice_str(record->event));
    for (size_t i = 0; i < record->count; i++)
        at = put_field(line, at, &record->fields[i]);
    return put(at, line->format == LOG_JSON ? slice_str("}\n") : slice_str("\n"));
}

/*  Appends it, in at most LINE_SIZE where shorter strings make that possible. */
static void put_line(buffer_t *text, const record_t *record)
{
    line_t line = {.format = log_format, .string_limit = LINE_SIZE};
    for (;;) {
        uint8_t *start = buffer_reserve(text, room_for(record, line.string_limit));
        size_t size = (size_t)(put_record(&line, start, record) - start);
        if (size <= LINE_SIZE || line.string_limit == 0) {
            text->size += size;
            return;
        }
        size_t excess = size - LINE_SIZE;
        line.string_limit =
            line.longest_string > excess ? line.longest_string - excess : line.string_limit / 2;
    }
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

/*  As many whole lines as a pipe takes at once, without those of another process between them; or one that
    is longer. */
static size_t pipe_size(slice_t lines)
{
    if (lines.size <= PIPE_BUF)
        return lines.size;
    const uint8_t *end = memrchr(lines.data, '\n', PIPE_BUF);
    if (end == NULL)
        end = memchr(lines.data, '\n', lines.size);
    return (size_t)(end + 1 - lines.data);
}

/*  A file, however it was opened, takes all of the lines in one write. */
static void deliver(slice_t records)
{
    if (log_journal) {
        journal_send(records);
        return;
    }
    struct stat status;
    bool file = fstat(log_fd, &status) == 0 && S_ISREG(status.st_mode);
    while (records.size > 0) {
        size_t size = file ? records.size : pipe_size(records);
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

/*  Lines, or entries of the journal, that are handed over together. */
typedef struct batch {
    bool held;
    int64_t now_ms;
    head_t head;
    buffer_t records;
    size_t count;
} batch_t;

static void hand_over(batch_t *batch)
{
    slice_t records = slice(batch->records.data, batch->records.size);
    if (batch->count > 0 && !log_writer_put(records, batch->count))
        deliver(records);
    batch->records.size = batch->count = 0;
}

static void put_entry(buffer_t *entries, const record_t *record)
{
    buffer_t line = {0};
    put_line(&line, record);
    journal_put(entries, record->head->level, record->event, slice(line.data, line.size - 1),
                record->fields, record->count);
    free(line.data);
}

static _Thread_local batch_t held; /* its buffer is kept for the next lines */

void log_hold(void)
{
    held.held = true;
}

void log_release(void)
{
    int saved_errno = errno;
    hand_over(&held);
    held.held = false;
    errno = saved_errno;
}

void log_write(log_level_t level, const char *event, const log_field_t *fields, size_t count)
{
    int saved_errno = errno;
    batch_t alone, *batch = &held;
    if (!held.held) {
        alone = (batch_t){0};
        batch = &alone;
    }
    if (batch->count == 0)
        batch->now_ms = clock_wall_ms();
    if (batch->count == 0 || batch->head.level != level)
        make_head(&batch->head, level, batch->now_ms);
    const record_t record = {&batch->head, event, fields, count};
    if (log_journal)
        put_entry(&batch->records, &record);
    else
        put_line(&batch->records, &record);
    batch->count++;
    if (batch == &alone || batch->records.size > HELD_SIZE)
        hand_over(batch);
    if (batch == &alone)
        free(alone.records.data);
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
