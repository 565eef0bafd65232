/* The routes of application commands, global (ids[0] the application) and of a guild (ids[1]). Changes of one
 * application happen one after the other. Coroutine. Source: "Application Commands: Endpoints". */
#include "platform/api/commands/commands.h"

#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* Whose commands, and where. */
struct scope {
    struct application app;
    uint64_t guild_id; /* 0: global */
    struct application_command *commands;
    unsigned count;
};

/* The application's bot or its owner. In a guild the bot must be a member. */
static enum api_error scope_check(struct api_ctx *x, bool guild, struct scope *s)
{
    struct member bot;
    int r = store_application_get(x->ports->db, x->arena, x->ids[0], &s->app);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_APPLICATION);
    if (s->app.bot_id != x->user_id && s->app.owner_id != x->user_id)
        return API_ERROR_NOT_AUTHORIZED_FOR_APPLICATION;
    s->guild_id = guild ? x->ids[1] : 0;
    if (!guild)
        return API_OK;
    r = store_member_get(x->ports->db, x->arena, s->guild_id, s->app.bot_id, &bot);
    return r < 0 ? api_port_error(r, API_ERROR_MISSING_ACCESS) : API_OK;
}

static enum api_error scope_open(struct api_ctx *x, bool guild, bool change, struct scope *s)
{
    enum api_error e = scope_check(x, guild, s);

    if (e != API_OK)
        return e;
    if (change)
        api_guild_lock(x, s->app.id);
    int r = store_commands_list(x->ports->db, x->arena, s->app.id, s->guild_id, &s->commands, &s->count);
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_APPLICATION) : API_OK;
}

static struct application_command *scope_find(const struct scope *s, uint64_t id)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->commands[i].id == id)
            return &s->commands[i];
    return NULL;
}

static struct application_command *scope_find_name(const struct scope *s, int type, struct str name)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->commands[i].type == type && str_eq(s->commands[i].name, name))
            return &s->commands[i];
    return NULL;
}

/* --- localized lists -------------------------------------------------------------------------------------------------
 */
/* What a dictionary says in a locale, or in the one that stands in for it. Source: "Locale fallbacks". */
static json_t *text_in(json_t *dictionary, const char *locale)
{
    static const char *const others[][2] = {{"en-US", "en-GB"}, {"en-GB", "en-US"}, {"es-419", "es-ES"}};
    json_t *text = locale ? json_object_get(dictionary, locale) : NULL;

    for (size_t i = 0; locale && !text && i < 3; i++)
        if (strcmp(locale, others[i][0]) == 0)
            text = json_object_get(dictionary, others[i][1]);
    return text;
}

/* The dictionaries go; what they say in the caller's locale stays, as *_localized. */
static void localize(json_t *o, const char *locale)
{
    static const char *const keys[][2] = {{"name_localizations", "name_localized"},
                                          {"description_localizations", "description_localized"}};
    json_t *child;
    size_t i;

    for (i = 0; i < 2; i++) {
        json_t *text = text_in(json_object_get(o, keys[i][0]), locale);
        if (text)
            json_object_set(o, keys[i][1], text);
        json_object_del(o, keys[i][0]);
    }
    json_array_foreach(json_object_get(o, "options"), i, child) localize(child, locale);
    json_array_foreach(json_object_get(o, "choices"), i, child) localize(child, locale);
}

/* The header of its own, else the first of Accept-Language. NULL: none that is known. */
static const char *locale_of(struct api_ctx *x)
{
    struct str s = http_request_header(x->req, "X-Discord-Locale");

    if (!s.n) {
        s = http_request_header(x->req, "Accept-Language");
        for (size_t i = 0; i < s.n; i++)
            if (s.p[i] == ',' || s.p[i] == ';')
                s.n = i;
    }
    return locale_known(s) ? arena_strdup(x->arena, s) : NULL;
}

static void command_write_localized(struct api_ctx *x, struct application_command c)
{
    json_t *o = json_loadb(c.definition_json.p, c.definition_json.n, 0, NULL);

    localize(o, locale_of(x));
    /* the command's own name is no member of the definition, its localizations are */
    char *text = json_dumps(o, JSON_COMPACT);
    c.definition_json = str_c(text ? text : "{}");
    application_command_write(api_out(x), &c);
    free(text);
    json_decref(o);
}

static enum api_error commands_list(struct api_ctx *x, bool guild)
{
    struct scope s = {0};
    bool with_localizations = false;
    enum api_error e = scope_open(x, guild, false, &s);

    if (e != API_OK)
        return e;
    (void)query_bool(x, "with_localizations", &with_localizations);
    jw_arr(api_out(x));
    for (unsigned i = 0; i < s.count; i++)
        if (with_localizations)
            application_command_write(api_out(x), &s.commands[i]);
        else
            command_write_localized(x, s.commands[i]);
    jw_arr_end(api_out(x));
    return API_OK;
}

enum api_error application_commands_list(struct api_ctx *x)
{
    return commands_list(x, false);
}

enum api_error guild_commands_list(struct api_ctx *x)
{
    return commands_list(x, true);
}

static enum api_error command_get(struct api_ctx *x, bool guild)
{
    struct scope s = {0};
    enum api_error e = scope_open(x, guild, false, &s);
    const struct application_command *c = e == API_OK ? scope_find(&s, x->ids[guild ? 2 : 1]) : NULL;

    if (c)
        application_command_write(api_out(x), c);
    return e != API_OK || c ? e : API_ERROR_UNKNOWN_COMMAND;
}

enum api_error application_command_get(struct api_ctx *x)
{
    return command_get(x, false);
}

enum api_error guild_command_get(struct api_ctx *x)
{
    return command_get(x, true);
}

/* --- changes ---------------------------------------------------------------------------------------------------------
 */
/* The version rises when something is different. */
static void version_set(struct application_command *c, const struct application_command *before)
{
    bool same = before && str_eq(c->name, before->name) && str_eq(c->definition_json, before->definition_json);

    c->version = same ? before->version : snowflake_next();
}

static bool creates_left(struct api_ctx *x, const struct scope *s)
{
    char key[96];

    snprintf(key, sizeof key, "commands:%llu:%llu", (unsigned long long)s->app.id, (unsigned long long)s->guild_id);
    return api_limit(x, key, LIMIT_COMMAND_CREATES, 86400000, API_ERROR_MAX_COMMAND_CREATES);
}

static bool room_for(const struct application_command *commands, unsigned count, int type)
{
    unsigned of_type = 0;

    for (unsigned i = 0; i < count; i++)
        of_type += commands[i].type == type;
    return of_type <= (type == COMMAND_CHAT_INPUT ? LIMIT_COMMANDS : LIMIT_COMMANDS_MENU);
}

static enum api_error command_create(struct api_ctx *x, bool guild)
{
    struct scope s = {0};
    struct application_command cmd = {0};
    struct commit c;
    enum api_error e = scope_open(x, guild, true, &s);

    if (e == API_OK) {
        command_read(x, guild, s.app.integration_types_json, &cmd);
        e = form_result(x);
    }
    if (e != API_OK)
        return e;
    const struct application_command *before = scope_find_name(&s, cmd.type, cmd.name);
    if (!before) {
        struct application_command *all = ARENA_ARRAY(x->arena, struct application_command, s.count + 1);
        memcpy(all, s.commands, sizeof *all * s.count);
        all[s.count] = cmd;
        if (!room_for(all, s.count + 1, cmd.type))
            return API_ERROR_MAX_COMMANDS;
        if (!creates_left(x, &s))
            return API_OK;
    }
    cmd.id = before ? before->id : snowflake_next();
    cmd.application_id = s.app.id;
    cmd.guild_id = s.guild_id;
    version_set(&cmd, before);
    commit_init(&c, x->arena);
    store_command_put(&c, &cmd);
    int r = commit_run(&c, x->ports);
    if (r < 0)
        return r == -EEXIST ? API_ERROR_COMMAND_NAME_TAKEN : api_port_error(r, API_ERROR_UNKNOWN_GUILD);
    x->res->status = before ? 200 : 201;
    application_command_write(api_out(x), &cmd);
    return API_OK;
}

enum api_error application_command_create(struct api_ctx *x)
{
    return command_create(x, false);
}

enum api_error guild_command_create(struct api_ctx *x)
{
    return command_create(x, true);
}

/* The stored command with the body's members in place of its own; type stays. A new reference. */
static json_t *merged(const struct application_command *c, json_t *body)
{
    json_t *o = json_loadb(c->definition_json.p, c->definition_json.n, 0, NULL);

    json_object_set_new(o, "name", json_stringn(c->name.p, c->name.n));
    if (json_object_get(body, "dm_permission") && !json_object_get(body, "contexts"))
        json_object_del(o, "contexts");
    json_object_update(o, body);
    json_object_set_new(o, "type", json_integer(c->type));
    return o;
}

static enum api_error command_modify(struct api_ctx *x, bool guild)
{
    struct scope s = {0};
    struct application_command cmd = {0};
    struct commit c;
    enum api_error e = scope_open(x, guild, true, &s);

    if (e != API_OK)
        return e;
    const struct application_command *before = scope_find(&s, x->ids[guild ? 2 : 1]);
    if (!before)
        return API_ERROR_UNKNOWN_COMMAND;
    cmd = *before;
    json_t *own = x->body;
    x->body = merged(before, own);
    command_read(x, guild, s.app.integration_types_json, &cmd);
    json_decref(x->body);
    x->body = own;
    e = form_result(x);
    if (e != API_OK)
        return e;
    const struct application_command *other = scope_find_name(&s, cmd.type, cmd.name);
    if (other && other->id != cmd.id)
        return API_ERROR_COMMAND_NAME_TAKEN;
    version_set(&cmd, before);
    commit_init(&c, x->arena);
    store_command_put(&c, &cmd);
    if (!str_eq(cmd.name, before->name)) /* a new name begins anew, as documented */
        store_command_permissions_drop(&c, s.app.id, cmd.id);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_COMMAND);
    if (e == API_OK)
        application_command_write(api_out(x), &cmd);
    return e;
}

enum api_error application_command_modify(struct api_ctx *x)
{
    return command_modify(x, false);
}

enum api_error guild_command_modify(struct api_ctx *x)
{
    return command_modify(x, true);
}

static enum api_error command_delete(struct api_ctx *x, bool guild)
{
    struct scope s = {0};
    struct commit c;
    enum api_error e = scope_check(x, guild, &s);

    if (e != API_OK)
        return e;
    api_guild_lock(x, s.app.id);
    commit_init(&c, x->arena);
    store_command_delete(&c, s.app.id, s.guild_id, x->ids[guild ? 2 : 1]);
    store_command_permissions_sweep(&c, s.app.id);
    return api_commit(x, &c, API_ERROR_UNKNOWN_COMMAND);
}

enum api_error application_command_delete(struct api_ctx *x)
{
    return command_delete(x, false);
}

enum api_error guild_command_delete(struct api_ctx *x)
{
    return command_delete(x, true);
}

/* --- bulk overwrite --------------------------------------------------------------------------------------------------
 */
static struct application_command *list_read(struct api_ctx *x, bool guild, struct str supported, uint64_t *ids)
{
    size_t count = json_array_size(x->body), i;
    struct application_command *list = ARENA_ARRAY(x->arena, struct application_command, count + 1);
    json_t *body = x->body, *o;

    json_array_foreach(body, i, o)
    {
        char path[32];
        snprintf(path, sizeof path, "%zu", i);
        if (!json_is_object(o)) {
            form_error(x, path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
            continue;
        }
        struct form_scope before = form_enter(x, o, "%s", path);
        if (form_has(x, "id") && !form_is_null(x, "id"))
            (void)form_id(x, "id", FORM_OPTIONAL, &ids[i]);
        command_read(x, guild, supported, &list[i]);
        for (size_t k = 0; k < i; k++)
            if (list[k].type == list[i].type && str_eq(list[k].name, list[i].name))
                form_error(x, "name", "APPLICATION_COMMANDS_DUPLICATE_NAME",
                           "Application command names must be unique");
        form_leave(x, before);
    }
    return list;
}

/* A command keeps its id when it names it, or has the name of one that is there. */
static enum api_error identify(struct api_ctx *x, const struct scope *s, struct application_command *list,
                               const uint64_t *ids, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct application_command *before =
            ids[i] ? scope_find(s, ids[i]) : scope_find_name(s, list[i].type, list[i].name);
        if (ids[i] && !before)
            return API_ERROR_UNKNOWN_COMMAND;
        for (unsigned k = 0; before && k < i; k++)
            if (list[k].id == before->id)
                before = NULL;
        if (before && before->type != list[i].type)
            before = NULL;
        if (!before && !creates_left(x, s))
            return API_OK;
        list[i].id = before ? before->id : snowflake_next();
        list[i].application_id = s->app.id;
        list[i].guild_id = s->guild_id;
        version_set(&list[i], before);
        if (!room_for(list, i + 1, list[i].type))
            return API_ERROR_MAX_COMMANDS;
    }
    return API_OK;
}

static enum api_error commands_overwrite(struct api_ctx *x, bool guild)
{
    struct scope s = {0};
    struct commit c;
    enum api_error e = scope_open(x, guild, true, &s);

    if (e != API_OK)
        return e;
    unsigned count = (unsigned)json_array_size(x->body);
    if (!json_is_array(x->body))
        form_error(x, "", "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType");
    else if (count > LIMIT_COMMANDS + 2 * LIMIT_COMMANDS_MENU)
        return API_ERROR_MAX_COMMANDS;
    uint64_t *ids = ARENA_ARRAY(x->arena, uint64_t, count + 1);
    struct application_command *list = list_read(x, guild, s.app.integration_types_json, ids);
    e = form_result(x);
    if (e == API_OK)
        e = identify(x, &s, list, ids, count);
    if (e != API_OK || x->res->status == 429)
        return e;
    commit_init(&c, x->arena);
    store_commands_clear(&c, s.app.id, s.guild_id);
    for (unsigned i = 0; i < count; i++)
        store_command_put(&c, &list[i]);
    store_command_permissions_sweep(&c, s.app.id);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_APPLICATION);
    if (e != API_OK)
        return e;
    jw_arr(api_out(x));
    for (unsigned i = 0; i < count; i++)
        application_command_write(api_out(x), &list[i]);
    jw_arr_end(api_out(x));
    return API_OK;
}

enum api_error application_commands_overwrite(struct api_ctx *x)
{
    return commands_overwrite(x, false);
}

enum api_error guild_commands_overwrite(struct api_ctx *x)
{
    return commands_overwrite(x, true);
}

/* --- what a person's client shows ------------------------------------------------------------------------------------
 */
static void index_write(struct api_ctx *x, const struct application_command *commands, unsigned count)
{
    uint64_t version = 1;
    struct buf *out = api_out(x);

    jw_obj(out);
    jw_karr(out, "application_commands");
    for (unsigned i = 0; i < count; i++) {
        command_write_localized(x, commands[i]);
        version = commands[i].version > version ? commands[i].version : version;
    }
    jw_arr_end(out);
    jw_karr(out, "applications");
    for (unsigned i = 0; i < count; i++) {
        struct application app;
        bool seen = false;
        for (unsigned k = 0; k < i && !seen; k++)
            seen = commands[k].application_id == commands[i].application_id;
        if (seen || store_application_get(x->ports->db, x->arena, commands[i].application_id, &app) < 0)
            continue;
        jw_obj(out);
        jw_kid(out, "id", app.id);
        jw_kid(out, "bot_id", app.bot_id);
        jw_kstr(out, "name", app.name);
        jw_kstr(out, "description", app.description);
        jw_kstr(out, "icon", app.icon);
        jw_obj_end(out);
    }
    jw_arr_end(out);
    jw_kid(out, "version", version);
    jw_obj_end(out);
}

enum api_error guild_command_index(struct api_ctx *x)
{
    struct api_access access;
    struct application_command *commands;
    unsigned count;
    enum api_error e = api_access_guild(x, x->ids[0], 0, &access);

    if (e != API_OK)
        return e;
    int r = store_guild_commands(x->ports->db, x->arena, x->ids[0], &commands, &count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_GUILD);
    index_write(x, commands, count);
    return API_OK;
}

/* Of the applications that the person installed for itself. */
enum api_error user_command_index(struct api_ctx *x)
{
    struct application_command *commands;
    unsigned count, kept = 0;
    int r = store_user_commands(x->ports->db, x->arena, x->user_id, &commands, &count);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    for (unsigned i = 0; i < count; i++)
        if (command_for(&commands[i], INSTALLED_TO_USER))
            commands[kept++] = commands[i];
    index_write(x, commands, kept);
    return API_OK;
}
