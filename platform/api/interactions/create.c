/* POST /interactions, as a person's client sends it: a command, a component, what is being typed, a modal. Coroutine.
 * Source: "Interactions: Receiving and Responding"; the request itself is the client's own and not documented. */
#include "platform/api/interactions/interactions.h"

#include "platform/api/commands/commands.h"
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/messages/components.h"
#include "platform/api/messages/messages.h"
#include "platform/base/jw.h"
#include "platform/protocol/json_text.h"

#include <errno.h>

struct making {
    struct interaction ix;
    struct application app;
    struct api_access access; /* the person's */
    struct member bot;
    bool of_guild; /* a command: the guild's installation of the application counts */
    struct application_command cmd;
    struct message message; /* the one a component stands on, or a menu command is used on */
    struct resolver *resolver;
    struct buf data;
    struct str message_json;
};

/* --- who, where ------------------------------------------------------------------------------------------------------
 */
static void nonce_read(struct api_ctx *x, struct interaction *ix)
{
    json_t *v = json_object_get(x->body, "nonce");
    struct str s;

    if (json_is_integer(v))
        ix->nonce = arena_printf(x->arena, "%lld", (long long)json_integer_value(v));
    else if (v && !json_is_null(v) && form_str(x, "nonce", FORM_OPTIONAL, 0, 64, &s)) {
        struct buf b = {0};
        jw_str(&b, s);
        ix->nonce = payload_take(x->arena, &b);
    }
}

static const struct user *caller(struct api_ctx *x, const struct api_access *a)
{
    if (!a->is_dm)
        return &a->snap.members[0].user;
    for (unsigned i = 0; i < a->channel->recipient_count; i++)
        if (a->channel->recipients[i].id == x->user_id)
            return &a->channel->recipients[i];
    return NULL;
}

static bool is_recipient(const struct channel *ch, uint64_t user_id)
{
    for (unsigned i = 0; i < ch->recipient_count; i++)
        if (ch->recipients[i].id == user_id)
            return true;
    return false;
}

/* Whether the application's bot is where the interaction is made. */
static enum api_error bot_find(struct api_ctx *x, struct making *m)
{
    if (m->access.is_dm) {
        m->ix.bot_here = is_recipient(m->access.channel, m->app.bot_id);
        return API_OK;
    }
    int r = store_member_get(x->ports->db, x->arena, m->ix.guild_id, m->app.bot_id, &m->bot);
    m->ix.bot_here = r == 0;
    return r < 0 && r != -ENOENT ? api_port_error(r, API_ERROR_UNKNOWN_APPLICATION) : API_OK;
}

static enum api_error place_check(struct api_ctx *x, struct making *m)
{
    struct interaction *ix = &m->ix;
    int r = store_application_get(x->ports->db, x->arena, ix->application_id, &m->app);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_APPLICATION);
    uint64_t needed = ix->type == INTERACTION_COMMAND || ix->type == INTERACTION_AUTOCOMPLETE
                          ? PERMISSION_USE_APPLICATION_COMMANDS
                          : 0;
    enum api_error e = api_access_channel(x, ix->channel_id, 0, &m->access);
    if (e == API_OK && !m->access.is_dm && (m->access.permissions & needed) != needed)
        e = API_ERROR_MISSING_PERMISSIONS;
    if (e != API_OK)
        return e;
    if (ix->guild_id && ix->guild_id != m->access.channel->guild_id)
        return API_ERROR_UNKNOWN_CHANNEL;
    ix->guild_id = m->access.channel->guild_id;
    ix->bot_id = m->app.bot_id;
    ix->user_id = x->user_id;
    return bot_find(x, m);
}

static void user_tell(struct api_ctx *x, struct making *m)
{
    struct buf b = {0};

    user_write(&b, caller(x, &m->access));
    m->ix.user_json = payload_take(x->arena, &b);
}

/* authorizing_integration_owners. user_id 0: no person's installation; the guild's only with the bot in it. */
static struct str owners_write(struct api_ctx *x, const struct interaction *ix, bool of_guild, uint64_t user_id)
{
    struct buf b = {0};

    jw_obj(&b);
    if (of_guild && ix->guild_id)
        jw_kid(&b, "0", ix->guild_id);
    else if (of_guild)
        jw_kcstr(&b, "0", "0");
    if (user_id)
        jw_kid(&b, "1", user_id);
    jw_obj_end(&b);
    return payload_take(x->arena, &b);
}

/* --- commands --------------------------------------------------------------------------------------------------------
 */
/* For whom it was installed, and whether it is for such and for here. */
static enum api_error installation_check(struct api_ctx *x, struct making *m)
{
    enum interaction_context context = !m->access.is_dm ? CONTEXT_GUILD
                                       : m->ix.bot_here ? CONTEXT_BOT_DM
                                                        : CONTEXT_PRIVATE;
    int r = store_user_install_get(x->ports->db, x->arena, x->user_id, m->app.id);

    if (r < 0 && r != -ENOENT)
        return api_port_error(r, API_ERROR_UNKNOWN_APPLICATION);
    if (r < 0 && !m->ix.bot_here)
        return m->access.is_dm ? API_ERROR_MISSING_ACCESS : API_ERROR_UNKNOWN_APPLICATION;
    bool fits = command_fits(&m->cmd, context);
    bool of_user = r == 0 && fits && command_for(&m->cmd, INSTALLED_TO_USER);
    m->of_guild = m->ix.bot_here && fits && command_for(&m->cmd, INSTALLED_TO_GUILD);
    m->ix.owners_json = owners_write(x, &m->ix, m->of_guild, of_user ? x->user_id : 0);
    return of_user || m->of_guild ? API_OK : API_ERROR_UNKNOWN_COMMAND;
}

static bool is_restricted(const struct application_command *cmd)
{
    return str_eq(json_member(cmd->definition_json, STR("nsfw")), STR("true"));
}

static enum api_error command_check(struct api_ctx *x, struct making *m)
{
    struct command_permissions *overwrites = NULL;
    unsigned count = 0;
    int r = 0;
    enum api_error e = installation_check(x, m);

    if (e != API_OK)
        return e;
    if (m->cmd.type == COMMAND_USER && !(m->access.permissions & PERMISSION_SEND_MESSAGES))
        return API_ERROR_MISSING_PERMISSIONS;
    if (is_restricted(&m->cmd) && !m->access.is_dm && !m->access.channel->nsfw)
        return API_ERROR_MISSING_ACCESS;
    if (!m->of_guild) /* the guild has no say in what a person installed */
        return API_OK;
    if (m->ix.guild_id)
        r = store_command_permissions_list(x->ports->db, x->arena, m->app.id, m->ix.guild_id, &overwrites, &count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_GUILD);
    return command_allowed(&m->access, &m->cmd, overwrites, count) ? API_OK : API_ERROR_MISSING_PERMISSIONS;
}

/* x->body is `data`. */
static enum api_error command_load(struct api_ctx *x, struct making *m)
{
    uint64_t id = 0, version = 0;
    int64_t type = 0;

    (void)form_id(x, "id", FORM_REQUIRED, &id);
    (void)form_id(x, "version", FORM_NULLABLE, &version);
    (void)form_i64(x, "type", FORM_NULLABLE, 0, 9, &type);
    if (form_result(x) != API_OK)
        return form_result(x);
    int r = store_command_get(x->ports->db, x->arena, id, &m->cmd);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_COMMAND);
    if (m->cmd.application_id != m->app.id || (m->cmd.guild_id && m->cmd.guild_id != m->ix.guild_id))
        return API_ERROR_UNKNOWN_COMMAND;
    if ((version && version != m->cmd.version) || (type && type != m->cmd.type))
        form_error(x, "", "INTERACTION_APPLICATION_COMMAND_INVALID_VERSION",
                   "This command is outdated, please try again in a few minutes");
    return form_result(x);
}

/* It is also told on the messages that answer. */
static enum api_error target_user_read(struct api_ctx *x, struct making *m, uint64_t id)
{
    struct buf b = {0};
    struct user u;
    int r = store_user_get(x->ports->db, x->arena, id, &u);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    user_write(&b, &u);
    m->ix.target_json = payload_take(x->arena, &b);
    resolve_want(m->resolver, OPTION_USER, id);
    return API_OK;
}

static enum api_error target_read(struct api_ctx *x, struct making *m)
{
    uint64_t id = 0;

    if (!form_id(x, "target_id", FORM_REQUIRED, &id))
        return form_result(x);
    m->ix.target_id = id;
    jw_kid(&m->data, "target_id", id);
    if (m->cmd.type == COMMAND_USER)
        return target_user_read(x, m, id);
    int r = answer_message_get(x, m->ix.channel_id, id, x->user_id, &m->message);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    resolve_message(m->resolver, &m->message);
    return API_OK;
}

static enum api_error command_read_use(struct api_ctx *x, struct making *m)
{
    enum api_error e = command_load(x, m);

    if (e == API_OK)
        e = command_check(x, m);
    if (e != API_OK)
        return e;
    m->ix.command_type = m->cmd.type;
    m->ix.name = m->cmd.name;
    m->resolver = resolver_new(x, &m->ix, &m->access, &m->bot);
    jw_obj(&m->data);
    jw_kid(&m->data, "id", m->cmd.id);
    jw_kstr(&m->data, "name", m->cmd.name);
    jw_ki64(&m->data, "type", m->cmd.type);
    if (m->cmd.guild_id)
        jw_kid(&m->data, "guild_id", m->cmd.guild_id);
    if (m->cmd.type == COMMAND_CHAT_INPUT)
        e = resolve_options(m->resolver, &m->cmd, m->ix.type == INTERACTION_AUTOCOMPLETE, &m->data, &m->ix.name);
    else
        e = target_read(x, m);
    if (e == API_OK)
        e = form_result(x);
    if (e == API_OK)
        e = resolve_write(m->resolver, &m->data);
    jw_obj_end(&m->data);
    return e;
}

/* --- components and modals -------------------------------------------------------------------------------------------
 */
static enum api_error source_write(struct api_ctx *x, struct making *m)
{
    struct buf b = {0};
    enum api_error e = answer_message_write(x, &b, &m->message, m->ix.bot_id);

    m->message_json = payload_take(x->arena, &b);
    return e;
}

static bool is_select(int64_t type)
{
    return type == COMPONENT_STRING_SELECT || (type >= COMPONENT_USER_SELECT && type <= COMPONENT_CHANNEL_SELECT);
}

static void component_write(struct api_ctx *x, struct making *m, json_t *component, struct str custom_id)
{
    int64_t type = json_integer_value(json_object_get(component, "type"));

    jw_obj(&m->data);
    jw_kstr(&m->data, "custom_id", custom_id);
    jw_ki64(&m->data, "component_type", type);
    jw_ki64(&m->data, "id", json_integer_value(json_object_get(component, "id")));
    if (is_select(type)) {
        jw_key(&m->data, "values");
        select_values_read(x, m->resolver, component, json_object_get(x->body, "values"), &m->data);
    }
}

/* x->body is `data`; the message is loaded. */
static enum api_error component_use(struct api_ctx *x, struct making *m)
{
    struct str custom_id = STR_NONE;
    int64_t type = 0;

    (void)form_str(x, "custom_id", FORM_REQUIRED, 1, 100, &custom_id);
    (void)form_i64(x, "component_type", FORM_REQUIRED, 1, 32, &type);
    if (form_result(x) != API_OK)
        return form_result(x);
    json_t *list = json_loadb(m->message.components_json.p, m->message.components_json.n, 0, NULL);
    json_t *component = component_find(list, custom_id);
    if (!component || json_integer_value(json_object_get(component, "type")) != type ||
        json_is_true(json_object_get(component, "disabled"))) {
        json_decref(list);
        form_error(x, "", "COMPONENT_VALIDATION_FAILED", "Component validation failed");
        return form_result(x);
    }
    m->resolver = resolver_new(x, &m->ix, &m->access, &m->bot);
    component_write(x, m, component, custom_id);
    json_decref(list);
    enum api_error e = form_result(x);
    if (e == API_OK)
        e = resolve_write(m->resolver, &m->data);
    jw_obj_end(&m->data);
    return e;
}

/* Those of the interaction that the message answers: who presses need not have installed anything. */
static struct str owners_of_message(struct api_ctx *x, const struct making *m)
{
    struct str meta = json_member(m->message.interaction_json, STR("interaction_metadata"));
    struct str owners = json_member(meta, STR("authorizing_integration_owners"));

    return owners.n ? arena_str(x->arena, owners) : owners_write(x, &m->ix, true, 0);
}

static enum api_error component_read_use(struct api_ctx *x, struct making *m)
{
    int r = answer_message_get(x, m->ix.channel_id, m->ix.source_id, x->user_id, &m->message);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    if (m->message.author_id != m->ix.bot_id)
        return API_ERROR_UNKNOWN_MESSAGE;
    m->ix.owners_json = owners_of_message(x, m);
    enum api_error e = component_use(x, m);
    return e == API_OK ? source_write(x, m) : e;
}

/* What the modal was an answer to is where this one comes from. */
static enum api_error opener_take(struct api_ctx *x, struct making *m, const struct interaction *opener)
{
    if (opener->user_id != x->user_id || opener->channel_id != m->ix.channel_id || opener->application_id != m->app.id)
        return API_ERROR_UNKNOWN_INTERACTION;
    m->ix.source_id = opener->source_id;
    m->ix.owners_json = opener->owners_json;
    m->ix.name = opener->name;
    m->ix.trigger_json =
        arena_str(x->arena, json_member(interaction_metadata(x, opener, 0), STR("interaction_metadata")));
    if (!opener->source_id)
        return API_OK;
    int r = answer_message_get(x, m->ix.channel_id, opener->source_id, x->user_id, &m->message);
    return r == 0 ? source_write(x, m) : API_OK; /* gone meanwhile */
}

static enum api_error modal_use(struct api_ctx *x, struct making *m, json_t *modal)
{
    struct str custom_id = STR_NONE;
    const char *wanted = json_string_value(json_object_get(modal, "custom_id"));

    if (form_str(x, "custom_id", FORM_REQUIRED, 1, 100, &custom_id) && !str_eq(custom_id, str_c(wanted)))
        form_error(x, "custom_id", "COMPONENT_VALIDATION_FAILED", "Component validation failed");
    m->resolver = resolver_new(x, &m->ix, &m->access, &m->bot);
    jw_obj(&m->data);
    jw_kstr(&m->data, "custom_id", custom_id);
    enum api_error e = resolve_uploads(m->resolver);
    if (e == API_OK) {
        modal_values_read(x, m->resolver, modal, &m->data);
        e = form_result(x);
    }
    if (e == API_OK)
        e = resolve_write(m->resolver, &m->data);
    jw_obj_end(&m->data);
    return e;
}

static enum api_error modal_read_use(struct api_ctx *x, struct making *m)
{
    struct interaction opener;
    json_t *modal = NULL;
    uint64_t id = 0;

    if (!form_id(x, "id", FORM_REQUIRED, &id))
        return form_result(x);
    int r = interaction_modal_get(x, id, &opener, &modal);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_INTERACTION);
    enum api_error e = opener_take(x, m, &opener);
    if (e == API_OK)
        e = modal_use(x, m, modal);
    json_decref(modal);
    if (e == API_OK)
        interaction_modal_drop(x, id);
    return e;
}

/* --- all of it -------------------------------------------------------------------------------------------------------
 */
static enum api_error head_read(struct api_ctx *x, struct making *m)
{
    int64_t type = 0;

    (void)form_i64(x, "type", FORM_REQUIRED, INTERACTION_COMMAND, INTERACTION_MODAL_SUBMIT, &type);
    (void)form_id(x, "application_id", FORM_REQUIRED, &m->ix.application_id);
    (void)form_id(x, "channel_id", FORM_REQUIRED, &m->ix.channel_id);
    (void)form_id(x, "guild_id", FORM_NULLABLE, &m->ix.guild_id);
    if (type == INTERACTION_COMPONENT)
        (void)form_id(x, "message_id", FORM_REQUIRED, &m->ix.source_id);
    nonce_read(x, &m->ix);
    (void)form_object(x, "data", FORM_REQUIRED);
    m->ix.type = (int)type;
    return form_result(x);
}

static enum api_error data_read(struct api_ctx *x, struct making *m)
{
    struct form_scope before = form_enter(x, json_object_get(x->body, "data"), "data");
    enum api_error e = m->ix.type == INTERACTION_COMPONENT      ? component_read_use(x, m)
                       : m->ix.type == INTERACTION_MODAL_SUBMIT ? modal_read_use(x, m)
                                                                : command_read_use(x, m);

    form_leave(x, before);
    return e;
}

/* The person's client hears that it is under way, then the application that it is there. */
static enum api_error send(struct api_ctx *x, struct making *m)
{
    struct str data = payload_take(x->arena, &m->data);
    int r;

    m->ix.id = snowflake_next();
    interaction_token_make(x, &m->ix);
    r = interaction_put(x, &m->ix);
    if (r == 0)
        r = pending_add(x, &m->ix);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNAVAILABLE);
    if (m->ix.type != INTERACTION_AUTOCOMPLETE)
        interaction_tell_user(x, &m->ix, EVENT_INTERACTION_CREATE, interaction_head(x, &m->ix));
    struct str payload = interaction_payload(x, &m->ix, &m->access, &m->bot, data, m->message_json);
    if (m->app.interactions_endpoint_url.n)
        interaction_post(x, &m->ix, m->app.interactions_endpoint_url, payload);
    else
        return interaction_dispatch(x, &m->ix, payload);
    return API_OK;
}

enum api_error interaction_create(struct api_ctx *x)
{
    struct making *m = ARENA_NEW(x->arena, struct making);
    enum api_error e = head_read(x, m);

    if (e == API_OK)
        e = place_check(x, m);
    if (e == API_OK) {
        user_tell(x, m);
        e = data_read(x, m);
    }
    if (e == API_OK)
        e = send(x, m);
    resolver_done(m->resolver);
    buf_done(&m->data);
    return e;
}
