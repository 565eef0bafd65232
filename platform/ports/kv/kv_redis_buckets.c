/* `kv` on Redis: buckets as operators look at them. A walk over every key (SCAN, some 500 at a time, so that Redis
 * serves others in between). Loop thread, coroutine. */
#include "platform/ports/kv/kv_redis.h"

#include "platform/base/mem.h"

#include <stdio.h>

#define PREFIX "gh:bucket:"

/* For each key: used, and milliseconds until it resets. ARGV[1]: how much earlier it is to reset; 0: only looked at. */
static const char buckets_script[] = "local ms, out = tonumber(ARGV[1]), {} "
                                     "for i = 1, #KEYS do "
                                     "  local left = redis.call('PTTL', KEYS[i]) "
                                     "  out[#out + 1] = redis.call('GET', KEYS[i]) or '0' "
                                     "  out[#out + 1] = left "
                                     "  if ms > 0 and left > ms then redis.call('PEXPIRE', KEYS[i], left - ms) "
                                     "  elseif ms > 0 and left >= 0 then redis.call('DEL', KEYS[i]) end "
                                     "end "
                                     "return out";

struct walk {
    struct kv_redis *k;
    struct arena *arena;
    struct str part;
    int64_t ms;
    unsigned max, *count;
    struct kv_bucket_open *ret; /* NULL: they are only counted */
    struct smap seen;           /* SCAN may name a key twice */
};

/* Moves or notes the keys of one page. */
static int page_take(struct walk *w, struct str *argv, unsigned n)
{
    struct redis_reply *reply;
    char ms[24];

    snprintf(ms, sizeof ms, "%lld", (long long)w->ms);
    argv[n] = str_c(ms);
    int r = kv_redis_script(w->k, buckets_script, (int)n, (int)n + 1, argv, &reply);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < n && *w->count < w->max; i++) {
        int64_t left = redis_reply_int(redis_reply_at(reply, i * 2 + 1));
        if (left < 0) /* reset meanwhile */
            continue;
        if (w->ret)
            w->ret[*w->count] = (struct kv_bucket_open){
                arena_str(w->arena, (struct str){argv[i].p + sizeof PREFIX - 1, argv[i].n - (sizeof PREFIX - 1)}),
                (int)redis_reply_int(redis_reply_at(reply, i * 2)), left + 1};
        ++*w->count;
    }
    redis_reply_free(reply);
    return 0;
}

static bool is_wanted(struct walk *w, struct str key)
{
    struct str name = {key.p + sizeof PREFIX - 1, key.n - (sizeof PREFIX - 1)};

    return str_starts(key, STR(PREFIX)) && (!w->part.n || memmem(name.p, name.n, w->part.p, w->part.n)) &&
           !smap_put(&w->seen, key, w);
}

static int page(struct walk *w, char cursor[24])
{
    const struct str argv[] = {STR("SCAN"), str_c(cursor), STR("MATCH"), STR(PREFIX "*"), STR("COUNT"), STR("500")};
    struct redis_reply *reply;
    int r = kv_redis_command(w->k, 6, argv, &reply);

    if (r < 0)
        return r;
    const struct redis_reply *keys = redis_reply_at(reply, 1);
    size_t count = keys ? redis_reply_count(keys) : 0;
    struct str *wanted = mem_alloc((count + 1) * sizeof *wanted);
    unsigned n = 0;
    for (size_t i = 0; i < count; i++) {
        struct str key = redis_reply_str(redis_reply_at(keys, i));
        if (is_wanted(w, key))
            wanted[n++] = key;
    }
    snprintf(cursor, 24, "%.*s", STR_ARG(redis_reply_str(redis_reply_at(reply, 0))));
    r = n ? page_take(w, wanted, n) : 0;
    mem_free(wanted);
    redis_reply_free(reply);
    return r;
}

static int walk(struct walk *w)
{
    char cursor[24] = "0";
    int r;

    do
        r = page(w, cursor);
    while (r == 0 && strcmp(cursor, "0") != 0 && *w->count < w->max);
    smap_done(&w->seen);
    return r;
}

int kv_redis_buckets_list(struct kv *kv, struct arena *a, struct str part, unsigned max, struct kv_bucket_open *ret,
                          unsigned *ret_count)
{
    struct walk w = {.k = kv_redis_of(kv), .arena = a, .part = part, .max = max, .count = ret_count, .ret = ret};

    return walk(&w);
}

int kv_redis_buckets_advance(struct kv *kv, struct str part, int64_t ms, unsigned *ret_count)
{
    struct walk w = {.k = kv_redis_of(kv), .part = part, .ms = ms, .max = UINT32_MAX, .count = ret_count};

    return walk(&w);
}
