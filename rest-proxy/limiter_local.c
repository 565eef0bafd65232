/* The limiter of one process. Loop thread; at most LIMIT_PROXY_BUCKETS buckets and LIMIT_PROXY_TOKENS tokens, idle ones
 * are forgotten. */
#include "rest-proxy/limiter_local.h"

#include "platform/base/check.h"
#include "platform/base/limits.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "rest-proxy/guard.h"
#include <errno.h>

#define GLOBAL_WINDOW_MS  1001 /* a second, and what two clocks cut off */
#define IDLE_FORGET_MS    60000
#define SWEEP_INTERVAL_MS 15000

struct bucket {
    struct window window;
    int64_t used_ms;
};

/* The global limit, so that no second can hold more than `limit` arrivals wherever the upstream's windows begin: a
 * request occupies its slot from its sending until a second after its answer, and arrived somewhere in between. */
struct token {
    int in_flight;         /* what counts against the global limit */
    int permits;           /* all */
    unsigned first, count; /* ring of times at which slots come free */
    unsigned size;
    int64_t *free_at_ms;
    int64_t blocked_until_ms, used_ms;
    bool locked;
};

struct local {
    struct limiter base;
    struct limiter_local_options o;
    struct smap buckets; /* id -> struct bucket */
    struct smap hashes;  /* token and template -> char *, the bucket hash */
    struct smap tokens;  /* token -> struct token */
    struct guard invalid;
    struct window_share share;
    int in_flight;
    int64_t swept_ms;
};

static void hash_key(const struct limiter_key *key, struct buf *out)
{
    buf_add_str(out, key->token);
    buf_addc(out, ' ');
    buf_add_str(out, key->route.template);
}

static void local_bucket_id(struct limiter *l, const struct limiter_key *key, struct buf *out)
{
    struct local *s = (struct local *)l;
    struct buf BUF_AUTO route = BUF_INIT(0);

    hash_key(key, &route);
    const char *hash = smap_get(&s->hashes, buf_str(&route));
    buf_add_str(out, key->token);
    buf_addc(out, hash ? ':' : '?');
    if (hash)
        buf_adds(out, hash);
    else
        buf_add_str(out, key->route.template);
    buf_addc(out, ':');
    buf_add_str(out, key->route.major);
    if (key->route.global_exempt)
        buf_adds(out, "!exempt"); /* a queue holds requests of one kind only */
}

/* --- the guard against invalid requests --- */

/* 0, or how long to send nothing: whatever is in flight may turn out invalid, too. */
static int64_t invalid_wait_ms(struct local *s, int64_t now_ms)
{
    if (s->o.invalid_max == 0)
        return 0;
    int sum = guard_sum(&s->invalid, now_ms);
    return sum == 0 || sum + s->in_flight < s->o.invalid_max ? 0 : guard_wait_ms(&s->invalid, now_ms);
}

/* --- tokens --- */

static void token_free(struct token *t)
{
    mem_free(t->free_at_ms);
    mem_free(t);
}

/* The limit may have changed: the ring keeps its newest entries. */
static void token_resize(struct token *t, unsigned size)
{
    int64_t *ring = size ? mem_zalloc(sizeof(int64_t) * size) : NULL;
    unsigned keep = t->count < size ? t->count : size;

    for (unsigned i = 0; i < keep; i++)
        ring[i] = t->free_at_ms[(t->first + t->count - keep + i) % t->size];
    mem_free(t->free_at_ms);
    t->free_at_ms = ring;
    t->first = 0;
    t->count = keep;
    t->size = size;
}

static struct token *token_get(struct local *s, struct str name, int64_t now_ms)
{
    struct token *t = smap_get(&s->tokens, name);

    if (!t && s->tokens.count < LIMIT_PROXY_TOKENS) {
        t = MEM_NEW(struct token);
        smap_put(&s->tokens, name, t);
    }
    if (t && t->size != (unsigned)s->o.global_per_second)
        token_resize(t, (unsigned)s->o.global_per_second);
    if (t)
        t->used_ms = now_ms;
    return t;
}

/* Takes a slot. 0, milliseconds, or -1: after the next answer. */
static int64_t token_take(const struct local *s, struct token *t, int64_t now_ms)
{
    if (t->blocked_until_ms > now_ms)
        return t->blocked_until_ms - now_ms;
    if (t->size == 0) {
        t->in_flight++;
        return 0;
    }
    while (t->count > 0 && t->free_at_ms[t->first] <= now_ms) {
        t->first = (t->first + 1) % t->size;
        t->count--;
    }
    unsigned share = t->size / (unsigned)s->share.count;
    if ((unsigned)t->in_flight + t->count >= (share ? share : 1))
        return t->count > 0 ? t->free_at_ms[t->first] - now_ms : -1;
    t->in_flight++;
    return 0;
}

static void token_give_back(struct token *t, int64_t now_ms, bool used)
{
    CHECK(t->in_flight > 0);
    t->in_flight--;
    if (!used || t->size == 0)
        return;
    if (t->count == t->size) { /* others granted more than is known here */
        t->first = (t->first + 1) % t->size;
        t->count--;
    }
    t->free_at_ms[(t->first + t->count++) % t->size] = now_ms + GLOBAL_WINDOW_MS;
}

/* --- buckets --- */

static void sweep(struct local *s, int64_t now_ms)
{
    struct str key;
    struct bucket *b;
    struct token *t;

    s->swept_ms = now_ms;
    for (size_t i = 0; (b = smap_next(&s->buckets, &i, &key)) != NULL;) {
        if (now_ms - b->used_ms < IDLE_FORGET_MS || !window_idle(&b->window, now_ms))
            continue;
        smap_del(&s->buckets, key);
        mem_free(b);
    }
    for (size_t i = 0; (t = smap_next(&s->tokens, &i, &key)) != NULL;) {
        if (now_ms - t->used_ms < IDLE_FORGET_MS || t->permits > 0 || t->locked || t->blocked_until_ms > now_ms)
            continue;
        smap_del(&s->tokens, key);
        token_free(t);
    }
}

static struct bucket *bucket_get(struct local *s, struct str id, int64_t now_ms)
{
    struct bucket *b = smap_get(&s->buckets, id);

    if (!b && s->buckets.count < LIMIT_PROXY_BUCKETS) {
        b = MEM_NEW(struct bucket);
        smap_put(&s->buckets, id, b);
    }
    if (b)
        b->used_ms = now_ms;
    return b;
}

static struct limiter_grant acquire_one(struct local *s, struct bucket *b, struct token *t, bool global)
{
    int64_t now = s->o.now_ms(), wait;

    if (!b || !t)
        return (struct limiter_grant){.verdict = LIMITER_FULL};
    if (t->locked)
        return (struct limiter_grant){.verdict = LIMITER_TOKEN_LOCKED};
    if ((wait = invalid_wait_ms(s, now)) != 0)
        return (struct limiter_grant){.verdict = LIMITER_GUARD, .wait_ms = wait};
    if ((wait = window_take_share(&b->window, now, s->share)) != 0)
        return (struct limiter_grant){.verdict = LIMITER_WAIT, .wait_ms = wait};
    if (global && (wait = token_take(s, t, now)) != 0) {
        window_unused(&b->window);
        return (struct limiter_grant){.verdict = LIMITER_WAIT_GLOBAL, .wait_ms = wait};
    }
    s->in_flight++;
    t->permits++;
    return (struct limiter_grant){.verdict = LIMITER_GO, .granted = 1};
}

static void local_acquire(struct limiter *l, struct str bucket_id, const struct limiter_key *key, unsigned want,
                          limiter_fn done, void *arg)
{
    struct local *s = (struct local *)l;
    int64_t now = s->o.now_ms();

    if (now - s->swept_ms > SWEEP_INTERVAL_MS)
        sweep(s, now);
    struct bucket *b = bucket_get(s, bucket_id, now);
    struct token *t = token_get(s, key->token, now);
    struct limiter_grant g = acquire_one(s, b, t, !key->route.global_exempt);
    while (g.verdict == LIMITER_GO && g.granted < want &&
           acquire_one(s, b, t, !key->route.global_exempt).verdict == LIMITER_GO)
        g.granted++;
    done(&g, arg);
}

bool limiter_outcome_is_invalid(const struct limiter_outcome *o)
{
    return o->status == 401 || o->status == 403 || (o->status == 429 && o->scope != LIMITER_SCOPE_SHARED);
}

bool limiter_outcome_locks(const struct limiter_outcome *o, const struct limiter_key *key)
{
    return o->kind == LIMITER_ANSWERED && o->status == 401 && key->token.n > 0 && !key->route.global_exempt;
}

static void hash_learn(struct local *s, const struct limiter_key *key, struct str hash)
{
    struct buf BUF_AUTO route = BUF_INIT(0);

    hash_key(key, &route);
    const char *old = smap_get(&s->hashes, buf_str(&route));
    if ((old && str_eq(str_c(old), hash)) || (!old && s->hashes.count >= LIMIT_PROXY_BUCKETS))
        return;
    mem_free(smap_put(&s->hashes, buf_str(&route), mem_strndup(hash.p, hash.n)));
}

static void limited(struct local *s, struct bucket *b, struct token *t, const struct limiter_outcome *o)
{
    int64_t now = s->o.now_ms();

    if (o->scope == LIMITER_SCOPE_GLOBAL && now + o->retry_after_ms > t->blocked_until_ms)
        t->blocked_until_ms = now + o->retry_after_ms;
    else if (o->scope == LIMITER_SCOPE_USER)
        window_exhausted(&b->window, now, o->retry_after_ms);
    else if (o->scope == LIMITER_SCOPE_SHARED)
        window_block(&b->window, now + o->retry_after_ms);
}

/* The answer counts for the bucket it names, which may not be the one the permit came from: then the route's bucket was
 * not known, or it changed. */
static void answered(struct local *s, struct bucket *from, const struct limiter_key *key,
                     const struct limiter_outcome *o)
{
    struct buf BUF_AUTO id = BUF_INIT(0);
    int64_t now = s->o.now_ms();
    struct bucket *b = from;

    if (o->bucket.n > 0) {
        hash_learn(s, key, o->bucket);
        local_bucket_id(&s->base, key, &id);
        b = bucket_get(s, buf_str(&id), now);
        b = b ? b : from;
    }
    if (b != from)
        b->window.used++;
    window_returned(&from->window);
    window_learn(&b->window, now, &o->answer);
    struct token *t = token_get(s, key->token, now);
    if (o->status == 429)
        limited(s, b, t, o);
    if (limiter_outcome_locks(o, key))
        t->locked = true;
    if (limiter_outcome_is_invalid(o))
        guard_add(&s->invalid, now, 0, 1);
}

static void local_report(struct limiter *l, struct str bucket_id, const struct limiter_key *key,
                         const struct limiter_outcome *o)
{
    struct local *s = (struct local *)l;
    struct bucket *b = smap_get(&s->buckets, bucket_id);
    struct token *t = smap_get(&s->tokens, key->token);

    CHECK(b && t && s->in_flight > 0);
    s->in_flight--;
    t->permits--;
    if (!key->route.global_exempt)
        token_give_back(t, s->o.now_ms(), o->kind != LIMITER_UNUSED);
    if (o->kind == LIMITER_UNUSED)
        window_unused(&b->window);
    else if (o->kind == LIMITER_LOST)
        window_lost(&b->window, s->o.now_ms());
    else
        answered(s, b, key, o);
}

static void local_block(struct limiter *l, struct str bucket_id, int64_t wait_ms)
{
    struct local *s = (struct local *)l;
    int64_t now = s->o.now_ms();
    struct bucket *b = bucket_get(s, bucket_id, now);

    if (b)
        window_block(&b->window, now + wait_ms);
}

static int64_t local_estimate_ms(struct limiter *l, struct str bucket_id, unsigned n)
{
    struct local *s = (struct local *)l;
    const struct bucket *b = smap_get(&s->buckets, bucket_id);

    return b ? window_wait_estimate(&b->window, s->o.now_ms(), n) : 0;
}

static int local_unlock(struct limiter *l, struct str token)
{
    struct local *s = (struct local *)l;
    struct token *t = smap_get(&s->tokens, token);

    if (!t || !t->locked)
        return -ENOENT;
    t->locked = false;
    return 0;
}

static void local_stats(struct limiter *l, struct limiter_stats *ret)
{
    struct local *s = (struct local *)l;
    const struct token *t;
    struct str key;

    *ret = (struct limiter_stats){.buckets = s->buckets.count,
                                  .tokens = s->tokens.count,
                                  .invalid_requests = (uint64_t)guard_sum(&s->invalid, s->o.now_ms())};
    for (size_t i = 0; (t = smap_next(&s->tokens, &i, &key)) != NULL;)
        ret->tokens_locked += t->locked;
}

static void local_configure(struct limiter *l, int global_per_second, int invalid_max)
{
    struct local *s = (struct local *)l;

    s->o.global_per_second = global_per_second;
    s->o.invalid_max = invalid_max;
}

/* --- as a mirror --- */

bool limiter_local_charge(struct limiter *l, struct str bucket_id, const struct limiter_key *key, unsigned n)
{
    struct local *s = (struct local *)l;
    int64_t now = s->o.now_ms();

    if (now - s->swept_ms > SWEEP_INTERVAL_MS)
        sweep(s, now);
    struct bucket *b = bucket_get(s, bucket_id, now);
    struct token *t = token_get(s, key->token, now);
    if (!b || !t)
        return false;
    window_charge(&b->window, now, (int)n);
    t->locked = false;
    t->permits += (int)n;
    if (!key->route.global_exempt)
        t->in_flight += (int)n;
    s->in_flight += (int)n;
    return true;
}

void limiter_local_share(struct limiter *l, int count, int number)
{
    struct local *s = (struct local *)l;

    CHECK(count >= 1 && number >= 0 && number < count);
    s->share = (struct window_share){count, number};
}

void limiter_local_learn_hash(struct limiter *l, const struct limiter_key *key, struct str hash)
{
    hash_learn((struct local *)l, key, hash);
}

const struct window *limiter_local_window(struct limiter *l, struct str bucket_id)
{
    const struct bucket *b = smap_get(&((struct local *)l)->buckets, bucket_id);

    return b ? &b->window : NULL;
}

void limiter_local_each_open(struct limiter *l, void (*fn)(struct str bucket_id, const struct window *w, void *arg),
                             void *arg)
{
    struct local *s = (struct local *)l;
    int64_t now = s->o.now_ms();
    const struct bucket *b;
    struct str id;

    for (size_t i = 0; (b = smap_next(&s->buckets, &i, &id)) != NULL;)
        if (b->window.known && b->window.open && b->window.reset_at_ms > now)
            fn(id, &b->window, arg);
}

static void local_free(struct limiter *l)
{
    struct local *s = (struct local *)l;
    struct str key;
    void *v;

    for (size_t i = 0; (v = smap_next(&s->buckets, &i, &key)) != NULL;)
        mem_free(v);
    for (size_t i = 0; (v = smap_next(&s->hashes, &i, &key)) != NULL;)
        mem_free(v);
    for (size_t i = 0; (v = smap_next(&s->tokens, &i, &key)) != NULL;)
        token_free(v);
    smap_done(&s->buckets);
    smap_done(&s->hashes);
    smap_done(&s->tokens);
    mem_free(s);
}

struct limiter *limiter_local_new(const struct limiter_local_options *o)
{
    static const struct limiter_ops ops = {
        .bucket_id = local_bucket_id,
        .acquire = local_acquire,
        .report = local_report,
        .block = local_block,
        .estimate_ms = local_estimate_ms,
        .unlock = local_unlock,
        .stats = local_stats,
        .configure = local_configure,
        .free = local_free,
    };
    struct local *s = MEM_NEW(struct local);

    s->base.ops = &ops;
    s->o = *o;
    guard_init(&s->invalid, o->now_ms());
    s->share = (struct window_share){1, 0};
    s->swept_ms = o->now_ms();
    return &s->base;
}
