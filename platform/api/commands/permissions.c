/* Who may use a command in a guild: what its definition asks for, and what people there allow and deny. Coroutine.
 * Source: "Application Commands: Permissions". */
#include "platform/api/commands/commands.h"

#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/guilds.h"
#include "platform/api/handlers.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/protocol/json_text.h"

#include <jansson.h>

enum overwrite_type { OVERWRITE_ROLE = 1, OVERWRITE_USER = 2, OVERWRITE_CHANNEL = 3 };

/* --- where ----------------------------------------------------------------------------------------------------------
 */
static bool lists(struct str definition, const char *key, int number, bool otherwise)
{
    struct str list = json_member(definition, str_c(key));
    json_t *o = list.n ? json_loadb(list.p, list.n, JSON_DECODE_ANY, NULL) : NULL, *v;
    bool found = otherwise;
    size_t i;

    if (json_is_array(o)) {
        found = false;
        json_array_foreach(o, i, v) found |= json_integer_value(v) == number;
    }
    json_decref(o);
    return found;
}

bool command_for(const struct application_command *cmd, enum installed_to installed)
{
    if (cmd->guild_id)
        return installed == INSTALLED_TO_GUILD;
    return lists(cmd->definition_json, "integration_types", (int)installed, installed == INSTALLED_TO_GUILD);
}

/* contexts null: wherever the application is; dm_permission is its older form. */
bool command_fits(const struct application_command *cmd, enum interaction_context context)
{
    bool otherwise =
        context == CONTEXT_GUILD || str_eq(json_member(cmd->definition_json, STR("dm_permission")), STR("true"));

    return cmd->guild_id ? context == CONTEXT_GUILD : lists(cmd->definition_json, "contexts", (int)context, otherwise);
}

/* --- judging ---------------------------------------------------------------------------------------------------------
 */
/* What a command's list says of this member: 1 allowed, -1 denied, 0 nothing. A user's own entry wins over roles, an
 * allowing role over denying ones, any role over @everyone. */
static int members_verdict(json_t *list, const struct api_access *access)
{
    const struct member *m = &access->snap.members[0];
    int everyone = 0, roles = 0, user = 0;
    json_t *o;
    size_t i;

    json_array_foreach(list, i, o)
    {
        int64_t type = json_integer_value(json_object_get(o, "type"));
        int allowed = json_is_true(json_object_get(o, "permission")) ? 1 : -1;
        uint64_t id = 0;
        (void)json_value_id(json_object_get(o, "id"), &id);
        if (type == OVERWRITE_USER && id == m->user.id)
            user = allowed;
        if (type == OVERWRITE_ROLE && id == access->snap.guild.id)
            everyone = allowed;
        for (unsigned k = 0; type == OVERWRITE_ROLE && k < m->role_count; k++)
            if (m->roles[k] == id && roles != 1)
                roles = allowed;
    }
    return user ? user : roles ? roles : everyone;
}

/* The channel's own entry wins over the one of all channels (guild_id - 1). */
static int channel_verdict(json_t *list, const struct api_access *access)
{
    int all = 0, own = 0;
    json_t *o;
    size_t i;

    json_array_foreach(list, i, o)
    {
        uint64_t id = 0;
        if (json_integer_value(json_object_get(o, "type")) != OVERWRITE_CHANNEL)
            continue;
        (void)json_value_id(json_object_get(o, "id"), &id);
        int allowed = json_is_true(json_object_get(o, "permission")) ? 1 : -1;
        if (access->channel && id == access->channel->id)
            own = allowed;
        if (id == access->snap.guild.id - 1)
            all = allowed;
    }
    return own ? own : all;
}

static json_t *overwrites_of(uint64_t command_id, const struct command_permissions *overwrites, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (overwrites[i].command_id == command_id)
            return json_loadb(overwrites[i].permissions_json.p, overwrites[i].permissions_json.n, 0, NULL);
    return NULL;
}

/* default_member_permissions: all of them; "0": administrators only; null: everybody. */
static bool by_default(const struct api_access *access, const struct application_command *cmd)
{
    uint64_t needed;
    struct str bits = json_member(cmd->definition_json, STR("default_member_permissions"));

    if (json_u64(bits, &needed) < 0)
        return true;
    return needed && (access->permissions & needed) == needed;
}

bool command_allowed(const struct api_access *access, const struct application_command *cmd,
                     const struct command_permissions *overwrites, unsigned overwrite_count)
{
    if (access->is_dm || access->permissions & PERMISSION_ADMINISTRATOR)
        return true;
    json_t *own = overwrites_of(cmd->id, overwrites, overwrite_count);
    json_t *all = overwrites_of(cmd->application_id, overwrites, overwrite_count);
    int channel = own ? channel_verdict(own, access) : 0, member = own ? members_verdict(own, access) : 0;

    if (!channel && all)
        channel = channel_verdict(all, access);
    /* The application's list says who may use its commands at all; a command's own takes its place. */
    int application = all && !own ? members_verdict(all, access) : 0;
    json_decref(own);
    json_decref(all);
    if (channel < 0 || application < 0)
        return false;
    return member ? member > 0 : by_default(access, cmd);
}

/* --- routes ----------------------------------------------------------------------------------------------------------
 */
static enum api_error permissions_load(struct api_ctx *x, struct command_permissions **ret, unsigned *ret_count)
{
    struct api_access access;
    struct application app;
    enum api_error e = api_access_guild(x, x->ids[1], 0, &access);
    int r = e == API_OK ? store_application_get(x->ports->db, x->arena, x->ids[0], &app) : 0;

    if (e != API_OK || r < 0)
        return e != API_OK ? e : api_port_error(r, API_ERROR_UNKNOWN_APPLICATION);
    /* its bot, its owner, and who may change them */
    if (app.bot_id != x->user_id && app.owner_id != x->user_id && !(access.permissions & PERMISSION_MANAGE_GUILD))
        return API_ERROR_NOT_AUTHORIZED_FOR_APPLICATION;
    r = store_command_permissions_list(x->ports->db, x->arena, x->ids[0], x->ids[1], ret, ret_count);
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_GUILD) : API_OK;
}

enum api_error guild_command_permissions_list(struct api_ctx *x)
{
    struct command_permissions *list;
    unsigned count;
    enum api_error e = permissions_load(x, &list, &count);

    if (e != API_OK)
        return e;
    jw_arr(api_out(x));
    for (unsigned i = 0; i < count; i++)
        command_permissions_write(api_out(x), &list[i]);
    jw_arr_end(api_out(x));
    return API_OK;
}

enum api_error guild_command_permissions_get(struct api_ctx *x)
{
    struct command_permissions *list;
    unsigned count;
    enum api_error e = permissions_load(x, &list, &count);

    if (e != API_OK)
        return e;
    for (unsigned i = 0; i < count; i++)
        if (list[i].command_id == x->ids[2]) {
            command_permissions_write(api_out(x), &list[i]);
            return API_OK;
        }
    return API_ERROR_UNKNOWN_COMMAND_PERMISSIONS;
}

static bool entry_read(struct api_ctx *x, struct buf *out)
{
    uint64_t id = 0;
    int64_t type = 0;
    bool permission = false;
    bool good = form_id(x, "id", FORM_REQUIRED, &id) &
                form_i64(x, "type", FORM_REQUIRED, OVERWRITE_ROLE, OVERWRITE_CHANNEL, &type) &
                form_bool(x, "permission", FORM_REQUIRED, &permission);

    jw_obj(out);
    jw_kid(out, "id", id);
    jw_ki64(out, "type", type);
    jw_kbool(out, "permission", permission);
    jw_obj_end(out);
    return good;
}

static enum api_error entries_read(struct api_ctx *x, struct str *ret)
{
    json_t *list = form_array(x, "permissions", FORM_REQUIRED, LIMIT_COMMAND_PERMISSIONS), *o;
    struct buf b = {0};
    size_t i;

    jw_arr(&b);
    json_array_foreach(list, i, o)
    {
        if (!json_is_object(o)) {
            form_error(x, "permissions", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType");
            continue;
        }
        struct form_scope before = form_enter(x, o, "permissions.%zu", i);
        (void)entry_read(x, &b);
        form_leave(x, before);
    }
    jw_arr_end(&b);
    *ret = payload_take(x->arena, &b);
    return form_result(x);
}

/* Who may not use a command may not change who may either. */
static enum api_error use_check(struct api_ctx *x, const struct application_command *cmd,
                                const struct api_access *access)
{
    struct command_permissions *overwrites;
    unsigned count;
    int r = store_command_permissions_list(x->ports->db, x->arena, cmd->application_id, x->ids[1], &overwrites, &count);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_GUILD);
    return command_allowed(access, cmd, overwrites, count) ? API_OK : API_ERROR_MISSING_PERMISSIONS;
}

/* The command named in the path is one that can be used in the guild, or all of the application's are meant. */
static enum api_error target_check(struct api_ctx *x, const struct application *app, const struct api_access *access)
{
    struct application_command cmd;

    if (x->ids[2] == app->id)
        return API_OK;
    int r = store_command_get(x->ports->db, x->arena, x->ids[2], &cmd);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_COMMAND);
    bool here = cmd.application_id == app->id && (!cmd.guild_id || cmd.guild_id == x->ids[1]);
    return here ? use_check(x, &cmd, access) : API_ERROR_UNKNOWN_COMMAND;
}

enum api_error guild_command_permissions_put(struct api_ctx *x)
{
    struct api_access access;
    struct application app;
    struct command_permissions p = {.application_id = x->ids[0], .guild_id = x->ids[1], .command_id = x->ids[2]};
    struct commit c;
    enum api_error e = api_access_guild(x, p.guild_id, PERMISSION_MANAGE_GUILD | PERMISSION_MANAGE_ROLES, &access);
    int r = e == API_OK ? store_application_get(x->ports->db, x->arena, p.application_id, &app) : 0;

    if (e != API_OK || r < 0)
        return e != API_OK ? e : api_port_error(r, API_ERROR_UNKNOWN_APPLICATION);
    e = target_check(x, &app, &access);
    if (e == API_OK)
        e = entries_read(x, &p.permissions_json);
    if (e != API_OK)
        return e;
    struct buf b = {0};
    command_permissions_write(&b, &p);
    api_guild_lock(x, p.guild_id);
    commit_init(&c, x->arena);
    store_command_permissions_put(&c, &p);
    struct event *event = commit_event(&c, EVENT_APPLICATION_COMMAND_PERMISSIONS_UPDATE, p.guild_id, false);
    event->user_id = app.bot_id;
    event->data = payload_take(x->arena, &b);
    struct str answer = event->data;
    e = api_commit(x, &c, API_ERROR_UNKNOWN_GUILD);
    if (e == API_OK)
        jw_raw(api_out(x), answer);
    return e;
}
