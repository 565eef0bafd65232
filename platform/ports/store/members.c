/* Store: members and their roles. member_count of the guild follows inserts and deletes here. Coroutine. */
#include "platform/base/check.h"
#include "platform/ports/store/rows.h"

#include <errno.h>

struct member *rows_members(const struct sql_result *r, struct arena *a)
{
    struct member *members = ARENA_ARRAY(a, struct member, (size_t)r->row_count);

    for (int i = 0; i < r->row_count; i++) {
        members[i] = (struct member){
            .guild_id = sql_id(r, i, 0),
            .nick = sql_str(r, i, 1),
            .avatar = sql_str(r, i, 2),
            .joined_ms = sql_int(r, i, 3),
            .premium_since_ms = sql_int(r, i, 4),
            .communication_disabled_until_ms = sql_int(r, i, 5),
            .deaf = sql_int(r, i, 6) != 0,
            .mute = sql_int(r, i, 7) != 0,
            .pending = sql_int(r, i, 8) != 0,
            .flags = sql_int(r, i, 9),
        };
        rows_user_public(r, i, 10, &members[i].user);
    }
    return members;
}

void rows_member_roles(const struct sql_result *r, struct arena *a, struct member *members, unsigned member_count)
{
    int row = 0;

    for (unsigned k = 0; k < member_count; k++) {
        while (row < r->row_count && sql_id(r, row, 0) < members[k].user.id)
            row++;
        int first = row;
        while (row < r->row_count && sql_id(r, row, 0) == members[k].user.id)
            row++;
        if (row == first)
            continue;
        members[k].roles = ARENA_ARRAY(a, uint64_t, (size_t)(row - first));
        for (int i = first; i < row; i++)
            members[k].roles[members[k].role_count++] = sql_id(r, i, 1);
    }
}

/* Only roles of this guild: an id from elsewhere adds nothing. */
static void member_roles_insert(struct commit *c, const struct member *m)
{
    if (m->role_count)
        commit_sql(c, 0,
                   "INSERT INTO member_roles (guild_id, user_id, role_id) "
                   "SELECT r.guild_id, CAST($2 AS BIGINT), r.id FROM roles r "
                   "WHERE r.guild_id = $1 AND r.id IN (SELECT id FROM sql_ids($3))",
                   SQL_I(m->guild_id), SQL_I(m->user.id), SQL_S(store_ids(c->arena, m->roles, m->role_count)));
}

void store_member_insert(struct commit *c, const struct member *m)
{
    commit_sql(c, 1,
               "INSERT INTO members (guild_id, user_id, nick, avatar, joined_ms, premium_since_ms, "
               "communication_disabled_until_ms, deaf, mute, pending, flags) "
               "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
               SQL_I(m->guild_id), SQL_I(m->user.id), SQL_S(m->nick), SQL_S(m->avatar), SQL_I(m->joined_ms),
               SQL_I(m->premium_since_ms), SQL_I(m->communication_disabled_until_ms), SQL_I(m->deaf), SQL_I(m->mute),
               SQL_I(m->pending), SQL_I(m->flags));
    member_roles_insert(c, m);
    rows_member_names_put(c, m->guild_id, m->user.id);
    commit_sql(c, 1, "UPDATE guilds SET member_count = member_count + 1 WHERE id = $1", SQL_I(m->guild_id));
}

void store_member_update(struct commit *c, const struct member *m)
{
    rows_member_names_drop(c, m->guild_id, m->user.id);
    commit_sql(c, 1,
               "UPDATE members SET nick = $3, avatar = $4, premium_since_ms = $5, "
               "communication_disabled_until_ms = $6, deaf = $7, mute = $8, pending = $9, flags = $10 "
               "WHERE guild_id = $1 AND user_id = $2",
               SQL_I(m->guild_id), SQL_I(m->user.id), SQL_S(m->nick), SQL_S(m->avatar), SQL_I(m->premium_since_ms),
               SQL_I(m->communication_disabled_until_ms), SQL_I(m->deaf), SQL_I(m->mute), SQL_I(m->pending),
               SQL_I(m->flags));
    rows_member_names_put(c, m->guild_id, m->user.id);
    commit_sql(c, 0, "DELETE FROM member_roles WHERE guild_id = $1 AND user_id = $2", SQL_I(m->guild_id),
               SQL_I(m->user.id));
    member_roles_insert(c, m);
}

void store_member_delete(struct commit *c, uint64_t guild_id, uint64_t user_id)
{
    rows_member_names_drop(c, guild_id, user_id);
    commit_sql(c, 1, "DELETE FROM members WHERE guild_id = $1 AND user_id = $2", SQL_I(guild_id), SQL_I(user_id));
    commit_sql(c, 1, "UPDATE guilds SET member_count = member_count - 1 WHERE id = $1", SQL_I(guild_id));
}

void store_member_role_add(struct commit *c, uint64_t guild_id, uint64_t user_id, uint64_t role_id)
{
    commit_sql(c, 0, "INSERT INTO member_roles (guild_id, user_id, role_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
               SQL_I(guild_id), SQL_I(user_id), SQL_I(role_id));
}

void store_member_role_remove(struct commit *c, uint64_t guild_id, uint64_t user_id, uint64_t role_id)
{
    commit_sql(c, 0, "DELETE FROM member_roles WHERE guild_id = $1 AND user_id = $2 AND role_id = $3", SQL_I(guild_id),
               SQL_I(user_id), SQL_I(role_id));
}

/* rows and roles take the same parameters; roles answers (user_id, role_id) by rising user. */
static int members_read(struct sql *db, struct arena *a, const char *rows, const char *roles,
                        const struct sql_value *params, int param_count, struct member **ret, unsigned *ret_count)
{
    struct sql_stmt s[2] = {{.text = rows, .param_count = param_count}, {.text = roles, .param_count = param_count}};
    struct sql_result r[2];

    for (int i = 0; i < 2; i++)
        memcpy(s[i].params, params, sizeof *params * (size_t)param_count);
    int err = sql_read(db, a, s, 2, r);
    if (err < 0)
        return err;
    *ret = rows_members(&r[0], a);
    *ret_count = (unsigned)r[0].row_count;
    rows_member_roles(&r[1], a, *ret, *ret_count);
    return 0;
}

int store_member_get(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t user_id, struct member *ret)
{
    const struct sql_value params[] = {SQL_I(guild_id), SQL_I(user_id)};
    struct member *members;
    unsigned count;
    int err = members_read(db, a,
                           "SELECT " MEMBER_COLUMNS " FROM members m JOIN users u ON u.id = m.user_id "
                           "WHERE m.guild_id = $1 AND m.user_id = $2",
                           "SELECT user_id, role_id FROM member_roles WHERE guild_id = $1 AND user_id = $2 "
                           "ORDER BY role_id",
                           params, 2, &members, &count);

    if (err < 0)
        return err;
    if (count == 0)
        return -ENOENT;
    *ret = members[0];
    return 0;
}

/* The page is cut before users and roles are joined to it, with a constant that no page exceeds: of a parameter a
 * prepared plan believes that it takes a tenth of the guild, and would read all users for each page. */
#define MEMBERS_PAGE(most)                                                                                             \
    "(SELECT p.* FROM members p WHERE p.guild_id = $1 AND p.user_id > $2 ORDER BY p.user_id LIMIT " most ") m"
#define MEMBERS_PAGE_ROWS(most)                                                                                        \
    "SELECT " MEMBER_COLUMNS " FROM " MEMBERS_PAGE(most) " JOIN users u ON u.id = m.user_id ORDER BY m.user_id LIMIT " \
                                                         "$3"
#define MEMBERS_PAGE_ROLES(most)                                                                                       \
    "SELECT mr.user_id, mr.role_id FROM " MEMBERS_PAGE(                                                                \
        most) " JOIN member_roles mr ON mr.guild_id = $1 AND "                                                         \
              "mr.user_id = m.user_id AND mr.user_id > $2 AND m.user_id <= coalesce((SELECT max(l.user_id) FROM "      \
              "(SELECT "                                                                                               \
              "p.user_id FROM members p WHERE p.guild_id = $1 AND p.user_id > $2 ORDER BY p.user_id LIMIT $3) l), 0) " \
              "ORDER BY mr.user_id, mr.role_id"

int store_members_list(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t after, unsigned limit,
                       struct member **ret, unsigned *ret_count)
{
    const struct sql_value params[] = {SQL_I(guild_id), SQL_I(after), SQL_I(limit)};

    if (limit <= 32)
        return members_read(db, a, MEMBERS_PAGE_ROWS("32"), MEMBERS_PAGE_ROLES("32"), params, 3, ret, ret_count);
    CHECK(limit <= 1001);
    return members_read(db, a, MEMBERS_PAGE_ROWS("1001"), MEMBERS_PAGE_ROLES("1001"), params, 3, ret, ret_count);
}

int store_members_get(struct sql *db, struct arena *a, uint64_t guild_id, const uint64_t *ids, unsigned count,
                      struct member **ret, unsigned *ret_count)
{
    const struct sql_value params[] = {SQL_I(guild_id), SQL_S(store_ids(a, ids, count))};

    return members_read(db, a,
                        "SELECT " MEMBER_COLUMNS " FROM members m JOIN users u ON u.id = m.user_id "
                        "WHERE m.guild_id = $1 AND m.user_id IN (SELECT id FROM sql_ids($2)) ORDER BY m.user_id",
                        "SELECT user_id, role_id FROM member_roles WHERE guild_id = $1 AND user_id IN "
                        "(SELECT id FROM sql_ids($2)) ORDER BY user_id, role_id",
                        params, 2, ret, ret_count);
}

/* Each list from its own index (members_nick), cut before they are joined. */
int store_members_marked(struct sql *db, struct arena *a, uint64_t guild_id, unsigned max, uint64_t **ret,
                         unsigned *ret_count)
{
    const struct sql_stmt s = {.text = "SELECT user_id FROM (SELECT DISTINCT user_id FROM member_roles WHERE "
                                       "guild_id = $1 ORDER BY user_id LIMIT $2) r UNION SELECT user_id FROM "
                                       "(SELECT user_id FROM members WHERE guild_id = $1 AND nick IS NOT NULL "
                                       "ORDER BY user_id LIMIT $2) n ORDER BY 1 LIMIT $2",
                               .param_count = 2,
                               .params = {SQL_I(guild_id), SQL_I(max)}};
    struct sql_result r;
    int err = sql_read(db, a, &s, 1, &r);

    if (err < 0)
        return err;
    *ret = ARENA_ARRAY(a, uint64_t, (size_t)r.row_count + 1);
    *ret_count = (unsigned)r.row_count;
    for (int i = 0; i < r.row_count; i++)
        (*ret)[i] = sql_id(&r, i, 0);
    return 0;
}

/* Rows of (guild_id, role_id) in rising order of guild_id, as rows_member_roles has them by user. */
static void rows_guild_roles(const struct sql_result *r, struct arena *a, struct member *members, unsigned member_count)
{
    int row = 0;

    for (unsigned k = 0; k < member_count; k++) {
        while (row < r->row_count && sql_id(r, row, 0) < members[k].guild_id)
            row++;
        int first = row;
        while (row < r->row_count && sql_id(r, row, 0) == members[k].guild_id)
            row++;
        members[k].roles = ARENA_ARRAY(a, uint64_t, (size_t)(row - first));
        for (int i = first; i < row; i++)
            members[k].roles[members[k].role_count++] = sql_id(r, i, 1);
    }
}

int store_user_members(struct sql *db, struct arena *a, uint64_t user_id, unsigned limit, struct member **ret,
                       unsigned *ret_count)
{
    const struct sql_stmt s[2] = {
        {.text = "SELECT " MEMBER_COLUMNS " FROM members m JOIN users u ON u.id = m.user_id WHERE m.user_id = $1 "
                 "ORDER BY m.guild_id LIMIT $2",
         .param_count = 2,
         .params = {SQL_I(user_id), SQL_I(limit)}},
        {.text = "SELECT mr.guild_id, mr.role_id FROM member_roles mr WHERE mr.user_id = $1 AND mr.guild_id IN "
                 "(SELECT m.guild_id FROM members m WHERE m.user_id = $1 ORDER BY m.guild_id LIMIT $2) "
                 "ORDER BY mr.guild_id, mr.role_id",
         .param_count = 2,
         .params = {SQL_I(user_id), SQL_I(limit)}},
    };
    struct sql_result r[2];
    int err = sql_read(db, a, s, 2, r);

    if (err < 0)
        return err;
    *ret = rows_members(&r[0], a);
    *ret_count = (unsigned)r[0].row_count;
    rows_guild_roles(&r[1], a, *ret, *ret_count);
    return 0;
}
