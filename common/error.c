#include "reeve/error.h"

const char *reeve_error_name(reeve_error_t error)
{
    switch (error) {
#define X(symbol, number, name, meaning)                                                           \
    case REEVE_ERR_##symbol:                                                                       \
        return name;
        REEVE_ERRORS(X)
#undef X
    }
    return "unknown_error";
}

const char *reeve_error_meaning(reeve_error_t error)
{
    switch (error) {
#define X(symbol, number, name, meaning)                                                           \
    case REEVE_ERR_##symbol:                                                                       \
        return meaning;
        REEVE_ERRORS(X)
#undef X
    }
    return "an error this version does not know";
}
