/* The server, the client and the watcher of the API's tests. */
#include "tests/contract/api/fixture.h"

#include "platform/base/mem.h"
#include "platform/io/http_client.h"

#include <sodium.h>
#include <stdio.h>

#define EVENTS_MAX  256
#define FENCE_TOPIC 7 /* nobody's */

struct ports ports;
struct token_registry *tokens;
int status;
json_t *body;
bool from_origin;
int64_t first_answer_ms = 300000;
enum http_reach endpoint_reach = HTTP_REACH_LOOPBACK;

static struct {
    struct api *api;
    struct http_listener *listener;
    struct http_client *http;
    struct http_result result;
    char url[64];
    struct {
        enum event_type type;
        uint64_t number;
        json_t *data;
    } events[EVENTS_MAX];
    unsigned event_count;
    struct arena arena;
    char node[48];
    uint64_t fence_id;
    bool stopped, full;
} self;

static int gateway_url(struct arena *a, struct str *ret, void *arg)
{
    (void)arg;
    *ret = arena_str(a, STR("ws://127.0.0.1:1/gateway"));
    return 0;
}

static void on_event(const struct bus_delivery *d, void *arg)
{
    (void)arg;
    bus_ack(ports.bus, d->tag, d->epoch);
    if (d->event->id == self.fence_id)
        self.fence_id = 0;
    if (self.event_count == EVENTS_MAX || d->event->topic == FENCE_TOPIC)
        return;
    self.events[self.event_count].type = d->event->type;
    self.events[self.event_count].number = d->event->number;
    self.events[self.event_count].data = json_loadb(d->event->data.p, d->event->data.n, 0, NULL);
    expect_true(self.events[self.event_count].data != NULL);
    self.event_count++;
}

/* With DATABASE_URL, REDIS_URL and AMQP_URL (tests/support/with-services) the same runs on the full stack's ports. */
static void ports_open(void)
{
    const char *database = getenv("DATABASE_URL");
    struct buf err = BUF_INIT(256);
    int left = 1000;

    self.full = database != NULL;
    snprintf(self.node, sizeof self.node, "watcher-%llx", (unsigned long long)snowflake_next());
    ports.db = sql_open(database ? database : "sqlite::memory:", 2, &err);
    ports.kv = kv_open(getenv("REDIS_URL"), &err);
    ports.bus = bus_open(getenv("AMQP_URL"), &err);
    ports.objects = objects_open(NULL, &err);
    expect_true(ports.db && ports.kv && ports.bus && ports.objects);
    while ((!kv_ready(ports.kv) || !bus_ready(ports.bus) || !sql_ready(ports.db)) && left-- > 0)
        co_sleep(10);
    if (self.full)
        expect_int(sql_script(ports.db, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"), 0);
    expect_int(store_migrate(ports.db), 0);
    tokens = token_registry_new(STR("a secret of at least 32 characters"));
    expect_int(token_registry_load(tokens, ports.db), 0);
    expect_int(kv_node_renew(ports.kv, self.node, "ws://127.0.0.1:1", 600000, true), 0);
    expect_int(bus_subscribe(ports.bus, self.node, on_event, NULL), 0);
    for (int i = 0; !bus_ready(ports.bus) && i < 1000; i++) /* the queue must be there before an event is */
        co_sleep(10);
    buf_done(&err);
}

void api_start(bool limits)
{
    static char url[80];
    struct buf err = BUF_INIT(256);
    struct http_listener_options o = {.listen = "127.0.0.1:0", .handler = api_handle, .via = "1.1 guildhall"};

    expect_true(sodium_init() >= 0);
    memset(&self, 0, sizeof self);
    ports_open();
    struct api_options options = {.ports = &ports,
                                  .tokens = tokens,
                                  .public_api_url = url,
                                  .secret = STR("a secret of at least 32 characters"),
                                  .limits = limits,
                                  .interaction_first_ms = first_answer_ms,
                                  .endpoint_reach = endpoint_reach,
                                  .gateway_url = gateway_url};
    self.api = api_new(&options);
    o.arg = self.api;
    expect_int(http_listener_start(&o, &self.listener, &err), 0);
    snprintf(self.url, sizeof self.url, "http://127.0.0.1:%d", http_listener_port(self.listener));
    snprintf(url, sizeof url, "%s/api", self.url);
    self.http = http_client_new(&(struct http_client_options){0});
    buf_done(&err);
}

static void stopped(void *arg)
{
    *(bool *)arg = true;
}

void api_stop(void)
{
    events_clear();
    http_result_done(&self.result);
    self.result = (struct http_result){0};
    json_decref(body);
    body = NULL;
    http_client_free(self.http);
    http_listener_stop(self.listener, 1000, stopped, &self.stopped);
    while (!self.stopped)
        co_sleep(1);
    api_free(self.api);
    token_registry_free(tokens);
    objects_close(ports.objects);
    bus_close(ports.bus);
    kv_close(ports.kv);
    sql_close(ports.db);
    arena_done(&self.arena);
    co_sleep(20); /* what is freed one turn later */
}

struct str answer_header(const char *lower_name)
{
    return http_result_header(&self.result, lower_name);
}

struct str answer_text(void)
{
    return buf_str(&self.result.body);
}

int call_raw(const char *token, const char *method, const char *content_type, struct str bytes, const char *path)
{
    char url[1024], authorization[512], type[256];
    const char *headers[5] = {0};
    unsigned n = 0;
    bool whole =
        strncmp(path, "/api", 4) == 0 || strncmp(path, "/attachments", 12) == 0 || strncmp(path, "/avatars", 8) == 0;

    snprintf(url, sizeof url, "%s%s%s", self.url, whole ? "" : "/api/v10", path);
    snprintf(authorization, sizeof authorization, "Authorization: %s", token ? token : "");
    snprintf(type, sizeof type, "Content-Type: %s", content_type ? content_type : "");
    if (token)
        headers[n++] = authorization;
    if (content_type)
        headers[n++] = type;
    if (from_origin) {
        headers[n++] = "Origin: http://page.example.test";
        headers[n++] = "Access-Control-Request-Method: POST";
    }
    http_result_done(&self.result);
    json_decref(body);
    struct http_call_options o = {
        .method = method, .url = url, .headers = headers, .body = bytes, .timeout_ms = 10000, .body_max = 1 << 24};
    status = http_call_await(self.http, &o, &self.result) == 0 ? self.result.status : -1;
    body = json_loadb(self.result.body.data ? self.result.body.data : "", self.result.body.len, JSON_DECODE_ANY, NULL);
    return status;
}

int call(const char *token, const char *method, const char *json, const char *path_fmt, ...)
{
    char path[768];
    va_list args;

    va_start(args, path_fmt);
    vsnprintf(path, sizeof path, path_fmt, args); // NOLINT(clang-analyzer-valist.Uninitialized): va_start is above
    va_end(args);
    return call_raw(token, method, json ? "application/json" : NULL, json ? str_c(json) : STR_NONE, path);
}

int call_beside(const char *token, const char *method, const char *path)
{
    char url[512], authorization[512];
    const char *headers[] = {authorization, NULL};
    struct http_result r;

    snprintf(url, sizeof url, "%s/api/v10%s", self.url, path);
    snprintf(authorization, sizeof authorization, "Authorization: %s", token);
    struct http_call_options o = {
        .method = method, .url = url, .headers = headers, .timeout_ms = 10000, .body_max = 1 << 20};
    int got = http_call_await(self.http, &o, &r) == 0 ? r.status : -1;
    http_result_done(&r);
    return got;
}

json_t *node_at(const char *path)
{
    json_t *v = body;

    while (v && *path) {
        char key[64];
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        v = json_is_array(v) ? json_array_get(v, (size_t)atoi(key)) : json_object_get(v, key);
        path += n;
        path += *path == '.';
    }
    return v;
}

const char *text_at(const char *path)
{
    const char *s = json_string_value(node_at(path));

    return s ? s : "(none)";
}

uint64_t id_at(const char *path)
{
    uint64_t id = 0;

    return snowflake_parse(str_c(text_at(path)), &id) == 0 ? id : 0;
}

int64_t int_at(const char *path)
{
    return json_integer_value(node_at(path));
}

int code(void)
{
    json_t *v = json_object_get(body, "code");

    return v ? (int)json_integer_value(v) : -1;
}

static char *kept(const char *prefix, const char *text)
{
    return arena_strdup(&self.arena, arena_printf(&self.arena, "%s%s", prefix, text));
}

struct person person_new(const char *name)
{
    struct commit c;
    struct user u = {.id = snowflake_next(), .username = str_c(name), .accent_color = -1, .created_ms = 1};

    /* Straight into the store: registration has tests of its own, and takes time. */
    commit_init(&c, &self.arena);
    store_user_insert(&c, &u);
    expect_int(commit_run(&c, &ports), 0);
    return (struct person){u.id, kept("", token_issue(tokens, &self.arena, u.id, 1).p)};
}

struct person bot_new(const struct person *owner, const char *name)
{
    char json[128];

    snprintf(json, sizeof json, "{\"name\":\"%s\"}", name);
    expect_int(call(owner->token, "POST", json, "/applications"), 201);
    struct person bot = {.id = id_at("id")};
    expect_int(call(owner->token, "POST", NULL, "/applications/%llu/bot", (unsigned long long)bot.id), 200);
    bot.token = kept("Bot ", text_at("token"));
    return bot;
}

uint64_t guild_new(const struct person *owner, const char *name)
{
    char json[128];

    snprintf(json, sizeof json, "{\"name\":\"%s\"}", name);
    expect_int(call(owner->token, "POST", json, "/guilds"), 201);
    return id_at("id");
}

uint64_t guild_channel(uint64_t guild_id, const char *name)
{
    struct channel *channels;
    unsigned count;

    expect_int(store_guild_channels(ports.db, &self.arena, guild_id, &channels, &count), 0);
    for (unsigned i = 0; i < count; i++)
        if (str_eq(channels[i].name, str_c(name)))
            return channels[i].id;
    return 0;
}

void guild_enter(uint64_t guild_id, const struct person *owner, const struct person *who)
{
    char *invite;

    expect_int(call(owner->token, "POST", "{\"unique\":true}", "/channels/%llu/invites",
                    (unsigned long long)guild_channel(guild_id, "general")),
               200);
    invite = kept("", text_at("code"));
    expect_int(call(who->token, "POST", "{}", "/invites/%s", invite), 200);
}

void bot_enter(uint64_t guild_id, const struct person *owner, const struct person *bot)
{
    char json[96];

    snprintf(json, sizeof json, "{\"guild_id\":\"%llu\",\"authorize\":true}", (unsigned long long)guild_id);
    expect_int(call(owner->token, "POST", json, "/oauth2/authorize?client_id=%llu&scope=bot+applications.commands",
                    (unsigned long long)bot->id),
               200);
}

uint64_t role_new(const struct person *owner, uint64_t guild_id, const char *json)
{
    expect_int(call(owner->token, "POST", json, "/guilds/%llu/roles", (unsigned long long)guild_id), 200);
    return id_at("id");
}

void role_give(const struct person *owner, uint64_t guild_id, const struct person *who, uint64_t role_id)
{
    expect_int(call(owner->token, "PUT", NULL, "/guilds/%llu/members/%llu/roles/%llu", (unsigned long long)guild_id,
                    (unsigned long long)who->id, (unsigned long long)role_id),
               204);
}

void watch(uint64_t topic)
{
    uint64_t number;

    expect_int(kv_interest_add(ports.kv, self.node, &topic, 1, &number), 0);
}

/* What was published before is here afterwards: one queue, and this comes last. */
static void fence(void)
{
    const char *nodes[] = {self.node};
    struct event e = {.id = snowflake_next(), .type = EVENT_TYPING_START, .topic = FENCE_TOPIC, .data = STR("{}")};

    if (!self.full)
        return;
    self.fence_id = e.id;
    expect_int(bus_publish(ports.bus, &e, nodes, 1), 0);
    for (int i = 0; self.fence_id && i < 12000; i++)
        co_sleep(5);
    expect_true(!self.fence_id);
}

void events_clear(void)
{
    fence();
    for (unsigned i = 0; i < self.event_count; i++)
        json_decref(self.events[i].data);
    self.event_count = 0;
}

unsigned events_count(void)
{
    fence();
    return self.event_count;
}

static int event_find(enum event_type type, unsigned i)
{
    for (unsigned k = 0; k < self.event_count; k++)
        if (self.events[k].type == type && i-- == 0)
            return (int)k;
    return -1;
}

static int event_await(enum event_type type, unsigned i)
{
    int k = event_find(type, i);

    if (k >= 0)
        return k;
    if (!self.full) /* the in-process bus delivers in a turn of its own */
        co_sleep(1);
    fence();
    return event_find(type, i);
}

json_t *event_at(enum event_type type, unsigned i)
{
    int k = event_await(type, i);

    return k < 0 ? NULL : self.events[k].data;
}

uint64_t event_number(enum event_type type, unsigned i)
{
    int k = event_await(type, i);

    return k < 0 ? 0 : self.events[k].number;
}

bool event_seen(enum event_type type)
{
    return event_at(type, 0) != NULL;
}
