/* Cache reads as entities. Coroutine. */
#include "worker-sdk/src/sdk.h"

#include "platform/protocol/json_read.h"

/* Takes what a cache_* call appended: the parsed object, kept by the context. */
static json_t *taken(struct gh_context *c, int error, struct buf *text)
{
    json_t *o = NULL;
    if (error == 0 && json_read(buf_str(text), &o, NULL) == 0)
        context_keep(c, o);
    buf_done(text);
    return o;
}

#define CACHE_READ(entity, call)                                                                                       \
    struct buf text = {0};                                                                                             \
    int error = call;                                                                                                  \
    json_t *o = taken(c, error, &text);                                                                                \
    return o ? ENTITY_READ(c, entity, o) : NULL

const struct gh_guild *gh_cache_guild(struct gh_context *c, uint64_t guild_id)
{
    CACHE_READ(guild, cache_guild(&c->bot->cache, guild_id, &text));
}

const struct gh_channel *gh_cache_channel(struct gh_context *c, uint64_t guild_id, uint64_t channel_id)
{
    CACHE_READ(channel, cache_channel(&c->bot->cache, guild_id, channel_id, &text));
}

const struct gh_role *gh_cache_role(struct gh_context *c, uint64_t guild_id, uint64_t role_id)
{
    CACHE_READ(role, cache_role(&c->bot->cache, guild_id, role_id, &text));
}

const struct gh_member *gh_cache_member(struct gh_context *c, uint64_t guild_id, uint64_t user_id)
{
    CACHE_READ(member, cache_member(&c->bot->cache, guild_id, user_id, &text));
}

const struct gh_user *gh_cache_user(struct gh_context *c, uint64_t user_id)
{
    CACHE_READ(user, cache_user(&c->bot->cache, user_id, &text));
}

const struct gh_message *gh_cache_message(struct gh_context *c, uint64_t guild_id, uint64_t channel_id,
                                          uint64_t message_id)
{
    CACHE_READ(message, cache_message(&c->bot->cache, guild_id, channel_id, message_id, &text));
}

#define CACHE_READ_ALL(entity, call)                                                                                   \
    struct buf text = {0};                                                                                             \
    int error = call;                                                                                                  \
    json_t *all = taken(c, error, &text);                                                                              \
    return all ? entity_read_list(c, ENTITY_##entity, all, ret_count) : NULL

const struct gh_channel *gh_cache_channels(struct gh_context *c, uint64_t guild_id, size_t *ret_count)
{
    CACHE_READ_ALL(channel, cache_channels(&c->bot->cache, guild_id, &text));
}

const struct gh_role *gh_cache_roles(struct gh_context *c, uint64_t guild_id, size_t *ret_count)
{
    CACHE_READ_ALL(role, cache_roles(&c->bot->cache, guild_id, &text));
}
