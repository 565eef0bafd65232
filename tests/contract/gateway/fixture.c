/* The world of the gateway's tests. */
#include "tests/contract/gateway/fixture.h"

#include "platform/base/clock.h"
#include "platform/base/snowflake.h"
#include "platform/io/ws_client.h"
#include "platform/protocol/intents.h"

#include <sodium.h>
#include <stdio.h>

struct ports ports;
struct token_registry *tokens;
struct gateway_options node_options;

/* --- world -----------------------------------------------------------------------------------------------------------
 */
static void seed_users(struct commit *c)
{
    static const char *const names[] = {"alice", "bob", "carol", "bot", "full"};

    for (uint64_t i = 0; i < 5; i++) {
        struct user u = {
            .id = ALICE + i, .username = str_c(names[i]), .accent_color = -1, .bot = i >= 3, .created_ms = 1};
        store_user_insert(c, &u);
    }
    struct application bot = {.id = BOT, .owner_id = ALICE, .bot_id = BOT, .name = STR("bot"), .verify_key = STR("k")};
    struct application full = bot;
    full.id = full.bot_id = FULL;
    full.flags =
        APPLICATION_GATEWAY_GUILD_MEMBERS | APPLICATION_GATEWAY_PRESENCE_LIMITED | APPLICATION_GATEWAY_MESSAGE_CONTENT;
    store_application_insert(c, &bot);
    store_application_insert(c, &full);
}

static void seed_guild(struct commit *c, uint64_t id, const char *name, const uint64_t *members, unsigned count)
{
    struct guild g = {.id = id, .owner_id = ALICE, .name = str_c(name)};
    struct role everyone = {.id = id,
                            .guild_id = id,
                            .name = STR("@everyone"),
                            .permissions = PERMISSION_VIEW_CHANNEL | PERMISSION_SEND_MESSAGES};

    store_guild_insert(c, &g);
    store_role_insert(c, &everyone);
    for (unsigned i = 0; i < count; i++) {
        struct member m = {.guild_id = id, .user = {.id = members[i]}, .joined_ms = 1700000000000};
        store_member_insert(c, &m);
    }
}

static void seed_channels(struct commit *c)
{
    static struct overwrite hidden[] = {{GUILD, 0, 0, PERMISSION_VIEW_CHANNEL}, {MOD, 0, PERMISSION_VIEW_CHANNEL, 0}};
    struct channel general = {.id = GENERAL, .guild_id = GUILD, .name = STR("general")};
    struct channel secret = {
        .id = SECRET, .guild_id = GUILD, .name = STR("secret"), .overwrites = hidden, .overwrite_count = 2};
    struct channel other = {.id = OTHER_GENERAL, .guild_id = OTHER, .name = STR("general")};
    struct role mod = {.id = MOD, .guild_id = GUILD, .name = STR("mod"), .position = 1};

    store_role_insert(c, &mod);
    store_channel_insert(c, &general);
    store_channel_insert(c, &secret);
    store_channel_insert(c, &other);
}

static void seed(void)
{
    static const uint64_t in_guild[] = {ALICE, BOB, BOT, FULL}, in_other[] = {ALICE, BOT};
    struct user recipients[] = {{.id = BOB}, {.id = BOT}};
    struct channel dm = {.id = DM, .type = CHANNEL_DM, .recipients = recipients, .recipient_count = 2};
    struct arena a = {0};
    struct commit c;

    commit_init(&c, &a);
    seed_users(&c);
    seed_guild(&c, GUILD, "Demo", in_guild, 4);
    seed_guild(&c, OTHER, "Other", in_other, 2);
    seed_channels(&c);
    store_dm_insert(&c, &dm);
    assert_int_equal(commit_run(&c, &ports), 0);
    arena_done(&a);
}

const char *world_redis_url, *world_amqp_url;

void world_open(void)
{
    struct buf err = {0};

    assert_true(sodium_init() >= 0);
    snowflake_init(1);
    ports.db = sql_open("sqlite::memory:", 1, &err);
    ports.kv = kv_open(world_redis_url, &err);
    ports.bus = bus_open(world_amqp_url, &err);
    assert_true(ports.db && ports.kv && ports.bus);
    UNTIL(kv_ready(ports.kv) && bus_ready(ports.bus));
    assert_int_equal(store_migrate(ports.db), 0);
    tokens = token_registry_new(STR("a secret of at least 32 characters"));
    seed();
    node_options = (struct gateway_options){.ports = &ports, .tokens = tokens, .heartbeat_interval_ms = 10000};
    buf_done(&err);
}

void members_make(unsigned count)
{
    struct arena a = {0};
    struct commit c;

    commit_init(&c, &a);
    for (uint64_t i = 0; i < count; i++) {
        bool zoe = i % 100 == 0;
        struct user u = {.id = 100000 + i,
                         .username = arena_printf(&a, "%s%llu%s", zoe ? "zoe" : "member", (unsigned long long)i,
                                                  zoe ? "" : " with a long name"),
                         .accent_color = -1,
                         .created_ms = 1};
        struct member m = {.guild_id = GUILD, .user = u, .joined_ms = 1700000000000};
        store_user_insert(&c, &u);
        store_member_insert(&c, &m);
    }
    assert_int_equal(commit_run(&c, &ports), 0);
    arena_done(&a);
}

void world_close(void)
{
    token_registry_free(tokens);
    bus_close(ports.bus);
    kv_close(ports.kv);
    sql_close(ports.db);
    ports = (struct ports){0};
    co_sleep(20); /* what is freed one turn later */
}

/* --- nodes -----------------------------------------------------------------------------------------------------------
 */
static int upgrade(struct http_request *req, void *arg)
{
    struct node *n = arg;

    return n->gateway ? gateway_upgrade(req, n->gateway) : 503;
}

static void nothing(struct http_request *req, struct http_response *res, void *arg)
{
    (void)req, (void)arg;
    res->status = 404;
}

void node_open(struct node *n, const char *id)
{
    struct buf err = {0};
    struct http_listener_options o = {.listen = "127.0.0.1:0", .handler = nothing, .upgrade = upgrade, .arg = n};

    *n = (struct node){0};
    assert_int_equal(http_listener_start(&o, &n->listener, &err), 0);
    snprintf(n->url, sizeof n->url, "ws://127.0.0.1:%d/gateway", http_listener_port(n->listener));
    node_options.node_id = id;
    node_options.public_url = n->url;
    assert_int_equal(gateway_new(&node_options, &n->gateway), 0);
    assert_true(gateway_ready(n->gateway));
    buf_done(&err);
}

static void stopped(void *arg)
{
    *(bool *)arg = true;
}

void conversations_run(const struct conversation *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        print_message("%s\n", all[i].name);
        all[i].run();
    }
}

void node_close(struct node *n)
{
    bool done = false;

    if (n->gateway)
        gateway_stop(n->gateway);
    n->gateway = NULL;
    http_listener_stop(n->listener, 1000, stopped, &done);
    UNTIL(done);
}

/* --- clients ---------------------------------------------------------------------------------------------------------
 */
static void on_open(struct ws_client *ws, void *arg)
{
    (void)ws, (void)arg;
}

static void on_message(struct ws_client *ws, struct str data, bool binary, void *arg)
{
    struct client *c = arg;
    json_error_t error;
    json_t *payload = json_loadb(data.p, data.n, 0, &error);

    (void)ws, (void)binary;
    assert_non_null(payload);
    json_array_append_new(c->got, payload);
    if (json_integer_value(json_object_get(payload, "op")) != 0)
        return;
    uint64_t seq = (uint64_t)json_integer_value(json_object_get(payload, "s"));
    c->numbers_wrong |= seq != c->seq + 1;
    c->seq = seq;
}

static void on_close(struct ws_client *ws, int code, const char *reason, void *arg)
{
    struct client *c = arg;

    (void)ws, (void)reason;
    c->ws = NULL;
    c->code = code;
}

void client_open(struct client *c, const struct node *n, const char *query)
{
    char url[128];
    struct buf err = {0};
    struct ws_client_options o = {.url = url,
                                  .cb = {on_open, on_message, on_close},
                                  .arg = c,
                                  .payload_max = 1 << 20,
                                  .queue_bytes_max = 1 << 20,
                                  .connect_timeout_ms = 5000};

    snprintf(url, sizeof url, "%s%s", n->url, query);
    *c = (struct client){.got = json_array()};
    c->ws = ws_client_connect(&o, &err);
    assert_non_null(c->ws);
    buf_done(&err);
}

int client_closed(struct client *c)
{
    UNTIL(!c->ws);
    return c->code;
}

void client_close(struct client *c, int code)
{
    if (c->ws)
        ws_client_close(c->ws, code, "");
    (void)client_closed(c);
    json_decref(c->got);
    c->got = NULL;
}

void client_cut(struct client *c)
{
    client_close(c, 4900);
}

void client_send_raw(struct client *c, struct str bytes)
{
    assert_int_equal(ws_client_send(c->ws, false, bytes), 0);
}

void client_send(struct client *c, const char *fmt, ...)
{
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert_true(n > 0 && (size_t)n < sizeof text);
    client_send_raw(c, (struct str){text, (size_t)n});
}

static json_t *taken; /* lent to the test until the next one is */

json_t *client_next(struct client *c)
{
    for (int left = 1500; json_array_size(c->got) == 0 && c->ws && left > 0; left--)
        co_sleep(10);
    json_t *first = json_incref(json_array_get(c->got, 0));
    json_array_remove(c->got, 0);
    json_decref(taken);
    return taken = first;
}

const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

json_t *client_event(struct client *c, const char *type)
{
    for (json_t *p; (p = client_next(c));)
        if (strcmp(text_at(p, "t"), type) == 0)
            return json_object_get(p, "d");
    fail_msg("%s did not come (close code %d, client at s %llu)", type, c->code, (unsigned long long)c->seq);
    return NULL;
}

json_t *client_op(struct client *c, int op)
{
    for (json_t *p; (p = client_next(c));)
        if (json_integer_value(json_object_get(p, "op")) == op)
            return p;
    fail_msg("op %d did not come (close code %d)", op, c->code);
    return NULL;
}

void client_quiet(struct client *c, int64_t ms)
{
    co_sleep(ms);
    for (size_t i = 0; i < json_array_size(c->got); i++) {
        json_t *p = json_array_get(c->got, i);
        if (json_integer_value(json_object_get(p, "op")) != 11 && strcmp(text_at(p, "t"), "PRESENCE_UPDATE") != 0)
            fail_msg("unexpected: %s", json_dumps(p, 0));
    }
}

const char *token_of(uint64_t user)
{
    static char text[256];
    struct arena a = {0};
    struct str token = token_issue(tokens, &a, user, clock_wall_ms());

    snprintf(text, sizeof text, "%.*s", STR_ARG(token));
    arena_done(&a);
    return text;
}

void client_identify(struct client *c, uint64_t user, uint32_t intents, const char *more)
{
    (void)client_op(c, 10);
    client_send(c, "{\"op\":2,\"d\":{\"token\":\"%s\",\"intents\":%u,\"properties\":{}%s}}", token_of(user), intents,
                more);
}

void client_login(struct client *c, const struct node *n, uint64_t user, uint32_t intents, unsigned guilds)
{
    client_open(c, n, "?v=10&encoding=json");
    client_identify(c, user, intents, "");
    snprintf(c->session_id, sizeof c->session_id, "%s", text_at(client_event(c, "READY"), "session_id"));
    assert_int_equal(strlen(c->session_id), 32);
    while (guilds--)
        (void)client_event(c, "GUILD_CREATE");
}

void client_resume(struct client *c, uint64_t user)
{
    client_send(c, "{\"op\":6,\"d\":{\"token\":\"%s\",\"session_id\":\"%s\",\"seq\":%llu}}", token_of(user),
                c->session_id, (unsigned long long)c->seq);
}

/* --- events ----------------------------------------------------------------------------------------------------------
 */
uint64_t tell(enum event_type type, uint64_t topic, bool topic_is_user, uint64_t channel, uint64_t user,
              const char *data)
{
    struct arena a = {0};
    struct commit c;

    commit_init(&c, &a);
    struct event *e = commit_event(&c, type, topic, topic_is_user);
    e->channel_id = channel;
    e->user_id = user;
    e->data = str_c(data);
    uint64_t id = e->id;
    assert_int_equal(commit_run(&c, &ports), 0);
    arena_done(&a);
    return id;
}

uint64_t say(uint64_t channel, uint64_t author, const char *content)
{
    char data[512];

    snprintf(
        data, sizeof data,
        "{\"id\":\"%llu\",\"channel_id\":\"%llu\",\"guild_id\":\"%d\",\"author\":{\"id\":\"%llu\"},\"content\":\"%s\","
        "\"mentions\":[],\"embeds\":[],\"attachments\":[]}",
        (unsigned long long)snowflake_next(), (unsigned long long)channel, GUILD, (unsigned long long)author, content);
    return tell(EVENT_MESSAGE_CREATE, GUILD, false, channel, author, data);
}
