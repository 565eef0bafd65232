/* Voice states on two nodes: joining, moving, leaving; who sees it; what becomes of it when sessions end. Op 31, 43. */
#include "tests/contract/gateway/fixture.h"

#include "platform/model/voice.h"

#include <stdio.h>

enum { TALK = 601, SMALL, HIDDEN, STAGE, CLOSED };
#define INTENTS_VOICE (INTENTS_USUAL | INTENT_GUILD_VOICE_STATES)

static void seed_voice(void)
{
    static struct overwrite all[] = {{GUILD, 0, PERMISSION_CONNECT | PERMISSION_SPEAK, 0}};
    static struct overwrite few[] = {{GUILD, 0, 0, PERMISSION_VIEW_CHANNEL},
                                     {BOB, 1, PERMISSION_VIEW_CHANNEL | PERMISSION_CONNECT, 0}};
    struct channel channels[] = {
        {.id = TALK, .name = STR("talk"), .type = CHANNEL_GUILD_VOICE, .overwrites = all, .overwrite_count = 1},
        {.id = SMALL,
         .name = STR("small"),
         .type = CHANNEL_GUILD_VOICE,
         .overwrites = all,
         .overwrite_count = 1,
         .user_limit = 1},
        {.id = HIDDEN, .name = STR("hidden"), .type = CHANNEL_GUILD_VOICE, .overwrites = few, .overwrite_count = 2},
        {.id = STAGE, .name = STR("stage"), .type = CHANNEL_GUILD_STAGE_VOICE, .overwrites = all, .overwrite_count = 1},
        {.id = CLOSED, .name = STR("closed"), .type = CHANNEL_GUILD_VOICE},
    };
    struct arena a = {0};
    struct commit c;

    commit_init(&c, &a);
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        channels[i].guild_id = GUILD;
        store_channel_insert(&c, &channels[i]);
    }
    assert_int_equal(commit_run(&c, &ports), 0);
    arena_done(&a);
}

static void worlds_open(struct node *one, struct node *two)
{
    world_open();
    seed_voice();
    node_options.heartbeat_interval_ms = 60000;
    node_options.voice_endpoint = "media.example:443";
    node_open(one, "a");
    node_open(two, "b");
}

static void go(struct client *c, uint64_t channel, const char *more)
{
    char id[32] = "null";

    if (channel)
        snprintf(id, sizeof id, "\"%llu\"", (unsigned long long)channel);
    client_send(c, "{\"op\":4,\"d\":{\"guild_id\":\"%d\",\"channel_id\":%s,\"self_mute\":false,\"self_deaf\":false%s}}",
                GUILD, id, more);
}

/* The next VOICE_STATE_UPDATE of the user. channel 0: left. */
static json_t *moved(struct client *c, uint64_t user, uint64_t channel)
{
    char id[24], at[24];

    snprintf(id, sizeof id, "%llu", (unsigned long long)user);
    snprintf(at, sizeof at, "%llu", (unsigned long long)channel);
    json_t *d = client_event(c, "VOICE_STATE_UPDATE");
    assert_string_equal(text_at(d, "user_id"), id);
    assert_string_equal(text_at(d, "channel_id"), channel ? at : "");
    return d;
}

static void joining_and_moving(void)
{
    struct node one, two;
    struct client bob, bot, deaf;

    worlds_open(&one, &two);
    client_login(&bot, &one, BOT, INTENTS_VOICE, 2);
    client_login(&deaf, &one, FULL, INTENT_GUILD_MESSAGES, 0);
    client_login(&bob, &two, BOB, INTENTS_VOICE, 1);
    go(&bob, TALK, ",\"self_video\":true");
    json_t *d = moved(&bob, BOB, TALK);
    assert_string_equal(text_at(d, "session_id"), bob.session_id);
    assert_true(json_is_true(json_object_get(d, "self_video")) && json_is_false(json_object_get(d, "suppress")));
    assert_null(json_object_get(d, "token"));
    assert_string_equal(text_at(json_object_get(json_object_get(d, "member"), "user"), "username"), "bob");
    d = client_event(&bob, "VOICE_SERVER_UPDATE");
    assert_string_equal(text_at(d, "endpoint"), "media.example:443");
    assert_true(strlen(text_at(d, "token")) > 8);
    char token[64];
    snprintf(token, sizeof token, "%s", text_at(d, "token"));
    d = moved(&bot, BOB, TALK);
    assert_string_equal(text_at(d, "guild_id"), "8388608");
    d = client_event(&bot, "VOICE_CHANNEL_START_TIME_UPDATE");
    assert_true(json_integer_value(json_object_get(d, "voice_start_time")) > 1700000000);

    /* a change of its own: the same server */
    client_send(&bob, "{\"op\":4,\"d\":{\"guild_id\":%d,\"channel_id\":\"%d\",\"self_mute\":true,\"self_deaf\":true}}",
                GUILD, TALK);
    d = moved(&bot, BOB, TALK);
    assert_true(json_is_true(json_object_get(d, "self_mute")) && json_is_true(json_object_get(d, "self_deaf")));
    (void)moved(&bob, BOB, TALK);
    /* to where others do not see it: for them it left */
    go(&bob, HIDDEN, "");
    (void)moved(&bob, BOB, HIDDEN);
    d = client_event(&bob, "VOICE_SERVER_UPDATE");
    assert_string_not_equal(text_at(d, "token"), token);
    (void)moved(&bot, BOB, 0);
    d = client_event(&bot, "VOICE_CHANNEL_START_TIME_UPDATE");
    assert_true(json_is_null(json_object_get(d, "voice_start_time")));
    go(&bob, STAGE, "");
    d = json_object_get(moved(&bot, BOB, STAGE), "suppress");
    assert_true(json_is_true(d));
    go(&bob, 0, "");
    (void)moved(&bot, BOB, 0);
    client_quiet(&deaf, 0);
    client_close(&bob, 1000), client_close(&bot, 1000), client_close(&deaf, 1000);
    node_close(&one), node_close(&two);
    world_close();
}

static void refused(void)
{
    struct node one, two;
    struct client bob, bot, alice;

    worlds_open(&one, &two);
    client_login(&bot, &one, BOT, INTENTS_VOICE, 2);
    client_login(&bob, &two, BOB, INTENTS_VOICE, 1);
    client_login(&alice, &one, ALICE, INTENTS_VOICE, 2);
    go(&bob, CLOSED, "");  /* no CONNECT */
    go(&bob, GENERAL, ""); /* not a voice channel */
    go(&bot, HIDDEN, "");  /* not visible */
    go(&bob, 12345, "");
    go(&bob, 0, "");
    go(&bob, SMALL, "");
    (void)moved(&bot, BOB, SMALL); /* the first that is told */
    go(&bot, SMALL, "");           /* full */
    go(&alice, SMALL, "");         /* but not for who may move members */
    (void)moved(&bot, ALICE, SMALL);
    (void)client_event(&alice, "VOICE_SERVER_UPDATE");
    go(&bot, TALK, "");
    (void)moved(&bot, BOT, TALK);
    client_close(&bob, 1000), client_close(&bot, 1000), client_close(&alice, 1000);

    client_login(&bob, &two, BOB, INTENTS_VOICE, 1);
    client_send(&bob, "{\"op\":4,\"d\":{\"guild_id\":\"x\"}}");
    assert_int_equal(client_closed(&bob), 4001);
    client_close(&bob, 1000);
    node_close(&one), node_close(&two);
    world_close();
}

/* At once on two nodes: one gets the place. */
static void the_last_place(void)
{
    struct node one, two;
    struct client bob, bot;
    struct arena a = {0};
    struct kv_entry *list;
    unsigned count;
    uint64_t version;

    worlds_open(&one, &two);
    for (int i = 0; i < 5; i++) {
        client_login(&bot, &one, BOT, INTENTS_VOICE, 2);
        client_login(&bob, &two, BOB, INTENTS_VOICE, 1);
        go(&bot, SMALL, ""), go(&bob, SMALL, "");
        co_sleep(300);
        assert_int_equal(kv_entries_list(ports.kv, &a, KV_VOICE, GUILD, &list, &count, &version), 0);
        assert_int_equal(count, 1);
        client_close(&bob, 1000), client_close(&bot, 1000);
        UNTIL(kv_entries_count(ports.kv, KV_VOICE, GUILD, &count) == 0 && count == 0);
    }
    arena_done(&a);
    node_close(&one), node_close(&two);
    world_close();
}

static void in_guild_create(void)
{
    struct node one, two;
    struct client bob, bot, full;

    worlds_open(&one, &two);
    client_login(&bob, &two, BOB, INTENTS_VOICE, 1);
    go(&bob, TALK, "");
    (void)moved(&bob, BOB, TALK);
    client_open(&bot, &one, "?v=10");
    client_identify(&bot, BOT, INTENTS_VOICE, "");
    json_t *guild = NULL;
    while (strcmp(text_at(guild, "id"), "8388608") != 0)
        guild = client_event(&bot, "GUILD_CREATE");
    json_t *states = json_object_get(guild, "voice_states");
    assert_int_equal(json_array_size(states), 1);
    assert_string_equal(text_at(json_array_get(states, 0), "user_id"), "102");
    assert_null(json_object_get(json_array_get(states, 0), "guild_id"));
    assert_int_equal(json_array_size(json_object_get(guild, "members")), 2); /* itself and who is in voice */
    go(&bob, HIDDEN, "");
    (void)moved(&bob, BOB, HIDDEN);
    client_open(&full, &one, "?v=10");
    client_identify(&full, FULL, INTENTS_VOICE, "");
    guild = client_event(&full, "GUILD_CREATE");
    assert_int_equal(json_array_size(json_object_get(guild, "voice_states")), 0);
    client_close(&bob, 1000), client_close(&bot, 1000), client_close(&full, 1000);
    node_close(&one), node_close(&two);
    world_close();
}

static void sessions_end(void)
{
    struct node one, two;
    struct client bob, again, bot;

    worlds_open(&one, &two);
    client_login(&bot, &one, BOT, INTENTS_VOICE, 2);
    client_login(&bob, &two, BOB, INTENTS_VOICE, 1);
    go(&bob, TALK, "");
    (void)moved(&bot, BOB, TALK);
    (void)client_event(&bot, "VOICE_CHANNEL_START_TIME_UPDATE");
    /* cut, and resumed: nothing happened */
    client_cut(&bob);
    char session_id[40];
    uint64_t seq = bob.seq;
    snprintf(session_id, sizeof session_id, "%s", bob.session_id);
    client_quiet(&bot, 300);
    client_open(&bob, &two, "?v=10");
    snprintf(bob.session_id, sizeof bob.session_id, "%s", session_id);
    bob.seq = seq;
    (void)client_op(&bob, 10);
    client_resume(&bob, BOB);
    (void)client_event(&bob, "RESUMED");
    /* another session takes over; the end of the first one does not matter then */
    client_login(&again, &one, BOB, INTENTS_VOICE, 1);
    go(&again, TALK, "");
    assert_string_equal(text_at(moved(&bot, BOB, TALK), "session_id"), again.session_id);
    client_close(&bob, 1000);
    client_quiet(&bot, 300);
    client_close(&again, 1000);
    (void)moved(&bot, BOB, 0);
    client_close(&bot, 1000);
    node_close(&one), node_close(&two);
    world_close();
}

static void a_channel_goes(void)
{
    struct node one, two;
    struct client bob, bot;
    unsigned count;

    worlds_open(&one, &two);
    client_login(&bot, &one, BOT, INTENTS_VOICE, 2);
    client_login(&bob, &two, BOB, INTENTS_VOICE, 1);
    go(&bob, TALK, "");
    (void)moved(&bot, BOB, TALK);
    tell(EVENT_CHANNEL_DELETE, GUILD, false, TALK, 0, "{\"id\":\"601\",\"type\":2,\"guild_id\":\"8388608\"}");
    (void)moved(&bot, BOB, 0);
    (void)client_event(&bot, "CHANNEL_DELETE");
    UNTIL(kv_entries_count(ports.kv, KV_VOICE, GUILD, &count) == 0 && count == 0);
    client_quiet(&bot, 200);
    client_close(&bob, 1000), client_close(&bot, 1000);
    node_close(&one), node_close(&two);
    world_close();
}

static void asking(void)
{
    struct node one, two;
    struct client bob;

    worlds_open(&one, &two);
    client_login(&bob, &one, BOB, INTENTS_VOICE, 1);
    client_send(&bob, "{\"op\":31,\"d\":{\"guild_ids\":[\"%d\",\"%d\",\"5\"]}}", GUILD, OTHER);
    json_t *d = client_event(&bob, "SOUNDBOARD_SOUNDS");
    assert_string_equal(text_at(d, "guild_id"), "8388608");
    assert_int_equal(json_array_size(json_object_get(d, "soundboard_sounds")), 0);
    client_quiet(&bob, 100);
    go(&bob, TALK, "");
    (void)client_event(&bob, "VOICE_SERVER_UPDATE");
    client_send(&bob, "{\"op\":43,\"d\":{\"guild_id\":\"%d\",\"fields\":[\"status\",\"voice_start_time\"]}}", GUILD);
    d = client_event(&bob, "CHANNEL_INFO");
    json_t *channel = json_array_get(json_object_get(d, "channels"), 0);
    assert_string_equal(text_at(channel, "id"), "601");
    assert_true(json_is_null(json_object_get(channel, "status")));
    assert_true(json_integer_value(json_object_get(channel, "voice_start_time")) > 1700000000);
    client_send(&bob, "{\"op\":31,\"d\":{\"guild_ids\":5}}");
    assert_int_equal(client_closed(&bob), 4001);
    client_close(&bob, 1000);
    node_close(&one), node_close(&two);
    world_close();
}

CONVERSATIONS(CONVERSATION(joining_and_moving), CONVERSATION(refused), CONVERSATION(the_last_place),
              CONVERSATION(in_guild_create), CONVERSATION(sessions_end), CONVERSATION(a_channel_goes),
              CONVERSATION(asking))
