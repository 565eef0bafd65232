/* Store: what members are searched by. Each member has a row for each different name it can be called by; whoever
 * changes a name or a membership drops the rows before and puts them after, in the same commit. Coroutine. */
#include "platform/ports/store/rows.h"

#include "platform/base/map.h"

#define NAMES_EACH_MAX 3 /* username, display name, nick */

#define NAMES_OF(where)                                                                                                \
    "SELECT m.guild_id, lower(u.username), m.user_id FROM members m JOIN users u ON u.id = m.user_id WHERE " where     \
    " UNION SELECT m.guild_id, lower(u.global_name), m.user_id FROM members m JOIN users u ON u.id = m.user_id "       \
    "WHERE u.global_name IS NOT NULL AND " where                                                                       \
    " UNION SELECT m.guild_id, lower(m.nick), m.user_id FROM members m WHERE m.nick IS NOT NULL AND " where
#define OF_MEMBER "m.guild_id = $1 AND m.user_id = $2"
#define OF_USER   "m.user_id = $1"

void rows_member_names_drop(struct commit *c, uint64_t guild_id, uint64_t user_id)
{
    commit_sql(c, 0, "DELETE FROM member_names WHERE (guild_id, name, user_id) IN (" NAMES_OF(OF_MEMBER) ")",
               SQL_I(guild_id), SQL_I(user_id));
}

void rows_member_names_put(struct commit *c, uint64_t guild_id, uint64_t user_id)
{
    commit_sql(c, 0,
               "INSERT INTO member_names (guild_id, name, user_id) " NAMES_OF(OF_MEMBER) " ON CONFLICT DO NOTHING",
               SQL_I(guild_id), SQL_I(user_id));
}

void rows_user_names_drop(struct commit *c, uint64_t user_id)
{
    commit_sql(c, 0, "DELETE FROM member_names WHERE (guild_id, name, user_id) IN (" NAMES_OF(OF_USER) ")",
               SQL_I(user_id));
}

void rows_user_names_put(struct commit *c, uint64_t user_id)
{
    commit_sql(c, 0, "INSERT INTO member_names (guild_id, name, user_id) " NAMES_OF(OF_USER) " ON CONFLICT DO NOTHING",
               SQL_I(user_id));
}

/* Ids in the order of their names, each once. */
static unsigned ids_take(const struct sql_result *r, unsigned limit, uint64_t *ret)
{
    struct map seen = {0};
    unsigned count = 0;

    for (int i = 0; i < r->row_count && count < limit; i++) {
        uint64_t id = sql_id(r, i, 0);
        if (map_get(&seen, id))
            continue;
        map_put(&seen, id, &seen);
        ret[count++] = id;
    }
    map_done(&seen);
    return count;
}

/* The range ends before the prefix with the highest code point behind it. */
int store_members_search(struct sql *db, struct arena *a, uint64_t guild_id, struct str prefix, unsigned limit,
                         struct member **ret, unsigned *ret_count)
{
    const struct sql_stmt s = {.text = "SELECT user_id FROM member_names WHERE guild_id = $1 AND name >= lower($2) "
                                       "AND name < lower($2) || '\xf4\x8f\xbf\xbf' ORDER BY name, user_id LIMIT $3",
                               .param_count = 3,
                               .params = {SQL_I(guild_id), SQL_S(prefix), SQL_I((int64_t)limit * NAMES_EACH_MAX)}};
    struct sql_result r;
    int err = sql_read(db, a, &s, 1, &r);

    if (err < 0)
        return err;
    uint64_t *ids = ARENA_ARRAY(a, uint64_t, (size_t)limit);
    return store_members_get(db, a, guild_id, ids, ids_take(&r, limit, ids), ret, ret_count);
}
