/*  The trace that a task belongs to, for the log: W3C Trace Context, whose `traceparent` header
    travels in the task's headers. Source: www.w3.org/TR/trace-context, 3.2. */

#ifndef REEVE_COMMON_TRACE_H
#define REEVE_COMMON_TRACE_H

#include <stdbool.h>

#include "common/bytes.h"

enum { TRACE_ID_SIZE = 33 };

/*  Finds the trace id (32 hexadecimal digits) in a JSON body's headers. False when there is none or
    it is not of the form; `trace_id` is empty then. */
bool trace_id_of(slice_t body, char trace_id[TRACE_ID_SIZE]);

#endif
