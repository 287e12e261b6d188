/*  The core in the world of the story tests: clients, workers of all three protocols, the clock, the
    store's delays and crashes in any order, audited at every change and message. Afterwards all
    peers leave and a diligent worker comes: every task must come to its end.
    Input: configuration, then steps, one byte each, with their choices.

    With REEVE_FUZZ_STORY in the environment, what is said is printed as it would stand in a story. */

#include "common/limits.h"
#include "tests/fuzz/fuzz.h"
#include "tests/story/world.h"

enum { CLIENTS = 3, WORKERS = 5, QUEUES = 3, IDS = 12, STEPS_MAX = 150, BAG = 16 };
enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, HEALING_ROUNDS = 100 };

static const char *const clients[CLIENTS] = {"c0", "c1", "c2"};
static const char *const workers[WORKERS] = {"w0", "w1", "w2", "m1", "m2"};
static const peer_kind_t kinds[WORKERS] = {PEER_REEVE, PEER_REEVE, PEER_REEVE, PEER_MDP01,
                                           PEER_MDP02};
static const char *const queues[QUEUES] = {"q", "r", "s"};
static const char *const queue_sets[] = {"q", "r", "s", "q r", "r q", "q r s"};
static const char *const ids[IDS] = {"t0", "t1", "t2", "t3", "t4", "t5",
                                     "t6", "t7", "t8", "t9", "ta", "tb"};

/*  What a worker of our own protocol still has in its hands after its connection went away. */
typedef struct bag {
    world_held_t items[BAG];
    uint64_t seqs[BAG];
    size_t count;
} bag_t;

typedef struct scene {
    world_t *world;
    chooser_t *chooser;
    bag_t bags[WORKERS];
    bool low;
    named_policy_t named; /* of queue "r" */
} scene_t;

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed assertion of the world's aborts */
}

/*  What was said since the last time. */
static void tell(scene_t *self, const char *step)
{
    if (self->world->quiet)
        return;
    fprintf(stderr, "-- %s at %lld\n", step, (long long)self->world->now_ms);
    for (size_t i = 0; i < self->world->line_count; i++)
        fprintf(stderr, "   %s\n", self->world->lines[i]);
    world_skip(self->world);
}

/* ---- choices -------------------------------------------------------------------------------- */

#define CHOOSE(self, array) (array)[choose((self)->chooser, sizeof(array) / sizeof *(array))]

static size_t one_of(const scene_t *self, size_t count)
{
    return choose(self->chooser, count);
}

/*  A time of some size; often none. */
static int64_t some_ms(const scene_t *self)
{
    static const int64_t times[] = {0, 0, 0, 1, 100, 1000, 5000, 20000, MINUTE_MS};
    return CHOOSE(self, times);
}

/* ---- what workers hold ---------------------------------------------------------------------- */

static size_t worker_of(const world_t *world, peer_t peer)
{
    for (size_t i = 0; i < WORKERS; i++)
        if (strcmp(world->connections[peer - 1].name, workers[i]) == 0)
            return i;
    return WORKERS;
}

/*  False when it cannot be named: an id may stand for a later task by now; then the worker's token is
    of none. */
static bool put_in_bag(bag_t *bag, const world_t *world, const delivery_t *delivery)
{
    const char *id = world_id(world, delivery->seq);
    if (bag->count == BAG || id == NULL || world_seq(world, id) != delivery->seq)
        return false;
    bag->seqs[bag->count] = delivery->seq;
    bag->items[bag->count++] =
        (world_held_t){id, delivery->attempt, world->now_ms - delivery->since_ms};
    return true;
}

/*  Connections break, of one worker or of all, as the broker dies; they go on with what they have, whose
    tokens may have died with it. */
static void pack_bags(scene_t *self, size_t only)
{
    for (size_t i = 0; i < WORKERS; i++)
        if (only == WORKERS || only == i)
            self->bags[i].count = 0;
    for (size_t i = 0; i < self->world->delivery_count; i++) {
        const delivery_t *delivery = &self->world->deliveries[i];
        size_t worker = worker_of(self->world, delivery->peer);
        if (only == WORKERS && delivery->ephemeral)
            continue;
        if (worker < WORKERS && kinds[worker] == PEER_REEVE && (only == WORKERS || only == worker))
            put_in_bag(&self->bags[worker], self->world, delivery);
    }
}

/*  What a worker says it holds: what it has, without those that it lost. */
static size_t choose_held(scene_t *self, size_t worker, world_held_t held[BAG])
{
    unsigned lost = choose_byte(self->chooser);
    peer_t peer = world_peer(self->world, workers[worker]);
    size_t count = 0, seen = 0;
    bag_t now = {0};
    for (size_t i = self->world->delivery_count; i-- > 0;) {
        const delivery_t delivery = self->world->deliveries[i];
        if (delivery.peer == peer && !put_in_bag(&now, self->world, &delivery))
            world_let_go(self->world, peer, delivery.seq, delivery.attempt);
    }
    if (now.count == 0)
        now = self->bags[worker];
    for (; seen < now.count; seen++) {
        const world_held_t *item = &now.items[seen];
        if (world_seq(self->world, item->id) != now.seqs[seen])
            continue; /* packed long ago: the id stands for a later task */
        if (lost >> (seen % 8) & 1)
            world_let_go(self->world, peer, world_seq(self->world, item->id), item->attempt);
        else
            held[count++] = *item;
    }
    self->bags[worker].count = 0;
    return count;
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void submit(scene_t *self)
{
    const char *client = CHOOSE(self, clients);
    world_task_t task = {.id = CHOOSE(self, ids), .queue = CHOOSE(self, queues)};
    unsigned extras = choose_byte(self->chooser);
    task.wait = extras & 1;
    if (extras & 2)
        task.priority = (int)one_of(self, LIMIT_PRIORITY + 1);
    if (extras & 4)
        task.max_retries = (int)one_of(self, 4) - 1;
    if (extras & 8)
        task.delay_ms = some_ms(self);
    if (extras & 16)
        task.timeout_ms = some_ms(self);
    if (extras & 32)
        task.expires_ms = self->world->wall_ms + 1 + some_ms(self);
    if (extras & 64)
        task.backoff_ms = some_ms(self);
    if (extras & 128)
        task.reply_to = "somewhere";
    if ((extras & 3) == 3)
        task.run_at_ms = self->world->wall_ms + some_ms(self);
    if ((extras & 6) == 6)
        task.body = "[\"another body, longer than most\"]";
    world_submit(self->world, client, task);
}

static void administer(scene_t *self)
{
    enum { WAIT, CANCEL, FORGET, REDRIVE, PURGE, REDRIVE_QUEUE, PURGE_QUEUE, PURGE_ALL, KINDS };
    size_t kind = one_of(self, KINDS);
    const char *client = CHOOSE(self, clients), *id = CHOOSE(self, ids);
    const char *queue = queues[(size_t)id[1] % QUEUES];
    switch (kind) {
    case WAIT:
        world_wait(self->world, client, id);
        break;
    case CANCEL:
        world_cancel(self->world, client, id);
        break;
    case FORGET:
        world_forget(self->world, client, id);
        break;
    case REDRIVE:
        world_redrive(self->world, client, id, NULL);
        break;
    case PURGE:
        world_purge(self->world, client, id, NULL);
        break;
    case REDRIVE_QUEUE:
        world_redrive(self->world, client, NULL, queue);
        break;
    case PURGE_QUEUE:
        world_purge(self->world, client, NULL, queue);
        break;
    case PURGE_ALL:
        world_purge(self->world, client, NULL, NULL);
        break;
    }
}

static void ready(scene_t *self)
{
    size_t worker = one_of(self, WORKERS);
    world_held_t held[BAG];
    world_worker_t said = {.kind = kinds[worker], .prefetch = 1};
    if (kinds[worker] == PEER_REEVE) {
        said.queues = CHOOSE(self, queue_sets);
        said.prefetch = (uint32_t)one_of(self, 5);
        said.held = held;
        said.held_count = choose_held(self, worker, held);
    } else {
        said.queues = CHOOSE(self, queues);
    }
    world_ready_as(self->world, workers[worker], said);
}

static void heartbeat(scene_t *self)
{
    size_t worker = one_of(self, WORKERS);
    world_held_t held[BAG];
    size_t count = kinds[worker] == PEER_REEVE ? choose_held(self, worker, held) : 0;
    world_heartbeat(self->world, workers[worker], held, count);
}

/*  One of the deliveries under way, with its worker; false when there is none. */
static bool choose_delivery(scene_t *self, delivery_t *out, const char **worker)
{
    size_t choice = choose_byte(self->chooser);
    if (self->world->delivery_count == 0)
        return false;
    *out = self->world->deliveries[choice % self->world->delivery_count];
    size_t i = worker_of(self->world, out->peer);
    *worker = i < WORKERS ? workers[i] : NULL;
    return *worker != NULL && world_id(self->world, out->seq) != NULL;
}

static void settle(scene_t *self)
{
    delivery_t delivery;
    const char *worker;
    bool again = one_of(self, 8) == 7;
    verdict_t verdict = (verdict_t)(VERDICT_SUCCESS + one_of(self, 4));
    if (!choose_delivery(self, &delivery, &worker))
        return;
    if (kinds[worker_of(self->world, delivery.peer)] != PEER_REEVE)
        verdict = VERDICT_SUCCESS;
    for (int i = 0; i <= again; i++) /* a settlement may come twice */
        world_settle(self->world, worker, delivery.seq, delivery.attempt, verdict, "said");
}

static void report(scene_t *self)
{
    delivery_t delivery;
    const char *worker;
    int64_t more_ms = some_ms(self);
    if (!choose_delivery(self, &delivery, &worker))
        return;
    const char *id = world_id(self->world, delivery.seq);
    if (world_seq(self->world, id) != delivery.seq)
        return;
    if (more_ms)
        world_extend(self->world, worker, id, delivery.attempt, more_ms);
    else
        world_progress(self->world, worker, id, delivery.attempt, "half");
}

static void depart(scene_t *self)
{
    enum { GOODBYE, GONE, MUTE, CLIENT, KINDS };
    size_t kind = one_of(self, KINDS), worker = one_of(self, WORKERS);
    if (kind == CLIENT) {
        world_gone(self->world, clients[worker % CLIENTS]);
        return;
    }
    if (kind == MUTE) {
        world_mute(self->world, workers[worker]);
        return;
    }
    pack_bags(self, worker);
    (kind == GOODBYE ? world_goodbye : world_gone)(self->world, workers[worker]);
}

static void crash(scene_t *self, size_t carried)
{
    pack_bags(self, WORKERS);
    world_crash(self->world, carried);
    self->low = false;
}

static policy_t choose_policies(scene_t *self)
{
    unsigned bits = choose_byte(self->chooser);
    policy_t policy = POLICY_DEFAULT;
    policy.max_retries = bits & 3;
    policy.max_deaths = 1 + (bits >> 2 & 1);
    policy.max_length = bits & 8 ? 4 : 0;
    policy.max_bytes = bits & 16 ? 100 : 0;
    policy.timeout_ms = bits & 32 ? 3000 : 0;
    policy.backoff_ms = bits & 64 ? 0 : 1000;
    policy.backoff_max_ms = 10 * 1000;
    policy.retention_ms = bits & 128 ? 2000 : HOUR_MS;
    policy.durability = (bits & 36) == 36 ? DURABILITY_MEMORY : DURABILITY_FSYNC;
    self->named = (named_policy_t){"r", policy};
    self->named.policy.max_retries = 0;
    self->named.policy.durability = DURABILITY_FSYNC;
    return policy;
}

static void reload(scene_t *self)
{
    self->world->config.policy = choose_policies(self);
    core_set_policies(self->world->core, &self->world->config.policy, &self->named, 1);
}

static void trouble(scene_t *self)
{
    enum { CRASH, DISK, ALL_MAYBE, CLOCK, DRAIN, RELOAD, KINDS };
    size_t kind = one_of(self, KINDS);
    int64_t ms = some_ms(self);
    switch (kind) {
    case CRASH:
        crash(self, one_of(self, 8));
        break;
    case DISK:
        self->low = !self->low;
        world_disk_low(self->world, self->low);
        break;
    case ALL_MAYBE:
        self->world->all_maybe = !self->world->all_maybe;
        break;
    case CLOCK:
        self->world->wall_ms += ms % 2 ? ms : -ms;
        break;
    case DRAIN:
        if (one_of(self, 4) == 3)
            world_drain(self->world);
        break;
    case RELOAD:
        reload(self);
        break;
    }
}

static void keep_store(scene_t *self)
{
    enum { HOLD, SOME, RELEASE, KINDS };
    switch (one_of(self, KINDS)) {
    case HOLD:
        self->world->held = true;
        break;
    case SOME:
        world_commit_some(self->world, one_of(self, 8));
        break;
    case RELEASE:
        self->world->held = false;
        world_rest(self->world);
        break;
    }
}

static void take_step(scene_t *self)
{
    enum {
        SUBMIT,
        SUBMIT_TOO, /* what happens most is chosen most */
        ADMINISTER,
        READY,
        SETTLE,
        SETTLE_TOO,
        REPORT,
        HEARTBEAT,
        PREFETCH,
        DEPART,
        SHORT,
        LONG,
        STORE,
        TROUBLE,
        KINDS
    };
    static const char *const names[KINDS] = {"submit", "submit", "administer", "ready",    "settle",
                                             "settle", "report", "heartbeat",  "prefetch", "depart",
                                             "short",  "long",   "store",      "trouble"};
    size_t kind = one_of(self, KINDS);
    switch (kind) {
    case SUBMIT:
    case SUBMIT_TOO:
        submit(self);
        break;
    case ADMINISTER:
        administer(self);
        break;
    case READY:
        ready(self);
        break;
    case SETTLE:
    case SETTLE_TOO:
        settle(self);
        break;
    case REPORT:
        report(self);
        break;
    case HEARTBEAT:
        heartbeat(self);
        break;
    case PREFETCH:
        world_prefetch(self->world, workers[one_of(self, 3)], (uint32_t)one_of(self, 5));
        break;
    case DEPART:
        depart(self);
        break;
    case SHORT:
        world_advance(self->world, 1 + 10 * (int64_t)choose_byte(self->chooser));
        break;
    case LONG:
        world_advance(self->world, 1 + some_ms(self));
        break;
    case STORE:
        keep_store(self);
        break;
    case TROUBLE:
        trouble(self);
        break;
    }
    tell(self, names[kind]);
}

/* ---- healing -------------------------------------------------------------------------------- */

static bool all_ended(const scene_t *self)
{
    core_totals_t totals = core_totals(self->world->core);
    return totals.waiting + totals.scheduled + totals.processing == 0;
}

/*  The good worker's acknowledgements, as long as it is given anything. */
static void work_diligently(scene_t *self)
{
    world_t *world = self->world;
    peer_t good = world_peer(world, "good");
    for (size_t i = 0; i < world->delivery_count;) {
        const delivery_t delivery = world->deliveries[i];
        if (delivery.peer != good) {
            i++;
            continue;
        }
        world_settle(world, "good", delivery.seq, delivery.attempt, VERDICT_SUCCESS, NULL);
        i = 0;
    }
}

static void heal(scene_t *self)
{
    world_t *world = self->world;
    world->held = false;
    world_rest(world);
    audit_rest(world);
    crash(self, 0); /* all peers are gone, the disk is as it is */
    for (int round = 0; round < HEALING_ROUNDS; round++) {
        world_ready(world, "good", "q r s", 50);
        work_diligently(self);
        world_advance(world, 10 * 1000); /* grace, liveness */
        work_diligently(self);
        if (all_ended(self))
            return;
        tell(self, "healing");
        world_goodbye(world, "good");
        world_advance(world, MINUTE_MS);
    }
    CHECK(!"a task never came to its end");
}

/*  Small liveness and grace, so that short times pass them. */
static core_config_t choose_config(scene_t *self)
{
    policy_t policy = choose_policies(self);
    core_config_t config = world_config(&policy);
    config.named = &self->named;
    config.named_count = 1;
    config.liveness_ms = 4000;
    config.mdp_liveness_ms = 4000;
    config.mdp_timeout_ms = 8000;
    config.grace_ms = 2000;
    config.seed = choose_byte(self->chooser);
    return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    chooser_t chooser = {slice(data, size), 0};
    scene_t scene = {.chooser = &chooser};
    core_config_t config = choose_config(&scene);
    scene.world = world_new_from(&config);
    scene.world->quiet = getenv("REEVE_FUZZ_STORY") == NULL;
    for (int steps = 0; choices_left(&chooser) && steps < STEPS_MAX; steps++)
        take_step(&scene);
    heal(&scene);
    world_destroy(&scene.world);
    return 0;
}
