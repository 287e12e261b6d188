/*  Codec of the Titanic Service Protocol (RFC 9), carried in Majordomo bodies, and of MMI (RFC 8).
    Pure. Source: rfc.zeromq.org/spec/9 and /8. */

#ifndef REEVE_COMMON_WIRE_TSP_H
#define REEVE_COMMON_WIRE_TSP_H

#include "common/bytes.h"

typedef enum tsp_service {
    TSP_NONE, /* the service name is not one of Titanic's */
    TSP_REQUEST,
    TSP_REPLY,
    TSP_CLOSE,
    TSP_UNKNOWN, /* starts with "titanic." but is no service of RFC 9 */
} tsp_service_t;

tsp_service_t tsp_service(slice_t service);

/*  Whether the name starts with "mmi." */
bool mmi_is_mmi(slice_t service);

/*  32 hex digits, either case, to the id text a task has (36 characters, lower case, dashes) with a
    NUL. False when `text` is not such a UUID. Text with dashes is accepted too. */
bool tsp_uuid_to_id(slice_t text, char id[37]);
/*  The other way: 32 upper-case hex digits and a NUL. False when id is not a UUID's text. */
bool tsp_id_to_uuid(slice_t id, char uuid[33]);

/*  Status frames: "200", "300", "400", "500"; MMI: "200", "404", "501". */
#define TSP_OK              "200"
#define TSP_PENDING         "300"
#define TSP_UNKNOWN_UUID    "400"
#define TSP_ERROR           "500"
#define MMI_OK              "200"
#define MMI_NOT_FOUND       "404"
#define MMI_NOT_IMPLEMENTED "501"

#endif
