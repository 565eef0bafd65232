/* The partitions that this worker holds: shared evenly among the group's workers by leases, consumed while held, each
 * handled in order by one coroutine at a time. Loop thread. */
#include "worker-sdk/src/sdk.h"

#include "cache/broker.h"
#include "platform/base/check.h"
#include "platform/base/clock.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/base/snowflake.h"
#include "platform/io/co.h"
#include "platform/io/loop.h"
#include "platform/protocol/json_text.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#define PREFETCH  64 /* of each partition */
#define LEASE_MS  2000
#define TICK_MS   500
#define SETTLE_MS 300
#define LOST_MS   15000 /* so long a handler may hold back a partition that another worker has */

METRIC_DEFINE(held, METRIC_GAUGE, "guildhall_worker_partitions", "Partitions that this worker holds");
METRIC_DEFINE(dead, METRIC_COUNTER, "guildhall_worker_dead_letters_total", "Events put with the dead letters");

struct partition {
    struct partitions *all;
    unsigned number;
    char queue[160];
    struct list items;
    bool consuming, leaving, running;
    bool canceled;   /* the broker delivers nothing more of it */
    bool lost;       /* another's; or ours again, but not before the broker has back what it delivered here */
    uint64_t stale;  /* deliveries of this connection, and of those before it, have been given back */
    unsigned tenure; /* how often it became ours */
};

struct partitions {
    struct gh_bot *bot;
    struct share *share;
    struct amqp_consumer *consumer;
    struct broker_topology topology;
    struct partition parts[BROKER_PARTITIONS];
    struct smap by_queue;
    char share_name[96], member[33];
    uint64_t connection;     /* of the last delivery */
    struct loop_timer *late; /* runs while partitions are lost: to the next turn, then for LOST_MS */
    bool late_for_good;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* --- items --- */

static void item_free(struct item *item)
{
    arena_done(&item->arena);
    mem_free(item);
}

static uint64_t hash_of(struct str s)
{
    uint64_t h = 0;
    static const unsigned char key[crypto_shorthash_KEYBYTES] = {0};
    if (s.n)
        crypto_shorthash((unsigned char *)&h, (const unsigned char *)s.p, s.n, key);
    return h;
}

/* "<application>.<EVENT>.<partition>": the middle. */
static struct str event_of(struct str key)
{
    const char *first = key.n ? memchr(key.p, '.', key.n) : NULL, *last = key.n ? memrchr(key.p, '.', key.n) : NULL;
    return first && last > first ? (struct str){first + 1, (size_t)(last - first - 1)} : STR("");
}

/* What happens to an entity once in its life: a second event of the kind is the same one, told by another set of shards
 * (a reshard) or in another session. */
static const char *const once[] = {
    "MESSAGE_CREATE",
    "MESSAGE_DELETE",
    "INTERACTION_CREATE",
    "THREAD_DELETE",
    "GUILD_AUDIT_LOG_ENTRY_CREATE",
    "GUILD_SCHEDULED_EVENT_CREATE",
    "GUILD_SCHEDULED_EVENT_DELETE",
    "STAGE_INSTANCE_CREATE",
    "STAGE_INSTANCE_DELETE",
    "AUTO_MODERATION_RULE_CREATE",
    "AUTO_MODERATION_RULE_DELETE",
    "ENTITLEMENT_CREATE",
    "ENTITLEMENT_DELETE",
};

/* What the event is known by: the entity where that is enough, else where it stands in the shard's session. */
static uint64_t identity_of(const char *type, struct str body, struct str message_id)
{
    char text[64];

    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        if (strcmp(type, once[i]) != 0)
            continue;
        uint64_t id = json_member_id(body, STR("id"));
        if (!id)
            break;
        snprintf(text, sizeof text, "%s:%llu", type, (unsigned long long)id);
        return hash_of(str_c(text));
    }
    return hash_of(message_id);
}

static struct item *item_new(const struct amqp_delivery *d)
{
    struct item *i = MEM_NEW(struct item);
    struct str guild = amqp_delivery_header(d, BROKER_HEADER_GUILD);
    i->tag = d->tag;
    i->epoch = d->epoch;
    i->event.type = arena_strdup(&i->arena, event_of(d->routing_key));
    i->event.json = arena_strdup(&i->arena, d->body);
    struct str session = amqp_delivery_header(d, BROKER_HEADER_SESSION);
    i->event.session = arena_strdup(&i->arena, session.p ? session : STR(""));
    i->event.redelivered = d->redelivered;
    if (snowflake_parse(guild, &i->event.guild_id) < 0)
        i->event.guild_id = 0;
    (void)amqp_delivery_header_int(d, BROKER_HEADER_SEQ, &i->event.seq);
    (void)amqp_delivery_header_int(d, BROKER_HEADER_SHARD, &i->event.shard);
    (void)amqp_delivery_header_int(d, BROKER_HEADER_SHARDS, &i->event.shard_count);
    (void)amqp_delivery_header_int(d, BROKER_HEADER_EPOCH, &i->lease_epoch);
    i->id_hash = identity_of(i->event.type, d->body, d->message_id);
    return i;
}

/* --- a partition's work --- */

/* A partition is given back when nothing of it is left here. */
static void settle(struct partition *p)
{
    if (!p->leaving || !p->canceled || p->running || !list_empty(&p->items))
        return;
    p->leaving = p->consuming = false;
    metric_add(&held, -1);
    seen_give_up(p->all->bot->seen, p->number);
    share_released(p->all->share, p->number);
}

static void lost_settle(struct partitions *all);

static void partition_run(void *arg)
{
    struct partition *p = arg;
    for (struct list *first; (first = list_first(&p->items));) {
        struct item *item = LIST_ENTRY(first, struct item, link);
        list_remove(first);
        int r = item_handle(p->all->bot, item);
        if (r == 0) {
            amqp_ack(p->all->consumer, item->tag, item->epoch, false);
        } else {
            metric_add(&dead, 1);
            LOG_ERROR("event given up", "type=%s session=%s seq=%lld partition=%u", item->event.type,
                      item->event.session, (long long)item->event.seq, p->number);
            amqp_reject(p->all->consumer, item->tag, item->epoch);
        }
        item_free(item);
    }
    p->running = false;
    if (p->lost)
        lost_settle(p->all);
    else
        settle(p);
}

static void partition_wake(struct partition *p)
{
    if (p->running || list_empty(&p->items))
        return;
    p->running = true;
    CHECK(co_spawn(partition_run, p) == 0);
}

static void on_delivery(const struct amqp_delivery *d, void *arg)
{
    struct partitions *all = arg;
    struct partition *p = smap_get(&all->by_queue, str_c(d->queue));
    all->connection = d->epoch;
    if (!p || !p->consuming || p->lost || d->epoch <= p->stale)
        return; /* it stays unacknowledged and is delivered to whoever holds the partition */
    struct item *item = item_new(d);
    item->partition = p->number;
    item->came_ns = clock_mono_ns();
    list_append(&p->items, &item->link);
    partition_wake(p);
}

static void items_drop(struct partition *p)
{
    LIST_FOREACH_SAFE(it, &p->items)
    {
        list_remove(it);
        item_free(LIST_ENTRY(it, struct item, link));
    }
}

/* --- leases --- */

/* What its former worker handled is known: consume. */
static void on_seen(unsigned slot, unsigned tenure, void *arg)
{
    struct partitions *all = arg;
    struct partition *p = &all->parts[slot];
    if (p->consuming && !p->leaving && !p->lost && p->tenure == tenure)
        amqp_consumer_add(all->consumer, p->queue);
}

static void load(struct partition *p)
{
    seen_load(p->all->bot->seen, p->number, p->tenure, on_seen, p->all);
}

static void on_gained(unsigned slot, uint64_t epoch, void *arg)
{
    (void)epoch;
    struct partitions *all = arg;
    struct partition *p = &all->parts[slot];
    p->consuming = true;
    p->leaving = p->canceled = false;
    p->tenure++;
    metric_add(&held, 1);
    if (!p->lost)
        load(p);
}

static void on_canceled(void *arg)
{
    struct partition *p = arg;
    p->canceled = true;
    settle(p);
}

static void on_leave(unsigned slot, void *arg)
{
    struct partitions *all = arg;
    struct partition *p = &all->parts[slot];
    p->leaving = true;
    p->canceled = false;
    if (!p->lost)
        amqp_consumer_remove(all->consumer, p->queue, on_canceled, p);
}

/* --- what another worker has already --- */

static bool lost_waits(const struct partitions *all)
{
    for (unsigned i = 0; i < BROKER_PARTITIONS; i++)
        if (all->parts[i].lost && all->parts[i].running)
            return true;
    return false;
}

static void lost_remove(struct partition *p)
{
    p->lost = false;
    p->stale = p->all->connection;
    amqp_consumer_remove(p->all->consumer, p->queue, p->leaving ? on_canceled : NULL, p);
    if (p->consuming && !p->leaving)
        load(p);
}

static void lost_give_back(struct partitions *all)
{
    loop_timer_stop(all->late);
    amqp_consumer_reconnect(all->consumer);
    for (unsigned i = 0; i < BROKER_PARTITIONS; i++)
        if (all->parts[i].lost)
            lost_remove(&all->parts[i]);
    if (all->stopped && !all->share)
        all->stopped(all->stopped_arg);
}

/* Only a new connection gives back what the broker delivered here: in order, before it turns to the other's consumer.
 * What a handler is at work on would be handled twice, so its end, and acknowledgement, are waited for. */
static void lost_settle(struct partitions *all)
{
    if (!lost_waits(all))
        lost_give_back(all);
}

static void on_late(void *arg)
{
    struct partitions *all = arg;
    if (all->late_for_good) {
        LOG_WARN("handlers hold back what another worker has", "after_ms=%d", LOST_MS);
        lost_give_back(all);
        return;
    }
    all->late_for_good = true;
    loop_timer_start(all->late, LOST_MS, 0);
    lost_settle(all);
}

static bool lost_any(const struct partitions *all)
{
    for (unsigned i = 0; i < BROKER_PARTITIONS; i++)
        if (all->parts[i].lost)
            return true;
    return false;
}

/* Another worker has it, because this one stood still for longer than its lease. What was not begun is that worker's.
 * Often it is not the only one: they are given back together, in the next turn. */
static void on_lost(unsigned slot, void *arg)
{
    struct partitions *all = arg;
    struct partition *p = &all->parts[slot];
    if (p->consuming)
        metric_add(&held, -1);
    p->consuming = p->leaving = false;
    items_drop(p);
    seen_lose(all->bot->seen, slot);
    if (!lost_any(all)) {
        all->late_for_good = false;
        loop_timer_start(all->late, 0, 0);
    }
    p->lost = true;
}

/* --- life --- */

static void parts_init(struct partitions *all)
{
    for (unsigned i = 0; i < BROKER_PARTITIONS; i++) {
        struct partition *p = &all->parts[i];
        BUF_AUTO struct buf queue = BUF_INIT(sizeof p->queue);
        broker_queue(&queue, all->bot->application_id, all->bot->group, i);
        p->all = all;
        p->number = i;
        snprintf(p->queue, sizeof p->queue, "%.*s", STR_ARG(buf_str(&queue)));
        list_init(&p->items);
        smap_put(&all->by_queue, str_c(p->queue), p);
    }
}

struct partitions *partitions_start(struct gh_bot *bot, struct buf *err)
{
    struct partitions *all = MEM_NEW(struct partitions);
    unsigned char random[16];
    const char *groups[] = {bot->group};
    all->bot = bot;
    all->late = loop_timer_new(on_late, all);
    parts_init(all);
    broker_topology_init(&all->topology, bot->application_id, groups, 1);
    all->consumer =
        amqp_consumer_new(bot->amqp_url, all->topology.declares, all->topology.count, PREFETCH, on_delivery, all, err);
    if (!all->consumer) {
        broker_topology_done(&all->topology);
        smap_done(&all->by_queue);
        loop_timer_free(all->late);
        mem_free(all);
        return NULL;
    }
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(all->member, sizeof all->member, random, sizeof random);
    snprintf(all->share_name, sizeof all->share_name, "gh:%llu:workers:%s", (unsigned long long)bot->application_id,
             bot->group);
    struct share_options o = {.redis = bot->redis,
                              .name = all->share_name,
                              .member = all->member,
                              .slots = BROKER_PARTITIONS,
                              .slots_max = BROKER_PARTITIONS,
                              .ttl_ms = LEASE_MS,
                              .tick_ms = TICK_MS,
                              .settle_ms = SETTLE_MS,
                              .gained = on_gained,
                              .leave = on_leave,
                              .lost = on_lost,
                              .arg = all};
    all->share = share_new(&o);
    return all;
}

static void on_share_stopped(void *arg)
{
    struct partitions *p = arg;
    p->share = NULL;
    if (!lost_any(p))
        p->stopped(p->stopped_arg);
}

void partitions_stop(struct partitions *p, void (*done)(void *arg), void *arg)
{
    p->stopped = done;
    p->stopped_arg = arg;
    share_stop(p->share, on_share_stopped, p);
}

void partitions_free(struct partitions *all)
{
    if (all->share)
        share_free(all->share);
    amqp_consumer_free(all->consumer);
    for (unsigned i = 0; i < BROKER_PARTITIONS; i++)
        items_drop(&all->parts[i]);
    broker_topology_done(&all->topology);
    smap_done(&all->by_queue);
    loop_timer_free(all->late);
    mem_free(all);
}

bool partitions_ready(void *p)
{
    struct partitions *all = p;
    return all->share && amqp_consumer_connected(all->consumer) && share_known(all->share);
}
