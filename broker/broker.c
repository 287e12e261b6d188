#include "broker/broker.h"

#include <sodium.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker/core/core.h"
#include "broker/http/http.h"
#include "broker/net/reactor.h"
#include "broker/store/sqlite.h"
#include "common/clock.h"
#include "common/notify.h"
#include "common/signals.h"

enum { SNAPSHOT_MS = 2000 }; /* how long a scrape waits for the reactor */

typedef struct broker {
    config_t *config;
    int argc;
    char **argv;
    store_t *store;
    core_t *core;
    _Atomic(reactor_t *) reactor; /* the HTTP thread looks for it; NULL until it is open */
    http_t *http;
    uint64_t leases;
} broker_t;

static int complain(const char *event, const char *problem, int status)
{
    log_event(LOG_ERROR, event, F_STR("error", problem), F_INT("exit_status", status));
    notify_status(problem);
    return status;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int open_database(broker_t *self)
{
    char problem[600];
    switch (sqlite_store_open(self->config->db, &self->store, problem, sizeof problem)) {
    case SQLITE_OPENED:
        if (sqlite_store_checkpoint_apart(self->store) == STORE_OK)
            return EX_OK;
        return complain("store_failed", self->store->ops->error(self->store), EX_OSERR);
    case SQLITE_OPEN_LOCKED:
        return complain("store_locked", problem, EX_TEMPFAIL);
    case SQLITE_OPEN_FOREIGN:
    case SQLITE_OPEN_NEWER:
        return complain("store_refused", problem, EX_DATAERR);
    case SQLITE_OPEN_CANNOT:
        break;
    }
    return complain("store_cannot_open", problem, EX_CANTCREAT);
}

static int open_store(broker_t *self)
{
    size_t released;
    int status = open_database(self);
    if (status != EX_OK || (!self->config->restored && !sqlite_store_is_moved(self->store)))
        return status;
    if (sqlite_store_restored(self->store, clock_wall_ms(), &released) != STORE_OK)
        return complain("store_failed", self->store->ops->error(self->store), EX_IOERR);
    log_event(LOG_WARN, "restored", F_STR("db", self->config->db),
              F_INT("released", (int64_t)released));
    self->store->ops->close(&self->store);
    return open_database(self);
}

static void restore_queue(const stored_queue_t *queue, void *arg)
{
    core_restore_queue(((broker_t *)arg)->core, queue);
}

static void restore_lease(loaded_t *loaded, void *arg)
{
    broker_t *self = arg;
    self->leases++;
    core_restore_lease(self->core, loaded, clock_mono_ms());
}

static int make_core(broker_t *self)
{
    const config_t *config = self->config;
    const store_identity_t *identity = self->store->ops->identity(self->store);
    self->core = core_new(&(core_config_t){.policy = config->defaults,
                                           .named = config->queues,
                                           .named_count = config->queue_count,
                                           .heartbeat_ms = config->heartbeat_ms,
                                           .liveness_ms = config->liveness_ms,
                                           .mdp_liveness_ms = config->mdp_liveness_ms,
                                           .mdp_timeout_ms = config->mdp_timeout_ms,
                                           .grace_ms = config->grace_ms,
                                           .max_queues = (uint32_t)config->max_queues,
                                           .seed = (uint64_t)clock_wall_ms() ^ identity->id_seed,
                                           .next_seq = identity->next_seq,
                                           .next_queue_id = identity->next_queue_id});
    store_recovery_t recovery = {self, restore_queue, restore_lease};
    if (self->store->ops->recover(self->store, &recovery) != STORE_OK)
        return complain("store_failed", self->store->ops->error(self->store), EX_IOERR);
    core_totals_t totals = core_totals(self->core);
    log_event(LOG_INFO, "recovered", F_STR("db", config->db),
              F_INT("epoch", (int64_t)identity->epoch), F_INT("queues", (int64_t)totals.queues),
              F_INT("waiting", (int64_t)totals.waiting),
              F_INT("scheduled", (int64_t)totals.scheduled),
              F_INT("processing", (int64_t)self->leases), F_INT("dead", (int64_t)totals.dead));
    return EX_OK;
}

static int open_reactor(broker_t *self)
{
    char problem[600];
    const config_t *config = self->config;
    reactor_config_t reactor = {.endpoints = (const char *const *)config->bind,
                                .endpoint_count = config->bind_count,
                                .identity = self->store->ops->identity(self->store),
                                .heartbeat_ms = config->heartbeat_ms,
                                .liveness_ms = config->liveness_ms,
                                .disk_reserve_bytes = config->disk_reserve_bytes,
                                .log_task_rate = config->log_task_rate,
                                .db_path = config->db};
    self->reactor = reactor_new(&reactor, self->core, self->store, problem, sizeof problem);
    return self->reactor ? EX_OK : complain("cannot_bind", problem, EX_UNAVAILABLE);
}

static const char *not_ready_reason(void *arg)
{
    broker_t *self = arg;
    const reactor_t *reactor = self->reactor;
    switch (reactor ? reactor_health(reactor) : HEALTH_STARTING) {
    case HEALTH_READY:
        return NULL;
    case HEALTH_STARTING:
        return "starting";
    case HEALTH_DRAINING:
        return "draining";
    case HEALTH_FAILED:
        return "store_failed";
    case HEALTH_DISK_LOW:
        break;
    }
    return "disk_low";
}

static snapshot_t *take_snapshot(void *arg)
{
    broker_t *self = arg;
    const reactor_t *reactor = self->reactor;
    return reactor ? exchange_ask(reactor_exchange(reactor), SNAPSHOT_MS) : NULL;
}

/*  Before the store, whose opening may take long: meanwhile it can be asked why nothing runs yet. */
static int open_http(broker_t *self)
{
    char problem[400];
    if (strcmp(self->config->http, "off") == 0)
        return EX_OK;
    http_config_t http = {.address = self->config->http,
                          .not_ready_reason = not_ready_reason,
                          .arg = self,
                          .take_snapshot = take_snapshot,
                          .db_path = self->config->db};
    self->http = http_start(&http, problem, sizeof problem);
    if (self->http == NULL)
        return complain("cannot_serve_http", problem, EX_UNAVAILABLE);
    log_event(LOG_INFO, "serving_http", F_STR("address", self->config->http),
              F_INT("port", http_port(self->http)));
    return EX_OK;
}

/*  SIGHUP: policies and the log level are read again; the rest needs a restart. */
static bool reload(void *arg)
{
    broker_t *self = arg;
    config_t fresh;
    char problem[600] = "", keys[CONFIG_KEYS_SIZE];
    log_reopen();
    bool good = config_load(&fresh, self->argc, self->argv, problem, sizeof problem) == CONFIG_OK;
    if (good) {
        core_set_policies(self->core, &fresh.defaults, fresh.queues, fresh.queue_count);
        config_restart_keys(self->config, &fresh, keys);
        if (keys[0] != '\0')
            log_event(LOG_WARN, "restart_needed", F_STR("keys", keys));
        if (!log_enabled(LOG_INFO)) /* told at the level that tells more */
            log_set_level(fresh.log_level);
        log_event(LOG_INFO, "reloaded", F_INT("queues", (int64_t)fresh.queue_count));
        log_set_level(fresh.log_level);
    } else {
        log_event(LOG_ERROR, "reload_refused", F_STR("error", problem));
    }
    config_fini(&fresh);
    return good;
}

static void close_all(broker_t *self)
{
    http_stop(&self->http);
    reactor_t *reactor = self->reactor;
    reactor_destroy(&reactor);
    core_destroy(&self->core);
    if (self->store)
        self->store->ops->close(&self->store);
}

int broker_run(config_t *config, int argc, char **argv)
{
    broker_t self = {.config = config, .argc = argc, .argv = argv};
    char problem[600];
    log_set_format(config->log_format);
    log_set_level(config->log_level);
    if (!log_open(config->log_to, problem, sizeof problem))
        return complain("cannot_log", problem, EX_CANTCREAT);
    notify_open();
    signals_block();
    log_start_writer();
    raise_descriptor_limit();
    if (sodium_init() < 0)
        return complain("no_randomness", "libsodium cannot start", EX_OSERR);

    notify_status("Opening the database");
    int status = open_http(&self);
    if (status == EX_OK)
        status = open_store(&self);
    if (status == EX_OK)
        status = make_core(&self);
    if (status == EX_OK)
        status = open_reactor(&self);
    if (status == EX_OK) {
        if (reactor_run(self.reactor, reload, &self) != 0)
            status = EX_IOERR;
        size_t unwritten = reactor_unwritten(self.reactor);
        log_event(LOG_INFO, "stopped", F_INT("exit_status", status),
                  F_INT("unwritten", (int64_t)unwritten));
        /* The writer may hang in the disk, and joining it with it. Nothing of this was confirmed. */
        if (status == EX_OK && unwritten > 0) {
            log_stop_writer();
            _exit(EX_OK);
        }
    }
    close_all(&self);
    return status;
}
