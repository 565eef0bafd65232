/* Two nodes, and events that come late, twice, out of order or not at all. */
#include "tests/contract/gateway/fixture.h"

#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/io/ws_client.h"

#include <stdio.h>

/* A message event that the test publishes by hand. */
static struct event message(const char *content, char data[256])
{
    snprintf(data, 256, "{\"id\":\"%llu\",\"channel_id\":\"%d\",\"content\":\"%s\"}",
             (unsigned long long)snowflake_next(), GENERAL, content);
    return (struct event){.id = snowflake_next(),
                          .topic = GUILD,
                          .type = EVENT_MESSAGE_CREATE,
                          .channel_id = GENERAL,
                          .user_id = ALICE,
                          .data = str_c(data)};
}

static void number_take(struct event *e)
{
    struct arena a = {0};
    struct kv_route route;

    assert_int_equal(kv_topic_next(ports.kv, &a, e->topic, e->id, &route), 0);
    e->number = route.number;
    arena_done(&a);
}

static void publish(const struct event *e)
{
    struct arena a = {0};
    struct kv_route route;

    assert_int_equal(kv_topic_route(ports.kv, &a, e->topic, &route), 0);
    assert_int_equal(bus_publish(ports.bus, e, route.node_ids, route.node_count), 0);
    arena_done(&a);
}

static void into_the_outbox(const struct event *e)
{
    struct arena a = {0};
    struct commit c;

    commit_init(&c, &a);
    store_outbox_insert(&c, e);
    assert_int_equal(commit_run(&c, &ports), 0);
    arena_done(&a);
}

static void hears(struct client *c, const char *content)
{
    assert_string_equal(text_at(client_event(c, "MESSAGE_CREATE"), "content"), content);
}

static unsigned nodes_of(uint64_t topic)
{
    struct arena a = {0};
    struct kv_route route;

    assert_int_equal(kv_topic_route(ports.kv, &a, topic, &route), 0);
    arena_done(&a);
    return route.node_count;
}

static void two_nodes(void)
{
    struct node a, b;
    struct client alice, bot;
    char text[16];

    world_open();
    node_open(&a, "a");
    node_open(&b, "b");
    assert_int_equal(nodes_of(GUILD), 0);
    client_login(&alice, &a, ALICE, INTENTS_ALL, 2);
    assert_int_equal(nodes_of(GUILD), 1);
    client_login(&bot, &b, BOT, INTENTS_USUAL, 2);
    assert_int_equal(nodes_of(GUILD), 2);
    assert_int_equal(nodes_of(ALICE), 1);
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%d", i);
        say(GENERAL, BOT, text);
    }
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "%d", i);
        hears(&alice, text);
        hears(&bot, text);
    }
    /* a session is known where it was made only */
    uint64_t seq = bot.seq;
    char id[40];
    memcpy(id, bot.session_id, sizeof id);
    client_cut(&bot);
    client_open(&bot, &a, "?v=10");
    (void)client_op(&bot, 10);
    memcpy(bot.session_id, id, sizeof id);
    bot.seq = seq;
    client_resume(&bot, BOT);
    json_t *d = json_object_get(client_op(&bot, 9), "d");
    assert_true(json_is_false(d));
    client_close(&alice, 1000), client_close(&bot, 1000);
    node_close(&b);
    say(GENERAL, BOT, "to one node");
    node_close(&a);
    world_close();
}

static void out_of_order(void)
{
    struct node n;
    struct client alice;
    char one[256], two[256], three[256];

    world_open();
    node_open(&n, "a");
    client_login(&alice, &n, ALICE, INTENTS_ALL, 2);
    struct event e1 = message("1", one), e2 = message("2", two), e3 = message("3", three);
    number_take(&e1), number_take(&e2), number_take(&e3);
    publish(&e3), publish(&e2), publish(&e1), publish(&e2);
    hears(&alice, "1"), hears(&alice, "2"), hears(&alice, "3");
    /* the outbox publishes again what was not confirmed in time */
    number_take(&e2);
    publish(&e2);
    say(GENERAL, BOB, "4");
    hears(&alice, "4");
    client_quiet(&alice, 50);
    assert_false(alice.numbers_wrong);
    client_close(&alice, 1000);
    node_close(&n);
    world_close();
}

static void a_lost_event_is_fetched(void)
{
    struct node n;
    struct client alice;
    char lost[256], late[256];

    world_open();
    node_open(&n, "a");
    client_login(&alice, &n, ALICE, INTENTS_ALL, 2);
    struct event e = message("lost", lost), later = message("late", late);
    number_take(&e);
    into_the_outbox(&e);
    say(GENERAL, BOB, "after it");
    client_quiet(&alice, 100);
    hears(&alice, "lost"), hears(&alice, "after it");
    /* a late one closes the gap before it is fetched */
    number_take(&later);
    say(GENERAL, BOB, "after that");
    client_quiet(&alice, 100);
    publish(&later);
    hears(&alice, "late"), hears(&alice, "after that");
    assert_false(alice.numbers_wrong);
    client_close(&alice, 1000);
    node_close(&n);
    world_close();
}

/* Never a silent hole: who can not be told everything must begin anew. */
static void a_lost_event_that_is_nowhere(void)
{
    struct node n;
    struct client alice, carol;
    char text[256];

    world_open();
    node_open(&n, "a");
    client_login(&alice, &n, ALICE, INTENTS_ALL, 2);
    client_login(&carol, &n, CAROL, INTENTS_ALL, 0);
    struct event e = message("lost", text);
    number_take(&e);
    say(GENERAL, BOB, "after it");
    json_t *d = json_object_get(client_op(&alice, 9), "d");
    assert_true(json_is_false(d));
    client_quiet(&carol, 0); /* it is in another topic */
    assert_int_equal(gateway_counts(n.gateway).sessions, 1);
    client_send(&alice, "{\"op\":2,\"d\":{\"token\":\"%s\"}}", token_of(ALICE));
    (void)client_event(&alice, "READY");
    (void)client_event(&alice, "GUILD_CREATE"), (void)client_event(&alice, "GUILD_CREATE");
    say(GENERAL, BOB, "again");
    hears(&alice, "again");
    client_close(&alice, 1000), client_close(&carol, 1000);
    node_close(&n);
    world_close();
}

/* Who does not read is cut before it costs much memory; its session is kept as far as it goes. */
static void a_slow_client(void)
{
    struct node n;
    struct client alice, bob;
    struct buf data = {0};

    world_open();
    node_open(&n, "a");
    client_login(&alice, &n, ALICE, INTENTS_ALL, 2);
    client_login(&bob, &n, BOB, INTENTS_ALL, 1);
    ws_client_pause(alice.ws, true);
    buf_addf(&data, "{\"id\":\"1\",\"channel_id\":\"%d\",\"content\":\"", GENERAL);
    for (int i = 0; i < 100000; i++)
        buf_addc(&data, 'x');
    buf_adds(&data, "\"}");
    for (int i = 0; i < 1000 && gateway_counts(n.gateway).connections == 2; i++) {
        (void)tell(EVENT_MESSAGE_CREATE, GUILD, false, GENERAL, BOB, data.data);
        co_sleep(10);
    }
    UNTIL(gateway_counts(n.gateway).connections == 1);
    assert_int_equal(gateway_counts(n.gateway).sessions, 2);
    say(GENERAL, BOB, "bob is well");
    while (strcmp(text_at(client_event(&bob, "MESSAGE_CREATE"), "content"), "bob is well") != 0)
        ;
    assert_false(bob.numbers_wrong);
    ws_client_pause(alice.ws, false);
    client_close(&alice, 1000), client_close(&bob, 1000);
    buf_done(&data);
    node_close(&n);
    world_close();
}

/* One turn brings more than the replay ring holds: what the ring drops has been given to the connection before. */
static void a_turn_with_more_than_the_ring_holds(void)
{
    struct node n;
    struct client alice;
    char data[256], text[16];

    world_open();
    node_open(&n, "a");
    client_login(&alice, &n, ALICE, INTENTS_ALL, 2);
    for (int i = 0; i < LIMIT_REPLAY_EVENTS + 100; i++) {
        snprintf(text, sizeof text, "%d", i);
        struct event e = message(text, data);
        number_take(&e);
        publish(&e);
    }
    for (int i = 0; i < LIMIT_REPLAY_EVENTS + 100; i++) {
        snprintf(text, sizeof text, "%d", i);
        hears(&alice, text);
    }
    assert_false(alice.numbers_wrong);
    client_close(&alice, 1000);
    node_close(&n);
    world_close();
}

/* Others took the node for dead: what was sent to its name since is lost. */
static void a_lapsed_lease(void)
{
    struct node n;
    struct client alice;

    world_open();
    node_open(&n, "a");
    client_login(&alice, &n, ALICE, INTENTS_ALL, 2);
    assert_int_equal(kv_node_remove(ports.kv, "a"), 0);
    UNTIL(strcmp(gateway_node_id(n.gateway), "a") != 0);
    json_t *d = json_object_get(client_op(&alice, 9), "d");
    assert_true(json_is_false(d));
    UNTIL(gateway_ready(n.gateway));
    client_send(&alice, "{\"op\":2,\"d\":{\"token\":\"%s\"}}", token_of(ALICE));
    (void)client_event(&alice, "READY");
    (void)client_event(&alice, "GUILD_CREATE"), (void)client_event(&alice, "GUILD_CREATE");
    say(GENERAL, BOB, "to the new name");
    hears(&alice, "to the new name");
    client_close(&alice, 1000);
    node_close(&n);
    world_close();
}

CONVERSATIONS(CONVERSATION(two_nodes), CONVERSATION(out_of_order), CONVERSATION(a_lost_event_is_fetched),
              CONVERSATION(a_lost_event_that_is_nowhere), CONVERSATION(a_slow_client),
              CONVERSATION(a_turn_with_more_than_the_ring_holds), CONVERSATION(a_lapsed_lease))
