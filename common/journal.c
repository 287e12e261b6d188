#include "common/journal.h"

#ifdef REEVE_HAVE_SYSTEMD

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

enum { FIXED = 4, FIELDS_MAX = 32 };

bool journal_exists(void)
{
    return access("/run/systemd/journal/socket", W_OK) == 0;
}

/*  An entry is its NAME=value pairs, each behind its size (uint32_t), and a size of 0. */
static void put_size(buffer_t *self, size_t size)
{
    uint32_t encoded = (uint32_t)size;
    memcpy(buffer_extend(self, sizeof encoded), &encoded, sizeof encoded);
}

static void put_pair(buffer_t *self, slice_t name, slice_t value)
{
    put_size(self, name.size + 1 + value.size);
    uint8_t *at = buffer_extend(self, name.size + 1 + value.size);
    for (size_t i = 0; i < name.size; i++)
        at[i] = (uint8_t)toupper(name.data[i]);
    at[name.size] = '=';
    if (value.size)
        memcpy(at + name.size + 1, value.data, value.size);
}

static void put_field(buffer_t *self, const log_field_t *field)
{
    char number[32];
    if (field->kind == LOG_FIELD_INT)
        snprintf(number, sizeof number, "%" PRId64, field->integer);
    if (field->kind == LOG_FIELD_DOUBLE)
        snprintf(number, sizeof number, "%.6g", field->number);
    bool string = field->kind == LOG_FIELD_STRING;
    put_pair(self, field->name, string ? field->string : slice_str(number));
}

void journal_put(buffer_t *entries, log_level_t level, const char *event, slice_t line,
                 const log_field_t *fields, size_t count)
{
    char priority[8];
    snprintf(priority, sizeof priority, "%d", (int)level);
    put_pair(entries, slice_str("message"), line);
    put_pair(entries, slice_str("priority"), slice_str(priority));
    put_pair(entries, slice_str("syslog_identifier"), slice_str(program_invocation_short_name));
    put_pair(entries, slice_str("reeve_event"), slice_str(event));
    for (size_t i = 0; i < count && i < FIELDS_MAX; i++)
        put_field(entries, &fields[i]);
    put_size(entries, 0);
}

void journal_send(slice_t entries)
{
    struct iovec pairs[FIXED + FIELDS_MAX];
    int count = 0;
    for (size_t at = 0; at < entries.size;) {
        uint32_t size;
        memcpy(&size, entries.data + at, sizeof size);
        at += sizeof size;
        if (size > 0) {
            pairs[count++] = (struct iovec){(void *)(entries.data + at), size};
        } else {
            sd_journal_sendv(pairs, count);
            count = 0;
        }
        at += size;
    }
}

#else

bool journal_exists(void)
{
    return false;
}

void journal_put(buffer_t *entries, log_level_t level, const char *event, slice_t line,
                 const log_field_t *fields, size_t count)
{
    (void)entries, (void)level, (void)event, (void)line, (void)fields, (void)count;
}

void journal_send(slice_t entries)
{
    (void)entries;
}

#endif
