/* Bans: listing, making, lifting. Coroutine. Source: Discord API documentation, "Guild: Get Guild Bans" and following.
 */
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/guilds/guilds.h"
#include "platform/api/handlers.h"
#include "platform/api/messages/messages.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/model/permissions.h"
#include "platform/ports/store/store.h"

#include <errno.h>

#define DELETE_SECONDS_MAX 604800
#define BULK_BANS_MAX      200
#define BULK_EVENT_IDS_MAX 100
#define PURGE_AT_ONCE      500

static void ban_write(struct buf *b, const struct ban *ban)
{
    jw_obj(b);
    jw_kstr(b, "reason", ban->reason);
    jw_key(b, "user");
    user_write(b, &ban->user);
    jw_obj_end(b);
}

enum api_error guild_bans_list(struct api_ctx *x)
{
    struct api_access access;
    struct ban *bans;
    unsigned count;
    int64_t limit = 1000;
    uint64_t before = 0, after = 0;
    enum api_error e = api_access_guild(x, x->ids[0], PERMISSION_BAN_MEMBERS, &access);

    (void)query_i64(x, "limit", 1, 1000, &limit);
    (void)query_id(x, "before", &before);
    (void)query_id(x, "after", &after);
    if (e == API_OK)
        e = form_result(x);
    if (e != API_OK)
        return e;
    int r = store_bans_list(x->ports->db, x->arena, x->ids[0], before, after, (unsigned)limit, &bans, &count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_GUILD);
    jw_arr(api_out(x));
    for (unsigned i = 0; i < count; i++)
        ban_write(api_out(x), &bans[i]);
    jw_arr_end(api_out(x));
    return API_OK;
}

enum api_error guild_ban_get(struct api_ctx *x)
{
    struct api_access access;
    struct ban ban;
    enum api_error e = api_access_guild(x, x->ids[0], PERMISSION_BAN_MEMBERS, &access);

    if (e != API_OK)
        return e;
    int r = store_ban_get(x->ports->db, x->arena, x->ids[0], x->ids[1], &ban);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_BAN);
    ban_write(api_out(x), &ban);
    return API_OK;
}

static void ban_event(struct commit *c, enum event_type type, uint64_t guild_id, const struct user *u)
{
    struct buf b = {0};
    struct event *e = commit_event(c, type, guild_id, false);

    jw_obj(&b);
    jw_kid(&b, "guild_id", guild_id);
    jw_key(&b, "user");
    user_write(&b, u);
    jw_obj_end(&b);
    e->user_id = u->id;
    e->data = payload_take(c->arena, &b);
}

/* Messages of one channel that go with the ban, and the event that tells of them. */
static void messages_drop(struct commit *c, const struct message *m, unsigned count)
{
    uint64_t ids[BULK_EVENT_IDS_MAX];
    struct buf b = {0};
    struct event *e = commit_event(c, EVENT_MESSAGE_DELETE_BULK, m->guild_id, false);

    jw_obj(&b);
    jw_karr(&b, "ids");
    for (unsigned i = 0; i < count; i++) {
        ids[i] = m[i].id;
        jw_id(&b, ids[i]);
    }
    jw_arr_end(&b);
    jw_kid(&b, "channel_id", m->channel_id);
    jw_kid(&b, "guild_id", m->guild_id);
    jw_obj_end(&b);
    store_messages_delete(c, m->channel_id, ids, count);
    e->channel_id = m->channel_id;
    e->user_id = m->author_id;
    e->data = payload_take(c->arena, &b);
}

struct ban_order {
    const struct api_access *access;
    struct hierarchy mine;
    int64_t delete_s;
};

/* The user's standing, when it is a member: nobody bans who stands above. */
static enum api_error member_check(struct api_ctx *x, const struct ban_order *o, uint64_t user_id, bool *ret_member)
{
    const struct guild_snapshot *s = &o->access->snap;
    struct member m;
    int r = store_member_get(x->ports->db, x->arena, s->guild.id, user_id, &m);

    *ret_member = r == 0;
    if (r == -ENOENT)
        return API_OK;
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_MEMBER);
    struct hierarchy theirs = hierarchy_of(&s->guild, s->roles, s->role_count, user_id, m.roles, m.role_count);
    return hierarchy_above(&o->mine, &theirs) ? API_OK : API_ERROR_MISSING_PERMISSIONS;
}

/* -EEXIST: was banned already. */
static int ban_commit(struct api_ctx *x, const struct ban_order *o, const struct user *u, bool member)
{
    uint64_t guild_id = o->access->snap.guild.id;
    struct commit c;

    commit_init(&c, x->arena);
    store_ban_insert(&c, guild_id, u->id, api_reason(x));
    if (member)
        guild_part_add(&c, &o->access->snap, u);
    ban_event(&c, EVENT_GUILD_BAN_ADD, guild_id, u);
    audit_add(x, &c, guild_id, AUDIT_MEMBER_BAN_ADD, u->id, STR_NONE, STR_NONE);
    return commit_run(&c, x->ports);
}

static int messages_drop_some(struct api_ctx *x, struct arena *a, const struct message *m, unsigned count)
{
    struct commit c;

    commit_init(&c, a);
    for (unsigned i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && n < BULK_EVENT_IDS_MAX && m[i + n].channel_id == m[i].channel_id;)
            n++;
        messages_drop(&c, &m[i], n);
    }
    int r = commit_run(&c, x->ports);
    for (unsigned i = 0; r == 0 && i < count; i++)
        attachments_delete(x, &m[i]);
    return r;
}

/* After the ban, so that nothing new comes; some at a time. */
static int messages_purge(struct api_ctx *x, uint64_t guild_id, uint64_t author_id, int64_t seconds)
{
    int64_t since_ms = clock_wall_ms() - seconds * 1000;
    int r = 0;

    for (unsigned count = PURGE_AT_ONCE; seconds && r == 0 && count == PURGE_AT_ONCE;) {
        struct arena a = {0};
        struct message *messages;
        r = store_messages_by_author(x->ports->db, &a, guild_id, author_id, since_ms, PURGE_AT_ONCE, &messages, &count);
        if (r == 0 && count)
            r = messages_drop_some(x, &a, messages, count);
        arena_done(&a);
    }
    return r;
}

/* UNKNOWN_USER, MISSING_PERMISSIONS; *ret_new: was not banned before. */
static enum api_error ban_one(struct api_ctx *x, const struct ban_order *o, uint64_t user_id, bool *ret_new)
{
    struct user u;
    bool member;
    int r = store_user_get(x->ports->db, x->arena, user_id, &u);

    *ret_new = false;
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    enum api_error e = member_check(x, o, user_id, &member);
    if (e != API_OK)
        return e;
    r = ban_commit(x, o, &u, member);
    *ret_new = r == 0;
    if (r == 0)
        r = messages_purge(x, x->ids[0], user_id, o->delete_s);
    return r < 0 && r != -EEXIST ? api_port_error(r, API_ERROR_UNKNOWN_USER) : API_OK;
}

static enum api_error order_read(struct api_ctx *x, uint64_t needed, struct api_access *access, struct ban_order *ret)
{
    int64_t days = 0;

    *ret = (struct ban_order){.access = access};
    api_guild_lock(x, x->ids[0]);
    enum api_error e = api_access_guild(x, x->ids[0], needed, access);
    if (e != API_OK)
        return e;
    access_rank(access, &ret->mine);
    (void)form_i64(x, "delete_message_days", FORM_NULLABLE, 0, 7, &days);
    ret->delete_s = days * 86400;
    (void)form_i64(x, "delete_message_seconds", FORM_NULLABLE, 0, DELETE_SECONDS_MAX, &ret->delete_s);
    return form_result(x);
}

enum api_error guild_ban_put(struct api_ctx *x)
{
    struct api_access access;
    struct ban_order o;
    bool is_new;
    enum api_error e = order_read(x, PERMISSION_BAN_MEMBERS, &access, &o);

    return e == API_OK ? ban_one(x, &o, x->ids[1], &is_new) : e;
}

static void ids_write(struct buf *b, const char *key, const uint64_t *ids, unsigned count)
{
    jw_karr(b, key);
    for (unsigned i = 0; i < count; i++)
        jw_id(b, ids[i]);
    jw_arr_end(b);
}

enum api_error guild_bulk_ban(struct api_ctx *x)
{
    uint64_t *ids = NULL, banned[BULK_BANS_MAX], failed[BULK_BANS_MAX];
    unsigned count = 0, banned_count = 0, failed_count = 0;
    struct api_access access;
    struct ban_order o;
    enum api_error e = order_read(x, PERMISSION_BAN_MEMBERS | PERMISSION_MANAGE_GUILD, &access, &o);

    (void)form_ids(x, "user_ids", FORM_REQUIRED, BULK_BANS_MAX, &ids, &count);
    if (e == API_OK)
        e = form_result(x);
    if (e != API_OK)
        return e;
    for (unsigned i = 0; i < count; i++) {
        bool is_new;
        e = ban_one(x, &o, ids[i], &is_new);
        if (e == API_ERROR_UNAVAILABLE)
            return e;
        if (e == API_OK && is_new)
            banned[banned_count++] = ids[i];
        else
            failed[failed_count++] = ids[i];
    }
    if (!banned_count)
        return API_ERROR_FAILED_TO_BAN;
    jw_obj(api_out(x));
    ids_write(api_out(x), "banned_users", banned, banned_count);
    ids_write(api_out(x), "failed_users", failed, failed_count);
    jw_obj_end(api_out(x));
    return API_OK;
}

enum api_error guild_ban_delete(struct api_ctx *x)
{
    struct api_access access;
    struct ban ban;
    struct commit c;
    enum api_error e = api_access_guild(x, x->ids[0], PERMISSION_BAN_MEMBERS, &access);

    if (e != API_OK)
        return e;
    int r = store_ban_get(x->ports->db, x->arena, x->ids[0], x->ids[1], &ban);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_BAN);
    commit_init(&c, x->arena);
    store_ban_delete(&c, x->ids[0], x->ids[1]);
    ban_event(&c, EVENT_GUILD_BAN_REMOVE, x->ids[0], &ban.user);
    audit_add(x, &c, x->ids[0], AUDIT_MEMBER_BAN_REMOVE, ban.user.id, STR_NONE, STR_NONE);
    return api_commit(x, &c, API_ERROR_UNKNOWN_BAN);
}
