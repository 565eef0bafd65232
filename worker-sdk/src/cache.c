/* Cache reads as entities. Coroutine. */
#include "worker-sdk/src/sdk.h"

#include "platform/base/snowflake.h"
#include "platform/protocol/json_read.h"

#include <errno.h>

/* Takes what a cache_* call appended: the parsed object, kept by the context. */
static json_t *taken(struct gh_context *c, int error, struct buf *text)
{
    json_t *o = NULL;
    if (error == 0 && json_read(buf_str(text), &o, NULL) == 0)
        context_keep(c, o);
    buf_done(text);
    return o;
}

static void *one(struct gh_context *c, enum entity e, int error, struct buf *text)
{
    json_t *o = taken(c, error, text);
    return o ? entity_read(c, e, o) : NULL;
}

static void *all(struct gh_context *c, enum entity e, int error, struct buf *text, size_t *ret_count)
{
    json_t *list = taken(c, error, text);
    return list ? entity_read_list(c, e, list, ret_count) : NULL;
}

/* What a guild has many of: gh_cache_<name> and gh_cache_<names>. */
#define IN_GUILD(name, names, e, cached)                                                                               \
    const struct gh_##e *gh_cache_##name(struct gh_context *c, uint64_t guild_id, uint64_t id)                         \
    {                                                                                                                  \
        struct buf text = {0};                                                                                         \
        int error = cache_get(&c->bot->cache, CACHE_##cached, guild_id, id, &text);                                    \
        return one(c, ENTITY_##e, error, &text);                                                                       \
    }                                                                                                                  \
    ALL_OF_GUILD(names, e, cached)
#define ALL_OF_GUILD(names, e, cached)                                                                                 \
    const struct gh_##e *gh_cache_##names(struct gh_context *c, uint64_t guild_id, size_t *ret_count)                  \
    {                                                                                                                  \
        struct buf text = {0};                                                                                         \
        int error = cache_list(&c->bot->cache, CACHE_##cached, guild_id, &text);                                       \
        return all(c, ENTITY_##e, error, &text, ret_count);                                                            \
    }

IN_GUILD(role, roles, role, ROLES)
IN_GUILD(emoji, emojis, emoji, EMOJIS)
IN_GUILD(sticker, stickers, sticker, STICKERS)
IN_GUILD(soundboard_sound, soundboard_sounds, soundboard_sound, SOUNDS)
IN_GUILD(member, members, member, MEMBERS)
IN_GUILD(presence, presences, presence, PRESENCES)
IN_GUILD(voice_state, voice_states, voice_state, VOICE_STATES)
IN_GUILD(stage_instance, stage_instances, stage_instance, STAGES)
IN_GUILD(scheduled_event, scheduled_events, scheduled_event, EVENTS)
ALL_OF_GUILD(channels, channel, CHANNELS)
ALL_OF_GUILD(threads, channel, THREADS)

const struct gh_guild *gh_cache_guild(struct gh_context *c, uint64_t guild_id)
{
    struct buf text = {0};
    int error = cache_guild(&c->bot->cache, guild_id, &text);
    return one(c, ENTITY_guild, error, &text);
}

const struct gh_channel *gh_cache_channel(struct gh_context *c, uint64_t guild_id, uint64_t channel_id)
{
    struct buf text = {0};
    int error = cache_channel(&c->bot->cache, guild_id, channel_id, &text);
    return one(c, ENTITY_channel, error, &text);
}

const struct gh_user *gh_cache_user(struct gh_context *c, uint64_t user_id)
{
    struct buf text = {0};
    int error = cache_user(&c->bot->cache, user_id, &text);
    return one(c, ENTITY_user, error, &text);
}

const struct gh_thread_member *gh_cache_thread_member(struct gh_context *c, uint64_t guild_id, uint64_t thread_id,
                                                      uint64_t user_id)
{
    struct buf text = {0};
    int error = cache_thread_member(&c->bot->cache, guild_id, thread_id, user_id, &text);
    return one(c, ENTITY_thread_member, error, &text);
}

const struct gh_thread_member *gh_cache_thread_members(struct gh_context *c, uint64_t guild_id, uint64_t thread_id,
                                                       size_t *ret_count)
{
    struct buf text = {0};
    int error = cache_thread_members(&c->bot->cache, guild_id, thread_id, &text);
    return all(c, ENTITY_thread_member, error, &text, ret_count);
}

const struct gh_message *gh_cache_message(struct gh_context *c, uint64_t guild_id, uint64_t channel_id,
                                          uint64_t message_id)
{
    struct buf text = {0};
    int error = cache_message(&c->bot->cache, guild_id, channel_id, message_id, &text);
    return one(c, ENTITY_message, error, &text);
}

const struct gh_message *gh_cache_messages(struct gh_context *c, uint64_t guild_id, uint64_t channel_id, unsigned count,
                                           size_t *ret_count)
{
    struct buf text = {0};
    int error = cache_messages(&c->bot->cache, guild_id, channel_id, count, &text);
    return all(c, ENTITY_message, error, &text, ret_count);
}

const uint64_t *gh_cache_guild_ids(struct gh_context *c, size_t *ret_count)
{
    struct buf text = {0};
    json_t *list = taken(c, cache_guilds(&c->bot->cache, &text), &text);
    size_t count = json_array_size(list);
    uint64_t *ids = list ? ARENA_ARRAY(&c->arena, uint64_t, count + 1) : NULL;

    if (!list)
        return NULL;
    for (size_t i = 0; i < count; i++)
        (void)snowflake_parse(str_c(json_string_value(json_array_get(list, i))), &ids[i]);
    *ret_count = count;
    return ids;
}

int gh_cache_caught_up(struct gh_context *c)
{
    const struct gh_event *e = gh_context_event(c);

    if (!e || !e->session)
        return -EINVAL;
    return cache_seen(&c->bot->cache, (unsigned)e->shard, (unsigned)e->shard_count, e->session, (uint64_t)e->seq);
}
