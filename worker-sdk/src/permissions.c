/* What a member may do. Source: Discord API documentation, "Permissions: Permission Overwrites", "Implicit
 * Permissions". */
#include "worker-sdk/src/sdk.h"

#include "platform/base/clock.h"

#include <guildhall/cache.h>
#include <guildhall/helpers.h>

#include <errno.h>

#define P GH_PERMISSION

static bool has_role(const struct gh_member *m, uint64_t id)
{
    for (size_t i = 0; i < m->roles_count; i++)
        if (m->roles[i] == id)
            return true;
    return false;
}

static uint64_t in_guild(uint64_t guild_id, const struct gh_role *roles, size_t count, const struct gh_member *m)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++)
        if (roles[i].id == guild_id || has_role(m, roles[i].id))
            bits |= roles[i].permissions;
    return bits;
}

static uint64_t overwritten(uint64_t bits, uint64_t guild_id, const struct gh_member *m, const struct gh_channel *ch)
{
    uint64_t allow = 0, deny = 0;
    const struct gh_overwrite *everyone = NULL, *own = NULL;
    for (size_t i = 0; i < ch->permission_overwrites_count; i++) {
        const struct gh_overwrite *o = &ch->permission_overwrites[i];
        if (o->type == 1 && o->id == m->user.id) {
            own = o;
        } else if (o->type == 0 && o->id == guild_id) {
            everyone = o;
        } else if (o->type == 0 && has_role(m, o->id)) {
            allow |= o->allow;
            deny |= o->deny;
        }
    }
    if (everyone)
        bits = (bits & ~everyone->deny) | everyone->allow;
    bits = (bits & ~deny) | allow;
    return own ? (bits & ~own->deny) | own->allow : bits;
}

static uint64_t implied(uint64_t bits)
{
    if (!(bits & P(VIEW_CHANNEL)))
        return 0;
    if (!(bits & P(SEND_MESSAGES)))
        bits &= ~(P(MENTION_EVERYONE) | P(SEND_TTS_MESSAGES) | P(ATTACH_FILES) | P(EMBED_LINKS));
    return bits;
}

uint64_t gh_permissions(uint64_t guild_id, uint64_t owner_id, const struct gh_role *roles, size_t roles_count,
                        const struct gh_member *member, const struct gh_channel *channel, int64_t now_s)
{
    if (member->user.id == owner_id)
        return GH_PERMISSIONS_ALL;
    uint64_t bits = in_guild(guild_id, roles, roles_count, member);
    if (bits & P(ADMINISTRATOR))
        return GH_PERMISSIONS_ALL;
    if (channel)
        bits = implied(overwritten(bits, guild_id, member, channel));
    const char *until = member->communication_disabled_until;
    if (until && *until && gh_iso_read_ms(until) > now_s * 1000)
        bits &= P(VIEW_CHANNEL) | P(READ_MESSAGE_HISTORY);
    return bits;
}

/* Threads have no overwrites of their own. */
static const struct gh_channel *ruling_channel(struct gh_context *c, uint64_t guild_id, uint64_t channel_id)
{
    const struct gh_channel *channel = gh_cache_channel(c, guild_id, channel_id);
    bool thread = channel && channel->type >= GH_CHANNEL_NEWS_THREAD && channel->type <= GH_CHANNEL_PRIVATE_THREAD;
    return thread ? gh_cache_channel(c, guild_id, channel->parent_id) : channel;
}

/* known NULL: the cached member. */
static int permissions_of(struct gh_context *c, uint64_t guild_id, uint64_t channel_id, uint64_t user_id,
                          const struct gh_member *known, uint64_t *ret)
{
    size_t count;
    const struct gh_guild *guild = gh_cache_guild(c, guild_id);
    const struct gh_role *roles = guild ? gh_cache_roles(c, guild_id, &count) : NULL;
    known = known || !roles ? known : gh_cache_member(c, guild_id, user_id);
    const struct gh_channel *channel = known && channel_id ? ruling_channel(c, guild_id, channel_id) : NULL;
    if (!roles || !known || (channel_id && !channel))
        return redis_connected(c->bot->redis) ? -ENOENT : -EHOSTDOWN;
    struct gh_member member = *known;
    member.user.id = user_id;
    *ret = gh_permissions(guild_id, guild->owner_id, roles, count, &member, channel, clock_wall_ms() / 1000);
    return 0;
}

int gh_permissions_of(struct gh_context *c, uint64_t guild_id, uint64_t channel_id, uint64_t user_id, uint64_t *ret)
{
    return permissions_of(c, guild_id, channel_id, user_id, NULL, ret);
}

int gh_author_permissions(struct gh_context *c, const struct gh_message *m, uint64_t *ret)
{
    return permissions_of(c, m->guild_id, m->channel_id, m->author.id, m->member, ret);
}

const char *gh_permissions_text(struct gh_context *c, uint64_t permissions)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {
#define GH_PERMISSION_LINE(name, bit) {#name, bit},
#include <guildhall/permissions.def>
    };
    BUF_AUTO struct buf b = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (permissions >> names[i].bit & 1)
            buf_addf(&b, "%s%s", b.len ? ", " : "", names[i].name);
    return arena_strdup(&c->arena, buf_str(&b));
}
