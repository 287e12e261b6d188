/*  For libraries that are preloaded and stand in for functions of the C library. */

#ifndef REEVE_BENCH_PRELOAD_H
#define REEVE_BENCH_PRELOAD_H

#include <dlfcn.h>

/*  The function that this one stands in for. */
#define PRELOADED(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

#endif
