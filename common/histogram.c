#include "common/histogram.h"

#include <stddef.h>

static const double bounds[][HISTOGRAM_BOUNDS] = {
    [HISTOGRAM_DURATION] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
                            900, 3600},
    [HISTOGRAM_AGE] = {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400,
                       86400},
    [HISTOGRAM_COMMIT] = {0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                          0.1, 0.2, 0.5, 1, 2, 5},
    [HISTOGRAM_BATCH] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
                         32768},
};

const double *histogram_bounds(histogram_kind_t kind)
{
    return bounds[kind];
}

void histogram_add(histogram_t *self, histogram_kind_t kind, double value)
{
    size_t i = 0;
    while (i < HISTOGRAM_BOUNDS && value > bounds[kind][i])
        i++;
    self->counts[i]++;
    self->sum += value;
}

uint64_t histogram_count(const histogram_t *self)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        count += self->counts[i];
    return count;
}
