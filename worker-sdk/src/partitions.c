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

METRIC_DEFINE(held, METRIC_GAUGE, "guildhall_worker_partitions", "Partitions that this worker holds");
METRIC_DEFINE(dead, METRIC_COUNTER, "guildhall_worker_dead_letters_total", "Events put with the dead letters");

struct partition {
    struct partitions *all;
    unsigned number;
    char queue[160];
    struct list items;
    bool consuming, leaving, running;
    bool canceled;   /* the broker delivers nothing more of it */
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
    seen_flush(p->all->bot->seen);
    share_released(p->all->share, p->number);
}

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
            LOG_ERROR("event given up", "event=%s session=%s seq=%lld partition=%u", item->event.type,
                      item->event.session, (long long)item->event.seq, p->number);
            amqp_reject(p->all->consumer, item->tag, item->epoch);
        }
        item_free(item);
    }
    p->running = false;
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
    if (!p || !p->consuming)
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

struct taking {
    struct partition *p;
    unsigned tenure;
};

/* What its former worker handled is known: consume. */
static void on_seen(void *arg)
{
    struct taking *t = arg;
    struct partition *p = t->p;
    if (p->consuming && !p->leaving && p->tenure == t->tenure)
        amqp_consumer_add(p->all->consumer, p->queue);
    mem_free(t);
}

static void on_gained(unsigned slot, uint64_t epoch, void *arg)
{
    (void)epoch;
    struct partitions *all = arg;
    struct partition *p = &all->parts[slot];
    struct taking *t = MEM_NEW(struct taking);
    p->consuming = true;
    p->leaving = p->canceled = false;
    metric_add(&held, 1);
    *t = (struct taking){p, ++p->tenure};
    seen_load(all->bot->seen, slot, on_seen, t);
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
    amqp_consumer_remove(all->consumer, p->queue, on_canceled, p);
}

/* Another worker has it, because this one stood still for longer than its lease. What was not begun is that worker's.
 * Only a new connection gives back what the broker delivered here: in order, before it turns to the other's consumer.
 */
static void on_lost(unsigned slot, void *arg)
{
    struct partitions *all = arg;
    struct partition *p = &all->parts[slot];
    if (p->consuming)
        metric_add(&held, -1);
    p->consuming = p->leaving = false;
    items_drop(p);
    amqp_consumer_reconnect(all->consumer);
    amqp_consumer_remove(all->consumer, p->queue, NULL, NULL);
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
    parts_init(all);
    broker_topology_init(&all->topology, bot->application_id, groups, 1);
    all->consumer =
        amqp_consumer_new(bot->amqp_url, all->topology.declares, all->topology.count, PREFETCH, on_delivery, all, err);
    if (!all->consumer) {
        broker_topology_done(&all->topology);
        smap_done(&all->by_queue);
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
    mem_free(all);
}

bool partitions_ready(void *p)
{
    struct partitions *all = p;
    return all->share && amqp_consumer_connected(all->consumer) && share_known(all->share);
}
