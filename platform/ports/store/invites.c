/* Store: invites. Coroutine. */
#include "platform/ports/store/rows.h"

#define INVITE_COLUMNS "code, guild_id, channel_id, inviter_id, max_age_s, max_uses, uses, temporary, created_ms"

static void rows_invite(const struct sql_result *r, int row, struct invite *ret)
{
    *ret = (struct invite){
        .code = sql_str(r, row, 0),
        .guild_id = sql_id(r, row, 1),
        .channel_id = sql_id(r, row, 2),
        .inviter_id = sql_id(r, row, 3),
        .max_age_s = sql_int(r, row, 4),
        .max_uses = sql_int(r, row, 5),
        .uses = sql_int(r, row, 6),
        .temporary = sql_int(r, row, 7) != 0,
        .created_ms = sql_int(r, row, 8),
    };
}

void store_invite_insert(struct commit *c, const struct invite *i)
{
    commit_sql(c, 1, "INSERT INTO invites (" INVITE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8)",
               SQL_S(i->code), SQL_I(i->guild_id), SQL_I(i->channel_id), SQL_ID(i->inviter_id), SQL_I(i->max_age_s),
               SQL_I(i->max_uses), SQL_I(i->temporary), SQL_I(i->created_ms));
}

void store_invite_delete(struct commit *c, struct str code)
{
    commit_sql(c, 1, "DELETE FROM invites WHERE code = $1", SQL_S(code));
}

void store_invite_use(struct commit *c, struct str code)
{
    commit_sql(c, 1, "UPDATE invites SET uses = uses + 1 WHERE code = $1 AND (max_uses = 0 OR uses < max_uses)",
               SQL_S(code));
    commit_sql(c, 0, "DELETE FROM invites WHERE code = $1 AND max_uses > 0 AND uses >= max_uses", SQL_S(code));
}

int store_invite_get(struct sql *db, struct arena *a, struct str code, struct invite *ret)
{
    struct sql_result r;
    int err = rows_one(db, a, "SELECT " INVITE_COLUMNS " FROM invites WHERE code = $1", SQL_S(code), &r);

    if (err < 0)
        return err;
    rows_invite(&r, 0, ret);
    return 0;
}

int store_guild_invites(struct sql *db, struct arena *a, uint64_t guild_id, struct invite **ret, unsigned *ret_count)
{
    struct sql_result r;
    int err = rows_all(db, a, "SELECT " INVITE_COLUMNS " FROM invites WHERE guild_id = $1 ORDER BY created_ms, code",
                       SQL_I(guild_id), &r);

    if (err < 0)
        return err;
    *ret = ARENA_ARRAY(a, struct invite, (size_t)r.row_count);
    *ret_count = (unsigned)r.row_count;
    for (int i = 0; i < r.row_count; i++)
        rows_invite(&r, i, &(*ret)[i]);
    return 0;
}
