/* Words for scripts. Loop thread. Limit: WORDS_MAX of a call. */
#include "rest-proxy/limiter_words.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"

void words_add(struct words *w, struct str s)
{
    CHECK(w->count < WORDS_MAX);
    w->at[w->count++] = s.p ? s : STR("");
}

void words_add_int(struct words *w, int64_t v)
{
    words_add(w, arena_printf(&w->a, "%lld", (long long)v));
}

void words_add_now(struct words *w, int64_t (*now_ms)(void))
{
    if (now_ms)
        words_add_int(w, now_ms());
    else
        words_add(w, STR(""));
}

void words_run(struct words *w, struct redis *redis, const char *script, int keys, redis_fn fn, void *arg)
{
    redis_script(redis, script, keys, w->count, w->at, LIMIT_PROXY_REDIS_MS, fn, arg);
    arena_done(&w->a);
}
