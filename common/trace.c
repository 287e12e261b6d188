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

bool trace_id_of(slice_t body, char trace_id[TRACE_ID_SIZE])
{
    static const char name[] = "\"traceparent\"";
    bool found = false;
    trace_id[0] = '\0';
    /* Most bodies have none: they are not taken apart. */
    if (body.size == 0 || memmem(body.data, body.size, name, sizeof name - 1) == NULL)
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
