/* Permissions and hierarchy. Source: Discord API documentation, "Permissions". Pure, any thread. */
#include "platform/model/permissions.h"

/* What is left of a text channel for who cannot send there, and of a voice channel for who cannot connect. */
#define NEEDS_SEND_MESSAGES                                                                                            \
    (PERMISSION_MENTION_EVERYONE | PERMISSION_SEND_TTS_MESSAGES | PERMISSION_ATTACH_FILES | PERMISSION_EMBED_LINKS)
#define NEEDS_CONNECT                                                                                                  \
    (PERMISSION_MANAGE_CHANNELS | PERMISSION_MANAGE_ROLES | PERMISSION_PRIORITY_SPEAKER | PERMISSION_STREAM |          \
     PERMISSION_SPEAK | PERMISSION_MUTE_MEMBERS | PERMISSION_DEAFEN_MEMBERS | PERMISSION_MOVE_MEMBERS |                \
     PERMISSION_USE_VAD | PERMISSION_REQUEST_TO_SPEAK | PERMISSION_USE_SOUNDBOARD | PERMISSION_USE_EXTERNAL_SOUNDS |   \
     PERMISSION_USE_EMBEDDED_ACTIVITIES)

static bool ids_have(const uint64_t *ids, unsigned count, uint64_t id)
{
    for (unsigned i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

uint64_t permissions_in_guild(const struct guild *g, const struct role *roles, unsigned role_count, uint64_t user_id,
                              const uint64_t *member_roles, unsigned member_role_count)
{
    uint64_t permissions = 0;

    if (g->owner_id == user_id)
        return PERMISSIONS_ALL;
    for (unsigned i = 0; i < role_count; i++)
        if (roles[i].id == g->id || ids_have(member_roles, member_role_count, roles[i].id))
            permissions |= roles[i].permissions;
    return permissions & PERMISSION_ADMINISTRATOR ? PERMISSIONS_ALL : permissions;
}

static uint64_t overwrites_apply(uint64_t permissions, uint64_t guild_id, const struct channel *c, uint64_t user_id,
                                 const uint64_t *member_roles, unsigned member_role_count)
{
    struct overwrite everyone = {0}, roles = {0}, member = {0};

    for (unsigned i = 0; i < c->overwrite_count; i++) {
        const struct overwrite *o = &c->overwrites[i];
        struct overwrite *into = NULL;
        if (o->type == 1)
            into = o->id == user_id ? &member : NULL;
        else if (o->id == guild_id)
            into = &everyone;
        else if (ids_have(member_roles, member_role_count, o->id))
            into = &roles;
        if (into) {
            into->allow |= o->allow;
            into->deny |= o->deny;
        }
    }
    permissions = (permissions & ~everyone.deny) | everyone.allow;
    permissions = (permissions & ~roles.deny) | roles.allow;
    return (permissions & ~member.deny) | member.allow;
}

uint64_t permissions_in_channel(uint64_t guild_permissions, uint64_t guild_id, const struct channel *c,
                                uint64_t user_id, const uint64_t *member_roles, unsigned member_role_count)
{
    if (guild_permissions & PERMISSION_ADMINISTRATOR)
        return PERMISSIONS_ALL;
    /* ADMINISTRATOR and what concerns only the guild cannot be granted by a channel. */
    uint64_t p = overwrites_apply(guild_permissions, guild_id, c, user_id, member_roles, member_role_count);
    p &= ~PERMISSION_ADMINISTRATOR;
    if (!(p & PERMISSION_VIEW_CHANNEL))
        return 0;
    if (!(p & PERMISSION_SEND_MESSAGES))
        p &= ~NEEDS_SEND_MESSAGES;
    if (channel_is_voice(c->type) && !(p & PERMISSION_CONNECT))
        p &= ~NEEDS_CONNECT;
    return p;
}

uint64_t permissions_timed_out(uint64_t permissions)
{
    if (permissions & PERMISSION_ADMINISTRATOR)
        return permissions;
    return permissions & (PERMISSION_VIEW_CHANNEL | PERMISSION_READ_MESSAGE_HISTORY);
}

uint64_t permissions_of_member(const struct guild *g, const struct role *roles, unsigned role_count,
                               const struct channel *c, const struct member *m, int64_t now_ms)
{
    uint64_t p = permissions_in_guild(g, roles, role_count, m->user.id, m->roles, m->role_count);

    if (c)
        p = permissions_in_channel(p, g->id, c, m->user.id, m->roles, m->role_count);
    return now_ms < m->communication_disabled_until_ms ? permissions_timed_out(p) : p;
}

bool role_above(const struct role *a, const struct role *b)
{
    return a->position != b->position ? a->position > b->position : a->id < b->id;
}

struct hierarchy hierarchy_of(const struct guild *g, const struct role *roles, unsigned role_count, uint64_t user_id,
                              const uint64_t *member_roles, unsigned member_role_count)
{
    struct hierarchy h = {.is_owner = g->owner_id == user_id};

    for (unsigned i = 0; i < role_count; i++)
        if (roles[i].id != g->id && ids_have(member_roles, member_role_count, roles[i].id) &&
            (!h.top || role_above(&roles[i], h.top)))
            h.top = &roles[i];
    return h;
}

bool hierarchy_above_role(const struct hierarchy *h, const struct role *r)
{
    if (h->is_owner)
        return true;
    if (r->id == r->guild_id) /* everybody stands above @everyone who may change it at all */
        return true;
    return h->top && h->top->id != r->id && role_above(h->top, r);
}

bool hierarchy_above(const struct hierarchy *a, const struct hierarchy *b)
{
    if (a->is_owner || b->is_owner)
        return a->is_owner && !b->is_owner;
    if (!a->top || !b->top)
        return a->top != NULL;
    return a->top->id != b->top->id && role_above(a->top, b->top);
}

int64_t hierarchy_position(const struct guild *g, const struct role *roles, unsigned role_count, uint64_t user_id,
                           const uint64_t *member_roles, unsigned member_role_count)
{
    struct hierarchy h = hierarchy_of(g, roles, role_count, user_id, member_roles, member_role_count);

    if (h.is_owner)
        return INT64_MAX;
    return h.top ? h.top->position : 0;
}
