#include "common/journal.h"

#ifdef REEVE_HAVE_SYSTEMD

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

enum { FIXED = 4, FIELDS_MAX = 32 };

bool journal_exists(void)
{
    return access("/run/systemd/journal/socket", W_OK) == 0;
}

/*  NAME=value, malloc'd. */
static struct iovec entry(const char *name, slice_t value)
{
    size_t name_size = strlen(name);
    char *text = malloc(name_size + 1 + value.size);
    if (text == NULL)
        return (struct iovec){0};
    for (size_t i = 0; i < name_size; i++)
        text[i] = (char)toupper((unsigned char)name[i]);
    text[name_size] = '=';
    if (value.size)
        memcpy(text + name_size + 1, value.data, value.size);
    return (struct iovec){text, name_size + 1 + value.size};
}

static struct iovec field_entry(const log_field_t *field)
{
    char number[32];
    if (field->kind == LOG_FIELD_STRING)
        return entry(field->name, field->string);
    if (field->kind == LOG_FIELD_INT)
        snprintf(number, sizeof number, "%" PRId64, field->integer);
    else
        snprintf(number, sizeof number, "%.6g", field->number);
    return entry(field->name, slice_str(number));
}

void journal_write(log_level_t level, const char *event, slice_t line, const log_field_t *fields,
                   size_t count)
{
    struct iovec entries[FIXED + FIELDS_MAX];
    char priority[8];
    snprintf(priority, sizeof priority, "%d", (int)level);
    int used = 0;
    entries[used++] = entry("message", line);
    entries[used++] = entry("priority", slice_str(priority));
    entries[used++] = entry("syslog_identifier", slice_str(program_invocation_short_name));
    entries[used++] = entry("reeve_event", slice_str(event));
    for (size_t i = 0; i < count && i < FIELDS_MAX; i++)
        entries[used++] = field_entry(&fields[i]);
    sd_journal_sendv(entries, used);
    for (int i = 0; i < used; i++)
        free(entries[i].iov_base);
}

#else

bool journal_exists(void)
{
    return false;
}

void journal_write(log_level_t level, const char *event, slice_t line, const log_field_t *fields,
                   size_t count)
{
    (void)level, (void)event, (void)line, (void)fields, (void)count;
}

#endif
