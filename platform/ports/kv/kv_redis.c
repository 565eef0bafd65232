/* `kv` on Redis: the connection, incarnations, leases, buckets and plain values. Loop thread. */
#include "platform/ports/kv/kv_redis.h"

#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"

#include <errno.h>
#include <stdio.h>

int kv_redis_check(int error, const struct redis_reply *reply)
{
    if (error < 0)
        return -EHOSTDOWN;
    if (redis_reply_type(reply) != REDIS_ERROR)
        return 0;
    LOG_WARN("kv refused", "reply=\"%.*s\"", STR_ARG(redis_reply_str(reply)));
    return -EHOSTDOWN;
}

int kv_redis_script(struct kv_redis *k, const char *script, int key_count, int argc, const struct str *argv,
                    struct redis_reply **ret)
{
    if (!*k->incarnation)
        return -EHOSTDOWN;
    int r = redis_script_await(k->redis, script, key_count, argc, argv, ret);
    if (r < 0)
        return -EHOSTDOWN;
    r = kv_redis_check(0, *ret);
    if (r < 0)
        redis_reply_free(*ret);
    return r;
}

int kv_redis_command(struct kv_redis *k, int argc, const struct str *argv, struct redis_reply **ret)
{
    int r = redis_await(k->redis, argc, argv, ret);
    if (r < 0)
        return -EHOSTDOWN;
    r = kv_redis_check(0, *ret);
    if (r < 0)
        redis_reply_free(*ret);
    return r;
}

static struct str number_str(struct arena *a, int64_t v)
{
    return arena_printf(a, "%lld", (long long)v);
}

/* --- leases: the epoch follows the clock, so that it also rises over a restart that forgot everything --- */

static const char lease_take_script[] =
    "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end "
    "local t = redis.call('TIME') "
    "local e = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, t[1] * 1000 + math.floor(t[2] / 1000)) "
    "e = string.format('%.0f', e) "
    "redis.call('SET', KEYS[2], e) "
    "redis.call('SET', KEYS[1], ARGV[1] .. ':' .. e, 'PX', ARGV[2]) "
    "return e";
static const char lease_renew_script[] = "if redis.call('GET', KEYS[1]) ~= ARGV[1] .. ':' .. ARGV[2] then return 0 end "
                                         "return redis.call('PEXPIRE', KEYS[1], ARGV[3])";
static const char lease_release_script[] =
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] .. ':' .. ARGV[2] then return 0 end "
    "return redis.call('DEL', KEYS[1])";

static int lease_take(struct kv *kv, const char *name, const char *owner, int64_t ttl_ms, uint64_t *ret_epoch)
{
    struct arena a = {0};
    struct redis_reply *reply;
    struct str argv[] = {arena_printf(&a, "gh:lease:{%s}", name), arena_printf(&a, "gh:lease:{%s}:epoch", name),
                         str_c(owner), number_str(&a, ttl_ms)};
    int r = kv_redis_script(kv_redis_of(kv), lease_take_script, 2, 4, argv, &reply);
    if (r == 0) {
        uint64_t epoch = (uint64_t)redis_reply_int(reply);
        redis_reply_free(reply);
        r = epoch ? 0 : -EBUSY;
        if (r == 0)
            *ret_epoch = epoch;
    }
    arena_done(&a);
    return r;
}

static int lease_hold(struct kv *kv, const char *script, const char *name, const char *owner, uint64_t epoch,
                      int64_t ttl_ms)
{
    struct arena a = {0};
    struct redis_reply *reply;
    struct str argv[] = {arena_printf(&a, "gh:lease:{%s}", name), str_c(owner), number_str(&a, (int64_t)epoch),
                         number_str(&a, ttl_ms)};
    int r = kv_redis_script(kv_redis_of(kv), script, 1, 4, argv, &reply);
    if (r == 0) {
        r = redis_reply_int(reply) ? 0 : -EOWNERDEAD;
        redis_reply_free(reply);
    }
    arena_done(&a);
    return r;
}

static int lease_renew(struct kv *kv, const char *name, const char *owner, uint64_t epoch, int64_t ttl_ms)
{
    return lease_hold(kv, lease_renew_script, name, owner, epoch, ttl_ms);
}

static int lease_release(struct kv *kv, const char *name, const char *owner, uint64_t epoch)
{
    return lease_hold(kv, lease_release_script, name, owner, epoch, 0);
}

/* --- buckets --- */

/* Redis keeps a key for the whole of its last millisecond: one less there and one more in the answer make the window
 * exact, so that who waits as long as told is let in. */
static const char buckets_script[] = "local used, all, out = {}, true, {} "
                                     "for i = 1, #KEYS do "
                                     "  used[i] = tonumber(redis.call('GET', KEYS[i]) or '0') "
                                     "  if used[i] >= tonumber(ARGV[2 * i]) then all = false end "
                                     "end "
                                     "for i = 1, #KEYS do "
                                     "  local limit, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1]) "
                                     "  local ok = used[i] < limit and 1 or 0 "
                                     "  if all and ARGV[1] == '1' then "
                                     "    used[i] = redis.call('INCR', KEYS[i]) "
                                     "    if used[i] == 1 then redis.call('PEXPIRE', KEYS[i], window - 1) end "
                                     "  end "
                                     "  local left = redis.call('PTTL', KEYS[i]) + 1 "
                                     "  if left < 1 then left = window end "
                                     "  out[#out + 1] = ok "
                                     "  out[#out + 1] = math.max(0, limit - used[i]) "
                                     "  out[#out + 1] = left "
                                     "end "
                                     "return out";

static int buckets_take(struct kv *kv, const struct kv_bucket *buckets, unsigned count, bool take,
                        struct kv_bucket_state *ret)
{
    struct arena a = {0};
    struct redis_reply *reply;
    struct str argv[KV_BUCKETS_MAX * 3 + 1];
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        argv[n++] = arena_printf(&a, "gh:bucket:%s", buckets[i].key);
    argv[n++] = take ? STR("1") : STR("0");
    for (unsigned i = 0; i < count; i++) {
        argv[n++] = number_str(&a, buckets[i].limit);
        argv[n++] = number_str(&a, buckets[i].window_ms);
    }
    int r = kv_redis_script(kv_redis_of(kv), buckets_script, (int)count, (int)n, argv, &reply);
    for (unsigned i = 0; r == 0 && i < count; i++)
        ret[i] = (struct kv_bucket_state){
            .allowed = redis_reply_int(redis_reply_at(reply, i * 3)) != 0,
            .remaining = (int)redis_reply_int(redis_reply_at(reply, i * 3 + 1)),
            .reset_after_ms = redis_reply_int(redis_reply_at(reply, i * 3 + 2)),
        };
    if (r == 0)
        redis_reply_free(reply);
    arena_done(&a);
    return r;
}

/* --- values --- */

static int value_command(struct kv *kv, int argc, struct str *argv, const char *key, struct redis_reply **ret)
{
    struct arena a = {0};
    argv[1] = arena_printf(&a, "gh:value:%s", key);
    int r = kv_redis_command(kv_redis_of(kv), argc, argv, ret);
    arena_done(&a);
    return r;
}

static int put(struct kv *kv, const char *key, struct str value, int64_t ttl_ms)
{
    struct redis_reply *reply;
    char ttl[24];
    snprintf(ttl, sizeof ttl, "%lld", (long long)ttl_ms);
    struct str argv[] = {STR("SET"), STR_NONE, value, STR("PX"), str_c(ttl)};
    int r = value_command(kv, 5, argv, key, &reply);
    if (r == 0)
        redis_reply_free(reply);
    return r;
}

static int put_new(struct kv *kv, struct arena *a, const char *key, struct str value, int64_t ttl_ms,
                   struct str *ret_existing)
{
    struct redis_reply *reply;
    char ttl[24];
    snprintf(ttl, sizeof ttl, "%lld", (long long)ttl_ms);
    struct str argv[] = {STR("SET"), STR_NONE, value, STR("NX"), STR("GET"), STR("PX"), str_c(ttl)};
    int r = value_command(kv, 7, argv, key, &reply);
    if (r < 0)
        return r;
    if (redis_reply_type(reply) == REDIS_STRING) {
        *ret_existing = arena_str(a, redis_reply_str(reply));
        r = -EEXIST;
    }
    redis_reply_free(reply);
    return r;
}

static int get(struct kv *kv, struct arena *a, const char *key, struct str *ret)
{
    struct redis_reply *reply;
    struct str argv[] = {STR("GET"), STR_NONE};
    int r = value_command(kv, 2, argv, key, &reply);
    if (r < 0)
        return r;
    if (redis_reply_type(reply) == REDIS_STRING)
        *ret = arena_str(a, redis_reply_str(reply));
    else
        r = -ENOENT;
    redis_reply_free(reply);
    return r;
}

static int del(struct kv *kv, const char *key)
{
    struct redis_reply *reply;
    struct str argv[] = {STR("DEL"), STR_NONE};
    int r = value_command(kv, 2, argv, key, &reply);
    if (r == 0)
        redis_reply_free(reply);
    return r;
}

/* --- incarnations --- */

/* A run of the server that is new to us may be new to everybody: until each node has had time to register again,
 * events go to all nodes. The first connection of a young process is no different. */
static void on_state(bool connected, void *arg)
{
    struct kv_redis *k = arg;
    if (!connected || k->closing)
        return;
    bool changed = strncmp(k->incarnation, redis_run_id(k->redis), sizeof k->incarnation - 1) != 0;
    if (changed) {
        snprintf(k->incarnation, sizeof k->incarnation, "%s", redis_run_id(k->redis));
        k->young_until_ms = clock_mono_ms() + KV_YOUNG_MS;
        LOG_INFO("kv incarnation", "id=%s", k->incarnation);
    }
    (void)co_spawn(kv_redis_refresh, k);
    if (k->kv.on_incarnation)
        k->kv.on_incarnation(changed, k->kv.on_incarnation_arg);
}

static void on_refresh(void *arg)
{
    struct kv_redis *k = arg;
    if (redis_connected(k->redis))
        (void)co_spawn(kv_redis_refresh, k);
}

static bool ready(const struct kv *kv)
{
    const struct kv_redis *k = (const struct kv_redis *)(const void *)kv;
    return *k->incarnation && redis_connected(k->redis);
}

static void redis_kv_free(void *arg)
{
    mem_free(arg);
}

static void redis_close(struct kv *kv)
{
    struct kv_redis *k = kv_redis_of(kv);
    k->closing = true;
    loop_timer_free(k->refresh);
    redis_free(k->redis);
    kv_redis_known_done(k);
    loop_post(redis_kv_free, k);
}

struct kv *kv_redis_open(const char *url, struct buf *err)
{
    static const struct kv_ops ops = {
        .close = redis_close,
        .ready = ready,
        .node_renew = kv_redis_node_renew,
        .node_remove = kv_redis_node_remove,
        .nodes_list = kv_redis_nodes_list,
        .interest_add = kv_redis_interest_add,
        .interest_remove = kv_redis_interest_remove,
        .topics_next = kv_redis_topics_next,
        .topic_route = kv_redis_topic_route,
        .topic_events = kv_redis_topic_events,
        .entry_change = kv_redis_entry_change,
        .entries_list = kv_redis_entries_list,
        .entries_load = kv_redis_entries_load,
        .entry_get = kv_redis_entry_get,
        .entries_count = kv_redis_entries_count,
        .entries_versions = kv_redis_entries_versions,
        .lease_take = lease_take,
        .lease_renew = lease_renew,
        .lease_release = lease_release,
        .buckets_take = buckets_take,
        .buckets_list = kv_redis_buckets_list,
        .buckets_advance = kv_redis_buckets_advance,
        .put = put,
        .put_new = put_new,
        .get = get,
        .del = del,
        .sessions_put = kv_redis_sessions_put,
        .session_get = kv_redis_session_get,
        .session_claim = kv_redis_session_claim,
        .session_del = kv_redis_session_del,
        .log_append = kv_redis_log_append,
        .log_read = kv_redis_log_read,
        .log_numbers = kv_redis_log_numbers,
        .log_drop = kv_redis_log_drop,
    };
    struct redis *redis = redis_new(url, err);
    if (!redis)
        return NULL;
    struct kv_redis *k = MEM_NEW(struct kv_redis);
    k->kv.ops = &ops;
    k->redis = redis;
    redis_on_state(redis, on_state, k);
    k->refresh = loop_timer_new(on_refresh, k);
    loop_timer_start(k->refresh, KV_NODES_REFRESH_MS, KV_NODES_REFRESH_MS);
    return &k->kv;
}
