/* DELETE of one message, bulk-delete. Coroutine. */
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/handlers.h"
#include "platform/api/messages/messages.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#define BULK_DELETE_AGE_MS (14 * 24 * 3600000LL)

/* {"channel_id","count"}; channel_id 0: left out. */
static struct str audit_options(struct api_ctx *x, uint64_t channel_id, unsigned count)
{
    struct buf b = {0};

    jw_obj(&b);
    if (channel_id)
        jw_kid(&b, "channel_id", channel_id);
    jw_kid(&b, "count", count); /* in quotes, as documented */
    jw_obj_end(&b);
    return payload_take(x->arena, &b);
}

enum api_error message_delete(struct api_ctx *x)
{
    struct api_access access;
    struct message m;
    enum api_error e = api_access_channel(x, x->ids[0], 0, &access);
    if (e != API_OK)
        return e;
    int r = store_message_get(x->ports->db, x->arena, x->ids[0], x->ids[1], &m);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    bool moderator = !access.is_dm && (access.permissions & PERMISSION_MANAGE_MESSAGES);
    if (m.author_id != x->user_id && !moderator)
        return access.is_dm ? API_ERROR_CANNOT_EXECUTE_ON_DM : API_ERROR_MISSING_PERMISSIONS;

    struct commit c;
    struct buf b = BUF_INIT(256);
    commit_init(&c, x->arena);
    store_message_delete(&c, m.channel_id, m.id);
    message_event_head(&b, access.channel);
    jw_kid(&b, "id", m.id);
    jw_obj_end(&b);
    message_event(&c, EVENT_MESSAGE_DELETE, access.channel, m.author_id, message_payload(x->arena, &b), NULL, 0);
    if (m.author_id != x->user_id)
        audit_add(x, &c, m.guild_id, AUDIT_MESSAGE_DELETE, m.author_id, STR_NONE, audit_options(x, m.channel_id, 1));
    e = api_commit(x, &c, API_ERROR_UNKNOWN_MESSAGE);
    if (e == API_OK)
        attachments_delete(x, &m);
    return e;
}

static struct str bulk_payload(struct api_ctx *x, const struct channel *ch, const struct message *messages,
                               unsigned count)
{
    struct buf b = BUF_INIT(16u << 10);
    message_event_head(&b, ch);
    jw_karr(&b, "ids");
    for (unsigned i = 0; i < count; i++)
        jw_id(&b, messages[i].id);
    jw_arr_end(&b);
    jw_obj_end(&b);
    return message_payload(x->arena, &b);
}

static bool has_duplicates(const uint64_t *ids, unsigned count)
{
    for (unsigned i = 1; i < count; i++)
        for (unsigned k = 0; k < i; k++)
            if (ids[i] == ids[k])
                return true;
    return false;
}

enum api_error messages_bulk_delete(struct api_ctx *x)
{
    struct api_access access;
    uint64_t *ids = NULL;
    unsigned count = 0;
    enum api_error e = api_access_channel(x, x->ids[0], PERMISSION_MANAGE_MESSAGES, &access);
    if (e != API_OK)
        return e;
    if (access.is_dm)
        return API_ERROR_CANNOT_EXECUTE_ON_DM;
    (void)form_ids(x, "messages", FORM_REQUIRED, 1000, &ids, &count);
    e = form_result(x);
    if (e != API_OK)
        return e;
    if (count < 2 || count > 100)
        return API_ERROR_BULK_DELETE_COUNT;
    if (has_duplicates(ids, count)) {
        form_error(x, "messages", "SET_TYPE_ALREADY_CONTAINS_VALUE", "The set already contains this value");
        return form_result(x);
    }
    for (unsigned i = 0; i < count; i++)
        if (snowflake_ms(ids[i]) < clock_wall_ms() - BULK_DELETE_AGE_MS)
            return API_ERROR_MESSAGE_TOO_OLD;

    struct message *messages;
    unsigned found;
    int r = store_messages_get(x->ports->db, x->arena, x->ids[0], ids, count, &messages, &found);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    if (!found)
        return API_OK;
    struct commit c;
    commit_init(&c, x->arena);
    for (unsigned i = 0; i < found; i++)
        ids[i] = messages[i].id;
    store_messages_delete(&c, x->ids[0], ids, found);
    message_event(&c, EVENT_MESSAGE_DELETE_BULK, access.channel, x->user_id,
                  bulk_payload(x, access.channel, messages, found), NULL, 0);
    audit_add(x, &c, access.channel->guild_id, AUDIT_MESSAGE_BULK_DELETE, x->ids[0], STR_NONE,
              audit_options(x, 0, found));
    e = api_commit(x, &c, API_ERROR_UNKNOWN_MESSAGE);
    for (unsigned i = 0; e == API_OK && i < found; i++)
        attachments_delete(x, &messages[i]);
    return e;
}
