/* limiter_local.c: buckets are learned, tokens lock, the global limit and the guard hold. */
#include "tests/support/cm.h"

#include "rest-proxy/limiter.h"
#include <errno.h>
#include <stdio.h>

static int64_t now;

static int64_t test_now(void)
{
    return now;
}

static struct limiter *make(int global, int invalid_max)
{
    struct limiter_local_options o = {global, invalid_max, test_now};

    now = 1000000;
    return limiter_local_new(&o);
}

static struct limiter_key key(const char *token, const char *template, const char *major)
{
    return (struct limiter_key){.token = str_c(token), .route = {.template = str_c(template), .major = str_c(major)}};
}

static void keep(const struct limiter_grant *g, void *arg)
{
    *(struct limiter_grant *)arg = *g;
}

/* Asks for one permit; `id` gets the bucket's id. */
static struct limiter_grant ask(struct limiter *l, const struct limiter_key *k, struct buf *id)
{
    struct limiter_grant g = {0};

    buf_clear(id);
    l->ops->bucket_id(l, k, id);
    l->ops->acquire(l, buf_str(id), k, 1, keep, &g);
    return g;
}

static struct limiter_outcome ok(const char *bucket, int limit, int remaining)
{
    return (struct limiter_outcome){.kind = LIMITER_ANSWERED,
                                    .status = 200,
                                    .bucket = str_c(bucket),
                                    .answer = {true, limit, remaining, 0, 5000, true}};
}

static struct limiter_outcome status(int code)
{
    return (struct limiter_outcome){.kind = LIMITER_ANSWERED, .status = code};
}

static void learns_the_bucket(void **state)
{
    struct limiter *l = make(0, 0);
    struct limiter_key a = key("t", "GET /a", "1"), b = key("t", "GET /b", "1"), other = key("u", "GET /a", "1");
    struct buf BUF_AUTO id = BUF_INIT(0), id2 = BUF_INIT(0);
    struct limiter_outcome o = ok("hash", 2, 1);

    (void)state;
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

static void a_401_locks_the_token(void **state)
{
    struct limiter *l = make(0, 0);
    struct limiter_key a = key("t", "GET /a", ""), b = key("t", "GET /b", ""), none = key("", "GET /c", "");
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = status(401);

    (void)state;
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

static void no_second_holds_more_than_the_global_limit(void **state)
{
    struct limiter *l = make(3, 0);
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = {.kind = LIMITER_ANSWERED, .status = 200, .answer.success = true};
    struct limiter_key k[4] = {key("t", "GET /a", ""), key("t", "GET /b", ""), key("t", "GET /c", ""),
                               key("t", "GET /d", "")};

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(l, &k[i], &id).verdict, LIMITER_GO);
    struct limiter_grant g = ask(l, &k[3], &id);
    assert_int_equal(g.verdict, LIMITER_WAIT_GLOBAL);
    assert_int_equal(g.wait_ms, -1); /* nothing was answered yet */
    now += 200;
    l->ops->report(l, STR("t?GET /a:"), &k[0], &o);
    g = ask(l, &k[3], &id);
    assert_int_equal(g.verdict, LIMITER_WAIT_GLOBAL);
    assert_int_equal(g.wait_ms, 1000); /* it may have arrived just now */
    now += 999;
    assert_int_equal(ask(l, &k[3], &id).verdict, LIMITER_WAIT_GLOBAL);
    now += 1;
    assert_int_equal(ask(l, &k[3], &id).verdict, LIMITER_GO);
    k[0].route.global_exempt = true;
    assert_int_equal(ask(l, &k[0], &id).verdict, LIMITER_GO); /* interaction endpoints do not count */
    l->ops->free(l);
}

static void a_global_429_stops_the_token(void **state)
{
    struct limiter *l = make(50, 0);
    struct limiter_key a = key("t", "GET /a", ""), b = key("t", "GET /b", ""), u = key("u", "GET /b", "");
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = status(429);

    (void)state;
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

static void the_guard_counts_ten_minutes(void **state)
{
    struct limiter *l = make(0, 5);
    struct limiter_key a = key("t", "GET /a", "");
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_outcome o = status(403), shared = status(429);

    (void)state;
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
    now += g.wait_ms;
    assert_int_equal(ask(l, &a, &id).verdict, LIMITER_GO);
    l->ops->free(l);
}

static void forgets_what_is_idle(void **state)
{
    struct limiter *l = make(50, 0);
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_stats s;
    char major[20];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct limiter_key k = key("t", "GET /a", major);
        struct limiter_outcome o = ok("h", 5, 4);

        snprintf(major, sizeof(major), "%d", i);
        k.route.major = str_c(major);
        now += 25;
        assert_int_equal(ask(l, &k, &id).verdict, LIMITER_GO);
        l->ops->report(l, buf_str(&id), &k, &o);
    }
    l->ops->stats(l, &s);
    assert_true(s.buckets >= 1000);
    now += 120000;
    struct limiter_key k = key("t", "GET /a", "x");
    ask(l, &k, &id);
    l->ops->stats(l, &s);
    assert_int_equal(s.buckets, 1);
    l->ops->free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_the_bucket),
        cmocka_unit_test(a_401_locks_the_token),
        cmocka_unit_test(no_second_holds_more_than_the_global_limit),
        cmocka_unit_test(a_global_429_stops_the_token),
        cmocka_unit_test(the_guard_counts_ten_minutes),
        cmocka_unit_test(forgets_what_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
