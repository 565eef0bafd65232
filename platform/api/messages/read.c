/* GET of one message and of a channel's history; typing. Coroutine. */
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/messages/messages.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

static enum api_error page_answer(struct api_ctx *x, struct message *messages, unsigned count)
{
    struct message_page page;
    int r = message_page_load(x, messages, count, x->user_id, &page);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    message_page_write(x, api_out(x), &page);
    message_page_done(&page);
    return API_OK;
}

enum api_error messages_list(struct api_ctx *x)
{
    struct api_access access;
    enum api_error e = api_access_channel(x, x->ids[0], 0, &access);
    if (e != API_OK)
        return e;
    enum store_list how = STORE_LATEST;
    uint64_t id = 0;
    int64_t limit = 50;
    (void)query_i64(x, "limit", 1, 100, &limit);
    if (query_id(x, "around", &id))
        how = STORE_AROUND;
    else if (query_id(x, "before", &id))
        how = STORE_BEFORE;
    else if (query_id(x, "after", &id))
        how = STORE_AFTER;
    e = form_result(x);
    if (e != API_OK)
        return e;
    struct message *messages = NULL;
    unsigned count = 0;
    if (access.permissions & PERMISSION_READ_MESSAGE_HISTORY) {
        int r = store_messages_list(x->ports->db, x->arena, x->ids[0], how, id, (unsigned)limit, &messages, &count);
        if (r < 0)
            return api_port_error(r, API_ERROR_UNKNOWN_CHANNEL);
    }
    return page_answer(x, messages, count);
}

enum api_error message_get(struct api_ctx *x)
{
    struct api_access access;
    enum api_error e = api_access_channel(x, x->ids[0], PERMISSION_READ_MESSAGE_HISTORY, &access);
    if (e != API_OK)
        return e;
    struct message m;
    struct message_page page;
    int r = store_message_get(x->ports->db, x->arena, x->ids[0], x->ids[1], &m);
    if (r == 0)
        r = message_page_load(x, &m, 1, x->user_id, &page);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    message_write(x, api_out(x), &page, 0);
    message_page_done(&page);
    return API_OK;
}

static void typing_event(struct api_ctx *x, const struct api_access *access, uint64_t topic, bool topic_is_user)
{
    struct buf b = BUF_INIT(64u << 10);
    message_event_head(&b, access->channel);
    jw_kid(&b, "user_id", x->user_id);
    jw_ki64(&b, "timestamp", clock_wall_ms() / 1000);
    if (access->snap.member_count) {
        jw_key(&b, "member");
        member_write(&b, &access->snap.members[0], true);
    }
    jw_obj_end(&b);
    struct event e = {.id = snowflake_next(),
                      .type = EVENT_TYPING_START,
                      .topic = topic,
                      .topic_is_user = topic_is_user,
                      .channel_id = access->channel->id,
                      .user_id = x->user_id,
                      .data = message_payload(x->arena, &b)};
    commit_publish_transient(x->arena, x->ports, &e);
}

enum api_error channel_typing(struct api_ctx *x)
{
    struct api_access access;
    enum api_error e = api_access_channel(x, x->ids[0], PERMISSION_SEND_MESSAGES, &access);
    if (e != API_OK)
        return e;
    const struct channel *ch = access.channel;
    if (!channel_is_text(ch->type))
        return API_ERROR_CANNOT_SEND_IN_NON_TEXT;
    if (ch->guild_id)
        typing_event(x, &access, ch->guild_id, false);
    for (unsigned i = 0; !ch->guild_id && i < ch->recipient_count; i++)
        typing_event(x, &access, ch->recipients[i].id, true);
    return API_OK;
}
