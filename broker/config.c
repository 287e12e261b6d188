#include "broker/config.h"

#include <czmq.h>
#include <getopt.h>
#include <netdb.h>
#include <stddef.h>
#include <sys/un.h>

#include "common/json.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/parse.h"

/* ---- settings: one table for the file and for printing -------------------------------------- */

typedef enum kind {
    TEXT,
    ADDRESS,
    DURATION,
    SIZE,
    INTEGER,
    COUNT32,
    FORMAT,
    LEVEL,
    DURABILITY,
} kind_t;

typedef struct setting {
    const char *section, *key;
    kind_t kind;
    size_t offset; /* in config_t, or in policy_t for policies */
    int64_t min, max;
} setting_t;

#define BROKER(key, kind, member, min, max)                                                        \
    {                                                                                              \
        "broker", key, kind, offsetof(config_t, member), min, max                                  \
    }
#define POLICY(key, kind, member, min, max)                                                        \
    {                                                                                              \
        "policy", key, kind, offsetof(policy_t, member), min, max                                  \
    }

static const setting_t broker_settings[] = {
    BROKER("db", TEXT, db, 0, 0),
    BROKER("http", ADDRESS, http, 0, 0),
    BROKER("log-format", FORMAT, log_format, 0, 0),
    BROKER("log-level", LEVEL, log_level, 0, 0),
    BROKER("log-to", TEXT, log_to, 0, 0),
    BROKER("log-task-rate", INTEGER, log_task_rate, 0, INT32_MAX),
    BROKER("heartbeat", DURATION, heartbeat_ms, 50, 60 * 1000),
    BROKER("liveness", DURATION, liveness_ms, 100, 600 * 1000),
    BROKER("grace", DURATION, grace_ms, 0, 600 * 1000),
    BROKER("mdp-liveness", DURATION, mdp_liveness_ms, 100, 600 * 1000),
    BROKER("mdp-timeout", DURATION, mdp_timeout_ms, 100, LIMIT_DURATION_MS),
    BROKER("disk-reserve", SIZE, disk_reserve_bytes, 0, INT64_MAX),
    BROKER("max-queues", INTEGER, max_queues, 1, LIMIT_QUEUES),
};

static const setting_t policy_settings[] = {
    POLICY("max-retries", COUNT32, max_retries, 0, LIMIT_RETRIES),
    POLICY("max-deaths", COUNT32, max_deaths, 1, LIMIT_RETRIES),
    POLICY("backoff", DURATION, backoff_ms, 0, LIMIT_DURATION_MS),
    POLICY("backoff-max", DURATION, backoff_max_ms, 0, LIMIT_DURATION_MS),
    POLICY("timeout", DURATION, timeout_ms, 0, LIMIT_DURATION_MS),
    POLICY("retention", DURATION, retention_ms, 0, LIMIT_DURATION_MS),
    POLICY("max-length", INTEGER, max_length, 0, INT64_MAX),
    POLICY("max-bytes", SIZE, max_bytes, 0, INT64_MAX),
    POLICY("log-every", COUNT32, log_every, 0, INT32_MAX),
    POLICY("durability", DURABILITY, durability, 0, 0),
};

enum {
    BROKER_COUNT = sizeof broker_settings / sizeof broker_settings[0],
    POLICY_COUNT = sizeof policy_settings / sizeof policy_settings[0],
};

static bool set_number(const setting_t *setting, const char *text, int64_t *value)
{
    switch (setting->kind) {
    case DURATION:
        return parse_duration_ms(text, value) && *value >= setting->min && *value <= setting->max;
    case SIZE:
        return parse_size(text, value) && *value >= setting->min;
    default:
        return parse_int(text, setting->min, setting->max, value);
    }
}

static const char endpoint_form[] = "tcp://ADDR:PORT or ipc://PATH of at most 107 bytes";

/*  Whether it can be bound is seen when it is. */
static bool is_endpoint(const char *text)
{
    static const char tcp[] = "tcp://", ipc[] = "ipc://";
    if (strncmp(text, ipc, strlen(ipc)) == 0) {
        size_t size = strlen(text + strlen(ipc));
        return size > 0 && size < sizeof((struct sockaddr_un *)NULL)->sun_path;
    }
    const char *colon = strrchr(text, ':');
    return strncmp(text, tcp, strlen(tcp)) == 0 && colon > text + strlen(tcp) &&
           (strcmp(colon + 1, "*") == 0 || port_valid(colon + 1));
}

/*  "off" or ADDR:PORT. */
static bool is_address(const char *text)
{
    struct addrinfo *found = address_resolve(text);
    if (found)
        freeaddrinfo(found);
    return found != NULL || strcmp(text, "off") == 0;
}

static bool set_durability(const char *text, durability_t *value)
{
    bool memory = strcmp(text, durability_name(DURABILITY_MEMORY)) == 0;
    *value = memory ? DURABILITY_MEMORY : DURABILITY_FSYNC;
    return strcmp(text, durability_name(*value)) == 0;
}

static bool set(const setting_t *setting, void *base, const char *text)
{
    void *at = (char *)base + setting->offset;
    int64_t value;
    switch (setting->kind) {
    case TEXT:
    case ADDRESS:
        free(*(char **)at);
        *(char **)at = mem_strdup(text);
        return setting->kind == ADDRESS ? is_address(text) : text[0] != '\0';
    case FORMAT:
        return log_parse_format(text, at);
    case LEVEL:
        return log_parse_level(text, at);
    case DURABILITY:
        return set_durability(text, at);
    case COUNT32:
        if (!set_number(setting, text, &value))
            return false;
        *(uint32_t *)at = (uint32_t)value;
        return true;
    default:
        return set_number(setting, text, at);
    }
}

static const setting_t *find(const setting_t *settings, int count, const char *key)
{
    for (int i = 0; i < count; i++)
        if (strcmp(settings[i].key, key) == 0)
            return &settings[i];
    return NULL;
}

/*  What a value has to look like, for the message about one that does not. */
static void describe(const setting_t *setting, char *text, size_t size)
{
    char min[DURATION_SIZE], max[DURATION_SIZE];
    switch (setting->kind) {
    case TEXT:
        snprintf(text, size, "a file name");
        break;
    case ADDRESS:
        snprintf(text, size, "ADDR:PORT or off, ADDR a numeric address");
        break;
    case DURATION:
        format_duration_ms(setting->min, min);
        format_duration_ms(setting->max, max);
        snprintf(text, size, "a duration such as 10s, %s to %s", min, max);
        break;
    case SIZE:
        snprintf(text, size, "a size such as 64M");
        break;
    case FORMAT:
        snprintf(text, size, "auto, text or json");
        break;
    case LEVEL:
        snprintf(text, size, "debug, info, warn or error");
        break;
    case DURABILITY:
        snprintf(text, size, "fsync or memory");
        break;
    default:
        if (setting->max == INT64_MAX)
            snprintf(text, size, "a number, %" PRId64 " or more", setting->min);
        else
            snprintf(text, size, "a number from %" PRId64 " to %" PRId64, setting->min,
                     setting->max);
        break;
    }
}

/*  `where` is the flag, variable, or file and key. */
static bool complain_value(char *problem, size_t size, const char *where, const char *value,
                           const char *expected)
{
    snprintf(problem, size, "%s: bad value \"%s\", expected %s", where, value, expected);
    return false;
}

/*  Sets what the setting says, or complains. */
static bool take(const setting_t *setting, void *base, const char *value, const char *where,
                 char *problem, size_t size)
{
    if (set(setting, base, value))
        return true;
    char expected[128];
    describe(setting, expected, sizeof expected);
    return complain_value(problem, size, where, value, expected);
}

static bool add_bind(config_t *self, const char *endpoint)
{
    self->bind = mem_realloc(self->bind, (self->bind_count + 1) * sizeof *self->bind);
    self->bind[self->bind_count++] = mem_strdup(endpoint);
    return is_endpoint(endpoint);
}

static void clear_binds(config_t *self)
{
    for (size_t i = 0; i < self->bind_count; i++)
        free(self->bind[i]);
    self->bind_count = 0;
}

/* ---- the file ------------------------------------------------------------------------------- */

typedef struct reader {
    config_t *config;
    char *problem;
    size_t size;
} reader_t;

static bool complain_at(const reader_t *reader, const char *path, const char *what)
{
    snprintf(reader->problem, reader->size, "%s: %s: %s", reader->config->file, path, what);
    return false;
}

static bool complain_key(const reader_t *reader, const char *path)
{
    snprintf(reader->problem, reader->size, "%s: unknown key %s", reader->config->file, path);
    return false;
}

static const char *value_of(zconfig_t *item)
{
    const char *value = zconfig_value(item);
    return value ? value : "";
}

enum { PATH_SIZE = 256 };

/*  Where an item stands, as messages show it; the root's path is empty. */
static void join(char path[PATH_SIZE], const char *section, zconfig_t *item)
{
    snprintf(path, PATH_SIZE, "%s%s%s", section, *section ? "/" : "", zconfig_name(item));
}

/*  It has no value, and each name below it once, but for bind. */
static bool is_section(const reader_t *reader, zconfig_t *node, const char *path)
{
    if (*value_of(node) != '\0')
        return complain_at(reader, path, "a section, which takes no value");
    char item_path[PATH_SIZE];
    bool once = true;
    zhashx_t *seen = zhashx_new();
    for (zconfig_t *item = zconfig_child(node); item && once; item = zconfig_next(item)) {
        join(item_path, path, item);
        once = zhashx_insert(seen, zconfig_name(item), item) == 0 ||
               strcmp(item_path, "broker/bind") == 0;
    }
    zhashx_destroy(&seen);
    return once || complain_at(reader, item_path, "given twice");
}

static bool is_key(const reader_t *reader, zconfig_t *item, const char *path)
{
    return zconfig_child(item) == NULL ||
           complain_at(reader, path, "a key, which has nothing below it");
}

/*  The item is one of the settings, with a good value; `path` is of the section. */
static bool read_setting(const reader_t *reader, zconfig_t *item, const char *path,
                         const setting_t *settings, int count, void *base)
{
    char key[PATH_SIZE], where[512];
    join(key, path, item);
    snprintf(where, sizeof where, "%s: %s", reader->config->file, key);
    const setting_t *setting = find(settings, count, zconfig_name(item));
    if (setting == NULL)
        return complain_key(reader, key);
    return is_key(reader, item, key) &&
           take(setting, base, value_of(item), where, reader->problem, reader->size);
}

static bool read_policy(const reader_t *reader, zconfig_t *node, const char *path, policy_t *policy)
{
    if (!is_section(reader, node, path))
        return false;
    for (zconfig_t *item = zconfig_child(node); item; item = zconfig_next(item))
        if (!read_setting(reader, item, path, policy_settings, POLICY_COUNT, policy))
            return false;
    return true;
}

static bool read_queues(const reader_t *reader, zconfig_t *node)
{
    config_t *config = reader->config;
    if (!is_section(reader, node, "queues"))
        return false;
    for (zconfig_t *item = zconfig_child(node); item; item = zconfig_next(item)) {
        const char *name = zconfig_name(item);
        char path[PATH_SIZE];
        join(path, "queues", item);
        if (!name_valid(slice_str(name), LIMIT_QUEUE_NAME_BYTES))
            return complain_at(reader, path, "not a queue name");
        config->queues =
            mem_realloc(config->queues, (config->queue_count + 1) * sizeof *config->queues);
        named_policy_t *named = &config->queues[config->queue_count++];
        *named = (named_policy_t){mem_strdup(name), config->defaults};
        if (!read_policy(reader, item, path, &named->policy))
            return false;
    }
    return true;
}

static bool read_broker(const reader_t *reader, zconfig_t *node)
{
    config_t *config = reader->config;
    bool first_bind = true;
    if (!is_section(reader, node, "broker"))
        return false;
    for (zconfig_t *item = zconfig_child(node); item; item = zconfig_next(item)) {
        if (strcmp(zconfig_name(item), "bind") != 0) {
            if (!read_setting(reader, item, "broker", broker_settings, BROKER_COUNT, config))
                return false;
            continue;
        }
        if (!is_key(reader, item, "broker/bind"))
            return false;
        if (first_bind)
            clear_binds(config);
        first_bind = false;
        if (!add_bind(config, value_of(item))) {
            char where[512];
            snprintf(where, sizeof where, "%s: broker/bind", config->file);
            return complain_value(reader->problem, reader->size, where, value_of(item),
                                  endpoint_form);
        }
    }
    return true;
}

/*  Defaults first, whatever the order in the file: queues start from them. */
static bool read_tree(const reader_t *reader, zconfig_t *root)
{
    zconfig_t *queues = NULL;
    if (!is_section(reader, root, ""))
        return false;
    for (zconfig_t *node = zconfig_child(root); node; node = zconfig_next(node)) {
        const char *name = zconfig_name(node);
        bool fine = true;
        if (strcmp(name, "broker") == 0)
            fine = read_broker(reader, node);
        else if (strcmp(name, "defaults") == 0)
            fine = read_policy(reader, node, "defaults", &reader->config->defaults);
        else if (strcmp(name, "queues") == 0)
            queues = node;
        else
            fine = complain_key(reader, name);
        if (!fine)
            return false;
    }
    return queues == NULL || read_queues(reader, queues);
}

/*  The whole file as a string; NULL with errno when it cannot be read. */
static char *slurp(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    char *text = NULL;
    size_t capacity = 0;
    errno = 0;
    ssize_t size = getdelim(&text, &capacity, '\0', file);
    int problem = ferror(file) ? errno : 0;
    fclose(file);
    if (size < 0 && problem == 0) {
        free(text);
        return mem_strdup("");
    }
    if (problem != 0) {
        free(text);
        errno = problem;
        return NULL;
    }
    return text;
}

/*  Names the first line that is wrong from what zconfig prints, such as
    "26-11-25 10:20:26 E (zconfig): (2) indent 4 spaces at once". */
static void tell_syntax(const config_t *self, const char *printed, char *problem, size_t size)
{
    static const char mark[] = "(zconfig): (";
    const char *found = strstr(printed, mark);
    char *what = NULL;
    long line = found ? strtol(found + strlen(mark), &what, 10) : 0;
    if (line > 0 && strncmp(what, ") ", 2) == 0)
        snprintf(problem, size, "%s: line %ld: %.*s", self->file, line,
                 (int)strcspn(what + 2, "\n"), what + 2);
    else
        snprintf(problem, size, "%s is not a ZPL file (https://rfc.zeromq.org/spec/4)", self->file);
}

/*  zconfig tells what is wrong with a file on stdout only; it is caught there. */
static zconfig_t *parse(const config_t *self, const char *text, char *problem, size_t size)
{
    char *printed = NULL;
    size_t printed_size = 0;
    FILE *kept = stdout;
    stdout = open_memstream(&printed, &printed_size);
    if (stdout == NULL)
        stdout = kept;
    zconfig_t *root = zconfig_str_load(text);
    if (stdout != kept)
        fclose(stdout);
    stdout = kept;
    if (root == NULL)
        tell_syntax(self, printed ? printed : "", problem, size);
    free(printed);
    return root;
}

static bool read_file(config_t *self, char *problem, size_t size)
{
    char *text = slurp(self->file);
    if (text == NULL) {
        snprintf(problem, size, "%s: %s", self->file, strerror(errno));
        return false;
    }
    zconfig_t *root = parse(self, text, problem, size);
    free(text);
    if (root == NULL)
        return false;
    reader_t reader = {self, problem, size};
    bool fine = read_tree(&reader, root);
    zconfig_destroy(&root);
    return fine;
}

/* ---- environment and flags ------------------------------------------------------------------ */

static bool read_environment(config_t *self, char *problem, size_t size)
{
    static const struct {
        const char *name, *key;
    } variables[] = {{"REEVE_BROKER_DB", "db"},
                     {"REEVE_BROKER_HTTP", "http"},
                     {"REEVE_BROKER_LOG_FORMAT", "log-format"},
                     {"REEVE_BROKER_LOG_LEVEL", "log-level"},
                     {"REEVE_BROKER_LOG_TO", "log-to"}};
    const char *bind = getenv("REEVE_BROKER_BIND");
    bool fine = true;
    if (bind) {
        clear_binds(self);
        char *list = mem_strdup(bind), *rest = NULL;
        for (char *part = strtok_r(list, ", ", &rest); part && fine;
             part = strtok_r(NULL, ", ", &rest))
            fine = add_bind(self, part) ||
                   complain_value(problem, size, "REEVE_BROKER_BIND", part, endpoint_form);
        free(list);
    }
    for (size_t i = 0; fine && i < sizeof variables / sizeof variables[0]; i++) {
        const char *value = getenv(variables[i].name);
        const setting_t *setting = find(broker_settings, BROKER_COUNT, variables[i].key);
        fine = value == NULL || take(setting, self, value, variables[i].name, problem, size);
    }
    return fine;
}

static const char help[] =
    "Usage: reeve-broker [OPTION]…\n"
    "Durable task broker: persists tasks, routes them to workers, and keeps each until it ended.\n"
    "\n"
    "  --config FILE          read settings from a ZPL file (see reeve-broker(8))\n"
    "  --bind ENDPOINT        tcp://ADDR:PORT or ipc://PATH; may be repeated\n"
    "                         (default tcp://127.0.0.1:5555)\n"
    "  --db FILE              the database (default ./reeve.db)\n"
    "  --http ADDR:PORT|off   health and metrics over HTTP (default 127.0.0.1:5556)\n"
    "  --log-format FORMAT    text, json, or auto: text on a terminal, else json (default auto)\n"
    "  --log-level LEVEL      debug, info, warn or error (default info)\n"
    "  --log-to WHERE         stderr, journal or a file, opened again on SIGHUP (default stderr)\n"
    "  --restored             the database was restored from a backup: release what it has leased, "
    "and\n"
    "                         refuse what workers hold since; noticed by itself where FILE.lock "
    "was\n"
    "                         not restored with it\n"
    "  --check-config         print what was understood and exit\n"
    "  --help, --version\n"
    "\n"
    "Flags override REEVE_BROKER_BIND, _DB, _HTTP, _LOG_FORMAT, _LOG_LEVEL and _LOG_TO in the\n"
    "environment, which override the file.\n"
    "Exit status: 0 stopped by a signal; 64 usage; 65 not a Reeve database, or a newer one;\n"
    "69 an endpoint cannot be bound; 73 the database cannot be opened; 74 the store failed;\n"
    "75 another broker has the database; 78 bad configuration.\n";

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},     {"bind", required_argument, NULL, 'b'},
    {"db", required_argument, NULL, 'd'},         {"http", required_argument, NULL, 'w'},
    {"log-format", required_argument, NULL, 'f'}, {"log-level", required_argument, NULL, 'l'},
    {"log-to", required_argument, NULL, 'o'},     {"restored", no_argument, NULL, 'r'},
    {"check-config", no_argument, NULL, 'C'},     {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},          {NULL, 0, NULL, 0},
};

/*  The first pass: what decides what else is read. */
static config_result_t read_early_flags(config_t *self, int argc, char **argv, char *problem,
                                        size_t size)
{
    int flag;
    optind = 1;
    opterr = 0;
    while ((flag = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (flag) {
        case 'c':
            free(self->file);
            self->file = mem_strdup(optarg);
            break;
        case 'C':
            self->check_only = true;
            break;
        case 'r':
            self->restored = true;
            break;
        case 'h':
            fputs(help, stdout);
            return CONFIG_DONE;
        case 'V':
            puts("reeve-broker " REEVE_VERSION);
            return CONFIG_DONE;
        case ':':
            snprintf(problem, size, "%s needs a value", argv[optind - 1]);
            return CONFIG_USAGE;
        case '?':
            snprintf(problem, size, "unknown option %s; see --help", argv[optind - 1]);
            return CONFIG_USAGE;
        default:
            break;
        }
    }
    if (optind < argc) {
        snprintf(problem, size, "unexpected argument %s; see --help", argv[optind]);
        return CONFIG_USAGE;
    }
    return CONFIG_OK;
}

static config_result_t read_flags(config_t *self, int argc, char **argv, char *problem, size_t size)
{
    bool first_bind = true;
    int flag, index = 0;
    optind = 1;
    while ((flag = getopt_long(argc, argv, ":", options, &index)) != -1) {
        const setting_t *setting = find(broker_settings, BROKER_COUNT, options[index].name);
        char where[32];
        snprintf(where, sizeof where, "--%s", options[index].name);
        if (flag == 'b') {
            if (first_bind)
                clear_binds(self);
            first_bind = false;
            if (!add_bind(self, optarg)) {
                complain_value(problem, size, where, optarg, endpoint_form);
                return CONFIG_USAGE;
            }
        } else if (setting && !take(setting, self, optarg, where, problem, size)) {
            return CONFIG_USAGE;
        }
    }
    return CONFIG_OK;
}

/*  Settings that only make sense together. */
static bool is_consistent(const config_t *self, char *problem, size_t size)
{
    if (self->bind_count == 0) {
        snprintf(problem, size, "broker/bind: at least one endpoint is needed");
        return false;
    }
    if (self->liveness_ms < 2 * self->heartbeat_ms ||
        self->mdp_liveness_ms < 2 * self->heartbeat_ms) {
        snprintf(problem, size,
                 "broker/liveness and broker/mdp-liveness must be at least twice broker/heartbeat");
        return false;
    }
    return true;
}

config_result_t config_load(config_t *self, int argc, char **argv, char *problem, size_t size)
{
    *self = (config_t){.db = mem_strdup("reeve.db"),
                       .log_to = mem_strdup("stderr"),
                       .http = mem_strdup("127.0.0.1:5556"),
                       .log_format = LOG_AUTO,
                       .log_level = LOG_INFO,
                       .heartbeat_ms = 1000,
                       .liveness_ms = 10000,
                       .grace_ms = 3000,
                       .mdp_liveness_ms = 10000,
                       .mdp_timeout_ms = 5 * 60 * 1000,
                       .log_task_rate = 1000,
                       .disk_reserve_bytes = 64 << 20,
                       .max_queues = LIMIT_QUEUES,
                       .defaults = POLICY_DEFAULT};
    add_bind(self, "tcp://127.0.0.1:5555");
    config_result_t result = read_early_flags(self, argc, argv, problem, size);
    if (result != CONFIG_OK)
        return result;
    if ((self->file && !read_file(self, problem, size)) || !read_environment(self, problem, size))
        return CONFIG_BAD;
    result = read_flags(self, argc, argv, problem, size);
    if (result == CONFIG_OK && !is_consistent(self, problem, size))
        return CONFIG_BAD;
    return result;
}

void config_fini(config_t *self)
{
    clear_binds(self);
    free(self->bind);
    free(self->file);
    free(self->db);
    free(self->http);
    free(self->log_to);
    for (size_t i = 0; i < self->queue_count; i++)
        free((char *)self->queues[i].queue);
    free(self->queues);
    *self = (config_t){0};
}

static bool same_binds(const config_t *a, const config_t *b)
{
    bool same = a->bind_count == b->bind_count;
    for (size_t i = 0; same && i < a->bind_count; i++)
        same = strcmp(a->bind[i], b->bind[i]) == 0;
    return same;
}

static bool same_value(const setting_t *setting, const config_t *a, const config_t *b)
{
    const void *x = (const char *)a + setting->offset, *y = (const char *)b + setting->offset;
    switch (setting->kind) {
    case TEXT:
    case ADDRESS:
        return strcmp(*(char *const *)x, *(char *const *)y) == 0;
    case FORMAT:
        return *(const log_format_t *)x == *(const log_format_t *)y;
    case LEVEL:
        return true; /* a reload takes it over */
    default:
        return *(const int64_t *)x == *(const int64_t *)y;
    }
}

void config_restart_keys(const config_t *self, const config_t *fresh, char keys[CONFIG_KEYS_SIZE])
{
    int size = snprintf(keys, CONFIG_KEYS_SIZE, "%s", same_binds(self, fresh) ? "" : "bind");
    for (int i = 0; i < BROKER_COUNT; i++)
        if (!same_value(&broker_settings[i], self, fresh))
            size += snprintf(keys + size, CONFIG_KEYS_SIZE - (size_t)size, "%s%s", size ? ", " : "",
                             broker_settings[i].key);
}

/* ---- printing ------------------------------------------------------------------------------- */

/*  ZPL has no escapes: a value with the one quote in it stands in the other, and one with both can
    only have come from a line without quotes. */
static void print_text(const char *text, FILE *out)
{
    const char *quote = strchr(text, '"') == NULL ? "\"" : strchr(text, '\'') == NULL ? "'" : "";
    fprintf(out, "%s%s%s", quote, text, quote);
}

typedef struct unit {
    const char *name;
    int64_t size;
} unit_t;

/*  In the largest unit that divides it, as people write it. */
static void print_in_unit(int64_t value, const unit_t *unit, FILE *out)
{
    while (value % unit->size != 0)
        unit++;
    fprintf(out, "%" PRId64 "%s", value / unit->size, value == 0 ? "" : unit->name);
}

static void print_value(const setting_t *setting, const void *base, FILE *out)
{
    static const unit_t durations[] = {
        {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    static const unit_t sizes[] = {
        {"T", 1LL << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}};
    const void *at = (const char *)base + setting->offset;
    switch (setting->kind) {
    case TEXT:
    case ADDRESS:
        print_text(*(char *const *)at, out);
        break;
    case DURATION:
        print_in_unit(*(const int64_t *)at, durations, out);
        break;
    case SIZE:
        print_in_unit(*(const int64_t *)at, sizes, out);
        break;
    case INTEGER:
        fprintf(out, "%" PRId64, *(const int64_t *)at);
        break;
    case COUNT32:
        fprintf(out, "%" PRIu32, *(const uint32_t *)at);
        break;
    case FORMAT:
        fputs(log_format_name(*(const log_format_t *)at), out);
        break;
    case LEVEL:
        fputs(log_level_name(*(const log_level_t *)at), out);
        break;
    case DURABILITY:
        fputs(durability_name(*(const durability_t *)at), out);
        break;
    }
}

static void print_settings(const setting_t *settings, int count, const void *base,
                           const char *indent, FILE *out)
{
    for (int i = 0; i < count; i++) {
        fprintf(out, "%s%s = ", indent, settings[i].key);
        print_value(&settings[i], base, out);
        fputc('\n', out);
    }
}

void config_print(const config_t *self, FILE *out)
{
    fprintf(out, "broker\n");
    for (size_t i = 0; i < self->bind_count; i++) {
        fputs("    bind = ", out);
        print_text(self->bind[i], out);
        fputc('\n', out);
    }
    print_settings(broker_settings, BROKER_COUNT, self, "    ", out);
    fprintf(out, "defaults\n");
    print_settings(policy_settings, POLICY_COUNT, &self->defaults, "    ", out);
    if (self->queue_count)
        fprintf(out, "queues\n");
    for (size_t i = 0; i < self->queue_count; i++) {
        fprintf(out, "    %s\n", self->queues[i].queue);
        print_settings(policy_settings, POLICY_COUNT, &self->queues[i].policy, "        ", out);
    }
}
