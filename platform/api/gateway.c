/* Where the gateway is. Coroutine. Source: Discord API documentation, "Gateway: Get Gateway Bot". */
#include "platform/api/handlers.h"

#include "platform/base/jw.h"
#include "platform/base/limits.h"
#include "platform/ports/starts.h"
#include "platform/ports/store/store.h"

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

static void session_limit_write(struct api_ctx *x, const struct application *app, struct buf *b)
{
    struct start_limits l = start_limits_of(app, x->options->max_concurrency);
    struct kv_bucket_state s = {.remaining = l.total};

    if (x->options->limits)
        (void)start_peek(x->ports->kv, x->user_id, &l, &s); /* kv away: nothing was taken that is known */
    else if (l.max_concurrency < 16)                        /* nobody waits: libraries start 16 shards at once */
        l.max_concurrency = 16;
    jw_kobj(b, "session_start_limit");
    jw_ki64(b, "total", l.total);
    jw_ki64(b, "remaining", s.remaining);
    jw_ki64(b, "reset_after", s.reset_after_ms);
    jw_ku64(b, "max_concurrency", l.max_concurrency);
    jw_obj_end(b);
}

enum api_error gateway_bot_get(struct api_ctx *x)
{
    struct str url;
    struct application app;
    uint64_t *guilds;
    unsigned count;
    struct buf *out = api_out(x);
    enum api_error e = url_get(x, &url);

    if (e != API_OK)
        return e;
    int r = store_user_guild_ids(x->ports->db, x->arena, x->user_id, &guilds, &count);
    if (r == 0)
        r = store_application_get(x->ports->db, x->arena, x->user_id, &app);
    if (r < 0)
        return api_port_error(r, API_ERROR_UNKNOWN_APPLICATION);
    jw_obj(out);
    jw_kstr(out, "url", url);
    jw_ku64(out, "shards", 1 + count / LIMIT_BOT_GUILDS_PER_SHARD);
    session_limit_write(x, &app, out);
    jw_obj_end(out);
    return API_OK;
}
