/* The cache's key schema (README.md), in one place for writer and reader. Any thread. */
#pragma once

#include "platform/base/buf.h"

enum cache_entity {
#define ENTITY(NAME, name, suffix, intents, always, help) CACHE_##NAME,
#include "cache/entities.def"
#undef ENTITY
    CACHE_ENTITY_COUNT,
};

/* "channels"; what --cache and metrics call it. */
const char *cache_entity_name(enum cache_entity e);
/* 0, -EINVAL: no such entity. */
int cache_entity_find(struct str name, enum cache_entity *ret);
/* Bits (1 << CACHE_x) of what these intents bring. */
unsigned cache_entities_of(uint32_t intents);
/* "channels": what its key is called behind the head. */
const char *cache_entity_suffix(enum cache_entity e);
/* "|id|": fields that stay however it is trimmed. */
const char *cache_entity_always(enum cache_entity e);

/* Has the entity a key for each channel or thread of the guild (cache_key_part)? And none in the guild: users. */
static inline bool cache_entity_in_parts(enum cache_entity e)
{
    return e == CACHE_THREAD_MEMBERS || e == CACHE_MESSAGES || e == CACHE_REACTIONS;
}

/* gh:<app>:{<tag>}: which all keys of a guild begin with. tag: the guild; of messages outside guilds the channel; of
 * users the user. */
void cache_key_head(struct buf *out, uint64_t application, uint64_t tag);
void cache_key(struct buf *out, uint64_t application, uint64_t tag, enum cache_entity e);
/* Of one channel or thread: its messages, reactions, thread members. */
void cache_key_part(struct buf *out, uint64_t application, uint64_t tag, enum cache_entity e, uint64_t part);
/* A channel's messages in order, the newest last (list). */
void cache_key_order(struct buf *out, uint64_t application, uint64_t tag, uint64_t channel);
/* The suffixes of the guild's keys that belong to a channel or thread (set), so that they can be found. */
void cache_key_parts(struct buf *out, uint64_t application, uint64_t tag);
/* Which place the tag's entities are at: epoch, generation, seq, 16 digits each. */
void cache_key_version(struct buf *out, uint64_t application, uint64_t tag);
/* The guild a channel belongs to, 0: gone; a blank; the place of the event that said so. */
void cache_key_channel_guild(struct buf *out, uint64_t application, uint64_t channel);
/* The ids of all guilds (set). */
void cache_key_guilds(struct buf *out, uint64_t application);
/* Which layout of keys the application's cache is in (schema.c). */
void cache_key_schema(struct buf *out, uint64_t application);
/* How far a shard's events are in the cache. */
void cache_key_marker(struct buf *out, uint64_t application, unsigned shard, unsigned shard_count);
