#include "worker/text.h"

#include <ctype.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/mem.h"

static const char replacement[] = "\xEF\xBF\xBD";

enum { REPLACEMENT_SIZE = sizeof replacement - 1, SEQUENCE_MAX = 4 };

/*  Bytes of the character at `at`; 0 when there is none. */
static size_t sequence_size(slice_t bytes, size_t at)
{
    uint8_t first = bytes.data[at];
    if (first < 0x80)
        return first != 0;
    for (size_t size = 2; size <= SEQUENCE_MAX && at + size <= bytes.size; size++)
        if (utf8_valid(slice(bytes.data + at, size)))
            return size;
    return 0;
}

/*  `out` has room for REPLACEMENT_SIZE times the input. */
static size_t replace_bad(slice_t bytes, uint8_t *out)
{
    size_t written = 0;
    for (size_t at = 0; at < bytes.size;) {
        size_t size = sequence_size(bytes, at);
        if (size > 0) {
            memcpy(out + written, bytes.data + at, size);
            written += size;
            at += size;
        } else {
            memcpy(out + written, replacement, REPLACEMENT_SIZE);
            written += REPLACEMENT_SIZE;
            at++;
        }
    }
    return written;
}

static bool continues(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

slice_t worker_text_cut(slice_t text, size_t limit, text_keep_t keep)
{
    if (text.size <= limit)
        return text;
    if (keep == TEXT_HEAD) {
        size_t end = limit;
        while (end > 0 && continues(text.data[end]))
            end--;
        return slice(text.data, end);
    }
    size_t start = text.size - limit;
    while (start < text.size && continues(text.data[start]))
        start++;
    return slice(text.data + start, text.size - start);
}

/*  Replacing never shortens, so what lies beyond the limit (and the character across its edge)
    cannot come into the result and need not be looked at. */
static slice_t bound(slice_t bytes, size_t limit, text_keep_t keep)
{
    size_t most = limit + SEQUENCE_MAX;
    if (bytes.size <= most)
        return bytes;
    return keep == TEXT_HEAD ? slice(bytes.data, most)
                             : slice(bytes.data + bytes.size - most, most);
}

char *worker_text_clean(slice_t bytes, size_t limit, text_keep_t keep, size_t *size)
{
    bool whole = utf8_valid(bytes) && (bytes.size == 0 || !memchr(bytes.data, 0, bytes.size));
    uint8_t *replaced = NULL;
    slice_t text = bytes;
    if (!whole) {
        slice_t part = bound(bytes, limit, keep);
        replaced = mem_alloc(part.size * REPLACEMENT_SIZE);
        text = slice(replaced, replace_bad(part, replaced));
    }
    text = worker_text_cut(text, limit, keep);
    char *copy = mem_strndup(text.data, text.size);
    free(replaced);
    *size = text.size;
    return copy;
}

slice_t worker_text_last_line(slice_t text)
{
    size_t end = text.size;
    while (end > 0 && isspace(text.data[end - 1]))
        end--;
    size_t start = end;
    while (start > 0 && text.data[start - 1] != '\n')
        start--;
    while (start < end && isspace(text.data[start]))
        start++;
    return slice(text.data + start, end - start);
}
