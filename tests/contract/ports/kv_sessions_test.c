/* The contract of `kv` for session records and session logs, on both implementations; and a Redis that comes back. */
#include "tests/support/co_test.h"
#include "tests/support/services.h"

#include "platform/ports/kv.h"

#include <errno.h>

static const char *url; /* NULL: in process */

static struct kv *opened(void)
{
    struct buf err = {0};
    struct kv *kv = kv_open(url, &err);
    for (int i = 0; kv && !kv_ready(kv) && i < 200; i++)
        co_sleep(25);
    expect_true(kv && kv_ready(kv));
    return kv;
}

static bool is(struct str s, const char *text)
{
    return str_eq(s, str_c(text));
}

static void records(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct str owner, value;
    struct kv_session two[] = {{"s1", "a", STR("one")}, {"s2", "a", (struct str){"t\0wo", 4}}};
    bool lost[2] = {true, true};

    expect_int(kv_session_get(kv, &a, "s1", &owner, &value), -ENOENT);
    expect_int(kv_session_claim(kv, "s1", "a", "b", 1000), -ENOENT);
    expect_int(kv_sessions_put(kv, two, 2, 60000, lost), 0);
    expect_true(!lost[0] && !lost[1]);
    expect_int(kv_session_get(kv, &a, "s2", &owner, &value), 0);
    expect_true(is(owner, "a") && str_eq(value, two[1].value));
    /* one of two that want it has it, and the former owner's renewal does not bring it back */
    expect_int(kv_session_claim(kv, "s1", "a", "b", 60000), 0);
    expect_int(kv_session_claim(kv, "s1", "a", "c", 60000), -EBUSY);
    expect_int(kv_sessions_put(kv, two, 2, 60000, lost), 0);
    expect_true(lost[0] && !lost[1]);
    expect_int(kv_session_del(kv, "s1", "a"), 0);
    expect_int(kv_session_get(kv, &a, "s1", &owner, &value), 0);
    expect_true(is(owner, "b") && is(value, "one"));
    expect_int(kv_session_del(kv, "s1", "b"), 0);
    expect_int(kv_session_get(kv, &a, "s1", &owner, &value), -ENOENT);
    /* and they end by themselves */
    expect_int(kv_sessions_put(kv, two, 1, 200, lost), 0);
    co_sleep(300);
    expect_int(kv_session_get(kv, &a, "s1", &owner, &value), -ENOENT);
    expect_int(kv_session_del(kv, "s2", "a"), 0);
    arena_done(&a);
    kv_close(kv);
}

struct claim {
    struct kv *kv;
    const char *to;
    unsigned *won;
};

static void claim_one(void *arg)
{
    struct claim *c = arg;
    *c->won += kv_session_claim(c->kv, "raced", "dead", c->to, 60000) == 0;
}

static void one_claim_wins(void)
{
    struct kv *kv = opened();
    struct kv_session s = {"raced", "dead", STR("x")};
    struct claim claims[] = {{kv, "n1", NULL}, {kv, "n2", NULL}, {kv, "n3", NULL}};
    struct co_group g = {0};
    unsigned won = 0;
    bool lost;

    expect_int(kv_sessions_put(kv, &s, 1, 60000, &lost), 0);
    for (int i = 0; i < 3; i++) {
        claims[i].won = &won;
        expect_int(co_group_spawn(&g, claim_one, &claims[i]), 0);
    }
    co_group_wait(&g);
    expect_int(won, 1);
    kv_close(kv);
}

struct appended {
    unsigned done, failed;
};

static void on_appended(int error, void *arg)
{
    struct appended *d = arg;
    d->done++;
    d->failed += error != 0;
}

static void append(struct kv *kv, const char *log, uint64_t number, uint64_t oldest, const char *text,
                   struct appended *d)
{
    uint64_t topics[] = {7, 8}, numbers[] = {number * 10, 0};
    struct kv_log_append l = {.log = log,
                              .number = number,
                              .oldest = oldest,
                              .entry = str_c(text),
                              .topics = topics,
                              .numbers = numbers,
                              .topic_count = 2,
                              .ttl_ms = 60000};
    kv_log_append(kv, &l, on_appended, d);
}

static void wait_for(const struct appended *d, unsigned count)
{
    for (int i = 0; d->done < count && i < 1000; i++)
        co_sleep(10);
    expect_int(d->done, count);
}

static void logs(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct appended d = {0};
    struct kv_log_entry *e;
    unsigned count = 9;
    uint64_t topics[] = {8, 9, 7}, numbers[3];

    expect_int(kv_log_read(kv, &a, "run", 1, 10, &e, &count), 0);
    expect_int(count, 0);
    expect_int(kv_log_numbers(kv, "run", topics, 3, numbers), 0);
    expect_true(numbers[0] == KV_LOG_NUMBER_UNKNOWN);
    append(kv, "run", 1, 1, "one", &d), append(kv, "run", 2, 1, "", &d);
    append(kv, "run", 4, 1, "four", &d), append(kv, "run", 5, 2, "five", &d);
    expect_int(d.done, 0); /* never from inside */
    wait_for(&d, 4);
    expect_int(d.failed, 0);
    expect_int(kv_log_read(kv, &a, "run", 0, 2, &e, &count), 0);
    expect_int(count, 2);
    expect_true(e[0].number == 2 && e[0].bytes.n == 0 && e[1].number == 4 && is(e[1].bytes, "four"));
    expect_int(kv_log_read(kv, &a, "run", 5, 10, &e, &count), 0);
    expect_true(count == 1 && is(e[0].bytes, "five"));
    expect_int(kv_log_numbers(kv, "run", topics, 3, numbers), 0);
    expect_true(numbers[0] == 0 && numbers[1] == KV_LOG_NUMBER_UNKNOWN && numbers[2] == 50);
    expect_int(kv_log_drop(kv, "run"), 0);
    expect_int(kv_log_read(kv, &a, "run", 0, 10, &e, &count), 0);
    expect_int(count, 0);
    arena_done(&a);
    kv_close(kv);
}

static void numbers_belong_to_a_run_of_redis(void)
{
    struct kv *kv = opened();
    struct arena a = {0};
    struct appended d = {0};
    struct kv_log_entry *e;
    unsigned count;
    uint64_t topic = 7, number = 0;

    append(kv, "again", 1, 1, "one", &d);
    wait_for(&d, 1);
    services_await("restart", "redis");
    for (int i = 0; (kv_log_numbers(kv, "again", &topic, 1, &number) < 0 || number == 10) && i < 400; i++)
        co_sleep(25);
    expect_true(number == KV_LOG_NUMBER_UNKNOWN);
    append(kv, "again", 2, 1, "two", &d);
    wait_for(&d, 2);
    expect_int(d.failed, 0);
    expect_int(kv_log_numbers(kv, "again", &topic, 1, &number), 0);
    expect_int(number, 20);
    expect_int(kv_log_read(kv, &a, "again", 2, 10, &e, &count), 0);
    expect_int(count, 1);
    arena_done(&a);
    kv_close(kv);
}

static void without_redis_the_append_says_so(void)
{
    struct kv *kv = opened();
    struct appended d = {0};

    services_await("kill", "redis");
    append(kv, "gone", 1, 1, "one", &d), append(kv, "gone", 2, 1, "two", &d);
    wait_for(&d, 2);
    expect_int(d.failed, 2);
    services_await("start", "redis");
    kv_close(kv);
}

int main(void)
{
    const struct CMUnitTest contract[] = {CO_TEST(records), CO_TEST(one_claim_wins), CO_TEST(logs)};
    const struct CMUnitTest redis_only[] = {CO_TEST(numbers_belong_to_a_run_of_redis),
                                            CO_TEST(without_redis_the_append_says_so)};
    int failed = cmocka_run_group_tests_name("kv in process", contract, NULL, NULL);
    url = services_env("REDIS_URL");
    failed += cmocka_run_group_tests_name("kv on Redis", contract, NULL, NULL);
    return failed + cmocka_run_group_tests_name("kv and a Redis that fails", redis_only, NULL, NULL);
}
