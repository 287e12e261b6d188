/*  Log lines as a reader of the pipe or terminal gets them. */

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

/*  The log goes to a file without a name; what was written since the last time is read back. */
static int log_file;
static off_t read_up_to;
static char output[1 << 20];

static int set_up(void **state)
{
    (void)state;
    char path[] = "/tmp/reeve_test_log_XXXXXX";
    log_file = mkstemp(path);
    unlink(path);
    read_up_to = 0;
    log_set_fd(log_file);
    log_set_format(LOG_JSON);
    log_set_level(LOG_INFO);
    return log_file == -1;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_fd(STDERR_FILENO);
    return close(log_file);
}

static const char *written(void)
{
    ssize_t size = pread(log_file, output, sizeof output - 1, read_up_to);
    assert_true(size >= 0);
    read_up_to += size;
    output[size] = '\0';
    return output;
}

/*  The line from its event on: what stands before it has the time in it. */
static const char *written_from_event(void)
{
    const char *event = strstr(written(), "event");
    assert_non_null(event);
    return event;
}

static void a_json_line_has_time_level_event_and_fields(void **state)
{
    (void)state;
    int64_t before = clock_wall_ms(), time;
    log_event(LOG_WARN, "task_failed", F_STR("task_id", "t-1"), F_INT("attempt", 3),
              F_NUM("duration_s", 0.25), F_SLICE("reason", slice("timeouts", 7)));
    const char *line = written();
    char text[RFC3339_SIZE] = "";
    memcpy(text, line + strlen("{\"ts\":\""), RFC3339_SIZE - 1);
    assert_true(parse_rfc3339_ms(text, &time));
    assert_in_range(time, before, clock_wall_ms());
    assert_memory_equal(line, "{\"ts\":\"", 7);
    assert_string_equal(line + 7 + RFC3339_SIZE - 1,
                        "\",\"level\":\"warn\",\"event\":\"task_failed\",\"task_id\":\"t-1\","
                        "\"attempt\":3,\"duration_s\":0.25,\"reason\":\"timeout\"}\n");
    assert_true(json_valid_object(slice_str(line)));
}

static void a_logfmt_line_has_the_same_in_its_form(void **state)
{
    (void)state;
    log_set_format(LOG_LOGFMT);
    log_event(LOG_ERROR, "task_failed", F_STR("task_id", "t-1"), F_INT("attempt", -3),
              F_NUM("duration_s", 1.5));
    const char *line = written();
    assert_memory_equal(line, "ts=20", 5);
    assert_string_equal(strchr(line, ' '),
                        " level=error event=task_failed task_id=t-1 attempt=-3 duration_s=1.5\n");
}

static void a_line_needs_no_fields(void **state)
{
    (void)state;
    log_write(LOG_INFO, "started", NULL, 0);
    assert_string_equal(written_from_event(), "event\":\"started\"}\n");
}

static void logfmt_quotes_what_readers_would_split(void **state)
{
    (void)state;
    static const struct {
        const char *value, *shown;
    } cases[] = {
        {"plain", "plain"},
        {"a/b:c,d;{e}", "a/b:c,d;{e}"},
        {"größe", "größe"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"line\nfeed", "\"line\\nfeed\""},
        {"\033[31m", "\"\\u001b[31m\""},
        {"del\x7f", "\"del\\u007f\""},
        {"c1\xc2\x9b", "\"c1\\u009b\""},
        {"bad\xff", "\"bad\xef\xbf\xbd\""},
    };
    log_set_format(LOG_LOGFMT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[100];
        log_event(LOG_INFO, "e", F_STR("v", cases[i].value));
        snprintf(expected, sizeof expected, "event=e v=%s\n", cases[i].shown);
        assert_string_equal(written_from_event(), expected);
    }
}

/*  Any bytes give one line of valid JSON without control characters in it. */
static void any_bytes_make_a_valid_line(void **state)
{
    (void)state;
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        log_set_format((log_format_t)format);
        for (int byte = 0; byte < 256; byte++) {
            const uint8_t text[] = {'<',           (uint8_t)byte, '>',  0xe2,
                                    (uint8_t)byte, 0xac,          0xc2, (uint8_t)byte};
            log_event(LOG_INFO, "e", F_SLICE("v", slice(text, sizeof text)));
            const char *line = written();
            slice_t whole = slice_str(line);
            assert_true(format == LOG_LOGFMT || json_valid_object(whole));
            assert_true(utf8_valid(whole));
            /* valid as a name but for its newline: there is no control in it */
            assert_true(name_valid(slice(line, whole.size - 1), whole.size));
            assert_int_equal(line[whole.size - 1], '\n');
        }
    }
}

/*  One byte of a string as it stands between quotes. */
static void show(uint8_t byte, char shown[8])
{
    static const char letters[] = "b\bt\tn\nf\fr\r\"\"\\\\";
    snprintf(shown, 8,
             byte < 0x20 || byte == 0x7f ? "\\u%04x"
             : byte < 0x80               ? "%c"
                                         : "\xef\xbf\xbd",
             byte);
    for (size_t i = 0; i < sizeof letters - 1; i += 2)
        if (byte == letters[i + 1])
            snprintf(shown, 8, "\\%c", letters[i]);
}

static void check_byte(uint8_t byte, size_t place, size_t size)
{
    char text[64], shown[8], quoted[128], expected[160];
    memset(text, 'a', size);
    text[place] = (char)byte;
    show(byte, shown);
    snprintf(quoted, sizeof quoted, "\"%.*s%s%.*s\"", (int)place, text, shown,
             (int)(size - place - 1), text + place + 1);

    log_set_format(LOG_JSON);
    log_event(LOG_INFO, "e", F_SLICE("v", slice(text, size)));
    snprintf(expected, sizeof expected, "event\":\"e\",\"v\":%s}\n", quoted);
    assert_string_equal(written_from_event(), expected);

    log_set_format(LOG_LOGFMT);
    log_event(LOG_INFO, "e", F_SLICE("v", slice(text, size)));
    bool bare = strlen(shown) == 1 && byte != ' ' && byte != '=';
    snprintf(expected, sizeof expected, "event=e v=%.*s\n", (int)strlen(quoted) - 2 * bare,
             quoted + bare);
    assert_string_equal(written_from_event(), expected);
}

/*  Strings are looked at eight bytes at a time, the last of which may be looked at twice. */
static void a_byte_is_escaped_wherever_it_stands(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0,    1,   '\b', '\t', '\n', '\f', '\r', 0x1f,
                                    ' ',  '!', '"',  '#',  '<',  '=',  '>',  '[',
                                    '\\', ']', '~',  0x7f, 0x80, 0xa0, 0xff};
    static const size_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 36};
    for (size_t i = 0; i < sizeof bytes; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++)
            for (size_t place = 0; place < sizes[j]; place++)
                check_byte(bytes[i], place, sizes[j]);
}

static void escapes_read_back_as_what_they_were(void **state)
{
    (void)state;
    const char *value = "\x01 \b\t\n\f\r \"q\" \\ / \x1f \x7f \xc2\x85 é€😀";
    log_event(LOG_INFO, "e", F_STR("v", value));
    cJSON *line = cJSON_Parse(written());
    assert_non_null(line);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(line, "v")), value);
    cJSON_Delete(line);
}

static void bad_bytes_become_replacement_characters(void **state)
{
    (void)state;
    log_event(LOG_INFO, "e",
              F_STR("v", "a\xff"
                         "b\xc3(\xe2\x82"));
    assert_string_equal(written_from_event(), "event\":\"e\",\"v\":\"a\xef\xbf\xbd"
                                              "b\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\"}\n");
}

static void numbers_are_exact_and_valid_json(void **state)
{
    (void)state;
    log_event(LOG_INFO, "e", F_INT("a", INT64_MIN), F_INT("b", INT64_MAX), F_NUM("c", 0.1),
              F_NUM("d", 1.0 / 3), F_NUM("e", NAN), F_NUM("f", INFINITY), F_NUM("g", 1e300));
    assert_string_equal(
        written_from_event(),
        "event\":\"e\",\"a\":-9223372036854775808,\"b\":9223372036854775807,"
        "\"c\":0.1,\"d\":0.33333333333333331,\"e\":null,\"f\":null,\"g\":1e+300}\n");
}

static void check_double(double number)
{
    char expected[64];
    int precision = 15;
    snprintf(expected, sizeof expected, "%.15g", number);
    if (strtod(expected, NULL) != number)
        precision = 17;
    snprintf(expected, sizeof expected, "event\":\"e\",\"v\":%.*g}\n", precision, number);
    log_event(LOG_INFO, "e", F_NUM("v", number));
    assert_string_equal(written_from_event(), expected);
}

/*  Those that were counted in thousandths are written in a way of our own. */
static void a_number_is_written_as_printf_would(void **state)
{
    (void)state;
    static const double numbers[] = {0,
                                     -0.0,
                                     0.0001,
                                     0.0005,
                                     0.0009999,
                                     0.25,
                                     1.0005,
                                     2.5e-310,
                                     DBL_MIN,
                                     DBL_MAX,
                                     -0.005,
                                     -1.5,
                                     1.0 / 3,
                                     123456.789,
                                     999999999999.999,
                                     999999999999.9995,
                                     1e12,
                                     1000000000000.125,
                                     1e15,
                                     1e16,
                                     9007199254740993.0};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        check_double(numbers[i]);
    for (int64_t ms = 1; ms < INT64_C(4000000000000000); ms = ms * 5 / 4 + 1)
        check_double((double)ms / 1000);
    for (int ms = 0; ms <= 1100; ms++)
        check_double(7 + (double)ms / 1000);
}

static void integers_have_all_their_digits(void **state)
{
    (void)state;
    for (int64_t number = 1; number < INT64_MAX / 10; number *= 10) {
        char expected[160];
        log_event(LOG_INFO, "e", F_INT("a", number - 1), F_INT("b", number), F_INT("c", -number));
        snprintf(expected, sizeof expected,
                 "event\":\"e\",\"a\":%" PRId64 ",\"b\":%" PRId64 ",\"c\":%" PRId64 "}\n",
                 number - 1, number, -number);
        assert_string_equal(written_from_event(), expected);
    }
}

static void lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    static const log_level_t levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    for (int set = 0; set < 4; set++) {
        log_set_level(levels[set]);
        for (int level = 0; level < 4; level++) {
            assert_int_equal(log_enabled(levels[level]), level >= set);
            log_event(levels[level], "e", F_INT("a", 1));
            assert_int_equal(*written() != '\0', level >= set);
        }
    }
}

static void levels_and_formats_are_read_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    static const log_level_t levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    log_level_t level;
    log_format_t format;
    log_set_level(LOG_DEBUG);
    for (int i = 0; i < 4; i++) {
        char expected[40];
        assert_true(log_parse_level(names[i], &level));
        assert_int_equal(level, levels[i]);
        assert_string_equal(log_level_name(level), names[i]);
        log_event(level, "e", F_INT("a", 1));
        snprintf(expected, sizeof expected, "\"level\":\"%s\"", names[i]);
        assert_non_null(strstr(written(), expected));
    }
    assert_false(log_parse_level("INFO", &level));
    assert_false(log_parse_level("warning", &level));
    assert_false(log_parse_level("", &level));
    assert_true(log_parse_format("text", &format));
    assert_int_equal(format, LOG_LOGFMT);
    assert_true(log_parse_format("json", &format));
    assert_int_equal(format, LOG_JSON);
    assert_true(log_parse_format("auto", &format));
    assert_int_equal(format, LOG_AUTO);
    assert_string_equal(log_format_name(format), "auto");
    assert_false(log_parse_format("xml", &format));
    assert_false(log_parse_format("", &format));
}

enum { LINE_SIZE = 64 * 1024 };

static char *filled(const char *character, size_t count)
{
    size_t size = strlen(character);
    char *text = malloc(size * count + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * size, character, size);
    text[size * count] = '\0';
    return text;
}

static void a_long_line_is_cut_inside_its_longest_string(void **state)
{
    (void)state;
    static const char *const characters[] = {"x", "€", "\n", "\x01", "\xff", "😀"};
    for (size_t i = 0; i < sizeof characters / sizeof characters[0]; i++) {
        char *text = filled(characters[i], 100000);
        log_event(LOG_INFO, "e", F_STR("first", "short"), F_STR("traceback", text),
                  F_INT("last", 1));
        const char *line = written();
        size_t size = strlen(line);
        assert_in_range(size, LINE_SIZE - 16, LINE_SIZE);
        assert_true(json_valid_object(slice_str(line)));
        assert_non_null(strstr(line, "\"first\":\"short\""));
        assert_string_equal(line + size - strlen("…\",\"last\":1}\n"), "…\",\"last\":1}\n");
        free(text);
    }
}

static void what_grows_by_its_escapes_has_room(void **state)
{
    (void)state;
    char *text = filled("\x01", 10000);
    log_event(LOG_INFO, "e", F_STR("v", text));
    const char *line = written();
    assert_in_range(strlen(line), 60000, 60200);
    assert_true(json_valid_object(slice_str(line)));
    free(text);
}

static void several_long_strings_share_the_line(void **state)
{
    (void)state;
    char *longer = filled("a", 5000000), *longest = filled("b", 6000000);
    char *medium = filled("c", 20000);
    log_event(LOG_INFO, "e", F_STR("a", longer), F_STR("b", longest), F_STR("c", medium));
    const char *line = written();
    assert_in_range(strlen(line), LINE_SIZE / 2, LINE_SIZE);
    assert_true(json_valid_object(slice_str(line)));
    assert_non_null(strstr(line, "aaa…\",\"b\":\"bbb"));
    free(longer);
    free(longest);
    free(medium);
}

static void a_line_of_just_the_limit_is_whole(void **state)
{
    (void)state;
    log_event(LOG_INFO, "e", F_STR("v", ""));
    size_t empty = strlen(written());
    for (int over = 0; over < 2; over++) {
        char *text = filled("x", LINE_SIZE - empty + (size_t)over);
        log_event(LOG_INFO, "e", F_STR("v", text));
        const char *line = written();
        assert_int_equal(strlen(line), LINE_SIZE);
        assert_int_equal(strstr(line, "…") != NULL, over);
        free(text);
    }
}

/*  Whether a line written to a terminal has escape sequences. */
static bool terminal_shows_colour(log_format_t format)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    assert_int_not_equal(terminal, -1);
    assert_int_equal(grantpt(terminal), 0);
    assert_int_equal(unlockpt(terminal), 0);
    char name[64];
    assert_int_equal(ptsname_r(terminal, name, sizeof name), 0);
    int fd = open(name, O_RDWR | O_NOCTTY);
    assert_int_not_equal(fd, -1);
    log_set_fd(fd);
    log_set_format(format);
    log_event(LOG_ERROR, "e", F_INT("a", 1));
    ssize_t size = read(terminal, output, sizeof output - 1);
    assert_true(size > 0);
    output[size] = '\0';
    close(fd);
    close(terminal);
    return strchr(output, '\033') != NULL;
}

static void only_logfmt_on_a_terminal_is_coloured(void **state)
{
    (void)state;
    unsetenv("NO_COLOR");
    assert_true(terminal_shows_colour(LOG_LOGFMT));
    assert_non_null(strstr(output, "level=\033[31merror\033[0m event=e"));
    assert_false(terminal_shows_colour(LOG_JSON));
    setenv("NO_COLOR", "1", 1);
    assert_false(terminal_shows_colour(LOG_LOGFMT));
    unsetenv("NO_COLOR");

    log_set_fd(log_file);
    log_set_format(LOG_LOGFMT);
    log_event(LOG_ERROR, "e", F_INT("a", 1));
    assert_null(strchr(written(), '\033'));
}

static void logging_leaves_errno_and_survives_a_closed_descriptor(void **state)
{
    (void)state;
    log_set_fd(-1);
    errno = ENOENT;
    log_event(LOG_ERROR, "e", F_INT("a", 1));
    assert_int_equal(errno, ENOENT);
}

enum { THREADS = 4, LINES = 200 };

static void *write_lines(void *name)
{
    for (int i = 0; i < LINES; i++)
        log_event(LOG_INFO, "thread", F_STR("name", name), F_INT("line", i));
    return NULL;
}

static void lines_of_many_threads_do_not_mix(void **state)
{
    (void)state;
    static const char *const names[THREADS] = {"a", "bb", "ccc", "dddd"};
    pthread_t threads[THREADS];
    fcntl(log_file, F_SETFL, O_APPEND);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, (void *)names[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    int count = 0;
    char *rest = NULL;
    (void)written();
    for (char *line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        assert_true(json_valid_object(slice_str(line)));
        count++;
    }
    assert_int_equal(count, THREADS * LINES);
}

static void wait_for_the_next_millisecond(void)
{
    for (int64_t before = clock_wall_ms(); clock_wall_ms() == before;)
        ;
}

static void what_is_held_is_written_together_and_of_one_time(void **state)
{
    (void)state;
    errno = ENOENT;
    log_hold();
    assert_int_equal(errno, ENOENT);
    log_event(LOG_INFO, "e", F_INT("a", 1));
    wait_for_the_next_millisecond();
    log_event(LOG_INFO, "e", F_INT("a", 2));
    assert_string_equal(written(), "");
    errno = ENOENT;
    log_release();
    assert_int_equal(errno, ENOENT);

    const char *first = written(), *second = strchr(first, '\n') + 1;
    assert_memory_equal(first, second, strlen("{\"ts\":\"") + RFC3339_SIZE - 1);
    assert_non_null(strstr(first, "\"a\":1}\n{"));
    assert_non_null(strstr(second, "\"a\":2}\n"));
    wait_for_the_next_millisecond();
    log_event(LOG_INFO, "e", F_INT("a", 3)); /* at once, and of its own time */
    assert_non_null(strstr(written(), "\"a\":3}\n"));
}

static void what_is_held_is_bounded(void **state)
{
    (void)state;
    char *text = filled("x", 1000);
    log_hold();
    for (int i = 0; i < 800; i++)
        log_event(LOG_INFO, "e", F_STR("v", text), F_INT("a", i));
    size_t before = strlen(written());
    log_release();
    size_t held = strlen(written());
    assert_in_range(before, 700000, 900000);
    assert_in_range(held, 1, 100000);
    free(text);
}

static void a_flood_is_cut_and_told(void **state)
{
    (void)state;
    log_limit_t limit = {0};
    int64_t suppressed = -1, now = 123456789;
    int allowed = 0;
    bool full = false;
    for (int i = 0; i < 1000; i++) {
        bool allow = log_limit_allow(&limit, now + i / 10, &suppressed);
        assert_int_equal(suppressed, 0);
        assert_false(full && allow);
        full = !allow;
        allowed += allow;
    }
    assert_in_range(allowed, 1, 100);

    /* A later line tells of the others, once. */
    now += 3600000;
    assert_true(log_limit_allow(&limit, now, &suppressed));
    assert_int_equal(suppressed, 1000 - allowed);
    assert_true(log_limit_allow(&limit, now, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void a_slow_trickle_is_never_cut(void **state)
{
    (void)state;
    log_limit_t limit = {0};
    int64_t suppressed;
    for (int64_t now = 0; now < 3600000; now += 10000) {
        assert_true(log_limit_allow(&limit, now, &suppressed));
        assert_int_equal(suppressed, 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_json_line_has_time_level_event_and_fields),
        TEST(a_logfmt_line_has_the_same_in_its_form),
        TEST(a_line_needs_no_fields),
        TEST(logfmt_quotes_what_readers_would_split),
        TEST(any_bytes_make_a_valid_line),
        TEST(a_byte_is_escaped_wherever_it_stands),
        TEST(escapes_read_back_as_what_they_were),
        TEST(bad_bytes_become_replacement_characters),
        TEST(numbers_are_exact_and_valid_json),
        TEST(a_number_is_written_as_printf_would),
        TEST(integers_have_all_their_digits),
        TEST(lines_below_the_level_are_not_written),
        TEST(levels_and_formats_are_read_by_name),
        TEST(a_long_line_is_cut_inside_its_longest_string),
        TEST(what_grows_by_its_escapes_has_room),
        TEST(several_long_strings_share_the_line),
        TEST(a_line_of_just_the_limit_is_whole),
        TEST(only_logfmt_on_a_terminal_is_coloured),
        TEST(logging_leaves_errno_and_survives_a_closed_descriptor),
        TEST(lines_of_many_threads_do_not_mix),
        TEST(what_is_held_is_written_together_and_of_one_time),
        TEST(what_is_held_is_bounded),
        cmocka_unit_test(a_flood_is_cut_and_told),
        cmocka_unit_test(a_slow_trickle_is_never_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
