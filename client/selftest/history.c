#include "client/selftest/history.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/clock.h"

enum { LINE_MOST = 512 };

int history_open(const char *directory, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/history/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        fprintf(stderr, "reeve selftest: %s: %s\n", path, strerror(errno));
        exit(EX_CANTCREAT);
    }
    return fd;
}

void history_write(int fd, const char *event, const char *id, const char *format, ...)
{
    char line[LINE_MOST];
    va_list args;
    int size = snprintf(line, sizeof line, "%" PRId64 " %s %s ", clock_mono_us(), event, id);
    va_start(args, format);
    size += vsnprintf(line + size, sizeof line - (size_t)size - 1, format, args);
    va_end(args);
    line[size++] = '\n';
    if (write(fd, line, (size_t)size) != size) {
        fprintf(stderr, "reeve selftest: writing a history: %s\n", strerror(errno));
        exit(EX_IOERR);
    }
}

/*  Splits a line in place. False when it is none, as one that a full disk cut. */
static bool split(char *text, history_line_t *line)
{
    char *rest = NULL;
    const char *at = strtok_r(text, " \n", &rest);
    *line =
        (history_line_t){.event = strtok_r(NULL, " \n", &rest), .id = strtok_r(NULL, " \n", &rest)};
    if (at == NULL || line->event == NULL || line->id == NULL)
        return false;
    line->at_us = strtoll(at, NULL, 10);
    for (int i = 0; i < HISTORY_WORDS; i++) {
        const char *word = strtok_r(NULL, " \n", &rest);
        line->words[i] = word != NULL ? word : "";
    }
    return true;
}

static bool read_file(const char *path, history_fn *function, void *arg)
{
    char text[LINE_MOST + 2];
    FILE *file = fopen(path, "re");
    bool good = true;
    if (file == NULL)
        return errno == ENOENT;
    while (good && fgets(text, sizeof text, file) != NULL) {
        history_line_t line;
        good = split(text, &line);
        if (good)
            function(&line, arg);
    }
    good = good && !ferror(file);
    fclose(file);
    return good;
}

bool history_read(const char *directory, const char *name, history_fn *function, void *arg)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/history/%s", directory, name);
    return read_file(path, function, arg);
}

bool history_read_all(const char *directory, history_fn *function, void *arg)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/history", directory);
    DIR *folder = opendir(path);
    bool good = folder != NULL;
    for (const struct dirent *entry; good && (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            good = history_read(directory, entry->d_name, function, arg);
    if (folder != NULL)
        closedir(folder);
    return good;
}
