#include "common/wire/tsp.h"

#define UUID_DIGITS 32
#define ID_SIZE     36 /* the digits and four dashes */

static bool starts_with(slice_t text, const char *prefix)
{
    slice_t start = slice_str(prefix);
    return text.size >= start.size && slice_eq(slice(text.data, start.size), start);
}

tsp_service_t tsp_service(slice_t service)
{
    if (slice_eq(service, slice_str("titanic.request")))
        return TSP_REQUEST;
    if (slice_eq(service, slice_str("titanic.reply")))
        return TSP_REPLY;
    if (slice_eq(service, slice_str("titanic.close")))
        return TSP_CLOSE;
    return starts_with(service, "titanic.") ? TSP_UNKNOWN : TSP_NONE;
}

bool mmi_is_mmi(slice_t service)
{
    return starts_with(service, "mmi.");
}

static bool dash_at(size_t position)
{
    return position == 8 || position == 13 || position == 18 || position == 23;
}

/*  The value of a hexadecimal digit of either case, or -1. Not isxdigit: it asks the locale. */
static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool tsp_uuid_to_id(slice_t text, char id[37])
{
    bool dashed = text.size == ID_SIZE;
    if (!dashed && text.size != UUID_DIGITS)
        return false;
    char made[ID_SIZE];
    size_t at = 0;
    for (size_t i = 0; i < ID_SIZE; i++) {
        made[i] = '-';
        if (dash_at(i)) {
            if (dashed && text.data[at++] != '-')
                return false;
            continue;
        }
        int value = hex_value(text.data[at++]);
        if (value < 0)
            return false;
        made[i] = "0123456789abcdef"[value];
    }
    memcpy(id, made, ID_SIZE);
    id[ID_SIZE] = '\0';
    return true;
}

bool tsp_id_to_uuid(slice_t id, char uuid[33])
{
    /*  Only the form that tsp_uuid_to_id makes: the UUID of an id in capitals would lead back to
        another id, that is, to another task. */
    char same[ID_SIZE + 1];
    if (id.size != ID_SIZE || !tsp_uuid_to_id(id, same) || memcmp(same, id.data, ID_SIZE) != 0)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < ID_SIZE; i++)
        if (!dash_at(i))
            uuid[n++] = (char)(same[i] >= 'a' ? same[i] - 'a' + 'A' : same[i]);
    uuid[n] = '\0';
    return true;
}
