/* A user's guilds: listing and leaving. Coroutine. Source: Discord API documentation, "User: Get Current User Guilds".
 */
#include "platform/api/guilds/guilds.h"
#include "platform/api/counts.h"
#include "platform/api/form.h"
#include "platform/api/handlers.h"
#include "platform/base/jw.h"
#include "platform/model/permissions.h"
#include "platform/ports/store/store.h"

static uint64_t permissions_of(const struct guild_snapshot *s, uint64_t user_id)
{
    uint64_t mine[256];
    unsigned count = 0;

    /* The snapshot has only the roles that count for the user. */
    for (unsigned i = 0; i < s->role_count && count < 256; i++)
        mine[count++] = s->roles[i].id;
    return permissions_in_guild(&s->guild, s->roles, s->role_count, user_id, mine, count);
}

static void guild_entry(struct buf *b, const struct guild_snapshot *s, uint64_t user_id, bool with_counts)
{
    const struct guild *g = &s->guild;

    jw_obj(b);
    jw_kid(b, "id", g->id);
    jw_kstr(b, "name", g->name);
    jw_kstr(b, "icon", g->icon);
    jw_kstr(b, "banner", g->banner);
    jw_kbool(b, "owner", g->owner_id == user_id);
    jw_key(b, "permissions");
    buf_addf(b, "\"%llu\"", (unsigned long long)permissions_of(s, user_id));
    jw_kraw(b, "features", g->features_json.n ? g->features_json : STR("[]"));
    if (with_counts) {
        jw_ki64(b, "approximate_member_count", g->member_count);
        jw_ki64(b, "approximate_presence_count", g->presence_count);
    }
    jw_obj_end(b);
}

enum api_error user_guilds_list(struct api_ctx *x)
{
    int64_t limit = 200;
    uint64_t before = 0, after = 0;
    bool with_counts = false;
    struct guild_snapshot *guilds;
    unsigned count;

    (void)query_i64(x, "limit", 1, 200, &limit);
    (void)query_id(x, "before", &before);
    (void)query_id(x, "after", &after);
    (void)query_bool(x, "with_counts", &with_counts);
    if (form_result(x) != API_OK)
        return form_result(x);
    int r = store_user_guilds(x->ports->db, x->arena, x->user_id, after, before, (unsigned)limit, &guilds, &count);
    if (r < 0)
        return api_port_error(r, API_ERROR_INTERNAL);
    jw_arr(api_out(x));
    for (unsigned i = 0; with_counts && i < count; i++)
        api_presence_count(x, &guilds[i].guild);
    for (unsigned i = 0; i < count; i++)
        guild_entry(api_out(x), &guilds[i], x->user_id, with_counts);
    jw_arr_end(api_out(x));
    return API_OK;
}

enum api_error user_guild_leave(struct api_ctx *x)
{
    struct api_access access;
    struct commit c;

    api_guild_lock(x, x->ids[0]);
    enum api_error e = api_access_guild(x, x->ids[0], 0, &access);
    if (e != API_OK)
        return e;
    if (access.snap.guild.owner_id == x->user_id)
        return API_ERROR_INVALID_GUILD;
    commit_init(&c, x->arena);
    guild_part_add(&c, &access.snap, &access.snap.members[0].user);
    return api_commit(x, &c, API_ERROR_UNKNOWN_MEMBER);
}
