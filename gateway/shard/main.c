/* `guildhall shard`: from settings to a running process and back. Loop thread. */
#include "gateway/shard/shard.h"

#include "gateway/shard/process.h"
#include "platform/base/log.h"
#include "platform/base/settings.h"
#include "platform/io/admin.h"
#include "platform/io/loop.h"
#include <stdio.h>

#define STOP_MAX_MS 12000

static struct process *process;
static struct http_listener *admin;

static void on_stopped(void *arg)
{
    (void)arg;
    loop_stop();
}

static void on_signal(void *arg)
{
    static struct loop_timer *late;

    (void)arg;
    if (late)
        return;
    LOG_INFO("stopping", "at_most_ms=%d", STOP_MAX_MS);
    late = loop_timer_new(on_stopped, NULL);
    loop_timer_start(late, STOP_MAX_MS, 0);
    process_stop(process, on_stopped, NULL);
}

static void on_ready(void *arg)
{
    (void)arg;
    printf("{\"ready\":\"shard\"");
    if (admin)
        printf(",\"admin\":\"http://127.0.0.1:%d\"", http_listener_port(admin));
    printf("}\n");
    fflush(stdout);
}

static int refuse(const char *what)
{
    fprintf(stderr, "guildhall shard: %s\n", what);
    return 2;
}

int shard_main(void)
{
    struct buf BUF_AUTO err = BUF_INIT(1024);
    const char *admin_on = setting_str(SETTING_admin_listen), *ca = setting_str(SETTING_upstream_ca);
    struct process_options o = {
        .upstream = setting_str(SETTING_upstream),
        .upstream_ca = *ca ? ca : NULL,
        .token = setting_str(SETTING_token),
        .redis_url = setting_str(SETTING_redis_url),
        .amqp_url = setting_str(SETTING_amqp_url),
        .worker_groups = setting_str(SETTING_worker_groups),
        .cache = setting_str(SETTING_cache),
        .cache_messages = (int)setting_int(SETTING_cache_messages),
        .cache_message_ttl_s = (int)setting_int(SETTING_cache_message_ttl_s),
        .intents = (uint32_t)setting_int(SETTING_intents),
        .shard_count = (unsigned)setting_int(SETTING_shard_count),
        .shards_max = (unsigned)setting_int(SETTING_shards_max),
        .shed_depth = (unsigned)setting_int(SETTING_shed_depth),
        .start_reserve = (int)setting_int(SETTING_start_reserve),
        .ready = on_ready,
    };

    if (transport_find(setting_str(SETTING_compress), &o.transport) < 0)
        return refuse("compress must be zlib-stream, zstd-stream or off");
    if (!*o.token)
        return refuse("token (DISCORD_TOKEN) is not set");
    if (!*o.redis_url || !*o.amqp_url)
        return refuse("redis_url (REDIS_URL) and amqp_url (AMQP_URL) must be set");
    process = process_new(&o, &err);
    if (!process)
        return refuse(err.data ? err.data : "redis_url is malformed");
    admin_check("redis", process_redis_ready, process);
    admin_check("broker", process_broker_ready, process);
    admin_check("session_starts", process_starts_ready, process);
    admin_check("shards", process_shards_ready, process);
    if (*admin_on && admin_listen(admin_on, &admin, &err) != 0)
        return refuse(err.data ? err.data : "cannot listen");
    loop_on_signal(on_signal, NULL);
    loop_run();
    process_free(process);
    return 0;
}
