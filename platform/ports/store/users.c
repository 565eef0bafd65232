/* Store: users, token versions, fixed tokens. Coroutine. */
#include "platform/ports/store/rows.h"

#define USER_COLUMNS USER_PUBLIC_COLUMNS ", u.email, u.locale, u.password_hash, u.verified, u.flags, u.created_ms"

void rows_user_public(const struct sql_result *r, int row, int column, struct user *ret)
{
    *ret = (struct user){
        .id = sql_id(r, row, column),
        .username = sql_str(r, row, column + 1),
        .discriminator = sql_str(r, row, column + 2),
        .global_name = sql_str(r, row, column + 3),
        .avatar = sql_str(r, row, column + 4),
        .banner = sql_str(r, row, column + 5),
        .bot = sql_int(r, row, column + 6) != 0,
        .public_flags = sql_int(r, row, column + 7),
        .accent_color = sql_int(r, row, column + 8),
    };
}

static void rows_user(const struct sql_result *r, int row, struct user *ret)
{
    const int c = USER_PUBLIC_COLUMN_COUNT;

    rows_user_public(r, row, 0, ret);
    ret->email = sql_str(r, row, c);
    ret->locale = sql_str(r, row, c + 1);
    ret->password_hash = sql_str(r, row, c + 2);
    ret->verified = sql_int(r, row, c + 3) != 0;
    ret->flags = sql_int(r, row, c + 4);
    ret->created_ms = sql_int(r, row, c + 5);
}

static struct str or_zero(struct str discriminator)
{
    return discriminator.n ? discriminator : STR("0");
}

static struct str or_english(struct str locale)
{
    return locale.n ? locale : STR("en-US");
}

void store_user_insert(struct commit *c, const struct user *u)
{
    commit_sql(c, 1,
               "INSERT INTO users (id, username, discriminator, global_name, avatar, banner, locale, email, "
               "password_hash, bot, verified, flags, public_flags, accent_color, created_ms) "
               "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
               SQL_I(u->id), SQL_S(u->username), SQL_S(or_zero(u->discriminator)), SQL_S(u->global_name),
               SQL_S(u->avatar), SQL_S(u->banner), SQL_S(or_english(u->locale)), SQL_S(u->email),
               SQL_S(u->password_hash), SQL_I(u->bot), SQL_I(u->verified), SQL_I(u->flags), SQL_I(u->public_flags),
               SQL_I(u->accent_color), SQL_I(u->created_ms));
}

void store_user_update(struct commit *c, const struct user *u)
{
    commit_sql(c, 1,
               "UPDATE users SET username = $2, discriminator = $3, global_name = $4, avatar = $5, banner = $6, "
               "locale = $7, email = $8, password_hash = $9, verified = $10, flags = $11, public_flags = $12, "
               "accent_color = $13 WHERE id = $1",
               SQL_I(u->id), SQL_S(u->username), SQL_S(or_zero(u->discriminator)), SQL_S(u->global_name),
               SQL_S(u->avatar), SQL_S(u->banner), SQL_S(or_english(u->locale)), SQL_S(u->email),
               SQL_S(u->password_hash), SQL_I(u->verified), SQL_I(u->flags), SQL_I(u->public_flags),
               SQL_I(u->accent_color));
}

void store_user_rename(struct commit *c, const struct user *u)
{
    rows_user_names_drop(c, u->id);
    store_user_update(c, u);
    rows_user_names_put(c, u->id);
}

static int user_get(struct sql *db, struct arena *a, const char *text, struct sql_value key, struct user *ret)
{
    struct sql_result r;
    int err = rows_one(db, a, text, key, &r);

    if (err < 0)
        return err;
    rows_user(&r, 0, ret);
    return 0;
}

int store_user_get(struct sql *db, struct arena *a, uint64_t id, struct user *ret)
{
    return user_get(db, a, "SELECT " USER_COLUMNS " FROM users u WHERE u.id = $1", SQL_I(id), ret);
}

int store_user_get_by_email(struct sql *db, struct arena *a, struct str email, struct user *ret)
{
    return user_get(db, a, "SELECT " USER_COLUMNS " FROM users u WHERE u.email = $1", SQL_S(email), ret);
}

int store_user_get_by_username(struct sql *db, struct arena *a, struct str username, struct user *ret)
{
    return user_get(db, a, "SELECT " USER_COLUMNS " FROM users u WHERE u.username = $1 ORDER BY u.bot, u.id LIMIT 1",
                    SQL_S(username), ret);
}

/* In the order asked for; the result set is small, so a linear search does. */
static unsigned users_in_order(const struct sql_result *r, const uint64_t *ids, unsigned count, struct user *out)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++)
        for (int row = 0; row < r->row_count; row++)
            if (sql_id(r, row, 0) == ids[i]) {
                rows_user_public(r, row, 0, &out[n++]);
                break;
            }
    return n;
}

struct str store_ids(struct arena *a, const uint64_t *ids, unsigned count)
{
    char *text = arena_alloc(a, count * 21u + 1), *p = text;

    for (unsigned i = 0; i < count; i++) {
        char digits[20];
        int n = 0;
        for (uint64_t v = ids[i]; v || n == 0; v /= 10)
            digits[n++] = (char)('0' + v % 10);
        if (i)
            *p++ = ',';
        while (n)
            *p++ = digits[--n];
    }
    return (struct str){text, (size_t)(p - text)};
}

int store_users_get(struct sql *db, struct arena *a, const uint64_t *ids, unsigned count, struct user **ret,
                    unsigned *ret_count)
{
    struct sql_stmt s = {.text =
                             "SELECT " USER_PUBLIC_COLUMNS " FROM users u WHERE u.id IN (SELECT id FROM sql_ids($1))",
                         .param_count = 1,
                         .params = {SQL_S(store_ids(a, ids, count))}};
    struct sql_result r;
    int err = count ? sql_read(db, a, &s, 1, &r) : 0;

    if (err < 0)
        return err;
    *ret = ARENA_ARRAY(a, struct user, count);
    *ret_count = count ? users_in_order(&r, ids, count, *ret) : 0;
    return 0;
}

void store_token_version_bump(struct commit *c, uint64_t user_id)
{
    commit_sql(c, 1,
               "INSERT INTO token_versions (user_id, version) VALUES ($1, 1) "
               "ON CONFLICT (user_id) DO UPDATE SET version = token_versions.version + 1 RETURNING version",
               SQL_I(user_id));
    commit_sql(c, 0, "DELETE FROM fixed_tokens WHERE user_id = $1", SQL_I(user_id));
}

/* All rows of a two-column table whose first column is an id or a text. */
static int pairs_read(struct sql *db, struct arena *a, const char *text, struct sql_result *ret)
{
    return sql_read(db, a, &(struct sql_stmt){.text = text}, 1, ret);
}

int store_token_versions(struct sql *db, struct arena *a, uint64_t **ret_users, uint64_t **ret_versions,
                         unsigned *ret_count)
{
    struct sql_result r;
    int err = pairs_read(db, a, "SELECT user_id, version FROM token_versions", &r);

    if (err < 0)
        return err;
    *ret_users = ARENA_ARRAY(a, uint64_t, (size_t)r.row_count);
    *ret_versions = ARENA_ARRAY(a, uint64_t, (size_t)r.row_count);
    *ret_count = (unsigned)r.row_count;
    for (int i = 0; i < r.row_count; i++) {
        (*ret_users)[i] = sql_id(&r, i, 0);
        (*ret_versions)[i] = sql_id(&r, i, 1);
    }
    return 0;
}

void store_fixed_token_put(struct commit *c, struct str token, uint64_t user_id)
{
    commit_sql(c, 0,
               "INSERT INTO fixed_tokens (token, user_id) VALUES ($1, $2) "
               "ON CONFLICT (token) DO UPDATE SET user_id = excluded.user_id",
               SQL_S(token), SQL_I(user_id));
}

int store_fixed_tokens(struct sql *db, struct arena *a, struct str **ret_tokens, uint64_t **ret_users,
                       unsigned *ret_count)
{
    struct sql_result r;
    int err = pairs_read(db, a, "SELECT token, user_id FROM fixed_tokens", &r);

    if (err < 0)
        return err;
    *ret_tokens = ARENA_ARRAY(a, struct str, (size_t)r.row_count);
    *ret_users = ARENA_ARRAY(a, uint64_t, (size_t)r.row_count);
    *ret_count = (unsigned)r.row_count;
    for (int i = 0; i < r.row_count; i++) {
        (*ret_tokens)[i] = sql_str(&r, i, 0);
        (*ret_users)[i] = sql_id(&r, i, 1);
    }
    return 0;
}
