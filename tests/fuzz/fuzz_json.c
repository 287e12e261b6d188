/*  The validators against cJSON and against rules written another way: what we accept, cJSON parses;
    what cJSON prints, we accept. Input: the text. */

#include <cjson/cJSON.h>

#include "common/json.h"
#include "common/limits.h"
#include "tests/fuzz/fuzz.h"

/*  Deepest nesting, and the longest run of characters that numbers are made of, outside strings. */
typedef struct measure {
    int depth;
    size_t number;
} measure_t;

static measure_t measure(slice_t text)
{
    measure_t deepest = {0};
    int depth = 0;
    size_t number = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = (char)text.data[i];
        number = !in_string && c && strchr("0123456789+-.eE", c) ? number + 1 : 0;
        if (number > deepest.number)
            deepest.number = number;
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{'))
            depth++;
        else if (!in_string && (c == ']' || c == '}'))
            depth--;
        if (depth > deepest.depth)
            deepest.depth = depth;
    }
    return deepest;
}

/*  RFC 3629 by decoding: the value is in the range that a sequence of its length is for. */
static bool is_utf8(slice_t text)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (size_t at = 0; at < text.size;) {
        uint32_t lead = text.data[at++];
        size_t more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        if (more > text.size - at || (lead >= 0x80 && lead < 0xc0) || lead > 0xf7)
            return false;
        uint32_t value = more ? lead & (0x3fu >> more) : lead;
        for (size_t i = 0; i < more; i++, at++) {
            if ((text.data[at] & 0xc0) != 0x80)
                return false;
            value = value << 6 | (text.data[at] & 0x3f);
        }
        if (value < least[more] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
            return false;
    }
    return true;
}

static bool is_name(slice_t text, size_t limit)
{
    bool control = false;
    for (size_t i = 0; i < text.size; i++)
        control |= text.data[i] < 0x20 || text.data[i] == 0x7f ||
                   (text.data[i] == 0xc2 && i + 1 < text.size && text.data[i + 1] < 0xa0);
    return text.size >= 1 && text.size <= limit && is_utf8(text) && !control &&
           text.data[0] != ' ' && text.data[text.size - 1] != ' ';
}

static bool is_id(slice_t text)
{
    bool printable = true;
    for (size_t i = 0; i < text.size; i++)
        printable &= text.data[i] > ' ' && text.data[i] < 0x7f;
    return text.size >= 1 && text.size <= LIMIT_ID_BYTES && printable;
}

static void check_accepted(slice_t text)
{
    measure_t measured = measure(text);
    CHECK(measured.depth <= LIMIT_JSON_DEPTH);
    CHECK(is_utf8(text));
    const char *end = NULL;
    cJSON *tree = cJSON_ParseWithLengthOpts((const char *)text.data, text.size, &end, false);
    /* cJSON refuses numbers of more than 63 characters. */
    CHECK(tree != NULL || measured.number > 63);
    CHECK(tree == NULL || cJSON_IsObject(tree) == json_valid_object(text));
    cJSON_Delete(tree);

    char *wrapped = mem_alloc(text.size + 2);
    wrapped[0] = '[';
    memcpy(wrapped + 1, text.data, text.size);
    wrapped[text.size + 1] = ']';
    CHECK(json_valid(slice(wrapped, text.size + 2)) == (measured.depth < LIMIT_JSON_DEPTH));
    /* One value only, and no part of one at the end. */
    wrapped[0] = ' ';
    CHECK(!json_valid(slice(wrapped, text.size + 2)));
    free(wrapped);
}

static void check_printed(slice_t text)
{
    cJSON *tree = cJSON_ParseWithLength((const char *)text.data, text.size);
    char *printed = cJSON_PrintUnformatted(tree);
    if (printed) {
        slice_t line = slice_str(printed);
        CHECK(json_valid(line) == (is_utf8(line) && measure(line).depth <= LIMIT_JSON_DEPTH));
    }
    cJSON_free(printed);
    cJSON_Delete(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t text = slice(data, size);
    CHECK(utf8_valid(text) == is_utf8(text));
    CHECK(name_valid(text, LIMIT_QUEUE_NAME_BYTES) == is_name(text, LIMIT_QUEUE_NAME_BYTES));
    CHECK(id_valid(text) == is_id(text));
    if (json_valid(text))
        check_accepted(text);
    else
        CHECK(!json_valid_object(text));
    check_printed(text);
    return 0;
}
