/* Shared limits; see limiter_redis.h, and limiter_scripts.h for what stands in Redis. Loop thread. Commands go over one
 * connection in order, so what was reported is known to whatever is asked later. */
#include "rest-proxy/limiter_redis.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "rest-proxy/guard_shared.h"
#include "rest-proxy/limiter_local.h"
#include "rest-proxy/limiter_scripts.h"
#include "rest-proxy/limiter_words.h"
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>

#define PROXIES_KEY "gh:proxies"
#define GIVE_UP_MS  (4 * LIMIT_PROXY_BEAT_MS) /* without a sign of life a proxy does not count any more */

METRIC_DEFINE(metric_shared, METRIC_GAUGE, "guildhall_proxy_limits_shared", "1: limits are shared through Redis");
METRIC_DEFINE(metric_proxies, METRIC_GAUGE, "guildhall_proxy_peers",
              "Proxies that share the limits, this one included");

_Static_assert(LIMITER_GO == 0 && LIMITER_WAIT == 1 && LIMITER_WAIT_GLOBAL == 2 && LIMITER_TOKEN_LOCKED == 3 &&
                   LIMITER_MOVED == 6,
               "limiter_scripts.c has these numbers as text");
_Static_assert(LIMITER_SCOPE_USER == 0 && LIMITER_SCOPE_GLOBAL == 1 && LIMITER_SCOPE_SHARED == 2,
               "limiter_scripts.c has these numbers as text");

/* What this process holds of one bucket, or of one token's global limit. */
struct held {
    char *token;
    int permits;
    int asking; /* questions under way, which may add to what Redis knows */
};

struct shared {
    struct limiter base;
    struct limiter_redis_options o;
    char *egress;
    struct redis *redis;
    struct limiter *local;
    char id[17];
    struct loop_timer *beat;
    struct smap buckets, tokens; /* id -> struct held; only while something is held or asked */
    int64_t started_ms;
    int64_t alone_until_ms; /* Redis is there but not yet, or not at the moment, to be relied on */
    bool connected, ever_connected, was_shared, lost_once, over;
    int proxies, number;
    int in_flight;
    struct guard_shared *guard;
};

static struct shared *shared_of(const struct limiter *l)
{
    return (struct shared *)l;
}

/* --- keys --- */

/* Requests without a token are limited by address. */
static void word_key(const struct shared *s, struct words *w, struct str token, const char *kind, struct str rest)
{
    if (token.n > 0)
        words_add(w, arena_printf(&w->a, "gh:proxy:{%.*s}:%s%.*s", STR_ARG(token), kind, STR_ARG(rest)));
    else
        words_add(w, arena_printf(&w->a, "gh:proxy:{egress:%s}:%s%.*s", s->egress, kind, STR_ARG(rest)));
}

static void word_keys(const struct shared *s, struct words *w, struct str token, struct str bucket_id)
{
    word_key(s, w, token, "bucket:", bucket_id);
    word_key(s, w, token, "token", STR(""));
    word_key(s, w, token, "slots", STR(""));
    word_key(s, w, token, "routes", STR(""));
}

static void word_now(const struct shared *s, struct words *w)
{
    words_add_now(w, s->o.own_time ? s->o.now_ms : NULL);
}

static void run(struct shared *s, const char *script, int keys, struct words *w, redis_fn fn, void *arg)
{
    words_run(w, s->redis, script, keys, fn, arg);
}

static bool is_shared(const struct shared *s)
{
    return s->connected && s->o.now_ms() >= s->alone_until_ms;
}

/* --- what is held --- */

static struct held *held_get(struct smap *map, struct str id, struct str token)
{
    struct held *h = smap_get(map, id);

    if (h)
        return h;
    h = MEM_NEW(struct held);
    h->token = mem_strndup(token.p ? token.p : "", token.n);
    smap_put(map, id, h);
    return h;
}

static void held_forget(struct smap *map, struct str id, struct held *h)
{
    if (h->permits > 0 || h->asking > 0)
        return;
    smap_del(map, id);
    mem_free(h->token);
    mem_free(h);
}

static void hold(struct shared *s, struct str bucket_id, const struct limiter_key *key, unsigned n)
{
    held_get(&s->buckets, bucket_id, key->token)->permits += (int)n;
    if (!key->route.global_exempt)
        held_get(&s->tokens, key->token, key->token)->permits += (int)n;
    s->in_flight += (int)n;
}

/* How many permits Redis should know of; -1 while a question is under way that may add some. */
static int held_known(const struct held *h)
{
    return h->asking > 0 ? -1 : h->permits;
}

static void hold_tell(struct shared *s, const struct held *h, const char *kind, struct str id)
{
    struct words w = {0};

    word_key(s, &w, str_c(h->token), kind, id);
    word_now(s, &w);
    words_add(&w, str_c(s->id));
    words_add_int(&w, held_known(h));
    words_add_int(&w, LIMIT_PROXY_PERMIT_MS);
    run(s, limiter_script_hold, 1, &w, NULL, NULL);
}

static void holds_tell(struct shared *s)
{
    struct held *h;
    struct str id;

    for (size_t i = 0; (h = smap_next(&s->buckets, &i, &id)) != NULL;)
        if (h->permits > 0)
            hold_tell(s, h, "bucket:", id);
    for (size_t i = 0; (h = smap_next(&s->tokens, &i, &id)) != NULL;)
        if (h->permits > 0)
            hold_tell(s, h, "token", STR(""));
}

/* A bucket's id begins with its token. */
static struct str id_token(struct str bucket_id)
{
    size_t n = 0;

    while (n < bucket_id.n && bucket_id.p[n] != ':' && bucket_id.p[n] != '?')
        n++;
    return (struct str){bucket_id.p, n};
}

/* Redis may have forgotten everything: each proxy tells what it saw of the windows that are open. */
static void window_teach(struct str bucket_id, const struct window *b, void *arg)
{
    const struct shared *s = arg;
    struct words w = {0};

    word_key(s, &w, id_token(bucket_id), "bucket:", bucket_id);
    word_now(s, &w);
    words_add_int(&w, LIMIT_PROXY_PERMIT_MS);
    words_add_int(&w, b->limit);
    words_add_int(&w, b->remaining);
    words_add_int(&w, b->id_ms);
    words_add_int(&w, b->reset_at_ms - s->o.now_ms());
    words_add_int(&w, b->length_ms);
    run(arg, limiter_script_teach, 1, &w, NULL, NULL);
}

/* --- signs of life --- */

static void proxies_learn(struct shared *s, const struct redis_reply *reply)
{
    int count = (int)redis_reply_count(reply), number = 0;

    for (int i = 0; i < count; i++)
        if (str_eq(redis_reply_str(redis_reply_at(reply, (size_t)i)), str_c(s->id)))
            number = i;
    s->proxies = count > 0 ? count : 1;
    s->number = number;
    limiter_local_share(s->local, s->proxies, s->number);
}

static void on_beat_answer(int error, const struct redis_reply *reply, void *arg)
{
    struct shared *s = arg;

    if (error || s->over)
        return;
    if (redis_reply_type(reply) == REDIS_ARRAY)
        proxies_learn(s, reply);
    else
        LOG_WARN("redis refused", "reply=\"%.*s\"", STR_ARG(redis_reply_str(reply)));
}

static void beat_send(struct shared *s)
{
    struct words w = {0};

    words_add(&w, STR(PROXIES_KEY));
    words_add(&w, STR("")); /* always the server's: others are not asked when they are dead */
    words_add(&w, str_c(s->id));
    words_add_int(&w, GIVE_UP_MS);
    run(s, limiter_script_beat, 1, &w, on_beat_answer, s);
}

static void mode_tell(struct shared *s)
{
    bool now = is_shared(s);

    metric_set(&metric_shared, now);
    metric_set(&metric_proxies, s->proxies);
    if (now == s->was_shared)
        return;
    s->was_shared = now;
    if (now)
        LOG_INFO("limits are shared", "proxies=%d", s->proxies);
    else
        LOG_WARN("limits are this process's own", "part=1/%d", s->proxies);
}

static void on_beat(void *arg)
{
    struct shared *s = arg;

    if (s->connected) {
        beat_send(s);
        holds_tell(s);
        if (!is_shared(s))
            limiter_local_each_open(s->local, window_teach, s);
        guard_shared_tell(s->guard);
    }
    mode_tell(s);
}

static void on_redis(bool connected, void *arg)
{
    struct shared *s = arg;

    if (s->over)
        return;
    s->connected = connected;
    s->ever_connected = s->ever_connected || connected;
    if (connected && s->lost_once)
        s->alone_until_ms = s->o.now_ms() + LIMIT_PROXY_REJOIN_MS;
    s->lost_once = s->lost_once || !connected;
    on_beat(s);
}

/* --- asking --- */

struct ask {
    struct shared *s;
    struct arena a;
    struct str bucket_id;
    struct limiter_key key;
    unsigned want;
    limiter_fn done;
    void *arg;
};

static void grant_alone(const struct limiter_grant *g, void *arg)
{
    struct ask *q = arg;

    if (g->verdict == LIMITER_GO)
        hold(q->s, q->bucket_id, &q->key, g->granted);
    q->done(g, q->arg);
}

static void ask_alone(struct ask *q)
{
    q->s->local->ops->acquire(q->s->local, q->bucket_id, &q->key, q->want, grant_alone, q);
}

static void asking(struct ask *q, int change)
{
    struct shared *s = q->s;

    struct held *b = held_get(&s->buckets, q->bucket_id, q->key.token);
    b->asking += change;
    held_forget(&s->buckets, q->bucket_id, b);
    if (q->key.route.global_exempt)
        return;
    struct held *t = held_get(&s->tokens, q->key.token, q->key.token);
    t->asking += change;
    held_forget(&s->tokens, q->key.token, t);
}

static struct limiter_grant grant_read(const struct redis_reply *reply)
{
    return (struct limiter_grant){.verdict = (enum limiter_verdict)redis_reply_int(redis_reply_at(reply, 0)),
                                  .granted = (unsigned)redis_reply_int(redis_reply_at(reply, 1)),
                                  .wait_ms = redis_reply_int(redis_reply_at(reply, 2))};
}

/* Makes the mirror follow what Redis said. */
static void grant_apply(struct ask *q, const struct redis_reply *reply, struct limiter_grant *g)
{
    struct shared *s = q->s;

    if (g->verdict == LIMITER_GO) {
        CHECK(limiter_local_charge(s->local, q->bucket_id, &q->key, g->granted)); /* room was made when asking */
        hold(s, q->bucket_id, &q->key, g->granted);
    } else if (g->verdict == LIMITER_MOVED) {
        limiter_local_learn_hash(s->local, &q->key, redis_reply_str(redis_reply_at(reply, 3)));
    } else if (g->verdict == LIMITER_WAIT && g->wait_ms > 0) {
        s->local->ops->block(s->local, q->bucket_id, g->wait_ms);
    } else if (g->wait_ms < 0) {
        g->wait_ms = LIMIT_PROXY_POLL_MS; /* another proxy's report is not heard of */
    }
}

static void on_acquired(int error, const struct redis_reply *reply, void *arg)
{
    struct ask *q = arg;
    struct shared *s = q->s;

    asking(q, -1);
    if (error || redis_reply_type(reply) != REDIS_ARRAY) {
        if (!error)
            LOG_WARN("redis refused", "reply=\"%.*s\"", STR_ARG(redis_reply_str(reply)));
        s->alone_until_ms = s->o.now_ms() + LIMIT_PROXY_BEAT_MS;
        mode_tell(s);
        ask_alone(q);
    } else {
        struct limiter_grant g = grant_read(reply);

        grant_apply(q, reply, &g);
        q->done(&g, q->arg);
    }
    arena_done(&q->a);
    mem_free(q);
}

/* What this proxy knows of the bucket. */
static void word_window(const struct shared *s, struct words *w, struct str bucket_id)
{
    const struct window *b = limiter_local_window(s->local, bucket_id);
    int64_t after = b && b->open ? b->reset_at_ms - s->o.now_ms() : 0;

    words_add_int(w, !b ? 0 : b->known ? 1 : b->unlimited ? 2 : 0);
    words_add_int(w, b ? b->limit : 0);
    words_add_int(w, b ? b->remaining : 0);
    words_add_int(w, b ? b->id_ms : 0);
    words_add_int(w, after > 0 ? after : 0);
    words_add_int(w, b ? b->length_ms : 0);
}

static void ask_send(struct ask *q)
{
    struct shared *s = q->s;
    struct words w = {0};
    struct str unknown = memchr(q->bucket_id.p, '?', q->bucket_id.n) ? q->key.route.template : STR("");

    word_keys(s, &w, q->key.token, q->bucket_id);
    word_now(s, &w);
    words_add(&w, str_c(s->id));
    words_add_int(&w, q->want);
    words_add_int(&w, LIMIT_PROXY_PERMIT_MS);
    words_add_int(&w, q->key.route.global_exempt ? -1 : s->o.global_per_second);
    words_add(&w, unknown);
    word_window(s, &w, q->bucket_id);
    run(s, limiter_script_acquire, 4, &w, on_acquired, q);
}

static void ask_copy(struct ask *q, struct str bucket_id, const struct limiter_key *key)
{
    q->bucket_id = arena_str(&q->a, bucket_id);
    q->key = *key;
    q->key.token = arena_str(&q->a, key->token);
    q->key.route.template = arena_str(&q->a, key->route.template);
    q->key.route.major = arena_str(&q->a, key->route.major);
}

static void shared_acquire(struct limiter *l, struct str bucket_id, const struct limiter_key *key, unsigned want,
                           limiter_fn done, void *arg)
{
    struct shared *s = shared_of(l);
    struct limiter_grant g = {.verdict = LIMITER_GUARD,
                              .wait_ms = guard_shared_wait_ms(s->guard, s->o.invalid_max, s->proxies, s->in_flight)};

    if (g.wait_ms > 0 && s->in_flight > 0 && g.wait_ms == LIMIT_PROXY_POLL_MS)
        g.verdict = LIMITER_WAIT;
    else if (g.wait_ms == 0 && !limiter_local_charge(s->local, bucket_id, key, 0))
        g.verdict = LIMITER_FULL;
    else if (g.wait_ms == 0)
        g.verdict = LIMITER_GO;
    if (g.verdict != LIMITER_GO) {
        done(&g, arg);
        return;
    }
    if (!s->ever_connected && s->o.now_ms() < s->started_ms + LIMIT_PROXY_FIRST_MS) {
        g = (struct limiter_grant){.verdict = LIMITER_WAIT, .wait_ms = LIMIT_PROXY_POLL_MS};
        done(&g, arg); /* others may be at work: nobody knows how many */
        return;
    }
    if (!is_shared(s)) {
        struct ask q = {.s = s, .bucket_id = bucket_id, .key = *key, .want = want, .done = done, .arg = arg};
        ask_alone(&q);
        return;
    }
    struct ask *q = MEM_NEW(struct ask);
    *q = (struct ask){.s = s, .want = want < LIMIT_PROXY_PERMITS_MAX ? want : LIMIT_PROXY_PERMITS_MAX};
    q->done = done;
    q->arg = arg;
    ask_copy(q, bucket_id, key);
    asking(q, 1);
    ask_send(q);
}

/* --- reporting --- */

static void word_answer(struct words *w, const struct limiter_key *key, const struct limiter_outcome *o)
{
    words_add(w, key->route.template);
    words_add(w, o->bucket);
    words_add_int(w, o->answer.has_limit);
    words_add_int(w, o->answer.limit);
    words_add_int(w, o->answer.remaining);
    words_add_int(w, o->answer.reset_ms);
    words_add_int(w, o->answer.reset_after_ms);
    words_add_int(w, o->answer.success);
    words_add_int(w, o->status == 429 ? (int)o->scope : -1);
    words_add_int(w, o->retry_after_ms);
    words_add_int(w, limiter_outcome_locks(o, key));
}

static void report_send(struct shared *s, struct str from, struct str to, const struct limiter_key *key,
                        const struct limiter_outcome *o, int bucket_permits, int token_permits)
{
    struct words w = {0};

    word_keys(s, &w, key->token, from);
    word_key(s, &w, key->token, "bucket:", to);
    word_now(s, &w);
    words_add(&w, str_c(s->id));
    words_add_int(&w, bucket_permits);
    words_add_int(&w, LIMIT_PROXY_PERMIT_MS);
    words_add_int(&w, o->kind == LIMITER_UNUSED ? 1 : o->kind == LIMITER_LOST ? 2 : 3);
    words_add_int(&w, key->route.global_exempt);
    word_answer(&w, key, o);
    words_add_int(&w, token_permits);
    run(s, limiter_script_report, 5, &w, NULL, NULL);
}

/* Gives one permit back; what Redis should know of the rest. */
static int held_less(struct smap *map, struct str id)
{
    struct held *h = smap_get(map, id);

    CHECK(h && h->permits > 0);
    h->permits--;
    int known = held_known(h);
    held_forget(map, id, h);
    return known;
}

static void shared_report(struct limiter *l, struct str bucket_id, const struct limiter_key *key,
                          const struct limiter_outcome *o)
{
    struct shared *s = shared_of(l);
    struct buf BUF_AUTO to = BUF_INIT(0);
    int bucket_permits = held_less(&s->buckets, bucket_id);
    int token_permits = key->route.global_exempt ? 0 : held_less(&s->tokens, key->token);

    s->in_flight--;
    s->local->ops->report(s->local, bucket_id, key, o);
    if (o->kind == LIMITER_ANSWERED && o->bucket.n > 0)
        s->local->ops->bucket_id(s->local, key, &to);
    else
        buf_add_str(&to, bucket_id);
    if (s->connected)
        report_send(s, bucket_id, buf_str(&to), key, o, bucket_permits, token_permits);
    if (o->kind == LIMITER_ANSWERED && limiter_outcome_is_invalid(o)) {
        guard_shared_add(s->guard);
        if (s->connected)
            guard_shared_tell(s->guard);
    }
}

/* --- the rest of the interface --- */

static void shared_bucket_id(struct limiter *l, const struct limiter_key *key, struct buf *out)
{
    struct shared *s = shared_of(l);

    s->local->ops->bucket_id(s->local, key, out);
}

static void shared_block(struct limiter *l, struct str bucket_id, int64_t wait_ms)
{
    struct shared *s = shared_of(l);
    struct words w = {0};

    s->local->ops->block(s->local, bucket_id, wait_ms);
    if (!s->connected)
        return;
    word_key(s, &w, id_token(bucket_id), "bucket:", bucket_id);
    word_now(s, &w);
    words_add_int(&w, wait_ms);
    words_add_int(&w, LIMIT_PROXY_PERMIT_MS);
    run(s, limiter_script_block, 1, &w, NULL, NULL);
}

static int64_t shared_estimate_ms(struct limiter *l, struct str bucket_id, unsigned n)
{
    struct shared *s = shared_of(l);

    return s->local->ops->estimate_ms(s->local, bucket_id, n);
}

static int shared_unlock(struct limiter *l, struct str token)
{
    struct shared *s = shared_of(l);
    struct words w = {0};
    struct redis_reply *reply;
    int here = s->local->ops->unlock(s->local, token);

    word_key(s, &w, token, "token", STR(""));
    int error = redis_script_await(s->redis, limiter_script_unlock, 1, w.count, w.at, &reply);
    arena_done(&w.a);
    if (error)
        return -EHOSTDOWN;
    bool there = redis_reply_int(reply) == 1;
    redis_reply_free(reply);
    return there ? 0 : here;
}

static void shared_stats(struct limiter *l, struct limiter_stats *ret)
{
    struct shared *s = shared_of(l);

    s->local->ops->stats(s->local, ret);
    ret->invalid_requests = (uint64_t)guard_shared_sum(s->guard);
}

static void shared_configure(struct limiter *l, int global_per_second, int invalid_max)
{
    struct shared *s = shared_of(l);

    s->o.global_per_second = global_per_second;
    s->o.invalid_max = invalid_max;
    s->local->ops->configure(s->local, global_per_second, 0);
}

static void held_free(struct smap *map)
{
    struct held *h;
    struct str id;

    for (size_t i = 0; (h = smap_next(map, &i, &id)) != NULL;) {
        mem_free(h->token);
        mem_free(h);
    }
    smap_done(map);
}

static void shared_release(void *arg)
{
    mem_free(arg);
}

static void shared_free(struct limiter *l)
{
    struct shared *s = shared_of(l);

    s->over = true;
    s->connected = false;
    redis_free(s->redis);
    guard_shared_free(s->guard);
    loop_timer_free(s->beat);
    held_free(&s->buckets);
    held_free(&s->tokens);
    s->local->ops->free(s->local);
    mem_free(s->egress);
    loop_post(shared_release, s); /* Redis may have told of its end later, from inside a callback */
}

void limiter_redis_leave(struct limiter *l)
{
    struct shared *s = shared_of(l);
    const struct str argv[] = {STR("ZREM"), STR(PROXIES_KEY), str_c(s->id)};
    struct redis_reply *reply;

    loop_timer_stop(s->beat);
    if (s->connected && redis_await(s->redis, 3, argv, &reply) == 0)
        redis_reply_free(reply);
}

struct limiter *limiter_redis_new(const struct limiter_redis_options *o, struct buf *err)
{
    static const struct limiter_ops ops = {
        .bucket_id = shared_bucket_id,
        .acquire = shared_acquire,
        .report = shared_report,
        .block = shared_block,
        .estimate_ms = shared_estimate_ms,
        .unlock = shared_unlock,
        .configure = shared_configure,
        .stats = shared_stats,
        .free = shared_free,
    };
    struct redis *redis = redis_new(o->url, err);
    unsigned char bytes[8];

    if (!redis)
        return NULL;
    struct shared *s = MEM_NEW(struct shared);
    s->redis = redis;
    s->base.ops = &ops;
    s->o = *o;
    s->started_ms = o->now_ms();
    s->egress = mem_strdup(o->egress);
    s->local = limiter_local_new(&(struct limiter_local_options){o->global_per_second, 0, o->now_ms});
    s->proxies = 1;
    CHECK(RAND_bytes(bytes, sizeof(bytes)) == 1);
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(s->id + 2 * i, 3, "%02x", bytes[i]);
    s->guard = guard_shared_new(redis, o->egress, o->now_ms, o->own_time);
    s->beat = loop_timer_new(on_beat, s);
    loop_timer_start(s->beat, LIMIT_PROXY_BEAT_MS, LIMIT_PROXY_BEAT_MS);
    redis_on_state(redis, on_redis, s);
    return &s->base;
}

void limiter_redis_beat(struct limiter *l)
{
    on_beat(shared_of(l));
}

struct redis *limiter_redis_connection(struct limiter *l)
{
    return shared_of(l)->redis;
}

bool limiter_redis_shared(const struct limiter *l)
{
    return is_shared(shared_of(l));
}

int limiter_redis_proxies(const struct limiter *l)
{
    return shared_of(l)->proxies;
}

const char *limiter_redis_id(const struct limiter *l)
{
    return shared_of(l)->id;
}
