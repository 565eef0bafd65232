/* Audit log entries: written beside what they tell of, read by who may. Coroutine. */
#include "platform/api/guilds/audit.h"

#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/guilds.h"
#include "platform/api/handlers.h"
#include "platform/base/jw.h"
#include "platform/base/map.h"
#include "platform/base/snowflake.h"
#include "platform/ports/store/store.h"

#include <jansson.h>
#include <stdlib.h>

void audit_add(struct api_ctx *x, struct commit *c, uint64_t guild_id, int action, uint64_t target_id,
               struct str changes, struct str options)
{
    const struct audit_entry entry = {.id = snowflake_next(),
                                      .guild_id = guild_id,
                                      .user_id = x->user_id,
                                      .target_id = target_id,
                                      .action = action,
                                      .changes_json = changes,
                                      .options_json = options,
                                      .reason = api_reason(x)};
    struct buf b = {0};

    store_audit_insert(c, &entry);
    struct event *e = commit_event(c, EVENT_GUILD_AUDIT_LOG_ENTRY_CREATE, guild_id, false);
    audit_entry_write(&b, &entry, true);
    e->user_id = x->user_id;
    e->data = payload_take(c->arena, &b);
}

/* --- what differs ----------------------------------------------------------------------------------------------------
 */
/* Members of the objects that say where they are, or that change without anybody's doing. */
static bool is_told(const char *key)
{
    static const char *const untold[] = {"id",     "guild_id", "last_message_id", "last_pin_timestamp",
                                         "roles",  "user",     "joined_at",       "flags_new",
                                         "colors", "uses",     "created_at"};

    for (size_t i = 0; i < sizeof untold / sizeof *untold; i++)
        if (strcmp(key, untold[i]) == 0)
            return false;
    return true;
}

static bool has_value(const json_t *v)
{
    return v && !json_is_null(v);
}

static void change_add(json_t *list, const char *key, json_t *before, json_t *after)
{
    if (!is_told(key) || (!has_value(before) && !has_value(after)) || (before && after && json_equal(before, after)))
        return;
    json_t *change = json_object();
    json_object_set_new(change, "key", json_string(key));
    if (has_value(before))
        json_object_set(change, "old_value", before);
    if (has_value(after))
        json_object_set(change, "new_value", after);
    json_array_append_new(list, change);
}

/* STR_NONE where nothing differs. Both are empty (an entity that was not, or is no more) or an object. */
static struct str diff(struct arena *a, const struct buf *before, const struct buf *after)
{
    json_t *old = json_loadb(before->len ? before->data : "{}", before->len ? before->len : 2, 0, NULL);
    json_t *now = json_loadb(after->len ? after->data : "{}", after->len ? after->len : 2, 0, NULL);
    json_t *list = json_array(), *v;
    struct str ret = STR_NONE;
    const char *key;

    json_object_foreach(now, key, v) change_add(list, key, json_object_get(old, key), v);
    json_object_foreach(old, key, v) if (!json_object_get(now, key)) change_add(list, key, v, NULL);
    if (json_array_size(list)) {
        char *text = json_dumps(list, JSON_COMPACT);
        ret = arena_str(a, str_c(text ? text : "[]"));
        free(text);
    }
    json_decref(list), json_decref(old), json_decref(now);
    return ret;
}

/* actions: CREATE, UPDATE, DELETE stand beside each other. */
static void object_add(struct api_ctx *x, struct commit *c, uint64_t guild_id, int create, uint64_t target,
                       struct str options, struct buf *before, struct buf *after)
{
    int action = before->len == 0 ? create : after->len ? create + 1 : create + 2;
    struct str changes = diff(c->arena, before, after);

    if (changes.n || action != create + 1)
        audit_add(x, c, guild_id, action, target, changes, options);
    buf_done(before);
    buf_done(after);
}

void audit_guild(struct api_ctx *x, struct commit *c, const struct guild *before, const struct guild *after)
{
    BUF_AUTO struct buf old = {0}, now = {0};

    guild_write(&old, before, NULL, 0, false);
    guild_write(&now, after, NULL, 0, false);
    struct str changes = diff(c->arena, &old, &now);
    if (changes.n)
        audit_add(x, c, after->id, AUDIT_GUILD_UPDATE, after->id, changes, STR_NONE);
}

void audit_role(struct api_ctx *x, struct commit *c, const struct role *before, const struct role *after)
{
    const struct role *r = after ? after : before;
    struct buf old = {0}, now = {0};

    if (before)
        role_write(&old, before);
    if (after)
        role_write(&now, after);
    object_add(x, c, r->guild_id, AUDIT_ROLE_CREATE, r->id, STR_NONE, &old, &now);
}

void audit_channel(struct api_ctx *x, struct commit *c, const struct channel *before, const struct channel *after)
{
    const struct channel *ch = after ? after : before;
    struct buf old = {0}, now = {0};

    if (before)
        channel_write(&old, before);
    if (after)
        channel_write(&now, after);
    object_add(x, c, ch->guild_id, AUDIT_CHANNEL_CREATE, ch->id, STR_NONE, &old, &now);
}

void audit_overwrite(struct api_ctx *x, struct commit *c, const struct guild_snapshot *snap, const struct channel *ch,
                     const struct overwrite *before, const struct overwrite *after)
{
    const struct overwrite *o = after ? after : before;
    const struct role *role = o->type == 0 ? snapshot_role(snap, o->id) : NULL;
    struct buf old = {0}, now = {0}, options = {0};

    if (before)
        overwrite_write(&old, before);
    if (after)
        overwrite_write(&now, after);
    jw_obj(&options);
    jw_kid(&options, "id", o->id);
    jw_kcstr(&options, "type", o->type == 0 ? "0" : "1");
    if (role)
        jw_kstr(&options, "role_name", role->name);
    jw_obj_end(&options);
    object_add(x, c, ch->guild_id, AUDIT_CHANNEL_OVERWRITE_CREATE, ch->id, payload_take(c->arena, &options), &old,
               &now);
}

static void invite_fields(struct buf *b, const struct invite *i)
{
    jw_obj(b);
    jw_kstr(b, "code", i->code);
    jw_kid(b, "channel_id", i->channel_id);
    jw_kid(b, "inviter_id", i->inviter_id);
    jw_ki64(b, "max_age", i->max_age_s);
    jw_ki64(b, "max_uses", i->max_uses);
    jw_kbool(b, "temporary", i->temporary);
    jw_obj_end(b);
}

void audit_invite(struct api_ctx *x, struct commit *c, const struct invite *before, const struct invite *after)
{
    struct buf old = {0}, now = {0};

    if (before)
        invite_fields(&old, before);
    if (after)
        invite_fields(&now, after);
    object_add(x, c, (after ? after : before)->guild_id, AUDIT_INVITE_CREATE, 0, STR_NONE, &old, &now);
}

static bool has_role(const struct member *m, uint64_t id)
{
    for (unsigned i = 0; i < m->role_count; i++)
        if (m->roles[i] == id)
            return true;
    return false;
}

/* The roles that one has and the other has not: one change of the list; whether there were any. */
static bool roles_change(struct buf *b, const char *key, const struct guild_snapshot *snap, const struct member *with,
                         const struct member *without)
{
    bool any = false;

    for (unsigned i = 0; i < with->role_count; i++) {
        const struct role *r = snapshot_role(snap, with->roles[i]);
        if (has_role(without, with->roles[i]))
            continue;
        if (!any) {
            jw_obj(b);
            jw_kcstr(b, "key", key);
            jw_karr(b, "new_value");
        }
        any = true;
        jw_obj(b);
        jw_kid(b, "id", with->roles[i]);
        jw_kstr(b, "name", r ? r->name : STR(""));
        jw_obj_end(b);
    }
    if (any) {
        jw_arr_end(b);
        jw_obj_end(b);
    }
    return any;
}

void audit_member(struct api_ctx *x, struct commit *c, const struct guild_snapshot *snap, const struct member *before,
                  const struct member *after)
{
    BUF_AUTO struct buf old = {0}, now = {0};
    struct buf roles = {0};

    member_write(&old, before, true);
    member_write(&now, after, true);
    struct str changes = diff(c->arena, &old, &now);
    if (changes.n)
        audit_add(x, c, after->guild_id, AUDIT_MEMBER_UPDATE, after->user.id, changes, STR_NONE);
    jw_arr(&roles);
    bool added = roles_change(&roles, "$add", snap, after, before);
    bool removed = roles_change(&roles, "$remove", snap, before, after);
    jw_arr_end(&roles);
    changes = payload_take(c->arena, &roles);
    if (added || removed)
        audit_add(x, c, after->guild_id, AUDIT_MEMBER_ROLE_UPDATE, after->user.id, changes, STR_NONE);
}

/* --- reading it ------------------------------------------------------------------------------------------------------
 */
static enum api_error query_read(struct api_ctx *x, struct audit_query *q)
{
    int64_t action = 0, limit = 50;
    uint64_t before = INT64_MAX, after = 0;

    q->rising = http_request_query(x->req, "after").p && !http_request_query(x->req, "before").p;
    (void)query_id(x, "user_id", &q->user_id);
    (void)query_i64(x, "action_type", 0, INT32_MAX, &action);
    (void)query_i64(x, "limit", 1, 100, &limit);
    if (q->rising && !str_eq(http_request_query(x->req, "after"), STR("0"))) /* 0: from the oldest on */
        (void)query_id(x, "after", &after);
    else if (!q->rising)
        (void)query_id(x, "before", &before);
    q->action = (int)action;
    q->limit = (unsigned)limit;
    q->from = q->rising ? after : before;
    return form_result(x);
}

/* Who did something, and whom it was done to where that is a user. */
static int users_read(struct api_ctx *x, const struct audit_entry *entries, unsigned count, struct user **ret,
                      unsigned *ret_count)
{
    uint64_t *ids = ARENA_ARRAY(x->arena, uint64_t, 2 * (size_t)count + 1);
    struct map seen = {0};
    unsigned n = 0;

    for (unsigned i = 0; i < 2 * count; i++) {
        uint64_t id = i % 2 ? entries[i / 2].target_id : entries[i / 2].user_id;
        if (id && !map_put(&seen, id, &seen))
            ids[n++] = id;
    }
    map_done(&seen);
    return store_users_get(x->ports->db, x->arena, ids, n, ret, ret_count);
}

enum api_error guild_audit_log(struct api_ctx *x)
{
    static const char *const empty[] = {"application_commands",
                                        "auto_moderation_rules",
                                        "guild_scheduled_events",
                                        "integrations",
                                        "threads",
                                        "webhooks"};
    struct audit_query q = {.guild_id = x->ids[0]};
    struct api_access access;
    struct audit_entry *entries;
    struct user *users;
    unsigned count, user_count;
    struct buf *out = api_out(x);
    enum api_error e = api_access_guild(x, x->ids[0], PERMISSION_VIEW_AUDIT_LOG, &access);

    if (e == API_OK)
        e = query_read(x, &q);
    if (e != API_OK)
        return e;
    int r = store_audit_list(x->ports->db, x->arena, &q, &entries, &count);
    if (r == 0)
        r = users_read(x, entries, count, &users, &user_count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_GUILD);
    jw_obj(out);
    jw_karr(out, "audit_log_entries");
    for (unsigned i = 0; i < count; i++)
        audit_entry_write(out, &entries[i], false);
    jw_arr_end(out);
    jw_karr(out, "users");
    for (unsigned i = 0; i < user_count; i++)
        user_write(out, &users[i]);
    jw_arr_end(out);
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        jw_karr(out, empty[i]);
        jw_arr_end(out);
    }
    jw_obj_end(out);
    return API_OK;
}
