#include "worker/outcome.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/parse.h"
#include "common/wire/reeve.h"
#include "worker/text.h"

enum { NOTE_BYTES = 64 }; /* room for "[cut at N bytes]" within the limit of a result */

static char *format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));

static char *format(const char *pattern, ...)
{
    char text[LIMIT_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, pattern);
    vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    return mem_strdup(text);
}

static void set_text_result(outcome_t *out, slice_t output, bool cut, size_t max_output)
{
    size_t most = LIMIT_RESULT_BYTES - NOTE_BYTES;
    size_t size;
    char *text = worker_text_clean(output, 3 * output.size, TEXT_HEAD, &size);
    /* Replaced bytes make it longer, so that it may have to be cut only now. */
    slice_t kept =
        worker_text_cut(slice(text, size), max_output < most ? max_output : most, TEXT_HEAD);
    if (cut || kept.size < size) {
        text = mem_realloc(text, kept.size + NOTE_BYTES);
        size = kept.size +
               (size_t)snprintf(text + kept.size, NOTE_BYTES, "\n[cut at %zu bytes]", kept.size);
    }
    out->result = text;
    out->settlement.result_kind = WIRE_RESULT_TEXT;
    out->settlement.result = text;
    out->settlement.result_size = size;
}

static void set_result(outcome_t *out, const child_end_t *end, size_t max_output)
{
    slice_t output = end->output;
    if (!end->output_cut && output.size > 0 && output.data[output.size - 1] == '\n')
        output.size--;
    if (output.size == 0)
        return;
    if (end->output_cut || !json_valid(output)) {
        set_text_result(out, output, end->output_cut, max_output);
        return;
    }
    out->settlement.result_kind = WIRE_RESULT_JSON;
    out->settlement.result = output.data; /* lives as long as the child */
    out->settlement.result_size = output.size;
}

static void set_signal_reason(outcome_t *out, int number)
{
    const char *name = sigabbrev_np(number);
    if (name != NULL)
        snprintf(out->reason, sizeof out->reason, "signal_%s", name);
    else
        snprintf(out->reason, sizeof out->reason, "signal_%d", number);
}

static void set_verdict(outcome_t *out, const child_end_t *end)
{
    out->settlement.verdict = REEVE_FAILURE;
    if (end->timed_out) {
        strcpy(out->reason, "timeout");
    } else if (end->signal != 0) {
        set_signal_reason(out, end->signal);
    } else if (end->exit_status == EX_OK) {
        out->settlement.verdict = REEVE_SUCCESS;
    } else if (end->exit_status == EX_TEMPFAIL) {
        strcpy(out->reason, "retry");
    } else if (end->exit_status == EX_DATAERR) {
        out->settlement.verdict = REEVE_REJECT;
        strcpy(out->reason, "rejected");
    } else {
        snprintf(out->reason, sizeof out->reason, "exit_%d", end->exit_status);
    }
}

static char *error_text(const child_end_t *end, slice_t last_line, int64_t timeout_ms)
{
    char duration[DURATION_SIZE];
    if (end->timed_out) {
        format_duration_ms(timeout_ms, duration);
        return format("did not end within its timeout of %s", duration);
    }
    if (last_line.size > 0)
        return mem_strndup(last_line.data, last_line.size);
    if (end->signal != 0)
        return format("killed by signal %d (%s)", end->signal, strsignal(end->signal));
    return format("exit status %d", end->exit_status);
}

void outcome_of_child(outcome_t *out, const child_end_t *end, int64_t timeout_ms, size_t max_output)
{
    *out = (outcome_t){0};
    set_verdict(out, end);
    if (out->settlement.verdict == REEVE_SUCCESS) {
        set_result(out, end, max_output);
        return;
    }
    size_t size;
    out->traceback = worker_text_clean(end->errors, LIMIT_TRACEBACK_BYTES, TEXT_TAIL, &size);
    out->error = error_text(end, worker_text_last_line(slice(out->traceback, size)), timeout_ms);
    out->settlement.reason = out->reason;
    out->settlement.error = out->error;
    out->settlement.traceback = out->traceback;
}

void outcome_without_child(outcome_t *out, reeve_verdict_t verdict, const char *reason,
                           const char *error)
{
    *out = (outcome_t){0};
    snprintf(out->reason, sizeof out->reason, "%s", reason);
    out->error = mem_strdup(error);
    out->settlement.verdict = verdict;
    out->settlement.reason = out->reason;
    out->settlement.error = out->error;
}

void outcome_fini(outcome_t *self)
{
    free(self->result);
    free(self->error);
    free(self->traceback);
}
