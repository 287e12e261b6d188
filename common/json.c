#include "common/json.h"

#include "common/limits.h"
#include "common/word.h"

/*  Open containers are bits of one word, the innermost lowest: 1 an object, 0 an array. */
_Static_assert(LIMIT_JSON_DEPTH <= 64, "the stack of open containers is one 64-bit word");

/*  1 where a byte may stand in a string as it is: ASCII but controls, quote and backslash. */
static const uint8_t plain[256] = {
    [0x20 ... 0x21] = 1,
    [0x23 ... 0x5b] = 1,
    [0x5d ... 0x7f] = 1,
};

/*  Past the plain bytes; eight at a time while that lasts, as most strings of tasks are ASCII. */
static inline const uint8_t *skip_plain(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= 8 && !word_flagged(word_json_odd(word_load(at))))
        at += 8;
    while (at < end && plain[*at])
        at++;
    return at;
}

static inline bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/*  Size of the multi-byte UTF-8 sequence at `at` (RFC 3629, section 4), or 0. */
static size_t utf8_sequence(const uint8_t *at, const uint8_t *end)
{
    size_t left = (size_t)(end - at);
    uint8_t lead = at[0];
    if (lead < 0xc2 || left < 2 || !is_continuation(at[1]))
        return 0;
    if (lead < 0xe0)
        return 2;
    if (left < 3 || !is_continuation(at[2]))
        return 0;
    if (lead < 0xf0) {
        bool overlong = lead == 0xe0 && at[1] < 0xa0;
        bool surrogate = lead == 0xed && at[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (left < 4 || !is_continuation(at[3]))
        return 0;
    bool overlong = lead == 0xf0 && at[1] < 0x90;
    bool too_large = lead > 0xf4 || (lead == 0xf4 && at[1] >= 0x90);
    return overlong || too_large ? 0 : 4;
}

/*  The value of four hex digits, or -1. */
static int hex4(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 4)
        return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i];
        int digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (c | 0x20) - 'a' + 10;
        else
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/*  All scan_… functions: from the first byte of the thing to past its last one, or NULL. */

static const uint8_t *scan_escape(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 2)
        return NULL;
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        break;
    default:
        return NULL;
    }
    int unit = hex4(at + 2, end);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return NULL;
    at += 6;
    if (unit < 0xd800 || unit > 0xdbff)
        return at;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return NULL;
    unit = hex4(at + 2, end);
    return unit >= 0xdc00 && unit <= 0xdfff ? at + 6 : NULL;
}

static const uint8_t *scan_string(const uint8_t *at, const uint8_t *end)
{
    if (*at++ != '"')
        return NULL;
    for (;;) {
        at = skip_plain(at, end);
        if (at == end)
            return NULL;
        if (*at == '"')
            return at + 1;
        if (*at == '\\') {
            at = scan_escape(at, end);
            if (at == NULL)
                return NULL;
        } else {
            size_t size = utf8_sequence(at, end);
            if (size == 0)
                return NULL;
            at += size;
        }
    }
}

static const uint8_t *scan_digits(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *first = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > first ? at : NULL;
}

static const uint8_t *scan_number(const uint8_t *at, const uint8_t *end)
{
    if (*at == '-')
        at++;
    if (at < end && *at == '0')
        at++; /* and no digit after it: what follows must be a delimiter */
    else
        at = scan_digits(at, end);
    if (at && at < end && *at == '.')
        at = scan_digits(at + 1, end);
    if (at && at < end && (*at | 0x20) == 'e') {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        at = scan_digits(at, end);
    }
    return at;
}

static const uint8_t *scan_word(const uint8_t *at, const uint8_t *end, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(end - at) >= size && memcmp(at, word, size) == 0 ? at + size : NULL;
}

static const uint8_t *scan_scalar(const uint8_t *at, const uint8_t *end)
{
    switch (*at) {
    case '"':
        return scan_string(at, end);
    case 't':
        return scan_word(at, end, "true");
    case 'f':
        return scan_word(at, end, "false");
    case 'n':
        return scan_word(at, end, "null");
    default:
        return scan_number(at, end);
    }
}

static inline const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/*  A member's name and its colon. */
static const uint8_t *scan_name(const uint8_t *at, const uint8_t *end)
{
    at = scan_string(at, end);
    if (at == NULL)
        return NULL;
    at = skip_space(at, end);
    return at < end && *at == ':' ? at + 1 : NULL;
}

/*  A reader between two tokens: where it stands, what may come, and what is open. */
typedef struct reader {
    const uint8_t *at, *end;
    enum {
        WANT_VALUE,
        WANT_ITEM_OR_CLOSE,
        WANT_NAME,
        WANT_NAME_OR_CLOSE,
        WANT_COMMA_OR_CLOSE
    } want;
    unsigned depth, most_depth;
    uint64_t objects;
} reader_t;

static inline bool open_container(reader_t *reader, bool object)
{
    if (reader->depth == reader->most_depth)
        return false;
    reader->depth++;
    reader->objects = reader->objects << 1 | object;
    reader->want = object ? WANT_NAME_OR_CLOSE : WANT_ITEM_OR_CLOSE;
    reader->at++;
    return true;
}

static inline void close_container(reader_t *reader)
{
    reader->depth--;
    reader->objects >>= 1;
    reader->want = WANT_COMMA_OR_CLOSE;
    reader->at++;
}

static inline bool read_value(reader_t *reader)
{
    if (*reader->at == '{' || *reader->at == '[')
        return open_container(reader, *reader->at == '{');
    reader->at = scan_scalar(reader->at, reader->end);
    reader->want = WANT_COMMA_OR_CLOSE;
    return reader->at != NULL;
}

static inline bool read_name(reader_t *reader)
{
    reader->at = scan_name(reader->at, reader->end);
    reader->want = WANT_VALUE;
    return reader->at != NULL;
}

static inline bool read_comma_or_close(reader_t *reader)
{
    if (reader->depth == 0)
        return false; /* something after the value */
    bool object = reader->objects & 1;
    if (*reader->at == ',') {
        reader->at++;
        reader->want = object ? WANT_NAME : WANT_VALUE;
        return true;
    }
    if (*reader->at != (object ? '}' : ']'))
        return false;
    close_container(reader);
    return true;
}

/*  One token (a name with its colon counts as one); false when it may not stand there. */
static inline bool read_token(reader_t *reader)
{
    switch (reader->want) {
    case WANT_ITEM_OR_CLOSE:
        if (*reader->at == ']') {
            close_container(reader);
            return true;
        }
        return read_value(reader);
    case WANT_VALUE:
        return read_value(reader);
    case WANT_NAME_OR_CLOSE:
        if (*reader->at == '}') {
            close_container(reader);
            return true;
        }
        return read_name(reader);
    case WANT_NAME:
        return read_name(reader);
    case WANT_COMMA_OR_CLOSE:
        return read_comma_or_close(reader);
    }
    return false;
}

static inline bool is_valid(slice_t text, unsigned most_depth)
{
    if (text.size == 0)
        return false;
    reader_t reader = {.at = text.data,
                       .end = text.data + text.size,
                       .want = WANT_VALUE,
                       .most_depth = most_depth};
    for (;;) {
        reader.at = skip_space(reader.at, reader.end);
        if (reader.at == reader.end)
            return reader.want == WANT_COMMA_OR_CLOSE && reader.depth == 0;
        if (!read_token(&reader))
            return false;
    }
}

bool json_valid(slice_t text)
{
    return is_valid(text, LIMIT_JSON_DEPTH);
}

bool json_valid_member(slice_t text)
{
    return is_valid(text, LIMIT_JSON_DEPTH - 1);
}

bool json_valid_object(slice_t text)
{
    if (text.size == 0)
        return false;
    const uint8_t *end = text.data + text.size;
    const uint8_t *first = skip_space(text.data, end);
    return first < end && *first == '{' && json_valid(text);
}

/*  Past the string literal at `at`, or to the end. */
static const uint8_t *skip_string(const uint8_t *at, const uint8_t *end)
{
    for (at = skip_plain(at + 1, end); at < end && *at != '"'; at = skip_plain(at, end))
        at += *at == '\\' && end - at > 1 ? 2 : 1;
    return at < end ? at + 1 : end;
}

/*  Past the value of a member. */
static const uint8_t *skip_value(const uint8_t *at, const uint8_t *end)
{
    for (int depth = 0; at < end && (depth > 0 || !strchr(",} \t\r\n", *at));) {
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        at = *at == '"' ? skip_string(at, end) : at + 1;
    }
    return at;
}

bool json_next_member(slice_t object, size_t *at, json_member_t *out)
{
    const uint8_t *end = object.data + object.size;
    const uint8_t *name = skip_space(object.data + *at, end);
    if (name == end || *name != (*at == 0 ? '{' : ','))
        return false;
    name = skip_space(name + 1, end);
    if (name == end || *name != '"')
        return false;
    const uint8_t *name_end = skip_string(name, end), *colon = skip_space(name_end, end);
    if (colon == end || *colon != ':')
        return false;
    const uint8_t *value = skip_space(colon + 1, end), *value_end = skip_value(value, end);
    *at = (size_t)(value_end - object.data);
    out->name = slice(name, (size_t)(name_end - name));
    out->value = slice(value, (size_t)(value_end - value));
    return true;
}

size_t json_compact(void *to, slice_t text)
{
    uint8_t *out = to;
    const uint8_t *at = text.data, *end = at + text.size;
    while ((at = skip_space(at, end)) < end) {
        const uint8_t *next = *at == '"' ? skip_string(at, end) : at + 1;
        memcpy(out, at, (size_t)(next - at));
        out += next - at;
        at = next;
    }
    return (size_t)(out - (uint8_t *)to);
}

bool utf8_valid(slice_t text)
{
    if (text.size == 0)
        return true;
    const uint8_t *at = text.data, *end = text.data + text.size;
    while (at < end) {
        if (end - at >= 8 && !word_flagged(word_load(at))) {
            at += 8;
        } else if (*at < 0x80) {
            at++;
        } else {
            size_t size = utf8_sequence(at, end);
            if (size == 0)
                return false;
            at += size;
        }
    }
    return true;
}

bool name_valid(slice_t text, size_t limit)
{
    if (text.size == 0 || text.size > limit || !utf8_valid(text))
        return false;
    if (text.data[0] == ' ' || text.data[text.size - 1] == ' ')
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c < 0x20 || c == 0x7f)
            return false;
        /* C1 controls, U+0080 to U+009F, are C2 80 to C2 9F; valid UTF-8 has a byte after C2. */
        if (c == 0xc2 && text.data[i + 1] < 0xa0)
            return false;
    }
    return true;
}

bool id_valid(slice_t text)
{
    if (text.size == 0 || text.size > LIMIT_ID_BYTES)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f)
            return false;
    return true;
}
