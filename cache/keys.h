/* The cache's key schema (README.md), in one place for writer and reader. Any thread. */
#pragma once

#include "platform/base/buf.h"

enum cache_entity {
#define ENTITY(name, suffix, intents, help) CACHE_##name,
#include "cache/entities.def"
#undef ENTITY
    CACHE_ENTITY_COUNT,
};

/* Bits (1 << CACHE_x) of what these intents bring. */
unsigned cache_entities_of(uint32_t intents);

/* gh:<application>:{<tag>}:<suffix>. tag: the guild; of messages outside guilds and of DM channels the channel; of
 * users the user. */
void cache_key(struct buf *out, uint64_t application, uint64_t tag, enum cache_entity e);
/* A channel's messages (hash) and their order (sorted set). */
void cache_key_messages(struct buf *out, uint64_t application, uint64_t tag, uint64_t channel);
void cache_key_order(struct buf *out, uint64_t application, uint64_t tag, uint64_t channel);
/* Which (epoch, generation, seq) the tag's entities are at. */
void cache_key_version(struct buf *out, uint64_t application, uint64_t tag);
/* The guild a channel belongs to. */
void cache_key_channel_guild(struct buf *out, uint64_t application, uint64_t channel);
/* How far a shard's events are in the cache. */
void cache_key_marker(struct buf *out, uint64_t application, unsigned shard, unsigned shard_count);
