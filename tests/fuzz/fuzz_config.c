/*  A configuration file is understood or refused in one line; what is printed of an understood one is
    a file that is understood the same. Input: the file (ZPL). */

#include <sys/mman.h>
#include <unistd.h>

#include "broker/config.h"
#include "common/json.h"
#include "common/limits.h"
#include "tests/fuzz/fuzz.h"

static config_result_t load(config_t *config, slice_t text, char *problem, size_t problem_size)
{
    char path[40];
    int fd = memfd_create("config", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, text.data, text.size) == (ssize_t)text.size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char *argv[] = {"reeve-broker", "--config", path, NULL};
    config_result_t result = config_load(config, 3, argv, problem, problem_size);
    close(fd);
    return result;
}

static void check_accepted(const config_t *config)
{
    CHECK(config->bind_count > 0);
    CHECK(config->liveness_ms >= 2 * config->heartbeat_ms);
    CHECK(config->max_queues >= 1 && config->max_queues <= LIMIT_QUEUES);
    for (size_t i = 0; i < config->queue_count; i++)
        CHECK(name_valid(slice_str(config->queues[i].queue), LIMIT_QUEUE_NAME_BYTES));
}

static char *print(const config_t *config, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    config_print(config, out);
    fclose(out);
    return text;
}

static void check_printed(const config_t *config)
{
    config_t again;
    char problem[512];
    size_t size, again_size;
    char *text = print(config, &size);
    CHECK(load(&again, slice(text, size), problem, sizeof problem) == CONFIG_OK);
    char *same = print(&again, &again_size);
    CHECK(slice_eq(slice(text, size), slice(same, again_size)));
    free(text);
    free(same);
    config_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    config_t config;
    char problem[512] = "";
    config_result_t result = load(&config, slice(data, size), problem, sizeof problem);
    CHECK(result == CONFIG_OK || result == CONFIG_BAD);
    if (result == CONFIG_OK) {
        check_accepted(&config);
        check_printed(&config);
    } else {
        CHECK(problem[0] != '\0' && strchr(problem, '\n') == NULL);
    }
    config_fini(&config);
    return 0;
}
