#include "common/wire/token.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

_Static_assert(TOKEN_KEY_BYTES == crypto_shorthash_KEYBYTES, "SipHash key size");

enum { MAC_DIGITS = 16 };

static uint64_t mac(const token_keys_t *keys, token_t token)
{
    uint8_t message[16], out[crypto_shorthash_BYTES];
    for (int i = 0; i < 8; i++) {
        message[i] = (uint8_t)(token.seq >> (8 * i));
        message[8 + i] = (uint8_t)((uint64_t)token.attempt >> (8 * i));
    }
    crypto_shorthash(out, message, sizeof message,
                     token.ephemeral ? keys->ephemeral : keys->lasting);
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)out[i] << (8 * i);
    return value;
}

token_keys_t token_keys(const uint8_t lasting[TOKEN_KEY_BYTES])
{
    token_keys_t keys;
    memcpy(keys.lasting, lasting, sizeof keys.lasting);
    randombytes_buf(keys.ephemeral, sizeof keys.ephemeral);
    return keys;
}

static size_t put_hex(char *text, uint64_t value, int digits)
{
    if (digits == 0)
        for (digits = 1; digits < 16 && value >> (4 * digits) != 0; digits++)
            ;
    for (int i = 0; i < digits; i++)
        text[i] = "0123456789abcdef"[(value >> (4 * (digits - 1 - i))) & 15];
    return (size_t)digits;
}

size_t token_format(const token_keys_t *keys, token_t token, char text[TOKEN_TEXT_BYTES])
{
    size_t at = put_hex(text, token.seq, 0);
    text[at++] = '.';
    at += put_hex(text + at, token.attempt, 0);
    text[at++] = '.';
    at += put_hex(text + at, mac(keys, token), MAC_DIGITS);
    text[at] = '\0';
    return at;
}

/*  Reads 1..max hex digits at *at and moves it past them. */
static bool get_hex(slice_t text, size_t *at, int max, uint64_t *value)
{
    size_t start = *at;
    *value = 0;
    for (; *at < text.size && (int)(*at - start) < max; (*at)++) {
        uint8_t c = text.data[*at];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            break;
        *value = *value << 4 | (uint64_t)digit;
    }
    return *at > start;
}

/*  A number as token_format writes it: no zeros in front, so that a token has one text only. */
static bool get_number(slice_t text, size_t *at, int max, uint64_t *value)
{
    size_t start = *at;
    return get_hex(text, at, max, value) && (text.data[start] != '0' || *at == start + 1);
}

static bool get_dot(slice_t text, size_t *at)
{
    return *at < text.size && text.data[(*at)++] == '.';
}

static bool is_mac(const token_keys_t *keys, token_t token, uint64_t theirs)
{
    uint64_t ours = mac(keys, token);
    return sodium_memcmp(&ours, &theirs, sizeof ours) == 0;
}

bool token_parse(const token_keys_t *keys, slice_t text, token_t *token)
{
    size_t at = 0;
    uint64_t seq, attempt, theirs;
    if (!get_number(text, &at, 16, &seq) || !get_dot(text, &at) ||
        !get_number(text, &at, 8, &attempt) || !get_dot(text, &at) ||
        text.size - at != MAC_DIGITS || !get_hex(text, &at, MAC_DIGITS, &theirs) || at != text.size)
        return false;
    *token = (token_t){seq, (uint32_t)attempt, .ephemeral = false};
    if (is_mac(keys, *token, theirs))
        return true;
    token->ephemeral = true;
    return is_mac(keys, *token, theirs);
}
