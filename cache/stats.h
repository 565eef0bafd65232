/* How much of each entity the cache holds, from a sample of its guilds: never a scan of the keyspace, unless that is
 * small. Coroutine, or loop thread where it says so. */
#pragma once

#include "cache/reader.h"

struct cache_stats {
    uint64_t guilds;  /* in the cache */
    uint64_t sampled; /* looked at; where fewer than `guilds`, everything below is multiplied */
    struct {
        uint64_t count, bytes; /* bytes: of Redis' memory; large hashes are estimated from a few of their fields */
    } of[CACHE_ENTITY_COUNT];
};

/* sample: guilds looked at, at most. Direct messages are not counted. 0, -EHOSTDOWN. */
int cache_stats_read(const struct cache *c, unsigned sample, struct cache_stats *ret);

/* Sets guildhall_cache_entities and guildhall_cache_bytes, each by entity, once a minute. Loop thread. Free it before
 * the connection. */
struct cache_sampler;
struct cache_sampler *cache_sampler_new(const struct cache *c);
void cache_sampler_free(struct cache_sampler *s);
