/* A node and its clients: handshake, close codes, what is seen, RESUME. */
#include "tests/contract/gateway/fixture.h"

#include "platform/base/limits.h"
#include "platform/protocol/intents.h"

#include <stdio.h>

/* Op 9 that says: identify again. */
static void refused(struct client *c)
{
    json_t *d = json_object_get(client_op(c, 9), "d");

    assert_true(json_is_false(d));
}

/* --- handshake and close codes ---------------------------------------------------------------------------------------
 */
static int closes(const struct node *n, const char *query, const char *payload)
{
    struct client c;

    client_open(&c, n, query);
    if (payload) {
        (void)client_op(&c, 10);
        client_send(&c, "%s", payload);
    }
    int code = client_closed(&c);
    client_close(&c, 1000);
    return code;
}

static void close_codes(void)
{
    struct node n;
    char payload[1024];

    world_open();
    node_options.guilds_per_session = 1;
    node_open(&n, "a");
    assert_int_equal(closes(&n, "?v=10&encoding=json", "{\"op\":99}"), 4001);
    assert_int_equal(closes(&n, "?v=10", "{\"op\":"), 4002);
    assert_int_equal(closes(&n, "?v=10", "{\"op\":1,\"d\":{}}"), 4002);
    assert_int_equal(closes(&n, "?v=10", "{\"op\":3,\"d\":{}}"), 4003);
    assert_int_equal(closes(&n, "?v=10", "{\"op\":8,\"d\":{}}"), 4003);
    assert_int_equal(closes(&n, "?v=10", "{\"op\":2,\"d\":{\"token\":\"x.y.z\",\"intents\":0}}"), 4004);
    assert_int_equal(closes(&n, "?v=5", NULL), 4012);
    assert_int_equal(closes(&n, "?v=ten", NULL), 4012);
    snprintf(payload, sizeof payload, "{\"op\":2,\"d\":{\"token\":\"%s\",\"intents\":0,\"shard\":[2,2]}}",
             token_of(BOT));
    assert_int_equal(closes(&n, "?v=10", payload), 4010);
    snprintf(payload, sizeof payload, "{\"op\":2,\"d\":{\"token\":\"%s\",\"intents\":0}}", token_of(BOT));
    assert_int_equal(closes(&n, "?v=10", payload), 4011);
    snprintf(payload, sizeof payload, "{\"op\":2,\"d\":{\"token\":\"%s\",\"intents\":524288}}", token_of(BOT));
    assert_int_equal(closes(&n, "?v=10", payload), 4013);
    snprintf(payload, sizeof payload, "{\"op\":2,\"d\":{\"token\":\"%s\"}}", token_of(BOT));
    assert_int_equal(closes(&n, "?v=10", payload), 4013);
    snprintf(payload, sizeof payload, "{\"op\":2,\"d\":{\"token\":\"%s\",\"intents\":32768}}", token_of(BOT));
    assert_int_equal(closes(&n, "?v=10", payload), 4014);
    /* what is not offered is refused before it is a WebSocket */
    assert_int_equal(closes(&n, "?v=10&encoding=xml", NULL), 1006);
    assert_int_equal(closes(&n, "?v=10&encoding=json&compress=br-stream", NULL), 1006);
    assert_int_equal(gateway_counts(n.gateway).sessions, 0);
    node_close(&n);
    world_close();
}

static void close_codes_of_a_session(void)
{
    struct node n;
    struct client c;

    world_open();
    node_open(&n, "a");
    client_login(&c, &n, FULL, INTENTS_ALL, 1);
    client_send(&c, "{\"op\":2,\"d\":{\"token\":\"x\",\"intents\":0}}");
    assert_int_equal(client_closed(&c), 4005);
    client_close(&c, 1000);

    char big[LIMIT_WS_PAYLOAD_BYTES + 2];
    memset(big, ' ', sizeof big);
    client_login(&c, &n, BOB, INTENTS_USUAL, 1);
    client_send_raw(&c, (struct str){big, sizeof big});
    assert_int_equal(client_closed(&c), 4002);
    client_close(&c, 1000);

    client_login(&c, &n, BOB, INTENTS_USUAL, 1);
    client_send(&c, "{\"op\":8,\"d\":{}}");
    assert_int_equal(client_closed(&c), 4001);
    client_close(&c, 1000);
    node_close(&n);
    world_close();
}

static void silence_and_floods(void)
{
    struct node n;
    struct client c;

    world_open();
    node_options.heartbeat_interval_ms = 200;
    node_options.limits = true;
    node_open(&n, "a");
    client_login(&c, &n, BOB, INTENTS_USUAL, 1);
    assert_int_equal(client_closed(&c), 4009);
    assert_int_equal(gateway_counts(n.gateway).sessions, 1); /* waits for RESUME */
    client_close(&c, 1000);

    client_open(&c, &n, "?v=10");
    (void)client_op(&c, 10);
    for (int i = 0; i < LIMIT_WS_SENDS_PER_MINUTE; i++)
        client_send(&c, "{\"op\":1,\"d\":null}");
    for (int i = 0; i < LIMIT_WS_SENDS_PER_MINUTE; i++)
        (void)client_op(&c, 11);
    client_send(&c, "{\"op\":1,\"d\":null}");
    assert_int_equal(client_closed(&c), 4008);
    client_close(&c, 1000);
    node_close(&n);
    world_close();
}

static void identify_limits(void)
{
    struct node n;
    struct client c;

    world_open();
    node_options.limits = true;
    node_open(&n, "a");
    client_login(&c, &n, BOT, INTENTS_USUAL, 2);
    client_close(&c, 1000);
    client_open(&c, &n, "?v=10");
    client_identify(&c, BOT, 0, "");
    refused(&c);
    /* the connection may try again */
    client_send(&c, "{\"op\":1,\"d\":null}");
    (void)client_op(&c, 11);
    client_close(&c, 1000);
    /* people are not limited */
    client_login(&c, &n, BOB, INTENTS_USUAL, 1);
    client_close(&c, 1000);
    client_login(&c, &n, BOB, INTENTS_USUAL, 1);
    client_close(&c, 1000);
    node_close(&n);
    world_close();
}

static void a_revoked_token(void)
{
    struct node n;
    struct client c;
    struct event e = {.id = 1, .type = EVENT_CONTROL_TOKEN_REVOKED, .data = STR("{\"user_id\":\"102\",\"version\":1}")};

    world_open();
    node_open(&n, "a");
    client_login(&c, &n, BOB, INTENTS_USUAL, 1);
    assert_int_equal(bus_broadcast(ports.bus, &e), 0);
    assert_int_equal(client_closed(&c), 4004);
    assert_int_equal(gateway_counts(n.gateway).sessions, 0);
    client_close(&c, 1000);
    /* the broadcast was missed, the table was read again */
    client_login(&c, &n, BOT, INTENTS_USUAL, 2);
    client_send(&c, "{\"op\":1,\"d\":1}");
    (void)client_op(&c, 11);
    token_registry_revoke(tokens, BOT, 1);
    client_send(&c, "{\"op\":1,\"d\":1}");
    assert_int_equal(client_closed(&c), 4004);
    client_close(&c, 1000);
    node_close(&n);
    world_close();
}

/* --- what is seen ----------------------------------------------------------------------------------------------------
 */
static void who_gets_what(void)
{
    struct node n;
    struct client bob, bot, full, deaf;

    world_open();
    node_open(&n, "a");
    client_login(&bob, &n, BOB, INTENTS_ALL, 1);
    client_login(&bot, &n, BOT, INTENTS_USUAL, 2);
    client_login(&full, &n, FULL, INTENTS_ALL, 1);
    client_login(&deaf, &n, FULL, INTENT_GUILDS, 1);
    say(GENERAL, BOB, "hello");
    assert_string_equal(text_at(client_event(&bob, "MESSAGE_CREATE"), "content"), "hello");
    assert_string_equal(text_at(client_event(&full, "MESSAGE_CREATE"), "content"), "hello");
    assert_string_equal(text_at(client_event(&bot, "MESSAGE_CREATE"), "content"), "");
    say(GENERAL, BOT, "mine");
    assert_string_equal(text_at(client_event(&bot, "MESSAGE_CREATE"), "content"), "mine");
    assert_string_equal(text_at(client_event(&bob, "MESSAGE_CREATE"), "content"), "mine");
    say(SECRET, ALICE, "psst");
    tell(EVENT_MESSAGE_CREATE, BOT, true, DM, BOB, "{\"content\":\"direct\"}");
    assert_string_equal(text_at(client_event(&bot, "MESSAGE_CREATE"), "content"), "direct");
    client_quiet(&bob, 100);
    client_quiet(&deaf, 0);
    assert_false(bob.numbers_wrong || bot.numbers_wrong || full.numbers_wrong);
    client_close(&bob, 1000), client_close(&bot, 1000), client_close(&full, 1000), client_close(&deaf, 1000);
    UNTIL(gateway_counts(n.gateway).sessions == 0);
    node_close(&n);
    world_close();
}

static void shards(void)
{
    struct node n;
    struct client zero, one;

    world_open();
    node_open(&n, "a");
    client_open(&zero, &n, "?v=10");
    client_identify(&zero, BOT, INTENTS_USUAL, ",\"shard\":[0,2]");
    client_open(&one, &n, "?v=10");
    client_identify(&one, BOT, INTENTS_USUAL, ",\"shard\":[1,2]");
    assert_string_equal(text_at(client_event(&zero, "GUILD_CREATE"), "name"), "Demo");
    assert_string_equal(text_at(client_event(&one, "GUILD_CREATE"), "name"), "Other");
    tell(EVENT_MESSAGE_CREATE, BOT, true, DM, BOB, "{\"content\":\"direct\"}");
    say(GENERAL, BOT, "to 0");
    assert_string_equal(text_at(client_event(&zero, "MESSAGE_CREATE"), "content"), "direct");
    assert_string_equal(text_at(client_event(&zero, "MESSAGE_CREATE"), "content"), "to 0");
    client_quiet(&one, 100);
    client_close(&zero, 1000), client_close(&one, 1000);
    node_close(&n);
    world_close();
}

static void channels_appear_and_disappear(void)
{
    struct node n;
    struct client bob;

    world_open();
    node_open(&n, "a");
    client_login(&bob, &n, BOB, INTENTS_ALL, 1);
    /* by a role given, a role changed, an overwrite */
    tell(EVENT_GUILD_MEMBER_UPDATE, GUILD, false, 0, BOB,
         "{\"guild_id\":\"8388608\",\"user\":{\"id\":\"102\"},\"roles\":[\"401\"],\"joined_at\":\"x\"}");
    (void)client_event(&bob, "GUILD_MEMBER_UPDATE");
    assert_string_equal(text_at(client_event(&bob, "CHANNEL_CREATE"), "id"), "302");
    say(SECRET, ALICE, "now you hear");
    assert_string_equal(text_at(client_event(&bob, "MESSAGE_CREATE"), "content"), "now you hear");
    tell(EVENT_GUILD_ROLE_DELETE, GUILD, false, 0, 0, "{\"guild_id\":\"8388608\",\"role_id\":\"401\"}");
    (void)client_event(&bob, "GUILD_ROLE_DELETE");
    assert_string_equal(text_at(client_event(&bob, "CHANNEL_DELETE"), "id"), "302");
    say(SECRET, ALICE, "not any more");
    tell(EVENT_CHANNEL_UPDATE, GUILD, false, SECRET, 0,
         "{\"id\":\"302\",\"type\":0,\"guild_id\":\"8388608\",\"permission_overwrites\":[]}");
    assert_string_equal(text_at(client_event(&bob, "CHANNEL_CREATE"), "id"), "302");
    tell(EVENT_CHANNEL_UPDATE, GUILD, false, SECRET, 0,
         "{\"id\":\"302\",\"type\":0,\"guild_id\":\"8388608\",\"topic\":\"t\",\"permission_overwrites\":[]}");
    assert_string_equal(text_at(client_event(&bob, "CHANNEL_UPDATE"), "topic"), "t");
    tell(EVENT_CHANNEL_DELETE, GUILD, false, SECRET, 0, "{\"id\":\"302\",\"type\":0,\"guild_id\":\"8388608\"}");
    assert_string_equal(text_at(client_event(&bob, "CHANNEL_DELETE"), "id"), "302");
    client_quiet(&bob, 50);
    client_close(&bob, 1000);
    node_close(&n);
    world_close();
}

static void member_in_the_store(uint64_t user, bool there)
{
    struct arena a = {0};
    struct commit c;
    struct member m = {.guild_id = GUILD, .user = {.id = user}, .joined_ms = 1700000000000};

    commit_init(&c, &a);
    if (there)
        store_member_insert(&c, &m);
    else
        store_member_delete(&c, GUILD, user);
    assert_int_equal(commit_run(&c, &ports), 0);
    arena_done(&a);
}

static void joining_and_leaving(void)
{
    struct node n;
    struct client carol, full;

    world_open();
    node_open(&n, "a");
    client_login(&carol, &n, CAROL, INTENTS_ALL, 0);
    client_login(&full, &n, FULL, INTENTS_ALL, 1);
    member_in_the_store(CAROL, true);
    tell(EVENT_GUILD_MEMBER_ADD, GUILD, false, 0, CAROL,
         "{\"guild_id\":\"8388608\",\"user\":{\"id\":\"103\"},\"roles\":[],\"joined_at\":\"x\"}");
    tell(EVENT_CONTROL_GUILD_JOINED, CAROL, true, 0, 0, "{\"guild_id\":\"8388608\"}");
    json_t *guild = client_event(&carol, "GUILD_CREATE");
    assert_null(json_object_get(guild, "unavailable"));
    assert_int_equal(json_array_size(json_object_get(guild, "channels")), 1);
    assert_string_equal(text_at(json_object_get(client_event(&full, "GUILD_MEMBER_ADD"), "user"), "id"), "103");
    say(GENERAL, CAROL, "hi");
    assert_string_equal(text_at(client_event(&carol, "MESSAGE_CREATE"), "content"), "hi");
    (void)client_event(&full, "MESSAGE_CREATE");

    member_in_the_store(CAROL, false);
    tell(EVENT_GUILD_MEMBER_REMOVE, GUILD, false, 0, CAROL, "{\"guild_id\":\"8388608\",\"user\":{\"id\":\"103\"}}");
    tell(EVENT_CONTROL_GUILD_LEFT, CAROL, true, 0, 0, "{\"guild_id\":\"8388608\"}");
    json_t *gone = client_event(&carol, "GUILD_DELETE");
    assert_string_equal(text_at(gone, "id"), "8388608");
    assert_null(json_object_get(gone, "unavailable"));
    say(GENERAL, BOB, "without carol");
    (void)client_event(&full, "GUILD_MEMBER_REMOVE");
    (void)client_event(&full, "MESSAGE_CREATE");
    client_quiet(&carol, 50);

    tell(EVENT_GUILD_DELETE, GUILD, false, 0, 0, "{\"id\":\"8388608\"}");
    (void)client_event(&full, "GUILD_DELETE");
    client_close(&carol, 1000), client_close(&full, 1000);
    node_close(&n);
    world_close();
}

static void asking_for_members(void)
{
    struct node n;
    struct client full, bot;

    world_open();
    node_open(&n, "a");
    client_login(&full, &n, FULL, INTENTS_ALL, 1);
    client_login(&bot, &n, BOT, INTENTS_USUAL, 2);
    client_send(&full, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"\",\"limit\":0,\"nonce\":\"n\"}}", GUILD);
    json_t *chunk = client_event(&full, "GUILD_MEMBERS_CHUNK");
    assert_int_equal(json_array_size(json_object_get(chunk, "members")), 4);
    assert_string_equal(text_at(chunk, "nonce"), "n");
    assert_int_equal(json_integer_value(json_object_get(chunk, "chunk_count")), 1);
    client_send(&bot, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"BO\",\"limit\":10}}", GUILD);
    chunk = client_event(&bot, "GUILD_MEMBERS_CHUNK");
    assert_int_equal(json_array_size(json_object_get(chunk, "members")), 2);
    client_send(&bot, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"user_ids\":[\"101\",\"103\"]}}", GUILD);
    chunk = client_event(&bot, "GUILD_MEMBERS_CHUNK");
    assert_int_equal(json_array_size(json_object_get(chunk, "members")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(chunk, "not_found"), 0)), "103");
    /* the whole list needs the intent */
    client_send(&bot, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"\",\"limit\":0}}", GUILD);
    assert_int_equal(json_array_size(json_object_get(client_event(&bot, "GUILD_MEMBERS_CHUNK"), "members")), 0);
    client_close(&full, 1000), client_close(&bot, 1000);
    node_close(&n);
    world_close();
}

/* --- RESUME ----------------------------------------------------------------------------------------------------------
 */
/* A new connection of the same client; what it had is kept. */
static void reopen(struct client *c, const struct node *n)
{
    struct client old = *c;

    client_open(c, n, "?v=10");
    memcpy(c->session_id, old.session_id, sizeof old.session_id);
    c->seq = old.seq;
    (void)client_op(c, 10);
}

static void resume(void)
{
    struct node n;
    struct client bob;
    char text[16];

    world_open();
    node_open(&n, "a");
    client_login(&bob, &n, BOB, INTENTS_ALL, 1);
    client_cut(&bob);
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "%d", i);
        say(GENERAL, ALICE, text);
    }
    reopen(&bob, &n);
    client_resume(&bob, BOB);
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_string_equal(text_at(client_event(&bob, "MESSAGE_CREATE"), "content"), text);
    }
    json_t *resumed = client_event(&bob, "RESUMED");
    assert_true(json_is_object(resumed));
    say(GENERAL, ALICE, "on");
    (void)client_event(&bob, "MESSAGE_CREATE");
    assert_false(bob.numbers_wrong);
    client_close(&bob, 1000);
    node_close(&n);
    world_close();
}

static void resume_refused(void)
{
    struct node n;
    struct client bob;

    world_open();
    node_open(&n, "a");
    client_login(&bob, &n, BOB, INTENTS_ALL, 1);
    uint64_t seq = bob.seq;
    /* more than the session keeps */
    client_cut(&bob);
    for (unsigned i = 0; i < LIMIT_REPLAY_EVENTS + 1; i++)
        say(GENERAL, ALICE, "x");
    reopen(&bob, &n);
    client_resume(&bob, BOB);
    refused(&bob);
    assert_int_equal(gateway_counts(n.gateway).sessions, 0);
    /* the connection is good for an IDENTIFY */
    client_send(&bob, "{\"op\":2,\"d\":{\"token\":\"%s\"}}", token_of(BOB));
    snprintf(bob.session_id, sizeof bob.session_id, "%s", text_at(client_event(&bob, "READY"), "session_id"));
    (void)client_event(&bob, "GUILD_CREATE");

    /* somebody else's session, and a number it never had */
    client_cut(&bob);
    reopen(&bob, &n);
    client_resume(&bob, CAROL);
    refused(&bob);
    bob.seq = seq + 100;
    client_resume(&bob, BOB);
    assert_int_equal(client_closed(&bob), 4007);
    client_close(&bob, 1000);

    /* closing with 1000 ends it */
    client_login(&bob, &n, BOB, INTENTS_ALL, 1);
    client_close(&bob, 1000);
    UNTIL(gateway_counts(n.gateway).sessions == 0);
    reopen(&bob, &n);
    client_resume(&bob, BOB);
    refused(&bob);
    client_send(&bob, "{\"op\":6,\"d\":{\"token\":\"x\",\"session_id\":\"y\",\"seq\":1}}");
    assert_int_equal(client_closed(&bob), 4004);
    client_close(&bob, 1000);
    node_close(&n);
    world_close();
}

static void stopping(void)
{
    struct node n;
    struct client bob;

    world_open();
    node_open(&n, "a");
    client_login(&bob, &n, BOB, INTENTS_ALL, 1);
    gateway_stop(n.gateway);
    n.gateway = NULL;
    (void)client_op(&bob, 7);
    assert_int_equal(client_closed(&bob), 4000);
    client_close(&bob, 1000);
    node_close(&n);
    world_close();
}

/* One loop for all: the client's library is bound to it. */
CONVERSATIONS(CONVERSATION(close_codes), CONVERSATION(close_codes_of_a_session), CONVERSATION(silence_and_floods),
              CONVERSATION(identify_limits), CONVERSATION(a_revoked_token), CONVERSATION(who_gets_what),
              CONVERSATION(shards), CONVERSATION(channels_appear_and_disappear), CONVERSATION(joining_and_leaving),
              CONVERSATION(asking_for_members), CONVERSATION(resume), CONVERSATION(resume_refused),
              CONVERSATION(stopping))
