/* Invites: made in a channel, looked at by anybody, accepted by people. Coroutine.
 * Source: Discord API documentation, "Invite", "Channel: Create Channel Invite". */
#include "platform/api/counts.h"
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/guilds/guilds.h"
#include "platform/api/handlers.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/ports/store/store.h"

#include <errno.h>
#include <sodium.h>

#define CODE_CHARS 8
#define CODE_TRIES 4

static int64_t expires_ms(const struct invite *i)
{
    return i->max_age_s ? i->created_ms + i->max_age_s * 1000 : 0;
}

static bool is_expired(const struct invite *i)
{
    return i->max_age_s && clock_wall_ms() >= expires_ms(i);
}

static struct str code_make(struct arena *a)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char *out = arena_alloc(a, CODE_CHARS + 1);

    for (int i = 0; i < CODE_CHARS; i++)
        out[i] = letters[randombytes_uniform(sizeof letters - 1)];
    return (struct str){out, CODE_CHARS};
}

/* --- the invite object ----------------------------------------------------------------------------------------------
 */

struct invite_view {
    const struct invite *invite;
    const struct guild *guild;
    const struct channel *channel;
    const struct user *inviter; /* NULL: gone */
};

static void guild_partial(struct buf *b, const struct guild *g)
{
    jw_kobj(b, "guild");
    jw_kid(b, "id", g->id);
    jw_kstr(b, "name", g->name);
    jw_kstr(b, "splash", g->splash);
    jw_kstr(b, "banner", g->banner);
    jw_kstr(b, "description", g->description);
    jw_kstr(b, "icon", g->icon);
    jw_kraw(b, "features", g->features_json.n ? g->features_json : STR("[]"));
    jw_ki64(b, "verification_level", g->verification_level);
    jw_kstr(b, "vanity_url_code", g->vanity_url_code);
    jw_ki64(b, "nsfw_level", g->nsfw_level);
    jw_ki64(b, "premium_subscription_count", g->premium_subscription_count);
    jw_obj_end(b);
}

/* Without the braces. */
static void invite_write(struct buf *b, const struct invite_view *v)
{
    jw_ki64(b, "type", 0);
    jw_kstr(b, "code", v->invite->code);
    jw_ktime_ms(b, "expires_at", expires_ms(v->invite));
    guild_partial(b, v->guild);
    jw_kid(b, "guild_id", v->guild->id);
    jw_kobj(b, "channel");
    jw_kid(b, "id", v->channel->id);
    jw_ki64(b, "type", v->channel->type);
    jw_kstr(b, "name", v->channel->name);
    jw_obj_end(b);
    if (v->inviter) {
        jw_key(b, "inviter");
        user_write(b, v->inviter);
    }
}

static void metadata_write(struct buf *b, const struct invite *i)
{
    jw_ki64(b, "uses", i->uses);
    jw_ki64(b, "max_uses", i->max_uses);
    jw_ki64(b, "max_age", i->max_age_s);
    jw_kbool(b, "temporary", i->temporary);
    jw_ktime_ms(b, "created_at", i->created_ms);
}

static void counts_write(struct buf *b, const struct guild *g)
{
    jw_ki64(b, "approximate_member_count", g->member_count);
    jw_ki64(b, "approximate_presence_count", g->presence_count);
}

/* --- in a channel ---------------------------------------------------------------------------------------------------
 */

static void created_tell(struct commit *c, const struct invite_view *v)
{
    struct buf b = {0};
    struct event *e = commit_event(c, EVENT_INVITE_CREATE, v->guild->id, false);

    jw_obj(&b);
    jw_ki64(&b, "type", 0);
    jw_kid(&b, "channel_id", v->channel->id);
    jw_kid(&b, "guild_id", v->guild->id);
    jw_kstr(&b, "code", v->invite->code);
    jw_ktime_ms(&b, "expires_at", expires_ms(v->invite));
    if (v->inviter) {
        jw_key(&b, "inviter");
        user_write(&b, v->inviter);
    }
    metadata_write(&b, v->invite);
    jw_obj_end(&b);
    e->channel_id = v->channel->id;
    e->data = payload_take(c->arena, &b);
}

/* Without `unique` one of the caller's own that says the same is given again. */
static bool invite_reuse(const struct invite *all, unsigned count, struct invite *wanted)
{
    for (unsigned i = 0; i < count; i++) {
        const struct invite *o = &all[i];
        if (o->channel_id == wanted->channel_id && o->inviter_id == wanted->inviter_id &&
            o->max_age_s == wanted->max_age_s && o->max_uses == wanted->max_uses && o->temporary == wanted->temporary &&
            !is_expired(o)) {
            *wanted = *o;
            return true;
        }
    }
    return false;
}

/* 0 or the commit's error: a code that is taken is made again. */
static int invite_insert(struct api_ctx *x, struct invite_view *v, struct invite *i)
{
    int r = -EEXIST;

    for (int try = 0; r == -EEXIST && try < CODE_TRIES; try++) {
        struct commit c;
        i->code = code_make(x->arena);
        commit_init(&c, x->arena);
        store_invite_insert(&c, i);
        created_tell(&c, v);
        audit_invite(x, &c, NULL, i);
        r = commit_run(&c, x->ports);
    }
    return r;
}

enum api_error channel_invite_create(struct api_ctx *x)
{
    struct api_access access;
    struct invite i = {.max_age_s = 86400}, *all;
    unsigned count;
    bool unique = false;
    enum api_error e = api_access_channel(x, x->ids[0], PERMISSION_CREATE_INSTANT_INVITE, &access);

    if (e != API_OK)
        return access.is_dm ? API_ERROR_CANNOT_EXECUTE_ON_DM : e;
    (void)form_i64(x, "max_age", FORM_OPTIONAL, 0, 604800, &i.max_age_s);
    (void)form_i64(x, "max_uses", FORM_OPTIONAL, 0, 100, &i.max_uses);
    (void)form_bool(x, "temporary", FORM_NULLABLE, &i.temporary);
    (void)form_bool(x, "unique", FORM_NULLABLE, &unique);
    if (form_result(x) != API_OK)
        return form_result(x);
    int r = store_guild_invites(x->ports->db, x->arena, access.channel->guild_id, &all, &count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_CHANNEL);
    i.guild_id = access.channel->guild_id;
    i.channel_id = access.channel->id;
    i.inviter_id = x->user_id;
    i.created_ms = clock_wall_ms();
    struct invite_view v = {&i, &access.snap.guild, access.channel, &access.snap.members[0].user};
    if (unique || !invite_reuse(all, count, &i)) {
        if (count >= LIMIT_INVITES)
            return API_ERROR_MAX_INVITES;
        r = invite_insert(x, &v, &i);
        if (r < 0)
            return api_port_error(r, API_ERROR_UNKNOWN_CHANNEL);
    }
    jw_obj(api_out(x));
    invite_write(api_out(x), &v);
    metadata_write(api_out(x), &i);
    jw_obj_end(api_out(x));
    return API_OK;
}

/* Those of one channel (0: of all), with their inviters. */
static enum api_error invites_answer(struct api_ctx *x, const struct guild *g, uint64_t channel_id, bool metadata)
{
    struct invite *all = NULL;
    struct channel *channels = NULL;
    unsigned count = 0, channel_count = 0;
    int r = store_guild_invites(x->ports->db, x->arena, g->id, &all, &count);

    if (r == 0)
        r = store_guild_channels(x->ports->db, x->arena, g->id, &channels, &channel_count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_GUILD);
    jw_arr(api_out(x));
    for (unsigned i = 0; i < count; i++) {
        struct invite_view v = {&all[i], g, NULL, NULL};
        struct user *inviter;
        unsigned found = 0;
        for (unsigned k = 0; k < channel_count; k++)
            if (channels[k].id == all[i].channel_id)
                v.channel = &channels[k];
        if (!v.channel || is_expired(&all[i]) || (channel_id && channel_id != all[i].channel_id))
            continue;
        if (store_users_get(x->ports->db, x->arena, &all[i].inviter_id, 1, &inviter, &found) == 0 && found)
            v.inviter = inviter;
        jw_obj(api_out(x));
        invite_write(api_out(x), &v);
        if (metadata)
            metadata_write(api_out(x), &all[i]);
        jw_obj_end(api_out(x));
    }
    jw_arr_end(api_out(x));
    return API_OK;
}

enum api_error channel_invites_list(struct api_ctx *x)
{
    struct api_access access;
    enum api_error e = api_access_channel(x, x->ids[0], PERMISSION_MANAGE_CHANNELS, &access);

    if (e != API_OK)
        return access.is_dm ? API_ERROR_CANNOT_EXECUTE_ON_DM : e;
    return invites_answer(x, &access.snap.guild, access.channel->id, true);
}

enum api_error guild_invites_list(struct api_ctx *x)
{
    struct api_access access;
    enum api_error e = api_access_guild(x, x->ids[0], 0, &access);
    bool manager = e == API_OK && (access.permissions & PERMISSION_MANAGE_GUILD);

    if (e != API_OK)
        return e;
    if (!manager && !(access.permissions & PERMISSION_VIEW_AUDIT_LOG))
        return API_ERROR_MISSING_PERMISSIONS;
    return invites_answer(x, &access.snap.guild, 0, manager);
}

/* --- by code ---------------------------------------------------------------------------------------------------------
 */

struct invite_rows {
    struct invite invite;
    struct guild guild;
    struct channel channel;
    struct user *inviter;
    struct invite_view view;
};

static enum api_error invite_load(struct api_ctx *x, struct invite_rows *ret)
{
    unsigned found = 0;
    ret->view = (struct invite_view){&ret->invite, &ret->guild, &ret->channel, NULL};
    int r = x->texts[0].n <= 64 ? store_invite_get(x->ports->db, x->arena, x->texts[0], &ret->invite) : -ENOENT;

    if (r == 0 && is_expired(&ret->invite))
        r = -ENOENT;
    if (r == 0)
        r = store_guild_get(x->ports->db, x->arena, ret->invite.guild_id, &ret->guild);
    if (r == 0)
        r = store_channel_get(x->ports->db, x->arena, ret->invite.channel_id, &ret->channel);
    if (r == 0)
        r = store_users_get(x->ports->db, x->arena, &ret->invite.inviter_id, 1, &ret->inviter, &found);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_INVITE);
    ret->view.inviter = found ? ret->inviter : NULL;
    return API_OK;
}

enum api_error invite_get(struct api_ctx *x)
{
    struct invite_rows rows = {0};
    bool with_counts = false;
    enum api_error e = invite_load(x, &rows);

    if (e != API_OK)
        return e;
    (void)query_bool(x, "with_counts", &with_counts);
    jw_obj(api_out(x));
    invite_write(api_out(x), &rows.view);
    if (with_counts)
        api_presence_count(x, &rows.guild);
    if (with_counts)
        counts_write(api_out(x), &rows.guild);
    jw_obj_end(api_out(x));
    return API_OK;
}

enum api_error invite_delete(struct api_ctx *x)
{
    struct invite_rows rows = {0};
    struct api_access in_channel, in_guild;
    struct commit c;
    struct buf b = {0};
    enum api_error e = invite_load(x, &rows);

    if (e != API_OK)
        return e;
    if (api_access_guild(x, rows.guild.id, PERMISSION_MANAGE_GUILD, &in_guild) != API_OK)
        e = api_access_channel(x, rows.channel.id, PERMISSION_MANAGE_CHANNELS, &in_channel);
    if (e != API_OK)
        return e == API_ERROR_MISSING_ACCESS ? API_ERROR_MISSING_PERMISSIONS : e;
    commit_init(&c, x->arena);
    store_invite_delete(&c, rows.invite.code);
    struct event *event = commit_event(&c, EVENT_INVITE_DELETE, rows.guild.id, false);
    jw_obj(&b);
    jw_kid(&b, "channel_id", rows.channel.id);
    jw_kid(&b, "guild_id", rows.guild.id);
    jw_kstr(&b, "code", rows.invite.code);
    jw_obj_end(&b);
    event->channel_id = rows.channel.id;
    event->data = payload_take(x->arena, &b);
    audit_invite(x, &c, &rows.invite, NULL);
    e = api_commit(x, &c, API_ERROR_UNKNOWN_INVITE);
    if (e != API_OK)
        return e;
    jw_obj(api_out(x));
    invite_write(api_out(x), &rows.view);
    jw_obj_end(api_out(x));
    return API_OK;
}

/* *ret_new: became a member now. */
static enum api_error invite_join(struct api_ctx *x, const struct invite_rows *rows, bool *ret_new)
{
    struct member m = {.guild_id = rows->guild.id, .joined_ms = clock_wall_ms()};
    uint64_t *mine = NULL;
    unsigned count = 0;
    struct commit c;
    int r = store_user_get(x->ports->db, x->arena, x->user_id, &m.user);

    *ret_new = false;
    if (r == 0)
        r = store_user_guild_ids(x->ports->db, x->arena, x->user_id, &mine, &count);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_USER);
    for (unsigned i = 0; i < count; i++)
        if (mine[i] == rows->guild.id)
            return API_OK;
    if (count >= LIMIT_GUILDS_OF_USER)
        return API_ERROR_MAX_GUILDS;
    enum api_error e = guild_ban_check(x, rows->guild.id, x->user_id);
    if (e != API_OK)
        return e;
    commit_init(&c, x->arena);
    store_invite_use(&c, rows->invite.code);
    guild_join(&c, &m);
    r = commit_run(&c, x->ports);
    if (r == -EEXIST) /* by another request of the same person */
        return API_OK;
    *ret_new = r == 0;
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_INVITE) : API_OK;
}

enum api_error invite_accept(struct api_ctx *x)
{
    struct invite_rows rows = {0};
    bool is_new;
    enum api_error e = invite_load(x, &rows);

    if (e != API_OK)
        return e;
    api_guild_lock(x, rows.guild.id);
    e = invite_join(x, &rows, &is_new);
    if (e != API_OK)
        return e;
    jw_obj(api_out(x));
    invite_write(api_out(x), &rows.view);
    jw_kbool(api_out(x), "new_member", is_new);
    jw_obj_end(api_out(x));
    return API_OK;
}
