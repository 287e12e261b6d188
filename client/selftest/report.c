#include "client/selftest/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "client/output.h"

/*  A row of the table, and a member of the JSON object. */
typedef struct figure {
    const char *name, *label;
    uint64_t value;
} figure_t;

enum { FIGURES_MOST = 40 };

typedef struct figures {
    figure_t list[FIGURES_MOST];
    int count;
} figures_t;

static void add(figures_t *self, const char *name, const char *label, uint64_t value)
{
    self->list[self->count++] = (figure_t){name, label, value};
}

static uint64_t of_workers(const uint64_t counts[ROLES])
{
    return counts[ROLE_WORKER] + counts[ROLE_POISON] + counts[ROLE_COMMAND] +
           counts[ROLE_MDP_WORKER];
}

static uint64_t of_clients(const uint64_t counts[ROLES])
{
    return counts[ROLE_CLIENT] + counts[ROLE_MDP_CLIENT];
}

static void add_tasks(figures_t *self, const report_t *report)
{
    const verdict_t *verdict = report->verdict;
    add(self, "submitted", "tasks submitted", verdict->submitted);
    add(self, "confirmed", "confirmed", verdict->confirmed);
    add(self, "succeeded", "succeeded", verdict->ended[REEVE_STATE_SUCCESS]);
    add(self, "dead", "failed: dead letters", verdict->ended[REEVE_STATE_FAILED]);
    add(self, "quarantined", "of these quarantined", verdict->quarantined);
    add(self, "cancelled", "cancelled", verdict->ended[REEVE_STATE_CANCELLED]);
    add(self, "expired", "expired", verdict->ended[REEVE_STATE_EXPIRED]);
    add(self, "attempts", "attempts", verdict->attempts);
    add(self, "redeliveries", "of these redeliveries", verdict->redelivered);
    add(self, "stale_acks", "stale acks refused", report->story->stale);
    add(self, "duplicates", "submitted again: duplicates", verdict->duplicates);
    add(self, "conflicts", "with other content: conflicts", verdict->conflicts);
    add(self, "requests", "Majordomo requests", verdict->asked);
    add(self, "replies", "of these replied to", verdict->replied);
}

static void add_acts(figures_t *self, const report_t *report)
{
    const cast_counts_t *counts = &report->cast->counts;
    add(self, "broker_kills", "broker killed", counts->kills[ROLE_BROKER]);
    add(self, "broker_stops", "broker stopped for a while", counts->stops[ROLE_BROKER]);
    add(self, "broker_drains", "broker drained", counts->drains[ROLE_BROKER]);
    add(self, "worker_kills", "workers killed", of_workers(counts->kills));
    add(self, "worker_stops", "workers stopped for a while", of_workers(counts->stops));
    add(self, "worker_drains", "workers drained", of_workers(counts->drains));
    add(self, "poisoned", "workers killed by tasks", counts->poisoned);
    add(self, "client_kills", "clients killed", of_clients(counts->kills));
    add(self, "client_stops", "clients stopped for a while", of_clients(counts->stops));
}

static uint64_t lost(const report_t *self)
{
    return self->verdict->broken[RULE_KEPT];
}

static uint64_t doubled(const report_t *self)
{
    return self->verdict->broken[RULE_ONCE] + self->verdict->broken[RULE_FENCED];
}

bool report_is_good(const report_t *self)
{
    return self->problem == NULL && oracle_is_content(self->verdict);
}

static void print_figures(const figures_t *self)
{
    for (int i = 0; i < self->count; i++)
        printf("  %-32s%10" PRIu64 "\n", self->list[i].label, self->list[i].value);
}

void report_print(const report_t *self)
{
    figures_t tasks = {0}, acts = {0};
    add_tasks(&tasks, self);
    add_acts(&acts, self);
    printf("seed %" PRIu64 ", %s", self->seed, output_seconds((double)self->duration_ms / 1000));
    printf(" under kills, %s to heal", output_seconds((double)self->healing_ms / 1000));
    printf(", %s to check\n\n", output_seconds((double)self->asking_ms / 1000));
    print_figures(&tasks);
    putchar('\n');
    print_figures(&acts);
    printf("\n  %-32s%10" PRIu64 "\n  %-32s%10" PRIu64 "\n", "lost", lost(self), "double",
           doubled(self));
    for (int i = 0; i < RULES; i++)
        if (self->verdict->broken[i] > 0)
            printf("  %-32s%10" PRIu64 "  not true: %s\n", oracle_rule_name(i),
                   self->verdict->broken[i], oracle_rule_text(i));
    if (self->problem != NULL)
        printf("\n%s\n", self->problem);
    printf("\n%s\n", report_is_good(self) ? "passed" : "FAILED");
}

static void add_figures(cJSON *object, const figures_t *figures)
{
    for (int i = 0; i < figures->count; i++)
        cJSON_AddNumberToObject(object, figures->list[i].name, (double)figures->list[i].value);
}

void report_print_json(const report_t *self)
{
    char seed[24];
    figures_t figures = {0};
    cJSON *object = cJSON_CreateObject();
    snprintf(seed, sizeof seed, "%" PRIu64, self->seed); /* more digits than a double has */
    cJSON_AddStringToObject(object, "verdict", report_is_good(self) ? "passed" : "failed");
    cJSON_AddStringToObject(object, "seed", seed);
    cJSON_AddNumberToObject(object, "duration_s", (double)self->duration_ms / 1000);
    cJSON_AddNumberToObject(object, "healing_s", (double)self->healing_ms / 1000);
    cJSON_AddNumberToObject(object, "checking_s", (double)self->asking_ms / 1000);
    add_tasks(&figures, self);
    add_acts(&figures, self);
    add_figures(object, &figures);
    cJSON_AddNumberToObject(object, "lost", (double)lost(self));
    cJSON_AddNumberToObject(object, "double", (double)doubled(self));
    cJSON *broken = cJSON_AddObjectToObject(object, "broken_rules");
    for (int i = 0; i < RULES; i++)
        if (self->verdict->broken[i] > 0)
            cJSON_AddNumberToObject(broken, oracle_rule_name(i), (double)self->verdict->broken[i]);
    if (self->problem != NULL)
        cJSON_AddStringToObject(object, "problem", self->problem);
    output_json(&object);
}

void report_print_examples(const report_t *self)
{
    for (int i = 0; i < RULES; i++) {
        for (int j = 0; j < ORACLE_EXAMPLES; j++) {
            const task_t *task = self->verdict->examples[i][j];
            if (task == NULL)
                continue;
            fprintf(stderr, "%s: %s\n", oracle_rule_name(i), task->id);
            story_tell(self->cast->directory, task, stderr);
        }
    }
}
