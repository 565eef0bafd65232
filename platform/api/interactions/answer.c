/* Messages that answer interactions: read, stored, told. An ephemeral one is in kv and told to one person; any other is
 * a message of the channel like those the bot sends itself. Coroutine. */
#include "platform/api/interactions/interactions.h"

#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/messages/messages.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/model/permissions.h"

#include <errno.h>

/* An answer needs none of these in the channel: the person who asked has let the application speak. */
#define ANSWER_PERMISSIONS                                                                                             \
    (PERMISSION_VIEW_CHANNEL | PERMISSION_SEND_MESSAGES | PERMISSION_EMBED_LINKS | PERMISSION_ATTACH_FILES |           \
     PERMISSION_READ_MESSAGE_HISTORY | PERMISSION_USE_EXTERNAL_EMOJIS | PERMISSION_SEND_TTS_MESSAGES)

static uint64_t permissions_there(const struct api_access *a)
{
    return permissions_of_member(&a->snap.guild, a->snap.roles, a->snap.role_count, a->channel, &a->snap.members[0],
                                 clock_wall_ms());
}

/* Where the bot is not, the application has the permissions of the person who asked, and no more. */
enum api_error answer_access(struct api_ctx *x, const struct interaction *ix, struct api_access *ret)
{
    x->user_id = ix->bot_id;
    x->is_bot = true;
    *ret = (struct api_access){0};
    int r = store_channel_for_member(x->ports->db, x->arena, ix->channel_id, ix->bot_here ? ix->bot_id : ix->user_id,
                                     &ret->snap);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_CHANNEL);
    ret->channel = &ret->snap.channels[0];
    ret->is_dm = !ret->channel->guild_id;
    ret->permissions = ANSWER_PERMISSIONS;
    if (ret->is_dm || !ret->snap.member_count)
        return API_OK;
    if (ix->bot_here)
        ret->permissions |= permissions_there(ret);
    else
        ret->permissions =
            permissions_there(ret) & (ANSWER_PERMISSIONS | PERMISSION_MENTION_EVERYONE | PERMISSION_USE_EXTERNAL_APPS);
    return API_OK;
}

int64_t answer_ephemeral(const struct interaction *ix, const struct api_access *access, int64_t flags)
{
    uint64_t needed = PERMISSION_USE_EXTERNAL_APPS | PERMISSION_SEND_MESSAGES;
    bool quiet = !access->is_dm && !ix->bot_here && (access->permissions & needed) != needed;

    return quiet ? MESSAGE_EPHEMERAL : flags & MESSAGE_EPHEMERAL;
}

enum api_error answer_read(struct api_ctx *x, const struct api_access *access, bool creating, struct message *m)
{
    if (creating)
        (void)form_bool(x, "tts", FORM_NULLABLE, &m->tts);
    enum api_error e = message_content_read(x, access, 0, m);
    if (e == API_OK)
        e = form_result(x);
    if (e == API_OK && (x->file_count || (!creating && form_has(x, "attachments"))))
        e = attachments_read(x, m->channel_id, m->attachments_json, &m->attachments_json);
    if (e == API_OK && message_is_empty(m))
        e = API_ERROR_EMPTY_MESSAGE;
    return e;
}

enum api_error answer_save(struct api_ctx *x, const struct interaction *ix, const struct api_access *access,
                           bool creating, struct message *m)
{
    bool ephemeral = m->flags & MESSAGE_EPHEMERAL;
    struct commit c;

    commit_init(&c, x->arena);
    int r = ephemeral ? ephemeral_put(x, m, ix->user_id) : 0;
    if (r < 0)
        return api_port_error(r, API_ERROR_UNAVAILABLE);
    if (!ephemeral && creating)
        store_message_insert(&c, m);
    else if (!ephemeral)
        store_message_update(&c, m);
    enum api_error e = message_tell(x, &c, access, creating ? EVENT_MESSAGE_CREATE : EVENT_MESSAGE_UPDATE, m,
                                    ephemeral ? ix->user_id : 0);
    return e == API_OK ? api_commit(x, &c, API_ERROR_UNKNOWN_MESSAGE) : e;
}

int answer_message_get(struct api_ctx *x, uint64_t channel_id, uint64_t message_id, uint64_t user_id,
                       struct message *ret)
{
    uint64_t owner;
    int r = store_message_get(x->ports->db, x->arena, channel_id, message_id, ret);

    if (r != -ENOENT)
        return r;
    r = ephemeral_get(x, message_id, ret, &owner);
    return r == 0 && (owner != user_id || ret->channel_id != channel_id) ? -ENOENT : r;
}

enum api_error answer_message_write(struct api_ctx *x, struct buf *out, struct message *m, uint64_t viewer)
{
    struct message_page page;
    int r =
        m->flags & MESSAGE_EPHEMERAL ? message_page_new(x, m, NULL, &page) : message_page_load(x, m, 1, viewer, &page);

    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    message_write(x, out, &page, 0);
    message_page_done(&page);
    return API_OK;
}

struct str answer_reference(struct api_ctx *x, const struct interaction *ix, uint64_t message_id)
{
    struct buf b = {0};

    jw_obj(&b);
    jw_ki64(&b, "type", 0);
    jw_kid(&b, "channel_id", ix->channel_id);
    jw_kid(&b, "message_id", message_id);
    if (ix->guild_id)
        jw_kid(&b, "guild_id", ix->guild_id);
    jw_obj_end(&b);
    return payload_take(x->arena, &b);
}
