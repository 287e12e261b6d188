/*  The oracle of `reeve selftest` against stories that break one rule each: one that finds nothing
    would pass every broker. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/selftest/history.h"
#include "client/selftest/oracle.h"

enum { LINES_MOST = 10, NONE = RULES };

typedef struct tale {
    const char *name, *id;
    const char *lines[LINES_MOST]; /* "EVENT[ WORD…]", about `id` */
    const char *document;          /* the broker's; NULL: it does not know the task */
    bool dead;                     /* among the dead letters */
    int broken;                    /* the one rule; NONE: all is well */
} tale_t;

#define SUBMITTED "submit first", "confirmed first new"
#define RUN       SUBMITTED, "start 1 r1", "end 1 1"

#define DOCUMENT(state, attempts, failures, more)                                                  \
    "{\"task\":{\"retry_count\":" #failures "},\"state\":\"" state                                 \
    "\",\"attempts\":" #attempts more "}"
#define RESULT(id, attempt, run) ",\"result\":\"" id " " #attempt " " run "\""
#define HISTORY(entries)         ",\"history\":[" entries "]"
#define ATTEMPT(n, outcome)      "{\"attempt\":" #n ",\"outcome\":\"" outcome "\"}"
#define SUCCESS                                                                                    \
    DOCUMENT("success", 1, 0, RESULT("done-1-1", 1, "r1") HISTORY(ATTEMPT(1, "success")))

static const tale_t tales[] = {
    {"a task that went well", "done-1-1", {RUN, "settled 1"}, SUCCESS, false, NONE},
    {"one that was never answered",
     "done-1-1",
     {"submit first", "start 1 r1", "end 1 1"},
     SUCCESS,
     false,
     RULE_ANSWERED},
    {"one whose outcome was never told",
     "done-1-8",
     {RUN},
     DOCUMENT("success", 1, 0, RESULT("done-1-8", 1, "r1")),
     false,
     RULE_ANSWERED},
    {"one that is gone", "done-1-1", {SUBMITTED}, NULL, false, RULE_KEPT},
    {"one that still waits",
     "done-1-1",
     {SUBMITTED},
     DOCUMENT("queued", 0, 0, ""),
     false,
     RULE_KEPT},
    {"one that failed without need",
     "done-1-1",
     {SUBMITTED},
     DOCUMENT("failed", 0, 0, ",\"reason\":\"timeout\""),
     true,
     RULE_END},
    {"one that succeeded in vain",
     "reject-1-1",
     {RUN},
     DOCUMENT("success", 1, 0, RESULT("reject-1-1", 1, "r1")),
     false,
     RULE_END},
    {"a dead letter of another reason",
     "reject-1-1",
     {SUBMITTED, "start 1 r1", "end 1 3"},
     DOCUMENT("failed", 1, 1, ",\"reason\":\"timeout\""),
     true,
     RULE_END},
    {"a poisonous one that was given up too soon",
     "poison-1-1",
     {SUBMITTED, "start 1 r1"},
     DOCUMENT("failed", 1, 0, ",\"reason\":\"quarantined\",\"deaths\":1"),
     true,
     RULE_END},
    {"a result of another attempt",
     "done-1-1",
     {RUN, "start 2 r2", "end 2 1"},
     DOCUMENT("success", 2, 0, RESULT("done-1-1", 1, "r1")),
     false,
     RULE_RESULT},
    {"a result of an attempt that was not finished",
     "done-1-1",
     {SUBMITTED, "start 1 r1"},
     DOCUMENT("success", 1, 0, RESULT("done-1-1", 1, "r1")),
     false,
     RULE_RESULT},
    {"a command that had been done already, and was told again",
     "command-1-1",
     {RUN},
     DOCUMENT("success", 2, 0,
              RESULT("command-1-1", 1, "r1") HISTORY(ATTEMPT(1, "lost") "," ATTEMPT(2, "success"))),
     false,
     NONE},
    {"a command's result of an attempt before one that ran",
     "command-1-1",
     {RUN, "start 2 r2", "end 2 1"},
     DOCUMENT("success", 2, 0, RESULT("command-1-1", 1, "r1")),
     false,
     RULE_RESULT},
    {"a command's success that nobody had",
     "command-1-1",
     {SUBMITTED, "start 1 r1", "end 1 2"},
     DOCUMENT("success", 2, 0, RESULT("command-1-1", 1, "r1")),
     false,
     RULE_RESULT},
    {"an attempt at two workers",
     "done-1-1",
     {SUBMITTED, "start 1 r0", "start 1 r1", "end 1 1"},
     SUCCESS,
     false,
     RULE_ONCE},
    {"an attempt after the end", "done-1-1", {RUN, "start 2 r2"}, SUCCESS, false, RULE_FENCED},
    {"a settlement that was stored and lost",
     "done-1-1",
     {RUN, "settled 1", "start 2 r2", "end 2 1"},
     DOCUMENT("success", 2, 0,
              RESULT("done-1-1", 2, "r2") HISTORY(ATTEMPT(1, "lost") "," ATTEMPT(2, "success"))),
     false,
     RULE_SETTLED},
    {"a failure that nobody reported",
     "done-1-1",
     {SUBMITTED, "start 2 r2", "end 2 1"},
     DOCUMENT("success", 2, 1,
              RESULT("done-1-1", 2, "r2") HISTORY(ATTEMPT(1, "failure") "," ATTEMPT(2, "success"))),
     false,
     RULE_HISTORY},
    {"a try too many",
     "flaky-1-1",
     {RUN},
     DOCUMENT("success", 1, 4, RESULT("flaky-1-1", 1, "r1")),
     false,
     RULE_RETRIES},
    {"a dead letter that succeeded", "done-1-1", {RUN}, SUCCESS, true, RULE_DEAD},
    {"a failed one that is no dead letter",
     "reject-1-1",
     {SUBMITTED, "start 1 r1", "end 1 3"},
     DOCUMENT("failed", 1, 1, ",\"reason\":\"on_purpose\""),
     false,
     RULE_DEAD},
    {"a repetition taken for new",
     "done-1-1",
     {RUN, "confirmed again new"},
     SUCCESS,
     false,
     RULE_DUPLICATE},
    {"a repetition", "done-1-1", {RUN, "confirmed again duplicate"}, SUCCESS, false, NONE},
    {"other content taken",
     "done-1-1",
     {RUN, "confirmed conflict duplicate"},
     SUCCESS,
     false,
     RULE_CONFLICT},
    {"other content refused", "done-1-1", {RUN, "refused conflict conflict"}, SUCCESS, false, NONE},
    {"a refusal for no reason",
     "done-1-1",
     {RUN, "refused first bad_value"},
     SUCCESS,
     false,
     RULE_REFUSED},
    {"a refusal that passes", "done-1-1", {RUN, "refused first draining"}, SUCCESS, false, NONE},
    {"an outcome that is not stored",
     "done-1-1",
     {RUN, "outcome 5 1"},
     SUCCESS,
     false,
     RULE_OUTCOME},
    {"two outcomes", "done-1-1", {RUN, "outcome 4 2", "outcome 4 1"}, SUCCESS, false, RULE_OUTCOME},
    {"a cancel that was undone",
     "cancel-1-1",
     {RUN, "cancel ok"},
     DOCUMENT("success", 1, 0, RESULT("cancel-1-1", 1, "r1")),
     false,
     RULE_CANCELLED},
    {"a cancel that came too late",
     "cancel-1-1",
     {RUN, "cancel wrong_state"},
     DOCUMENT("success", 1, 0, RESULT("cancel-1-1", 1, "r1")),
     false,
     NONE},
    {"a Majordomo reply of nobody",
     "ask-1-1",
     {"ask -", "start 1 r1", "end 1 1", "reply ask-1-1 1 r9"},
     NULL,
     false,
     RULE_REPLY},
    {"a Majordomo reply of another request",
     "ask-1-1",
     {"ask -", "start 1 r1", "end 1 1", "reply ask-1-2 1 r1"},
     NULL,
     false,
     RULE_REPLY},
    {"a Majordomo reply",
     "ask-1-1",
     {"ask -", "start 1 r1", "end 1 1", "reply ask-1-1 1 r1"},
     NULL,
     false,
     NONE},
};

/*  Writes the tale down as the processes would. */
static void write_history(const char *directory, const tale_t *tale)
{
    int fd = history_open(directory, "somebody");
    for (int i = 0; i < LINES_MOST && tale->lines[i] != NULL; i++) {
        char line[80], *rest = NULL;
        snprintf(line, sizeof line, "%s", tale->lines[i]);
        const char *event = strtok_r(line, " ", &rest);
        history_write(fd, event, tale->id, "%s", rest);
    }
    close(fd);
}

static void remove_directory(const char *directory)
{
    char path[80];
    snprintf(path, sizeof path, "%s/history/somebody", directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/history", directory);
    rmdir(path);
    rmdir(directory);
}

static void read_tale(const tale_t *tale, story_t *story)
{
    char directory[] = "/tmp/reeve-oracle-XXXXXX", path[80];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/history", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    write_history(directory, tale);
    assert_true(story_read(story, directory));
    remove_directory(directory);
}

static void judge(const tale_t *tale)
{
    story_t story = {0};
    verdict_t verdict = {0};
    read_tale(tale, &story);
    assert_int_equal(HASH_COUNT(story.tasks), 1);
    task_t *task = story.tasks;
    task->dead = tale->dead;
    if (tale->document != NULL) {
        task->document = cJSON_Parse(tale->document);
        assert_non_null(task->document);
    }
    assert_int_equal(oracle_judge(task, &verdict), tale->broken != NONE);
    for (int i = 0; i < RULES; i++)
        if (verdict.broken[i] != (i == tale->broken))
            fail_msg("%s: the rule %s is %s", tale->name, oracle_rule_name((oracle_rule_t)i),
                     verdict.broken[i] > 0 ? "broken" : "not broken");
    story_fini(&story);
}

static void each_rule_is_broken_by_the_tale_that_breaks_it(void **state)
{
    bool told[RULES + 1] = {false};
    (void)state;
    for (size_t i = 0; i < sizeof tales / sizeof tales[0]; i++) {
        judge(&tales[i]);
        told[tales[i].broken] = true;
    }
    for (int i = 0; i <= RULES; i++)
        assert_true(told[i]);
}

static void a_line_about_nobody_s_task_is_counted(void **state)
{
    static const tale_t tale = {.id = "what-is-this", .lines = {"start 1 r1"}};
    story_t story = {0};
    (void)state;
    read_tale(&tale, &story);
    assert_int_equal(story.strangers, 1);
    assert_string_equal(story.stranger, "what-is-this");
    story_fini(&story);
}

static void plans_follow_from_ids(void **state)
{
    uint64_t count[PLAN_KINDS] = {0};
    (void)state;
    for (uint64_t i = 1; i <= 5000; i++) {
        char id[PLAN_ID_SIZE];
        plan_t plan;
        plan_id(42, 3, i, id);
        assert_true(plan_read(id, &plan));
        assert_int_equal(plan.client, 3);
        assert_int_equal(plan.number, i);
        count[plan.kind]++;
    }
    for (int kind = 0; kind < PLAN_ASK; kind++)
        assert_in_range(count[kind], 1, 5000);
    assert_int_equal(count[PLAN_ASK], 0); /* is for Majordomo clients */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_is_broken_by_the_tale_that_breaks_it),
        cmocka_unit_test(a_line_about_nobody_s_task_is_counted),
        cmocka_unit_test(plans_follow_from_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
