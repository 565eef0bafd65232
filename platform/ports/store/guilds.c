/* Store: guilds. Snapshots of a whole guild are in snapshots.c. Coroutine. */
#include "platform/ports/store/rows.h"

void rows_guild(const struct sql_result *r, int row, struct guild *ret)
{
    *ret = (struct guild){
        .id = sql_id(r, row, 0),
        .owner_id = sql_id(r, row, 1),
        .name = sql_str(r, row, 2),
        .icon = sql_str(r, row, 3),
        .banner = sql_str(r, row, 4),
        .splash = sql_str(r, row, 5),
        .discovery_splash = sql_str(r, row, 6),
        .description = sql_str(r, row, 7),
        .vanity_url_code = sql_str(r, row, 8),
        .preferred_locale = sql_str(r, row, 9),
        .features_json = sql_str(r, row, 10),
        .verification_level = sql_int(r, row, 11),
        .default_message_notifications = sql_int(r, row, 12),
        .explicit_content_filter = sql_int(r, row, 13),
        .mfa_level = sql_int(r, row, 14),
        .afk_channel_id = sql_id(r, row, 15),
        .afk_timeout = sql_int(r, row, 16),
        .system_channel_id = sql_id(r, row, 17),
        .system_channel_flags = sql_int(r, row, 18),
        .rules_channel_id = sql_id(r, row, 19),
        .public_updates_channel_id = sql_id(r, row, 20),
        .nsfw_level = sql_int(r, row, 21),
        .premium_tier = sql_int(r, row, 22),
        .premium_progress_bar_enabled = sql_int(r, row, 23) != 0,
        .member_count = sql_int(r, row, 24),
    };
}

/* Insert and update name the same columns in the same order: $1 is the id, $2.. these. */
static void guild_stmt(struct commit *c, const char *text, const struct guild *g)
{
    commit_sql(c, 1, text, SQL_I(g->id), SQL_I(g->owner_id), SQL_S(g->name), SQL_S(g->icon), SQL_S(g->banner),
               SQL_S(g->splash), SQL_S(g->discovery_splash), SQL_S(g->description), SQL_S(g->vanity_url_code),
               SQL_S(g->preferred_locale.n ? g->preferred_locale : STR("en-US")),
               SQL_S(g->features_json.n ? g->features_json : STR("[]")), SQL_I(g->verification_level),
               SQL_I(g->default_message_notifications), SQL_I(g->explicit_content_filter), SQL_I(g->mfa_level),
               SQL_ID(g->afk_channel_id), SQL_I(g->afk_timeout), SQL_ID(g->system_channel_id),
               SQL_I(g->system_channel_flags), SQL_ID(g->rules_channel_id), SQL_ID(g->public_updates_channel_id),
               SQL_I(g->nsfw_level), SQL_I(g->premium_tier), SQL_I(g->premium_progress_bar_enabled));
}

void store_guild_insert(struct commit *c, const struct guild *g)
{
    guild_stmt(c,
               "INSERT INTO guilds (id, owner_id, name, icon, banner, splash, discovery_splash, description, "
               "vanity_url_code, preferred_locale, features, verification_level, default_message_notifications, "
               "explicit_content_filter, mfa_level, afk_channel_id, afk_timeout, system_channel_id, "
               "system_channel_flags, rules_channel_id, public_updates_channel_id, nsfw_level, premium_tier, "
               "premium_progress_bar_enabled, member_count) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
               "$12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, 0)",
               g);
}

void store_guild_update(struct commit *c, const struct guild *g)
{
    guild_stmt(c,
               "UPDATE guilds SET owner_id = $2, name = $3, icon = $4, banner = $5, splash = $6, "
               "discovery_splash = $7, description = $8, vanity_url_code = $9, preferred_locale = $10, "
               "features = $11, verification_level = $12, default_message_notifications = $13, "
               "explicit_content_filter = $14, mfa_level = $15, afk_channel_id = $16, afk_timeout = $17, "
               "system_channel_id = $18, system_channel_flags = $19, rules_channel_id = $20, "
               "public_updates_channel_id = $21, nsfw_level = $22, premium_tier = $23, "
               "premium_progress_bar_enabled = $24 WHERE id = $1",
               g);
}

/* Messages have no foreign key (they may live in another store), so they are named; the rest cascades. */
void store_guild_delete(struct commit *c, uint64_t guild_id)
{
    commit_sql(c, 0, "DELETE FROM reactions WHERE channel_id IN (SELECT id FROM channels WHERE guild_id = $1)",
               SQL_I(guild_id));
    commit_sql(c, 0, "DELETE FROM message_nonces WHERE channel_id IN (SELECT id FROM channels WHERE guild_id = $1)",
               SQL_I(guild_id));
    commit_sql(c, 0, "DELETE FROM messages WHERE channel_id IN (SELECT id FROM channels WHERE guild_id = $1)",
               SQL_I(guild_id));
    commit_sql(c, 1, "DELETE FROM guilds WHERE id = $1", SQL_I(guild_id));
}

int store_guild_get(struct sql *db, struct arena *a, uint64_t guild_id, struct guild *ret)
{
    struct sql_result r;
    int err = rows_one(db, a, "SELECT " GUILD_COLUMNS " FROM guilds g WHERE g.id = $1", SQL_I(guild_id), &r);

    if (err < 0)
        return err;
    rows_guild(&r, 0, ret);
    return 0;
}

int store_user_guild_ids(struct sql *db, struct arena *a, uint64_t user_id, uint64_t **ret, unsigned *ret_count)
{
    struct sql_result r;
    int err = rows_all(db, a, "SELECT guild_id FROM members WHERE user_id = $1 ORDER BY guild_id", SQL_I(user_id), &r);

    if (err < 0)
        return err;
    *ret = ARENA_ARRAY(a, uint64_t, (size_t)r.row_count);
    *ret_count = (unsigned)r.row_count;
    for (int i = 0; i < r.row_count; i++)
        (*ret)[i] = sql_id(&r, i, 0);
    return 0;
}
