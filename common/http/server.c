#include "common/http/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/mem.h"
#include "common/parse.h"

enum { CONNECTIONS_MAX = 64, IDLE_S = 30 };

struct http_server {
    struct MHD_Daemon *daemon;
    http_server_config_t config;
};

/* ---- answers -------------------------------------------------------------------------------- */

/*  Takes `body`, which is malloc'd. */
static enum MHD_Result answer_with(struct MHD_Connection *connection, unsigned status,
                                   const char *type, char *body, size_t size)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(body);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/*  One line of text. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text)
{
    size_t size = strlen(text) + 1;
    char *body = mem_alloc(size + 1);
    snprintf(body, size + 1, "%s\n", text);
    return answer_with(connection, status, "text/plain; charset=utf-8", body, size);
}

static enum MHD_Result ready(const http_server_t *self, struct MHD_Connection *connection)
{
    const char *reason = self->config.not_ready_reason(self->config.arg);
    return answer(connection, reason ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK,
                  reason ? reason : "ok");
}

static enum MHD_Result metrics(const http_server_t *self, struct MHD_Connection *connection)
{
    const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept");
    prom_format_t format = prom_format_accepted(accept);
    size_t size = 0;
    char *text = self->config.metrics(self->config.arg, format, &size);
    if (text == NULL) {
        const char *reason = self->config.not_ready_reason(self->config.arg);
        return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
                      reason ? reason : "the program does not answer");
    }
    return answer_with(connection, MHD_HTTP_OK, prom_content_type(format), text, size);
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **context)
{
    (void)version, (void)upload, (void)upload_size, (void)context;
    const http_server_t *self = arg;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
    if (strcmp(url, "/livez") == 0)
        return answer(connection, MHD_HTTP_OK, "ok");
    if (strcmp(url, "/readyz") == 0)
        return ready(self, connection);
    if (strcmp(url, "/metrics") == 0)
        return metrics(self, connection);
    return answer(connection, MHD_HTTP_NOT_FOUND,
                  "no such page; there are /livez, /readyz and /metrics");
}

/* ---- life ----------------------------------------------------------------------------------- */

http_server_t *http_server_start(const http_server_config_t *config, char *problem,
                                 size_t problem_size)
{
    const char *address = config->address;
    struct addrinfo *where = address_resolve(address);
    if (where == NULL) {
        snprintf(problem, problem_size, "%s is not ADDR:PORT with a numeric address", address);
        errno = EINVAL;
        return NULL;
    }
    http_server_t *self = mem_zalloc(sizeof *self);
    self->config = *config;
    unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD;
    if (where->ai_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    self->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, self, MHD_OPTION_SOCK_ADDR,
                                    where->ai_addr, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                                    MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
    freeaddrinfo(where);
    if (self->daemon == NULL) {
        snprintf(problem, problem_size, "cannot serve HTTP on %s: %s", address, strerror(errno));
        free(self);
        return NULL;
    }
    return self;
}

int http_server_port(const http_server_t *self)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}

void http_server_stop(http_server_t **self_p)
{
    if (*self_p == NULL)
        return;
    MHD_stop_daemon((*self_p)->daemon);
    free(*self_p);
    *self_p = NULL;
}
