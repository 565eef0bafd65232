/* The outbox: events that were committed, until the bus has confirmed them and for a while after. Coroutine only. */
#include "platform/base/clock.h"
#include "platform/ports/store/ids.h"
#include "platform/ports/store/store.h"

#include <errno.h>

#define COLUMNS "id, topic, topic_is_user, type, channel_id, user_id, mentions, data"
#define CHUNK   1000 /* rows a statement changes: locks are held shortly */

void store_outbox_insert(struct commit *c, const struct event *e)
{
    commit_sql(c, 0, "INSERT INTO outbox (" COLUMNS ", created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
               SQL_I(e->id), SQL_I(e->topic), SQL_I(e->topic_is_user), SQL_C(event_name(e->type)),
               SQL_ID(e->channel_id), SQL_ID(e->user_id), SQL_S(ids_join(c->arena, e->mentions, e->mention_count)),
               SQL_S(e->data), SQL_I(clock_wall_ms()));
}

void store_outbox_note(struct commit *c, const struct event *e)
{
    commit_sql(c, 0,
               "INSERT INTO outbox (id, topic, topic_is_user, type, data, created_ms, confirmed_ms) "
               "VALUES ($1, $2, $3, $4, '', $5, $5)",
               SQL_I(e->id), SQL_I(e->topic), SQL_I(e->topic_is_user), SQL_C(event_name(e->type)),
               SQL_I(clock_wall_ms()));
}

int store_outbox_confirmed(struct sql *db, const uint64_t *event_ids, unsigned count)
{
    static const char text[] =
        "UPDATE outbox SET confirmed_ms = $2 WHERE confirmed_ms = 0 AND id IN (SELECT id FROM sql_ids($1))";
    int error = 0;
    for (unsigned i = 0; i < count && !error; i += CHUNK) {
        struct arena a = {0};
        unsigned n = count - i < CHUNK ? count - i : CHUNK;
        struct sql_stmt s = {.text = text, .param_count = 2};
        s.params[0] = SQL_S(ids_join(&a, event_ids + i, n));
        s.params[1] = SQL_I(clock_wall_ms());
        error = sql_run(db, NULL, &s, 1, NULL);
        arena_done(&a);
    }
    return error;
}

int store_outbox_sweep(struct sql *db, int64_t confirmed_before_ms, unsigned most, bool *ret_more)
{
    static const char text[] = "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE confirmed_ms > 0 AND "
                               "confirmed_ms < $1 ORDER BY confirmed_ms, id LIMIT $2)";
    struct sql_stmt s = {.text = text, .param_count = 2, .params = {SQL_I(confirmed_before_ms), SQL_I(CHUNK)}};
    *ret_more = true;
    for (unsigned deleted = 0; deleted < most; deleted += CHUNK) {
        struct arena a = {0};
        struct sql_result r;
        int error = sql_run(db, &a, &s, 1, &r);
        arena_done(&a);
        *ret_more = !error && r.affected == CHUNK;
        if (!*ret_more)
            return error;
    }
    return 0;
}

/* False: a type that this binary does not know, written by a newer one. */
static bool event_read(struct arena *a, const struct sql_result *r, int row, struct event *ret)
{
    struct event e = {.id = sql_id(r, row, 0), .topic = sql_id(r, row, 1), .topic_is_user = sql_int(r, row, 2) != 0};
    if (event_type_find(sql_str(r, row, 3), &e.type) != 0)
        return false;
    e.channel_id = sql_id(r, row, 4);
    e.user_id = sql_id(r, row, 5);
    e.mentions = ids_split(a, sql_str(r, row, 6), &e.mention_count);
    e.data = sql_str(r, row, 7);
    *ret = e;
    return true;
}

int store_outbox_pending(struct sql *db, struct arena *a, int64_t before_ms, unsigned limit, struct event **ret,
                         unsigned *ret_count)
{
    struct sql_stmt s = {.text = "SELECT " COLUMNS " FROM outbox WHERE confirmed_ms = 0 AND created_ms < $1 "
                                 "ORDER BY created_ms, id LIMIT $2",
                         .param_count = 2,
                         .params = {SQL_I(before_ms), SQL_I(limit)}};
    struct sql_result r;
    int error = sql_read(db, a, &s, 1, &r);
    if (error)
        return error;
    struct event *events = ARENA_ARRAY(a, struct event, (size_t)r.row_count + 1);
    unsigned count = 0;
    for (int row = 0; row < r.row_count; row++)
        count += event_read(a, &r, row, &events[count]);
    *ret = events;
    *ret_count = count;
    return 0;
}

int store_outbox_get(struct sql *db, struct arena *a, uint64_t event_id, struct event *ret)
{
    struct sql_stmt s = {
        .text = "SELECT " COLUMNS " FROM outbox WHERE id = $1", .param_count = 1, .params = {SQL_I(event_id)}};
    struct sql_result r;
    int error = sql_read(db, a, &s, 1, &r);
    if (error)
        return error;
    return r.row_count == 1 && event_read(a, &r, 0, ret) ? 0 : -ENOENT;
}

int store_outbox_list(struct sql *db, struct arena *a, const uint64_t *event_ids, unsigned count, struct event **ret,
                      unsigned *ret_count)
{
    struct sql_stmt s = {.text = "SELECT " COLUMNS " FROM outbox WHERE id IN (SELECT id FROM sql_ids($1))",
                         .param_count = 1,
                         .params = {SQL_S(ids_join(a, event_ids, count))}};
    struct sql_result r;
    int error = sql_read(db, a, &s, 1, &r);
    if (error)
        return error;
    *ret = ARENA_ARRAY(a, struct event, (size_t)r.row_count + 1);
    *ret_count = 0;
    for (int row = 0; row < r.row_count; row++)
        *ret_count += event_read(a, &r, row, *ret + *ret_count);
    return 0;
}
