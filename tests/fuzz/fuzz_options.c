/*  Any command line of reeve-worker is understood or refused with a reason. Input: the arguments, a
    NUL after each. */

#include "common/json.h"
#include "common/limits.h"
#include "tests/fuzz/fuzz.h"
#include "worker/options.h"

enum { ARGUMENTS = 40 };

static void check_understood(const options_t *options)
{
    CHECK(options->broker_count >= 1 && options->queue_count >= 1);
    CHECK(options->queues[options->queue_count] == NULL);
    for (size_t i = 0; i < options->queue_count; i++)
        CHECK(name_valid(slice_str(options->queues[i]), LIMIT_QUEUE_NAME_BYTES));
    for (size_t i = 0; i < options->handler_count; i++)
        CHECK(name_valid(slice_str(options->handlers[i].task_name), LIMIT_TASK_NAME_BYTES) &&
              options->handlers[i].command[0] != '\0');
    CHECK(options->handler_count > 0 || (options->command && options->command[0]));
    CHECK(options->concurrency >= 1 && options->concurrency <= OPTIONS_CONCURRENCY_MAX);
    CHECK(options->prefetch >= 1 && options->prefetch <= LIMIT_PREFETCH);
    CHECK(options->max_output >= 1 && options->max_output <= (int64_t)LIMIT_RESULT_BYTES);
    CHECK(options->kill_after_ms >= 0 && options->drain_timeout_ms >= 0);
    CHECK(options->name == NULL || name_valid(slice_str(options->name), LIMIT_WORKER_NAME_BYTES));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[ARGUMENTS + 2] = {mem_strdup("reeve-worker")};
    int argc = 1;
    for (size_t at = 0; at < size && argc <= ARGUMENTS; argc++) {
        size_t length = strnlen((const char *)data + at, size - at);
        argv[argc] = mem_strndup(data + at, length);
        at += length + 1;
    }
    options_t options;
    char problem[160] = "";
    options_wish_t wish = options_parse(argc, argv, &options, problem, sizeof problem);
    if (wish == OPTIONS_RUN)
        check_understood(&options);
    CHECK((wish == OPTIONS_WRONG) == (problem[0] != '\0'));
    options_fini(&options);
    while (argc--)
        free(argv[argc]);
    return 0;
}
