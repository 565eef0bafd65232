/* Port `bus`: chooses the implementation. */
#include "platform/ports/bus/bus_private.h"

struct bus *bus_open(const char *amqp_url, struct buf *err)
{
    return amqp_url ? bus_rabbit_open(amqp_url, err) : bus_memory_open();
}

void bus_close(struct bus *b)
{
    b->ops->close(b);
}

bool bus_ready(const struct bus *b)
{
    return b->ops->ready(b);
}

bool bus_is_embedded(const struct bus *b)
{
    return b->embedded;
}

int bus_publish(struct bus *b, const struct event *e, const char *const *node_ids, unsigned node_count)
{
    return node_count ? b->ops->publish(b, e, node_ids, node_count) : 0;
}

static void one_by_one(struct bus *b, struct bus_publication *p, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        p[i].error = bus_publish(b, p[i].event, p[i].node_ids, p[i].node_count);
}

void bus_publish_many(struct bus *b, struct bus_publication *publications, unsigned count)
{
    if (b->ops->publish_many && count > 1)
        b->ops->publish_many(b, publications, count);
    else
        one_by_one(b, publications, count);
}

void bus_set_durable(struct bus *b, bool durable)
{
    b->transient = !durable;
}

int bus_broadcast(struct bus *b, const struct event *e)
{
    return b->ops->broadcast(b, e);
}

int bus_subscribe(struct bus *b, const char *node_id, bus_fn fn, void *arg)
{
    return b->ops->subscribe(b, node_id, fn, arg);
}

void bus_unsubscribe(struct bus *b, const char *node_id)
{
    b->ops->unsubscribe(b, node_id);
}

void bus_ack(struct bus *b, uint64_t tag, uint64_t epoch)
{
    b->ops->ack(b, tag, epoch);
}
