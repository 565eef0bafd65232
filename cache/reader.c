/* Reading entities. Coroutine only. */
#include "cache/reader.h"

#include <errno.h>
#include <stdio.h>

/* 0 and a reply to free, -EHOSTDOWN. A refusal by Redis counts as unreachable. */
static int ask(const struct cache *c, int argc, const struct str *argv, struct redis_reply **ret)
{
    struct redis_reply *r;

    if (redis_await(c->redis, argc, argv, &r) != 0)
        return -EHOSTDOWN;
    if (redis_reply_type(r) == REDIS_ERROR) {
        redis_reply_free(r);
        return -EHOSTDOWN;
    }
    *ret = r;
    return 0;
}

static int ask_text(const struct cache *c, int argc, const struct str *argv, struct buf *out)
{
    struct redis_reply *r;
    int error = ask(c, argc, argv, &r);

    if (error)
        return error;
    if (redis_reply_type(r) == REDIS_STRING)
        buf_add_str(out, redis_reply_str(r));
    else
        error = -ENOENT;
    redis_reply_free(r);
    return error;
}

static int hash_field(const struct cache *c, const struct buf *key, uint64_t id, struct buf *out)
{
    char field[24];

    snprintf(field, sizeof(field), "%llu", (unsigned long long)id);
    return ask_text(c, 3, (struct str[]){STR("HGET"), buf_str(key), str_c(field)}, out);
}

static int entity(const struct cache *c, uint64_t tag, enum cache_entity e, uint64_t id, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key(&key, c->application, tag, e);
    return hash_field(c, &key, id, out);
}

/* The guild's hash has a field for each member of the object, its value raw JSON. */
int cache_guild(const struct cache *c, uint64_t guild_id, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);
    struct redis_reply *r;

    cache_key(&key, c->application, guild_id, CACHE_GUILD);
    int error = ask(c, 2, (struct str[]){STR("HGETALL"), buf_str(&key)}, &r);
    if (error)
        return error;
    size_t count = redis_reply_count(r);
    for (size_t i = 0; i + 1 < count; i += 2) {
        buf_adds(out, i ? ",\"" : "{\"");
        buf_add_str(out, redis_reply_str(redis_reply_at(r, i)));
        buf_adds(out, "\":");
        buf_add_str(out, redis_reply_str(redis_reply_at(r, i + 1)));
    }
    if (count)
        buf_addc(out, '}');
    redis_reply_free(r);
    return count ? 0 : -ENOENT;
}

static int guild_of_channel(const struct cache *c, uint64_t channel_id, uint64_t *ret)
{
    struct buf BUF_AUTO key = BUF_INIT(256), id = BUF_INIT(64);

    cache_key_channel_guild(&key, c->application, channel_id);
    int error = ask_text(c, 2, (struct str[]){STR("GET"), buf_str(&key)}, &id);
    return error ? error : str_to_u64(buf_str(&id), ret) == 0 ? 0 : -ENOENT;
}

int cache_channel(const struct cache *c, uint64_t guild_id, uint64_t channel_id, struct buf *out)
{
    int error = guild_id ? 0 : guild_of_channel(c, channel_id, &guild_id);

    return error ? error : entity(c, guild_id, CACHE_CHANNELS, channel_id, out);
}

int cache_role(const struct cache *c, uint64_t guild_id, uint64_t role_id, struct buf *out)
{
    return entity(c, guild_id, CACHE_ROLES, role_id, out);
}

int cache_member(const struct cache *c, uint64_t guild_id, uint64_t user_id, struct buf *out)
{
    return entity(c, guild_id, CACHE_MEMBERS, user_id, out);
}

int cache_user(const struct cache *c, uint64_t user_id, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key(&key, c->application, user_id, CACHE_USERS);
    return ask_text(c, 2, (struct str[]){STR("GET"), buf_str(&key)}, out);
}

int cache_message(const struct cache *c, uint64_t guild_id, uint64_t channel_id, uint64_t message_id, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);

    cache_key_messages(&key, c->application, guild_id ? guild_id : channel_id, channel_id);
    return hash_field(c, &key, message_id, out);
}

static int all_values(const struct cache *c, uint64_t guild_id, enum cache_entity e, struct buf *out)
{
    struct buf BUF_AUTO key = BUF_INIT(256);
    struct redis_reply *r;

    cache_key(&key, c->application, guild_id, e);
    int error = ask(c, 2, (struct str[]){STR("HVALS"), buf_str(&key)}, &r);
    if (error)
        return error;
    size_t count = redis_reply_count(r);
    for (size_t i = 0; i < count; i++) {
        buf_addc(out, i ? ',' : '[');
        buf_add_str(out, redis_reply_str(redis_reply_at(r, i)));
    }
    if (count)
        buf_addc(out, ']');
    redis_reply_free(r);
    return count ? 0 : -ENOENT;
}

int cache_channels(const struct cache *c, uint64_t guild_id, struct buf *out)
{
    return all_values(c, guild_id, CACHE_CHANNELS, out);
}

int cache_roles(const struct cache *c, uint64_t guild_id, struct buf *out)
{
    return all_values(c, guild_id, CACHE_ROLES, out);
}

int cache_marker(const struct cache *c, unsigned shard, unsigned shard_count, struct cache_marker *ret)
{
    struct buf BUF_AUTO key = BUF_INIT(256);
    struct redis_reply *r;

    cache_key_marker(&key, c->application, shard, shard_count);
    struct str words[] = {STR("HMGET"), buf_str(&key), STR("epoch"), STR("session"), STR("seq")};
    int error = ask(c, 5, words, &r);
    if (error)
        return error;
    struct str session = redis_reply_count(r) == 3 ? redis_reply_str(redis_reply_at(r, 1)) : STR_NONE;
    if (session.n == 0) {
        redis_reply_free(r);
        return -ENOENT;
    }
    ret->epoch = (uint64_t)redis_reply_int(redis_reply_at(r, 0));
    ret->seq = (uint64_t)redis_reply_int(redis_reply_at(r, 2));
    snprintf(ret->session, sizeof(ret->session), "%.*s", STR_ARG(session));
    redis_reply_free(r);
    return 0;
}
