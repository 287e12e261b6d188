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

#include "common/buffer.h"

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

static void put_pair(buffer_t *self, const char *name, slice_t value)
{
    size_t name_size = strlen(name);
    put_size(self, name_size + 1 + value.size);
    uint8_t *at = buffer_extend(self, name_size + 1 + value.size);
    for (size_t i = 0; i < name_size; i++)
        at[i] = (uint8_t)toupper((unsigned char)name[i]);
    at[name_size] = '=';
    if (value.size)
        memcpy(at + name_size + 1, value.data, value.size);
}

static void put_field(buffer_t *self, const log_field_t *field)
{
    char number[32];
    slice_t value = field->string;
    if (field->kind != LOG_FIELD_STRING) {
        if (field->kind == LOG_FIELD_INT)
            snprintf(number, sizeof number, "%" PRId64, field->integer);
        else
            snprintf(number, sizeof number, "%.6g", field->number);
        value = slice_str(number);
    }
    put_pair(self, field->name, value);
}

slice_t journal_entry(log_level_t level, const char *event, slice_t line, const log_field_t *fields,
                      size_t count)
{
    buffer_t entry = {0};
    char priority[8];
    snprintf(priority, sizeof priority, "%d", (int)level);
    put_pair(&entry, "message", line);
    put_pair(&entry, "priority", slice_str(priority));
    put_pair(&entry, "syslog_identifier", slice_str(program_invocation_short_name));
    put_pair(&entry, "reeve_event", slice_str(event));
    for (size_t i = 0; i < count && i < FIELDS_MAX; i++)
        put_field(&entry, &fields[i]);
    put_size(&entry, 0);
    return slice(entry.data, entry.size);
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

slice_t journal_entry(log_level_t level, const char *event, slice_t line, const log_field_t *fields,
                      size_t count)
{
    (void)level, (void)event, (void)line, (void)fields, (void)count;
    return slice(NULL, 0);
}

void journal_send(slice_t entries)
{
    (void)entries;
}

#endif
