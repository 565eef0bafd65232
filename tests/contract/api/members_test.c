/* Members: listing, changing with each permission, roles, timeouts, kicks. */
#include "tests/contract/api/fixture.h"

#include "platform/base/clock.h"

#include <stdio.h>

#define U(v) (unsigned long long)(v)

static void lists_members(void)
{
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob"), bot = bot_new(&alice, "pingbot");
    uint64_t guild = guild_new(&alice, "Demo");
    char json[128];
    guild_enter(guild, &alice, &bob);
    snprintf(json, sizeof json, "{\"guild_id\":\"%llu\",\"authorize\":true}", U(guild));
    expect_int(call(alice.token, "POST", json, "/oauth2/authorize?client_id=%llu&scope=bot&permissions=0", U(bot.id)),
               200);
    expect_int(call(bot.token, "GET", NULL, "/guilds/%llu/members?limit=10", U(guild)), 403); /* without the intent */
    expect_int(code(), 50001);
    expect_int(call(alice.token, "PATCH", "{\"flags\":32768}", "/applications/%llu", U(bot.id)), 200);
    expect_int(call(bot.token, "GET", NULL, "/guilds/%llu/members?limit=10", U(guild)), 200);
    expect_int((int)json_array_size(body), 3);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/members", U(guild)), 200);
    expect_int((int)json_array_size(body), 1);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/members?limit=2&after=%llu", U(guild), U(alice.id)), 200);
    expect_true(json_array_size(body) == 2 && id_at("0.user.id") == bob.id);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/members?limit=1001", U(guild)), 400);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/members/search?query=BO&limit=5", U(guild)), 200);
    expect_true(json_array_size(body) == 1 && id_at("0.user.id") == bob.id);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/members/search?query=%%25", U(guild)), 200);
    expect_int((int)json_array_size(body), 0); /* a wildcard is a letter */
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/members/search", U(guild)), 400);
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/members/%llu", U(guild), U(bob.id)), 200);
    expect_text(str_c(text_at("user.username")), "bob");
    expect_int(call(alice.token, "GET", NULL, "/guilds/%llu/members/12345", U(guild)), 404);
    expect_int(code(), 10007);
    api_stop();
}

static void changes_members(void)
{
    char path[96], json[128], until[33];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob"), carol = person_new("carol");
    uint64_t guild = guild_new(&alice, "Demo");
    guild_enter(guild, &alice, &bob);
    guild_enter(guild, &alice, &carol);
    watch(guild);
    snprintf(path, sizeof path, "/guilds/%llu/members/%llu", U(guild), U(carol.id));
    /* Without any permission: one's own nick only. */
    expect_int(call(bob.token, "PATCH", "{\"nick\":\"Bobby\"}", "/guilds/%llu/members/@me", U(guild)), 200);
    expect_text(str_c(text_at("nick")), "Bobby");
    expect_text(str_c(json_string_value(json_object_get(event_at(EVENT_GUILD_MEMBER_UPDATE, 0), "nick"))), "Bobby");
    expect_int(call(bob.token, "PATCH", "{\"nick\":\"\"}", "/guilds/%llu/members/@me/nick", U(guild)), 200);
    expect_true(json_is_null(node_at("nick")));
    const char *bodies[] = {"{\"nick\":\"x\"}",
                            "{\"mute\":true}",
                            "{\"deaf\":true}",
                            "{\"roles\":[]}",
                            "{\"communication_disabled_until\":null}",
                            "{\"flags\":4}",
                            "{\"channel_id\":\"5\"}"};
    for (int i = 0; i < 7; i++) {
        expect_int(call(bob.token, "PATCH", bodies[i], "%s", path), 403);
        expect_int(code(), 50013);
    }
    /* Each with its own. */
    const char *bits[] = {"134217728", "4194304", "8388608", "268435456", "1099511627776", "32", "16777216"};
    for (int i = 0; i < 7; i++) {
        snprintf(json, sizeof json, "{\"permissions\":\"%s\"}", bits[i]);
        uint64_t role = role_new(&alice, guild, json);
        role_give(&alice, guild, &bob, role);
        bool voice = i == 1 || i == 2 || i == 6; /* the member is in no voice channel */
        expect_int(call(bob.token, "PATCH", bodies[i], "%s", path), voice ? 400 : 200);
        expect_int(code(), voice ? 40032 : -1);
        expect_int(call(alice.token, "DELETE", NULL, "/guilds/%llu/roles/%llu", U(guild), U(role)), 204);
    }
    expect_int(call(alice.token, "GET", NULL, "%s", path), 200);
    expect_text(str_c(text_at("nick")), "x");
    expect_true(json_is_false(node_at("mute")) && json_is_false(node_at("deaf")));
    expect_int(int_at("flags"), 4);

    /* Timeouts: nothing can be said meanwhile. */
    clock_format_iso(clock_wall_ms() + 60000, until);
    snprintf(json, sizeof json, "{\"communication_disabled_until\":\"%s\"}", until);
    expect_int(call(alice.token, "PATCH", json, "%s", path), 200);
    expect_true(json_is_string(node_at("communication_disabled_until")));
    expect_int(call(carol.token, "POST", "{}", "/channels/%llu/invites", U(guild_channel(guild, "general"))), 403);
    expect_int(call(carol.token, "GET", NULL, "/channels/%llu", U(guild_channel(guild, "general"))), 200);
    expect_int(call(alice.token, "PATCH", "{\"communication_disabled_until\":null}", "%s", path), 200);
    expect_true(json_is_null(node_at("communication_disabled_until")));
    clock_format_iso(clock_wall_ms() + 29 * 86400000LL, until);
    snprintf(json, sizeof json, "{\"communication_disabled_until\":\"%s\"}", until);
    expect_int(call(alice.token, "PATCH", json, "%s", path), 400);
    expect_int(call(alice.token, "PATCH", "{\"communication_disabled_until\":\"soon\"}", "%s", path), 400);
    api_stop();
}

static void keeps_the_hierarchy(void)
{
    char json[256];
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob"), carol = person_new("carol");
    uint64_t guild = guild_new(&alice, "Demo");
    guild_enter(guild, &alice, &bob);
    guild_enter(guild, &alice, &carol);
    watch(guild);
    uint64_t high = role_new(&alice, guild, "{\"permissions\":\"0\"}");
    uint64_t staff = role_new(&alice, guild, "{\"permissions\":\"1099914280962\"}"); /* kick, nicks, roles, timeouts */
    uint64_t low = role_new(&alice, guild, "{\"permissions\":\"0\"}");
    role_give(&alice, guild, &bob, staff);
    role_give(&alice, guild, &carol, high);
    expect_int(call(bob.token, "PATCH", "{\"nick\":\"x\"}", "/guilds/%llu/members/%llu", U(guild), U(carol.id)), 403);
    expect_int(call(bob.token, "DELETE", NULL, "/guilds/%llu/members/%llu", U(guild), U(carol.id)), 403);
    expect_int(call(bob.token, "DELETE", NULL, "/guilds/%llu/members/%llu", U(guild), U(alice.id)), 403);
    expect_int(call(bob.token, "DELETE", NULL, "/guilds/%llu/members/%llu", U(guild), U(bob.id)), 403);
    expect_int(call(bob.token, "PUT", NULL, "/guilds/%llu/members/%llu/roles/%llu", U(guild), U(bob.id), U(high)), 403);
    expect_int(call(bob.token, "PUT", NULL, "/guilds/%llu/members/%llu/roles/%llu", U(guild), U(carol.id), U(low)),
               204);
    events_clear();
    expect_int(call(bob.token, "PUT", NULL, "/guilds/%llu/members/%llu/roles/%llu", U(guild), U(carol.id), U(low)),
               204);
    expect_int((int)events_count(), 0); /* she had it */
    /* A whole list may repeat what is out of reach, not change it. */
    snprintf(json, sizeof json, "{\"roles\":[\"%llu\"]}", U(low));
    expect_int(call(bob.token, "PATCH", json, "/guilds/%llu/members/%llu", U(guild), U(carol.id)), 403);
    snprintf(json, sizeof json, "{\"roles\":[\"%llu\",%llu,\"%llu\"]}", U(high), U(high), U(guild));
    expect_int(call(bob.token, "PATCH", json, "/guilds/%llu/members/%llu", U(guild), U(carol.id)), 200);
    expect_int((int)json_array_size(node_at("roles")), 1);
    expect_int(call(bob.token, "PATCH", "{\"roles\":[\"4711\"]}", "/guilds/%llu/members/%llu", U(guild), U(carol.id)),
               404);
    expect_int(code(), 10011);
    expect_int(
        call(alice.token, "DELETE", NULL, "/guilds/%llu/members/%llu/roles/%llu", U(guild), U(carol.id), U(high)), 204);
    expect_int(call(bob.token, "DELETE", NULL, "/guilds/%llu/members/%llu", U(guild), U(carol.id)), 204);
    expect_true(event_seen(EVENT_GUILD_MEMBER_REMOVE));
    expect_int(call(carol.token, "GET", NULL, "/guilds/%llu", U(guild)), 404);
    expect_int(call(bob.token, "DELETE", NULL, "/guilds/%llu/members/%llu", U(guild), U(carol.id)), 404);
    api_stop();
}

#define GIVERS 8
static struct {
    const struct person *alice, *bob;
    uint64_t guild, roles[GIVERS];
    int next, given;
} giving;

static void gives(void *arg)
{
    char path[128];

    (void)arg;
    snprintf(path, sizeof path, "/guilds/%llu/members/%llu/roles/%llu", U(giving.guild), U(giving.bob->id),
             U(giving.roles[giving.next++]));
    giving.given += call_beside(giving.alice->token, "PUT", path) == 204;
}

/* Several change one member at once: every event adds to the one before, and the last tells all. */
static void changes_follow_each_other(void)
{
    struct co_group g = {0};
    api_start(false);
    struct person alice = person_new("alice"), bob = person_new("bob");
    giving.guild = guild_new(&alice, "Demo");
    giving.alice = &alice;
    giving.bob = &bob;
    guild_enter(giving.guild, &alice, &bob);
    for (int i = 0; i < GIVERS; i++)
        giving.roles[i] = role_new(&alice, giving.guild, "{}");
    watch(giving.guild);
    events_clear();
    for (int i = 0; i < GIVERS; i++)
        expect_int(co_group_spawn(&g, gives, NULL), 0);
    co_group_wait(&g);
    expect_int(giving.given, GIVERS);
    for (int i = 0; i < GIVERS; i++) {
        json_t *e = event_at(EVENT_GUILD_MEMBER_UPDATE, (unsigned)i);
        expect_int((int)json_array_size(json_object_get(e, "roles")), i + 1);
    }
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(lists_members),
        CO_TEST(changes_members),
        CO_TEST(keeps_the_hierarchy),
        CO_TEST(changes_follow_each_other),
    };
    return cmocka_run_group_tests_name("api_members", tests, NULL, NULL);
}
