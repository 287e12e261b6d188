#include "common/wire/mdp.h"

#include <assert.h>

/*  What stands after the header and the command. */
typedef enum shape {
    SHAPE_BARE,    /* nothing */
    SHAPE_SERVICE, /* the service, nothing else */
    SHAPE_CLIENT,  /* the service and the body */
    SHAPE_WORKER,  /* the client address, an empty frame and the body */
} shape_t;

typedef enum side { SIDE_CLIENT, SIDE_WORKER } side_t;

/*  One row of the frame tables of RFC 7 and RFC 18. */
typedef struct row {
    mdp_version_t version;
    side_t side;
    mdp_kind_t kind;
    uint8_t code; /* the command byte; NO_CODE: this message has none */
    shape_t shape;
    const char *no_service, *no_address, *no_body, *too_long; /* what decoding may find wrong */
} row_t;

#define NO_CODE 0

#define ROW(version, side, kind, code, shape, name)                                                \
    {                                                                                              \
        version, SIDE_##side, MDP_##side##_##kind, code, shape, name " without service",           \
            name " without client address", name " without body", name " with extra frames"        \
    }

/*  0.1 has one form for a client's REQUEST and the broker's REPLY; the direction tells them apart.
    REQUEST stands first, because decoding takes the first row that fits. */
static const row_t rows[] = {
    ROW(MDP_01, CLIENT, REQUEST, NO_CODE, SHAPE_CLIENT, "REQUEST"),
    ROW(MDP_01, CLIENT, FINAL, NO_CODE, SHAPE_CLIENT, "REPLY"),
    ROW(MDP_01, WORKER, READY, 0x01, SHAPE_SERVICE, "READY"),
    ROW(MDP_01, WORKER, REQUEST, 0x02, SHAPE_WORKER, "REQUEST"),
    ROW(MDP_01, WORKER, FINAL, 0x03, SHAPE_WORKER, "REPLY"),
    ROW(MDP_01, WORKER, HEARTBEAT, 0x04, SHAPE_BARE, "HEARTBEAT"),
    ROW(MDP_01, WORKER, DISCONNECT, 0x05, SHAPE_BARE, "DISCONNECT"),
    ROW(MDP_02, CLIENT, REQUEST, 0x01, SHAPE_CLIENT, "REQUEST"),
    ROW(MDP_02, CLIENT, PARTIAL, 0x02, SHAPE_CLIENT, "PARTIAL"),
    ROW(MDP_02, CLIENT, FINAL, 0x03, SHAPE_CLIENT, "FINAL"),
    ROW(MDP_02, WORKER, READY, 0x01, SHAPE_SERVICE, "READY"),
    ROW(MDP_02, WORKER, REQUEST, 0x02, SHAPE_WORKER, "REQUEST"),
    ROW(MDP_02, WORKER, PARTIAL, 0x03, SHAPE_WORKER, "PARTIAL"),
    ROW(MDP_02, WORKER, FINAL, 0x04, SHAPE_WORKER, "FINAL"),
    ROW(MDP_02, WORKER, HEARTBEAT, 0x05, SHAPE_BARE, "HEARTBEAT"),
    ROW(MDP_02, WORKER, DISCONNECT, 0x06, SHAPE_BARE, "DISCONNECT"),
};

#define ROW_COUNT   (sizeof rows / sizeof rows[0])
#define HEADER_SIZE 6

static const struct header {
    mdp_version_t version;
    side_t side;
    char text[HEADER_SIZE + 1];
    bool has_command;
} headers[] = {
    {MDP_01, SIDE_CLIENT, "MDPC01", false},
    {MDP_01, SIDE_WORKER, "MDPW01", true},
    {MDP_02, SIDE_CLIENT, "MDPC02", true},
    {MDP_02, SIDE_WORKER, "MDPW02", true},
};

#define HEADER_COUNT (sizeof headers / sizeof headers[0])

static const struct header *header_of(slice_t frame)
{
    for (size_t i = 0; i < HEADER_COUNT; i++)
        if (slice_eq(frame, slice(headers[i].text, HEADER_SIZE)))
            return &headers[i];
    return NULL;
}

/*  The header and its position: the first frame, else the frame after the first empty one. */
static const struct header *find_header(const slice_t *frames, size_t count, size_t *at)
{
    *at = 0;
    const struct header *header = count > 0 ? header_of(frames[0]) : NULL;
    if (header != NULL)
        return header;
    while (*at < count && frames[*at].size > 0)
        (*at)++;
    (*at)++;
    return *at < count ? header_of(frames[*at]) : NULL;
}

bool mdp_is_mdp(const slice_t *frames, size_t count)
{
    size_t at;
    return find_header(frames, count, &at) != NULL;
}

static const row_t *row_of_code(mdp_version_t version, side_t side, uint8_t code)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].version == version && rows[i].side == side && rows[i].code == code)
            return &rows[i];
    return NULL;
}

static const row_t *row_of_kind(mdp_version_t version, mdp_kind_t kind)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].version == version && rows[i].kind == kind)
            return &rows[i];
    return NULL;
}

/*  Reads the command that stands at *at, if this header is followed by one, and moves past it. */
static const row_t *decode_command(const struct header *header, const slice_t *frames, size_t count,
                                   size_t *at, const char **problem)
{
    if (!header->has_command)
        return row_of_code(header->version, header->side, NO_CODE);
    if (*at == count) {
        *problem = "no command";
        return NULL;
    }
    slice_t command = frames[(*at)++];
    const row_t *row =
        command.size == 1 ? row_of_code(header->version, header->side, command.data[0]) : NULL;
    if (row == NULL)
        *problem = "unknown command";
    return row;
}

/*  Reads what follows the command, `count` frames. Returns what is wrong, or NULL. */
static const char *decode_rest(const row_t *row, const slice_t *frames, size_t count,
                               mdp_message_t *out)
{
    size_t at = 0;
    if (row->shape == SHAPE_SERVICE || row->shape == SHAPE_CLIENT) {
        if (at == count)
            return row->no_service;
        out->service = frames[at++];
    } else if (row->shape == SHAPE_WORKER) {
        /*  No peer's address is empty: an empty frame here is the delimiter of a missing one. */
        if (at == count || frames[at].size == 0)
            return row->no_address;
        out->address = frames[at++];
        /*  The Guide's PHP worker leaves the delimiter out. */
        if (at < count && frames[at].size == 0)
            at++;
    }
    if (row->shape == SHAPE_BARE || row->shape == SHAPE_SERVICE)
        return at < count ? row->too_long : NULL;
    if (at == count)
        return row->no_body;
    out->body = frames + at;
    out->body_count = count - at;
    return NULL;
}

int mdp_decode(const slice_t *frames, size_t count, mdp_message_t *out, const char **problem)
{
    size_t at;
    *out = (mdp_message_t){0};
    const struct header *header = find_header(frames, count, &at);
    if (header == NULL) {
        *problem = "no Majordomo header";
        return -1;
    }
    size_t header_at = at++;
    const row_t *row = decode_command(header, frames, count, &at, problem);
    if (row == NULL)
        return -1;
    out->version = row->version;
    out->kind = row->kind;
    out->delimiter = header_at > 0;
    if (header_at > 1) {
        out->path = frames;
        out->path_count = header_at - 1;
    }
    const char *wrong = decode_rest(row, frames + at, count - at, out);
    if (wrong != NULL) {
        *problem = wrong;
        return -1;
    }
    return 0;
}

static slice_t header_frame(mdp_version_t version, side_t side)
{
    size_t i = 0;
    while (headers[i].version != version || headers[i].side != side)
        i++;
    return slice(headers[i].text, HEADER_SIZE);
}

size_t mdp_encode(const mdp_message_t *message, slice_t *head)
{
    const row_t *row = row_of_kind(message->version, message->kind);
    assert(row != NULL); /* there is no PARTIAL in 0.1 */
    size_t n = 0;
    for (; n < message->path_count; n++)
        head[n] = message->path[n];
    /*  A return path can only be told from the header by the empty frame that ends it. */
    if (message->delimiter || message->path_count > 0)
        head[n++] = slice("", 0);
    head[n++] = header_frame(row->version, row->side);
    if (row->code != NO_CODE)
        head[n++] = slice(&row->code, 1);
    if (row->shape == SHAPE_SERVICE || row->shape == SHAPE_CLIENT)
        head[n++] = message->service;
    if (row->shape == SHAPE_WORKER) {
        head[n++] = message->address;
        head[n++] = slice("", 0);
    }
    return n;
}
