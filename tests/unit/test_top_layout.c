/*  `reeve top` on screens of any size. */

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/top/layout.h"
#include "client/top/text.h"
#include "common/mem.h"

/*  A broker with so many queues and workers, and what is seen of it. */
typedef struct scene {
    model_t model;
    choice_t choice;
    contact_t contact;
    canvas_t canvas;
} scene_t;

static void add_queues(cJSON *list, int count)
{
    for (int i = 0; i < count; i++) {
        char name[32];
        cJSON *queue = cJSON_CreateObject();
        snprintf(name, sizeof name, "queue-%03d", i);
        cJSON_AddStringToObject(queue, "queue", name);
        cJSON_AddNumberToObject(queue, "waiting", 1000 - i);
        cJSON_AddNumberToObject(queue, "dead", 1);
        cJSON_AddNumberToObject(queue, "workers", i % 2);
        cJSON_AddItemToArray(list, queue);
    }
}

static void add_workers(cJSON *list, int count)
{
    for (int i = 0; i < count; i++) {
        char name[32];
        cJSON *worker = cJSON_CreateObject();
        snprintf(name, sizeof name, "worker-%03d", i);
        cJSON_AddStringToObject(worker, "worker", name);
        cJSON_AddNumberToObject(worker, "prefetch", i);
        cJSON_AddNumberToObject(worker, "processing", i > 2 ? i : i - 1);
        cJSON_AddItemToArray(list, worker);
    }
}

static scene_t scene_of(int queues, int workers)
{
    scene_t scene = {.choice = {.interval_ms = 1000},
                     .contact = {.broker = "tcp://127.0.0.1:5555", .text = ""}};
    sample_t *sample = mem_zalloc(sizeof *sample);
    sample->broker = cJSON_Parse("{\"version\":\"1.2.3\",\"uptime_s\":3725,\"state\":\"ready\"}");
    sample->queues = cJSON_CreateArray();
    sample->workers = cJSON_CreateArray();
    sample->dead = cJSON_Parse("[{\"id\":\"the-id\",\"queue\":\"q\",\"attempts\":4}]");
    add_queues(sample->queues, queues);
    add_workers(sample->workers, workers);
    model_take(&scene.model, &sample);
    return scene;
}

static void scene_fini(scene_t *scene)
{
    canvas_fini(&scene->canvas);
    model_fini(&scene->model);
}

/*  Lays it out, and looks whether it is inside of the window and fills it. */
static void look(scene_t *scene, int width, int height)
{
    layout(&scene->canvas, width, height, &scene->model, &scene->choice, &scene->contact);
    assert_int_equal(scene->canvas.used, height);
    for (int i = 0; i < height; i++)
        assert_int_equal(text_width(scene->canvas.lines[i].text), width);
}

/*  The first line with this text; NULL: there is none. */
static const struct canvas_line *find(const scene_t *scene, const char *text)
{
    for (int i = 0; i < scene->canvas.used; i++)
        if (strstr(scene->canvas.lines[i].text, text))
            return &scene->canvas.lines[i];
    return NULL;
}

static void assert_shown(const scene_t *scene, const char *text)
{
    if (find(scene, text) == NULL)
        fail_msg("'%s' is not shown", text);
}

static void assert_hidden(const scene_t *scene, const char *text)
{
    if (find(scene, text) != NULL)
        fail_msg("'%s' is shown", text);
}

static void every_size_is_filled_and_kept_to(void **state)
{
    (void)state;
    scene_t scene = scene_of(30, 3);
    for (int width = 1; width <= 200; width += width < 20 ? 1 : 7)
        for (int height = 1; height <= 60; height += height < 10 ? 1 : 7)
            for (scene.choice.list = 0; scene.choice.list < LIST_COUNT; scene.choice.list++)
                look(&scene, width, height);
    scene_fini(&scene);
}

static void the_head_tells_of_the_broker_and_of_all_queues(void **state)
{
    (void)state;
    scene_t scene = scene_of(2, 3);
    look(&scene, 100, 24);
    assert_shown(&scene, "connected - every 1.0s - tcp://127.0.0.1:5555 - 1.2.3 - up 1h02m");
    assert_shown(&scene, "queues 2: waiting 1999, scheduled 0, in flight 0, dead 2");
    assert_shown(&scene, "in -/s, out -/s, oldest -; workers 3: 0 of 3 slots busy");
    assert_int_equal(scene.canvas.lines[0].style, STYLE_HEAD);
    scene_fini(&scene);
}

static void queues_and_workers_share_a_screen_where_they_fit(void **state)
{
    (void)state;
    scene_t scene = scene_of(3, 2);
    look(&scene, 80, 13); /* 4 of the head, 2 titles, 5 rows, 1 between, 1 foot */
    for (int i = 0; i < 2; i++) {
        assert_shown(&scene, "queue-002");
        assert_shown(&scene, "worker-001");
        scene.choice.list = LIST_WORKERS;
        look(&scene, 80, 13);
    }
    assert_int_equal(choice_next_list(&scene.choice), LIST_DEAD);
    scene.choice.list = LIST_QUEUES;
    look(&scene, 80, 12);
    assert_shown(&scene, "queue-002");
    assert_hidden(&scene, "worker-001");
    scene.choice.list = choice_next_list(&scene.choice);
    look(&scene, 80, 12);
    assert_hidden(&scene, "queue-002");
    assert_shown(&scene, "worker-001");
    scene.choice.list = choice_next_list(&scene.choice);
    look(&scene, 80, 12);
    assert_shown(&scene, "the-id");
    assert_int_equal(choice_next_list(&scene.choice), LIST_QUEUES);
    scene_fini(&scene);
}

static void scrolling_ends_at_the_last_row(void **state)
{
    (void)state;
    scene_t scene = scene_of(100, 0);
    look(&scene, 80, 24);
    assert_shown(&scene, "queues 1-18 of 100");
    assert_shown(&scene, "queue-017");
    assert_hidden(&scene, "queue-018");
    scene.choice.top[LIST_QUEUES] = 7;
    look(&scene, 80, 24);
    assert_shown(&scene, "queues 8-25 of 100");
    assert_hidden(&scene, "queue-006");
    assert_shown(&scene, "queue-007");
    scene.choice.top[LIST_QUEUES] = 5000;
    look(&scene, 80, 24);
    assert_int_equal(scene.choice.top[LIST_QUEUES], 82);
    assert_shown(&scene, "queues 83-100 of 100");
    assert_shown(&scene, "queue-099");
    look(&scene, 80, 200);
    assert_int_equal(scene.choice.top[LIST_QUEUES], 0);
    scene_fini(&scene);
}

static void a_narrow_screen_has_the_columns_that_matter_most(void **state)
{
    (void)state;
    scene_t scene = scene_of(2, 1);
    look(&scene, 80, 24);
    for (size_t i = 0, count = 9; i < count; i++)
        assert_shown(&scene, list_columns(LIST_QUEUES, &count)[i].title);
    look(&scene, 60, 15);
    assert_hidden(&scene, "SCHED");
    assert_shown(&scene, "queue-000");
    look(&scene, 20, 15);
    assert_shown(&scene, "queue-000       1000");
    assert_hidden(&scene, "FLIGHT");
    scene_fini(&scene);
}

static void a_queue_that_waits_for_workers_stands_out(void **state)
{
    (void)state;
    scene_t scene = scene_of(2, 1);
    look(&scene, 80, 24);
    assert_int_equal(find(&scene, "queue-000")->style, STYLE_STUCK);
    assert_int_equal(find(&scene, "queue-001")->style, STYLE_PLAIN);
    scene_fini(&scene);
}

static void workers_are_idle_busy_full_or_paused(void **state)
{
    (void)state;
    scene_t scene = scene_of(0, 4);
    look(&scene, 80, 24);
    assert_non_null(strstr(find(&scene, "worker-000")->text, "paused"));
    assert_non_null(strstr(find(&scene, "worker-001")->text, "idle"));
    assert_non_null(strstr(find(&scene, "worker-002")->text, "busy         1/2"));
    assert_non_null(strstr(find(&scene, "worker-003")->text, "full         3/3"));
    scene_fini(&scene);
}

static void a_silent_broker_is_told_and_the_last_numbers_stay(void **state)
{
    (void)state;
    scene_t scene = scene_of(1, 1);
    scene.contact.silent_ms = SILENT_MS - 1;
    look(&scene, 80, 24);
    assert_shown(&scene, "top - connected");
    scene.contact.silent_ms = 12345;
    look(&scene, 80, 24);
    assert_shown(&scene, "unreachable for 12.0s, trying - every 1.0s - tcp://127.0.0.1:5555");
    assert_int_equal(scene.canvas.lines[0].style, STYLE_ALARM);
    assert_shown(&scene, "queue-000");
    scene_fini(&scene);
}

static void before_the_first_answer_and_after_a_refusal(void **state)
{
    (void)state;
    scene_t scene = {.contact = {.broker = "ipc://b", .text = ""}};
    look(&scene, 80, 24);
    assert_shown(&scene, "connecting - every ");
    scene.contact.error = REEVE_ERR_TOO_MANY;
    look(&scene, 80, 24);
    assert_shown(&scene, reeve_error_meaning(REEVE_ERR_TOO_MANY));
    scene.contact.text = "no \x1b[2Jmore";
    look(&scene, 80, 24);
    assert_shown(&scene, "no ?[2Jmore");
    scene_fini(&scene);
}

static void a_broker_that_is_stopping_says_so(void **state)
{
    (void)state;
    scene_t scene = scene_of(1, 1);
    cJSON_ReplaceItemInObject(scene.model.sample->broker, "state", cJSON_CreateString("draining"));
    look(&scene, 80, 24);
    assert_shown(&scene, "connected, draining - ");
    scene_fini(&scene);
}

static void the_foot_tells_of_the_order_or_of_the_keys(void **state)
{
    (void)state;
    scene_t scene = scene_of(40, 1);
    model_sort(&scene.model, SORT_AGE);
    look(&scene, 80, 24);
    assert_shown(&scene, "by age");
    scene.choice.help = true;
    look(&scene, 80, 24);
    assert_shown(&scene, "q quit");
    assert_hidden(&scene, "by age");
    scene_fini(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_filled_and_kept_to),
        cmocka_unit_test(the_head_tells_of_the_broker_and_of_all_queues),
        cmocka_unit_test(queues_and_workers_share_a_screen_where_they_fit),
        cmocka_unit_test(scrolling_ends_at_the_last_row),
        cmocka_unit_test(a_narrow_screen_has_the_columns_that_matter_most),
        cmocka_unit_test(a_queue_that_waits_for_workers_stands_out),
        cmocka_unit_test(workers_are_idle_busy_full_or_paused),
        cmocka_unit_test(a_silent_broker_is_told_and_the_last_numbers_stay),
        cmocka_unit_test(before_the_first_answer_and_after_a_refusal),
        cmocka_unit_test(a_broker_that_is_stopping_says_so),
        cmocka_unit_test(the_foot_tells_of_the_order_or_of_the_keys),
    };
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
