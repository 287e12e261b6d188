/*  `reeve top`: the broker at work, on a terminal or as text. */

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/output.h"
#include "client/top/batch.h"
#include "client/top/feed.h"
#include "client/top/screen.h"
#include "client/verbs.h"

enum {
    DEFAULT_INTERVAL_MS = 1000,
    MIN_INTERVAL_MS = 100,
    MAX_INTERVAL_MS = 3600000,
    TICK_MS = 1000, /* the time of silence is brought up to date so often */
};

typedef struct top_options {
    int64_t interval_ms, iterations; /* 0: for ever */
    sort_key_t sort;
    bool batch;
} top_options_t;

/*  What is on the terminal, and where it comes from. */
typedef struct top {
    feed_t *feed;
    model_t model;
    choice_t choice;
    contact_t contact;
    canvas_t canvas;
    bool ended;
    int signal; /* that ended it, or that would have; 0: none */
} top_t;

/* ---- keys ----------------------------------------------------------------------------------- */

/*  The next longer or shorter one of intervals that a person tells apart. */
static int64_t next_interval(int64_t interval_ms, bool longer)
{
    static const int64_t steps_ms[] = {100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000};
    enum { STEPS = sizeof steps_ms / sizeof *steps_ms };
    for (int i = 0; longer && i < STEPS; i++)
        if (steps_ms[i] > interval_ms)
            return steps_ms[i];
    for (int i = STEPS - 1; !longer && i >= 0; i--)
        if (steps_ms[i] < interval_ms)
            return steps_ms[i];
    return interval_ms;
}

/*  The layout stops it at the last row. */
static void scroll_by(choice_t *choice, long rows)
{
    size_t *top = &choice->top[choice->list];
    if (rows < 0 && (size_t)-rows > *top)
        *top = 0;
    else
        *top += (size_t)rows;
}

static void tell_feed(top_t *self)
{
    feed_set(self->feed, self->choice.interval_ms, self->choice.paused,
             self->choice.list == LIST_DEAD);
}

static void act(top_t *self, screen_key_t key)
{
    choice_t *choice = &self->choice;
    long page = self->canvas.height / 2;
    switch (key) {
    case PRESSED_NOTHING:
        break;
    case PRESSED_QUIT:
        self->ended = true;
        break;
    case PRESSED_SORT:
        model_sort(&self->model, (sort_key_t)((self->model.sort + 1) % SORT_KEY_COUNT));
        break;
    case PRESSED_UP:
        scroll_by(choice, -1);
        break;
    case PRESSED_DOWN:
        scroll_by(choice, 1);
        break;
    case PRESSED_PAGE_UP:
        scroll_by(choice, -page);
        break;
    case PRESSED_PAGE_DOWN:
        scroll_by(choice, page);
        break;
    case PRESSED_HOME:
        choice->top[choice->list] = 0;
        break;
    case PRESSED_END:
        choice->top[choice->list] = SIZE_MAX / 2;
        break;
    case PRESSED_PAUSE:
        choice->paused = !choice->paused;
        tell_feed(self);
        break;
    case PRESSED_SLOWER:
    case PRESSED_FASTER:
        choice->interval_ms = next_interval(choice->interval_ms, key == PRESSED_SLOWER);
        tell_feed(self);
        break;
    case PRESSED_HELP:
        choice->help = !choice->help;
        break;
    case PRESSED_NEXT_LIST:
        choice->list = choice_next_list(choice);
        tell_feed(self);
        break;
    }
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void draw(top_t *self)
{
    int width, height;
    screen_size(&width, &height);
    feed_contact(self->feed, &self->contact);
    layout(&self->canvas, width, height, &self->model, &self->choice, &self->contact);
    screen_draw(&self->canvas);
}

static void take_signals(top_t *self, int fd)
{
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGWINCH) {
            screen_resize();
        } else {
            self->signal = (int)info.ssi_signo;
            self->ended = true;
        }
    }
}

/*  Keys; or, when the terminal is gone, the end, as of the SIGHUP that tells it later, or does not where
    somebody else leads the session. */
static void take_keys(top_t *self, short events)
{
    screen_key_t key;
    bool any = false;
    while (!self->ended && screen_next_key(&key)) {
        act(self, key);
        any = true;
    }
    if (!any && (events & (POLLHUP | POLLERR))) {
        self->signal = SIGHUP;
        self->ended = true;
    }
}

static void take_sample(top_t *self)
{
    sample_t *sample = feed_take(self->feed);
    if (sample && !self->choice.paused)
        model_take(&self->model, &sample);
    sample_destroy(&sample);
}

static void loop(top_t *self, int signal_fd)
{
    while (!self->ended) {
        draw(self);
        struct pollfd fds[] = {
            {STDIN_FILENO, POLLIN, 0}, {signal_fd, POLLIN, 0}, {feed_fd(self->feed), POLLIN, 0}};
        if (poll(fds, sizeof fds / sizeof *fds, TICK_MS) < 0)
            continue; /* curses handles SIGTSTP */
        if (fds[1].revents)
            take_signals(self, signal_fd);
        if (fds[2].revents)
            take_sample(self);
        if (fds[0].revents)
            take_keys(self, fds[0].revents);
    }
}

/*  Signals are read from a descriptor, so that the terminal is restored where that is allowed. */
static int open_signals(sigset_t *blocked, sigset_t *before)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
    sigemptyset(blocked);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(blocked, numbers[i]);
    pthread_sigmask(SIG_BLOCK, blocked, before);
    return signalfd(-1, blocked, SFD_CLOEXEC | SFD_NONBLOCK);
}

/*  Ends as the signal would have ended it, so that the shell knows. */
static void die_of(int number, const sigset_t *before)
{
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, before, NULL);
    raise(number);
}

static int run_on_terminal(cli_t *cli, const top_options_t *options)
{
    sigset_t blocked, before;
    top_t self = {.model = {.sort = options->sort},
                  .choice = {.interval_ms = options->interval_ms},
                  .contact = {.broker = reeve_client_broker(cli->client), .text = ""}};
    int signal_fd = open_signals(&blocked, &before);
    self.feed = signal_fd >= 0 ? feed_start(&cli->client, options->interval_ms) : NULL;
    if (self.feed == NULL) {
        cli_say("cannot start: %s", strerror(errno));
        return EX_OSERR;
    }
    bool opened = screen_open();
    if (opened)
        loop(&self, signal_fd);
    screen_close();
    feed_stop(&self.feed);
    canvas_fini(&self.canvas);
    model_fini(&self.model);
    close(signal_fd);
    if (!opened) {
        const char *term = getenv("TERM");
        cli_usage(cli, "TERM is '%s', which is no terminal that can be drawn on; use --batch",
                  term != NULL ? term : "");
    }
    if (self.signal != 0)
        die_of(self.signal, &before);
    return EX_OK;
}

/* ---- the command line ----------------------------------------------------------------------- */

enum { OPT_INTERVAL = 1, OPT_SORT, OPT_BATCH, OPT_ONCE, OPT_ITERATIONS };

static sort_key_t sort_key_of(const cli_t *cli, const char *name)
{
    sort_key_t key;
    if (!sort_key_find(name, &key))
        cli_usage(cli, "--sort: '%s' is not waiting, rate, age or name", name);
    return key;
}

static int64_t interval_of(const cli_t *cli, const char *text)
{
    int64_t ms = cli_duration(cli, "--interval", text);
    if (ms < MIN_INTERVAL_MS || ms > MAX_INTERVAL_MS)
        cli_usage(cli, "--interval: '%s' is not in 100ms..1h", text);
    return ms;
}

static void read_options(cli_t *cli, top_options_t *options, int argc, char **argv)
{
    static const struct option table[] = {{"interval", required_argument, NULL, OPT_INTERVAL},
                                          {"sort", required_argument, NULL, OPT_SORT},
                                          {"batch", no_argument, NULL, OPT_BATCH},
                                          {"once", no_argument, NULL, OPT_ONCE},
                                          {"iterations", required_argument, NULL, OPT_ITERATIONS},
                                          CLI_COMMON_OPTIONS,
                                          {0}};
    for (int option; (option = cli_next_option(cli, argc, argv, table)) != -1;) {
        if (option == OPT_INTERVAL)
            options->interval_ms = interval_of(cli, optarg);
        else if (option == OPT_SORT)
            options->sort = sort_key_of(cli, optarg);
        else if (option == OPT_ITERATIONS)
            options->iterations = cli_number(cli, "--iterations", optarg, 1, INT64_MAX);
        else
            options->batch = true;
        if (option == OPT_ONCE)
            options->iterations = 1;
    }
    if (optind < argc)
        cli_usage(cli, "'%s' is one operand too many", argv[optind]);
    options->batch = options->batch || cli->json;
    if (options->iterations != 0 && !options->batch)
        cli_usage(cli, "--iterations is for --batch");
}

static int run_top(cli_t *cli, int argc, char **argv)
{
    top_options_t options = {.interval_ms = DEFAULT_INTERVAL_MS};
    setlocale(LC_CTYPE, ""); /* what is a character, and how wide it is */
    read_options(cli, &options, argc, argv);
    if (options.batch)
        return batch_run(cli, options.interval_ms, options.iterations, options.sort);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        cli_usage(cli, "standard %s is not a terminal; use --batch",
                  isatty(STDOUT_FILENO) ? "input" : "output");
    cli->connect_timeout_ms = -1; /* it shows that the broker is away, and goes on trying */
    cli_connect(cli);
    return run_on_terminal(cli, &options);
}

const verb_t verb_top = {
    .name = "top",
    .synopsis = "top [--interval DUR] [--sort KEY] [--batch [--once | --iterations N]]",
    .summary = "watch queues and workers on the terminal",
    .help = "Shows the broker, its queues and its workers, and how many tasks come and end in a\n"
            "second. It goes on trying while the broker is away.\n\n"
            "  --interval DUR         how often to look, 100ms to 1h (default 1s)\n"
            "  --sort KEY             of the queues: waiting (default), rate, age or name\n"
            "  --batch                print text instead, or with --json an object, for each look\n"
            "  --iterations N         look so many times (with --batch; default: for ever)\n"
            "  --once                 the same as --batch --iterations 1; it knows no rates\n\n"
            "Keys: q quit, s the next sort key, j k and arrows scroll, tab the next list (queues,\n"
            "workers, dead letters), p pause, + and - the interval, ? help.",
    .run = run_top,
};
