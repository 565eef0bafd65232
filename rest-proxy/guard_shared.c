/* The shared guard: a count in Redis by slots (limiter_scripts.c), a copy of it here. Loop thread. */
#include "rest-proxy/guard_shared.h"

#include "platform/base/limits.h"
#include "platform/base/mem.h"
#include "platform/io/loop.h"
#include "rest-proxy/guard.h"
#include "rest-proxy/limiter_scripts.h"
#include "rest-proxy/limiter_words.h"

#define GUARD_KEY "gh:proxy:{egress:%s}:invalid"

struct guard_shared {
    struct redis *redis;
    char *egress;
    int64_t (*now_ms)(void);
    bool own_time;
    struct guard all; /* of all proxies, as told last */
    int64_t offset_ms;
    int unsent, sending; /* of this process */
    bool busy, over;
};

static int64_t guard_now(const struct guard_shared *g)
{
    return g->now_ms() + g->offset_ms;
}

int64_t guard_shared_wait_ms(struct guard_shared *g, int max, int proxies, int in_flight)
{
    int own = g->unsent + g->sending, sum = guard_sum(&g->all, guard_now(g));

    if (max == 0 || sum == 0)
        return 0;
    int part = (max - (sum - own)) / proxies;
    if (own + in_flight < (part > 0 ? part : 1) && sum < max)
        return 0;
    if (sum < max && in_flight > 0)
        return LIMIT_PROXY_POLL_MS;
    return guard_wait_ms(&g->all, guard_now(g));
}

int guard_shared_sum(struct guard_shared *g)
{
    return guard_sum(&g->all, guard_now(g)) + g->unsent + g->sending;
}

void guard_shared_add(struct guard_shared *g)
{
    g->unsent++;
    guard_add(&g->all, guard_now(g), 0, 1);
}

static void apply(struct guard_shared *g, const struct redis_reply *reply)
{
    int64_t now = redis_reply_int(redis_reply_at(reply, 0));

    g->offset_ms = now - g->now_ms();
    guard_init(&g->all, now);
    for (size_t i = 1; i + 1 < redis_reply_count(reply); i += 2)
        guard_add(&g->all, now, (int)redis_reply_int(redis_reply_at(reply, i)),
                  (int)redis_reply_int(redis_reply_at(reply, i + 1)));
    guard_add(&g->all, now, 0, g->unsent);
}

static void on_told(int error, const struct redis_reply *reply, void *arg)
{
    struct guard_shared *g = arg;

    if (g->over)
        return;
    g->busy = false;
    if (error || redis_reply_type(reply) != REDIS_ARRAY) {
        g->unsent += g->sending; /* counted twice rather than not at all */
        g->sending = 0;
        return;
    }
    g->sending = 0;
    apply(g, reply);
    if (g->unsent > 0)
        guard_shared_tell(g);
}

void guard_shared_tell(struct guard_shared *g)
{
    struct words w = {0};

    if (g->busy || g->over)
        return;
    g->busy = true;
    g->sending = g->unsent;
    g->unsent = 0;
    words_add(&w, arena_printf(&w.a, GUARD_KEY, g->egress));
    words_add_now(&w, g->own_time ? g->now_ms : NULL);
    words_add_int(&w, g->sending);
    words_run(&w, g->redis, limiter_script_guard, 1, on_told, g);
}

struct guard_shared *guard_shared_new(struct redis *redis, const char *egress, int64_t (*now_ms)(void), bool own_time)
{
    struct guard_shared *g = MEM_NEW(struct guard_shared);

    g->redis = redis;
    g->egress = mem_strdup(egress);
    g->now_ms = now_ms;
    g->own_time = own_time;
    guard_init(&g->all, guard_now(g));
    return g;
}

static void release(void *arg)
{
    mem_free(arg);
}

void guard_shared_free(struct guard_shared *g)
{
    g->over = true;
    mem_free(g->egress);
    loop_post(release, g); /* Redis may tell of its end later, from inside a callback */
}
