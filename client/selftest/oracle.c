#include "client/selftest/oracle.h"

#include <stdio.h>
#include <string.h>

#include "client/output.h"

/*  What a task's document says, read once. */
typedef struct found {
    const task_t *task;
    reeve_state_t state;
    uint32_t attempts, failures, deaths;
    const char *reason, *result;
    const cJSON *history;
} found_t;

static reeve_state_t read_state(const char *name)
{
#define X(symbol, number, text)                                                                    \
    if (strcmp(name, text) == 0)                                                                   \
        return REEVE_STATE_##symbol;
    REEVE_STATES(X)
#undef X
    return REEVE_STATE_UNKNOWN;
}

static found_t read_document(const task_t *task)
{
    const cJSON *document = task->document;
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(document, "task");
    return (found_t){.task = task,
                     .state = read_state(output_string(document, "state")),
                     .attempts = (uint32_t)output_number(document, "attempts"),
                     .failures = (uint32_t)output_number(spec, "retry_count"),
                     .deaths = (uint32_t)output_number(document, "deaths"),
                     .reason = output_string(document, "reason"),
                     .result = output_string(document, "result"),
                     .history = cJSON_GetObjectItemCaseSensitive(document, "history")};
}

/*  The outcome of an attempt in the broker's history; "" when it has none. */
static const char *history_outcome(const found_t *found, uint32_t attempt)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, found->history)
    {
        if ((uint32_t)output_number(entry, "attempt") == attempt)
            return output_string(entry, "outcome");
    }
    return "";
}

/* ---- the rules: each tells whether it holds ------------------------------------------------- */

static bool is_answered(const found_t *found)
{
    const task_t *task = found->task;
    if (task->plan.kind == PLAN_ASK || !task->submitted)
        return true;
    return task->confirmed && (!task->plan.wait || task->outcomes > 0);
}

static bool is_kept(const found_t *found)
{
    return !found->task->confirmed || reeve_state_is_final(found->state);
}

static bool has_right_end(const found_t *found)
{
    const plan_t *plan = &found->task->plan;
    if (!reeve_state_is_final(found->state))
        return true; /* told as lost */
    if (plan->kind == PLAN_CANCEL && found->state == REEVE_STATE_SUCCESS)
        return true;
    if (found->state != plan->end)
        return false;
    if (plan->end != REEVE_STATE_FAILED)
        return true;
    if (plan->kind == PLAN_POISON && found->deaths != POISON_DEATHS)
        return false;
    return strcmp(found->reason, plan->reason) == 0 && found->failures == plan->failures;
}

static bool is_result_of(const char *result, const task_t *task, uint32_t number)
{
    char expected[sizeof task->reply];
    const attempt_t *attempt = story_attempt(task, number);
    if (attempt == NULL || attempt->verdict != REEVE_SUCCESS)
        return false;
    snprintf(expected, sizeof expected, "%s %u %s", task->id, number, attempt->run);
    return strcmp(expected, result) == 0;
}

/*  Whose end is told as that of the attempt: its own. But reeve-worker does not run again what it has done:
    then it is an earlier one's, which succeeded. */
static const attempt_t *told_of(const task_t *task, uint32_t number)
{
    const attempt_t *attempt = story_attempt(task, number);
    if (attempt || strcmp(task->plan.queue, QUEUE_COMMAND) != 0)
        return attempt;
    for (size_t i = 0; i < task->attempt_count; i++)
        if (task->attempts[i].number < number && task->attempts[i].verdict == REEVE_SUCCESS)
            attempt = &task->attempts[i];
    return attempt;
}

static bool has_true_result(const found_t *found)
{
    if (found->state != REEVE_STATE_SUCCESS)
        return true;
    const attempt_t *attempt = told_of(found->task, found->attempts);
    return attempt && is_result_of(found->result, found->task, attempt->number);
}

static bool was_given_once(const found_t *found)
{
    for (size_t i = 0; i < found->task->attempt_count; i++)
        if (found->task->attempts[i].starts > 1)
            return false;
    return true;
}

static bool is_fenced(const found_t *found)
{
    const task_t *task = found->task;
    unsigned last = found->attempts;
    if (task->plan.kind == PLAN_ASK && sscanf(task->reply, "%*s %u", &last) != 1)
        return true;
    for (size_t i = 0; i < task->attempt_count; i++)
        if (task->attempts[i].number > last)
            return false;
    return true;
}

/*  "number in SETTLED: durable". */
static bool keeps_settled(const found_t *found)
{
    static const char *const outcomes[] = {[REEVE_SUCCESS] = "success",
                                           [REEVE_FAILURE] = "failure",
                                           [REEVE_REJECT] = "rejected",
                                           [REEVE_RELEASE] = "released"};
    const task_t *task = found->task;
    for (size_t i = 0; i < task->attempt_count && task->plan.kind != PLAN_ASK; i++) {
        const attempt_t *attempt = &task->attempts[i];
        if (attempt->settled &&
            strcmp(history_outcome(found, attempt->number), outcomes[attempt->verdict]) != 0)
            return false;
    }
    return true;
}

static bool has_true_history(const found_t *found)
{
    static const struct {
        const char *name;
        int verdict;
    } told[] = {{"success", REEVE_SUCCESS}, {"failure", REEVE_FAILURE}, {"rejected", REEVE_REJECT}};
    const cJSON *entry;
    cJSON_ArrayForEach(entry, found->history)
    {
        const attempt_t *attempt = told_of(found->task, (uint32_t)output_number(entry, "attempt"));
        for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
            if (strcmp(output_string(entry, "outcome"), told[i].name) == 0 &&
                (attempt == NULL || attempt->verdict != told[i].verdict))
                return false;
        }
    }
    return true;
}

static bool failed_not_too_often(const found_t *found)
{
    int retries = found->task->plan.max_retries;
    return retries < 0 || found->failures <= (uint32_t)retries + 1;
}

static bool is_dead_if_failed(const found_t *found)
{
    return found->task->dead == (found->state == REEVE_STATE_FAILED);
}

static bool was_duplicate(const found_t *found)
{
    return found->task->again_new == 0;
}

static bool refused_conflicts(const found_t *found)
{
    return found->task->conflicts_taken == 0;
}

static bool was_not_refused(const found_t *found)
{
    return !found->task->refused;
}

static bool told_true_outcome(const found_t *found)
{
    const task_t *task = found->task;
    if (task->outcomes == 0)
        return true;
    return !task->outcomes_differ && task->outcome_state == (int)found->state &&
           task->outcome_attempts == found->attempts;
}

static bool is_cancelled(const found_t *found)
{
    return !found->task->cancelled || found->state == REEVE_STATE_CANCELLED;
}

static bool has_true_reply(const found_t *found)
{
    unsigned attempt;
    const task_t *task = found->task;
    if (task->reply[0] == '\0')
        return true;
    return sscanf(task->reply, "%*s %u", &attempt) == 1 && is_result_of(task->reply, task, attempt);
}

static const struct rule {
    const char *name, *text;
    bool (*holds)(const found_t *found);
} rules[RULES] = {
#define RULE(symbol, function) [RULE_##symbol].holds = (function)
    RULE(ANSWERED, is_answered),
    RULE(KEPT, is_kept),
    RULE(END, has_right_end),
    RULE(RESULT, has_true_result),
    RULE(ONCE, was_given_once),
    RULE(FENCED, is_fenced),
    RULE(SETTLED, keeps_settled),
    RULE(HISTORY, has_true_history),
    RULE(RETRIES, failed_not_too_often),
    RULE(DEAD, is_dead_if_failed),
    RULE(DUPLICATE, was_duplicate),
    RULE(CONFLICT, refused_conflicts),
    RULE(REFUSED, was_not_refused),
    RULE(OUTCOME, told_true_outcome),
    RULE(CANCELLED, is_cancelled),
    RULE(REPLY, has_true_reply),
};

static const char *const names[] = {
#define X(symbol, name, rule) name,
    ORACLE_RULES(X)
#undef X
};

static const char *const texts[] = {
#define X(symbol, name, rule) rule,
    ORACLE_RULES(X)
#undef X
};

const char *oracle_rule_name(oracle_rule_t rule)
{
    return names[rule];
}

const char *oracle_rule_text(oracle_rule_t rule)
{
    return texts[rule];
}

/* ---- judging -------------------------------------------------------------------------------- */

static void count(const found_t *found, verdict_t *verdict)
{
    const task_t *task = found->task;
    if (task->plan.kind == PLAN_ASK) {
        verdict->asked += task->submitted;
        verdict->replied += task->reply[0] != '\0';
        return;
    }
    verdict->submitted += task->submitted;
    verdict->confirmed += task->confirmed;
    verdict->ended[found->state]++;
    verdict->attempts += found->attempts;
    verdict->redelivered += found->attempts > 1 ? found->attempts - 1 : 0;
    verdict->duplicates += task->again;
    verdict->conflicts += task->conflicts;
    verdict->quarantined += strcmp(found->reason, "quarantined") == 0;
}

bool oracle_judge(const task_t *task, verdict_t *verdict)
{
    found_t found = read_document(task);
    bool broken = false;
    for (int i = 0; i < RULES; i++) {
        if (rules[i].holds(&found))
            continue;
        if (verdict->broken[i] < ORACLE_EXAMPLES)
            verdict->examples[i][verdict->broken[i]] = task;
        verdict->broken[i]++;
        broken = true;
    }
    count(&found, verdict);
    return broken;
}

bool oracle_is_content(const verdict_t *verdict)
{
    for (int i = 0; i < RULES; i++)
        if (verdict->broken[i] > 0)
            return false;
    return true;
}
