/* Reactions. Coroutine. Source: "Message: Create Reaction" and the routes after it. */
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/api/messages/messages.h"

#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#include <errno.h>

#define EMOJI_BYTES_MAX 64

struct emoji {
    struct str name;
    uint64_t id;
};

/* One Unicode emoji. Custom emoji ("name:id") are known by what is on the message already. */
static enum api_error emoji_read(struct api_ctx *x, struct str text, struct emoji *ret)
{
    const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
    if (colon) {
        *ret = (struct emoji){.name = arena_str(x->arena, (struct str){text.p, (size_t)(colon - text.p)})};
        struct str id = {colon + 1, (size_t)(text.p + text.n - colon - 1)};
        return snowflake_parse(id, &ret->id) == 0 ? API_OK : API_ERROR_UNKNOWN_EMOJI;
    }
    if (text.n > EMOJI_BYTES_MAX || !emoji_is_one(text))
        return API_ERROR_UNKNOWN_EMOJI;
    *ret = (struct emoji){.name = arena_str(x->arena, text)};
    return API_OK;
}

static bool same_emoji(const struct reaction_count *c, const struct emoji *e)
{
    return e->id ? c->emoji_id == e->id : !c->emoji_id && str_eq(c->emoji_name, e->name);
}

/* What every route here begins with: the channel, the message, and (emoji NULL: not asked for) the emoji. */
static enum api_error reaction_begin(struct api_ctx *x, uint64_t needed, struct api_access *access, struct message *m,
                                     struct emoji *emoji)
{
    enum api_error e = api_access_channel(x, x->ids[0], needed, access);
    if (e == API_OK && emoji)
        e = emoji_read(x, x->texts[2], emoji);
    if (e != API_OK)
        return e;
    int r = store_message_get(x->ports->db, x->arena, x->ids[0], x->ids[1], m);
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_MESSAGE) : API_OK;
}

static void emoji_write(struct buf *b, const struct emoji *e)
{
    jw_kobj(b, "emoji");
    jw_kid(b, "id", e->id);
    jw_kstr(b, "name", e->name);
    jw_kbool(b, "animated", false);
    jw_obj_end(b);
}

static void reaction_event(struct api_ctx *x, struct commit *c, enum event_type type, const struct api_access *access,
                           const struct message *m, uint64_t user_id, const struct emoji *emoji)
{
    struct buf b = BUF_INIT(64u << 10);
    message_event_head(&b, access->channel);
    jw_kid(&b, "message_id", m->id);
    if (user_id)
        jw_kid(&b, "user_id", user_id);
    if (emoji)
        emoji_write(&b, emoji);
    if (type == EVENT_MESSAGE_REACTION_ADD) {
        jw_kid(&b, "message_author_id", m->author_id);
        if (access->snap.member_count) {
            jw_key(&b, "member");
            member_write(&b, &access->snap.members[0], true);
        }
    }
    if (user_id) {
        jw_ku64(&b, "type", 0);
        jw_kbool(&b, "burst", false);
    }
    jw_obj_end(&b);
    message_event(c, type, access->channel, user_id ? user_id : x->user_id, message_payload(x->arena, &b), NULL, 0);
}

/* The first reaction with an emoji needs ADD_REACTIONS and room; a custom emoji must be on the message already. */
static enum api_error reaction_allowed(const struct api_access *access, const struct reaction_count *counts,
                                       unsigned count, const struct emoji *emoji)
{
    for (unsigned i = 0; i < count; i++)
        if (same_emoji(&counts[i], emoji))
            return API_OK;
    if (emoji->id)
        return API_ERROR_UNKNOWN_EMOJI;
    if (!(access->permissions & PERMISSION_ADD_REACTIONS))
        return API_ERROR_MISSING_PERMISSIONS;
    return count >= LIMIT_REACTIONS ? API_ERROR_MAX_REACTIONS : API_OK;
}

enum api_error reaction_add(struct api_ctx *x)
{
    struct api_access access;
    struct message m;
    struct emoji emoji;
    struct reaction_count *counts = NULL;
    unsigned count = 0;
    enum api_error e = reaction_begin(x, PERMISSION_READ_MESSAGE_HISTORY, &access, &m, &emoji);
    if (e != API_OK)
        return e;
    int r = store_reactions_of(x->ports->db, x->arena, m.channel_id, &m.id, 1, x->user_id, &counts, &count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MESSAGE);
    e = reaction_allowed(&access, counts, count, &emoji);
    if (e != API_OK)
        return e;
    struct commit c;
    commit_init(&c, x->arena);
    store_reaction_add(&c, m.channel_id, m.id, x->user_id, emoji.name, emoji.id);
    reaction_event(x, &c, EVENT_MESSAGE_REACTION_ADD, &access, &m, x->user_id, &emoji);
    r = commit_run(&c, x->ports);
    return r < 0 && r != -ENODATA ? api_port_error(r, API_ERROR_UNKNOWN_MESSAGE) : API_OK;
}

static enum api_error reaction_remove(struct api_ctx *x, uint64_t user_id, uint64_t needed)
{
    struct api_access access;
    struct message m;
    struct emoji emoji;
    enum api_error e = reaction_begin(x, needed, &access, &m, &emoji);
    if (e != API_OK)
        return e;
    struct commit c;
    commit_init(&c, x->arena);
    store_reaction_remove(&c, m.channel_id, m.id, user_id, emoji.name, emoji.id);
    reaction_event(x, &c, EVENT_MESSAGE_REACTION_REMOVE, &access, &m, user_id, &emoji);
    int r = commit_run(&c, x->ports);
    return r < 0 && r != -ENODATA ? api_port_error(r, API_ERROR_UNKNOWN_EMOJI) : API_OK;
}

enum api_error reaction_remove_own(struct api_ctx *x)
{
    return reaction_remove(x, x->user_id, 0);
}

enum api_error reaction_remove_user(struct api_ctx *x)
{
    uint64_t user_id = x->ids[3];
    return reaction_remove(x, user_id, user_id == x->user_id ? 0 : PERMISSION_MANAGE_MESSAGES);
}

enum api_error reactions_clear(struct api_ctx *x)
{
    struct api_access access;
    struct message m;
    enum api_error e = reaction_begin(x, PERMISSION_MANAGE_MESSAGES, &access, &m, NULL);
    if (e != API_OK)
        return e;
    struct commit c;
    commit_init(&c, x->arena);
    store_reactions_clear(&c, m.channel_id, m.id, STR_NONE, 0);
    reaction_event(x, &c, EVENT_MESSAGE_REACTION_REMOVE_ALL, &access, &m, 0, NULL);
    return api_commit(x, &c, API_ERROR_UNKNOWN_MESSAGE);
}

enum api_error reactions_clear_emoji(struct api_ctx *x)
{
    struct api_access access;
    struct message m;
    struct emoji emoji;
    enum api_error e = reaction_begin(x, PERMISSION_MANAGE_MESSAGES, &access, &m, &emoji);
    if (e != API_OK)
        return e;
    struct commit c;
    commit_init(&c, x->arena);
    store_reactions_clear(&c, m.channel_id, m.id, emoji.name, emoji.id);
    reaction_event(x, &c, EVENT_MESSAGE_REACTION_REMOVE_EMOJI, &access, &m, 0, &emoji);
    int r = commit_run(&c, x->ports);
    return r < 0 ? api_port_error(r == -ENODATA ? -ENOENT : r, API_ERROR_UNKNOWN_EMOJI) : API_OK;
}

enum api_error reaction_users_list(struct api_ctx *x)
{
    struct api_access access;
    struct message m;
    struct emoji emoji;
    uint64_t after = 0;
    int64_t limit = 25;
    enum api_error e = reaction_begin(x, PERMISSION_READ_MESSAGE_HISTORY, &access, &m, &emoji);
    if (e != API_OK)
        return e;
    (void)query_i64(x, "limit", 1, 100, &limit);
    (void)query_id(x, "after", &after);
    e = form_result(x);
    if (e != API_OK)
        return e;
    struct user *users;
    unsigned count;
    int r = store_reaction_users(x->ports->db, x->arena, m.channel_id, m.id, emoji.name, emoji.id, after,
                                 (unsigned)limit, &users, &count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_EMOJI);
    jw_arr(api_out(x));
    for (unsigned i = 0; i < count; i++)
        user_write(api_out(x), &users[i]);
    jw_arr_end(api_out(x));
    return API_OK;
}
