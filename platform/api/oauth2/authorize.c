/* Adding a bot to a guild, or an application to a user: what the page that Discord's client shows asks for and sends.
 * Coroutine. Source: Discord API documentation, "OAuth2: Bot Authorization Flow". */
#include "platform/api/applications/applications.h"
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/guilds/guilds.h"
#include "platform/api/handlers.h"
#include "platform/api/oauth2/oauth2.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/snowflake.h"
#include "platform/model/permissions.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/json_text.h"

#include <errno.h>

struct authorization {
    struct application app;
    struct user bot;
    uint64_t permissions;
    int64_t installed_to; /* an application integration type: 0 a guild, 1 the person */
};

static enum api_error authorization_read(struct api_ctx *x, struct authorization *ret)
{
    uint64_t client_id = 0;
    int64_t permissions = 0;

    if (!query_id(x, "client_id", &client_id) && form_result(x) == API_OK)
        form_error(x, "client_id", "BASE_TYPE_REQUIRED", "This field is required");
    (void)query_i64(x, "integration_type", 0, 1, &ret->installed_to);
    (void)form_i64(x, "integration_type", FORM_NULLABLE, 0, 1, &ret->installed_to);
    const char *needed = ret->installed_to ? "applications.commands" : "bot";
    if (!scope_has(http_request_query(x->req, "scope"), str_c(needed)))
        form_error(x, "scope", "BASE_TYPE_CHOICES", arena_printf(x->arena, "Value must contain '%s'.", needed).p);
    (void)query_i64(x, "permissions", 0, INT64_MAX, &permissions);
    ret->permissions = (uint64_t)permissions & PERMISSIONS_ALL;
    (void)form_bits(x, "permissions", FORM_OPTIONAL, &ret->permissions); /* what the person left ticked */
    if (form_result(x) != API_OK)
        return form_result(x);
    int r = store_application_get(x->ports->db, x->arena, client_id, &ret->app);
    if (r == 0)
        r = ret->app.bot_id ? store_user_get(x->ports->db, x->arena, ret->app.bot_id, &ret->bot) : -ENOENT;
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_APPLICATION);
    if (!json_member(ret->app.integration_types_json, ret->installed_to ? STR("1") : STR("0")).n)
        form_error(x, "integration_type", "BASE_TYPE_CHOICES",
                   "The application does not support this installation context.");
    if (form_result(x) != API_OK)
        return form_result(x);
    return ret->app.bot_public || ret->app.owner_id == x->user_id ? API_OK : API_ERROR_NOT_AUTHORIZED_FOR_APPLICATION;
}

static void guild_entry(struct buf *b, const struct guild_snapshot *s, uint64_t user_id)
{
    uint64_t mine[256];
    unsigned count = 0;

    for (unsigned i = 0; i < s->role_count && count < 256; i++)
        mine[count++] = s->roles[i].id;
    jw_obj(b);
    jw_kid(b, "id", s->guild.id);
    jw_kstr(b, "name", s->guild.name);
    jw_kstr(b, "icon", s->guild.icon);
    jw_ki64(b, "mfa_level", s->guild.mfa_level);
    jw_key(b, "permissions");
    buf_addf(b, "\"%llu\"",
             (unsigned long long)permissions_in_guild(&s->guild, s->roles, s->role_count, user_id, mine, count));
    jw_obj_end(b);
}

enum api_error oauth2_authorize_get(struct api_ctx *x)
{
    struct authorization a = {0};
    struct user me;
    struct guild_snapshot *guilds = NULL;
    unsigned count = 0;
    struct buf *out = api_out(x);
    enum api_error e = authorization_read(x, &a);

    if (e != API_OK)
        return e;
    int r = store_user_get(x->ports->db, x->arena, x->user_id, &me);
    if (r == 0)
        r = store_user_guilds(x->ports->db, x->arena, x->user_id, 0, 0, 200, &guilds, &count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    jw_obj(out);
    jw_kbool(out, "authorized", false);
    jw_kobj(out, "application");
    application_write_public(x, out, &a.app);
    jw_obj_end(out);
    jw_key(out, "bot");
    user_write(out, &a.bot);
    jw_key(out, "user");
    user_write(out, &me);
    jw_karr(out, "guilds");
    for (unsigned i = 0; i < count; i++)
        guild_entry(out, &guilds[i], x->user_id);
    jw_arr_end(out);
    jw_obj_end(out);
    return API_OK;
}

/* The bot becomes a member, with a role of its own for what it asked for, as far as the person holds that. */
static enum api_error bot_add(struct api_ctx *x, const struct authorization *a, const struct api_access *access)
{
    uint64_t granted = a->permissions & access->permissions;
    struct role role = {.id = snowflake_next(),
                        .guild_id = access->snap.guild.id,
                        .name = a->bot.username,
                        .position = 1,
                        .permissions = granted,
                        .managed = true,
                        .bot_id = a->bot.id};
    struct member m = {.guild_id = role.guild_id,
                       .user = a->bot,
                       .joined_ms = clock_wall_ms(),
                       .roles = &role.id,
                       .role_count = granted ? 1 : 0};
    struct commit c;

    commit_init(&c, x->arena);
    if (granted) {
        store_role_insert(&c, &role);
        events_role(&c, EVENT_GUILD_ROLE_CREATE, &role);
    }
    guild_join(&c, &m);
    audit_add(x, &c, role.guild_id, AUDIT_BOT_ADD, a->bot.id, STR_NONE, STR_NONE);
    int r = commit_run(&c, x->ports);
    if (r == -EEXIST) /* there already: as if it had been added now */
        return API_OK;
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_GUILD) : API_OK;
}

static enum api_error location_answer(struct api_ctx *x, const char *fmt, uint64_t guild_id)
{
    struct str url = arena_printf(x->arena, fmt, x->options->public_api_url, (unsigned long long)guild_id);

    jw_obj(api_out(x));
    jw_kstr(api_out(x), "location", url);
    jw_obj_end(api_out(x));
    return API_OK;
}

static enum api_error user_install(struct api_ctx *x, const struct authorization *a)
{
    struct commit c;

    commit_init(&c, x->arena);
    store_user_install_put(&c, x->user_id, a->app.id, STR("[\"applications.commands\"]"));
    enum api_error e = api_commit(x, &c, API_ERROR_UNKNOWN_APPLICATION);
    return e == API_OK ? location_answer(x, "%s/oauth2/authorized?guild_id=%llu", 0) : e;
}

enum api_error oauth2_authorize(struct api_ctx *x)
{
    struct authorization a = {0};
    struct api_access access;
    uint64_t guild_id = 0;
    bool authorize = false;
    enum api_error e = authorization_read(x, &a);

    if (e != API_OK)
        return e;
    (void)form_bool(x, "authorize", FORM_REQUIRED, &authorize);
    if (form_result(x) == API_OK && !authorize)
        return location_answer(x, "%s/oauth2/authorized?error=access_denied&guild_id=%llu", 0);
    if (form_result(x) == API_OK && a.installed_to)
        return user_install(x, &a);
    (void)form_id(x, "guild_id", FORM_REQUIRED, &guild_id);
    if (form_result(x) != API_OK)
        return form_result(x);
    if (a.app.bot_require_code_grant) {
        form_error(x, "response_type", "BASE_TYPE_REQUIRED", "This application requires a full OAuth2 code grant.");
        return form_result(x);
    }
    api_guild_lock(x, guild_id);
    e = api_access_guild(x, guild_id, PERMISSION_MANAGE_GUILD, &access);
    if (e == API_OK)
        e = guild_ban_check(x, guild_id, a.bot.id);
    if (e == API_OK)
        e = bot_add(x, &a, &access);
    return e == API_OK ? location_answer(x, "%s/oauth2/authorized?guild_id=%llu", guild_id) : e;
}

/* --- what a person has installed -------------------------------------------------------------------------------------
 */
static void install_write(struct api_ctx *x, const struct user_install *install)
{
    struct application app;
    struct buf *out = api_out(x);

    if (store_application_get(x->ports->db, x->arena, install->application_id, &app) < 0)
        return; /* gone meanwhile */
    jw_obj(out);
    jw_kid(out, "id", app.id);
    jw_kraw(out, "scopes", install->scopes_json);
    jw_kobj(out, "application");
    application_write_public(x, out, &app);
    jw_obj_end(out);
    jw_obj_end(out);
}

enum api_error oauth2_installs_list(struct api_ctx *x)
{
    struct user_install *installs;
    unsigned count;
    int r = store_user_installs(x->ports->db, x->arena, x->user_id, &installs, &count);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    jw_arr(api_out(x));
    for (unsigned i = 0; i < count; i++)
        install_write(x, &installs[i]);
    jw_arr_end(api_out(x));
    return API_OK;
}

enum api_error oauth2_install_delete(struct api_ctx *x)
{
    struct commit c;

    commit_init(&c, x->arena);
    store_user_install_delete(&c, x->user_id, x->ids[0]);
    return api_commit(x, &c, API_ERROR_UNKNOWN_TOKEN);
}
