/* Session starts as two kv buckets that share a hash tag. Coroutine. Limits: LIMIT_IDENTIFIES_PER_DAY. */
#include "platform/ports/starts.h"

#include "platform/base/limits.h"

#include <stdio.h>

#define DAY_MS     86400000
#define SPACING_MS 5000

struct start_limits start_limits_of(const struct application *app, unsigned max_concurrency)
{
    struct start_limits l = {LIMIT_IDENTIFIES_PER_DAY, max_concurrency ? max_concurrency : 1};

    if (app && app->session_starts > 0)
        l.total = (int)app->session_starts;
    if (app && app->max_concurrency > 0)
        l.max_concurrency = (unsigned)app->max_concurrency;
    return l;
}

static struct kv_bucket day_bucket(char key[64], uint64_t bot_id, const struct start_limits *l)
{
    snprintf(key, 64, "starts:{%llu}", (unsigned long long)bot_id);
    return (struct kv_bucket){key, l->total, DAY_MS};
}

int start_take(struct kv *kv, uint64_t bot_id, uint32_t shard, const struct start_limits *l, int64_t *ret_wait_ms)
{
    char day[64], turn[64];
    struct kv_bucket_state s[2];

    snprintf(turn, sizeof turn, "turn:{%llu}:%u", (unsigned long long)bot_id, shard % l->max_concurrency);
    const struct kv_bucket buckets[2] = {day_bucket(day, bot_id, l), {turn, 1, SPACING_MS}};
    int r = kv_buckets_take(kv, buckets, 2, s);
    if (r < 0)
        return r;
    *ret_wait_ms = !s[0].allowed ? s[0].reset_after_ms : !s[1].allowed ? s[1].reset_after_ms : 0;
    return 0;
}

int start_peek(struct kv *kv, uint64_t bot_id, const struct start_limits *l, struct kv_bucket_state *ret)
{
    char day[64];
    const struct kv_bucket b = day_bucket(day, bot_id, l);
    int r = kv_bucket_peek(kv, &b, ret);

    if (r == 0 && ret->remaining < 0) /* the limit was lowered meanwhile */
        ret->remaining = 0;
    return r;
}
