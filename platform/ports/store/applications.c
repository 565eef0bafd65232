/* Store: applications. Coroutine. */
#include "platform/ports/store/rows.h"

#include <errno.h>

#define APPLICATION_COLUMNS                                                                                            \
    "id, owner_id, bot_id, name, description, icon, verify_key, interactions_endpoint_url, tags, redirect_uris, "      \
    "custom_install_url, bot_public, bot_require_code_grant, flags, max_concurrency, session_starts, "                 \
    "integration_types, secret_version"

static struct str or_empty_list(struct str json)
{
    return json.n ? json : STR("[]");
}

static struct str or_guilds_only(struct str json)
{
    return json.n ? json : STR("{\"0\":{}}");
}

static struct str or_empty(struct str s)
{
    return s.p ? s : STR("");
}

void store_application_insert(struct commit *c, const struct application *app)
{
    commit_sql(c, 1,
               "INSERT INTO applications (" APPLICATION_COLUMNS ") "
               "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0)",
               SQL_I(app->id), SQL_I(app->owner_id), SQL_ID(app->bot_id), SQL_S(app->name),
               SQL_S(or_empty(app->description)), SQL_S(app->icon), SQL_S(or_empty(app->verify_key)),
               SQL_S(app->interactions_endpoint_url), SQL_S(or_empty_list(app->tags_json)),
               SQL_S(or_empty_list(app->redirect_uris_json)), SQL_S(app->custom_install_url), SQL_I(app->bot_public),
               SQL_I(app->bot_require_code_grant), SQL_I(app->flags), SQL_I(app->max_concurrency),
               SQL_I(app->session_starts), SQL_S(or_guilds_only(app->integration_types_json)));
}

void store_application_update(struct commit *c, const struct application *app)
{
    commit_sql(
        c, 1,
        "UPDATE applications SET bot_id = $2, name = $3, description = $4, icon = $5, "
        "interactions_endpoint_url = $6, tags = $7, redirect_uris = $8, custom_install_url = $9, "
        "bot_public = $10, bot_require_code_grant = $11, flags = $12, integration_types = $13, secret_version = $14 "
        "WHERE id = $1",
        SQL_I(app->id), SQL_ID(app->bot_id), SQL_S(app->name), SQL_S(or_empty(app->description)), SQL_S(app->icon),
        SQL_S(app->interactions_endpoint_url), SQL_S(or_empty_list(app->tags_json)),
        SQL_S(or_empty_list(app->redirect_uris_json)), SQL_S(app->custom_install_url), SQL_I(app->bot_public),
        SQL_I(app->bot_require_code_grant), SQL_I(app->flags), SQL_S(or_guilds_only(app->integration_types_json)),
        SQL_I(app->secret_version));
}

void store_application_limits_set(struct commit *c, uint64_t id, int64_t max_concurrency, int64_t session_starts)
{
    commit_sql(c, 1, "UPDATE applications SET max_concurrency = $2, session_starts = $3 WHERE id = $1", SQL_I(id),
               SQL_I(max_concurrency), SQL_I(session_starts));
}

static void rows_application(const struct sql_result *r, int row, struct application *ret)
{
    *ret = (struct application){
        .id = sql_id(r, row, 0),
        .owner_id = sql_id(r, row, 1),
        .bot_id = sql_id(r, row, 2),
        .name = sql_str(r, row, 3),
        .description = sql_str(r, row, 4),
        .icon = sql_str(r, row, 5),
        .verify_key = sql_str(r, row, 6),
        .interactions_endpoint_url = sql_str(r, row, 7),
        .tags_json = sql_str(r, row, 8),
        .redirect_uris_json = sql_str(r, row, 9),
        .custom_install_url = sql_str(r, row, 10),
        .bot_public = sql_int(r, row, 11) != 0,
        .bot_require_code_grant = sql_int(r, row, 12) != 0,
        .flags = sql_int(r, row, 13),
        .max_concurrency = sql_int(r, row, 14),
        .session_starts = sql_int(r, row, 15),
        .integration_types_json = sql_str(r, row, 16),
        .secret_version = sql_int(r, row, 17),
    };
}

int store_application_get(struct sql *db, struct arena *a, uint64_t id, struct application *ret)
{
    struct sql_result r;
    int err = rows_one(db, a, "SELECT " APPLICATION_COLUMNS " FROM applications WHERE id = $1", SQL_I(id), &r);

    if (err < 0)
        return err;
    rows_application(&r, 0, ret);
    return 0;
}

int store_applications_of(struct sql *db, struct arena *a, uint64_t owner_id, struct application **ret,
                          unsigned *ret_count)
{
    struct sql_result r;
    int err = rows_all(db, a, "SELECT " APPLICATION_COLUMNS " FROM applications WHERE owner_id = $1 ORDER BY id",
                       SQL_I(owner_id), &r);

    if (err < 0)
        return err;
    *ret = ARENA_ARRAY(a, struct application, (size_t)r.row_count);
    *ret_count = (unsigned)r.row_count;
    for (int i = 0; i < r.row_count; i++)
        rows_application(&r, i, &(*ret)[i]);
    return 0;
}

/* --- installed to users ----------------------------------------------------------------------------------------------
 */
void store_user_install_put(struct commit *c, uint64_t user_id, uint64_t application_id, struct str scopes_json)
{
    commit_sql(c, 1,
               "INSERT INTO user_installs (user_id, application_id, scopes) VALUES ($1, $2, $3) "
               "ON CONFLICT (user_id, application_id) DO UPDATE SET scopes = EXCLUDED.scopes",
               SQL_I(user_id), SQL_I(application_id), SQL_S(scopes_json));
}

void store_user_install_delete(struct commit *c, uint64_t user_id, uint64_t application_id)
{
    commit_sql(c, 1, "DELETE FROM user_installs WHERE user_id = $1 AND application_id = $2", SQL_I(user_id),
               SQL_I(application_id));
}

int store_user_installs(struct sql *db, struct arena *a, uint64_t user_id, struct user_install **ret,
                        unsigned *ret_count)
{
    struct sql_result r;
    int err =
        rows_all(db, a, "SELECT application_id, scopes FROM user_installs WHERE user_id = $1 ORDER BY application_id",
                 SQL_I(user_id), &r);

    if (err < 0)
        return err;
    *ret = ARENA_ARRAY(a, struct user_install, (size_t)r.row_count + 1);
    *ret_count = (unsigned)r.row_count;
    for (int i = 0; i < r.row_count; i++)
        (*ret)[i] = (struct user_install){.application_id = sql_id(&r, i, 0), .scopes_json = sql_str(&r, i, 1)};
    return 0;
}

int store_user_install_get(struct sql *db, struct arena *a, uint64_t user_id, uint64_t application_id)
{
    const struct sql_stmt s = {.text = "SELECT 1 FROM user_installs WHERE user_id = $1 AND application_id = $2",
                               .param_count = 2,
                               .params = {SQL_I(user_id), SQL_I(application_id)}};
    struct sql_result r;
    int err = sql_read(db, a, &s, 1, &r);

    return err < 0 ? err : r.row_count ? 0 : -ENOENT;
}
