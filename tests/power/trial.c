#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>
#include <xxhash.h>

#include "broker/store/id_filter.h"
#include "broker/store/id_hash.h"
#include "broker/store/id_segment.h"
#include "broker/store/memory.h"
#include "broker/store/sqlite.h"
#include "common/mem.h"
#include "tests/power/audit.h"
#include "tests/power/give_up.h"
#include "tests/power/trial.h"

enum { STEP_MS = 400, FIRST_IDS = 256, RUN_IDS = 4096, LEFT_IDS = 30 };
/*  So many of the commits are synced with a later one. */
enum { LATER_PERCENT = 40 };

/* ---- randomness of the store ---------------------------------------------------------------- */

static rng_t store_rng;

static const char *seeded_name(void)
{
    return "seeded";
}

static uint32_t seeded_random(void)
{
    return (uint32_t)rng_next(&store_rng);
}

static void seeded_bytes(void *const bytes, const size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)rng_next(&store_rng);
}

void trial_seed_randomness(uint64_t seed)
{
    static randombytes_implementation seeded = {
        .implementation_name = seeded_name, .random = seeded_random, .buf = seeded_bytes};
    store_rng.state = seed;
    randombytes_set_implementation(&seeded);
}

/* ---- views ---------------------------------------------------------------------------------- */

static void mix(uint64_t *hash, const void *data, size_t size)
{
    *hash = XXH3_64bits_withSeed(data, size, *hash);
}

static void mix_number(uint64_t *hash, int64_t number)
{
    mix(hash, &number, sizeof number);
}

static void mix_slice(uint64_t *hash, slice_t slice)
{
    mix_number(hash, (int64_t)slice.size);
    mix(hash, slice.data, slice.size);
}

static void mix_outcome(uint64_t *hash, const outcome_spec_t *spec)
{
    mix_number(hash, spec->ending);
    mix_number(hash, spec->result_kind);
    mix_number(hash, spec->started_ms);
    mix_number(hash, spec->ended_ms);
    mix_number(hash, spec->duration_ms);
    mix_slice(hash, spec->worker);
    mix_slice(hash, spec->result);
    mix_slice(hash, spec->reason);
    mix_slice(hash, spec->error);
    mix_slice(hash, spec->traceback);
}

static void mix_task(uint64_t *hash, const task_spec_t *spec)
{
    mix_slice(hash, spec->id);
    mix_slice(hash, spec->queue);
    mix_slice(hash, spec->task_name);
    mix_slice(hash, spec->origin);
    mix_slice(hash, spec->reply_to);
    mix_slice(hash, spec->body);
    mix_number(hash, spec->body_kind);
    mix_number(hash, spec->priority);
    mix_number(hash, spec->created_ms);
    mix_number(hash, spec->run_at_ms);
    mix_number(hash, spec->expires_ms);
    mix_number(hash, spec->timeout_ms);
    mix_number(hash, spec->backoff_ms);
    mix_number(hash, spec->max_retries);
}

/*  All that a biography tells. (An end's `attempt` is that of the tries.) */
static uint64_t hash_biography(const biography_t *biography)
{
    const loaded_t *task = &biography->task;
    uint64_t hash = 1;
    if (!biography->found)
        return 0;
    mix_number(&hash, (int64_t)task->record->seq);
    mix_number(&hash, task->record->queue_id);
    mix_task(&hash, &task->record->spec);
    mix_number(&hash, task->state);
    mix(&hash, &task->tries, sizeof task->tries);
    mix_number(&hash, task->at_ms);
    mix_slice(&hash, slice_str(task->worker ? task->worker : ""));
    if (task->outcome)
        mix_outcome(&hash, &task->outcome->spec);
    for (size_t i = 0; i < biography->attempt_count; i++) {
        mix_number(&hash, biography->attempts[i]->spec.attempt);
        mix_outcome(&hash, &biography->attempts[i]->spec);
    }
    return hash;
}

static void see_queue(const stored_queue_t *queue, void *arg)
{
    view_t *view = arg;
    assert_in_range(queue->id, 1, TRIAL_QUEUES);
    stored_queue_t *seen = &view->queues[queue->id];
    seen->id = queue->id;
    seen->waiting = queue->waiting;
    seen->scheduled = queue->scheduled;
    seen->dead = queue->dead;
    seen->bytes = queue->bytes;
}

static void see_lease(loaded_t *loaded, void *arg)
{
    ((view_t *)arg)->leases++;
    assert_int_equal(loaded->state, REEVE_STATE_PROCESSING);
    assert_non_null(loaded->worker);
    loaded_fini(loaded);
}

static int recover(store_t *store, view_t *view)
{
    view->leases = 0;
    memset(view->queues, 0, sizeof view->queues);
    return store->ops->recover(store, &(store_recovery_t){view, see_queue, see_lease});
}

static uint64_t look_up(store_t *store, const char *id)
{
    biography_t biography = {0};
    if (store->ops->biography(store, slice_str(id), &biography) != STORE_OK)
        give_up("looking up %s: %s", id, store->ops->error(store));
    uint64_t hash = hash_biography(&biography);
    biography_fini(&biography);
    return hash;
}

/*  Inside a transaction. */
static void see_jobs(const trial_t *self, store_t *store, view_t *view)
{
    view->count = self->job_count;
    view->jobs = mem_realloc(view->jobs, (view->count + 1) * sizeof *view->jobs);
    for (size_t i = 0; i < view->count; i++)
        view->jobs[i] = look_up(store, self->jobs[i].id);
}

/*  The first job that differs, or the number of jobs when none does. */
static size_t first_difference(const view_t *a, const view_t *b)
{
    size_t count = a->count > b->count ? a->count : b->count;
    for (size_t i = 0; i < count; i++)
        if ((i < a->count ? a->jobs[i] : 0) != (i < b->count ? b->jobs[i] : 0))
            return i;
    return count;
}

static bool same_queues(const view_t *a, const view_t *b)
{
    return a->leases == b->leases && memcmp(a->queues, b->queues, sizeof a->queues) == 0;
}

static bool same_view(const view_t *a, const view_t *b)
{
    return same_queues(a, b) &&
           first_difference(a, b) == (a->count > b->count ? a->count : b->count);
}

/*  What the model holds now is what the commit under way makes. */
static void foresee(trial_t *self)
{
    store_t *model = self->model;
    view_t *view = &self->views[++self->unsynced];
    assert_int_equal(recover(model, view), STORE_OK);
    model->ops->begin(model);
    see_jobs(self, model, view);
    model->ops->commit(model);
}

static void confirm(trial_t *self)
{
    view_t old = self->views[0];
    self->views[0] = self->views[self->unsynced];
    self->views[self->unsynced] = old;
    self->unsynced = 0;
    self->confirmed_seq = self->next_seq;
}

/* ---- the trial ------------------------------------------------------------------------------ */

void trial_init(trial_t *self, disk_t *disk, const load_t *load)
{
    *self = (trial_t){.load = *load,
                      .disk = disk,
                      .model = memory_store_new(),
                      .rng = {load->seed},
                      .sync_rng = {load->seed},
                      .next_seq = 1,
                      .now_ms = 1000000};
    snprintf(self->path, sizeof self->path, "%s/r.db", disk_name(disk));
}

static void forget_changes(trial_t *self)
{
    while (self->change_count > 0)
        change_fini(&self->changes[--self->change_count]);
}

void trial_fini(trial_t *self)
{
    if (self->model == NULL)
        return;
    trial_close(self);
    forget_changes(self);
    free(self->changes);
    self->model->ops->close(&self->model);
    for (size_t i = 0; i < self->job_count; i++)
        record_unref(&self->jobs[i].record);
    free(self->jobs);
    for (size_t i = 0; i <= TRIAL_UNSYNCED; i++)
        free(self->views[i].jobs);
    *self = (trial_t){0};
}

static int failed(trial_t *self)
{
    snprintf(self->error, sizeof self->error, "%s", self->store->ops->error(self->store));
    if (self->error[0] == '\0')
        give_up("the store failed and does not say why");
    return STORE_FAILED;
}

static void check_identity(const trial_t *self, const store_identity_t *found, const char *what)
{
    const store_identity_t *known = &self->identity;
    if (known->epoch == 0)
        return;
    if (found->epoch <= known->epoch || found->next_seq < self->confirmed_seq ||
        found->id_seed != known->id_seed || strcmp(found->broker_id, known->broker_id) != 0 ||
        memcmp(found->token_key, known->token_key, sizeof found->token_key) != 0)
        give_up("%s: another identity: epoch %d after %d, next seq %d, used %d", what,
                (int)found->epoch, (int)known->epoch, (int)found->next_seq,
                (int)self->confirmed_seq);
}

int trial_open(trial_t *self)
{
    if (sqlite_store_open(self->path, &self->store, self->error, sizeof self->error) !=
        SQLITE_OPENED) {
        assert_null(self->store);
        assert_non_null(strstr(self->error, self->path));
        return STORE_FAILED;
    }
    const store_identity_t *identity = self->store->ops->identity(self->store);
    check_identity(self, identity, "after a restart");
    self->identity = *identity;
    self->next_seq = identity->next_seq;
    view_t view = {0};
    if (recover(self->store, &view) != STORE_OK)
        return failed(self);
    if (!same_queues(&view, &self->views[0]))
        give_up("after a restart: other counters");
    return STORE_OK;
}

void trial_close(trial_t *self)
{
    unsigned failures = disk_failures(self->disk);
    if (self->store)
        self->store->ops->close(&self->store);
    self->closing_failures += disk_failures(self->disk) - failures;
}

static void name_job(trial_t *self, job_t *job, size_t number)
{
    for (unsigned i = 0;; i++) {
        snprintf(job->id, sizeof job->id, "%zu-%u", number, i);
        uint64_t hash = id_hash(self->identity.id_seed, slice_str(job->id));
        if (!self->load.one_slice || id_hash_slice(hash) == 0)
            return;
    }
}

static job_t *new_job(trial_t *self)
{
    if ((self->job_count & (self->job_count - 1)) == 0)
        self->jobs = mem_realloc(self->jobs, (2 * self->job_count + 1) * sizeof *self->jobs);
    job_t *job = &self->jobs[self->job_count];
    *job = (job_t){0};
    name_job(self, job, self->job_count++);
    return job;
}

static record_t *draw_record(trial_t *self, const job_t *job)
{
    static const char *const queues[] = {"", "mail", "video", "billing", "reports", "x"};
    rng_t *rng = &self->rng;
    uint32_t queue = 1 + (uint32_t)rng_below(rng, TRIAL_QUEUES);
    size_t size = rng_below(rng, 300);
    if (rng_chance(rng, (unsigned)self->load.large_percent))
        size = self->load.large_bytes / 2 + rng_below(rng, self->load.large_bytes / 2);
    uint8_t *body = mem_alloc(size + 1);
    memset(body, (int)rng_below(rng, 256), size);
    for (size_t i = 0; i < size; i += 97)
        body[i] = (uint8_t)rng_next(rng);
    task_spec_t spec = {.id = slice_str(job->id),
                        .queue = slice_str(queues[queue]),
                        .task_name = slice_str("send"),
                        .origin = slice_str(rng_chance(rng, 50) ? "test" : ""),
                        .reply_to = slice(body, rng_below(rng, size + 1) % 40),
                        .body = slice(body, size),
                        .priority = (uint8_t)rng_below(rng, 10),
                        .created_ms = self->now_ms,
                        .expires_ms = rng_chance(rng, 30) ? self->now_ms + 20000 : 0,
                        .timeout_ms = (int64_t)rng_below(rng, 2) * 1000,
                        .max_retries = (int32_t)rng_below(rng, 4) - 1};
    record_t *record = record_new(&spec, self->next_seq++, queue);
    free(body);
    return record;
}

static outcome_t *draw_outcome(trial_t *self, const job_t *job, reeve_state_t to)
{
    static const ending_t endings[] = {
        [REEVE_STATE_SUCCESS] = ENDING_SUCCESS,     [REEVE_STATE_FAILED] = ENDING_REJECTED,
        [REEVE_STATE_CANCELLED] = ENDING_CANCELLED, [REEVE_STATE_EXPIRED] = ENDING_EXPIRED,
        [REEVE_STATE_SCHEDULED] = ENDING_FAILURE,   [REEVE_STATE_QUEUED] = ENDING_LOST};
    bool running = job->state == REEVE_STATE_PROCESSING, well = to == REEVE_STATE_SUCCESS;
    uint8_t result[200];
    size_t size = well ? rng_below(&self->rng, sizeof result) : 0;
    memset(result, 'r', sizeof result);
    return outcome_new(&(outcome_spec_t){
        .ending = endings[to],
        .attempt = running ? job->tries.attempts : 0,
        .result_kind = well,
        .started_ms = running ? job->at_ms : 0,
        .ended_ms = self->now_ms,
        .duration_ms = 3,
        .worker = slice_str(running ? "worker" : ""),
        .result = slice(result, size),
        .reason = slice_str(well ? "" : "smtp"),
        .error = slice_str(well ? "" : "no route to host"),
        .traceback = slice_str(rng_chance(&self->rng, 50) ? "line 1\nline 2" : "")});
}

/*  One move, in the model and in the store. */
static int move(trial_t *self, job_t *job, reeve_state_t to, int64_t at_ms, outcome_t *outcome)
{
    change_t change = {.record = record_ref(job->record),
                       .from = job->state,
                       .to = to,
                       .tries = job->tries,
                       .at_ms = at_ms,
                       .outcome = outcome,
                       .worker = to == REEVE_STATE_PROCESSING ? mem_strdup("worker") : NULL};
    assert_int_equal(self->model->ops->apply(self->model, &change), STORE_OK);
    job->state = to;
    job->at_ms = at_ms;
    self->changes =
        mem_room(self->changes, &self->change_capacity, self->change_count, sizeof *self->changes);
    self->changes[self->change_count++] = change;
    int rc = self->store->ops->apply(self->store, &change);
    return rc == STORE_OK ? STORE_OK : failed(self);
}

static int submit(trial_t *self)
{
    job_t *job = NULL;
    /* Sometimes an id is used again whose task is gone. */
    if (self->job_count && rng_chance(&self->rng, 20)) {
        job = &self->jobs[rng_below(&self->rng, self->job_count)];
        if (job->state != REEVE_STATE_UNKNOWN)
            job = NULL;
    }
    if (job == NULL)
        job = new_job(self);
    record_unref(&job->record);
    job->record = draw_record(self, job);
    job->tries = (tries_t){0};
    bool later = rng_chance(&self->rng, 25);
    return later ? move(self, job, REEVE_STATE_SCHEDULED, self->now_ms + 3000, NULL)
                 : move(self, job, REEVE_STATE_QUEUED, 0, NULL);
}

/*  An end; dead letters stay. */
static int end(trial_t *self, job_t *job, reeve_state_t to)
{
    int64_t retention_ms = (int64_t)rng_below(&self->rng, 6) * 777;
    bool stays = to == REEVE_STATE_FAILED || rng_chance(&self->rng, 5);
    return move(self, job, to, stays ? 0 : self->now_ms + retention_ms,
                draw_outcome(self, job, to));
}

static int finish_attempt(trial_t *self, job_t *job)
{
    unsigned fate = (unsigned)rng_below(&self->rng, 100);
    if (fate < 50)
        return end(self, job, REEVE_STATE_SUCCESS);
    if (fate < 55)
        return end(self, job, REEVE_STATE_CANCELLED);
    if (fate < 75) {
        outcome_t *outcome = draw_outcome(self, job, REEVE_STATE_SCHEDULED);
        job->tries.failures++;
        return move(self, job, REEVE_STATE_SCHEDULED, self->now_ms + 1000, outcome);
    }
    if (fate < 85) {
        outcome_t *outcome = draw_outcome(self, job, REEVE_STATE_QUEUED);
        job->tries.deaths++;
        return move(self, job, REEVE_STATE_QUEUED, 0, outcome);
    }
    job->tries.failures++;
    return end(self, job, REEVE_STATE_FAILED);
}

static int move_on(trial_t *self, job_t *job)
{
    unsigned fate = (unsigned)rng_below(&self->rng, 100);
    switch (job->state) {
    case REEVE_STATE_SCHEDULED:
        return fate < 80   ? move(self, job, REEVE_STATE_QUEUED, 0, NULL)
               : fate < 90 ? end(self, job, REEVE_STATE_CANCELLED)
                           : end(self, job, REEVE_STATE_EXPIRED);
    case REEVE_STATE_QUEUED:
        if (fate >= 90)
            return end(self, job, fate < 95 ? REEVE_STATE_CANCELLED : REEVE_STATE_EXPIRED);
        job->tries.attempts++;
        return move(self, job, REEVE_STATE_PROCESSING, self->now_ms, NULL);
    case REEVE_STATE_PROCESSING:
        return finish_attempt(self, job);
    case REEVE_STATE_FAILED:
        if (fate >= 50)
            return move(self, job, REEVE_STATE_UNKNOWN, 0, NULL);
        job->tries.failures = job->tries.deaths = 0;
        return move(self, job, REEVE_STATE_QUEUED, 0, NULL);
    default:
        return fate < 10 ? move(self, job, REEVE_STATE_UNKNOWN, 0, NULL) : STORE_OK;
    }
}

static int change_something(trial_t *self)
{
    /* Rather recent ones: old ones mostly have ended. */
    size_t window = self->job_count < 60 ? self->job_count : 60;
    if (window == 0 || rng_chance(&self->rng, 30))
        return submit(self);
    job_t *job = &self->jobs[self->job_count - 1 - rng_below(&self->rng, window)];
    return job->state == REEVE_STATE_UNKNOWN ? STORE_OK : move_on(self, job);
}

/*  The same pages from both; fails only when the store does. */
static int compare_pages(trial_t *self)
{
    store_t *store = self->store, *model = self->model;
    for (uint32_t what = 0; what < TRIAL_QUEUES + 2; what++) {
        page_t found = {0}, known = {0};
        int rc;
        if (what == 0) {
            rc = store->ops->due(store, self->now_ms, &found);
            model->ops->due(model, self->now_ms, &known);
        } else if (what == 1) {
            rc = store->ops->dead(store, 0, 0, 100, &found);
            model->ops->dead(model, 0, 0, 100, &known);
        } else {
            rc = store->ops->load(store, what - 1, key_of(what - 1, 15, 0), &found);
            model->ops->load(model, what - 1, key_of(what - 1, 15, 0), &known);
        }
        if (rc == STORE_OK) {
            assert_int_equal(found.count, known.count);
            assert_int_equal(found.next_ms, known.next_ms);
            for (size_t i = 0; i < found.count; i++)
                assert_int_equal(found.items[i].record->seq, known.items[i].record->seq);
        }
        page_fini(&found);
        page_fini(&known);
        if (rc != STORE_OK)
            return failed(self);
    }
    return STORE_OK;
}

static int exists(trial_t *self, const job_t *job, bool *there)
{
    page_t page = {0};
    int rc = self->store->ops->find(self->store, slice_str(job->id), &page);
    *there = rc == STORE_OK && page.count > 0 && page.items[0].record->seq == job->record->seq;
    page_fini(&page);
    return rc == STORE_OK ? STORE_OK : failed(self);
}

/*  Which tasks go, and when, is the store's choice, as long as their time is over. */
static int maintain(trial_t *self, bool *more)
{
    store_t *store = self->store;
    if (store->ops->maintain(store, self->now_ms, self->load.maintain_budget, more) != STORE_OK)
        return failed(self);
    for (size_t i = 0; i < self->job_count; i++) {
        job_t *job = &self->jobs[i];
        bool there = true;
        if (job->state == REEVE_STATE_UNKNOWN || !reeve_state_is_final(job->state) ||
            job->at_ms == 0)
            continue;
        if (exists(self, job, &there) != STORE_OK)
            return STORE_FAILED;
        if (there)
            continue;
        if (job->at_ms > self->now_ms)
            give_up("%s was removed %d ms early", job->id, (int)(job->at_ms - self->now_ms));
        change_t change = {
            .record = record_ref(job->record), .from = job->state, .to = REEVE_STATE_UNKNOWN};
        self->model->ops->apply(self->model, &change);
        change_fini(&change);
        job->state = REEVE_STATE_UNKNOWN;
    }
    return STORE_OK;
}

static int begin(trial_t *self)
{
    forget_changes(self);
    self->now_ms += STEP_MS;
    self->model->ops->begin(self->model);
    return self->store->ops->begin(self->store) == STORE_OK ? STORE_OK : failed(self);
}

static int sync_all(trial_t *self)
{
    if (self->store->ops->sync(self->store) != STORE_OK)
        return failed(self);
    confirm(self);
    self->syncs++;
    return STORE_OK;
}

static int commit(trial_t *self)
{
    self->model->ops->commit(self->model);
    foresee(self);
    if (self->store->ops->commit(self->store) != STORE_OK)
        return failed(self);
    self->transactions++;
    id_update_t *update = self->store->ops->id_update(self->store);
    id_update_destroy(&update);
    bool later = self->unsynced < TRIAL_UNSYNCED && rng_chance(&self->sync_rng, LATER_PERCENT);
    return later ? STORE_OK : sync_all(self);
}

static int restart(trial_t *self)
{
    if (sync_all(self) != STORE_OK)
        return STORE_FAILED;
    trial_close(self);
    return trial_open(self);
}

int trial_step(trial_t *self)
{
    int every = self->load.restart_every;
    if (every && self->transactions && self->transactions % (uint64_t)every == 0 &&
        restart(self) != STORE_OK)
        return STORE_FAILED;
    if (begin(self) != STORE_OK)
        return STORE_FAILED;
    uint64_t changes = 1 + rng_below(&self->rng, (uint64_t)self->load.changes);
    for (uint64_t i = 0; i < changes; i++)
        if (change_something(self) != STORE_OK)
            return STORE_FAILED;
    bool more;
    if (rng_chance(&self->rng, (unsigned)self->load.maintain_percent) &&
        maintain(self, &more) != STORE_OK)
        return STORE_FAILED;
    if (rng_chance(&self->rng, 20) && compare_pages(self) != STORE_OK)
        return STORE_FAILED;
    return commit(self);
}

/*  Time goes on until everything that may be removed is. */
static int keep_house(trial_t *self)
{
    self->now_ms += 10000;
    for (bool more = true; more;) {
        more = false;
        if (begin(self) != STORE_OK || maintain(self, &more) != STORE_OK ||
            commit(self) != STORE_OK)
            return STORE_FAILED;
    }
    for (size_t i = 0; i < self->job_count; i++) {
        const job_t *job = &self->jobs[i];
        if (job->state != REEVE_STATE_UNKNOWN && reeve_state_is_final(job->state) && job->at_ms)
            give_up("%s was not removed in time", job->id);
    }
    return STORE_OK;
}

int trial_run(trial_t *self)
{
    if (trial_open(self) != STORE_OK)
        return STORE_FAILED;
    for (int i = 0; i < self->load.transactions; i++)
        if (trial_step(self) != STORE_OK)
            return STORE_FAILED;
    if (keep_house(self) != STORE_OK || sync_all(self) != STORE_OK)
        return STORE_FAILED;
    trial_close(self);
    return STORE_OK;
}

/* ---- an id index with something in it ------------------------------------------------------- */

/*  A task that goes at once, but for a few that stay. */
static int pass_through(trial_t *self, size_t number)
{
    job_t passing = {0}, *job = number % 64 == 0 ? new_job(self) : &passing;
    if (job == &passing)
        name_job(self, job, 1000000 + number);
    job->record = draw_record(self, job);
    int rc = move(self, job, REEVE_STATE_QUEUED, 0, NULL);
    if (job != &passing)
        return rc;
    if (rc == STORE_OK)
        rc = move(self, job, REEVE_STATE_CANCELLED, 0, NULL);
    if (rc == STORE_OK)
        rc = move(self, job, REEVE_STATE_UNKNOWN, 0, NULL);
    record_unref(&job->record);
    return rc;
}

int trial_fill_index(trial_t *self)
{
    enum { IDS = FIRST_IDS + 3 * RUN_IDS - LEFT_IDS, TOGETHER = 512 };
    for (size_t i = 0; i < IDS;) {
        if (begin(self) != STORE_OK)
            return STORE_FAILED;
        for (size_t end = i + TOGETHER < IDS ? i + TOGETHER : IDS; i < end; i++)
            if (pass_through(self, i) != STORE_OK)
                return STORE_FAILED;
        if (commit(self) != STORE_OK)
            return STORE_FAILED;
    }
    return STORE_OK;
}

/* ---- checking a disk ------------------------------------------------------------------------ */

static void check_view(const trial_t *self, const view_t *found, const char *what)
{
    for (size_t i = 0; i <= self->unsynced; i++)
        if (same_view(found, &self->views[i]))
            return;
    for (size_t i = 0; i <= self->unsynced; i++) {
        size_t job = first_difference(found, &self->views[i]);
        fprintf(stderr, "from what %s: job %s differs, the queues %s\n",
                i == 0 ? "was confirmed" : "was committed after it",
                job < self->job_count ? self->jobs[job].id : "none",
                same_queues(found, &self->views[i]) ? "do not" : "do");
    }
    give_up("%s: neither what was confirmed nor what was committed after it", what);
}

/*  The filter may not say no to an id that is there. */
static void check_filter(const trial_t *self, store_t *store, const view_t *found, const char *what)
{
    id_filter_t *filter = id_filter_new();
    id_update_t *update = store->ops->id_update(store);
    assert_non_null(update);
    id_filter_apply(filter, &update);
    uint64_t seed = store->ops->identity(store)->id_seed;
    for (size_t i = 0; i < found->count; i++)
        if (found->jobs[i] && !id_filter_maybe(filter, id_hash(seed, slice_str(self->jobs[i].id))))
            give_up("%s: the filter does not know %s", what, self->jobs[i].id);
    id_filter_destroy(&filter);
}

/*  It can be gone on with. */
static void check_use(store_t *store, const char *what)
{
    record_t *record = record_new(&(task_spec_t){.id = slice_str("afterwards"),
                                                 .queue = slice_str("mail"),
                                                 .task_name = slice_str("send"),
                                                 .max_retries = -1},
                                  store->ops->identity(store)->next_seq, 1);
    change_t change = {.record = record, .to = REEVE_STATE_QUEUED};
    bool more;
    if (store->ops->begin(store) != STORE_OK || store->ops->apply(store, &change) != STORE_OK ||
        store->ops->maintain(store, 0, 64, &more) != STORE_OK ||
        look_up(store, "afterwards") == 0 || store->ops->commit(store) != STORE_OK ||
        store->ops->sync(store) != STORE_OK)
        give_up("%s: cannot be used: %s", what, store->ops->error(store));
    record_unref(&record);
}

void trial_check(const trial_t *self, disk_t *disk, const char *what)
{
    char path[128], problem[700];
    store_t *store;
    view_t found = {0};
    snprintf(path, sizeof path, "%s/r.db", disk_name(disk));
    if (sqlite_store_open(path, &store, problem, sizeof problem) != SQLITE_OPENED)
        give_up("%s: %s", what, problem);
    check_identity(self, store->ops->identity(store), what);
    if (recover(store, &found) != STORE_OK || store->ops->begin(store) != STORE_OK)
        give_up("%s: %s", what, store->ops->error(store));
    see_jobs(self, store, &found);
    if (store->ops->commit(store) != STORE_OK)
        give_up("%s: %s", what, store->ops->error(store));
    check_view(self, &found, what);
    check_filter(self, store, &found, what);
    check_use(store, what);
    store->ops->close(&store);
    audit_database(path, what);
    free(found.jobs);
}
