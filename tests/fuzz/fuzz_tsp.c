/*  Names of services, and UUIDs to ids and back. Input: the text. */

#include "common/json.h"
#include "common/wire/tsp.h"
#include "tests/fuzz/fuzz.h"

static bool starts_with(slice_t text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

static void check_uuid(slice_t text)
{
    char id[37], uuid[33], same[37], untouched[37] = "untouched";
    if (!tsp_uuid_to_id(text, untouched)) {
        CHECK(strcmp(untouched, "untouched") == 0);
        return;
    }
    CHECK(tsp_uuid_to_id(text, id));
    CHECK(strlen(id) == 36 && id_valid(slice_str(id)));
    CHECK(tsp_id_to_uuid(slice_str(id), uuid));
    CHECK(strlen(uuid) == 32);
    CHECK(tsp_uuid_to_id(slice_str(uuid), same) && strcmp(same, id) == 0);
    size_t at = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '-')
            continue;
        CHECK(uuid[at] == text.data[i] || (uuid[at] | 0x20) == text.data[i]);
        at++;
    }
    CHECK(at == 32);
}

static void check_id(slice_t text)
{
    char uuid[33], same[37];
    if (!tsp_id_to_uuid(text, uuid))
        return;
    CHECK(tsp_uuid_to_id(slice_str(uuid), same));
    CHECK(slice_eq(slice_str(same), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t text = slice(data, size);
    CHECK((tsp_service(text) != TSP_NONE) == starts_with(text, "titanic."));
    CHECK((tsp_service(text) == TSP_CLOSE) == slice_eq(text, slice_str("titanic.close")));
    CHECK(mmi_is_mmi(text) == starts_with(text, "mmi."));
    check_uuid(text);
    check_id(text);
    return 0;
}
