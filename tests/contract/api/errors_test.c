/* What goes wrong: paths, methods, versions, tokens, bodies. */
#include "tests/contract/api/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/services.h"

#define U(v) (unsigned long long)(v)

static void answers_unknown_paths(void)
{
    api_start(false);
    struct person alice = person_new("alice");
    expect_int(call(alice.token, "GET", NULL, "/nothing/here"), 404);
    expect_int(code(), 0);
    expect_text(str_c(text_at("message")), "404: Not Found");
    expect_true(answer_header("x-ratelimit-remaining").n > 0 && answer_header("x-ratelimit-bucket").n > 0);
    expect_int(call(alice.token, "GET", NULL, "/api"), 404);
    expect_int(call(alice.token, "DELETE", NULL, "/users/@me"), 405);
    expect_int(code(), 0);
    expect_int(call(alice.token, "GET", NULL, "/users/abc"), 400);
    expect_int(code(), 50035);
    expect_text(str_c(text_at("errors.user_id._errors.0.code")), "NUMBER_TYPE_COERCE");
    expect_int(call(alice.token, "GET", NULL, "/users/12345"), 404);
    expect_int(code(), 10013);
    expect_int(call(alice.token, "GET", NULL, "/api/users/@me"), 200);
    expect_int(call(alice.token, "GET", NULL, "/api/v9/users/@me"), 200);
    expect_int(call(alice.token, "GET", NULL, "/api/v10/users/%%40me"), 200);
    expect_int(call(alice.token, "GET", NULL, "/api/v10/users/@me?"), 200);
    expect_int(call(alice.token, "GET", NULL, "/api/v6/users/@me"), 400);
    expect_int(code(), 50041);
    expect_int(call(alice.token, "GET", NULL, "/api/v10/users/%%zz"), 404);
    expect_int(call(NULL, "GET", NULL, "/invites/a%%00b"), 404);
    expect_int(call(NULL, "GET", NULL, "/invites/%%FF%%FE"), 404);
    api_stop();
}

static void serves_pages_of_other_origins(void)
{
    api_start(true);
    struct person alice = person_new("alice");
    from_origin = true;
    expect_int(call(NULL, "OPTIONS", NULL, "/channels/1/messages"), 204);
    expect_text(answer_header("access-control-allow-origin"), "*");
    expect_text(answer_header("access-control-allow-methods"), "GET, POST, PUT, PATCH, DELETE");
    expect_true(strstr(answer_header("access-control-allow-headers").p, "Authorization") != NULL);
    expect_int(call(alice.token, "GET", NULL, "/users/@me"), 200);
    expect_text(answer_header("access-control-allow-origin"), "*");
    expect_true(strstr(answer_header("access-control-expose-headers").p, "X-RateLimit-Bucket") != NULL);
    expect_int(call(NULL, "GET", NULL, "/users/@me"), 401);
    expect_text(answer_header("access-control-allow-origin"), "*");
    from_origin = false;
    expect_int(call(alice.token, "GET", NULL, "/users/@me"), 200);
    expect_true(!answer_header("access-control-allow-origin").p);
    expect_int(call(NULL, "OPTIONS", NULL, "/users/@me"), 204);
    api_stop();
}

static void refuses_bad_tokens(void)
{
    char other[300];
    api_start(false);
    struct person alice = person_new("alice");
    struct person bot = bot_new(&alice, "pingbot");
    expect_int(call(NULL, "GET", NULL, "/users/@me"), 401);
    expect_int(code(), 0);
    expect_text(str_c(text_at("message")), "401: Unauthorized");
    expect_int(call("nonsense", "GET", NULL, "/users/@me"), 401);
    expect_int(call("Bot ", "GET", NULL, "/users/@me"), 401);
    expect_int(call("Bearer abc", "GET", NULL, "/users/@me"), 401);
    snprintf(other, sizeof other, "Bot %s", alice.token);
    expect_int(call(other, "GET", NULL, "/users/@me"), 401);
    expect_int(call(bot.token + 4, "GET", NULL, "/users/@me"), 401);
    snprintf(other, sizeof other, "%s", alice.token);
    other[strlen(other) - 1] = other[strlen(other) - 1] == 'A' ? 'B' : 'A';
    expect_int(call(other, "GET", NULL, "/users/@me"), 401);
    expect_int(call(bot.token, "GET", NULL, "/applications"), 403);
    expect_int(code(), 20001);
    expect_text(answer_header("content-type"), "application/json");
    api_stop();
}

static void refuses_bad_bodies(void)
{
    api_start(false);
    struct person alice = person_new("alice");
    struct buf deep = BUF_INIT(1 << 20);
    expect_int(call(alice.token, "POST", "{\"name\":", "/guilds"), 400);
    expect_int(code(), 50109);
    expect_int(call(alice.token, "POST", "not json", "/guilds"), 400);
    expect_int(code(), 50109);
    expect_int(call(alice.token, "POST", "[]", "/guilds"), 400);
    expect_int(code(), 50035);
    expect_text(str_c(text_at("errors._errors.0.code")), "DICT_TYPE_CONVERT");
    expect_int(call(alice.token, "POST", "\"x\"", "/guilds"), 400);
    expect_int(call(alice.token, "POST", NULL, "/guilds"), 400);
    expect_text(str_c(text_at("errors.name._errors.0.code")), "BASE_TYPE_REQUIRED");
    expect_int(call(alice.token, "POST", "{\"name\":5}", "/guilds"), 400);
    expect_text(str_c(text_at("errors.name._errors.0.code")), "STRING_TYPE_CONVERT");
    expect_int(
        call(alice.token, "POST", "{\"name\":\"Demo\",\"verification_level\":\"x\",\"afk_timeout\":61}", "/guilds"),
        400);
    expect_text(str_c(text_at("errors.verification_level._errors.0.code")), "NUMBER_TYPE_COERCE");
    expect_text(str_c(text_at("errors.afk_timeout._errors.0.code")), "BASE_TYPE_CHOICES");
    expect_int(call(alice.token, "POST", "{\"name\":\"a\\u0000b\"}", "/guilds"), 400);
    expect_int(call_raw(alice.token, "POST", "application/json", STR("{\"name\":\"\xFF\xFE\"}"), "/guilds"), 400);
    for (int i = 0; i < 5000; i++)
        buf_addc(&deep, '[');
    expect_int(call_raw(alice.token, "POST", "application/json", buf_str(&deep), "/guilds"), 400);
    expect_int(code(), 50109);
    buf_clear(&deep);
    buf_adds(&deep, "{\"name\":\"");
    for (int i = 0; i < 5000; i++)
        buf_addc(&deep, 'x');
    buf_adds(&deep, "\"}");
    expect_int(call_raw(alice.token, "POST", "application/json", buf_str(&deep), "/guilds"), 400);
    expect_text(str_c(text_at("errors.name._errors.0.code")), "BASE_TYPE_BAD_LENGTH");
    /* The type that is named does not matter; unknown members neither. */
    expect_int(call_raw(alice.token, "POST", "text/plain", STR("{\"name\":\"Demo\",\"more\":[{}]}"), "/guilds"), 201);
    expect_int(
        call_raw(
            alice.token, "POST", "multipart/form-data; boundary=x",
            STR("--x\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n{\"name\":\"Parts\"}\r\n--x--"),
            "/guilds"),
        201);
    expect_text(str_c(text_at("name")), "Parts");
    expect_int(call_raw(alice.token, "POST", "multipart/form-data; boundary=x",
                        STR("--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nfrom\0field\r\n--x--"),
                        "/guilds"),
               400);
    expect_int(call_raw(alice.token, "POST", "multipart/form-data; boundary=x", STR("--y\r\n"), "/guilds"), 400);
    expect_int(code(), 50035);
    buf_done(&deep);
    api_stop();
}

/* A file of all 256 bytes comes back as it was sent. */
static void keeps_every_byte(void)
{
    struct buf b = BUF_INIT(4096);
    api_start(false);
    struct person alice = person_new("alice");
    uint64_t guild = guild_new(&alice, "Demo");
    char path[96];
    snprintf(path, sizeof path, "/channels/%llu/messages", U(guild_channel(guild, "general")));
    buf_adds(&b, "--x\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"all.bin\"\r\n\r\n");
    size_t at = b.len;
    for (int i = 0; i < 256; i++)
        buf_addc(&b, (char)i);
    buf_adds(&b, "\r\n--x--\r\n");
    expect_int(call_raw(alice.token, "POST", "multipart/form-data; boundary=x", buf_str(&b), path), 200);
    expect_int(int_at("attachments.0.size"), 256);
    const char *link = strstr(text_at("attachments.0.url"), "/attachments/");
    expect_true(link != NULL);
    if (link) {
        char own[512];
        snprintf(own, sizeof own, "%s", link);
        expect_int(call_raw(NULL, "GET", NULL, STR_NONE, own), 200);
        expect_true(str_eq(answer_text(), (struct str){b.data + at, 256}));
    }
    buf_done(&b);
    api_stop();
}

static void refuses_oversized_bodies(void)
{
    size_t n = 27u << 20;
    api_start(false);
    struct person alice = person_new("alice");
    char *big = malloc(n);
    memset(big, 'x', n);
    int got = call_raw(alice.token, "POST", "application/json", (struct str){big, n}, "/guilds");
    expect_true(got == 413 || got == -1); /* answered, or cut while it was still sending */
    free(big);
    expect_int(call(alice.token, "GET", NULL, "/users/@me"), 200);
    api_stop();
}

static void survives_a_lost_database(void)
{
    api_start(false);
    struct person alice = person_new("alice");
    expect_int(call(alice.token, "GET", NULL, "/users/@me"), 200);
    expect_int(sql_script(ports.db, "ALTER TABLE users RENAME TO gone"), 0);
    expect_int(call(alice.token, "GET", NULL, "/users/@me"), 500);
    expect_int(code(), 0);
    expect_int(sql_script(ports.db, "ALTER TABLE gone RENAME TO users"), 0);
    expect_int(call(alice.token, "GET", NULL, "/users/@me"), 200);
    api_stop();
}

/* The next three need servers that can be stopped: the full stack. */
static bool have_servers(void)
{
    return getenv("SERVICES") != NULL;
}

static void answers_503_without_a_database(void)
{
    if (!have_servers())
        return;
    api_start(false);
    struct person alice = person_new("alice");
    expect_int(call(alice.token, "GET", NULL, "/users/@me"), 200);
    services_do("kill", "postgres");
    expect_int(call(alice.token, "POST", "{\"name\":\"Demo\"}", "/guilds"), 503);
    expect_int(code(), 0);
    services_do("start", "postgres");
    for (int i = 0; i < 200 && call(alice.token, "GET", NULL, "/users/@me") != 200; i++)
        co_sleep(50);
    expect_int(status, 200);
    expect_int(call(alice.token, "POST", "{\"name\":\"Demo\"}", "/guilds"), 201);
    api_stop();
}

static void serves_without_kv(void)
{
    int limited = 0;
    if (!have_servers())
        return;
    api_start(true);
    struct person alice = person_new("alice");
    uint64_t guild = guild_new(&alice, "Demo");
    services_do("kill", "redis");
    for (int i = 0; i < 12; i++) {
        limited += call(alice.token, "GET", NULL, "/guilds/%llu", U(guild)) == 429;
        expect_true(status == 200 || status == 429);
    }
    expect_true(limited >= 1); /* this process counts for itself */
    expect_int(call(alice.token, "PATCH", "{\"name\":\"Renamed\"}", "/guilds/%llu", U(guild)), 200);
    services_do("start", "redis");
    for (int i = 0; i < 200 && !kv_ready(ports.kv); i++)
        co_sleep(50);
    expect_true(kv_ready(ports.kv));
    expect_int(call(alice.token, "GET", NULL, "/users/@me/guilds"), 200);
    expect_text(str_c(text_at("0.name")), "Renamed");
    api_stop();
}

static void serves_without_a_broker(void)
{
    if (!have_servers())
        return;
    api_start(false);
    struct person alice = person_new("alice");
    uint64_t guild = guild_new(&alice, "Demo");
    services_do("kill", "rabbitmq");
    expect_int(call(alice.token, "PATCH", "{\"name\":\"Renamed\"}", "/guilds/%llu", U(guild)), 200);
    struct arena a = {0};
    struct event *pending;
    unsigned count = 0;
    expect_int(store_outbox_pending(ports.db, &a, INT64_MAX, 100, &pending, &count), 0);
    expect_true(count >= 1); /* told later */
    arena_done(&a);
    services_do("start", "rabbitmq");
    for (int i = 0; i < 400 && !bus_ready(ports.bus); i++)
        co_sleep(50);
    expect_true(bus_ready(ports.bus));
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(answers_unknown_paths),    CO_TEST(serves_pages_of_other_origins),
        CO_TEST(refuses_bad_tokens),       CO_TEST(refuses_bad_bodies),
        CO_TEST(keeps_every_byte),         CO_TEST(refuses_oversized_bodies),
        CO_TEST(survives_a_lost_database), CO_TEST(answers_503_without_a_database),
        CO_TEST(serves_without_kv),        CO_TEST(serves_without_a_broker),
    };
    return cmocka_run_group_tests_name("api_errors", tests, NULL, NULL);
}
