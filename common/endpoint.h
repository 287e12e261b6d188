/*  Where a broker is to be found: "tcp://HOST:PORT" or "ipc://PATH". */

#ifndef REEVE_COMMON_ENDPOINT_H
#define REEVE_COMMON_ENDPOINT_H

#include <stdbool.h>

#define ENDPOINT_DEFAULT "tcp://127.0.0.1:5555"

bool endpoint_valid(const char *text);

/*  What was given; for NULL $REEVE_BROKER, and without that the default. */
const char *endpoint_choose(const char *given);

#endif
