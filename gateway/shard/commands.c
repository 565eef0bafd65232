/* Commands from the broker to the shards' connections. Loop thread. */
#include "gateway/shard/commands.h"

#include "cache/broker.h"
#include "gateway/shard/command.h"
#include "platform/base/clock.h"
#include "platform/base/limits.h"
#include "platform/base/list.h"
#include "platform/base/log.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/base/metrics.h"
#include "platform/io/loop.h"
#include <stdio.h>

#define NAME_BYTES 96
#define RETRY_MS   500

METRIC_DEFINE(metric_waiting, METRIC_GAUGE, "guildhall_shard_commands_waiting",
              "Workers' commands received and not sent yet (more may wait at the broker)");
METRIC_DEFINE(metric_dead, METRIC_COUNTER, "guildhall_shard_commands_dead_total",
              "Workers' commands that could not be sent");
METRIC_DEFINE(metric_expired, METRIC_COUNTER, "guildhall_shard_commands_expired_total",
              "Workers' commands that waited here for longer than they should");
METRIC_DEFINE(metric_passed, METRIC_COUNTER, "guildhall_shard_commands_passed_total",
              "Workers' commands passed on to another shard");

struct commands {
    struct commands_options o;
    struct amqp_consumer *consumer;
    struct amqp_declare *declares;
    int declare_count;
    char (*names)[NAME_BYTES]; /* queue, and what it is bound to, for each number */
    char dead[NAME_BYTES], all[NAME_BYTES];
    struct smap by_queue; /* the queues taken -> struct command_queue */
};

struct item {
    struct list link;
    uint64_t tag, epoch;
    int64_t end_ms; /* of no use after it; 0: never */
    bool elsewhere; /* from the queue of a shard that is gone */
    bool to_all;
    char id[64];
    size_t bytes;
    char body[];
};

struct command_queue {
    struct commands *all;
    unsigned shard;
    command_send_fn send;
    void *arg;
    struct list items;
    struct loop_timer *timer;
    unsigned publishing; /* confirms awaited: the first item waits for them */
    bool publish_failed, closed;
    uint64_t epoch;
};

static const char *queue_name(const struct commands *c, unsigned number)
{
    return c->names[(size_t)2 * number];
}

/* --- one item --- */

static void item_drop(struct item *i)
{
    list_remove(&i->link);
    metric_add(&metric_waiting, -1);
    mem_free(i);
}

static void item_done(struct command_queue *q, struct item *i)
{
    amqp_ack(q->all->consumer, i->tag, i->epoch, false);
    item_drop(i);
}

static void queue_run(void *arg);

static void queue_release(struct command_queue *q)
{
    loop_timer_free(q->timer);
    mem_free(q);
}

/* The first item's copies are with the broker, or are tried again. */
static void on_published(int error, void *arg)
{
    struct command_queue *q = arg;

    q->publish_failed |= error != 0;
    if (--q->publishing > 0)
        return;
    if (q->closed) {
        queue_release(q);
    } else if (q->publish_failed || list_empty(&q->items)) {
        loop_timer_start(q->timer, RETRY_MS, 0);
    } else {
        item_done(q, LIST_ENTRY(q->items.next, struct item, link));
        queue_run(q);
    }
}

static void publish(struct command_queue *q, const struct item *i, const char *exchange, const char *key,
                    struct str body, const char *reason)
{
    struct amqp_header headers[] = {
        {.name = "reason", .value = reason ? str_c(reason) : STR("")},
        {.name = BROKER_HEADER_SHARD, .is_int = true, .number = q->shard},
    };
    struct amqp_message m = {.exchange = exchange,
                             .routing_key = key,
                             .body = body,
                             .persistent = true,
                             .message_id = i->id,
                             .headers = headers,
                             .header_count = reason ? 2 : 0,
                             .timestamp_s = clock_wall_ms() / 1000};

    if (i->end_ms && !reason)
        m.expiration_ms = i->end_ms - clock_mono_ms() > 1 ? i->end_ms - clock_mono_ms() : 1;
    q->publishing++;
    amqp_publish(q->all->o.publisher, &m, on_published, q);
}

static void bury(struct command_queue *q, const struct item *i, const char *reason)
{
    struct buf BUF_AUTO key = BUF_INIT(64);

    broker_command_key(&key, q->all->o.application, q->shard);
    LOG_WARN("command_invalid", "shard=%u id=%s reason=\"%s\"", q->shard, i->id, reason);
    metric_add(&metric_dead, 1);
    publish(q, i, q->all->dead, key.data, (struct str){i->body, i->bytes}, reason);
}

/* To the shards of its guilds; op 31 names several, of which each shard gets its own. */
static void pass_on(struct command_queue *q, const struct item *i, const struct command *c)
{
    for (unsigned n = 0; n < c->guild_count; n++) {
        struct buf BUF_AUTO key = BUF_INIT(64), one = BUF_INIT(256);

        broker_command_key(&key, q->all->o.application, command_shard(c->guilds[n], q->all->o.shard_count));
        if (c->guild_count > 1)
            shard_command_sounds(&one, c->guilds[n]);
        publish(q, i, BROKER_COMMANDS, key.data, c->guild_count > 1 ? buf_str(&one) : (struct str){i->body, i->bytes},
                NULL);
        metric_add(&metric_passed, 1);
    }
}

static bool is_ours(const struct command_queue *q, const struct command *c)
{
    for (unsigned n = 0; n < c->guild_count; n++)
        if (command_shard(c->guilds[n], q->all->o.shard_count) != q->shard)
            return false;
    return true;
}

/* The first item: done with (true: go on), or waiting for the gateway or the broker. Of what goes to all, each shard
 * has a copy of its own. */
static bool item_run(struct command_queue *q, struct item *i)
{
    struct command c;
    const char *reason;

    q->publish_failed = false;
    if (i->end_ms && clock_mono_ms() >= i->end_ms) {
        metric_add(&metric_expired, 1);
        item_done(q, i);
        return true;
    }
    if (shard_command_read((struct str){i->body, i->bytes}, &c, &reason) != 0) {
        bury(q, i, reason);
    } else if (!i->to_all && i->elsewhere && c.guild_count == 0) {
        bury(q, i, "the shard is gone");
    } else if (!i->to_all && !is_ours(q, &c)) {
        pass_on(q, i, &c);
    } else {
        bool anothers = i->to_all && (i->elsewhere || !is_ours(q, &c));
        int64_t wait_ms = anothers ? 0 : q->send((struct str){i->body, i->bytes}, i->to_all, q->arg);

        if (wait_ms == 0) {
            item_done(q, i);
            return true;
        }
        loop_timer_start(q->timer, wait_ms, 0);
    }
    return false;
}

static void queue_run(void *arg)
{
    struct command_queue *q = arg;

    while (!q->closed && q->publishing == 0 && !list_empty(&q->items)) {
        if (!amqp_consumer_connected(q->all->consumer)) { /* could not be acknowledged */
            loop_timer_start(q->timer, RETRY_MS, 0);
            return;
        }
        if (!item_run(q, LIST_ENTRY(q->items.next, struct item, link)))
            return;
    }
}

void command_queue_kick(struct command_queue *q)
{
    if (q)
        queue_run(q);
}

/* --- what comes --- */

/* The broker tells how long it may wait in all, and the publisher's clock, where it is told, since when it does. */
static int64_t end_of(const struct amqp_delivery *d)
{
    int64_t waited_ms = d->timestamp_s ? clock_wall_ms() - d->timestamp_s * 1000 - 999 : 0;

    if (d->expiration_ms <= 0)
        return 0;
    return clock_mono_ms() + d->expiration_ms - (waited_ms > 0 ? waited_ms : 0);
}

static void items_drop(struct command_queue *q)
{
    LIST_FOREACH_SAFE(it, &q->items)
    {
        item_drop(LIST_ENTRY(it, struct item, link));
    }
}

static void on_delivery(const struct amqp_delivery *d, void *arg)
{
    struct commands *c = arg;
    struct command_queue *q = smap_get(&c->by_queue, str_c(d->queue));

    if (!q)
        return; /* closed meanwhile: stays with the broker */
    if (d->epoch != q->epoch) {
        items_drop(q); /* of a lost connection: the broker delivers them again */
        q->epoch = d->epoch;
    }
    struct item *i = mem_alloc(sizeof(*i) + d->body.n);
    *i = (struct item){.tag = d->tag, .epoch = d->epoch, .bytes = d->body.n};
    i->elsewhere = strcmp(d->queue, queue_name(c, q->shard)) != 0;
    i->to_all = str_eq(d->routing_key, str_c(c->all));
    i->end_ms = end_of(d);
    snprintf(i->id, sizeof(i->id), "%.*s", d->message_id.p ? (int)d->message_id.n : 0, d->message_id.p);
    memcpy(i->body, d->body.p, d->body.n);
    list_append(&q->items, &i->link);
    metric_add(&metric_waiting, 1);
    queue_run(q);
}

/* --- queues --- */

struct command_queue *command_queue_open(struct commands *c, unsigned shard, command_send_fn send, void *arg)
{
    struct command_queue *q = MEM_NEW(struct command_queue);

    *q = (struct command_queue){.all = c, .shard = shard, .send = send, .arg = arg};
    list_init(&q->items);
    q->timer = loop_timer_new(queue_run, q);
    for (unsigned n = shard; n < c->o.queue_count; n += c->o.shard_count) {
        smap_put(&c->by_queue, str_c(queue_name(c, n)), q);
        amqp_consumer_add(c->consumer, queue_name(c, n));
    }
    return q;
}

void command_queue_close(struct command_queue *q)
{
    if (!q)
        return;
    struct commands *c = q->all;

    q->closed = true;
    if (!list_empty(&q->items))
        amqp_consumer_reconnect(c->consumer); /* puts them back in their places */
    items_drop(q);
    for (unsigned n = q->shard; n < c->o.queue_count; n += c->o.shard_count) {
        smap_del(&c->by_queue, str_c(queue_name(c, n)));
        amqp_consumer_remove(c->consumer, queue_name(c, n), NULL, NULL);
    }
    if (q->publishing == 0)
        queue_release(q);
}

/* --- life --- */

static void declare(struct commands *c, struct amqp_declare d)
{
    c->declares[c->declare_count++] = d;
}

static void topology(struct commands *c)
{
    unsigned long long application = c->o.application;
    struct buf BUF_AUTO dead = BUF_INIT(NAME_BYTES);

    broker_dead(&dead, c->o.application, BROKER_COMMANDS_GROUP);
    snprintf(c->dead, sizeof(c->dead), "%s", dead.data);
    snprintf(c->all, sizeof(c->all), "%llu.all", application);
    declare(c, (struct amqp_declare){.what = AMQP_EXCHANGE, .name = BROKER_COMMANDS, .type = "topic", .durable = true});
    declare(c, (struct amqp_declare){.what = AMQP_EXCHANGE, .name = c->dead, .type = "topic", .durable = true});
    declare(c, (struct amqp_declare){
                   .what = AMQP_QUEUE, .name = c->dead, .durable = true, .max_length = LIMIT_BROKER_DEAD_LETTERS});
    declare(c, (struct amqp_declare){.what = AMQP_BIND, .name = c->dead, .exchange = c->dead, .routing_key = "#"});
    for (unsigned n = 0; n < c->o.queue_count; n++) {
        char *queue = c->names[(size_t)2 * n], *key = c->names[(size_t)2 * n + 1];

        snprintf(queue, NAME_BYTES, "guildhall.%llu." BROKER_COMMANDS_GROUP ".%u", application, n);
        snprintf(key, NAME_BYTES, "%llu.%u", application, n);
        declare(c, (struct amqp_declare){.what = AMQP_QUEUE,
                                         .name = queue,
                                         .durable = true,
                                         .max_length = LIMIT_BROKER_COMMANDS,
                                         .overflow = "reject-publish",
                                         .single_active_consumer = true});
        declare(c, (struct amqp_declare){
                       .what = AMQP_BIND, .name = queue, .exchange = BROKER_COMMANDS, .routing_key = key});
        declare(c, (struct amqp_declare){
                       .what = AMQP_BIND, .name = queue, .exchange = BROKER_COMMANDS, .routing_key = c->all});
    }
}

struct commands *commands_new(const struct commands_options *o, struct buf *err)
{
    struct commands *c = MEM_NEW(struct commands);

    c->o = *o;
    if (c->o.queue_count < o->shard_count)
        c->o.queue_count = o->shard_count;
    c->names = mem_zalloc((size_t)2 * c->o.queue_count * NAME_BYTES);
    c->declares = mem_zalloc(sizeof(*c->declares) * ((size_t)3 * c->o.queue_count + 4));
    topology(c);
    c->consumer = amqp_consumer_new(o->amqp_url, c->declares, c->declare_count, LIMIT_SHARD_COMMANDS_WAITING,
                                    on_delivery, c, err);
    if (c->consumer)
        return c;
    mem_free(c->names);
    mem_free(c->declares);
    mem_free(c);
    return NULL;
}

void commands_free(struct commands *c)
{
    if (!c)
        return;
    amqp_consumer_free(c->consumer);
    smap_done(&c->by_queue);
    mem_free(c->names);
    mem_free(c->declares);
    mem_free(c);
}

bool commands_ready(const struct commands *c)
{
    return c && amqp_consumer_connected(c->consumer);
}
