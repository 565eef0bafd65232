/* A shard process. Loop thread. */
#include "gateway/shard/process.h"

#include "cache/broker.h"
#include "cache/share.h"
#include "gateway/shard/commands.h"
#include "gateway/shard/connection.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/co.h"
#include "platform/io/http_client.h"
#include "platform/io/loop.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEASE_MS     5000
#define TICK_MS      1000
#define SETTLE_MS    1500
#define LEAVE_MS     8000
#define ASK_AGAIN_MS 2000
#define ASK_EVERY_MS 2000 /* the gateway's address, at most */
#define WATCH_MS     250
#define GROUPS_MAX   16
#define USER_AGENT   "DiscordBot (guildhall, " GUILDHALL_VERSION ")"

METRIC_DEFINE(metric_held, METRIC_GAUGE, "guildhall_shard_held", "Shards held by this process");

struct process {
    struct process_options o;
    struct upstream upstream;
    struct redis *redis;
    struct amqp_publisher *publisher;
    struct cache_writer *cache;
    struct cache_selection selection;
    struct commands *commands;
    struct broker_topology topology;
    struct share *share;
    struct connection **shards; /* by number; NULL: not ours */
    unsigned shard_count;
    char member[80], group[80];
    char *groups_text;
    const char *groups[GROUPS_MAX];
    int group_count;
    struct loop_timer *watch;
    bool asking, told_ready, stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* --- slots --- */

static bool holds(unsigned shard, void *arg)
{
    const struct process *p = arg;

    return p->share && share_holds(p->share, shard);
}

static void ask_gateway_main(void *arg)
{
    struct process *p = arg;
    struct buf BUF_AUTO err = BUF_INIT(1024);

    if (upstream_ask_gateway(&p->upstream, &err) != 0)
        LOG_WARN("upstream_unreachable", "error=\"%s\"", err.data ? err.data : "");
    co_sleep(ASK_EVERY_MS);
    p->asking = false;
}

static void on_stale(void *arg)
{
    struct process *p = arg;

    if (p->asking || p->stopping)
        return;
    p->asking = true;
    if (co_spawn(ask_gateway_main, p) != 0)
        p->asking = false;
}

static void on_gained(unsigned shard, uint64_t epoch, void *arg)
{
    struct process *p = arg;
    struct connection_options o = {.key = {p->redis, p->upstream.application, shard, p->shard_count},
                                   .epoch = epoch,
                                   .upstream = &p->upstream,
                                   .cache = p->cache,
                                   .publisher = p->publisher,
                                   .commands = p->commands,
                                   .ca_file = p->o.upstream_ca,
                                   .intents = p->o.intents,
                                   .compress = p->o.compress,
                                   .holds = holds,
                                   .stale = on_stale,
                                   .arg = p};

    LOG_INFO("shard_gained", "shard=%u epoch=%llu", shard, (unsigned long long)epoch);
    p->shards[shard] = connection_new(&o);
}

static void on_left(unsigned shard, void *arg)
{
    struct process *p = arg;

    LOG_INFO("shard_left", "shard=%u", shard);
    p->shards[shard] = NULL;
    share_released(p->share, shard);
}

static void on_leave(unsigned shard, void *arg)
{
    struct process *p = arg;

    if (p->shards[shard])
        connection_leave(p->shards[shard], LEAVE_MS, on_left);
}

static void on_lost(unsigned shard, void *arg)
{
    struct process *p = arg;

    LOG_WARN("shard_lost", "shard=%u", shard);
    if (p->shards[shard])
        connection_drop(p->shards[shard]);
    p->shards[shard] = NULL;
}

/* --- start: what must be known before the first shard --- */

static void share_begin(struct process *p)
{
    unsigned long long application = p->upstream.application;
    struct buf BUF_AUTO err = BUF_INIT(1024);

    p->shard_count = p->o.shard_count ? p->o.shard_count : p->upstream.shards;
    p->shards = mem_zalloc(sizeof(struct connection *) * p->shard_count);
    p->commands = commands_new(&(struct commands_options){.amqp_url = p->o.amqp_url,
                                                          .application = application,
                                                          .shard_count = p->shard_count,
                                                          .publisher = p->publisher},
                               &err);
    p->cache = cache_writer_new(&(struct cache_writer_options){.redis = p->redis,
                                                               .application = p->upstream.application,
                                                               .intents = p->o.intents,
                                                               .selection = &p->selection,
                                                               .messages = p->o.cache_messages,
                                                               .message_ttl_s = p->o.cache_message_ttl_s});
    snprintf(p->group, sizeof(p->group), "gh:%llu:shards:%u", application, p->shard_count);
    struct share_options o = {.redis = p->redis,
                              .name = p->group,
                              .member = p->member,
                              .slots = p->shard_count,
                              .slots_max = p->o.shards_max,
                              .ttl_ms = LEASE_MS,
                              .tick_ms = TICK_MS,
                              .settle_ms = SETTLE_MS,
                              .gained = on_gained,
                              .leave = on_leave,
                              .lost = on_lost,
                              .arg = p};
    p->share = share_new(&o);
    LOG_INFO("sharing", "application=%llu shards=%u max=%u gateway=%s member=%s", application, p->shard_count,
             p->o.shards_max, p->upstream.gateway_url, p->member);
}

static void start_main(void *arg)
{
    struct process *p = arg;
    struct buf BUF_AUTO err = BUF_INIT(1024);
    int error = -EHOSTDOWN;

    while (!p->stopping) {
        buf_clear(&err);
        error = p->upstream.application ? 0 : upstream_ask_application(&p->upstream, &err);
        error = error ? error : upstream_ask_gateway(&p->upstream, &err);
        if (error == 0)
            break;
        LOG_WARN("upstream_unreachable", "error=\"%s\"", err.data ? err.data : "");
        /* A refused token stays refused: asking on would count against the address. */
        co_sleep(error == -EACCES ? 60 * ASK_AGAIN_MS : ASK_AGAIN_MS);
    }
    if (p->stopping)
        return;
    broker_topology_init(&p->topology, p->upstream.application, p->groups, p->group_count);
    buf_clear(&err);
    p->publisher = amqp_publisher_new(p->o.amqp_url, p->topology.declares, p->topology.count, &err);
    if (!p->publisher) {
        LOG_ERROR("amqp_url_invalid", "error=\"%s\"", err.data ? err.data : "");
        return;
    }
    share_begin(p);
}

static void on_watch(void *arg)
{
    struct process *p = arg;

    if (p->share)
        metric_set(&metric_held, share_held(p->share));
    if (!p->told_ready && process_redis_ready(p) && process_broker_ready(p) && process_shards_ready(p)) {
        p->told_ready = true;
        p->o.ready(p->o.arg);
    }
}

/* --- life --- */

static void groups_split(struct process *p)
{
    p->groups_text = mem_strdup(p->o.worker_groups);
    char *save = NULL;

    for (char *g = strtok_r(p->groups_text, ", ", &save); g && p->group_count < GROUPS_MAX;
         g = strtok_r(NULL, ", ", &save))
        p->groups[p->group_count++] = g;
}

struct process *process_new(const struct process_options *o, struct buf *err)
{
    struct process *p = MEM_NEW(struct process);
    struct http_client_options ho = {.ca_file = o->upstream_ca, .user_agent = USER_AGENT};
    char host[40] = "";

    p->o = *o;
    if (cache_selection_read(&p->selection, o->cache, err) == 0)
        p->redis = redis_new(o->redis_url, err);
    if (!p->redis) {
        cache_selection_done(&p->selection);
        mem_free(p);
        return NULL;
    }
    groups_split(p);
    gethostname(host, sizeof(host) - 1);
    snprintf(p->member, sizeof(p->member), "%s/%d/%llx", host, (int)getpid(), (unsigned long long)clock_mono_ns());
    srand48((long)clock_mono_ns() ^ getpid());
    p->upstream = (struct upstream){.client = http_client_new(&ho), .base_url = o->upstream, .token = o->token};
    p->watch = loop_timer_new(on_watch, p);
    loop_timer_start(p->watch, WATCH_MS, WATCH_MS);
    co_spawn(start_main, p);
    return p;
}

static void on_share_stopped(void *arg)
{
    struct process *p = arg;

    p->share = NULL;
    p->stopped(p->stopped_arg);
}

void process_stop(struct process *p, void (*done)(void *arg), void *arg)
{
    p->stopping = true;
    p->stopped = done;
    p->stopped_arg = arg;
    if (p->share)
        share_stop(p->share, on_share_stopped, p);
    else
        loop_post(done, arg);
}

void process_free(struct process *p)
{
    loop_timer_free(p->watch);
    commands_free(p->commands);
    if (p->publisher)
        amqp_publisher_free(p->publisher);
    if (p->cache)
        cache_writer_free(p->cache);
    cache_selection_done(&p->selection);
    redis_free(p->redis);
    http_client_free(p->upstream.client);
    broker_topology_done(&p->topology);
    mem_free(p->groups_text);
    mem_free(p->shards);
    mem_free(p);
}

bool process_redis_ready(void *process)
{
    return redis_connected(((struct process *)process)->redis);
}

bool process_broker_ready(void *process)
{
    const struct process *p = process;

    return p->publisher && amqp_publisher_connected(p->publisher);
}

bool process_shards_ready(void *process)
{
    const struct process *p = process;

    if (!p->share || !share_settled(p->share))
        return false;
    for (unsigned i = 0; i < p->shard_count; i++)
        if (p->shards[i] && !connection_is_live(p->shards[i]))
            return false;
    return true;
}
