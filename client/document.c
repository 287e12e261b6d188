#include "client/document.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/*  All skip_… functions: past the thing at `at`, or to the end of the text. */

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static const char *skip_string(const char *at)
{
    for (at++; *at != '"' && *at != '\0'; at++)
        at += *at == '\\' && at[1] != '\0';
    return at + (*at != '\0');
}

/*  A member's value. */
static const char *skip_value(const char *at)
{
    for (int depth = 0; *at != '\0' && (depth > 0 || strchr(",}", *at) == NULL);) {
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        at = *at == '"' ? skip_string(at) : at + 1;
    }
    return at;
}

static bool is_of_users(const char *name)
{
    static const char *const names[] = {"args", "kwargs", "headers", "result"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/*  The members from `at` on, behind the object's brace. */
static cJSON *parse_members(const char *at, bool of_task)
{
    cJSON *object = cJSON_CreateObject();
    const char *end;
    for (at = skip_space(at); *at == '"'; at = skip_space(end + (*end == ','))) {
        const char *quote = skip_string(at), *colon = skip_space(quote);
        end = skip_value(colon);
        if (*colon != ':')
            break;
        char *name = mem_strndup(at + 1, (size_t)(quote - at) - 2);
        const char *begin = skip_space(colon + 1);
        char *value = mem_strndup(begin, (size_t)(end - begin));
        bool is_task = !of_task && strcmp(name, "task") == 0 && *value == '{';
        cJSON_AddItemToObject(object, name,
                              is_of_users(name) ? cJSON_CreateRaw(value)
                              : is_task         ? parse_members(value + 1, true)
                                                : cJSON_Parse(value));
        free(value);
        free(name);
    }
    return object;
}

cJSON *document_parse(const char *json)
{
    return parse_members(json + (*json == '{'), false);
}
