/*  Protobuf over a schema with a field of every kind: checking and decoding agree, pb_size tells
    what pb_write writes, and what is written decodes to the same. Input: the message. */

#include "common/wire/pb.h"
#include "tests/fuzz/fuzz.h"

typedef struct part {
    uint64_t number, optional;
    slice_t bytes;
} part_t;

typedef struct whole {
    uint64_t number32, number64, optional32, optional64;
    bool flag;
    slice_t bytes;
    part_t part;
} whole_t;

enum { ITEM = 8, ITEMS = 4, TEXT = 9, TEXTS = 3 };

static const pb_schema_t part_schema = {
    .last = 4,
    .fields = {[1] = {.kind = PB_UINT64, .offset = offsetof(part_t, number)},
               [3] = {.kind = PB_OPTIONAL64, .offset = offsetof(part_t, optional)},
               [4] = {.kind = PB_BYTES, .offset = offsetof(part_t, bytes)}},
};

static const pb_schema_t whole_schema = {
    .last = 15,
    .fields = {[1] = {.kind = PB_UINT32, .offset = offsetof(whole_t, number32)},
               [2] = {.kind = PB_UINT64, .offset = offsetof(whole_t, number64)},
               [3] = {.kind = PB_OPTIONAL32, .offset = offsetof(whole_t, optional32)},
               [4] = {.kind = PB_OPTIONAL64, .offset = offsetof(whole_t, optional64)},
               [5] = {.kind = PB_BOOL, .offset = offsetof(whole_t, flag)},
               [6] = {.kind = PB_BYTES, .offset = offsetof(whole_t, bytes)},
               [ITEM] = {.kind = PB_REPEATED, .schema = &part_schema, .max_items = ITEMS},
               [TEXT] = {.kind = PB_REPEATED, .max_items = TEXTS},
               [15] = {.kind = PB_MESSAGE,
                       .offset = offsetof(whole_t, part),
                       .schema = &part_schema}},
};

static const whole_t defaults = {
    .optional32 = PB_ABSENT, .optional64 = PB_ABSENT, .part = {.optional = PB_ABSENT}};

static void check_same_part(const part_t *a, const part_t *b)
{
    CHECK(a->number == b->number && a->optional == b->optional && slice_eq(a->bytes, b->bytes));
}

static void check_same(const whole_t *a, const whole_t *b)
{
    CHECK(a->number32 == b->number32 && a->number64 == b->number64);
    CHECK(a->optional32 == b->optional32 && a->optional64 == b->optional64);
    CHECK(a->flag == b->flag && slice_eq(a->bytes, b->bytes));
    check_same_part(&a->part, &b->part);
}

static slice_t write(const whole_t *whole)
{
    size_t size = pb_size(&whole_schema, whole);
    uint8_t *bytes = mem_alloc(size ? size : 1);
    CHECK(pb_write(bytes, &whole_schema, whole) == bytes + size);
    return slice(bytes, size);
}

static void check_round_trip(const whole_t *whole)
{
    whole_t reread = defaults;
    slice_t first = write(whole);
    CHECK(pb_decode(&whole_schema, first, &reread) == NULL);
    check_same(whole, &reread);
    slice_t second = write(&reread);
    CHECK(slice_eq(first, second));
    free((void *)first.data);
    free((void *)second.data);
}

static void check_items(slice_t bytes)
{
    slice_t item;
    size_t at = 0, items = 0, texts = 0;
    for (; pb_next(bytes, &at, ITEM, &item); items++)
        CHECK(pb_decode(&part_schema, item, NULL) == NULL);
    for (at = 0; pb_next(bytes, &at, TEXT, &item); texts++)
        CHECK(item.size <= bytes.size);
    CHECK(items <= ITEMS && texts <= TEXTS);
}

static void check_varint(slice_t bytes)
{
    uint8_t written[PB_VARINT_MAX];
    uint64_t value, same;
    size_t at = 0, same_at = 0;
    if (!pb_get_varint(bytes, &at, &value))
        return;
    CHECK(at <= PB_VARINT_MAX && at <= bytes.size);
    size_t size = (size_t)(pb_put_varint(written, value) - written);
    CHECK(size <= at); /* it may have been padded */
    CHECK(pb_get_varint(slice(written, size), &same_at, &same));
    CHECK(same == value && same_at == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t bytes = slice(data, size);
    whole_t whole = defaults;
    const char *problem = pb_decode(&whole_schema, bytes, &whole);
    CHECK(pb_decode(&whole_schema, bytes, NULL) == problem);
    if (problem == NULL) {
        CHECK(whole.number32 <= UINT32_MAX);
        CHECK(whole.optional32 <= UINT32_MAX || whole.optional32 == PB_ABSENT);
        check_round_trip(&whole);
        check_items(bytes);
    }
    check_varint(bytes);
    return 0;
}
