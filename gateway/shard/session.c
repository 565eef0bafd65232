/* Sessions and identify permits in Redis. Loop thread. */
#include "gateway/shard/session.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include <errno.h>
#include <stdio.h>

/* ARGV: epoch, generation, session, seq, url. */
static const char *const store_script =
    "local e = redis.call('HGET', KEYS[1], 'epoch')\n"
    "if e and tonumber(e) > tonumber(ARGV[1]) then return -1 end\n"
    "redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'generation', ARGV[2], 'session', ARGV[3], 'seq', ARGV[4], 'url', "
    "ARGV[5])\n"
    "redis.call('EXPIRE', KEYS[1], 86400)\n"
    "return 1\n";

static const char *const permit_script =
    "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end\n"
    "return math.max(1, redis.call('PTTL', KEYS[1]))\n";

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

struct permit {
    void (*done)(int64_t wait_ms, void *arg);
    void *arg;
};

static void on_permit(int error, const struct redis_reply *r, void *arg)
{
    struct permit *p = arg;

    p->done(error || redis_reply_type(r) != REDIS_INT ? -1 : redis_reply_int(r), p->arg);
    mem_free(p);
}

void identify_permit(const struct session_key *k, unsigned concurrency_key, int64_t window_ms,
                     void (*done)(int64_t wait_ms, void *arg), void *arg)
{
    struct permit *p = MEM_NEW(struct permit);
    char key[128], shard[16], window[24];

    *p = (struct permit){done, arg};
    snprintf(key, sizeof(key), "gh:%llu:{identify}:%u", (unsigned long long)k->application, concurrency_key);
    snprintf(shard, sizeof(shard), "%u", k->shard);
    snprintf(window, sizeof(window), "%lld", (long long)window_ms);
    redis_script(k->redis, permit_script, 1, 3, (struct str[]){str_c(key), str_c(shard), str_c(window)},
                 LIMIT_REDIS_COMMAND_MS, on_permit, p);
}
