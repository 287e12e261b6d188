/*  `reeve check`: are queues within bounds? In the form of monitoring plugins.
    Source: Monitoring Plugins Development Guidelines (exit codes and performance data). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/output.h"
#include "client/verbs.h"
#include "common/mem.h"

enum { CHECK_OK = 0, CHECK_CRITICAL = 2, CHECK_UNKNOWN = 3, NO_BOUND = -1 };

typedef enum check_format { FORMAT_NAGIOS, FORMAT_TEXT, FORMAT_JSON, FORMAT_PROMETHEUS } format_t;

static const char *const format_names[] = {"nagios", "text", "json", "prometheus"};

/*  One thing that is looked at, in the queue or in all of them together. */
typedef struct measure {
    const char *name, *unit;
    double bound;  /* NO_BOUND: not asked for */
    bool at_least; /* the bound is the least that is fine, not the most */
    bool measured; /* there is a value: it is told of, and may break the bound */
    double value;
} measure_t;

enum { WAITING, AGE, WORKERS, DEAD, MEASURES };

typedef struct check {
    const char *queue; /* NULL: all */
    bool found;        /* the queue exists */
    format_t format;
    measure_t measures[MEASURES];
} check_t;

static bool is_broken(const measure_t *measure)
{
    if (!measure->measured || measure->bound == NO_BOUND)
        return false;
    return measure->at_least ? measure->value < measure->bound : measure->value > measure->bound;
}

/*  Whether workers have to be there: somebody asked for this queue, or something is to be done. */
static bool needs_workers(const check_t *self, const cJSON *queue)
{
    return self->queue || output_number(queue, "waiting") > 0 ||
           output_number(queue, "scheduled") > 0 || output_number(queue, "processing") > 0;
}

/*  Adds a queue: counts are summed up, of ages and of workers the worst one counts. */
static void add_queue(check_t *self, const cJSON *queue)
{
    measure_t *measures = self->measures, *least = &measures[WORKERS];
    double age = output_number(queue, "oldest_age_s"), workers = output_number(queue, "workers");
    if (self->queue && strcmp(self->queue, output_string(queue, "queue")) != 0)
        return;
    self->found = true;
    measures[WAITING].value += output_number(queue, "waiting");
    measures[DEAD].value += output_number(queue, "dead");
    if (age > measures[AGE].value)
        measures[AGE].value = age;
    if ((workers > 0 || needs_workers(self, queue)) &&
        (!least->measured || workers < least->value)) {
        least->value = workers;
        least->measured = true;
    }
}

static bool ask(cli_t *cli, check_t *self, reeve_error_t *error)
{
    char *json;
    if (reeve_query(cli->client, REEVE_QUERY_QUEUES, NULL, NULL, 0, 0, &json, NULL, error) != 0)
        return false;
    cJSON *list = cJSON_Parse(json);
    const cJSON *queue;
    cJSON_ArrayForEach(queue, list) add_queue(self, queue);
    bool measured = !self->queue || self->found;
    self->measures[WAITING].measured = measured;
    self->measures[AGE].measured = measured;
    self->measures[DEAD].measured = measured;
    cJSON_Delete(list);
    free(json);
    return true;
}

/* ---- telling -------------------------------------------------------------------------------- */

static const char *status_name(int status)
{
    return status == CHECK_OK ? "OK" : status == CHECK_CRITICAL ? "CRITICAL" : "UNKNOWN";
}

/*  "waiting 120 > 100, workers 0 < 1", or what was found when nothing is wrong. */
static char *sentence(const check_t *self, int status)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    const char *between = "";
    for (int i = 0; i < MEASURES; i++) {
        const measure_t *measure = &self->measures[i];
        if (!measure->measured || (status == CHECK_CRITICAL && !is_broken(measure)))
            continue;
        fprintf(out, "%s%s %.15g%s", between, measure->name, measure->value, measure->unit);
        if (status == CHECK_CRITICAL)
            fprintf(out, " %c %.15g%s", measure->at_least ? '<' : '>', measure->bound,
                    measure->unit);
        between = ", ";
    }
    fclose(out);
    return text;
}

static void tell_nagios(const check_t *self, int status, const char *text)
{
    printf("REEVE %s: ", status_name(status));
    output_clean(stdout, self->queue ? self->queue : "all queues");
    printf(": %s", text);
    const char *between = " | ";
    for (int i = 0; i < MEASURES; i++) {
        const measure_t *measure = &self->measures[i];
        if (!measure->measured)
            continue;
        printf("%s%s=%.15g%s;;", between, measure->name, measure->value, measure->unit);
        between = " ";
        if (measure->bound != NO_BOUND)
            printf("%.15g%s", measure->bound, measure->at_least ? ":" : "");
    }
    puts("");
}

static void tell_json(const check_t *self, int status, const char *text)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "status", status_name(status));
    cJSON_AddStringToObject(object, "text", text);
    if (self->queue)
        cJSON_AddStringToObject(object, "queue", self->queue);
    for (int i = 0; i < MEASURES; i++)
        if (self->measures[i].measured)
            cJSON_AddNumberToObject(object, self->measures[i].name, self->measures[i].value);
    output_json(&object);
}

static void tell_prometheus(const check_t *self, int status)
{
    puts("# HELP reeve_check_status 0 fine, 2 out of bounds, 3 not known.\n"
         "# TYPE reeve_check_status gauge");
    printf("reeve_check_status %d\n", status);
    for (int i = 0; i < MEASURES; i++) {
        const measure_t *measure = &self->measures[i];
        const char *unit = measure->unit[0] ? "_seconds" : "";
        if (!measure->measured)
            continue;
        printf("# HELP reeve_check_%s%s As looked at by reeve check.\n# TYPE reeve_check_%s%s "
               "gauge\nreeve_check_%s%s %.15g\n",
               measure->name, unit, measure->name, unit, measure->name, unit, measure->value);
    }
}

static int tell(const check_t *self, int status, const char *text)
{
    switch (self->format) {
    case FORMAT_NAGIOS:
        tell_nagios(self, status, text);
        break;
    case FORMAT_TEXT:
        printf("%s: %s\n", status_name(status), text);
        break;
    case FORMAT_JSON:
        tell_json(self, status, text);
        break;
    case FORMAT_PROMETHEUS:
        tell_prometheus(self, status);
        break;
    }
    return status;
}

/* ---- the command line ----------------------------------------------------------------------- */

static format_t format_of(const cli_t *cli, const char *name)
{
    for (int i = 0; i < (int)(sizeof format_names / sizeof format_names[0]); i++)
        if (strcmp(name, format_names[i]) == 0)
            return (format_t)i;
    cli_usage(cli, "--format: '%s' is not nagios, text, json or prometheus", name);
}

static void read_options(cli_t *cli, check_t *self, int argc, char **argv)
{
    static const struct option options[] = {CLI_COMMON_OPTIONS,
                                            {"queue", required_argument, NULL, 'q'},
                                            {"max-waiting", required_argument, NULL, 'w'},
                                            {"max-age", required_argument, NULL, 'a'},
                                            {"min-workers", required_argument, NULL, 'm'},
                                            {"max-dead", required_argument, NULL, 'd'},
                                            {"format", required_argument, NULL, 'f'},
                                            {0}};
    measure_t *measures = self->measures;
    for (int option; (option = cli_next_option(cli, argc, argv, options)) != -1;) {
        if (option == 'q')
            self->queue = optarg;
        else if (option == 'w')
            measures[WAITING].bound =
                (double)cli_number(cli, "--max-waiting", optarg, 0, INT64_MAX);
        else if (option == 'a')
            measures[AGE].bound = (double)cli_duration(cli, "--max-age", optarg) / 1000;
        else if (option == 'm')
            measures[WORKERS].bound =
                (double)cli_number(cli, "--min-workers", optarg, 0, INT64_MAX);
        else if (option == 'd')
            measures[DEAD].bound = (double)cli_number(cli, "--max-dead", optarg, 0, INT64_MAX);
        else
            self->format = format_of(cli, optarg);
    }
    if (optind < argc)
        cli_usage(cli, "'%s' is one operand too many", argv[optind]);
    if (cli->json)
        self->format = FORMAT_JSON;
}

static int run_check(cli_t *cli, int argc, char **argv)
{
    check_t self = {
        .measures = {
            [WAITING] = {.name = "waiting", .unit = "", .bound = NO_BOUND},
            [AGE] = {.name = "age", .unit = "s", .bound = NO_BOUND},
            [WORKERS] = {.name = "workers", .unit = "", .bound = NO_BOUND, .at_least = true},
            [DEAD] = {.name = "dead", .unit = "", .bound = NO_BOUND},
        }};
    reeve_error_t error;
    read_options(cli, &self, argc, argv);
    cli_connect(cli);
    if (!ask(cli, &self, &error)) {
        bool away = error == REEVE_ERR_UNREACHABLE || error == REEVE_ERR_TIMED_OUT;
        char why[512];
        snprintf(why, sizeof why, "%s: %s", reeve_client_broker(cli->client),
                 reeve_error_meaning(error));
        return tell(&self, away ? CHECK_CRITICAL : CHECK_UNKNOWN, why);
    }
    if (self.queue && !self.found)
        return tell(&self, CHECK_UNKNOWN, "there is no queue of this name");
    int status = CHECK_OK;
    for (int i = 0; i < MEASURES; i++)
        if (is_broken(&self.measures[i]))
            status = CHECK_CRITICAL;
    char *text = sentence(&self, status);
    tell(&self, status, text);
    free(text);
    return status;
}

const verb_t verb_check = {
    .name = "check",
    .synopsis = "check [--queue Q] [--max-waiting N] [--max-age DUR] [--min-workers N] "
                "[--max-dead N]",
    .summary = "tell a monitoring system whether queues are within bounds",
    .help =
        "Looks at one queue, or at all: waiting tasks and dead letters are summed up, the oldest\n"
        "waiting task and the queue with the fewest workers count. Without a bound, only whether\n"
        "the broker answers.\n\n"
        "  --queue Q              this queue only\n"
        "  --max-waiting N        most tasks that may wait\n"
        "  --max-age DUR          longest that a task may wait\n"
        "  --min-workers N        fewest registered workers; without --queue, of every queue that\n"
        "                         has tasks to run or workers\n"
        "  --max-dead N           most dead letters\n"
        "  --format FORMAT        nagios (default; with performance data), text, json or\n"
        "                         prometheus\n\n"
        "Exits with 0 when all is well, 2 when a bound is broken or the broker cannot be reached,\n"
        "3 when it cannot be told, as monitoring plugins do.",
    .run = run_check,
};
