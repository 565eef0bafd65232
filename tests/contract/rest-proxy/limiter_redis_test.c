/* limiter_redis.c on a Redis of its own: the suite of all limiters, then several proxies that share one Redis. */
#include "tests/contract/rest-proxy/limiter_cases.h"

#include "platform/base/limits.h"
#include "platform/io/redis.h"
#include "rest-proxy/limiter_redis.h"
#include "tests/support/services.h"
#include <errno.h>

static struct limiter *make(int global, int invalid_max)
{
    struct limiter_redis_options o = {.url = services_env("REDIS_URL"),
                                      .egress = "here",
                                      .global_per_second = global,
                                      .invalid_max = invalid_max,
                                      .now_ms = cases_clock,
                                      .own_time = true};
    struct limiter *l = limiter_redis_new(&o, NULL);

    UNTIL(limiter_redis_shared(l));
    return l;
}

static void forget_all(struct limiter *l)
{
    struct redis_reply *reply;

    assert_int_equal(redis_await(limiter_redis_connection(l), 1, &STR("FLUSHALL"), &reply), 0);
    redis_reply_free(reply);
}

struct limiter *cases_make(int global, int invalid_max)
{
    cases_now = 1000000;
    struct limiter *l = make(global, invalid_max);

    forget_all(l);
    return l;
}

void cases_pass(struct limiter *l, int64_t ms)
{
    for (; ms > 0; ms -= LIMIT_PROXY_BEAT_MS) {
        cases_now += ms < LIMIT_PROXY_BEAT_MS ? ms : LIMIT_PROXY_BEAT_MS;
        limiter_redis_beat(l);
    }
}

static void every_case(void)
{
    for (unsigned i = 0; i < limiter_case_count; i++) {
        print_message("  %s\n", limiter_cases[i].name);
        limiter_cases[i].body();
    }
}
ON_LOOP(every_case)

/* The time in which each of the two was seen to know of the other. */
static void pair_make(struct limiter *ret[2], int global, int invalid_max)
{
    ret[0] = cases_make(global, invalid_max);
    ret[1] = make(global, invalid_max);
    UNTIL(limiter_redis_proxies(ret[0]) == 2 && limiter_redis_proxies(ret[1]) == 2);
}

static void pair_free(struct limiter *l[2])
{
    for (int i = 0; i < 2; i++) {
        limiter_redis_leave(l[i]);
        l[i]->ops->free(l[i]);
    }
}

/* What the other proxy reported comes over another connection: asks until the answer is `v`. */
static struct limiter_grant await(struct limiter *l, const struct limiter_key *k, unsigned want, enum limiter_verdict v)
{
    struct buf BUF_AUTO id = BUF_INIT(0);
    struct limiter_grant g = ask_many(l, k, &id, want);

    for (int left = 6000; g.verdict != v && left > 0; left--) {
        assert_int_not_equal(g.verdict, LIMITER_GO);
        co_sleep(10);
        g = ask_many(l, k, &id, want);
    }
    assert_int_equal(g.verdict, v);
    return g;
}

static void one_bucket_of_two(void)
{
    struct limiter *l[2];
    struct limiter_key a = key("t", "POST /a", "7");
    struct limiter_outcome o = ok("h", 5, 4);
    struct buf BUF_AUTO id = BUF_INIT(0);

    pair_make(l, 50, 0);
    assert_int_equal(ask(l[0], &a, &id).verdict, LIMITER_GO);
    struct limiter_grant g = ask(l[1], &a, &id);
    assert_int_equal(g.verdict, LIMITER_WAIT); /* one probes for all */
    assert_int_equal(g.wait_ms, LIMIT_PROXY_POLL_MS);
    l[0]->ops->report(l[0], buf_str(&id), &a, &o);
    assert_int_equal(await(l[1], &a, 3, LIMITER_GO).granted, 3);
    buf_clear(&id);
    l[1]->ops->bucket_id(l[1], &a, &id);
    assert_buf(&id, "t:h:7");
    assert_int_equal(ask_many(l[0], &a, &id, 3).granted, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(ask(l[i], &a, &id).wait_ms, 5000);
    /* After the reset: limit minus what is in flight, at whichever proxy. */
    cases_now += 5000;
    assert_int_equal(ask_many(l[0], &a, &id, 9).granted, 1);
    assert_int_equal(ask_many(l[1], &a, &id, 9).verdict, LIMITER_WAIT);
    pair_free(l);
}
ON_LOOP(one_bucket_of_two)

static void permits_of_the_dead(void)
{
    struct limiter *l[2];
    struct limiter_key a = key("t", "POST /a", "7"), g = key("t", "POST /b", "");
    struct limiter_outcome o = ok("h", 5, 4);
    struct buf BUF_AUTO id = BUF_INIT(0);

    pair_make(l, 4, 0);
    assert_int_equal(ask(l[0], &a, &id).verdict, LIMITER_GO);
    l[0]->ops->report(l[0], buf_str(&id), &a, &o);
    cases_now += 1001;
    assert_int_equal(ask_many(l[0], &a, &id, 9).granted, 4);
    l[0]->ops->free(l[0]); /* it dies */
    assert_int_equal(ask(l[1], &a, &id).wait_ms, 3999);
    cases_now += 4000;
    assert_int_equal(ask_many(l[1], &a, &id, 9).verdict, LIMITER_WAIT_GLOBAL); /* its 4 may still be under way */
    cases_now += 1000;
    struct limiter_grant grant = ask(l[1], &g, &id);
    assert_int_equal(grant.verdict, LIMITER_WAIT_GLOBAL); /* and may have arrived a moment ago */
    cases_now += 1000;
    assert_int_equal(ask_many(l[1], &a, &id, 9).granted, 1); /* 4 of 5 are counted as lost for a window's length */
    l[1]->ops->report(l[1], buf_str(&id), &a, &(struct limiter_outcome){.kind = LIMITER_UNUSED});
    cases_now += 4000;
    assert_int_equal(ask_many(l[1], &a, &id, 9).granted, 4); /* 5, but for the global limit */
    l[1]->ops->free(l[1]);
}
ON_LOOP(permits_of_the_dead)

static void locks_guard_and_global_limit_of_two(void)
{
    struct limiter *l[2];
    struct limiter_key a = key("t", "GET /a", ""), b = key("u", "GET /a", "");
    struct limiter_stats stats;
    struct limiter_outcome unauthorized = status(401), fine = {.kind = LIMITER_ANSWERED, .answer.success = true};
    struct buf BUF_AUTO id = BUF_INIT(0);

    fine.status = 200;
    pair_make(l, 3, 9);
    assert_int_equal(ask(l[0], &a, &id).verdict, LIMITER_GO);
    l[0]->ops->report(l[0], buf_str(&id), &a, &unauthorized);
    l[0]->ops->stats(l[0], &stats);
    assert_int_equal(stats.tokens_locked, 1);
    (void)await(l[1], &a, 1, LIMITER_TOKEN_LOCKED);
    assert_int_equal(l[1]->ops->unlock(l[1], STR("t")), 0);
    assert_int_equal(l[1]->ops->unlock(l[1], STR("t")), -ENOENT);
    assert_int_equal(ask(l[0], &a, &id).verdict, LIMITER_GO);
    l[0]->ops->report(l[0], buf_str(&id), &a, &unauthorized);
    /* The global limit: 3 in a second, whoever sends them. */
    for (int i = 0; i < 3; i++) {
        (void)await(l[i % 2], &b, 1, LIMITER_GO);
        buf_clear(&id);
        l[i % 2]->ops->bucket_id(l[i % 2], &b, &id);
        l[i % 2]->ops->report(l[i % 2], buf_str(&id), &b, &fine);
    }
    (void)await(l[0], &b, 1, LIMITER_WAIT_GLOBAL);
    (void)await(l[1], &b, 1, LIMITER_WAIT_GLOBAL);
    /* The guard: of 9 there were 2; the rest is shared by two. */
    int sent = 0;
    for (int i = 0; i < 2; i++)
        for (cases_now += 1000; ask(l[i], &b, &id).verdict == LIMITER_GO; cases_now += 1000) {
            struct limiter_outcome forbidden = status(403);

            assert_true(++sent <= 7);
            l[i]->ops->report(l[i], buf_str(&id), &b, &forbidden);
        }
    assert_true(sent >= 5); /* a part that is no whole request is nobody's */
    pair_free(l);
}
ON_LOOP(locks_guard_and_global_limit_of_two)

/* Redis dies: each takes its part of what it knows. It comes back having forgotten everything: the proxies tell it. */
static void without_redis(void)
{
    struct limiter *l[2];
    struct limiter_key a = key("t", "POST /a", "7");
    struct limiter_outcome o = ok("h", 5, 4);
    struct buf BUF_AUTO id = BUF_INIT(0);

    pair_make(l, 50, 0);
    assert_int_equal(ask(l[0], &a, &id).verdict, LIMITER_GO);
    l[0]->ops->report(l[0], buf_str(&id), &a, &o);
    (void)await(l[1], &a, 1, LIMITER_GO);
    buf_clear(&id);
    l[1]->ops->bucket_id(l[1], &a, &id);
    o = ok("h", 5, 3);
    l[1]->ops->report(l[1], buf_str(&id), &a, &o);
    services_await("kill", "redis");
    UNTIL(!limiter_redis_shared(l[0]) && !limiter_redis_shared(l[1]));
    unsigned sum = 2;
    for (int i = 0; i < 2; i++)
        sum += ask_many(l[i], &a, &id, 9).granted;
    assert_true(sum >= 4 && sum <= 5);
    for (int i = 0; i < 2; i++)
        assert_int_equal(ask(l[i], &a, &id).wait_ms, 5000);
    services_await("start", "redis");
    UNTIL(redis_connected(limiter_redis_connection(l[0])) && redis_connected(limiter_redis_connection(l[1])));
    forget_all(l[0]); /* whatever its file kept */
    for (int i = 0; i < 2; i++)
        limiter_redis_beat(l[i]);
    while (!limiter_redis_shared(l[0]) || !limiter_redis_shared(l[1])) {
        cases_now += 10;
        co_sleep(10);
    }
    assert_int_equal(ask(l[0], &a, &id).verdict, LIMITER_WAIT);
    assert_int_equal(ask(l[1], &a, &id).verdict, LIMITER_WAIT);
    pair_free(l);
}
ON_LOOP(without_redis)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_test),          cmocka_unit_test(one_bucket_of_two_test),
        cmocka_unit_test(permits_of_the_dead_test), cmocka_unit_test(locks_guard_and_global_limit_of_two_test),
        cmocka_unit_test(without_redis_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
