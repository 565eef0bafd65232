/* Store: channels with their overwrites, DMs with their recipients. Coroutine. */
#include "platform/base/map.h"
#include "platform/ports/store/rows.h"

#include <errno.h>

struct channel *rows_channels(const struct sql_result *r, struct arena *a)
{
    struct channel *channels = ARENA_ARRAY(a, struct channel, (size_t)r->row_count);

    for (int i = 0; i < r->row_count; i++)
        channels[i] = (struct channel){
            .id = sql_id(r, i, 0),
            .guild_id = sql_id(r, i, 1),
            .type = (enum channel_type)sql_int(r, i, 2),
            .name = sql_str(r, i, 3),
            .topic = sql_str(r, i, 4),
            .rtc_region = sql_str(r, i, 5),
            .position = sql_int(r, i, 6),
            .parent_id = sql_id(r, i, 7),
            .owner_id = sql_id(r, i, 8),
            .nsfw = sql_int(r, i, 9) != 0,
            .rate_limit_per_user = sql_int(r, i, 10),
            .bitrate = sql_int(r, i, 11),
            .user_limit = sql_int(r, i, 12),
            .flags = sql_int(r, i, 13),
            .default_auto_archive_duration = sql_int(r, i, 14),
            .last_message_id = sql_id(r, i, 15),
            .last_pin_ms = sql_int(r, i, 16),
        };
    return channels;
}

static unsigned rows_of(const struct sql_result *r, uint64_t channel_id)
{
    unsigned n = 0;

    for (int i = 0; i < r->row_count; i++)
        n += sql_id(r, i, 0) == channel_id;
    return n;
}

/* A channel's rows stand together, as every reader of them has them sorted. */
void rows_overwrites(const struct sql_result *r, struct arena *a, struct channel *channels, unsigned channel_count)
{
    struct map by_id = {0};

    for (unsigned k = 0; k < channel_count; k++)
        map_put(&by_id, channels[k].id, &channels[k]);
    for (int i = 0; i < r->row_count;) {
        struct channel *c = map_get(&by_id, sql_id(r, i, 0));
        int end = i;
        while (end < r->row_count && sql_id(r, end, 0) == sql_id(r, i, 0))
            end++;
        if (c && !c->overwrites)
            c->overwrites = ARENA_ARRAY(a, struct overwrite, (size_t)(end - i));
        for (; i < end; i++)
            if (c)
                c->overwrites[c->overwrite_count++] = (struct overwrite){
                    .id = sql_id(r, i, 1),
                    .type = (int)sql_int(r, i, 2),
                    .allow = sql_id(r, i, 3),
                    .deny = sql_id(r, i, 4),
                };
    }
    map_done(&by_id);
}

void rows_recipients(const struct sql_result *r, struct arena *a, struct channel *channels, unsigned channel_count)
{
    for (unsigned k = 0; k < channel_count; k++) {
        struct channel *c = &channels[k];
        unsigned count = rows_of(r, c->id);
        c->recipients = count ? ARENA_ARRAY(a, struct user, count) : NULL;
        for (int i = 0; i < r->row_count && c->recipient_count < count; i++)
            if (sql_id(r, i, 0) == c->id)
                rows_user_public(r, i, 1, &c->recipients[c->recipient_count++]);
    }
}

static void overwrites_insert(struct commit *c, const struct channel *ch)
{
    for (unsigned i = 0; i < ch->overwrite_count; i++) {
        const struct overwrite *o = &ch->overwrites[i];
        commit_sql(c, 1,
                   "INSERT INTO channel_overwrites (channel_id, target_id, type, allow, deny) "
                   "VALUES ($1, $2, $3, $4, $5)",
                   SQL_I(ch->id), SQL_I(o->id), SQL_I(o->type), SQL_I(o->allow), SQL_I(o->deny));
    }
}

void store_channel_insert(struct commit *c, const struct channel *ch)
{
    commit_sql(
        c, 1,
        "INSERT INTO channels (id, guild_id, type, name, topic, rtc_region, position, parent_id, owner_id, nsfw, "
        "rate_limit_per_user, bitrate, user_limit, flags, default_auto_archive_duration) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        SQL_I(ch->id), SQL_ID(ch->guild_id), SQL_I(ch->type), SQL_S(ch->name), SQL_S(ch->topic), SQL_S(ch->rtc_region),
        SQL_I(ch->position), SQL_ID(ch->parent_id), SQL_ID(ch->owner_id), SQL_I(ch->nsfw),
        SQL_I(ch->rate_limit_per_user), SQL_I(ch->bitrate ? ch->bitrate : 64000), SQL_I(ch->user_limit),
        SQL_I(ch->flags), SQL_I(ch->default_auto_archive_duration));
    overwrites_insert(c, ch);
}

void store_channel_update(struct commit *c, const struct channel *ch)
{
    commit_sql(c, 1,
               "UPDATE channels SET type = $2, name = $3, topic = $4, rtc_region = $5, position = $6, parent_id = $7, "
               "nsfw = $8, rate_limit_per_user = $9, bitrate = $10, user_limit = $11, flags = $12, "
               "default_auto_archive_duration = $13 WHERE id = $1",
               SQL_I(ch->id), SQL_I(ch->type), SQL_S(ch->name), SQL_S(ch->topic), SQL_S(ch->rtc_region),
               SQL_I(ch->position), SQL_ID(ch->parent_id), SQL_I(ch->nsfw), SQL_I(ch->rate_limit_per_user),
               SQL_I(ch->bitrate), SQL_I(ch->user_limit), SQL_I(ch->flags), SQL_I(ch->default_auto_archive_duration));
    commit_sql(c, 0, "DELETE FROM channel_overwrites WHERE channel_id = $1", SQL_I(ch->id));
    overwrites_insert(c, ch);
}

/* Children of a deleted category stay, without a parent. */
void store_channel_delete(struct commit *c, uint64_t channel_id)
{
    commit_sql(c, 0, "DELETE FROM reactions WHERE channel_id = $1", SQL_I(channel_id));
    commit_sql(c, 0, "DELETE FROM message_nonces WHERE channel_id = $1", SQL_I(channel_id));
    commit_sql(c, 0, "DELETE FROM messages WHERE channel_id = $1", SQL_I(channel_id));
    commit_sql(c, 1, "DELETE FROM channels WHERE id = $1", SQL_I(channel_id));
    commit_sql(c, 0, "UPDATE channels SET parent_id = NULL WHERE parent_id = $1", SQL_I(channel_id));
}

/* A list of channels by one key: their rows, overwrites and recipients in one batch. */
struct channel_queries {
    const char *rows, *overwrites, *recipients;
};

static int channels_read(struct sql *db, struct arena *a, const struct channel_queries *q,
                         const struct sql_value *params, int param_count, struct channel **ret, unsigned *ret_count)
{
    struct sql_stmt s[3] = {{.text = q->rows}, {.text = q->overwrites}, {.text = q->recipients}};
    struct sql_result r[3];
    struct channel *channels;

    for (int i = 0; i < 3; i++) {
        s[i].param_count = param_count;
        memcpy(s[i].params, params, sizeof *params * (size_t)param_count);
    }
    int err = sql_read(db, a, s, 3, r);
    if (err < 0)
        return err;
    channels = rows_channels(&r[0], a);
    rows_overwrites(&r[1], a, channels, (unsigned)r[0].row_count);
    rows_recipients(&r[2], a, channels, (unsigned)r[0].row_count);
    *ret = channels;
    *ret_count = (unsigned)r[0].row_count;
    return 0;
}

static int channel_read(struct sql *db, struct arena *a, const struct channel_queries *q,
                        const struct sql_value *params, int param_count, struct channel *ret)
{
    struct channel *channels;
    unsigned count;
    int err = channels_read(db, a, q, params, param_count, &channels, &count);

    if (err < 0)
        return err;
    if (count == 0)
        return -ENOENT;
    *ret = channels[0];
    return 0;
}

int store_channel_get(struct sql *db, struct arena *a, uint64_t channel_id, struct channel *ret)
{
    static const struct channel_queries q = {
        "SELECT " CHANNEL_COLUMNS " FROM channels c WHERE c.id = $1",
        "SELECT " OVERWRITE_COLUMNS " FROM channel_overwrites o WHERE o.channel_id = $1 ORDER BY o.target_id",
        "SELECT " RECIPIENT_COLUMNS " FROM channel_recipients cr JOIN users u ON u.id = cr.user_id "
        "WHERE cr.channel_id = $1 ORDER BY u.id",
    };

    return channel_read(db, a, &q, &SQL_I(channel_id), 1, ret);
}

int store_guild_channels(struct sql *db, struct arena *a, uint64_t guild_id, struct channel **ret, unsigned *ret_count)
{
    struct sql_stmt s[2] = {
        {.text = "SELECT " CHANNEL_COLUMNS " FROM channels c WHERE c.guild_id = $1 ORDER BY c.position, c.id",
         .param_count = 1,
         .params = {SQL_I(guild_id)}},
        {.text = "SELECT " OVERWRITE_COLUMNS " FROM channels c JOIN channel_overwrites o ON o.channel_id = c.id "
                 "WHERE c.guild_id = $1 ORDER BY o.channel_id, o.target_id",
         .param_count = 1,
         .params = {SQL_I(guild_id)}},
    };
    struct sql_result r[2];
    int err = sql_read(db, a, s, 2, r);

    if (err < 0)
        return err;
    *ret = rows_channels(&r[0], a);
    *ret_count = (unsigned)r[0].row_count;
    rows_overwrites(&r[1], a, *ret, *ret_count);
    return 0;
}

int store_dm_find(struct sql *db, struct arena *a, uint64_t user_a, uint64_t user_b, struct channel *ret)
{
    static const struct channel_queries q = {
        "SELECT " CHANNEL_COLUMNS " FROM dm_pairs p JOIN channels c ON c.id = p.channel_id "
        "WHERE p.user_low = $1 AND p.user_high = $2",
        "SELECT " OVERWRITE_COLUMNS " FROM dm_pairs p JOIN channel_overwrites o ON o.channel_id = p.channel_id "
        "WHERE p.user_low = $1 AND p.user_high = $2",
        "SELECT " RECIPIENT_COLUMNS " FROM dm_pairs p JOIN channel_recipients cr ON cr.channel_id = p.channel_id "
        "JOIN users u ON u.id = cr.user_id WHERE p.user_low = $1 AND p.user_high = $2 ORDER BY u.id",
    };
    const struct sql_value pair[2] = {SQL_I(user_a < user_b ? user_a : user_b),
                                      SQL_I(user_a < user_b ? user_b : user_a)};

    return channel_read(db, a, &q, pair, 2, ret);
}

void store_dm_insert(struct commit *c, const struct channel *ch)
{
    uint64_t one = ch->recipients[0].id, two = ch->recipients[ch->recipient_count - 1].id;

    store_channel_insert(c, ch);
    commit_sql(c, 1, "INSERT INTO dm_pairs (user_low, user_high, channel_id) VALUES ($1, $2, $3)",
               SQL_I(one < two ? one : two), SQL_I(one < two ? two : one), SQL_I(ch->id));
    for (unsigned i = 0; i < ch->recipient_count; i++)
        commit_sql(c, 1, "INSERT INTO channel_recipients (channel_id, user_id) VALUES ($1, $2)", SQL_I(ch->id),
                   SQL_I(ch->recipients[i].id));
}

int store_user_dms(struct sql *db, struct arena *a, uint64_t user_id, struct channel **ret, unsigned *ret_count)
{
    static const struct channel_queries q = {
        "SELECT " CHANNEL_COLUMNS " FROM channel_recipients me JOIN channels c ON c.id = me.channel_id "
        "WHERE me.user_id = $1 ORDER BY c.id",
        "SELECT " OVERWRITE_COLUMNS " FROM channel_recipients me JOIN channel_overwrites o "
        "ON o.channel_id = me.channel_id WHERE me.user_id = $1",
        "SELECT " RECIPIENT_COLUMNS " FROM channel_recipients me JOIN channel_recipients cr "
        "ON cr.channel_id = me.channel_id JOIN users u ON u.id = cr.user_id WHERE me.user_id = $1 "
        "ORDER BY cr.channel_id, u.id",
    };

    return channels_read(db, a, &q, &SQL_I(user_id), 1, ret, ret_count);
}
