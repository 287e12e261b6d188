/*  A task's document, as the broker tells of it, for people. */

#ifndef REEVE_CLIENT_DOCUMENT_H
#define REEVE_CLIENT_DOCUMENT_H

#include <cjson/cJSON.h>

/*  A new tree, which the caller deletes. What users wrote (args, kwargs, headers, result) is in it as raw
    items, character for character: cJSON's own numbers are doubles, and its strings end at a NUL. Of
    text that is no document it has what could be read. */
cJSON *document_parse(const char *json);

#endif
