/* Port `bus`: an event published to the gateway nodes that want it, confirmed, order kept for each publisher and topic.
 * Embedded: in process. Distributed: RabbitMQ: a direct exchange, one durable queue with an expiry for each node, ONE
 * publish for all nodes (the others in the CC header), persistent, publisher confirms. A confirm proves nothing about a
 * single node: the topic's numbers do. */
#pragma once

#include "platform/base/buf.h"
#include "platform/protocol/event.h"

struct bus;

/* url NULL: in process. NULL and err: malformed. */
struct bus *bus_open(const char *amqp_url, struct buf *err);
void bus_close(struct bus *b);
bool bus_ready(const struct bus *b);
bool bus_is_embedded(const struct bus *b);

/* Coroutine only. 0: confirmed. -EAGAIN (full), -EHOSTDOWN, -EIO, -ETIMEDOUT (LIMIT_BUS_CONFIRM_MS): not known to be
 * there; the outbox publishes it again. No nodes: 0 at once. */
int bus_publish(struct bus *b, const struct event *e, const char *const *node_ids, unsigned node_count);
/* Several at once, of any topics, in this order: what goes to the same nodes shares messages, and each is told its own
 * error. Coroutine only. */
struct bus_publication {
    const struct event *event;
    const char *const *node_ids;
    unsigned node_count;
    int error; /* bus_publish's */
};
void bus_publish_many(struct bus *b, struct bus_publication *publications, unsigned count);
/* Whether a restart of the broker keeps what was published to it (the default). */
void bus_set_durable(struct bus *b, bool durable);
/* To every subscriber, gateway nodes and api processes alike (tokens revoked): at most once for those who are up. */
int bus_broadcast(struct bus *b, const struct event *e);

/* A gateway node's queue. fn runs on the loop, in order; the event is valid during the call. Not acknowledged until
 * bus_ack: what a node had not acknowledged comes again to the node of the same name (redelivered). */
struct bus_delivery {
    const struct event *event;
    bool redelivered;
    uint64_t tag, epoch; /* for bus_ack; 0 for broadcasts, which need none */
};
typedef void (*bus_fn)(const struct bus_delivery *d, void *arg);
/* node_id NULL: broadcasts only (api processes). */
int bus_subscribe(struct bus *b, const char *node_id, bus_fn fn, void *arg);
/* fn is not called any more, also not for what was delivered already. */
void bus_unsubscribe(struct bus *b, const char *node_id);
void bus_ack(struct bus *b, uint64_t tag, uint64_t epoch);
