/*  Ending a test from inside SQLite, where cmocka's jump out of the stack would leave it in pieces. */

#ifndef REEVE_TESTS_POWER_GIVE_UP_H
#define REEVE_TESTS_POWER_GIVE_UP_H

#include <stdio.h>
#include <stdlib.h>

/*  Says what is wrong, as printf; the process ends. */
#define give_up(...)                                                                               \
    do {                                                                                           \
        fflush(stdout);                                                                            \
        fprintf(stderr, "FAILED: " __VA_ARGS__);                                                   \
        fprintf(stderr, " (%s:%d)\n", __FILE__, __LINE__);                                         \
        _Exit(1);                                                                                  \
    } while (0)

#endif
