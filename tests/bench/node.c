/* A gateway node in a process of its own, on embedded ports: one guild with one bot, MESSAGE_CREATEs published to the
 * bus when the control pipe says how many. */
#include "tests/bench/bench.h"

#include "gateway/server/gateway.h"
#include "platform/base/clock.h"
#include "platform/base/settings.h"
#include "platform/base/snowflake.h"
#include "platform/io/co.h"
#include "platform/io/http_server.h"
#include "platform/io/loop.h"
#include "platform/ports/bus.h"
#include "platform/ports/commit.h"
#include "platform/ports/kv.h"
#include "platform/ports/store/store.h"
#include "platform/protocol/intents.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { BOT = 101, GUILD = 1 << 23, GENERAL = 301 };

static struct ports ports;
static struct token_registry *tokens;
static struct gateway *gateway;
static int control, answer;

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench: %s failed\n", what);
    exit(1);
}

static void seed(void)
{
    struct user bot = {.id = BOT, .username = STR("benchbot"), .accent_color = -1, .bot = true, .created_ms = 1};
    struct application app = {.id = BOT,
                              .owner_id = BOT,
                              .bot_id = BOT,
                              .name = STR("benchbot"),
                              .verify_key = STR("k"),
                              .flags = APPLICATION_GATEWAY_MESSAGE_CONTENT};
    struct guild guild = {.id = GUILD, .owner_id = BOT, .name = STR("Bench")};
    struct role everyone = {
        .id = GUILD, .guild_id = GUILD, .name = STR("@everyone"), .permissions = PERMISSION_VIEW_CHANNEL};
    struct member member = {.guild_id = GUILD, .user = {.id = BOT}, .joined_ms = 1700000000000};
    struct channel general = {.id = GENERAL, .guild_id = GUILD, .name = STR("general")};
    struct arena a = {0};
    struct commit c;
    commit_init(&c, &a);
    store_user_insert(&c, &bot);
    store_application_insert(&c, &app);
    store_guild_insert(&c, &guild);
    store_role_insert(&c, &everyone);
    store_member_insert(&c, &member);
    store_channel_insert(&c, &general);
    must(commit_run(&c, &ports) == 0, "seed");
    arena_done(&a);
}

/* A short message as the API writes it: its frame has about 770 bytes. */
static struct event message(void)
{
    static const char data[] =
        "{\"id\":\"1203456789012345678\",\"type\":0,\"channel_id\":\"301\",\"author\":{\"id\":\"1003456789012345678\","
        "\"username\":\"alice\",\"discriminator\":\"0\",\"global_name\":\"Alice\",\"avatar\":"
        "\"a_d5efa99b3eeaa7dd43acca82f5692432\",\"bot\":false,\"public_flags\":0},\"content\":\"Has anybody seen the "
        "release notes of today? I think the limit for attachments went up again.\",\"timestamp\":"
        "\"2026-01-02T03:04:05.678000+00:00\",\"edited_timestamp\":null,\"tts\":false,\"mention_everyone\":false,"
        "\"mentions\":[],\"mention_roles\":[],\"attachments\":[],\"embeds\":[],\"pinned\":false,\"flags\":0,"
        "\"nonce\":\"1203456788912345678\",\"guild_id\":\"8388608\",\"member\":{\"roles\":[\"1003456789012345679\"],"
        "\"joined_at\":\"2024-01-02T03:04:05.678000+00:00\",\"nick\":null,\"deaf\":false,\"mute\":false}}";
    return (struct event){.id = snowflake_next(),
                          .topic = GUILD,
                          .type = EVENT_MESSAGE_CREATE,
                          .channel_id = GENERAL,
                          .user_id = 1,
                          .data = str_c(data)};
}

static void publish(void *arg)
{
    (void)arg;
    char events;
    while (read(control, &events, 1) == 1)
        for (int i = 0; i < events; i++) {
            struct arena a = {0};
            struct event e = message();
            struct kv_route route;
            must(kv_topic_next(ports.kv, &a, GUILD, e.id, &route) == 0, "number");
            e.number = route.number;
            must(bus_publish(ports.bus, &e, route.node_ids, route.node_count) == 0, "publish");
            arena_done(&a);
        }
}

static void on_control(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)events;
    if (status < 0 || co_spawn(publish, NULL) < 0)
        exit(0);
}

static void handler(struct http_request *req, struct http_response *res, void *arg)
{
    (void)req, (void)arg;
    res->status = 404;
}

static int upgrade(struct http_request *req, void *arg)
{
    (void)arg;
    return gateway_upgrade(req, gateway);
}

static void tell(int port)
{
    char line[300];
    struct arena a = {0};
    struct str token = token_issue(tokens, &a, BOT, clock_wall_ms());
    int n = snprintf(line, sizeof line, "%d %.*s\n", port, (int)token.n, token.p);
    must(write(answer, line, (size_t)n) == n, "answer");
    arena_done(&a);
}

static void begin(void *arg)
{
    static uv_poll_t poll;
    static struct http_listener *listener;
    struct buf err = {0};
    (void)arg;
    ports.db = sql_open("sqlite::memory:", 1, &err);
    ports.kv = kv_open(NULL, &err);
    ports.bus = bus_open(NULL, &err);
    must(ports.db && ports.kv && ports.bus && store_migrate(ports.db) == 0, "ports");
    tokens = token_registry_new(STR("a secret of at least 32 characters"));
    seed();
    struct gateway_options o = {.ports = &ports,
                                .tokens = tokens,
                                .node_id = "bench",
                                .public_url = "ws://127.0.0.1/gateway",
                                .heartbeat_interval_ms = 3600000};
    must(gateway_new(&o, &gateway) == 0, "gateway");
    struct http_listener_options l = {.listen = "127.0.0.1:0", .handler = handler, .upgrade = upgrade};
    must(http_listener_start(&l, &listener, &err) == 0, "listen");
    fcntl(control, F_SETFL, O_NONBLOCK);
    must(uv_poll_init(loop_uv(), &poll, control) == 0 && uv_poll_start(&poll, UV_READABLE, on_control) == 0, "control");
    tell(http_listener_port(listener));
}

_Noreturn void node_run(int control_fd, int answer_fd)
{
    control = control_fd;
    answer = answer_fd;
    must(sodium_init() >= 0, "sodium");
    loop_init();
    snowflake_init(1);
    must(co_spawn(begin, NULL) == 0, "coroutine");
    loop_run();
    _exit(0);
}
