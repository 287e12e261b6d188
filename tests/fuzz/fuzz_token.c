/*  A token has one text: what token_format wrote is read as it was, and nothing else is read.
    Input: key, sequence number, attempt, then edits of the text, or the rest is taken as the text. */

#include "common/wire/token.h"
#include "tests/fuzz/fuzz.h"

enum { ROOM = TOKEN_TEXT_BYTES + 64 };

typedef struct text {
    uint8_t bytes[ROOM];
    size_t size;
} text_t;

static void edit(text_t *text, chooser_t *chooser)
{
    enum { REPLACE, INSERT, REMOVE, FLIP, EDITS };
    size_t kind = choose(chooser, EDITS), at = choose(chooser, text->size + 1);
    uint8_t byte = choose_byte(chooser);
    if (kind == INSERT && text->size < ROOM) {
        memmove(text->bytes + at + 1, text->bytes + at, text->size++ - at);
        text->bytes[at] = byte;
    } else if (at == text->size) {
        return;
    } else if (kind == REPLACE) {
        text->bytes[at] = byte;
    } else if (kind == FLIP) {
        text->bytes[at] ^= 0x20; /* the other case of a letter */
    } else if (kind == REMOVE) {
        memmove(text->bytes + at, text->bytes + at + 1, --text->size - at);
    }
}

/*  Whatever is accepted is what its token is written as. */
static bool check_parse(const token_keys_t *keys, slice_t text, token_t *token)
{
    char written[TOKEN_TEXT_BYTES];
    slice_t own = own_copy(text);
    bool accepted = token_parse(keys, own, token);
    if (accepted) {
        size_t size = token_format(keys, *token, written);
        CHECK(slice_eq(slice(written, size), text));
    }
    free((void *)own.data);
    return accepted;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    chooser_t chooser = {slice(data, size), 0};
    token_keys_t keys;
    for (size_t i = 0; i < TOKEN_KEY_BYTES; i++) {
        keys.lasting[i] = choose_byte(&chooser);
        keys.ephemeral[i] = keys.lasting[i] ^ 0x55;
    }
    token_t token = {choose_number(&chooser, 8), (uint32_t)choose_number(&chooser, 4),
                     keys.lasting[0] % 2 != 0},
            reread;

    char written[TOKEN_TEXT_BYTES];
    size_t length = token_format(&keys, token, written);
    CHECK(length < TOKEN_TEXT_BYTES && strlen(written) == length);
    CHECK(check_parse(&keys, slice(written, length), &reread));
    CHECK(reread.seq == token.seq && reread.attempt == token.attempt &&
          reread.ephemeral == token.ephemeral);

    text_t text = {.size = length};
    memcpy(text.bytes, written, length);
    if (choose(&chooser, 2)) {
        slice_t rest = choose_rest(&chooser);
        text.size = rest.size < ROOM ? rest.size : ROOM;
        if (text.size)
            memcpy(text.bytes, rest.data, text.size);
    }
    while (choices_left(&chooser))
        edit(&text, &chooser);
    slice_t edited = slice(text.bytes, text.size);
    if (check_parse(&keys, edited, &reread) && reread.seq == token.seq &&
        reread.attempt == token.attempt && reread.ephemeral == token.ephemeral)
        CHECK(slice_eq(edited, slice(written, length)));

    /*  Another database's keys. */
    keys.lasting[0] ^= 1;
    keys.ephemeral[0] ^= 1;
    CHECK(!token_parse(&keys, slice(written, length), &reread));
    return 0;
}
