/* Applications: made and changed by their owner, read by their bot. Coroutine.
 * Source: Discord API documentation, "Application". An application's id is its bot's user id. */
#include "platform/api/applications/applications.h"

#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/images.h"
#include "platform/api/interactions/interactions.h"
#include "platform/base/jw.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#include <jansson.h>
#include <stdlib.h>

#define GATEWAY_FLAGS                                                                                                  \
    (APPLICATION_GATEWAY_PRESENCE | APPLICATION_GATEWAY_PRESENCE_LIMITED | APPLICATION_GATEWAY_GUILD_MEMBERS |         \
     APPLICATION_GATEWAY_GUILD_MEMBERS_LIMITED | APPLICATION_GATEWAY_MESSAGE_CONTENT |                                 \
     APPLICATION_GATEWAY_MESSAGE_CONTENT_LIMITED)

void application_write_public(struct api_ctx *x, struct buf *b, const struct application *app)
{
    jw_kid(b, "id", app->id);
    jw_kstr(b, "name", app->name);
    jw_kstr(b, "icon", app->icon);
    jw_kstr(b, "description", app->description.p ? app->description : STR(""));
    jw_kcstr(b, "summary", "");
    jw_kbool(b, "bot_public", app->bot_public);
    jw_kbool(b, "bot_require_code_grant", app->bot_require_code_grant);
    jw_kstr(b, "verify_key", application_verify_key(x, app->id));
    jw_ki64(b, "flags", app->flags);
    jw_key(b, "flags_new");
    buf_addf(b, "\"%lld\"", (long long)app->flags);
    jw_kraw(b, "tags", app->tags_json.n ? app->tags_json : STR("[]"));
    if (app->custom_install_url.p)
        jw_kstr(b, "custom_install_url", app->custom_install_url);
    jw_kraw(b, "integration_types_config",
            app->integration_types_json.n ? app->integration_types_json : STR("{\"0\":{}}"));
}

static void application_write(struct api_ctx *x, struct buf *b, const struct application *app, const struct user *owner,
                              const struct user *bot, uint64_t guild_count)
{
    jw_obj(b);
    application_write_public(x, b, app);
    jw_knull(b, "team");
    jw_kraw(b, "redirect_uris", app->redirect_uris_json.n ? app->redirect_uris_json : STR("[]"));
    jw_kstr(b, "interactions_endpoint_url", app->interactions_endpoint_url);
    jw_knull(b, "role_connections_verification_url");
    jw_ku64(b, "approximate_guild_count", guild_count);
    jw_key(b, "owner");
    user_write(b, owner);
    if (bot) {
        jw_key(b, "bot");
        user_write(b, bot);
    }
    jw_obj_end(b);
}

enum api_error application_answer(struct api_ctx *x, const struct application *app)
{
    const uint64_t ids[2] = {app->owner_id, app->bot_id};
    struct user *users;
    unsigned count, guild_count = 0;
    uint64_t *guilds;
    int r = store_users_get(x->ports->db, x->arena, ids, app->bot_id ? 2 : 1, &users, &count);

    if (r == 0 && app->bot_id)
        r = store_user_guild_ids(x->ports->db, x->arena, app->bot_id, &guilds, &guild_count);
    if (r < 0 || count == 0 || users[0].id != app->owner_id)
        return api_port_error(r, API_ERROR_UNKNOWN_APPLICATION);
    application_write(x, api_out(x), app, &users[0], count > 1 ? &users[1] : NULL, guild_count);
    return API_OK;
}

enum api_error application_mine(struct api_ctx *x, uint64_t id, struct application *ret)
{
    int r = store_application_get(x->ports->db, x->arena, id, ret);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_APPLICATION);
    return ret->owner_id == x->user_id || ret->bot_id == x->user_id ? API_OK : API_ERROR_UNKNOWN_APPLICATION;
}

enum api_error application_create(struct api_ctx *x)
{
    struct application app = {.id = snowflake_next(), .owner_id = x->user_id, .bot_public = true};
    struct commit c;

    (void)form_str(x, "name", FORM_REQUIRED, 1, 32, &app.name);
    (void)form_str(x, "description", FORM_OPTIONAL, 0, 400, &app.description);
    if (form_result(x) != API_OK)
        return form_result(x);
    app.verify_key = application_verify_key(x, app.id);
    commit_init(&c, x->arena);
    store_application_insert(&c, &app);
    enum api_error e = api_commit(x, &c, API_ERROR_UNKNOWN_USER);
    if (e != API_OK)
        return e;
    x->res->status = 201;
    return application_answer(x, &app);
}

enum api_error applications_list(struct api_ctx *x)
{
    struct application *apps;
    unsigned count;
    int r = store_applications_of(x->ports->db, x->arena, x->user_id, &apps, &count);
    enum api_error e = r < 0 ? api_port_error(r, API_ERROR_INTERNAL) : API_OK;

    jw_arr(api_out(x));
    for (unsigned i = 0; e == API_OK && i < count; i++)
        e = application_answer(x, &apps[i]);
    jw_arr_end(api_out(x));
    return e;
}

static enum api_error application_show(struct api_ctx *x, uint64_t id)
{
    struct application app;
    enum api_error e = application_mine(x, id, &app);

    return e == API_OK ? application_answer(x, &app) : e;
}

enum api_error application_get(struct api_ctx *x)
{
    return application_show(x, x->ids[0]);
}

enum api_error application_me_get(struct api_ctx *x)
{
    return application_show(x, x->user_id);
}

enum api_error oauth2_application_me(struct api_ctx *x)
{
    return application_show(x, x->user_id);
}

/* A list of strings as it is kept. */
static void strings_read(struct api_ctx *x, const char *key, unsigned max, unsigned max_chars, struct str *ret)
{
    json_t *list = form_array(x, key, FORM_OPTIONAL, max), *v;
    size_t i;

    if (!list)
        return;
    json_array_foreach(list, i, v)
    {
        struct str s = {json_string_value(v), json_string_length(v)};
        if (!json_is_string(v) || utf8_count(s) > max_chars) {
            form_error(x, key, "BASE_TYPE_MAX_LENGTH", "Every entry must be a string of the allowed length.");
            return;
        }
    }
    char *text = json_dumps(list, JSON_COMPACT);
    *ret = arena_str(x->arena, str_c(text ? text : "[]"));
    free(text);
}

/* A new endpoint must be there, answer, and look at signatures. */
static void endpoint_read(struct api_ctx *x, struct application *app)
{
    struct str url = app->interactions_endpoint_url;

    if (!form_str(x, "interactions_endpoint_url", FORM_NULLABLE, 0, 512, &url) || form_result(x) != API_OK)
        return;
    if (url.n && !str_eq(url, app->interactions_endpoint_url) && !endpoint_check(x, app->id, url))
        form_error(x, "interactions_endpoint_url", "APPLICATION_INTERACTIONS_ENDPOINT_URL_INVALID",
                   "The specified interactions endpoint URL could not be verified.");
    app->interactions_endpoint_url = url.n ? url : STR_NONE;
}

static void install_params_check(struct api_ctx *x, const char *type, json_t *config)
{
    struct form_scope before = form_enter(x, config, "integration_types_config.%s", type);
    json_t *params = form_object(x, "oauth2_install_params", FORM_NULLABLE);
    uint64_t bits;

    if (params) {
        struct form_scope outer = form_enter(x, params, "oauth2_install_params");
        (void)form_array(x, "scopes", FORM_REQUIRED, 32);
        (void)form_bits(x, "permissions", FORM_REQUIRED, &bits);
        form_leave(x, outer);
    }
    form_leave(x, before);
}

/* Where the application can be installed: {"0": guilds, "1": users}, each with what its link asks for. */
static void integration_types_read(struct api_ctx *x, struct application *app)
{
    json_t *given = form_object(x, "integration_types_config", FORM_OPTIONAL), *config;
    const char *type;

    if (!given)
        return;
    json_object_foreach(given, type, config)
    {
        if (strcmp(type, "0") != 0 && strcmp(type, "1") != 0)
            form_error(x, arena_printf(x->arena, "integration_types_config.%s", type).p, "BASE_TYPE_CHOICES",
                       "Value must be one of {0, 1}.");
        else if (json_is_null(config))
            json_object_set_new(given, type, json_object());
        else
            install_params_check(x, type, config);
    }
    char *text = json_dumps(given, JSON_COMPACT | JSON_SORT_KEYS);
    app->integration_types_json = arena_str(x->arena, str_c(text ? text : "{}"));
    free(text);
}

static enum api_error application_read(struct api_ctx *x, struct application *app)
{
    enum api_error e = API_OK;
    int64_t flags = 0;

    (void)form_str(x, "name", FORM_OPTIONAL, 1, 32, &app->name);
    (void)form_str(x, "description", FORM_NULLABLE, 0, 400, &app->description);
    (void)form_str(x, "custom_install_url", FORM_NULLABLE, 0, 512, &app->custom_install_url);
    (void)form_bool(x, "bot_public", FORM_OPTIONAL, &app->bot_public);
    (void)form_bool(x, "bot_require_code_grant", FORM_OPTIONAL, &app->bot_require_code_grant);
    strings_read(x, "tags", 5, 20, &app->tags_json);
    strings_read(x, "redirect_uris", 10, 512, &app->redirect_uris_json);
    integration_types_read(x, app);
    /* Discord lets the API set the _LIMITED ones only; here nobody reviews bots, so both are the owner's. */
    if (form_i64(x, "flags", FORM_OPTIONAL, 0, INT64_MAX, &flags))
        app->flags = (app->flags & ~(int64_t)GATEWAY_FLAGS) | (flags & GATEWAY_FLAGS);
    if (form_result(x) == API_OK)
        endpoint_read(x, app);
    if (form_result(x) == API_OK)
        (void)image_read(x, "icon", "app-icons", app->id, &app->icon, &e);
    return e == API_OK ? form_result(x) : e;
}

static enum api_error application_change(struct api_ctx *x, uint64_t id)
{
    struct application app;
    struct commit c;
    enum api_error e = application_mine(x, id, &app);

    if (e == API_OK)
        e = application_read(x, &app);
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    store_application_update(&c, &app);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_APPLICATION);
    return e == API_OK ? application_answer(x, &app) : e;
}

enum api_error application_modify(struct api_ctx *x)
{
    return application_change(x, x->ids[0]);
}

enum api_error application_me_modify(struct api_ctx *x)
{
    return application_change(x, x->user_id);
}
