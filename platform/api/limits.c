/* Rate limits: a bucket for each route, major parameter and caller, and the global one of each caller, both taken in
 * one call of kv. While kv is away each process counts for itself. Coroutine.
 * Source: Discord API documentation, "Rate Limits". */
#include "platform/api/api_private.h"

#include "platform/base/clock.h"
#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"

#include <stdio.h>

struct local_bucket {
    int64_t opened_ms;
    int used;
};

struct limiter {
    struct smap local; /* key -> struct local_bucket */
    bool kv_lost;
};

struct limiter *limiter_new(void)
{
    return MEM_NEW(struct limiter);
}

static void local_forget(struct limiter *l)
{
    size_t i = 0;
    struct str key;

    for (void *v; (v = smap_next(&l->local, &i, &key));)
        mem_free(v);
    smap_done(&l->local);
    l->local = (struct smap){0};
}

void limiter_free(struct limiter *l)
{
    if (!l)
        return;
    local_forget(l);
    mem_free(l);
}

static struct local_bucket *local_get(struct limiter *l, const char *key)
{
    struct local_bucket *b = smap_get(&l->local, str_c(key));

    if (b)
        return b;
    if (l->local.count >= LIMIT_API_LOCAL_BUCKETS)
        local_forget(l);
    b = MEM_NEW(struct local_bucket);
    smap_put(&l->local, str_c(key), b);
    return b;
}

static void local_take(struct limiter *l, const struct kv_bucket *buckets, unsigned count, struct kv_bucket_state *ret)
{
    int64_t now = clock_mono_ms();
    bool all = true;

    for (unsigned i = 0; i < count; i++) {
        struct local_bucket *b = local_get(l, buckets[i].key);
        if (!b->used || now - b->opened_ms >= buckets[i].window_ms)
            *b = (struct local_bucket){.opened_ms = now};
        ret[i].allowed = b->used < buckets[i].limit;
        ret[i].remaining = buckets[i].limit - b->used;
        ret[i].reset_after_ms = b->opened_ms + buckets[i].window_ms - now;
        all = all && ret[i].allowed;
    }
    for (unsigned i = 0; all && i < count; i++) {
        local_get(l, buckets[i].key)->used++;
        ret[i].remaining--;
    }
}

static void buckets_take(struct api_ctx *x, const struct kv_bucket *buckets, unsigned count,
                         struct kv_bucket_state *ret)
{
    struct limiter *l = x->api->limiter;
    bool lost = kv_buckets_take(x->ports->kv, buckets, count, ret) < 0;

    if (lost)
        local_take(l, buckets, count, ret);
    if (lost != l->kv_lost) {
        l->kv_lost = lost;
        if (lost)
            LOG_WARN("rate limits are local", "reason=\"kv cannot be reached\"");
        else
            LOG_INFO("rate limits are shared again", "kv=ready");
        if (!lost)
            local_forget(l);
    }
}

static void headers_write(struct http_response *res, int limit, int remaining, int64_t reset_after_ms,
                          const char *bucket)
{
    int64_t reset_ms = clock_wall_ms() + reset_after_ms;

    http_response_header(res, "X-RateLimit-Limit", "%d", limit);
    http_response_header(res, "X-RateLimit-Remaining", "%d", remaining > 0 ? remaining : 0);
    http_response_header(res, "X-RateLimit-Reset", "%lld.%03d", (long long)(reset_ms / 1000), (int)(reset_ms % 1000));
    http_response_header(res, "X-RateLimit-Reset-After", "%lld.%03d", (long long)(reset_after_ms / 1000),
                         (int)(reset_after_ms % 1000));
    http_response_header(res, "X-RateLimit-Bucket", "%s", bucket);
}

/* e: the error that the limit has a code of its own for, or API_OK. */
static void too_many(struct http_response *res, int64_t wait_ms, const char *scope, enum api_error e)
{
    struct buf *b = &res->body;
    bool global = strcmp(scope, "global") == 0;

    res->status = 429;
    http_response_header(res, "Retry-After", "%lld", (long long)(wait_ms + 999) / 1000);
    http_response_header(res, "X-RateLimit-Scope", "%s", scope);
    if (global)
        http_response_header(res, "X-RateLimit-Global", "true");
    buf_clear(b);
    jw_obj(b);
    jw_kcstr(b, "message", e == API_OK ? "You are being rate limited." : api_error_info(e)->message);
    if (e != API_OK)
        jw_ki64(b, "code", api_error_info(e)->code);
    jw_key(b, "retry_after");
    jw_double(b, (double)wait_ms / 1000.0);
    jw_kbool(b, "global", global);
    jw_obj_end(b);
}

/* A wait of 0 would read as "at once, for ever". */
static int64_t wait_of(const struct kv_bucket_state *s)
{
    return s->reset_after_ms > 0 ? s->reset_after_ms : 1;
}

/* Keys of one caller share a hash tag, so that Redis Cluster keeps them together. */
static void keys_make(struct api_ctx *x, const struct route *route, char global[128], char bucket[192])
{
    char who[96];
    struct str address = caller_address(x);
    struct str major = route->major >= 0 && x->texts[route->major].n <= 20 ? x->texts[route->major] : STR("");

    if (route->by_token)
        bucket_name(arena_strdup(x->arena, x->texts[0]), arena_strdup(x->arena, x->texts[1]), who);
    else if (x->user_id)
        snprintf(who, sizeof who, "%llu", (unsigned long long)x->user_id);
    else
        snprintf(who, sizeof who, "%.*s", STR_ARG(address));
    snprintf(global, 128, "rl:{%s}", who);
    snprintf(bucket, 192, "rl:{%s}:%s:%.*s", who, route->bucket, STR_ARG(major));
}

void limit_refuse(struct http_response *res, const struct route *route, int64_t wait_ms, const char *scope)
{
    bool global = strcmp(scope, "global") == 0;

    headers_write(res, global ? LIMIT_API_GLOBAL : route->bucket_limit, 0, wait_ms, route->bucket);
    too_many(res, wait_ms, scope, API_OK);
}

void limiter_forget(struct limiter *l)
{
    local_forget(l);
}

bool limit_route(struct api_ctx *x, const struct route *route)
{
    char global[128], bucket[192];
    struct kv_bucket_state s[2];

    if (!x->options->limits) {
        headers_write(x->res, route->bucket_limit, route->bucket_limit - 1, route->bucket_window_ms, route->bucket);
        return true;
    }
    keys_make(x, route, global, bucket);
    const struct kv_bucket buckets[2] = {{global, LIMIT_API_GLOBAL, 1000},
                                         {bucket, route->bucket_limit, route->bucket_window_ms}};
    /* "not bound to the application's Global Rate Limit": source "Receiving and Responding: Followup Messages" */
    s[0] = (struct kv_bucket_state){.allowed = true};
    if (route->by_token)
        buckets_take(x, &buckets[1], 1, &s[1]);
    else
        buckets_take(x, buckets, 2, s);
    if (s[0].allowed && s[1].allowed) {
        headers_write(x->res, route->bucket_limit, s[1].remaining, s[1].reset_after_ms, route->bucket);
        return true;
    }
    if (!s[0].allowed) {
        /* The waiting time must be the one of the headers that libraries look at, so they tell the global bucket's. */
        headers_write(x->res, LIMIT_API_GLOBAL, 0, wait_of(&s[0]), route->bucket);
        too_many(x->res, wait_of(&s[0]), "global", API_OK);
        return false;
    }
    headers_write(x->res, route->bucket_limit, 0, wait_of(&s[1]), route->bucket);
    too_many(x->res, wait_of(&s[1]), "user", API_OK);
    return false;
}

bool api_limit(struct api_ctx *x, const char *key, int limit, int64_t window_ms, enum api_error e)
{
    struct kv_bucket_state s;
    const struct kv_bucket b = {key, limit, window_ms};
    char name[17];

    if (!x->options->limits)
        return true;
    buckets_take(x, &b, 1, &s);
    if (s.allowed)
        return true;
    /* In place of the route's, which has room: the limit that was met is this one. */
    buf_clear(&x->res->head);
    bucket_name("", key, name);
    headers_write(x->res, limit, 0, wait_of(&s), name);
    too_many(x->res, wait_of(&s), "user", e);
    return false;
}
