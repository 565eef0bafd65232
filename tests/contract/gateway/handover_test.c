/* Sessions that go from one node to another, on real Redis and RabbitMQ: a drain, a node that is killed, a node that is
 * asked; and what makes it impossible. Nothing is lost, nothing comes twice, numbers stay without holes; where that
 * cannot be had the client is told by op 9. */
#include "tests/contract/gateway/fixture.h"

#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/snowflake.h"
#include "platform/ports/outbox.h"
#include "tests/support/services.h"

/* Without presences, whose number nobody can foretell. */
#define INTENTS_MINE (INTENTS_USUAL | INTENT_MESSAGE_CONTENT)

/* A node with connections of its own to the servers, as in a process of its own. */
struct site {
    struct ports ports;
    struct node node;
};

static void site_open(struct site *s, const char *id)
{
    struct buf err = {0};

    s->ports = ports;
    s->ports.kv = kv_open(world_redis_url, &err);
    s->ports.bus = bus_open(world_amqp_url, &err);
    assert_true(s->ports.kv && s->ports.bus);
    UNTIL(kv_ready(s->ports.kv) && bus_ready(s->ports.bus));
    node_options.ports = &s->ports;
    node_options.session_log = true;
    node_open(&s->node, id);
    buf_done(&err);
}

static void site_close(struct site *s)
{
    node_close(&s->node);
    bus_close(s->ports.bus);
    kv_close(s->ports.kv);
    co_sleep(20);
}

/* As if killed. */
static void site_kill(struct site *s)
{
    gateway_abandon(s->node.gateway);
    s->node.gateway = NULL;
}

static struct site a, b;

static void open_both(void)
{
    world_redis_url = services_env("REDIS_URL");
    world_amqp_url = services_env("AMQP_URL");
    world_open();
    node_options.heartbeat_interval_ms = 600000;
    outbox_start(&ports);
    site_open(&a, "a"), site_open(&b, "b");
}

static void close_both(void)
{
    site_close(&a), site_close(&b);
    outbox_stop();
    co_sleep(500);
    world_close();
}

static unsigned said;

static uint64_t said_as[256]; /* the events */

static void say_some(unsigned count)
{
    char text[16];

    while (count--) {
        snprintf(text, sizeof text, "%u", said);
        said_as[said++ % 256] = say(GENERAL, ALICE, text);
    }
}

/* As the outbox does with what nobody marked: the process that published it died. */
static void publish_again(unsigned first, unsigned last)
{
    for (unsigned n = first; n < last; n++) {
        struct arena arena = {0};
        struct event e;
        assert_int_equal(store_outbox_get(ports.db, &arena, said_as[n % 256], &e), 0);
        while (clock_wall_ms() - snowflake_ms(e.id) < LIMIT_OUTBOX_PENDING_MS)
            co_sleep(50);
        assert_int_equal(commit_publish(&ports, &e, 1), 0);
        arena_done(&arena);
    }
}

static void restart_redis(void)
{
    services_await("restart", "redis");
    UNTIL(kv_ready(ports.kv) && kv_ready(a.ports.kv) && kv_ready(b.ports.kv));
}

/* The messages first..said-1, each once, in order; other events are skipped. */
static void hears_from(struct client *c, unsigned first)
{
    for (unsigned n = first; n < said; n++) {
        json_t *d = client_event(c, "MESSAGE_CREATE");
        if ((unsigned)atoi(text_at(d, "content")) != n)
            fail_msg("%s came, not %u", text_at(d, "content"), n);
    }
    assert_false(c->numbers_wrong);
}

static void resume_on(struct client *c, const struct site *s, uint64_t user)
{
    char session_id[40];
    uint64_t seq = c->seq;

    snprintf(session_id, sizeof session_id, "%s", c->session_id);
    client_cut(c);
    client_open(c, &s->node, "?v=10&encoding=json");
    snprintf(c->session_id, sizeof c->session_id, "%s", session_id);
    c->seq = seq;
    (void)client_op(c, 10);
    client_resume(c, user);
}

static void must_identify(struct client *c)
{
    for (int tries = 0; tries < 10; tries++) {
        const json_t *p = client_next(c);
        if (p && json_integer_value(json_object_get(p, "op")) == 9)
            return;
        if (p)
            fail_msg("not op 9: %s", json_dumps(p, 0));
    }
    fail_msg("no op 9");
}

/* A bot's session can be taken over from a dead node once its record is written. */
static void recorded(const struct client *c)
{
    struct arena arena = {0};
    struct str owner, value;

    UNTIL(kv_session_get(ports.kv, &arena, c->session_id, &owner, &value) == 0);
    arena_done(&arena);
}

/* --- planned ---------------------------------------------------------------------------------------------------------
 */
static void a_drained_node(void)
{
    struct client bob, bot;

    open_both();
    client_login(&bob, &a.node, BOB, INTENTS_MINE, 1);
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    say_some(20);
    hears_from(&bot, said - 20);
    gateway_drain(a.node.gateway); /* bob has read nothing of it yet, or has: its seq tells */
    say_some(20);
    (void)client_op(&bot, 7);
    assert_int_equal(client_closed(&bob), 4000);
    assert_int_equal(client_closed(&bot), 4000);
    (void)client_op(&bob, 7);
    json_array_clear(bob.got);
    bob.seq -= 7; /* it went down before it had stored the last ones */
    resume_on(&bob, &b, BOB);
    hears_from(&bob, said - 27);
    resume_on(&bot, &b, FULL);
    (void)client_event(&bot, "RESUMED");
    hears_from(&bot, said - 20);
    say_some(5);
    hears_from(&bob, said - 5), hears_from(&bot, said - 5);
    client_quiet(&bob, 200), client_quiet(&bot, 100);
    /* and the next: from b, which has them from a */
    site_close(&a);
    site_open(&a, "a");
    gateway_drain(b.node.gateway);
    say_some(3);
    (void)client_closed(&bob), (void)client_closed(&bot);
    json_array_clear(bob.got), json_array_clear(bot.got);
    resume_on(&bob, &a, BOB), resume_on(&bot, &a, FULL);
    hears_from(&bob, said - 3), hears_from(&bot, said - 3);
    client_close(&bob, 1000), client_close(&bot, 1000);
    close_both();
}

/* Its voice state and its presence go along; the others are told nothing. */
static void voice_goes_along(void)
{
    static struct overwrite all[] = {{GUILD, 0, PERMISSION_CONNECT, 0}};
    struct channel talk = {.id = 601,
                           .guild_id = GUILD,
                           .name = STR("talk"),
                           .type = CHANNEL_GUILD_VOICE,
                           .overwrites = all,
                           .overwrite_count = 1};
    struct client bob, bot;
    struct arena arena = {0};
    struct commit c;
    struct str before, after;

    open_both();
    commit_init(&c, &arena);
    store_channel_insert(&c, &talk);
    assert_int_equal(commit_run(&c, &ports), 0);
    client_login(&bob, &b.node, BOB, INTENTS_USUAL | INTENT_GUILD_VOICE_STATES | INTENT_GUILD_PRESENCES, 1);
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    client_send(&bot, "{\"op\":4,\"d\":{\"guild_id\":\"%d\",\"channel_id\":\"601\"}}", GUILD);
    (void)client_event(&bot, "VOICE_SERVER_UPDATE");
    assert_string_equal(text_at(client_event(&bob, "VOICE_STATE_UPDATE"), "channel_id"), "601");
    (void)client_event(&bob, "VOICE_CHANNEL_START_TIME_UPDATE");
    assert_int_equal(kv_entry_get(ports.kv, &arena, KV_VOICE, GUILD, STR("105"), &before), 0);
    gateway_drain(a.node.gateway);
    (void)client_closed(&bot);
    json_array_clear(bot.got);
    resume_on(&bot, &b, FULL);
    (void)client_event(&bot, "RESUMED");
    UNTIL(kv_entry_get(ports.kv, &arena, KV_VOICE, GUILD, STR("105"), &after) == 0 && !str_eq(before, after));
    site_close(&a);
    client_quiet(&bob, 2000);
    site_open(&a, "a");
    client_close(&bot, 1000);
    assert_string_equal(text_at(client_event(&bob, "VOICE_STATE_UPDATE"), "channel_id"), "");
    client_close(&bob, 1000);
    arena_done(&arena);
    close_both();
}

/* What changed who sees what, while nobody looked. */
static void changes_in_between(void)
{
    struct client bot;
    char data[256];

    open_both();
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    say_some(1);
    hears_from(&bot, said - 1);
    gateway_drain(a.node.gateway);
    (void)client_closed(&bot);
    json_array_clear(bot.got);
    snprintf(data, sizeof data, "{\"id\":\"%d\",\"guild_id\":\"%d\",\"type\":0,\"name\":\"general\",\"topic\":\"new\"}",
             GENERAL, GUILD);
    (void)tell(EVENT_CHANNEL_UPDATE, GUILD, false, GENERAL, 0, data);
    (void)tell(EVENT_MESSAGE_CREATE, GUILD, false, SECRET, ALICE, "{\"content\":\"hidden\"}");
    (void)tell(EVENT_MESSAGE_CREATE, FULL, true, DM, BOB, "{\"content\":\"private\"}");
    snprintf(data, sizeof data, "{\"guild_id\":\"%d\"}", OTHER);
    (void)tell(EVENT_CONTROL_GUILD_LEFT, FULL, true, 0, 0, data);
    resume_on(&bot, &b, FULL);
    (void)client_event(&bot, "RESUMED");
    bool created = false, updated = false, private = false, left = false;
    for (json_t *p; !(created && updated && private && left) && (p = client_next(&bot));) {
        created |= strcmp(text_at(p, "t"), "CHANNEL_CREATE") == 0;
        updated |= strcmp(text_at(p, "t"), "CHANNEL_UPDATE") == 0;
        left |= strcmp(text_at(p, "t"), "GUILD_DELETE") == 0;
        private |= strcmp(text_at(json_object_get(p, "d"), "content"), "private") == 0;
        assert_string_not_equal(text_at(json_object_get(p, "d"), "content"), "hidden");
    }
    assert_true(created && updated && private && left);
    client_close(&bot, 1000);
    close_both();
}

/* --- killed ----------------------------------------------------------------------------------------------------------
 */
static void a_killed_node(void)
{
    struct client bob, bot;

    open_both();
    client_login(&bob, &a.node, BOB, INTENTS_MINE, 1);
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    recorded(&bot);
    say_some(30);
    hears_from(&bot, said - 30), hears_from(&bob, said - 30);
    site_kill(&a);
    say_some(30);
    (void)tell(EVENT_INTERACTION_CREATE, GUILD, false, GENERAL, FULL, "{\"id\":\"1\",\"token\":\"t\"}");
    bot.seq -= 10;
    resume_on(&bot, &b, FULL);
    hears_from(&bot, said - 40);
    assert_string_equal(text_at(client_event(&bot, "INTERACTION_CREATE"), "token"), "t");
    say_some(5);
    hears_from(&bot, said - 5);
    client_quiet(&bot, 200);
    /* a person's session died with it: said at once, and honestly */
    resume_on(&bob, &b, BOB);
    must_identify(&bob);
    /* what came from a survives b, too */
    site_close(&a);
    site_open(&a, "a");
    recorded(&bot);
    co_sleep(1500); /* b's own record */
    site_kill(&b);
    say_some(2);
    resume_on(&bot, &a, FULL);
    hears_from(&bot, said - 2);
    client_close(&bob, 1000), client_close(&bot, 1000);
    close_both();
}

static void beyond_what_is_known(void)
{
    struct client bot;

    open_both();
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    recorded(&bot);
    say_some(3);
    hears_from(&bot, said - 3);
    site_kill(&a);
    bot.seq += 1;
    resume_on(&bot, &b, FULL);
    must_identify(&bot);
    /* and it is over: not adopted by a second try */
    bot.seq -= 1;
    resume_on(&bot, &b, FULL);
    must_identify(&bot);
    client_close(&bot, 1000);
    close_both();
}

/* --- asked -----------------------------------------------------------------------------------------------------------
 */
static void a_live_node_is_asked(void)
{
    struct client bob, bot;

    open_both();
    client_login(&bob, &a.node, BOB, INTENTS_MINE, 1);
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    say_some(3);
    hears_from(&bot, said - 3), hears_from(&bob, said - 3);
    client_cut(&bob), client_cut(&bot);
    bob.got = json_array(), bot.got = json_array();
    say_some(4);
    co_sleep(100);
    resume_on(&bob, &b, BOB), resume_on(&bot, &b, FULL);
    hears_from(&bob, said - 4), hears_from(&bot, said - 4);
    say_some(3);
    hears_from(&bob, said - 3), hears_from(&bot, said - 3);
    assert_int_equal(gateway_counts(a.node.gateway).sessions, 0);
    /* back again, and a third who says it is bob's */
    resume_on(&bob, &a, BOB);
    say_some(3);
    hears_from(&bob, said - 3), hears_from(&bot, said - 3);
    resume_on(&bob, &b, ALICE);
    must_identify(&bob);
    client_quiet(&bot, 100);
    client_close(&bob, 1000), client_close(&bot, 1000);
    close_both();
}

static void two_claim_it(void)
{
    struct site c;
    struct client bot, twin;

    open_both();
    site_open(&c, "c");
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    recorded(&bot);
    say_some(3);
    hears_from(&bot, said - 3);
    site_kill(&a);
    client_open(&twin, &c.node, "?v=10&encoding=json");
    (void)client_op(&twin, 10);
    snprintf(twin.session_id, sizeof twin.session_id, "%s", bot.session_id);
    twin.seq = bot.seq;
    client_resume(&twin, FULL);
    resume_on(&bot, &b, FULL);
    /* one of them has it in the end, and the session is in one place */
    UNTIL(gateway_counts(b.node.gateway).sessions + gateway_counts(c.node.gateway).sessions == 1);
    say_some(3);
    co_sleep(3000);
    assert_int_equal(gateway_counts(b.node.gateway).sessions + gateway_counts(c.node.gateway).sessions, 1);
    hears_from(gateway_counts(b.node.gateway).sessions ? &bot : &twin, said - 3);
    client_close(&bot, 1000), client_close(&twin, 1000);
    site_close(&c);
    close_both();
}

/* --- kv --------------------------------------------------------------------------------------------------------------
 */
static void without_kv_it_goes_on(void)
{
    struct client bot;

    open_both();
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    recorded(&bot);
    say_some(3);
    hears_from(&bot, said - 3);
    services_await("kill", "redis");
    client_send(&bot, "{\"op\":8,\"d\":{\"guild_id\":\"%d\",\"user_ids\":[\"%d\"]}}", GUILD, BOB);
    (void)client_event(&bot, "GUILD_MEMBERS_CHUNK"); /* dispatched, though it cannot be logged */
    services_await("start", "redis");
    UNTIL(kv_ready(ports.kv) && kv_ready(a.ports.kv) && kv_ready(b.ports.kv));
    co_sleep(4000); /* the log begins anew, the record is written again */
    say_some(3);
    hears_from(&bot, said - 3);
    recorded(&bot);
    site_kill(&a);
    say_some(3);
    resume_on(&bot, &b, FULL);
    hears_from(&bot, said - 3);
    client_close(&bot, 1000);
    close_both();
}

static void empty_work(void *arg)
{
    (void)arg;
    assert_int_equal(system("redis-cli -u \"$REDIS_URL\" flushall >&2"), 0); // NOLINT(cert-env33-c): its own words
    services_do("restart", "redis");
}

/* Records and log are written again; before that a killed node's session is gone, and its client is told so. */
static void an_empty_redis(void)
{
    struct client bot, other;

    open_both();
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    client_login(&other, &b.node, FULL, INTENTS_MINE, 1);
    recorded(&bot), recorded(&other);
    say_some(3);
    hears_from(&bot, said - 3);
    co_work(empty_work, NULL);
    UNTIL(kv_ready(ports.kv) && kv_ready(a.ports.kv) && kv_ready(b.ports.kv));
    site_kill(&b);
    resume_on(&other, &a, FULL);
    must_identify(&other);
    recorded(&bot);
    say_some(3);
    hears_from(&bot, said - 3);
    site_close(&b);
    site_open(&b, "b");
    co_sleep(1500);
    site_kill(&a);
    say_some(3);
    resume_on(&bot, &b, FULL);
    hears_from(&bot, said - 3);
    client_close(&bot, 1000), client_close(&other, 1000);
    close_both();
}

/* Under new numbers, after everybody has moved to a node that followed nothing before: nobody gets it twice. */
static void what_is_published_again(void)
{
    struct client bob, bot;

    open_both();
    client_login(&bob, &a.node, BOB, INTENTS_MINE, 1);
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    say_some(200);
    hears_from(&bob, said - 200), hears_from(&bot, said - 200);
    gateway_drain(a.node.gateway);
    (void)client_closed(&bob), (void)client_closed(&bot);
    json_array_clear(bob.got), json_array_clear(bot.got);
    resume_on(&bob, &b, BOB), resume_on(&bot, &b, FULL);
    (void)client_event(&bob, "RESUMED"), (void)client_event(&bot, "RESUMED");
    restart_redis();
    publish_again(said - 200, said);
    say_some(1);
    hears_from(&bob, said - 1), hears_from(&bot, said - 1);
    /* the bot lives on when its second home dies, and its third knows what the first had sent */
    site_close(&a);
    site_open(&a, "a");
    recorded(&bot);
    site_kill(&b);
    resume_on(&bot, &a, FULL);
    (void)client_event(&bot, "RESUMED");
    restart_redis();
    publish_again(said - 201, said);
    say_some(1);
    hears_from(&bot, said - 1);
    client_close(&bob, 1000), client_close(&bot, 1000);
    close_both();
}

/* Two restarts in a row: what was numbered in between, and what comes then under the same numbers, both arrive. */
static void redis_restarts_twice(void)
{
    struct client bot;
    bool heard[256] = {false};
    unsigned first;

    open_both();
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    say_some(30);
    hears_from(&bot, said - 30);
    first = said;
    for (int i = 0; i < 4; i++) {
        services_await("restart", "redis");
        UNTIL(kv_ready(ports.kv));
        say_some(5);
    }
    for (unsigned left = said - first; left > 0;) {
        json_t *d = client_event(&bot, "MESSAGE_CREATE");
        unsigned n = (unsigned)atoi(text_at(d, "content"));
        assert_in_range(n, first, said - 1);
        if (heard[n % 256])
            fail_msg("%u came twice", n);
        heard[n % 256] = true;
        left--;
    }
    assert_false(bot.numbers_wrong);
    client_close(&bot, 1000);
    close_both();
}

/* A node that was taken for dead goes on with its log: what it dispatched after a session had left, the session has not
 * had when it comes back. */
static void a_node_that_only_slept(void)
{
    struct client bot, other;

    open_both();
    client_login(&bot, &a.node, FULL, INTENTS_MINE, 1);
    client_login(&other, &a.node, BOT, INTENTS_USUAL, 2);
    recorded(&bot);
    assert_int_equal(kv_node_remove(ports.kv, "a"), 0);
    resume_on(&bot, &b, FULL);
    (void)client_event(&bot, "RESUMED");
    recorded(&bot);
    (void)client_op(&other, 9); /* it has found out */
    client_close(&other, 4000);
    client_login(&other, &a.node, BOT, INTENTS_USUAL, 2);
    site_kill(&b);
    say_some(5);
    for (int i = 0; i < 5; i++)
        (void)client_event(&other, "MESSAGE_CREATE");
    co_sleep(LIMIT_OUTBOX_PENDING_MS); /* so old that they may have been published again */
    resume_on(&bot, &a, FULL);
    hears_from(&bot, said - 5);
    client_close(&bot, 1000), client_close(&other, 1000);
    close_both();
}

CONVERSATIONS(CONVERSATION(redis_restarts_twice), CONVERSATION(a_node_that_only_slept),
              CONVERSATION(what_is_published_again), CONVERSATION(a_drained_node), CONVERSATION(voice_goes_along),
              CONVERSATION(changes_in_between), CONVERSATION(a_killed_node), CONVERSATION(beyond_what_is_known),
              CONVERSATION(a_live_node_is_asked), CONVERSATION(two_claim_it), CONVERSATION(without_kv_it_goes_on),
              CONVERSATION(an_empty_redis))
