/* What every limiter does: buckets are learned, tokens lock, the global limit and the guard hold. Run on a loop. */
#include "tests/contract/rest-proxy/limiter_cases.h"

#include "platform/base/limits.h"
#include <errno.h>
#include <stdio.h>

int64_t cases_now;

int64_t cases_clock(void)
{
    return cases_now;
}

struct limiter_key key(const char *token, const char *template, const char *major)
{
    return (struct limiter_key){.token = str_c(token), .route = {.template = str_c(template), .major = str_c(major)}};
}

struct answer {
    struct limiter_grant grant;
    bool there;
    struct co *waits;
};

static void keep(const struct limiter_grant *g, void *arg)
{
    struct answer *a = arg;

    a->grant = *g;
    a->there = true;
    if (a->waits)
        co_resume(a->waits);
}

struct limiter_grant ask_many(struct limiter *l, const struct limiter_key *k, struct buf *id, unsigned want)
{
    struct answer a;

    do {
        a = (struct answer){0};
        buf_clear(id);
        l->ops->bucket_id(l, k, id);
        l->ops->acquire(l, buf_str(id), k, want, keep, &a);
        a.waits = co_self();
        while (!a.there)
            co_suspend();
    } while (a.grant.verdict == LIMITER_MOVED);
    return a.grant;
}

struct limiter_grant ask(struct limiter *l, const struct limiter_key *k, struct buf *id)
{
    return ask_many(l, k, id, 1);
}

struct limiter_outcome ok(const char *bucket, int limit, int remaining)
{
    return (struct limiter_outcome){.kind = LIMITER_ANSWERED,
                                    .status = 200,
                                    .bucket = str_c(bucket),
                                    .answer = {true, limit, remaining, 0, 5000, true}};
}

struct limiter_outcome status(int code)
{
    return (struct limiter_outcome){.kind = LIMITER_ANSWERED, .status = code};
}

static void learns_the_bucket(void)
{
    struct limiter *l = cases_make(0, 0);
    struct limiter_key a = key("t", "GET /a", "1"), b = key("t", "GET /b", "1"), other = key("u", "GET /a", "1");
    struct buf BUF_AUTO id = BUF_INIT(0), id2 = BUF_INIT(0);
    struct limiter_outcome o = ok("hash", 2, 1);

    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    assert_buf(&id, "t?GET /a:1");
    assert_int_equal(ask(l, &a, &id2).verdict, LIMITER_WAIT); /* one probe at a time */
    l->ops->report(l, buf_str(&id), &a, &o);
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    assert_buf(&id, "t:hash:1");
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_WAIT);
    /* Another route of the same bucket, once known, shares it; another token does not. */
    assert_int_equal(ask(l, &b, &id2).verdict, LIMITER_GO);
    o = ok("hash", 2, 0);
    l->ops->report(l, buf_str(&id2), &b, &o);
    assert_int_equal(ask(l, &b, &id2).verdict, LIMITER_WAIT);
    assert_buf(&id2, "t:hash:1");
    assert_int_equal(ask(l, &other, &id2).verdict, LIMITER_GO);
    l->ops->free(l);
}

static void a_401_locks_the_token(void)
{
    struct limiter *l = cases_make(0, 0);
    struct limiter_key a = key("t", "GET /a", ""), b = key("t", "GET /b", ""), none = key("", "GET /c", "");
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = status(401);

    assert_int_equal(ask(l, &none, &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &none, &o);
    assert_int_equal(ask(l, &none, &id).verdict, LIMITER_GO); /* without a token there is nothing to lock */
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &a, &o);
    assert_int_equal(ask(l, &b, &id).verdict, LIMITER_TOKEN_LOCKED);
    assert_int_equal(l->ops->unlock(l, STR("t")), 0);
    assert_int_equal(l->ops->unlock(l, STR("t")), -ENOENT);
    assert_int_equal(ask(l, &b, &id).verdict, LIMITER_GO);
    l->ops->free(l);
}

static void no_second_holds_more_than_the_global_limit(void)
{
    struct limiter *l = cases_make(3, 0);
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = {.kind = LIMITER_ANSWERED, .status = 200, .answer.success = true};
    struct limiter_key k[4] = {key("t", "GET /a", ""), key("t", "GET /b", ""), key("t", "GET /c", ""),
                               key("t", "GET /d", "")};

    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(l, &k[i], &id).verdict, LIMITER_GO);
    struct limiter_grant g = ask(l, &k[3], &id);
    assert_int_equal(g.verdict, LIMITER_WAIT_GLOBAL);
    assert_true(g.wait_ms == -1 || g.wait_ms == LIMIT_PROXY_POLL_MS); /* nothing was answered yet */
    cases_pass(l, 200);
    l->ops->report(l, STR("t?GET /a:"), &k[0], &o);
    g = ask(l, &k[3], &id);
    assert_int_equal(g.verdict, LIMITER_WAIT_GLOBAL);
    assert_int_equal(g.wait_ms,
                     1001); /* it may have arrived just now; and clocks cut off what is below a millisecond */
    cases_pass(l, 1000);
    assert_int_equal(ask(l, &k[3], &id).verdict, LIMITER_WAIT_GLOBAL);
    cases_pass(l, 1);
    assert_int_equal(ask(l, &k[3], &id).verdict, LIMITER_GO);
    k[0].route.global_exempt = true;
    assert_int_equal(ask(l, &k[0], &id).verdict, LIMITER_GO); /* interaction endpoints do not count */
    l->ops->free(l);
}

static void a_global_429_stops_the_token(void)
{
    struct limiter *l = cases_make(50, 0);
    struct limiter_key a = key("t", "GET /a", ""), b = key("t", "GET /b", ""), u = key("u", "GET /b", "");
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = status(429);

    o.scope = LIMITER_SCOPE_GLOBAL;
    o.retry_after_ms = 700;
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &a, &o);
    struct limiter_grant g = ask(l, &b, &id);
    assert_int_equal(g.verdict, LIMITER_WAIT_GLOBAL);
    assert_int_equal(g.wait_ms, 700);
    assert_int_equal(ask(l, &u, &id).verdict, LIMITER_GO);
    l->ops->free(l);
}

static void the_guard_counts_ten_minutes(void)
{
    struct limiter *l = cases_make(0, 5);
    struct limiter_key a = key("t", "GET /a", "");
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = status(403), shared = status(429);

    shared.scope = LIMITER_SCOPE_SHARED;
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &a, &shared); /* not counted */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
        l->ops->report(l, buf_str(&id), &a, &o);
    }
    struct limiter_grant g = ask(l, &a, &id);
    assert_int_equal(g.verdict, LIMITER_GUARD);
    assert_true(g.wait_ms > 590000 && g.wait_ms <= 600000);
    cases_pass(l, g.wait_ms);
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    l->ops->free(l);
}

static void forgets_what_is_idle(void)
{
    struct limiter *l = cases_make(50, 0);
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_stats s;
    char major[20];

    for (int i = 0; i < 1000; i++) {
        struct limiter_key k = key("t", "GET /a", major);
        struct limiter_outcome o = ok("h", 5, 4);

        snprintf(major, sizeof(major), "%d", i);
        k.route.major = str_c(major);
        cases_pass(l, 25);
        assert_int_equal(ask(l, &k, &id).verdict, LIMITER_GO);
        l->ops->report(l, buf_str(&id), &k, &o);
    }
    l->ops->stats(l, &s);
    assert_true(s.buckets >= 1000);
    cases_pass(l, 120000);
    struct limiter_key k = key("t", "GET /a", "x");
    ask(l, &k, &id);
    l->ops->stats(l, &s);
    assert_int_equal(s.buckets, 1);
    l->ops->free(l);
}

static void takes_what_is_left_at_once(void)
{
    struct limiter *l = cases_make(50, 0);
    struct limiter_key a = key("t", "POST /a", "7");
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = ok("h", 5, 4), unused = {.kind = LIMITER_UNUSED}, lost = {.kind = LIMITER_LOST};

    assert_int_equal(ask_many(l, &a, &id, 9).granted, 1);
    l->ops->report(l, buf_str(&id), &a, &o);
    assert_int_equal(ask_many(l, &a, &id, 3).granted, 3);
    assert_int_equal(ask_many(l, &a, &id, 3).granted, 1);
    assert_int_equal(ask_many(l, &a, &id, 3).verdict, LIMITER_WAIT);
    l->ops->report(l, buf_str(&id), &a, &unused);
    assert_int_equal(ask_many(l, &a, &id, 3).granted, 1);
    /* Three answers of the window are under way when it ends, and one is lost: 5 - 3 - 1. */
    l->ops->report(l, buf_str(&id), &a, &lost);
    cases_pass(l, 4000);
    struct limiter_grant g = ask(l, &a, &id);
    assert_int_equal(g.verdict, LIMITER_WAIT);
    assert_int_equal(g.wait_ms, 1000);
    cases_pass(l, 1000);
    assert_int_equal(ask_many(l, &a, &id, 9).granted, 2);
    l->ops->free(l);
}

static void blocks_what_the_headers_do_not_tell(void)
{
    struct limiter *l = cases_make(50, 0);
    struct limiter_key a = key("t", "POST /a", "7");
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = ok("h", 5, 4), shared = status(429), user = ok("h", 5, 0);

    shared.bucket = STR("h");
    shared.scope = LIMITER_SCOPE_SHARED;
    shared.retry_after_ms = 300;
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &a, &o);
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &a, &shared);
    assert_int_equal(ask(l, &a, &id).wait_ms, 300);
    cases_pass(l, 300);
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    user.status = 429;
    user.scope = LIMITER_SCOPE_USER;
    user.retry_after_ms = 9000; /* longer than the window */
    l->ops->report(l, buf_str(&id), &a, &user);
    assert_int_equal(ask(l, &a, &id).wait_ms, 9000);
    cases_pass(l, 9000);
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &a, &o);
    l->ops->block(l, buf_str(&id), 50);
    assert_int_equal(ask(l, &a, &id).wait_ms, 50);
    l->ops->free(l);
}

static void takes_new_limits(void)
{
    struct limiter *l = cases_make(2, 0);
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = {.kind = LIMITER_ANSWERED, .status = 200, .answer.success = true};
    struct limiter_key k[4] = {key("t", "GET /a", ""), key("t", "GET /b", ""), key("t", "GET /c", ""),
                               key("t", "GET /d", "")};

    assert_int_equal(ask(l, &k[0], &id).verdict, LIMITER_GO);
    l->ops->report(l, buf_str(&id), &k[0], &o);
    assert_int_equal(ask(l, &k[1], &id).verdict, LIMITER_GO);
    assert_int_equal(ask(l, &k[2], &id).verdict, LIMITER_WAIT_GLOBAL);
    l->ops->configure(l, 3, 0);
    assert_int_equal(ask(l, &k[2], &id).verdict, LIMITER_GO);
    assert_int_equal(ask(l, &k[3], &id).verdict, LIMITER_WAIT_GLOBAL);
    l->ops->configure(l, 0, 0);
    assert_int_equal(ask(l, &k[3], &id).verdict, LIMITER_GO);
    l->ops->free(l);
}

const struct limiter_case limiter_cases[] = {
    {"learns_the_bucket", learns_the_bucket},
    {"a_401_locks_the_token", a_401_locks_the_token},
    {"no_second_holds_more_than_the_global_limit", no_second_holds_more_than_the_global_limit},
    {"a_global_429_stops_the_token", a_global_429_stops_the_token},
    {"the_guard_counts_ten_minutes", the_guard_counts_ten_minutes},
    {"forgets_what_is_idle", forgets_what_is_idle},
    {"takes_what_is_left_at_once", takes_what_is_left_at_once},
    {"blocks_what_the_headers_do_not_tell", blocks_what_the_headers_do_not_tell},
    {"takes_new_limits", takes_new_limits},
};
const unsigned limiter_case_count = sizeof(limiter_cases) / sizeof(*limiter_cases);
