/* `kv` on Redis: the gateway nodes' leases. One sorted set for each incarnation: node id by the time its lease ends; a
 * hash beside it holds their URLs. Loop thread, coroutine. */
#include "platform/ports/kv/kv_redis.h"

#include "platform/base/clock.h"
#include "platform/base/mem.h"

#include <errno.h>
#include <stdio.h>

#define NOW "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "

static const char remove_script[] =
    "redis.call('ZREM', KEYS[1], ARGV[1]) redis.call('HDEL', KEYS[2], ARGV[1]) return 1";
static const char list_script[] = NOW "for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do "
                                      "  redis.call('ZREM', KEYS[1], id) redis.call('HDEL', KEYS[2], id) "
                                      "end "
                                      "local out = {} "
                                      "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do "
                                      "  out[#out + 1] = id out[#out + 1] = redis.call('HGET', KEYS[2], id) "
                                      "end "
                                      "return out";

static const char renew_script[] = NOW "local ends = redis.call('ZSCORE', KEYS[1], ARGV[1]) "
                                       "if ARGV[4] == '0' and (not ends or tonumber(ends) <= now) then return 0 end "
                                       "redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1]) "
                                       "redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) "
                                       "return 1";

static void keys_fill(struct kv_redis *k, struct arena *a, struct str argv[2])
{
    argv[0] = arena_printf(a, "gh:{nodes-%s}:leases", k->incarnation);
    argv[1] = arena_printf(a, "gh:{nodes-%s}:urls", k->incarnation);
}

int kv_redis_node_renew(struct kv *kv, const char *node_id, const char *url, int64_t ttl_ms, bool first)
{
    struct kv_redis *k = kv_redis_of(kv);
    struct arena a = {0};
    struct redis_reply *reply;
    struct str argv[6];
    /* In a new incarnation there is no lease yet that could have lapsed; publishers send to all nodes meanwhile. */
    first = first || strcmp(k->node_incarnation, k->incarnation) != 0;
    keys_fill(k, &a, argv);
    argv[2] = str_c(node_id);
    argv[3] = str_c(url);
    argv[4] = arena_printf(&a, "%lld", (long long)ttl_ms);
    argv[5] = first ? STR("1") : STR("0");
    char incarnation[sizeof k->incarnation];
    memcpy(incarnation, k->incarnation, sizeof incarnation);
    int r = kv_redis_script(k, renew_script, 2, 6, argv, &reply);
    if (r == 0) {
        r = redis_reply_int(reply) ? 0 : -EOWNERDEAD;
        redis_reply_free(reply);
    }
    if (r == 0)
        memcpy(k->node_incarnation, incarnation, sizeof incarnation);
    arena_done(&a);
    return r;
}

int kv_redis_node_remove(struct kv *kv, const char *node_id)
{
    struct arena a = {0};
    struct redis_reply *reply;
    struct str argv[3];
    keys_fill(kv_redis_of(kv), &a, argv);
    argv[2] = str_c(node_id);
    int r = kv_redis_script(kv_redis_of(kv), remove_script, 2, 3, argv, &reply);
    if (r == 0)
        redis_reply_free(reply);
    arena_done(&a);
    return r;
}

struct known_node *kv_redis_known(struct kv_redis *k, struct str id)
{
    struct known_node *n = smap_get(&k->known, id);
    if (!n) {
        n = MEM_NEW(struct known_node);
        n->id = mem_strndup(id.p, id.n);
        n->first_seen_ms = clock_mono_ms();
        smap_put(&k->known, id, n);
    }
    return n;
}

void kv_redis_known_done(struct kv_redis *k)
{
    size_t i = 0;
    struct str id;
    for (struct known_node *n; (n = smap_next(&k->known, &i, &id));) {
        mem_free(n->id);
        mem_free(n);
    }
    smap_done(&k->known);
}

int kv_redis_nodes_list(struct kv *kv, struct arena *a, struct kv_node **ret, unsigned *ret_count)
{
    struct kv_redis *k = kv_redis_of(kv);
    struct redis_reply *reply;
    struct str argv[2];
    keys_fill(k, a, argv);
    int r = kv_redis_script(k, list_script, 2, 2, argv, &reply);
    if (r < 0)
        return r;
    unsigned count = (unsigned)redis_reply_count(reply) / 2;
    *ret = ARENA_ARRAY(a, struct kv_node, count + 1);
    for (unsigned i = 0; i < count; i++) {
        (*ret)[i].id = arena_str(a, redis_reply_str(redis_reply_at(reply, 2 * i)));
        (*ret)[i].url = arena_str(a, redis_reply_str(redis_reply_at(reply, 2 * i + 1)));
        kv_redis_known(k, (*ret)[i].id)->last_live_ms = clock_mono_ms();
    }
    *ret_count = count;
    redis_reply_free(reply);
    return 0;
}

void kv_redis_refresh(void *arg)
{
    struct kv_redis *k = arg;
    struct arena a = {0};
    struct kv_node *nodes;
    unsigned count;
    if (!k->closing)
        (void)kv_redis_nodes_list(&k->kv, &a, &nodes, &count);
    arena_done(&a);
}
