/* Channels: what each type has, who sees them, overwrites and who may change which. */
#include "tests/contract/api/fixture.h"

#include <stdio.h>

#define U(v) (unsigned long long)(v)

static uint64_t channel_new(const struct person *who, uint64_t guild, const char *json)
{
    expect_int(call(who->token, "POST", json, "/guilds/%llu/channels", U(guild)), 201);
    return id_at("id");
}

static void makes_channels(void)
{
    char json[256];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob");
    uint64_t guild = guild_new(&alice, "Demo");
    guild_enter(guild, &alice, &bob);
    watch(guild);
    uint64_t category = channel_new(&alice, guild, "{\"name\":\"Team\",\"type\":4}");
    snprintf(json, sizeof json,
             "{\"name\":\"Two Words\",\"parent_id\":\"%llu\",\"topic\":\"t\",\"nsfw\":true,"
             "\"rate_limit_per_user\":5,\"position\":null}",
             U(category));
    uint64_t text = channel_new(&alice, guild, json);
    expect_text(str_c(text_at("name")), "two-words");
    expect_true(id_at("parent_id") == category && json_is_true(node_at("nsfw")));
    expect_int(int_at("rate_limit_per_user"), 5);
    json_t *e = event_at(EVENT_CHANNEL_CREATE, 1);
    expect_true(json_object_get(e, "permission_overwrites") != NULL && json_object_get(e, "guild_id") != NULL);
    channel_new(&alice, guild, "{\"name\":\"Talk\",\"type\":2,\"bitrate\":32000,\"user_limit\":3}");
    expect_text(str_c(text_at("name")), "Talk");
    expect_int(int_at("bitrate"), 32000);
    expect_int(call(alice.token, "POST", "{\"type\":2}", "/guilds/%llu/channels", U(guild)), 400);
    expect_text(str_c(text_at("errors.name._errors.0.code")), "BASE_TYPE_REQUIRED");
    expect_int(call(alice.token, "POST", "{\"name\":\"x\",\"type\":1}", "/guilds/%llu/channels", U(guild)), 400);
    expect_int(call(alice.token, "POST", "{\"name\":\"x\",\"parent_id\":\"77\"}", "/guilds/%llu/channels", U(guild)),
               400);
    expect_int(call(bob.token, "POST", "{\"name\":\"x\"}", "/guilds/%llu/channels", U(guild)), 403);

    expect_int(call(alice.token, "PATCH", "{\"name\":\"renamed\",\"topic\":null,\"rate_limit_per_user\":null}",
                    "/channels/%llu", U(text)),
               200);
    expect_true(json_is_null(node_at("topic")));
    expect_int(int_at("rate_limit_per_user"), 0);
    expect_true(event_seen(EVENT_CHANNEL_UPDATE));
    expect_int(call(bob.token, "PATCH", "{\"name\":\"x\"}", "/channels/%llu", U(text)), 403);
    expect_int(call(alice.token, "PATCH", "{\"rate_limit_per_user\":99999}", "/channels/%llu", U(text)), 400);
    expect_int(call(alice.token, "PATCH", "{\"type\":5}", "/channels/%llu", U(text)), 200);
    expect_int(int_at("type"), 5);
    expect_int(call(alice.token, "PATCH", "{\"type\":2}", "/channels/%llu", U(text)), 400);

    snprintf(json, sizeof json, "[{\"id\":\"%llu\",\"position\":7,\"parent_id\":null}]", U(text));
    expect_int(call(alice.token, "PATCH", json, "/guilds/%llu/channels", U(guild)), 204);
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu", U(text)), 200);
    expect_int(int_at("position"), 7);
    expect_true(json_is_null(node_at("parent_id")));
    expect_int(call(alice.token, "PATCH", "[{\"id\":\"5\",\"position\":7}]", "/guilds/%llu/channels", U(guild)), 404);

    snprintf(json, sizeof json, "{\"parent_id\":\"%llu\"}", U(category));
    expect_int(call(alice.token, "PATCH", json, "/channels/%llu", U(text)), 200);
    events_clear();
    expect_int(call(alice.token, "DELETE", NULL, "/channels/%llu", U(category)), 200);
    expect_true(event_seen(EVENT_CHANNEL_DELETE));
    expect_true(json_is_null(json_object_get(event_at(EVENT_CHANNEL_UPDATE, 0), "parent_id")));
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu", U(category)), 404);
    expect_int(code(), 10003);
    expect_int(call(alice.token, "DELETE", NULL, "/channels/%llu", U(guild_channel(guild, "general"))), 200);
    expect_true(json_is_null(json_object_get(event_at(EVENT_GUILD_UPDATE, 0), "system_channel_id")));
    api_stop();
}

static void hides_what_cannot_be_viewed(void)
{
    char json[256];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob"), carol = person_new("carol");
    uint64_t guild = guild_new(&alice, "Demo");
    guild_enter(guild, &alice, &bob);
    snprintf(json, sizeof json,
             "{\"name\":\"secret\",\"permission_overwrites\":[{\"id\":\"%llu\",\"type\":0,\"deny\":\"1024\",\"allow\":"
             "null}]}",
             U(guild));
    uint64_t secret = channel_new(&alice, guild, json);
    expect_text(str_c(text_at("permission_overwrites.0.deny")), "1024");
    expect_int(call(bob.token, "GET", NULL, "/guilds/%llu/channels", U(guild)), 200);
    expect_int((int)json_array_size(body), 4);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu", U(secret)), 403);
    expect_int(code(), 50001);
    expect_int(call(carol.token, "GET", NULL, "/channels/%llu", U(secret)), 403);
    expect_int(call(bob.token, "POST", "{}", "/channels/%llu/invites", U(secret)), 403);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/channels", U(guild)), 200);
    expect_int((int)json_array_size(body), 5);
    /* An overwrite for the member opens it. */
    expect_int(call(alice.token, "PUT", "{\"type\":1,\"allow\":\"1024\",\"deny\":\"0\"}",
                    "/channels/%llu/permissions/%llu", U(secret), U(bob.id)),
               204);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu", U(secret)), 200);
    expect_int((int)json_array_size(node_at("permission_overwrites")), 2);
    expect_int(call(alice.token, "DELETE", NULL, "/channels/%llu/permissions/%llu", U(secret), U(bob.id)), 204);
    expect_int(call(alice.token, "DELETE", NULL, "/channels/%llu/permissions/%llu", U(secret), U(bob.id)), 404);
    expect_int(code(), 10009);
    expect_int(call(bob.token, "GET", NULL, "/channels/%llu", U(secret)), 403);
    api_stop();
}

static void guards_overwrites(void)
{
    char json[256];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob");
    uint64_t guild = guild_new(&alice, "Demo"), general = guild_channel(guild, "general");
    guild_enter(guild, &alice, &bob);
    watch(guild);
    const char *put = "{\"type\":0,\"allow\":\"2048\",\"deny\":\"0\"}";
    expect_int(call(bob.token, "PUT", put, "/channels/%llu/permissions/%llu", U(general), U(guild)), 403);
    uint64_t mod = role_new(&alice, guild, "{\"permissions\":\"268435472\"}"); /* MANAGE_ROLES, MANAGE_CHANNELS */
    role_give(&alice, guild, &bob, mod);
    expect_int(call(bob.token, "PUT", put, "/channels/%llu/permissions/%llu", U(general), U(guild)), 204);
    json_t *e = event_at(EVENT_CHANNEL_UPDATE, 0);
    expect_int((int)json_array_size(json_object_get(e, "permission_overwrites")), 1);
    /* Bits that bob does not hold, and MANAGE_ROLES itself. */
    expect_int(call(bob.token, "PUT", "{\"type\":0,\"allow\":\"8192\"}", "/channels/%llu/permissions/%llu", U(general),
                    U(guild)),
               403);
    expect_int(call(bob.token, "PUT", "{\"type\":0,\"allow\":\"268435456\"}", "/channels/%llu/permissions/%llu",
                    U(general), U(mod)),
               403);
    expect_int(call(alice.token, "PUT", "{\"type\":0,\"allow\":\"268435456\"}", "/channels/%llu/permissions/%llu",
                    U(general), U(mod)),
               204);
    snprintf(json, sizeof json, "{\"permission_overwrites\":[{\"id\":\"%llu\",\"type\":\"role\",\"allow\":2048}]}",
             U(guild));
    expect_int(call(bob.token, "PATCH", json, "/channels/%llu", U(general)), 403); /* would take mod's overwrite away */
    expect_int(call(alice.token, "PATCH", json, "/channels/%llu", U(general)), 200);
    expect_int((int)json_array_size(node_at("permission_overwrites")), 1);
    expect_int(call(alice.token, "PUT", "{\"type\":3}", "/channels/%llu/permissions/%llu", U(general), U(guild)), 400);
    expect_int(call(alice.token, "PUT", "{\"type\":0,\"allow\":\"-1\"}", "/channels/%llu/permissions/%llu", U(general),
                    U(guild)),
               400);
    expect_int(call(alice.token, "PATCH", "{\"permission_overwrites\":[{\"type\":0}]}", "/channels/%llu", U(general)),
               400);
    api_stop();
}

static void categories_take_their_channels_along(void)
{
    char json[128];
    api_start(false);
    struct person alice = person_new("alice");
    uint64_t guild = guild_new(&alice, "Demo");
    uint64_t category = channel_new(&alice, guild, "{\"name\":\"Team\",\"type\":4}");
    snprintf(json, sizeof json, "{\"name\":\"a\",\"parent_id\":\"%llu\"}", U(category));
    uint64_t synced = channel_new(&alice, guild, json);
    uint64_t own = channel_new(&alice, guild, json);
    expect_int(
        call(alice.token, "PUT", "{\"type\":0,\"deny\":\"2048\"}", "/channels/%llu/permissions/%llu", U(own), U(guild)),
        204);
    expect_int(call(alice.token, "PUT", "{\"type\":0,\"deny\":\"1024\"}", "/channels/%llu/permissions/%llu",
                    U(category), U(guild)),
               204);
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu", U(synced)), 200);
    expect_text(str_c(text_at("permission_overwrites.0.deny")), "1024");
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu", U(own)), 200);
    expect_text(str_c(text_at("permission_overwrites.0.deny")), "2048");
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(makes_channels),
        CO_TEST(hides_what_cannot_be_viewed),
        CO_TEST(guards_overwrites),
        CO_TEST(categories_take_their_channels_along),
    };
    return cmocka_run_group_tests_name("api_channels", tests, NULL, NULL);
}
