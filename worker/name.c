#include "worker/name.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/json.h"

void worker_name_make(char name[LIMIT_WORKER_NAME_BYTES + 1])
{
    char host[65] = "";
    uint32_t random = 0;
    if (gethostname(host, sizeof host - 1) != 0 || !name_valid(slice_str(host), sizeof host))
        strcpy(host, "worker");
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = (uint32_t)(uintptr_t)name;
    snprintf(name, LIMIT_WORKER_NAME_BYTES + 1, "%s-%d-%08x", host, (int)getpid(),
             (unsigned)random);
}
