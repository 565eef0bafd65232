/* A set of shards in one process. Loop thread. */
#include "gateway/shard/set.h"

#include "cache/share.h"
#include "gateway/shard/commands.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/loop.h"
#include <stdio.h>

#define LEASE_MS  5000
#define TICK_MS   1000
#define SETTLE_MS 1500
#define LEAVE_MS  8000
#define FINISH_MS 120000 /* an upstream that is away for so long has ended the session, too */

METRIC_DEFINE_BY(
    metric_up, METRIC_GAUGE, "guildhall_shard_up", "shard, of",
    "1: the shard's session runs in this process; 0: it is on its way; -1: the upstream refused it for good");

struct shard_set {
    struct shard_set_options o;
    struct share *share;
    struct commands *commands;
    struct connection **shards; /* by number; NULL: not held here */
    bool *told_up;              /* and in metric_up */
    bool *ended;                /* by number: of a set that finishes */
    bool *wanted;               /* and to be given up */
    char name[96];
    bool publishes;
    bool retired, finishing; /* another set publishes; and the overlap is past */
    bool over, stopping;
    struct loop_timer *overlap;
    void (*done)(struct shard_set *s, void *arg);
    void *done_arg;
};

static bool holds(unsigned shard, void *arg)
{
    const struct shard_set *s = arg;

    return s->share && share_holds(s->share, shard);
}

static void stale(void *arg)
{
    struct shard_set *s = arg;

    s->o.stale(s->o.arg);
}

static void over_check(struct shard_set *s);

static void on_ended(unsigned shard, void *arg)
{
    struct shard_set *s = arg;

    LOG_INFO("shard_ended", "shard=%u of=%u", shard, s->o.count);
    s->shards[shard] = NULL;
    s->ended[shard] = true;
    if (s->wanted[shard])
        share_released(s->share, shard);
    over_check(s);
}

static void on_gained(unsigned shard, uint64_t epoch, void *arg)
{
    struct shard_set *s = arg;
    struct connection_options o = s->o.connection;

    s->wanted[shard] = false;
    if (s->ended[shard] || (s->retired && !s->publishes))
        return; /* held, so that nobody asks what is left of it */
    LOG_INFO("shard_gained", "shard=%u of=%u epoch=%llu", shard, s->o.count, (unsigned long long)epoch);
    o.key.shard = shard;
    o.key.shard_count = s->o.count;
    o.key.set = s->o.generation;
    o.epoch = epoch;
    o.holds = holds;
    o.stale = stale;
    o.arg = s;
    s->shards[shard] = connection_new(&o);
    if (s->publishes)
        connection_publish(s->shards[shard]);
    if (s->retired)
        connection_retire(s->shards[shard]);
    else if (s->commands)
        connection_take_commands(s->shards[shard], s->commands);
    if (s->finishing)
        connection_finish(s->shards[shard], FINISH_MS, on_ended);
}

static void on_left(unsigned shard, void *arg)
{
    struct shard_set *s = arg;

    LOG_INFO("shard_left", "shard=%u of=%u", shard, s->o.count);
    s->shards[shard] = NULL;
    share_released(s->share, shard);
}

static void on_leave(unsigned shard, void *arg)
{
    struct shard_set *s = arg;

    if (!s->shards[shard])
        share_released(s->share, shard);
    else if (s->finishing && !s->stopping)
        s->wanted[shard] = true; /* when it has ended */
    else
        connection_leave(s->shards[shard], LEAVE_MS, on_left);
}

static void on_lost(unsigned shard, void *arg)
{
    struct shard_set *s = arg;

    LOG_WARN("shard_lost", "shard=%u of=%u", shard, s->o.count);
    if (s->shards[shard])
        connection_drop(s->shards[shard]);
    s->shards[shard] = NULL;
}

struct shard_set *shard_set_new(const struct shard_set_options *o)
{
    struct shard_set *s = MEM_NEW(struct shard_set);

    s->o = *o;
    s->publishes = !o->connection.silent;
    s->shards = mem_zalloc(sizeof(*s->shards) * o->count);
    s->told_up = mem_zalloc(o->count);
    s->ended = mem_zalloc(sizeof(*s->ended) * o->count);
    s->wanted = mem_zalloc(sizeof(*s->wanted) * o->count);
    snprintf(s->name, sizeof(s->name), "gh:%llu:shards:%llu/%u", (unsigned long long)o->connection.key.application,
             (unsigned long long)o->generation, o->count);
    s->share = share_new(&(struct share_options){.redis = o->connection.key.redis,
                                                 .name = s->name,
                                                 .member = o->member,
                                                 .slots = o->count,
                                                 .slots_max = o->slots_max,
                                                 .ttl_ms = LEASE_MS,
                                                 .tick_ms = TICK_MS,
                                                 .settle_ms = SETTLE_MS,
                                                 .gained = on_gained,
                                                 .leave = on_leave,
                                                 .lost = on_lost,
                                                 .arg = s});
    return s;
}

static void each(struct shard_set *s, void (*fn)(struct shard_set *s, struct connection *c))
{
    for (unsigned i = 0; i < s->o.count; i++)
        if (s->shards[i])
            fn(s, s->shards[i]);
}

static void one_publish(struct shard_set *s, struct connection *c)
{
    (void)s;
    connection_publish(c);
}

void shard_set_publish(struct shard_set *s)
{
    if (s->publishes)
        return;
    s->publishes = true;
    each(s, one_publish);
}

static void one_commands(struct shard_set *s, struct connection *c)
{
    connection_take_commands(c, s->commands);
}

void shard_set_take_commands(struct shard_set *s, struct commands *commands)
{
    s->commands = commands;
    each(s, one_commands);
}

/* --- the end --- */

static void on_share_stopped(void *arg)
{
    struct shard_set *s = arg;
    void (*done)(struct shard_set *, void *) = s->done;
    void *done_arg = s->done_arg;

    shard_set_metrics(s); /* nothing is held any more */
    LOG_INFO("set_ended", "generation=%llu shards=%u", (unsigned long long)s->o.generation, s->o.count);
    done(s, done_arg);
    commands_free(s->commands);
    loop_timer_free(s->overlap);
    mem_free(s->shards);
    mem_free(s->told_up);
    mem_free(s->ended);
    mem_free(s->wanted);
    mem_free(s);
}

/* Nothing is left to end, here or elsewhere. */
static void over_check(struct shard_set *s)
{
    if (!s->over || !s->finishing || s->stopping)
        return;
    for (unsigned i = 0; i < s->o.count; i++)
        if (s->shards[i])
            return;
    s->stopping = true;
    share_stop(s->share, on_share_stopped, s);
}

static void one_finish(struct shard_set *s, struct connection *c)
{
    (void)s;
    connection_finish(c, FINISH_MS, on_ended);
}

static void on_overlap(void *arg)
{
    struct shard_set *s = arg;

    s->finishing = true;
    each(s, one_finish);
    over_check(s);
}

static void one_retire(struct shard_set *s, struct connection *c)
{
    (void)s;
    connection_retire(c);
}

void shard_set_finish(struct shard_set *s, int64_t overlap_ms, void (*done)(struct shard_set *s, void *arg), void *arg)
{
    s->done = done;
    s->done_arg = arg;
    s->retired = true;
    each(s, one_retire);
    s->overlap = loop_timer_new(on_overlap, s);
    loop_timer_start(s->overlap, overlap_ms, 0);
}

bool shard_set_is_finishing(const struct shard_set *s)
{
    return s->retired;
}

void shard_set_ended_take(struct shard_set *s, struct str ended)
{
    for (unsigned i = 0; i < s->o.count && i < ended.n; i++)
        s->ended[i] |= ended.p[i] == '1' && !s->shards[i];
}

bool shard_set_has_ended(const struct shard_set *s, unsigned shard)
{
    return s->ended[shard];
}

void shard_set_over(struct shard_set *s)
{
    s->over = true;
    over_check(s);
}

void shard_set_leave(struct shard_set *s, void (*done)(struct shard_set *s, void *arg), void *arg)
{
    s->done = done;
    s->done_arg = arg;
    s->stopping = true;
    if (s->overlap)
        loop_timer_stop(s->overlap);
    share_stop(s->share, on_share_stopped, s);
}

/* --- questions --- */

static void up_write(unsigned shard, unsigned of, int64_t value)
{
    char labels[48];

    snprintf(labels, sizeof(labels), "shard=\"%u\",of=\"%u\"", shard, of);
    metric_set(metric_with(&metric_up, labels), value);
}

void shard_set_metrics(struct shard_set *s)
{
    for (unsigned i = 0; i < s->o.count; i++) {
        const struct connection *c = s->shards[i];

        if (c)
            up_write(i, s->o.count, connection_is_live(c) ? 1 : connection_is_down(c) ? -1 : 0);
        else if (s->told_up[i])
            up_write(i, s->o.count, 0); /* it has moved */
        s->told_up[i] = c != NULL;
    }
}

static void one_redis_check(struct shard_set *s, struct connection *c)
{
    (void)s;
    connection_redis_check(c);
}

void shard_set_redis_check(struct shard_set *s)
{
    each(s, one_redis_check);
}

uint64_t shard_set_generation(const struct shard_set *s)
{
    return s->o.generation;
}

unsigned shard_set_count(const struct shard_set *s)
{
    return s->o.count;
}

unsigned shard_set_held(const struct shard_set *s)
{
    return share_held(s->share);
}

struct connection *shard_set_connection(const struct shard_set *s, unsigned shard)
{
    return shard < s->o.count ? s->shards[shard] : NULL;
}

bool shard_set_ready(const struct shard_set *s)
{
    if (!share_settled(s->share))
        return false;
    for (unsigned i = 0; i < s->o.count; i++)
        if (s->shards[i] && !connection_is_live(s->shards[i]))
            return false;
    return true;
}
