#include "broker/http/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "broker/http/exposition.h"
#include "common/http/server.h"
#include "common/mem.h"

struct http {
    http_server_t *server;
    http_config_t config;
};

static double file_bytes(const char *path, const char *suffix)
{
    char *name = mem_alloc(strlen(path) + strlen(suffix) + 1);
    sprintf(name, "%s%s", path, suffix);
    struct stat about;
    double bytes = stat(name, &about) == 0 ? (double)about.st_size : 0;
    free(name);
    return bytes;
}

static disk_usage_t disk_usage(const char *db_path)
{
    disk_usage_t usage = {file_bytes(db_path, ""), file_bytes(db_path, "-wal"), 0};
    struct statvfs fs;
    if (statvfs(db_path, &fs) == 0)
        usage.free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
    return usage;
}

static const char *not_ready_reason(void *arg)
{
    const http_t *self = arg;
    return self->config.not_ready_reason(self->config.arg);
}

static char *metrics(void *arg, prom_format_t format, size_t *size)
{
    const http_t *self = arg;
    snapshot_t *snapshot = self->config.take_snapshot(self->config.arg);
    if (snapshot == NULL)
        return NULL;
    disk_usage_t usage = disk_usage(self->config.db_path);
    char *text = exposition(snapshot, &usage, format, size);
    snapshot_destroy(&snapshot);
    return text;
}

http_t *http_start(const http_config_t *config, char *problem, size_t problem_size)
{
    http_t *self = mem_zalloc(sizeof *self);
    self->config = *config;
    http_server_config_t server = {.address = config->address,
                                   .not_ready_reason = not_ready_reason,
                                   .metrics = metrics,
                                   .arg = self};
    self->server = http_server_start(&server, problem, problem_size);
    if (self->server == NULL) {
        free(self);
        return NULL;
    }
    return self;
}

int http_port(const http_t *self)
{
    return http_server_port(self->server);
}

void http_stop(http_t **self_p)
{
    if (*self_p == NULL)
        return;
    http_server_stop(&(*self_p)->server);
    free(*self_p);
    *self_p = NULL;
}
