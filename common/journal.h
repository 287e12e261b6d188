/*  systemd's journal as the place where log lines go. Without libsystemd at build time there is none. */

#ifndef REEVE_COMMON_JOURNAL_H
#define REEVE_COMMON_JOURNAL_H

#include "common/buffer.h"
#include "common/log.h"

bool journal_exists(void);
/*  Appends one entry of the journal, encoded. It has the line as MESSAGE, REEVE_EVENT, and each field under
    its name in capitals. */
void journal_put(buffer_t *entries, log_level_t level, const char *event, slice_t line,
                 const log_field_t *fields, size_t count);
/*  Sends entries, encoded one behind the other. May block while the journal does not read. */
void journal_send(slice_t entries);

#endif
