/* `bus` on RabbitMQ. Each gateway node has a durable queue with an expiry, so that a node that comes back under its
 * name finds what it had not acknowledged. An event is published once: to the first node by its routing key, to the
 * others by the CC header. Loop thread; the adapters have threads of their own. */
#include "platform/base/limits.h"
#include "platform/base/log.h"
#include "platform/base/map.h"
#include "platform/base/mem.h"
#include "platform/io/amqp.h"
#include "platform/io/co.h"
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
    struct map partly; /* tag -> struct delivered: messages of several events of which some are not acknowledged */
    struct delivered *delivering;
};

/* A message of several events: acknowledged when each of them is. */
struct delivered {
    uint64_t tag, epoch;
    unsigned unacked;
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

/* The message is copied by the publisher. */
static void body_publish(struct bus_rabbit *m, struct str body, const char *const *node_ids, unsigned node_count,
                         void (*done)(int error, void *arg), void *arg)
{
    struct arena a = {0};
    const char **others = ARENA_ARRAY(&a, const char *, node_count + 1);
    for (unsigned i = 1; i < node_count; i++)
        others[i - 1] = node_ids[i];
    struct amqp_header cc = {.name = "CC", .list = others};
    struct amqp_message message = {.exchange = EVENTS_EXCHANGE,
                                   .routing_key = node_ids[0],
                                   .body = body,
                                   .persistent = !m->bus.transient,
                                   .headers = &cc,
                                   .header_count = node_count > 1};
    amqp_publish(m->publisher, &message, done, arg);
    arena_done(&a);
}

/* Messages of one call under way. */
struct publishing {
    struct co *co;
    unsigned running;
};

/* Publications that share a message: linked by `next`, in order. */
struct shared {
    struct publishing *all;
    struct bus_publication *publications;
    unsigned *next; /* index of the next of the same message; 0: none */
    unsigned first, last, count;
    size_t bytes;
};

static void shared_done(int error, void *arg)
{
    struct shared *s = arg;
    for (unsigned i = s->first, n = 0; n < s->count; n++, i = s->next[i])
        s->publications[i].error = publish_error(error);
    if (--s->all->running == 0)
        co_resume(s->all->co);
}

static void shared_publish(struct bus_rabbit *m, struct shared *s)
{
    struct buf body = BUF_INIT(LIMIT_BUF_DEFAULT_BYTES);
    const struct bus_publication *first = &s->publications[s->first];
    if (s->count > 1) {
        event_batch_begin(&body);
        for (unsigned i = s->first, n = 0; n < s->count; n++, i = s->next[i])
            event_batch_add(&body, s->publications[i].event);
    } else {
        event_encode(first->event, &body);
    }
    if (buf_failed(&body))
        shared_done(-EIO, s);
    else
        body_publish(m, buf_str(&body), first->node_ids, first->node_count, shared_done, s);
    buf_done(&body);
}

static bool same_nodes(const struct bus_publication *x, const struct bus_publication *y)
{
    if (x->node_count != y->node_count)
        return false;
    if (x->node_ids == y->node_ids)
        return true;
    for (unsigned i = 0; i < x->node_count; i++)
        if (strcmp(x->node_ids[i], y->node_ids[i]) != 0)
            return false;
    return true;
}

/* The latest message to the same nodes, when it has room. */
static struct shared *shared_find(struct shared *list, unsigned count, const struct bus_publication *p)
{
    for (unsigned i = count; i-- > 0;)
        if (same_nodes(&list[i].publications[list[i].first], p))
            return list[i].count < LIMIT_BUS_BATCH_EVENTS && list[i].bytes + p->event->data.n <= LIMIT_BUS_BATCH_BYTES
                       ? &list[i]
                       : NULL;
    return NULL;
}

static void rabbit_publish_many(struct bus *b, struct bus_publication *p, unsigned count)
{
    struct bus_rabbit *m = self_of(b);
    struct arena a = {0};
    struct publishing all = {.co = co_self(), .running = 1};
    struct shared *list = ARENA_ARRAY(&a, struct shared, count);
    unsigned *next = ARENA_ARRAY(&a, unsigned, count), messages = 0;
    for (unsigned i = 0; i < count; i++) {
        p[i].error = 0;
        if (!p[i].node_count)
            continue;
        struct shared *s = shared_find(list, messages, &p[i]);
        if (s) {
            next[s->last] = i;
        } else {
            s = &list[messages++];
            *s = (struct shared){.all = &all, .publications = p, .next = next, .first = i};
        }
        s->last = i;
        s->count++;
        s->bytes += p[i].event->data.n;
    }
    all.running += messages;
    for (unsigned i = 0; i < messages; i++)
        shared_publish(m, &list[i]);
    if (--all.running)
        co_suspend();
    arena_done(&a);
}

struct await {
    struct co *co;
    int error;
};

static void on_awaited(int error, void *arg)
{
    struct await *w = arg;
    w->error = error;
    co_resume(w->co);
}

static int rabbit_publish(struct bus *b, const struct event *e, const char *const *node_ids, unsigned node_count)
{
    struct buf body = BUF_INIT(LIMIT_BUF_DEFAULT_BYTES);
    struct await w = {.co = co_self(), .error = -EIO};
    event_encode(e, &body);
    if (!buf_failed(&body)) {
        body_publish(self_of(b), buf_str(&body), node_ids, node_count, on_awaited, &w);
        co_suspend();
    }
    buf_done(&body);
    return publish_error(w.error);
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

static void batch_event(struct bus_rabbit *m, const struct amqp_delivery *d, struct str bytes, struct delivered *all)
{
    struct arena a = {0};
    struct event e;
    struct bus_delivery delivery = {&e, d->redelivered, all->tag, all->epoch};
    if (event_decode(bytes, &a, &e) == 0) {
        all->unacked++;
        m->fn(&delivery, m->arg);
    } else {
        LOG_ERROR("bus message unreadable", "queue=%s bytes=%zu", d->queue, bytes.n);
    }
    arena_done(&a);
}

static void partly_keep(struct bus_rabbit *m, const struct delivered *d)
{
    struct delivered *kept = MEM_NEW(struct delivered);
    *kept = *d;
    mem_free(map_put(&m->partly, d->tag, kept)); /* one of a connection before */
}

static void on_batch(struct bus_rabbit *m, const struct amqp_delivery *d)
{
    struct delivered all = {d->tag, d->epoch, 1};
    struct str bytes;
    size_t at = 0;
    m->delivering = &all;
    while (event_batch_next(d->body, &at, &bytes))
        batch_event(m, d, bytes, &all);
    m->delivering = NULL;
    if (--all.unacked)
        partly_keep(m, &all);
    else if (m->consumer)
        amqp_ack(m->consumer, d->tag, d->epoch, false);
}

static void partly_done(struct bus_rabbit *m)
{
    size_t cursor = 0;
    for (struct delivered *d; (d = map_next(&m->partly, &cursor));)
        mem_free(d);
    map_done(&m->partly);
}

static void on_delivery(const struct amqp_delivery *d, void *arg)
{
    struct bus_rabbit *m = arg;
    struct arena a = {0};
    if (event_is_batch(d->body)) {
        on_batch(m, d);
        return;
    }
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
    partly_done(m);
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
    struct bus_rabbit *m = self_of(b);
    struct delivered *d = m->delivering && m->delivering->tag == tag ? m->delivering : map_get(&m->partly, tag);
    if (!tag || !m->consumer)
        return;
    if (d && d->epoch == epoch && --d->unacked)
        return;
    if (d && d->epoch == epoch)
        mem_free(map_del(&m->partly, tag));
    amqp_ack(m->consumer, tag, epoch, false);
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
    partly_done(m);
    mem_free(m->node_id);
    mem_free(m->url);
    mem_free(m);
}

struct bus *bus_rabbit_open(const char *url, struct buf *err)
{
    static const struct bus_ops ops = {.close = rabbit_close,
                                       .ready = rabbit_ready,
                                       .publish = rabbit_publish,
                                       .publish_many = rabbit_publish_many,
                                       .broadcast = rabbit_broadcast,
                                       .subscribe = rabbit_subscribe,
                                       .unsubscribe = rabbit_unsubscribe,
                                       .ack = rabbit_ack};
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
