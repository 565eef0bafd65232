/* Guilds, invites, coming and going, roles and the hierarchy. */
#include "tests/contract/api/fixture.h"

#include "platform/base/clock.h"

#include <stdio.h>
#include <string.h>

#define U(v) (unsigned long long)(v)

static void makes_and_changes_guilds(void)
{
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob");
    watch(alice.id);
    uint64_t guild = guild_new(&alice, "Demo");
    expect_true(id_at("owner_id") == alice.id);
    expect_true(id_at("roles.0.id") == guild);
    expect_true(event_seen(EVENT_CONTROL_GUILD_JOINED));
    watch(guild);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu?with_counts=true", U(guild)), 200);
    expect_int(int_at("approximate_member_count"), 1);
    expect_int(call(bob.token, "GET", NULL, "/guilds/%llu", U(guild)), 404);
    expect_int(code(), 10004);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/channels", U(guild)), 200);
    expect_int((int)json_array_size(body), 4);

    guild_enter(guild, &alice, &bob);
    expect_int(call(bob.token, "PATCH", "{\"name\":\"Mine\"}", "/guilds/%llu", U(guild)), 403);
    expect_int(code(), 50013);
    expect_int(call(alice.token, "PATCH", "{\"name\":\"x\"}", "/guilds/%llu", U(guild)), 400);
    expect_int(call(alice.token, "PATCH",
                    "{\"name\":\"Renamed\",\"verification_level\":2,\"features\":[\"COMMUNITY\",\"PARTNERED\"],"
                    "\"afk_timeout\":60,\"system_channel_id\":null,\"unknown\":{\"a\":1}}",
                    "/guilds/%llu", U(guild)),
               200);
    expect_text(str_c(text_at("name")), "Renamed");
    expect_int((int)json_array_size(node_at("features")), 1);
    expect_true(json_is_null(node_at("system_channel_id")));
    json_t *e = event_at(EVENT_GUILD_UPDATE, 0);
    expect_text(str_c(json_string_value(json_object_get(e, "name"))), "Renamed");
    expect_int(call(alice.token, "PATCH", "{\"afk_channel_id\":\"77\"}", "/guilds/%llu", U(guild)), 400);
    char json[64];
    snprintf(json, sizeof json, "{\"owner_id\":\"%llu\"}", U(bob.id));
    expect_int(call(alice.token, "PATCH", json, "/guilds/%llu", U(guild)), 200);
    expect_true(id_at("owner_id") == bob.id);
    expect_int(call(alice.token, "DELETE", NULL, "/guilds/%llu", U(guild)), 403);
    expect_int(call(bob.token, "DELETE", NULL, "/users/@me/guilds/%llu", U(guild)), 400); /* owners do not leave */
    expect_int(code(), 50055);
    expect_int(call(bob.token, "DELETE", NULL, "/guilds/%llu", U(guild)), 204);
    expect_true(event_seen(EVENT_GUILD_DELETE));
    expect_int(call(bob.token, "GET", NULL, "/guilds/%llu", U(guild)), 404);
    api_stop();
}

static void lists_a_users_guilds(void)
{
    uint64_t ids[3];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob");
    for (int i = 0; i < 3; i++)
        ids[i] = guild_new(i == 1 ? &bob : &alice, "Some");
    guild_enter(ids[1], &bob, &alice);
    expect_int(call(alice.token, "GET", NULL, "/users/@me/guilds"), 200);
    expect_int((int)json_array_size(body), 3);
    expect_true(id_at("0.id") == ids[0] && id_at("2.id") == ids[2]);
    expect_true(json_is_true(node_at("0.owner")) && json_is_false(node_at("1.owner")));
    struct role everyone = {.permissions = PERMISSIONS_EVERYONE_DEFAULT};
    char bits[32];
    snprintf(bits, sizeof bits, "%llu", U(everyone.permissions));
    expect_text(str_c(text_at("1.permissions")), bits);
    expect_int(call(alice.token, "GET", NULL, "/users/@me/guilds?limit=1&after=%llu", U(ids[0])), 200);
    expect_true(json_array_size(body) == 1 && id_at("0.id") == ids[1]);
    expect_int(call(alice.token, "GET", NULL, "/users/@me/guilds?limit=1&before=%llu", U(ids[2])), 200);
    expect_true(json_array_size(body) == 1 && id_at("0.id") == ids[1]);
    expect_int(call(alice.token, "GET", NULL, "/users/@me/guilds?limit=0"), 400);
    expect_text(str_c(text_at("errors.limit._errors.0.code")), "NUMBER_TYPE_MIN");
    expect_int(call(alice.token, "GET", NULL, "/users/@me/guilds?limit=x"), 400);
    api_stop();
}

static void invites_people(void)
{
    char invite[32];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob"), carol = person_new("carol");
    uint64_t guild = guild_new(&alice, "Demo"), general = guild_channel(guild, "general");
    struct person bot = bot_new(&alice, "pingbot");
    watch(guild);
    watch(bob.id);
    expect_int(call(alice.token, "POST", "{\"max_uses\":1,\"max_age\":600}", "/channels/%llu/invites", U(general)),
               200);
    snprintf(invite, sizeof invite, "%s", text_at("code"));
    expect_int(int_at("max_uses"), 1);
    expect_true(id_at("guild.id") == guild && id_at("channel.id") == general && id_at("inviter.id") == alice.id);
    json_t *e = event_at(EVENT_INVITE_CREATE, 0);
    expect_text(str_c(json_string_value(json_object_get(e, "code"))), invite);
    expect_int(call(alice.token, "POST", "{\"max_uses\":1,\"max_age\":600}", "/channels/%llu/invites", U(general)),
               200);
    expect_text(str_c(text_at("code")), invite); /* not unique: the same again */
    expect_int(call(NULL, "GET", NULL, "/invites/%s?with_counts=true", invite), 200);
    expect_int(int_at("approximate_member_count"), 1);
    expect_int(call(bot.token, "POST", "{}", "/invites/%s", invite), 403);
    expect_int(code(), 20001);
    expect_int(call(bob.token, "POST", "{\"session_id\":null}", "/invites/%s", invite), 200);
    expect_true(json_is_true(node_at("new_member")));
    expect_text(str_c(json_string_value(
                    json_object_get(json_object_get(event_at(EVENT_GUILD_MEMBER_ADD, 0), "user"), "username"))),
                "bob");
    expect_true(event_seen(EVENT_CONTROL_GUILD_JOINED));
    expect_int(call(carol.token, "POST", "{}", "/invites/%s", invite), 404); /* used up */
    expect_int(code(), 10006);
    expect_int(call(bob.token, "POST", "{}", "/channels/%llu/invites", U(general)), 200);
    snprintf(invite, sizeof invite, "%s", text_at("code"));
    expect_int(call(bob.token, "POST", "{}", "/invites/%s", invite), 200);
    expect_true(json_is_false(node_at("new_member")));
    expect_int(call(bob.token, "GET", NULL, "/guilds/%llu/invites", U(guild)), 403);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/invites", U(guild)), 200);
    expect_int((int)json_array_size(body), 1);
    expect_int(call(alice.token, "GET", NULL, "/channels/%llu/invites", U(general)), 200);
    expect_int((int)json_array_size(body), 1);
    expect_int(call(bob.token, "DELETE", NULL, "/invites/%s", invite), 403);
    expect_int(call(alice.token, "DELETE", NULL, "/invites/%s", invite), 200);
    expect_true(event_seen(EVENT_INVITE_DELETE));
    expect_int(call(alice.token, "DELETE", NULL, "/invites/%s", invite), 404);
    expect_int(call(bob.token, "DELETE", NULL, "/users/@me/guilds/%llu", U(guild)), 204);
    expect_true(event_seen(EVENT_GUILD_MEMBER_REMOVE) && event_seen(EVENT_CONTROL_GUILD_LEFT));
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu?with_counts=true", U(guild)), 200);
    expect_int(int_at("approximate_member_count"), 1);
    api_stop();
}

static void handles_roles(void)
{
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob");
    uint64_t guild = guild_new(&alice, "Demo");
    guild_enter(guild, &alice, &bob);
    watch(guild);
    uint64_t high = role_new(&alice, guild, "{\"name\":\"high\",\"permissions\":\"8\",\"color\":255}");
    expect_int(int_at("color"), 255);
    expect_int(int_at("colors.primary_color"), 255);
    expect_true(event_seen(EVENT_GUILD_ROLE_CREATE));
    /* bob: may manage roles (and kick), standing in the middle */
    uint64_t middle = role_new(&alice, guild, "{\"name\":\"middle\",\"permissions\":268435458,\"hoist\":true}");
    uint64_t low = role_new(&alice, guild, "{\"permissions\":\"0\"}");
    expect_text(str_c(text_at("name")), "new role");
    char json[256];
    snprintf(json, sizeof json,
             "[{\"id\":\"%llu\",\"position\":3},{\"id\":\"%llu\",\"position\":2},{\"id\":\"%llu\",\"position\":1}]",
             U(high), U(middle), U(low));
    events_clear();
    expect_int(call(alice.token, "PATCH", json, "/guilds/%llu/roles", U(guild)), 200);
    expect_int((int)json_array_size(body), 4);
    expect_true(event_at(EVENT_GUILD_ROLE_UPDATE, 1) != NULL && event_at(EVENT_GUILD_ROLE_UPDATE, 2) == NULL);

    expect_int(call(bob.token, "POST", "{}", "/guilds/%llu/roles", U(guild)), 403);
    role_give(&alice, guild, &bob, middle);
    expect_true(event_seen(EVENT_GUILD_MEMBER_UPDATE));
    expect_int(call(bob.token, "PATCH", "{\"name\":\"lowest\"}", "/guilds/%llu/roles/%llu", U(guild), U(low)), 200);
    expect_int(call(bob.token, "PATCH", "{\"name\":\"x\"}", "/guilds/%llu/roles/%llu", U(guild), U(high)), 403);
    expect_int(call(bob.token, "PATCH", "{\"name\":\"x\"}", "/guilds/%llu/roles/%llu", U(guild), U(middle)), 403);
    /* Nobody hands out what it has not: ADMINISTRATOR no, KICK_MEMBERS yes. */
    expect_int(call(bob.token, "PATCH", "{\"permissions\":\"8\"}", "/guilds/%llu/roles/%llu", U(guild), U(low)), 403);
    expect_int(call(bob.token, "POST", "{\"permissions\":\"8\"}", "/guilds/%llu/roles", U(guild)), 403);
    expect_int(call(bob.token, "PATCH", "{\"permissions\":\"2\"}", "/guilds/%llu/roles/%llu", U(guild), U(low)), 200);
    snprintf(json, sizeof json, "[{\"id\":\"%llu\",\"position\":5}]", U(low));
    expect_int(call(bob.token, "PATCH", json, "/guilds/%llu/roles", U(guild)), 403);
    expect_int(call(bob.token, "PATCH", "{}", "/guilds/%llu/roles", U(guild)), 200); /* nothing to move */
    expect_int(call(bob.token, "DELETE", NULL, "/guilds/%llu/roles/%llu", U(guild), U(high)), 403);
    expect_int(call(alice.token, "DELETE", NULL, "/guilds/%llu/roles/%llu", U(guild), U(guild)), 400);
    expect_int(code(), 50028);
    expect_int(call(alice.token, "DELETE", NULL, "/guilds/%llu/roles/12345", U(guild)), 404);
    expect_int(code(), 10011);
    expect_int(call(bob.token, "DELETE", NULL, "/guilds/%llu/roles/%llu", U(guild), U(low)), 204);
    expect_true(event_seen(EVENT_GUILD_ROLE_DELETE));
    /* @everyone keeps its name and takes new bits. */
    expect_int(call(alice.token, "PATCH", "{\"name\":\"x\",\"permissions\":\"1024\"}", "/guilds/%llu/roles/%llu",
                    U(guild), U(guild)),
               200);
    expect_text(str_c(text_at("name")), "@everyone");
    expect_text(str_c(text_at("permissions")), "1024");
    expect_int(call(alice.token, "DELETE", NULL, "/guilds/%llu/roles/%llu", U(guild), U(middle)), 204);
    expect_int(call(bob.token, "GET", NULL, "/guilds/%llu/members/%llu", U(guild), U(bob.id)), 200);
    expect_int((int)json_array_size(node_at("roles")), 0);
    api_stop();
}

/* Another process holds the guild's lock: the change waits until it is given back, or lapses. */
static void waits_for_the_guilds_lock(void)
{
    char name[48];
    uint64_t epoch;
    api_start(false);
    struct person alice = person_new("alice");
    uint64_t guild = guild_new(&alice, "Demo");
    snprintf(name, sizeof name, "guild:%llu", U(guild));
    expect_int(kv_lease_take(ports.kv, name, "another process", 400, &epoch), 0);
    int64_t began = clock_mono_ms();
    expect_int(call(alice.token, "PATCH", "{\"name\":\"Renamed\"}", "/guilds/%llu", U(guild)), 200);
    if (!kv_is_embedded(ports.kv)) /* one process has no other */
        expect_true(clock_mono_ms() - began >= 350);
    expect_int(call(alice.token, "PATCH", "{\"name\":\"Again\"}", "/guilds/%llu", U(guild)), 200);
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(makes_and_changes_guilds),
        CO_TEST(lists_a_users_guilds),
        CO_TEST(invites_people),
        CO_TEST(handles_roles),
        CO_TEST(waits_for_the_guilds_lock),
    };
    return cmocka_run_group_tests_name("api_guilds", tests, NULL, NULL);
}
