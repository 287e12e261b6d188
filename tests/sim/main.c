/*  reeve-sim: plays seeds until one breaks a rule, the given ones are done, or the time is up. */

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/sim/sim.h"

typedef struct options {
    uint64_t from, to;
    int64_t seconds; /* 0: the given seeds only */
    bool story, quiet, replay;
} options_t;

static uint64_t current_seed;

/*  An assertion of the core is a rule as well. */
static void on_abort(int signal)
{
    char text[128];
    int size =
        snprintf(text, sizeof text,
                 "seed %" PRIu64 ": rule 'assertion' broken\n  replay: reeve-sim --seed %" PRIu64
                 " --story\n",
                 current_seed, current_seed);
    (void)signal;
    ssize_t written = write(STDERR_FILENO, text, (size_t)size);
    (void)written;
    _exit(1);
}

static void usage(FILE *to)
{
    fputs(
        "Usage: reeve-sim [--seed N | --seeds FROM..TO] [--seconds N] [--check-replay] [--story]\n"
        "                 [--quiet]\n"
        "Plays simulated brokers, clients, workers and their faults, judged by an oracle.\n"
        "  --seed N         this seed only\n"
        "  --seeds FROM..TO these seeds (default 1..100)\n"
        "  --seconds N      go on with the next seeds for so long\n"
        "  --check-replay   play each seed twice and compare, step by step\n"
        "  --story          tell in words what happens\n"
        "  --quiet          no summary\n"
        "Exit status: 0 all rules held, 1 one was broken, 64 wrong usage.\n",
        to);
}

static bool read_range(const char *text, options_t *options)
{
    char *end;
    options->from = strtoull(text, &end, 10);
    if (end == text || strncmp(end, "..", 2) != 0)
        return false;
    text = end + 2;
    options->to = strtoull(text, &end, 10);
    return end != text && *end == '\0' && options->from <= options->to;
}

static bool read_options(int argc, char **argv, options_t *options)
{
    static const struct option table[] = {
        {"seed", required_argument, NULL, 's'},    {"seeds", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 'n'}, {"story", no_argument, NULL, 'w'},
        {"quiet", no_argument, NULL, 'q'},         {"check-replay", no_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},          {0}};
    *options = (options_t){.from = 1, .to = 100};
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (c) {
        case 's':
            options->from = options->to = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            if (!read_range(optarg, options))
                return false;
            break;
        case 'n':
            options->seconds = strtoll(optarg, NULL, 10);
            break;
        case 'w':
            options->story = true;
            break;
        case 'q':
            options->quiet = true;
            break;
        case 'c':
            options->replay = true;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            return false;
        }
    }
    return optind == argc;
}

/* ---- replay --------------------------------------------------------------------------------- */

typedef struct track {
    uint64_t *digests;
    size_t count, at;
    bool comparing;
} track_t;

static void follow(uint64_t digest, void *arg)
{
    track_t *self = arg;
    if (!self->comparing) {
        self->digests = mem_realloc(self->digests, (self->count + 1) * sizeof *self->digests);
        self->digests[self->count++] = digest;
    } else if (self->at >= self->count || self->digests[self->at++] != digest) {
        fprintf(stderr, "seed %" PRIu64 ": rule 'replay' broken at step %zu\n", current_seed,
                self->at);
        _exit(1);
    }
}

static sim_counts_t play_twice(uint64_t seed, bool story)
{
    track_t track = {0};
    sim_play(seed, story, follow, &track);
    track.comparing = true;
    sim_counts_t counts = sim_play(seed, false, follow, &track);
    if (track.at != track.count) {
        fprintf(stderr, "seed %" PRIu64 ": rule 'replay' broken: it ended early\n", seed);
        _exit(1);
    }
    free(track.digests);
    return counts;
}

/* ---- the summary ---------------------------------------------------------------------------- */

static void add(sim_counts_t *sum, const sim_counts_t *counts)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)counts;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static void summarise(const options_t *options, const sim_counts_t *sum, uint64_t seeds,
                      int64_t took_ms)
{
    if (options->quiet)
        return;
    printf("%" PRIu64 " seeds from %" PRIu64 " in %.1f s: %.1f simulated hours, %" PRIu64
           " steps, %" PRIu64 " messages\n",
           seeds, options->from, (double)took_ms / 1000, (double)sum->simulated_ms / 3600000,
           sum->steps, sum->messages);
    printf("  %" PRIu64 " tasks, %" PRIu64 " confirms, %" PRIu64 " deliveries, %" PRIu64
           " settlements, %" PRIu64 " stale\n",
           sum->ended, sum->confirmed, sum->deliveries, sum->settled, sum->stale);
    printf("  %" PRIu64 " broker crashes, %" PRIu64 " stops in order; all rules held\n",
           sum->crashes, sum->restarts);
}

int main(int argc, char **argv)
{
    options_t options;
    if (!read_options(argc, argv, &options)) {
        usage(stderr);
        return 64;
    }
    signal(SIGABRT, on_abort);
    sim_counts_t sum = {0};
    uint64_t seeds = 0;
    int64_t start_ms = clock_mono_ms();
    for (uint64_t seed = options.from;; seed++) {
        bool in_time = clock_mono_ms() - start_ms < options.seconds * 1000;
        if (options.seconds ? !in_time : seed > options.to)
            break;
        current_seed = seed;
        sim_counts_t counts = options.replay ? play_twice(seed, options.story)
                                             : sim_play(seed, options.story, NULL, NULL);
        add(&sum, &counts);
        seeds++;
    }
    summarise(&options, &sum, seeds, clock_mono_ms() - start_ms);
    return 0;
}
