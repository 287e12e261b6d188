/*  `reeve submit --file`: a file of task documents, one per line.

    Only a window of lines is in memory: those not confirmed yet, among them those that wait for a
    passing refusal (queue full, broker stopping, disk low) to be submitted again, under their first
    id. Everything refused for good is listed and does not keep the rest from being submitted. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>
#include <xxhash.h>

#include "client/lines.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/verbs.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/task.h"

enum {
    WINDOW = 4096,
    PROBLEM_SIZE = 512,
    TURN_MS = 100, /* how long to wait for confirms before looking at the input again */
    UUID_SIZE = 37,
};

/*  A line in the window. */
typedef struct entry {
    uint64_t number;
    char *text;
    size_t size;
    char id[LIMIT_ID_BYTES + 1]; /* once submitted; the same for all its submissions */
    int64_t give_up_ms;          /* when a passing refusal is taken for final; 0: none came yet */
    int64_t due_ms;              /* when to submit it again */
    struct entry *prev, *next;   /* in one of the feed's lists */
} entry_t;

typedef struct feed {
    cli_t *cli;
    const char *path, *batch;
    lines_t lines;
    uint64_t whole_bytes; /* 0: unknown */
    entry_t *sent;        /* the client has them */
    entry_t *waiting;     /* to be submitted again: refused for now, or the client was full */
    size_t in_window;     /* both together */
    bool read_all, client_full;
    uint64_t confirmed, duplicates, refused;
    progress_t progress;
} feed_t;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/*  The first interrupt ends the reading, what was read is seen through; the second one kills. */
static void catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
}

/*  -- Entries ---------------------------------------------------------------------------------- */

static void entry_free(feed_t *feed, entry_t *entry)
{
    free(entry->text);
    free(entry);
    feed->in_window--;
}

static void tell_line(feed_t *feed, uint64_t number, const char *id, bool duplicate)
{
    if (!feed->cli->json)
        return;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "line", (double)number);
    cJSON_AddStringToObject(object, "id", id);
    cJSON_AddBoolToObject(object, "duplicate", duplicate);
    output_json(&object);
}

static void tell_refused(feed_t *feed, uint64_t number, reeve_error_t error, const char *text)
{
    const char *why = text[0] != '\0' ? text : reeve_error_meaning(error);
    feed->refused++;
    if (feed->cli->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddNumberToObject(object, "line", (double)number);
        cJSON_AddStringToObject(object, "error", reeve_error_name(error));
        cJSON_AddStringToObject(object, "text", why);
        output_json(&object);
        return;
    }
    progress_clear(&feed->progress);
    fprintf(stderr, "%s:%" PRIu64 ": ", feed->path, number);
    output_clean(stderr, why);
    fprintf(stderr, " (%s)\n", reeve_error_name(error));
}

/*  Whether the text is a good task document but for an id. */
static bool lacks_id(slice_t document)
{
    task_t task = {0};
    char problem[PROBLEM_SIZE];
    bool lacks =
        task_from_json(document, 0, &task, problem, sizeof problem) == 0 && task.wire.id.size == 0;
    task_fini(&task);
    return lacks;
}

/*  Puts an id in front of the members of a document that lacks one. */
static void insert_id(entry_t *entry, const char *id)
{
    const char *brace = memchr(entry->text, '{', entry->size);
    char *text = NULL;
    int head = (int)(brace - entry->text) + 1;
    int size = asprintf(&text, "%.*s\"id\":\"%s\",%.*s", head, entry->text, id,
                        (int)entry->size - head, entry->text + head);
    if (size < 0)
        return;
    free(entry->text);
    entry->text = text;
    entry->size = (size_t)size;
}

/*  A UUIDv8 (RFC 9562) of the batch's name, the line's number and its text. */
static void derive_id(const feed_t *feed, const entry_t *entry, char id[UUID_SIZE])
{
    XXH3_state_t *state = XXH3_createState();
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, feed->batch, strlen(feed->batch) + 1);
    XXH3_128bits_update(state, &entry->number, sizeof entry->number);
    XXH3_128bits_update(state, entry->text, entry->size);
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    uint64_t high = (hash.high64 & ~UINT64_C(0xf000)) | 0x8000;
    uint64_t low = (hash.low64 & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
    snprintf(id, UUID_SIZE, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64,
             high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48,
             low & UINT64_C(0xffffffffffff));
}

/*  -- Submitting ------------------------------------------------------------------------------- */

/*  Hands the entry to the client, or refuses and frees it. */
static void submit_entry(feed_t *feed, entry_t *entry)
{
    char problem[PROBLEM_SIZE] = "";
    reeve_error_t error;
    if (reeve_submit_json(feed->cli->client, entry->text, entry->size, false, entry, entry->id,
                          problem, sizeof problem, &error) == 0) {
        DL_APPEND(feed->sent, entry);
        return;
    }
    if (error == REEVE_ERR_TOO_MANY) { /* large tasks fill it before they are many */
        feed->client_full = true;
        entry->due_ms = 0;
        DL_APPEND(feed->waiting, entry);
        return;
    }
    tell_refused(feed, entry->number, error, problem);
    entry_free(feed, entry);
}

static bool is_blank(slice_t line)
{
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t')
            return false;
    return true;
}

static void take_line(feed_t *feed, slice_t line)
{
    if (is_blank(line))
        return;
    entry_t *entry = mem_zalloc(sizeof *entry);
    entry->number = feed->lines.number;
    entry->text = mem_strndup(line.data, line.size);
    entry->size = line.size;
    feed->in_window++;
    if (feed->batch != NULL && lacks_id(line)) {
        char id[UUID_SIZE];
        derive_id(feed, entry, id);
        insert_id(entry, id);
    }
    submit_entry(feed, entry);
}

/*  Reads while there is room in the window and something to read. */
static void read_lines(feed_t *feed)
{
    while (!feed->read_all && !feed->client_full && feed->in_window < WINDOW) {
        slice_t line;
        switch (lines_next(&feed->lines, &line)) {
        case LINES_LINE:
            take_line(feed, line);
            break;
        case LINES_TOO_LONG:
            tell_refused(feed, feed->lines.number, REEVE_ERR_TOO_LARGE, "");
            break;
        case LINES_END:
            feed->read_all = true;
            break;
        case LINES_NONE:
            return;
        }
    }
}

static void submit_what_is_due(feed_t *feed, int64_t now_ms)
{
    entry_t *entry, *next;
    entry_t *waiting = feed->waiting;
    feed->waiting = NULL;
    feed->client_full = false;
    DL_FOREACH_SAFE (waiting, entry, next) {
        DL_DELETE(waiting, entry);
        if (entry->due_ms <= now_ms)
            submit_entry(feed, entry);
        else
            DL_APPEND(feed->waiting, entry);
    }
}

/*  -- Events ----------------------------------------------------------------------------------- */

static void on_refused(feed_t *feed, entry_t *entry, const reeve_event_t *event)
{
    int64_t now_ms = clock_mono_ms();
    int64_t due_ms = now_ms + event->retry_after_ms;
    if (entry->give_up_ms == 0)
        entry->give_up_ms = now_ms + feed->cli->connect_timeout_ms;
    if (!cli_is_retryable(event->error) || due_ms >= entry->give_up_ms) {
        tell_refused(feed, entry->number, event->error, event->error_text);
        entry_free(feed, entry);
        return;
    }
    if (lacks_id(slice(entry->text, entry->size)))
        insert_id(entry, entry->id);
    entry->due_ms = due_ms;
    DL_APPEND(feed->waiting, entry);
}

static void on_event(feed_t *feed, const reeve_event_t *event)
{
    entry_t *entry = event->user;
    DL_DELETE(feed->sent, entry);
    if (event->kind == REEVE_EVENT_REFUSED) {
        on_refused(feed, entry, event);
    } else {
        feed->confirmed++;
        feed->duplicates += event->duplicate;
        tell_line(feed, entry->number, event->id, event->duplicate);
        entry_free(feed, entry);
    }
}

/*  Takes all events that are there, waiting a little for the first. Returns the exit code. */
static int take_events(feed_t *feed)
{
    reeve_event_t event;
    reeve_error_t error;
    int rc = reeve_client_poll(feed->cli->client, TURN_MS, &event, &error);
    while (rc > 0) {
        on_event(feed, &event);
        rc = reeve_client_poll(feed->cli->client, 0, &event, &error);
    }
    return rc < 0 ? cli_call_failed(feed->cli, NULL, error) : EX_OK;
}

static int run_feed(feed_t *feed)
{
    int code = EX_OK;
    while (code == EX_OK && !(feed->read_all && feed->in_window == 0)) {
        int64_t now_ms = clock_mono_ms();
        submit_what_is_due(feed, now_ms);
        read_lines(feed);
        if (interrupted)
            feed->read_all = true;
        if (feed->read_all && feed->in_window == 0)
            break;
        code = take_events(feed);
        progress_draw(&feed->progress, now_ms, feed->lines.bytes, feed->whole_bytes,
                      feed->confirmed, feed->refused);
    }
    progress_clear(&feed->progress);
    return code;
}

/*  -- The whole -------------------------------------------------------------------------------- */

static void print_summary(const feed_t *feed)
{
    if (feed->cli->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddNumberToObject(object, "confirmed", (double)feed->confirmed);
        cJSON_AddNumberToObject(object, "duplicates", (double)feed->duplicates);
        cJSON_AddNumberToObject(object, "refused", (double)feed->refused);
        cJSON_AddNumberToObject(object, "unconfirmed", (double)feed->in_window);
        output_json(&object);
        return;
    }
    double seconds = (double)(clock_mono_ms() - feed->progress.start_ms) / 1000;
    printf("%" PRIu64 " confirmed (%" PRIu64 " of them known before), %" PRIu64 " refused",
           feed->confirmed, feed->duplicates, feed->refused);
    if (feed->in_window > 0)
        printf(", %zu not confirmed", feed->in_window);
    printf(" in %s\n", output_seconds(seconds));
}

static void drop_rest(feed_t *feed)
{
    entry_t *entry, *next;
    DL_FOREACH_SAFE (feed->sent, entry, next)
        entry_free(feed, entry);
    DL_FOREACH_SAFE (feed->waiting, entry, next)
        entry_free(feed, entry);
}

static int exit_code(const feed_t *feed, int code)
{
    if (code != EX_OK)
        return code;
    if (interrupted)
        return EXIT_INTERRUPTED;
    if (feed->lines.error != 0) {
        cli_say("%s: reading stopped: %s", feed->path, strerror(feed->lines.error));
        return EX_IOERR;
    }
    return feed->refused > 0 ? EXIT_TASK_ENDED_BADLY : EX_OK;
}

int submit_file(cli_t *cli, const char *path, const char *batch)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        cli_say("%s: %s", path, strerror(errno));
        return EX_NOINPUT;
    }
    struct stat about;
    feed_t feed = {.cli = cli, .path = path, .batch = batch};
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
        feed.whole_bytes = (uint64_t)about.st_size;
    lines_init(&feed.lines, fd, LIMIT_MESSAGE_BYTES);
    progress_init(&feed.progress, clock_mono_ms());
    catch_interrupt();
    cli->window = WINDOW;
    cli_connect(cli);
    int code = run_feed(&feed);
    print_summary(&feed);
    code = exit_code(&feed, code);
    drop_rest(&feed);
    lines_fini(&feed.lines);
    if (!is_stdin)
        close(fd);
    return code;
}
