/* What workers share through Redis: cooldowns, timers that run once for the group, the registration of commands; and
 * permissions from the cache. */
#include "tests/support/co_test.h"
#include "tests/support/services.h"

#include "worker-sdk/src/interactions.h"

#include "platform/base/mem.h"
#include "platform/base/settings.h"
#include "platform/io/http_server.h"

#include <guildhall/helpers.h>

#include <errno.h>
#include <sodium.h>

static struct gh_bot bots[2];
static struct item items[3];
static uint64_t application = 9000;

/* Two workers of one bot in one process. */
static void open_bots(char *proxy_url)
{
    application++;
    for (int i = 0; i < 2; i++) {
        struct gh_bot *b = &bots[i];
        BUF_AUTO struct buf err = {0};
        *b = (struct gh_bot){.application_id = application,
                             .group = mem_strdup("workers"),
                             .proxy_url = proxy_url,
                             .authorization = mem_strdup("Authorization: Bot x"),
                             .root = &bots[0]}; /* so that only the first one registers by itself */
        b->redis = redis_new(services_env("REDIS_URL"), &err);
        b->http = http_client_new(&(struct http_client_options){0});
        b->router = router_new();
        b->tasks = tasks_new(b);
        for (int n = 0; !redis_connected(b->redis) && n < 2400; n++)
            co_sleep(25);
    }
}

static void ended(void *arg)
{
    ++*(int *)arg;
}

static void close_bots(void)
{
    int count = 0;
    for (int i = 0; i < 2; i++)
        tasks_stop(bots[i].tasks, ended, &count);
    for (int n = 0; count < 2 && n < 2400; n++)
        co_sleep(25);
    expect_int(count, 2);
    for (int i = 0; i < 2; i++) {
        tasks_free(bots[i].tasks);
        router_free(bots[i].router);
        http_client_free(bots[i].http);
        redis_free(bots[i].redis);
        mem_free(bots[i].group);
        mem_free(bots[i].authorization);
    }
    co_sleep(20);
}

static struct gh_context context_of(int bot, int event)
{
    items[event].event = (struct gh_event){.session = "s", .seq = event + 1, .json = "{}"};
    return (struct gh_context){.bot = &bots[bot], .item = &items[event]};
}

static void a_cooldown_counts_for_all_workers_and_each_event_once(void)
{
    int64_t wait_ms = 0;
    open_bots(NULL);
    struct gh_context a = context_of(0, 0), b = context_of(1, 1), late = context_of(0, 2);
    expect_int(gh_cooldown(&a, "k", 2, 600000, &wait_ms), 0);
    expect_int(gh_cooldown(&a, "k", 2, 600000, &wait_ms), 0); /* the same event again */
    expect_int(gh_cooldown(&b, "k", 2, 600000, &wait_ms), 0);
    expect_int(gh_cooldown(&late, "k", 2, 600000, &wait_ms), -EAGAIN);
    expect_true(wait_ms > 0 && wait_ms <= 600000);
    expect_int(gh_cooldown(&b, "k", 2, 600000, &wait_ms), 0);
    expect_int(gh_cooldown(&late, "other", 1, 30, &wait_ms), 0);
    struct gh_context task = {.bot = &bots[0]};
    int error = -EAGAIN;
    for (int i = 0; error == -EAGAIN && i < 2400; i++, co_sleep(25)) /* until its 30 ms are over */
        error = gh_cooldown(&task, "other", 1, 30, &wait_ms);
    expect_int(error, 0);
    close_bots();
}

static void cached(const char *kind, const char *field, const char *json)
{
    char key[64];
    struct redis_reply *reply = NULL;
    snprintf(key, sizeof key, "gh:%llu:{1}:%s", (unsigned long long)application, kind);
    expect_int(
        redis_await(bots[0].redis, 4, (struct str[]){STR("HSET"), str_c(key), str_c(field), str_c(json)}, &reply), 0);
    redis_reply_free(reply);
}

static void permissions_come_from_the_cache_and_the_member_at_hand(void)
{
    uint64_t may = 0, all = 0;
    const struct gh_member with_role = {.roles = (const uint64_t[]){5}, .roles_count = 1};
    struct gh_message m = {.guild_id = 1, .channel_id = 20, .author = {.id = 7}, .member = &with_role};
    open_bots(NULL);
    bots[0].cache = (struct cache){bots[0].redis, application};
    struct gh_context c = context_of(0, 0);
    expect_int(gh_author_permissions(&c, &m, &may), -ENOENT); /* no such guild */
    cached("guild", "id", "\"1\"");
    cached("guild", "owner_id", "\"9\"");
    cached("roles", "1", "{\"id\":\"1\",\"permissions\":\"1024\"}");
    cached("roles", "5", "{\"id\":\"5\",\"permissions\":\"10240\"}"); /* SEND_MESSAGES, MANAGE_MESSAGES */
    cached("channels", "20",
           "{\"id\":\"20\",\"type\":0,\"permission_overwrites\":[{\"id\":\"5\",\"type\":0,"
           "\"allow\":\"0\",\"deny\":\"8192\"}]}");
    cached("threads", "21", "{\"id\":\"21\",\"type\":11,\"parent_id\":\"20\"}");
    expect_int(gh_author_permissions(&c, &m, &may), 0);
    expect_int(may, GH_PERMISSION(VIEW_CHANNEL) | GH_PERMISSION(SEND_MESSAGES));
    m.channel_id = 21; /* a thread: its parent's overwrites */
    expect_int(gh_author_permissions(&c, &m, &may), 0);
    expect_int(may, GH_PERMISSION(VIEW_CHANNEL) | GH_PERMISSION(SEND_MESSAGES));
    expect_int(gh_permissions_of(&c, 1, 20, 7, &all), -ENOENT); /* the cache has no members */
    cached("members", "7", "{\"roles\":[\"5\"]}");
    expect_int(gh_permissions_of(&c, 1, 0, 7, &all), 0);
    expect_int(all, may | GH_PERMISSION(MANAGE_MESSAGES));
    expect_int(gh_permissions_of(&c, 1, 20, 9, &all), -ENOENT);
    context_done(&c);
    close_bots();
}

static int count_one(struct gh_context *c, void *arg)
{
    (void)c;
    ++*(int *)arg;
    return 0;
}

/* Rounds of an hour: the first of the two workers takes the first one, whenever it comes. */
static void a_named_timer_runs_once_for_the_group(void)
{
    int named = 0, own = 0, asked = 0;
    struct redis_reply *r;
    char key[64];
    open_bots(NULL);
    snprintf(key, sizeof key, "gh:%llu:timer:workers:hourly", (unsigned long long)application);
    struct str words[] = {STR("SET"), str_c(key), STR("1")};
    expect_int(redis_await(bots[0].redis, 3, words, &r), 0); /* as if a worker had run it just now */
    redis_reply_free(r);
    for (int i = 0; i < 2; i++) {
        gh_every(&bots[i], "hourly", 10, count_one, &named);
        gh_every(&bots[i], NULL, 10, count_one, &own);
        expect_int(gh_task(&bots[i], count_one, &asked), 0);
        tasks_start(bots[i].tasks);
    }
    for (int n = 0; (own < 6 || asked < 2) && n < 2400; n++)
        co_sleep(25);
    expect_true(own >= 6);
    expect_int(asked, 2);
    expect_int(named, 0);
    struct str del[] = {STR("DEL"), str_c(key)};
    expect_int(redis_await(bots[0].redis, 2, del, &r), 0);
    redis_reply_free(r);
    for (int n = 0; named < 1 && n < 2400; n++)
        co_sleep(25);
    expect_true(named >= 1);
    close_bots();
}

/* --- registration --- */

static struct {
    int puts, fail;
    char target[128], body[512];
} api;

static void api_handle(struct http_request *req, struct http_response *res, void *arg)
{
    (void)arg;
    api.puts++;
    snprintf(api.target, sizeof api.target, "%s %.*s", http_method_name(req->method), STR_ARG(req->target));
    snprintf(api.body, sizeof api.body, "%.*s", STR_ARG(req->body));
    res->status = api.puts <= api.fail ? 400 : 200;
    buf_adds(&res->body, "[]");
}

static void commands_are_registered_once_and_again_when_they_differ(void)
{
    struct http_listener *listener;
    BUF_AUTO struct buf err = {0};
    struct http_listener_options o = {.listen = "127.0.0.1:0", .handler = api_handle};
    char url[64];
    int stopped = 0;
    memset(&api, 0, sizeof api);
    api.fail = 1;
    expect_int(http_listener_start(&o, &listener, &err), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/api", http_listener_port(listener));
    open_bots(url);
    for (int i = 0; i < 2; i++)
        gh_command_add(&bots[i], &(struct gh_command){.name = "ping", .description = "d"}, NULL, NULL);
    commands_register(&bots[0]);
    expect_int(api.puts, 2); /* refused once, then taken */
    expect_text(str_c(api.body), "[{\"name\":\"ping\",\"description\":\"d\"}]");
    commands_register(&bots[1]);
    expect_int(api.puts, 2);
    gh_command_add(&bots[1], &(struct gh_command){.name = "of", .description = "d", .guild_id = 5}, NULL, NULL);
    commands_register(&bots[1]);
    expect_int(api.puts, 3);
    char want[128];
    snprintf(want, sizeof want, "PUT /api/v10/applications/%llu/guilds/5/commands", (unsigned long long)application);
    expect_text(str_c(api.target), want);
    gh_command_add(&bots[0], &(struct gh_command){.name = "more", .description = "d"}, NULL, NULL);
    commands_register(&bots[0]);
    expect_int(api.puts, 4);
    close_bots();
    http_listener_stop(listener, 1000, ended, &stopped);
    for (int n = 0; !stopped && n < 2400; n++)
        co_sleep(25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CO_TEST(a_cooldown_counts_for_all_workers_and_each_event_once),
        CO_TEST(permissions_come_from_the_cache_and_the_member_at_hand),
        CO_TEST(a_named_timer_runs_once_for_the_group),
        CO_TEST(commands_are_registered_once_and_again_when_they_differ),
    };
    BUF_AUTO struct buf err = {0};
    char *no_words[1];
    int none = 0;
    if (sodium_init() < 0 || settings_load(CMD_WORKER, 0, NULL, no_words, &none, &err) < 0)
        return 2;
    return cmocka_run_group_tests_name("what workers share", tests, NULL, NULL);
}
