/*  The C API, consuming side: a worker that counts words, in place of reeve-worker and a command.

        example_work [ENDPOINT] */

#include <cjson/cJSON.h>
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "reeve/worker.h"

/*  The poll is also what sends heartbeats, so it must come round every second. Work that takes longer
    belongs into a thread or process of its own. */
enum { TURN_MS = 200 };

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static size_t count_words(const char *text)
{
    size_t words = 0;
    for (bool inside = false; *text != '\0'; text++) {
        bool space = isspace((unsigned char)*text);
        words += !space && !inside;
        inside = !space;
    }
    return words;
}

static void work(reeve_worker_t *worker, reeve_delivery_t *delivery)
{
    reeve_delivery_started(delivery);
    char *document = reeve_delivery_document(delivery);
    cJSON *task = cJSON_Parse(document);
    const char *text = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(task, "kwargs"), "text"));
    char result[64];
    reeve_settlement_t settlement = {.verdict = REEVE_REJECT, .reason = "no_text"};
    if (text != NULL) {
        int size = snprintf(result, sizeof result, "{\"words\":%zu}", count_words(text));
        settlement = (reeve_settlement_t){.verdict = REEVE_SUCCESS,
                                          .result_kind = 1,
                                          .result = result,
                                          .result_size = (size_t)size};
    }
    reeve_settle(worker, &delivery, &settlement);
    cJSON_Delete(task);
    free(document);
}

int main(int argc, char **argv)
{
    static const char *const queues[] = {"texts", NULL};
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    reeve_worker_t *worker = reeve_worker_new(&(reeve_worker_options_t){
        .broker = argc > 1 ? argv[1] : NULL, .queues = queues, .prefetch = 100});
    if (worker == NULL) {
        perror("example_work");
        return EXIT_FAILURE;
    }
    while (!stopping) {
        reeve_delivery_t *delivery;
        bool revoked;
        if (reeve_worker_poll(worker, TURN_MS, &delivery, &revoked) == 0)
            continue;
        if (revoked)
            reeve_delivery_drop(worker, &delivery);
        else
            work(worker, delivery);
    }
    reeve_worker_goodbye(worker);
    reeve_worker_destroy(&worker);
    return EXIT_SUCCESS;
}
