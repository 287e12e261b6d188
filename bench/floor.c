/*  What the machine and the libraries give at best, without a broker: syncs, SQLite commits and
    ZeroMQ round trips. A broker cannot be faster than these. See usage. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <zmq.h>

#include "common/clock.h"

enum { BLOCK = 4096, BODY = 256, WINDOW = 1000 };

static int64_t run_us = 2000000;

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(EX_OSERR);
}

static void print(const char *name, const char *unit, int64_t count, int64_t us)
{
    printf("{\"name\":\"%s\",\"unit\":\"%s\",\"per_s\":%.1f}\n", name, unit,
           (double)count * 1e6 / (double)us);
    fflush(stdout);
}

/* ---- syncs ---------------------------------------------------------------------------------- */

static void measure_syncs(const char *dir, bool overwrite)
{
    char path[4096];
    static char block[BLOCK] = {1};
    snprintf(path, sizeof path, "%s/sync", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && pwrite(fd, block, BLOCK, 0) == BLOCK && fsync(fd) == 0, path);
    int64_t start_us = clock_mono_us(), now_us = start_us, count = 0;
    for (; now_us < start_us + run_us; now_us = clock_mono_us(), count++) {
        must(pwrite(fd, block, BLOCK, overwrite ? 0 : count * BLOCK) == BLOCK, "pwrite");
        must(fdatasync(fd) == 0, "fdatasync");
    }
    print(overwrite ? "fdatasync, 4 KiB overwritten" : "fdatasync, 4 KiB appended", "syncs", count,
          now_us - start_us);
    close(fd);
    unlink(path);
}

/* ---- SQLite --------------------------------------------------------------------------------- */

static void execute(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fprintf(stderr, "floor: %s: %s\n", sql, sqlite3_errmsg(db));
        exit(EX_IOERR);
    }
}

static void step(sqlite3 *db, sqlite3_stmt *statement, int64_t key)
{
    sqlite3_bind_int64(statement, 1, key);
    if (sqlite3_step(statement) != SQLITE_DONE) {
        fprintf(stderr, "floor: %s\n", sqlite3_errmsg(db));
        exit(EX_IOERR);
    }
    sqlite3_reset(statement);
}

/*  Rows that come in one commit and go in the next, by integer key: the least that a queue can do. */
static void measure_sqlite(const char *dir, int64_t rows)
{
    char path[4096], name[64];
    static char body[BODY] = {1};
    sqlite3 *db;
    sqlite3_stmt *insert, *delete;
    snprintf(path, sizeof path, "%s/rows-%lld.db", dir, (long long)rows);
    must(sqlite3_open(path, &db) == SQLITE_OK, path);
    execute(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                "CREATE TABLE task (seq INTEGER PRIMARY KEY, body BLOB)");
    sqlite3_prepare_v2(db, "INSERT INTO task VALUES (?1, ?2)", -1, &insert, NULL);
    sqlite3_prepare_v2(db, "DELETE FROM task WHERE seq = ?1", -1, &delete, NULL);
    sqlite3_bind_blob(insert, 2, body, BODY, SQLITE_STATIC);
    int64_t start_us = clock_mono_us(), now_us = start_us, count = 0;
    for (; now_us < start_us + run_us; now_us = clock_mono_us(), count += rows) {
        execute(db, "BEGIN IMMEDIATE");
        for (int64_t i = 0; i < rows; i++)
            step(db, insert, count + i);
        execute(db, "COMMIT; BEGIN IMMEDIATE");
        for (int64_t i = 0; i < rows; i++)
            step(db, delete, count + i);
        execute(db, "COMMIT");
    }
    snprintf(name, sizeof name, "SQLite WAL FULL, insert + delete, %lld a commit", (long long)rows);
    print(name, "rows", count, now_us - start_us);
    sqlite3_finalize(insert);
    sqlite3_finalize(delete);
    sqlite3_close(db);
}

/* ---- ZeroMQ --------------------------------------------------------------------------------- */

typedef struct echo {
    void *context;
    char endpoint[256];
    int frames;
} echo_t;

/*  Without a high-water mark: at one, a ROUTER drops replies, and the window would never open again.
    Lingering is off from the start, because a socket of a context that shuts down takes no option. */
static void *new_socket(void *context, int type)
{
    void *socket = zmq_socket(context, type);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &(int){0}, sizeof(int));
    zmq_setsockopt(socket, ZMQ_RCVHWM, &(int){0}, sizeof(int));
    zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    return socket;
}

static void send_frames(void *socket, int frames)
{
    static const char body[BODY];
    for (int i = 0; i < frames; i++)
        must(zmq_send(socket, body, i + 1 < frames ? 8 : BODY, i + 1 < frames ? ZMQ_SNDMORE : 0) >=
                 0,
             "zmq_send");
}

static void receive_frames(void *socket, int frames)
{
    char body[BODY];
    for (int i = 0; i < frames; i++)
        must(zmq_recv(socket, body, sizeof body, 0) >= 0, "zmq_recv");
}

static void *ask(void *arg)
{
    echo_t *self = arg;
    char name[64];
    void *socket = new_socket(self->context, ZMQ_DEALER);
    must(zmq_connect(socket, self->endpoint) == 0, self->endpoint);
    int64_t start_us = clock_mono_us(), now_us = start_us, sent = 0, got = 0;
    while (now_us < start_us + run_us) {
        for (; sent - got < WINDOW; sent++)
            send_frames(socket, self->frames);
        do {
            receive_frames(socket, self->frames);
            got++;
        } while (sent - got > WINDOW / 2);
        now_us = clock_mono_us();
    }
    snprintf(name, sizeof name, "libzmq DEALER-ROUTER echo, %d frame%s", self->frames,
             self->frames > 1 ? "s" : "");
    print(name, "round trips", got, now_us - start_us);
    zmq_close(socket);
    return NULL;
}

static void echo_until_shut(void *router)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, router, 0) >= 0)
        if (zmq_msg_send(&frame, router, zmq_msg_more(&frame) ? ZMQ_SNDMORE : 0) < 0)
            break;
    zmq_msg_close(&frame);
}

static void *answer(void *router)
{
    echo_until_shut(router);
    zmq_close(router);
    return NULL;
}

static void measure_echo(int frames)
{
    echo_t self = {.context = zmq_ctx_new(), .frames = frames};
    size_t size = sizeof self.endpoint;
    pthread_t asker, answerer;
    void *router = new_socket(self.context, ZMQ_ROUTER);
    must(zmq_bind(router, "tcp://127.0.0.1:*") == 0, "zmq_bind");
    zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, self.endpoint, &size);
    pthread_create(&answerer, NULL, answer, router);
    pthread_create(&asker, NULL, ask, &self);
    pthread_join(asker, NULL);
    zmq_ctx_shutdown(self.context);
    pthread_join(answerer, NULL);
    zmq_ctx_term(self.context);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3 || argv[1][0] == '-') {
        fputs("Usage: floor DIR [SECONDS]\n"
              "Measures, each for SECONDS (default 2), what a broker builds on: fdatasync and "
              "SQLite\n"
              "in DIR, which should be on a disk, and ZeroMQ on 127.0.0.1. Prints JSON lines.\n",
              stderr);
        return EX_USAGE;
    }
    if (argc == 3)
        run_us = (int64_t)(atof(argv[2]) * 1e6);
    measure_syncs(argv[1], true);
    measure_syncs(argv[1], false);
    measure_sqlite(argv[1], 100);
    measure_sqlite(argv[1], 1000);
    measure_echo(1);
    measure_echo(5);
    return EX_OK;
}
