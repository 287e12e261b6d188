#include "common/prometheus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

prom_format_t prom_format_accepted(const char *accept)
{
    return accept && strstr(accept, "application/openmetrics-text") ? PROM_OPENMETRICS : PROM_TEXT;
}

const char *prom_content_type(prom_format_t format)
{
    return format == PROM_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                      : "text/plain; version=0.0.4; charset=utf-8";
}

bool prom_begin(prom_t *self, prom_format_t format)
{
    *self = (prom_t){.format = format};
    self->out = open_memstream(&self->text, &self->size);
    return self->out != NULL;
}

char *prom_end(prom_t *self, size_t *size)
{
    if (self->format == PROM_OPENMETRICS)
        fputs("# EOF\n", self->out);
    bool whole = ferror(self->out) == 0;
    if (fclose(self->out) != 0 || !whole) {
        free(self->text);
        return NULL;
    }
    *size = self->size;
    return self->text;
}

/*  A quotation mark would be shown with its backslash where the format does not know it escaped. */
static void put_escaped(FILE *out, const char *text, bool quoted)
{
    for (; *text; text++) {
        if (*text == '\\' || (quoted && *text == '"'))
            fprintf(out, "\\%c", *text);
        else if (*text == '\n')
            fputs("\\n", out);
        else
            fputc(*text, out);
    }
}

/*  OpenMetrics names a family of counters without the suffix of its samples. */
void prom_family(prom_t *self, const char *name, const char *type, const char *help)
{
    bool openmetrics = self->format == PROM_OPENMETRICS;
    size_t size = strlen(name);
    if (openmetrics && strcmp(type, "counter") == 0)
        size -= strlen("_total");
    fprintf(self->out, "# HELP %.*s ", (int)size, name);
    put_escaped(self->out, help, openmetrics);
    fprintf(self->out, "\n# TYPE %.*s %s\n", (int)size, name, type);
}

static void put_label(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s=\"", name);
    put_escaped(out, value, true);
    fputc('"', out);
}

static void put_labels(FILE *out, const prom_labels_t *labels)
{
    put_label(out, labels->name, labels->value);
    if (labels->name2 == NULL)
        return;
    fputc(',', out);
    put_label(out, labels->name2, labels->value2);
}

static void put_series(FILE *out, const char *name, const char *suffix, const prom_labels_t *labels)
{
    fprintf(out, "%s%s", name, suffix);
    if (labels == NULL || labels->name == NULL)
        return;
    fputc('{', out);
    put_labels(out, labels);
    fputc('}', out);
}

void prom_sample(prom_t *self, const char *name, const prom_labels_t *labels, double value)
{
    put_series(self->out, name, "", labels);
    fprintf(self->out, " %.15g\n", value);
}

static void put_bucket(FILE *out, const char *name, const prom_labels_t *labels, const char *le,
                       uint64_t count)
{
    fprintf(out, "%s_bucket{", name);
    if (labels && labels->name) {
        put_labels(out, labels);
        fputc(',', out);
    }
    fprintf(out, "le=\"%s\"} %" PRIu64 "\n", le, count);
}

void prom_histogram(prom_t *self, const char *name, const prom_labels_t *labels,
                    const histogram_t *values, histogram_kind_t kind)
{
    char le[32];
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += values->counts[i];
        double bound = histogram_bounds(kind)[i];
        /* OpenMetrics wants floats that look like floats. */
        snprintf(le, sizeof le, bound == (double)(int64_t)bound ? "%.1f" : "%.15g", bound);
        put_bucket(self->out, name, labels, le, count);
    }
    count += values->counts[HISTOGRAM_BOUNDS];
    put_bucket(self->out, name, labels, "+Inf", count);
    put_series(self->out, name, "_sum", labels);
    fprintf(self->out, " %.15g\n", values->sum);
    put_series(self->out, name, "_count", labels);
    fprintf(self->out, " %" PRIu64 "\n", count);
}

void prom_reasons(prom_t *self, const char *name, const prom_labels_t *labels,
                  const reasons_t *reasons)
{
    for (size_t i = 0; i < reasons->count; i++)
        prom_sample(self, name,
                    &(prom_labels_t){labels->name, labels->value, "reason", reasons->items[i].name},
                    (double)reasons->items[i].count);
}

void prom_single(prom_t *self, const char *name, const char *type, const char *help, double value)
{
    prom_family(self, name, type, help);
    prom_sample(self, name, NULL, value);
}
