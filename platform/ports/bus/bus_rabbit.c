/* `bus` on RabbitMQ. Each gateway node has a durable queue with an expiry, so that a node that comes back under its
 * name finds what it had not acknowledged. An event is published once: to the first node by its routing key, to the
 * others by the CC header. Loop thread; the adapters have threads of their own. */
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/io/amqp.h"
#include "platform/ports/bus/bus_private.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#define EVENTS_EXCHANGE       "guildhall.gateway"
#define BROADCAST_EXCHANGE    "guildhall.broadcast"
#define NODE_QUEUE_EXPIRES_MS 300000
#define NODE_PREFETCH         2048
#define DECLARES_MAX          6

struct bus_rabbit {
    struct bus bus;
    char *url;
    struct amqp_publisher *publisher;
    struct amqp_consumer *consumer;
    struct amqp_declare declares[DECLARES_MAX]; /* the consumer's */
    char *node_id;
    char node_queue[128], broadcast_queue[64];
    bus_fn fn;
    void *arg;
};

static const struct amqp_declare exchanges[] = {
    {.what = AMQP_EXCHANGE, .name = EVENTS_EXCHANGE, .type = "direct", .durable = true},
    {.what = AMQP_EXCHANGE, .name = BROADCAST_EXCHANGE, .type = "fanout", .durable = true},
};

static struct bus_rabbit *self_of(struct bus *b)
{
    return (struct bus_rabbit *)(void *)b;
}

static int publish_error(int r)
{
    return r == -ENOTCONN || r == -ECANCELED ? -EHOSTDOWN : r;
}

static int rabbit_publish(struct bus *b, const struct event *e, const char *const *node_ids, unsigned node_count)
{
    struct buf body = BUF_INIT(LIMIT_BUF_DEFAULT_BYTES);
    struct arena a = {0};
    const char **others = ARENA_ARRAY(&a, const char *, node_count + 1);
    for (unsigned i = 1; i < node_count; i++)
        others[i - 1] = node_ids[i];
    struct amqp_header cc = {.name = "CC", .list = others};
    event_encode(e, &body);
    struct amqp_message m = {.exchange = EVENTS_EXCHANGE,
                             .routing_key = node_ids[0],
                             .body = buf_str(&body),
                             .persistent = true,
                             .headers = &cc,
                             .header_count = node_count > 1};
    int r = buf_failed(&body) ? -EIO : publish_error(amqp_publish_await(self_of(b)->publisher, &m));
    buf_done(&body);
    arena_done(&a);
    return r;
}

static int rabbit_broadcast(struct bus *b, const struct event *e)
{
    struct buf body = BUF_INIT(LIMIT_BUF_DEFAULT_BYTES);
    event_encode(e, &body);
    struct amqp_message m = {.exchange = BROADCAST_EXCHANGE, .routing_key = "", .body = buf_str(&body)};
    int r = buf_failed(&body) ? -EIO : publish_error(amqp_publish_await(self_of(b)->publisher, &m));
    buf_done(&body);
    return r;
}

static void on_delivery(const struct amqp_delivery *d, void *arg)
{
    struct bus_rabbit *m = arg;
    struct arena a = {0};
    struct event e;
    bool broadcast = strcmp(d->queue, m->broadcast_queue) == 0;
    int r = event_decode(d->body, &a, &e);
    if (r < 0)
        LOG_ERROR("bus message unreadable", "queue=%s bytes=%zu", d->queue, d->body.n);
    /* What no one can read must not come again for ever. */
    if (broadcast || r < 0)
        amqp_ack(m->consumer, d->tag, d->epoch, false);
    struct bus_delivery delivery = {&e, d->redelivered, broadcast ? 0 : d->tag, broadcast ? 0 : d->epoch};
    if (r == 0)
        m->fn(&delivery, m->arg);
    arena_done(&a);
}

static int declares_fill(struct bus_rabbit *m)
{
    int n = 0;
    for (size_t i = 0; i < sizeof exchanges / sizeof *exchanges; i++)
        m->declares[n++] = exchanges[i];
    m->declares[n++] =
        (struct amqp_declare){.what = AMQP_QUEUE, .name = m->broadcast_queue, .auto_delete = true, .exclusive = true};
    m->declares[n++] = (struct amqp_declare){
        .what = AMQP_BIND, .name = m->broadcast_queue, .exchange = BROADCAST_EXCHANGE, .routing_key = ""};
    if (!m->node_id)
        return n;
    m->declares[n++] = (struct amqp_declare){.what = AMQP_QUEUE,
                                             .name = m->node_queue,
                                             .durable = true,
                                             .expires_ms = NODE_QUEUE_EXPIRES_MS,
                                             .max_length = LIMIT_BUS_NODE_QUEUE};
    m->declares[n++] = (struct amqp_declare){
        .what = AMQP_BIND, .name = m->node_queue, .exchange = EVENTS_EXCHANGE, .routing_key = m->node_id};
    return n;
}

/* Once for a process. A new subscription (a node under a new id) takes the place of the one before. */
static int rabbit_subscribe(struct bus *b, const char *node_id, bus_fn fn, void *arg)
{
    struct bus_rabbit *m = self_of(b);
    struct buf err = {0};
    if (m->consumer)
        amqp_consumer_free(m->consumer);
    mem_free(m->node_id);
    m->node_id = node_id ? mem_strdup(node_id) : NULL;
    m->fn = fn;
    m->arg = arg;
    snprintf(m->broadcast_queue, sizeof m->broadcast_queue, "guildhall.broadcast.%08x%08x", randombytes_random(),
             randombytes_random());
    snprintf(m->node_queue, sizeof m->node_queue, "guildhall.gateway.%s", node_id ? node_id : "");
    m->consumer = amqp_consumer_new(m->url, m->declares, declares_fill(m), NODE_PREFETCH, on_delivery, m, &err);
    buf_done(&err);
    if (!m->consumer)
        return -EINVAL;
    amqp_consumer_add(m->consumer, m->broadcast_queue);
    if (m->node_id)
        amqp_consumer_add(m->consumer, m->node_queue);
    return 0;
}

static void rabbit_unsubscribe(struct bus *b, const char *node_id)
{
    struct bus_rabbit *m = self_of(b);
    (void)node_id; /* there is only one */
    if (m->consumer)
        amqp_consumer_free(m->consumer);
    m->consumer = NULL;
}

static void rabbit_ack(struct bus *b, uint64_t tag, uint64_t epoch)
{
    if (tag && self_of(b)->consumer)
        amqp_ack(self_of(b)->consumer, tag, epoch, false);
}

static bool rabbit_ready(const struct bus *b)
{
    const struct bus_rabbit *m = (const struct bus_rabbit *)(const void *)b;
    return amqp_publisher_connected(m->publisher) && (!m->consumer || amqp_consumer_connected(m->consumer));
}

static void rabbit_close(struct bus *b)
{
    struct bus_rabbit *m = self_of(b);
    if (m->consumer)
        amqp_consumer_free(m->consumer);
    amqp_publisher_free(m->publisher);
    mem_free(m->node_id);
    mem_free(m->url);
    mem_free(m);
}

struct bus *bus_rabbit_open(const char *url, struct buf *err)
{
    static const struct bus_ops ops = {rabbit_close,     rabbit_ready,       rabbit_publish, rabbit_broadcast,
                                       rabbit_subscribe, rabbit_unsubscribe, rabbit_ack};
    struct amqp_publisher *publisher =
        amqp_publisher_new(url, exchanges, (int)(sizeof exchanges / sizeof *exchanges), err);
    if (!publisher)
        return NULL;
    struct bus_rabbit *m = MEM_NEW(struct bus_rabbit);
    m->bus.ops = &ops;
    m->url = mem_strdup(url);
    m->publisher = publisher;
    return &m->bus;
}
