#include "client/document.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"

static bool is_of_users(const char *name)
{
    static const char *const names[] = {"args", "kwargs", "headers", "result"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static cJSON *parse_object(slice_t json, bool of_task)
{
    cJSON *object = cJSON_CreateObject();
    json_member_t member;
    for (size_t at = 0; json_next_member(json, &at, &member);) {
        char *name = mem_strndup(member.name.data + 1, member.name.size - 2);
        char *value = mem_strndup(member.value.data, member.value.size);
        bool is_task = !of_task && strcmp(name, "task") == 0 && *value == '{';
        cJSON_AddItemToObject(object, name,
                              is_of_users(name) ? cJSON_CreateRaw(value)
                              : is_task         ? parse_object(member.value, true)
                                                : cJSON_Parse(value));
        free(value);
        free(name);
    }
    return object;
}

cJSON *document_parse(const char *json)
{
    return parse_object(slice_str(json), false);
}
