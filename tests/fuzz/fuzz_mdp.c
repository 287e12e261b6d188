/*  Any frames are decoded or refused; what is decoded means the same when encoded and decoded again.
    Input: frames as a size byte and bytes each. */

#include "common/wire/mdp.h"
#include "tests/fuzz/fuzz.h"

enum { FRAMES = 64 };

typedef struct frames {
    slice_t items[2 * FRAMES + MDP_HEAD_FRAMES];
    size_t count;
} frames_t;

static bool same_frames(const slice_t *a, size_t a_count, const slice_t *b, size_t b_count)
{
    bool same = a_count == b_count;
    for (size_t i = 0; same && i < a_count; i++)
        same = slice_eq(a[i], b[i]);
    return same;
}

static bool same_message(const mdp_message_t *a, const mdp_message_t *b)
{
    return a->version == b->version && a->kind == b->kind && a->delimiter == b->delimiter &&
           same_frames(a->path, a->path_count, b->path, b->path_count) &&
           slice_eq(a->service, b->service) && slice_eq(a->address, b->address) &&
           same_frames(a->body, a->body_count, b->body, b->body_count);
}

static void encode(const mdp_message_t *message, frames_t *out)
{
    out->count = mdp_encode(message, out->items);
    CHECK(out->count <= message->path_count + MDP_HEAD_FRAMES);
    for (size_t i = 0; i < message->body_count; i++)
        out->items[out->count++] = message->body[i];
}

static void check_round_trip(const mdp_message_t *message)
{
    frames_t written, again;
    mdp_message_t reread;
    const char *problem;
    encode(message, &written);
    CHECK(mdp_decode(written.items, written.count, &reread, &problem) == 0);
    CHECK(same_message(message, &reread));
    encode(&reread, &again);
    CHECK(same_frames(written.items, written.count, again.items, again.count));
}

/*  What a broker makes of a client's REQUEST: a worker's REQUEST, and the reply to the client. */
static void check_answers(const mdp_message_t *request)
{
    mdp_message_t message = *request;
    for (int version = MDP_01; version <= MDP_02; version++) {
        message.version = (mdp_version_t)version;
        message.kind = MDP_WORKER_REQUEST;
        message.service = slice(NULL, 0);
        message.address = slice_str("2a.1.0123456789abcdef");
        check_round_trip(&message);
    }
    message = *request;
    message.kind = MDP_CLIENT_FINAL;
    if (message.version == MDP_02) {
        check_round_trip(&message);
        return;
    }
    frames_t written;
    mdp_message_t reread;
    const char *problem;
    encode(&message, &written);
    /* In 0.1 only the direction tells a REPLY from a REQUEST. */
    CHECK(mdp_decode(written.items, written.count, &reread, &problem) == 0);
    CHECK(same_message(request, &reread));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    chooser_t chooser = {slice(data, size), 0};
    slice_t frames[FRAMES];
    size_t count = 0;
    while (choices_left(&chooser) && count < FRAMES)
        frames[count++] = own_copy(choose_bytes(&chooser));
    mdp_message_t message;
    const char *problem = NULL;
    bool claims = mdp_is_mdp(frames, count);
    bool decoded = mdp_decode(frames, count, &message, &problem) == 0;
    CHECK(decoded ? claims : problem != NULL);
    if (decoded) {
        check_round_trip(&message);
        if (message.kind == MDP_CLIENT_REQUEST)
            check_answers(&message);
    }
    for (size_t i = 0; i < count; i++)
        free((void *)frames[i].data);
    return 0;
}
