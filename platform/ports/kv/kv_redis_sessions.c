/* `kv` on Redis: session records (a hash each) and session logs (a stream each, and a hash of the topics' numbers whose
 * key carries the incarnation they belong to). Loop thread, coroutine but for the append. */
#include "platform/ports/kv/kv_redis.h"

#include "platform/base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_NUMBERS_AT_ONCE 1000

static const char put_script[] = "local o = redis.call('HGET', KEYS[1], 'owner') "
                                 "if o and o ~= ARGV[1] then return 0 end "
                                 "redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'value', ARGV[2]) "
                                 "redis.call('PEXPIRE', KEYS[1], ARGV[3]) "
                                 "return 1";
static const char claim_script[] = "local o = redis.call('HGET', KEYS[1], 'owner') "
                                   "if not o then return -1 end "
                                   "if o ~= ARGV[1] then return 0 end "
                                   "redis.call('HSET', KEYS[1], 'owner', ARGV[2]) "
                                   "redis.call('PEXPIRE', KEYS[1], ARGV[3]) "
                                   "return 1";
static const char del_script[] = "if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end "
                                 "return redis.call('DEL', KEYS[1])";
static const char append_script[] = "redis.call('XADD', KEYS[1], 'MINID', '=', ARGV[2], ARGV[1] .. '-0', 'b', ARGV[4]) "
                                    "redis.call('PEXPIRE', KEYS[1], ARGV[3]) "
                                    "for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end "
                                    "redis.call('PEXPIRE', KEYS[2], ARGV[3]) "
                                    "return 1";

/* --- records --- */

struct putting {
    struct co *co;
    unsigned running;
    int error;
};

struct put_one {
    struct putting *all;
    bool *lost;
};

static void put_done(int error, const struct redis_reply *reply, void *arg)
{
    struct put_one *o = arg;
    int r = kv_redis_check(error, reply);
    if (r < 0)
        o->all->error = r;
    else
        *o->lost = redis_reply_int(reply) == 0;
    if (--o->all->running == 0)
        co_resume(o->all->co);
}

static struct str record_key(struct arena *a, const char *id)
{
    return arena_printf(a, "gh:session:{%s}", id);
}

int kv_redis_sessions_put(struct kv *kv, const struct kv_session *sessions, unsigned count, int64_t ttl_ms,
                          bool *ret_lost)
{
    struct putting all = {.co = co_self()};
    for (unsigned from = 0; from < count && !all.error; from += KV_AT_ONCE) {
        struct arena a = {0};
        unsigned to = count - from > KV_AT_ONCE ? from + KV_AT_ONCE : count;
        struct put_one *ones = ARENA_ARRAY(&a, struct put_one, to - from);
        struct str ttl = arena_printf(&a, "%lld", (long long)ttl_ms);
        all.running = to - from;
        for (unsigned i = from; i < to; i++) {
            struct str argv[] = {record_key(&a, sessions[i].id), str_c(sessions[i].owner), sessions[i].value, ttl};
            ones[i - from] = (struct put_one){&all, &ret_lost[i]};
            redis_script(kv_redis_of(kv)->redis, put_script, 1, 4, argv, KV_COMMAND_MS, put_done, &ones[i - from]);
        }
        co_suspend();
        arena_done(&a);
    }
    return all.error;
}

int kv_redis_session_get(struct kv *kv, struct arena *a, const char *id, struct str *ret_owner, struct str *ret_value)
{
    struct redis_reply *reply;
    struct str argv[] = {STR("HMGET"), record_key(a, id), STR("owner"), STR("value")};
    int r = kv_redis_command(kv_redis_of(kv), 4, argv, &reply);
    if (r < 0)
        return r;
    if (redis_reply_type(redis_reply_at(reply, 0)) == REDIS_STRING) {
        *ret_owner = arena_str(a, redis_reply_str(redis_reply_at(reply, 0)));
        *ret_value = arena_str(a, redis_reply_str(redis_reply_at(reply, 1)));
    } else {
        r = -ENOENT;
    }
    redis_reply_free(reply);
    return r;
}

static int record_script(struct kv *kv, const char *script, const char *id, int argc, struct str *argv, int64_t *ret)
{
    struct arena a = {0};
    struct redis_reply *reply;
    argv[0] = record_key(&a, id);
    int r = kv_redis_script(kv_redis_of(kv), script, 1, argc, argv, &reply);
    if (r == 0) {
        *ret = redis_reply_int(reply);
        redis_reply_free(reply);
    }
    arena_done(&a);
    return r;
}

int kv_redis_session_claim(struct kv *kv, const char *id, const char *from, const char *to, int64_t ttl_ms)
{
    char ttl[24];
    snprintf(ttl, sizeof ttl, "%lld", (long long)ttl_ms);
    struct str argv[] = {STR_NONE, str_c(from), str_c(to), str_c(ttl)};
    int64_t got = 0;
    int r = record_script(kv, claim_script, id, 4, argv, &got);
    return r < 0 ? r : got < 0 ? -ENOENT : got == 0 ? -EBUSY : 0;
}

int kv_redis_session_del(struct kv *kv, const char *id, const char *owner)
{
    struct str argv[] = {STR_NONE, str_c(owner)};
    int64_t got;
    return record_script(kv, del_script, id, 2, argv, &got);
}

/* --- logs --- */

struct appending {
    void (*fn)(int error, void *arg);
    void *arg;
};

static void append_done(int error, const struct redis_reply *reply, void *arg)
{
    struct appending *p = arg;
    p->fn(kv_redis_check(error, reply), p->arg);
    mem_free(p);
}

static struct str log_key(struct arena *a, const char *log)
{
    return arena_printf(a, "gh:{slog-%s}:log", log);
}

static struct str numbers_key(const struct kv_redis *k, struct arena *a, const char *log)
{
    return arena_printf(a, "gh:{slog-%s}:numbers-%s", log, k->incarnation);
}

void kv_redis_log_append(struct kv *kv, const struct kv_log_append *l, void (*fn)(int error, void *arg), void *arg)
{
    struct kv_redis *k = kv_redis_of(kv);
    struct appending *p = MEM_NEW(struct appending);
    struct arena a = {0};
    struct str *argv = ARENA_ARRAY(&a, struct str, 6 + 2 * (size_t)l->topic_count);
    int argc = 0;

    *p = (struct appending){fn, arg};
    argv[argc++] = log_key(&a, l->log);
    argv[argc++] = numbers_key(k, &a, l->log);
    argv[argc++] = arena_printf(&a, "%llu", (unsigned long long)l->number);
    argv[argc++] = arena_printf(&a, "%llu", (unsigned long long)l->oldest);
    argv[argc++] = arena_printf(&a, "%lld", (long long)l->ttl_ms);
    argv[argc++] = l->entry.p ? l->entry : STR("");
    for (unsigned i = 0; i < l->topic_count; i++) {
        argv[argc++] = arena_printf(&a, "%llu", (unsigned long long)l->topics[i]);
        argv[argc++] = arena_printf(&a, "%llu", (unsigned long long)l->numbers[i]);
    }
    redis_script(k->redis, append_script, 2, argc, argv, KV_COMMAND_MS, append_done, p);
    arena_done(&a);
}

static bool entry_take(struct arena *a, const struct redis_reply *reply, struct kv_log_entry *ret)
{
    const struct redis_reply *fields = redis_reply_at(reply, 1);
    if (!fields || redis_reply_count(fields) != 2)
        return false;
    char *id = arena_strdup(a, redis_reply_str(redis_reply_at(reply, 0)));
    *ret = (struct kv_log_entry){strtoull(id, NULL, 10), arena_str(a, redis_reply_str(redis_reply_at(fields, 1)))};
    return true;
}

int kv_redis_log_read(struct kv *kv, struct arena *a, const char *log, uint64_t from, unsigned max,
                      struct kv_log_entry **ret, unsigned *ret_count)
{
    struct redis_reply *reply;
    struct str argv[] = {STR("XRANGE"), log_key(a, log), arena_printf(a, "%llu", (unsigned long long)from),
                         STR("+"),      STR("COUNT"),    arena_printf(a, "%u", max)};
    int r = kv_redis_command(kv_redis_of(kv), 6, argv, &reply);
    if (r < 0)
        return r;
    size_t count = redis_reply_count(reply);
    *ret = ARENA_ARRAY(a, struct kv_log_entry, count + 1);
    *ret_count = 0;
    for (size_t i = 0; i < count; i++)
        *ret_count += entry_take(a, redis_reply_at(reply, i), *ret + *ret_count);
    redis_reply_free(reply);
    return 0;
}

static int numbers_read(struct kv_redis *k, const char *log, const uint64_t *topics, unsigned count,
                        uint64_t *ret_numbers)
{
    struct arena a = {0};
    struct redis_reply *reply;
    struct str *argv = ARENA_ARRAY(&a, struct str, (size_t)count + 2);
    argv[0] = STR("HMGET");
    argv[1] = numbers_key(k, &a, log);
    for (unsigned i = 0; i < count; i++)
        argv[2 + i] = arena_printf(&a, "%llu", (unsigned long long)topics[i]);
    int r = kv_redis_command(k, (int)count + 2, argv, &reply);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        const struct redis_reply *one = redis_reply_at(reply, i);
        ret_numbers[i] = redis_reply_type(one) == REDIS_STRING ? (uint64_t)redis_reply_int(one) : KV_LOG_NUMBER_UNKNOWN;
    }
    if (r == 0)
        redis_reply_free(reply);
    arena_done(&a);
    return r;
}

int kv_redis_log_numbers(struct kv *kv, const char *log, const uint64_t *topics, unsigned count, uint64_t *ret_numbers)
{
    int r = 0;
    for (unsigned i = 0; i < count && r == 0; i += READ_NUMBERS_AT_ONCE)
        r = numbers_read(kv_redis_of(kv), log, topics + i,
                         count - i < READ_NUMBERS_AT_ONCE ? count - i : READ_NUMBERS_AT_ONCE, ret_numbers + i);
    return r;
}

int kv_redis_log_drop(struct kv *kv, const char *log)
{
    struct arena a = {0};
    struct redis_reply *reply;
    struct str argv[] = {STR("DEL"), log_key(&a, log), numbers_key(kv_redis_of(kv), &a, log)};
    int r = kv_redis_command(kv_redis_of(kv), 3, argv, &reply);
    if (r == 0)
        redis_reply_free(reply);
    arena_done(&a);
    return r;
}
