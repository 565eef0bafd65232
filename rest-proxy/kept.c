/* Idempotency keys; see kept.h. Without Redis an entry is all there is; with it an entry stands for what this process
 * has in hand, which is renewed so that others see that it lives. */
#include "rest-proxy/kept.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"
#include <stdio.h>

#define RENEW_MS (LIMIT_PROXY_KEPT_LEASE_MS / 4)

/* Also in the scripts, as text. */
enum step { STEP_CLAIMED = 1, STEP_SENDING = 2, STEP_ANSWERED = 3, STEP_LOST = 4 };

struct entry {
    enum step step;
    char *print;
    int64_t until_ms; /* kept until; of a step that is done */
    int status;
    char *type;
    struct buf head, body;
};

struct kept {
    struct redis *redis;
    char *owner;
    struct smap entries; /* key -> struct entry */
    size_t bytes;
    struct loop_timer *timer;
};

/* --- what stands in Redis: a hash of step, owner, print, until, status, type, head, body --- */

#define LUA_NOW                                                                                                        \
    "local t = redis.call('TIME') "                                                                                    \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000) "

/* KEYS key; ARGV owner, print, lease_ms, keep_ms. Answers {step seen (0: it is yours now), status, type, head, body}.
 */
static const char ask_script[] =
    LUA_NOW "local s = redis.call('HMGET', KEYS[1], 'step', 'print', 'until', 'status', 'type', 'head', 'body') "
            "if not s[1] or (s[1] == '1' and tonumber(s[3]) <= now) then "
            "  redis.call('DEL', KEYS[1]) "
            "  redis.call('HSET', KEYS[1], 'step', 1, 'owner', ARGV[1], 'print', ARGV[2], 'until', "
            "             string.format('%.0f', now + ARGV[3])) "
            "  redis.call('PEXPIRE', KEYS[1], ARGV[4]) "
            "  return {0} "
            "end "
            "if s[2] ~= ARGV[2] then return {5} end "
            "if s[1] == '3' then return {3, s[4], s[5], s[6], s[7]} end "
            "if s[1] == '4' or (s[1] == '2' and tonumber(s[3]) <= now) then return {4} end "
            "return {tonumber(s[1])}";
/* KEYS key; ARGV owner, lease_ms, keep_ms. */
static const char sending_script[] =
    LUA_NOW "local s = redis.call('HMGET', KEYS[1], 'step', 'owner') "
            "if s[2] ~= ARGV[1] or (s[1] ~= '1' and s[1] ~= '2') then return 0 end "
            "redis.call('HSET', KEYS[1], 'step', 2, 'until', string.format('%.0f', now + ARGV[2])) "
            "redis.call('PEXPIRE', KEYS[1], ARGV[3]) "
            "return 1";
/* KEYS key; ARGV owner, lease_ms, keep_ms, step, print: also tells a Redis that has forgotten it. */
static const char renew_script[] =
    LUA_NOW "local owner = redis.call('HGET', KEYS[1], 'owner') "
            "if owner and owner ~= ARGV[1] then return end "
            "redis.call('HSET', KEYS[1], 'step', ARGV[4], 'owner', ARGV[1], 'print', ARGV[5], 'until', "
            "           string.format('%.0f', now + ARGV[2])) "
            "redis.call('PEXPIRE', KEYS[1], ARGV[3])";
/* KEYS key; ARGV owner, keep_ms, step (0: forget it), print, status, type, head, body. */
static const char end_script[] = "local owner = redis.call('HGET', KEYS[1], 'owner') "
                                 "if owner and owner ~= ARGV[1] then return end "
                                 "redis.call('DEL', KEYS[1]) "
                                 "if ARGV[3] == '0' then return end "
                                 "redis.call('HSET', KEYS[1], 'step', ARGV[3], 'owner', ARGV[1], 'print', ARGV[4], "
                                 "           'until', 0, 'status', ARGV[5], 'type', ARGV[6], 'head', ARGV[7], "
                                 "           'body', ARGV[8]) "
                                 "redis.call('PEXPIRE', KEYS[1], ARGV[2])";

static struct str number(struct arena *a, int64_t v)
{
    return arena_printf(a, "%lld", (long long)v);
}

static struct str key_name(struct arena *a, struct str key)
{
    return arena_printf(a, "gh:proxy:{key:%.*s}", STR_ARG(key));
}

/* --- entries --- */

static void entry_free(struct entry *e)
{
    mem_free(e->print);
    mem_free(e->type);
    buf_done(&e->head);
    buf_done(&e->body);
    mem_free(e);
}

static void entry_forget(struct kept *k, struct str key)
{
    struct entry *e = smap_del(&k->entries, key);

    if (!e)
        return;
    k->bytes -= e->head.len + e->body.len;
    entry_free(e);
}

static struct entry *entry_make(struct kept *k, struct str key, struct str print)
{
    struct entry *e = MEM_NEW(struct entry);

    e->step = STEP_CLAIMED;
    e->print = mem_strndup(print.p, print.n);
    smap_put(&k->entries, key, e);
    return e;
}

static void entry_renew(struct kept *k, struct str key, const struct entry *e)
{
    struct arena a = {0};
    struct str argv[] = {
        key_name(&a, key),   str_c(k->owner), number(&a, LIMIT_PROXY_KEPT_LEASE_MS), number(&a, LIMIT_PROXY_KEPT_MS),
        number(&a, e->step), str_c(e->print)};

    redis_script(k->redis, renew_script, 1, 6, argv, LIMIT_PROXY_REDIS_MS, NULL, NULL);
    arena_done(&a);
}

static void on_timer(void *arg)
{
    struct kept *k = arg;
    struct entry *e;
    struct str key;

    for (size_t i = 0; (e = smap_next(&k->entries, &i, &key)) != NULL;)
        if (k->redis)
            entry_renew(k, key, e);
        else if (e->step >= STEP_ANSWERED && e->until_ms <= clock_mono_ms())
            entry_forget(k, key);
}

struct kept *kept_new(struct redis *redis, const char *owner)
{
    struct kept *k = MEM_NEW(struct kept);

    k->redis = redis;
    k->owner = mem_strdup(owner);
    k->timer = loop_timer_new(on_timer, k);
    loop_timer_start(k->timer, RENEW_MS, RENEW_MS);
    return k;
}

void kept_free(struct kept *k)
{
    struct entry *e;
    struct str key;

    for (size_t i = 0; (e = smap_next(&k->entries, &i, &key)) != NULL;)
        entry_free(e);
    smap_done(&k->entries);
    loop_timer_free(k->timer);
    mem_free(k->owner);
    mem_free(k);
}

/* --- asking --- */

static void answer_give(struct arena *a, struct http_response *res, int status, struct str type, struct str head,
                        struct str body)
{
    res->status = status;
    res->content_type = type.n > 0 ? arena_strdup(a, type) : NULL;
    buf_add_str(&res->head, head);
    buf_add_str(&res->body, body);
}

static enum kept_state ask_here(struct kept *k, struct str key, struct str print, struct arena *a,
                                struct http_response *res)
{
    const struct entry *e = smap_get(&k->entries, key);

    if (!e) {
        if (k->entries.count >= LIMIT_PROXY_KEPT || k->bytes >= LIMIT_PROXY_KEPT_BYTES)
            return KEPT_FULL;
        entry_make(k, key, print);
        return KEPT_MINE;
    }
    if (!str_eq(str_c(e->print), print))
        return KEPT_OTHER;
    if (e->step == STEP_ANSWERED)
        answer_give(a, res, e->status, str_c(e->type), buf_str(&e->head), buf_str(&e->body));
    return e->step == STEP_ANSWERED ? KEPT_ANSWER : e->step == STEP_LOST ? KEPT_LOST : KEPT_WAIT;
}

static enum kept_state reply_read(const struct redis_reply *reply, struct arena *a, struct http_response *res)
{
    if (redis_reply_type(reply) != REDIS_ARRAY)
        return KEPT_AWAY;
    switch (redis_reply_int(redis_reply_at(reply, 0))) {
    case 0:
        return KEPT_MINE;
    case STEP_ANSWERED:
        answer_give(a, res, (int)redis_reply_int(redis_reply_at(reply, 1)), redis_reply_str(redis_reply_at(reply, 2)),
                    redis_reply_str(redis_reply_at(reply, 3)), redis_reply_str(redis_reply_at(reply, 4)));
        return KEPT_ANSWER;
    case STEP_LOST:
        return KEPT_LOST;
    case 5:
        return KEPT_OTHER;
    default:
        return KEPT_WAIT;
    }
}

enum kept_state kept_ask(struct kept *k, struct str key, struct str print, struct arena *a, struct http_response *res)
{
    struct redis_reply *reply;

    if (!k->redis)
        return ask_here(k, key, print, a, res);
    if (smap_get(&k->entries, key)) /* in hand here, whatever Redis has forgotten */
        return ask_here(k, key, print, a, res);
    if (k->entries.count >= LIMIT_PROXY_KEPT)
        return KEPT_FULL;
    struct str argv[] = {key_name(a, key), str_c(k->owner), print, number(a, LIMIT_PROXY_KEPT_LEASE_MS),
                         number(a, LIMIT_PROXY_KEPT_MS)};
    if (redis_script_await(k->redis, ask_script, 1, 5, argv, &reply) != 0)
        return KEPT_AWAY;
    enum kept_state s = reply_read(reply, a, res);
    redis_reply_free(reply);
    if (s == KEPT_MINE)
        entry_make(k, key, print);
    return s;
}

bool kept_sending(struct kept *k, struct str key)
{
    struct entry *e = smap_get(&k->entries, key);
    struct redis_reply *reply;
    struct arena a = {0};

    if (!k->redis) {
        e->step = STEP_SENDING;
        return true;
    }
    struct str argv[] = {key_name(&a, key), str_c(k->owner), number(&a, LIMIT_PROXY_KEPT_LEASE_MS),
                         number(&a, LIMIT_PROXY_KEPT_MS)};
    bool mine = redis_script_await(k->redis, sending_script, 1, 4, argv, &reply) == 0;
    arena_done(&a);
    if (mine) {
        mine = redis_reply_int(reply) == 1;
        redis_reply_free(reply);
    }
    if (mine)
        e->step = STEP_SENDING;
    return mine;
}

/* --- the end --- */

/* res NULL: none, or it is too large. */
static void end_tell(struct kept *k, struct str key, const struct entry *e, int step, const struct http_response *res)
{
    struct arena a = {0};
    struct str argv[] = {key_name(&a, key),
                         str_c(k->owner),
                         number(&a, LIMIT_PROXY_KEPT_MS),
                         number(&a, step),
                         str_c(e->print),
                         number(&a, res ? res->status : 0),
                         res && res->content_type ? str_c(res->content_type) : STR(""),
                         res ? buf_str(&res->head) : STR(""),
                         res ? buf_str(&res->body) : STR("")};

    redis_script(k->redis, end_script, 1, 9, argv, LIMIT_PROXY_REDIS_MS, NULL, NULL);
    arena_done(&a);
}

static void end(struct kept *k, struct str key, int step, const struct http_response *res)
{
    struct entry *e = smap_get(&k->entries, key);

    if (!e)
        return;
    if (k->redis)
        end_tell(k, key, e, step, res);
    if (k->redis || step == 0) {
        entry_forget(k, key);
        return;
    }
    e->step = (enum step)step;
    e->until_ms = clock_mono_ms() + LIMIT_PROXY_KEPT_MS;
    if (!res)
        return;
    e->status = res->status;
    e->type = mem_strdup(res->content_type ? res->content_type : "");
    buf_add_str(&e->head, buf_str(&res->head));
    buf_add_str(&e->body, buf_str(&res->body));
    k->bytes += e->head.len + e->body.len;
}

void kept_answer(struct kept *k, struct str key, const struct http_response *res)
{
    if (res->head.len + res->body.len > LIMIT_PROXY_KEPT_ANSWER_BYTES)
        kept_lost(k, key);
    else
        end(k, key, STEP_ANSWERED, res);
}

void kept_lost(struct kept *k, struct str key)
{
    end(k, key, STEP_LOST, NULL);
}

void kept_drop(struct kept *k, struct str key)
{
    end(k, key, 0, NULL);
}
