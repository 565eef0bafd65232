/* POST and PATCH of a message. Coroutine. Source: "Message: Create Message", "Edit Message". */
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/messages/messages.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

static bool channel_takes_messages(const struct channel *ch)
{
    switch (ch->type) {
    case CHANNEL_GUILD_CATEGORY:
    case CHANNEL_GUILD_FORUM:
    case CHANNEL_GUILD_MEDIA:
        return false;
    default:
        return true;
    }
}

static void nonce_read(struct api_ctx *x, struct message *m)
{
    json_t *v = x->body ? json_object_get(x->body, "nonce") : NULL;
    if (!v || json_is_null(v))
        return;
    if (json_is_integer(v)) {
        m->nonce = arena_printf(x->arena, "%lld", (long long)json_integer_value(v));
        m->nonce_is_number = true;
    } else {
        (void)form_str(x, "nonce", FORM_OPTIONAL, 0, 25, &m->nonce);
    }
}

/* Reads message_reference of a reply into *m and the referenced author (0: none). */
static enum api_error reference_read(struct api_ctx *x, const struct api_access *access, struct message *m,
                                     uint64_t *ret_author)
{
    json_t *o = form_object(x, "message_reference", FORM_NULLABLE);
    *ret_author = 0;
    if (!o || !json_object_size(o))
        return API_OK;
    uint64_t id, channel_id = access->channel->id;
    if (!json_to_id(json_object_get(o, "message_id"), &id)) {
        form_error(x, "message_reference.message_id", "BASE_TYPE_REQUIRED", "This field is required");
        return API_OK;
    }
    json_t *other = json_object_get(o, "channel_id");
    if (other && !json_is_null(other) && (!json_to_id(other, &channel_id) || channel_id != access->channel->id)) {
        form_error(x, "message_reference", "REPLIES_CANNOT_REPLY_TO_OTHER_CHANNEL",
                   "Cannot reply to a message in a different channel");
        return API_OK;
    }
    if (!(access->permissions & PERMISSION_READ_MESSAGE_HISTORY)) {
        form_error(x, "message_reference", "REPLIES_UNKNOWN_MESSAGE",
                   "Cannot reply without permission to read message history");
        return API_OK;
    }
    struct message referenced;
    int r = store_message_get(x->ports->db, x->arena, channel_id, id, &referenced);
    if (r == -ENOENT) {
        if (json_is_false(json_object_get(o, "fail_if_not_exists")))
            return API_OK;
        form_error(x, "message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message");
        return API_OK;
    }
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    struct buf b = BUF_INIT(256);
    message_event_head(&b, access->channel);
    jw_ku64(&b, "type", 0);
    jw_kid(&b, "message_id", id);
    jw_obj_end(&b);
    m->reference_json = message_payload(x->arena, &b);
    m->reference_id = id;
    m->type = MESSAGE_REPLY;
    *ret_author = referenced.author_id;
    return API_OK;
}

/* False: the 429 answer stands already. */
static bool slowmode_pass(struct api_ctx *x, const struct api_access *access)
{
    int64_t seconds = access->channel->rate_limit_per_user;
    uint64_t exempt = PERMISSION_MANAGE_MESSAGES | PERMISSION_MANAGE_CHANNELS | PERMISSION_BYPASS_SLOWMODE;
    if (seconds <= 0 || access->is_dm || (access->permissions & exempt))
        return true;
    char key[64];
    snprintf(key, sizeof key, "slow:%llu:%llu", (unsigned long long)access->channel->id,
             (unsigned long long)x->user_id);
    return api_limit(x, key, 1, seconds * 1000, API_ERROR_SLOWMODE);
}

enum api_error message_tell(struct api_ctx *x, struct commit *c, const struct api_access *access, enum event_type type,
                            struct message *m, uint64_t only_user)
{
    struct message_page page;
    const struct member *author =
        access->snap.member_count && access->snap.members[0].user.id == m->author_id ? &access->snap.members[0] : NULL;
    int r = type == EVENT_MESSAGE_CREATE || only_user ? message_page_new(x, m, author ? &author->user : NULL, &page)
                                                      : message_page_load(x, m, 1, x->user_id, &page);
    if (r < 0)
        return api_port_error(r, API_ERROR_INTERNAL);
    page.with_nonce = type == EVENT_MESSAGE_CREATE;
    struct buf data = {0};
    page.told_again = type == EVENT_MESSAGE_UPDATE;
    message_write_event(x, &data, &page, 0, author);
    page.told_again = false;
    if (only_user) {
        struct event *e = commit_event(c, type, only_user, true);
        e->channel_id = m->channel_id;
        e->user_id = m->author_id;
        e->data = message_payload(x->arena, &data);
    } else {
        message_event(c, type, access->channel, m->author_id, message_payload(x->arena, &data), m->mentions,
                      m->mention_count);
    }
    message_write(x, api_out(x), &page, 0);
    message_page_done(&page);
    return API_OK;
}

/* A repeated nonce answers the message it made. */
static enum api_error answer_earlier(struct api_ctx *x, const struct message *m)
{
    uint64_t id;
    struct message earlier;
    struct message_page page;
    int r = store_message_nonce_get(x->ports->db, m->channel_id, m->author_id, m->nonce, &id);
    if (r == 0)
        r = store_message_get(x->ports->db, x->arena, m->channel_id, id, &earlier);
    if (r == 0)
        r = message_page_load(x, &earlier, 1, x->user_id, &page);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    page.with_nonce = true;
    buf_clear(api_out(x));
    message_write(x, api_out(x), &page, 0);
    message_page_done(&page);
    return API_OK;
}

static enum api_error message_read_new(struct api_ctx *x, const struct api_access *access, struct message *m)
{
    uint64_t replied_author;
    nonce_read(x, m);
    (void)form_bool(x, "tts", FORM_NULLABLE, &m->tts);
    enum api_error e = reference_read(x, access, m, &replied_author);
    if (e == API_OK)
        e = message_content_read(x, access, replied_author, m);
    if (e == API_OK)
        e = form_result(x);
    if (e != API_OK)
        return e;
    if (m->tts && !(access->permissions & PERMISSION_SEND_TTS_MESSAGES))
        m->tts = false;
    if (x->file_count && !(access->permissions & PERMISSION_ATTACH_FILES))
        return API_ERROR_MISSING_PERMISSIONS;
    if (message_is_empty(m) && !x->file_count)
        return API_ERROR_EMPTY_MESSAGE;
    return x->file_count ? attachments_read(x, m->channel_id, STR_NONE, &m->attachments_json) : API_OK;
}

static int message_commit(struct api_ctx *x, const struct api_access *access, bool checked, struct message *m,
                          bool enforce, enum api_error *ret_error)
{
    struct commit c;
    commit_init(&c, x->arena);
    if (enforce)
        store_message_nonce_put(&c, m->channel_id, m->author_id, m->nonce, m->id);
    if (checked)
        store_message_insert_checked(&c, m, access->snap.guild_version, access->snap.user_version);
    else
        store_message_insert(&c, m);
    *ret_error = message_tell(x, &c, access, EVENT_MESSAGE_CREATE, m, 0);
    return *ret_error == API_OK ? commit_run(&c, x->ports) : 0;
}

static enum api_error message_create_on(struct api_ctx *x, const struct api_access *access, bool checked)
{
    if (!channel_takes_messages(access->channel))
        return API_ERROR_CANNOT_SEND_IN_NON_TEXT;
    struct message m = {.id = snowflake_next(),
                        .channel_id = access->channel->id,
                        .guild_id = access->channel->guild_id,
                        .author_id = x->user_id};
    enum api_error e = message_read_new(x, access, &m);
    if (e != API_OK || !slowmode_pass(x, access))
        return e;
    bool enforce = false;
    (void)form_bool(x, "enforce_nonce", FORM_NULLABLE, &enforce);
    enforce = enforce && m.nonce.n;
    int r = message_commit(x, access, checked, &m, enforce, &e);
    if (e != API_OK)
        return e;
    if (r == -EEXIST && enforce)
        return answer_earlier(x, &m);
    if (r < 0)
        buf_clear(api_out(x));
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_CHANNEL) : API_OK;
}

/* What has an effect before the commit must not happen twice. */
static bool may_repeat(const struct api_ctx *x, const struct api_access *access)
{
    return !x->file_count && access->channel->rate_limit_per_user <= 0;
}

enum api_error message_create(struct api_ctx *x)
{
    struct api_access access;
    uint64_t channel_id = x->ids[0];
    if (api_access_kept(x, channel_id, PERMISSION_SEND_MESSAGES, &access) && may_repeat(x, &access)) {
        enum api_error e = message_create_on(x, &access, true);
        if (e == API_OK || e == API_ERROR_UNAVAILABLE)
            return e;
        api_access_forget(x, channel_id);
        buf_clear(api_out(x));
        buf_clear(&x->form_errors);
    }
    enum api_error e = api_access_channel(x, channel_id, PERMISSION_SEND_MESSAGES, &access);
    if (e != API_OK)
        return e;
    api_access_keep(x, &access);
    return message_create_on(x, &access, false);
}

/* Who may change what: the author everything they wrote, a moderator only SUPPRESS_EMBEDS. */
static enum api_error message_modify_check(struct api_ctx *x, const struct api_access *access, const struct message *m)
{
    if (m->type == MESSAGE_CHANNEL_PINNED_MESSAGE)
        return API_ERROR_CANNOT_EXECUTE_ON_SYSTEM;
    if (m->author_id == x->user_id)
        return API_OK;
    bool only_flags = form_has(x, "flags") && !form_has(x, "content") && !form_has(x, "embeds") &&
                      !form_has(x, "components") && !form_has(x, "attachments") && !x->file_count;
    return only_flags && (access->permissions & PERMISSION_MANAGE_MESSAGES) ? API_OK : API_ERROR_CANNOT_EDIT_OTHERS;
}

enum api_error message_modify(struct api_ctx *x)
{
    struct api_access access;
    struct message m;
    enum api_error e = api_access_channel(x, x->ids[0], 0, &access);
    if (e != API_OK)
        return e;
    int r = store_message_get(x->ports->db, x->arena, x->ids[0], x->ids[1], &m);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    e = message_modify_check(x, &access, &m);
    if (e == API_OK)
        e = message_content_read(x, &access, 0, &m);
    if (e == API_OK)
        e = form_result(x);
    if (e == API_OK && (x->file_count || form_has(x, "attachments")))
        e = attachments_read(x, m.channel_id, m.attachments_json, &m.attachments_json);
    if (e == API_OK && message_is_empty(&m))
        e = API_ERROR_EMPTY_MESSAGE;
    if (e != API_OK)
        return e;

    struct commit c;
    commit_init(&c, x->arena);
    if (m.author_id == x->user_id)
        m.edited_ms = clock_wall_ms();
    store_message_update(&c, &m);
    e = message_tell(x, &c, &access, EVENT_MESSAGE_UPDATE, &m, 0);
    return e == API_OK ? api_commit(x, &c, API_ERROR_UNKNOWN_MESSAGE) : e;
}
