/*  Codec of the Majordomo protocol 0.1 (RFC 7) and 0.2 (RFC 18): frames in, a struct out, and back.
    Pure: no socket, no allocation. Source: rfc.zeromq.org/spec/7, /18; quirks of real peers.

    "Frames" here are what ROUTER delivers after its routing-id frame. */

#ifndef REEVE_COMMON_WIRE_MDP_H
#define REEVE_COMMON_WIRE_MDP_H

#include "common/bytes.h"

typedef enum mdp_version { MDP_01 = 1, MDP_02 = 2 } mdp_version_t;

typedef enum mdp_kind {
    MDP_CLIENT_REQUEST,
    MDP_CLIENT_PARTIAL, /* 0.2, broker → client */
    MDP_CLIENT_FINAL,   /* broker → client; 0.1 REPLY */
    MDP_WORKER_READY,
    MDP_WORKER_REQUEST,
    MDP_WORKER_PARTIAL, /* 0.2 */
    MDP_WORKER_FINAL,   /* 0.1 REPLY */
    MDP_WORKER_HEARTBEAT,
    MDP_WORKER_DISCONNECT,
} mdp_kind_t;

/*  A decoded message; slices and `body` point into the caller's frames. */
typedef struct mdp_message {
    mdp_version_t version;
    mdp_kind_t kind;
    const slice_t *path; /* return path: the frames before the first empty frame (REQ_CORRELATE,
                            proxies); path_count 0 usually */
    size_t path_count;
    bool delimiter;      /* an empty frame stood before the header; mirror it */
    slice_t service;     /* CLIENT_*, WORKER_READY */
    slice_t address;     /* WORKER_REQUEST/PARTIAL/FINAL: the client-address frame */
    const slice_t *body; /* CLIENT_*, WORKER_REQUEST/PARTIAL/FINAL: >= 1 frame */
    size_t body_count;
} mdp_message_t;

/*  Whether these frames claim to be Majordomo: the header frame (the first, or the first after the
    first empty one) is MDPC01, MDPW01, MDPC02 or MDPW02. */
bool mdp_is_mdp(const slice_t *frames, size_t count);

/*  Decodes a message from a client or worker to the broker. Returns 0, or -1 with *problem set to a
    static phrase ("REQUEST without body"). Where the header and command are readable but the rest
    is not, out->version, kind and delimiter are still set; otherwise out->version is 0. Tolerances, each for a peer that exists:
    the leading empty frame is optional in both versions; after the address the empty frame is
    optional (PHP worker); the return path may be any number of frames. */
int mdp_decode(const slice_t *frames, size_t count, mdp_message_t *out, const char **problem);

/*  How many frames mdp_encode writes at most before the body. */
#define MDP_HEAD_FRAMES 6

/*  Writes the frames of `message` up to the body into `head` (room for path_count +
    MDP_HEAD_FRAMES) and returns how many; the caller sends head, then message->body. Command bytes
    and header texts are static storage. The leading empty frame is written when message->delimiter is set, or
    there is a path: what a peer sends is mirrored. */
size_t mdp_encode(const mdp_message_t *message, slice_t *head);

#endif
