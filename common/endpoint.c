#include "common/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "common/parse.h"

bool endpoint_valid(const char *text)
{
    static const char tcp[] = "tcp://", ipc[] = "ipc://";
    if (strncmp(text, ipc, strlen(ipc)) == 0)
        return text[strlen(ipc)] != '\0';
    return strncmp(text, tcp, strlen(tcp)) == 0 && address_valid(text + strlen(tcp));
}

const char *endpoint_choose(const char *given)
{
    if (given != NULL)
        return given;
    const char *variable = getenv("REEVE_BROKER");
    return variable != NULL && variable[0] != '\0' ? variable : ENDPOINT_DEFAULT;
}
