/* The cache's key schema. Pure. */
#include "cache/keys.h"

#include "platform/protocol/intents.h"
#include <errno.h>

static const struct {
    const char *name, *suffix;
    uint32_t intents;
    const char *always;
} entities[] = {
#define ENTITY(NAME, name, suffix, intents, always, help) {#name, suffix, intents, always},
#include "cache/entities.def"
#undef ENTITY
};

const char *cache_entity_name(enum cache_entity e)
{
    return entities[e].name;
}

const char *cache_entity_suffix(enum cache_entity e)
{
    return entities[e].suffix;
}

const char *cache_entity_always(enum cache_entity e)
{
    return entities[e].always;
}

int cache_entity_find(struct str name, enum cache_entity *ret)
{
    for (unsigned i = 0; i < CACHE_ENTITY_COUNT; i++)
        if (str_eq(name, str_c(entities[i].name))) {
            *ret = (enum cache_entity)i;
            return 0;
        }
    return -EINVAL;
}

unsigned cache_entities_of(uint32_t intents)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < CACHE_ENTITY_COUNT; i++)
        if (entities[i].intents == 0 || (entities[i].intents & intents) != 0)
            bits |= 1u << i;
    return bits;
}

/* Written by hand: an event builds several of these. */
void cache_key_head(struct buf *out, uint64_t application, uint64_t tag)
{
    buf_add(out, "gh:", 3);
    buf_add_u64(out, application);
    buf_add(out, ":{", 2);
    buf_add_u64(out, tag);
    buf_add(out, "}:", 2);
}

void cache_key(struct buf *out, uint64_t application, uint64_t tag, enum cache_entity e)
{
    cache_key_head(out, application, tag);
    buf_adds(out, entities[e].suffix);
}

void cache_key_part(struct buf *out, uint64_t application, uint64_t tag, enum cache_entity e, uint64_t part)
{
    cache_key(out, application, tag, e);
    buf_addc(out, ':');
    buf_add_u64(out, part);
}

void cache_key_order(struct buf *out, uint64_t application, uint64_t tag, uint64_t channel)
{
    cache_key_head(out, application, tag);
    buf_adds(out, "order:");
    buf_add_u64(out, channel);
}

void cache_key_parts(struct buf *out, uint64_t application, uint64_t tag)
{
    cache_key_head(out, application, tag);
    buf_adds(out, "parts");
}

void cache_key_version(struct buf *out, uint64_t application, uint64_t tag)
{
    cache_key_head(out, application, tag);
    buf_adds(out, "version");
}

void cache_key_channel_guild(struct buf *out, uint64_t application, uint64_t channel)
{
    cache_key_head(out, application, channel);
    buf_adds(out, "guild_of");
}

void cache_key_guilds(struct buf *out, uint64_t application)
{
    buf_addf(out, "gh:%llu:guilds", (unsigned long long)application);
}

void cache_key_schema(struct buf *out, uint64_t application)
{
    buf_addf(out, "gh:%llu:schema", (unsigned long long)application);
}

void cache_key_marker(struct buf *out, uint64_t application, unsigned shard, unsigned shard_count)
{
    buf_addf(out, "gh:%llu:{shard:%u/%u}:marker", (unsigned long long)application, shard, shard_count);
}
