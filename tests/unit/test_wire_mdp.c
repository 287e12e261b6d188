/*  The Majordomo codec against tests/vectors/mdp.txt, against huge messages and against noise. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/wire/mdp.h"

/*  A list of frames. Each frame and the list are allocations of their exact size, so that the
    address sanitizer sees any read beyond them. */
typedef struct frames {
    slice_t *frame;
    size_t count;
} frames_t;

static void frames_add(frames_t *self, const void *data, size_t size)
{
    slice_t *longer = mem_alloc((self->count + 1) * sizeof *longer);
    if (self->count > 0)
        memcpy(longer, self->frame, self->count * sizeof *longer);
    free(self->frame);
    self->frame = longer;
    uint8_t *copy = size > 0 ? mem_alloc(size) : NULL;
    if (size > 0)
        memcpy(copy, data, size);
    self->frame[self->count++] = slice(copy, size);
}

static void frames_fini(frames_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free((void *)(uintptr_t)self->frame[i].data);
    free(self->frame);
    *self = (frames_t){0};
}

static slice_t frames_only(const frames_t *self)
{
    return self->count > 0 ? self->frame[0] : slice(NULL, 0);
}

/* ---- The vectors, read once ---- */

enum way { WAY_BOTH, WAY_DECODE, WAY_ENCODE, WAY_REFUSE };

typedef struct vector {
    enum way way;
    char name[128];
    char problem[64];
    bool not_majordomo;
    mdp_message_t fields; /* its scalar members; the frames are below */
    frames_t frames, path, service, address, body;
} vector_t;

static vector_t *vectors;
static size_t vector_count;

static const char *const kind_names[] = {
    "CLIENT_REQUEST", "CLIENT_PARTIAL", "CLIENT_FINAL",     "WORKER_READY",      "WORKER_REQUEST",
    "WORKER_PARTIAL", "WORKER_FINAL",   "WORKER_HEARTBEAT", "WORKER_DISCONNECT",
};
static const char *const way_names[] = {"both", "decode", "encode", "refuse"};

static int index_of(const char *word, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(word, names[i]) == 0)
            return i;
    fail_msg("mdp.txt: unknown word '%s'", word);
    return -1;
}

static void read_hex(frames_t *into, const char *text, size_t size)
{
    uint8_t bytes[64];
    assert_true(size > 0 && size % 2 == 0 && size / 2 <= sizeof bytes);
    for (size_t i = 0; i < size / 2; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], '\0'}, *end;
        bytes[i] = (uint8_t)strtoul(digits, &end, 16);
        assert_ptr_equal(end, digits + 2);
    }
    frames_add(into, bytes, size / 2);
}

static void read_frames(frames_t *into, const char *text)
{
    while (*text != '\0') {
        size_t size;
        if (*text == '"') {
            size = strcspn(++text, "\"");
            assert_int_equal(text[size], '"');
            frames_add(into, text, size);
            text += size + 1;
        } else {
            size = strcspn(text, " ");
            read_hex(into, text, size);
            text += size;
        }
        text += strspn(text, " ");
    }
}

static void read_line(vector_t *vector, const char *word, const char *rest)
{
    if (strcmp(word, "frames") == 0)
        read_frames(&vector->frames, rest);
    else if (strcmp(word, "majordomo") == 0)
        vector->not_majordomo = strcmp(rest, "no") == 0;
    else if (strcmp(word, "problem") == 0)
        snprintf(vector->problem, sizeof vector->problem, "%s", rest);
    else if (strcmp(word, "version") == 0)
        vector->fields.version = (mdp_version_t)atoi(rest);
    else if (strcmp(word, "kind") == 0)
        vector->fields.kind = (mdp_kind_t)index_of(rest, kind_names, 9);
    else if (strcmp(word, "delimiter") == 0)
        vector->fields.delimiter = strcmp(rest, "yes") == 0;
    else if (strcmp(word, "path") == 0)
        read_frames(&vector->path, rest);
    else if (strcmp(word, "service") == 0)
        read_frames(&vector->service, rest);
    else if (strcmp(word, "address") == 0)
        read_frames(&vector->address, rest);
    else if (strcmp(word, "body") == 0)
        read_frames(&vector->body, rest);
    else
        fail_msg("mdp.txt: unknown word '%s'", word);
}

static void finish_vector(vector_t *vector)
{
    vector->fields.path = vector->path.frame;
    vector->fields.path_count = vector->path.count;
    vector->fields.service = frames_only(&vector->service);
    vector->fields.address = frames_only(&vector->address);
    vector->fields.body = vector->body.frame;
    vector->fields.body_count = vector->body.count;
}

static void open_vector(const char *rest)
{
    char way[16];
    int name_at = 0;
    assert_int_equal(sscanf(rest, "%15s %n", way, &name_at), 1);
    vectors = mem_realloc(vectors, (vector_count + 1) * sizeof *vectors);
    vector_t *vector = &vectors[vector_count++];
    *vector = (vector_t){.way = (enum way)index_of(way, way_names, 4)};
    snprintf(vector->name, sizeof vector->name, "%s", rest + name_at);
}

static int read_vectors(void **state)
{
    (void)state;
    FILE *file = fopen(REEVE_TEST_VECTORS "/mdp.txt", "r");
    assert_non_null(file);
    char line[512];
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        char *rest = line + strcspn(line, " ");
        if (*rest != '\0')
            *rest++ = '\0';
        if (strcmp(line, "vector") == 0)
            open_vector(rest);
        else
            read_line(&vectors[vector_count - 1], line, rest);
    }
    fclose(file);
    for (size_t i = 0; i < vector_count; i++)
        finish_vector(&vectors[i]);
    return 0;
}

static int forget_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++) {
        frames_fini(&vectors[i].frames);
        frames_fini(&vectors[i].path);
        frames_fini(&vectors[i].service);
        frames_fini(&vectors[i].address);
        frames_fini(&vectors[i].body);
    }
    free(vectors);
    return 0;
}

/* ---- Comparing ---- */

static void assert_same_frame(const char *name, const char *what, slice_t got, slice_t want)
{
    if (!slice_eq(got, want))
        fail_msg("%s: %s is '%.*s' (%zu bytes), want '%.*s' (%zu bytes)", name, what,
                 SLICE_ARG(got), got.size, SLICE_ARG(want), want.size);
}

static void assert_same_frames(const char *name, const char *what, const slice_t *got,
                               size_t got_count, const slice_t *want, size_t want_count)
{
    if (got_count != want_count)
        fail_msg("%s: %s has %zu frames, want %zu", name, what, got_count, want_count);
    for (size_t i = 0; i < got_count; i++)
        assert_same_frame(name, what, got[i], want[i]);
}

static void assert_same_kind(const char *name, const mdp_message_t *got, const mdp_message_t *want)
{
    if (got->version != want->version || got->kind != want->kind ||
        got->delimiter != want->delimiter)
        fail_msg("%s: version %d, %s, delimiter %d; want version %d, %s, delimiter %d", name,
                 got->version, kind_names[got->kind], got->delimiter, want->version,
                 kind_names[want->kind], want->delimiter);
}

static void assert_same_message(const char *name, const mdp_message_t *got,
                                const mdp_message_t *want)
{
    assert_same_kind(name, got, want);
    assert_same_frames(name, "path", got->path, got->path_count, want->path, want->path_count);
    assert_same_frame(name, "service", got->service, want->service);
    assert_same_frame(name, "address", got->address, want->address);
    assert_same_frames(name, "body", got->body, got->body_count, want->body, want->body_count);
}

/*  The whole encoded message; the caller frees the list, whose frames are the message's. */
static slice_t *encode_all(const mdp_message_t *message, size_t *count)
{
    slice_t *all =
        mem_alloc((message->path_count + MDP_HEAD_FRAMES + message->body_count) * sizeof *all);
    slice_t *head = mem_alloc((message->path_count + MDP_HEAD_FRAMES) * sizeof *head);
    size_t head_count = mdp_encode(message, head);
    assert_in_range(head_count, 1, message->path_count + MDP_HEAD_FRAMES);
    memcpy(all, head, head_count * sizeof *all);
    if (message->body_count > 0)
        memcpy(all + head_count, message->body, message->body_count * sizeof *all);
    free(head);
    *count = head_count + message->body_count;
    return all;
}

/* ---- Tests ---- */

static void every_vector_decodes_to_its_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++) {
        const vector_t *vector = &vectors[i];
        if (vector->way != WAY_BOTH && vector->way != WAY_DECODE)
            continue;
        mdp_message_t message;
        const char *problem = "nothing";
        if (mdp_decode(vector->frames.frame, vector->frames.count, &message, &problem) != 0)
            fail_msg("%s: refused, %s", vector->name, problem);
        assert_same_message(vector->name, &message, &vector->fields);
    }
}

static void every_vector_encodes_to_its_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++) {
        const vector_t *vector = &vectors[i];
        if (vector->way != WAY_BOTH && vector->way != WAY_ENCODE)
            continue;
        size_t count;
        slice_t *all = encode_all(&vector->fields, &count);
        assert_same_frames(vector->name, "message", all, count, vector->frames.frame,
                           vector->frames.count);
        free(all);
    }
}

static void every_malformed_vector_is_refused_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++) {
        const vector_t *vector = &vectors[i];
        if (vector->way != WAY_REFUSE)
            continue;
        mdp_message_t message;
        const char *problem = NULL;
        int rc = mdp_decode(vector->frames.frame, vector->frames.count, &message, &problem);
        if (rc != -1 || problem == NULL || strcmp(problem, vector->problem) != 0)
            fail_msg("%s: %d, '%s', want -1, '%s'", vector->name, rc, problem ? problem : "",
                     vector->problem);
        assert_same_kind(vector->name, &message, &vector->fields);
    }
}

static void the_header_alone_says_whether_it_is_majordomo(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++)
        if (mdp_is_mdp(vectors[i].frames.frame, vectors[i].frames.count) ==
            vectors[i].not_majordomo)
            fail_msg("%s: wrongly taken for%s Majordomo", vectors[i].name,
                     vectors[i].not_majordomo ? "" : " not");
}

static bool row_is_covered(mdp_version_t version, mdp_kind_t kind, bool encoded)
{
    for (size_t i = 0; i < vector_count; i++)
        if (vectors[i].fields.version == version && vectors[i].fields.kind == kind &&
            (vectors[i].way == WAY_BOTH || vectors[i].way == (encoded ? WAY_ENCODE : WAY_DECODE)))
            return true;
    return false;
}

static void the_vectors_cover_every_row_of_both_tables(void **state)
{
    (void)state;
    for (int version = MDP_01; version <= MDP_02; version++)
        for (int kind = MDP_CLIENT_REQUEST; kind <= MDP_WORKER_DISCONNECT; kind++) {
            if (version == MDP_01 && (kind == MDP_CLIENT_PARTIAL || kind == MDP_WORKER_PARTIAL))
                continue;
            bool is_reply_01 = version == MDP_01 && kind == MDP_CLIENT_FINAL;
            if (!row_is_covered((mdp_version_t)version, (mdp_kind_t)kind, true) ||
                (!is_reply_01 && !row_is_covered((mdp_version_t)version, (mdp_kind_t)kind, false)))
                fail_msg("no vector for 0.%d %s", version, kind_names[kind]);
        }
}

static void a_message_cut_short_anywhere_is_not_read_beyond_its_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++)
        for (size_t count = 0; count < vectors[i].frames.count; count++) {
            frames_t some = {0};
            for (size_t n = 0; n < count; n++)
                frames_add(&some, vectors[i].frames.frame[n].data, vectors[i].frames.frame[n].size);
            mdp_message_t message;
            const char *problem;
            if (mdp_decode(some.frame, some.count, &message, &problem) == 0 && message.body_count)
                assert_ptr_equal(message.body + message.body_count, some.frame + some.count);
            frames_fini(&some);
        }
}

static void no_frames_need_no_memory(void **state)
{
    (void)state;
    mdp_message_t message;
    const char *problem = NULL;
    assert_false(mdp_is_mdp(NULL, 0));
    assert_int_equal(mdp_decode(NULL, 0, &message, &problem), -1);
    assert_non_null(problem);
}

#define MANY 1000000

static slice_t *many_frames(slice_t frame)
{
    slice_t *frames = mem_alloc(MANY * sizeof *frames);
    for (size_t i = 0; i < MANY; i++)
        frames[i] = frame;
    return frames;
}

static void a_body_of_a_million_frames_is_pointed_to(void **state)
{
    (void)state;
    slice_t *frames = many_frames(slice_str("x"));
    frames[0] = slice_str("MDPC01");
    mdp_message_t message;
    const char *problem;
    assert_int_equal(mdp_decode(frames, MANY, &message, &problem), 0);
    assert_int_equal(message.body_count, MANY - 2);
    assert_ptr_equal(message.body, frames + 2);
    free(frames);
}

static void a_return_path_of_a_million_frames_is_pointed_to(void **state)
{
    (void)state;
    slice_t *frames = many_frames(slice_str("x"));
    frames[MANY - 4] = slice("", 0);
    frames[MANY - 3] = slice_str("MDPC01");
    mdp_message_t message;
    const char *problem;
    assert_int_equal(mdp_decode(frames, MANY, &message, &problem), 0);
    assert_int_equal(message.path_count, MANY - 4);
    assert_ptr_equal(message.path, frames);
    assert_int_equal(message.body_count, 1);
    free(frames);
}

static void a_million_frames_of_nothing_are_refused(void **state)
{
    (void)state;
    mdp_message_t message;
    const char *problem;
    slice_t *empty = many_frames(slice(NULL, 0)), *full = many_frames(slice_str("x"));
    assert_int_equal(mdp_decode(empty, MANY, &message, &problem), -1);
    assert_int_equal(mdp_decode(full, MANY, &message, &problem), -1);
    assert_false(mdp_is_mdp(empty, MANY));
    assert_false(mdp_is_mdp(full, MANY));
    free(empty);
    free(full);
}

static void a_reply_goes_back_over_the_path_of_its_request(void **state)
{
    (void)state;
    const slice_t request[] = {slice_str("proxy"),  slice_str("corr"), slice("", 0),
                               slice_str("MDPC01"), slice_str("echo"), slice_str("hi")};
    mdp_message_t message;
    const char *problem;
    assert_int_equal(mdp_decode(request, 6, &message, &problem), 0);
    message.kind = MDP_CLIENT_FINAL;
    size_t count;
    slice_t *reply = encode_all(&message, &count);
    assert_same_frames("reply", "message", reply, count, request, 6);
    free(reply);
}

static void a_path_is_never_written_without_its_delimiter(void **state)
{
    (void)state;
    const slice_t path[] = {slice_str("proxy")}, body[] = {slice_str("hi")};
    const mdp_message_t sent = {.version = MDP_02,
                                .kind = MDP_CLIENT_FINAL,
                                .path = path,
                                .path_count = 1,
                                .service = slice_str("echo"),
                                .body = body,
                                .body_count = 1};
    size_t count;
    slice_t *all = encode_all(&sent, &count);
    mdp_message_t got;
    const char *problem;
    assert_int_equal(mdp_decode(all, count, &got, &problem), 0);
    assert_same_frames("sent", "path", got.path, got.path_count, path, 1);
    free(all);
}

/* ---- Noise ---- */

/*  xorshift64: the same noise on every machine. */
static uint64_t noise(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/*  Frames that look like parts of messages, often enough to get deep, with garbage between. */
static void add_noise_frame(frames_t *frames, uint64_t *seed)
{
    static const char *const likely[] = {"MDPC01", "MDPW01", "MDPC02", "MDPW02", "echo", "MDPC03"};
    uint64_t drawn = noise(seed);
    uint8_t bytes[8];
    memcpy(bytes, &drawn, sizeof bytes);
    switch (drawn >> 60) {
    case 0:
    case 1:
    case 2:
    case 3:
        frames_add(frames, "", 0);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        frames_add(frames, likely[bytes[0] % 6], strlen(likely[bytes[0] % 6]));
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        bytes[0] %= 8;
        frames_add(frames, bytes, 1);
        break;
    default:
        frames_add(frames, bytes, bytes[7] % 8);
    }
}

static void check_noise(const frames_t *frames)
{
    mdp_message_t message, again;
    const char *problem = NULL;
    bool claims = mdp_is_mdp(frames->frame, frames->count);
    if (mdp_decode(frames->frame, frames->count, &message, &problem) != 0) {
        assert_non_null(problem);
        return;
    }
    assert_true(claims);
    size_t count;
    slice_t *all = encode_all(&message, &count);
    assert_int_equal(mdp_decode(all, count, &again, &problem), 0);
    assert_same_message("noise", &again, &message);
    free(all);
}

static void noise_is_refused_or_survives_a_round_trip(void **state)
{
    (void)state;
    uint64_t seed = 20260520;
    for (int i = 0; i < 100000; i++) {
        frames_t frames = {0};
        for (uint64_t n = noise(&seed) % 9; n > 0; n--)
            add_noise_frame(&frames, &seed);
        check_noise(&frames);
        frames_fini(&frames);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_decodes_to_its_fields),
        cmocka_unit_test(every_vector_encodes_to_its_frames),
        cmocka_unit_test(every_malformed_vector_is_refused_with_its_reason),
        cmocka_unit_test(the_header_alone_says_whether_it_is_majordomo),
        cmocka_unit_test(the_vectors_cover_every_row_of_both_tables),
        cmocka_unit_test(a_message_cut_short_anywhere_is_not_read_beyond_its_end),
        cmocka_unit_test(no_frames_need_no_memory),
        cmocka_unit_test(a_body_of_a_million_frames_is_pointed_to),
        cmocka_unit_test(a_return_path_of_a_million_frames_is_pointed_to),
        cmocka_unit_test(a_million_frames_of_nothing_are_refused),
        cmocka_unit_test(a_reply_goes_back_over_the_path_of_its_request),
        cmocka_unit_test(a_path_is_never_written_without_its_delimiter),
        cmocka_unit_test(noise_is_refused_or_survives_a_round_trip),
    };
    return cmocka_run_group_tests(tests, read_vectors, forget_vectors);
}
