/* Store: roles. Coroutine. */
#include "platform/ports/store/rows.h"

struct role *rows_roles(const struct sql_result *r, struct arena *a)
{
    struct role *roles = ARENA_ARRAY(a, struct role, (size_t)r->row_count);

    for (int i = 0; i < r->row_count; i++)
        roles[i] = (struct role){
            .id = sql_id(r, i, 0),
            .guild_id = sql_id(r, i, 1),
            .name = sql_str(r, i, 2),
            .color = sql_int(r, i, 3),
            .position = sql_int(r, i, 4),
            .permissions = sql_id(r, i, 5),
            .hoist = sql_int(r, i, 6) != 0,
            .mentionable = sql_int(r, i, 7) != 0,
            .managed = sql_int(r, i, 8) != 0,
            .icon = sql_str(r, i, 9),
            .unicode_emoji = sql_str(r, i, 10),
            .bot_id = sql_id(r, i, 11),
            .flags = sql_int(r, i, 12),
        };
    return roles;
}

void store_role_insert(struct commit *c, const struct role *r)
{
    commit_sql(c, 1,
               "INSERT INTO roles (id, guild_id, name, color, position, permissions, hoist, mentionable, managed, "
               "icon, unicode_emoji, bot_id, flags) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
               SQL_I(r->id), SQL_I(r->guild_id), SQL_S(r->name), SQL_I(r->color), SQL_I(r->position),
               SQL_I(r->permissions), SQL_I(r->hoist), SQL_I(r->mentionable), SQL_I(r->managed), SQL_S(r->icon),
               SQL_S(r->unicode_emoji), SQL_ID(r->bot_id), SQL_I(r->flags));
}

void store_role_update(struct commit *c, const struct role *r)
{
    commit_sql(c, 1,
               "UPDATE roles SET name = $3, color = $4, position = $5, permissions = $6, hoist = $7, "
               "mentionable = $8, icon = $9, unicode_emoji = $10, flags = $11 WHERE id = $1 AND guild_id = $2",
               SQL_I(r->id), SQL_I(r->guild_id), SQL_S(r->name), SQL_I(r->color), SQL_I(r->position),
               SQL_I(r->permissions), SQL_I(r->hoist), SQL_I(r->mentionable), SQL_S(r->icon), SQL_S(r->unicode_emoji),
               SQL_I(r->flags));
}

void store_role_delete(struct commit *c, uint64_t guild_id, uint64_t role_id)
{
    commit_sql(c, 0,
               "DELETE FROM channel_overwrites WHERE target_id = $2 AND type = 0 AND "
               "channel_id IN (SELECT id FROM channels WHERE guild_id = $1)",
               SQL_I(guild_id), SQL_I(role_id));
    commit_sql(c, 1, "DELETE FROM roles WHERE id = $2 AND guild_id = $1", SQL_I(guild_id), SQL_I(role_id));
}
