/* A worker's life: settings, connections, signals, the orderly end. */
#include "worker-sdk/src/interactions.h"

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/base/settings.h"
#include "platform/base/snowflake.h"
#include "platform/io/admin.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define STOP_MAX_MS 15000

static char *chosen(const char *option, enum setting s)
{
    return mem_strdup(option ? option : setting_str(s));
}

/* The first part of a token is the base64 of its user's id. */
static int user_id_read(struct gh_bot *bot)
{
    unsigned char id[32];
    size_t n = 0, part = strcspn(bot->token, ".");
    if (sodium_base642bin(id, sizeof id, bot->token, part, "=", &n, NULL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING) !=
            0 &&
        sodium_base642bin(id, sizeof id, bot->token, part, "=", &n, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) !=
            0)
        return -1;
    return snowflake_parse((struct str){(const char *)id, n}, &bot->user_id);
}

/* Names in RabbitMQ and Redis carry the application's id; with nearly every bot it is the user's. */
static int application_id_read(struct gh_bot *bot)
{
    const char *text = setting_str(SETTING_application_id);
    bot->application_id = bot->user_id;
    return *text ? snowflake_parse(str_c(text), &bot->application_id) : 0;
}

static const char *missing(const struct gh_bot *bot)
{
    return !*bot->token       ? "DISCORD_TOKEN"
           : !*bot->redis_url ? "REDIS_URL"
           : bot->no_events   ? NULL
           : !*bot->amqp_url  ? "AMQP_URL"
           : !*bot->proxy_url ? "PROXY_URL"
                              : NULL;
}

static int bot_check(struct gh_bot *bot)
{
    const char *name = missing(bot);
    if (name) {
        fprintf(stderr, "guildhall: %s is not set\n", name);
        return -1;
    }
    if (user_id_read(bot) < 0) {
        fprintf(stderr, "guildhall: DISCORD_TOKEN is not a bot token\n");
        return -1;
    }
    if (application_id_read(bot) < 0) {
        fprintf(stderr, "guildhall: APPLICATION_ID is not an id\n");
        return -1;
    }
    return 0;
}

struct gh_bot *gh_bot_new(const struct gh_options *options)
{
    static const struct gh_options from_environment;
    const struct gh_options *o = options ? options : &from_environment;
    BUF_AUTO struct buf err = {0};
    char *no_words[1];
    int no_count = 0;
    if (sodium_init() < 0)
        return NULL;
    if (settings_load(CMD_WORKER, 0, NULL, no_words, &no_count, &err) < 0) {
        fprintf(stderr, "guildhall: %.*s\n", STR_ARG(buf_str(&err)));
        return NULL;
    }
    log_init("worker", log_level_of(setting_str(SETTING_log_level)),
             strcmp(setting_str(SETTING_log_format), "json") == 0);
    struct gh_bot *bot = MEM_NEW(struct gh_bot);
    bot->token = chosen(o->token, SETTING_token);
    bot->amqp_url = chosen(o->amqp_url, SETTING_amqp_url);
    bot->redis_url = chosen(o->redis_url, SETTING_redis_url);
    bot->proxy_url = chosen(o->proxy_url, SETTING_proxy_url);
    bot->group = chosen(o->group, SETTING_worker_group);
    struct buf authorization = {0};
    buf_addf(&authorization, "Authorization: Bot %s", bot->token);
    bot->authorization = buf_steal(&authorization, &(size_t){0});
    bot->no_events = o->no_events;
    bot->router = router_new();
    bot->tasks = tasks_new(bot);
    bot->root = bot;
    if (bot_check(bot) == 0)
        return bot;
    gh_bot_free(bot);
    return NULL;
}

void gh_bot_free(struct gh_bot *bot)
{
    if (!bot)
        return;
    mem_free(bot->token);
    mem_free(bot->amqp_url);
    mem_free(bot->redis_url);
    mem_free(bot->proxy_url);
    mem_free(bot->group);
    mem_free(bot->authorization);
    router_free(bot->router);
    tasks_free(bot->tasks);
    mem_free(bot);
}

uint64_t gh_bot_user_id(const struct gh_bot *bot)
{
    return bot->user_id;
}

uint64_t gh_bot_application_id(const struct gh_bot *bot)
{
    return bot->application_id;
}

bool gh_bot_stopping(const struct gh_bot *bot)
{
    return bot->stopping;
}

static void tasks_ended(void *arg)
{
    (void)arg;
    loop_stop();
}

/* Events first: their handlers may begin tasks. */
static void partitions_given_up(void *arg)
{
    struct gh_bot *bot = arg;
    tasks_stop(bot->tasks, tasks_ended, bot);
}

/* A handler that does not return, or servers that do not answer: what was begun is delivered again to another worker.
 */
static void stop_late(void *arg)
{
    struct gh_bot *bot = arg;
    LOG_WARN("stop cut short", "group=%s after_ms=%d", bot->group, STOP_MAX_MS);
    loop_stop();
}

void bot_stop_here(void *arg)
{
    struct gh_bot *bot = arg;
    if (bot->stopping)
        return;
    bot->stopping = true;
    LOG_INFO("stopping", "group=%s at_most_ms=%d", bot->group, STOP_MAX_MS);
    bot->late = loop_timer_new(stop_late, bot);
    loop_timer_start(bot->late, STOP_MAX_MS, 0);
    partitions_stop(bot->partitions, partitions_given_up, bot);
}

/* The root's thread. */
static void stop_all(void *arg)
{
    struct gh_bot *root = arg;
    if (!root->stopping)
        lanes_stop(root);
    bot_stop_here(root);
}

void gh_bot_stop(struct gh_bot *bot)
{
    loop_post_to(bot->root->loop, stop_all, bot->root);
}

static int bot_connect_stores(struct gh_bot *bot, struct buf *err)
{
    struct http_client_options http = {.user_agent = "DiscordBot (guildhall, " GUILDHALL_VERSION ")"};
    bot->redis = redis_new(bot->redis_url, err);
    if (!bot->redis)
        return -1;
    bot->cache = (struct cache){bot->redis, bot->application_id};
    bot->http = http_client_new(&http);
    return 0;
}

int bot_connect(struct gh_bot *bot, struct buf *err)
{
    if (bot_connect_stores(bot, err) < 0)
        return -1;
    bot->seen = seen_new(bot);
    bot->partitions = partitions_start(bot, err);
    if (!bot->partitions)
        return -1;
    tasks_start(bot->tasks);
    return 0;
}

void bot_disconnect(struct gh_bot *bot)
{
    loop_timer_free(bot->late);
    if (bot->publisher)
        amqp_publisher_free(bot->publisher);
    if (bot->partitions)
        partitions_free(bot->partitions);
    if (bot->seen)
        seen_free(bot->seen);
    bot->seen = NULL;
    if (bot->http)
        http_client_free(bot->http);
    if (bot->redis)
        redis_free(bot->redis);
}

static int serve_admin(struct gh_bot *bot, struct buf *err)
{
    const char *listen = setting_str(SETTING_admin_listen);
    metrics_show("worker loop");
    admin_check("partitions", partitions_ready, bot->partitions);
    return *listen ? admin_listen(listen, &bot->admin, err) : 0;
}

int gh_bot_run(struct gh_bot *bot)
{
    BUF_AUTO struct buf err = {0};
    int status = 0;
    loop_init();
    bot->loop = loop_mine();
    loop_on_signal(stop_all, bot);
    if (bot_connect(bot, &err) == 0 && serve_admin(bot, &err) == 0) {
        unsigned threads = (unsigned)setting_int(SETTING_worker_threads);
        LOG_INFO("started", "user=%llu group=%s threads=%u", (unsigned long long)bot->user_id, bot->group, threads);
        lanes_start(bot, threads - 1);
        loop_run();
        lanes_join(bot);
    } else {
        fprintf(stderr, "guildhall: %.*s\n", STR_ARG(buf_str(&err)));
        status = 2;
    }
    bot_disconnect(bot);
    loop_done();
    return status;
}

/* --- one thing, without events --- */

struct once {
    struct gh_bot *bot;
    int (*fn)(struct gh_context *c, void *arg);
    void *arg;
    int result;
};

static void once_main(void *arg)
{
    struct once *o = arg;
    struct gh_context c = {.bot = o->bot};
    for (int i = 0; !redis_connected(o->bot->redis) && i < 400; i++)
        co_sleep(25);
    o->result = redis_connected(o->bot->redis) ? o->fn(&c, o->arg) : -EHOSTDOWN;
    context_done(&c);
    loop_stop();
}

int gh_bot_once(struct gh_bot *bot, int (*fn)(struct gh_context *c, void *arg), void *arg)
{
    BUF_AUTO struct buf err = {0};
    struct once o = {bot, fn, arg, -EINVAL};
    loop_init();
    bot->loop = loop_mine();
    if (bot_connect_stores(bot, &err) == 0 && co_spawn(once_main, &o) == 0)
        loop_run();
    else
        fprintf(stderr, "guildhall: %.*s\n", STR_ARG(buf_str(&err)));
    bot_disconnect(bot);
    loop_done();
    return o.result;
}
