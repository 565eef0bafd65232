/* Coming to a guild and leaving it. Coroutine. */
#include "platform/api/events.h"
#include "platform/api/guilds/guilds.h"
#include "platform/model/permissions.h"
#include "platform/ports/store/store.h"

#include <errno.h>

const struct role *snapshot_role(const struct guild_snapshot *s, uint64_t role_id)
{
    for (unsigned i = 0; i < s->role_count; i++)
        if (s->roles[i].id == role_id)
            return &s->roles[i];
    return NULL;
}

void guild_join(struct commit *c, const struct member *m)
{
    store_member_insert(c, m);
    events_member(c, EVENT_GUILD_MEMBER_ADD, m);
    events_guild_control(c, EVENT_CONTROL_GUILD_JOINED, m->user.id, m->guild_id);
}

void guild_part_add(struct commit *c, const struct guild_snapshot *s, const struct user *u)
{
    store_member_delete(c, s->guild.id, u->id);
    events_member_remove(c, s->guild.id, u);
    for (unsigned i = 0; u->bot && i < s->role_count; i++)
        if (s->roles[i].managed && s->roles[i].bot_id == u->id) {
            store_role_delete(c, s->guild.id, s->roles[i].id);
            events_role_delete(c, s->guild.id, s->roles[i].id);
        }
    events_guild_control(c, EVENT_CONTROL_GUILD_LEFT, u->id, s->guild.id);
}

enum api_error guild_ban_check(struct api_ctx *x, uint64_t guild_id, uint64_t user_id)
{
    struct ban ban;
    int r = store_ban_get(x->ports->db, x->arena, guild_id, user_id, &ban);

    if (r == -ENOENT)
        return API_OK;
    return r < 0 ? api_port_error(r, API_ERROR_UNKNOWN_USER) : API_ERROR_USER_BANNED;
}

void access_rank(const struct api_access *a, struct hierarchy *ret)
{
    const struct member *m = &a->snap.members[0];

    *ret = hierarchy_of(&a->snap.guild, a->snap.roles, a->snap.role_count, m->user.id, m->roles, m->role_count);
}

bool access_may_grant(const struct api_access *a, uint64_t bits)
{
    return (a->permissions & PERMISSION_ADMINISTRATOR) || (bits & ~a->permissions) == 0;
}
