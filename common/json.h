/*  JSON text as it is, checked, cut up and compacted without allocating: what comes from a peer is checked
    at the door and then kept as opaque bytes. Trees are cJSON's business, at the edges.
    Source: RFC 8259; strings must be valid UTF-8 (RFC 3629), escaped lone surrogates are refused. */

#ifndef REEVE_COMMON_JSON_H
#define REEVE_COMMON_JSON_H

#include "common/bytes.h"

/*  Whether `text` is exactly one JSON value (white space around it allowed) no deeper than
    LIMIT_JSON_DEPTH. Iterative over containers, one pass, any bytes. Any thread. */
bool json_valid(slice_t text);

/*  The same, and the value is an object (first non-space character '{'). */
bool json_valid_object(slice_t text);

/*  The same as json_valid for what is to be the value of a member of an object. */
bool json_valid_member(slice_t text);

/*  A member of an object as written: two literals. */
typedef struct json_member {
    slice_t name, value;
} json_member_t;

/*  The next member of an object, which begins where `object` does; false at its end, and where it is not
    JSON any more. *at starts at 0. Any bytes. */
bool json_next_member(slice_t object, size_t *at, json_member_t *out);

/*  Writes valid JSON without the white space between its tokens, for layout is not content: bodies of
    tasks are compared byte by byte when an id comes again. Returns the size, at most that of `text`. */
size_t json_compact(void *to, slice_t text);

/*  Whether `text` is valid UTF-8 (RFC 3629: no overlong forms, no surrogates). */
bool utf8_valid(slice_t text);

/*  Whether `text` is a name: 1..limit bytes of valid UTF-8 without control characters (C0, DEL, C1),
    not starting or ending with a space. For queues, task names, origins, workers. */
bool name_valid(slice_t text, size_t limit);

/*  Whether `text` is a task id: 1..LIMIT_ID_BYTES printable ASCII characters without space. */
bool id_valid(slice_t text);

#endif
