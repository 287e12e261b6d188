#include "client/selftest/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/output.h"
#include "client/selftest/history.h"
#include "common/mem.h"

/* ---- from the histories --------------------------------------------------------------------- */

static task_t *find_task(story_t *self, const char *id)
{
    task_t *task;
    HASH_FIND_STR(self->tasks, id, task);
    if (task != NULL)
        return task;
    task = mem_zalloc(sizeof *task);
    snprintf(task->id, sizeof task->id, "%s", id);
    if (!plan_read(task->id, &task->plan)) {
        self->strangers++;
        snprintf(self->stranger, sizeof self->stranger, "%s", task->id);
        free(task);
        return NULL;
    }
    HASH_ADD_STR(self->tasks, id, task);
    return task;
}

const attempt_t *story_attempt(const task_t *task, uint32_t number)
{
    for (size_t i = 0; i < task->attempt_count; i++)
        if (task->attempts[i].number == number)
            return &task->attempts[i];
    return NULL;
}

static attempt_t *attempt_of(task_t *task, const char *number_text)
{
    uint32_t number = (uint32_t)strtoul(number_text, NULL, 10);
    for (size_t i = 0; i < task->attempt_count; i++)
        if (task->attempts[i].number == number)
            return &task->attempts[i];
    task->attempts =
        mem_realloc(task->attempts, (task->attempt_count + 1) * sizeof *task->attempts);
    attempt_t *attempt = &task->attempts[task->attempt_count++];
    *attempt = (attempt_t){.number = number};
    return attempt;
}

static void take_confirmed(task_t *task, const history_line_t *line)
{
    const char *what = line->words[0];
    bool duplicate = strcmp(line->words[1], "duplicate") == 0;
    task->confirmed = true;
    if (strcmp(what, "again") == 0) {
        task->again++;
        task->again_new += !duplicate;
    } else if (strcmp(what, "conflict") == 0) {
        task->conflicts_taken++;
    }
}

/*  Whether a client may have to submit again; an error by its name. */
static bool is_passing(const char *name)
{
    static const reeve_error_t errors[] = {REEVE_ERR_DRAINING, REEVE_ERR_QUEUE_FULL,
                                           REEVE_ERR_DISK_LOW};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(reeve_error_name(errors[i]), name) == 0)
            return true;
    return false;
}

static void take_refused(task_t *task, const history_line_t *line)
{
    bool conflict = strcmp(line->words[1], reeve_error_name(REEVE_ERR_CONFLICT)) == 0;
    if (strcmp(line->words[0], "conflict") == 0 && conflict)
        task->conflicts++;
    else if (!is_passing(line->words[1]))
        task->refused = true;
}

static void take_outcome(task_t *task, const history_line_t *line)
{
    int state = atoi(line->words[0]);
    uint32_t attempts = (uint32_t)strtoul(line->words[1], NULL, 10);
    if (task->outcomes++ > 0 &&
        (state != task->outcome_state || attempts != task->outcome_attempts))
        task->outcomes_differ = true;
    task->outcome_state = state;
    task->outcome_attempts = attempts;
}

static void take_start(task_t *task, const history_line_t *line)
{
    attempt_t *attempt = attempt_of(task, line->words[0]);
    attempt->starts++;
    snprintf(attempt->run, sizeof attempt->run, "%s", line->words[1]);
}

static void take_end(task_t *task, const history_line_t *line)
{
    attempt_of(task, line->words[0])->verdict = atoi(line->words[1]);
}

static void take_settled(task_t *task, const history_line_t *line)
{
    attempt_of(task, line->words[0])->settled = true;
}

static void take_submit(task_t *task, const history_line_t *line)
{
    (void)line;
    task->submitted = true;
}

static void take_cancel(task_t *task, const history_line_t *line)
{
    task->cancelled |= strcmp(line->words[0], "ok") == 0;
}

static void take_reply(task_t *task, const history_line_t *line)
{
    snprintf(task->reply, sizeof task->reply, "%s %s %s", line->words[0], line->words[1],
             line->words[2]);
}

static const struct event {
    const char *name;
    void (*take)(task_t *task, const history_line_t *line);
} events[] = {
    {"start", take_start},     {"end", take_end},         {"settled", take_settled},
    {"submit", take_submit},   {"ask", take_submit},      {"confirmed", take_confirmed},
    {"refused", take_refused}, {"outcome", take_outcome}, {"cancel", take_cancel},
    {"reply", take_reply},
};

static void take_line(const history_line_t *line, void *arg)
{
    story_t *self = arg;
    if (strcmp(line->event, "problem") == 0) {
        self->stale += strcmp(line->words[0], reeve_error_name(REEVE_ERR_STALE_ATTEMPT)) == 0;
        return;
    }
    task_t *task = find_task(self, line->id);
    for (size_t i = 0; task != NULL && i < sizeof events / sizeof events[0]; i++)
        if (strcmp(events[i].name, line->event) == 0)
            events[i].take(task, line);
}

bool story_read(story_t *self, const char *directory)
{
    return history_read_all(directory, take_line, self);
}

void story_fini(story_t *self)
{
    task_t *task, *next;
    HASH_ITER (hh, self->tasks, task, next) {
        HASH_DEL(self->tasks, task);
        cJSON_Delete(task->document);
        free(task->attempts);
        free(task);
    }
}

/* ---- from the broker ------------------------------------------------------------------------ */

static int ask_task(task_t *task, reeve_client_t *client, reeve_error_t *error)
{
    char *json;
    if (reeve_query(client, REEVE_QUERY_TASK, task->id, NULL, 0, 0, &json, NULL, error) != 0)
        return *error == REEVE_ERR_UNKNOWN_TASK ? 0 : -1;
    task->document = cJSON_Parse(json);
    free(json);
    return 0;
}

static void take_letters(story_t *self, const char *json)
{
    cJSON *list = cJSON_Parse(json);
    const cJSON *letter;
    cJSON_ArrayForEach(letter, list)
    {
        task_t *task;
        const char *id = output_string(letter, "id");
        HASH_FIND_STR(self->tasks, id, task);
        if (task != NULL)
            task->dead = true;
        else
            self->unexpected_dead++;
    }
    cJSON_Delete(list);
}

static int ask_dead(story_t *self, reeve_client_t *client, reeve_error_t *error)
{
    uint64_t cursor = 0;
    do {
        char *json;
        if (reeve_query(client, REEVE_QUERY_DEAD, NULL, NULL, cursor, 0, &json, &cursor, error))
            return -1;
        take_letters(self, json);
        free(json);
    } while (cursor != 0);
    return 0;
}

int story_ask(story_t *self, reeve_client_t *client, story_fn *look, void *arg,
              reeve_error_t *error)
{
    task_t *task, *next;
    if (ask_dead(self, client, error) != 0)
        return -1;
    HASH_ITER (hh, self->tasks, task, next) {
        if (task->plan.kind != PLAN_ASK && ask_task(task, client, error) != 0)
            return -1;
        if (!look(task, arg)) {
            cJSON_Delete(task->document);
            task->document = NULL;
        }
    }
    return 0;
}

/* ---- for people ----------------------------------------------------------------------------- */

typedef struct teller {
    const char *id;
    FILE *out;
} teller_t;

static void tell_line(const history_line_t *line, void *arg)
{
    const teller_t *self = arg;
    if (strcmp(line->id, self->id) != 0)
        return;
    fprintf(self->out, "    %.6f %s", (double)line->at_us / 1e6, line->event);
    for (int i = 0; i < HISTORY_WORDS && line->words[i][0] != '\0'; i++)
        fprintf(self->out, " %s", line->words[i]);
    fputc('\n', self->out);
}

void story_tell(const char *directory, const task_t *task, FILE *out)
{
    teller_t teller = {task->id, out};
    history_read_all(directory, tell_line, &teller);
    char *json = task->document != NULL ? cJSON_PrintUnformatted(task->document) : NULL;
    fprintf(out, "    broker: %s\n", json != NULL ? json : "not known");
    cJSON_free(json);
}
