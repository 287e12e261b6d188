/*  The least that is a Majordomo broker (MDP/0.1): requests in memory, given to the worker that is
    idle longest. No heartbeats, no persistence, one service: what Reeve's promises cost beside it. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <utlist.h>
#include <zmq.h>

#include "common/mem.h"

enum { FRAMES = 8, READY = 1, REQUEST = 2, REPLY = 3 };

/*  A client's request, or an idle worker's address. */
typedef struct item {
    struct item *next, *prev;
    zmq_msg_t address, body;
} item_t;

static item_t *requests, *idle;

static void push(item_t **list, zmq_msg_t *address, zmq_msg_t *body)
{
    item_t *item = mem_alloc(sizeof *item);
    zmq_msg_init(&item->address);
    zmq_msg_init(&item->body);
    zmq_msg_move(&item->address, address);
    if (body != NULL)
        zmq_msg_move(&item->body, body);
    DL_APPEND(*list, item);
}

static item_t *pop(item_t **list)
{
    item_t *item = *list;
    DL_DELETE(*list, item);
    return item;
}

static void drop(item_t *item)
{
    zmq_msg_close(&item->address);
    zmq_msg_close(&item->body);
    free(item);
}

static void send_bytes(void *router, const void *bytes, size_t size)
{
    zmq_send(router, bytes, size, ZMQ_SNDMORE);
}

static void match(void *router)
{
    while (requests != NULL && idle != NULL) {
        item_t *request = pop(&requests), *worker = pop(&idle);
        zmq_msg_send(&worker->address, router, ZMQ_SNDMORE);
        send_bytes(router, "", 0);
        send_bytes(router, "MDPW01", 6);
        send_bytes(router, (uint8_t[]){REQUEST}, 1);
        zmq_msg_send(&request->address, router, ZMQ_SNDMORE);
        send_bytes(router, "", 0);
        zmq_msg_send(&request->body, router, 0);
        drop(request);
        drop(worker);
    }
}

/*  address, "", "MDPC01", service, body */
static void take_client(zmq_msg_t *frames)
{
    push(&requests, &frames[0], &frames[4]);
}

/*  address, "", "MDPW01", command[, client, "", body] */
static void take_worker(void *router, zmq_msg_t *frames, size_t count)
{
    int command = *(uint8_t *)zmq_msg_data(&frames[3]);
    if (command == REPLY && count == 7) {
        zmq_msg_send(&frames[4], router, ZMQ_SNDMORE);
        send_bytes(router, "", 0);
        send_bytes(router, "MDPC01", 6);
        send_bytes(router, "echo", 4);
        zmq_msg_send(&frames[6], router, 0);
    }
    if (command == REPLY || command == READY)
        push(&idle, &frames[0], NULL);
}

static void take(void *router)
{
    zmq_msg_t frames[FRAMES];
    size_t count = 0;
    bool more = true;
    for (; more && count < FRAMES; more = zmq_msg_more(&frames[count]), count++) {
        zmq_msg_init(&frames[count]);
        if (zmq_msg_recv(&frames[count], router, 0) < 0)
            exit(EX_OSERR);
    }
    if (count >= 4 && zmq_msg_size(&frames[2]) == 6) {
        if (memcmp(zmq_msg_data(&frames[2]), "MDPW01", 6) == 0)
            take_worker(router, frames, count);
        else if (count == 5)
            take_client(frames);
    }
    for (size_t i = 0; i < count; i++)
        zmq_msg_close(&frames[i]);
}

int main(void)
{
    char endpoint[256];
    size_t size = sizeof endpoint;
    void *router = zmq_socket(zmq_ctx_new(), ZMQ_ROUTER);
    zmq_setsockopt(router, ZMQ_SNDHWM, &(int){0}, sizeof(int));
    zmq_setsockopt(router, ZMQ_RCVHWM, &(int){0}, sizeof(int));
    if (zmq_bind(router, "tcp://127.0.0.1:*") != 0)
        return EX_OSERR;
    zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size);
    printf("listening %s\n", endpoint);
    fflush(stdout);
    for (;;) {
        take(router);
        match(router);
    }
}
