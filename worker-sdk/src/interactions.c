/* Interactions: what came with one, and its answers. Coroutine. */
#include "worker-sdk/src/interactions.h"

#include "worker-sdk/src/rest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- what came --- */

const struct gh_user *gh_interaction_user(const struct gh_interaction *i)
{
    static const struct gh_user nobody = {.username = "", .global_name = "", .avatar = ""};
    return i->member ? &i->member->user : i->user ? i->user : &nobody;
}

static bool is_subcommand(const struct gh_option *o)
{
    return o->type == GH_OPTION_SUBCOMMAND || o->type == GH_OPTION_GROUP;
}

/* The options that hold values: the command's own, or its subcommand's. */
static const struct gh_option *leaves(const struct gh_interaction *i, size_t *ret_count)
{
    const struct gh_option *o = i->data.options;
    *ret_count = i->data.options_count;
    while (*ret_count && is_subcommand(o)) {
        *ret_count = o->options_count;
        o = o->options;
    }
    return o;
}

const char *gh_command_path(struct gh_context *c, const struct gh_interaction *i)
{
    const char *path = i->data.name;
    const struct gh_option *o = i->data.options;
    for (size_t n = i->data.options_count; n && is_subcommand(o); n = o->options_count, o = o->options)
        path = gh_printf(c, "%s %s", path, o->name);
    return path;
}

const struct gh_option *gh_option_find(const struct gh_interaction *i, const char *name)
{
    size_t count;
    const struct gh_option *o = leaves(i, &count);
    for (; count; count--, o++)
        if (strcmp(o->name, name) == 0)
            return o;
    return NULL;
}

const struct gh_option *gh_focused(const struct gh_interaction *i)
{
    size_t count;
    const struct gh_option *o = leaves(i, &count);
    for (; count; count--, o++)
        if (o->focused)
            return o;
    return NULL;
}

static const struct gh_json *value_of(const struct gh_interaction *i, const char *name)
{
    const struct gh_option *o = gh_option_find(i, name);
    return o ? o->value : NULL;
}

const char *gh_option_text(const struct gh_interaction *i, const char *name)
{
    return gh_json_text(value_of(i, name));
}

int64_t gh_option_number(const struct gh_interaction *i, const char *name)
{
    return gh_json_number(value_of(i, name));
}

double gh_option_real(const struct gh_interaction *i, const char *name)
{
    return gh_json_real(value_of(i, name));
}

bool gh_option_flag(const struct gh_interaction *i, const char *name)
{
    return gh_json_flag(value_of(i, name));
}

uint64_t gh_option_id(const struct gh_interaction *i, const char *name)
{
    return gh_json_id(value_of(i, name));
}

static json_t *resolved(const struct gh_interaction *i, const char *kind, uint64_t id)
{
    char key[24];
    snprintf(key, sizeof key, "%llu", (unsigned long long)id);
    return (json_t *)(uintptr_t)gh_json_get(gh_json_get(i->data.resolved.json, kind), key);
}

#define RESOLVED(entity, kind)                                                                                         \
    const struct gh_##entity *gh_resolved_##entity(struct gh_context *c, const struct gh_interaction *i, uint64_t id)  \
    {                                                                                                                  \
        json_t *o = resolved(i, kind, id);                                                                             \
        return o ? ENTITY_READ(c, entity, o) : NULL;                                                                   \
    }
RESOLVED(user, "users")
RESOLVED(role, "roles")
RESOLVED(channel, "channels")
RESOLVED(message, "messages")
RESOLVED(attachment, "attachments")

/* Members come without their user, which stands beside them. */
const struct gh_member *gh_resolved_member(struct gh_context *c, const struct gh_interaction *i, uint64_t id)
{
    json_t *o = resolved(i, "members", id);
    struct gh_member *m = o ? ENTITY_READ(c, member, o) : NULL;
    if (m && !m->user.id) {
        m->user = *ENTITY_READ(c, user, resolved(i, "users", id));
        m->guild_id = i->guild_id;
    }
    return m;
}

const char *gh_custom_rest(const struct gh_interaction *i)
{
    const char *colon = strchr(i->data.custom_id, ':');
    return colon ? colon + 1 : "";
}

static const char *input_find(const struct gh_component *all, size_t count, const char *custom_id)
{
    for (size_t i = 0; i < count; i++) {
        const char *found = strcmp(all[i].custom_id, custom_id) == 0 ? all[i].value
                            : all[i].component                       ? input_find(all[i].component, 1, custom_id)
                                               : input_find(all[i].components, all[i].components_count, custom_id);
        if (found)
            return found;
    }
    return NULL;
}

const char *gh_modal_text(const struct gh_interaction *i, const char *custom_id)
{
    const char *text = *custom_id ? input_find(i->data.components, i->data.components_count, custom_id) : NULL;
    return text ? text : "";
}

/* --- the first answer --- */

enum { SAY = 4, DEFER, DEFER_UPDATE, UPDATE, SUGGEST, MODAL };

/* data: given up, may be NULL. */
static int answer(struct gh_context *c, const struct gh_interaction *i, int type, json_t *data,
                  const struct gh_call *call)
{
    struct gh_call own = call ? *call : (struct gh_call){0};
    json_t *o = context_keep(c, json_pack("{s:i}", "type", type));
    if (data)
        json_object_set_new(o, "data", data);
    own.priority = GH_PRIORITY_HIGH;
    int error = gh_create_interaction_response(c, i->id, i->token, (struct gh_json *)o, &own, NULL);
    bool again = c->call_repeated || c->attempt > 0 || (c->item && c->item->event.redelivered);
    return error && again && c->error.code == GH_CODE_INTERACTION_HAS_ALREADY_BEEN_ACKNOWLEDGED ? 0 : error;
}

int gh_respond(struct gh_context *c, const struct gh_interaction *i, const struct gh_message_body *message,
               const struct gh_call *call)
{
    return answer(c, i, SAY, entity_write(ENTITY_message_body, message), call);
}

static int say(struct gh_context *c, const struct gh_interaction *i, int64_t flags, const char *fmt, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        return -ENOMEM;
    int error = gh_respond(c, i, &(struct gh_message_body){.content = text, .flags = flags}, NULL);
    free(text);
    return error;
}

int gh_say(struct gh_context *c, const struct gh_interaction *i, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int error = say(c, i, 0, fmt, args);
    va_end(args);
    return error;
}

int gh_whisper(struct gh_context *c, const struct gh_interaction *i, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int error = say(c, i, GH_MESSAGE_EPHEMERAL, fmt, args);
    va_end(args);
    return error;
}

int gh_defer(struct gh_context *c, const struct gh_interaction *i, int64_t flags)
{
    return answer(c, i, DEFER, flags ? json_pack("{s:I}", "flags", (json_int_t)flags) : NULL, NULL);
}

int gh_defer_update(struct gh_context *c, const struct gh_interaction *i)
{
    return answer(c, i, DEFER_UPDATE, NULL, NULL);
}

int gh_update(struct gh_context *c, const struct gh_interaction *i, const struct gh_message_body *message,
              const struct gh_call *call)
{
    return answer(c, i, UPDATE, entity_write(ENTITY_message_body, message), call);
}

json_t *choice_write(const struct gh_command_choice *choice, int64_t option_type)
{
    json_t *o = entity_write(ENTITY_command_choice, choice);
    const char *text = choice->value ? choice->value : "";
    if (option_type == GH_OPTION_INTEGER)
        json_object_set_new(o, "value", json_integer(strtoll(text, NULL, 10)));
    else if (option_type == GH_OPTION_REAL)
        json_object_set_new(o, "value", json_real(strtod(text, NULL)));
    else
        json_object_set_new(o, "value", json_string(text));
    return o;
}

int gh_suggest(struct gh_context *c, const struct gh_interaction *i, const struct gh_command_choice *choices,
               size_t count)
{
    const struct gh_option *o = gh_focused(i);
    json_t *all = json_array();
    for (size_t n = 0; n < count; n++)
        json_array_append_new(all, choice_write(&choices[n], o ? o->type : 0));
    return answer(c, i, SUGGEST, json_pack("{s:o}", "choices", all), NULL);
}

int gh_show_modal(struct gh_context *c, const struct gh_interaction *i, const struct gh_modal *modal)
{
    return answer(c, i, MODAL, entity_write(ENTITY_modal, modal), NULL);
}

/* --- afterwards --- */

static struct gh_call urgent(const struct gh_call *call)
{
    struct gh_call own = call ? *call : (struct gh_call){0};
    own.priority = GH_PRIORITY_HIGH;
    return own;
}

int gh_answer_get(struct gh_context *c, const struct gh_interaction *i, const struct gh_message **ret)
{
    struct gh_call call = urgent(NULL);
    return gh_get_original_interaction_response(c, i->application_id, i->token, &call, ret);
}

int gh_answer_edit(struct gh_context *c, const struct gh_interaction *i, const struct gh_message_body *message,
                   const struct gh_call *call, const struct gh_message **ret)
{
    struct gh_call own = urgent(call);
    own.repeatable = true;
    return gh_edit_original_interaction_response(c, i->application_id, i->token, message, &own, ret);
}

int gh_answer_delete(struct gh_context *c, const struct gh_interaction *i)
{
    struct gh_call call = urgent(NULL);
    return gh_delete_original_interaction_response(c, i->application_id, i->token, &call);
}

int gh_followup(struct gh_context *c, const struct gh_interaction *i, const struct gh_message_body *message,
                const struct gh_call *call, const struct gh_message **ret)
{
    struct gh_call own = urgent(call);
    return gh_create_followup_message(c, i->application_id, i->token, message, &own, ret);
}

int gh_followup_edit(struct gh_context *c, const struct gh_interaction *i, uint64_t message_id,
                     const struct gh_message_body *message, const struct gh_call *call, const struct gh_message **ret)
{
    struct gh_call own = urgent(call);
    own.repeatable = true;
    return gh_edit_followup_message(c, i->application_id, i->token, message_id, message, &own, ret);
}

int gh_followup_delete(struct gh_context *c, const struct gh_interaction *i, uint64_t message_id)
{
    struct gh_call call = urgent(NULL);
    return gh_delete_followup_message(c, i->application_id, i->token, message_id, &call);
}
