/* Commits: one transaction, then its events. Loop thread, coroutine. What a crash leaves in the outbox, outbox.c
 * publishes. */
#include "platform/ports/commit.h"

#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/snowflake.h"
#include "platform/ports/bus.h"
#include "platform/ports/kv.h"
#include "platform/ports/outbox.h"
#include "platform/ports/store/store.h"

#include <errno.h>

void commit_init(struct commit *c, struct arena *a)
{
    *c = (struct commit){.arena = a};
}

struct sql_stmt *commit_stmt(struct commit *c, const char *text)
{
    if (c->stmt_count == c->stmt_cap) {
        unsigned cap = c->stmt_cap ? c->stmt_cap * 2 : 8;
        struct sql_stmt *grown = ARENA_ARRAY(c->arena, struct sql_stmt, cap);
        if (c->stmt_count)
            memcpy(grown, c->stmts, sizeof *grown * c->stmt_count);
        c->stmts = grown;
        c->stmt_cap = cap;
    }
    struct sql_stmt *s = &c->stmts[c->stmt_count++];
    *s = (struct sql_stmt){.text = text};
    return s;
}

void commit_sql_params(struct commit *c, int rows_min, const char *text, const struct sql_value *params, unsigned count)
{
    CHECK(count <= SQL_PARAMS_MAX);
    struct sql_stmt *s = commit_stmt(c, text);
    s->rows_min = rows_min;
    s->param_count = (int)count;
    memcpy(s->params, params, sizeof *params * count);
}

struct event *commit_event(struct commit *c, enum event_type type, uint64_t topic, bool topic_is_user)
{
    if (c->event_count == c->event_cap) {
        unsigned cap = c->event_cap ? c->event_cap * 2 : 4;
        struct event *grown = ARENA_ARRAY(c->arena, struct event, cap);
        if (c->event_count)
            memcpy(grown, c->events, sizeof *grown * c->event_count);
        c->events = grown;
        c->event_cap = cap;
    }
    struct event *e = &c->events[c->event_count++];
    *e = (struct event){.id = snowflake_next(), .type = type, .topic = topic, .topic_is_user = topic_is_user};
    return e;
}

/* In one process a published event reached every session there is, so nothing is kept for a later one; but a snapshot
 * must be able to tell which comings and goings it has counted. */
static void outbox_add(struct commit *c, const struct ports *p)
{
    bool embedded = bus_is_embedded(p->bus);

    for (unsigned i = 0; i < c->event_count; i++) {
        const struct event *e = &c->events[i];
        if (!embedded)
            store_outbox_insert(c, e);
        else if (e->type == EVENT_GUILD_MEMBER_ADD || e->type == EVENT_GUILD_MEMBER_REMOVE)
            store_outbox_note(c, e);
    }
}

/* A line a second: an outage defers thousands. */
static void deferred_tell(unsigned count, uint64_t id, int error)
{
    static unsigned untold;
    static int64_t told_ms = INT64_MIN / 2;
    int64_t now_ms = clock_mono_ms();

    untold += count;
    if (now_ms - told_ms < 1000)
        return;
    LOG_WARN("events deferred", "count=%u latest=%llu error=%d", untold, (unsigned long long)id, -error);
    untold = 0;
    told_ms = now_ms;
}

int commit_run(struct commit *c, const struct ports *p)
{
    outbox_add(c, p);
    if (c->stmt_count) {
        c->results = ARENA_ARRAY(c->arena, struct sql_result, c->stmt_count);
        int r = sql_run(p->db, c->arena, c->stmts, (int)c->stmt_count, c->results);
        if (r < 0)
            return r;
    }
    if (!c->event_count)
        return 0;
    int r = commit_publish(p, c->events, c->event_count);
    if (r < 0)
        deferred_tell(c->event_count, c->events[0].id, r);
    return 0;
}

void commit_publish_transient(struct arena *a, const struct ports *p, struct event *e)
{
    struct kv_route route;
    e->number = 0;
    if (kv_topic_route(p->kv, a, e->topic, &route) == 0)
        (void)bus_publish(p->bus, e, route.node_ids, route.node_count);
}
