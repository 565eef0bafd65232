/* The first answer to an interaction, of every type. Whoever claims the answer in kv has given it; the person's client
 * hears that it came. Coroutine. Source: "Receiving and Responding: Interaction Response Object". */
#include "platform/api/interactions/interactions.h"

#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/messages/messages.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/snowflake.h"
#include "platform/protocol/json_text.h"

#include <errno.h>

struct answering {
    const struct interaction *ix;
    struct api_access access; /* the bot's */
    struct interaction_answer answer;
    struct message message;
    struct str extra; /* choices, or a modal */
};

static bool fits(const struct interaction *ix, int64_t type)
{
    bool typing = ix->type == INTERACTION_AUTOCOMPLETE;

    switch ((enum callback_type)type) {
    case CALLBACK_MESSAGE:
    case CALLBACK_DEFERRED_MESSAGE:
        return !typing;
    case CALLBACK_DEFERRED_UPDATE:
    case CALLBACK_UPDATE:
        return !typing && ix->source_id;
    case CALLBACK_AUTOCOMPLETE:
        return typing;
    case CALLBACK_MODAL:
        return !typing && ix->type != INTERACTION_MODAL_SUBMIT;
    case CALLBACK_PONG:             /* answers a PING only, which comes to endpoints */
    case CALLBACK_PREMIUM_REQUIRED: /* for apps with monetization; there is none here */
    case CALLBACK_LAUNCH_ACTIVITY:
        break;
    }
    return false;
}

/* Says which types would do, as the original does. */
static enum api_error type_read(struct api_ctx *x, const struct interaction *ix, int64_t *ret)
{
    struct buf b = BUF_INIT(128);

    if (!form_i64(x, "type", FORM_REQUIRED, INT32_MIN, INT32_MAX, ret) || fits(ix, *ret))
        return form_result(x);
    if (*ret == CALLBACK_LAUNCH_ACTIVITY && ix->type != INTERACTION_AUTOCOMPLETE)
        return API_ERROR_INVALID_ACTIVITY_ACTION; /* no application here is an Activity */
    for (int type = CALLBACK_MESSAGE; type <= CALLBACK_MODAL; type++)
        if (fits(ix, type))
            buf_addf(&b, "%s%d", b.len ? ", " : "", type);
    form_error(x, "type", "BASE_TYPE_CHOICES",
               arena_printf(x->arena, "Value must be one of {%.*s}.", STR_ARG(buf_str(&b))).p);
    buf_done(&b);
    return form_result(x);
}

/* UNKNOWN_INTERACTION: too late. ALREADY_ACKNOWLEDGED. */
static enum api_error time_check(struct api_ctx *x, const struct interaction *ix)
{
    struct interaction_answer before;
    int r = interaction_answer_get(x, ix, &before);

    if (r == 0)
        return before.type ? API_ERROR_ALREADY_ACKNOWLEDGED : API_ERROR_UNKNOWN_INTERACTION;
    if (r != -ENOENT)
        return api_port_error(r, API_ERROR_UNKNOWN_INTERACTION);
    return clock_wall_ms() > snowflake_ms(ix->id) + interaction_first_ms(x->options) ? API_ERROR_UNKNOWN_INTERACTION
                                                                                     : API_OK;
}

/* --- reading each type; x->body is `data` ----------------------------------------------------------------------------
 */
static void message_begin(struct api_ctx *x, struct answering *a)
{
    const struct interaction *ix = a->ix;
    int64_t flags = 0;

    (void)form_i64(x, "flags", FORM_NULLABLE, 0, INT32_MAX, &flags);
    flags = answer_ephemeral(ix, &a->access, flags);
    a->message = (struct message){.id = snowflake_next(),
                                  .channel_id = ix->channel_id,
                                  .guild_id = ix->guild_id,
                                  .author_id = ix->bot_id,
                                  .webhook_id = ix->application_id,
                                  .flags = flags,
                                  .type = ix->command_type > COMMAND_CHAT_INPUT ? MESSAGE_CONTEXT_MENU_COMMAND
                                                                                : MESSAGE_CHAT_INPUT_COMMAND,
                                  .interaction_json = interaction_metadata(x, ix, 0)};
    uint64_t answered = ix->source_id ? ix->source_id : ix->command_type == COMMAND_MESSAGE ? ix->target_id : 0;
    if (ix->source_id)
        a->message.type = MESSAGE_REPLY;
    if (answered) {
        a->message.reference_id = answered;
        a->message.reference_json = answer_reference(x, ix, answered);
    }
    a->answer.message_id = a->message.id;
    a->answer.ephemeral = flags;
}

static enum api_error update_read(struct api_ctx *x, struct answering *a)
{
    int r = answer_message_get(x, a->ix->channel_id, a->ix->source_id, a->ix->user_id, &a->message);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    a->answer.message_id = a->message.id;
    a->answer.ephemeral = a->message.flags & MESSAGE_EPHEMERAL;
    if (a->answer.type == CALLBACK_DEFERRED_UPDATE)
        return API_OK;
    a->message.edited_ms = clock_wall_ms();
    return answer_read(x, &a->access, false, &a->message);
}

static void choice_read(struct api_ctx *x, struct buf *out)
{
    json_t *v = json_object_get(x->body, "value");
    struct str name = STR_NONE;

    (void)form_str(x, "name", FORM_REQUIRED, 1, 100, &name);
    if (!json_is_string(v) && !json_is_number(v))
        form_error(x, "value", "BASE_TYPE_REQUIRED", "This field is required");
    else if (json_is_string(v) && utf8_count((struct str){json_string_value(v), json_string_length(v)}) > 100)
        form_error(x, "value", "BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length.");
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    jw_obj(out);
    jw_kstr(out, "name", name);
    jw_kraw(out, "value", str_c(text));
    jw_obj_end(out);
    free(text);
}

static enum api_error choices_read(struct api_ctx *x, struct answering *a)
{
    json_t *list = form_array(x, "choices", FORM_REQUIRED, 25), *c;
    struct buf b = {0};
    size_t i;

    jw_obj(&b);
    if (a->ix->nonce.n)
        jw_kraw(&b, "nonce", a->ix->nonce);
    jw_karr(&b, "choices");
    json_array_foreach(list, i, c)
    {
        struct form_scope before = form_enter(x, c, "choices.%zu", i);
        choice_read(x, &b);
        form_leave(x, before);
    }
    jw_arr_end(&b);
    jw_obj_end(&b);
    a->extra = payload_take(x->arena, &b);
    return form_result(x);
}

static enum api_error callback_read(struct api_ctx *x, struct answering *a)
{
    switch ((enum callback_type)a->answer.type) {
    case CALLBACK_MESSAGE:
        message_begin(x, a);
        return answer_read(x, &a->access, true, &a->message);
    case CALLBACK_DEFERRED_MESSAGE:
        message_begin(x, a);
        a->message.flags |= MESSAGE_LOADING;
        return form_result(x);
    case CALLBACK_DEFERRED_UPDATE:
    case CALLBACK_UPDATE:
        return update_read(x, a);
    case CALLBACK_AUTOCOMPLETE:
        return choices_read(x, a);
    case CALLBACK_MODAL:
        a->extra = modal_read(x);
        return form_result(x);
    case CALLBACK_PONG:
    case CALLBACK_PREMIUM_REQUIRED:
    case CALLBACK_LAUNCH_ACTIVITY:
        break;
    }
    return form_result(x);
}

/* --- carrying it out -------------------------------------------------------------------------------------------------
 */
static void modal_tell(struct api_ctx *x, const struct answering *a)
{
    const struct interaction *ix = a->ix;
    struct application app;
    struct buf b = {0};

    jw_obj(&b);
    jw_kid(&b, "id", ix->id);
    if (ix->nonce.n)
        jw_kraw(&b, "nonce", ix->nonce);
    jw_kid(&b, "channel_id", ix->channel_id);
    if (ix->guild_id)
        jw_kid(&b, "guild_id", ix->guild_id);
    (void)json_members_copy(&b, a->extra, NULL, 0);
    if (store_application_get(x->ports->db, x->arena, ix->application_id, &app) == 0) {
        jw_kobj(&b, "application");
        jw_kid(&b, "id", app.id);
        jw_kstr(&b, "name", app.name);
        jw_kstr(&b, "icon", app.icon);
        jw_obj_end(&b);
    }
    jw_obj_end(&b);
    interaction_tell_user(x, ix, EVENT_INTERACTION_MODAL_CREATE, payload_take(x->arena, &b));
}

static enum api_error carry_out(struct api_ctx *x, struct answering *a)
{
    int r;

    switch ((enum callback_type)a->answer.type) {
    case CALLBACK_MESSAGE:
    case CALLBACK_DEFERRED_MESSAGE:
        return answer_save(x, a->ix, &a->access, true, &a->message);
    case CALLBACK_UPDATE:
        return answer_save(x, a->ix, &a->access, false, &a->message);
    case CALLBACK_AUTOCOMPLETE:
        interaction_tell_user(x, a->ix, EVENT_APPLICATION_COMMAND_AUTOCOMPLETE_RESPONSE, a->extra);
        return API_OK;
    case CALLBACK_MODAL:
        r = interaction_modal_put(x, a->ix, a->extra);
        if (r < 0)
            return api_port_error(r, API_ERROR_UNAVAILABLE);
        modal_tell(x, a);
        return API_OK;
    case CALLBACK_DEFERRED_UPDATE:
    case CALLBACK_PONG:
    case CALLBACK_PREMIUM_REQUIRED:
    case CALLBACK_LAUNCH_ACTIVITY:
        break;
    }
    return API_OK;
}

static bool makes_message(int type)
{
    return type == CALLBACK_MESSAGE || type == CALLBACK_UPDATE;
}

/* The answer's body: what the message was written as goes into it, or away. */
static void response_write(struct api_ctx *x, const struct answering *a, bool with_response)
{
    struct str message = makes_message(a->answer.type) ? arena_str(x->arena, buf_str(api_out(x))) : STR_NONE;
    struct buf *out = api_out(x);

    buf_clear(out);
    if (!with_response)
        return;
    jw_obj(out);
    jw_kobj(out, "interaction");
    jw_kid(out, "id", a->ix->id);
    jw_ki64(out, "type", a->ix->type);
    if (a->answer.message_id) {
        jw_kid(out, "response_message_id", a->answer.message_id);
        jw_kbool(out, "response_message_loading", a->answer.type == CALLBACK_DEFERRED_MESSAGE);
        jw_kbool(out, "response_message_ephemeral", a->answer.ephemeral);
    }
    jw_obj_end(out);
    jw_kobj(out, "resource");
    jw_ki64(out, "type", a->answer.type);
    if (message.n)
        jw_kraw(out, "message", message);
    jw_obj_end(out);
    jw_obj_end(out);
}

static enum api_error answer_give(struct api_ctx *x, struct answering *a)
{
    int r = interaction_answer_claim(x, a->ix, &a->answer);

    if (r < 0)
        return r == -EEXIST ? API_ERROR_ALREADY_ACKNOWLEDGED : api_port_error(r, API_ERROR_UNAVAILABLE);
    enum api_error e = carry_out(x, a);
    if (e != API_OK) {
        interaction_answer_withdraw(x, a->ix);
        return e;
    }
    if (a->answer.type < CALLBACK_AUTOCOMPLETE)
        interaction_tell_user(x, a->ix, EVENT_INTERACTION_SUCCESS, interaction_head(x, a->ix));
    return API_OK;
}

enum api_error interaction_answer(struct api_ctx *x, const struct interaction *ix, bool with_response)
{
    struct answering *a = ARENA_NEW(x->arena, struct answering);
    int64_t type = 0;

    a->ix = ix;
    enum api_error e = type_read(x, ix, &type);
    if (e == API_OK)
        e = time_check(x, ix);
    if (e == API_OK)
        e = answer_access(x, ix, &a->access);
    if (e != API_OK)
        return e;
    a->answer.type = (int)type;
    struct form_scope before = form_enter(x, form_object(x, "data", FORM_NULLABLE), "data");
    e = callback_read(x, a);
    form_leave(x, before);
    if (e == API_OK)
        e = form_result(x);
    if (e == API_OK)
        e = answer_give(x, a);
    if (e == API_OK)
        response_write(x, a, with_response);
    return e;
}

enum api_error interaction_callback(struct api_ctx *x)
{
    struct interaction ix;
    bool with_response = false, refused;
    enum api_error e = interaction_find(x, x->texts[1], 0, &ix, &refused);

    if (refused)
        return API_OK;
    if (e == API_ERROR_UNKNOWN_WEBHOOK || e == API_ERROR_INVALID_WEBHOOK_TOKEN)
        return API_ERROR_UNKNOWN_INTERACTION;
    if (e != API_OK)
        return e;
    (void)query_bool(x, "with_response", &with_response);
    return ix.id == x->ids[0] ? interaction_answer(x, &ix, with_response) : API_ERROR_UNKNOWN_INTERACTION;
}
