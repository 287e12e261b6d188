/*  The printable task-and-attempt token that names a delivery on every wire.

    It stands where Majordomo has the client address (RFC 7, RFC 18), so peers echo it untouched;
    it names what Reeve needs to fence (task and attempt), survives a broker restart, and carries a
    MAC under a key of the database, so that a peer cannot make up another task's token. An attempt
    that is given out before it is on disk may be given out again after a crash, even of another task:
    the MAC of its token is under a key of the running broker, and the token ends with it.
    Form: lower-case hex of sequence number, '.', attempt, '.', 16 hex digits of SipHash-2-4
    (libsodium crypto_shorthash) over both as little-endian 64-bit integers. */

#ifndef REEVE_COMMON_WIRE_TOKEN_H
#define REEVE_COMMON_WIRE_TOKEN_H

#include "common/bytes.h"

#define TOKEN_KEY_BYTES  16
#define TOKEN_TEXT_BYTES 52 /* longest text with its NUL */

typedef struct token {
    uint64_t seq;     /* the task's sequence number, its key in the store */
    uint32_t attempt; /* 1, 2, … */
    bool ephemeral;   /* valid until the broker ends */
} token_t;

typedef struct token_keys {
    uint8_t lasting[TOKEN_KEY_BYTES];   /* of the database */
    uint8_t ephemeral[TOKEN_KEY_BYTES]; /* random, of this run */
} token_keys_t;

/*  Any thread; the database's key with a new random one. */
token_keys_t token_keys(const uint8_t lasting[TOKEN_KEY_BYTES]);

/*  Writes the token's text and a NUL; returns its length. Any thread. */
size_t token_format(const token_keys_t *keys, token_t token, char text[TOKEN_TEXT_BYTES]);

/*  False when `text` is not the text of a token under one of the keys. Constant-time in the MAC. */
bool token_parse(const token_keys_t *keys, slice_t text, token_t *token);

#endif
