#include "client/top/sample.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"

/*  The document, where it is of the right kind; NULL with *error. */
static cJSON *ask(reeve_client_t *client, reeve_query_t what, cJSON_bool (*is)(const cJSON *),
                  reeve_error_t *error)
{
    char *json;
    if (reeve_query(client, what, NULL, NULL, 0, 0, &json, NULL, error) != 0)
        return NULL;
    cJSON *document = cJSON_Parse(json);
    free(json);
    if (is(document))
        return document;
    cJSON_Delete(document);
    *error = REEVE_ERR_MALFORMED;
    return NULL;
}

/*  Whether it was answered. What an older broker cannot say is left out. */
static bool ask_broker(reeve_client_t *client, sample_t *self, reeve_error_t *error)
{
    self->broker = ask(client, REEVE_QUERY_BROKER, cJSON_IsObject, error);
    return self->broker || *error == REEVE_ERR_UNSUPPORTED;
}

static bool ask_all(reeve_client_t *client, sample_t *self, bool with_dead, reeve_error_t *error)
{
    if (!ask_broker(client, self, error))
        return false;
    self->queues = ask(client, REEVE_QUERY_QUEUES, cJSON_IsArray, error);
    self->at_ms = clock_mono_ms();
    if (self->queues)
        self->workers = ask(client, REEVE_QUERY_WORKERS, cJSON_IsArray, error);
    if (self->workers && with_dead)
        self->dead = ask(client, REEVE_QUERY_DEAD, cJSON_IsArray, error);
    return self->workers && (self->dead || !with_dead);
}

sample_t *sample_ask(reeve_client_t *client, bool with_dead, reeve_error_t *error)
{
    sample_t *self = mem_zalloc(sizeof *self);
    if (!ask_all(client, self, with_dead, error))
        sample_destroy(&self);
    return self;
}

void sample_destroy(sample_t **self_p)
{
    sample_t *self = *self_p;
    if (self == NULL)
        return;
    cJSON_Delete(self->broker);
    cJSON_Delete(self->queues);
    cJSON_Delete(self->workers);
    cJSON_Delete(self->dead);
    free(self);
    *self_p = NULL;
}
