/* Members: listing, changing, roles, kicking. Coroutine. Source: Discord API documentation, "Guild: Get Guild Member"
 * and following, "Permissions: Permission Hierarchy". */
#include "platform/api/events.h"
#include "platform/api/form.h"
#include "platform/api/guilds/audit.h"
#include "platform/api/guilds/guilds.h"
#include "platform/api/guilds/voice.h"
#include "platform/api/handlers.h"
#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/model/permissions.h"
#include "platform/ports/store/store.h"

#include <errno.h>

#define TIMEOUT_MAX_MS     (28 * 86400000LL)
#define FLAGS_SETTABLE     (1 << 2) /* BYPASSES_VERIFICATION */
#define MODERATOR_OF_FLAGS (PERMISSION_MODERATE_MEMBERS | PERMISSION_KICK_MEMBERS | PERMISSION_BAN_MEMBERS)

static enum api_error members_answer(struct api_ctx *x, const struct member *members, unsigned count)
{
    jw_arr(api_out(x));
    for (unsigned i = 0; i < count; i++)
        member_write(api_out(x), &members[i], true);
    jw_arr_end(api_out(x));
    return API_OK;
}

enum api_error guild_member_get(struct api_ctx *x)
{
    struct api_access access;
    struct member m;
    enum api_error e = api_access_guild(x, x->ids[0], 0, &access);

    if (e == API_OK)
        e = api_member_get(x, x->ids[0], x->ids[1], &m);
    if (e == API_OK)
        member_write(api_out(x), &m, true);
    return e;
}

/* Bots list members with the GUILD_MEMBERS intent switched on only. */
static enum api_error members_intent(struct api_ctx *x)
{
    const int64_t intent = APPLICATION_GATEWAY_GUILD_MEMBERS | APPLICATION_GATEWAY_GUILD_MEMBERS_LIMITED;
    struct application app;

    if (!x->is_bot)
        return API_OK;
    int r = store_application_get(x->ports->db, x->arena, x->user_id, &app);
    if (r < 0)
        return api_port_error(r, API_ERROR_MISSING_ACCESS);
    return app.flags & intent ? API_OK : API_ERROR_MISSING_ACCESS;
}

enum api_error guild_members_list(struct api_ctx *x)
{
    struct api_access access;
    struct member *members;
    unsigned count;
    int64_t limit = 1;
    uint64_t after = 0;
    enum api_error e = api_access_guild(x, x->ids[0], 0, &access);

    (void)query_i64(x, "limit", 1, 1000, &limit);
    (void)query_id(x, "after", &after);
    if (e == API_OK)
        e = form_result(x);
    if (e == API_OK)
        e = members_intent(x);
    if (e != API_OK)
        return e;
    int r = store_members_list(x->ports->db, x->arena, x->ids[0], after, (unsigned)limit, &members, &count);
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_GUILD) : members_answer(x, members, count);
}

enum api_error guild_members_search(struct api_ctx *x)
{
    struct api_access access;
    struct member *members;
    unsigned count;
    int64_t limit = 1;
    struct str query = http_request_query(x->req, "query");
    enum api_error e = api_access_guild(x, x->ids[0], 0, &access);

    (void)query_i64(x, "limit", 1, 1000, &limit);
    if (query.n == 0 || utf8_count(query) < 0 || utf8_count(query) > 100 || memchr(query.p, 0, query.n))
        form_error(x, "query", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.");
    if (e == API_OK)
        e = form_result(x);
    if (e != API_OK)
        return e;
    int r = store_members_search(x->ports->db, x->arena, x->ids[0], query, (unsigned)limit, &members, &count);
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_GUILD) : members_answer(x, members, count);
}

/* Who changes whom: both as the handlers below need them. */
struct member_change {
    struct api_access access;
    struct hierarchy mine, theirs;
    struct member m, before;
    bool self;
    struct voice_change voice;
};

static enum api_error change_begin(struct api_ctx *x, uint64_t user_id, uint64_t needed, struct member_change *ret)
{
    *ret = (struct member_change){.self = user_id == x->user_id};
    api_guild_lock(x, x->ids[0]);
    enum api_error e = api_access_guild(x, x->ids[0], needed, &ret->access);
    if (e == API_OK)
        e = api_member_get(x, x->ids[0], user_id, &ret->m);
    if (e != API_OK)
        return e;
    ret->before = ret->m;
    const struct guild_snapshot *s = &ret->access.snap;
    access_rank(&ret->access, &ret->mine);
    ret->theirs = hierarchy_of(&s->guild, s->roles, s->role_count, user_id, ret->m.roles, ret->m.role_count);
    return API_OK;
}

static bool holds(const struct member_change *ch, uint64_t bits)
{
    return (ch->access.permissions & bits) == bits;
}

static enum api_error nick_change(struct api_ctx *x, struct member_change *ch)
{
    bool own = ch->self && holds(ch, PERMISSION_CHANGE_NICKNAME);

    if (!form_str(x, "nick", FORM_NULLABLE, 0, 32, &ch->m.nick))
        return form_result(x);
    if (ch->m.nick.n == 0)
        ch->m.nick = STR_NONE;
    if (own || (holds(ch, PERMISSION_MANAGE_NICKNAMES) && (ch->self || hierarchy_above(&ch->mine, &ch->theirs))))
        return API_OK;
    return API_ERROR_MISSING_PERMISSIONS;
}

static bool ids_have(const uint64_t *ids, unsigned count, uint64_t id)
{
    for (unsigned i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* One role given or taken. */
static enum api_error role_change_check(const struct member_change *ch, uint64_t role_id)
{
    const struct role *r = snapshot_role(&ch->access.snap, role_id);

    if (!r)
        return API_ERROR_UNKNOWN_ROLE;
    if (r->managed || r->id == r->guild_id)
        return API_ERROR_INVALID_ROLE;
    return hierarchy_above_role(&ch->mine, r) ? API_OK : API_ERROR_MISSING_PERMISSIONS;
}

/* The whole list: only what differs is checked, so managed and higher roles may be repeated. */
static enum api_error roles_change(struct api_ctx *x, struct member_change *ch)
{
    uint64_t *given = NULL;
    unsigned count = 0, n = 0;
    enum api_error e = API_OK;

    if (!form_ids(x, "roles", FORM_NULLABLE, 250, &given, &count))
        return form_result(x);
    if (!holds(ch, PERMISSION_MANAGE_ROLES))
        return API_ERROR_MISSING_PERMISSIONS;
    uint64_t *unique = ARENA_ARRAY(x->arena, uint64_t, count);
    for (unsigned i = 0; i < count; i++)
        if (given[i] != ch->m.guild_id && !ids_have(unique, n, given[i]))
            unique[n++] = given[i];
    for (unsigned i = 0; e == API_OK && i < n; i++)
        if (!ids_have(ch->m.roles, ch->m.role_count, unique[i]))
            e = role_change_check(ch, unique[i]);
    for (unsigned i = 0; e == API_OK && i < ch->m.role_count; i++)
        if (!ids_have(unique, n, ch->m.roles[i]))
            e = role_change_check(ch, ch->m.roles[i]);
    ch->m.roles = unique;
    ch->m.role_count = n;
    return e;
}

static enum api_error timeout_change(struct api_ctx *x, struct member_change *ch)
{
    struct str text = STR_NONE;
    int64_t until = 0, now = clock_wall_ms();
    const struct guild_snapshot *s = &ch->access.snap;

    if (!form_str(x, "communication_disabled_until", FORM_NULLABLE, 0, 64, &text))
        return form_result(x);
    if (text.n && clock_parse_iso(text, &until) < 0)
        form_error(x, "communication_disabled_until", "DATE_TIME_TYPE_PARSE",
                   "Could not parse communication_disabled_until. Should be ISO8601.");
    else if (until > now + TIMEOUT_MAX_MS)
        form_error(x, "communication_disabled_until", "COMMUNICATION_DISABLED_TOO_LONG",
                   "Cannot time out a member for more than 28 days.");
    if (form_result(x) != API_OK)
        return form_result(x);
    uint64_t theirs =
        permissions_in_guild(&s->guild, s->roles, s->role_count, ch->m.user.id, ch->m.roles, ch->m.role_count);
    if (!holds(ch, PERMISSION_MODERATE_MEMBERS) || !hierarchy_above(&ch->mine, &ch->theirs) ||
        (until && (theirs & PERMISSION_ADMINISTRATOR)))
        return API_ERROR_MISSING_PERMISSIONS;
    ch->m.communication_disabled_until_ms = until > now ? until : 0;
    return API_OK;
}

static enum api_error voice_part(struct api_ctx *x, struct member_change *ch)
{
    return voice_change_read(x, ch->access.permissions, &ch->m, &ch->voice);
}

static enum api_error flags_change(struct api_ctx *x, struct member_change *ch)
{
    int64_t flags = 0;

    if (!form_i64(x, "flags", FORM_OPTIONAL, 0, INT32_MAX, &flags))
        return form_result(x);
    if (!holds(ch, PERMISSION_MANAGE_GUILD) && !holds(ch, PERMISSION_MANAGE_ROLES) && !holds(ch, MODERATOR_OF_FLAGS))
        return API_ERROR_MISSING_PERMISSIONS;
    ch->m.flags = (ch->m.flags & ~(int64_t)FLAGS_SETTABLE) | (flags & FLAGS_SETTABLE);
    return API_OK;
}

static enum api_error change_commit(struct api_ctx *x, const struct member_change *ch)
{
    struct commit c;

    commit_init(&c, x->arena);
    store_member_update(&c, &ch->m);
    events_member(&c, EVENT_GUILD_MEMBER_UPDATE, &ch->m);
    audit_member(x, &c, &ch->access.snap, &ch->before, &ch->m);
    return api_commit(x, &c, API_ERROR_UNKNOWN_MEMBER);
}

enum api_error guild_member_modify(struct api_ctx *x)
{
    static enum api_error (*const parts[])(struct api_ctx *, struct member_change *) = {
        nick_change, roles_change, timeout_change, voice_part, flags_change};
    struct member_change ch;
    enum api_error e = change_begin(x, x->ids[1], 0, &ch);

    for (size_t i = 0; e == API_OK && i < sizeof parts / sizeof *parts; i++)
        e = parts[i](x, &ch);
    if (e == API_OK)
        e = change_commit(x, &ch);
    if (e == API_OK)
        voice_change_apply(x, &ch.m, &ch.voice);
    if (e == API_OK)
        member_write(api_out(x), &ch.m, true);
    return e;
}

enum api_error guild_member_me_modify(struct api_ctx *x)
{
    struct member_change ch;
    enum api_error e = change_begin(x, x->user_id, 0, &ch);

    if (e == API_OK)
        e = nick_change(x, &ch);
    if (e == API_OK)
        e = change_commit(x, &ch);
    if (e == API_OK)
        member_write(api_out(x), &ch.m, true);
    return e;
}

/* The older form of the above, which discord.py uses: answers the nick alone. */
enum api_error guild_member_nick_modify(struct api_ctx *x)
{
    struct member_change ch;
    enum api_error e = change_begin(x, x->user_id, 0, &ch);

    if (e == API_OK)
        e = nick_change(x, &ch);
    if (e == API_OK)
        e = change_commit(x, &ch);
    if (e != API_OK)
        return e;
    jw_obj(api_out(x));
    jw_kstr(api_out(x), "nick", ch.m.nick);
    jw_obj_end(api_out(x));
    return API_OK;
}

/* Giving and taking one role: nothing happens (and nothing is told) when it is so already. */
static enum api_error role_switch(struct api_ctx *x, bool give)
{
    struct member_change ch;
    struct commit c;
    enum api_error e = change_begin(x, x->ids[1], PERMISSION_MANAGE_ROLES, &ch);

    if (e == API_OK)
        e = role_change_check(&ch, x->ids[2]);
    if (e != API_OK || ids_have(ch.m.roles, ch.m.role_count, x->ids[2]) == give)
        return e;
    uint64_t *roles = ARENA_ARRAY(x->arena, uint64_t, ch.m.role_count + 1);
    unsigned n = 0;
    for (unsigned i = 0; i < ch.m.role_count; i++)
        if (ch.m.roles[i] != x->ids[2])
            roles[n++] = ch.m.roles[i];
    if (give)
        roles[n++] = x->ids[2];
    ch.m.roles = roles;
    ch.m.role_count = n;
    commit_init(&c, x->arena);
    if (give)
        store_member_role_add(&c, ch.m.guild_id, ch.m.user.id, x->ids[2]);
    else
        store_member_role_remove(&c, ch.m.guild_id, ch.m.user.id, x->ids[2]);
    events_member(&c, EVENT_GUILD_MEMBER_UPDATE, &ch.m);
    audit_member(x, &c, &ch.access.snap, &ch.before, &ch.m);
    return api_commit(x, &c, API_ERROR_UNKNOWN_MEMBER);
}

enum api_error guild_member_role_add(struct api_ctx *x)
{
    return role_switch(x, true);
}

enum api_error guild_member_role_remove(struct api_ctx *x)
{
    return role_switch(x, false);
}

enum api_error guild_member_kick(struct api_ctx *x)
{
    struct member_change ch;
    struct commit c;
    enum api_error e = change_begin(x, x->ids[1], PERMISSION_KICK_MEMBERS, &ch);

    if (e != API_OK)
        return e;
    if (!hierarchy_above(&ch.mine, &ch.theirs))
        return API_ERROR_MISSING_PERMISSIONS;
    commit_init(&c, x->arena);
    guild_part_add(&c, &ch.access.snap, &ch.m.user);
    audit_add(x, &c, x->ids[0], AUDIT_MEMBER_KICK, ch.m.user.id, STR_NONE, STR_NONE);
    return api_commit(x, &c, API_ERROR_UNKNOWN_MEMBER);
}
