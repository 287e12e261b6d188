/*  Protobuf's wire format (proto3) for messages described by tables: decoded without allocation,
    written in ascending field order.
    Source: protobuf.dev/programming-guides/encoding. Left out because no message of ours has them:
    signed, fixed-width and floating fields, packed lists, groups (refused), maps. */

#ifndef REEVE_COMMON_WIRE_PB_H
#define REEVE_COMMON_WIRE_PB_H

#include "common/bytes.h"

#define PB_FIELDS     16 /* field numbers 1 … 15, those whose tag is one byte */
#define PB_VARINT_MAX 10 /* bytes of the longest varint */
#define PB_ABSENT     UINT64_MAX

/*  What a field is on the wire and which member of the decoded struct holds it. */
typedef enum pb_kind {
    PB_NONE,       /* no such field: skipped when read */
    PB_UINT32,     /* uint64_t member, 0 when absent; values over 32 bits are refused */
    PB_UINT64,     /* uint64_t member, 0 when absent */
    PB_OPTIONAL32, /* uint64_t member, PB_ABSENT when absent */
    PB_OPTIONAL64,
    PB_BOOL,     /* bool member */
    PB_BYTES,    /* slice_t member, also for strings; UTF-8 is the reader's business */
    PB_MESSAGE,  /* the member is the struct of another schema */
    PB_REPEATED, /* no member: checked when decoding, read with pb_next; items are of `schema`, or
                    bytes where that is NULL */
} pb_kind_t;

typedef struct pb_field {
    pb_kind_t kind;
    uint16_t offset;                /* of the member */
    uint32_t max_items;             /* PB_REPEATED */
    const struct pb_schema *schema; /* PB_MESSAGE, PB_REPEATED */
} pb_field_t;

typedef struct pb_schema {
    unsigned last;                /* highest field number */
    pb_field_t fields[PB_FIELDS]; /* by number */
} pb_schema_t;

/*  Decodes `bytes` over the struct at `out`, which the caller has set to its defaults; NULL: only
    checks. Everything nested is checked too. Unknown fields are skipped, the last of several values
    wins, several embedded messages merge. Returns NULL, or what is wrong as a static phrase. */
const char *pb_decode(const pb_schema_t *schema, slice_t bytes, void *out);

/*  The next item of repeated field `number` in bytes that pb_decode accepted; false at the end. */
bool pb_next(slice_t bytes, size_t *at, unsigned number, slice_t *item);

/*  Bytes that pb_write will write for the struct at `from`: its fields that differ from their
    defaults, repeated ones excepted. */
size_t pb_size(const pb_schema_t *schema, const void *from);
/*  Writes them and returns the position after them. */
uint8_t *pb_write(uint8_t *to, const pb_schema_t *schema, const void *from);

/*  Single parts, for lists that are written item by item. All return the position after what they
    wrote; tags are those of fields 1 … 15. */
uint8_t *pb_put_varint(uint8_t *to, uint64_t value);
uint8_t *pb_put_number(uint8_t *to, unsigned number, uint64_t value);
uint8_t *pb_put_head(uint8_t *to, unsigned number, size_t size); /* of a length-delimited field */

/*  False, with *at anywhere, when the varint is cut off or does not fit 64 bits. */
bool pb_get_varint(slice_t bytes, size_t *at, uint64_t *value);

#endif
