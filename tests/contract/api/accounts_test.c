/* Accounts, users, DMs, applications, bots and how they are added; tokens and their end. */
#include "tests/contract/api/fixture.h"

#include "platform/ports/starts.h"

#include <stdio.h>
#include <string.h>

#define U(v) (unsigned long long)(v)

static void registers_and_logs_in(void)
{
    char token[256];
    api_start(false);
    expect_int(call(NULL, "POST",
                    "{\"username\":\"Alice\",\"email\":\"Alice@Example.test\",\"password\":\"correct horse\","
                    "\"date_of_birth\":\"1990-01-01\",\"consent\":true,\"invite\":null}",
                    "/auth/register"),
               201);
    snprintf(token, sizeof token, "%s", text_at("token"));
    expect_int(call(token, "GET", NULL, "/users/@me"), 200);
    expect_text(str_c(text_at("username")), "alice");
    expect_text(str_c(text_at("email")), "alice@example.test");
    expect_true(json_is_null(node_at("avatar")));

    expect_int(call(NULL, "POST", "{\"username\":\"bob\",\"email\":\"alice@example.test\",\"password\":\"12345678\"}",
                    "/auth/register"),
               400);
    expect_text(str_c(text_at("errors.email._errors.0.code")), "EMAIL_ALREADY_REGISTERED");
    expect_int(call(NULL, "POST", "{\"username\":\"alice\",\"password\":\"12345678\"}", "/auth/register"), 400);
    expect_text(str_c(text_at("errors.username._errors.0.code")), "USERNAME_ALREADY_TAKEN");
    expect_int(
        call(NULL, "POST", "{\"username\":\"b\",\"email\":\"nonsense\",\"password\":\"short\"}", "/auth/register"),
        400);
    expect_int(code(), 50035);
    expect_text(str_c(text_at("errors.username._errors.0.code")), "BASE_TYPE_BAD_LENGTH");
    expect_text(str_c(text_at("errors.email._errors.0.code")), "EMAIL_TYPE_INVALID_EMAIL");
    expect_text(str_c(text_at("errors.password._errors.0.code")), "BASE_TYPE_BAD_LENGTH");

    expect_int(call(NULL, "POST", "{\"login\":\"ALICE@example.test\",\"password\":\"correct horse\"}", "/auth/login"),
               200);
    snprintf(token, sizeof token, "%s", text_at("token"));
    expect_int(call(token, "GET", NULL, "/users/@me"), 200);
    expect_int(call(NULL, "POST", "{\"login\":\"alice\",\"password\":\"wrong horse\"}", "/auth/login"), 400);
    expect_text(str_c(text_at("errors.login._errors.0.code")), "INVALID_LOGIN");
    expect_int(call(NULL, "POST", "{\"login\":\"nobody\",\"password\":\"correct horse\"}", "/auth/login"), 400);
    expect_text(str_c(text_at("errors.password._errors.0.code")), "INVALID_LOGIN");
    api_stop();
}

static void changes_a_user(void)
{
    char old[256];
    api_start(false);
    expect_int(call(NULL, "POST", "{\"username\":\"alice\",\"password\":\"correct horse\"}", "/auth/register"), 201);
    snprintf(old, sizeof old, "%s", text_at("token"));
    uint64_t id = id_at("user_id");
    watch(id);
    expect_int(call(old, "PATCH", "{\"global_name\":\"Alice A.\"}", "/users/@me"), 200);
    expect_text(str_c(text_at("global_name")), "Alice A.");
    expect_true(event_seen(EVENT_USER_UPDATE));
    expect_int(call(old, "PATCH", "{\"new_password\":\"another horse\",\"password\":\"wrong\"}", "/users/@me"), 400);
    expect_text(str_c(text_at("errors.password._errors.0.code")), "PASSWORD_DOES_NOT_MATCH");
    expect_int(call(old, "PATCH", "{\"new_password\":\"another horse\",\"password\":\"correct horse\"}", "/users/@me"),
               200);
    char fresh[256];
    snprintf(fresh, sizeof fresh, "%s", text_at("token"));
    expect_int(call(old, "GET", NULL, "/users/@me"), 401);
    expect_int(call(fresh, "GET", NULL, "/users/@me"), 200);
    api_stop();
}

static void keeps_avatars(void)
{
    const char *png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
                      "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    char json[512], path[128];
    api_start(false);
    struct person alice = person_new("alice");
    snprintf(json, sizeof json, "{\"avatar\":\"%s\"}", png);
    expect_int(call(alice.token, "PATCH", json, "/users/@me"), 200);
    expect_int((int)strlen(text_at("avatar")), 32);
    snprintf(path, sizeof path, "/avatars/%llu/%s.webp?size=64", U(alice.id), text_at("avatar"));
    expect_int(call(NULL, "GET", NULL, "%s", path), 200); /* whatever type it is asked as */
    expect_text(answer_header("content-type"), "image/png");
    expect_true(str_starts(answer_text(), STR("\x89PNG")));
    expect_int(call(NULL, "GET", NULL, "/avatars/1/0123.png"), 404);
    expect_int(call(alice.token, "PATCH", "{\"avatar\":\"data:image/png;base64,AAAA\"}", "/users/@me"), 400);
    expect_int(call(alice.token, "PATCH", "{\"avatar\":\"nonsense\"}", "/users/@me"), 400);
    expect_int(call(alice.token, "PATCH", "{\"avatar\":null}", "/users/@me"), 200);
    expect_true(json_is_null(node_at("avatar")));
    api_stop();
}

static void opens_direct_messages(void)
{
    char json[64];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob"), carol = person_new("carol");
    snprintf(json, sizeof json, "{\"recipient_id\":\"%llu\"}", U(bob.id));
    watch(bob.id);
    expect_int(call(alice.token, "POST", json, "/users/@me/channels"), 200);
    uint64_t dm = id_at("id");
    expect_int(int_at("type"), 1);
    expect_int((int)json_array_size(node_at("recipients")), 1);
    expect_true(id_at("recipients.0.id") == bob.id);
    json_t *e = event_at(EVENT_CHANNEL_CREATE, 0);
    expect_text(
        str_c(json_string_value(json_object_get(json_array_get(json_object_get(e, "recipients"), 0), "username"))),
        "alice");
    snprintf(json, sizeof json, "{\"recipients\":[%llu]}", U(alice.id)); /* as numbers, from the other side */
    expect_int(call(bob.token, "POST", json, "/users/@me/channels"), 200);
    expect_true(id_at("id") == dm);
    expect_true(id_at("recipients.0.id") == alice.id);
    expect_int(call(bob.token, "GET", NULL, "/users/@me/channels"), 200);
    expect_int((int)json_array_size(body), 1);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu", U(dm)), 200);
    expect_int(call(carol.token, "GET", NULL, "/channels/%llu", U(dm)), 404);
    expect_int(code(), 10003);
    expect_int(call(alice.token, "POST", "{\"recipient_id\":\"12345\"}", "/users/@me/channels"), 400);
    expect_int(code(), 50033);
    expect_int(call(alice.token, "POST", "{}", "/users/@me/channels"), 400);
    expect_int(code(), 50035);
    expect_int(call(bob.token, "POST", "{\"name\":\"x\"}", "/channels/%llu/invites", U(dm)), 403);
    expect_int(code(), 50003);
    expect_int(call(bob.token, "DELETE", NULL, "/channels/%llu", U(dm)), 200);
    api_stop();
}

static void makes_applications(void)
{
    char old[256];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob");
    struct person bot = bot_new(&alice, "Pingbot");
    expect_int(call(bot.token, "GET", NULL, "/users/@me"), 200);
    expect_true(json_is_true(node_at("bot")));
    expect_text(str_c(text_at("username")), "Pingbot");
    expect_int(call(bot.token, "GET", NULL, "/oauth2/applications/@me"), 200);
    expect_text(str_c(text_at("description")), "");
    expect_true(id_at("id") == bot.id);
    expect_text(str_c(text_at("owner.username")), "alice");
    expect_text(str_c(text_at("bot.username")), "Pingbot");
    expect_int((int)strlen(text_at("verify_key")), 64);
    expect_true(json_is_true(node_at("bot_public")) && json_is_false(node_at("bot_require_code_grant")));
    expect_int(call(alice.token, "POST", NULL, "/applications/%llu/bot", U(bot.id)), 400);

    expect_int(call(alice.token, "PATCH", "{\"flags\":565248,\"description\":\"d\",\"tags\":[\"fun\"]}",
                    "/applications/%llu", U(bot.id)),
               200);
    expect_int(int_at("flags"), 565248); /* the three LIMITED ones */
    expect_int(call(bot.token, "PATCH", "{\"flags\":278529}", "/applications/@me"), 200);
    expect_int(int_at("flags"), 278528); /* bit 0 is not one that can be set */
    expect_text(str_c(text_at("tags.0")), "fun");
    expect_int(call(bob.token, "GET", NULL, "/applications/%llu", U(bot.id)), 404);
    expect_int(code(), 10002);
    expect_int(call(alice.token, "GET", NULL, "/applications"), 200);
    expect_int((int)json_array_size(body), 1);

    snprintf(old, sizeof old, "%s", bot.token);
    expect_int(call(alice.token, "POST", NULL, "/applications/%llu/bot/reset", U(bot.id)), 200);
    char fresh[256];
    snprintf(fresh, sizeof fresh, "Bot %s", text_at("token"));
    expect_int(call(old, "GET", NULL, "/users/@me"), 401);
    expect_int(call(fresh, "GET", NULL, "/users/@me"), 200);
    api_stop();
}

static void adds_bots_to_guilds(void)
{
    char query[128], json[128];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob");
    struct person bot = bot_new(&alice, "pingbot");
    uint64_t guild = guild_new(&alice, "Demo");
    guild_enter(guild, &alice, &bob);
    watch(guild);
    watch(bot.id);
    events_clear();
    snprintf(query, sizeof query, "/oauth2/authorize?client_id=%llu&scope=bot+applications.commands&permissions=2048",
             U(bot.id));
    snprintf(json, sizeof json, "{\"guild_id\":\"%llu\",\"authorize\":true}", U(guild));
    expect_int(call(bob.token, "GET", NULL, "%s", query), 200);
    expect_text(str_c(text_at("guilds.0.name")), "Demo");
    expect_int(call(bob.token, "POST", json, "%s", query), 403);
    expect_int(code(), 50013);
    expect_int(call(alice.token, "POST", json, "/oauth2/authorize?client_id=%llu&scope=identify", U(bot.id)), 400);
    expect_int(call(alice.token, "POST", json, "/oauth2/authorize?client_id=999&scope=bot"), 404);
    expect_int(call(alice.token, "POST", json, "%s", query), 200);
    expect_true(strstr(text_at("location"), "oauth2/authorized") != NULL);
    json_t *role = json_object_get(event_at(EVENT_GUILD_ROLE_CREATE, 0), "role");
    expect_text(str_c(json_string_value(json_object_get(role, "name"))), "pingbot");
    expect_text(str_c(json_string_value(json_object_get(role, "permissions"))), "2048");
    expect_true(json_is_true(json_object_get(role, "managed")));
    expect_true(json_object_get(json_object_get(role, "tags"), "bot_id") != NULL);
    json_t *member = event_at(EVENT_GUILD_MEMBER_ADD, 0);
    expect_int((int)json_array_size(json_object_get(member, "roles")), 1);
    expect_true(event_seen(EVENT_CONTROL_GUILD_JOINED));
    expect_int(call(alice.token, "POST", json, "%s", query), 200); /* again: nothing more */
    expect_int(call(bot.token, "GET", NULL, "/users/@me/guilds"), 200);
    expect_int((int)json_array_size(body), 1);

    /* With the bot goes its role. */
    expect_int(call(bot.token, "DELETE", NULL, "/users/@me/guilds/%llu", U(guild)), 204);
    expect_true(event_seen(EVENT_GUILD_ROLE_DELETE));
    expect_true(event_seen(EVENT_CONTROL_GUILD_LEFT));
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/roles", U(guild)), 200);
    expect_int((int)json_array_size(body), 1);

    /* Who adds a bot hands out what it holds itself, no more. */
    role_give(&alice, guild, &bob, role_new(&alice, guild, "{\"permissions\":\"32\"}"));
    events_clear();
    expect_int(call(bob.token, "POST", json, "/oauth2/authorize?client_id=%llu&scope=bot&permissions=40", U(bot.id)),
               200);
    role = json_object_get(event_at(EVENT_GUILD_ROLE_CREATE, 0), "role");
    expect_text(str_c(json_string_value(json_object_get(role, "permissions"))), "32");

    /* A private bot is its owner's to add. */
    expect_int(call(alice.token, "PATCH", "{\"bot_public\":false}", "/applications/%llu", U(bot.id)), 200);
    expect_int(call(bob.token, "POST", json, "%s", query), 403);
    expect_int(code(), 20012);
    api_stop();
}

static void tells_the_gateway(void)
{
    api_start(true);
    struct person alice = person_new("alice");
    struct person bot = bot_new(&alice, "pingbot");
    expect_int(call(NULL, "GET", NULL, "/gateway"), 200);
    expect_text(str_c(text_at("url")), "ws://127.0.0.1:1/gateway");
    expect_int(call(bot.token, "GET", NULL, "/gateway/bot"), 200);
    expect_int(int_at("shards"), 1);
    expect_int(int_at("session_start_limit.total"), 1000);
    expect_int(int_at("session_start_limit.remaining"), 1000);
    expect_int(int_at("session_start_limit.max_concurrency"), 1);
    struct start_limits l = start_limits_of(NULL, 1);
    int64_t wait_ms;
    expect_int(start_take(ports.kv, bot.id, 0, &l, &wait_ms), 0);
    expect_int(wait_ms, 0);
    expect_int(call(bot.token, "GET", NULL, "/gateway/bot"), 200);
    expect_int(int_at("session_start_limit.remaining"), 999);
    expect_true(int_at("session_start_limit.reset_after") > 86000000);
    /* limits of its own */
    struct arena a = {0};
    struct commit c;
    commit_init(&c, &a);
    store_application_limits_set(&c, bot.id, 16, 2000);
    expect_int(commit_run(&c, &ports), 0);
    arena_done(&a);
    expect_int(call(bot.token, "GET", NULL, "/gateway/bot"), 200);
    expect_int(int_at("session_start_limit.total"), 2000);
    expect_int(int_at("session_start_limit.remaining"), 1999);
    expect_int(int_at("session_start_limit.max_concurrency"), 16);
    expect_int(call(alice.token, "GET", NULL, "/gateway/bot"), 403);
    expect_int(code(), 20002);
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(registers_and_logs_in), CO_TEST(changes_a_user),     CO_TEST(keeps_avatars),
        CO_TEST(opens_direct_messages), CO_TEST(makes_applications), CO_TEST(adds_bots_to_guilds),
        CO_TEST(tells_the_gateway),
    };
    return cmocka_run_group_tests_name("api_accounts", tests, NULL, NULL);
}
