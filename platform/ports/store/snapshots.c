/* Store: a guild as one reader sees it, whole (for GUILD_CREATE) or as far as a permission check needs it. One batch
 * each. Coroutine. */
#include "platform/ports/store/rows.h"

#include <errno.h>
#include <stddef.h>

/* The first six stand in the order of the batch of many guilds, too. */
enum { Q_GUILD, Q_ROLES, Q_CHANNELS, Q_OVERWRITES, Q_MEMBERS, Q_MEMBER_ROLES, Q_RECIPIENTS, Q_VERSIONS, Q_COUNT };

/* Positions first; @everyone goes to the front whatever its position. */
static void everyone_first(struct role *roles, unsigned count, uint64_t guild_id)
{
    for (unsigned i = 1; i < count; i++)
        if (roles[i].id == guild_id) {
            struct role everyone = roles[i];
            memmove(&roles[1], &roles[0], sizeof *roles * i);
            roles[0] = everyone;
            return;
        }
}

/* A snapshot of a whole guild has no recipients; in their place it has these. The statement's words are those of the
 * index outbox_members. */
enum { Q_COUNTED = Q_RECIPIENTS };
#define COUNTED_EVENTS "SELECT id FROM outbox WHERE topic = $1 AND type IN ('GUILD_MEMBER_ADD', 'GUILD_MEMBER_REMOVE')"

static void counted_fill(const struct sql_result *r, struct arena *a, struct guild_snapshot *ret)
{
    ret->counted = ARENA_ARRAY(a, uint64_t, (size_t)r->row_count);
    for (int i = 0; i < r->row_count; i++)
        ret->counted[ret->counted_count++] = sql_id(r, i, 0);
}

static void snapshot_fill(const struct sql_result *r, struct arena *a, struct guild_snapshot *ret)
{
    *ret = (struct guild_snapshot){0};
    if (r[Q_GUILD].row_count)
        rows_guild(&r[Q_GUILD], 0, &ret->guild);
    ret->roles = rows_roles(&r[Q_ROLES], a);
    ret->role_count = (unsigned)r[Q_ROLES].row_count;
    everyone_first(ret->roles, ret->role_count, ret->guild.id);
    ret->channels = rows_channels(&r[Q_CHANNELS], a);
    ret->channel_count = (unsigned)r[Q_CHANNELS].row_count;
    rows_overwrites(&r[Q_OVERWRITES], a, ret->channels, ret->channel_count);
    ret->members = rows_members(&r[Q_MEMBERS], a);
    ret->member_count = (unsigned)r[Q_MEMBERS].row_count;
    rows_member_roles(&r[Q_MEMBER_ROLES], a, ret->members, ret->member_count);
}

/* A statement and which of the batch's parameters it takes: "ac" binds the first to $1, the third to $2 (every $n must
 * be used, or PostgreSQL cannot tell its type). */
struct query {
    const char *text, *params;
};

static int snapshot_read(struct sql *db, struct arena *a, const struct query *queries, int count,
                         const struct sql_value *params, struct sql_result *ret)
{
    struct sql_stmt *s = ARENA_ARRAY(a, struct sql_stmt, (size_t)count);

    for (int i = 0; i < count; i++) {
        s[i].text = queries[i].text;
        for (const char *p = queries[i].params; *p; p++)
            s[i].params[s[i].param_count++] = params[*p - 'a'];
    }
    return sql_read(db, a, s, count, ret);
}

/* `always` may be one more than was asked for: the highest other one gives way. */
static void members_trim(struct guild_snapshot *s, unsigned members_max, uint64_t always)
{
    if (s->member_count <= members_max)
        return;
    unsigned last = s->member_count - 1;
    if (s->members[last].user.id == always && last > 0 && members_max > 0)
        s->members[last - 1] = s->members[last];
    s->member_count = members_max;
}

int store_guild_snapshot(struct sql *db, struct arena *a, uint64_t guild_id, unsigned members_max, uint64_t always,
                         struct guild_snapshot *ret)
{
    static const struct query queries[] = {
        [Q_GUILD] = {"SELECT " GUILD_COLUMNS " FROM guilds g WHERE g.id = $1", "a"},
        [Q_ROLES] = {"SELECT " ROLE_COLUMNS " FROM roles r WHERE r.guild_id = $1 ORDER BY r.position, r.id", "a"},
        [Q_CHANNELS] = {"SELECT " CHANNEL_COLUMNS " FROM channels c WHERE c.guild_id = $1 ORDER BY c.position, c.id",
                        "a"},
        [Q_OVERWRITES] = {"SELECT " OVERWRITE_COLUMNS " FROM channels c JOIN channel_overwrites o "
                          "ON o.channel_id = c.id WHERE c.guild_id = $1 ORDER BY o.channel_id, o.target_id",
                          "a"},
        [Q_MEMBERS] = {"SELECT " MEMBER_COLUMNS " FROM members m JOIN users u ON u.id = m.user_id "
                       "WHERE m.guild_id = $1 AND (m.user_id = $2 OR m.user_id IN (SELECT user_id FROM members "
                       "WHERE guild_id = $1 ORDER BY user_id LIMIT $3)) ORDER BY m.user_id",
                       "abc"},
        [Q_MEMBER_ROLES] = {"SELECT mr.user_id, mr.role_id FROM member_roles mr WHERE mr.guild_id = $1 AND "
                            "(mr.user_id = $2 OR mr.user_id IN (SELECT user_id FROM members WHERE guild_id = $1 "
                            "ORDER BY user_id LIMIT $3)) ORDER BY mr.user_id, mr.role_id",
                            "abc"},
        [Q_COUNTED] = {COUNTED_EVENTS, "a"},
    };
    const struct sql_value params[] = {SQL_I(guild_id), SQL_I(always), SQL_I(members_max)};
    struct sql_result r[Q_COUNTED + 1];
    int err = snapshot_read(db, a, queries, Q_COUNTED + 1, params, r);

    if (err < 0)
        return err;
    if (r[Q_GUILD].row_count == 0)
        return -ENOENT;
    snapshot_fill(r, a, ret);
    counted_fill(&r[Q_COUNTED], a, ret);
    members_trim(ret, members_max, always);
    return 0;
}

/* --- many guilds at once: each query names its guild in a column and has the rows in rising order of it --- */

#define IN_GUILDS "IN (SELECT id FROM sql_ids($1))"
/* A user's row in each guild. As a row comparison only the index by guild and user fits it: a bot's user id matches a
 * row in every guild, which a prepared plan cannot know, and the index by user alone would be read whole for each
 * batch. */
#define OWN_ROW(alias)                                                                                                 \
    "(" alias ".guild_id, " alias ".user_id) >= (sql_ids.id, $2) AND (" alias ".guild_id, " alias                      \
    ".user_id) <= (sql_ids.id, $2)"
/* Guilds whose members are few. With a LIMIT, so that it comes first in every plan. */
#define LISTED                                                                                                         \
    "(SELECT g.id FROM guilds g WHERE g.id " IN_GUILDS " AND g.member_count <= $3 ORDER BY g.id LIMIT 100000) AS "     \
    "listed"

enum { M_GUILD, M_ROLES, M_CHANNELS, M_OVERWRITES, M_MEMBERS, M_MEMBER_ROLES, M_COUNTED, M_COUNT };

static const struct query many_queries[M_COUNT] = {
    [M_GUILD] = {"SELECT " GUILD_COLUMNS " FROM guilds g WHERE g.id " IN_GUILDS " ORDER BY g.id", "a"},
    [M_ROLES] = {"SELECT " ROLE_COLUMNS " FROM roles r WHERE r.guild_id " IN_GUILDS
                 " ORDER BY r.guild_id, r.position, r.id",
                 "a"},
    [M_CHANNELS] = {"SELECT " CHANNEL_COLUMNS " FROM channels c WHERE c.guild_id " IN_GUILDS
                    " ORDER BY c.guild_id, c.position, c.id",
                    "a"},
    [M_OVERWRITES] = {"SELECT " OVERWRITE_COLUMNS ", c.guild_id FROM channels c JOIN channel_overwrites o "
                      "ON o.channel_id = c.id WHERE c.guild_id " IN_GUILDS
                      " ORDER BY c.guild_id, o.channel_id, o.target_id",
                      "a"},
    [M_MEMBERS] =
        {"SELECT " MEMBER_COLUMNS " FROM sql_ids($1) JOIN members m ON " OWN_ROW(
             "m") " JOIN users u ON u.id = $2 UNION ALL SELECT " MEMBER_COLUMNS " FROM " LISTED
                  " JOIN members m ON m.guild_id = listed.id AND m.user_id <> $2 JOIN users u ON u.id = m.user_id "
                  "ORDER BY 1, 11",
         "abc"},
    [M_MEMBER_ROLES] =
        {"SELECT mr.user_id, mr.role_id, mr.guild_id FROM sql_ids($1) JOIN member_roles mr ON " OWN_ROW(
             "mr") " UNION ALL SELECT mr.user_id, mr.role_id, mr.guild_id FROM " LISTED
                   " JOIN member_roles mr ON mr.guild_id = listed.id AND mr.user_id <> $2 ORDER BY 3, 1, 2",
         "abc"},
    [M_COUNTED] = {"SELECT id, topic FROM outbox WHERE topic " IN_GUILDS
                   " AND type IN ('GUILD_MEMBER_ADD', 'GUILD_MEMBER_REMOVE') ORDER BY topic, id",
                   "a"},
};
static const int many_guild_column[M_COUNT] = {0, 1, 1, 5, 0, 2, 1};

/* The guild's rows, which begin at *row at the earliest. */
static struct sql_result rows_of_guild(const struct sql_result *r, int column, uint64_t guild_id, int *row)
{
    while (*row < r->row_count && sql_id(r, *row, column) < guild_id)
        (*row)++;
    int first = *row;
    while (*row < r->row_count && sql_id(r, *row, column) == guild_id)
        (*row)++;
    struct sql_result part = *r;
    part.row_count = *row - first;
    part.cells = r->cells + (ptrdiff_t)first * r->column_count;
    return part;
}

int store_guild_snapshots(struct sql *db, struct arena *a, const uint64_t *guild_ids, unsigned count, uint64_t user_id,
                          unsigned list_max, struct guild_snapshot **ret, unsigned *ret_count)
{
    const struct sql_value params[] = {SQL_S(store_ids(a, guild_ids, count)), SQL_I(user_id), SQL_I(list_max)};
    struct sql_result r[M_COUNT];
    int rows[M_COUNT] = {0};
    int err = snapshot_read(db, a, many_queries, M_COUNT, params, r);

    if (err < 0)
        return err;
    *ret_count = (unsigned)r[M_GUILD].row_count;
    *ret = ARENA_ARRAY(a, struct guild_snapshot, *ret_count);
    for (unsigned i = 0; i < *ret_count; i++) {
        struct sql_result part[M_COUNT];
        uint64_t id = sql_id(&r[M_GUILD], (int)i, 0);
        for (int q = 0; q < M_COUNT; q++)
            part[q] = rows_of_guild(&r[q], many_guild_column[q], id, &rows[q]);
        snapshot_fill(part, a, &(*ret)[i]);
        counted_fill(&part[M_COUNTED], a, &(*ret)[i]);
    }
    return 0;
}

int store_guild_for_member(struct sql *db, struct arena *a, uint64_t guild_id, uint64_t channel_id, uint64_t user_id,
                           struct guild_snapshot *ret)
{
    static const struct query queries[] = {
        [Q_GUILD] = {"SELECT " GUILD_COLUMNS " FROM guilds g WHERE g.id = $1", "a"},
        [Q_ROLES] = {"SELECT " ROLE_COLUMNS " FROM roles r WHERE r.guild_id = $1 ORDER BY r.position, r.id", "a"},
        [Q_CHANNELS] = {"SELECT " CHANNEL_COLUMNS " FROM channels c WHERE c.guild_id = $1 AND c.id = $2", "ac"},
        [Q_OVERWRITES] = {"SELECT " OVERWRITE_COLUMNS " FROM channel_overwrites o WHERE o.channel_id = $1 "
                          "ORDER BY o.target_id",
                          "c"},
        [Q_MEMBERS] = {"SELECT " MEMBER_COLUMNS " FROM members m JOIN users u ON u.id = m.user_id "
                       "WHERE m.guild_id = $1 AND m.user_id = $2",
                       "ab"},
        [Q_MEMBER_ROLES] = {"SELECT user_id, role_id FROM member_roles WHERE guild_id = $1 AND user_id = $2 "
                            "ORDER BY role_id",
                            "ab"},
    };
    const struct sql_value params[] = {SQL_I(guild_id), SQL_I(user_id), SQL_I(channel_id)};
    struct sql_result r[Q_MEMBER_ROLES + 1];
    int err = snapshot_read(db, a, queries, Q_MEMBER_ROLES + 1, params, r);

    if (err < 0)
        return err;
    if (r[Q_GUILD].row_count == 0 || (channel_id && r[Q_CHANNELS].row_count == 0))
        return -ENOENT;
    snapshot_fill(r, a, ret);
    return 0;
}

#define OF_CHANNEL "(SELECT x.guild_id FROM channels x WHERE x.id = $1)"

int store_channel_for_member(struct sql *db, struct arena *a, uint64_t channel_id, uint64_t user_id,
                             struct guild_snapshot *ret)
{
    static const struct query queries[] = {
        [Q_GUILD] = {"SELECT " GUILD_COLUMNS " FROM guilds g WHERE g.id = " OF_CHANNEL, "a"},
        [Q_ROLES] = {"SELECT " ROLE_COLUMNS " FROM roles r WHERE r.guild_id = " OF_CHANNEL " ORDER BY r.position, r.id",
                     "a"},
        [Q_CHANNELS] = {"SELECT " CHANNEL_COLUMNS " FROM channels c WHERE c.id = $1", "a"},
        [Q_OVERWRITES] = {"SELECT " OVERWRITE_COLUMNS " FROM channel_overwrites o WHERE o.channel_id = $1 "
                          "ORDER BY o.target_id",
                          "a"},
        [Q_MEMBERS] = {"SELECT " MEMBER_COLUMNS " FROM members m JOIN users u ON u.id = m.user_id "
                       "WHERE m.guild_id = " OF_CHANNEL " AND m.user_id = $2",
                       "ab"},
        [Q_MEMBER_ROLES] = {"SELECT mr.user_id, mr.role_id FROM member_roles mr WHERE mr.guild_id = " OF_CHANNEL
                            " AND mr.user_id = $2 ORDER BY mr.role_id",
                            "ab"},
        [Q_RECIPIENTS] = {"SELECT " RECIPIENT_COLUMNS " FROM channel_recipients cr JOIN users u ON u.id = cr.user_id "
                          "WHERE cr.channel_id = $1 ORDER BY u.id",
                          "a"},
        [Q_VERSIONS] = {"SELECT g.access_version, u.access_version FROM guilds g JOIN users u ON u.id = $2 "
                        "WHERE g.id = " OF_CHANNEL,
                        "ab"},
    };
    const struct sql_value params[] = {SQL_I(channel_id), SQL_I(user_id)};
    struct sql_result r[Q_COUNT];
    int err = snapshot_read(db, a, queries, Q_COUNT, params, r);

    if (err < 0)
        return err;
    if (r[Q_CHANNELS].row_count == 0)
        return -ENOENT;
    snapshot_fill(r, a, ret);
    rows_recipients(&r[Q_RECIPIENTS], a, ret->channels, ret->channel_count);
    if (r[Q_VERSIONS].row_count) {
        ret->guild_version = sql_id(&r[Q_VERSIONS], 0, 0);
        ret->user_version = sql_id(&r[Q_VERSIONS], 0, 1);
    }
    return 0;
}

/* Shares the roles (by rising guild) out to the guilds (by rising id). */
static void user_guilds_fill(const struct sql_result *roles, struct role *rows, struct guild_snapshot *guilds,
                             unsigned count)
{
    int row = 0;

    for (unsigned i = 0; i < count; i++) {
        while (row < roles->row_count && rows[row].guild_id < guilds[i].guild.id)
            row++;
        guilds[i].roles = &rows[row];
        while (row < roles->row_count && rows[row].guild_id == guilds[i].guild.id) {
            guilds[i].role_count++;
            row++;
        }
    }
}

#define USER_GUILDS_PAGE                                                                                               \
    "SELECT m.guild_id FROM members m WHERE m.user_id = $1 AND m.guild_id > $2 AND m.guild_id < $3 "

static int user_guilds_read(struct sql *db, struct arena *a, const struct query *queries,
                            const struct sql_value *params, struct guild_snapshot **ret, unsigned *ret_count)
{
    struct sql_result r[2];
    int err = snapshot_read(db, a, queries, 2, params, r);

    if (err < 0)
        return err;
    *ret_count = (unsigned)r[0].row_count;
    *ret = ARENA_ARRAY(a, struct guild_snapshot, *ret_count);
    for (unsigned i = 0; i < *ret_count; i++)
        rows_guild(&r[0], (int)i, &(*ret)[i].guild);
    user_guilds_fill(&r[1], rows_roles(&r[1], a), *ret, *ret_count);
    return 0;
}

/* The last page before an id is the highest ones below it; both orders come back rising. */
#define USER_GUILDS_TEXTS(order)                                                                                       \
    {                                                                                                                  \
        {"SELECT " GUILD_COLUMNS " FROM guilds g WHERE g.id IN (" USER_GUILDS_PAGE order " LIMIT $4) ORDER BY g.id",   \
         "abcd"},                                                                                                      \
            {"SELECT " ROLE_COLUMNS " FROM roles r WHERE r.guild_id IN (" USER_GUILDS_PAGE order                       \
             " LIMIT $4) AND (r.id = r.guild_id OR EXISTS (SELECT 1 FROM member_roles mr WHERE "                       \
             "mr.guild_id = r.guild_id AND mr.user_id = $1 AND mr.role_id = r.id)) ORDER BY r.guild_id, r.id",         \
             "abcd"},                                                                                                  \
    }

int store_user_guilds(struct sql *db, struct arena *a, uint64_t user_id, uint64_t after, uint64_t before,
                      unsigned limit, struct guild_snapshot **ret, unsigned *ret_count)
{
    static const struct query rising[2] = USER_GUILDS_TEXTS("ORDER BY m.guild_id");
    static const struct query falling[2] = USER_GUILDS_TEXTS("ORDER BY m.guild_id DESC");
    const struct sql_value params[] = {SQL_I(user_id), SQL_I(after), SQL_I(before ? before : INT64_MAX), SQL_I(limit)};

    return user_guilds_read(db, a, before && !after ? falling : rising, params, ret, ret_count);
}
