#include "common/trace.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <string.h>

/*  version "-" trace-id "-" parent-id "-" flags; a trace id of zeros is invalid. */
static bool parse_traceparent(const char *text, char trace_id[TRACE_ID_SIZE])
{
    static const char form[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    for (size_t i = 0; form[i]; i++) {
        bool hex = isdigit((unsigned char)text[i]) || (text[i] >= 'a' && text[i] <= 'f');
        if (form[i] == 'x' ? !hex : text[i] != '-')
            return false;
    }
    memcpy(trace_id, text + 3, TRACE_ID_SIZE - 1);
    trace_id[TRACE_ID_SIZE - 1] = '\0';
    return strspn(trace_id, "0") != TRACE_ID_SIZE - 1;
}

/*  Whether the body has the name anywhere. Most have not: they are not taken apart. This is Horspool's search:
    the window moves until its last byte stands below the same byte of the name. memmem would prepare that
    anew for each body, which takes longer than to search it. */
static bool names_parent(slice_t body)
{
    enum { SIZE = 13 };
    static const char name[SIZE + 1] = "\"traceparent\"";
    /* so long is the name up to the byte, not counting its end */
    static const uint8_t lengths[256] = {
        ['"'] = 1, ['c'] = 5, ['p'] = 7, ['a'] = 8, ['r'] = 9, ['e'] = 10, ['n'] = 11, ['t'] = 12};
    for (size_t end = SIZE; end <= body.size; end += SIZE - lengths[body.data[end - 1]])
        if (body.data[end - 1] == '"' && memcmp(body.data + end - SIZE, name, SIZE) == 0)
            return true;
    return false;
}

bool trace_id_of(slice_t body, char trace_id[TRACE_ID_SIZE])
{
    bool found = false;
    trace_id[0] = '\0';
    if (!names_parent(body))
        return false;
    cJSON *tree = cJSON_ParseWithLength((const char *)body.data, body.size);
    const cJSON *headers = cJSON_GetObjectItemCaseSensitive(tree, "headers");
    const cJSON *parent = cJSON_GetObjectItemCaseSensitive(headers, "traceparent");
    if (cJSON_IsString(parent))
        found = parse_traceparent(parent->valuestring, trace_id);
    if (!found)
        trace_id[0] = '\0';
    cJSON_Delete(tree);
    return found;
}
