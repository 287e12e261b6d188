/*  Structured log lines, one per event: JSON objects or logfmt.

    A line is a level, a constant event name and fields; it is written whole, so lines of many threads and
    processes do not mix. The forms are JSON, an object per line, and logfmt.
 */

#ifndef REEVE_COMMON_LOG_H
#define REEVE_COMMON_LOG_H

#include "common/bytes.h"

#include <assert.h>
#include <syslog.h>

/*  LOG_DEBUG and LOG_INFO are syslog's macros: czmq.h brings them along, and names of our own would
    change their value with the order of includes. So a lower number is a graver level. */
typedef enum log_level {
    LOG_ERROR = LOG_ERR,
    LOG_WARN = LOG_WARNING,
    LOG_LEVEL_INFO = LOG_INFO,
    LOG_LEVEL_DEBUG = LOG_DEBUG,
} log_level_t;

typedef enum log_format {
    LOG_LOGFMT,
    LOG_JSON,
    LOG_AUTO, /* log_open makes it logfmt where lines go to a terminal, else JSON */
} log_format_t;

/*  A field: name and one value. Build them with the F_ macros below. */
typedef struct log_field {
    slice_t name; /* like an event's: a word that needs no escapes */
    enum { LOG_FIELD_STRING, LOG_FIELD_INT, LOG_FIELD_DOUBLE } kind;
    union {
        slice_t string;
        int64_t integer;
        double number;
    };
} log_field_t;

#define LOG_FIELD(n, k, ...)                                                                       \
    ((log_field_t){.name = slice_str(n), .kind = LOG_FIELD_##k, __VA_ARGS__})
#define F_STR(n, s)   LOG_FIELD(n, STRING, .string = slice_str(s))
#define F_SLICE(n, s) LOG_FIELD(n, STRING, .string = (s))
#define F_INT(n, i)   LOG_FIELD(n, INT, .integer = (i))
#define F_NUM(n, d)   LOG_FIELD(n, DOUBLE, .number = (d))

/*  Process-wide; call before threads start. Default: logfmt, info, stderr (coloured on a terminal).
    log_set_fd does not take the descriptor over. */
void log_set_format(log_format_t format);
void log_set_level(log_level_t level);
void log_set_fd(int fd);
/*  "stderr", "journal" (systemd's, where lines are records with a field for each of theirs), or the
    path of a file that is appended to. False when it cannot be; `problem` says why. */
bool log_open(const char *target, char *problem, size_t size);
/*  Opens the file again under its name, after a rotation; where that cannot be, the old one goes on, and
    a line there says so. Any thread may log meanwhile. */
void log_reopen(void);
bool log_is_file(void); /* opened by log_open */
/*  From here on a thread writes the lines, and a reader that is slow or gone holds up nobody: what it does
    not take in time is dropped, and log_lines_dropped tells how many lines that were. Call once; at exit
    the lines are written, as far as they are taken within a second. Call log_stop_writer before _exit. */
void log_start_writer(void);
void log_stop_writer(void);
bool log_enabled(log_level_t level);
bool log_parse_level(const char *text, log_level_t *level);    /* debug info warn error */
const char *log_level_name(log_level_t level);                 /* the same names; static */
bool log_parse_format(const char *text, log_format_t *format); /* text json auto */
const char *log_format_name(log_format_t format);              /* the same names; static */

/*  A line whose fields are not all known at one place. Zero-initialise. */
enum { LOG_LINE_FIELDS = 16 };
typedef struct log_line {
    log_field_t fields[LOG_LINE_FIELDS];
    size_t count;
} log_line_t;
static inline void log_line_add(log_line_t *line, log_field_t field)
{
    assert(line->count < LOG_LINE_FIELDS);
    line->fields[line->count++] = field;
}

/*  Writes one line: {"ts":…,"level":…,"event":…, fields…}. Strings with invalid UTF-8 are written
    with U+FFFD in place of the bad bytes; longer lines than 64 KiB are cut inside their longest
    string. Any thread. Use through log_event. */
void log_write(log_level_t level, const char *event, const log_field_t *fields, size_t count);

#define log_event(level, event, ...)                                                               \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const log_field_t fields_[] = {__VA_ARGS__};                                           \
            log_write(level, event, fields_, sizeof fields_ / sizeof fields_[0]);                  \
        }                                                                                          \
    } while (0)

/*  What this thread logs between the two is handed over together, and bears the time of the first line:
    cheaper where there are many. They may be written any time before log_release returns. */
void log_hold(void);
void log_release(void);

/*  For events that a peer can provoke: at most `burst` lines per `interval_ms`, then silence, then
    one line telling how many were suppressed. Zero-initialise; one per call site or peer class. */
typedef struct log_limit {
    int64_t window_start_ms;
    int in_window;
    int64_t suppressed;
} log_limit_t;
/*  Whether to write now; *suppressed is how many were not since the last that was (0 usually). */
bool log_limit_allow(log_limit_t *limit, int64_t now_ms, int64_t *suppressed);

#endif
