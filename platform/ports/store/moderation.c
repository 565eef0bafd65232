/* Store: bans and the audit log. Coroutine. Limits: LIMIT_AUDIT_KEEP_MS. */
#include "platform/ports/store/rows.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"

#include <errno.h>

/* --- bans ------------------------------------------------------------------------------------------------------------
 */
#define BAN_COLUMNS "b.reason, " USER_PUBLIC_COLUMNS

void store_ban_insert(struct commit *c, uint64_t guild_id, uint64_t user_id, struct str reason)
{
    commit_sql(c, 1, "INSERT INTO bans (guild_id, user_id, reason, created_ms) VALUES ($1, $2, $3, $4)",
               SQL_I(guild_id), SQL_I(user_id), SQL_S(reason), SQL_I(clock_wall_ms()));
}

void store_ban_delete(struct commit *c, uint64_t guild_id, uint64_t user_id)
{
    commit_sql(c, 1, "DELETE FROM bans WHERE guild_id = $1 AND user_id = $2", SQL_I(guild_id), SQL_I(user_id));
}

static struct ban *rows_bans(const struct sql_result *r, struct arena *a)
{
    struct ban *bans = ARENA_ARRAY(a, struct ban, (size_t)r->row_count);

    for (int i = 0; i < r->row_count; i++) {
        bans[i].reason = sql_str(r, i, 0);
        rows_user_public(r, i, 1, &bans[i].user);
    }
    return bans;
}

int store_ban_get(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t user_id, struct ban *ret)
{
    const struct sql_stmt s = {.text = "SELECT " BAN_COLUMNS " FROM bans b JOIN users u ON u.id = b.user_id "
                                       "WHERE b.guild_id = $1 AND b.user_id = $2",
                               .param_count = 2,
                               .params = {SQL_I(guild_id), SQL_I(user_id)}};
    struct sql_result r;
    int err = sql_read(db, a, &s, 1, &r);

    if (err < 0)
        return err;
    if (r.row_count == 0)
        return -ENOENT;
    *ret = *rows_bans(&r, a);
    return 0;
}

int store_bans_list(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t before, uint64_t after, unsigned limit,
                    struct ban **ret, unsigned *ret_count)
{
    const struct sql_stmt lower = {.text = "SELECT " BAN_COLUMNS " FROM bans b JOIN users u ON u.id = b.user_id "
                                           "WHERE b.guild_id = $1 AND b.user_id < $2 ORDER BY b.user_id DESC LIMIT $3",
                                   .param_count = 3,
                                   .params = {SQL_I(guild_id), SQL_I(before), SQL_I(limit)}};
    const struct sql_stmt higher = {.text = "SELECT " BAN_COLUMNS " FROM bans b JOIN users u ON u.id = b.user_id "
                                            "WHERE b.guild_id = $1 AND b.user_id > $2 ORDER BY b.user_id LIMIT $3",
                                    .param_count = 3,
                                    .params = {SQL_I(guild_id), SQL_I(after), SQL_I(limit)}};
    struct sql_result r;
    int err = sql_read(db, a, before ? &lower : &higher, 1, &r);

    if (err < 0)
        return err;
    *ret = rows_bans(&r, a);
    *ret_count = (unsigned)r.row_count;
    for (unsigned i = 0; before && i < *ret_count / 2; i++) { /* by rising id whichever way they were found */
        struct ban b = (*ret)[i];
        (*ret)[i] = (*ret)[*ret_count - 1 - i];
        (*ret)[*ret_count - 1 - i] = b;
    }
    return 0;
}

int store_messages_by_author(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t author_id, int64_t since_ms,
                             unsigned limit, struct message **ret, unsigned *ret_count)
{
    uint64_t first = since_ms > SNOWFLAKE_EPOCH_MS ? (uint64_t)(since_ms - SNOWFLAKE_EPOCH_MS) << 22 : 0;
    const struct sql_stmt s = {.text = "SELECT m.channel_id, m.id, m.attachments FROM messages m "
                                       "WHERE m.channel_id IN (SELECT id FROM channels WHERE guild_id = $1) "
                                       "AND m.id >= $2 AND m.author_id = $3 ORDER BY m.channel_id, m.id LIMIT $4",
                               .param_count = 4,
                               .params = {SQL_I(guild_id), SQL_I(first), SQL_I(author_id), SQL_I(limit)}};
    struct sql_result r;
    int err = sql_read(db, a, &s, 1, &r);

    if (err < 0)
        return err;
    *ret = ARENA_ARRAY(a, struct message, (size_t)r.row_count);
    *ret_count = (unsigned)r.row_count;
    for (int i = 0; i < r.row_count; i++)
        (*ret)[i] = (struct message){.channel_id = sql_id(&r, i, 0),
                                     .id = sql_id(&r, i, 1),
                                     .guild_id = guild_id,
                                     .author_id = author_id,
                                     .attachments_json = sql_str(&r, i, 2)};
    return 0;
}

/* --- audit log -------------------------------------------------------------------------------------------------------
 */
void store_audit_insert(struct commit *c, const struct audit_entry *e)
{
    int64_t oldest_ms = clock_wall_ms() - LIMIT_AUDIT_KEEP_MS - SNOWFLAKE_EPOCH_MS;

    commit_sql(c, 1,
               "INSERT INTO audit_log (id, guild_id, user_id, target_id, action_type, changes, options, reason) "
               "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
               SQL_I(e->id), SQL_I(e->guild_id), SQL_I(e->user_id), SQL_ID(e->target_id), SQL_I(e->action),
               SQL_S(e->changes_json), SQL_S(e->options_json), SQL_S(e->reason));
    commit_sql(c, 0, "DELETE FROM audit_log WHERE guild_id = $1 AND id < $2", SQL_I(e->guild_id),
               SQL_I((uint64_t)oldest_ms << 22));
}

#define AUDIT_SELECT                                                                                                   \
    "SELECT id, user_id, target_id, action_type, changes, options, reason FROM audit_log WHERE guild_id = $1 "         \
    "AND (CAST($2 AS BIGINT) = 0 OR user_id = $2) AND (CAST($3 AS BIGINT) = 0 OR action_type = $3) "

int store_audit_list(struct sql *db, struct arena *a, const struct audit_query *q, struct audit_entry **ret,
                     unsigned *ret_count)
{
    const struct sql_stmt s = {
        .text = q->rising ? AUDIT_SELECT "AND id > $4 ORDER BY id LIMIT $5"
                          : AUDIT_SELECT "AND id < $4 ORDER BY id DESC LIMIT $5",
        .param_count = 5,
        .params = {SQL_I(q->guild_id), SQL_I(q->user_id), SQL_I(q->action), SQL_I(q->from), SQL_I(q->limit)}};
    struct sql_result r;
    int err = sql_read(db, a, &s, 1, &r);

    if (err < 0)
        return err;
    *ret = ARENA_ARRAY(a, struct audit_entry, (size_t)r.row_count);
    *ret_count = (unsigned)r.row_count;
    for (int i = 0; i < r.row_count; i++)
        (*ret)[i] = (struct audit_entry){.id = sql_id(&r, i, 0),
                                         .guild_id = q->guild_id,
                                         .user_id = sql_id(&r, i, 1),
                                         .target_id = sql_id(&r, i, 2),
                                         .action = (int)sql_int(&r, i, 3),
                                         .changes_json = sql_str(&r, i, 4),
                                         .options_json = sql_str(&r, i, 5),
                                         .reason = sql_str(&r, i, 6)};
    return 0;
}
