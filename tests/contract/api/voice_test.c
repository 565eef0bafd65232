/* Voice over HTTP: muting, moving, disconnecting, stages. Who is connected is said in kv, as a gateway does it. */
#include "tests/contract/api/fixture.h"

#include "platform/base/clock.h"
#include "platform/model/voice.h"
#include "platform/ports/entries.h"

#include <errno.h>
#include <stdio.h>

#define U(n) ((unsigned long long)(n))

static struct person alice, bob, carol;
static uint64_t guild, talk, stage;

static uint64_t channel_new(const char *json)
{
    expect_int(call(alice.token, "POST", json, "/guilds/%llu/channels", U(guild)), 201);
    return id_at("id");
}

static void connected(const struct person *p, uint64_t channel)
{
    struct arena a = {0};
    struct buf value = {0};
    struct voice_state v = {.user_id = p->id,
                            .channel_id = channel,
                            .owner = STR("run"),
                            .session_id = STR("session"),
                            .token = STR("first"),
                            .member = STR("{}"),
                            .suppress = channel == stage,
                            .start_s = 1700000000};
    voice_value_write(&value, &v);
    struct kv_change c = {.kind = KV_VOICE,
                          .topic = guild,
                          .field = arena_printf(&a, "%llu", U(p->id)),
                          .value = channel ? buf_str(&value) : STR_NONE};
    int r = entries_change(&ports, &a, &c, NULL, NULL);
    expect_true(r == 0 || r == -EALREADY);
    buf_done(&value);
    arena_done(&a);
}

static bool state_of(const struct person *p, struct arena *a, struct voice_state *ret)
{
    struct str value;
    return kv_entry_get(ports.kv, a, KV_VOICE, guild, arena_printf(a, "%llu", U(p->id)), &value) == 0 &&
           voice_value_read(value, p->id, ret) == 0;
}

static void begin(void)
{
    api_start(false);
    alice = person_new("alice"), bob = person_new("bob"), carol = person_new("carol");
    guild = guild_new(&alice, "Demo");
    guild_enter(guild, &alice, &bob);
    guild_enter(guild, &alice, &carol);
    talk = channel_new("{\"name\":\"talk\",\"type\":2}");
    stage = channel_new("{\"name\":\"stage\",\"type\":13}");
}

static void moving_and_muting(void)
{
    char path[96], json[128];
    struct arena a = {0};
    struct voice_state v;
    begin();
    uint64_t quiet = channel_new("{\"name\":\"quiet\",\"type\":2}");
    snprintf(path, sizeof path, "/guilds/%llu/members/%llu", U(guild), U(bob.id));
    expect_int(call(alice.token, "PATCH", "{\"mute\":true}", "%s", path), 400);
    expect_int(code(), 40032);
    connected(&bob, talk);
    watch(guild);
    expect_int(call(alice.token, "PATCH", "{\"mute\":true,\"deaf\":null}", "%s", path), 200);
    expect_true(json_is_true(node_at("mute")));
    expect_true(state_of(&bob, &a, &v) && v.mute && !v.deaf && v.channel_id == talk);
    expect_text(v.token, "first");
    for (int i = 0; !event_seen(EVENT_CONTROL_ENTRY) && i < 50; i++)
        co_sleep(20);
    expect_true(event_seen(EVENT_CONTROL_ENTRY) && event_seen(EVENT_GUILD_MEMBER_UPDATE));

    snprintf(json, sizeof json, "{\"channel_id\":\"%llu\"}", U(quiet));
    expect_int(call(carol.token, "PATCH", json, "%s", path), 403);
    expect_int(call(alice.token, "PATCH", json, "%s", path), 200);
    expect_true(state_of(&bob, &a, &v) && v.mute && v.channel_id == quiet && !v.suppress);
    expect_true(!str_eq(v.token, STR("first")));
    snprintf(json, sizeof json, "{\"channel_id\":\"%llu\"}", U(guild_channel(guild, "general")));
    expect_int(call(alice.token, "PATCH", json, "%s", path), 403);
    expect_int(code(), 50024);
    snprintf(json, sizeof json, "{\"channel_id\":\"%llu\"}", U(stage));
    expect_int(call(alice.token, "PATCH", json, "%s", path), 200);
    expect_true(state_of(&bob, &a, &v) && v.suppress);
    expect_int(call(alice.token, "PATCH", "{\"channel_id\":null}", "%s", path), 200);
    expect_true(!state_of(&bob, &a, &v));
    expect_int(call(alice.token, "PATCH", "{\"channel_id\":null}", "%s", path), 400);
    arena_done(&a);
    api_stop();
}

static void looking(void)
{
    char json[160];
    begin();
    expect_int(call(bob.token, "GET", NULL, "/guilds/%llu/voice-states/@me", U(guild)), 404);
    expect_int(code(), 10065);
    connected(&bob, talk);
    expect_int(call(bob.token, "GET", NULL, "/guilds/%llu/voice-states/@me", U(guild)), 200);
    expect_int(id_at("channel_id") == talk && id_at("guild_id") == guild && id_at("user_id") == bob.id, 1);
    expect_true(!node_at("token"));
    expect_int(call(carol.token, "GET", NULL, "/guilds/%llu/voice-states/%llu", U(guild), U(bob.id)), 200);
    snprintf(json, sizeof json, "{\"type\":0,\"deny\":\"1048576\"}"); /* CONNECT */
    expect_int(call(alice.token, "PUT", json, "/channels/%llu/permissions/%llu", U(talk), U(guild)), 204);
    expect_int(call(carol.token, "GET", NULL, "/guilds/%llu/voice-states/%llu", U(guild), U(bob.id)), 403);
    api_stop();
}

static void on_a_stage(void)
{
    char json[160], when[40];
    struct arena a = {0};
    struct voice_state v;
    begin();
    connected(&bob, talk);
    expect_int(call(bob.token, "PATCH", "{\"suppress\":true}", "/guilds/%llu/voice-states/@me", U(guild)), 403);
    expect_int(code(), 50024);
    connected(&bob, stage);
    expect_int(call(bob.token, "PATCH", "{\"suppress\":false}", "/guilds/%llu/voice-states/@me", U(guild)), 403);
    snprintf(json, sizeof json, "{\"type\":0,\"allow\":\"4294967296\"}"); /* REQUEST_TO_SPEAK */
    expect_int(call(alice.token, "PUT", json, "/channels/%llu/permissions/%llu", U(stage), U(guild)), 204);
    clock_format_iso(clock_wall_ms() + 60000, when);
    snprintf(json, sizeof json, "{\"channel_id\":\"%llu\",\"request_to_speak_timestamp\":\"%s\"}", U(stage), when);
    expect_int(call(bob.token, "PATCH", json, "/guilds/%llu/voice-states/@me", U(guild)), 204);
    expect_true(state_of(&bob, &a, &v) && v.request_to_speak_ms > clock_wall_ms());
    expect_int(call(bob.token, "PATCH", "{\"request_to_speak_timestamp\":\"2020-01-01T00:00:00Z\"}",
                    "/guilds/%llu/voice-states/@me", U(guild)),
               400);
    expect_int(
        call(carol.token, "PATCH", "{\"suppress\":false}", "/guilds/%llu/voice-states/%llu", U(guild), U(bob.id)), 403);
    expect_int(
        call(alice.token, "PATCH", "{\"suppress\":false}", "/guilds/%llu/voice-states/%llu", U(guild), U(bob.id)), 204);
    expect_true(state_of(&bob, &a, &v) && !v.suppress && v.request_to_speak_ms);
    expect_int(call(bob.token, "PATCH", "{\"suppress\":true}", "/guilds/%llu/voice-states/@me", U(guild)), 204);
    expect_true(state_of(&bob, &a, &v) && v.suppress && !v.request_to_speak_ms);
    arena_done(&a);
    api_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {CO_TEST(moving_and_muting), CO_TEST(looking), CO_TEST(on_a_stage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
