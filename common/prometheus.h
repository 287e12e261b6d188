/*  The text that Prometheus scrapes, a family of metrics after the other: its own format 0.0.4, or
    OpenMetrics 1.0. What is in it is the caller's affair.
    Source: prometheus.io/docs/instrumenting/exposition_formats; the OpenMetrics specification. */

#ifndef REEVE_COMMON_PROMETHEUS_H
#define REEVE_COMMON_PROMETHEUS_H

#include <stddef.h>
#include <stdio.h>

#include "common/histogram.h"
#include "common/reasons.h"

typedef enum prom_format { PROM_TEXT, PROM_OPENMETRICS } prom_format_t;

/*  The format that a request's Accept header asks for; NULL: it has none. */
prom_format_t prom_format_accepted(const char *accept);
/*  The Content-Type that goes with it. Static. */
const char *prom_content_type(prom_format_t format);

/*  One answer being written. Do not copy: the stream points into it. */
typedef struct prom {
    FILE *out;
    prom_format_t format;
    char *text;
    size_t size;
} prom_t;

/*  Up to two labels; NULL names none. Values may be any text. */
typedef struct prom_labels {
    const char *name, *value, *name2, *value2;
} prom_labels_t;

/*  False when there is no memory for it; nothing else is to be called then. */
bool prom_begin(prom_t *self, prom_format_t format);
/*  The text, malloc'd. NULL when memory ran out on the way. */
char *prom_end(prom_t *self, size_t *size);

/*  HELP and TYPE; its samples come next. `type` is "counter" (the name has to end in _total),
    "gauge" or "histogram". */
void prom_family(prom_t *self, const char *name, const char *type, const char *help);
/*  `labels` may be NULL. */
void prom_sample(prom_t *self, const char *name, const prom_labels_t *labels, double value);
/*  Buckets, sum and count. */
void prom_histogram(prom_t *self, const char *name, const prom_labels_t *labels,
                    const histogram_t *values, histogram_kind_t kind);
/*  A sample for each reason, in a label of that name beside the first of `labels`. */
void prom_reasons(prom_t *self, const char *name, const prom_labels_t *labels,
                  const reasons_t *reasons);
/*  A family with one sample that has no labels. */
void prom_single(prom_t *self, const char *name, const char *type, const char *help, double value);

#endif
