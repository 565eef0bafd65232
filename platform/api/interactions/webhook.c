/* What an application does with an interaction's token after its first answer: reads, changes and deletes that answer,
 * sends further messages. Coroutine. Source: "Receiving and Responding: Followup Messages". */
#include "platform/api/interactions/interactions.h"

#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/messages/messages.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <stdio.h>

struct using
{
    struct interaction ix;
    struct interaction_answer answer;
    struct api_access access;
    struct message message;
    bool refused; /* the 429 stands already */
};

/* Who asks, and that there was a first answer. */
static enum api_error begin(struct api_ctx *x, struct using *u)
{
    enum api_error e = interaction_find(x, x->texts[1], x->ids[0], &u->ix, &u->refused);

    if (e != API_OK || u->refused)
        return e;
    int r = interaction_answer_get(x, &u->ix, &u->answer);
    if (r < 0 || !u->answer.type)
        return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_WEBHOOK) : API_ERROR_UNKNOWN_WEBHOOK;
    return answer_access(x, &u->ix, &u->access);
}

/* The message must be an answer to this interaction. */
static bool is_ours(const struct using *u)
{
    struct str meta = json_member(u->message.interaction_json, STR("interaction_metadata"));

    return u->message.id == u->answer.message_id ||
           (u->message.webhook_id == u->ix.application_id && json_member_id(meta, STR("id")) == u->ix.id);
}

/* message_id 0: the first answer. */
static enum api_error find(struct api_ctx *x, struct using *u, uint64_t message_id)
{
    enum api_error e = begin(x, u);

    if (e != API_OK || u->refused)
        return e;
    if (!message_id)
        message_id = u->answer.message_id;
    if (!message_id)
        return API_ERROR_UNKNOWN_MESSAGE;
    int r = answer_message_get(x, u->ix.channel_id, message_id, u->ix.user_id, &u->message);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    return is_ours(u) ? API_OK : API_ERROR_UNKNOWN_MESSAGE;
}

static enum api_error get(struct api_ctx *x, uint64_t message_id)
{
    struct using u = {0};
    enum api_error e = find(x, &u, message_id);

    if (e != API_OK || u.refused)
        return e;
    return answer_message_write(x, api_out(x), &u.message, u.ix.bot_id);
}

/* What was only loading is there now. */
static enum api_error change(struct api_ctx *x, struct using *u)
{
    u->message.flags &= ~(int64_t)MESSAGE_LOADING;
    u->message.edited_ms = clock_wall_ms();
    enum api_error e = answer_read(x, &u->access, false, &u->message);
    return e == API_OK ? answer_save(x, &u->ix, &u->access, false, &u->message) : e;
}

static enum api_error modify(struct api_ctx *x, uint64_t message_id)
{
    struct using u = {0};
    enum api_error e = find(x, &u, message_id);

    return e != API_OK || u.refused ? e : change(x, &u);
}

static enum api_error drop(struct api_ctx *x, uint64_t message_id)
{
    struct using u = {0};
    struct buf b = {0};
    struct commit c;
    enum api_error e = find(x, &u, message_id);

    if (e != API_OK || u.refused)
        return e;
    bool ephemeral = u.message.flags & MESSAGE_EPHEMERAL;
    message_event_head(&b, u.access.channel);
    jw_kid(&b, "id", u.message.id);
    jw_obj_end(&b);
    struct str data = payload_take(x->arena, &b);
    commit_init(&c, x->arena);
    if (ephemeral) {
        int r = ephemeral_drop(x, u.message.id);
        if (r < 0 && r != -ENOENT)
            return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
        struct event *event = commit_event(&c, EVENT_MESSAGE_DELETE, u.ix.user_id, true);
        event->channel_id = u.message.channel_id;
        event->user_id = u.message.author_id;
        event->data = data;
    } else {
        store_message_delete(&c, u.message.channel_id, u.message.id);
        message_event(&c, EVENT_MESSAGE_DELETE, u.access.channel, u.message.author_id, data, NULL, 0);
    }
    e = api_commit(x, &c, API_ERROR_UNKNOWN_MESSAGE);
    if (e == API_OK)
        attachments_delete(x, &u.message);
    return e;
}

enum api_error webhook_original_get(struct api_ctx *x)
{
    return get(x, 0);
}

enum api_error webhook_original_modify(struct api_ctx *x)
{
    return modify(x, 0);
}

enum api_error webhook_original_delete(struct api_ctx *x)
{
    return drop(x, 0);
}

enum api_error webhook_message_get(struct api_ctx *x)
{
    return get(x, x->ids[2]);
}

enum api_error webhook_message_modify(struct api_ctx *x)
{
    return modify(x, x->ids[2]);
}

enum api_error webhook_message_delete(struct api_ctx *x)
{
    return drop(x, x->ids[2]);
}

/* The first one after a deferred answer fills that in, as documented. */
static bool fills_in(struct api_ctx *x, struct using *u)
{
    return u->answer.type == CALLBACK_DEFERRED_MESSAGE &&
           answer_message_get(x, u->ix.channel_id, u->answer.message_id, u->ix.user_id, &u->message) == 0 &&
           (u->message.flags & MESSAGE_LOADING);
}

/* Where nobody asked the guild for the application, it may not go on and on. */
static enum api_error followups_left(struct api_ctx *x, const struct interaction *ix)
{
    char key[64];
    struct kv_bucket bucket = {.key = key, .limit = LIMIT_USER_FOLLOWUPS, .window_ms = LIMIT_INTERACTION_MS};
    struct kv_bucket_state state;

    if (!interaction_of_user(ix))
        return API_OK;
    snprintf(key, sizeof key, "followups:%llu", (unsigned long long)ix->id);
    int r = kv_buckets_take(x->ports->kv, &bucket, 1, &state);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNAVAILABLE);
    return state.allowed ? API_OK : API_ERROR_MAX_FOLLOWUPS;
}

enum api_error webhook_execute(struct api_ctx *x)
{
    struct using u = {0};
    int64_t flags = 0;
    enum api_error e = begin(x, &u);

    if (e != API_OK || u.refused)
        return e;
    if (fills_in(x, &u))
        return change(x, &u);
    e = followups_left(x, &u.ix);
    if (e != API_OK)
        return e;
    (void)form_i64(x, "flags", FORM_NULLABLE, 0, INT32_MAX, &flags);
    u.message = (struct message){.id = snowflake_next(),
                                 .channel_id = u.ix.channel_id,
                                 .guild_id = u.ix.guild_id,
                                 .author_id = u.ix.bot_id,
                                 .webhook_id = u.ix.application_id,
                                 .flags = answer_ephemeral(&u.ix, &u.access, flags),
                                 .type = u.answer.message_id ? MESSAGE_REPLY : MESSAGE_DEFAULT,
                                 .reference_id = u.answer.message_id,
                                 .interaction_json = interaction_metadata(x, &u.ix, u.answer.message_id)};
    if (u.answer.message_id)
        u.message.reference_json = answer_reference(x, &u.ix, u.answer.message_id);
    e = answer_read(x, &u.access, true, &u.message);
    return e == API_OK ? answer_save(x, &u.ix, &u.access, true, &u.message) : e;
}
