/*  systemd's journal as the place where log lines go. Without libsystemd at build time there is none. */

#ifndef REEVE_COMMON_JOURNAL_H
#define REEVE_COMMON_JOURNAL_H

#include "common/log.h"

bool journal_exists(void);
/*  One record: the line as MESSAGE, REEVE_EVENT, and each field under its name in capitals. */
void journal_write(log_level_t level, const char *event, slice_t line, const log_field_t *fields,
                   size_t count);

#endif
