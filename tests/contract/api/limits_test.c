/* Rate limits: headers on every answer, a bucket for each guild and caller, the global one, the switch. */
#include "tests/contract/api/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define U(v) (unsigned long long)(v)

static double number(const char *header)
{
    struct str s = answer_header(header);
    char text[64];
    snprintf(text, sizeof text, "%.*s", STR_ARG(s));
    return s.n ? atof(text) : -1;
}

static void counts_each_bucket(void)
{
    char bucket[32];
    api_start(true);
    struct person alice = person_new("alice"), bob = person_new("bob");
    uint64_t one = guild_new(&alice, "One"), two = guild_new(&alice, "Two");
    guild_enter(one, &alice, &bob);
    for (int i = 0; i < 10; i++) {
        expect_int(call(alice.token, "GET", NULL, "/guilds/%llu", U(one)), 200);
        expect_int((int)number("x-ratelimit-limit"), 10);
        expect_int((int)number("x-ratelimit-remaining"), 9 - i);
        expect_true(number("x-ratelimit-reset-after") > 0 && number("x-ratelimit-reset-after") <= 10.0);
        expect_true(number("x-ratelimit-reset") > 1.7e9);
        expect_true(answer_header("via").n > 0);
    }
    snprintf(bucket, sizeof bucket, "%.*s", STR_ARG(answer_header("x-ratelimit-bucket")));
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu", U(one)), 429);
    expect_text(answer_header("x-ratelimit-bucket"), bucket);
    expect_text(answer_header("x-ratelimit-scope"), "user");
    expect_text(answer_header("x-ratelimit-remaining"), "0");
    expect_true(answer_header("x-ratelimit-global").p == NULL);
    expect_true(answer_header("via").n > 0);
    expect_true(json_is_false(node_at("global")));
    double wait = json_number_value(node_at("retry_after"));
    expect_true(wait > 0 && wait <= 10.0 && number("retry-after") >= wait);
    expect_text(str_c(text_at("message")), "You are being rate limited.");
    /* Another guild, another caller, another route: each has its own. */
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu", U(two)), 200);
    expect_int(call(bob.token, "GET", NULL, "/guilds/%llu", U(one)), 200);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/roles", U(one)), 200);
    expect_int(call(NULL, "GET", NULL, "/users/@me"), 401);
    expect_true(number("x-ratelimit-remaining") >= 0);
    api_stop();
}

static void counts_globally(void)
{
    int limited = 0;
    api_start(true);
    struct person alice = person_new("alice");
    for (int i = 0; i < 60; i++) {
        (void)call(alice.token, "GET", NULL, "/users/%llu", U(1000 + i)); /* no major parameter: 30 in 30 s */
        limited += status == 429;
    }
    expect_true(limited >= 10 && json_is_false(node_at("global")));
    struct person bob = person_new("bob");
    for (int i = 0; i < 60 && status != -2; i++) {
        (void)call(bob.token, "GET", NULL, "/guilds/%llu", U(1000 + i)); /* a bucket for each */
        if (status == 429)
            break;
        expect_int(status, 404);
    }
    expect_int(status, 429);
    expect_true(json_is_true(node_at("global")));
    expect_text(answer_header("x-ratelimit-global"), "true");
    expect_text(answer_header("x-ratelimit-scope"), "global");
    expect_true(json_number_value(node_at("retry_after")) <= 1.0);
    api_stop();
}

static void limits_registrations(void)
{
    char json[96];
    int made = 0;
    api_start(true);
    for (int i = 0; i < 7; i++) {
        snprintf(json, sizeof json, "{\"username\":\"person%d\",\"password\":\"correct horse\"}", i);
        made += call(NULL, "POST", json, "/auth/register") == 201;
    }
    expect_int(made, 5);
    expect_int(status, 429);
    api_stop();
}

static void can_be_switched_off(void)
{
    api_start(false);
    struct person alice = person_new("alice");
    for (int i = 0; i < 80; i++)
        expect_int(call(alice.token, "GET", NULL, "/users/@me"), 200);
    expect_int((int)number("x-ratelimit-remaining"), 9);
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(counts_each_bucket),
        CO_TEST(counts_globally),
        CO_TEST(limits_registrations),
        CO_TEST(can_be_switched_off),
    };
    return cmocka_run_group_tests_name("api_limits", tests, NULL, NULL);
}
