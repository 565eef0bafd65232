/* A shard process. Loop thread. */
#include "gateway/shard/process.h"

#include "cache/broker.h"
#include "cache/schema.h"
#include "cache/stats.h"
#include "gateway/shard/commands.h"
#include "gateway/shard/connection.h"
#include "gateway/shard/depth.h"
#include "gateway/shard/set.h"
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

#define TELL_MS      500  /* how often the plan of sets is asked for */
#define OVERLAP_MS   5000 /* both sets publish: what the old one's gateway had under way when the new one began */
#define SETS_MAX     8
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
    struct cache_sampler *sampler;
    struct depth *depth;
    struct broker_topology topology;
    struct shard_set *sets[SETS_MAX]; /* all of this process: */
    struct shard_set *current,
        *next; /* the one that publishes; the one that a reshard makes ready; and those that end */
    char member[80];
    char *groups_text;
    const char *groups[GROUPS_MAX];
    int group_count;
    struct loop_timer *watch, *tell;
    bool asking, telling, told_ready, stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* --- sets --- */

static int starts_tell(struct process *p)
{
    return identify_starts_tell(p->redis, p->upstream.application, p->upstream.starts_total,
                                p->upstream.starts_remaining, p->upstream.starts_reset_after_ms);
}

static void ask_gateway_main(void *arg)
{
    struct process *p = arg;
    struct buf BUF_AUTO err = BUF_INIT(1024);

    if (upstream_ask_gateway(&p->upstream, &err) != 0)
        LOG_WARN("upstream_unreachable", "error=\"%s\"", err.data ? err.data : "");
    else
        (void)starts_tell(p);
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

static void set_gone(struct shard_set *set, void *arg)
{
    struct process *p = arg;
    bool any = false;

    for (int i = 0; i < SETS_MAX; i++) {
        if (p->sets[i] == set)
            p->sets[i] = NULL;
        any |= p->sets[i] != NULL;
    }
    p->current = p->current == set ? NULL : p->current;
    if (p->stopping && !any)
        loop_post(p->stopped, p->stopped_arg);
}

/* NULL: there are too many that have not ended yet. */
static struct shard_set *set_begin(struct process *p, uint64_t generation, unsigned count, bool silent)
{
    struct shard_set_options o = {
        .generation = generation,
        .count = count,
        .slots_max = p->o.shards_max,
        .member = p->member,
        .connection = {.key = {.redis = p->redis, .application = p->upstream.application},
                       .upstream = &p->upstream,
                       .cache = p->cache,
                       .publisher = p->publisher,
                       .crowds = depth_crowds(p->depth),
                       .ca_file = p->o.upstream_ca,
                       .intents = p->o.intents,
                       .transport = p->o.transport,
                       .start_reserve = p->o.start_reserve,
                       .silent = silent},
        .stale = on_stale,
        .arg = p,
    };

    for (int i = 0; i < SETS_MAX; i++) {
        if (p->sets[i])
            continue;
        LOG_INFO("set_begun", "application=%llu generation=%llu shards=%u max=%u silent=%d gateway=%s member=%s",
                 (unsigned long long)p->upstream.application, (unsigned long long)generation, count, p->o.shards_max,
                 silent, p->upstream.gateway_url, p->member);
        return p->sets[i] = shard_set_new(&o);
    }
    return NULL;
}

/* Another set than ours is the current one: the next, or one that this process has missed the making of. */
static void advance(struct process *p, const struct shard_plan *plan)
{
    struct shard_set *old = p->current, *now = p->next;
    struct buf BUF_AUTO err = BUF_INIT(1024);

    if (!now || shard_set_generation(now) != plan->generation)
        now = set_begin(p, plan->generation, plan->count, false);
    else
        p->next = NULL;
    if (!now)
        return;
    p->current = now;
    shard_set_publish(now);
    shard_set_take_commands(now, commands_new(&(struct commands_options){.amqp_url = p->o.amqp_url,
                                                                         .application = p->upstream.application,
                                                                         .shard_count = plan->count,
                                                                         .queue_count = plan->queues,
                                                                         .publisher = p->publisher},
                                              &err));
    if (!old) {
        if (p->o.shard_count && p->o.shard_count != plan->count)
            LOG_WARN("shard_count_ignored", "told=%u runs=%u hint=\"guildhall ctl reshard changes it\"",
                     p->o.shard_count, plan->count);
        return;
    }
    LOG_INFO("resharded", "from=%u to=%u generation=%llu", shard_set_count(old), plan->count,
             (unsigned long long)plan->generation);
    shard_set_finish(old, OVERLAP_MS, set_gone, p);
}

static struct shard_set *set_of(const struct process *p, uint64_t generation)
{
    for (int i = 0; i < SETS_MAX; i++)
        if (p->sets[i] && shard_set_generation(p->sets[i]) == generation)
            return p->sets[i];
    return NULL;
}

static bool is_ending(const struct shard_plan *plan, uint64_t generation)
{
    for (unsigned i = 0; i < plan->ending_count; i++)
        if (plan->endings[i].generation == generation)
            return true;
    return false;
}

/* Sets that were the current one, also before this process began: whatever their holders left is read to its end. */
static void endings_follow(struct process *p, const struct shard_plan *plan)
{
    for (unsigned i = 0; i < plan->ending_count; i++) {
        const struct shard_ending *e = &plan->endings[i];
        struct shard_set *s = set_of(p, e->generation);

        if (!s) {
            s = set_begin(p, e->generation, e->count, false);
            if (s)
                shard_set_finish(s, OVERLAP_MS, set_gone, p);
        }
        if (s && shard_set_is_finishing(s))
            shard_set_ended_take(s, e->ended);
    }
    for (int i = 0; i < SETS_MAX; i++)
        if (p->sets[i] && shard_set_is_finishing(p->sets[i]) && !is_ending(plan, shard_set_generation(p->sets[i])))
            shard_set_over(p->sets[i]);
}

static void follow(struct process *p, const struct shard_plan *plan)
{
    if (!p->current || plan->generation > shard_set_generation(p->current))
        advance(p, plan);
    if (!p->current || plan->generation < shard_set_generation(p->current))
        return; /* a Redis that forgot: it is told again */
    if (p->next && shard_set_generation(p->next) != plan->next_generation) {
        shard_set_finish(p->next, 0, set_gone, p);
        p->next = NULL;
    }
    if (!p->next && plan->next_generation > plan->generation)
        p->next = set_begin(p, plan->next_generation, plan->next_count, true);
    if (p->next && plan->phase == SHARD_PHASE_OVERLAP)
        shard_set_publish(p->next);
    endings_follow(p, plan);
}

static void on_plan(int error, const struct shard_plan *plan, void *arg)
{
    struct process *p = arg;

    p->telling = false;
    if (error == 0 && !p->stopping)
        follow(p, plan);
}

/* The shards of sets that end which have ended, as far as this process knows. */
static unsigned ended_list(const struct process *p, struct shard_ended **ret)
{
    unsigned most = 0, count = 0;

    for (int i = 0; i < SETS_MAX; i++)
        if (p->sets[i] && shard_set_is_finishing(p->sets[i]))
            most += shard_set_count(p->sets[i]);
    *ret = mem_alloc(sizeof(**ret) * (most + 1));
    for (int i = 0; i < SETS_MAX; i++) {
        const struct shard_set *s = p->sets[i];

        for (unsigned n = 0; s && shard_set_is_finishing(s) && n < shard_set_count(s); n++)
            if (shard_set_has_ended(s, n))
                (*ret)[count++] = (struct shard_ended){shard_set_generation(s), n};
    }
    return count;
}

/* Tells how far the next set is and what has ended, and hears which sets there are. */
static void on_tell(void *arg)
{
    struct process *p = arg;
    unsigned first = p->o.shard_count ? p->o.shard_count : p->upstream.shards;
    struct shard_plan_word w = {.application = p->upstream.application,
                                .generation = p->current ? shard_set_generation(p->current) : 0,
                                .count = p->current ? shard_set_count(p->current) : first,
                                .told = p->o.shard_count != 0};
    unsigned count = p->next ? shard_set_count(p->next) : 0;
    unsigned *shards = mem_alloc(sizeof(*shards) * (count + 1));
    enum shard_progress *progress = mem_alloc(sizeof(*progress) * (count + 1));

    if (!p->telling && !p->stopping) {
        for (unsigned i = 0; i < count; i++) {
            const struct connection *c = shard_set_connection(p->next, i);
            if (!c)
                continue;
            shards[w.shard_count] = i;
            progress[w.shard_count++] = connection_progress(c);
        }
        w.next_generation = p->next ? shard_set_generation(p->next) : 0;
        w.shards = shards;
        w.progress = progress;
        struct shard_ended *ended;
        w.ended_count = ended_list(p, &ended);
        w.ended = ended;
        p->telling = true;
        shard_plan_tell(p->redis, &w, on_plan, p);
        mem_free(ended);
    }
    mem_free(shards);
    mem_free(progress);
}

/* --- start: what must be known before the first shard --- */

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
    p->depth = depth_new(&(struct depth_options){.amqp_url = p->o.amqp_url,
                                                 .application = p->upstream.application,
                                                 .groups = p->groups,
                                                 .group_count = p->group_count,
                                                 .topology = &p->topology,
                                                 .shed_depth = p->o.shed_depth},
                         &err);
    if (!p->publisher || !p->depth) {
        LOG_ERROR("amqp_url_invalid", "error=\"%s\"", err.data ? err.data : "");
        return;
    }
    p->cache = cache_writer_new(&(struct cache_writer_options){.redis = p->redis,
                                                               .application = p->upstream.application,
                                                               .intents = p->o.intents,
                                                               .selection = &p->selection,
                                                               .messages = p->o.cache_messages,
                                                               .message_ttl_s = p->o.cache_message_ttl_s});
    p->sampler = cache_sampler_new(&(struct cache){p->redis, p->upstream.application});
    while (!p->stopping && cache_schema_open(&(struct cache){p->redis, p->upstream.application}) != 0)
        co_sleep(WATCH_MS);
    while (!p->stopping && starts_tell(p) != 0)
        co_sleep(WATCH_MS);
    loop_timer_start(p->tell, 0, TELL_MS);
}

static void on_watch(void *arg)
{
    struct process *p = arg;

    for (int i = 0; i < SETS_MAX; i++) {
        if (!p->sets[i])
            continue;
        shard_set_metrics(p->sets[i]);
        shard_set_redis_check(p->sets[i]);
    }
    if (p->current)
        metric_set(&metric_held, shard_set_held(p->current));
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
         g = strtok_r(NULL, ", ", &save)) {
        if (strcmp(g, BROKER_COMMANDS_GROUP) == 0)
            LOG_ERROR("worker_group_ignored", "group=%s why=\"the name is taken\"", g);
        else
            p->groups[p->group_count++] = g;
    }
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
    p->tell = loop_timer_new(on_tell, p);
    p->watch = loop_timer_new(on_watch, p);
    loop_timer_start(p->watch, WATCH_MS, WATCH_MS);
    co_spawn(start_main, p);
    return p;
}

void process_stop(struct process *p, void (*done)(void *arg), void *arg)
{
    bool any = false;

    p->stopping = true;
    p->stopped = done;
    p->stopped_arg = arg;
    p->next = NULL;
    for (int i = 0; i < SETS_MAX; i++) {
        if (!p->sets[i])
            continue;
        any = true;
        shard_set_leave(p->sets[i], set_gone, p);
    }
    if (!any)
        loop_post(done, arg);
}

void process_free(struct process *p)
{
    loop_timer_free(p->watch);
    loop_timer_free(p->tell);
    depth_free(p->depth);
    if (p->publisher)
        amqp_publisher_free(p->publisher);
    if (p->sampler)
        cache_sampler_free(p->sampler);
    redis_free(p->redis); /* answers what is under way, which the writer hears */
    if (p->cache)
        cache_writer_free(p->cache);
    cache_selection_done(&p->selection);
    http_client_free(p->upstream.client);
    broker_topology_done(&p->topology);
    mem_free(p->groups_text);
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

bool process_starts_ready(void *process)
{
    (void)process;
    return connections_starts_blocked() == 0;
}

bool process_shards_ready(void *process)
{
    const struct process *p = process;

    return p->current && shard_set_ready(p->current);
}
