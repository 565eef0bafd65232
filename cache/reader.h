/* The cache's reader: what the writer wrote, as JSON text. Coroutine only. Every call appends to `out` and returns 0,
 * -ENOENT (not there), -EHOSTDOWN (Redis unreachable). guild_id 0: outside guilds (direct messages). */
#pragma once

#include "cache/keys.h"
#include "platform/io/redis.h"

struct cache {
    struct redis *redis;
    uint64_t application;
};

int cache_guild(const struct cache *c, uint64_t guild_id, struct buf *out);
/* guild_id 0: it is looked up. */
int cache_channel(const struct cache *c, uint64_t guild_id, uint64_t channel_id, struct buf *out);
int cache_role(const struct cache *c, uint64_t guild_id, uint64_t role_id, struct buf *out);
int cache_member(const struct cache *c, uint64_t guild_id, uint64_t user_id, struct buf *out);
int cache_user(const struct cache *c, uint64_t user_id, struct buf *out);
int cache_message(const struct cache *c, uint64_t guild_id, uint64_t channel_id, uint64_t message_id, struct buf *out);
/* Arrays, in no order; -ENOENT where there are none. */
int cache_channels(const struct cache *c, uint64_t guild_id, struct buf *out);
int cache_roles(const struct cache *c, uint64_t guild_id, struct buf *out);
/* How far the shard's events are in the cache. */
struct cache_marker {
    uint64_t epoch, seq;
    char session[128];
};
int cache_marker(const struct cache *c, unsigned shard, unsigned shard_count, struct cache_marker *ret);
