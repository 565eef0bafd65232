/* The cache's reader: what the writer wrote, as JSON text. Coroutine only. Every call appends to `out` and returns 0,
 * -ENOENT (not there), -EHOSTDOWN (Redis unreachable). guild_id 0: outside guilds (direct messages). */
#pragma once

#include "cache/keys.h"
#include "platform/io/redis.h"

struct cache {
    struct redis *redis;
    uint64_t application;
};

/* One of a guild's roles, members, emojis, ...: every entity that has one key for each guild. */
int cache_get(const struct cache *c, enum cache_entity e, uint64_t guild_id, uint64_t id, struct buf *out);
/* Some of them, an array in no order, perhaps an empty one: about LIMIT_CACHE_SLICE each time. *cursor is 0 before the
 * first slice, and again after the last. One that is there all the while comes at least once; twice only where Redis
 * resizes the hash meanwhile. */
int cache_list_slice(const struct cache *c, enum cache_entity e, uint64_t guild_id, uint64_t *cursor, struct buf *out);
int cache_thread_members_slice(const struct cache *c, uint64_t guild_id, uint64_t thread_id, uint64_t *cursor,
                               struct buf *out);
/* The ids of all guilds, as strings. */
int cache_guilds_slice(const struct cache *c, uint64_t *cursor, struct buf *out);

/* All of them, each once, read slice by slice. -ENOENT where there are none, -E2BIG over LIMIT_CACHE_LIST. */
int cache_list(const struct cache *c, enum cache_entity e, uint64_t guild_id, struct buf *out);

int cache_guild(const struct cache *c, uint64_t guild_id, struct buf *out);
/* Of a channel or an active thread. guild_id 0: it is looked up. */
int cache_channel(const struct cache *c, uint64_t guild_id, uint64_t channel_id, struct buf *out);
/* The guild a channel or thread belongs to. */
int cache_guild_of(const struct cache *c, uint64_t channel_id, uint64_t *ret);
int cache_role(const struct cache *c, uint64_t guild_id, uint64_t role_id, struct buf *out);
int cache_member(const struct cache *c, uint64_t guild_id, uint64_t user_id, struct buf *out);
int cache_user(const struct cache *c, uint64_t user_id, struct buf *out);
int cache_thread_member(const struct cache *c, uint64_t guild_id, uint64_t thread_id, uint64_t user_id,
                        struct buf *out);
/* With its reactions. */
int cache_message(const struct cache *c, uint64_t guild_id, uint64_t channel_id, uint64_t message_id, struct buf *out);

int cache_channels(const struct cache *c, uint64_t guild_id, struct buf *out);
int cache_roles(const struct cache *c, uint64_t guild_id, struct buf *out);
int cache_thread_members(const struct cache *c, uint64_t guild_id, uint64_t thread_id, struct buf *out);
/* A channel's newest messages, newest first, at most `count`. */
int cache_messages(const struct cache *c, uint64_t guild_id, uint64_t channel_id, unsigned count, struct buf *out);
/* The ids of all guilds, as strings. */
int cache_guilds(const struct cache *c, struct buf *out);

/* How far the shard's events are in the cache. */
struct cache_marker {
    uint64_t epoch, seq;
    char session[128];
};
int cache_marker(const struct cache *c, unsigned shard, unsigned shard_count, struct cache_marker *ret);
/* Has the cache seen event `seq` of that session? 1, 0; 0 as well when the shard has another session by now. */
int cache_seen(const struct cache *c, unsigned shard, unsigned shard_count, const char *session, uint64_t seq);

/* Every key of the guild but its version, and its place in the list of guilds. What the shard is told after that is
 * written again, the whole guild with its next GUILD_CREATE. ret_keys: how many keys went. */
int cache_purge_guild(const struct cache *c, uint64_t guild_id, uint64_t *ret_keys);
