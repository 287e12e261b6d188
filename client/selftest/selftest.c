/*  `reeve selftest`: whether the contract holds on this machine and disk while the broker, the
    workers and the clients are killed at random. */

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/output.h"
#include "client/selftest/chaos.h"
#include "client/selftest/report.h"
#include "client/selftest/roles.h"
#include "client/selftest/watch.h"
#include "client/verbs.h"
#include "common/clock.h"

enum {
    OPT_DURATION = 1,
    OPT_SEED,
    OPT_RATE,
    OPT_DIR,
    OPT_KEEP,
    OPT_BROKER_PROGRAM,
    OPT_WORKER_PROGRAM,
};

enum {
    DEFAULT_DURATION_MS = 60000,
    DEFAULT_RATE = 500,
    RATE_MOST = 5000,
    TICK_MS = 10,
    PATIENCE_MS = 180000,   /* of each step of the healing */
    ASK_TIMEOUT_MS = 60000, /* of one question in the end */
    PORT_FIRST = 15000, /* below the ports that the system gives to clients: one of these could */
    PORT_COUNT = 15000, /* take the port while the broker is down */
};

typedef struct selftest {
    cli_t *cli;
    int64_t duration_ms;
    uint64_t seed;
    int64_t rate;
    const char *parent; /* of the directory */
    bool keep;
    char directory[PATH_MAX], program[PATH_MAX], broker_program[PATH_MAX], worker_program[PATH_MAX];
    cast_t cast;
    watch_t watch;
    story_t story;
    verdict_t verdict;
    report_t report;
    char problem[CAST_PROBLEM_SIZE + 64];
} selftest_t;

static volatile sig_atomic_t interrupts;

static void on_interrupt(int number)
{
    (void)number;
    interrupts++;
}

/* ---- preparing ------------------------------------------------------------------------------ */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/*  The program `name` beside this one, or, in a build tree, in the folder next to it. */
static void find_program(const selftest_t *self, const char *name, const char *folder,
                         const char *option, char path[PATH_MAX])
{
    const char *slash = strrchr(self->program, '/');
    int size = slash != NULL ? (int)(slash - self->program) : 0;
    if (path[0] == '\0')
        snprintf(path, PATH_MAX, "%.*s/%s", size, self->program, name);
    if (!is_program(path) && folder != NULL)
        snprintf(path, PATH_MAX, "%.*s/../%s/%s", size, self->program, folder, name);
    if (!is_program(path))
        cli_usage(self->cli, "%s is not beside %s; give it with %s", name, self->program, option);
}

static void find_programs(selftest_t *self)
{
    ssize_t size = readlink("/proc/self/exe", self->program, sizeof self->program - 1);
    self->program[size > 0 ? size : 0] = '\0';
    find_program(self, "reeve-broker", "broker", "--broker-program", self->broker_program);
    find_program(self, "reeve-worker", "worker", "--worker-program", self->worker_program);
}

static void make_directory(selftest_t *self)
{
    enum { SOCKET_PATH_MOST = 90 }; /* of the 107 that a Unix socket's address has room for */
    char parent[PATH_MAX], history[PATH_MAX + 16];
    if (realpath(self->parent, parent) == NULL)
        cli_usage(self->cli, "--dir: '%s': %s", self->parent, strerror(errno));
    if (strlen(parent) > SOCKET_PATH_MOST - sizeof "/reeve-selftest-XXXXXX")
        cli_usage(self->cli, "--dir: '%s' is too long for the path of a Unix socket", parent);
    snprintf(self->directory, sizeof self->directory, "%.80s/reeve-selftest-XXXXXX", parent);
    if (mkdtemp(self->directory) == NULL)
        cli_usage(self->cli, "--dir: '%s': %s", parent, strerror(errno));
    snprintf(history, sizeof history, "%s/history", self->directory);
    mkdir(history, 0700);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void remove_directory(const selftest_t *self)
{
    nftw(self->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool is_free(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool free_now = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return free_now;
}

static unsigned choose_port(void)
{
    uint64_t random = (uint64_t)clock_mono_us() ^ (uint64_t)getpid() << 20;
    for (;;) {
        unsigned port = PORT_FIRST + (unsigned)(plan_random(&random) % PORT_COUNT);
        if (is_free(port))
            return port;
    }
}

static void catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- the acts ------------------------------------------------------------------------------- */

static void tick(selftest_t *self, const char *what)
{
    int64_t now_ms = clock_mono_ms();
    struct timespec pause = {0, TICK_MS * 1000000};
    cast_tick(&self->cast, now_ms);
    watch_draw(&self->watch, now_ms, what, &self->cast);
    nanosleep(&pause, NULL);
}

static void play(selftest_t *self)
{
    int64_t start_ms = clock_mono_ms();
    chaos_t chaos;
    chaos_init(&chaos, self->seed, start_ms);
    while (interrupts == 0 && clock_mono_ms() - start_ms < self->duration_ms) {
        chaos_tick(&chaos, &self->cast, clock_mono_ms());
        tick(self, "killing");
    }
    self->report.duration_ms = clock_mono_ms() - start_ms;
}

/*  Keeps all going until `done`. False with a problem when it takes too long. */
static bool await(selftest_t *self, const char *what, bool (*done)(selftest_t *))
{
    int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    while (!done(self)) {
        if (interrupts > 1 || clock_mono_ms() >= until_ms) {
            snprintf(self->problem, sizeof self->problem, "gave up waiting for %s", what);
            return false;
        }
        tick(self, what);
    }
    return true;
}

static bool clients_are_done(selftest_t *self)
{
    return cast_running(&self->cast, ROLE_CLIENT) + cast_running(&self->cast, ROLE_MDP_CLIENT) == 0;
}

static bool broker_runs(selftest_t *self)
{
    return cast_running(&self->cast, ROLE_BROKER) > 0;
}

static bool all_have_ended(selftest_t *self)
{
    for (int role = 0; role < ROLES; role++)
        if (role != ROLE_BROKER && cast_running(&self->cast, (role_t)role) > 0)
            return false;
    return true;
}

static bool broker_has_ended(selftest_t *self)
{
    return !broker_runs(self);
}

/*  Whether nothing waits or runs in any queue. */
static bool queues_are_empty(selftest_t *self)
{
    char *json;
    reeve_error_t error;
    double left = 0;
    if (reeve_query(self->cli->client, REEVE_QUERY_QUEUES, NULL, NULL, 0, 0, &json, NULL, &error) !=
        0)
        return false;
    cJSON *list = cJSON_Parse(json);
    const cJSON *queue;
    cJSON_ArrayForEach(queue, list)
    {
        left += output_number(queue, "waiting") + output_number(queue, "scheduled") +
                output_number(queue, "processing");
    }
    bool read = list != NULL;
    cJSON_Delete(list);
    free(json);
    return read && left == 0;
}

/*  No more kills: everything that is open has to come to its end. */
static bool heal(selftest_t *self)
{
    static const role_t workers[] = {ROLE_WORKER, ROLE_POISON, ROLE_COMMAND, ROLE_MDP_WORKER};
    int64_t start_ms = clock_mono_ms();
    cast_heal(&self->cast, start_ms);
    cast_retire(&self->cast, ROLE_CLIENT);
    cast_retire(&self->cast, ROLE_MDP_CLIENT);
    bool good = await(self, "the clients' answers", clients_are_done) &&
                await(self, "the queues to run empty", queues_are_empty);
    for (size_t i = 0; good && i < sizeof workers / sizeof workers[0]; i++)
        cast_retire(&self->cast, workers[i]);
    good = good && await(self, "the workers' ends", all_have_ended);
    self->report.healing_ms = clock_mono_ms() - start_ms;
    return good;
}

static bool judge(const task_t *task, void *arg)
{
    selftest_t *self = arg;
    watch_draw(&self->watch, clock_mono_ms(), "checking", &self->cast);
    return oracle_judge(task, &self->verdict);
}

/*  Asks a broker that was killed once more, so that all of it comes from the disk. */
static void check(selftest_t *self)
{
    int64_t start_ms = clock_mono_ms();
    reeve_error_t error;
    actor_t *broker = cast_draw(&self->cast, ROLE_BROKER, 0);
    if (broker != NULL)
        cast_kill(&self->cast, broker, start_ms, 0);
    await(self, "the broker's end", broker_has_ended);
    await(self, "the broker", broker_runs);
    if (!story_read(&self->story, self->directory))
        snprintf(self->problem, sizeof self->problem, "the histories cannot be read");
    else if (story_ask(&self->story, self->cli->client, judge, self, &error) != 0)
        snprintf(self->problem, sizeof self->problem, "asking the broker in the end: %s",
                 reeve_error_meaning(error));
    cast_retire(&self->cast, ROLE_BROKER);
    await(self, "the broker's end", broker_has_ended);
    self->report.asking_ms = clock_mono_ms() - start_ms;
}

static void note_problems(selftest_t *self)
{
    const story_t *story = &self->story;
    if (self->problem[0] != '\0')
        return;
    if (self->cast.problems > 0)
        snprintf(self->problem, sizeof self->problem, "%" PRIu64 " wrong ends of processes: %s",
                 self->cast.problems, self->cast.problem);
    else if (story->strangers > 0)
        snprintf(self->problem, sizeof self->problem, "nobody submitted '%s'", story->stranger);
    else if (story->unexpected_dead > 0)
        snprintf(self->problem, sizeof self->problem, "%" PRIu64 " dead letters of nobody",
                 story->unexpected_dead);
}

static int tell(selftest_t *self)
{
    report_t *report = &self->report;
    watch_clear(&self->watch);
    note_problems(self);
    report->seed = self->seed;
    report->cast = &self->cast;
    report->story = &self->story;
    report->verdict = &self->verdict;
    report->problem = self->problem[0] != '\0' ? self->problem : NULL;
    bool good = report_is_good(report);
    if (self->cli->json)
        report_print_json(report);
    else
        report_print(report);
    report_print_examples(report);
    if (good && !self->keep)
        remove_directory(self);
    else
        cli_say("the histories, logs and the database are in %s", self->directory);
    return good ? EX_OK : EXIT_TASK_ENDED_BADLY;
}

static int run(selftest_t *self)
{
    find_programs(self);
    make_directory(self);
    catch_interrupts();
    cast_init(&self->cast, &(cast_options_t){.directory = self->directory,
                                             .self_program = self->program,
                                             .broker_program = self->broker_program,
                                             .worker_program = self->worker_program,
                                             .seed = self->seed,
                                             .per_second = (unsigned)self->rate,
                                             .port = choose_port()});
    watch_init(&self->watch, self->directory, self->duration_ms);
    cli_say("seed %" PRIu64 ", in %s", self->seed, self->directory);
    play(self);
    self->cli->broker = self->cast.ipc;
    self->cli->connect_timeout_ms = ASK_TIMEOUT_MS;
    cli_connect(self->cli);
    if (heal(self))
        check(self);
    cast_fini(&self->cast);
    int code = tell(self);
    story_fini(&self->story);
    watch_fini(&self->watch);
    return code;
}

/* ---- the command line ----------------------------------------------------------------------- */

static const struct option options[] = {
    {"duration", required_argument, NULL, OPT_DURATION},
    {"seed", required_argument, NULL, OPT_SEED},
    {"rate", required_argument, NULL, OPT_RATE},
    {"dir", required_argument, NULL, OPT_DIR},
    {"keep", no_argument, NULL, OPT_KEEP},
    {"broker-program", required_argument, NULL, OPT_BROKER_PROGRAM},
    {"worker-program", required_argument, NULL, OPT_WORKER_PROGRAM},
    CLI_COMMON_OPTIONS,
    {0},
};

static void take_program(const cli_t *cli, const char *option, char path[PATH_MAX])
{
    if (realpath(optarg, path) == NULL || !is_program(path))
        cli_usage(cli, "%s: '%s' is not a program", option, optarg);
}

static void take_option(selftest_t *self, int option)
{
    const cli_t *cli = self->cli;
    switch (option) {
    case OPT_DURATION:
        self->duration_ms = cli_duration(cli, "--duration", optarg);
        break;
    case OPT_SEED:
        self->seed = (uint64_t)cli_number(cli, "--seed", optarg, 0, INT64_MAX);
        break;
    case OPT_RATE:
        self->rate = cli_number(cli, "--rate", optarg, 1, RATE_MOST);
        break;
    case OPT_DIR:
        self->parent = optarg;
        break;
    case OPT_KEEP:
        self->keep = true;
        break;
    case OPT_BROKER_PROGRAM:
        take_program(cli, "--broker-program", self->broker_program);
        break;
    case OPT_WORKER_PROGRAM:
        take_program(cli, "--worker-program", self->worker_program);
        break;
    }
}

static int run_selftest(cli_t *cli, int argc, char **argv)
{
    static selftest_t self; /* large */
    int status;
    if (role_run(argc, argv, &status))
        return status;
    const char *temporary = getenv("TMPDIR");
    self = (selftest_t){.cli = cli,
                        .duration_ms = DEFAULT_DURATION_MS,
                        .rate = DEFAULT_RATE,
                        .parent = temporary != NULL ? temporary : "/tmp"};
    if (getrandom(&self.seed, sizeof self.seed, 0) < 0)
        self.seed = (uint64_t)clock_mono_us();
    self.seed >>= 16; /* easier to type */
    for (int option; (option = cli_next_option(cli, argc, argv, options)) != -1;)
        take_option(&self, option);
    if (optind < argc)
        cli_usage(cli, "'%s' is one operand too many", argv[optind]);
    if (cli->broker != NULL)
        cli_usage(cli, "--broker: it starts a broker of its own");
    return run(&self);
}

const verb_t verb_selftest = {
    .name = "selftest",
    .synopsis = "selftest [--duration DUR] [--seed N]",
    .summary = "kill a broker of its own at random and check that nothing is lost",
    .help =
        "Starts a broker of its own on a temporary directory, with clients and workers of every\n"
        "kind, and for the given time kills, stops and restarts them at random. Then lets all "
        "come\n"
        "to its end and checks every task: nothing that was confirmed is lost, no attempt counts\n"
        "twice, failed tasks are dead letters, and so on. Prints a table and 'passed' or "
        "'FAILED'.\n"
        "An interrupt ends the killing early, a second one gives up.\n\n"
        "  --duration DUR         how long to kill (default 1m)\n"
        "  --seed N               what happens and when (default: random, and printed)\n"
        "  --rate N               tasks per second (default 500)\n"
        "  --dir DIR              where the directory is made (default $TMPDIR, else /tmp): the\n"
        "                         disk that is tested\n"
        "  --keep                 keep the directory; it is kept anyway when something is wrong\n"
        "  --broker-program PATH  reeve-broker (default: beside this program)\n"
        "  --worker-program PATH  reeve-worker (default: beside this program)\n\n"
        "Exits with 0 when all rules hold, and 1 when not.",
    .own_broker = true,
    .run = run_selftest,
};
