/* redis.c against a real Redis: commands, scripts, deadlines, a lost server and one that came back empty. */
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/io/redis.h"
#include "tests/support/on_loop.h"
#include "tests/support/services.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct redis *redis;

static void open_redis(void)
{
    BUF_AUTO struct buf err = BUF_INIT(256);

    redis = redis_new(services_env("REDIS_URL"), &err);
    assert_non_null(redis);
    UNTIL(redis_connected(redis));
}

static void close_redis(void)
{
    redis_free(redis);
    redis = NULL;
    co_sleep(20);
}

static struct redis_reply *ask(int argc, const struct str *argv)
{
    struct redis_reply *reply = NULL;

    assert_int_equal(redis_await(redis, argc, argv, &reply), 0);
    return reply;
}

#define ASK(...) ask(sizeof((struct str[]){__VA_ARGS__}) / sizeof(struct str), (struct str[]){__VA_ARGS__})

static void sets_and_gets(void)
{
    open_redis();
    assert_int_equal(strlen(redis_run_id(redis)), 40);
    struct redis_reply *r = ASK(STR("SET"), STR("bytes"), STR("a\r\nb\0c"));
    assert_int_equal(redis_reply_type(r), REDIS_STATUS_OK);
    redis_reply_free(r);
    r = ASK(STR("GET"), STR("bytes"));
    assert_int_equal(redis_reply_type(r), REDIS_STRING);
    assert_true(str_eq(redis_reply_str(r), STR("a\r\nb\0c")));
    redis_reply_free(r);
    r = ASK(STR("GET"), STR("nothing"));
    assert_int_equal(redis_reply_type(r), REDIS_NIL);
    redis_reply_free(r);
    r = ASK(STR("MGET"), STR("bytes"), STR("nothing"));
    assert_int_equal(redis_reply_count(r), 2);
    assert_int_equal(redis_reply_type(redis_reply_at(r, 1)), REDIS_NIL);
    redis_reply_free(r);
    r = ASK(STR("INCRBY"), STR("n"), STR("41"));
    assert_int_equal(redis_reply_int(r), 41);
    redis_reply_free(r);
    r = ASK(STR("HGET"), STR("n"), STR("x"));
    assert_int_equal(redis_reply_type(r), REDIS_ERROR);
    redis_reply_free(r);
    close_redis();
}
ON_LOOP(sets_and_gets)

static const char *const echo_script = "return {KEYS[1], ARGV[1], ARGV[2]}";

static void run_echo(void)
{
    struct redis_reply *r = NULL;

    assert_int_equal(redis_script_await(redis, echo_script, 1, 3, (struct str[]){STR("k"), STR("1"), STR("two")}, &r),
                     0);
    assert_int_equal(redis_reply_count(r), 3);
    assert_str(redis_reply_str(redis_reply_at(r, 0)), "k");
    assert_int_equal(redis_reply_int(redis_reply_at(r, 1)), 1);
    assert_str(redis_reply_str(redis_reply_at(r, 2)), "two");
    redis_reply_free(r);
}

static void runs_scripts_the_server_has_forgotten(void)
{
    open_redis();
    run_echo();
    run_echo();
    redis_reply_free(ASK(STR("SCRIPT"), STR("FLUSH")));
    run_echo();
    struct redis_reply *r = ASK(STR("INFO"), STR("commandstats"));
    struct str stats = redis_reply_str(r);
    /* twice by digest (the second time in vain), twice with the text */
    assert_non_null(memmem(stats.p, stats.n, "cmdstat_evalsha:calls=2", 23));
    assert_non_null(memmem(stats.p, stats.n, "cmdstat_eval:calls=2", 20));
    redis_reply_free(r);
    close_redis();
}
ON_LOOP(runs_scripts_the_server_has_forgotten)

struct answers {
    int count, errors, order_broken;
    int last_error;
    int64_t last;
};

static void on_answer(int error, const struct redis_reply *reply, void *arg)
{
    struct answers *a = arg;

    a->count++;
    a->last_error = error;
    if (error != 0) {
        a->errors++;
        return;
    }
    if (redis_reply_int(reply) != a->last + 1)
        a->order_broken++;
    a->last = redis_reply_int(reply);
}

static void pipelines_in_order(void)
{
    struct answers a = {0};

    open_redis();
    int64_t began = clock_mono_ms();
    for (int i = 0; i < 50000; i++)
        redis_command(redis, 2, (struct str[]){STR("INCR"), STR("pipelined")}, 20000, on_answer, &a);
    assert_int_equal(a.count, 0);
    UNTIL(a.count == 50000);
    print_message("50000 pipelined INCR in %lld ms\n", (long long)(clock_mono_ms() - began));
    assert_int_equal(a.errors, 0);
    assert_int_equal(a.order_broken, 0);
    close_redis();
}
ON_LOOP(pipelines_in_order)

static void refuses_more_than_the_limit(void)
{
    struct answers a = {0};

    open_redis();
    for (int i = 0; i < LIMIT_REDIS_PENDING + 10; i++)
        redis_command(redis, 2, (struct str[]){STR("INCR"), STR("limit")}, 20000, on_answer, &a);
    UNTIL(a.count == LIMIT_REDIS_PENDING + 10);
    assert_int_equal(a.errors, 10);
    close_redis();
}
ON_LOOP(refuses_more_than_the_limit)

static void gives_up_at_the_deadline_and_drops_a_hanging_server(void)
{
    struct answers a = {0};
    int64_t began;

    open_redis();
    /* the server answers nobody for 6 s: a deadline of 100 ms, then the PING in vain cuts the connection */
    redis_reply_free(ASK(STR("CLIENT"), STR("PAUSE"), STR("6000"), STR("ALL")));
    redis_command(redis, 1, (struct str[]){STR("PING")}, 100, on_answer, &a);
    began = clock_mono_ms();
    UNTIL(a.count == 1);
    assert_int_equal(a.last_error, -ETIMEDOUT);
    assert_in_range(clock_mono_ms() - began, 95, 5500);
    UNTIL(!redis_connected(redis));
    redis_command(redis, 1, (struct str[]){STR("PING")}, 100, on_answer, &a);
    UNTIL(a.count == 2);
    assert_int_equal(a.last_error, -ENOTCONN);
    UNTIL(redis_connected(redis));
    redis_reply_free(ASK(STR("PING")));
    close_redis();
}
ON_LOOP(gives_up_at_the_deadline_and_drops_a_hanging_server)

static char states[16];

static void on_state(bool connected, void *arg)
{
    (void)arg;
    strcat(states, connected ? "+" : "-");
}

static void comes_back_with_a_new_incarnation(void)
{
    char first[64];
    struct answers a = {0};

    states[0] = 0;
    open_redis();
    redis_on_state(redis, on_state, NULL);
    snprintf(first, sizeof(first), "%s", redis_run_id(redis));
    run_echo();
    for (int i = 0; i < 1000; i++)
        redis_command(redis, 4, (struct str[]){STR("BLPOP"), STR("never"), STR("other"), STR("0")}, 60000, on_answer,
                      &a);
    co_sleep(50);
    services_do("kill", "redis");
    UNTIL(a.count == 1000);
    assert_int_equal(a.last_error, -ENOTCONN);
    assert_false(redis_connected(redis));
    services_do("start", "redis");
    UNTIL(redis_connected(redis));
    assert_string_not_equal(first, redis_run_id(redis));
    run_echo();
    assert_string_equal(states, "-+");
    close_redis();
}
ON_LOOP(comes_back_with_a_new_incarnation)

static void freed_in_callback(int error, const struct redis_reply *reply, void *arg)
{
    (void)reply;
    *(int *)arg = error == 0 ? 1 : error;
    redis_free(redis);
    redis = NULL;
}

static void may_be_freed_at_any_time(void)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    int seen = 0;
    struct answers a = {0};

    redis_free(redis_new(services_env("REDIS_URL"), &err)); /* while it resolves */
    redis_free(redis_new("redis://127.0.0.1:1/0", &err));
    open_redis();
    redis_command(redis, 1, (struct str[]){STR("PING")}, 1000, freed_in_callback, &seen);
    redis_command(redis, 1, (struct str[]){STR("PING")}, 1000, on_answer, &a);
    UNTIL(seen != 0 && a.count == 1);
    assert_int_equal(seen, 1);
    assert_int_equal(a.last_error, -ENOTCONN);
    co_sleep(50);
}
ON_LOOP(may_be_freed_at_any_time)

static void reads_urls(void)
{
    static const char *const bad[] = {"",
                                      "http://x",
                                      "redis://",
                                      "redis://:0",
                                      "redis://host:0",
                                      "redis://host:65536",
                                      "redis://host:1/x",
                                      "redis://user@host",
                                      "redis://host:1:"};
    BUF_AUTO struct buf err = BUF_INIT(4096);

    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct redis *r = redis_new(bad[i], &err);
        if (r)
            fail_msg("accepted %s", bad[i]);
    }
    assert_true(err.len > 0);
    struct redis *r = redis_new("redis://[::1]:1/3", &err);
    assert_non_null(r);
    redis_free(r);
    co_sleep(20);
}
ON_LOOP(reads_urls)

static void does_not_serve_with_a_wrong_password(void)
{
    BUF_AUTO struct buf err = BUF_INIT(256);
    BUF_AUTO struct buf url = BUF_INIT(256);

    buf_addf(&url, "redis://:wrong@%s", strrchr(services_env("REDIS_URL"), '@') + 1);
    redis = redis_new(url.data, &err);
    co_sleep(500);
    assert_false(redis_connected(redis));
    close_redis();
}
ON_LOOP(does_not_serve_with_a_wrong_password)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_and_gets_test),
        cmocka_unit_test(runs_scripts_the_server_has_forgotten_test),
        cmocka_unit_test(pipelines_in_order_test),
        cmocka_unit_test(refuses_more_than_the_limit_test),
        cmocka_unit_test(gives_up_at_the_deadline_and_drops_a_hanging_server_test),
        cmocka_unit_test(comes_back_with_a_new_incarnation_test),
        cmocka_unit_test(may_be_freed_at_any_time_test),
        cmocka_unit_test(reads_urls_test),
        cmocka_unit_test(does_not_serve_with_a_wrong_password_test),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
