/* Reactions, by (channel, message, emoji, user). Coroutine only. */
#include "platform/base/clock.h"
#include "platform/ports/store/store.h"

#include <errno.h>

/* The column `emoji`: a custom emoji's id, or the Unicode emoji itself. */
static struct str emoji_key(struct arena *a, struct str emoji_name, uint64_t emoji_id)
{
    return emoji_id ? arena_printf(a, "%llu", (unsigned long long)emoji_id) : emoji_name;
}

void store_reaction_add(struct commit *c, uint64_t channel_id, uint64_t message_id, uint64_t user_id,
                        struct str emoji_name, uint64_t emoji_id)
{
    commit_sql(c, 1,
               "INSERT INTO reactions (channel_id, message_id, emoji, user_id, emoji_name, emoji_id, created_ms) "
               "VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING",
               SQL_I(channel_id), SQL_I(message_id), SQL_S(emoji_key(c->arena, emoji_name, emoji_id)), SQL_I(user_id),
               SQL_S(emoji_name), SQL_ID(emoji_id), SQL_I(clock_wall_ms()));
}

void store_reaction_remove(struct commit *c, uint64_t channel_id, uint64_t message_id, uint64_t user_id,
                           struct str emoji_name, uint64_t emoji_id)
{
    commit_sql(c, 1, "DELETE FROM reactions WHERE channel_id = $1 AND message_id = $2 AND emoji = $3 AND user_id = $4",
               SQL_I(channel_id), SQL_I(message_id), SQL_S(emoji_key(c->arena, emoji_name, emoji_id)), SQL_I(user_id));
}

void store_reactions_clear(struct commit *c, uint64_t channel_id, uint64_t message_id, struct str emoji_name,
                           uint64_t emoji_id)
{
    if (!emoji_name.p) {
        commit_sql(c, 0, "DELETE FROM reactions WHERE channel_id = $1 AND message_id = $2", SQL_I(channel_id),
                   SQL_I(message_id));
        return;
    }
    commit_sql(c, 1, "DELETE FROM reactions WHERE channel_id = $1 AND message_id = $2 AND emoji = $3",
               SQL_I(channel_id), SQL_I(message_id), SQL_S(emoji_key(c->arena, emoji_name, emoji_id)));
}

static struct reaction_count *counts_read(struct arena *a, const struct sql_result *r)
{
    struct reaction_count *counts = ARENA_ARRAY(a, struct reaction_count, (size_t)r->row_count + 1);
    for (int i = 0; i < r->row_count; i++)
        counts[i] = (struct reaction_count){
            .emoji_name = sql_str(r, i, 0),
            .emoji_id = sql_id(r, i, 1),
            .count = sql_int(r, i, 2),
            .me = sql_int(r, i, 3) != 0,
        };
    return counts;
}

int store_reactions_of(struct sql *db, struct arena *a, uint64_t channel_id, const uint64_t *message_ids,
                       unsigned count, uint64_t viewer, struct reaction_count **ret, unsigned *ret_counts)
{
    if (!count)
        return 0;
    struct sql_stmt *stmts = ARENA_ARRAY(a, struct sql_stmt, count);
    struct sql_result *results = ARENA_ARRAY(a, struct sql_result, count);
    for (unsigned i = 0; i < count; i++)
        stmts[i] = (struct sql_stmt){
            .text = "SELECT emoji_name, emoji_id, COUNT(*), MAX(CASE WHEN user_id = $3 THEN 1 ELSE 0 END) "
                    "FROM reactions WHERE channel_id = $1 AND message_id = $2 "
                    "GROUP BY emoji, emoji_name, emoji_id ORDER BY MIN(created_ms), emoji",
            .param_count = 3,
            .params = {SQL_I(channel_id), SQL_I(message_ids[i]), SQL_I(viewer)},
        };
    int r = sql_read(db, a, stmts, (int)count, results);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        ret[i] = counts_read(a, &results[i]);
        ret_counts[i] = (unsigned)results[i].row_count;
    }
    return r;
}

int store_reaction_users(struct sql *db, struct arena *a, uint64_t channel_id, uint64_t message_id,
                         struct str emoji_name, uint64_t emoji_id, uint64_t after, unsigned limit, struct user **ret,
                         unsigned *ret_count)
{
    struct sql_stmt stmt = {
        .text =
            "SELECT user_id FROM reactions WHERE channel_id = $1 AND message_id = $2 AND emoji = $3 AND user_id > $4 "
            "ORDER BY user_id LIMIT $5",
        .param_count = 5,
        .params = {SQL_I(channel_id), SQL_I(message_id), SQL_S(emoji_key(a, emoji_name, emoji_id)), SQL_I(after),
                   SQL_I(limit)},
    };
    struct sql_result result;
    int r = sql_read(db, a, &stmt, 1, &result);
    if (r < 0)
        return r;
    uint64_t *ids = ARENA_ARRAY(a, uint64_t, (size_t)result.row_count + 1);
    for (int i = 0; i < result.row_count; i++)
        ids[i] = sql_id(&result, i, 0);
    return store_users_get(db, a, ids, (unsigned)result.row_count, ret, ret_count);
}
