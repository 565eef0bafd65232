/* `kv` on Redis: entries. A hash and a version for each topic and kind, in the slot of the topic's nodes, so that a
 * change and its route are one step. Loop thread, coroutine. */
#include "platform/ports/kv/kv_redis.h"

#include <errno.h>

static const char change_script[] =
    "local now = redis.call('HGET', KEYS[1], ARGV[1]) or '' "
    "if ARGV[3] ~= '' and string.sub(now, 1, #ARGV[3]) ~= ARGV[3] then return {-1} end "
    "if ARGV[4] ~= '' and (redis.call('GET', KEYS[2]) or '0') ~= ARGV[4] then return {-1} end "
    "if now == ARGV[2] then return {-2} end "
    "if ARGV[2] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) "
    "else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end "
    "local n = redis.call('INCR', KEYS[2]) "
    "redis.call('PEXPIRE', KEYS[1], " KV_TOPIC_KEEP_MS ") redis.call('PEXPIRE', KEYS[2], " KV_TOPIC_KEEP_MS ") "
    "local out = redis.call('SMEMBERS', KEYS[3]) "
    "table.insert(out, 1, tostring(n)) "
    "return out";
static const char list_script[] = "local out = redis.call('HGETALL', KEYS[1]) "
                                  "table.insert(out, 1, redis.call('GET', KEYS[2]) or '0') "
                                  "return out";

#define NOT_SO  (-1)
#define ALREADY (-2)

static void keys_fill(const struct kv_redis *k, struct arena *a, enum kv_kind kind, uint64_t topic, struct str keys[2])
{
    static const char *const names[KV_KINDS] = {"presence", "voice"};
    unsigned long long id = topic;

    keys[0] = arena_printf(a, "gh:%s:{%llu}:%s", k->incarnation, id, names[kind]);
    keys[1] = arena_printf(a, "gh:%s:{%llu}:%s:version", k->incarnation, id, names[kind]);
}

static struct str or_empty(struct str s)
{
    return s.n ? s : STR("");
}

int kv_redis_entry_change(struct kv *kv, struct arena *a, const struct kv_change *c, struct kv_route *ret)
{
    struct kv_redis *k = kv_redis_of(kv);
    struct redis_reply *reply;
    struct str argv[7];

    keys_fill(k, a, c->kind, c->topic, argv);
    argv[2] = arena_printf(a, "gh:%s:{%llu}:nodes", k->incarnation, (unsigned long long)c->topic);
    argv[3] = c->field;
    argv[4] = or_empty(c->value);
    argv[5] = or_empty(c->expect);
    argv[6] = c->if_version ? arena_printf(a, "%llu", (unsigned long long)c->version) : STR("");
    int r = kv_redis_script(k, change_script, 3, 7, argv, &reply);
    if (r < 0)
        return r;
    int64_t first = redis_reply_int(redis_reply_at(reply, 0));
    if (first == NOT_SO || first == ALREADY)
        r = first == ALREADY ? -EALREADY : -EAGAIN;
    else
        kv_redis_route_take(k, a, c->topic, reply, ret);
    redis_reply_free(reply);
    return r;
}

int kv_redis_entries_list(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct kv_entry **ret,
                          unsigned *ret_count, uint64_t *ret_version)
{
    struct redis_reply *reply;
    struct str argv[2];

    keys_fill(kv_redis_of(kv), a, kind, topic, argv);
    int r = kv_redis_script(kv_redis_of(kv), list_script, 2, 2, argv, &reply);
    if (r < 0)
        return r;
    unsigned count = (unsigned)redis_reply_count(reply) / 2;
    *ret = ARENA_ARRAY(a, struct kv_entry, count + 1);
    for (unsigned i = 0; i < count; i++) {
        (*ret)[i].field = arena_str(a, redis_reply_str(redis_reply_at(reply, 2 * i + 1)));
        (*ret)[i].value = arena_str(a, redis_reply_str(redis_reply_at(reply, 2 * i + 2)));
    }
    *ret_count = count;
    *ret_version = (uint64_t)redis_reply_int(redis_reply_at(reply, 0));
    redis_reply_free(reply);
    return 0;
}

/* --- many topics, one wait --- */

static const char load_script[] = "return {redis.call('GET', KEYS[2]) or '0', redis.call('HGETALL', KEYS[1]), "
                                  "redis.call('GET', KEYS[4]) or '0', redis.call('HGETALL', KEYS[3])}";

struct load {
    struct co *co;
    struct arena *arena;
    struct kv_entries *ret;
    unsigned running;
    int error;
};

struct load_one {
    struct load *load;
    unsigned i;
};

static void load_done(int error, const struct redis_reply *reply, void *arg)
{
    struct load_one *one = arg;
    struct load *l = one->load;
    int r = kv_redis_check(error, reply);

    for (unsigned kind = 0; r == 0 && kind < KV_KINDS; kind++) {
        struct kv_entries *e = &l->ret[one->i * KV_KINDS + kind];
        const struct redis_reply *pairs = redis_reply_at(reply, 2 * kind + 1);
        e->version = (uint64_t)redis_reply_int(redis_reply_at(reply, 2 * kind));
        e->count = (unsigned)redis_reply_count(pairs) / 2;
        e->list = ARENA_ARRAY(l->arena, struct kv_entry, e->count + 1);
        for (unsigned n = 0; n < e->count; n++) {
            e->list[n].field = arena_str(l->arena, redis_reply_str(redis_reply_at(pairs, 2 * n)));
            e->list[n].value = arena_str(l->arena, redis_reply_str(redis_reply_at(pairs, 2 * n + 1)));
        }
    }
    if (r < 0)
        l->error = r;
    if (--l->running == 0)
        co_resume(l->co);
}

int kv_redis_entries_load(struct kv *kv, struct arena *a, const uint64_t *topics, unsigned count,
                          struct kv_entries *ret)
{
    struct kv_redis *k = kv_redis_of(kv);
    struct load l = {.co = co_self(), .arena = a, .ret = ret};
    struct load_one *ones = ARENA_ARRAY(a, struct load_one, count);

    if (!*k->incarnation)
        return -EHOSTDOWN;
    for (unsigned from = 0; from < count && l.error == 0; from += KV_AT_ONCE) {
        unsigned to = count - from > KV_AT_ONCE ? from + KV_AT_ONCE : count;
        l.running = to - from;
        for (unsigned i = from; i < to; i++) {
            struct str keys[2 * KV_KINDS];
            for (unsigned kind = 0; kind < KV_KINDS; kind++)
                keys_fill(k, a, (enum kv_kind)kind, topics[i], keys + 2 * (size_t)kind);
            ones[i] = (struct load_one){&l, i};
            redis_script(k->redis, load_script, 2 * KV_KINDS, 2 * KV_KINDS, keys, KV_COMMAND_MS, load_done, &ones[i]);
        }
        co_suspend();
    }
    return l.error;
}

static int command(struct kv_redis *k, int argc, const struct str *argv, struct redis_reply **ret)
{
    if (!*k->incarnation || redis_await(k->redis, argc, argv, ret) < 0)
        return -EHOSTDOWN;
    int r = kv_redis_check(0, *ret);
    if (r < 0)
        redis_reply_free(*ret);
    return r;
}

int kv_redis_entry_get(struct kv *kv, struct arena *a, enum kv_kind kind, uint64_t topic, struct str field,
                       struct str *ret)
{
    struct redis_reply *reply;
    struct str keys[2];

    keys_fill(kv_redis_of(kv), a, kind, topic, keys);
    int r = command(kv_redis_of(kv), 3, (const struct str[]){STR("HGET"), keys[0], field}, &reply);
    if (r < 0)
        return r;
    if (redis_reply_type(reply) == REDIS_STRING)
        *ret = arena_str(a, redis_reply_str(reply));
    else
        r = -ENOENT;
    redis_reply_free(reply);
    return r;
}

int kv_redis_entries_count(struct kv *kv, enum kv_kind kind, uint64_t topic, unsigned *ret)
{
    struct arena a = {0};
    struct redis_reply *reply;
    struct str keys[2];

    keys_fill(kv_redis_of(kv), &a, kind, topic, keys);
    int r = command(kv_redis_of(kv), 2, (const struct str[]){STR("HLEN"), keys[0]}, &reply);
    if (r == 0) {
        *ret = (unsigned)redis_reply_int(reply);
        redis_reply_free(reply);
    }
    arena_done(&a);
    return r;
}

static int versions_of(struct kv_redis *k, uint64_t topic, uint64_t ret[KV_KINDS])
{
    struct arena a = {0};
    struct redis_reply *reply;
    struct str argv[1 + KV_KINDS] = {STR("MGET")}, keys[2];

    for (unsigned kind = 0; kind < KV_KINDS; kind++) {
        keys_fill(k, &a, (enum kv_kind)kind, topic, keys);
        argv[1 + kind] = keys[1];
    }
    int r = command(k, 1 + KV_KINDS, argv, &reply);
    if (r == 0) {
        for (unsigned kind = 0; kind < KV_KINDS; kind++)
            ret[kind] = (uint64_t)redis_reply_int(redis_reply_at(reply, kind));
        redis_reply_free(reply);
    }
    arena_done(&a);
    return r;
}

/* One after the other: this is asked in the background, about thousands, and must not stand before what is not. */
int kv_redis_entries_versions(struct kv *kv, const uint64_t *topics, unsigned count, uint64_t *ret_versions)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < count; i++)
        r = versions_of(kv_redis_of(kv), topics[i], ret_versions + (size_t)i * KV_KINDS);
    return r;
}
