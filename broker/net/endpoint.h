/*  Binding the ROUTER where the configuration says, and nowhere that is somebody else's. */

#ifndef REEVE_BROKER_NET_ENDPOINT_H
#define REEVE_BROKER_NET_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

/*  False when it cannot be bound; `problem` says why. */
bool endpoint_bind(void *socket, const char *endpoint, char *problem, size_t size);

#endif
