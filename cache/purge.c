/* Purging a guild by hand. Coroutine only. */
#include "cache/reader.h"

#include <errno.h>

/* KEYS: the list of parts, channels, threads, then the guild's other keys; ARGV: head. Answers how many keys went, then
 * the channels whose index is to go. */
static const char purge_script[] =
    "local answer, n = {0}, 0\n"
    "for _, part in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
    "  for _, kind in ipairs({'messages:', 'order:', 'reactions:', 'thread_members:'}) do\n"
    "    n = n + redis.call('UNLINK', ARGV[1] .. kind .. part)\n"
    "  end\n"
    "end\n"
    "for i = 2, 3 do\n"
    "  for _, id in ipairs(redis.call('HKEYS', KEYS[i])) do answer[#answer + 1] = id end\n"
    "end\n"
    "answer[1] = n + redis.call('UNLINK', unpack(KEYS))\n"
    "return answer\n";

static int command(const struct cache *c, int argc, const struct str *argv)
{
    struct redis_reply *r;

    if (redis_await(c->redis, argc, argv, &r) != 0)
        return -EHOSTDOWN;
    redis_reply_free(r);
    return 0;
}

static int index_delete(const struct cache *c, struct str channel)
{
    struct buf BUF_AUTO key = BUF_INIT(256);
    uint64_t id = 0;

    str_to_u64(channel, &id);
    cache_key_channel_guild(&key, c->application, id);
    return command(c, 2, (struct str[]){STR("DEL"), buf_str(&key)});
}

static int list_remove_guild(const struct cache *c, uint64_t guild_id)
{
    struct buf BUF_AUTO key = BUF_INIT(256), id = BUF_INIT(64);

    cache_key_guilds(&key, c->application);
    buf_add_u64(&id, guild_id);
    return command(c, 3, (struct str[]){STR("SREM"), buf_str(&key), buf_str(&id)});
}

#define OWN_KEYS_MAX (CACHE_ENTITY_COUNT + 1)

static int keys_delete(const struct cache *c, uint64_t guild_id, struct redis_reply **ret)
{
    struct buf keys[OWN_KEYS_MAX] = {{0}}, BUF_AUTO head = BUF_INIT(256);
    struct str words[OWN_KEYS_MAX + 1];
    int count = 0;

    cache_key_parts(&keys[count++], c->application, guild_id);
    cache_key(&keys[count++], c->application, guild_id, CACHE_CHANNELS);
    cache_key(&keys[count++], c->application, guild_id, CACHE_THREADS);
    for (unsigned e = 0; e < CACHE_ENTITY_COUNT; e++)
        if (!cache_entity_in_parts((enum cache_entity)e) && e != CACHE_USERS && e != CACHE_CHANNELS &&
            e != CACHE_THREADS)
            cache_key(&keys[count++], c->application, guild_id, (enum cache_entity)e);
    cache_key_head(&head, c->application, guild_id);
    for (int i = 0; i < count; i++)
        words[i] = buf_str(&keys[i]);
    words[count] = buf_str(&head);
    int error = redis_script_await(c->redis, purge_script, count, count + 1, words, ret);
    for (int i = 0; i < count; i++)
        buf_done(&keys[i]);
    return error ? -EHOSTDOWN : 0;
}

int cache_purge_guild(const struct cache *c, uint64_t guild_id, uint64_t *ret_keys)
{
    struct redis_reply *r;
    int error = keys_delete(c, guild_id, &r);

    if (error)
        return error;
    if (redis_reply_type(r) != REDIS_ARRAY || redis_reply_count(r) == 0)
        error = -EHOSTDOWN;
    for (size_t i = 1; !error && i < redis_reply_count(r); i++)
        error = index_delete(c, redis_reply_str(redis_reply_at(r, i)));
    uint64_t keys = error ? 0 : (uint64_t)redis_reply_int(redis_reply_at(r, 0));
    redis_reply_free(r);
    error = error ? error : list_remove_guild(c, guild_id);
    if (!error)
        *ret_keys = keys;
    return error;
}
