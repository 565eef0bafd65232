/* Presences on two nodes: who is seen how by whom, and what becomes of them when sessions and nodes end. */
#include "tests/contract/gateway/fixture.h"

#include "platform/base/limits.h"

#include <stdio.h>

/* The next PRESENCE_UPDATE of this user with this status; d, borrowed. */
static json_t *seen(struct client *c, uint64_t user, const char *status)
{
    char id[24];

    snprintf(id, sizeof id, "%llu", (unsigned long long)user);
    for (json_t *p; (p = client_next(c));) {
        json_t *d = json_object_get(p, "d");
        if (strcmp(text_at(p, "t"), "PRESENCE_UPDATE") == 0 &&
            strcmp(text_at(json_object_get(d, "user"), "id"), id) == 0 && strcmp(text_at(d, "status"), status) == 0)
            return d;
    }
    fail_msg("%s was not seen %s", id, status);
    return NULL;
}

/* No PRESENCE_UPDATE of this user comes for so long. */
static void unseen(struct client *c, uint64_t user, int64_t ms)
{
    char id[24];

    snprintf(id, sizeof id, "%llu", (unsigned long long)user);
    co_sleep(ms);
    while (json_array_size(c->got)) {
        json_t *p = client_next(c), *d = json_object_get(p, "d");
        if (strcmp(text_at(p, "t"), "PRESENCE_UPDATE") == 0 &&
            strcmp(text_at(json_object_get(d, "user"), "id"), id) == 0)
            fail_msg("unexpected: %s", json_dumps(p, 0));
    }
}

static const json_t *listed(const json_t *presences, uint64_t user)
{
    char id[24];
    size_t i;
    const json_t *p;

    snprintf(id, sizeof id, "%llu", (unsigned long long)user);
    json_array_foreach(presences, i, p)
    {
        if (strcmp(text_at(json_object_get(p, "user"), "id"), id) == 0)
            return p;
    }
    return NULL;
}

static void login_as(struct client *c, const struct node *n, uint64_t user, const char *more)
{
    client_open(c, n, "?v=10&encoding=json");
    client_identify(c, user,
                    user == BOT ? INTENTS_USUAL : INTENTS_USUAL | INTENT_GUILD_PRESENCES | INTENT_GUILD_MEMBERS, more);
    (void)client_event(c, "READY");
}

/* Has kv heard of so many presences in GUILD? */
static bool presences_kept(unsigned count)
{
    unsigned there;

    return kv_entries_count(ports.kv, KV_PRESENCE, GUILD, &there) == 0 && there == count;
}

static void coming_and_going(void)
{
    struct node one, two;
    struct client full, bob, bot;

    world_open();
    node_open(&one, "a");
    node_open(&two, "b");
    login_as(&full, &one, FULL, "");
    json_t *guild = client_event(&full, "GUILD_CREATE");
    assert_string_equal(text_at(listed(json_object_get(guild, "presences"), FULL), "status"), "online");
    assert_string_equal(text_at(listed(json_object_get(guild, "presences"), BOB), "status"), "offline");
    (void)seen(&full, FULL, "online");
    UNTIL(presences_kept(1)); /* the other node has it from kv */

    login_as(
        &bob, &two, BOB,
        ",\"presence\":{\"status\":\"idle\",\"since\":5,\"afk\":true,\"activities\":[{\"name\":\"chess\",\"type\":5,"
        "\"details\":\"slow\"}]}");
    guild = client_event(&bob, "GUILD_CREATE");
    assert_string_equal(text_at(listed(json_object_get(guild, "presences"), BOB), "status"), "idle");
    assert_string_equal(text_at(listed(json_object_get(guild, "presences"), FULL), "status"), "online");
    json_t *d = seen(&full, BOB, "idle");
    assert_string_equal(text_at(json_object_get(d, "client_status"), "desktop"), "idle");
    json_t *activity = json_array_get(json_object_get(d, "activities"), 0);
    assert_string_equal(text_at(activity, "name"), "chess");
    assert_string_equal(text_at(activity, "details"), "slow");
    assert_true(json_integer_value(json_object_get(activity, "created_at")) > 0);
    assert_string_equal(text_at(d, "guild_id"), "8388608");

    client_send(&bob, "{\"op\":3,\"d\":{\"status\":\"dnd\",\"since\":null,\"afk\":false,\"activities\":[]}}");
    d = seen(&full, BOB, "dnd");
    assert_int_equal(json_array_size(json_object_get(d, "activities")), 0);
    (void)seen(&bob, BOB, "dnd");
    /* without the intent */
    login_as(&bot, &two, BOT, "");
    guild = client_event(&bot, "GUILD_CREATE");
    assert_int_equal(json_array_size(json_object_get(guild, "presences")), 1);
    (void)seen(&bob, BOT, "online");
    client_send(&bob, "{\"op\":3,\"d\":{\"status\":\"invisible\",\"since\":null,\"afk\":false,\"activities\":[]}}");
    (void)seen(&full, BOB, "offline");
    unseen(&bot, BOB, 0);
    client_send(&bob, "{\"op\":3,\"d\":{\"status\":\"online\",\"since\":null,\"afk\":false,\"activities\":[]}}");
    (void)seen(&full, BOB, "online");
    client_close(&bob, 1000);
    d = seen(&full, BOB, "offline");
    assert_int_equal(json_object_size(json_object_get(d, "client_status")), 0);
    client_close(&full, 1000), client_close(&bot, 1000);
    node_close(&one), node_close(&two);
    world_close();
}

static void sessions_are_merged(void)
{
    struct node one, two;
    struct client full, desk, phone;

    world_open();
    node_open(&one, "a");
    node_open(&two, "b");
    login_as(&full, &one, FULL, "");
    login_as(&desk, &one, BOB, ",\"presence\":{\"status\":\"idle\",\"activities\":[{\"name\":\"one\",\"type\":0}]}");
    (void)seen(&full, BOB, "idle");
    login_as(
        &phone, &two, BOB,
        ",\"properties\":{\"os\":\"iOS\"},\"presence\":{\"status\":\"dnd\",\"activities\":[{\"name\":\"two\",\"type\":"
        "2}]}");
    json_t *d = seen(&full, BOB, "dnd"), *clients = json_object_get(d, "client_status");
    assert_string_equal(text_at(clients, "desktop"), "idle");
    assert_string_equal(text_at(clients, "mobile"), "dnd");
    assert_int_equal(json_array_size(json_object_get(d, "activities")), 2);
    client_close(&phone, 1000);
    d = seen(&full, BOB, "idle");
    assert_null(json_object_get(json_object_get(d, "client_status"), "mobile"));
    /* what is said again is not told again, and a cut session is still there */
    client_send(&desk, "{\"op\":3,\"d\":{\"status\":\"idle\",\"activities\":[{\"name\":\"one\",\"type\":0}]}}");
    client_cut(&desk);
    unseen(&full, BOB, LIMIT_PRESENCE_LATER_MS + 500);
    client_close(&full, 1000);
    node_close(&one), node_close(&two);
    world_close();
}

static void another_session_in_time(void)
{
    struct node n;
    struct client full, bob;

    world_open();
    node_open(&n, "a");
    login_as(&full, &n, FULL, "");
    login_as(&bob, &n, BOB, "");
    (void)seen(&full, BOB, "online");
    client_close(&bob, 1000);
    login_as(&bob, &n, BOB, "");
    unseen(&full, BOB, LIMIT_PRESENCE_LATER_MS + 500);
    client_close(&full, 1000), client_close(&bob, 1000);
    node_close(&n);
    world_close();
}

static void too_many_wait(void)
{
    struct node n;
    struct client full, bob;

    world_open();
    node_options.limits = true;
    node_open(&n, "a");
    login_as(&full, &n, FULL, "");
    login_as(&bob, &n, BOB, "");
    (void)seen(&full, BOB, "online");
    for (int i = 0; i < LIMIT_PRESENCE_UPDATES; i++)
        client_send(&bob, "{\"op\":3,\"d\":{\"status\":\"%s\",\"activities\":[]}}", i % 2 ? "dnd" : "idle");
    (void)seen(&full, BOB, "idle"); /* the last of them; those before were gathered */
    client_send(&bob, "{\"op\":3,\"d\":{\"status\":\"dnd\",\"activities\":[]}}");
    unseen(&full, BOB, 1000);
    client_close(&full, 1000), client_close(&bob, 1000);
    node_close(&n);
    world_close();
}

static void wrong_ones(void)
{
    static const char *const wrong[] = {"{\"status\":\"away\"}",
                                        "{\"status\":5}",
                                        "{\"activities\":{}}",
                                        "{\"activities\":[{\"type\":0}]}",
                                        "{\"activities\":[{\"name\":\"x\",\"type\":9}]}",
                                        "{\"since\":\"now\"}",
                                        "{\"afk\":1}",
                                        "[]"};
    struct node n;
    struct client c;

    world_open();
    node_open(&n, "a");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        login_as(&c, &n, BOB, "");
        client_send(&c, "{\"op\":3,\"d\":%s}", wrong[i]);
        assert_int_equal(client_closed(&c), 4001);
        client_close(&c, 1000);
    }
    client_open(&c, &n, "?v=10");
    client_identify(&c, BOB, 0, ",\"presence\":{\"status\":\"away\"}");
    assert_int_equal(client_closed(&c), 4001);
    client_close(&c, 1000);
    node_close(&n);
    world_close();
}

static void members_with_presences(void)
{
    struct node n;
    struct client full, bob;

    world_open();
    node_open(&n, "a");
    login_as(&bob, &n, BOB, "");
    login_as(&full, &n, FULL, "");
    (void)seen(&bob, FULL, "online");
    client_send(&full, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"query\":\"\",\"limit\":0,\"presences\":true}}", GUILD);
    json_t *d = client_event(&full, "GUILD_MEMBERS_CHUNK"), *presences = json_object_get(d, "presences");
    assert_int_equal(json_array_size(presences), 2);
    assert_string_equal(text_at(listed(presences, BOB), "status"), "online");
    client_close(&full, 1000), client_close(&bob, 1000);
    node_close(&n);
    world_close();
}

static void kicked_is_not_told_as_offline(void)
{
    struct node n;
    struct client full, bob;

    world_open();
    node_open(&n, "a");
    login_as(&full, &n, FULL, "");
    login_as(&bob, &n, BOB, "");
    (void)seen(&full, BOB, "online");
    tell(EVENT_GUILD_MEMBER_REMOVE, GUILD, false, 0, BOB, "{\"guild_id\":\"8388608\",\"user\":{\"id\":\"102\"}}");
    (void)client_event(&full, "GUILD_MEMBER_REMOVE");
    unseen(&full, BOB, LIMIT_PRESENCE_LATER_MS + 500);
    unsigned count;
    assert_int_equal(kv_entries_count(ports.kv, KV_PRESENCE, GUILD, &count), 0);
    assert_int_equal(count, 1);
    client_close(&full, 1000), client_close(&bob, 1000);
    node_close(&n);
    world_close();
}

/* What a node missed it reads: kv is right, the bus said nothing. */
static void a_lost_change_is_found(void)
{
    struct node n;
    struct client full;
    struct arena a = {0};
    struct kv_route route;
    struct kv_change c = {
        .kind = KV_PRESENCE,
        .topic = GUILD,
        .field = STR("102:elsewhere"),
        .value = STR("{\"status\":\"dnd\",\"client_status\":{\"web\":\"dnd\"},\"activities\":[]}"),
    };

    world_open();
    node_options.heartbeat_interval_ms = 60000; /* longer than it takes to find a dead node */
    node_open(&n, "a");
    login_as(&full, &n, FULL, "");
    (void)seen(&full, FULL, "online");
    assert_int_equal(kv_put(ports.kv, "owner:elsewhere", STR("1"), 60000), 0);
    assert_int_equal(kv_entry_change(ports.kv, &a, &c, &route), 0);
    /* the next change shows that one is missing */
    client_send(&full, "{\"op\":3,\"d\":{\"status\":\"idle\",\"activities\":[]}}");
    (void)seen(&full, BOB, "dnd");
    /* its owner dies: who lives drops what it had put */
    assert_int_equal(kv_del(ports.kv, "owner:elsewhere"), 0);
    for (int i = 0; i < 12; i++)
        co_sleep(2500);
    (void)seen(&full, BOB, "offline");
    unsigned count;
    assert_int_equal(kv_entries_count(ports.kv, KV_PRESENCE, GUILD, &count), 0);
    assert_int_equal(count, 1);
    client_close(&full, 1000);
    arena_done(&a);
    node_close(&n);
    world_close();
}

CONVERSATIONS(CONVERSATION(coming_and_going), CONVERSATION(sessions_are_merged), CONVERSATION(another_session_in_time),
              CONVERSATION(too_many_wait), CONVERSATION(wrong_ones), CONVERSATION(members_with_presences),
              CONVERSATION(kicked_is_not_told_as_offline), CONVERSATION(a_lost_change_is_found))
