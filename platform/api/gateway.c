/* Where the gateway is. Coroutine. Source: Discord API documentation, "Gateway: Get Gateway Bot". */
#include "platform/api/handlers.h"

#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/ports/store/store.h"

#include <stdio.h>

static enum api_error url_get(struct api_ctx *x, struct str *ret)
{
    int r = x->options->gateway_url(x->arena, ret, x->options->gateway_url_arg);

    return r < 0 ? api_port_error(r, API_ERROR_UNAVAILABLE) : API_OK;
}

enum api_error gateway_get(struct api_ctx *x)
{
    struct str url;
    enum api_error e = url_get(x, &url);

    if (e != API_OK)
        return e;
    jw_obj(api_out(x));
    jw_kstr(api_out(x), "url", url);
    jw_obj_end(api_out(x));
    return API_OK;
}

/* What the gateway takes an IDENTIFY's token from. */
static void session_limit_write(struct api_ctx *x, struct buf *b)
{
    char key[40];
    snprintf(key, sizeof key, "sess:%llu", (unsigned long long)x->user_id);
    const struct kv_bucket bucket = {key, LIMIT_IDENTIFIES_PER_DAY, 86400000};
    struct kv_bucket_state s = {.remaining = LIMIT_IDENTIFIES_PER_DAY};
    unsigned concurrency = x->options->max_concurrency ? x->options->max_concurrency : 1;

    if (x->options->limits)
        (void)kv_bucket_peek(x->ports->kv, &bucket, &s); /* kv away: nothing was taken that is known */
    if (!x->options->limits)                             /* nobody waits: libraries start 16 shards at once */
        concurrency = concurrency < 16 ? 16 : concurrency;
    jw_kobj(b, "session_start_limit");
    jw_ki64(b, "total", LIMIT_IDENTIFIES_PER_DAY);
    jw_ki64(b, "remaining", s.remaining);
    jw_ki64(b, "reset_after", s.reset_after_ms);
    jw_ku64(b, "max_concurrency", concurrency);
    jw_obj_end(b);
}

enum api_error gateway_bot_get(struct api_ctx *x)
{
    struct str url;
    uint64_t *guilds;
    unsigned count;
    struct buf *out = api_out(x);
    enum api_error e = url_get(x, &url);

    if (e != API_OK)
        return e;
    int r = store_user_guild_ids(x->ports->db, x->arena, x->user_id, &guilds, &count);
    if (r < 0)
        return api_port_error(r, API_ERROR_INTERNAL);
    jw_obj(out);
    jw_kstr(out, "url", url);
    jw_ku64(out, "shards", 1 + count / LIMIT_BOT_GUILDS_PER_SHARD);
    session_limit_write(x, out);
    jw_obj_end(out);
    return API_OK;
}
