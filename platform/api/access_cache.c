/* The rows behind message permissions, by channel and by member. Loop thread. */
#include "platform/api/access_cache.h"

#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"

#include <stdio.h>

METRIC_DEFINE(hits, METRIC_COUNTER, "guildhall_api_access_hits_total", "Message permissions answered from memory");
METRIC_DEFINE(misses, METRIC_COUNTER, "guildhall_api_access_misses_total",
              "Message permissions read from the database");

struct channel_entry {
    struct list lru;
    struct arena arena;
    struct guild guild; /* id and owner_id */
    struct role *roles;
    unsigned role_count;
    struct channel channel;
    uint64_t version;
};

struct member_entry {
    struct list lru;
    struct arena arena;
    struct member member;
    uint64_t version;
};

struct member_key {
    uint64_t guild_id, user_id;
};

struct access_cache {
    struct map channels;                     /* channel id -> struct channel_entry */
    struct smap members;                     /* struct member_key -> struct member_entry */
    struct list channels_used, members_used; /* longest ago first */
};

struct access_cache *access_cache_new(void)
{
    struct access_cache *c = MEM_NEW(struct access_cache);

    list_init(&c->channels_used);
    list_init(&c->members_used);
    return c;
}

static struct str key_of(const struct member_key *k)
{
    return (struct str){(const char *)k, sizeof *k};
}

static void channel_forget(struct access_cache *c, struct channel_entry *e)
{
    map_del(&c->channels, e->channel.id);
    list_remove(&e->lru);
    arena_done(&e->arena);
    mem_free(e);
}

static void member_forget(struct access_cache *c, struct member_entry *e)
{
    struct member_key key = {e->member.guild_id, e->member.user.id};

    smap_del(&c->members, key_of(&key));
    list_remove(&e->lru);
    arena_done(&e->arena);
    mem_free(e);
}

static struct channel_entry *channel_oldest(const struct access_cache *c)
{
    struct list *first = list_first(&c->channels_used);

    return first ? LIST_ENTRY(first, struct channel_entry, lru) : NULL;
}

static struct member_entry *member_oldest(const struct access_cache *c)
{
    struct list *first = list_first(&c->members_used);

    return first ? LIST_ENTRY(first, struct member_entry, lru) : NULL;
}

void access_cache_free(struct access_cache *c)
{
    if (!c)
        return;
    for (struct channel_entry *e; (e = channel_oldest(c));)
        channel_forget(c, e);
    for (struct member_entry *e; (e = member_oldest(c));)
        member_forget(c, e);
    map_done(&c->channels);
    smap_done(&c->members);
    mem_free(c);
}

/* --- copies --- */

static void *array_copy(struct arena *a, const void *from, size_t bytes)
{
    void *to = arena_alloc(a, bytes ? bytes : 1);

    if (bytes)
        memcpy(to, from, bytes);
    return to;
}

static void member_copy(struct arena *a, const struct member *from, struct member *to)
{
    *to = *from;
    to->nick = arena_str(a, from->nick);
    to->avatar = arena_str(a, from->avatar);
    to->roles = array_copy(a, from->roles, sizeof *from->roles * from->role_count);
    struct user *u = &to->user;
    u->username = arena_str(a, u->username);
    u->discriminator = arena_str(a, u->discriminator);
    u->global_name = arena_str(a, u->global_name);
    u->avatar = arena_str(a, u->avatar);
    u->banner = arena_str(a, u->banner);
    u->email = u->locale = u->password_hash = STR_NONE;
}

static struct role *roles_copy(struct arena *a, const struct role *from, unsigned count)
{
    struct role *roles = array_copy(a, from, sizeof *from * count);

    for (unsigned i = 0; i < count; i++)
        roles[i].name = roles[i].icon = roles[i].unicode_emoji = STR_NONE;
    return roles;
}

static struct channel channel_copy(struct arena *a, const struct channel *from)
{
    return (struct channel){
        .id = from->id,
        .guild_id = from->guild_id,
        .parent_id = from->parent_id,
        .type = from->type,
        .nsfw = from->nsfw,
        .rate_limit_per_user = from->rate_limit_per_user,
        .overwrites = array_copy(a, from->overwrites, sizeof *from->overwrites * from->overwrite_count),
        .overwrite_count = from->overwrite_count,
    };
}

/* --- in and out --- */

bool access_cache_get(struct access_cache *c, struct arena *a, uint64_t channel_id, uint64_t user_id,
                      struct guild_snapshot *ret)
{
    struct channel_entry *ch = map_get(&c->channels, channel_id);
    struct member_key key = {ch ? ch->guild.id : 0, user_id};
    struct member_entry *m = ch ? smap_get(&c->members, key_of(&key)) : NULL;

    metric_add(m ? &hits : &misses, 1);
    if (!m)
        return false;
    list_remove(&ch->lru);
    list_append(&c->channels_used, &ch->lru);
    list_remove(&m->lru);
    list_append(&c->members_used, &m->lru);
    *ret = (struct guild_snapshot){.guild = ch->guild,
                                   .role_count = ch->role_count,
                                   .channel_count = 1,
                                   .member_count = 1,
                                   .guild_version = ch->version,
                                   .user_version = m->version};
    ret->roles = array_copy(a, ch->roles, sizeof *ch->roles * ch->role_count);
    ret->channels = ARENA_NEW(a, struct channel);
    ret->channels[0] = channel_copy(a, &ch->channel);
    ret->members = ARENA_NEW(a, struct member);
    member_copy(a, &m->member, &ret->members[0]);
    return true;
}

static void channel_keep(struct access_cache *c, const struct guild_snapshot *snap)
{
    struct channel_entry *e = map_get(&c->channels, snap->channels[0].id);

    if (e)
        channel_forget(c, e);
    if (c->channels.count >= LIMIT_ACCESS_CHANNELS)
        channel_forget(c, channel_oldest(c));
    e = MEM_NEW(struct channel_entry);
    e->guild.id = snap->guild.id;
    e->guild.owner_id = snap->guild.owner_id;
    e->roles = roles_copy(&e->arena, snap->roles, snap->role_count);
    e->role_count = snap->role_count;
    e->channel = channel_copy(&e->arena, &snap->channels[0]);
    e->version = snap->guild_version;
    map_put(&c->channels, e->channel.id, e);
    list_append(&c->channels_used, &e->lru);
}

static void member_keep(struct access_cache *c, const struct guild_snapshot *snap)
{
    struct member_key key = {snap->guild.id, snap->members[0].user.id};
    struct member_entry *e = smap_get(&c->members, key_of(&key));

    if (e)
        member_forget(c, e);
    if (c->members.count >= LIMIT_ACCESS_MEMBERS)
        member_forget(c, member_oldest(c));
    e = MEM_NEW(struct member_entry);
    member_copy(&e->arena, &snap->members[0], &e->member);
    e->member.guild_id = snap->guild.id;
    e->version = snap->user_version;
    smap_put(&c->members, key_of(&key), e);
    list_append(&c->members_used, &e->lru);
}

void access_cache_put(struct access_cache *c, const struct guild_snapshot *snap)
{
    if (!snap->guild.id || !snap->guild_version || snap->channel_count != 1 || snap->member_count != 1)
        return;
    channel_keep(c, snap);
    member_keep(c, snap);
}

void access_cache_drop(struct access_cache *c, uint64_t channel_id, uint64_t user_id)
{
    struct channel_entry *ch = map_get(&c->channels, channel_id);

    if (!ch)
        return;
    struct member_key key = {ch->guild.id, user_id};
    struct member_entry *m = smap_get(&c->members, key_of(&key));
    if (m)
        member_forget(c, m);
    channel_forget(c, ch);
}
