/* Sessions and identify permits in Redis. Loop thread. */
#include "gateway/shard/session.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include <errno.h>
#include <stdio.h>

/* ARGV: epoch, generation, session, seq, url. Scripts here first write what takes no memory: then a Redis that is full
 * takes the rest, too. */
static const char *const store_script =
    "local e = redis.call('HGET', KEYS[1], 'epoch')\n"
    "if e and tonumber(e) > tonumber(ARGV[1]) then return -1 end\n"
    "redis.call('EXPIRE', KEYS[1], 86400)\n"
    "redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'generation', ARGV[2], 'session', ARGV[3], 'seq', ARGV[4], 'url', "
    "ARGV[5])\n"
    "redis.call('EXPIRE', KEYS[1], 86400)\n"
    "return 1\n";

#define NOW                                                                                                            \
    "local t = redis.call('TIME')\n"                                                                                   \
    "local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)\n"

/* KEYS permit, starts; ARGV shard, window ms, reserve in percent. Answers permit, wait ms, remaining, reserve. */
static const char *const permit_script =
    NOW "redis.call('HDEL', KEYS[2], '')\n"
        "local s = redis.call('HMGET', KEYS[2], 'total', 'remaining', 'reset_ms')\n"
        "local total, remaining, reset = tonumber(s[1] or 0), tonumber(s[2] or -1), tonumber(s[3] or 0)\n"
        "local reserve = math.ceil(total * tonumber(ARGV[3]) / 100)\n"
        "if total > 0 then\n"
        "  if now >= reset then\n" /* a new day; the upstream tells more when it is asked */
        "    remaining, reset = total, now + 86400000\n"
        "    redis.call('HSET', KEYS[2], 'remaining', remaining, 'reset_ms', reset)\n"
        "  end\n"
        "  if remaining <= reserve then return {2, reset - now, remaining, reserve} end\n"
        "end\n"
        "if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then\n"
        "  return {1, math.max(1, redis.call('PTTL', KEYS[1])), remaining, reserve}\n"
        "end\n"
        "if total > 0 then\n"
        "  remaining = remaining - 1\n"
        "  redis.call('HSET', KEYS[2], 'remaining', remaining, 'last_ms', now)\n"
        "end\n"
        "return {0, 0, remaining, reserve}\n";

/* ARGV total, remaining, ms until they are whole again. */
static const char *const starts_script =
    NOW "redis.call('HDEL', KEYS[1], '')\n"
        "local last, had = tonumber(redis.call('HGET', KEYS[1], 'last_ms') or 0), redis.call('HGET', KEYS[1], "
        "'remaining')\n"
        "local total, remaining, after = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
        "if had and now - last < 10000 then remaining = math.min(remaining, tonumber(had)) end\n"
        "if after <= 0 then after = 86400000 end\n"
        "redis.call('HSET', KEYS[1], 'total', total, 'remaining', remaining, 'reset_ms', now + after)\n"
        "redis.call('PEXPIRE', KEYS[1], after + 86400000)\n"
        "return 1\n";

static void session_key_text(const struct session_key *k, char *out, size_t size)
{
    snprintf(out, size, "gh:%llu:{shard:%u/%u}:session:%llu", (unsigned long long)k->application, k->shard,
             k->shard_count, (unsigned long long)k->set);
}

/* --- load --- */

struct load {
    void (*done)(int error, const struct shard_session *s, void *arg);
    void *arg;
};

static void text_copy(char *out, size_t size, const struct redis_reply *r)
{
    snprintf(out, size, "%.*s", STR_ARG(redis_reply_str(r)));
}

static void on_loaded(int error, const struct redis_reply *r, void *arg)
{
    struct load *l = arg;
    struct shard_session s = {0};

    if (error || redis_reply_type(r) != REDIS_ARRAY || redis_reply_count(r) != 5) {
        l->done(-EHOSTDOWN, NULL, l->arg);
    } else {
        s.epoch = (uint64_t)redis_reply_int(redis_reply_at(r, 0));
        s.generation = (uint64_t)redis_reply_int(redis_reply_at(r, 1));
        text_copy(s.id, sizeof(s.id), redis_reply_at(r, 2));
        s.seq = (uint64_t)redis_reply_int(redis_reply_at(r, 3));
        text_copy(s.url, sizeof(s.url), redis_reply_at(r, 4));
        l->done(0, &s, l->arg);
    }
    mem_free(l);
}

void session_load(const struct session_key *k, void (*done)(int error, const struct shard_session *s, void *arg),
                  void *arg)
{
    struct load *l = MEM_NEW(struct load);
    char key[128];

    *l = (struct load){done, arg};
    session_key_text(k, key, sizeof(key));
    struct str words[] = {STR("HMGET"),   str_c(key), STR("epoch"), STR("generation"),
                          STR("session"), STR("seq"), STR("url")};
    redis_command(k->redis, 7, words, LIMIT_REDIS_COMMAND_MS, on_loaded, l);
}

/* --- store --- */

struct store {
    void (*done)(int error, void *arg);
    void *arg;
};

static void on_stored(int error, const struct redis_reply *r, void *arg)
{
    struct store *s = arg;

    if (error || redis_reply_type(r) != REDIS_INT)
        s->done(-EHOSTDOWN, s->arg);
    else
        s->done(redis_reply_int(r) < 0 ? -ESTALE : 0, s->arg);
    mem_free(s);
}

void session_store(const struct session_key *k, const struct shard_session *session, void (*done)(int error, void *arg),
                   void *arg)
{
    struct store *s = MEM_NEW(struct store);
    char key[128], epoch[24], generation[24], seq[24];

    *s = (struct store){done, arg};
    session_key_text(k, key, sizeof(key));
    snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)session->epoch);
    snprintf(generation, sizeof(generation), "%llu", (unsigned long long)session->generation);
    snprintf(seq, sizeof(seq), "%llu", (unsigned long long)session->seq);
    struct str words[] = {str_c(key),         str_c(epoch), str_c(generation),
                          str_c(session->id), str_c(seq),   str_c(session->url)};
    redis_script(k->redis, store_script, 1, 6, words, LIMIT_REDIS_COMMAND_MS, on_stored, s);
}

void session_forget(const struct session_key *k, void (*done)(int error, void *arg), void *arg)
{
    struct store *s = MEM_NEW(struct store);
    char key[128];

    *s = (struct store){done, arg};
    session_key_text(k, key, sizeof(key));
    redis_command(k->redis, 2, (struct str[]){STR("DEL"), str_c(key)}, LIMIT_REDIS_COMMAND_MS, on_stored, s);
}

/* --- permits --- */

struct permit_call {
    void (*done)(const struct permit_answer *a, void *arg);
    void *arg;
};

static void on_permit(int error, const struct redis_reply *r, void *arg)
{
    struct permit_call *p = arg;
    struct permit_answer a = {.what = PERMIT_UNKNOWN, .wait_ms = 1000, .remaining = -1};

    if (!error && redis_reply_type(r) == REDIS_ARRAY && redis_reply_count(r) == 4)
        a = (struct permit_answer){
            .what = (enum permit)redis_reply_int(redis_reply_at(r, 0)),
            .wait_ms = redis_reply_int(redis_reply_at(r, 1)),
            .remaining = (int)redis_reply_int(redis_reply_at(r, 2)),
            .reserve = (int)redis_reply_int(redis_reply_at(r, 3)),
        };
    p->done(&a, p->arg);
    mem_free(p);
}

static void starts_key_text(uint64_t application, char *out, size_t size)
{
    snprintf(out, size, "gh:%llu:{identify}:starts", (unsigned long long)application);
}

void identify_permit(const struct session_key *k, unsigned concurrency_key, int64_t window_ms, int reserve_percent,
                     void (*done)(const struct permit_answer *a, void *arg), void *arg)
{
    struct permit_call *p = MEM_NEW(struct permit_call);
    char key[128], starts[128], shard[16], window[24], reserve[16];

    *p = (struct permit_call){done, arg};
    snprintf(key, sizeof(key), "gh:%llu:{identify}:%u", (unsigned long long)k->application, concurrency_key);
    starts_key_text(k->application, starts, sizeof(starts));
    snprintf(shard, sizeof(shard), "%u", k->shard);
    snprintf(window, sizeof(window), "%lld", (long long)window_ms);
    snprintf(reserve, sizeof(reserve), "%d", reserve_percent);
    struct str words[] = {str_c(key), str_c(starts), str_c(shard), str_c(window), str_c(reserve)};
    redis_script(k->redis, permit_script, 2, 5, words, LIMIT_REDIS_COMMAND_MS, on_permit, p);
}

int identify_starts_tell(struct redis *r, uint64_t application, int total, int remaining, int64_t reset_after_ms)
{
    struct redis_reply *reply = NULL;
    char key[128], words[3][24];

    starts_key_text(application, key, sizeof(key));
    snprintf(words[0], sizeof(words[0]), "%d", total);
    snprintf(words[1], sizeof(words[1]), "%d", remaining);
    snprintf(words[2], sizeof(words[2]), "%lld", (long long)reset_after_ms);
    int error = redis_script_await(
        r, starts_script, 1, 4, (struct str[]){str_c(key), str_c(words[0]), str_c(words[1]), str_c(words[2])}, &reply);
    redis_reply_free(error ? NULL : reply);
    return error ? -EHOSTDOWN : 0;
}
