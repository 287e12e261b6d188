#include "common/wire/pb.h"

enum { TYPE_VARINT = 0, TYPE_FIXED64 = 1, TYPE_LENGTH = 2, TYPE_FIXED32 = 5 };

/*  One field as it stands on the wire, before anything is known of its meaning. */
typedef struct raw {
    uint64_t number;
    unsigned type;
    uint64_t value; /* TYPE_VARINT */
    slice_t bytes;  /* the others */
} raw_t;

static bool get_long_varint(slice_t bytes, size_t *at, uint64_t *value)
{
    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 64 && *at < bytes.size; shift += 7) {
        uint8_t byte = bytes.data[(*at)++];
        if (shift == 63 && byte > 1)
            return false;
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = sum;
            return true;
        }
    }
    return false;
}

/*  Tags, small numbers and the lengths of most strings are one byte. */
static inline bool get_varint(slice_t bytes, size_t *at, uint64_t *value)
{
    if (*at < bytes.size && bytes.data[*at] < 0x80) {
        *value = bytes.data[(*at)++];
        return true;
    }
    return get_long_varint(bytes, at, value);
}

bool pb_get_varint(slice_t bytes, size_t *at, uint64_t *value)
{
    return get_varint(bytes, at, value);
}

static inline const char *get_raw(slice_t bytes, size_t *at, raw_t *raw)
{
    uint64_t tag, size;
    *raw = (raw_t){0};
    if (!get_varint(bytes, at, &tag) || tag > UINT32_MAX)
        return "bad tag";
    raw->number = tag >> 3;
    raw->type = tag & 7;
    if (raw->number == 0)
        return "field number 0";
    switch (raw->type) {
    case TYPE_VARINT:
        return get_varint(bytes, at, &raw->value) ? NULL : "bad varint";
    case TYPE_LENGTH:
        if (!get_varint(bytes, at, &size))
            return "bad length";
        break;
    case TYPE_FIXED64:
        size = 8;
        break;
    case TYPE_FIXED32:
        size = 4;
        break;
    default:
        return "unknown wire type";
    }
    if (size > bytes.size - *at)
        return "truncated field";
    raw->bytes = slice(bytes.data + *at, (size_t)size);
    *at += (size_t)size;
    return NULL;
}

static const char *decode_number(const pb_field_t *field, const raw_t *raw, void *member)
{
    if (raw->type != TYPE_VARINT)
        return "wrong wire type";
    if ((field->kind == PB_UINT32 || field->kind == PB_OPTIONAL32) && raw->value > UINT32_MAX)
        return "number out of range";
    if (member == NULL)
        return NULL;
    if (field->kind == PB_BOOL)
        *(bool *)member = raw->value != 0;
    else
        *(uint64_t *)member = raw->value;
    return NULL;
}

static const char *decode_bytes(const pb_field_t *field, const raw_t *raw, void *member)
{
    if (raw->type != TYPE_LENGTH)
        return "wrong wire type";
    if (field->kind == PB_MESSAGE)
        return pb_decode(field->schema, raw->bytes, member);
    if (field->kind == PB_REPEATED)
        return field->schema ? pb_decode(field->schema, raw->bytes, NULL) : NULL;
    if (member != NULL)
        *(slice_t *)member = raw->bytes;
    return NULL;
}

const char *pb_decode(const pb_schema_t *schema, slice_t bytes, void *out)
{
    uint32_t items[PB_FIELDS] = {0};
    for (size_t at = 0; at < bytes.size;) {
        raw_t raw;
        const char *problem = get_raw(bytes, &at, &raw);
        if (problem != NULL)
            return problem;
        if (raw.number > schema->last)
            continue;
        const pb_field_t *field = &schema->fields[raw.number];
        void *member = out != NULL ? (uint8_t *)out + field->offset : NULL;
        if (field->kind == PB_NONE)
            continue;
        if (field->kind == PB_REPEATED && ++items[raw.number] > field->max_items)
            return "too many items";
        problem = field->kind <= PB_BOOL ? decode_number(field, &raw, member)
                                         : decode_bytes(field, &raw, member);
        if (problem != NULL)
            return problem;
    }
    return NULL;
}

bool pb_next(slice_t bytes, size_t *at, unsigned number, slice_t *item)
{
    raw_t raw;
    while (*at < bytes.size && get_raw(bytes, at, &raw) == NULL)
        if (raw.number == number && raw.type == TYPE_LENGTH) {
            *item = raw.bytes;
            return true;
        }
    return false;
}

/*  Reads a number member; false when it has its default value and is not to be written. */
static inline bool load_number(const pb_field_t *field, const void *member, uint64_t *value)
{
    if (field->kind == PB_BOOL)
        return (*value = *(const bool *)member) != 0;
    *value = *(const uint64_t *)member;
    return *value != (field->kind >= PB_OPTIONAL32 ? PB_ABSENT : 0);
}

static inline size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >>= 7)
        size++;
    return size;
}

size_t pb_size(const pb_schema_t *schema, const void *from)
{
    size_t total = 0;
    for (unsigned number = 1; number <= schema->last; number++) {
        const pb_field_t *field = &schema->fields[number];
        const void *member = (const uint8_t *)from + field->offset;
        uint64_t value;
        size_t size;
        if (field->kind == PB_NONE || field->kind == PB_REPEATED)
            continue;
        if (field->kind <= PB_BOOL) {
            total += load_number(field, member, &value) ? 1 + varint_size(value) : 0;
            continue;
        }
        size = field->kind == PB_MESSAGE ? pb_size(field->schema, member)
                                         : ((const slice_t *)member)->size;
        total += size ? 1 + varint_size(size) + size : 0;
    }
    return total;
}

static uint8_t *write_bytes(uint8_t *to, unsigned number, slice_t bytes)
{
    if (bytes.size == 0)
        return to;
    to = pb_put_head(to, number, bytes.size);
    memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

static uint8_t *write_message(uint8_t *to, unsigned number, const pb_schema_t *schema,
                              const void *from)
{
    size_t size = pb_size(schema, from);
    return size ? pb_write(pb_put_head(to, number, size), schema, from) : to;
}

uint8_t *pb_write(uint8_t *to, const pb_schema_t *schema, const void *from)
{
    for (unsigned number = 1; number <= schema->last; number++) {
        const pb_field_t *field = &schema->fields[number];
        const void *member = (const uint8_t *)from + field->offset;
        uint64_t value;
        if (field->kind == PB_NONE || field->kind == PB_REPEATED)
            continue;
        if (field->kind == PB_BYTES)
            to = write_bytes(to, number, *(const slice_t *)member);
        else if (field->kind == PB_MESSAGE)
            to = write_message(to, number, field->schema, member);
        else if (load_number(field, member, &value))
            to = pb_put_number(to, number, value);
    }
    return to;
}

uint8_t *pb_put_varint(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

uint8_t *pb_put_number(uint8_t *to, unsigned number, uint64_t value)
{
    *to++ = (uint8_t)(number << 3 | TYPE_VARINT);
    return pb_put_varint(to, value);
}

uint8_t *pb_put_head(uint8_t *to, unsigned number, size_t size)
{
    *to++ = (uint8_t)(number << 3 | TYPE_LENGTH);
    return pb_put_varint(to, size);
}
